//! Changes at run time: UPDATE_BROKER_CONFIG and UPDATE_NAMESRV_CONFIG, and the file that keeps them.

use crate::load::{find_row, shorten};
use crate::properties::{Properties, is_continued, lines};
use crate::table::{Applies, Group};
use std::collections::BTreeMap;

/// Why an update was refused. Nothing was changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A key that may not be changed from afar (`configBlackList`); Java answers code 16.
    #[error("`{0}` may not be changed: it is in configBlackList")]
    Blacklisted(String),
    /// A value that the key does not take.
    #[error("bad value of `{key}`: `{value}`; allowed: {allowed}")]
    BadValue {
        /// The key.
        key: String,
        /// The value given.
        value: String,
        /// What would be right.
        allowed: String,
    },
    /// A broken `\u` escape.
    #[error("`{0}`: a \\u needs four hexadecimal digits")]
    BadEscape(String),
    /// More than a file of settings can sensibly have.
    #[error("a change of settings has at most {max} bytes, this one has {len}")]
    TooLong {
        /// Bytes of keys and values.
        len: usize,
        /// How many there may be.
        max: usize,
    },
}

/// Most bytes of keys and values in one update.
const UPDATE_MAX: usize = 64 * 1024;

/// What an update did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Updated {
    /// Keys and values that count from now on.
    pub live: Vec<(String, String)>,
    /// Keys and values that are kept in the file and count at the next start.
    pub at_next_start: Vec<(String, String)>,
    /// Keys that do nothing here; accepted, and kept in the file, so that tools that set them succeed.
    pub without_effect: Vec<(String, String)>,
    /// Unknown keys; Java drops them as silently as this does, but here the caller can say so.
    pub unknown: Vec<String>,
}

