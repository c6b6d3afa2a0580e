//! The page of state that SIGQUIT asks for.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use disk::Disk;

use super::Parts;

/// What the page is made of.
pub struct State<D: Disk> {
    pub(super) started: Instant,
    pub(super) parts: Arc<Parts<D>>,
    pub(super) task_panics: Arc<AtomicU64>,
}

impl<D: Disk> State<D> {
    /// The page: what the kernel says of the process, and where log, queues, clients and limits are.
    pub fn page(&self) -> String {
        let mut page = process::page(self.started);
        let parts = &self.parts;
        let settings = parts.settings.snapshot();
        // Writing to a String cannot fail. A support bundle knows its broker by this line.
        let _ = writeln!(
            page,
            "broker {}, store {}",
            settings.own_name(),
            settings.store.store_path_root_dir
        );
        let (store, now) = (&parts.log.store, parts.clock.now_ms());
        let health = store.health().problem();
        let answers = &parts.log.appender.acknowledgements;
        let _ = writeln!(
            page,
            "commitlog from {} to {}, flushed to {}, queues built to {}",
            store.min_physical().0,
            store.max_physical().0,
            store.flushed().0,
            store.reput_end().0
        );
        let _ = writeln!(page, "store health {}", health.as_deref().unwrap_or("OK"));
        let _ = writeln!(
            page,
            "{} sends wait for a flush, the first for {} ms; {} pulls wait for messages",
            answers.len(),
            answers.head_wait_ms(now),
            parts.hold.len()
        );
        let checks = &parts.checks;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let _ = writeln!(
            page,
            "transactions: {} half messages not looked at, {} asked for, {} without a producer to ask, {} given up",
            checks.open(),
            count(&checks.asked),
            count(&checks.unasked),
            count(&checks.given_up)
        );
        let lanes = &parts.handlers.lanes;
        for lane in [&lanes.admin, &lanes.search, &lanes.pull] {
            let (here, wait) = lane.look();
            let name = lane.budget().name();
            let _ = writeln!(
                page,
                "lane {name}: {here} requests, the oldest for {} ms",
                wait.as_millis()
            );
        }
        for level in parts.limits.levels() {
            let _ = writeln!(page, "limit {}: {level}", level.name);
        }
        let traffic = &parts.limits.traffic;
        let (network, held) = (&traffic.metrics, traffic.room.held());
        let _ = writeln!(page, "network: {network}, {held} bytes of requests held");
        let _ = writeln!(page, "{} slow requests", network.slow.count());
        let panics = self.task_panics.load(Ordering::Relaxed);
        let _ = writeln!(page, "{panics} panics of tasks");
        page
    }
}
