//! Directories that something happened to: what is recovered, what is cut, what is refused.

use crate::harness::*;
use disk::{Operation, SimDisk};
use message::record::{Place, RecordError};
use std::path::{Path, PathBuf};
use store::check::{Fault, would_open};
use store::{Damage, FlushType, OpenError, RecoveryReport, Store, StoreSettings};

pub(crate) const LOG: &str = "/store/commitlog/00000000000000000000";
pub(crate) const SECOND_LOG: &str = "/store/commitlog/00000000000000016384";

pub(crate) fn settings() -> StoreSettings {
    small(FlushType::Async)
}

/// 30 messages of 500 bytes in T-0, over two log files and two queue files, not shut down.
pub(crate) fn lived_in() -> SimDisk {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    for number in 0..30u8 {
        let properties = format!("KEYS\x01k{number}");
        send_through(
            &store,
            record("T", 0, &[number; 500], properties.as_bytes()),
            NOW + i64::from(number),
        );
        store.build_index().unwrap();
    }
    disk.kill()
}

pub(crate) fn stopped() -> SimDisk {
    let disk = lived_in();
    open(&disk, &settings()).0.shutdown().unwrap();
    disk.kill()
}

/// Opens, checks that the first `expected` messages are there in order, and that the store works on.
fn check(disk: &SimDisk, expected: usize) -> RecoveryReport {
    let (store, report) = open(disk, &settings());
    let bodies = drain(&store, "T", 0);
    assert_eq!(bodies.len(), expected);
    assert!(
        bodies
            .iter()
            .enumerate()
            .all(|(index, body)| *body == [index as u8; 500])
    );
    assert_eq!(
        send_through(&store, record("T", 0, b"more", b""), NOW)
            .queue_offset
            .0,
        expected as i64
    );
    drop(store);
    let (store, _) = open(&disk.kill(), &settings());
    assert_eq!(
        drain(&store, "T", 0).len(),
        expected + 1,
        "and after one more kill"
    );
    report
}

pub(crate) fn patch(disk: &SimDisk, path: &str, at: usize, bytes: &[u8]) {
    let mut content = disk.content(Path::new(path)).unwrap();
    content[at..at + bytes.len()].copy_from_slice(bytes);
    disk.put(Path::new(path), &content);
}

/// Why a start is refused; whoever asks before it is told the same.
pub(crate) fn refused(disk: &SimDisk, settings: StoreSettings) -> String {
    let before = disk.kill();
    let told = would_open(&before, &settings).map_err(|error| error.to_string());
    let opened = opened_or_refused(disk, settings);
    assert_eq!(told, Err(opened.clone()));
    opened
}

