//! The settings table: what one row gives, and the macro that reads rows.

use crate::value::{BadValue, Secret};
use std::fmt::Write;

/// When a changed value takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// At the next start.
    AtStart,
    /// At once, also by UPDATE_BROKER_CONFIG and UPDATE_NAMESRV_CONFIG.
    Live,
    /// Never: the key is accepted and printed, and does nothing, for this reason.
    Inert(&'static str),
    /// Never, and any value but the default would promise something that is not there (protection, replication): refused,
    /// for this reason.
    Fixed(&'static str),
}

/// What is known about one key.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Key in files: Java's setter without `set`.
    pub key: &'static str,
    /// Name in GET_BROKER_CONFIG and GET_NAMESRV_CONFIG: Java's field name, which differs for a few keys.
    pub shown: &'static str,
    /// Documentation.
    pub doc: &'static str,
    /// First of the two reference versions that has it: `4.9` or `5.3`.
    pub since: &'static str,
    /// When a change takes effect.
    pub applies: Applies,
    /// Java's type.
    pub java: &'static str,
    /// Java has null for it unless it is set.
    pub nullable: bool,
    /// Its value is in no report, no answer and no log.
    pub secret: bool,
    /// Printed by `-m` as well as by `-p`.
    pub important: bool,
    /// Its text is read by a function of its own, as that of a path is, so that a leftover of a guide refuses the start: the
    /// default would lie elsewhere.
    pub strict: bool,
}

impl Row {
    /// A text for its value as a report may have it.
    pub fn told<'t>(&self, text: &'t str) -> &'t str {
        match self.secret {
            true => Secret::SHOWN,
            false => text,
        }
    }

    /// Whether an empty text can be its value. Where it can not, `key=` says nothing, as `-p` prints it for Java's null.
    pub fn takes_nothing(&self) -> bool {
        self.java == "String" && !self.nullable
    }

    /// Whether the key does anything.
    pub fn is_used(&self) -> bool {
        matches!(self.applies, Applies::AtStart | Applies::Live)
    }
}

/// A key that does nothing here, with the text of its value.
#[derive(Clone, Copy, Debug)]
pub struct InertRow {
    /// The row.
    pub row: Row,
    /// Default as Java prints it; `None` for Java's null.
    pub default: Option<&'static str>,
    /// Refuses what is no value of the type.
    pub parse: fn(&str) -> Result<Option<String>, BadValue>,
}

/// One group of settings, as Java keeps it in one class.
pub trait Section {
    /// Java's class, for documentation.
    fn class(&self) -> &'static str;

    /// Every known key, in the order of the table.
    fn rows(&self) -> &'static [Row];

    /// The value as Java prints it; `None` for Java's null and for keys of other sections.
    fn get(&self, key: &str) -> Option<String>;

    /// Sets one value from text.
    ///
    /// # Errors
    /// The text is no allowed value. Keys of other sections are accepted and do nothing.
    fn set(&mut self, key: &str, text: &str) -> Result<(), BadValue>;

    /// The row of a key.
    fn row(&self, key: &str) -> Option<&'static Row> {
        self.rows().iter().find(|row| row.key == key)
    }
}

/// All sections of one server.
pub trait Group {
    /// The sections, in the order in which Java prints them.
    fn sections(&self) -> Vec<&dyn Section>;

    /// The same, to change them.
    fn sections_mut(&mut self) -> Vec<&mut dyn Section>;

    /// What this server allows as a key's value, where rules of its own leave less than the row says.
    fn allowed(&self, _key: &str) -> Option<&'static str> {
        None
    }
}

impl<S: Section> Group for S {
    fn sections(&self) -> Vec<&dyn Section> {
        vec![self]
    }

    fn sections_mut(&mut self) -> Vec<&mut dyn Section> {
        vec![self]
    }
}

/// All settings as `key=value` lines sorted by key: the body of GET_BROKER_CONFIG and GET_NAMESRV_CONFIG. A key that stands
/// in two sections is printed once; the section that uses it wins. Java's null is left out, as Java does.
pub fn text(group: &dyn Group) -> String {
    sorted(group, |value| value)
}

/// The lines that `-p` prints: [`text`] and, as in Java, the keys whose value is null, with nothing behind the `=`.
pub fn printed_text(group: &dyn Group) -> String {
    sorted(group, |value| Some(value.unwrap_or_default()))
}

fn sorted(group: &dyn Group, shown: impl Fn(Option<String>) -> Option<String>) -> String {
    let mut lines: Vec<(&str, bool, String)> = Vec::new();
    for section in group.sections() {
        for row in section.rows() {
            let Some(value) = shown(section.get(row.key)) else {
                continue;
            };
            lines.push((row.shown, !row.is_used(), value));
        }
    }
    lines.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    lines.dedup_by(|next, first| next.0 == first.0);
    let mut out = String::with_capacity(lines.len() * 40);
    for (key, _, value) in lines {
        out.push_str(key);
        out.push('=');
        out.push_str(&value);
        out.push('\n');
    }
    out
}

