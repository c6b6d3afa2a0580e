//! The trace of a message: queryMsgTraceById, and what sendMessage -m true leaves.
//!
//! A record of a trace is a line of fields between 0x01, ended by 0x02:
//!
//! | kind | fields behind the kind |
//! |---|---|
//! | Pub | time, region, group, topic, id, tags, keys, store host, body length, ms it took, message type, offset id, success |
//! | SubAfter | request id, id, ms it took, success, keys, code, time, group |

use super::message::{find_keyed, keyed};
use crate::failure::Failure;
use crate::job::Job;
use crate::output::{Out, Table};
use crate::table::{Command, Run, required, value};
use crate::time;
use client::{Message, Received, SendResult};

/// Where traces go unless a client says otherwise.
pub const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "queryMsgTraceById",
    alias: None,
    about: "shows who sent and who consumed a message, by its trace",
    options: &[
        required('i', "msgId", "the id that the producer gave"),
        value(
            't',
            "traceTopic",
            "the topic of traces [default: RMQ_SYS_TRACE_TOPIC]",
        ),
        value(
            'b',
            "beginTimestamp",
            "stored not before, ms since 1970 or 2026-11-29#17:08:20:123, 5.x",
        ),
        value('e', "endTimestamp", "stored not after, 5.x"),
        value('c', "maxNum", "of each broker so many at most [default: 64], 5.x"),
    ],
    asks: None,
    run: Run::Online(|job, out| Box::pin(query(job, out))),
}];

/// One thing that happened to a message.
#[derive(Debug, PartialEq)]
pub struct Event {
    /// Whether it was sent; else it was consumed.
    pub is_send: bool,
    /// By which group.
    pub group: String,
    /// From where.
    pub host: String,
    /// When, ms since 1970.
    pub time: i64,
    /// How long it took.
    pub took_ms: i64,
    /// Whether it was done.
    pub success: bool,
}

const SENT: Table = Table {
    titles: "%-10s %-20s %-20s %-20s %-10s %-10s%n",
    row: "%-10s %-20s %-20s %-20s %-10s %-10s%n",
    columns: &[
        ("#Type", "type"),
        ("#ProducerGroup", "group"),
        ("#ClientHost", "clientHost"),
        ("#SendTime", "time"),
        ("#CostTimes", "costTime"),
        ("#Status", "status"),
    ],
};

const CONSUMED: Table = Table {
    titles: SENT.titles,
    row: SENT.row,
    columns: &[
        ("#Type", "type"),
        ("#ConsumerGroup", "group"),
        ("#ClientHost", "clientHost"),
        ("#ConsumerTime", "time"),
        ("#CostTimes", "costTime"),
        ("#Status", "status"),
    ],
};

async fn query(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let id = job.given.required("msgId");
    let topic = job.given.text("traceTopic").unwrap_or(TRACE_TOPIC);
    let found = find_keyed(job, out, &keyed(job, topic, id)?).await?;
    let events = events(&found, id);
    if events.is_empty() {
        return Err(Failure::wrong(format!(
            "{topic} has no trace of the message {id}"
        )));
    }
    for event in events.iter().filter(|event| event.is_send) {
        out.titles(&SENT);
        show(out, &SENT, event);
        out.text("\n");
    }
    let mut consumed: Vec<&Event> = events.iter().filter(|event| !event.is_send).collect();
    consumed.sort_by_key(|event| &event.group);
    for of_group in consumed.chunk_by(|a, b| a.group == b.group) {
        out.titles(&CONSUMED);
        for event in of_group {
            show(out, &CONSUMED, event);
        }
        out.text("\n");
    }
    Ok(())
}

fn show(out: &mut Out, table: &Table, event: &Event) {
    out.row(
        table,
        [
            if event.is_send { "Pub" } else { "Sub" }.into(),
            (&event.group).into(),
            (&event.host).into(),
            time::seconds(event.time).into(),
            format!("{}ms", event.took_ms).into(),
            if event.success { "success" } else { "failed" }.into(),
        ],
    );
}

