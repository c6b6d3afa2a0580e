//! A topic that was deleted stays so, whatever the queues are built from.

use crate::harness::*;
use disk::{Disk, SimDisk, SimRandom};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::{FlushType, PhysicalOffset, Store, StoreSettings};

/// A master whose log has lost nothing.
const BEGINNING: PhysicalOffset = PhysicalOffset(0);

fn settings() -> StoreSettings {
    small(FlushType::Async)
}

/// Ways for queues to be built from the log.
fn lose(disk: &SimDisk, what: &str) {
    for path in disk.paths() {
        if path.starts_with(Path::new("/store").join(what)) {
            disk.take(&path);
        }
    }
}

const DERIVED: [&str; 4] = ["nothing", "checkpoint", "consumequeue", "queueCheckpoint"];

fn fill(store: &Store<SimDisk>, body: &[u8], count: usize) {
    for _ in 0..count {
        send_through(store, record("T", 0, body, b""), NOW);
        send_through(store, record("Other", 0, b"other", b""), NOW);
    }
}

#[test]
fn a_deleted_topic_stays_deleted_after_a_kill() {
    for lost in DERIVED {
        for saved in [false, true] {
            let disk = SimDisk::new();
            let (store, _) = open(&disk, &settings());
            fill(&store, b"old", 20);
            if saved {
                store.flush_consumequeues(0, true).unwrap();
            }
            store.delete_topic("T").unwrap();
            drop(store);
            let mut disk = disk.kill();
            lose(&disk, lost);
            for _ in 0..2 {
                let (store, report) = open(&disk, &settings());
                assert_eq!(store.queue_ids("T"), [] as [i32; 0], "{lost} {saved}: {report:?}");
                let errors = report.errors();
                assert!(
                    !errors.iter().any(|line| line.contains(" T ")),
                    "{lost} {saved}: {errors:?}"
                );
                assert_eq!(drain(&store, "Other", 0).len(), 20);
                drop(store);
                disk = disk.kill();
            }
            let (store, _) = open(&disk, &settings());
            fill(&store, b"new", 3);
            assert_eq!(drain(&store, "T", 0), [b"new", b"new", b"new"]);
        }
    }
}

#[test]
fn a_topic_that_was_made_again_has_its_new_messages_only() {
    for lost in DERIVED {
        let disk = SimDisk::new();
        let (store, _) = open(&disk, &settings());
        fill(&store, b"first", 20);
        store.delete_topic("T").unwrap();
        fill(&store, b"second", 7);
        store.delete_topic("T").unwrap();
        fill(&store, b"third", 4);
        drop(store);
        let disk = disk.kill();
        lose(&disk, lost);
        let (store, report) = open(&disk, &settings());
        assert_eq!(drain(&store, "T", 0), vec![b"third"; 4], "{lost}: {report:?}");
        assert_eq!((report.taken_places, report.errors().len()), (0, 0), "{report:?}");
        assert_eq!(
            send_through(&store, record("T", 0, b"third", b""), NOW)
                .queue_offset
                .0,
            4
        );
        store.shutdown().unwrap();
        drop(store);
        let disk = disk.kill();
        lose(&disk, lost);
        assert_eq!(drain(&open(&disk, &settings()).0, "T", 0).len(), 5, "{lost}");
    }
}

#[test]
fn what_waits_for_its_unit_when_its_topic_is_deleted_gets_none() {
    let disk = SimDisk::new();
    let sync = StoreSettings {
        multi_dispatch: true,
        lmq: true,
        ..small(FlushType::Sync)
    };
    let (store, _) = open(&disk, &sync);
    // More than are kept in memory: some are read from the log.
    let body = [1; 10];
    for _ in 0..900 {
        let records = [record("T", 0, &body, b"INNER_MULTI_DISPATCH\x01%LMQ%a"); 10];
        try_send(&store, &records, NOW);
    }
    store.delete_topic("T").unwrap();
    store.delete_topic("%LMQ%a").unwrap();
    let light = record("Other", 0, b"new", b"INNER_MULTI_DISPATCH\x01%LMQ%a");
    send_through(&store, light, NOW);
    settle(&store);
    assert_eq!(store.queue_ids("T"), [] as [i32; 0]);
    assert_eq!(drain(&store, "%LMQ%a", 0), [b"new"]);
    assert_eq!(store.reput_end(), store.max_physical());
}