/// The lines that `-m` prints: Java marks these settings as the important ones. In table order; null is printed as nothing.
pub fn important_text(group: &dyn Group) -> String {
    let mut out = String::new();
    for section in group.sections() {
        for row in section.rows().iter().filter(|row| row.important) {
            out.push_str(row.shown);
            out.push('=');
            out.push_str(&section.get(row.key).unwrap_or_default());
            out.push('\n');
        }
    }
    out
}

/// The table as a page: every key with its default, when a change takes effect, and what it means or why it does nothing.
/// Defaults that depend on the machine are left out.
pub fn page(group: &dyn Group, machine_dependent: &[&str]) -> String {
    let mut out = String::new();
    for section in group.sections() {
        let _ = writeln!(out, "\n## {}", section.class());
        for (title, wanted) in [("Used", true), ("Known, without effect", false)] {
            let rows = section.rows().iter().filter(|row| row.is_used() == wanted);
            let rows: Vec<&Row> = rows.collect();
            if rows.is_empty() {
                continue;
            }
            let _ = writeln!(out, "\n### {title}\n");
            let _ = writeln!(
                out,
                "| Key | Type | Default | Since | {} |",
                if wanted { "Changes | Meaning" } else { "Why" }
            );
            let _ = writeln!(out, "|---|---|---|---|---|{}", if wanted { "---|" } else { "" });
            for row in rows {
                let default = match section.get(row.key) {
                    _ if machine_dependent.contains(&row.key) => "(found at start)".to_owned(),
                    Some(value) if !value.is_empty() => format!("`{value}`"),
                    _ => String::new(),
                };
                let tail = match row.applies {
                    Applies::AtStart => format!("at start | {}", one_line(row.doc)),
                    Applies::Live => format!("at once | {}", one_line(row.doc)),
                    Applies::Inert(reason) => one_line(reason),
                    Applies::Fixed(reason) => {
                        format!("{}; any other value refuses to start", one_line(reason))
                    }
                };
                let _ = writeln!(
                    out,
                    "| `{}` | {} | {default} | {} | {tail} |",
                    row.key, row.java, row.since
                );
            }
        }
    }
    out
}

fn one_line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

