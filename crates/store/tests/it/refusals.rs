//! What fails without losing data: it is refused, or waits, and works again without a restart.

use crate::harness::*;
use disk::{Disk, Injection, Operation, SimDisk};
use std::path::{Path, PathBuf};
use store::{AppendError, FlushType, Store, StoreSettings};

const EIO: i32 = 5;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;

fn settings() -> StoreSettings {
    small(FlushType::Async)
}

/// A store whose next record goes into a new log file.
fn at_the_end_of_a_file(disk: &SimDisk) -> Store<SimDisk> {
    let (store, _) = open(disk, &settings());
    while 16384 - store.max_physical().0 > 1500 {
        send_through(&store, record("Old", 0, &[1; 900], b""), NOW);
    }
    store
}

fn inject(disk: &SimDisk, operations: &[Operation], errno: i32) {
    inject_below(disk, "/store", operations, errno);
}

fn inject_below(disk: &SimDisk, below: &str, operations: &[Operation], errno: i32) {
    disk.inject(Injection {
        operations: operations.to_vec(),
        below: below.into(),
        errno,
    });
}

#[test]
fn without_a_descriptor_a_new_queue_waits_and_nothing_is_latched() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    send_through(&store, record("Old", 0, b"x", b""), NOW);
    disk.set_descriptors(false);
    send_through(&store, record("New", 0, b"y", b""), NOW);
    assert_eq!(store.latched(), None);
    assert_eq!(
        store.queue_max_offset("New", 0).0,
        0,
        "there is no file for it yet"
    );
    store.flush_consumequeues(0, true).unwrap();
    store.build_index().unwrap();
    disk.set_descriptors(true);
    settle(&store);
    assert_eq!(drain(&store, "New", 0), [b"y"]);
    store.shutdown().unwrap();
    assert!(disk.content(Path::new("/store/abort")).is_none());
}

#[test]
fn a_log_file_that_can_not_be_made_refuses_the_send_that_needs_it() {
    for trouble in 0..3 {
        let disk = SimDisk::new();
        let store = at_the_end_of_a_file(&disk);
        match trouble {
            0 => disk.set_descriptors(false),
            1 => inject(&disk, &[Operation::Create], EACCES),
            _ => inject(&disk, &[Operation::Map, Operation::Reserve], ENOMEM),
        }
        let long = record("Old", 0, &[2; 4000], b"");
        let refused = try_send(&store, &[long], NOW).remove(0).unwrap_err();
        assert!(
            matches!(&refused, AppendError::NoSpace(why) if why.contains("/store/commitlog/")),
            "{refused}"
        );
        // One that fits is taken, but where nothing can be reserved.
        let fits = try_send(&store, &[record("Old", 0, b"x", b"")], NOW).remove(0);
        assert!(fits.is_ok() || trouble == 2, "{fits:?}");
        disk.set_descriptors(true);
        disk.clear_injections();
        let before = store.queue_max_offset("Old", 0).0;
        assert_eq!(
            send_through(&store, long, NOW).queue_offset.0,
            before + i64::from(fits.is_ok())
        );
        assert_eq!(store.latched(), None);
    }
}

#[test]
fn a_failed_sync_still_latches() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    send(&store, record("T", 0, b"x", b""), NOW);
    inject(&disk, &[Operation::Sync], EIO);
    store.flush(0).unwrap_err();
    disk.clear_injections();
    store.flush(0).unwrap_err();
    assert!(store.latched().is_some());
    let refused = try_send(&store, &[record("T", 0, b"x", b"")], NOW).remove(0);
    assert!(matches!(refused, Err(AppendError::Latched(_))));
}

