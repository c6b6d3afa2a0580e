//! Field readers as tolerant as fastjson: a number may be text, a boolean a number, anything null.

use serde::de::{Deserializer, Error, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// A scalar that can be read from any JSON scalar.
///
/// Null, and a text without content where a number or a boolean belongs, leaves the field of a Java class as the class made
/// it: [`scalar`] where that is the type's default, [`number_or`] and [`true_or`] elsewhere.
pub trait Scalar: Default {
    /// What an error says was expected.
    const EXPECTED: &'static str;
    /// From a whole number.
    fn from_i64(value: i64) -> Option<Self>;
    /// From a fraction.
    fn from_f64(value: f64) -> Option<Self>;
    /// From a boolean.
    fn from_bool(value: bool) -> Option<Self>;
    /// From text.
    fn from_text(value: &str) -> Option<Self>;
    /// Is this text as good as null?
    fn is_null(value: &str) -> bool {
        value.is_empty() || value == "null"
    }
}

macro_rules! whole {
    ($($ty:ty),*) => {$(
        impl Scalar for $ty {
            const EXPECTED: &'static str = "a whole number";
            fn from_i64(value: i64) -> Option<Self> {
                value.try_into().ok()
            }
            fn from_f64(value: f64) -> Option<Self> {
                Some(value as $ty)
            }
            fn from_bool(value: bool) -> Option<Self> {
                Some(value.into())
            }
            fn from_text(value: &str) -> Option<Self> {
                value.parse().ok()
            }
        }
    )*};
}
whole!(i32, i64, u32, u64);

impl Scalar for f64 {
    const EXPECTED: &'static str = "a number";
    fn from_i64(value: i64) -> Option<Self> {
        Some(value as f64)
    }
    fn from_f64(value: f64) -> Option<Self> {
        Some(value)
    }
    fn from_bool(value: bool) -> Option<Self> {
        Some(f64::from(u8::from(value)))
    }
    fn from_text(value: &str) -> Option<Self> {
        value.parse().ok()
    }
}

impl Scalar for bool {
    const EXPECTED: &'static str = "a boolean";
    fn from_i64(value: i64) -> Option<Self> {
        Some(value == 1)
    }
    fn from_f64(value: f64) -> Option<Self> {
        Some(value == 1.0)
    }
    fn from_bool(value: bool) -> Option<Self> {
        Some(value)
    }
    fn from_text(value: &str) -> Option<Self> {
        match value {
            "true" | "TRUE" | "True" | "1" | "Y" | "T" => Some(true),
            "false" | "FALSE" | "False" | "0" | "N" | "F" => Some(false),
            _ => None,
        }
    }
}

impl Scalar for String {
    const EXPECTED: &'static str = "a text";
    fn from_i64(value: i64) -> Option<Self> {
        Some(value.to_string())
    }
    fn from_f64(value: f64) -> Option<Self> {
        Some(crate::header::java_double(value))
    }
    fn from_bool(value: bool) -> Option<Self> {
        Some(value.to_string())
    }
    fn from_text(value: &str) -> Option<Self> {
        Some(value.to_owned())
    }
    fn is_null(_value: &str) -> bool {
        false
    }
}

struct ScalarVisitor<T>(PhantomData<T>);

impl<'de, T: Scalar> Visitor<'de> for ScalarVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Option<T>, E> {
        T::from_bool(value)
            .map(Some)
            .ok_or_else(|| E::custom(format_args!("{value} is not {}", T::EXPECTED)))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Option<T>, E> {
        T::from_i64(value)
            .map(Some)
            .ok_or_else(|| E::custom(format_args!("{value} is not {}", T::EXPECTED)))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Option<T>, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(E::custom(format_args!("{value} is not {}", T::EXPECTED))),
        }
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Option<T>, E> {
        T::from_f64(value)
            .map(Some)
            .ok_or_else(|| E::custom(format_args!("{value} is not {}", T::EXPECTED)))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Option<T>, E> {
        if T::is_null(value) {
            return Ok(None);
        }
        T::from_text(value).map(Some).ok_or_else(|| {
            let short: String = value.chars().take(64).collect();
            E::custom(format_args!("{short:?} is not {}", T::EXPECTED))
        })
    }
    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }
    fn visit_none<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }
}

/// `#[serde(deserialize_with = "de::scalar")]` for `i32`, `i64`, `bool`, `f64`, `String`, where the field of a new object is
/// 0, false or empty.
pub fn scalar<'de, D: Deserializer<'de>, T: Scalar>(deserializer: D) -> Result<T, D::Error> {
    Ok(deserializer
        .deserialize_any(ScalarVisitor(PhantomData))?
        .unwrap_or_default())
}

/// The same for a number that is `N` in a new object: `#[serde(deserialize_with = "de::number_or::<16, _, _>")]`.
pub fn number_or<'de, const N: i32, D: Deserializer<'de>, T: Scalar + From<i32>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(optional(deserializer)?.unwrap_or_else(|| N.into()))
}

/// The same for a boolean that is true in a new object.
pub fn true_or<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(optional(deserializer)?.unwrap_or(true))
}

/// The same for an `Option`: null is `None`.
pub fn optional<'de, D: Deserializer<'de>, T: Scalar>(deserializer: D) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_any(ScalarVisitor(PhantomData))
}

/// `#[serde(deserialize_with = "de::or_default")]` for lists, maps and objects: null is the default, as where fastjson
/// leaves a null that Java code then takes for empty.
pub fn or_default<'de, D: Deserializer<'de>, T: serde::Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(<Option<T> as serde::Deserialize>::deserialize(deserializer)?.unwrap_or_default())
}

