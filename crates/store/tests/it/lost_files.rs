//! Files of the log that somebody removes while the store is open.

use crate::harness::*;
use disk::MmapDisk;
use std::path::{Path, PathBuf};
use store::{AppendError, Fate, LostLogFile, Store, StoreSettings};

fn settings_below(dir: &Path) -> StoreSettings {
    StoreSettings {
        commitlog_file_size: 16384,
        max_message_size: 4096,
        ..StoreSettings::below(dir)
    }
}

/// 55 messages in six files of the log, ten in each.
fn stored(dir: &Path) -> Store<MmapDisk> {
    let (store, _) = Store::open(MmapDisk::default(), settings_below(dir), NOW).unwrap();
    for number in 0..55u8 {
        send_through(&store, record("T", 0, &[number; 1400], b""), NOW);
    }
    store
}

fn file(dir: &Path, number: i64) -> PathBuf {
    dir.join(format!("commitlog/{:020}", number * 16384))
}

/// What two looks tell: one that retention is about to take out of the log is no loss.
fn looked(store: &Store<MmapDisk>) -> Vec<LostLogFile> {
    assert_eq!(store.look_after_log_files(), []);
    let lost = store.look_after_log_files();
    assert_eq!(store.look_after_log_files(), [], "once");
    lost
}

fn places(dir: &Path) -> Vec<i64> {
    let (store, report) = Store::open(MmapDisk::default(), settings_below(dir), NOW).unwrap();
    assert_eq!((report.missing.len(), report.damage.count), (0, 0), "{report:?}");
    let messages = drain_places(&store, "T", 0);
    for (place, body) in &messages {
        assert_eq!(*body, vec![*place as u8; 1400]);
    }
    messages.into_iter().map(|(place, _)| place).collect()
}

#[test]
fn nothing_is_lost_where_a_file_is_removed_that_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let store = stored(dir);
    assert_eq!(looked(&store), []);
    std::fs::remove_file(file(dir, 5)).unwrap();
    // Acknowledged while nobody knows.
    send_through(&store, record("T", 0, &[55; 1400], b""), NOW);
    let expected = LostLogFile {
        path: file(dir, 5),
        is_written: true,
        fate: Fate::Saved,
    };
    assert_eq!(looked(&store), [expected]);
    let refused = try_send(&store, &[record("T", 0, b"late", b"")], NOW);
    let refused = refused.into_iter().next().unwrap().unwrap_err();
    assert!(matches!(refused, AppendError::Latched(_)), "{refused}");
    assert!(
        refused.to_string().contains("removed, moved or replaced"),
        "{refused}"
    );
    assert_eq!(drain_places(&store, "T", 0).len(), 56, "it is read on");
    drop(store);
    assert_eq!(places(dir), (0..56).collect::<Vec<_>>());
}

#[test]
fn a_file_in_the_middle_is_written_anew_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let store = stored(dir);
    std::fs::rename(file(dir, 2), dir.join("aside")).unwrap();
    let [lost] = &looked(&store)[..] else {
        panic!("one is lost");
    };
    assert_eq!(
        (&lost.path, lost.is_written, &lost.fate),
        (&file(dir, 2), false, &Fate::Saved)
    );
    send_through(&store, record("T", 0, &[55; 1400], b""), NOW);
    store.shutdown().unwrap();
    drop(store);
    assert_eq!(
        std::fs::read(file(dir, 2)).unwrap(),
        std::fs::read(dir.join("aside")).unwrap()
    );
    assert_eq!(places(dir), (0..56).collect::<Vec<_>>());
}

/// Whoever removes the oldest ones wants their space.
#[test]
fn the_oldest_files_go_as_if_they_had_expired() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let store = stored(dir);
    for number in [0, 1] {
        std::fs::remove_file(file(dir, number)).unwrap();
    }
    let fates: Vec<_> = looked(&store).into_iter().map(|lost| lost.fate).collect();
    assert_eq!(fates, [Fate::Expires, Fate::Expires]);
    assert!(!file(dir, 0).exists());
    store.shutdown().unwrap();
}

#[test]
fn a_file_in_the_place_of_another_stays_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let store = stored(dir);
    std::fs::remove_file(file(dir, 3)).unwrap();
    std::fs::write(file(dir, 3), "another").unwrap();
    let [lost] = &looked(&store)[..] else {
        panic!("one is lost");
    };
    assert!(lost.to_string().contains("another file lies there"), "{lost}");
    assert_eq!(std::fs::read(file(dir, 3)).unwrap(), b"another");
}
