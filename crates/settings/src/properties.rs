//! `.properties` text, by the rules of `java.util.Properties`.

use std::borrow::Cow;

/// One `key=value` of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key, escapes resolved.
    pub key: String,
    /// The value, escapes resolved, blanks at both ends removed (Java removes them for every String setting).
    pub value: String,
    /// Line on which the key starts, counted from 1.
    pub line: u32,
    /// Line on which the value ends; larger than `line` when lines are continued with a backslash.
    pub last_line: u32,
    /// A `\u` escape without four hexadecimal digits; Java refuses the whole file, naming no line.
    pub bad_escape: bool,
    /// A comment stands behind the value, as many write it: `#` or `//` after a blank. Java takes it for a part of the value;
    /// where it is one, `\#` and `\//` say so.
    pub comment_behind: bool,
}

/// A properties file as it stands: every entry, in file order, repeated keys included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Entries in file order.
    pub entries: Vec<Entry>,
}

impl Properties {
    /// Reads properties text. Never fails: what Java would refuse is marked in the entry.
    ///
    /// Unlike Java: bytes that are valid UTF-8 are read as UTF-8, so that Chinese text keeps its characters; anything else is
    /// read as Latin-1, as Java does with all files. A byte order mark is skipped.
    pub fn parse(bytes: &[u8]) -> Properties {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = decode(bytes);
        let mut entries = Vec::new();
        let mut lines = lines(&text);
        while let Some((number, line)) = lines.next() {
            let line = line.trim_start_matches(is_blank);
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let mut logical = line.to_owned();
            let mut last_line = number;
            while is_continued(&logical) {
                logical.pop();
                let Some((next_number, next)) = lines.next() else {
                    break;
                };
                logical.push_str(next.trim_start_matches(is_blank));
                last_line = next_number;
            }
            let (key, value) = split(&logical);
            let (key, bad_key) = unescape(key);
            let comment_behind = has_comment(value);
            let (value, bad_value) = unescape(value);
            let value = value.trim().to_owned();
            entries.push(Entry {
                key,
                value,
                line: number,
                last_line,
                bad_escape: bad_key || bad_value,
                comment_behind,
            });
        }
        Properties { entries }
    }

    /// The value that counts: the last one with this key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries
            .iter()
            .rev()
            .find(|entry| entry.key == key)
            .map(|entry| entry.value.as_str())
    }
}

/// The text of a file: UTF-8, and Latin-1 where it is not that.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()),
    }
}

/// Natural lines with their numbers; ends at `\n`, `\r` or `\r\n`.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let mut rest = Some(text);
    let mut number = 0u32;
    std::iter::from_fn(move || {
        let text = rest?;
        number = number.saturating_add(1);
        match text.find(['\n', '\r']) {
            Some(at) => {
                let end = if text[at..].starts_with("\r\n") {
                    at + 2
                } else {
                    at + 1
                };
                rest = Some(&text[end..]);
                Some((number, &text[..at]))
            }
            None => {
                rest = None;
                Some((number, text))
            }
        }
    })
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

/// An odd number of backslashes at the end joins the next line.
pub(crate) fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

/// Cuts at the first unescaped `=`, `:` or blank; blanks around one `=` or `:` belong to neither side.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.char_indices().find(|&(_, c)| {
        let ends = !escaped && (is_blank(c) || c == '=' || c == ':');
        escaped = c == '\\' && !escaped;
        ends
    });
    let Some((end, _)) = end else { return (line, "") };
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches(is_blank))
}

/// Whether somebody wrote a comment behind a value. Escapes are not resolved yet.
fn has_comment(value: &str) -> bool {
    value
        .split_whitespace()
        .skip(1)
        .any(|word| word.starts_with('#') || word.starts_with("//"))
}

