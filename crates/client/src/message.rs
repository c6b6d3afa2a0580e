//! A message to be sent, and what became of it.

use crate::Error;
use message::properties::{self, Ending, names};
use protocol::body::MessageQueue;
use std::fmt;

/// Largest body, bytes (Java client's maxMessageSize).
const BODY_MAX: usize = 4 << 20;

/// A message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub topic: String,
    /// What it says.
    pub body: Vec<u8>,
    /// The application's own number.
    pub flag: i32,
    /// Names and values; TAGS and KEYS are among them.
    pub properties: Vec<(String, String)>,
}

impl Message {
    /// A message without properties.
    pub fn new(topic: impl Into<String>, body: impl Into<Vec<u8>>) -> Message {
        Message {
            topic: topic.into(),
            body: body.into(),
            ..Message::default()
        }
    }

    /// With its tag.
    pub fn tags(self, tags: &str) -> Message {
        self.property(names::TAGS, tags)
    }

    /// With keys, separated by blanks.
    pub fn keys(self, keys: &str) -> Message {
        self.property(names::KEYS, keys)
    }

    /// To be delivered later: level 1 to 18 (1s 5s 10s 30s 1m …).
    pub fn delay_level(self, level: u32) -> Message {
        self.property(names::DELAY, &level.to_string())
    }

    /// With a property; an earlier value of the name is replaced.
    pub fn property(mut self, name: &str, value: &str) -> Message {
        self.properties.retain(|(other, _)| other != name);
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The id that it was given before: a message that is sent once more keeps it.
    pub(crate) fn unique_id(&self) -> Option<&str> {
        let given = self.properties.iter().find(|(name, _)| name == names::UNIQ_KEY);
        given.map(|(_, id)| id.as_str())
    }

    /// The properties text with the message's id.
    pub(crate) fn properties_text(&self, unique_id: &str) -> Result<String, Error> {
        let mut text = Vec::new();
        for (name, value) in &self.properties {
            let separators = [properties::NAME_VALUE_SEPARATOR, properties::PAIR_SEPARATOR];
            if name.bytes().chain(value.bytes()).any(|b| separators.contains(&b)) {
                return Err(Error::BadMessage(format!(
                    "property {name:?} holds a separator character"
                )));
            }
            if name != names::UNIQ_KEY {
                properties::push(&mut text, name.as_bytes(), value.as_bytes());
            }
        }
        properties::push(&mut text, names::UNIQ_KEY.as_bytes(), unique_id.as_bytes());
        if !self.properties.iter().any(|(name, _)| name == names::WAIT) {
            properties::push(&mut text, names::WAIT.as_bytes(), b"true");
        }
        properties::finish(&mut text, Ending::Bare);
        if text.len() > properties::MAX_LEN_BYTES {
            return Err(Error::BadMessage(format!(
                "the properties have {} bytes, the limit is 32767",
                text.len()
            )));
        }
        String::from_utf8(text).map_err(|e| Error::BadMessage(e.to_string()))
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        message::name::check_any_topic(&self.topic).map_err(|e| Error::BadMessage(e.to_string()))?;
        if self.body.is_empty() {
            return Err(Error::BadMessage("the message body length is zero".to_owned()));
        }
        if self.body.len() > BODY_MAX {
            let len = self.body.len();
            return Err(Error::BadMessage(format!(
                "the message body has {len} bytes, the limit is {BODY_MAX}"
            )));
        }
        Ok(())
    }

    /// The body to send and the sysFlag that says how.
    pub(crate) fn packed_body(&self, compress_from: usize) -> (bytes::Bytes, i32) {
        if self.body.len() >= compress_from {
            use std::io::Write;
            let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(5));
            if let Ok(packed) = zlib.write_all(&self.body).and_then(|()| zlib.finish())
                && packed.len() < self.body.len()
            {
                return (packed.into(), message::sys_flag::COMPRESSED);
            }
        }
        (self.body.clone().into(), 0)
    }
}

/// How safely a message was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendStatus {
    /// As asked for.
    Ok,
    /// Stored, but not known to be on the master's disk.
    FlushDiskTimeout,
    /// Stored, but no slave said in time that it has it.
    FlushSlaveTimeout,
    /// Stored, but there is no slave.
    SlaveNotAvailable,
}

impl SendStatus {
    /// Java's name.
    pub fn name(self) -> &'static str {
        match self {
            SendStatus::Ok => "SEND_OK",
            SendStatus::FlushDiskTimeout => "FLUSH_DISK_TIMEOUT",
            SendStatus::FlushSlaveTimeout => "FLUSH_SLAVE_TIMEOUT",
            SendStatus::SlaveNotAvailable => "SLAVE_NOT_AVAILABLE",
        }
    }
}

/// What became of a message. Displayed as Java displays its SendResult.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendResult {
    /// How safely it was stored.
    pub status: SendStatus,
    /// The client's id of it; of a batch all, joined by `,`.
    pub msg_id: String,
    /// The broker's id of it; of a batch all, joined by `,`.
    pub offset_msg_id: String,
    /// Where it is.
    pub queue: MessageQueue,
    /// Its (or the first one's) offset in the queue.
    pub queue_offset: i64,
}

impl fmt::Display for SendResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SendResult [sendStatus={}, msgId={}, offsetMsgId={}, messageQueue={}, queueOffset={}]",
            self.status.name(),
            self.msg_id,
            self.offset_msg_id,
            crate::route::shown(&self.queue),
            self.queue_offset
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_as_java_shows_it() {
        let result = SendResult {
            status: SendStatus::Ok,
            msg_id: "76FBC10A4DDC60E53B9394E342180000".into(),
            offset_msg_id: "AC1B500100002A9F0000000000000000".into(),
            queue: MessageQueue {
                topic: "TopicTest".into(),
                broker_name: "mao".into(),
                queue_id: 3,
            },
            queue_offset: 0,
        };
        let java = "SendResult [sendStatus=SEND_OK, msgId=76FBC10A4DDC60E53B9394E342180000, \
                    offsetMsgId=AC1B500100002A9F0000000000000000, messageQueue=MessageQueue [topic=TopicTest, \
                    brokerName=mao, queueId=3], queueOffset=0]";
        assert_eq!(result.to_string(), java);
    }

    #[test]
    fn what_cannot_be_sent_is_said() {
        assert!(Message::new("a/b", "x").check().is_err());
        assert!(Message::new("T", "").check().is_err());
        assert!(Message::new("T", vec![0; BODY_MAX + 1]).check().is_err());
        assert!(
            Message::new("T", "x")
                .property("a", "b\u{1}c")
                .properties_text("id")
                .is_err()
        );
        assert!(
            Message::new("T", "x")
                .property("a", &"b".repeat(40_000))
                .properties_text("id")
                .is_err()
        );
        assert_eq!(
            Message::new("T", "x")
                .tags("A")
                .tags("B")
                .properties_text("ID")
                .unwrap(),
            "TAGS\u{1}B\u{2}UNIQ_KEY\u{1}ID\u{2}WAIT\u{1}true"
        );
    }
}
