//! The log: its marks, its disk, its flushes; how it was recovered; replication.

use std::sync::Arc;
use std::time::Duration;

use disk::{Clock, Disk};
use metrics::{Exposition, Source};
use settings::Live;
use store::{RecoveryReport, Store};

use crate::commitlog::{Acknowledgements, Flusher};
use crate::lane::Lanes;
use crate::replication::{Link, SlaveServer};
use crate::settings::Settings;

/// Labels of 5.x for everything that is stored.
const STORED: [(&str, &str); 2] = [("storage_medium", "disk"), ("storage_type", "local")];

/// What a start found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recovered {
    took: Duration,
    clean: bool,
    read_bytes: i64,
    records: u64,
    damaged_bytes: u64,
}

impl Recovered {
    /// Of the opening of the store, which took so long.
    pub fn of(report: &RecoveryReport, took: Duration) -> Self {
        Self {
            took,
            clean: report.clean,
            read_bytes: report.log_end - report.scan_start,
            records: report.records,
            damaged_bytes: report.damage.bytes,
        }
    }
}

/// Tells of the log.
pub struct LogTold<D: Disk> {
    /// Settings that may change at run time.
    pub settings: Arc<Live<Settings>>,
    /// The store.
    pub store: Arc<Store<D>>,
    /// Flushes.
    pub flusher: Arc<Flusher<D>>,
    /// Who waits for them.
    pub acknowledgements: Arc<Acknowledgements>,
    /// Who waits for the disk.
    pub lanes: Lanes,
    /// How it was opened.
    pub recovered: Recovered,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl<D: Disk> Source for LogTold<D> {
    fn write(&self, to: &mut Exposition<'_>) {
        self.marks(to);
        self.disk(to);
        self.flushes(to);
        self.recovery(to);
        self.queues(to);
    }
}

impl<D: Disk> LogTold<D> {
    fn marks(&self, to: &mut Exposition<'_>) {
        let store = &self.store;
        let max = store.max_physical().0;
        let behind = |mark: i64| (max - mark).max(0) as f64;
        to.gauge(
            "rocketmq_storage_flush_behind_bytes",
            "Bytes of the log that are not flushed.",
        )
        .value(&STORED, behind(store.flushed().0));
        to.gauge(
            "rocketmq_storage_dispatch_behind_bytes",
            "Bytes of the log that have no consumequeue units.",
        )
        .value(&STORED, behind(store.reput_end().0));
        let mut family = to.gauge(
            "rocketmq_storage_watermark_bytes",
            "Positions of the log: its begin and end, and how far it is flushed, visible, dispatched and acknowledged by a slave.",
        );
        for (mark, at) in [
            ("begin", store.min_physical().0),
            ("end", max),
            ("flushed", store.flushed().0),
            ("visible", store.visible().0),
            ("dispatched", store.reput_end().0),
            ("replicated", self.acknowledgements.replicated_to(1)),
        ] {
            let [medium, kind] = STORED;
            family.value(&[medium, kind, ("watermark", mark)], at as f64);
        }
        to.gauge(
            "rocketmq_storage_writable",
            "1: messages are taken; 0: the disk is full or has failed.",
        )
        .value(&STORED, f64::from(u8::from(store.health().is_writable())));
    }

    fn disk(&self, to: &mut Exposition<'_>) {
        let root = self.settings.load().store.store_path_root_dir.clone();
        if let Ok(usage) = self.store.disk().usage(root.as_ref()) {
            to.gauge(
                "rocketmq_storage_size_bytes",
                "Used bytes of the file system of the store.",
            )
            .value(&STORED, usage.used as f64);
            to.gauge(
                "rocketmq_storage_available_bytes",
                "Bytes of the file system of the store that may still be used.",
            )
            .value(&STORED, usage.available as f64);
        }
        if let Some(time) = self.store.earliest_log_time() {
            let age = (self.clock.now_ms() - time).max(0);
            to.gauge(
                "rocketmq_storage_message_reserve_time_milliseconds",
                "Age of the oldest message.",
            )
            .value(&STORED, age as f64);
        }
    }

