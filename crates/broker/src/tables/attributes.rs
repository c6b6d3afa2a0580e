//! Attributes of topics and groups (5.x): requests add and take out single ones, the table keeps the rest.
//!
//! Rules: RocketMQ 5.3.3, AttributeParser, AttributeUtil, TopicAttributes, SubscriptionGroupAttributes.

use std::collections::BTreeMap;

/// What there is, or what is wanted (`+key` to value, `-key` to nothing).
pub type Attributes = BTreeMap<String, String>;

/// Why attributes are not changed. The texts are Java's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum Error {
    #[error("add/alter attribute format is wrong: {0}")]
    AddFormat(String),
    #[error("delete attribute format is wrong: {0}")]
    DeleteFormat(String),
    #[error("key duplication: {0}")]
    Duplicate(String),
    #[error("kv string format wrong.")]
    Format,
    #[error("only add attribute is supported while creating topic. key: {0}")]
    OnlyAdd(String),
    #[error("attempt to delete a nonexistent key: {0}")]
    Nonexistent(String),
    #[error("wrong format key: {0}")]
    Sign(String),
    #[error("unsupported key: {0}")]
    Unsupported(String),
    #[error("attempt to update an unchangeable attribute. key: {0}")]
    Unchangeable(String),
    #[error("value is not in set: {0:?}")]
    NotInSet(&'static [&'static str]),
    #[error("value is not in range({0}, {1})")]
    NotInRange(i64, i64),
}

/// What an attribute may be.
pub struct Known {
    name: &'static str,
    changeable: bool,
    values: Values,
}

enum Values {
    OneOf(&'static [&'static str]),
    Whole(i64, i64),
}

const fn one_of(name: &'static str, changeable: bool, values: &'static [&'static str]) -> Known {
    Known {
        name,
        changeable,
        values: Values::OneOf(values),
    }
}

/// Attributes of a topic.
pub const TOPIC: &[Known] = &[
    one_of("queue.type", false, &["BatchCQ", "SimpleCQ"]),
    one_of("cleanup.policy", false, &["DELETE", "COMPACTION"]),
    one_of(
        "message.type",
        true,
        &["UNSPECIFIED", "NORMAL", "FIFO", "DELAY", "TRANSACTION", "MIXED"],
    ),
    Known {
        name: "reserve.time",
        changeable: true,
        values: Values::Whole(-1, i64::MAX),
    },
];

/// Attributes of a group: there are none.
pub const GROUP: &[Known] = &[];

impl Known {
    fn verify(&self, value: &str) -> Result<(), Error> {
        match self.values {
            Values::OneOf(set) if set.contains(&value) => Ok(()),
            Values::OneOf(set) => Err(Error::NotInSet(set)),
            Values::Whole(min, max) => match value.parse::<i64>() {
                Ok(number) if (min..=max).contains(&number) => Ok(()),
                _ => Err(Error::NotInRange(min, max)),
            },
        }
    }
}

/// Reads `+key=value,-key` of a request's header.
pub fn parse(text: &str) -> Result<Attributes, Error> {
    let mut wanted = Attributes::new();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        let (key, value) = match word.split_once('=') {
            Some((key, _)) if !key.contains('+') => return Err(Error::AddFormat(key.to_owned())),
            Some((key, value)) => (key, value),
            None if !word.contains('-') => return Err(Error::DeleteFormat(word.to_owned())),
            None => (word, ""),
        };
        if wanted.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Error::Duplicate(key.to_owned()));
        }
    }
    Ok(wanted)
}

/// The attributes after a request that wants `wanted`; `current` is none if topic or group is made just now.
pub fn alter(
    known: &[Known],
    current: Option<&Attributes>,
    wanted: &Attributes,
) -> Result<Attributes, Error> {
    let mut altered = current.cloned().unwrap_or_default();
    let mut seen = Vec::new();
    for (signed, value) in wanted {
        let mut letters = signed.chars();
        let sign = letters.next();
        let key = letters.as_str();
        if key.is_empty() || key.contains(['+', '-']) {
            return Err(Error::Format);
        }
        if seen.contains(&key) {
            return Err(Error::Duplicate(key.to_owned()));
        }
        seen.push(key);
        let is_there = current.is_some_and(|current| current.contains_key(key));
        match (sign, current) {
            (Some('+'), _) => {}
            (_, None) => return Err(Error::OnlyAdd(key.to_owned())),
            (Some('-'), _) if !is_there => return Err(Error::Nonexistent(key.to_owned())),
            (Some('-'), _) => {}
            _ => return Err(Error::Sign(key.to_owned())),
        }
        let found = known.iter().find(|attribute| attribute.name == key);
        let attribute = found.ok_or_else(|| Error::Unsupported(key.to_owned()))?;
        if current.is_some() && !attribute.changeable {
            return Err(Error::Unchangeable(key.to_owned()));
        }
        if sign == Some('-') {
            altered.remove(key);
        } else {
            attribute.verify(value)?;
            altered.insert(key.to_owned(), value.clone());
        }
    }
    Ok(altered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Attributes {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn a_request_changes_what_it_names_and_keeps_the_rest() {
        let made = alter(
            TOPIC,
            None,
            &parse("+message.type=FIFO,+queue.type=SimpleCQ").expect("well formed"),
        );
        let made = made.expect("a new topic takes all");
        assert_eq!(made, of(&[("message.type", "FIFO"), ("queue.type", "SimpleCQ")]));
        assert_eq!(alter(TOPIC, Some(&made), &Attributes::new()), Ok(made.clone()));
        let changed = alter(
            TOPIC,
            Some(&made),
            &parse("+reserve.time=7,-message.type").expect("well formed"),
        );
        assert_eq!(
            changed,
            Ok(of(&[("queue.type", "SimpleCQ"), ("reserve.time", "7")]))
        );
    }

    #[test]
    fn what_java_refuses_is_refused_with_its_words() {
        for (text, words) in [
            (
                "message.type=FIFO",
                "add/alter attribute format is wrong: message.type",
            ),
            ("message.type", "delete attribute format is wrong: message.type"),
            ("-a,-a", "key duplication: -a"),
        ] {
            assert_eq!(parse(text).expect_err(text).to_string(), words);
        }
        let current = of(&[("queue.type", "SimpleCQ"), ("message.type", "FIFO")]);
        for (is_new, text, words) in [
            (
                true,
                "-message.type",
                "only add attribute is supported while creating topic. key: message.type",
            ),
            (
                false,
                "-reserve.time",
                "attempt to delete a nonexistent key: reserve.time",
            ),
            (false, "+other=1", "unsupported key: other"),
            (
                false,
                "+queue.type=BatchCQ",
                "attempt to update an unchangeable attribute. key: queue.type",
            ),
            (
                false,
                "+reserve.time=-2",
                "value is not in range(-1, 9223372036854775807)",
            ),
            (
                false,
                "+reserve.time=x",
                "value is not in range(-1, 9223372036854775807)",
            ),
            (
                false,
                "+message.type=ODD",
                r#"value is not in set: ["UNSPECIFIED", "NORMAL", "FIFO", "DELAY", "TRANSACTION", "MIXED"]"#,
            ),
            (
                false,
                "+message.type=FIFO,-message.type",
                "key duplication: message.type",
            ),
            (false, "++a=1", "kv string format wrong."),
        ] {
            let wanted = parse(text).expect(text);
            let current = (!is_new).then_some(&current);
            assert_eq!(
                alter(TOPIC, current, &wanted).expect_err(text).to_string(),
                words,
                "{text}"
            );
        }
    }
}
