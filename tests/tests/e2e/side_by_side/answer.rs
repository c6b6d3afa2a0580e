//! What an answer says, without what two runs can not have in common: times, addresses, ids and folders.

use cluster::{Answer, Wire};
use protocol::body;
use serde_json::Value;
use std::collections::BTreeMap;

/// An answer in parts that have names: `code`, `remark`, `field NAME`, `body.PATH`. Without an answer there is `code` alone.
pub(super) type Parts = BTreeMap<String, String>;

/// Texts of one run, and what stands for them.
pub(super) struct Masks(Vec<(String, &'static str)>);

impl Masks {
    /// For servers at these addresses, with this folder, asked over a connection from this one.
    pub(super) fn new(broker: &str, namesrv: &str, folder: &str, wire: &Wire) -> Masks {
        let port_of = |address: &str| -> u32 {
            let (_, port) = address.rsplit_once(':').expect("host:port");
            port.parse().expect("a port")
        };
        let port = port_of(broker);
        let own = wire.local_address().expect("a connection has an address");
        Masks(vec![
            (folder.to_owned(), "FOLDER"),
            (broker.to_owned(), "BROKER"),
            (namesrv.to_owned(), "NAMESRV"),
            (own, "CLIENT"),
            // In ids of messages, in settings.
            (format!("{port:08X}"), "HEXPORT"),
            (port.to_string(), "PORT"),
            ((port + 1).to_string(), "HAPORT"),
            (port_of(namesrv).to_string(), "NAMESRVPORT"),
        ])
    }

    /// Takes another connection of the session.
    pub(super) fn add_client(&mut self, wire: &Wire) {
        let own = wire.local_address().expect("a connection has an address");
        self.0.push((own, "CLIENT"));
    }

    fn cover(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (is, stands) in &self.0 {
            text = text.replace(is.as_str(), stands);
        }
        cover_offsets(&cover_times(&text))
    }
}

/// Where in the log a message is that an id names: what one server refused and the other took moves all that follow.
fn cover_offsets(text: &str) -> String {
    let mut pieces = text.split("HEXPORT");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_hexdigit).count();
        out.push_str("HEXPORT");
        out.push_str(if digits == 16 { "OFFSET" } else { &piece[..digits] });
        out.push_str(&piece[digits..]);
    }
    out
}

/// Any number of 13 digits that begins with 17, 18 or 19 is a time of this decade.
fn cover_times(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let (number, behind) = from.split_at(end);
        out.push_str(before);
        let is_time = number.len() == 13 && ["17", "18", "19"].contains(&&number[..2]);
        out.push_str(if is_time { "TIME" } else { number });
        rest = behind;
    }
    out.push_str(rest);
    // As Java writes times for people: 2026-11-29#10:02:02:439.
    match out.split_once('#') {
        Some((day, time)) if day.len() == 10 && time.len() == 12 && out.is_ascii() => "TIME".to_owned(),
        _ => out,
    }
}

/// Nothing came, or the connection was closed.
pub(super) fn none() -> Parts {
    Parts::from([("code".to_owned(), "none".to_owned())])
}

/// All that the answer says.
pub(super) fn parts(answer: &Answer, masks: &Masks) -> Parts {
    let mut parts = Parts::new();
    parts.insert("code".to_owned(), answer.code().to_string());
    parts.insert("flag".to_owned(), answer.flag().to_string());
    parts.insert("remark".to_owned(), masks.cover(remark(answer.remark())));
    let fields = answer.header.get("extFields").and_then(Value::as_object);
    for (name, value) in fields.into_iter().flatten() {
        let value = match value.as_str() {
            Some(text) => text.to_owned(),
            None => value.to_string(),
        };
        parts.insert(format!("field {name}"), masks.cover(&value));
    }
    put_body(&answer.body, masks, &mut parts);
    parts
}