/// A set of texts or numbers whose members may be written as either.
pub fn scalars<'de, D: Deserializer<'de>, T: Scalar>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct One<T>(T);
    impl<'de, T: Scalar> serde::Deserialize<'de> for One<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            scalar(deserializer).map(One)
        }
    }
    let list: Option<Vec<One<T>>> = serde::Deserialize::deserialize(deserializer)?;
    Ok(list.unwrap_or_default().into_iter().map(|one| one.0).collect())
}

/// Reads an enum as fastjson does: a text is a name in any case, a whole number an ordinal. Null and a name that the enum
/// does not have are its default (Java has null there); any other value is an error, as in Java.
///
/// `by_name` and `by_ordinal` look the enum up; `name` is the enum's own, for the error.
pub fn java_enum<'de, D: Deserializer<'de>, T: Default>(
    deserializer: D,
    name: &'static str,
    by_name: fn(&str) -> Option<T>,
    by_ordinal: fn(u64) -> Option<T>,
) -> Result<T, D::Error> {
    struct Names<T> {
        name: &'static str,
        by_name: fn(&str) -> Option<T>,
        by_ordinal: fn(u64) -> Option<T>,
    }
    impl<T: Default> Visitor<'_> for Names<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a name of {} or its number", self.name)
        }
        fn visit_str<E: Error>(self, value: &str) -> Result<T, E> {
            Ok((self.by_name)(value).unwrap_or_default())
        }
        fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
            (self.by_ordinal)(value)
                .ok_or_else(|| E::custom(format_args!("{value} is the number of no {}", self.name)))
        }
        fn visit_unit<E: Error>(self) -> Result<T, E> {
            Ok(T::default())
        }
    }
    deserializer.deserialize_any(Names {
        name,
        by_name,
        by_ordinal,
    })
}

/// Makes an enum that Java writes by name and that is read as [`java_enum`](crate::body::de::java_enum) says.
///
/// ```
/// protocol::java_enum! {
///     /// How a group consumes.
///     pub enum MessageModel {
///         /// Every member gets every message.
///         Broadcasting = "BROADCASTING",
///         /// A message goes to one member.
///         #[default]
///         Clustering = "CLUSTERING",
///     }
/// }
/// ```
#[macro_export]
macro_rules! java_enum {
    ($(#[$outer:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        $vis enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All, in the order of Java's ordinals.
            $vis const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The name in JSON.
            $vis fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// By name in any case, as fastjson finds it.
            $vis fn from_text(text: &str) -> Option<$name> {
                Self::ALL.iter().copied().find(|v| v.name().eq_ignore_ascii_case(text))
            }

            /// By Java's ordinal.
            $vis fn from_ordinal(number: u64) -> Option<$name> {
                Self::ALL.get(usize::try_from(number).ok()?).copied()
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::body::de::java_enum(deserializer, stringify!($name), Self::from_text, Self::from_ordinal)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    crate::java_enum! {
        /// Sample.
        enum Kind {
            /// One.
            #[default]
            One = "ONE",
            /// Two.
            Two = "TWO",
        }
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Sample {
        #[serde(deserialize_with = "super::scalar")]
        int: i32,
        #[serde(deserialize_with = "super::scalar")]
        flag: bool,
        #[serde(deserialize_with = "super::optional")]
        text: Option<String>,
        #[serde(deserialize_with = "super::scalars")]
        set: Vec<String>,
        kind: Kind,
    }

    #[test]
    fn any_scalar_for_any_field() {
        let table = [
            r#"{"int":7,"flag":true,"text":"5","set":["1","x"],"kind":"TWO"}"#,
            r#"{"int":"7","flag":"true","text":5,"set":[1,"x"],"kind":1}"#,
            r#"{"int":7.0,"flag":1,"text":"5","set":[1,"x"],"kind":"two"}"#,
        ];
        for text in table {
            let read: Sample = serde_json::from_str(text).expect(text);
            let expected = Sample {
                int: 7,
                flag: true,
                text: Some("5".into()),
                set: vec!["1".into(), "x".into()],
                kind: Kind::Two,
            };
            assert_eq!(read, expected, "{text}");
        }
        let nulls = r#"{"int":null,"flag":null,"text":null,"set":null,"kind":null}"#;
        assert_eq!(
            serde_json::from_str::<Sample>(nulls).expect("nulls"),
            Sample::default()
        );
    }

    /// What 4.9.7's fastjson makes of each, with null where this has the default.
    #[test]
    fn enums_are_read_as_fastjson_reads_them() {
        for (value, kind) in [
            (r#""TWO""#, Kind::Two),
            (r#""two""#, Kind::Two),
            (r#""Two""#, Kind::Two),
            (r#""T\u0057O""#, Kind::Two),
            ("1", Kind::Two),
            ("0", Kind::One),
            ("null", Kind::One),
            (r#""THREE""#, Kind::One),
            (r#""""#, Kind::One),
            (r#"" TWO""#, Kind::One),
            (r#""1""#, Kind::One),
            (r#""7""#, Kind::One),
        ] {
            let text = format!(r#"{{"kind":{value},"int":3}}"#);
            let read: Sample = serde_json::from_str(&text).expect(&text);
            assert_eq!((read.kind, read.int), (kind, 3), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (text, named) in [
            (r#"{"int":"x7"}"#, "x7"),
            (r#"{"int":3000000000}"#, "3000000000"),
            (r#"{"kind":2}"#, "2"),
            (r#"{"kind":-1}"#, "-1"),
            (r#"{"kind":1.0}"#, "1.0"),
            (r#"{"kind":true}"#, "true"),
            (r#"{"kind":["TWO"]}"#, "sequence"),
        ] {
            let error = serde_json::from_str::<Sample>(text).expect_err(text).to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
