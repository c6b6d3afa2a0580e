//! A slave knows where queues end whose messages have expired.

use crate::harness::*;
use disk::SimDisk;
use std::collections::BTreeMap;
use store::{FlushType, PhysicalOffset, QueueEnds, QueueOffset, Store, StoreSettings};

fn replica() -> StoreSettings {
    StoreSettings {
        replica: true,
        ..small(FlushType::Async)
    }
}

/// Of the first topics only the queues know how many messages there were.
fn expired() -> Store<SimDisk> {
    let (store, _) = open(&SimDisk::new(), &small(FlushType::Async));
    for _ in 0..50 {
        send_through(&store, record("Expired", 3, &[1; 100], b""), NOW);
    }
    for _ in 0..7 {
        send_through(&store, record("Goes-on", 0, &[2; 100], b""), NOW);
    }
    for _ in 0..200 {
        send_through(&store, record("Other", 0, &[3; 500], b""), NOW);
    }
    store.delete_expired_soon();
    store.tick_retention(NOW + 73 * 3_600_000).unwrap();
    assert!(store.min_physical().0 > 0);
    store
}

fn copy(master: &Store<SimDisk>, slave: &Store<SimDisk>) {
    let mut at = slave.max_physical().max(master.min_physical());
    while at < master.max_physical() {
        let bytes = master.raw(at, usize::MAX).unwrap().expect("the master has it");
        at = slave.append_raw(at, &bytes, NOW).unwrap().end;
        settle(slave);
    }
}

fn ends(told: &[(&str, i32, i64)]) -> QueueEnds {
    let mut ends = QueueEnds::new();
    for (topic, id, end) in told {
        let topic = ends.entry((*topic).to_owned()).or_default();
        topic.insert(*id, QueueOffset(*end));
    }
    ends
}

#[test]
fn no_offset_is_given_twice_after_a_takeover() {
    for clean in [true, false] {
        let master = expired();
        let disk = SimDisk::new();
        let (slave, _) = open(&disk, &replica());
        copy(&master, &slave);
        let begin = slave.min_physical();
        let told = master.ends_before(begin);
        assert_eq!(told, ends(&[("Expired", 3, 50), ("Goes-on", 0, 7)]));
        // What comes behind an end before it is kept finds its own place.
        send_through(&master, record("Goes-on", 0, b"new", b""), NOW);
        copy(&master, &slave);
        assert_eq!(slave.keep_ends(&told).unwrap(), 1);
        assert_eq!(slave.keep_ends(&told).unwrap(), 0);
        let same = |slave: &Store<SimDisk>| {
            for (topic, id) in [("Expired", 3), ("Goes-on", 0), ("Other", 0)] {
                assert_eq!(
                    slave.queue_max_offset(topic, id),
                    master.queue_max_offset(topic, id)
                );
                assert_eq!(
                    drain_places(slave, topic, id),
                    drain_places(&master, topic, id),
                    "{topic}"
                );
            }
        };
        same(&slave);
        if clean {
            slave.shutdown().unwrap();
        }
        drop(slave);
        let (slave, report) = open(&disk.crash(1), &small(FlushType::Async));
        assert_eq!(report.errors(), [""; 0], "{clean}: {report:?}");
        same(&slave);
        let appended = send_through(&slave, record("Expired", 3, b"next", b""), NOW);
        assert_eq!(appended.queue_offset, QueueOffset(50));
        assert_eq!(drain(&slave, "Expired", 3), [b"next"]);
    }
}

/// What follows is the log's to tell.
#[test]
fn ends_are_told_of_queues_that_the_log_does_not_know() {
    let master = expired();
    let begin = master.min_physical();
    send_through(&master, record("Expired", 3, b"new", b""), NOW);
    assert_eq!(master.ends_before(begin), ends(&[("Goes-on", 0, 7)]));
    assert_eq!(master.ends_before(PhysicalOffset(0)), QueueEnds::new());
    master.delete_topic("Goes-on").unwrap();
    assert_eq!(master.ends_before(begin), QueueEnds::new());
}

#[test]
fn ends_that_can_not_be_are_not_kept() {
    let disk = SimDisk::new();
    let (slave, _) = open(&disk, &replica());
    let told = ends(&[("../T", 0, 5), ("T", -1, 5), ("T", 0, -5), ("T", 1, i64::MAX)]);
    assert_eq!(slave.keep_ends(&told).unwrap(), 0);
    assert_eq!(slave.topics(), [] as [std::sync::Arc<str>; 0]);
    // A full disk is an error, and the next call does it.
    disk.set_free(Some(0));
    let told: QueueEnds = [("T".to_owned(), BTreeMap::from([(0, QueueOffset(5))]))].into();
    slave.keep_ends(&told).unwrap_err();
    disk.set_free(None);
    assert_eq!(slave.keep_ends(&told).unwrap(), 1);
    assert_eq!(slave.queue_bounds("T", 0), (QueueOffset(5), QueueOffset(5)));
}
