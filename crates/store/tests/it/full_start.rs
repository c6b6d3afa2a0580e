//! A start on a full disk, after a kill: what can be read is served, and messages are taken when there is space again.

use crate::harness::*;
use disk::{SimDisk, SimRandom};
use store::{AppendError, FlushType, PhysicalOffset, Store, StoreSettings};

const TOPICS: [&str; 3] = ["A", "B", "C"];

fn settings() -> StoreSettings {
    StoreSettings {
        // A few units each: the next needs a block of its own.
        consumequeue_file_size: 100,
        ext: false,
        ..small(FlushType::Async)
    }
}

/// What was sent to each topic, in order.
type Sent = Vec<Vec<Vec<u8>>>;

/// A killed broker that had `vouched` of `count` messages in its queues; no unit of the others is on the disk.
fn killed(vouched: usize, count: usize, seed: u64) -> (SimDisk, Sent) {
    let mut random = SimRandom::new(seed);
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    let mut sent: Sent = vec![Vec::new(); TOPICS.len()];
    for number in 0..count {
        let topic = random.below(TOPICS.len() as u64) as usize;
        let body = vec![number as u8; 100 + random.below(900) as usize];
        send(
            &store,
            record(TOPICS[topic], 0, &body, b"KEYS\x01k\x02"),
            NOW + number as i64,
        );
        sent[topic].push(body);
        if number < vouched {
            settle(&store);
        }
        if number + 1 == vouched {
            store.flush_consumequeues(0, true).unwrap();
        }
    }
    (disk.kill(), sent)
}

fn ends(store: &Store<SimDisk>) -> Vec<i64> {
    TOPICS
        .iter()
        .map(|topic| store.queue_max_offset(topic, 0).0)
        .collect()
}

/// All that is there is right.
fn check_prefix(store: &Store<SimDisk>, sent: &Sent) {
    for (topic, sent) in TOPICS.iter().zip(sent) {
        let found = drain(store, topic, 0);
        assert!(sent.starts_with(&found), "{topic}");
    }
}

#[test]
fn the_start_serves_what_has_units_and_takes_messages_when_there_is_space() {
    let mut waited = 0;
    for seed in 0..30 {
        for (vouched, free) in [(0, 0), (0, 4096), (0, 8192), (7, 0), (7, 4096), (20, 0)] {
            let (disk, sent) = killed(vouched, 30, seed);
            disk.set_free(Some(free));
            let (store, report) = open(&disk, &settings());
            check_prefix(&store, &sent);
            let all: Vec<i64> = sent.iter().map(|sent| sent.len() as i64).collect();
            let Some(from) = report.units_wait_from else {
                assert_eq!(ends(&store), all);
                continue;
            };
            waited += 1;
            assert!(ends(&store) != all && store.reput_end().0 == from, "{report:?}");
            let line = "there is no space for the queue units of the last ";
            assert!(
                report.errors().iter().any(|error| error.starts_with(line)),
                "{:?}",
                report.errors()
            );
            let refused = try_send(&store, &[record("A", 0, b"x", b"")], NOW)
                .remove(0)
                .unwrap_err();
            assert!(matches!(refused, AppendError::NoSpace(_)), "{refused}");
            assert!(refused.to_string().contains("wait for space"), "{refused}");
            assert!(!store.health().is_writable() && store.health().problem().is_some());
            assert_eq!(store.max_physical().0, report.log_end);
            // It waits as long as it takes; a kill meanwhile changes nothing.
            store.tick_disk(NOW);
            store.reput(&mut |_| {}).unwrap();
            store.tick_disk(NOW);
            assert!(store.health().units_wait.is_some());
            store.flush_consumequeues(0, true).unwrap();
            let store = match seed % 3 {
                0 => store,
                way => {
                    drop(store);
                    let disk = match way {
                        1 => disk.kill(),
                        _ => disk.crash(seed),
                    };
                    disk.set_free(Some(0));
                    let (store, _) = open(&disk, &settings());
                    disk.set_free(None);
                    store
                }
            };
            disk.set_free(None);
            let mut arrived = 0;
            store.reput(&mut |_| arrived += 1).unwrap();
            assert!(arrived > 0);
            store.tick_disk(NOW);
            assert_eq!((ends(&store), store.health().units_wait), (all.clone(), None));
            check_prefix(&store, &sent);
            for (topic, next) in TOPICS.iter().zip(&all) {
                let sent = send_through(&store, record(topic, 0, b"next", b"KEYS\x01k\x02"), NOW + 100);
                assert_eq!(sent.queue_offset.0, *next, "no offset is given twice");
            }
            store.build_index().unwrap();
            let found = store.query_by_key("A", "k", 64, 0, i64::MAX).unwrap();
            assert_eq!(found.len() as i64, all[0] + 1);
            store.shutdown().unwrap();
        }
    }
    assert!(waited > 50, "{waited}");
}

#[test]
fn a_slave_that_was_started_on_a_full_disk_can_be_cut_and_goes_on() {
    let (disk, sent) = killed(7, 30, 3);
    let replica = StoreSettings {
        replica: true,
        ..settings()
    };
    disk.set_free(Some(0));
    let (store, report) = open(&disk, &replica);
    let from = report.units_wait_from.unwrap();
    let bytes = store.raw(PhysicalOffset(from), 100).unwrap().unwrap();
    let refused = store.append_raw(store.max_physical(), &bytes, NOW).unwrap_err();
    assert!(refused.to_string().contains("wait for space"), "{refused}");
    disk.set_free(None);
    let cut = store.cut_back(PhysicalOffset(from), NOW).unwrap();
    assert!(cut.records > 10, "{cut}");
    store.tick_disk(NOW);
    assert_eq!(store.health().units_wait, None);
    store.append_raw(PhysicalOffset(from), &bytes, NOW).unwrap();
    check_prefix(&store, &sent);
}
