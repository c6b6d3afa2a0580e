//! What waits for the disk and what does not, on a disk whose syncs wait until the test lets them go.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use broker::settings::{FlushDiskType, Settings};
use cluster::{Answer, Wire, frame};
use disk::MmapDisk as Disk;
use protocol::code::{request, response};
use protocol::header::broker::*;
use tempfile::TempDir;

use crate::fixture::*;

const WAITS: &str = "WAIT\u{1}true\u{2}";
const WAITS_NOT: &str = "WAIT\u{1}false\u{2}";

fn sync_flush(settings: &mut Settings) {
    settings.store.flush_disk_type = FlushDiskType::SyncFlush;
}

/// A broker under SYNC_FLUSH with a topic, and its disk.
async fn fixture() -> (Fixture, Disk) {
    let disk = Disk::default();
    let fixture = Fixture::on_disk(disk.clone(), TempDir::new().unwrap(), sync_flush).await;
    let sent = fixture.send(&to("Topic", 0, WAITS), b"first").await;
    assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    (fixture, disk)
}

fn send(opaque: i32, properties: &str) -> Vec<u8> {
    let fields = [
        ("producerGroup", "p"),
        ("topic", "Topic"),
        ("defaultTopic", "TBW102"),
        ("defaultTopicQueueNums", "4"),
        ("queueId", "0"),
        ("sysFlag", "0"),
        ("bornTimestamp", "1700000000000"),
        ("flag", "0"),
        ("properties", properties),
        ("reconsumeTimes", "0"),
        ("unitMode", "false"),
    ];
    frame(request::SEND_MESSAGE, opaque, &fields, b"body")
}

fn codes(wire: &mut Wire, count: usize) -> Vec<(i64, i32)> {
    let code = |answer: Answer| (answer.opaque(), answer.code() as i32);
    (0..count).map(|_| code(wire.read().unwrap())).collect()
}

