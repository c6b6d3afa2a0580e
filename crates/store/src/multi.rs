//! Multi-dispatch: a message that is in more queues than its own (`enableMultiDispatch`, `enableLmq`).
//!
//! The property INNER_MULTI_DISPATCH names queues, separated by commas. At the append the message gets its index in each,
//! in the property INNER_MULTI_QUEUE_OFFSET, and at reput a unit in each. A light message queue (`%LMQ%…`) is queue 0 of
//! its name, another name stands for the queue of the message's own number (RocketMQ 4.9.8, MultiDispatch).
//!
//! Unlike Java 4.9 and like 5.x, copies that the system makes for itself (retry, delay, half messages) are not dispatched
//! to the named queues: the message would be there twice.

use crate::append::{Illegal, NewRecord, Pending};
use crate::offset::QueueOffset;
use crate::queue::Queue;
use crate::store::Store;
use disk::{Disk, MappedFile};
use message::properties::{self, Ending, names};
use message::record::{Fields, View};
use message::{name, sys_flag};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Digits of the longest queue offset, and a comma.
const OFFSET_LEN: usize = 20;

/// What a record with INNER_MULTI_DISPATCH has besides a plain one.
pub(crate) struct Multi<F> {
    /// The queues it names, and its index in each once it is appended.
    pub(crate) places: Vec<(Arc<Queue<F>>, QueueOffset)>,
    /// Its properties with those indexes.
    pub(crate) text: Vec<u8>,
}

/// Whether messages of a topic are dispatched to the queues they name (5.x, MultiDispatchUtils; unlike there, neither are dead
/// letters and half messages that were given up).
pub(crate) fn is_multi_dispatched(topic: &str) -> bool {
    !topic.starts_with(name::RETRY_PREFIX)
        && !topic.starts_with(name::DLQ_PREFIX)
        && !topic.starts_with(name::SYSTEM_TOPIC_PREFIX)
        && name::may_be_sent_to(topic)
}

/// The number of a queue that a record names.
pub(crate) fn queue_id(name: &str, own: i32, lmq: bool) -> i32 {
    if lmq && name::is_lmq(name) { 0 } else { own }
}

/// The words of a list as Java's `split` gives them: empty ones at its end are none.
fn split(list: &str) -> impl Iterator<Item = &str> {
    list.trim_end_matches(',').split(',')
}

fn list<'a>(text: &'a [u8], property: &str) -> Option<&'a str> {
    properties::get_str(text, property).filter(|list| !list.trim().is_empty())
}

/// The queues a stored record names that can be part of a path, and its index in each.
pub(crate) fn places_of<'a>(view: &View<'a>) -> Vec<(&'a str, i64)> {
    let text = view.properties();
    let (Some(queues), Some(offsets)) = (
        list(text, names::INNER_MULTI_DISPATCH),
        list(text, names::INNER_MULTI_QUEUE_OFFSET),
    ) else {
        return Vec::new();
    };
    if split(queues).count() != split(offsets).count() {
        return Vec::new();
    }
    split(queues)
        .zip(split(offsets))
        .filter_map(|(queue, offset)| Some((queue, offset.parse().ok()?)))
        .filter(|(queue, offset)| (0..i64::MAX / 32).contains(offset) && name::check_any_topic(queue).is_ok())
        .collect()
}

impl<D: Disk> Store<D> {
    /// Finds the queues a new message names; `None` if it names none.
    pub(crate) fn multi_of(
        &self,
        new: &NewRecord<'_>,
        fields: &Fields<'_>,
    ) -> Result<Option<Box<Multi<D::File>>>, Illegal> {
        let Some(queues) = self.check_multi(new, fields)? else {
            return Ok(None);
        };
        let places = queues
            .into_iter()
            .map(|(queue, id)| (self.queues.get_or_new(queue, id), QueueOffset(0)))
            .collect();
        let mut multi = Multi {
            places,
            text: Vec::new(),
        };
        multi.write(new.properties);
        Ok(Some(Box::new(multi)))
    }