/// What a person reads of a remark: its first line, without the place in Java's source, the name of Java's exception and a hint where to
/// read on.
fn remark(remark: &str) -> &str {
    let line = remark.lines().next().unwrap_or("");
    let mut line = line;
    for place in [
        ", org.apache.rocketmq.",
        ", java.base/",
        ", io.netty.",
        ", com.alibaba.",
    ] {
        line = line.split_once(place).map_or(line, |(before, _)| before);
    }
    let (_, line) = line
        .split_once("RemotingCommandException: ")
        .unwrap_or(("", line));
    // What a Java answer says that nobody has written a remark into.
    if line == "not set any response code" {
        ""
    } else {
        line
    }
}

fn put_body(body: &[u8], masks: &Masks, parts: &mut Parts) {
    if body.is_empty() {
        return;
    }
    if let Some(records) = records(body) {
        for (at, record) in records.into_iter().enumerate() {
            for (name, value) in record {
                parts.insert(format!("body.record{at}.{name}"), masks.cover(&value));
            }
        }
        return;
    }
    if let Ok(tree) = body::read::<Value>(body) {
        put_tree("body", &tree, masks, parts);
        return;
    }
    // Settings.
    for line in String::from_utf8_lossy(body).lines() {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        parts.insert(format!("body.{key}"), masks.cover(value));
    }
}

/// The leaves of a tree by their paths. Lists of texts are sets: Java's are in the order of a hash table.
fn put_tree(path: &str, tree: &Value, masks: &Masks, parts: &mut Parts) {
    match tree {
        Value::Object(object) if !object.is_empty() => {
            for (name, value) in object {
                put_tree(&format!("{path}.{}", masks.cover(name)), value, masks, parts);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let mut list: Vec<&Value> = list.iter().collect();
            list.sort_by_key(|value| masks.cover(&value.to_string()));
            for (at, value) in list.into_iter().enumerate() {
                match value {
                    Value::String(text) => {
                        parts.insert(format!("{path}[{}]", masks.cover(text)), "listed".to_owned());
                    }
                    _ => put_tree(&format!("{path}[{at}]"), value, masks, parts),
                }
            }
        }
        leaf => {
            let text = leaf.as_str().map_or_else(|| leaf.to_string(), str::to_owned);
            parts.insert(path.to_owned(), masks.cover(&text));
        }
    }
}

/// Properties sorted: in Java they stand in the order of a hash table.
fn in_order(properties: &str) -> String {
    let mut pairs: Vec<&str> = properties
        .split('\u{2}')
        .filter(|pair| !pair.is_empty())
        .collect();
    pairs.sort_unstable();
    pairs.join("\u{2}")
}

/// Stored records, if that is what the bytes are: of each what does not depend on the run.
fn records(body: &[u8]) -> Option<Vec<Vec<(&'static str, String)>>> {
    let mut records = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let word = |at: usize| Some(i32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(i64::from_be_bytes(rest.get(at..at + 8)?.try_into().ok()?));
        if word(4)? != 0xDAA3_20A7_u32.cast_signed() {
            return None;
        }
        let len = usize::try_from(word(0)?).ok()?;
        let body_len = usize::try_from(word(84)?).ok()?;
        let topic_at = 88 + body_len;
        let topic_len = usize::from(*rest.get(topic_at)?);
        let properties_at = topic_at + 1 + topic_len + 2;
        let text = |from: usize, to: usize| Some(String::from_utf8_lossy(rest.get(from..to)?).into_owned());
        let number = |n: i32| n.to_string();
        records.push(vec![
            ("len", len.to_string()),
            ("crc", number(word(8)?)),
            ("queueId", number(word(12)?)),
            ("flag", number(word(16)?)),
            ("queueOffset", long(20)?.to_string()),
            ("physicalOffset", long(28)?.to_string()),
            ("sysFlag", number(word(36)?)),
            ("reconsumeTimes", number(word(72)?)),
            ("preparedTransactionOffset", long(76)?.to_string()),
            ("body", text(88, topic_at)?),
            ("topic", text(topic_at + 1, topic_at + 1 + topic_len)?),
            ("properties", in_order(&text(properties_at, len)?)),
        ]);
        rest = rest.get(len..)?;
    }
    Some(records)
}
