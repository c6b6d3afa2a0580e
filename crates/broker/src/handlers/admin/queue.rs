//! QUERY_CONSUME_QUEUE (321): the units of a queue, as they are.
//!
//! Rules: RocketMQ 4.9.8, AdminBrokerProcessor.queryConsumeQueue.

use std::sync::Arc;

use disk::Disk;
use filter::{Filter, Verdict};
use protocol::body::operator::{ConsumeQueueContent, ConsumeQueueUnit};
use protocol::code::response;
use protocol::header::broker::QueryConsumeQueueRequestHeader;
use remoting::{Body, Request};
use serde::Serialize;
use store::{QueueOffset, QueueUnit, Store, UnitExtension};

use super::{Error, refuse};
use crate::clients::Consumers;
use crate::lane::MayWait;
use crate::tables::filters::{FilterTable, is_tag_type};

/// Most units of one answer. Java has no limit but the file's, which no frame holds.
const UNITS_MAX: i32 = 10_000;

/// What the handler needs.
pub struct ConsumeQueue<D: Disk> {
    /// The queues.
    pub store: Arc<Store<D>>,
    /// What connected groups want.
    pub consumers: Arc<Consumers>,
    /// What they want by expressions that are no tags.
    pub filters: Arc<FilterTable>,
}

/// The extension of a unit, as Java writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Extension {
    bit_map_size: usize,
    msg_store_time: i64,
    size: usize,
    tags_code: i64,
}

/// Bytes of an extension but for its bitmap.
const EXTENSION_BYTES: usize = 20;

impl<D: Disk> ConsumeQueue<D> {
    /// QUERY_CONSUME_QUEUE.
    pub fn query(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let header = match frame.header::<QueryConsumeQueueRequestHeader<'_>>() {
            Ok(header) => header,
            Err(e) => return refuse(responder, &Error::Header(e)),
        };
        let topic = header.topic.as_deref().unwrap_or_default();
        let (queue_id, index) = (header.queue_id.unwrap_or(0), header.index.unwrap_or(0));
        let Some((min, max)) = self.store.existing_queue_bounds(topic, queue_id) else {
            let error = Error::Value(format!("{queue_id}@{topic} is not exist!"));
            return refuse(responder, &error);
        };
        let mut content = ConsumeQueueContent {
            max_queue_index: max.0,
            min_queue_index: min.0,
            ..ConsumeQueueContent::default()
        };
        let subscription = header.consumer_group.as_deref().and_then(|group| {
            let view = self.consumers.view(group, topic);
            let subscription = view.and_then(|view| view.subscription);
            content.filter_data = Some(match &subscription {
                None => format!("{group}@{topic} is not online!"),
                Some(_) => self.filters.describe(topic, group),
            });
            subscription
        });
        content.subscription_data = subscription.as_ref().map(|wanted| wanted.data.clone());
        let count = header.count.unwrap_or(0).clamp(0, UNITS_MAX);
        let units = match index {
            _ if index < min.0 || index >= max.0 => Ok(None),
            _ => self.store.queue_units(topic, queue_id, QueueOffset(index), count),
        };
        match units {
            Ok(Some(units)) => {
                let filter =
                    subscription.and_then(|wanted| match is_tag_type(&wanted.data.expression_type) {
                        true => Some(Arc::clone(&wanted.filter)),
                        false => {
                            let found = self.filters.find(topic, header.consumer_group.as_deref()?);
                            found.map(|found| found.filter as Arc<dyn Filter>)
                        }
                    });
                let of = |unit: QueueUnit| described(&unit, filter.as_deref());
                content.queue_data = units.into_iter().map(of).collect();
                responder.body(&content);
            }
            // As in Java a success.
            Ok(None) => {
                let remark = format!("Index {index} of {queue_id}@{topic} is not exist!");
                responder.reply(response::SUCCESS, Some(&remark), &(), Body::Empty);
            }
            Err(e) => refuse(responder, &Error::Value(e.to_string())),
        }
    }
}

fn described(unit: &QueueUnit, filter: Option<&dyn Filter>) -> ConsumeQueueUnit {
    let mut described = ConsumeQueueUnit {
        physic_offset: unit.physical.0,
        physic_size: unit.size,
        tags_code: unit.tags_code,
        ..ConsumeQueueUnit::default()
    };
    match &unit.extension {
        UnitExtension::None => {}
        UnitExtension::Lost => {
            described.msg = Some(format!("Cq extend not exist!addr: {}", unit.tags_code));
        }
        UnitExtension::Found {
            tags_code,
            store_timestamp,
            bitmap,
        } => {
            let extension = Extension {
                bit_map_size: bitmap.len(),
                msg_store_time: *store_timestamp,
                size: EXTENSION_BYTES + bitmap.len(),
                tags_code: *tags_code,
            };
            described.extend_data_json = serde_json::to_string(&extension).ok();
            if !bitmap.is_empty() {
                described.bit_map = Some(digits(bitmap));
            }
            let verdict = filter.map(|filter| filter.by_extension(*tags_code, *store_timestamp, bitmap));
            described.eval = verdict.is_some_and(|verdict| verdict != Verdict::Unwanted);
        }
    }
    described
}

/// A bitmap as Java shows it: the last byte first, the highest bit first, a line for each eight bytes.
fn digits(bitmap: &[u8]) -> String {
    let mut out = String::with_capacity(bitmap.len() * 9);
    for (at, byte) in bitmap.iter().enumerate().rev() {
        out.push_str(&format!("{byte:08b}"));
        if at % 8 == 0 {
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::digits;

    #[test]
    fn a_bitmap_is_shown_as_java_does() {
        assert_eq!(digits(&[1]), "00000001\n");
        let long = digits(&[1, 0, 0, 0, 0, 0, 0, 0, 128]);
        assert_eq!(long, format!("10000000\n{}00000001\n", "0".repeat(56)));
    }
}
