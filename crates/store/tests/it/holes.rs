//! Holes in a slave's log: cut where the slave made them, kept where it was a master.

use crate::cut_back::borders;
use crate::harness::*;
use crate::raw::{FILE, log_bytes, master, settings};
use disk::SimDisk;
use std::path::{Path, PathBuf};
use store::{FlushType, LogHole, PhysicalOffset, RecoveryReport, Store, StoreSettings};

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

/// A line that has all of the words.
fn has_line(lines: &[String], words: &[&str]) -> bool {
    lines
        .iter()
        .any(|line| words.iter().all(|word| line.contains(word)))
}

#[test]
fn what_a_slave_lost_before_what_it_has_is_cut_and_comes_again() {
    let lost: [(&str, usize, bool); 3] = [
        ("a record's end", 11, true),
        ("a record", 11, false),
        ("the start of a file", 14, false),
    ];
    for (what, nth, is_part) in lost {
        let (disk, log, borders) = left_by(true, 9);
        let (start, end) = borders[nth];
        lose(&disk, if is_part { start + 600 } else { start }, end);
        let (slave, report) = open(&disk, &role(true));
        assert_eq!(slave.max_physical().0, start, "{what}: {report:?}");
        assert!(report.cut_at_hole && report.hole.is_none() && report.damage.count == 0);
        // To the last byte that is not zero: a record without properties ends with zeros.
        let bytes = log.len() - start as usize;
        assert!(
            (bytes - 3..=bytes).contains(&(report.log_cut_bytes as usize)),
            "{what}: {report:?}"
        );
        let path = report.cut_off.clone().unwrap();
        let kept = disk.content(&path).unwrap();
        assert_eq!(kept.len() as u64, report.cut_off_bytes);
        let followed = &kept[(end - start) as usize..];
        assert!(
            log[end as usize..].starts_with(followed),
            "{what}: what followed is kept"
        );
        let hole = format!("has a hole at {start}");
        assert!(
            has_line(&report.warnings(), &[&hole, "the master sends them again"]),
            "{:?}",
            report.warnings()
        );
        assert!(has_line(
            &report.warnings(),
            &["what was cut off the log is kept in", &path.to_string_lossy()]
        ));
        assert_eq!(report.errors(), [] as [String; 0]);
        assert_eq!(places(&slave), (0..nth as i64).collect::<Vec<_>>());
        slave
            .append_raw(PhysicalOffset(start), &log[start as usize..], NOW)
            .unwrap();
        settle(&slave);
        assert_eq!(places(&slave), (0..24).collect::<Vec<_>>());
        drop(slave);
        let (slave, again) = open(&disk.kill(), &role(true));
        assert_eq!((again.damage.count, again.cut_at_hole), (0, false));
        assert!(log_bytes(&slave) == log);
    }
}

#[test]
fn damage_that_a_checkpoint_vouches_for_is_no_hole() {
    // The broken sector is older; that the queues are built again is what makes the start read it.
    let (disk, log, borders) = left_by(true, 20);
    let (start, end) = borders[11];
    lose(&disk, start + 300, end);
    for path in disk.paths() {
        if path.starts_with("/store/consumequeue") {
            disk.take(&path);
        }
    }
    let (slave, report) = open(&disk, &role(true));
    assert_eq!(
        (report.damage.count, report.cut_at_hole),
        (1, false),
        "{report:?}"
    );
    assert_eq!(slave.max_physical().0, log.len() as i64);
    assert_eq!(
        places(&slave),
        (0..24).filter(|place| *place != 11).collect::<Vec<_>>()
    );
}

/// Opens as a slave what was not killed as one: nothing goes, and the hole is told.
fn is_kept(
    disk: &SimDisk,
    log: &[u8],
    (start, end): (i64, i64),
    lost: i64,
) -> (Store<SimDisk>, RecoveryReport) {
    let (slave, report) = open(disk, &role(true));
    assert_eq!(
        (report.damage.count, report.cut_at_hole),
        (1, false),
        "{report:?}"
    );
    assert_eq!(
        report.hole,
        Some(LogHole {
            at: start,
            until: end
        })
    );
    assert_eq!(slave.max_physical().0, log.len() as i64);
    let line = format!("the log has a hole from {start} to {end}");
    assert!(
        has_line(&report.warnings(), &[&line, "compared"]),
        "{:?}",
        report.warnings()
    );
    assert_eq!(
        places(&slave),
        (0..24).filter(|place| *place != lost).collect::<Vec<_>>()
    );
    (slave, report)
}

#[test]
fn a_hole_that_a_master_left_is_kept_and_told_to_who_must_decide() {
    let (disk, log, borders) = left_by(false, 9);
    let hole = borders[11];
    lose(&disk, hole.0, hole.1);
    let (slave, report) = is_kept(&disk, &log, hole, 11);
    // Who decides that it may go can cut there.
    let cut = slave.cut_back(PhysicalOffset(hole.0), NOW).unwrap();
    assert!(
        cut.is_kept_whole() && cut.until.0 == log.len() as i64 && cut.records == 12,
        "{cut} {report:?}"
    );
    slave
        .append_raw(PhysicalOffset(hole.0), &log[hole.0 as usize..], NOW)
        .unwrap();
    settle(&slave);
    assert_eq!(places(&slave), (0..24).collect::<Vec<_>>());
}

#[test]
fn only_the_role_of_the_last_run_counts() {
    // A slave's log, then a master on it, killed at once.
    let (disk, log, borders) = left_by(true, 9);
    drop(open(&disk, &role(false)));
    let disk = disk.kill();
    let abort = Path::new("/store/abort");
    assert_eq!(disk.content(abort).unwrap(), b"");
    // What that run did not vouch for.
    let (vouched, _) = open(&disk.kill(), &role(false));
    assert_eq!(places(&vouched).len(), 24);
    drop(vouched);
    disk.take(Path::new("/store/checkpoint"));
    let hole = borders[11];
    lose(&disk, hole.0, hole.1);
    let (slave, _) = is_kept(&disk, &log, hole, 11);
    drop(slave);
    // Java's has a number, or nothing.
    let (disk, log, borders) = left_by(true, 9);
    disk.put(abort, b"12345");
    let hole = borders[12];
    lose(&disk, hole.0, hole.1);
    is_kept(&disk, &log, hole, 12);
    // A master steps over what a slave left: it has nobody to send it again.
    let (disk, log, borders) = left_by(true, 9);
    assert_eq!(disk.content(abort).unwrap(), b"replica");
    lose(&disk, borders[12].0, borders[12].1);
    let (store, report) = open(&disk, &role(false));
    assert_eq!(
        (report.damage.count, report.cut_at_hole, report.hole),
        (1, false, None)
    );
    assert_eq!(store.max_physical().0, log.len() as i64);
}

#[test]
fn a_start_that_fails_keeps_the_role_of_the_run_before() {
    for nth in 1.. {
        let (disk, log, borders) = left_by(true, 9);
        let (start, end) = borders[11];
        lose(&disk, start, end);
        // As a master first, by mistake; it does not get to its end.
        disk.fail_nth(nth);
        let opened = Store::open(disk.clone(), role(false), NOW);
        if disk.failed().is_none() {
            break;
        }
        drop(opened);
        let disk = disk.crash(nth);
        let (slave, report) = open(&disk, &role(true));
        // Cut as what a slave left, or nothing of it is gone.
        let all = log.len() as i64;
        assert_eq!(
            slave.max_physical().0,
            if report.cut_at_hole { start } else { all },
            "{nth}: {report:?}"
        );
        assert!(nth > 1 || report.cut_at_hole);
    }
}
