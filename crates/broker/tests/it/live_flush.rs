//! How often and how much is flushed, changed while the broker runs.

use std::path::Path;
use std::time::Duration;

use disk::MmapDisk as Disk;
use protocol::code::response;
use tempfile::TempDir;

use crate::fixture::*;
use crate::name_servers::wait_until;

/// An hour: longer than any test.
const NEVER: i32 = 3_600_000;
/// Many times as long as it takes until what is flushed each ten milliseconds is flushed.
const ROUNDS: Duration = Duration::from_millis(300);

async fn send(fixture: &Fixture) {
    let sent = fixture.send(&to("Topic", 0, ""), b"x").await;
    assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
}

async fn is_flushed(fixture: &Fixture) -> bool {
    fixture.runtime().await["remainHowManyDataToFlush"] == "0 B"
}

/// Fails if the log is flushed within some rounds.
async fn stays_unflushed(fixture: &Fixture) {
    let started = std::time::Instant::now();
    while started.elapsed() < ROUNDS {
        assert!(!is_flushed(fixture).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) const COMMIT_LOG: [&str; 3] = [
    "flushIntervalCommitLog",
    "flushCommitLogLeastPages",
    "flushCommitLogThoroughInterval",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_flushed_by_todays_rules() {
    let fixture = Fixture::new(|s| {
        s.store.flush_interval_commit_log = NEVER;
        s.store.flush_commit_log_thorough_interval = NEVER;
        s.store.flush_commit_log_least_pages = 1_000_000;
    })
    .await;
    let changes = Tested::new(&COMMIT_LOG);
    let flushed = async || wait_until("flushed", WITHIN, async || is_flushed(&fixture).await).await;
    send(&fixture).await;
    stays_unflushed(&fixture).await;
    // The change itself makes the thread look, by the rule of the pages; what comes then is a matter of the interval.
    changes.set(&fixture, "flushIntervalCommitLog=10\n").await;
    stays_unflushed(&fixture).await;
    changes.set(&fixture, "flushCommitLogLeastPages=0\n").await;
    flushed().await;
    send(&fixture).await;
    flushed().await;
    changes.set(&fixture, "flushCommitLogLeastPages=1000000\n").await;
    send(&fixture).await;
    stays_unflushed(&fixture).await;
    changes.set(&fixture, "flushCommitLogThoroughInterval=1\n").await;
    flushed().await;
}

pub(crate) const CONSUME_QUEUE: [&str; 3] = [
    "flushIntervalConsumeQueue",
    "flushConsumeQueueLeastPages",
    "flushConsumeQueueThoroughInterval",
];

/// Notices when files below a directory are synced.
struct Syncs {
    disk: Disk,
    waits: std::thread::JoinHandle<()>,
}

impl Syncs {
    /// From now on.
    fn below(disk: &Disk, dir: &Path) -> Syncs {
        disk.faults().hold_syncs(dir);
        let other = disk.clone();
        let waits = std::thread::spawn(move || other.faults().wait_for_held(1));
        let disk = disk.clone();
        Syncs { disk, waits }
    }

    /// None comes within some rounds.
    async fn none_yet(&self) {
        tokio::time::sleep(ROUNDS).await;
        assert!(!self.waits.is_finished());
    }

    /// One comes.
    fn one(self) {
        tokio::task::block_in_place(|| self.waits.join().unwrap());
        self.disk.faults().mend_syncs();
        tokio::task::block_in_place(|| self.disk.faults().wait_for_none_held());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn consumequeues_are_flushed_by_todays_rules() {
    let disk = Disk::default();
    let fixture = Fixture::on_disk(disk.clone(), TempDir::new().unwrap(), |s| {
        s.store.flush_interval_consume_queue = NEVER;
        s.store.flush_consume_queue_thorough_interval = NEVER;
        s.store.flush_consume_queue_least_pages = 0;
    })
    .await;
    let changes = Tested::new(&CONSUME_QUEUE);
    let queues = fixture.dir.path().join("store/consumequeue");
    // Makes the queue's first file.
    send(&fixture).await;
    let syncs = Syncs::below(&disk, &queues);
    send(&fixture).await;
    syncs.none_yet().await;
    changes.set(&fixture, "flushIntervalConsumeQueue=10\n").await;
    syncs.one();

    changes
        .set(&fixture, "flushConsumeQueueLeastPages=1000000\n")
        .await;
    let syncs = Syncs::below(&disk, &queues);
    // A round that had begun by the old rule ends.
    syncs.none_yet().await;
    send(&fixture).await;
    syncs.none_yet().await;
    changes.set(&fixture, "flushConsumeQueueLeastPages=0\n").await;
    syncs.one();

    changes
        .set(&fixture, "flushConsumeQueueLeastPages=1000000\n")
        .await;
    let syncs = Syncs::below(&disk, &queues);
    syncs.none_yet().await;
    send(&fixture).await;
    syncs.none_yet().await;
    changes
        .set(&fixture, "flushConsumeQueueThoroughInterval=1\n")
        .await;
    syncs.one();
}