#[test]
fn a_power_cut_brings_no_deleted_topic_back() {
    for seed in 0..300 {
        let mut random = SimRandom::new(seed);
        let disk = SimDisk::new();
        let (store, _) = open(&disk, &settings());
        fill(&store, b"old", 1 + random.below(40) as usize);
        if random.one_in(2) {
            store.flush_consumequeues(0, true).unwrap();
        }
        if random.one_in(2) {
            store.flush(0).unwrap();
        }
        store.delete_topic("T").unwrap();
        let again = random.below(4) as usize;
        fill(&store, b"new", again);
        if random.one_in(2) {
            store.flush_consumequeues(0, true).unwrap();
        }
        drop(store);
        let disk = disk.crash(seed);
        let (store, report) = open(&disk, &settings());
        let found = drain(&store, "T", 0);
        assert!(
            found.len() <= again && found.iter().all(|body| body == b"new"),
            "seed {seed}: {found:?} {report:?}"
        );
        // Where the log was cut before the deletion, new messages lie where the deleted ones were.
        fill(&store, b"new", 2);
        store.flush(0).unwrap();
        drop(store);
        let disk = disk.kill();
        lose(&disk, "checkpoint");
        let (store, report) = open(&disk, &settings());
        assert_eq!(
            drain(&store, "T", 0).len(),
            found.len() + 2,
            "seed {seed}: {report:?}"
        );
    }
}

#[test]
fn the_log_is_durable_up_to_the_position_of_a_deletion() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    send(&store, record("T", 0, b"old", b""), NOW);
    store.reput(&mut |_| {}).unwrap();
    let end = store.max_physical();
    assert!(store.flushed() < end);
    store.delete_topic("T").unwrap();
    assert_eq!(store.flushed(), end);
    for seed in 0..20 {
        let (store, _) = open(&disk.crash(seed), &settings());
        assert_eq!((store.max_physical(), store.queue_ids("T").len()), (end, 0));
    }
}

#[test]
fn notes_of_deletions_go_with_what_they_are_about() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    let path = Path::new("/store/deletedTopics");
    fill(&store, &[0; 500], 20);
    store.delete_topic("T").unwrap();
    let names_it = || disk.content(path).unwrap().windows(2).any(|bytes| bytes == b" T");
    assert!(names_it());
    fill(&store, &[0; 500], 60);
    store.delete_expired_soon();
    store.tick_retention(NOW + 73 * 3_600_000).unwrap();
    assert!(!names_it());
    // A new log begins at 0 again: what was noted of the old one does not count there.
    store.delete_topic("T").unwrap();
    drop(store);
    let disk = disk.kill();
    lose(&disk, "commitlog");
    let accepting = StoreSettings {
        accept_missing_log: true,
        ..settings()
    };
    let (store, _) = open(&disk, &accepting);
    fill(&store, b"new", 3);
    drop(store);
    let disk = disk.kill();
    disk.remove_file(Path::new("/store/checkpoint")).unwrap();
    assert_eq!(drain(&open(&disk, &accepting).0, "T", 0).len(), 3);
}

#[test]
fn a_damaged_file_of_notes_is_told() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    fill(&store, b"old", 2);
    store.delete_topic("T").unwrap();
    drop(store);
    let disk = disk.kill();
    crate::damage::patch(&disk, "/store/deletedTopics", 0, b"9");
    let (_store, report) = open(&disk, &settings());
    assert!(
        report.errors()[0].starts_with("deletedTopics is damaged"),
        "{report:?}"
    );
}

/// A slave that has been given all of a master's log, and reputs it.
fn slave_of(master: &Store<SimDisk>, slave: &Store<SimDisk>) {
    let mut at = slave.max_physical();
    while at < master.max_physical() {
        let bytes = master.raw(at, usize::MAX).unwrap().expect("the master has it");
        at = slave.append_raw(at, &bytes, NOW).unwrap().end;
        settle(slave);
    }
}

fn replica() -> StoreSettings {
    StoreSettings {
        replica: true,
        ..settings()
    }
}