    fn flushes(&self, to: &mut Exposition<'_>) {
        let figures = &self.flusher.figures;
        if let Some(view) = figures.bytes.view() {
            to.histogram(
                "rocketmq_storage_flush_size_bytes",
                "Bytes of the log that one sync made durable.",
            )
            .view(&STORED, &view, 1.0);
        }
        if let Some(view) = figures.times_us.view() {
            to.histogram("rocketmq_storage_flush_time_seconds", "How long a sync took.")
                .view(&STORED, &view, 1e6);
        }
        if let Some(view) = figures.answers.view() {
            to.histogram(
                "rocketmq_storage_group_commit_requests",
                "Requests that waited for the same sync.",
            )
            .view(&STORED, &view, 1.0);
        }
    }

    fn recovery(&self, to: &mut Exposition<'_>) {
        let Recovered {
            took,
            clean,
            read_bytes,
            records,
            damaged_bytes,
        } = self.recovered;
        for (name, help, value) in [
            (
                "rocketmq_recovery_seconds",
                "How long the store took to be opened.",
                took.as_secs_f64(),
            ),
            (
                "rocketmq_recovery_clean",
                "1: the last stop was clean.",
                f64::from(u8::from(clean)),
            ),
            (
                "rocketmq_recovery_read_bytes",
                "Bytes of the log that were read to open the store.",
                read_bytes as f64,
            ),
            (
                "rocketmq_recovery_records",
                "Records that were read to open the store.",
                records as f64,
            ),
            (
                "rocketmq_recovery_damaged_bytes",
                "Bytes that were stepped over because they are damaged.",
                damaged_bytes as f64,
            ),
        ] {
            to.gauge(name, help).value(&STORED, value);
        }
    }

    /// 5.x's queues before its pools; what is alike here, and nothing for pools that have no like.
    fn queues(&self, to: &mut Exposition<'_>) {
        let lanes = &self.lanes;
        let mut family = to.gauge(
            "rocketmq_processor_watermark",
            "Requests that wait to be served or answered.",
        );
        for (processor, waiting) in [
            ("send", self.acknowledgements.len()),
            ("async_put", 0),
            ("pull", lanes.pull.look().0),
            ("ack", 0),
            ("query_message", lanes.search.look().0),
            ("client_manager", 0),
            ("heartbeat", 0),
            ("lite_pull", 0),
            ("transaction", 0),
            ("consumer_manager", 0),
            ("admin", lanes.admin.look().0),
            ("reply", 0),
        ] {
            family.value(&[("processor", processor)], waiting as f64);
        }
    }
}

/// Tells how slaves, or this slave, stand.
pub struct ReplicationTold<D: Disk> {
    /// The store.
    pub store: Arc<Store<D>>,
    /// The slaves of this broker.
    pub slaves: Arc<SlaveServer<D>>,
    /// How this broker stands to its master.
    pub link: Arc<Link>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl<D: Disk + Clone> Source for ReplicationTold<D> {
    fn write(&self, to: &mut Exposition<'_>) {
        let end = self.store.max_physical().0;
        let mut family = to.gauge(
            "rocketmq_replication_slave_behind_bytes",
            "Bytes of the log that a slave has not acknowledged.",
        );
        for slave in self.slaves.slaves() {
            let behind = (end - slave.acknowledged).max(0);
            family.value(&[("slave", slave.address.as_str())], behind as f64);
        }
        to.gauge(
            "rocketmq_replication_slave_connections",
            "Slaves that are connected.",
        )
        .value(&[], self.slaves.connected().0 as f64);
        to.counter(
            "rocketmq_replication_slaves_refused_total",
            "Connections of slaves that were refused.",
        )
        .value(&[], self.slaves.refused() as f64);
        let link = self.link.state();
        let now = self.clock.now_ms();
        if let Some(behind) = link.behind(end, now) {
            to.gauge(
                "rocketmq_replication_master_behind_bytes",
                "Bytes of its master's log that this slave does not have; left out while nobody knows.",
            )
            .value(&[], behind as f64);
        }
        if link.was_behind(end, now).is_some() {
            to.gauge(
                "rocketmq_replication_master_connected",
                "1: the master is connected.",
            )
            .value(&[], f64::from(u8::from(link.since_ms.is_some())));
        }
    }
}