#[test]
fn what_could_not_be_synced_is_synced_later() {
    for many in [false, true] {
        let disk = SimDisk::new();
        let (store, _) = open(&disk, &settings());
        // More than are synced one by one.
        let queues = if many { 100 } else { 3 };
        for queue in 0..queues {
            send(&store, record("T", queue, b"x", b""), NOW);
        }
        settle(&store);
        disk.set_descriptors(false);
        store.flush_consumequeues(0, true).unwrap();
        disk.set_descriptors(true);
        // The checkpoint vouches for nothing that a power cut can take back.
        let (early, report) = open(&disk.crash(1), &settings());
        assert_eq!(report.scan_start, 0);
        assert_eq!(early.queue_max_offset("T", queues - 1).0, 1);
        store.flush_consumequeues(0, true).unwrap();
        for seed in 0..20 {
            let (store, report) = open(&disk.crash(seed), &settings());
            assert_eq!((report.records, report.units_built), (0, 0));
            assert!((0..queues).all(|queue| drain(&store, "T", queue) == [b"x"]));
        }
    }
}

#[test]
fn a_stop_that_could_not_finish_is_no_clean_one() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    send(&store, record("T", 0, b"x", b""), NOW);
    disk.set_descriptors(false);
    store.shutdown().unwrap();
    drop(store);
    let (store, report) = open(&disk.kill(), &settings());
    assert!(!report.clean);
    assert_eq!(drain(&store, "T", 0), [b"x"]);
}

#[test]
fn an_expired_file_that_can_not_be_removed_stays_in_the_log() {
    let disk = SimDisk::new();
    disk.set_now(NOW);
    let (store, _) = open(&disk, &settings());
    for number in 0..60u8 {
        send_through(&store, record("T", 0, &[number; 1400], b""), NOW);
    }
    store.flush_consumequeues(0, true).unwrap();
    inject(&disk, &[Operation::Remove], EACCES);
    store.delete_expired_soon();
    let later = NOW + 100 * 3_600_000;
    let removed = store.tick_retention(later).unwrap();
    assert_eq!((removed.log.len(), store.min_physical().0), (0, 0));
    assert_eq!(store.latched(), None);
    // No gap for the next start.
    let (next, _) = open(&disk.kill(), &settings());
    assert_eq!(drain(&next, "T", 0).len(), 60);
    disk.clear_injections();
    let removed = store.tick_retention(later).unwrap();
    assert_eq!(removed.log.len(), 5);
    assert_eq!(store.min_physical().0, 5 * 16384);
}

#[test]
fn reads_that_fail_are_errors_of_whoever_reads() {
    let disk = SimDisk::new();
    let settings = StoreSettings {
        multi_dispatch: true,
        ..settings()
    };
    let (store, _) = open(&disk, &settings);
    send_through(&store, record("T", 0, b"x", b"KEYS\x01k"), NOW);
    inject(&disk, &[Operation::Read], EIO);
    store.build_index().unwrap();
    let found = store.query_by_key("T", "k", 9, 0, i64::MAX);
    assert!(found.is_err(), "{found:?}");
    assert_eq!(store.latched(), None);
    disk.clear_injections();
    assert_eq!(store.query_by_key("T", "k", 9, 0, i64::MAX).unwrap().len(), 1);
}

#[test]
fn an_append_waits_for_no_sync_when_the_log_goes_on_in_a_new_file() {
    for prepared in [false, true] {
        for seed in 0..10 {
            let disk = SimDisk::new();
            let store = at_the_end_of_a_file(&disk);
            if prepared {
                store.prepare_ahead(NOW, &mut || {});
            }
            disk.set_cost(Operation::Sync, 1000);
            let before = disk.spent_ms();
            let appended = send(&store, record("Old", 0, &[2; 4000], b""), NOW);
            assert_eq!(appended.physical_offset.0, 16384);
            assert_eq!(disk.spent_ms(), before, "prepared: {prepared}");
            // What is durable is so with the name of its file.
            store.flush(0).unwrap();
            assert!(disk.spent_ms() > before);
            store.reput(&mut |_| {}).unwrap();
            let last = store.queue_max_offset("Old", 0);
            let (store, _) = open(&disk.crash(seed), &settings());
            assert_eq!(store.queue_max_offset("Old", 0), last);
        }
    }
}

