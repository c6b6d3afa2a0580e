//! The one way into the commitlog: for sends, messages sent back, delayed messages, and whatever else the broker stores.

use std::net::SocketAddr;
use std::sync::Arc;

use disk::{Clock, Disk};
use protocol::code::response;
use store::{AppendError, Appended, Illegal, NewRecord, Pending, PhysicalOffset, Preparer, Store};

use super::{Acknowledgements, Reput, Waiter};
use crate::settings::Settings;
use crate::stats::Stats;

/// Appends records, has queues built for them, and owns what their acknowledgement waits for. Cheap to share.
pub struct Appender<D: Disk> {
    /// The log.
    pub store: Arc<Store<D>>,
    /// Builds queues.
    pub reput: Arc<Reput<D>>,
    /// Who waits for safety.
    pub acknowledgements: Arc<Acknowledgements>,
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// brokerIP1:listenPort, written into every record.
    pub store_host: SocketAddr,
}

/// Where the records of one request are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The first one.
    pub first: Appended,
    /// The byte after the last one.
    pub end: PhysicalOffset,
}

/// Why a record of the broker's own is not stored.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum StoreError {
    #[error("{0}")]
    Illegal(#[from] Illegal),
    #[error("{0}")]
    Append(#[from] AppendError),
}

impl<D: Disk> Appender<D> {
    /// Prepares records, with no lock held.
    pub fn preparer(&self) -> Preparer<'_, D> {
        self.store.preparer()
    }

    /// Appends all of `pending` under the commitlog's one short lock, each with its own result, and has queues built for
    /// what is visible by that. Under SYNC_FLUSH nothing new is visible yet: the flush thread does it after its sync.
    pub fn append(&self, pending: &mut [Pending<'_, D::File>], now: i64) {
        self.store.append(pending, now);
        let took_ms = (self.clock.now_ms() - now).max(0) as u64;
        if !self.settings.load().is_sync_flush() {
            self.reput.some(pending.len());
        }
        // Before the answers: who has one may ask for the counters.
        let (records, bytes) = pending
            .iter()
            .filter(|record| matches!(record.result, Some(Ok(_))))
            .fold((0, 0), |(records, bytes), record| {
                (records + 1, bytes + record.record_len() as u64)
            });
        self.stats.stored(records, bytes, took_ms);
    }

    /// Appends a copy of a record that is stored already.
    pub fn append_copy(&self, record: &NewRecord<'_>, now: i64) -> Result<Stored, StoreError> {
        let mut pending = [self.store.prepare_copy(record)?];
        self.append(&mut pending, now);
        let [pending] = pending;
        let first = pending.result.unwrap_or(Err(AppendError::ShutDown))?;
        Ok(Stored {
            first,
            end: first.end,
        })
    }

    /// Gives an answer when its records are as safe as the settings ask; at once if the sender does not want to wait
    /// (`waits` is false), but never before the topic is on disk.
    #[inline]
    pub fn acknowledge(&self, waiter: Waiter, waits: bool, settings: &Settings) {
        let sync_flush = settings.is_sync_flush();
        if sync_flush && !waits {
            self.acknowledgements.request_flush();
        }
        self.acknowledgements.wait(waiter, sync_flush && waits);
    }

    /// The code of an answer whose record is safe on this broker: whether it is where else it should be.
    pub fn replicated_code(waits: bool, settings: &Settings) -> i32 {
        // No slave is connected to this release: a SYNC_MASTER says so, as Java's does, and has stored the message.
        match waits && settings.is_sync_master() {
            true => response::SLAVE_NOT_AVAILABLE,
            false => response::SUCCESS,
        }
    }
}
