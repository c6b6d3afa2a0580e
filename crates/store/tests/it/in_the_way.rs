//! Something else stands where a small file of the store belongs.

use crate::harness::*;
use disk::{Disk, Injection, MmapDisk, Operation, SimDisk};
use std::fs;
use std::path::Path;
use store::check::{Fault, check};
use store::{FlushType, OpenError, Store, StoreSettings};

const NAMES: [&str; 4] = ["checkpoint", "queueCheckpoint", "deletedTopics", "abort"];

fn settings(root: &Path) -> StoreSettings {
    StoreSettings {
        root_dir: root.to_path_buf(),
        commitlog_dirs: vec![root.join("commitlog")],
        ..small(FlushType::Async)
    }
}

/// A store of 30 messages and a deleted topic, stopped or killed.
fn lived_in(root: &Path, clean: bool) {
    let (store, _) = Store::open(MmapDisk::new(8), settings(root), NOW).unwrap();
    for number in 0..30u8 {
        send_through(
            &store,
            record("T", i32::from(number % 2), &[number; 700], b""),
            NOW,
        );
        send_through(&store, record("Gone", 0, b"x", b""), NOW);
    }
    store.delete_topic("Gone").unwrap();
    match clean {
        true => store.shutdown().unwrap(),
        false => store.flush_consumequeues(0, true).unwrap(),
    }
}

fn is_whole(store: &Store<MmapDisk>) {
    for queue in [0, 1] {
        let bodies = drain(store, "T", queue);
        let expected = (0..30u8).filter(|number| i32::from(number % 2) == queue);
        assert!(bodies.into_iter().eq(expected.map(|number| vec![number; 700])));
    }
}

#[test]
fn it_is_moved_away_told_and_the_store_opens_with_all_messages() {
    for clean in [true, false] {
        for name in NAMES {
            for is_dir in [true, false] {
                let dir = tempfile::tempdir().unwrap();
                let root = dir.path();
                lived_in(root, clean);
                let path = root.join(name);
                let _ = fs::remove_file(&path);
                let what = match is_dir {
                    true => {
                        fs::create_dir(&path).unwrap();
                        fs::write(path.join("inside"), b"somebody's").unwrap();
                        "is a directory"
                    }
                    false => {
                        fs::File::create(&path).unwrap().set_len(3 << 30).unwrap();
                        "has 3221225472 bytes"
                    }
                };
                let summary = check(&MmapDisk::new(8), &settings(root), |_| {}).unwrap();
                let faults = &summary.first_faults;
                assert!(
                    faults
                        .iter()
                        .any(|fault| matches!(fault, Fault::File { path: of, what: why }
                        if *of == path && why.contains(what) && why.contains("a start moves it away"))),
                    "{faults:?}"
                );
                let (store, report) = Store::open(MmapDisk::new(8), settings(root), NOW).unwrap();
                is_whole(&store);
                let [moved] = report.moved_away.as_slice() else {
                    panic!("{name}: {report:?}")
                };
                assert_eq!(
                    (&moved.path, &moved.to),
                    (&path, &root.join(format!("{name}.moved-{NOW}")))
                );
                assert!(moved.to.exists() && (!is_dir || moved.to.join("inside").exists()));
                let told = format!(
                    "{} {what}, and no {name} that a broker wrote: it was moved to ",
                    path.display()
                );
                assert!(
                    report.errors().iter().any(|line| line.starts_with(&told)),
                    "{:?}",
                    report.errors()
                );
                assert_eq!(report.deletions_lost, name == "deletedTopics");
                assert_eq!(report.clean, clean && name != "abort");
                if name != "deletedTopics" {
                    assert_eq!(store.queue_bounds("Gone", 0), Default::default(), "{name}");
                }
                // It goes on, and the next one is nothing special.
                send_through(&store, record("T", 0, b"next", b""), NOW);
                store.shutdown().unwrap();
                drop(store);
                let (store, again) = Store::open(MmapDisk::new(8), settings(root), NOW).unwrap();
                assert_eq!((drain(&store, "T", 0).len(), again.clean), (16, true));
                assert_eq!(again.errors(), [] as [String; 0]);
            }
        }
    }
}

#[test]
fn what_can_not_be_moved_refuses_the_start_with_its_name_and_what_to_do() {
    for name in NAMES {
        let disk = SimDisk::new();
        let (store, _) = open(&disk, &small(FlushType::Async));
        drop(store);
        let disk = disk.kill();
        let path = Path::new("/store").join(name);
        disk.take(&path);
        disk.create_dirs(&path).unwrap();
        disk.inject(Injection {
            operations: vec![Operation::Rename],
            below: path.clone(),
            errno: 13,
        });
        let refused = match Store::open(disk.clone(), small(FlushType::Async), NOW) {
            Ok(_) => panic!("{name}: it opened"),
            Err(error) => error,
        };
        let text = refused.to_string();
        assert!(matches!(refused, OpenError::InTheWay { .. }), "{text}");
        assert!(
            text.starts_with(&format!("{} is a directory", path.display())),
            "{text}"
        );
        assert!(text.ends_with("Move it away: no message is in it"), "{text}");
        disk.clear_injections();
        open(&disk, &small(FlushType::Async));
    }
}
