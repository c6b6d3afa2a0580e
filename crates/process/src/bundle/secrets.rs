//! Secrets: found in files of settings and accounts, and taken out of everything that is given away.

use settings::{Group, Properties, Secret, Section};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// Keys with one of these in their name have a secret for a value, whatever file they are in.
const NAMES: [&str; 6] = ["secret", "password", "passwd", "pasword", "credential", "token"];
/// Shorter ones are in too many words: they are left out with the value they are, and are not looked for.
const LEN_MIN: usize = 4;

/// What must not be given away.
#[derive(Default)]
pub struct Secrets(BTreeSet<String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

impl Secrets {
    /// Adds one.
    pub fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.len() >= LEN_MIN && secret != Secret::SHOWN && !matches!(secret, "null" | "true" | "false")
        {
            self.0.insert(secret.to_owned());
        }
    }

    /// Adds what stands behind such names in a text: properties, YAML or JSON.
    pub fn scan(&mut self, text: &str) {
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let lower = line.to_ascii_lowercase();
            for at in NAMES
                .iter()
                .flat_map(|name| lower.match_indices(name))
                .map(|(at, _)| at)
            {
                self.add_behind(&line[at..], lines.peek().copied().unwrap_or_default());
            }
        }
        // Values that go on in further lines, or have characters by their number.
        for entry in Properties::parse(text.as_bytes()).entries {
            if is_named_secret(&entry.key) {
                self.add_value(&entry.value);
            }
        }
    }

    /// `text` starts within a name; its value comes behind `:` or `=`, or in the next line.
    fn add_behind(&mut self, text: &str, next: &str) {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let rest = text.trim_start_matches(is_name);
        let rest = rest.trim_start_matches(['"', '\'', '\\', ' ', '\t']);
        let Some(value) = rest.strip_prefix([':', '=']) else {
            return;
        };
        self.add_value(value);
        if matches!(value.trim(), "" | "|" | ">" | "|-" | ">-") {
            self.add_value(next);
        }
    }

    fn add_value(&mut self, value: &str) {
        let value = value.trim();
        // What a line of properties has.
        self.add(value);
        // What YAML and JSON have, also as the value of properties: in quotes, or up to the next item.
        let bare = value.trim_start_matches(['\\', '"', '\'']);
        for ends in [&['"'][..], &['\''], &['\\'], &[',', '}', ']'], &[' ', '\t', '#']] {
            self.add(bare.split(ends).next().unwrap_or_default());
        }
    }

    /// The text without them.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut masked = Cow::Borrowed(text);
        // The longest first: one may be a part of another.
        let mut all: Vec<&String> = self.0.iter().collect();
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in all {
            if masked.contains(secret.as_str()) {
                masked = Cow::Owned(masked.replace(secret.as_str(), Secret::SHOWN));
            }
        }
        masked
    }
}

/// A file of settings as it may be given away: its lines that set something, without what is secret. What no setting is called has
/// no value here, for it may be a misspelt one; comments are left out.
pub fn masked_properties(group: &dyn Group, bytes: &[u8], secrets: &mut Secrets) -> String {
    let mut text = String::new();
    secrets.scan(&String::from_utf8_lossy(bytes));
    for entry in Properties::parse(bytes).entries {
        let known = group
            .sections()
            .iter()
            .any(|section| section.row(&entry.key).is_some());
        let value = match known && !is_secret(group, &entry.key) {
            true => without_password(&entry.value),
            false => {
                if known {
                    secrets.add(&entry.value);
                }
                Cow::Borrowed(Secret::SHOWN)
            }
        };
        text.push_str(&format!("{}: {}={value}\n", entry.line, entry.key));
    }
    text
}

fn is_secret(group: &dyn Group, key: &str) -> bool {
    let is = |section: &&dyn Section| section.row(key).is_some_and(|row| row.secret);
    is_named_secret(key) || group.sections().iter().any(is)
}

fn is_named_secret(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    NAMES.iter().any(|name| lower.contains(name))
}

/// An address with a user and a password before its host.
fn without_password(value: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = value.split_once("://") else {
        return Cow::Borrowed(value);
    };
    match rest.rsplit_once('@') {
        Some((_, host)) => Cow::Owned(format!("{scheme}://{}@{host}", Secret::SHOWN)),
        None => Cow::Borrowed(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_every_kind_of_file() {
        for (text, secret) in [
            (
                "accounts:\n- accessKey: alice1\n  secretKey: hunter22 # hers\n",
                "hunter22",
            ),
            ("  secretKey: 'hunter 22'\n", "hunter 22"),
            (
                "accounts: [{accessKey: a, secretKey: hunter22, admin: true}]",
                "hunter22",
            ),
            (
                r#"{"users":[{"username":"root","password":"hunter,22"}]}"#,
                "hunter,22",
            ),
            (
                r#"initAuthenticationUser={"username":"root","password":"hunter22"}"#,
                "hunter22",
            ),
            (
                r#"x={\"accessKey\":\"a\",\"secretKey\":\"hunter22\"}"#,
                "hunter22",
            ),
            ("tls.server.keyPassword = hunter 22\n", "hunter 22"),
            ("#tls.client.keyPassword=hunter22", "hunter22"),
            ("- accessKey: a\n  secretKey:\n    hunter22\n", "hunter22"),
            ("secretKey: |-\n  hunter22\n", "hunter22"),
            ("tls.server.keyPassword=hun\\\n    ter22\n", "hunter22"),
            ("tls.server.keyPassword=\\u0068unter22\n", "hunter22"),
        ] {
            let mut secrets = Secrets::default();
            secrets.scan(text);
            let masked = secrets
                .mask("before hunter22 hunter 22 hunter,22 after")
                .into_owned();
            assert!(!masked.contains(secret), "{text}: {masked}");
            assert!(
                masked.starts_with("before ") && masked.ends_with(" after"),
                "{masked}"
            );
        }
    }

    #[test]
    fn short_ones_and_words_are_not_looked_for() {
        let mut secrets = Secrets::default();
        secrets.scan("password: abc\nsecret=true\ntoken: null\npassword=\n");
        assert_eq!(secrets.mask("abc true null"), "abc true null");
    }

    #[test]
    fn a_file_of_settings() {
        settings::settings! {
            /// An example.
            struct Example, class "Example", important [];
            /// A number.
            number: i32 = 1, java "number", since "4.9", applies AtStart;
            /// An address.
            url: String = String::new(), java "url", since "4.9", applies AtStart;
            /// A secret.
            hidden: Secret = Secret::default(), java "hidden", since "4.9", applies AtStart;
        }
        let mut secrets = Secrets::default();
        let file =
            b"# hidden=hunter21\nnumber=2\nhidden=hunter22\nhiden=hunter23\nurl=http://me:hunter24@host/x\n";
        let text = masked_properties(&Example::default(), file, &mut secrets);
        assert_eq!(
            text,
            "2: number=2\n3: hidden=******\n4: hiden=******\n5: url=http://******@host/x\n"
        );
        assert_eq!(secrets.mask("2 hunter22"), "2 ******");
    }
}