    /// The queues a new message names, checked as names and for the length of what the record will say of them; `None` if it
    /// has no such property. Makes nothing.
    pub(crate) fn check_multi<'a>(
        &self,
        new: &NewRecord<'a>,
        fields: &Fields<'_>,
    ) -> Result<Option<Vec<(&'a str, i32)>>, Illegal> {
        let Some(list) = list(new.properties, names::INNER_MULTI_DISPATCH) else {
            return Ok(None);
        };
        let mut queues = Vec::new();
        if is_multi_dispatched(new.topic) && sys_flag::is_queued(new.sys_flag) {
            for queue in split(list) {
                name::check_any_topic(queue)?;
                let id = queue_id(queue, new.queue_id, self.settings.lmq);
                self.check_lmq_number(queue, id)?;
                queues.push((queue, id));
            }
        }
        let most = names::INNER_MULTI_QUEUE_OFFSET.len() + 3 + queues.len() * OFFSET_LEN;
        let len = fields.stored_properties_len() + most;
        if len > properties::MAX_LEN_BYTES {
            return Err(Illegal::Properties { len });
        }
        let (len, max) = (fields.encoded_len() + most, self.live.max_record_bytes());
        if len as i64 > max {
            return Err(Illegal::Record { len, max });
        }
        Ok(Some(queues))
    }

    /// Refuses a light message queue that would be one too many.
    ///
    /// Unlike Java 4.9.8, which means to refuse messages then but looks at another result.
    pub(crate) fn check_lmq_number(&self, topic: &str, id: i32) -> Result<(), Illegal> {
        let max = self.settings.max_lmq_queues;
        if name::is_lmq(topic) && self.queues.lmq_number() >= max && self.queues.get(topic, id).is_none() {
            return Err(Illegal::LmqNumber { max });
        }
        Ok(())
    }

    /// Gives the records of a unit their places in the queues they name. Only under the append lock; false if one of the
    /// queues was deleted meanwhile.
    pub(crate) fn place_multi(&self, unit: &mut [Pending<'_, D::File>]) -> bool {
        // What the queues' next indexes will be: they change only when the unit is written.
        let mut nexts: Vec<(Arc<Queue<D::File>>, i64)> = Vec::new();
        fn next_of<F: MappedFile>(nexts: &[(Arc<Queue<F>>, i64)], queue: &Arc<Queue<F>>) -> i64 {
            let known = nexts.iter().find(|(other, _)| Arc::ptr_eq(other, queue));
            known.map_or_else(|| queue.next.load(Ordering::Relaxed), |(_, next)| *next)
        }
        for record in unit {
            let mut taken = Vec::new();
            if sys_flag::is_queued(record.fields.sys_flag) {
                taken.push((record.queue.clone(), next_of(&nexts, &record.queue) + 1));
            }
            if let Some(multi) = &mut record.multi {
                for (queue, offset) in &mut multi.places {
                    if queue.is_deleted() {
                        return false;
                    }
                    offset.0 = next_of(&nexts, queue);
                    taken.push((queue.clone(), offset.0 + 1));
                }
                multi.write(record.fields.properties);
                record.len = multi.fields(&record.fields).encoded_len();
            }
            for (queue, next) in taken {
                nexts.retain(|(other, _)| !Arc::ptr_eq(other, &queue));
                nexts.push((queue, next));
            }
        }
        true
    }
}

impl<F: MappedFile> Multi<F> {
    /// Writes the properties anew. What a client says about offsets is not kept.
    fn write(&mut self, properties: &[u8]) {
        let offsets: Vec<String> = self.places.iter().map(|(_, offset)| offset.to_string()).collect();
        let offsets = offsets.join(",");
        let ending = match properties.last() {
            Some(&properties::PAIR_SEPARATOR) => Ending::Separator,
            _ => Ending::Bare,
        };
        // Java leaves WAIT out where it writes the text anew.
        let without: &[&str] = match self.places.is_empty() {
            true => &[names::INNER_MULTI_QUEUE_OFFSET],
            false => &[names::INNER_MULTI_QUEUE_OFFSET, names::WAIT],
        };
        let with = [(names::INNER_MULTI_QUEUE_OFFSET, offsets.as_str())];
        self.text.clear();
        properties::rebuild(properties, without, &with, ending, &mut self.text);
    }

    /// The record's fields with its own properties text.
    pub(crate) fn fields<'a>(&'a self, fields: &Fields<'a>) -> Fields<'a> {
        Fields {
            properties: &self.text,
            ..*fields
        }
    }
}
