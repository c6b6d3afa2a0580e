//! Operators' requests about offsets: QUERY_CONSUME_TIME_SPAN (303), QUERY_CORRECTION_OFFSET (308), CLONE_GROUP_OFFSET (314).
//!
//! Rules: RocketMQ 4.9.8, AdminBrokerProcessor and ConsumerOffsetManager.

use std::collections::BTreeMap;
use std::sync::Arc;

use disk::{Clock, Disk};
use protocol::body::operator::{ConsumeTimeSpans, CorrectionOffsets, QueueTimeSpan};
use protocol::header::broker::{
    CloneGroupOffsetRequestHeader, QueryConsumeTimeSpanRequestHeader, QueryCorrectionOffsetRequestHeader,
};
use remoting::Request;
use store::{QueueOffset, Store};

use super::topic::queue;
use super::{Error, SAVED_WITHIN_MS, refuse, when_saved};
use crate::clients::Consumers;
use crate::lane::MayWait;
use crate::settings::Settings;
use crate::tables::{Change, ConfigFile, Tables};

/// What the handler needs.
pub struct Offset<D: Disk> {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Topics, groups, offsets.
    pub tables: Tables,
    /// What connected groups subscribe to.
    pub consumers: Arc<Consumers>,
    /// The queues.
    pub store: Arc<Store<D>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl<D: Disk> Offset<D> {
    /// QUERY_CONSUME_TIME_SPAN.
    pub fn time_span(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let outcome = frame
            .header::<QueryConsumeTimeSpanRequestHeader<'_>>()
            .map_err(Error::Header)
            .and_then(|header| self.time_spans(&header));
        match outcome {
            Ok(spans) => responder.body(&spans),
            Err(e) => refuse(responder, &e),
        }
    }

    fn time_spans(&self, header: &QueryConsumeTimeSpanRequestHeader<'_>) -> Result<ConsumeTimeSpans, Error> {
        let (topic, group) = (&*header.topic, &*header.group);
        let config = self.tables.topics.get(topic);
        let config = config.ok_or_else(|| Error::TopicUnknown(topic.to_owned()))?;
        let settings = self.settings.load();
        let mut spans = ConsumeTimeSpans::default();
        for queue_id in 0..config.write_queue_nums {
            let at = |offset| self.store_time(topic, queue_id, offset);
            let earliest = self.store.earliest_store_time(topic, queue_id);
            let min_time_stamp = earliest.map_err(|e| Error::Value(e.to_string()))?.unwrap_or(-1);
            let end = self.store.queue_max_offset(topic, queue_id).0;
            let consumed = self.tables.offsets.get(group, topic, queue_id).unwrap_or(-1);
            let max_time_stamp = at(end - 1);
            let consume_time_stamp = match consumed {
                1.. => at(consumed - 1),
                _ => min_time_stamp,
            };
            let delay_time = match consumed < end {
                true => self.clock.now_ms() - at(consumed),
                false => 0,
            };
            let message_queue = queue(&settings.broker.broker_name, topic, queue_id);
            spans.consume_time_span_set.push(QueueTimeSpan {
                consume_time_stamp,
                consume_time_stamp_str: date(consume_time_stamp),
                delay_time,
                max_time_stamp,
                max_time_stamp_str: date(max_time_stamp),
                message_queue,
                min_time_stamp,
                min_time_stamp_str: date(min_time_stamp),
            });
        }
        Ok(spans)
    }

    /// Store time of a message, -1 if there is none.
    fn store_time(&self, topic: &str, queue_id: i32, offset: i64) -> i64 {
        match offset {
            0.. => match self.store.store_time(topic, queue_id, QueueOffset(offset)) {
                Ok(time) => time.unwrap_or(-1),
                Err(e) => {
                    tracing::warn!("store time of {topic} queue {queue_id} offset {offset}: {e}");
                    -1
                }
            },
            _ => -1,
        }
    }

    /// QUERY_CORRECTION_OFFSET: the least offset of all groups in each queue; where the group that is compared is behind that, the
    /// highest number.
    pub fn correction(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        match frame.header::<QueryCorrectionOffsetRequestHeader<'_>>() {
            Ok(header) => responder.body(&CorrectionOffsets {
                correction_offsets: self.corrections(&header),
            }),
            Err(e) => refuse(responder, &Error::Header(e)),
        }
    }

    /// Unlike Java, the groups that are to be left out keep their offsets: it forgets them.
    fn corrections(&self, header: &QueryCorrectionOffsetRequestHeader<'_>) -> BTreeMap<i32, i64> {
        let topic = &*header.topic;
        let left_out: Vec<&str> = header
            .filter_groups
            .as_deref()
            .unwrap_or_default()
            .split(',')
            .collect();
        let mut least = BTreeMap::new();
        for (group, queues) in self.tables.offsets.of_topic(topic) {
            if left_out.contains(&group.as_str()) {
                continue;
            }
            for (queue_id, offset) in queues {
                if offset >= self.store.queue_min_offset(topic, queue_id).0 {
                    let known = least.entry(queue_id).or_insert(offset);
                    *known = offset.min(*known);
                }
            }
        }
        for (queue_id, offset) in self.tables.offsets.of_pair(&header.compare_group, topic) {
            if let Some(known) = least.get_mut(&queue_id).filter(|known| **known > offset) {
                *known = i64::MAX;
            }
        }
        least
    }

    /// CLONE_GROUP_OFFSET.
    pub fn clone_group(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let outcome = frame
            .header::<CloneGroupOffsetRequestHeader<'_>>()
            .map_err(Error::Header)
            .and_then(|header| self.clone_offsets(&header));
        match outcome {
            Ok(Some(change)) => {
                let (now, answer) = (self.clock.now_ms(), when_saved(responder));
                let saver = self.tables.offsets.saver();
                saver.when_saved(change, now, now + SAVED_WITHIN_MS, answer);
            }
            Ok(None) => responder.ok(),
            Err(e) => refuse(responder, &e),
        }
    }

    /// Of one topic, or (unlike Java, which then copies none) of all topics of the group.
    fn clone_offsets(&self, header: &CloneGroupOffsetRequestHeader<'_>) -> Result<Option<Change>, Error> {
        let (from, to) = (&*header.src_group, &*header.dest_group);
        if self.settings.load().is_slave() {
            return Err(Error::Slave);
        }
        message::name::check_group(to)?;
        let topics = match header.topic.as_deref().map(str::trim) {
            Some(topic) if !topic.is_empty() => vec![topic.to_owned()],
            _ => self.tables.offsets.topics_of(from),
        };
        let mut last = None;
        for topic in topics {
            if self.tables.topics.get(&topic).is_none() {
                continue;
            }
            // A connected group that does not subscribe to it any more has left it.
            let view = self.consumers.view(from, &topic);
            if header.offline != Some(true) && view.is_some_and(|view| view.subscription.is_none()) {
                continue;
            }
            let cloned = self.tables.offsets.clone_group(from, to, &topic);
            last = cloned.map_err(|e| Error::Value(e.to_string()))?.or(last);
        }
        Ok(last)
    }
}

/// As people read it, at the broker's place: `1970-01-01#08:00:00:000`.
fn date(ms: i64) -> String {
    let local = ms.saturating_add(settings::host::local_offset_ms(ms));
    match jiff::Timestamp::from_millisecond(local) {
        Ok(time) => time.strftime("%Y-%m-%d#%H:%M:%S:%3f").to_string(),
        Err(_) => ms.to_string(),
    }
}
