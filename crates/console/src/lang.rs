//! Chinese and English, side by side where they are used: a text that lacks one of them does not compile.

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Lang {
    #[default]
    English,
    Chinese,
}

/// A text in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) &'static str, pub(crate) &'static str);

impl Lang {
    /// As a cookie or an address names it.
    pub(crate) fn named(name: &str) -> Option<Lang> {
        match name {
            "en" => Some(Lang::English),
            "zh" => Some(Lang::Chinese),
            _ => None,
        }
    }

    /// What a browser would rather have, by its Accept-Language: of the languages that are here the one with the greatest weight, the first of equals.
    pub(crate) fn accepted(header: &str) -> Lang {
        let mut best = (0.0, Lang::English);
        for part in header.split(',').take(32) {
            let (tag, weight) = match part.split_once(';') {
                Some((tag, weight)) => {
                    let weight = weight.trim().strip_prefix("q=").and_then(|q| q.parse().ok());
                    (tag, weight.unwrap_or(0.0))
                }
                None => (part, 1.0),
            };
            let primary = tag.trim().split('-').next().unwrap_or_default();
            if let Some(lang) = Lang::named(&primary.to_ascii_lowercase())
                && weight > best.0
            {
                best = (weight, lang);
            }
        }
        best.1
    }

    /// For `lang=` of HTML.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Lang::English => "en",
            Lang::Chinese => "zh",
        }
    }

    /// The text of this language.
    pub(crate) fn of(self, text: Text) -> &'static str {
        self.t(text.0, text.1)
    }

    /// The one or the other.
    pub(crate) fn t<'a>(self, english: &'a str, chinese: &'a str) -> &'a str {
        match self {
            Lang::English => english,
            Lang::Chinese => chinese,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_what_it_would_rather_have() {
        for (header, expected) in [
            ("", Lang::English),
            ("zh-CN,zh;q=0.9,en;q=0.8", Lang::Chinese),
            ("en-US,en;q=0.9,zh;q=0.8", Lang::English),
            ("de,zh;q=0.5", Lang::Chinese),
            ("de", Lang::English),
            ("zh;q=0", Lang::English),
            ("en;q=0.1,zh;q=many", Lang::English),
        ] {
            assert_eq!(Lang::accepted(header), expected, "{header}");
        }
    }
}
