//! What is stored and sent for a transaction.

use disk::Disk;
use message::id::OffsetMessageId;
use message::name::{HALF_TOPIC, OP_HALF_TOPIC, SCHEDULE_TOPIC};
use message::properties::{self, Ending, Parsed, names};
use message::record::{self, Fields, Place, Version, View};
use message::{name, sys_flag};
use protocol::header::broker::CheckTransactionStateRequestHeader;
use store::NewRecord;

use super::QUEUE;
use crate::commitlog::{Appender, StoreError, Stored};
use crate::settings::DelayLevels;

/// The tag of a mark.
pub(super) const MARK_TAG: &str = "d";

/// What the broker alone says of a half message. Consumers get both with a message that was checked or put back, so that whoever sends it
/// on brings them.
const OWN: [&str; 2] = [
    names::TRANSACTION_PREPARED_QUEUE_OFFSET,
    names::TRANSACTION_CHECK_TIMES,
];

/// The stored properties of a half message, at the end of `out`: those that were sent, and where the message belongs.
///
/// Unlike Java: what only the broker may say is taken out. With the place of another half message it would end that one.
pub fn half_text(
    sent: &Parsed<'_>,
    topic: &str,
    queue_id: i32,
    cluster: &str,
    delay: Option<i32>,
    out: &mut Vec<u8>,
) {
    let (queue, delay) = (queue_id.to_string(), delay.map(|level| level.to_string()));
    let mut with = vec![(names::CLUSTER, cluster)];
    with.extend(delay.as_deref().map(|level| (names::DELAY, level)));
    // 4.9 takes it out and puts it back behind CLUSTER.
    let wait = sent.wanted().wait.and_then(|wait| std::str::from_utf8(wait).ok());
    with.extend(wait.map(|wait| (names::WAIT, wait)));
    with.extend([(names::REAL_TOPIC, topic), (names::REAL_QUEUE_ID, &queue)]);
    let mut text = Vec::new();
    sent.rebuild(&OWN, &with, Ending::Bare, &mut text);
    out.append(&mut properties::in_java_order(&text, Ending::Bare));
}

/// Is this a half message as it waits for its end?
pub fn is_half_record(view: &View<'_>) -> bool {
    view.topic() == HALF_TOPIC
}

/// Stores the mark that a half message is ended.
pub fn append_mark<D: Disk>(
    appender: &Appender<D>,
    half_offset: i64,
    now: i64,
) -> Result<Stored, StoreError> {
    let text = [
        names::WAIT.as_bytes(),
        b"\x01true\x02",
        names::TAGS.as_bytes(),
        b"\x01",
        MARK_TAG.as_bytes(),
    ]
    .concat();
    let body = half_offset.to_string();
    let mark = NewRecord {
        topic: OP_HALF_TOPIC,
        queue_id: QUEUE,
        flag: 0,
        sys_flag: 0,
        born_timestamp: now,
        born_host: appender.store_host,
        store_host: appender.store_host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: body.as_bytes(),
        properties: &text,
        joined: false,
    };
    appender.append_copy(&mark, now)
}

/// Where a half message belongs: topic and queue.
pub(super) fn real_place<'a>(view: &View<'a>) -> Option<(&'a str, i32)> {
    let text = view.properties();
    let topic = properties::get_str(text, names::REAL_TOPIC)?;
    let queue_id = properties::get_str(text, names::REAL_QUEUE_ID)?.parse().ok()?;
    Some((topic, queue_id))
}

