//! Holes in a slave's log: kept and told at a start, filled by a cut; those of a master are copied and told.

use crate::cut_back::borders;
use crate::harness::*;
use crate::raw::{FILE, log_bytes, master, settings};
use disk::SimDisk;
use std::path::PathBuf;
use store::{FlushType, MissingLog, PhysicalOffset, Store, StoreSettings};

fn role(replica: bool) -> StoreSettings {
    StoreSettings {
        replica,
        ..settings(FlushType::Async)
    }
}

fn file_at(position: i64) -> PathBuf {
    format!("/store/commitlog/{:020}", position / FILE * FILE).into()
}

/// Makes zeros of a part of one log file.
fn lose(disk: &SimDisk, from: i64, until: i64) {
    let mut content = disk.content(&file_at(from)).unwrap();
    content[(from % FILE) as usize..][..(until - from) as usize].fill(0);
    disk.put(&file_at(from), &content);
}

/// What a killed broker of a role left whose checkpoint vouches for the first `vouched` of 24 records: the disk, the whole log, where
/// its records begin and end.
fn left_by(replica: bool, vouched: usize) -> (SimDisk, Vec<u8>, Vec<(i64, i64)>) {
    let (source, _) = master(24);
    let log = log_bytes(&source);
    let borders = borders(&log, 0);
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &role(replica));
    let save = |store: &Store<SimDisk>| {
        settle(store);
        store.flush_consumequeues(0, true).unwrap();
    };
    if replica {
        let end = borders[vouched - 1].1;
        store
            .append_raw(PhysicalOffset(0), &log[..end as usize], NOW)
            .unwrap();
        save(&store);
        store
            .append_raw(PhysicalOffset(end), &log[end as usize..], NOW)
            .unwrap();
    } else {
        for number in 0..24u8 {
            send(&store, record("A", 0, &[number; 1000], b""), NOW);
            if usize::from(number) + 1 == vouched {
                save(&store);
            }
        }
    }
    settle(&store);
    assert!(log_bytes(&store) == log);
    drop(store);
    (disk.kill(), log, borders)
}

fn places(store: &Store<SimDisk>) -> Vec<i64> {
    drain_places(store, "A", 0)
        .iter()
        .map(|(place, _)| *place)
        .collect()
}

/// Where what is lost lies: the part of a record, a record, the start of a file.
const LOST: [(usize, bool); 3] = [(11, true), (11, false), (14, false)];

fn all_but(lost: usize) -> Vec<i64> {
    (0..24).filter(|place| *place != lost as i64).collect()
}

#[test]
fn a_start_keeps_what_follows_a_hole_and_a_cut_has_it_filled() {
    for (by_replica, (nth, is_part)) in [true, false]
        .into_iter()
        .flat_map(|by| LOST.map(|lost| (by, lost)))
    {
        let what = format!("left by a slave {by_replica}, record {nth}, a part of it {is_part}");
        let (disk, log, borders) = left_by(by_replica, 9);
        let (start, end) = borders[nth];
        lose(&disk, if is_part { start + 600 } else { start }, end);
        let (slave, report) = open(&disk, &role(true));
        let damage = &report.damage.first[0];
        assert_eq!(
            (report.damage.count, damage.at, damage.bytes),
            (1, start, end - start),
            "{what}"
        );
        assert_eq!((&report.log_cut, report.log_cut_bytes), (&None, 0), "{what}");
        assert_eq!(slave.max_physical().0, log.len() as i64, "{what}");
        assert_eq!(places(&slave), all_but(nth), "{what}");
        // The master has what was there.
        let cut = slave.cut_back(PhysicalOffset(start), NOW).unwrap();
        assert!(
            cut.is_kept_whole() && cut.until.0 == log.len() as i64,
            "{what}: {cut}"
        );
        slave
            .append_raw(PhysicalOffset(start), &log[start as usize..], NOW)
            .unwrap();
        settle(&slave);
        assert_eq!(places(&slave), (0..24).collect::<Vec<_>>(), "{what}");
        drop(slave);
        let (slave, again) = open(&disk.kill(), &role(true));
        assert_eq!(again.damage.count, 0, "{what}");
        assert!(log_bytes(&slave) == log, "{what}");
    }
}