/// Whether a key is in the list of important ones; for the macro.
#[doc(hidden)]
pub const fn listed(list: &[&str], key: &str) -> bool {
    let mut index = 0;
    while index < list.len() {
        if same(list[index].as_bytes(), key.as_bytes()) {
            return true;
        }
        index += 1;
    }
    false
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut index = 0;
    while index < a.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// Text of a default in an inert row, where `null` is Java's null; for the macro.
#[doc(hidden)]
pub const fn default_text(text: &'static str) -> Option<&'static str> {
    if same(text.as_bytes(), b"null") {
        None
    } else {
        Some(text)
    }
}

/// Reads a table of settings and makes a struct of it that implements [`Section`] and `Default`. See the crate's example.
///
/// A row is `/// documentation`, `field: Type = default, java "key", since "4.9", applies AtStart|Live`, then optionally
/// `range a..=b`, `read function` (`fn(&str) -> Result<Type, BadValue>`, in place of the type's own), `check function`
/// (`fn(&Type) -> Result<(), BadValue>`) and `shown "nameInConfigOutput"`, in this order.
/// Rows of `inert { }` accept a value of the type and do nothing; rows of `fixed { }` accept only their default.
#[macro_export]
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident, class $class:literal, important $important:tt;
        $(
            $(#[doc = $doc:literal])+
            $field:ident: $type:ty = $default:expr, java $key:literal, since $since:literal, applies $applies:ident
            $(, range $range:expr)? $(, read $read:ident)? $(, check $check:path)? $(, shown $shown:literal)?;
        )*
        $(inert { $($ikey:literal: $itype:ty = $idefault:literal, since $isince:literal, $ireason:expr $(, shown $ishown:literal)?;)* })?
        $(fixed { $($fkey:literal: $ftype:ty = $fdefault:literal, since $fsince:literal, $freason:expr $(, shown $fshown:literal)?;)* })?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)*
            /// Values given for keys that do nothing, so that they are printed as they were given.
            #[doc(hidden)]
            pub inert: ::std::collections::BTreeMap<&'static str, Option<String>>,
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default,)* inert: ::std::collections::BTreeMap::new() }
            }
        }

        impl $name {
            /// Keys that do nothing.
            const INERT: &'static [$crate::InertRow] = &[
                $($($crate::InertRow {
                    row: $crate::Row {
                        key: $ikey,
                        shown: $crate::settings!(@shown $ikey $(, $ishown)?),
                        doc: "",
                        since: $isince,
                        applies: $crate::Applies::Inert($ireason),
                        java: <$itype as $crate::Value>::JAVA,
                        nullable: <$itype as $crate::Value>::NULLABLE, secret: <$itype as $crate::Value>::SECRET,
                        important: $crate::listed(&$important, $ikey),
                        strict: false,
                    },
                    default: $crate::default_text($idefault),
                    parse: |text| <$itype as $crate::Value>::parse(text).map(|value| $crate::Value::render(&value)),
                },)*)?
                $($($crate::InertRow {
                    row: $crate::Row {
                        key: $fkey,
                        shown: $crate::settings!(@shown $fkey $(, $fshown)?),
                        doc: "",
                        since: $fsince,
                        applies: $crate::Applies::Fixed($freason),
                        java: <$ftype as $crate::Value>::JAVA,
                        nullable: <$ftype as $crate::Value>::NULLABLE, secret: <$ftype as $crate::Value>::SECRET,
                        important: $crate::listed(&$important, $fkey),
                        strict: false,
                    },
                    default: $crate::default_text($fdefault),
                    parse: |text| <$ftype as $crate::Value>::parse(text).map(|value| $crate::Value::render(&value)),
                },)*)?
            ];

            /// Every known key.
            const ROWS: &'static [$crate::Row] = {
                const USED: &[$crate::Row] = &[$($crate::Row {
                    key: $key,
                    shown: $crate::settings!(@shown $key $(, $shown)?),
                    doc: concat!($($doc, "\n"),+),
                    since: $since,
                    applies: $crate::Applies::$applies,
                    java: <$type as $crate::Value>::JAVA,
                    nullable: <$type as $crate::Value>::NULLABLE, secret: <$type as $crate::Value>::SECRET,
                    important: $crate::listed(&$important, $key),
                    strict: $crate::settings!(@strict $($read)?),
                },)*];
                const INERT: &[$crate::InertRow] = $name::INERT;
                const LEN: usize = USED.len() + INERT.len();
                const ALL: [$crate::Row; LEN] = {
                    let mut all = [$crate::Row {
                        key: "", shown: "", doc: "", since: "", applies: $crate::Applies::AtStart, java: "", nullable: false, secret: false,
                        important: false,
                        strict: false,
                    }; LEN];
                    let mut index = 0;
                    while index < LEN {
                        all[index] = if index < USED.len() { USED[index] } else { INERT[index - USED.len()].row };
                        index += 1;
                    }
                    all
                };
                &ALL
            };
        }

        impl $crate::Section for $name {
            fn class(&self) -> &'static str {
                $class
            }

            fn rows(&self) -> &'static [$crate::Row] {
                Self::ROWS
            }

            fn get(&self, key: &str) -> Option<String> {
                match key {
                    $($key => $crate::Value::render(&self.$field),)*
                    _ => match self.inert.get(key) {
                        Some(given) => given.clone(),
                        None => {
                            let known = Self::INERT.iter().find(|inert| inert.row.key == key)?;
                            known.default.map(str::to_owned)
                        }
                    },
                }
            }

            fn set(&mut self, key: &str, text: &str) -> Result<(), $crate::BadValue> {
                match key {
                    $($key => {
                        let value: $type = $crate::settings!(@parse $type, text $(, range $range)? $(, read $read)?)?;
                        $($crate::in_range(&value, &($range))?;)?
                        $($check(&value)?;)?
                        self.$field = value;
                    })*
                    _ => if let Some(known) = Self::INERT.iter().find(|inert| inert.row.key == key) {
                        let value = (known.parse)(text)?;
                        if let $crate::Applies::Fixed(reason) = known.row.applies {
                            if value.as_deref().unwrap_or_default() != known.default.unwrap_or_default() {
                                let only = known.default.unwrap_or_default();
                                return Err($crate::BadValue::new(format!("only `{only}`: {reason}")));
                            }
                        }
                        self.inert.insert(known.row.key, value);
                    },
                }
                Ok(())
            }
        }
    };
    (@parse $type:ty, $text:ident) => { <$type as $crate::Value>::parse($text) };
    (@parse $type:ty, $text:ident, range $range:expr) => {
        <$type as $crate::Value>::parse($text).map_err(|_| $crate::outside(&($range)))
    };
    (@parse $type:ty, $text:ident, read $read:ident) => { $read($text) };
    (@strict) => { false };
    (@strict $read:ident) => { true };
    (@shown $key:literal) => { $key };
    (@shown $key:literal, $shown:literal) => { $shown };
}
