//! Where records begin, as a comparison of two logs asks.

use crate::cut_back::borders;
use crate::harness::*;
use crate::raw::{FILE, log_bytes, master, settings};
use disk::SimDisk;
use std::path::Path;
use store::{FlushType, PhysicalOffset, Store, StoreSettings};

fn slave_with(bytes: &[u8], from: i64) -> Store<SimDisk> {
    let settings = StoreSettings {
        replica: true,
        ..settings(FlushType::Async)
    };
    let (slave, _) = open(&SimDisk::new(), &settings);
    slave.append_raw(PhysicalOffset(from), bytes, NOW).unwrap();
    slave
}

fn starts(store: &Store<SimDisk>, from: i64, to: i64, at_most: usize) -> Vec<i64> {
    let found = store.record_starts(PhysicalOffset(from), PhysicalOffset(to), at_most);
    found.unwrap().iter().map(|at| at.0).collect()
}

#[test]
fn a_log_that_ends_anywhere_tells_its_whole_records() {
    let (master, _) = master(20);
    let log = log_bytes(&master);
    let all = borders(&log, 0);
    for len in (0..log.len())
        .step_by(97)
        .chain(all.iter().map(|(_, end)| *end as usize))
    {
        for from in [0, FILE] {
            let Some(bytes) = log.get(from as usize..len) else {
                continue;
            };
            let slave = slave_with(bytes, from);
            let whole = all
                .iter()
                .filter(|(start, end)| *start >= from && *end <= len as i64);
            let whole: Vec<i64> = whole.map(|(start, _)| *start).collect();
            assert_eq!(
                slave.last_record().unwrap().map(|at| at.0),
                whole.last().copied(),
                "{len}"
            );
            let files: Vec<i64> = slave
                .files_with_records()
                .unwrap()
                .iter()
                .map(|at| at.0)
                .collect();
            let expected = whole.iter().filter(|start| **start % FILE == 0);
            assert!(files.iter().eq(expected), "{len}: {files:?}");
            assert_eq!(starts(&slave, from, i64::MAX, usize::MAX), whole, "{len}");
        }
    }
}

#[test]
fn of_many_records_some_are_told_evenly_spread() {
    let (master, _) = master(40);
    let all: Vec<i64> = borders(&log_bytes(&master), 0)
        .iter()
        .map(|(start, _)| *start)
        .collect();
    let end = master.max_physical().0;
    for (first, last) in [(0, 40), (0, 7), (3, 30), (39, 40), (5, 5)] {
        let from = all[first];
        let to = all.get(last).copied().unwrap_or(end);
        let expected = &all[first..last];
        for at_most in [0, 1, 2, 3, 7, 8, 39, 40, 1024] {
            let found = starts(&master, from, to, at_most);
            assert_eq!(found.len(), at_most.min(expected.len()));
            let places: Vec<usize> = found
                .iter()
                .map(|at| {
                    expected
                        .iter()
                        .position(|start| start == at)
                        .expect("a record begins there")
                })
                .collect();
            assert!(places.first().is_none_or(|first| *first == 0));
            // The gaps differ by one at most, the one behind the last included.
            let ends = places.iter().skip(1).copied().chain([expected.len()]);
            let gaps: Vec<usize> = places.iter().zip(ends).map(|(at, next)| next - at).collect();
            let (least, most) = (gaps.iter().min(), gaps.iter().max());
            assert!(
                most.zip(least).is_none_or(|(most, least)| most - least <= 1),
                "{at_most}: {gaps:?}"
            );
        }
        assert_eq!(
            starts(&master, from, to - 1, 1024),
            expected[..expected.len().min(last - first)]
        );
    }
    let no_record = [1, all[1] - 1, end, end + 1, FILE - 1, i64::MAX];
    for from in no_record {
        assert_eq!(starts(&master, from, i64::MAX, 1024), [] as [i64; 0], "{from}");
    }
    // Where the blank tail of a file begins there is none, though the next file has some.
    let tail = borders(&log_bytes(&master), 0)
        .iter()
        .find(|(_, end)| all.binary_search(end).is_err())
        .unwrap()
        .1;
    assert!(tail < FILE);
    assert_eq!(starts(&master, tail, i64::MAX, 1024), [] as [i64; 0]);
}

#[test]
fn damage_is_stepped_over() {
    let (master, disk) = master(24);
    let all: Vec<i64> = borders(&log_bytes(&master), 0)
        .iter()
        .map(|(start, _)| *start)
        .collect();
    drop(master);
    let disk = disk.kill();
    // The first record of the second file, one in the third, and the magic of the last of all.
    let second = all.iter().position(|at| *at == FILE).unwrap();
    for damaged in [second, second + 9, 23] {
        let (file, at) = (all[damaged] / FILE * FILE, all[damaged] % FILE);
        let path = format!("/store/commitlog/{file:020}");
        let mut content = disk.content(Path::new(&path)).unwrap();
        content[at as usize + 4] ^= 0xFF;
        disk.put(Path::new(&path), &content);
    }
    let (store, report) = open(&disk, &settings(FlushType::Async));
    assert_eq!(report.damage.count, 2, "the third is the torn end");
    assert_eq!(store.last_record().unwrap().map(|at| at.0), Some(all[22]));
    let files: Vec<i64> = store
        .files_with_records()
        .unwrap()
        .iter()
        .map(|at| at.0)
        .collect();
    // The second begins with damage.
    assert_eq!(files, [0, all[second + 1], 2 * FILE, 3 * FILE]);
    let sound = (0..23).filter(|nth| ![second, second + 9].contains(nth));
    assert_eq!(
        starts(&store, 0, i64::MAX, 1024),
        sound.map(|nth| all[nth]).collect::<Vec<_>>()
    );
}