/// The master goes on behind damage, so its slave does; whoever is the master next may have what was there.
#[test]
fn damage_that_is_copied_is_told_once_and_hides_nothing_behind_it() {
    for (nth, is_part) in LOST {
        let (source, _) = master(24);
        let mut log = log_bytes(&source);
        let borders = borders(&log, 0);
        let (start, end) = borders[nth];
        log[(if is_part { start + 600 } else { start }) as usize..end as usize].fill(0);
        for stride in [1, 7, 300, 5000, log.len()] {
            let (slave, _) = open(&SimDisk::new(), &role(true));
            let mut told = Vec::new();
            for part in log.chunks(stride) {
                let at = slave.max_physical();
                let appended = slave.append_raw(at, part, NOW).unwrap();
                assert_eq!(appended.end.0, at.0 + part.len() as i64);
                told.extend(appended.damage);
                let whole = borders.iter().filter(|(_, until)| *until <= appended.end.0);
                let whole = whole
                    .filter(|(at, _)| *at != start)
                    .map(|(_, until)| *until)
                    .max();
                assert!(
                    slave.visible().0 >= whole.unwrap_or(0),
                    "{nth} {is_part} {stride}"
                );
            }
            let told: Vec<_> = told.iter().map(|told| (told.start, told.end)).collect();
            assert_eq!(told, [(start, end)], "{nth} {is_part} {stride}");
            settle(&slave);
            assert_eq!(places(&slave), all_but(nth), "{nth} {is_part} {stride}");
        }
    }
}

#[test]
fn a_log_can_be_cut_at_the_start_of_a_file_whatever_the_file_before_ends_with() {
    let (disk, log, borders) = left_by(true, 2);
    let first = borders.iter().position(|(start, _)| *start == FILE).unwrap();
    lose(&disk, borders[first - 1].0 + 600, FILE);
    let (slave, report) = open(&disk, &role(true));
    assert_eq!(report.damage.count, 1, "{report:?}");
    let cut = slave.cut_back(PhysicalOffset(FILE), NOW).unwrap();
    assert_eq!((cut.from.0, cut.records), (FILE, (24 - first) as u64), "{cut}");
    assert_eq!(slave.max_physical().0, FILE);
    slave
        .append_raw(PhysicalOffset(FILE), &log[FILE as usize..], NOW)
        .unwrap();
    settle(&slave);
    assert_eq!(places(&slave), all_but(first - 1));
}

/// A file that was lost, and that a setting lets a start do without.
#[test]
fn a_cut_has_a_missing_file_filled() {
    let (disk, log, borders) = left_by(true, 2);
    disk.take(&file_at(FILE));
    let settings = StoreSettings {
        accept_missing_log: true,
        ..role(true)
    };
    let (slave, report) = open(&disk, &settings);
    let MissingLog::Between { range, .. } = &report.missing[0] else {
        panic!("{:?}", report.missing);
    };
    assert_eq!(*range, FILE..2 * FILE);
    let is_there = |(_, (start, _)): &(usize, &(i64, i64))| !range.contains(start);
    let there = borders.iter().enumerate().filter(is_there);
    assert_eq!(
        places(&slave),
        there.map(|(nth, _)| nth as i64).collect::<Vec<_>>()
    );
    let cut = slave.cut_back(PhysicalOffset(range.start), NOW).unwrap();
    assert_eq!(
        (slave.max_physical().0, cut.until.0),
        (FILE, log.len() as i64),
        "{cut}"
    );
    slave
        .append_raw(PhysicalOffset(FILE), &log[FILE as usize..], NOW)
        .unwrap();
    settle(&slave);
    assert_eq!(places(&slave), (0..24).collect::<Vec<_>>());
    drop(slave);
    let (slave, again) = open(&disk.kill(), &role(true));
    assert_eq!((again.damage.count, again.missing.len()), (0, 0));
    assert!(log_bytes(&slave) == log);
}
