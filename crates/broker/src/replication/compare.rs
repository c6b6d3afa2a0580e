//! What a slave asks its master and its own log before it copies: [`ha::Comparison`] says what, this module asks it.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use disk::Disk;
use ha::{Comparison, Extent, Outcome, Question};
use message::record::{Check, Entry, decode};
use protocol::body::topic::KvTable;
use protocol::code::{request, response};
use protocol::header::broker::{RuntimeInfoRequestHeader, ViewMessageRequestHeader};
use protocol::{EncodeHeader, Frame};
use remoting::{Body, Client, InvokeError};
use store::{PhysicalOffset, Store};

/// How long a master may take to answer one question: a record may have to come from its disk.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Records behind damage that a master is asked for, each by a request, before that damage is copied from it.
const BEHIND_A_HOLE_MAX: usize = 4096;
/// How the remark of a broker begins that has nothing at an offset, ours and Java's (AdminBrokerProcessor, QueryMessageProcessor).
pub const NOTHING_THERE: &str = "can not find message by the offset";

/// Why the logs could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The master did not answer.
    #[error("{0}")]
    Invoke(#[from] InvokeError),
    /// It answered something else.
    #[error("the master answers request {code} with {answer}: {remark}")]
    Answer {
        /// What was asked.
        code: i32,
        /// Its code.
        answer: i32,
        /// Its remark.
        remark: String,
    },
    /// Its answer lacks what was asked for.
    #[error("the master does not say its {0}")]
    Lacks(&'static str),
    /// Its users can not be users here.
    #[error(
        "the master's users can not be copied: {0} (the credentials of this broker have to be a Super user's there)"
    )]
    Users(String),
    /// A table of it can not be kept here.
    #[error("{0}")]
    Save(#[from] crate::tables::SaveError),
    /// The own log.
    #[error("the log can not be read: {0}")]
    Log(#[from] disk::Error),
    /// What the master has deleted is not deleted here.
    #[error("the topics that the master has deleted: {0}")]
    Deletions(#[from] store::DeleteTopicsError),
    /// Ends of queues are not kept.
    #[error("{0}")]
    QueueEnds(#[from] store::KeepEndsError),
    /// The own log.
    #[error("{0}")]
    Record(#[from] store::RecordAtError),
}

/// Two logs, compared.
pub(super) struct Compared {
    /// How they stand to each other.
    pub(super) outcome: Outcome,
    /// The end of the slave's last whole record; its log's beginning if it has none.
    pub(super) last_end: i64,
    /// As far as the master's log reached.
    pub(super) master: Extent,
    /// A record of the slave's that its disk has damaged, the first that was seen; the master has it.
    pub(super) damage: Option<Range<i64>>,
}

/// A master's log, as a slave can ask about it.
pub trait MasterLog {
    /// Is the broker whose log it is a slave itself?
    fn is_of_slave(&self) -> impl Future<Output = Result<bool, Error>> + Send;

    /// The broker's name, if it says so.
    fn broker_name(&self) -> impl Future<Output = Result<Option<String>, Error>> + Send {
        async { Ok(None) }
    }

    /// How long its files are, bytes, if it says so.
    fn file_len(&self) -> impl Future<Output = Result<Option<i64>, Error>> + Send {
        async { Ok(None) }
    }

    /// How far it reaches.
    fn extent(&self) -> impl Future<Output = Result<Extent, Error>> + Send;

    /// What it has at an offset; nothing if it says that it has nothing there.
    fn record(&self, offset: i64) -> impl Future<Output = Result<Option<Bytes>, Error>> + Send;
}

/// The key under which a broker of ours tells, among its runtime information, how long its log files are, bytes.
pub const LOG_FILE_SIZE: &str = "commitLogFileSize";

/// Asks.
pub(super) struct Comparer<'a, D: Disk, M> {
    /// The slave's log.
    pub(super) store: &'a Arc<Store<D>>,
    /// The master's.
    pub(super) master: &'a M,
}

impl<D: Disk, M: MasterLog> Comparer<'_, D, M> {
    /// Compares the logs.
    pub(super) async fn compare(&self) -> Result<Compared, Error> {
        let own = Extent {
            min: self.store.min_physical().0,
            end: self.store.max_physical().0,
        };
        let master = self.master.extent().await?;
        let files = self.store.files_with_records()?;
        let files: Vec<i64> = files.into_iter().map(|file| file.0).collect();
        let mut comparison = Comparison::new(own, files.clone(), master);
        // Known whatever is asked: where all goes at once, it says what that is.
        let last = self.store.last_record()?;
        let last_end = match last {
            Some(at) => at.0 + self.store.record_at(at)?.len() as i64,
            None => own.min,
        };
        let (mut damage, mut left) = (None, BEHIND_A_HOLE_MAX);
        let outcome = loop {
            match comparison.question() {
                Question::LastRecord => comparison.answer_last_record(last.map(|at| at.0)),
                Question::Records { from, to, at_most } => {
                    let (from, to) = (PhysicalOffset(from), PhysicalOffset(to));
                    let starts = self.store.record_starts(from, to, at_most)?;
                    comparison.answer_records(starts.into_iter().map(|at| at.0).collect());
                }
                Question::Compare { offset } => {
                    let own = self.store.record_at(PhysicalOffset(offset))?;
                    let theirs = self.master.record(offset).await?;
                    match &theirs {
                        // The same bytes lie before both.
                        Some(theirs) if is_damaged_copy(theirs, &own) => {
                            comparison.answer_compare(&own, Some(&own));
                        }
                        Some(theirs) if is_damaged_copy(&own, theirs) => {
                            let here = offset..offset + own.len() as i64;
                            damage = damage
                                .filter(|first: &Range<i64>| first.start < offset)
                                .or(Some(here));
                            comparison.answer_compare(&own, Some(&own));
                        }
                        theirs => comparison.answer_compare(&own, theirs.as_deref()),
                    }
                }
                Question::None(outcome) => match outcome {
                    Outcome::Keep { until } if until < last_end.min(master.end) => {
                        match self.behind_damage(until, last_end, master, &mut left).await? {
                            Some(end) => comparison.step_over(end, files.clone()),
                            None => break outcome,
                        }
                    }
                    _ => break outcome,
                },
            }
        };
        Ok(Compared {
            outcome,
            last_end,
            master,
            damage,
        })
    }

    /// Both logs have the same up to `until`, and this one has records behind it. Where the master has nothing sound there although its log
    /// goes on: the end of what this log has there, if what the master has behind its damage says that it is the same log. That is a record
    /// of both; or the master's log ends where a record of this one does, or has a record there. So many records may be asked for as are
    /// `left`.
    async fn behind_damage(
        &self,
        until: i64,
        last_end: i64,
        master: Extent,
        left: &mut usize,
    ) -> Result<Option<i64>, Error> {
        // This file of the own log may end there.
        let Some(mut at) = self.next_record(PhysicalOffset(until), last_end)? else {
            return Ok(None);
        };
        if at > until && self.has_record_at(until).await? {
            return Ok(None);
        }
        while *left > 0 && at < last_end.min(master.end) {
            *left -= 1;
            let own = self.store.record_at(PhysicalOffset(at))?;
            let theirs = self.master.record(at).await?;
            let theirs = theirs.as_deref();
            if theirs.is_some_and(|theirs| theirs == &*own || is_damaged_copy(theirs, &own)) {
                return Ok(Some(at));
            }
            let behind = PhysicalOffset(at + own.len() as i64);
            if let Some(theirs) = theirs.filter(|theirs| is_record_at(theirs, at)) {
                // One whose end is damaged. At the end of the log it may have come only in part, to a slave that was made the master then:
                // for what it lacks no sum vouches.
                if !are_of_one_place(theirs, &own) || behind.0 >= master.end {
                    return Ok(None);
                }
            }
            // Over the end of a file, too.
            at = match self.next_record(behind, last_end)? {
                Some(next) => next,
                None => last_end,
            };
        }
        let is_end = at == master.end || at == last_end && self.has_record_at(at).await?;
        Ok(is_end.then_some(at))
    }

    /// Where this log has its first record at or behind `from`, and before `until`.
    fn next_record(&self, from: PhysicalOffset, until: i64) -> Result<Option<i64>, Error> {
        let file_len = self.store.settings().commitlog_file_size;
        let next_file = from.0 - from.0.rem_euclid(file_len) + file_len;
        for from in [from.0, next_file] {
            if from < until {
                // No more is read of the log than that.
                let starts = self
                    .store
                    .record_starts(PhysicalOffset(from), PhysicalOffset(from + 1), 1)?;
                if let Some(first) = starts.first() {
                    return Ok(Some(first.0));
                }
            }
        }
        Ok(None)
    }

    /// Does the master have a sound record where this log has damage?
    pub(super) async fn has_record_at(&self, at: i64) -> Result<bool, Error> {
        let theirs = self.master.record(at).await?;
        Ok(theirs.is_some_and(|bytes| is_record_at(&bytes, at)))
    }

    /// Does the master have each record that this log has behind the start of `part`? Not looked at where there are more than
    /// [`BEHIND_A_HOLE_MAX`].
    pub(super) async fn has_all_behind(&self, part: Range<i64>) -> Result<bool, Error> {
        let file_len = self.store.settings().commitlog_file_size;
        let mut behind = Vec::new();
        for first in self.store.files_with_records()? {
            let next = first.0 - first.0.rem_euclid(file_len) + file_len;
            if next <= part.start || first.0 >= part.end {
                continue;
            }
            let until = PhysicalOffset(next.min(part.end));
            let starts = self.store.record_starts(first, until, BEHIND_A_HOLE_MAX + 1)?;
            behind.extend(starts.into_iter().filter(|at| at.0 > part.start));
            if behind.len() > BEHIND_A_HOLE_MAX {
                return Ok(false);
            }
        }
        for at in behind {
            if !self.has_record_at(at.0).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Does what this log has behind its last record at `end`, a part of a record, begin the master's record there?
    pub(super) async fn has_part_of(&self, end: i64) -> Result<bool, Error> {
        let most = usize::try_from(self.store.settings().max_record_bytes()).unwrap_or(usize::MAX);
        let Some(part) = self.store.raw(PhysicalOffset(end), most)? else {
            return Ok(true);
        };
        if end + (part.len() as i64) < self.store.max_physical().0 {
            return Ok(false);
        }
        let theirs = self.master.record(end).await?;
        Ok(theirs.is_some_and(|record| record.starts_with(&part)))
    }
}

/// Is this a sound record that lies there?
fn is_record_at(bytes: &[u8], at: i64) -> bool {
    match decode(bytes, Check::Body) {
        Ok(Entry::Record(view)) => view.at(at).is_ok(),
        _ => false,
    }
}

/// Are these the bytes of the sound record `own` that a bad disk has changed? Where the body is damaged, where the record lies, when and by whom it
/// was made and stored, and what its body was say that they are the same. Elsewhere there is no sum: one bit apart is no other record either,
/// whichever of the two is damaged.
fn is_damaged_copy(theirs: &[u8], own: &[u8]) -> bool {
    let is_sound = |bytes| decode(bytes, Check::Body).is_ok();
    if own.len() != theirs.len() || !is_sound(own) {
        return false;
    }
    let bits = own
        .iter()
        .zip(theirs)
        .map(|(own, theirs)| (own ^ theirs).count_ones());
    if bits.sum::<u32>() == 1 {
        return true;
    }
    !is_sound(theirs) && are_of_one_place(theirs, own)
}

/// Do two records say that they lie in one place, and were made and stored at once by the same brokers? Behind their bodies they may differ:
/// where a copy ended within the record, or a bad disk has changed it.
fn are_of_one_place(theirs: &[u8], own: &[u8]) -> bool {
    let of = |bytes| match decode(bytes, Check::Lengths) {
        Ok(Entry::Record(view)) => Some((
            (view.physical_offset(), view.queue_id(), view.queue_offset()),
            (view.store_timestamp(), view.born_timestamp()),
            (view.store_host(), view.born_host()),
            view.body_crc(),
        )),
        _ => None,
    };
    of(own).is_some_and(|own| of(theirs) == Some(own))
}

/// A master that is asked over the network: by GET_BROKER_CONFIG, GET_BROKER_RUNTIME_INFO and VIEW_MESSAGE_BY_ID.
pub(super) struct AskedMaster<'a> {
    /// To the master.
    pub(super) client: &'a Client,
    /// `host:port` where it answers requests.
    pub(super) address: &'a str,
}

impl AskedMaster<'_> {
    /// One of its settings.
    async fn setting(&self, name: &str) -> Result<Option<String>, Error> {
        let answer = answer(self.client, self.address, request::GET_BROKER_CONFIG, &()).await?;
        let text = String::from_utf8_lossy(&answer.body);
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        let value = lines.find_map(|(key, value)| (key == name).then(|| value.trim().to_owned()));
        Ok(value)
    }
}

impl MasterLog for AskedMaster<'_> {
    async fn is_of_slave(&self) -> Result<bool, Error> {
        let role = self.setting("brokerRole").await?;
        Ok(role.ok_or(Error::Lacks("brokerRole"))? == "SLAVE")
    }

    async fn broker_name(&self) -> Result<Option<String>, Error> {
        self.setting("brokerName").await
    }

    async fn file_len(&self) -> Result<Option<i64>, Error> {
        // A master of ours says what its files are. Java's does not start on files that are not as its settings say.
        // Asked before the connection is made, and as one who says what it has: nothing of this connection yet.
        let as_slave = RuntimeInfoRequestHeader {
            has_topics: Some(Cow::Borrowed("0 0")),
            ..RuntimeInfoRequestHeader::default()
        };
        let table = runtime_info(self.client, self.address, &as_slave).await?;
        let len = match table.table.get(LOG_FILE_SIZE) {
            Some(len) => Some(len.clone()),
            None => self.setting("mappedFileSizeCommitLog").await?,
        };
        Ok(len.and_then(|len| len.parse().ok()))
    }

    async fn extent(&self) -> Result<Extent, Error> {
        let table = runtime_info(self.client, self.address, &RuntimeInfoRequestHeader::default()).await?;
        let number = |name: &'static str| {
            let value = table.table.get(name).and_then(|value| value.parse::<i64>().ok());
            value.ok_or(Error::Lacks(name))
        };
        Ok(Extent {
            min: number("commitLogMinOffset")?.max(0),
            end: number("commitLogMaxOffset")?,
        })
    }

    async fn record(&self, offset: i64) -> Result<Option<Bytes>, Error> {
        let code = request::VIEW_MESSAGE_BY_ID;
        let header = ViewMessageRequestHeader { offset };
        let asked = self
            .client
            .invoke(self.address, code, &header, Body::Empty, ANSWER_WITHIN);
        let answer = asked.await?;
        let remark = answer.remark.as_deref().unwrap_or_default();
        match answer.code {
            response::SUCCESS => Ok(Some(answer.body.clone())),
            response::SYSTEM_ERROR if remark.starts_with(NOTHING_THERE) => Ok(None),
            other => Err(Error::Answer {
                code,
                answer: other,
                remark: remark.to_owned(),
            }),
        }
    }
}

