//! What must hold.

use std::collections::BTreeSet;

use disk::MappedSlice;
use filter::TagFilter;
use message::name;
use message::record::{Check, Entry, View, decode};
use store::{QueueOffset, ReadLimits};

use crate::requests::GROUP;
use crate::world::{End, World, short};

/// A message in a queue.
struct Found {
    queue_offset: i64,
    physical: i64,
    body: String,
}

impl World {
    /// A consumer was given messages: they stay where it saw them.
    pub(crate) fn saw(&mut self, topic: &str, queue_id: i32, body: &[u8]) {
        for view in records(body) {
            let found = found(&view);
            if !self.promises.sent.contains(&found.body) {
                self.fail(&format!(
                    "a consumer was given what nobody sent: {:?}",
                    found.body
                ));
            }
            let place = (topic.to_owned(), queue_id, found.queue_offset);
            self.promises.seen.insert(place, found.body);
        }
    }

    /// After a restart: what was promised is there.
    pub(crate) fn check(&mut self, end: End) {
        self.check_topics();
        self.check_acknowledged();
        self.check_seen();
        self.check_queues(end);
        self.check_offsets();
    }

    fn check_topics(&self) {
        let topics = &self.parts().tables.topics;
        for topic in &self.promises.made {
            if topics.get(topic).is_none() {
                self.fail(&format!("topic {topic} was made, SUCCESS, and is gone"));
            }
        }
        for topic in &self.promises.gone {
            if topics.get(topic).is_some() {
                self.fail(&format!("topic {topic} was deleted, SUCCESS, and is back"));
            }
        }
    }

    fn check_acknowledged(&self) {
        for message in &self.promises.acknowledged {
            if self.promises.is_excused(&message.topic, message.physical) {
                continue;
            }
            if self.parts().tables.topics.get(&message.topic).is_none() {
                let id = short(&message.id);
                self.fail(&format!(
                    "message {id} was acknowledged, and its topic {} is unknown",
                    message.topic
                ));
            }
            if message.is_delayed {
                continue;
            }
            let found = self.read(&message.topic, message.queue_id, message.queue_offset, 1);
            let body = found.first().map(|found| found.body.as_str());
            if body != Some(message.id.as_str()) {
                let (topic, queue_id, offset) = (&message.topic, message.queue_id, message.queue_offset);
                self.fail(&format!(
                    "message {} was acknowledged at {topic} {queue_id} {offset}, physical {}; there is {:?}",
                    short(&message.id),
                    message.physical,
                    body.map(short)
                ));
            }
        }
    }

    fn check_seen(&self) {
        for ((topic, queue_id, offset), id) in &self.promises.seen {
            let found = self.read(topic, *queue_id, *offset, 1);
            let body = found.first().map(|found| found.body.as_str());
            if body != Some(id.as_str()) {
                self.fail(&format!(
                    "a consumer saw {} at {topic} {queue_id} {offset}; there is {:?}",
                    short(id),
                    body.map(short)
                ));
            }
        }
    }

    /// Queues are in order, each place once, and nothing is in them that nobody sent. A gap is where a power cut left
    /// damage between sound records; without one there is none.
    fn check_queues(&self, end: End) {
        for topic in self.topics() {
            for queue_id in self.parts().log.store.queue_ids(&topic) {
                let (min, max) = self.parts().log.store.queue_bounds(&topic, queue_id);
                let mut next = min.0;
                let emptied = self.promises.emptied.get(&topic).copied().unwrap_or(0);
                while next < max.0 {
                    let found = self.read(&topic, queue_id, next, 32);
                    if let Some(old) = found.iter().find(|message| message.physical < emptied) {
                        self.fail(&format!(
                            "{topic} {queue_id}: {} at {} was deleted, SUCCESS, and is back",
                            short(&old.body),
                            old.queue_offset
                        ));
                    }
                    if found.is_empty() && end != End::PowerCut && !self.had_power_cut {
                        self.fail(&format!(
                            "{topic} {queue_id}: nothing at {next}, the end is {}",
                            max.0
                        ));
                    }
                    if found.is_empty() {
                        next += 1;
                    }
                    for message in found {
                        let (at, body) = (message.queue_offset, &message.body);
                        let in_order = at == next || (at > next && self.had_power_cut);
                        if !in_order || !self.promises.sent.contains(body) {
                            let body = short(body);
                            self.fail(&format!(
                                "{topic} {queue_id}: {body:?} at {at} where {next} was asked"
                            ));
                        }
                        next = at + 1;
                    }
                }
            }
        }
    }

