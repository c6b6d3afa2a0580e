//! Addresses of pages: what stands in them, and how one is written.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::fmt::Write;

/// Everything that could mean something in an address is written as a number.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Names and values of an address or a form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

/// Fields of one request at most; the rest is not looked at.
const FIELDS_MAX: usize = 1_100;

impl Fields {
    /// As browsers write them: `a=1&b=2`, blanks as `+`.
    pub(crate) fn parse(text: &str) -> Fields {
        let plain = |part: &str| {
            let spaced = part.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let parts = text.split('&').filter(|part| !part.is_empty()).take(FIELDS_MAX);
        let pairs = parts.map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (plain(name), plain(value))
        });
        Fields(pairs.collect())
    }

    /// The first value of that name, without blanks around it. An empty one is none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The first value of that name, as it is.
    pub(crate) fn raw(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// As [`Fields::get`], or nothing.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// All values of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every pair.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same with other values; an empty one takes the name away.
    pub(crate) fn with(&self, changes: &[(&str, &str)]) -> Fields {
        let is_changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
        let kept = self.pairs().filter(|(name, _)| !is_changed(name));
        let added = changes.iter().copied().filter(|(_, value)| !value.is_empty());
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Fields(kept.chain(added).map(own).collect())
    }

    /// As it stands in an address.
    pub(crate) fn encoded(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.pairs() {
            let separator = if text.is_empty() { "" } else { "&" };
            let _ = write!(text, "{separator}{}={}", encode(name), encode(value));
        }
        text
    }
}

fn encode(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, PLAIN)
}

/// The address of a page.
pub(crate) fn link(path: &str, fields: &[(&str, &str)]) -> String {
    with_fields(path, &Fields::default().with(fields))
}

/// The same with fields that there are already.
pub(crate) fn with_fields(path: &str, fields: &Fields) -> String {
    let text = fields.encoded();
    match text.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{text}"),
    }
}

/// Where a browser is sent back to: a page of this server, or its first one.
pub(crate) fn local(address: &str) -> &str {
    let is_local = address.starts_with('/')
        && !address.starts_with("//")
        && address
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'"');
    if is_local { address } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let odd = "%RETRY%a b&c=d<script>\"'/?#中";
        let address = link("/topic", &[("name", odd), ("empty", "")]);
        assert!(!address.contains(['<', '"', '\'', ' ', '#']), "{address}");
        let fields = Fields::parse(address.split_once('?').unwrap().1);
        assert_eq!(fields.get("name"), Some(odd));
        assert_eq!(fields.pairs().count(), 1);
        assert_eq!(
            Fields::parse("a=1+2&a=%zz&&b").all("a").collect::<Vec<_>>(),
            ["1 2", "%zz"]
        );
        assert_eq!(
            Fields::parse("a=1&b=2").with(&[("a", ""), ("c", "3")]).encoded(),
            "b=2&c=3"
        );
    }

    #[test]
    fn nobody_is_sent_elsewhere() {
        for elsewhere in [
            "//evil/",
            "https://evil/",
            "",
            "/\\evil",
            "/a\r\nX: y",
            "javascript:alert(1)",
        ] {
            assert_eq!(local(elsewhere), "/", "{elsewhere}");
        }
        assert_eq!(local("/topic?name=a%20b"), "/topic?name=a%20b");
    }
}
