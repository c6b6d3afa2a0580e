//! delayOffset.json names only deliveries that a power cut can not take back.

use std::time::{Duration, Instant};

use broker::settings::FlushDiskType;
use disk::MmapDisk as Disk;
use protocol::code::response;
use serde_json::Value;
use tempfile::TempDir;

use crate::fixture::*;

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
