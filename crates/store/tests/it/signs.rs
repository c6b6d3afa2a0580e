//! Queues that lost their ends where no file says how many units they had.

use crate::harness::*;
use disk::{Disk, SimDisk};
use std::path::{Path, PathBuf};
use store::{RecoveryReport, Store, StoreSettings};

/// Messages of the queue that is looked at: over three of its files.
const COUNT: u8 = 40;

fn settings() -> StoreSettings {
    crate::damage::settings()
}

fn queue_file(number: i64) -> PathBuf {
    format!("/store/consumequeue/T/0/{:020}", number * 320).into()
}

/// What of a store of ours is gone besides the queue's files.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    /// `queueCheckpoint`.
    Ours,
    /// All that Java's broker does not write.
    Java,
}

/// 40 messages in T-0, over three of its files, and a few in other queues.
fn left(by: Left, clean: bool) -> SimDisk {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    for number in 0..COUNT {
        send_through(
            &store,
            record("T", 0, &[number; 500], b""),
            NOW + i64::from(number),
        );
        if number % 10 == 5 {
            send_through(&store, record("T", 1, b"other queue", b""), NOW);
            send_through(&store, record("Other", 0, b"other topic", b""), NOW);
        }
    }
    match clean {
        true => store.shutdown().unwrap(),
        false => store.flush_consumequeues(0, true).unwrap(),
    }
    drop(store);
    let disk = disk.kill();
    forget(&disk, by);
    disk
}

fn forget(disk: &SimDisk, by: Left) {
    disk.take(Path::new("/store/queueCheckpoint"));
    if by == Left::Java {
        let path = Path::new("/store/checkpoint");
        let mut checkpoint = disk.content(path).unwrap();
        checkpoint[4064..].fill(0);
        disk.put(path, &checkpoint);
    }
}

/// All messages are there, and the next one gets the next offset, also after a start more.
fn all_is_there(disk: &SimDisk) -> RecoveryReport {
    let (store, report) = open(disk, &settings());
    let check = |store: &Store<SimDisk>, count: u8| {
        let expected = (0..count).map(|number| vec![number; 500]);
        assert!(drain(store, "T", 0).into_iter().eq(expected), "{report:?}");
        assert_eq!(
            (drain(store, "T", 1).len(), drain(store, "Other", 0).len()),
            (4, 4)
        );
    };
    check(&store, COUNT);
    let next = send_through(&store, record("T", 0, &[COUNT; 500], b""), NOW);
    assert_eq!(next.queue_offset.0, i64::from(COUNT), "no offset is given twice");
    store.shutdown().unwrap();
    drop(store);
    let (store, again) = open(&disk.kill(), &settings());
    check(&store, COUNT + 1);
    assert_eq!((again.errors().len(), again.records), (0, 0), "{again:?}");
    report
}

#[test]
fn files_that_a_queue_lost_at_its_end_are_missed_and_built_again() {
    for by in [Left::Ours, Left::Java] {
        for clean in [true, false] {
            for lost in [1, 2] {
                let disk = left(by, clean);
                (lost..3).for_each(|number| disk.take(&queue_file(number)));
                let report = all_is_there(&disk);
                let line = format!(
                    "consumequeue T 0: {} is missing; units up to {} were there, the rest was built again",
                    queue_file(lost).display(),
                    lost * 16
                );
                // After a crash Java's stores are read from an older position, which may be before what is missing.
                let told = report.errors().iter().any(|error| error.starts_with(&line));
                assert!(
                    told || by == Left::Java && !clean,
                    "{by:?} {clean} {lost}: {report:?}"
                );
            }
        }
    }
}

#[test]
fn units_that_became_zeros_are_missed_where_the_last_stretch_of_the_log_has_their_records() {
    for by in [Left::Ours, Left::Java] {
        let disk = left(by, true);
        crate::damage::patch(&disk, &queue_file(2).to_string_lossy(), 40, &[0; 280]);
        let report = all_is_there(&disk);
        assert!(
            report.errors()[0].starts_with("consumequeue T 0: units up to 34 were there"),
            "{report:?}"
        );
    }
}