impl Updated {
    /// Everything the file should keep.
    pub fn to_keep(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self
            .live
            .iter()
            .chain(&self.at_next_start)
            .chain(&self.without_effect);
        all.map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// Applies an update to a copy of the settings; the caller swaps it in. Only rows that apply live change `group`.
///
/// `black_list` is the value of configBlackList: keys separated by `;`.
///
/// Unlike Java: a bad value refuses the whole update and is named (Java skips it and reports success), and keys that only
/// count at start are told apart.
///
/// # Errors
/// See [`Refused`]; `group` is to be thrown away then.
pub fn update(group: &mut dyn Group, changes: &Properties, black_list: &str) -> Result<Updated, Refused> {
    let len = changes
        .entries
        .iter()
        .map(|entry| entry.key.len() + entry.value.len())
        .sum();
    if len > UPDATE_MAX {
        let max = UPDATE_MAX;
        return Err(Refused::TooLong { len, max });
    }
    let banned: Vec<&str> = black_list.split(';').map(str::trim).collect();
    // The last of repeated keys counts.
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    for entry in &changes.entries {
        if banned.contains(&entry.key.as_str()) {
            return Err(Refused::Blacklisted(entry.key.clone()));
        }
        if entry.bad_escape {
            return Err(Refused::BadEscape(entry.key.clone()));
        }
        last.insert(&entry.key, &entry.value);
    }
    let mut updated = Updated::default();
    for (key, value) in last {
        let Some(row) = find_row(group, key) else {
            updated.unknown.push(key.to_owned());
            continue;
        };
        let key = row.key;
        let pair = (key.to_owned(), value.to_owned());
        let allowed = group.allowed(key);
        for section in group.sections_mut() {
            let old = section.get(key);
            section.set(key, value).map_err(|bad| Refused::BadValue {
                key: key.to_owned(),
                value: shorten(value),
                allowed: allowed.map_or(bad.allowed, str::to_owned),
            })?;
            if row.applies == Applies::AtStart {
                // Only checked: what runs keeps the value it started with. A value that was valid is valid again.
                let _ = section.set(key, &old.unwrap_or_default());
            }
        }
        match row.applies {
            Applies::Live => updated.live.push(pair),
            Applies::AtStart => updated.at_next_start.push(pair),
            Applies::Inert(_) | Applies::Fixed(_) => updated.without_effect.push(pair),
        }
    }
    Ok(updated)
}

/// Rewrites the text of a properties file so that it says what `changes` say, and leaves everything else (comments, order,
/// unknown keys) as it is. A key that stands there is changed in the last place it stands; a new one goes to the end.
pub fn edit<'a>(text: &str, changes: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let file = Properties::parse(text.as_bytes());
    let mut replaced: BTreeMap<u32, (u32, String)> = BTreeMap::new();
    let mut added = Vec::new();
    for (key, value) in changes {
        let line = format!("{}={}", escape(key, true), escape(value, false));
        match file.entries.iter().rev().find(|entry| entry.key == key) {
            Some(entry) => {
                replaced.insert(entry.line, (entry.last_line, line));
            }
            None => added.push(line),
        }
    }
    let mut out = String::with_capacity(text.len() + 64);
    let mut skip_to = 0u32;
    // What follows the last line end is no line of its own.
    let text = text.strip_suffix('\n').unwrap_or(text);
    for (number, line) in lines(text).filter(|_| !text.is_empty()) {
        if number <= skip_to {
            continue;
        }
        match replaced.get(&number) {
            Some((last_line, new)) => {
                skip_to = *last_line;
                out.push_str(new);
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    if !added.is_empty() && out.lines().next_back().is_some_and(is_continued) {
        // A blank line ends a last line that would take what follows as its continuation.
        out.push('\n');
    }
    for line in added {
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// Text that reads back as itself.
fn escape(text: &str, key: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, c) in text.chars().enumerate() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0c' => out.push_str("\\f"),
            ' ' if key || index == 0 => out.push_str("\\ "),
            '=' | ':' if key => {
                out.push('\\');
                out.push(c);
            }
            '#' | '!' if key && index == 0 => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    crate::settings! {
        /// For the tests.
        struct Sample, class "SampleConfig", important [];
        /// Live one.
        trace_on: bool = true, java "traceOn", since "4.9", applies Live;
        /// Start one.
        listen_port: i32 = 1, java "listenPort", since "4.9", applies AtStart, range 1..=65_535;
        inert {
            "threads": i32 = "4", since "4.9", "no pools";
        }
    }

    fn updated(text: &str) -> (Sample, Result<Updated, Refused>) {
        let mut sample = Sample::default();
        let result = update(
            &mut sample,
            &Properties::parse(text.as_bytes()),
            "configBlackList;brokerConfigPath",
        );
        (sample, result)
    }

    #[test]
    fn live_and_later_and_never() {
        let (sample, result) = updated("traceOn=false\nlistenPort=5\nthreads=8\nnope=1\n");
        let result = result.unwrap();
        assert!(!sample.trace_on);
        assert_eq!(sample.listen_port, 1, "a running server keeps its port");
        assert_eq!(result.live, [("traceOn".to_owned(), "false".to_owned())]);
        assert_eq!(result.at_next_start, [("listenPort".to_owned(), "5".to_owned())]);
        assert_eq!(result.without_effect, [("threads".to_owned(), "8".to_owned())]);
        assert_eq!(result.unknown, ["nope"]);
    }

    #[test]
    fn refused_whole() {
        assert_eq!(
            updated("traceOn=false\nbrokerConfigPath=/x\n").1,
            Err(Refused::Blacklisted("brokerConfigPath".to_owned()))
        );
        let refused = updated("listenPort=0\n").1.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "bad value of `listenPort`: `0`; allowed: 1 to 65535"
        );
    }

    #[test]
    fn an_update_has_a_longest_length() {
        let long = format!("nope={}\n", "x".repeat(UPDATE_MAX));
        assert!(matches!(
            updated(&long).1,
            Err(Refused::TooLong { max: UPDATE_MAX, .. })
        ));
        let value = "x".repeat(10_000);
        let refused = updated(&format!("listenPort={value}\n"))
            .1
            .unwrap_err()
            .to_string();
        assert!(refused.len() < 300, "{refused}");
    }

    #[test]
    fn edit_keeps_the_rest() {
        let file = "# mine\na=1\n\nb = 2,\\\n   3\na=4\nzz top\n";
        assert_eq!(
            edit(file, [("a", "5"), ("b", "x"), ("new", " y")]),
            "# mine\na=1\n\nb=x\na=5\nzz top\nnew=\\ y\n"
        );
        assert_eq!(edit("", [("a", "1")]), "a=1\n");
    }

    proptest! {
        #[test]
        fn an_edit_reads_back(key in "[ -~中]{1,12}", value in "[!-~中]([ -~中\\t\\n\\\\]{0,12}[!-~中])?", old in "[ -~\\n\\r\\\\]{0,60}") {
            let text = edit(&old, [(key.as_str(), value.as_str())]);
            let file = Properties::parse(text.as_bytes());
            prop_assert_eq!(file.get(&key), Some(value.as_str()), "{}", text);
        }
    }
}
