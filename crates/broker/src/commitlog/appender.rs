//! The one way into the commitlog: for sends, messages sent back, delayed messages, and whatever else the broker stores.

use std::net::SocketAddr;
use std::sync::Arc;

use disk::{Clock, Disk};
use ha::{Need, Rule};
use store::{AppendError, Appended, Illegal, NewRecord, Pending, PhysicalOffset, Preparer, Store};

use super::{Acknowledgements, Growth, Reput, Waiter};
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
    /// Wakes the connections of slaves.
    pub growth: Arc<Growth>,
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
        self.growth.grew();
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
        self.append_one(self.store.prepare_copy(record)?, now)
    }

    /// Appends a record by itself.
    pub fn append_new(&self, record: &NewRecord<'_>, now: i64) -> Result<Stored, StoreError> {
        self.append_one(self.store.prepare(record)?, now)
    }

    fn append_one(&self, pending: Pending<'_, D::File>, now: i64) -> Result<Stored, StoreError> {
        let mut pending = [pending];
        self.append(&mut pending, now);
        let [pending] = pending;
        let first = pending.result.unwrap_or(Err(AppendError::ShutDown))?;
        Ok(Stored {
            first,
            end: first.end,
        })
    }

    /// Are there too few brokers in sync for a message that waits for them? Asked before it is stored.
    pub fn has_too_few_in_sync(&self, settings: &Settings) -> bool {
        let Some(rule @ Rule::InSync(_)) = settings.replication_rule() else {
            return false;
        };
        self.acknowledgements.need(rule, self.store.max_physical()) == Need::NotEnough
    }

    /// Up to where records of the broker's own are as safe as an answer would have been: synced and, where a SYNC_MASTER has slaves
    /// that are near enough, replicated.
    pub fn safe_end(&self, settings: &Settings) -> PhysicalOffset {
        let flushed = self.store.flushed();
        let need = settings
            .replication_rule()
            .map(|rule| self.acknowledgements.need(rule, self.store.max_physical()));
        match need {
            Some(Need::Slaves(slaves)) => {
                flushed.min(PhysicalOffset(self.acknowledgements.replicated_to(slaves)))
            }
            _ => flushed,
        }
    }

    /// Gives an answer when its records are as safe as the settings ask; at once if the sender does not want to wait
    /// (`waits` is false), but never before the topic is on disk.
    #[inline]
    pub fn acknowledge(&self, mut waiter: Waiter, waits: bool, settings: &Settings) {
        let sync_flush = settings.is_sync_flush();
        if sync_flush && !waits {
            self.acknowledgements.request_flush();
        }
        waiter.safety.flush = sync_flush && waits;
        if waits && let Some(rule) = settings.replication_rule() {
            match (self.acknowledgements.need(rule, waiter.end), rule) {
                (Need::Nothing, _) => {}
                (Need::Slaves(slaves), _) => waiter.safety.slaves = slaves,
                // They were enough before the append, and may be again in time.
                (Need::NotEnough, Rule::InSync(rule)) => {
                    waiter.safety.slaves = rule.replicas_min.saturating_sub(1)
                }
                (Need::NotEnough | Need::NotAvailable, _) => waiter.answer.no_slave(),
            }
        }
        self.acknowledgements.wait(waiter);
    }
}
