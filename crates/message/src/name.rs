//! Names of topics and groups: what is allowed, and the prefixes with a meaning.
//!
//! A name becomes part of a path, so nothing is a name before it passed here.

/// Longest topic name a client may create or send to, in characters.
pub const TOPIC_MAX_LEN: usize = 127;
/// Longest topic name 5.x stores at all, in bytes (retry topics of long groups).
pub const RETRY_TOPIC_MAX_LEN: usize = 255;
/// Longest group name, in characters.
pub const GROUP_MAX_LEN: usize = 255;

/// `%RETRY%` + group: the topic of messages that a group will try again.
pub const RETRY_PREFIX: &str = "%RETRY%";
/// `%DLQ%` + group: the topic of messages that a group gave up.
pub const DLQ_PREFIX: &str = "%DLQ%";
/// `%LMQ%` + name: a light message queue.
pub const LMQ_PREFIX: &str = "%LMQ%";
/// Prefix of 5.x system topics.
pub const SYSTEM_TOPIC_PREFIX: &str = "rmq_sys_";
/// Topic that lends its settings to automatically made topics.
pub const AUTO_CREATE_TOPIC: &str = "TBW102";
/// Topic that holds messages with a delay level until they are due.
pub const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// Topic of half messages.
pub const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
/// Topic of the marks that say which half messages are done.
pub const OP_HALF_TOPIC: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";

/// Topic of half messages that were given up.
pub const CHECK_MAX_TIME_TOPIC: &str = "TRANS_CHECK_MAX_TIME_TOPIC";

/// Topics that belong to RocketMQ, made or not; besides there are those with [`SYSTEM_TOPIC_PREFIX`].
pub const SYSTEM_TOPICS: [&str; 9] = [
    AUTO_CREATE_TOPIC,
    SCHEDULE_TOPIC,
    "BenchmarkTest",
    HALF_TOPIC,
    OP_HALF_TOPIC,
    "RMQ_SYS_TRACE_TOPIC",
    CHECK_MAX_TIME_TOPIC,
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
];

const NOT_SENDABLE: [&str; 6] = [
    SCHEDULE_TOPIC,
    HALF_TOPIC,
    OP_HALF_TOPIC,
    CHECK_MAX_TIME_TOPIC,
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
];

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, or only white space.
    #[error("the specified {0} is blank")]
    Blank(&'static str),
    /// More characters than allowed.
    #[error("the specified {kind} is longer than {kind} max length {max}")]
    TooLong {
        /// `topic` or `group`
        kind: &'static str,
        /// The longest allowed, in characters.
        max: usize,
    },
    /// A character outside `^[%|a-zA-Z0-9_-]+$`.
    #[error("the specified {kind}[{name}] contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$")]
    Character {
        /// `topic` or `group`
        kind: &'static str,
        /// The name, cut to a length fit for an answer.
        name: String,
    },
}

/// Checks a topic name: `%|a-zA-Z0-9_-`, at most 127 characters.
pub fn check_topic(name: &str) -> Result<(), NameError> {
    check("topic", name, TOPIC_MAX_LEN)
}

/// Checks the name of a topic that may be a retry or dead letter topic of a long group name: those may have up to
/// 255 characters, others 127.
pub fn check_any_topic(name: &str) -> Result<(), NameError> {
    let derived = name.starts_with(RETRY_PREFIX) || name.starts_with(DLQ_PREFIX);
    check(
        "topic",
        name,
        if derived {
            RETRY_TOPIC_MAX_LEN
        } else {
            TOPIC_MAX_LEN
        },
    )
}

/// Checks a group name: `%|a-zA-Z0-9_-`, at most 255 characters.
pub fn check_group(name: &str) -> Result<(), NameError> {
    check("group", name, GROUP_MAX_LEN)
}

fn check(kind: &'static str, name: &str, max: usize) -> Result<(), NameError> {
    if !name.bytes().all(is_name_byte) || name.is_empty() {
        return Err(if name.trim().is_empty() {
            NameError::Blank(kind)
        } else {
            NameError::Character {
                kind,
                name: name.chars().take(max).collect(),
            }
        });
    }
    // Only ASCII is left, so bytes are characters.
    if name.len() > max {
        return Err(NameError::TooLong { kind, max });
    }
    Ok(())
}

/// Whether a name may hold this byte.
pub fn is_name_byte(byte: u8) -> bool {
    NAME_BYTES[usize::from(byte)]
}

/// Every send asks for each letter of its topic.
const NAME_BYTES: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < allowed.len() {
        let letter = byte as u8;
        allowed[byte] = letter.is_ascii_alphanumeric() || matches!(letter, b'%' | b'|' | b'_' | b'-');
        byte += 1;
    }
    allowed
};

/// Whether `topic` belongs to the system: never cleaned away, never deleted by mistake.
pub fn is_system_topic(topic: &str) -> bool {
    SYSTEM_TOPICS.contains(&topic) || topic.starts_with(SYSTEM_TOPIC_PREFIX)
}

/// Whether clients may send to `topic`; the rest is written by the broker only.
pub fn may_be_sent_to(topic: &str) -> bool {
    !NOT_SENDABLE.contains(&topic)
}

/// Whether `topic` is the retry topic of a group.
pub fn is_retry_topic(topic: &str) -> bool {
    topic.starts_with(RETRY_PREFIX)
}

/// Whether `topic` holds a group's dead letters.
pub fn is_dlq_topic(topic: &str) -> bool {
    topic.starts_with(DLQ_PREFIX)
}

/// Whether `name` is a light message queue.
pub fn is_lmq(name: &str) -> bool {
    name.starts_with(LMQ_PREFIX)
}

/// Groups of RocketMQ itself that need not be created (MixAll, `CID_RMQ_SYS_`).
pub fn is_system_group(group: &str) -> bool {
    group.starts_with("CID_RMQ_SYS_")
}

/// The topic that a group's messages come back through.
pub fn retry_topic(group: &str) -> String {
    format!("{RETRY_PREFIX}{group}")
}

/// The topic of a cluster's replies (SEND_REPLY_MESSAGE).
pub fn reply_topic(cluster: &str) -> String {
    format!("{cluster}_REPLY_TOPIC")
}

/// The topic of a group's dead letters.
pub fn dlq_topic(group: &str) -> String {
    format!("{DLQ_PREFIX}{group}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics() {
        for good in ["T", "%RETRY%g", "a-b_c|9", &"x".repeat(127)] {
            assert_eq!(check_topic(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            " ",
            "a b",
            "../x",
            "a/b",
            "a\0b",
            "主题",
            "a.b",
            "..",
            &"x".repeat(128),
        ] {
            assert!(check_topic(bad).is_err(), "{bad}");
        }
        let retry = format!("%RETRY%{}", "g".repeat(200));
        assert!(check_topic(&retry).is_err());
        assert_eq!(check_any_topic(&retry), Ok(()));
        assert_eq!(check_group(&"g".repeat(255)), Ok(()));
        assert_eq!(
            check_group(&"g".repeat(256)),
            Err(NameError::TooLong {
                kind: "group",
                max: 255
            })
        );
    }

    #[test]
    fn system_topics() {
        assert!(is_system_topic("TBW102") && is_system_topic("rmq_sys_wheel_timer") && !is_system_topic("T"));
        assert!(may_be_sent_to("TBW102") && !may_be_sent_to("SCHEDULE_TOPIC_XXXX"));
    }
}