/// Runs what waits on sockets and locks.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_does_not_wait_is_answered_before_the_sync_and_others_after_it_in_order() {
    let (fixture, disk) = fixture().await;
    let address = format!("127.0.0.1:{}", fixture.port);
    for together in [true, false] {
        disk.faults().hold_syncs(&fixture.log_dir());
        let frames = [
            send(1, WAITS),
            send(2, WAITS_NOT),
            send(3, ""),
            send(4, WAITS_NOT),
            send(5, WAITS),
        ];
        blocking(|| {
            let mut wire = Wire::connect(&address).unwrap();
            match together {
                true => wire.write(&frames.concat()).unwrap(),
                false => frames.iter().for_each(|frame| wire.write(frame).unwrap()),
            }
            assert_eq!(
                codes(&mut wire, 2),
                [(2, 0), (4, 0)],
                "while the disk is still at it"
            );
            disk.faults().wait_for_held(1);
            disk.faults().mend_syncs();
            assert_eq!(codes(&mut wire, 3), [(1, 0), (3, 0), (5, 0)], "no WAIT is true");
        });
    }
    let found = fixture.pull(&from("Topic", 0, 0)).await;
    assert_eq!(records(&found.body).len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_that_wait_for_one_sync_are_answered_by_it_each_connection_in_its_order() {
    const CONNECTIONS: usize = 4;
    const SENDS: i32 = 100;
    let (fixture, disk) = fixture().await;
    let address = format!("127.0.0.1:{}", fixture.port);
    disk.faults().hold_syncs(&fixture.log_dir());
    let mut wires: Vec<Wire> = (0..CONNECTIONS)
        .map(|_| Wire::connect(&address).unwrap())
        .collect();
    blocking(|| {
        for wire in &mut wires {
            (0..SENDS).for_each(|opaque| wire.write(&send(opaque, WAITS)).unwrap());
        }
        disk.faults().wait_for_held(1);
    });
    let all = CONNECTIONS * SENDS as usize;
    let started = Instant::now();
    // One of them may be what the sync that is held is for: it waits all the same.
    while fixture.runtime().await["sendThreadPoolQueueSize"] != all.to_string() {
        assert!(started.elapsed() < WITHIN, "not all wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    disk.faults().mend_syncs();
    let expected: Vec<_> = (0..SENDS).map(|opaque| (i64::from(opaque), 0)).collect();
    blocking(|| {
        for wire in &mut wires {
            assert_eq!(codes(wire, SENDS as usize), expected);
        }
    });
    assert_eq!(fixture.runtime().await["sendThreadPoolQueueSize"], "0");
}

pub(crate) const SYNC_FLUSH: [&str; 1] = ["syncFlushTimeout"];

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_takes_too_long_is_said_at_the_timeout_and_the_message_is_there_later() {
    let (fixture, disk) = fixture().await;
    let changes = Tested::new(&SYNC_FLUSH);
    for timeout_ms in [600, 200] {
        let change = format!("syncFlushTimeout={timeout_ms}\n");
        changes.set(&fixture, &change).await;
        let end = fixture.pull(&from("Topic", 0, 0)).await;
        let before = records(&end.body).len() as i64;
        disk.faults().hold_syncs(&fixture.log_dir());
        let started = Instant::now();
        let late = fixture.send(&to("Topic", 0, WAITS), b"late").await;
        let took = started.elapsed();
        assert_eq!(late.code, response::FLUSH_DISK_TIMEOUT, "{:?}", late.remark);
        let limit = Duration::from_millis(timeout_ms);
        assert!(
            took >= limit && took < limit + Duration::from_millis(350),
            "{took:?} for {limit:?}"
        );
        // To a client this is a success of a kind: it reads where the message lies.
        let place: SendMessageResponseHeader<'_> = late.header().unwrap();
        assert_eq!((place.queue_id, place.queue_offset), (0, before));
        let unseen = fixture.pull(&from("Topic", 0, before)).await;
        assert_eq!(
            unseen.code,
            response::PULL_NOT_FOUND,
            "a crash could still take it back"
        );

        // Meanwhile there is no room for more.
        let busy = fixture.send(&to("Topic", 0, WAITS), b"busy").await;
        assert_eq!(busy.code, response::SYSTEM_BUSY, "{:?}", busy.remark);

        disk.faults().mend_syncs();
        // The next one comes behind it.
        let waits = PullMessageRequestHeader {
            sys_flag: 6,
            ..from("Topic", 0, before)
        };
        assert_eq!(fixture.pull(&waits).await.code, response::SUCCESS);
        let sent = fixture.send(&to("Topic", 0, WAITS), b"next").await;
        assert_eq!(sent.code, response::SUCCESS);
        let found = fixture.pull(&from("Topic", 0, before)).await;
        let bodies: Vec<_> = records(&found.body)
            .iter()
            .map(|view| view.body().to_vec())
            .collect();
        assert_eq!(bodies, [b"late", b"next"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_sync_that_fails_hears_of_it_at_once() {
    let (fixture, disk) = fixture().await;
    let address = format!("127.0.0.1:{}", fixture.port);
    fixture.set("syncFlushTimeout=60000\n").await;
    disk.faults().hold_syncs(&fixture.log_dir());
    let answers: BTreeMap<i64, i32> = blocking(|| {
        let mut wire = Wire::connect(&address).unwrap();
        (0..100).for_each(|opaque| wire.write(&send(opaque, WAITS)).unwrap());
        disk.faults().wait_for_held(1);
        disk.faults().fail_syncs(&fixture.log_dir());
        codes(&mut wire, 100).into_iter().collect()
    });
    let refused = (0..100).map(|opaque| (opaque, response::SERVICE_NOT_AVAILABLE));
    assert_eq!(answers, refused.collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn under_async_flush_nobody_waits_for_the_disk() {
    let disk = Disk::default();
    let fixture = Fixture::on_disk(disk.clone(), TempDir::new().unwrap(), |s| {
        s.store.flush_interval_commit_log = 10;
        s.store.flush_commit_log_least_pages = 0;
    })
    .await;
    // Makes the log's first file, which is synced once for its length.
    fixture.send(&to("Topic", 0, WAITS), b"x").await;
    disk.faults().hold_syncs(&fixture.log_dir());
    for number in 1..4 {
        let sent = fixture.send(&to("Topic", 0, WAITS), b"x").await;
        assert_eq!(sent.code, response::SUCCESS);
        let found = fixture.pull(&from("Topic", 0, number)).await;
        assert_eq!(records(&found.body).len(), 1, "and it is seen");
    }
    blocking(|| disk.faults().wait_for_held(1));
    disk.faults().mend_syncs();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runtime_info_says_how_long_an_append_has_taken() {
    let disk = Disk::default();
    let fixture = Fixture::on_disk(disk.clone(), TempDir::new().unwrap(), |_| {}).await;
    assert_eq!(fixture.runtime().await["pageCacheLockTimeMills"], "0");
    // The first append makes the log's first file, whose length is synced.
    disk.faults().hold_syncs(&fixture.log_dir());
    let address = format!("127.0.0.1:{}", fixture.port);
    let mut wire = Wire::connect(&address).unwrap();
    blocking(|| {
        wire.write(&send(1, "")).unwrap();
        disk.faults().wait_for_held(1);
    });
    let started = Instant::now();
    while fixture.runtime().await["pageCacheLockTimeMills"]
        .parse::<u32>()
        .unwrap()
        < 20
    {
        assert!(started.elapsed() < WITHIN, "an append is on its way");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    disk.faults().mend_syncs();
    assert_eq!(blocking(|| codes(&mut wire, 1)), [(1, 0)]);
    assert_eq!(fixture.runtime().await["pageCacheLockTimeMills"], "0");
}
