//! What others do to the folders of a store that runs.

use crate::harness::*;
use disk::{Disk, MmapDisk};
use std::path::Path;
use store::{Store, StoreSettings};

fn settings(dir: &Path) -> StoreSettings {
    StoreSettings {
        commitlog_file_size: 16 * 1024,
        consumequeue_file_size: 2000,
        index_slots: 100,
        index_entries: 200,
        max_message_size: 10_000,
        ..StoreSettings::below(dir)
    }
}

/// Sends until the log has so many files.
fn fill<D: Disk>(store: &Store<D>, files: i64) {
    while store.max_physical().0 < (files - 1) * 16 * 1024 + 1 {
        send(store, record("T", 0, &[1; 2000], b""), NOW);
        store.reput(&mut |_| {}).unwrap();
    }
}

#[test]
fn a_file_of_another_log_is_kept_when_its_name_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let (other, own) = (dir.path().join("other"), dir.path().join("own"));
    let (store, _) = Store::open(MmapDisk::new(3), settings(&other), NOW).unwrap();
    fill(&store, 3);
    store.shutdown().unwrap();
    drop(store);
    let (store, _) = Store::open(MmapDisk::new(3), settings(&own), NOW).unwrap();
    fill(&store, 1);
    // A restored backup, as far as its names are free.
    let (name, log) = ("00000000000000032768", own.join("commitlog"));
    let foreign = std::fs::read(other.join("commitlog").join(name)).unwrap();
    std::fs::write(log.join(name), &foreign).unwrap();
    // What is empty is nobody's.
    std::fs::write(log.join("00000000000000049152"), [0; 100]).unwrap();
    fill(&store, 5);
    let kept = log.join(format!("{name}.moved-{NOW}"));
    assert!(std::fs::read(kept).unwrap() == foreign);
    let mut names: Vec<_> = std::fs::read_dir(&log)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(
        names
            .iter()
            .filter(|name| name.to_string_lossy().contains("moved"))
            .count(),
        1,
        "{names:?}"
    );
    let sent = drain(&store, "T", 0).len();
    store.shutdown().unwrap();
    drop(store);
    let (store, _) = Store::open(MmapDisk::new(3), settings(&own), NOW).unwrap();
    assert_eq!(drain(&store, "T", 0).len(), sent);
}

#[test]
fn a_folder_that_is_not_the_opened_one_any_more_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let (store, _) = Store::open(MmapDisk::new(3), settings(&root), NOW).unwrap();
    send(&store, record("T", 0, b"x", b""), NOW);
    assert_eq!(store.lost_dir(), None);
    let (path, away) = (root.join("commitlog"), dir.path().join("away"));
    std::fs::rename(&path, &away).unwrap();
    assert_eq!(store.lost_dir(), Some(path.as_path()));
    // Another one at its place is not it.
    std::fs::create_dir(&path).unwrap();
    assert_eq!(store.lost_dir(), Some(path.as_path()));
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(&away, &path).unwrap();
    assert_eq!(store.lost_dir(), None);
}
