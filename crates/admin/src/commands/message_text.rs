//! Messages as Java's tools show them.

use crate::failure::Failure;
use crate::output::Out;
use crate::parse::{Given, bad_value};
use crate::time;
use client::{PullResult, PullStatus, Received};
use encoding_rs::Encoding;
use message::properties::names;
use protocol::body::MessageQueue;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where bodies are written, as by Java's tool.
const BODIES: &str = "/tmp/rocketmq/msgbodys";

/// A queue as Java shows it.
pub(super) fn queue_text(queue: &MessageQueue) -> String {
    format!(
        "MessageQueue [topic={}, brokerName={}, queueId={}]",
        queue.topic, queue.broker_name, queue.queue_id
    )
}

/// Java's name of what a pull found.
pub(super) fn status_name(status: PullStatus) -> &'static str {
    match status {
        PullStatus::Found => "FOUND",
        PullStatus::NoNew => "NO_NEW_MSG",
        PullStatus::NoMatched => "NO_MATCHED_MSG",
        PullStatus::OffsetIllegal => "OFFSET_ILLEGAL",
    }
}

/// A pulled message with what Java's client adds to its properties.
pub(super) fn pulled(result: &PullResult) -> impl Iterator<Item = Received> + '_ {
    result.messages.iter().cloned().map(|mut message| {
        for (name, offset) in [
            (names::MIN_OFFSET, result.min_offset),
            (names::MAX_OFFSET, result.max_offset),
        ] {
            message.properties.insert(name.to_owned(), offset.to_string());
        }
        message
    })
}

/// Properties as a `HashMap` of Java prints them: in the order of its table, by the hash of each name.
pub(super) fn properties_text(message: &Received) -> String {
    let pairs = message.properties.iter();
    let mut pairs: Vec<(&String, &String)> = pairs.collect();
    let mut table = 16;
    while pairs.len() * 4 > table * 3 {
        table *= 2;
    }
    // Of two at one place the first put there is the first; what a broker adds comes last.
    pairs.sort_by_key(|(name, _)| (place(name, table), name.as_str() == names::CLUSTER, *name));
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

/// The place of a key in a table of so many: its hash, the upper half mixed into the lower.
fn place(name: &str, table: usize) -> usize {
    let hash = name.encode_utf16().fold(0u32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(u32::from(unit))
    });
    (hash ^ hash >> 16) as usize & (table - 1)
}

/// A message in one line.
pub(super) fn one_line(message: &Received, body: &str) -> String {
    let bytes = message.body.iter().map(|byte| (*byte as i8).to_string());
    format!(
        "MSGID: {} MessageExt [brokerName={}, queueId={}, storeSize={}, queueOffset={}, sysFlag={}, \
         bornTimestamp={}, bornHost=/{}, storeTimestamp={}, storeHost=/{}, msgId={}, commitLogOffset={}, bodyCRC={}, \
         reconsumeTimes={}, preparedTransactionOffset={}, toString()=Message{{topic='{}', flag={}, properties={}, \
         body=[{}], transactionId='{}'}}] BODY: {body}",
        message.msg_id(),
        message.queue.broker_name,
        message.queue.queue_id,
        message.store_size,
        message.queue_offset,
        message.sys_flag,
        message.born_timestamp,
        message.born_host,
        message.store_timestamp,
        message.store_host,
        message.offset_msg_id(),
        message.physical_offset,
        message.body_crc,
        message.reconsume_times,
        message.prepared_transaction_offset,
        message.queue.topic,
        message.flag,
        properties_text(message),
        bytes.collect::<Vec<_>>().join(", "),
        message.property(names::TRANSACTION_ID).unwrap_or("null"),
    )
}

/// The first message of an answer.
pub(super) fn decode_one(body: &[u8]) -> Option<Received> {
    Received::decode_all(body, "").ok()?.into_iter().next()
}

/// A message for programs. A body that is no text is left out; `bodyLength` says how long it is.
pub(super) fn as_json(message: &Received) -> Value {
    json!({
        "topic": message.queue.topic,
        "brokerName": message.queue.broker_name,
        "queueId": message.queue.queue_id,
        "queueOffset": message.queue_offset,
        "commitLogOffset": message.physical_offset,
        "msgId": message.msg_id(),
        "offsetMsgId": message.offset_msg_id(),
        "tags": message.tags(),
        "keys": message.keys(),
        "bornTimestamp": message.born_timestamp,
        "storeTimestamp": message.store_timestamp,
        "bornHost": message.born_host,
        "storeHost": message.store_host,
        "reconsumeTimes": message.reconsume_times,
        "sysFlag": message.sys_flag,
        "properties": message.properties,
        "bodyLength": message.body.len(),
        "body": std::str::from_utf8(&message.body).ok(),
    })
}

/// The same; a body that is no text is there in hexadecimal digits.
pub(super) fn with_whole_body(message: &Received) -> Value {
    let mut value = as_json(message);
    if value["body"].is_null() {
        value["bodyHex"] = hex(&message.body).into();
    }
    value
}

