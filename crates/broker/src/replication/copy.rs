//! A master's log, as its slave copies it, without the socket: what was read goes in, reports come out.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use disk::{Clock, Disk};
use ha::{Ends, Outcome, Promise, Slave, SlaveClose, SlaveSettings, Stop};
use store::{PhysicalOffset, Store};

use super::compare::{self, Comparer, MasterLog};
use super::{Link, LogDamage, RoleHistory};
use crate::commitlog::{Acknowledgements, Reput};
use crate::settings::Settings;
use crate::tables::save;

/// Why nothing is copied.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum CopyError {
    #[error("the logs can not be compared: {0}")]
    Compare(#[from] compare::Error),
    #[error("the broker there is a slave itself")]
    NoMaster,
    #[error(
        "the broker there is {theirs}, and this one a slave of {own}: brokerName is another, or haMasterAddress is of another broker"
    )]
    OtherName { theirs: String, own: String },
    #[error("the log can not be synced: {0}")]
    Latched(#[from] store::Latched),
    #[error("{0}")]
    Stop(#[from] Stop),
    #[error("the log can not be cut: {0}")]
    Cut(#[from] store::CutBackError),
    #[error("{0}")]
    History(#[from] crate::tables::SaveError),
    #[error("{0}")]
    Protocol(#[from] SlaveClose),
    #[error("what came can not be appended: {0}")]
    Append(#[from] store::RawError),
}

impl CopyError {
    /// Whether it stays so until somebody does something.
    pub(super) fn needs_somebody(&self) -> bool {
        !matches!(
            self,
            CopyError::Compare(_) | CopyError::NoMaster | CopyError::Protocol(_)
        )
    }
}

/// What copying needs.
pub struct CopyParts<D: Disk> {
    /// The copy.
    pub store: Arc<Store<D>>,
    /// The disk that the history of roles lies on.
    pub disk: D,
    /// Builds queues of what came.
    pub reput: Arc<Reput<D>>,
    /// Has the log synced.
    pub acknowledgements: Arc<Acknowledgements>,
    /// Settings.
    pub settings: Arc<settings::Live<Settings>>,
    /// What this broker acknowledged as a master.
    pub history: Arc<RoleHistory>,
    /// How it stands.
    pub link: Arc<Link>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl<D: Disk> CopyParts<D> {
    /// Compares the log with that of the master at `peer`, and cuts from this one what the master has not.
    ///
    /// # Errors
    /// The logs do not agree.
    pub async fn agree(&self, master: &impl MasterLog, peer: IpAddr) -> Result<(), CopyError> {
        // Name servers may not know yet that it was made a slave: of its log nobody has said that it is to be followed.
        if master.is_of_slave().await? {
            return Err(CopyError::NoMaster);
        }
        let own = &self.settings.load().broker.broker_name;
        if let Some(theirs) = master.broker_name().await?
            && theirs != *own
        {
            let own = own.clone();
            return Err(CopyError::OtherName { theirs, own });
        }
        if self.store.max_physical().0 == 0 {
            return Ok(());
        }
        // What is compared is durable, and under SYNC_FLUSH readable.
        self.store.flush(0)?;
        let comparer = Comparer {
            store: &self.store,
            master,
        };
        let compared = comparer.compare().await?;
        let now = self.clock.now_ms();
        self.link
            .note(|link| link.master_end = Some((compared.master.end, now)));
        let end = self.store.max_physical().0;
        let until = match compared.outcome {
            Outcome::Keep { until } => until,
            Outcome::BeginAnew | Outcome::NothingInCommon => 0,
        };
        // A connection may have been lost within a record.
        let is_same =
            until == end || until == compared.last_end && until > 0 && comparer.has_part_of(until).await?;
        if !is_same {
            let reigns = self.history.reigns();
            let most = self.settings.load().store.ha_cut_max_bytes;
            compared
                .outcome
                .allowed(compared.last_end, most, &reigns, &peer.to_string())?;
        }
        if let Some(damage) = &compared.damage {
            self.history.note_hole(damage);
        }
        let damage = self.damage_to_fill(&comparer, compared.master.min..until).await?;
        let to = match damage {
            None if is_same => return Ok(()),
            None => until,
            Some(at) => at,
        };
        if compared.outcome == Outcome::BeginAnew {
            tracing::warn!(
                "replication: the master's log begins at {}, behind all that this broker has, which ends at {end}: it has none of that any more, as when \
                 it has expired there, and this log is begun anew",
                compared.master.min
            );
        } else if !is_same && until < compared.last_end {
            tracing::warn!(
                "replication: the master has another log from {until} on; what this broker has from there to {end} is cut"
            );
        }
        let cut = self.store.cut_back(PhysicalOffset(to), now)?;
        if damage.is_some() {
            tracing::warn!("replication: the log has damage at {to} and is copied from there on anew: {cut}");
        } else if until < compared.last_end {
            tracing::warn!("replication: {cut}");
        }
        self.note_cut(to, now)
    }

    /// Damage that the master can fill: in `common`, from where its log begins to where both logs part. It has what follows, and so
    /// all that is cut.
    async fn damage_to_fill(
        &self,
        comparer: &Comparer<'_, D, impl MasterLog>,
        common: Range<i64>,
    ) -> Result<Option<i64>, CopyError> {
        let LogDamage { holes, copied } = self.history.damage();
        let holes: Vec<i64> = holes.into_iter().filter(|at| common.contains(at)).collect();
        // A master that has damage there itself may lack what this log has behind its own, and may have less damage.
        if let Some(first) = holes.first()
            && (comparer.has_record_at(*first).await? || comparer.has_all_behind(*first..common.end).await?)
        {
            return Ok(Some(*first));
        }
        // Otherwise each connection to the master whose damage it is would copy it again.
        let copied = copied.into_keys().filter(|at| common.contains(at));
        let mut places: Vec<i64> = holes.into_iter().chain(copied).collect();
        places.sort_unstable();
        for at in places {
            if comparer.has_record_at(at).await? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    fn note_cut(&self, at: i64, now: i64) -> Result<(), CopyError> {
        self.history.cut(at);
        self.link.note(|link| link.cuts += 1);
        save(self.history.as_ref(), &self.disk, now)?;
        Ok(())
    }

    /// A connection over which the log is copied, from its end on.
    pub fn begin(self: &Arc<Self>) -> LogCopy<D> {
        let settings = self.settings.load();
        let now = self.clock.now_ms();
        LogCopy {
            is_sync: settings.is_sync_flush(),
            slave: Slave::new(self.slave_settings(&settings), self.store.max_physical().0, now),
            parts: Arc::clone(self),
            report: [0; 8],
            reported: 8,
            is_unbuilt: false,
        }
    }

    fn slave_settings(&self, settings: &Settings) -> SlaveSettings {
        let s = &settings.store;
        SlaveSettings {
            file_len: self.store.settings().commitlog_file_size,
            promise: match settings.is_sync_flush() {
                true => Promise::Synced,
                false => Promise::Appended,
            },
            heartbeat_ms: i64::from(s.ha_send_heartbeat_interval),
            housekeeping_ms: i64::from(s.ha_housekeeping_interval),
        }
    }
}

/// One connection to the master.
pub struct LogCopy<D: Disk> {
    parts: Arc<CopyParts<D>>,
    slave: Slave,
    /// Only what is synced is reported.
    pub(super) is_sync: bool,
    /// The last report, and how much of it is written: it goes whole before the next one is made.
    report: [u8; ha::wire::REPORT_LEN],
    reported: usize,
    /// Something was appended whose units nobody has been asked for.
    is_unbuilt: bool,
}

impl<D: Disk> LogCopy<D> {
    /// Appends what was read. It is to be reported before anything is built of it ([`LogCopy::build`]): senders wait for that.
    ///
    /// # Errors
    /// The connection is to be closed.
    pub fn append(&mut self, mut read: &[u8]) -> Result<(), CopyError> {
        let parts = &self.parts;
        let now = parts.clock.now_ms();
        let len = read.len() as u64;
        while let Some(run) = self.slave.next(&mut read, now)? {
            let new = parts.store.append_raw(PhysicalOffset(run.at), run.bytes, now)?;
            if let Some(damaged) = new.damage {
                let at = damaged.start;
                tracing::warn!("replication: the log of the master has damage at {at}, which is copied");
                parts.history.note_copied_damage(damaged);
            }
            self.is_unbuilt = true;
        }
        parts.link.note(|link| {
            link.read_ms = now;
            link.read_bytes += len;
            // It may have needed somebody until now.
            link.stopped = None;
        });
        Ok(())
    }

    /// Has queues built for what was appended.
    pub fn build(&mut self) {
        if !std::mem::take(&mut self.is_unbuilt) {
            return;
        }
        let parts = &self.parts;
        // Under SYNC_FLUSH the flush thread makes it visible, when it is synced.
        if self.is_sync {
            return parts.acknowledgements.request_flush();
        }
        parts.reput.all();
        parts.reput.wake();
    }

    /// What is to be written of a report now, and how far the log was synced when that was decided.
    ///
    /// # Errors
    /// The connection is to be closed.
    pub fn report(&mut self) -> Result<(&[u8], PhysicalOffset), CopyError> {
        let synced = self.parts.store.flushed();
        if self.reported == self.report.len() {
            let ends = Ends {
                appended: self.parts.store.max_physical().0,
                synced: synced.0,
            };
            if let Some(due) = self.slave.report(ends, self.parts.clock.now_ms())? {
                (self.report, self.reported) = (due, 0);
            }
        }
        Ok((self.report.get(self.reported..).unwrap_or_default(), synced))
    }

    /// So many bytes of it are written.
    pub fn wrote(&mut self, bytes: usize) {
        self.reported += bytes;
        let now = self.parts.clock.now_ms();
        self.parts.link.note(|link| link.write_ms = now);
    }

    /// When to look again if nothing happens, ms since 1970.
    pub fn wait_until_ms(&self) -> i64 {
        self.slave.wait_until_ms()
    }
}