    fn topics(&self) -> Vec<String> {
        let topics = self.parts().log.store.topics();
        let mut topics: Vec<String> = topics.iter().map(|topic| topic.to_string()).collect();
        topics.sort();
        topics
    }

    /// Offsets are what was committed once; those of a deleted topic are gone with it.
    fn check_offsets(&self) {
        let offsets = &self.parts().tables.offsets;
        for topic in &self.promises.forgotten {
            if let Some(offset) = (0..2).find_map(|queue_id| offsets.get(GROUP, topic, queue_id)) {
                self.fail(&format!(
                    "topic {topic} was deleted, SUCCESS, and its offset {offset} is back"
                ));
            }
        }
        for ((topic, queue_id), committed) in &self.promises.committed {
            if let Some(offset) = offsets.get(GROUP, topic, *queue_id)
                && !committed.contains(&offset)
            {
                self.fail(&format!(
                    "{topic} {queue_id}: offset {offset} was never committed"
                ));
            }
        }
    }

    /// At the end, with time for everything: delayed messages have been delivered, and those that were sent back are in
    /// the group's topics.
    pub(crate) fn check_delivered(&mut self) {
        let mut by_topic = std::collections::BTreeMap::new();
        for topic in self.topics() {
            let bodies = self.bodies(&topic);
            by_topic.insert(topic, bodies);
        }
        let has = |topic: &str, id: &str| by_topic.get(topic).is_some_and(|bodies| bodies.contains(id));
        for message in self
            .promises
            .acknowledged
            .iter()
            .filter(|message| message.is_delayed)
        {
            let deleted = self.promises.deleted.contains_key(&message.topic);
            if !deleted && !has(&message.topic, &message.id) {
                self.fail(&format!(
                    "delayed message {} was acknowledged and never delivered to {}",
                    short(&message.id),
                    message.topic
                ));
            }
        }
        let (retry, dead) = (name::retry_topic(GROUP), name::dlq_topic(GROUP));
        for id in &self.promises.sent_back {
            if !has(&retry, id) && !has(&dead, id) {
                self.fail(&format!(
                    "message {} was sent back, SUCCESS, and never came again",
                    short(id)
                ));
            }
        }
    }

    fn bodies(&self, topic: &str) -> BTreeSet<String> {
        let store = &self.parts().log.store;
        let mut bodies = BTreeSet::new();
        for queue_id in store.queue_ids(topic) {
            let (min, max) = store.queue_bounds(topic, queue_id);
            let mut next = min.0;
            while next < max.0 {
                let found = self.read(topic, queue_id, next, 32);
                next = found.last().map_or(next, |last| last.queue_offset) + 1;
                bodies.extend(found.into_iter().map(|found| found.body));
            }
        }
        bodies
    }

    fn read(&self, topic: &str, queue_id: i32, offset: i64, max_messages: i32) -> Vec<Found> {
        let mut slices: Vec<MappedSlice> = Vec::new();
        let limits = ReadLimits {
            max_messages,
            max_bytes: i64::MAX,
        };
        let store = &self.parts().log.store;
        let read = store.read(
            topic,
            queue_id,
            QueueOffset(offset),
            limits,
            &TagFilter::All,
            &mut slices,
        );
        if let Err(e) = read {
            self.fail(&format!("{topic} {queue_id} can not be read: {e}"));
        }
        let mut all = Vec::new();
        for slice in &slices {
            all.extend(records(slice).iter().map(found));
        }
        all
    }
}

fn found(view: &View<'_>) -> Found {
    Found {
        queue_offset: view.queue_offset(),
        physical: view.physical_offset(),
        body: String::from_utf8_lossy(view.body()).into_owned(),
    }
}

fn records(bytes: &[u8]) -> Vec<View<'_>> {
    let (mut rest, mut all) = (bytes, Vec::new());
    while let Ok(Entry::Record(view)) = decode(rest, Check::Body) {
        rest = &rest[view.total_len()..];
        all.push(view);
    }
    all
}
