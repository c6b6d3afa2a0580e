//! What is in memory and what is not.

use crate::harness::*;
use disk::MmapDisk;
use std::time::{Duration, Instant};
use store::{FlushType, PhysicalOffset, QueueOffset, Store, StoreSettings};

#[test]
fn a_read_that_would_wait_for_the_device_is_known_before() {
    // Not where temporary files are: those may have no device.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let settings = StoreSettings {
        commitlog_file_size: 16 << 20,
        consumequeue_file_size: 100_000,
        flush_type: FlushType::Sync,
        ..StoreSettings::below(dir.path())
    };
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
    store.shutdown().unwrap();
    drop(store);

    let started = Instant::now();
    // A file system may hold on to pages for as long as it commits what was written.
    while disk::forget_pages(dir.path()).unwrap() > 0 {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "pages stay in memory"
        );
    }
    let (store, _) = Store::open(MmapDisk::new(8), settings, NOW).unwrap();
    // What opening the store has read.
    disk::forget_pages(dir.path()).unwrap();
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
