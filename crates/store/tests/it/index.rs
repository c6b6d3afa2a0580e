//! The key index: what is entered from memory is what the log says.

use crate::harness::*;
use disk::{SimDisk, SimRandom};
use std::collections::BTreeMap;
use std::path::PathBuf;
use store::{FlushType, NewRecord, Store, StoreSettings};

/// Names and content of the index files.
fn index_files(disk: &SimDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = disk.paths().into_iter();
    let paths = paths.filter(|path| path.starts_with("/store/index"));
    paths
        .map(|path| (path.clone(), disk.content(&path).unwrap()))
        .collect()
}

/// The index files as a store makes them that has nothing but the log.
fn index_from_the_log(disk: &SimDisk, settings: &StoreSettings) -> BTreeMap<PathBuf, Vec<u8>> {
    let disk = disk.kill();
    index_files(&disk).keys().for_each(|path| disk.take(path));
    let (store, _) = open(&disk, settings);
    store.build_index().unwrap();
    index_files(&disk)
}

/// Properties with up to `most` words in KEYS, and with all that makes a key odd.
fn properties(random: &mut SimRandom, most: u64, serial: u64) -> String {
    let mut text = String::new();
    if random.one_in(8) {
        text += "KEYS\x01replaced by a later one\x02";
    }
    if !random.one_in(4) {
        text += &format!("UNIQ_KEY\x01{serial:032X}\x02");
    }
    let words = (0..random.below(most + 1)).map(|nth| match random.below(4) {
        0 => "shared".to_owned(),
        1 => format!("schlüssel😀{serial}-{nth}"),
        _ => format!("k{serial}-{nth}"),
    });
    let words = words.collect::<Vec<_>>().join(" ");
    if !words.is_empty() {
        text += &format!("KEYS\x01{words}  \x02");
    }
    if random.one_in(10) {
        text += "INNER_MULTI_DISPATCH\x01%LMQ%x\x02";
    }
    text
}

#[test]
fn the_index_from_memory_is_the_one_from_the_log() {
    for seed in 0..15 {
        let mut random = SimRandom::new(seed);
        let flush_type = match random.one_in(2) {
            true => FlushType::Sync,
            false => FlushType::Async,
        };
        let settings = StoreSettings {
            multi_dispatch: true,
            lmq: true,
            append_crc: random.one_in(2),
            // Files end within a round, or hold many.
            index_entries: [7, 40, 5_000][random.below(3) as usize],
            ..small(flush_type)
        };
        // More than three keys are not kept in memory.
        let most = [2, 6][random.below(2) as usize];
        let disk = SimDisk::new();
        let (store, _) = open(&disk, &settings);
        for serial in 0..200 {
            let texts: Vec<_> = (0..1 + random.below(20))
                .map(|nth| properties(&mut random, most, serial * 100 + nth))
                .collect();
            let records: Vec<_> = texts
                .iter()
                .map(|text| NewRecord {
                    // Plain, prepared, committed and rolled back.
                    sys_flag: random.below(4) as i32 * 4,
                    ..record(
                        ["T", "%RETRY%g"][random.below(2) as usize],
                        0,
                        b"x",
                        text.as_bytes(),
                    )
                })
                .collect();
            try_send(&store, &records, NOW + serial as i64 * 700);
            match random.below(4) {
                0 => settle(&store),
                1 => store.build_index().unwrap(),
                2 => drop(store.reput(&mut |_| {}).unwrap()),
                _ => {}
            }
        }
        settle(&store);
        assert!(store.index_lags());
        store.build_index().unwrap();
        assert!(!store.index_lags());
        assert!(
            index_files(&disk) == index_from_the_log(&disk, &settings),
            "seed {seed}"
        );
    }
}

fn found(store: &Store<SimDisk>, key: &str) -> usize {
    store.query_by_key("T", key, 64, 0, i64::MAX).unwrap().len()
}

#[test]
fn a_backlog_larger_than_memory_is_indexed_from_the_log() {
    let disk = SimDisk::new();
    let settings = StoreSettings {
        commitlog_file_size: 16 << 20,
        index_entries: 1 << 20,
        index_slots: 1 << 16,
        ..small(FlushType::Async)
    };
    let (store, _) = open(&disk, &settings);
    // 66,000 are more than wait in memory to be indexed, 9,000 more than wait for their units.
    for burst in 0..11 {
        let texts: Vec<_> = (0..6_000).map(|nth| format!("KEYS\x01k{burst}-{nth}")).collect();
        let records: Vec<_> = texts
            .iter()
            .map(|text| record("T", 0, b"", text.as_bytes()))
            .collect();
        try_send(&store, &records, NOW);
        if burst != 2 {
            store.reput(&mut |_| {}).unwrap();
        }
    }
    store.build_index().unwrap();
    for key in ["k0-0", "k2-0", "k2-5999", "k3-5999", "k10-0", "k10-5999"] {
        assert_eq!(found(&store, key), 1, "{key}");
    }
    assert!(index_files(&disk) == index_from_the_log(&disk, &settings));
}

