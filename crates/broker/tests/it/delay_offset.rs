//! delayOffset.json names only deliveries that a power cut can not take back.

use std::path::Path;
use std::time::{Duration, Instant};

use broker::delay::QuietUntil;
use broker::run::Parts;
use broker::settings::{FlushDiskType, Settings};
use disk::MmapDisk as Disk;
use disk::sim::SimDisk;
use protocol::code::response;
use serde_json::Value;
use tempfile::TempDir;

use crate::fixture::*;
use crate::still::{Still, assembled};

/// How often the file is saved here, ms.
const SAVED_EACH: i64 = 100;

impl Fixture {
    /// Deliveries of level 1 that the file names.
    fn delivered_by_the_file(&self) -> i64 {
        let path = self.dir.path().join("store/config/delayOffset.json");
        let Ok(text) = std::fs::read(path) else { return 0 };
        let file: Value = protocol::body::read(&text).unwrap_or_default();
        file["offsetTable"]["1"].as_i64().unwrap_or(0)
    }

    async fn log_end(&self) -> i64 {
        self.runtime().await["commitLogMaxOffset"].parse().unwrap()
    }

    /// Waits until something is so.
    async fn wait_until(&self, what: &str, mut is_so: impl AsyncFnMut(&Fixture) -> bool) {
        let started = Instant::now();
        while !is_so(self).await {
            assert!(started.elapsed() < WITHIN, "{what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn a_delivery_is_named_when_it_is_durable(flush: FlushDiskType) {
    let disk = Disk::default();
    let fixture = Fixture::on_disk(disk.clone(), TempDir::new().unwrap(), |s| {
        s.store.flush_disk_type = flush;
        s.store.flush_delay_offset_interval = SAVED_EACH;
        s.store.flush_interval_commit_log = 10;
        // A delivery alone fills no page, and is not to wait until everything is flushed.
        s.store.flush_commit_log_thorough_interval = i32::MAX;
    })
    .await;
    let sent = fixture.send(&to("Topic", 0, "DELAY\u{1}1\u{2}"), b"late").await;
    assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    let parked = fixture.log_end().await;
    disk.faults().hold_syncs(&fixture.log_dir());
    fixture
        .wait_until("the message is delivered", async |f| f.log_end().await > parked)
        .await;
    // Many times as long as a save takes to come.
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(15 * SAVED_EACH as u64) {
        assert_eq!(
            fixture.delivered_by_the_file(),
            0,
            "the delivery is not on the disk yet"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    disk.faults().mend_syncs();
    fixture
        .wait_until("the delivery is named", async |f| f.delivered_by_the_file() == 1)
        .await;
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_async_flush_a_delivery_is_named_when_it_is_durable() {
    a_delivery_is_named_when_it_is_durable(FlushDiskType::AsyncFlush).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_sync_flush_a_delivery_is_named_when_it_is_durable() {
    a_delivery_is_named_when_it_is_durable(FlushDiskType::SyncFlush).await;
}

/// Ten messages of level 3, which are due after ten seconds.
fn ten_parked() -> Still {
    let broker = Still::new(|_| {});
    for number in 0..10 {
        let sent = broker.send(&to("Topic", 0, "DELAY\u{1}3\u{2}"), &[number]);
        assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    }
    broker
}

fn delivered(parts: &Parts<SimDisk>) -> i64 {
    parts.log.store.queue_max_offset("Topic", 0).0
}

/// A host that boots with its clock hours ahead.
#[test]
fn a_clock_that_is_set_back_keeps_nothing_back() {
    let broker = ten_parked();
    let delivery = &broker.parts.delivery;
    let mut quiet = QuietUntil::default();
    delivery.look(&mut quiet);
    assert_eq!(delivered(&broker.parts), 0);
    assert!(delivery.pause_ms(&quiet) > 0);
    broker.clock.advance(-3_600_000);
    let sent = broker.send(&to("Topic", 0, "DELAY\u{1}3\u{2}"), b"behind");
    assert_eq!(sent.code, response::SUCCESS);
    assert_eq!(delivery.pause_ms(&quiet), 0);
    delivery.look(&mut quiet);
    assert_eq!(
        delivered(&broker.parts),
        10,
        "their time can not be told any more"
    );
    broker.clock.advance(10_000);
    delivery.look(&mut quiet);
    assert_eq!(delivered(&broker.parts), 11);
}

/// Of a file that is not of this log nobody knows what was delivered; what is not due yet was not.
#[test]
fn a_file_ahead_of_its_queue_passes_over_nothing_that_is_not_due() {
    for (waited_ms, first) in [(0, 0), (10_000, 10), (3_600_000, 10)] {
        let broker = ten_parked();
        broker.settle();
        broker.clock.advance(waited_ms);
        let content = br#"{"offsetTable":{3:99999}}"#;
        broker
            .disk
            .put(Path::new("/store/config/delayOffset.json"), content);
        let settings = Settings::clone(&broker.parts.settings.load());
        let again = assembled(settings, &broker.disk.kill(), &broker.clock);
        again.delivery.look(&mut QuietUntil::default());
        broker.clock.advance(10_000);
        again.delivery.look(&mut QuietUntil::default());
        assert_eq!(delivered(&again), 10 - first, "after {waited_ms} ms");
    }
}