#[test]
fn a_topic_of_many_queues_is_deleted_at_once_and_its_files_in_time() {
    let disk = SimDisk::new();
    let settings = StoreSettings {
        ext: true,
        ext_file_size: 200,
        consumequeue_file_size: 20,
        ..settings()
    };
    let (store, _) = open(&disk, &settings);
    let files = |disk: &SimDisk, dir: &str| disk.paths().iter().filter(|path| path.starts_with(dir)).count();
    for queue in 0..2500 {
        send(&store, record("Big", queue, b"x", b"TAGS\x01t"), NOW);
    }
    settle(&store);
    assert!(!store.remove_deleted().unwrap());
    let before = disk.operations();
    store.delete_topic("Big").unwrap();
    assert!(disk.operations() - before < 10, "{}", disk.operations() - before);
    assert_eq!(store.queue_ids("Big"), []);
    assert_eq!(files(&disk, "/store/consumequeue"), 0);
    assert_eq!(files(&disk, "/store/deleted_queues"), 5000);
    // A topic of the name begins anew, also before the files are gone.
    send_through(&store, record("Big", 7, b"y", b""), NOW);
    assert_eq!(drain(&store, "Big", 7), [b"y"]);
    assert!(store.remove_deleted().unwrap(), "there are more");
    let left = files(&disk, "/store/deleted_queues");
    assert!((1..5000).contains(&left), "{left}");
    // A stop in between: the next run goes on.
    store.shutdown().unwrap();
    drop(store);
    let disk = disk.kill();
    let (store, report) = open(&disk, &settings);
    assert_eq!((report.queues, drain(&store, "Big", 7)), (1, vec![b"y".to_vec()]));
    while store.remove_deleted().unwrap() {}
    assert_eq!(files(&disk, "/store/deleted_queues"), 0);
    assert_eq!(disk.list(Path::new("/store/deleted_queues")).unwrap(), []);
    let before = disk.operations();
    assert!(!store.remove_deleted().unwrap());
    assert_eq!(disk.operations(), before, "nothing to look at");
}

#[test]
fn a_topic_that_can_not_be_moved_away_is_deleted_all_the_same() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    send_through(&store, record("T", 0, b"x", b""), NOW);
    inject_below(&disk, "/store/consumequeue", &[Operation::Rename], 18);
    store.delete_topic("T").unwrap();
    assert_eq!(store.queue_max_offset("T", 0).0, 0);
    let queue = PathBuf::from("/store/consumequeue/T/0/00000000000000000000");
    assert!(disk.content(&queue).is_none());
    // Nor removed: it is told, and the queue is gone for all who ask.
    send_through(&store, record("T", 0, b"y", b""), NOW);
    inject(&disk, &[Operation::Remove], EACCES);
    store.delete_topic("T").unwrap();
    assert_eq!(store.latched(), None);
    assert_eq!(store.queue_max_offset("T", 0).0, 0);
    disk.clear_injections();
    send_through(&store, record("T", 0, b"z", b""), NOW);
    assert_eq!(drain(&store, "T", 0), [b"z"]);
}

#[test]
fn a_deletion_that_can_not_be_noted_is_refused_and_can_be_asked_for_again() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    send_through(&store, record("T", 0, b"x", b""), NOW);
    inject_below(&disk, "/store/deletedTopics", &[Operation::Write], EACCES);
    let refused = store.delete_topic("T").unwrap_err();
    assert!(
        matches!(refused, store::DeleteTopicError::NotNoted(_)),
        "{refused}"
    );
    assert_eq!(store.latched(), None);
    assert_eq!(store.queue_max_offset("T", 0).0, 0, "it is gone for now");
    disk.clear_injections();
    store.delete_topic("T").unwrap();
    drop(store);
    let disk = disk.kill();
    disk.take(Path::new("/store/checkpoint"));
    assert_eq!(open(&disk, &settings()).0.queue_max_offset("T", 0).0, 0);
}