/// What messages of a trace topic say of the message `id`.
pub fn events(found: &[Received], id: &str) -> Vec<Event> {
    let of_message = |message: &Received| {
        let host = message.born_host.ip().to_string();
        events_of(&String::from_utf8_lossy(&message.body), id, &host)
    };
    found.iter().flat_map(of_message).collect()
}

/// What the records of a trace message say of the message `id`. A record that makes no sense is passed over.
fn events_of(body: &str, id: &str, host: &str) -> Vec<Event> {
    body.split('\u{2}')
        .filter_map(|record| event_of(record, id, host))
        .collect()
}

fn event_of(record: &str, id: &str, host: &str) -> Option<Event> {
    let fields: Vec<&str> = record.split('\u{1}').collect();
    let text = |index: usize| fields.get(index).copied();
    let is_send = match text(0)? {
        "Pub" => true,
        "SubAfter" => false,
        _ => return None,
    };
    let (id_at, took_at, time_at, group_at) = if is_send { (5, 10, 1, 3) } else { (2, 3, 7, 8) };
    if text(id_at)? != id {
        return None;
    }
    // Records of old clients end at the success.
    let success_at = match (is_send, fields.len()) {
        (true, 13) => 12,
        (true, _) => 13,
        (false, _) => 4,
    };
    Some(Event {
        is_send,
        group: text(group_at).unwrap_or("null").to_owned(),
        host: host.to_owned(),
        time: text(time_at).and_then(|time| time.parse().ok()).unwrap_or(0),
        took_ms: text(took_at)?.parse().ok()?,
        success: text(success_at) == Some("true"),
    })
}

/// A trace of a send.
pub(super) struct Sent<'a> {
    pub(super) group: &'a str,
    pub(super) message: &'a Message,
    pub(super) tags: &'a str,
    pub(super) keys: &'a str,
    pub(super) store_host: &'a str,
    pub(super) body_len: usize,
    pub(super) took_ms: u128,
    pub(super) result: &'a SendResult,
}

impl Sent<'_> {
    /// The trace message.
    pub(super) fn message(&self) -> Message {
        let fields = [
            "Pub",
            &time::now_ms().to_string(),
            "DefaultRegion",
            self.group,
            &self.message.topic,
            &self.result.msg_id,
            self.tags,
            self.keys,
            self.store_host,
            &self.body_len.to_string(),
            &self.took_ms.to_string(),
            // An ordinary message.
            "0",
            &self.result.offset_msg_id,
            "true\u{2}",
        ];
        let keys = match self.keys {
            "" => self.result.msg_id.clone(),
            keys => format!("{} {keys}", self.result.msg_id),
        };
        Message::new(TRACE_TOPIC, fields.join("\u{1}")).keys(&keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_clients() {
        let pub_record = "Pub\u{1}1700000000000\u{1}R\u{1}PG\u{1}T\u{1}ID\u{1}\u{1}k\u{1}h:1\u{1}4\u{1}12\u{1}0\u{1}OFF\u{1}true";
        let after = "SubAfter\u{1}REQ\u{1}ID\u{1}3\u{1}false\u{1}k\u{1}1\u{1}1700000000001\u{1}CG";
        let other = pub_record.replace("ID", "OTHER");
        let body = format!("{pub_record}\u{2}{other}\u{2}SubBefore\u{1}1\u{2}Pub\u{1}cut\u{2}{after}\u{2}");
        let events = events_of(&body, "ID", "10.0.0.9");
        let event = |is_send, group: &str, time, took_ms, success| Event {
            is_send,
            group: group.to_owned(),
            host: "10.0.0.9".to_owned(),
            time,
            took_ms,
            success,
        };
        assert_eq!(
            events,
            [
                event(true, "PG", 1_700_000_000_000, 12, true),
                event(false, "CG", 1_700_000_000_001, 3, false),
            ]
        );
    }
}