/// Bytes as digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A message with a label a line; the body goes into a file, whose name has `suffix` behind the id.
pub(super) fn labelled(
    out: &mut Out,
    message: &Received,
    with_offset_id: bool,
    suffix: &str,
) -> Result<(), Failure> {
    let path = match out.is_json() {
        true => PathBuf::new(),
        false => write_body(Path::new(BODIES), message, suffix)?,
    };
    let bracketed = |text: Option<&str>| format!("[{}]", text.unwrap_or("null"));
    let lines = [
        ("OffsetID:", message.offset_msg_id()),
        ("Topic:", message.queue.topic.clone()),
        ("Tags:", bracketed(message.tags())),
        ("Keys:", bracketed(message.keys())),
        ("Queue ID:", message.queue.queue_id.to_string()),
        ("Queue Offset:", message.queue_offset.to_string()),
        ("CommitLog Offset:", message.physical_offset.to_string()),
        ("Reconsume Times:", message.reconsume_times.to_string()),
        ("Born Timestamp:", time::millis(message.born_timestamp)),
        ("Store Timestamp:", time::millis(message.store_timestamp)),
        ("Born Host:", message.born_host.to_string()),
        ("Store Host:", message.store_host.to_string()),
        ("System Flag:", message.sys_flag.to_string()),
        ("Properties:", properties_text(message)),
        ("Message Body Path:", path.display().to_string()),
    ];
    for (label, value) in &lines[usize::from(!with_offset_id)..] {
        out.line(&format!("{label:<20} {value}"));
    }
    out.json(&as_json(message));
    Ok(())
}

/// The character set that an option names.
pub(super) fn charset(given: &Given, long: &str) -> Result<Option<&'static Encoding>, Failure> {
    let Some(name) = given.text(long) else {
        return Ok(None);
    };
    let known = Encoding::for_label(name.as_bytes());
    let known = known.ok_or_else(|| bad_value(long, name, "a character set like UTF-8 or GBK"))?;
    Ok(Some(known))
}

/// A body as a character set reads it.
pub(super) fn decoded<'a>(message: &'a Received, charset: &'static Encoding) -> Cow<'a, str> {
    charset.decode_without_bom_handling(&message.body).0
}

/// The line of 5.x with a message's body, where a character set is given.
pub(super) fn body_as(out: &mut Out, message: &Received, charset: Option<&'static Encoding>) {
    if let Some(charset) = charset {
        out.line(&format!("{:<20} {}", "Message Body:", decoded(message, charset)));
    }
}

/// A name for a file in one folder: names come from clients.
pub(super) fn file_name(name: &str) -> String {
    let safe: String = name
        .chars()
        .map(|letter| match letter {
            '/' | '\0' => '_',
            letter => letter,
        })
        .collect();
    match safe.as_str() {
        "" | "." | ".." => format!("_{safe}"),
        _ => safe,
    }
}

/// Writes a body. The folder is one that everybody may write into: a file that is there is replaced, never followed elsewhere.
fn write_body(folder: &Path, message: &Received, suffix: &str) -> Result<PathBuf, Failure> {
    let path = folder.join(file_name(&format!("{}{suffix}", message.msg_id())));
    let failed = |cause| Failure::File {
        path: path.display().to_string(),
        cause,
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(failed)?;
    file.write_all(&message.body).map_err(failed)?;
    Ok(path)
}

/// A message as brokers of two tests have it.
#[cfg(test)]
pub(super) fn sample() -> Received {
    let pairs = [
        ("KEYS", "order26"),
        ("UNIQ_KEY", "AB"),
        ("CLUSTER", "C"),
        ("TAGS", "Paid"),
    ];
    Received {
        queue: MessageQueue {
            topic: "Stock".to_owned(),
            broker_name: "broker-a".to_owned(),
            queue_id: 1,
        },
        queue_offset: 6,
        physical_offset: 5266,
        store_size: 199,
        sys_flag: 0,
        flag: 0,
        born_timestamp: 1,
        born_host: ([127, 0, 0, 1], 53456).into(),
        store_timestamp: 2,
        store_host: ([127, 0, 0, 1], 20911).into(),
        body_crc: 7,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        properties: pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: bytes::Bytes::from_static(b"m-\xff"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order is that of a running Java tool.
    #[test]
    fn properties_have_javas_order() {
        let mut message = sample();
        assert_eq!(
            properties_text(&message),
            "{KEYS=order26, UNIQ_KEY=AB, CLUSTER=C, TAGS=Paid}"
        );
        for name in ["MIN_OFFSET", "MAX_OFFSET"] {
            message.properties.insert(name.to_owned(), "0".to_owned());
        }
        assert_eq!(
            properties_text(&message),
            "{MIN_OFFSET=0, MAX_OFFSET=0, KEYS=order26, UNIQ_KEY=AB, CLUSTER=C, TAGS=Paid}"
        );
    }

    #[test]
    fn a_message_in_a_line() {
        let line = one_line(&sample(), "text");
        assert_eq!(
            line,
            "MSGID: AB MessageExt [brokerName=broker-a, queueId=1, storeSize=199, queueOffset=6, sysFlag=0, \
             bornTimestamp=1, bornHost=/127.0.0.1:53456, storeTimestamp=2, storeHost=/127.0.0.1:20911, \
             msgId=7F000001000051AF0000000000001492, commitLogOffset=5266, bodyCRC=7, reconsumeTimes=0, \
             preparedTransactionOffset=0, toString()=Message{topic='Stock', flag=0, \
             properties={KEYS=order26, UNIQ_KEY=AB, CLUSTER=C, TAGS=Paid}, body=[109, 45, -1], \
             transactionId='null'}] BODY: text"
        );
    }

    #[test]
    fn a_body_goes_where_it_should() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        std::fs::write(&elsewhere, "kept").unwrap();
        let bodies = folder.path().join("bodies");
        std::fs::create_dir(&bodies).unwrap();
        std::os::unix::fs::symlink(&elsewhere, bodies.join("AB")).unwrap();
        let path = write_body(&bodies, &sample(), "").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"m-\xff");
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "kept");
        let mut message = sample();
        message
            .properties
            .insert("UNIQ_KEY".to_owned(), "../../x".to_owned());
        let path = write_body(&bodies, &message, "_1").unwrap();
        assert_eq!(path, bodies.join(".._.._x_1"));
    }
}