/// What a slave does when it hears of its master's deletions, sooner or later: then it has what the master has.
#[test]
fn a_slave_deletes_a_topic_where_its_master_has() {
    for lost in DERIVED {
        for made_anew in [0, 7, 40] {
            let (master, _) = open(&SimDisk::new(), &settings());
            let disk = SimDisk::new();
            let (slave, _) = open(&disk, &replica());
            fill(&master, b"old", 20);
            send_through(
                &master,
                record("Other", 0, b"named", b"INNER_MULTI_DISPATCH\x01%LMQ%x\x02"),
                NOW,
            );
            slave_of(&master, &slave);
            slave.flush_consumequeues(0, true).unwrap();
            master.delete_topic("T").unwrap();
            master.delete_topic("%LMQ%x").unwrap();
            fill(&master, b"new", made_anew);
            slave_of(&master, &slave);
            // The checkpoint vouches for the queues as they were.
            slave.flush_consumequeues(0, true).unwrap();
            let same = |slave: &Store<SimDisk>, when: &str| {
                for topic in ["T", "Other", "%LMQ%x"] {
                    assert_eq!(
                        drain_places(slave, topic, 0),
                        drain_places(&master, topic, 0),
                        "{topic} {when}"
                    );
                    assert_eq!(
                        slave.queue_max_offset(topic, 0),
                        master.queue_max_offset(topic, 0),
                        "{topic} {when}"
                    );
                }
            };
            let deleted = master.deleted_topics();
            let done = slave.match_deletions(&deleted, BEGINNING).unwrap();
            assert_eq!(done.deleted, ["%LMQ%x", "T"]);
            let again = slave.match_deletions(&deleted, BEGINNING).unwrap();
            assert_eq!(again, store::MatchedDeletions::default());
            same(&slave, "at once");
            fill(&master, b"later", 3);
            slave_of(&master, &slave);
            same(&slave, "and goes on");
            drop(slave);
            let disk = disk.kill();
            lose(&disk, lost);
            let (slave, report) = open(&disk, &replica());
            settle(&slave);
            same(&slave, &format!("after a kill without {lost}: {report:?}"));
            assert_eq!(report.taken_places, 0, "{lost}: {report:?}");
        }
    }
}

/// A full disk on the way leaves nothing that another call does not mend.
#[test]
fn a_slaves_deletion_that_finds_no_space_is_made_again() {
    let (master, _) = open(&SimDisk::new(), &settings());
    fill(&master, b"old", 20);
    master.delete_topic("T").unwrap();
    fill(&master, b"new", 5);
    let deleted = master.deleted_topics();
    let disk = SimDisk::new();
    let (slave, _) = open(&disk, &replica());
    slave_of(&master, &slave);
    disk.set_free(Some(0));
    let refused = slave.match_deletions(&deleted, BEGINNING).unwrap_err();
    assert!(
        !matches!(
            refused,
            store::DeleteTopicsError::Delete(store::DeleteTopicError::Latched(_))
        ),
        "{refused}"
    );
    disk.set_free(None);
    let done = slave.match_deletions(&deleted, BEGINNING).unwrap();
    assert_eq!(done.deleted, ["T"]);
    assert_eq!(drain_places(&slave, "T", 0), drain_places(&master, "T", 0));
}

/// The records of a topic that its master has deleted further on come to the slave, which knows: no place is given twice.
#[test]
fn a_slave_that_knows_of_a_deletion_ahead_gives_what_is_before_it_no_place() {
    for lost in DERIVED {
        for had in [0, 5, 20] {
            let (master, _) = open(&SimDisk::new(), &settings());
            let disk = SimDisk::new();
            let (slave, _) = open(&disk, &replica());
            fill(&master, b"old", had);
            slave_of(&master, &slave);
            slave.flush_consumequeues(0, true).unwrap();
            fill(&master, b"old", 20 - had);
            let before = master.max_physical();
            master.delete_topic("T").unwrap();
            let deleted = master.deleted_topics();
            fill(&master, b"new", 7);
            let done = slave.match_deletions(&deleted, BEGINNING).unwrap();
            assert_eq!(done.deleted, ["T"]);
            assert_eq!(slave.queue_max_offset("T", 0).0, 0);
            let mut at = slave.max_physical();
            while at < before {
                let most = (before.0 - at.0) as usize;
                let bytes = master.raw(at, most).unwrap().expect("the master has it");
                at = slave.append_raw(at, &bytes, NOW).unwrap().end;
                settle(&slave);
            }
            assert_eq!(slave.queue_ids("T"), [] as [i32; 0], "{had}");
            slave_of(&master, &slave);
            let same = |slave: &Store<SimDisk>| {
                assert_eq!(
                    drain_places(slave, "T", 0),
                    drain_places(&master, "T", 0),
                    "{had} {lost}"
                );
                assert_eq!(drain(slave, "Other", 0).len(), 27);
                assert_eq!(slave.taken_places(), 0, "{had} {lost}");
            };
            same(&slave);
            // Killed after a sync, or stopped.
            slave.flush(0).unwrap();
            if had == 5 {
                slave.shutdown().unwrap();
            }
            drop(slave);
            let disk = disk.kill();
            lose(&disk, lost);
            let (slave, _) = open(&disk, &replica());
            settle(&slave);
            same(&slave);
        }
    }
}

