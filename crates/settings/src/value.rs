//! Values a setting can have.

use std::fmt::{self, Display};

/// A value that a setting does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("allowed: {allowed}")]
pub struct BadValue {
    /// What is allowed, as words for the operator.
    pub allowed: String,
}

impl BadValue {
    /// A refusal that says what would be right.
    pub fn new(allowed: impl Into<String>) -> BadValue {
        BadValue {
            allowed: allowed.into(),
        }
    }
}

/// A type that rows of the table can have.
pub trait Value: Sized {
    /// Java's type, as in its documentation.
    const JAVA: &'static str;

    /// Whether Java has null for it unless it is set.
    const NULLABLE: bool = false;
    /// Whether it is told nobody.
    const SECRET: bool = false;

    /// Reads the trimmed text of a file.
    ///
    /// # Errors
    /// A text that is no value of the type. Java keeps the default then, without a word.
    fn parse(text: &str) -> Result<Self, BadValue>;

    /// The text Java prints for it; `None` for Java's null, which it leaves out.
    fn render(&self) -> Option<String>;
}

macro_rules! number {
    ($type:ty, $java:literal, $allowed:literal) => {
        impl Value for $type {
            const JAVA: &'static str = $java;

            fn parse(text: &str) -> Result<Self, BadValue> {
                text.parse().map_err(|_| BadValue::new($allowed))
            }

            fn render(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    };
}

number!(i32, "int", "a whole number from -2147483648 to 2147483647");
number!(
    i64,
    "long",
    "a whole number from -9223372036854775808 to 9223372036854775807"
);
number!(f64, "double", "a number");

impl Value for bool {
    const JAVA: &'static str = "boolean";

    fn parse(text: &str) -> Result<Self, BadValue> {
        // Unlike Java: `yes`, `on` and `1` are refused; Boolean.parseBoolean silently makes false of them.
        match () {
            () if text.eq_ignore_ascii_case("true") => Ok(true),
            () if text.eq_ignore_ascii_case("false") => Ok(false),
            () => Err(BadValue::new("true or false")),
        }
    }

    fn render(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for String {
    const JAVA: &'static str = "String";

    fn parse(text: &str) -> Result<Self, BadValue> {
        Ok(text.to_owned())
    }

    fn render(&self) -> Option<String> {
        Some(self.clone())
    }
}

/// A String that is null in Java unless it is set. An empty text means null.
impl Value for Option<String> {
    const JAVA: &'static str = "String";
    const NULLABLE: bool = true;

    fn parse(text: &str) -> Result<Self, BadValue> {
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    fn render(&self) -> Option<String> {
        self.clone()
    }
}

/// A text that is in no answer and in no log: where settings are printed it is [`Secret::SHOWN`]. Null in Java unless it is set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Option<String>);

impl Secret {
    /// What is printed.
    pub const SHOWN: &'static str = "******";

    /// The text itself.
    pub fn reveal(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Secret((!text.is_empty()).then(|| text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref().map_or("None", |_| Secret::SHOWN))
    }
}

/// Every text is taken: a refusal would repeat it.
impl Value for Secret {
    const JAVA: &'static str = "String";
    const NULLABLE: bool = true;
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, BadValue> {
        Ok(Secret::from(text))
    }

    fn render(&self) -> Option<String> {
        self.0.as_ref().map(|_| Secret::SHOWN.to_owned())
    }
}

/// Checks a number against the range of its row.
///
/// # Errors
/// The value lies outside; the error names the range.
pub fn in_range<T: PartialOrd + Display>(
    value: &T,
    range: &std::ops::RangeInclusive<T>,
) -> Result<(), BadValue> {
    if range.contains(value) {
        Ok(())
    } else {
        Err(outside(range))
    }
}

/// The refusal of what lies outside a range, or is no number at all.
pub fn outside<T: Display>(range: &std::ops::RangeInclusive<T>) -> BadValue {
    BadValue::new(format!("{} to {}", range.start(), range.end()))
}

/// Checks a text that cannot be empty, such as a name or a path.
///
/// # Errors
/// Nothing but blanks.
pub fn not_blank(value: &str) -> Result<(), BadValue> {
    if value.trim().is_empty() {
        Err(BadValue::new("any text but nothing"))
    } else {
        Ok(())
    }
}

/// Checks a name that is shown to clients and tools, such as a broker's: it is not empty and has no quotes around it, which
/// a properties file does not take off.
///
/// # Errors
/// Nothing but blanks, quotes, or characters that nobody sees.
pub fn name(value: &str) -> Result<(), BadValue> {
    not_blank(value)?;
    if value.contains(['"', '\'', '`']) || value.chars().any(char::is_control) || value.contains('\u{FEFF}') {
        return Err(BadValue::new("a name without quotes"));
    }
    Ok(())
}

/// Makes an enum whose values are written in files by their Java names.
///
/// ```
/// settings::names! {
///     /// When a message is on disk.
///     pub enum Flush as "FlushDiskType" {
///         /// Before it is acknowledged.
///         Sync = "SYNC_FLUSH",
///         /// Some time later.
///         Async = "ASYNC_FLUSH",
///     }
/// }
/// assert_eq!(<Flush as settings::Value>::parse("SYNC_FLUSH"), Ok(Flush::Sync));
/// assert_eq!(Flush::Async.to_string(), "ASYNC_FLUSH");
/// ```
#[macro_export]
macro_rules! names {
    ($(#[$meta:meta])* $vis:vis enum $name:ident as $java:literal {
        $($(#[$variant_meta:meta])* $variant:ident = $text:literal),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $name { $($(#[$variant_meta])* $variant),+ }

        impl $name {
            /// The name in files and in Java.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl $crate::Value for $name {
            const JAVA: &'static str = $java;

            fn parse(text: &str) -> Result<Self, $crate::BadValue> {
                match text {
                    $($text => Ok($name::$variant),)+
                    _ => Err($crate::BadValue::new([$($text),+].join(", "))),
                }
            }

            fn render(&self) -> Option<String> {
                Some(self.name().to_owned())
            }
        }
    };
}

/// Joins words for a message: `a, b or c`.
pub(crate) struct OneOf<'a>(pub(crate) &'a [&'a str]);

impl Display for OneOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            let joint = match index {
                0 => "",
                _ if index + 1 == self.0.len() => " or ",
                _ => ", ",
            };
            write!(f, "{joint}`{word}`")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        assert_eq!(i32::parse("04"), Ok(4), "a leading zero is not octal");
        assert_eq!(i32::parse("-1"), Ok(-1));
        assert_eq!(i64::parse("17179869184"), Ok(17_179_869_184));
        for text in ["", "1k", "0x10", "1 # one", "2147483648", "1.5"] {
            assert!(i32::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn booleans_are_strict() {
        assert_eq!((bool::parse("TRUE"), bool::parse("false")), (Ok(true), Ok(false)));
        for text in ["", "yes", "1", "truee"] {
            assert!(bool::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ranges() {
        assert!(in_range(&5, &(1..=5)).is_ok());
        assert_eq!(in_range(&6, &(1..=5)), Err(BadValue::new("1 to 5")));
    }

    #[test]
    fn names_have_no_quotes() {
        assert_eq!(name("broker-a"), Ok(()));
        assert_eq!(name("订单 broker"), Ok(()));
        for bad in ["", " ", "\"broker-a\"", "'a'", "a\u{1}", "\u{FEFF}a"] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn empty_optional_is_null() {
        assert_eq!(Option::<String>::parse(""), Ok(None));
        assert_eq!(
            Option::<String>::parse("x").unwrap().render().as_deref(),
            Some("x")
        );
    }
}