#[test]
fn a_queue_without_a_directory_is_missed_where_deletions_are_noted() {
    let disk = left(Left::Ours, true);
    disk.remove_dir_all(Path::new("/store/consumequeue/T/0")).unwrap();
    let report = all_is_there(&disk);
    assert!(
        report.errors()[0].contains("/store/consumequeue/T/0 is missing"),
        "{report:?}"
    );
    // Java's broker deletes a topic like that.
    let (store, _) = open(&left(Left::Java, true), &settings());
    send_through(&store, record("Other", 0, b"last", b""), NOW);
    store.shutdown().unwrap();
    let disk = store.disk().kill();
    forget(&disk, Left::Java);
    disk.remove_dir_all(Path::new("/store/consumequeue/T")).unwrap();
    let (store, report) = open(&disk, &settings());
    assert_eq!((report.errors().len(), report.records), (0, 0), "{report:?}");
    assert_eq!(store.topics(), ["Other".into()]);
    // It may have been lost as well: that is said.
    let told = report.warnings();
    let told = told
        .iter()
        .find(|line| line.contains("2 queues that are not there"));
    assert!(
        told.is_some_and(|line| line.contains("T 0 (40 messages), T 1 (4 messages)")),
        "{report:?}"
    );
    // And ours notes it.
    let (store, _) = open(&SimDisk::new(), &settings());
    send_through(&store, record("T", 0, b"gone", b""), NOW);
    store.delete_topic("T").unwrap();
    send_through(&store, record("T", 0, b"new", b""), NOW);
    send_through(&store, record("Other", 0, b"x", b""), NOW);
    store.shutdown().unwrap();
    let disk = store.disk().kill();
    forget(&disk, Left::Ours);
    let (store, report) = open(&disk, &settings());
    assert_eq!(
        (report.errors().len(), drain(&store, "T", 0)),
        (0, vec![b"new".to_vec()]),
        "{report:?}"
    );
}

#[test]
fn a_whole_store_has_nothing_to_tell_and_is_not_read() {
    for by in [Left::Ours, Left::Java] {
        let disk = left(by, true);
        let (_, report) = open(&disk, &settings());
        assert_eq!(
            (report.errors().len(), report.records, report.units_built),
            (0, 0, 0),
            "{by:?} {report:?}"
        );
        assert_eq!(report.unclear_ends, 0);
    }
    // Messages of a topic that Java deleted and that was made again: an older one has a higher place.
    let disk = left(Left::Java, true);
    let (store, _) = open(&disk, &settings());
    store.delete_topic("T").unwrap();
    send_through(&store, record("T", 0, b"new", b""), NOW);
    store.shutdown().unwrap();
    drop(store);
    let disk = disk.kill();
    disk.take(Path::new("/store/deletedTopics"));
    forget(&disk, Left::Java);
    let (store, report) = open(&disk, &settings());
    assert_eq!((report.errors().len(), report.records), (0, 0), "{report:?}");
    assert_eq!(drain(&store, "T", 0), [b"new".to_vec()]);
}

#[test]
fn the_log_is_searched_behind_a_queue_of_full_files_and_what_is_not_found_is_told() {
    // More than the last stretch lies between the queue's messages and the end of the log.
    let settings = StoreSettings {
        commitlog_file_size: 8 << 20,
        max_message_size: 4 << 20,
        ..settings()
    };
    for (between, is_found) in [(2, true), (9, false)] {
        let disk = SimDisk::new();
        let (store, _) = open(&disk, &settings);
        let big = vec![7; 2 << 20];
        for number in 0..20u8 {
            send_through(&store, record("T", 0, &[number; 500], b""), NOW);
            if number == 15 {
                // The first file of the queue is full.
                (0..between).for_each(|_| _ = send_through(&store, record("Big", 0, &big, b""), NOW));
            }
        }
        (0..20).for_each(|_| _ = send_through(&store, record("Big", 0, &big, b""), NOW));
        store.shutdown().unwrap();
        drop(store);
        let disk = disk.kill();
        forget(&disk, Left::Java);
        disk.take(&queue_file(1));
        let (store, report) = open(&disk, &settings);
        match is_found {
            true => {
                assert_eq!(drain(&store, "T", 0).len(), 20);
                assert!(
                    report.errors()[0].contains("is missing; units up to 16 were there"),
                    "{report:?}"
                );
            }
            false => {
                assert_eq!((drain(&store, "T", 0).len(), report.unclear_ends), (16, 1));
                let warnings = report.warnings();
                let line = warnings
                    .iter()
                    .find(|line| line.starts_with("1 consumequeues end with a full file"));
                assert!(line.is_some_and(|line| line.contains(": T 0;")), "{warnings:?}");
                // What the line says can be done.
                store.shutdown().unwrap();
                drop(store);
                let disk = disk.kill();
                disk.put(Path::new("/store/queueCheckpoint"), b"");
                let (store, _) = open(&disk, &settings);
                assert_eq!(drain(&store, "T", 0).len(), 20);
            }
        }
    }
}

#[test]
fn a_store_of_java_with_many_queues_is_opened_with_few_operations_more() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    for queue in 0..1000 {
        send(&store, record("T", queue, b"x", b""), NOW);
    }
    settle(&store);
    store.shutdown().unwrap();
    drop(store);
    let disk = disk.kill();
    let operations = |by: Option<Left>| {
        let disk = disk.kill();
        by.into_iter().for_each(|by| forget(&disk, by));
        let before = disk.operations();
        let (_, report) = open(&disk, &settings());
        assert_eq!((report.errors().len(), report.records), (0, 0));
        disk.operations() - before
    };
    let with = operations(None);
    for by in [Left::Ours, Left::Java] {
        let without = operations(Some(by));
        assert!(
            without < with + 30,
            "{by:?}: {without} operations, {with} where the queues are known"
        );
    }
}