#[test]
fn a_round_that_finds_no_space_leaves_what_there_was() {
    let disk = SimDisk::new();
    let settings = StoreSettings {
        index_entries: 5_000,
        ..small(FlushType::Async)
    };
    let (store, _) = open(&disk, &settings);
    // The first block takes some hundred entries; sixteen slots are in use all the time.
    let send_some = |from: usize, to: usize| {
        for number in from..to {
            let text = format!("KEYS\x01k{number} shared");
            send_through(&store, record("T", 0, b"", text.as_bytes()), NOW);
        }
    };
    send_some(0, 90);
    store.build_index().unwrap();
    send_some(90, 250);
    disk.set_free(Some(0));
    store.build_index().unwrap();
    assert!(store.index_lags(), "it waits for space");
    for number in 0..90 {
        assert_eq!(found(&store, &format!("k{number}")), 1, "k{number}");
    }
    assert_eq!(found(&store, "k240"), 0);
    disk.set_free(None);
    send_some(250, 300);
    store.build_index().unwrap();
    assert!(!store.index_lags());
    assert_eq!(found(&store, "k240"), 1);
    assert!(index_files(&disk) == index_from_the_log(&disk, &settings));
}

#[test]
fn the_index_sees_nothing_before_a_consumer_may() {
    let (store, _) = open(&SimDisk::new(), &small(FlushType::Sync));
    send(&store, record("T", 0, b"x", b"KEYS\x01k"), NOW);
    store.reput(&mut |_| {}).unwrap();
    assert!(!store.index_lags());
    store.build_index().unwrap();
    assert_eq!((found(&store, "k"), store.index_end().0), (0, 0));
    settle(&store);
    store.build_index().unwrap();
    assert_eq!((found(&store, "k"), store.index_end().0), (1, NOW));
}

#[test]
fn a_store_without_an_index_never_lags() {
    let settings = StoreSettings {
        index: false,
        ..small(FlushType::Async)
    };
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings);
    send_through(&store, record("T", 0, b"x", b"KEYS\x01k"), NOW);
    assert!(!store.index_lags());
    store.build_index().unwrap();
    assert!(index_files(&disk).is_empty());
}

#[test]
fn an_index_that_lost_files_is_made_again_from_there_on() {
    for clean in [true, false] {
        let settings = small(FlushType::Async);
        let disk = SimDisk::new();
        let (store, _) = open(&disk, &settings);
        let keys = |number: usize| format!("KEYS\x01k{number} shared{}", number % 2);
        for number in 0..150 {
            let properties = keys(number);
            send_through(
                &store,
                record("T", 0, b"x", properties.as_bytes()),
                NOW + number as i64,
            );
        }
        store.build_index().unwrap();
        match clean {
            true => store.shutdown().unwrap(),
            false => store.flush_consumequeues(0, true).unwrap(),
        }
        drop(store);
        let whole = disk.kill();
        let all: Vec<_> = index_files(&whole).into_keys().collect();
        assert!(all.len() > 5, "{all:?}");
        for lost in [
            vec![0],
            vec![2],
            vec![2, 3],
            (0..all.len()).collect(),
            vec![all.len() - 2],
        ] {
            let disk = whole.kill();
            lost.iter().for_each(|nth| disk.take(&all[*nth]));
            let (store, report) = open(&disk, &settings);
            let name = all[lost[0]].file_name().unwrap().to_str().unwrap();
            let line = format!("the index file {name} is missing; the index is made again from there on");
            assert!(report.errors().contains(&line), "{lost:?}: {report:?}");
            store.build_index().unwrap();
            for number in 0..150 {
                let found = store
                    .query_by_key("T", &format!("k{number}"), 9, 0, i64::MAX)
                    .unwrap();
                assert_eq!(found.len(), 1, "{lost:?}: k{number}");
            }
            store.shutdown().unwrap();
            drop(store);
            let (_, report) = open(&disk.kill(), &settings);
            assert_eq!(report.errors(), [] as [String; 0], "it is told once");
        }
    }
}

/// The log is not read again for keys that it does not have.
#[test]
fn a_clean_stop_leaves_nothing_to_be_indexed() {
    for first in ["", "KEYS\x01k"] {
        let settings = small(FlushType::Async);
        let disk = SimDisk::new();
        let (store, _) = open(&disk, &settings);
        send_through(&store, record("T", 0, b"x", first.as_bytes()), NOW);
        for number in 1..50 {
            send_through(&store, record("T", 0, b"x", b""), NOW + number);
        }
        store.shutdown().unwrap();
        drop(store);
        let (store, _) = open(&disk.kill(), &settings);
        assert!(!store.index_lags(), "{first:?}");
        send_through(&store, record("T", 0, b"x", b"KEYS\x01new"), NOW);
        store.build_index().unwrap();
        assert_eq!(found(&store, "new"), 1);
        assert_eq!(found(&store, "k"), usize::from(!first.is_empty()));
        drop(store);
        // After a crash nothing says how far the index is.
        let (store, _) = open(&disk.kill(), &settings);
        store.build_index().unwrap();
        assert_eq!(found(&store, "k"), usize::from(!first.is_empty()));
    }
}