/// Resolves `\t \n \r \f \uXXXX`; any other escaped character stands for itself. Returns whether a `\u` was broken; its
/// text is kept as it is.
fn unescape(text: &str) -> (String, bool) {
    if !text.contains('\\') {
        return (text.to_owned(), false);
    }
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut bad = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        let mut buffer = [0u16; 2];
        if c != '\\' {
            units.extend_from_slice(c.encode_utf16(&mut buffer));
            continue;
        }
        let Some(escaped) = rest.chars().next() else { break };
        rest = &rest[escaped.len_utf8()..];
        match escaped {
            't' => units.push(u16::from(b'\t')),
            'n' => units.push(u16::from(b'\n')),
            'r' => units.push(u16::from(b'\r')),
            'f' => units.push(0x0c),
            'u' => match rest
                .get(..4)
                .filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
            {
                Some(hex) => {
                    units.push(u16::from_str_radix(hex, 16).unwrap_or(0xfffd));
                    rest = &rest[4..];
                }
                None => {
                    bad = true;
                    units.extend("\\u".encode_utf16());
                }
            },
            other => units.extend_from_slice(other.encode_utf16(&mut buffer)),
        }
    }
    (String::from_utf16_lossy(&units), bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &[(&str, &str, u32)]) {
        let entries = Properties::parse(text.as_bytes()).entries;
        let found: Vec<_> = entries
            .iter()
            .map(|entry| (entry.key.as_str(), entry.value.as_str(), entry.line))
            .collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn separators_comments_and_lines() {
        check(
            "a=1\nb:2\nc 3\nd\t=\t4\n",
            &[("a", "1", 1), ("b", "2", 2), ("c", "3", 3), ("d", "4", 4)],
        );
        check(
            "# no\n! no\n  # no\n\n x = y \r\nz=1\rw=2",
            &[("x", "y", 5), ("z", "1", 6), ("w", "2", 7)],
        );
        check(
            "a==b\nc=:d\ne : = f\n",
            &[("a", "=b", 1), ("c", ":d", 2), ("e", "= f", 3)],
        );
        check("alone\n=noKey\n", &[("alone", "", 1), ("", "noKey", 2)]);
        check("a=b # not a comment\n", &[("a", "b # not a comment", 1)]);
    }

    #[test]
    fn continuation_lines_and_escapes() {
        check("a=1,\\\n   2,\\\n3\nb=2\n", &[("a", "1,2,3", 1), ("b", "2", 4)]);
        check("a=1\\\\\nb=2\\", &[("a", "1\\", 1), ("b", "2", 2)]);
        check("a\\ b\\=c=d\\te\\q\n", &[("a b=c", "d\teq", 1)]);
        check("a=\\u4e2d\\u6587\n", &[("a", "中文", 1)]);
        check("a=\\ud83d\\ude00\n", &[("a", "\u{1f600}", 1)]);
        check("a=1\\\n# still the value\n", &[("a", "1# still the value", 1)]);
    }

    #[test]
    fn broken_escape_is_marked() {
        let entry = Properties::parse(b"path=C:\\users\\x").entries.remove(0);
        assert!(entry.bad_escape);
        assert_eq!(entry.value, "C:\\usersx");
    }

    #[test]
    fn a_comment_behind_a_value_is_seen_and_what_is_escaped_is_none() {
        for (text, comment, value) in [
            ("a=b # c", true, "b # c"),
            ("a=b // c", true, "b // c"),
            (r"a=b \# c", false, "b # c"),
            (r"a=b \// c", false, "b // c"),
            ("a=b#c", false, "b#c"),
            ("a=# c", false, "# c"),
        ] {
            let entry = Properties::parse(text.as_bytes()).entries.remove(0);
            assert_eq!(
                (entry.comment_behind, entry.value.as_str()),
                (comment, value),
                "{text}"
            );
        }
    }

    #[test]
    fn charset() {
        check(
            "# 中文\n文件保留时间，默认48小时\nfileReservedTime=48\n",
            &[("文件保留时间，默认48小时", "", 2), ("fileReservedTime", "48", 3)],
        );
        let latin = Properties::parse(b"a=caf\xe9");
        assert_eq!(latin.get("a"), Some("café"));
        assert_eq!(Properties::parse(b"\xef\xbb\xbfa=1").get("a"), Some("1"));
    }

    #[test]
    fn last_of_repeated_keys_counts() {
        let file = Properties::parse(b"a=1\nb=2\na=3\n");
        assert_eq!(
            (file.get("a"), file.get("b"), file.get("c")),
            (Some("3"), Some("2"), None)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let lines = bytes.len() as u32 + 1;
            for entry in Properties::parse(&bytes).entries {
                prop_assert!(1 <= entry.line && entry.line <= entry.last_line && entry.last_line <= lines);
            }
        }
    }
}
