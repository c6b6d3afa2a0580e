//! What is done for a record before any lock is taken: checks, sums, its queue.

use crate::append::{Illegal, NewRecord, Pending};
use crate::index::KeyHashes;
use crate::queue::{Queue, Topic};
use crate::store::Store;
use disk::Disk;
use message::properties::{self, Wanted};
use message::record::{self, Fields, Version};
use message::{hash, name};
use std::sync::Arc;

/// Prepares records one after the other, and remembers topic and queue of the last: those of one request, and mostly those of
/// one read, go to one topic, and each look into the table of topics touches memory that all processors write.
pub struct Preparer<'s, D: Disk> {
    store: &'s Store<D>,
    topic: Option<Arc<Topic<D::File>>>,
    queue: Option<Arc<Queue<D::File>>>,
}

/// How long a record may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// As `maxMessageSize` says.
    Senders,
    /// As a file of the log can hold.
    File,
}

impl<D: Disk> Store<D> {
    /// Checks a message and does everything for it that needs no lock.
    pub fn prepare<'a>(&self, new: &NewRecord<'a>) -> Result<Pending<'a, D::File>, Illegal> {
        self.preparer().prepare(new)
    }

    /// The same for a copy of a record that is stored already. `maxMessageSize` is a limit for senders: where it was lowered
    /// meanwhile, what was taken before is still delivered.
    pub fn prepare_copy<'a>(&self, new: &NewRecord<'a>) -> Result<Pending<'a, D::File>, Illegal> {
        self.preparer()
            .prepare_within(new, &Wanted::of(new.properties), Limit::File)
    }

    /// Whether the store would take a message, were it given to [`Store::prepare`] now. Nothing is made for it, no queue either.
    ///
    /// For a message that is parked in another topic first: what could not be stored in its own topic later is to be refused
    /// while its sender still listens.
    pub fn check_record(&self, new: &NewRecord<'_>) -> Result<(), Illegal> {
        let fields = self.checked_fields(new, Limit::Senders)?;
        name::check_any_topic(new.topic)?;
        if self.settings.multi_dispatch {
            self.check_multi(new, &fields)?;
        }
        Ok(())
    }

    /// The fields of a message without the CRC of its body; refused where a record can not hold them.
    #[inline]
    fn checked_fields<'a>(&self, new: &NewRecord<'a>, limit: Limit) -> Result<Fields<'a>, Illegal> {
        let settings = &self.settings;
        let body_len = new.body.len();
        let max = self.live.max_message_size();
        if limit == Limit::Senders && body_len as i64 > max {
            return Err(Illegal::Body { len: body_len, max });
        }
        if new.queue_id < 0 {
            return Err(Illegal::QueueId(new.queue_id));
        }
        let version = if settings.auto_version {
            Version::for_topic(new.topic)
        } else {
            Version::V1
        };
        let max = if version == Version::V1 {
            name::TOPIC_MAX_LEN
        } else {
            name::RETRY_TOPIC_MAX_LEN
        };
        if new.topic.len() > max {
            return Err(Illegal::Topic {
                len: new.topic.len(),
                max,
            });
        }
        let fields = Fields {
            version,
            topic: new.topic,
            queue_id: new.queue_id,
            flag: new.flag,
            sys_flag: new.sys_flag,
            born_timestamp: new.born_timestamp,
            born_host: new.born_host,
            store_host: new.store_host,
            reconsume_times: new.reconsume_times,
            prepared_transaction_offset: new.prepared_transaction_offset,
            body: new.body,
            body_crc: 0,
            properties: new.properties,
            append_crc: settings.append_crc,
        };
        if fields.stored_properties_len() > properties::MAX_LEN_BYTES {
            return Err(Illegal::Properties {
                len: fields.stored_properties_len(),
            });
        }
        if memchr::memchr(0, new.properties).is_some() {
            return Err(Illegal::PropertiesNul);
        }
        let len = fields.encoded_len();
        let max = match limit {
            Limit::Senders => self.live.max_record_bytes(),
            Limit::File => self.log.file_size - record::BLANK_LEN as i64,
        };
        if len as i64 > max {
            return Err(Illegal::Record { len, max });
        }
        if settings.lmq {
            self.check_lmq_number(new.topic, new.queue_id)?;
        }
        Ok(fields)
    }

    /// The same for several.
    pub fn preparer(&self) -> Preparer<'_, D> {
        Preparer {
            store: self,
            topic: None,
            queue: None,
        }
    }
}

impl<D: Disk> Preparer<'_, D> {
    /// Checks a message and does everything for it that needs no lock.
    pub fn prepare<'a>(&mut self, new: &NewRecord<'a>) -> Result<Pending<'a, D::File>, Illegal> {
        self.prepare_walked(new, &Wanted::of(new.properties))
    }

    /// The same where the caller has walked the properties text and knows what it holds.
    pub fn prepare_walked<'a>(
        &mut self,
        new: &NewRecord<'a>,
        wanted: &Wanted<'_>,
    ) -> Result<Pending<'a, D::File>, Illegal> {
        self.prepare_within(new, wanted, Limit::Senders)
    }

    #[inline]
    fn prepare_within<'a>(
        &mut self,
        new: &NewRecord<'a>,
        wanted: &Wanted<'_>,
        limit: Limit,
    ) -> Result<Pending<'a, D::File>, Illegal> {
        let store = self.store;
        let settings = &store.settings;
        let mut fields = store.checked_fields(new, limit)?;
        if !self.is_last(new.topic) {
            // Callers check names for the client's sake; this is for the file system's.
            name::check_any_topic(new.topic)?;
        }
        fields.body_crc = record::body_crc(new.body);
        let multi = match settings.multi_dispatch {
            true => store.multi_of(new, &fields)?,
            false => None,
        };
        let queue = self.queue(new.topic, new.queue_id);
        let key_hashes = match settings.index {
            true => KeyHashes::of(queue.topic_hash, wanted, new.sys_flag),
            false => Some(KeyHashes::NONE),
        };
        Ok(Pending {
            len: fields.encoded_len(),
            fields,
            encoded: 0..0,
            key_hashes,
            tags_code: wanted.tags.map_or(0, hash::tags_code),
            delay_ms: settings.delay_ms(new.topic, wanted.delay),
            queue,
            joined: new.joined,
            multi,
            place: None,
            result: None,
        })
    }

    fn is_last(&self, topic: &str) -> bool {
        self.topic.as_ref().is_some_and(|last| *last.name == *topic)
    }

    fn queue(&mut self, topic: &str, id: i32) -> Arc<Queue<D::File>> {
        let queues = &self.store.queues;
        let same_topic = self.is_last(topic);
        if let Some(last) = self.queue.as_ref().filter(|last| same_topic && last.id == id) {
            return last.clone();
        }
        if !same_topic {
            self.topic = queues.topic(topic);
        }
        let known = self.topic.as_ref().and_then(|topic| topic.queue(id));
        let queue = known.unwrap_or_else(|| queues.get_or_new(topic, id));
        self.queue.insert(queue).clone()
    }
}
