//! What is in memory and what is not.

use crate::harness::*;
use disk::MmapDisk;
use std::path::Path;
use std::time::{Duration, Instant};
use store::{FlushType, Heat, PhysicalOffset, QueueOffset, Store, StoreSettings};

/// How long anything may take on a busy machine.
const WITHIN: Duration = Duration::from_secs(20);

fn settings_below(dir: &Path) -> StoreSettings {
    StoreSettings {
        commitlog_file_size: 16 << 20,
        consumequeue_file_size: 100_000,
        flush_type: FlushType::Sync,
        ..StoreSettings::below(dir)
    }
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < WITHIN, "{what}");
        std::thread::yield_now();
    }
}

/// Closes the store and opens it again with nothing of it in memory.
fn opened_cold(store: Store<MmapDisk>, settings: StoreSettings) -> Store<MmapDisk> {
    let dir = settings.root_dir.clone();
    store.shutdown().unwrap();
    drop(store);
    // A file system may hold on to pages for as long as it commits what was written.
    wait_for("pages leave memory", || disk::forget_pages(&dir).unwrap() == 0);
    let (store, _) = Store::open(MmapDisk::new(8), settings, NOW).unwrap();
    // What opening the store has read.
    disk::forget_pages(&dir).unwrap();
    store
}

#[test]
fn a_read_that_would_wait_for_the_device_is_known_before() {
    // Not where temporary files are: those may have no device.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let settings = settings_below(dir.path());
    let (store, _) = Store::open(MmapDisk::new(8), settings.clone(), NOW).unwrap();
    for number in 0..1000u32 {
        send(
            &store,
            record("T", 0, &number.to_be_bytes().repeat(2048), b""),
            NOW,
        );
    }
    settle(&store);
    let is_cold =
        |store: &Store<MmapDisk>, offset| store.is_cold("T", 0, QueueOffset(offset), ALL.max_messages);
    for offset in [-1, 0, 300, 999, 1000, 1001] {
        assert!(!is_cold(&store, offset), "{offset} was written just now");
    }
    let early = PhysicalOffset(8500);
    assert!(!store.is_cold_at(early), "it was written just now");
    assert!(
        !store.is_cold("U", 0, QueueOffset(0), 32),
        "there is no such queue"
    );
    let store = opened_cold(store, settings);
    assert!(is_cold(&store, 300));
    assert!(store.is_cold_at(early));
    for nowhere in [
        PhysicalOffset(-1),
        store.max_physical(),
        store.max_physical().plus(1),
    ] {
        assert!(!store.is_cold_at(nowhere), "{nowhere} is not there");
    }
    let mut next = 300;
    while next < 340 {
        let (result, slices) = read(&store, "T", 0, next);
        slices.iter().for_each(|slice| slice.fetch().unwrap());
        assert!(result.next_begin_offset.0 > next, "{result:?}");
        next = result.next_begin_offset.0;
    }
    assert!(!is_cold(&store, 300), "it has been read");
    for offset in [-1, 1000, 1001] {
        assert!(!is_cold(&store, offset), "{offset} is not there");
    }
    // What comes now is in memory again.
    for _ in 0..100 {
        send(&store, record("T", 0, &[7; 8192], b""), NOW);
    }
    settle(&store);
    assert!(!is_cold(&store, 1050));
}

#[test]
fn who_appends_behind_a_record_may_see_it_before_its_sync() {
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings {
        flush_type: FlushType::Sync,
        ..StoreSettings::below(dir.path())
    };
    let (store, _) = Store::open(MmapDisk::new(8), settings, NOW).unwrap();
    send(&store, record("T", 0, b"x", b""), NOW);
    let at = PhysicalOffset(0);
    assert!(store.record_at(at).is_err());
    assert_eq!(
        store.appended_record_at(at).unwrap().len() as i64,
        store.max_physical().0
    );
    assert!(store.appended_record_at(store.max_physical()).is_err());
    settle(&store);
    assert!(store.record_at(at).is_ok());
}

/// Records of 8 KiB: 512 in a stride of 4 MiB, nearly.
#[test]
fn what_follows_a_read_is_there_before_it_is_asked_for() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let settings = settings_below(dir.path());
    let (store, _) = Store::open(MmapDisk::new(8), settings.clone(), NOW).unwrap();
    for _ in 0..3000 {
        send(&store, record("T", 0, &[7; 8192], b""), NOW);
    }
    settle(&store);
    let store = opened_cold(store, settings);
    let heat = |offset| store.heat("T", 0, QueueOffset(offset), 8);
    assert_eq!([0, 600, 1400, 1800, 2990].map(heat), [Heat::Cold; 5]);

    store.read_ahead("T", 0, QueueOffset(0));
    // Three strides, each asked for once.
    wait_for("the device has read", || {
        [0, 600, 1400].iter().all(|offset| heat(*offset) != Heat::Cold)
    });
    assert_eq!(heat(0), Heat::Hot);
    assert_eq!(heat(600), Heat::Warm, "the fourth was not asked for yet");
    assert_eq!(heat(1800), Heat::Cold);
    // Into the next file, and to the end.
    store.read_ahead("T", 0, QueueOffset(600));
    wait_for("the device has read", || heat(1800) != Heat::Cold);
    assert_eq!(heat(600), Heat::Hot);
    store.read_ahead("T", 0, QueueOffset(1800));
    wait_for("the device has read", || heat(2990) != Heat::Cold);
    for offset in [-1, 2990, 3000, 3001] {
        store.read_ahead("T", 0, QueueOffset(offset));
        assert_eq!(heat(offset), Heat::Hot);
    }
    let (result, _) = read(&store, "T", 0, 2999);
    assert_eq!(result.count, 1);
    // What was written just now needs nobody.
    send(&store, record("T", 0, b"new", b""), NOW);
    settle(&store);
    store.read_ahead("T", 0, QueueOffset(3000));
    assert_eq!(heat(3000), Heat::Hot);
    store.read_ahead("U", 0, QueueOffset(0));
}

#[test]
fn records_far_apart_are_read_ahead_by_themselves() {
    const APART: usize = 40;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let settings = settings_below(dir.path());
    let (store, _) = Store::open(MmapDisk::new(8), settings.clone(), NOW).unwrap();
    for number in 0..64 * APART {
        let topic = if number % APART == 0 { "Rare" } else { "Usual" };
        send(&store, record(topic, 0, &[7; 8192], b""), NOW);
    }
    settle(&store);
    let store = opened_cold(store, settings);
    let heat = |topic, offset: usize| store.heat(topic, 0, QueueOffset(offset as i64), 1);
    store.read_ahead("Rare", 0, QueueOffset(0));
    wait_for("the device has read", || {
        (0..64).all(|offset| heat("Rare", offset) == Heat::Hot)
    });
    // The units of the others were never asked for, either.
    let units = dir.path().join("consumequeue/Usual/0/00000000000000000000");
    std::fs::read(units).unwrap();
    let between = (1..64).filter(|at| heat("Usual", at * (APART - 1) - APART / 2) == Heat::Hot);
    assert_eq!(
        between.count(),
        0,
        "what lies between the records stays where it is"
    );
}