/// What was a master once deleted a topic that the master of now has: the deletion is undone, or becomes that of the master.
#[test]
fn a_slaves_deletions_become_its_masters() {
    for lost in DERIVED {
        for again in [false, true] {
            let (master, _) = open(&SimDisk::new(), &settings());
            let disk = SimDisk::new();
            let (slave, _) = open(&disk, &settings());
            fill(&master, b"old", 20);
            slave
                .append_raw(
                    BEGINNING,
                    &master.raw(BEGINNING, usize::MAX).unwrap().unwrap(),
                    NOW,
                )
                .unwrap();
            settle(&slave);
            if again {
                master.delete_topic("T").unwrap();
                fill(&master, b"new", 3);
                slave_of(&master, &slave);
            }
            slave.delete_topic("T").unwrap();
            slave.flush_consumequeues(0, true).unwrap();
            drop(slave);
            let disk = disk.kill();
            let (slave, _) = open(&disk, &replica());
            assert_eq!(slave.queue_ids("T"), [] as [i32; 0]);
            fill(&master, b"more", 5);
            slave_of(&master, &slave);
            let told = master.deleted_topics();
            // A master whose log begins behind the deletion has forgotten it.
            let forgotten = slave
                .match_deletions(&BTreeMap::new(), slave.max_physical())
                .unwrap();
            assert_eq!(forgotten.restored, [""; 0]);
            let done = slave.match_deletions(&told, BEGINNING).unwrap();
            assert_eq!((done.deleted, done.restored), (Vec::new(), vec!["T".to_owned()]));
            assert_eq!(slave.deleted_topics(), told);
            let same = |slave: &Store<SimDisk>| {
                assert_eq!(
                    drain_places(slave, "T", 0),
                    drain_places(&master, "T", 0),
                    "{again} {lost}"
                );
                assert_eq!(slave.queue_bounds("T", 0), master.queue_bounds("T", 0));
            };
            same(&slave);
            fill(&master, b"later", 2);
            slave_of(&master, &slave);
            same(&slave);
            drop(slave);
            let disk = disk.kill();
            lose(&disk, lost);
            let (slave, _) = open(&disk, &replica());
            settle(&slave);
            same(&slave);
            assert_eq!(slave.deleted_topics(), told);
        }
    }
}

/// Counts what is logged.
struct Lines(Arc<AtomicU64>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_slave_that_does_not_know_of_a_deletion_yet_says_little() {
    let lines = Arc::new(AtomicU64::new(0));
    tracing::subscriber::with_default(Lines(Arc::clone(&lines)), || {
        let (master, _) = open(&SimDisk::new(), &settings());
        let (slave, _) = open(&SimDisk::new(), &replica());
        fill(&master, b"old", 60);
        slave_of(&master, &slave);
        master.delete_topic("T").unwrap();
        fill(&master, b"new", 50);
        slave_of(&master, &slave);
        assert_eq!(slave.taken_places(), 50);
    });
    // At 1, 2, 4, 8, 16 and 32 of them.
    assert_eq!(lines.load(Ordering::Relaxed), 6);
}

#[test]
fn a_deletion_behind_the_end_of_a_restored_log_does_not_count() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    fill(&store, b"kept", 20);
    store.shutdown().unwrap();
    drop(store);
    let backup = disk.kill();
    let disk = disk.kill();
    let (store, _) = open(&disk, &settings());
    fill(&store, b"more", 20);
    store.delete_topic("T").unwrap();
    store.shutdown().unwrap();
    drop(store);
    let path = Path::new("/store/deletedTopics");
    let notes = disk.content(path).unwrap();
    // The backup has no such file, and all that it has is put back.
    backup.write_small(path, &notes, false).unwrap();
    let (store, report) = open(&backup, &settings());
    assert_eq!(drain(&store, "T", 0).len(), 20);
    assert_eq!(report.strange_deletions, ["T"]);
    let errors = report.errors();
    assert!(
        errors
            .iter()
            .any(|line| line.contains("deletedTopics") && line.ends_with(": T")),
        "{errors:?}"
    );
    drop(store);
    let (store, report) = open(&backup.kill(), &settings());
    assert_eq!(
        (drain(&store, "T", 0).len(), report.strange_deletions.len()),
        (20, 0)
    );
}
