//! Reput: units that are written together are those that the log says, each told once and in the log's order.

use crate::harness::*;
use disk::{SimDisk, SimRandom};
use std::collections::BTreeMap;
use std::path::PathBuf;
use store::{FlushType, NewRecord, PhysicalOffset, StoreSettings};

fn queue_files(disk: &SimDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = disk.paths().into_iter();
    let paths = paths.filter(|path| path.starts_with("/store/consumequeue"));
    paths
        .map(|path| (path.clone(), disk.content(&path).unwrap()))
        .collect()
}

/// The queues' files as a store makes them that has nothing but the log.
fn queues_from_the_log(disk: &SimDisk, settings: &StoreSettings) -> BTreeMap<PathBuf, Vec<u8>> {
    let disk = disk.kill();
    queue_files(&disk).keys().for_each(|path| disk.take(path));
    let (store, _) = open(&disk, settings);
    store.reput(&mut |_| {}).unwrap();
    queue_files(&disk)
}

#[test]
fn runs_of_units_are_those_of_the_log_whatever_comes_between() {
    for seed in 0..40 {
        let mut random = SimRandom::new(seed);
        let settings = StoreSettings {
            // A unit, five, sixteen and two hundred a file.
            consumequeue_file_size: [20, 100, 320, 4000][random.below(4) as usize],
            multi_dispatch: true,
            lmq: true,
            ext: random.one_in(4),
            ..small(FlushType::Async)
        };
        let disk = SimDisk::new();
        let (store, _) = open(&disk, &settings);
        let (mut sent, mut told) = (Vec::new(), Vec::new());
        for turn in 0..60 {
            let batch = random.one_in(2);
            let records: Vec<_> = (0..1 + random.below(40))
                .map(|nth| NewRecord {
                    joined: batch && nth > 0,
                    sys_flag: if !batch && random.one_in(9) { 4 } else { 0 },
                    ..record(
                        ["A", "B"][turn % 2],
                        if batch { 0 } else { random.below(2) as i32 },
                        b"x",
                        match random.one_in(20) {
                            true => b"INNER_MULTI_DISPATCH\x01%LMQ%x",
                            false => b"TAGS\x01t",
                        },
                    )
                })
                .collect();
            // Now and then there is no space for a unit in the middle of a run.
            if random.one_in(4) {
                disk.set_free(Some(random.below(3) * 4096));
            }
            let appended = try_send(&store, &records, NOW + turn as i64);
            for (record, appended) in records.iter().zip(appended) {
                if let (0, Ok(appended)) = (record.sys_flag, appended) {
                    let place = (record.topic.to_owned(), record.queue_id, appended.queue_offset.0);
                    sent.push((appended.physical_offset, place));
                }
            }
            let most = [usize::MAX, 7][random.below(2) as usize];
            let mut tell = |unit: &store::Arrival<'_>| {
                let place = (unit.topic.to_owned(), unit.queue_id, unit.queue_offset.0);
                assert!(
                    store.queue_max_offset(&place.0, place.1).0 > place.2,
                    "it can be read"
                );
                told.push((unit.physical_offset, place));
            };
            store.reput_some(most, &mut tell).unwrap();
            disk.set_free(None);
            if turn == 59 {
                store.reput(&mut tell).unwrap();
            }
        }
        assert_eq!(store.reput_end(), store.max_physical());
        told.retain(|(_, (topic, ..))| topic != "%LMQ%x");
        assert!(told == sent, "seed {seed}");
        assert!(
            settings.ext || queue_files(&disk) == queues_from_the_log(&disk, &settings),
            "seed {seed}"
        );
        for (topic, queue) in [("A", 0), ("A", 1), ("B", 0), ("B", 1)] {
            let count = sent
                .iter()
                .filter(|(_, (name, id, _))| (&name[..], *id) == (topic, queue))
                .count();
            assert_eq!(drain(&store, topic, queue).len(), count, "seed {seed}");
        }
    }
}

#[test]
fn a_run_into_a_queue_that_is_deleted_meanwhile_is_not_told() {
    let (store, _) = open(&SimDisk::new(), &small(FlushType::Async));
    let records = [record("T", 0, b"x", b""); 20];
    try_send(&store, &records, NOW);
    store.delete_topic("T").unwrap();
    let after = send(&store, record("T", 0, b"y", b""), NOW);
    let mut told = Vec::new();
    store
        .reput(&mut |unit| told.push((unit.queue_offset.0, unit.physical_offset)))
        .unwrap();
    assert_eq!(told, [(0, after.physical_offset)]);
    assert_ne!(after.physical_offset, PhysicalOffset(0));
    assert_eq!(drain(&store, "T", 0), [b"y"]);
}
