//! Changes at run time: UPDATE_BROKER_CONFIG and UPDATE_NAMESRV_CONFIG, and the file that keeps them.

use crate::load::{COMMENT_BEHIND, find_row, shorten};
use crate::nearest;
use crate::properties::{Entry, Properties, decode, is_continued, lines};
use crate::table::{Applies, Group};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

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
    /// A comment behind a text, which no start takes either.
    #[error("`{0}`: {COMMENT_BEHIND}")]
    CommentBehind(String),
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

    /// What to say of the unknown keys, a line each, with the key of these sections that may be meant.
    pub fn unknown_lines(&self, group: &dyn Group) -> Vec<String> {
        let sections = group.sections();
        let line = |key: &String| {
            let known = sections
                .iter()
                .flat_map(|section| section.rows())
                .map(|row| row.key);
            let meant = nearest(key, known).map(|meant| format!("; did you mean `{meant}`?"));
            format!("unknown key {key:?} ignored{}", meant.unwrap_or_default())
        };
        self.unknown.iter().map(line).collect()
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
    let mut last: BTreeMap<&str, &Entry> = BTreeMap::new();
    for entry in &changes.entries {
        if banned.contains(&entry.key.as_str()) {
            return Err(Refused::Blacklisted(entry.key.clone()));
        }
        if entry.bad_escape {
            return Err(Refused::BadEscape(entry.key.clone()));
        }
        last.insert(&entry.key, entry);
    }
    let mut updated = Updated::default();
    for (key, entry) in last {
        let value = entry.value.as_str();
        let Some(row) = find_row(group, key) else {
            updated.unknown.push(key.to_owned());
            continue;
        };
        let key = row.key;
        if row.is_used() && row.java == "String" && entry.comment_behind {
            return Err(Refused::CommentBehind(key.to_owned()));
        }
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

/// What the file of a server should say after an update. `given` says that the start was told of this file.
///
/// # Errors
/// The file was given and is not there any more. A file of these changes alone would start another server, with every default:
/// without it the next start says what is missing.
pub fn edit_kept(old: Option<&[u8]>, given: bool, updated: &Updated) -> io::Result<Vec<u8>> {
    if old.is_none() && given {
        let text =
            "the file that the start read is not there any more; put it back and make the change again";
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    Ok(edit(old.unwrap_or_default(), updated.to_keep()))
}

/// The bytes of a properties file so that it says what `changes` say, with everything else (comments, order, unknown keys) as it
/// is. A key that stands there is changed in the last place it stands; a new one goes to the end. A file that is no UTF-8, and
/// read as Latin-1 for that, keeps its bytes, too.
pub fn edit<'a>(bytes: &[u8], changes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let text = decode(bytes);
    let latin = matches!(text, Cow::Owned(_));
    let edited = edit_text(&text, &Properties::parse(bytes), changes, latin);
    if !latin {
        return edited.into_bytes();
    }
    // Every character was a byte, and what was added is ASCII.
    edited.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect()
}

fn edit_text<'a>(
    text: &str,
    file: &Properties,
    changes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ascii: bool,
) -> String {
    let mut replaced: BTreeMap<u32, (u32, String)> = BTreeMap::new();
    let mut added = Vec::new();
    for (key, value) in changes {
        let line = format!("{}={}", escape(key, true, ascii), escape(value, false, ascii));
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

/// Text that reads back as itself, in a value without a comment behind it; with nothing but ASCII if asked for.
fn escape(text: &str, key: bool, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut after_blank = false;
    for (index, c) in text.char_indices() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0c' => out.push_str("\\f"),
            ' ' if key || index == 0 => out.push_str("\\ "),
            '=' | ':' if key => out.extend(['\\', c]),
            '#' | '!' if key && index == 0 => out.extend(['\\', c]),
            '#' | '/' if !key && after_blank => out.extend(['\\', c]),
            c if ascii && !c.is_ascii() => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            _ => out.push(c),
        }
        after_blank = c.is_whitespace();
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
        name: String = String::new(), java "name", since "4.9", applies AtStart;
        /// Another.
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
        let (sample, result) = updated("traceOn=false\nlistenPort=5\nthreads=8\nnope=1\nlistenport=6\n");
        let result = result.unwrap();
        assert!(!sample.trace_on);
        assert_eq!(sample.listen_port, 1, "a running server keeps its port");
        assert_eq!(result.live, [("traceOn".to_owned(), "false".to_owned())]);
        assert_eq!(result.at_next_start, [("listenPort".to_owned(), "5".to_owned())]);
        assert_eq!(result.without_effect, [("threads".to_owned(), "8".to_owned())]);
        assert_eq!(result.unknown, ["listenport", "nope"]);
        let lines = result.unknown_lines(&sample);
        let meant = "unknown key \"listenport\" ignored; did you mean `listenPort`?";
        assert_eq!(lines, [meant, "unknown key \"nope\" ignored"]);
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
            edited(file.as_bytes(), [("a", "5"), ("b", "x"), ("new", " y")]),
            "# mine\na=1\n\nb=x\na=5\nzz top\nnew=\\ y\n"
        );
        assert_eq!(edited(b"", [("a", "1")]), "a=1\n");
    }

    fn edited<'a>(file: &[u8], changes: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        String::from_utf8(edit(file, changes)).unwrap()
    }

    #[test]
    fn a_given_file_that_is_gone_is_not_made_of_the_change_alone() {
        let (_, changes) = updated("traceOn=false\n");
        let changes = changes.unwrap();
        let gone = edit_kept(None, true, &changes).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        assert_eq!(edit_kept(None, false, &changes).unwrap(), b"traceOn=false\n");
        assert_eq!(edit_kept(Some(b""), true, &changes).unwrap(), b"traceOn=false\n");
    }

    /// GBK, as guides for China have it.
    #[test]
    fn bytes_that_are_no_utf_8_stay_as_they_are() {
        let file = b"# \xb1\xb1\xbe\xa9\nlabel=\xb1\xb1\na=1\n";
        let kept = edit(file, [("a", "\u{4e2d}\u{1f600}\u{e9}")]);
        assert_eq!(
            kept,
            b"# \xb1\xb1\xbe\xa9\nlabel=\xb1\xb1\na=\\u4e2d\\ud83d\\ude00\\u00e9\n"
        );
        let read = Properties::parse(&kept);
        assert_eq!(read.get("a"), Some("\u{4e2d}\u{1f600}\u{e9}"));
        assert_eq!(read.get("label"), Some("\u{b1}\u{b1}"));
    }

    #[test]
    fn a_comment_behind_a_text_is_refused_and_an_escaped_one_kept() {
        let refused = updated("name=a # b\n").1.unwrap_err();
        assert_eq!(refused, Refused::CommentBehind("name".to_owned()));
        let kept = updated("name=a \\# b\n").1.unwrap();
        let file = Properties::parse(&edit(b"", kept.to_keep()));
        assert_eq!(file.get("name"), Some("a # b"));
        assert!(!file.entries[0].comment_behind);
    }

    proptest! {
        #[test]
        fn an_edit_reads_back(key in "[ -~中]{1,12}", value in "[!-~中]([ -~中\\t\\n\\\\]{0,12}[!-~中])?", old in "[ -~\\n\\r\\\\]{0,60}") {
            let file = Properties::parse(&edit(old.as_bytes(), [(key.as_str(), value.as_str())]));
            prop_assert_eq!(file.get(&key), Some(value.as_str()), "{:?}", file);
            let entry = file.entries.iter().rev().find(|entry| entry.key == key).unwrap();
            prop_assert!(!entry.comment_behind);
        }
    }
}