/// The message that a commit stores, its properties in `text`; `None` if the half message does not say where it belongs.
///
/// It keeps TRAN_MSG, REAL_TOPIC and REAL_QID, and whatever else is in the half message. Where it is delayed it goes that way.
pub fn committed<'a>(half: &View<'a>, levels: &DelayLevels, text: &'a mut Vec<u8>) -> Option<NewRecord<'a>> {
    let (topic, queue_id) = real_place(half)?;
    let level =
        properties::get_str(half.properties(), names::DELAY).and_then(|level| level.parse::<i32>().ok());
    let level = level
        .filter(|level| *level > 0)
        .map(|level| level.min(levels.max()));
    let place = match level {
        None => {
            store::copy_properties(half, &[], &[], Ending::Bare, text);
            (topic, queue_id)
        }
        Some(level) => {
            let level_text = level.to_string();
            let with = [(names::DELAY, level_text.as_str())];
            store::copy_properties(half, &[names::TRANSACTION_PREPARED], &with, Ending::Bare, text);
            (SCHEDULE_TOPIC, level - 1)
        }
    };
    let record = NewRecord::copy_of(half, place.0, place.1, text);
    Some(NewRecord {
        sys_flag: sys_flag::with_transaction_type(without_hosts(half), sys_flag::TRANSACTION_COMMIT),
        prepared_transaction_offset: half.physical_offset(),
        ..record
    })
}

fn without_hosts(view: &View<'_>) -> i32 {
    view.sys_flag() & !(sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6)
}

/// A copy of a half message for another topic, or for the end of its own queue.
pub(super) fn moved<'a>(half: &View<'a>, topic: &'a str, text: &'a [u8]) -> NewRecord<'a> {
    NewRecord {
        sys_flag: without_hosts(half),
        ..NewRecord::copy_of(half, topic, QUEUE, text)
    }
}

/// The properties of a half message, with others in their place.
pub(super) fn changed_text(half: &View<'_>, with: &[(&str, &str)]) -> Vec<u8> {
    let mut text = Vec::with_capacity(half.properties().len() + 64);
    store::copy_properties(half, &[], with, Ending::Bare, &mut text);
    properties::in_java_order(&text, Ending::Bare)
}

/// What a producer is asked: the message as it was sent, in the place that its answer names.
pub(super) struct Question<'a> {
    pub(super) half: &'a View<'a>,
    /// Queue offset and physical offset of the copy, or of the message itself where there is none.
    pub(super) place: (i64, i64),
    /// How often it has been asked for, this time included.
    pub(super) times: &'a str,
}

impl Question<'_> {
    pub(super) fn body(&self) -> Option<Vec<u8>> {
        let half = self.half;
        let (topic, queue_id) = real_place(half)?;
        name::check_any_topic(topic).ok()?;
        // WAIT is `false` in the message that 4.9 has put back.
        let with = [
            (names::TRANSACTION_CHECK_TIMES, self.times),
            (names::WAIT, "false"),
        ];
        let mut text = changed_text(half, &with);
        if text.len() > properties::MAX_LEN_BYTES {
            text = changed_text(half, &[]);
        }
        let fields = Fields {
            version: Version::for_topic(topic),
            topic,
            queue_id,
            flag: half.flag(),
            sys_flag: without_hosts(half),
            born_timestamp: half.born_timestamp(),
            born_host: half.born_host(),
            store_host: half.store_host(),
            reconsume_times: half.reconsume_times(),
            prepared_transaction_offset: half.prepared_transaction_offset(),
            body: half.body(),
            body_crc: record::body_crc(half.body()),
            properties: &text,
            append_crc: false,
        };
        let place = Place {
            queue_offset: self.place.0,
            physical_offset: self.place.1,
            store_timestamp: half.store_timestamp(),
        };
        let mut body = vec![0; fields.encoded_len()];
        fields.encode(place, &mut body);
        Some(body)
    }

    pub(super) fn header(&self) -> CheckTransactionStateRequestHeader<'_> {
        let unique = properties::get_str(self.half.properties(), names::UNIQ_KEY).map(Into::into);
        let id = OffsetMessageId {
            store_host: self.half.store_host(),
            physical_offset: self.place.1,
        };
        CheckTransactionStateRequestHeader {
            tran_state_table_offset: self.place.0,
            commit_log_offset: self.place.1,
            msg_id: unique.clone(),
            transaction_id: unique,
            offset_msg_id: Some(id.to_string().into()),
        }
    }
}