fn opened_or_refused(disk: &SimDisk, settings: StoreSettings) -> String {
    match Store::open(disk.clone(), settings, NOW) {
        Ok(_) => panic!("opened"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_clean_stop_is_read_in_no_time() {
    let report = check(&stopped(), 30);
    assert!(
        report.clean && report.records == 0 && report.log_cut.is_none(),
        "{report:?}"
    );
}

#[test]
fn a_kill_loses_nothing() {
    let report = check(&lived_in(), 30);
    assert!(!report.clean);
    assert_eq!((report.records, report.log_cut), (30, None));
}

#[test]
fn a_start_after_a_kill_writes_to_no_queue_whose_units_stand() {
    // One block of units, several, and one that goes on in a second file.
    for units in [150, 900, 1100] {
        let settings = StoreSettings {
            commitlog_file_size: 1 << 20,
            consumequeue_file_size: 20_000,
            index: false,
            ..settings()
        };
        let disk = SimDisk::new();
        let (store, _) = open(&disk, &settings);
        for number in 0..units {
            let body = [number as u8; 10];
            let all = [record("T", 0, &body, b""), record("T", 1, &body, b"")];
            try_send(&store, &all, NOW);
        }
        settle(&store);
        let disk = disk.kill();
        disk.set_cost(Operation::Reserve, 1);
        let (store, report) = open(&disk, &settings);
        assert_eq!(report.units_built, 2 * units as u64);
        // Of the second file, which is made again, each block of units.
        let blocks = 2 * ((units as u64).saturating_sub(1000) * 20).div_ceil(4096);
        assert_eq!(disk.spent_ms(), blocks, "{units} units");
        for queue in 0..2 {
            let found = drain(&store, "T", queue);
            assert!(
                found
                    .iter()
                    .enumerate()
                    .all(|(nth, body)| *body == [nth as u8; 10])
            );
            assert_eq!(found.len(), units);
        }
        // What stood is durable now.
        drop(store);
        let (store, _) = open(&disk.crash(units as u64), &settings);
        assert_eq!(drain(&store, "T", 1).len(), units);
    }
}

#[test]
fn a_crash_reads_only_what_the_checkpoint_does_not_vouch_for() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    for number in 0..30u8 {
        send_through(&store, record("T", 0, &[number; 500], b""), NOW);
        if number == 24 {
            store.flush_consumequeues(0, true).unwrap();
        }
    }
    assert_eq!(check(&disk.kill(), 30).records, 5);
}

#[test]
fn missing_checkpoint() {
    for disk in [lived_in(), stopped()] {
        disk.take(Path::new("/store/checkpoint"));
        check(&disk, 30);
    }
}

#[test]
fn checkpoint_of_a_wrong_length() {
    let disk = lived_in();
    disk.put(Path::new("/store/checkpoint"), b"short");
    check(&disk, 30);
}

#[test]
fn lost_consumequeue_files_are_built_again() {
    for disk in [lived_in(), stopped()] {
        for path in disk
            .paths()
            .iter()
            .filter(|path| path.starts_with("/store/consumequeue"))
        {
            disk.take(path);
        }
        let (store, report) = open(&disk, &settings());
        assert_eq!((report.records, report.units_built), (30, 30), "{report:?}");
        assert_eq!(drain(&store, "T", 0).len(), 30);
    }
}

#[test]
fn lost_and_damaged_index_files_are_built_again() {
    for damage in [true, false] {
        for disk in [lived_in(), stopped()] {
            for path in disk
                .paths()
                .iter()
                .filter(|path| path.starts_with("/store/index"))
            {
                if damage {
                    disk.put(path, b"not an index");
                } else {
                    disk.take(path);
                }
            }
            let (store, _) = open(&disk, &settings());
            store.build_index().unwrap();
            for number in 0..30 {
                assert_eq!(
                    store
                        .query_by_key("T", &format!("k{number}"), 9, 0, i64::MAX)
                        .unwrap()
                        .len(),
                    1
                );
            }
        }
    }
}

#[test]
fn the_crc_property_is_appended_and_a_forced_check_steps_over_a_record_that_it_does_not_fit() {
    let with = StoreSettings {
        append_crc: true,
        ..settings()
    };
    let forced = StoreSettings {
        verify_property_crc: true,
        ..with.clone()
    };
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &with);
    let mut positions = Vec::new();
    for number in 0..10u8 {
        // What a client says comes before, so that it does not count.
        let body = [number; 500];
        let new = record("T", 0, &body, b"__CRC32#\x010000000000\x02KEYS\x01k");
        positions.push(send_through(&store, new, NOW).physical_offset.0);
    }
    let slices = [store.record_at(store::PhysicalOffset(positions[9])).unwrap()];
    let view = records(&slices)[0];
    assert!(view.crc_property_fits());
    drop(slices);
    drop(store);
    // The topic of the sixth: neither its lengths nor the CRC of its body say anything.
    let damaged = || {
        let disk = disk.kill();
        disk.take(Path::new("/store/checkpoint"));
        let topic = positions[5] as usize + 88 + 500 + 1;
        assert_eq!(disk.content(Path::new(LOG)).unwrap()[topic], b'T');
        patch(&disk, LOG, topic, b"U");
        disk
    };
    let (store, report) = open(&damaged(), &with);
    assert_eq!((report.records, report.log_cut), (10, None));
    assert_eq!(store.queue_max_offset("U", 0).0, 6);
    // The place in T stays empty.
    assert_eq!(store.queue_max_offset("T", 0).0, 10);
    let (result, slices) = read(&store, "T", 0, 5);
    assert_eq!((result.next_begin_offset.0, records(&slices).len()), (10, 4));
    let (store, report) = open(&damaged(), &forced);
    assert_eq!((report.records, &report.log_cut), (9, &None));
    let at = positions[5];
    assert_eq!(
        report.damage.first,
        [Damage {
            path: LOG.into(),
            file_offset: at,
            at,
            bytes: positions[6] - at,
            reason: RecordError::PropertyCrc,
        }]
    );
    let places: Vec<_> = drain_places(&store, "T", 0)
        .into_iter()
        .map(|(place, _)| place)
        .collect();
    assert_eq!(places, [0, 1, 2, 3, 4, 6, 7, 8, 9]);
    // Unlike 5.x, which cuts the log where a record has no such property: a setting is no reason to throw messages away.
    let disk = lived_in();
    disk.take(Path::new("/store/checkpoint"));
    let (store, report) = open(&disk, &forced);
    assert_eq!(
        (report.records, report.damage.count, report.log_cut),
        (0, 2, None)
    );
    drop(store);
    let disk = disk.kill();
    disk.paths()
        .iter()
        .filter(|path| path.starts_with("/store/consumequeue"))
        .for_each(|path| disk.take(path));
    assert_eq!(drain(&open(&disk, &settings()).0, "T", 0).len(), 30);
}

#[test]
fn last_log_file_empty_short_or_all_zero() {
    let disk = lived_in();
    disk.put(Path::new("/store/commitlog/00000000000000032768"), b"");
    assert_eq!(
        check(&disk, 30).removed,
        [PathBuf::from("/store/commitlog/00000000000000032768")]
    );

    let disk = lived_in();
    disk.put(Path::new("/store/commitlog/00000000000000032768"), &[0; 16384]);
    disk.put(Path::new("/store/commitlog/00000000000000049152"), &[0; 16384]);
    assert_eq!(check(&disk, 30).removed.len(), 2);

    let disk = lived_in();
    let mut content = disk.content(Path::new(SECOND_LOG)).unwrap();
    content.truncate(300);
    disk.put(Path::new(SECOND_LOG), &content);
    let (store, report) = open(&disk, &settings());
    assert_eq!(report.extended, [PathBuf::from(SECOND_LOG)]);
    assert!(report.log_cut.is_some(), "the record at the cut is gone");
    assert_eq!(store.queue_max_offset("T", 0).0, 27);
}

#[test]
fn units_that_java_left_behind_a_cut_are_not_believed() {
    // A unit behind the last one that points at a record of another queue.
    let disk = stopped();
    let queue = "/store/consumequeue/T/0/00000000000000000320";
    let mut unit = disk.content(Path::new(queue)).unwrap()[..20].to_vec();
    unit[7] = unit[7].wrapping_add(0);
    patch(&disk, queue, 14 * 20, &unit);
    let report = check(&disk, 30);
    assert_eq!(report.units_cut, 1);
}

#[test]
fn unequal_sizes_and_wrong_names_are_refused() {
    let disk = stopped();
    disk.put(Path::new("/store/commitlog/00000000000000016385"), &[0; 16384]);
    assert!(refused(&disk, settings()).contains("does not start at a multiple of 16384"));
    let disk = stopped();
    disk.put(Path::new(SECOND_LOG), &[0; 8192]);
    disk.put(Path::new("/store/commitlog/00000000000000032768"), &[0; 16384]);
    assert_eq!(
        refused(&disk, settings()),
        format!(
            "{SECOND_LOG} has 8192 bytes, but the other commitlog files have 16384: files of one log have one size"
        )
    );
    let (store, _) = open(&stopped(), &settings());
    assert!(matches!(
        Store::open(store.disk().clone(), settings(), NOW),
        Err(OpenError::Locked(path)) if path == Path::new("/store/lock")
    ));
}

#[test]
fn a_queue_keeps_the_file_size_it_was_made_with() {
    for disk in [stopped(), lived_in()] {
        for size in [4000, 100] {
            let disk = disk.kill();
            let other = StoreSettings {
                consumequeue_file_size: size,
                ..settings()
            };
            assert_eq!(store::check::check(&disk, &other, |_| {}).unwrap().faults, 0);
            let (store, report) = open(&disk, &other);
            assert_eq!(report.other_sizes, [(320, 1)].into());
            assert_eq!(drain(&store, "T", 0).len(), 30);
            for number in 30..40u8 {
                send_through(&store, record("T", 0, &[number; 500], b""), NOW);
                send_through(&store, record("New", 0, b"x", b""), NOW);
            }
            store.shutdown().unwrap();
            drop(store);
            let lengths = |dir: &str| -> Vec<(PathBuf, usize)> {
                let files = disk.paths().into_iter().filter(|path| path.starts_with(dir));
                files
                    .map(|path| (path.clone(), disk.content(&path).unwrap().len()))
                    .collect()
            };
            let old = "/store/consumequeue/T/0/000000000000000";
            let expected = ["00000", "00320", "00640"].map(|end| (PathBuf::from(format!("{old}{end}")), 320));
            assert_eq!(lengths("/store/consumequeue/T"), expected);
            assert!(
                lengths("/store/consumequeue/New")
                    .iter()
                    .all(|(_, len)| *len == size as usize)
            );
            // And with its own setting again it is none of another size; the new queue is now.
            let (store, report) = open(&disk.kill(), &settings());
            assert_eq!(report.other_sizes, [(size, 1)].into());
            assert_eq!(
                (drain(&store, "T", 0).len(), drain(&store, "New", 0).len()),
                (40, 10)
            );
        }
    }
}

#[test]
fn a_queue_file_that_a_crash_cut_short_is_made_whole_and_after_a_stop_refused() {
    let second = "/store/consumequeue/T/0/00000000000000000320";
    let short = |disk: SimDisk| {
        let mut content = disk.content(Path::new(second)).unwrap();
        content.truncate(100);
        disk.put(Path::new(second), &content);
        disk
    };
    assert_eq!(
        refused(&short(stopped()), settings()),
        format!(
            "{second} has 100 bytes, but the longest file of its queue has 320: files of one queue have one size"
        )
    );
    assert_eq!(check(&short(lived_in()), 30).extended, [PathBuf::from(second)]);
}

#[test]
fn an_empty_last_file_is_removed_whatever_lies_behind_it() {
    for ext in [false, true] {
        let settings = StoreSettings { ext, ..settings() };
        let disk = SimDisk::new();
        let (store, _) = open(&disk, &settings);
        send_through(&store, record("T", 0, b"x", b"TAGS\x01a"), NOW);
        store.shutdown().unwrap();
        drop(store);
        let disk = disk.kill();
        let mut empty = vec![
            PathBuf::from("/store/commitlog/00000000000000016384"),
            PathBuf::from("/store/consumequeue/T/0/00000000000000000320"),
        ];
        if ext {
            empty.push(PathBuf::from("/store/consumequeue_ext/T/0/00000000000050331648"));
        }
        for path in &empty {
            disk.put(path, b"");
            disk.put(&path.with_file_name("stray").join("file"), b"?");
        }
        let (store, report) = open(&disk, &settings);
        assert!(report.clean);
        assert_eq!(report.removed, empty);
        assert_eq!(report.ignored.len(), empty.len());
        assert_eq!(drain(&store, "T", 0).len(), 1);
    }
}

#[test]
fn strangers_are_left_alone() {
    let disk = stopped();
    let strangers = [
        "/store/commitlog/.DS_Store",
        "/store/consumequeue/T/0/x.tmp",
        "/store/consumequeue/T/-1/y",
    ];
    for path in strangers {
        disk.put(Path::new(path), b"?");
    }
    let report = check(&disk, 30);
    assert_eq!(report.ignored.len(), 3);
    assert!(
        strangers
            .iter()
            .all(|path| disk.content(Path::new(path)).is_some())
    );
}

#[test]
fn hostile_records_touch_no_other_path() {
    let (store, _) = open(&SimDisk::new(), &settings());
    let mut log = vec![0; 16384];
    let mut at = 0;
    for (topic, queue_id, queue_offset) in [
        ("../../etc", 0, 0),
        ("a/b", 0, 0),
        (".", 0, 0),
        ("", 0, 0),
        ("T", -1, 0),
        ("T", 0, -1),
        ("T", 0, i64::MAX),
    ] {
        let new = record(topic, 0, b"x", b"");
        if queue_id == 0 && queue_offset == 0 {
            // The second time behind a good one.
            let mut preparer = store.preparer();
            for good in [None, Some(record("T", 0, b"x", b""))] {
                assert!(good.is_none_or(|good| preparer.prepare(&good).is_ok()));
                assert!(
                    matches!(preparer.prepare(&new), Err(store::Illegal::Name(_))),
                    "{topic}"
                );
            }
        }
        let fields = fields(topic, queue_id, b"KEYS\x01../k");
        let place = Place {
            queue_offset,
            physical_offset: at as i64,
            store_timestamp: NOW,
        };
        fields.encode(place, &mut log[at..at + fields.encoded_len()]);
        at += fields.encoded_len();
    }
    let disk = SimDisk::new();
    disk.put(Path::new(LOG), &log);
    let (store, report) = open(&disk, &settings());
    store.build_index().unwrap();
    assert_eq!(
        (report.records, report.units_built, report.log_end),
        (7, 0, at as i64)
    );
    let expected = [
        "abort",
        "checkpoint",
        "queueCheckpoint",
        "deletedTopics",
        "commitlog",
        "index",
    ];
    for path in disk.paths() {
        assert!(
            expected
                .iter()
                .any(|name| path.starts_with(Path::new("/store").join(name))),
            "{path:?}"
        );
    }
}

fn checked(disk: &SimDisk) -> store::check::CheckSummary {
    store::check::check(disk, &settings(), |_| {}).unwrap()
}

#[test]
fn the_check_counts_what_is_there_and_changes_nothing() {
    for disk in [stopped(), lived_in()] {
        let before: Vec<_> = disk
            .paths()
            .into_iter()
            .map(|path| (path.clone(), disk.content(&path)))
            .collect();
        let mut bodies = 0;
        let summary = store::check::check(&disk, &settings(), |view| bodies += view.body().len()).unwrap();
        assert_eq!(bodies, 30 * 500);
        assert_eq!(
            (summary.records, summary.units, summary.queues, summary.faults),
            (30, 30, 1, 0),
            "{summary:?}"
        );
        assert_eq!(summary.topics["T"], 30);
        assert_eq!(summary.times, Some((NOW, NOW + 29)));
        let after: Vec<_> = disk
            .paths()
            .into_iter()
            .map(|path| (path.clone(), disk.content(&path)))
            .collect();
        assert!(before == after);
    }
}

#[test]
fn the_check_names_each_fault() {
    let disk = stopped();
    patch(&disk, LOG, 5 * 601 + 100, &[0xFF; 3]);
    let texts: Vec<_> = checked(&disk)
        .first_faults
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    let start = format!("{LOG}: 599 bytes from byte 2995 on are damaged (the body's CRC is ");
    assert!(texts[0].starts_with(&start), "{texts:?}");
    assert_eq!(checked(&disk).records, 29);

    let disk = stopped();
    let queue = "/store/consumequeue/T/0/00000000000000000000";
    patch(&disk, queue, 3 * 20 + 7, &[1]);
    let texts: Vec<_> = checked(&disk)
        .first_faults
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(
        texts[0].ends_with("message 3 of queue 0 of T is not in its consumequeue"),
        "{texts:?}"
    );
    assert!(
        texts[1].starts_with("consumequeue T 0: unit 3 points at"),
        "{texts:?}"
    );

    let disk = stopped();
    disk.put(Path::new(SECOND_LOG), b"short");
    // No start drops the units that point there: it is refused.
    let summary = checked(&disk);
    let told = summary.first_faults[0].to_string();
    let why = format!("{SECOND_LOG} has 5 bytes, but the checkpoint says that the log in it reached byte ");
    assert!(
        told.starts_with(&why) && told.ends_with("; a start is refused"),
        "{told}"
    );
    assert_eq!(summary.faults, 1, "{summary:?}");
    assert!(refused(&disk, settings()).starts_with(&why));

    // With a checkpoint that vouches for nothing it may be what a power cut left.
    disk.take(Path::new("/store/checkpoint"));
    let summary = checked(&disk);
    assert!(matches!(&summary.first_faults[0], Fault::File { path, .. } if path == Path::new(SECOND_LOG)));
    assert_eq!(summary.faults, 2, "and three units point there: {summary:?}");
    let told = summary.first_faults[1].to_string();
    let start = "3 units of 1 consumequeues point behind the end of the commitlog at ";
    assert!(told.starts_with(start), "{told}");
}

/// Killed when everything was synced.
fn killed() -> SimDisk {
    let disk = lived_in();
    let (store, _) = open(&disk, &settings());
    store.flush(0).unwrap();
    store.flush_consumequeues(0, true).unwrap();
    disk.kill()
}

/// A start does not read what the checkpoint covers, and cuts nothing there: the check does not say that it does.
#[test]
fn the_check_says_of_a_damaged_end_what_a_start_does() {
    for (disk, has_checkpoint, is_kept) in [
        (stopped(), true, true),
        (stopped(), false, false),
        (killed(), true, true),
        (killed(), false, false),
    ] {
        let case = format!("kept: {is_kept}, with a checkpoint: {has_checkpoint}");
        let mut last = (0, 0);
        let seen = |view: &message::record::View<'_>| last = (view.physical_offset(), view.total_len());
        store::check::check(&disk, &settings(), seen).unwrap();
        let (at, len) = (last.0, last.1);
        patch(&disk, SECOND_LOG, at as usize - 16384, &vec![0; len]);
        if !has_checkpoint {
            disk.take(Path::new("/store/checkpoint"));
            disk.take(Path::new("/store/queueCheckpoint"));
        }
        let texts: Vec<_> = checked(&disk)
            .first_faults
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(texts.len(), if is_kept { 2 } else { 1 }, "{case}: {texts:?}");
        let said = match is_kept {
            true => "a start does not read them: they stay",
            false => "1 units of 1 consumequeues point behind the end of the commitlog",
        };
        assert!(texts[0].contains(said), "{case}: {texts:?}");
        let (store, report) = open(&disk, &settings());
        assert!(report.log_cut.is_none(), "{case}: zeros are no torn record");
        assert_eq!(
            (store.max_physical().0, store.queue_max_offset("T", 0).0),
            if is_kept { (at + len as i64, 30) } else { (at, 29) },
            "{case}"
        );
    }
}