/// GET_BROKER_RUNTIME_INFO.
pub(super) async fn runtime_info(
    client: &Client,
    address: &str,
    header: &RuntimeInfoRequestHeader<'_>,
) -> Result<KvTable, Error> {
    body_of(client, address, request::GET_BROKER_RUNTIME_INFO, header).await
}

/// The body of a broker's answer to a request that has neither header nor body.
pub(super) async fn body<T: serde::de::DeserializeOwned>(
    client: &Client,
    address: &str,
    code: i32,
) -> Result<T, Error> {
    body_of(client, address, code, &()).await
}

/// The same with a header.
pub(super) async fn body_of<T: serde::de::DeserializeOwned>(
    client: &Client,
    address: &str,
    code: i32,
    header: &(dyn EncodeHeader + Sync),
) -> Result<T, Error> {
    let answer = answer(client, address, code, header).await?;
    read_of(code, &answer)
}

/// A list, which a broker that has none leaves out.
pub(super) async fn list<T: serde::de::DeserializeOwned>(
    client: &Client,
    address: &str,
    code: i32,
) -> Result<Vec<T>, Error> {
    let answer = answer(client, address, code, &()).await?;
    match answer.body.is_empty() {
        true => Ok(Vec::new()),
        false => read_of(code, &answer),
    }
}

/// A broker's answer, which is SUCCESS, to a request without a body.
pub(super) async fn answer(
    client: &Client,
    address: &str,
    code: i32,
    header: &(dyn EncodeHeader + Sync),
) -> Result<Frame, Error> {
    let answer = client
        .invoke(address, code, header, Body::Empty, ANSWER_WITHIN)
        .await?;
    success(code, answer)
}

/// The same to a request that has a body.
pub(super) async fn answer_to(
    client: &Client,
    address: &str,
    code: i32,
    header: &(dyn EncodeHeader + Sync),
    body: Bytes,
) -> Result<Frame, Error> {
    let answer = client
        .invoke(address, code, header, Body::Bytes(body), ANSWER_WITHIN)
        .await?;
    success(code, answer)
}

fn success(code: i32, answer: Frame) -> Result<Frame, Error> {
    match answer.code {
        response::SUCCESS => Ok(answer),
        other => Err(Error::Answer {
            code,
            answer: other,
            remark: answer.remark.as_deref().unwrap_or_default().to_owned(),
        }),
    }
}

fn read_of<T: serde::de::DeserializeOwned>(code: i32, answer: &Frame) -> Result<T, Error> {
    protocol::body::read(&answer.body).map_err(|e| Error::Answer {
        code,
        answer: answer.code,
        remark: e.to_string(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use message::record::{Fields, Place, Version};

    fn record(store_timestamp: i64, body: &[u8]) -> Vec<u8> {
        let host = ([127, 0, 0, 1], 10911).into();
        let fields = Fields {
            version: Version::V1,
            topic: "T",
            queue_id: 3,
            flag: 0,
            sys_flag: 0,
            born_timestamp: 1_700_000_000_000,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body,
            body_crc: message::record::body_crc(body),
            properties: b"",
            append_crc: false,
        };
        let mut bytes = vec![0; fields.encoded_len()];
        let place = Place {
            physical_offset: 4096,
            queue_offset: 7,
            store_timestamp,
        };
        fields.encode(place, &mut bytes);
        bytes
    }

    /// The master has a record whose bit has flipped, wherever that is; a slave that took it would lose the only sound copy.
    #[test]
    fn a_bit_apart_is_damage_and_another_message_is_none() {
        let own = record(1_700_000_000_123, b"paid");
        for bit in 0..own.len() * 8 {
            let mut theirs = own.clone();
            theirs[bit / 8] ^= 1 << (bit % 8);
            assert!(is_damaged_copy(&theirs, &own), "bit {bit}");
        }
        for other in [
            record(1_700_000_000_120, b"paid"),
            record(1_700_000_000_123, b"left"),
            record(1_700_000_000_123, b"paid more"),
            own.clone(),
        ] {
            assert!(!is_damaged_copy(&other, &own));
        }
    }

    #[test]
    fn a_body_of_many_damaged_bytes_is_damage_and_the_own_one_is_the_masters_to_heal() {
        let own = record(1_700_000_000_123, &[7; 300]);
        let mut theirs = own.clone();
        theirs[150..250].fill(0);
        assert!(is_damaged_copy(&theirs, &own));
        assert!(!is_damaged_copy(&own, &theirs));
        // Of what is behind the body there is no sum.
        let mut theirs = own.clone();
        let topic = theirs.len() - 3;
        theirs[topic..].fill(0);
        assert!(!is_damaged_copy(&theirs, &own) && are_of_one_place(&theirs, &own));
    }
}
