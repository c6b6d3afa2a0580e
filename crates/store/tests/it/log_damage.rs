//! A log that something happened to: none of what is sound is lost for what is not.

use crate::damage::{LOG, SECOND_LOG, lived_in, patch, refused, settings, stopped};
use crate::harness::*;
use disk::{Disk, MmapDisk, SimDisk, SimRandom};
use message::record::{self, RecordError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use store::check::{CheckSummary, Fault};
use store::{PhysicalOffset, QueueOffset, RecoveryReport, Store, StoreSettings};

/// 60 messages in T-0 over six log files, stopped; where each lies.
fn sixty() -> (SimDisk, Vec<i64>) {
    let (disk, positions) = sixty_of(1400);
    assert_eq!(log_files(&disk).len(), 6);
    (disk, positions)
}

/// 60 messages with bodies of so many bytes.
fn sixty_of(len: usize) -> (SimDisk, Vec<i64>) {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    let mut positions = Vec::new();
    for number in 0..60u8 {
        let body = vec![number; len];
        let appended = send_through(
            &store,
            record("T", 0, &body, b"KEYS\x01k"),
            NOW + i64::from(number),
        );
        positions.push(appended.physical_offset.0);
    }
    store.shutdown().unwrap();
    drop(store);
    (disk.kill(), positions)
}

fn log_files(disk: &SimDisk) -> Vec<PathBuf> {
    let paths = disk.paths().into_iter();
    paths
        .filter(|path| path.starts_with("/store/commitlog"))
        .collect()
}

fn without_queues(disk: &SimDisk) {
    for path in disk.paths() {
        if path.starts_with("/store/consumequeue") {
            disk.take(&path);
        }
    }
}

fn patch_log(disk: &SimDisk, position: i64, bytes: &[u8]) {
    let file = format!("/store/commitlog/{:020}", position / 16384 * 16384);
    patch(disk, &file, (position % 16384) as usize, bytes);
}

fn checked(disk: &SimDisk) -> CheckSummary {
    store::check::check(disk, &settings(), |_| {}).unwrap()
}

/// What the check finds of the log alone.
fn log_faults(summary: &CheckSummary) -> Vec<Fault> {
    let mut faults = summary.first_faults.clone();
    faults.retain(|fault| {
        !matches!(
            fault,
            Fault::NoUnit { .. } | Fault::Unit { .. } | Fault::Behind { .. }
        )
    });
    faults
}

/// Opens and checks that all of sixty messages but those in `gone` are there, in their places, now and after one more kill.
fn opened_without(disk: &SimDisk, gone: &[i64]) -> (SimDisk, RecoveryReport) {
    let (store, report) = open(disk, &settings());
    let expected: Vec<i64> = (0..60).filter(|place| !gone.contains(place)).collect();
    let there = |store: &Store<SimDisk>| -> Vec<i64> {
        let messages = drain_places(store, "T", 0);
        assert!(
            messages
                .iter()
                .all(|(place, body)| *body == vec![*place as u8; 1400])
        );
        messages
            .iter()
            .map(|(place, _)| *place)
            .filter(|place| *place < 60)
            .collect()
    };
    assert_eq!(there(&store), expected, "{report:?}");
    let next = send_through(&store, record("T", 0, &[60; 1400], b"KEYS\x01k"), NOW + 100);
    assert_eq!(next.queue_offset.0, 60, "no place is given twice");
    store.build_index().unwrap();
    let found = store.query_by_key("T", "k", 64, 0, i64::MAX).unwrap().len();
    assert!(
        found > expected.len(),
        "{found} of {} are in the index",
        expected.len() + 1
    );
    drop(store);
    let disk = disk.kill();
    let (store, again) = open(&disk, &settings());
    assert_eq!(there(&store), expected, "{again:?}");
    drop(store);
    (disk, report)
}

#[test]
fn one_damaged_record_costs_one_message_and_no_file() {
    let (sound, positions) = sixty();
    let files = log_files(&sound);
    for damaged in [0, 3, 10, 11, 31, 58] {
        let at = positions[damaged];
        let len = 91 + 1400 + 1 + 6;
        let zeros = vec![0; len as usize];
        let cases: [(&str, i64, &[u8]); 7] = [
            ("a bit of the body", at + 500, &[damaged as u8 ^ 4]),
            ("the length", at + 1, &[0x7F]),
            ("a length that is too short", at, &100i32.to_be_bytes()),
            ("the magic", at + 4, &[0]),
            ("its own position", at + 35, &[0xFF]),
            ("a sector", at / 512 * 512 + 512, &[0xA5; 512]),
            ("all of it", at, &zeros),
        ];
        for (what, position, bytes) in cases {
            let disk = sound.kill();
            patch_log(&disk, position, bytes);
            let told = checked(&disk);
            without_queues(&disk);
            let (disk, report) = opened_without(&disk, &[damaged as i64]);
            let text = format!("{what} of {damaged}: {report:?}");
            assert_eq!((report.log_cut, report.cut_off), (None, None), "{text}");
            assert!(report.removed.is_empty(), "{text}");
            assert_eq!(log_files(&disk)[..6], files, "{text}");
            assert_eq!(
                (report.damage.count, report.damage.first[0].at),
                (1, at),
                "{text}"
            );
            assert!(
                (len..len + 1500).contains(&report.damage.first[0].bytes),
                "{text}"
            );
            // And the check told the same before.
            assert_eq!(
                log_faults(&told),
                [Fault::Damage(report.damage.first[0].clone())],
                "{text}"
            );
            assert_eq!((told.records, report.records), (59, 59));
        }
    }
}

#[test]
fn the_mark_at_the_end_of_a_file_may_be_damaged_too() {
    let (disk, positions) = sixty();
    without_queues(&disk);
    let end = positions.iter().filter(|at| **at < 16384).max().unwrap() + 1498;
    patch_log(&disk, end, &[1, 2, 3, 4]);
    let (_, report) = opened_without(&disk, &[]);
    assert_eq!(
        (report.damage.count, report.damage.bytes),
        (1, (16384 - end) as u64)
    );
}

#[test]
fn a_mark_of_the_end_at_the_head_of_a_file_ends_nothing() {
    let (disk, positions) = sixty();
    let first = positions.iter().position(|at| *at == 16384).unwrap();
    patch_log(
        &disk,
        16384,
        &[16384i32.to_be_bytes(), record::MAGIC_BLANK.to_be_bytes()].concat(),
    );
    let told = checked(&disk);
    without_queues(&disk);
    let (_, report) = opened_without(&disk, &[first as i64]);
    assert_eq!((report.damage.count, report.damage.first[0].at), (1, 16384));
    assert_eq!(log_faults(&told), [Fault::Damage(report.damage.first[0].clone())]);
}

#[test]
fn a_whole_file_of_noise_between_sound_ones_is_stepped_over() {
    let (disk, positions) = sixty();
    without_queues(&disk);
    let mut random = SimRandom::new(5);
    let noise: Vec<u8> = (0..16384).map(|_| random.next_u64() as u8).collect();
    patch_log(&disk, 16384, &noise);
    let gone: Vec<i64> = (0..60)
        .filter(|place| (16384..32768).contains(&positions[*place as usize]))
        .collect();
    let (disk, report) = opened_without(&disk, &gone);
    assert_eq!((report.damage.count, report.damage.bytes), (1, 16384));
    assert_eq!(log_files(&disk).len(), 7, "with the one of the new message");
}

#[test]
fn damage_below_what_a_clean_stop_vouches_for_costs_what_it_hit() {
    let (sound, positions) = sixty();
    // Nothing is read at the start; readers meet it.
    let disk = sound.kill();
    patch_log(&disk, positions[20], &[0xFF; 40]);
    let (_, report) = opened_without(&disk, &[20]);
    assert_eq!((report.records, report.units_cut), (0, 0));
    // The queue's last message: its place stays taken, for consumers have been there.
    let disk = sound.kill();
    patch_log(&disk, positions[59], &[0xFF; 40]);
    let (_, report) = opened_without(&disk, &[59]);
    assert_eq!((report.records, report.units_cut), (0, 0));
    // A page of noise, from within the last messages to behind the end of the log.
    let disk = sound.kill();
    let end = Store::open(sound.kill(), settings(), NOW)
        .unwrap()
        .0
        .max_physical()
        .0;
    let noise: Vec<u8> = (positions[58] + 100..end + 1000)
        .map(|at| (at * 31 % 251) as u8 + 1)
        .collect();
    patch_log(&disk, positions[58] + 100, &noise);
    let (_, report) = opened_without(&disk, &[58, 59]);
    assert_eq!((report.records, report.units_cut), (0, 0));
    assert_eq!((report.log_end, report.log_cut_bytes), (end, 1000));
}

/// The checkpoint of a run that had less says nothing of a log that goes on.
#[test]
fn what_a_checkpoint_of_another_log_vouches_for_does_not_end_this_one() {
    let (sound, positions) = sixty();
    let other = sixty_of(1000).0;
    for name in ["checkpoint", "queueCheckpoint"] {
        let path = Path::new("/store").join(name);
        sound.put(&path, &other.content(&path).unwrap());
    }
    let (store, report) = open(&sound, &settings());
    let end = positions[59] + (positions[1] - positions[0]);
    assert_eq!(store.max_physical().0, end, "{report:?}");
    assert_eq!(drain_places(&store, "T", 0).len(), 60);
}

#[test]
fn a_record_whose_parts_do_not_add_up_hides_none_behind_it() {
    // Damaged while the store runs: what it made itself it does not doubt.
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings {
        commitlog_file_size: 16384,
        max_message_size: 4096,
        ..StoreSettings::below(dir.path())
    };
    let (store, _) = Store::open(MmapDisk::default(), settings, NOW).unwrap();
    let sent = (0..30).map(|_| send_through(&store, record("T", 0, b"x", b""), NOW));
    let positions: Vec<i64> = sent.map(|appended| appended.physical_offset.0).collect();
    let log = dir.path().join("commitlog/00000000000000000000");
    let log = std::fs::OpenOptions::new().write(true).open(log).unwrap();
    // The length of the body; the record's own length and position are as they were.
    log.write_all_at(&[0x7F], positions[20] as u64 + 84).unwrap();
    let (result, slices) = read(&store, "T", 0, 19);
    let found: Vec<_> = store::records(&slices).collect();
    assert_eq!(found.len(), result.count as usize);
    let places: Vec<_> = found.iter().flatten().map(|view| view.queue_offset()).collect();
    assert_eq!(places[..3], [19, 21, 22]);
    assert_eq!(found.iter().filter(|record| record.is_err()).count(), 1);
}

#[test]
fn times_are_found_around_damage() {
    let (disk, positions) = sixty();
    for place in [29, 30, 31, 59] {
        patch_log(&disk, positions[place], &[0xFF; 40]);
    }
    let (store, _) = open(&disk, &settings());
    for place in (0..60).filter(|place| ![29, 30, 31, 59].contains(place)) {
        let found = store
            .offset_by_time("T", 0, NOW + place, store::Boundary::Lower)
            .unwrap();
        assert_eq!(found.0, place);
        let found = store
            .offset_by_time("T", 0, NOW + place, store::Boundary::Nearest)
            .unwrap();
        assert_eq!(found.0, place);
    }
}

#[test]
fn a_torn_end_is_cut_and_kept_aside() {
    for disk in [lived_in(), stopped()] {
        disk.take(Path::new("/store/checkpoint"));
        let end = {
            let copy = disk.kill();
            let (store, report) = open(&copy, &settings());
            let last = drain(&store, "T", 0).len();
            assert_eq!(last, 30);
            report.log_end
        };
        let last = end - 600;
        patch(&disk, SECOND_LOG, (last - 16384) as usize + 300, &[0xFF; 3]);
        let torn = disk.content(Path::new(SECOND_LOG)).unwrap()[(last - 16384) as usize..][..600].to_vec();
        let told = checked(&disk);
        without_queues(&disk);
        let (store, report) = open(&disk, &settings());
        assert_eq!(drain(&store, "T", 0).len(), 29);
        let cut = report.log_cut.unwrap();
        assert_eq!((cut.at, report.log_cut_bytes), (last, 600));
        assert!(matches!(cut.reason, RecordError::BodyCrc { .. }));
        let kept = PathBuf::from(format!("/store/cut_off/commitlog-{last:020}-{NOW}"));
        assert_eq!(report.cut_off, Some(kept.clone()));
        assert!(disk.content(&kept).unwrap() == torn);
        assert_eq!(
            disk.content(Path::new(SECOND_LOG)).unwrap()[(last - 16384) as usize..],
            vec![0; (32768 - last) as usize]
        );
        let expected = Fault::Torn {
            path: SECOND_LOG.into(),
            file_offset: last - 16384,
            bytes: 600,
            reason: cut.reason,
        };
        assert_eq!(log_faults(&told), [expected]);
    }
}

#[test]
fn what_was_cut_off_is_kept_a_few_times() {
    let disk = lived_in();
    disk.put(Path::new("/store/cut_off/notes.txt"), b"mine");
    let mut disk = disk;
    for turn in 0..12 {
        let (store, _) = Store::open(disk.clone(), settings(), NOW + turn).unwrap();
        let end = send_through(&store, record("T", 0, b"x", b""), NOW).end.0;
        drop(store);
        disk = disk.kill();
        patch_log(&disk, end, b"torn");
    }
    let names: Vec<_> = disk
        .list(Path::new("/store/cut_off"))
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names.len(), 1 + 8);
    assert_eq!(names[8], "notes.txt");
    assert!(
        (4..12).all(|turn| names
            .iter()
            .any(|name| name.ends_with(&format!("-{}", NOW + turn)))),
        "{names:?}"
    );
}

#[test]
fn a_full_disk_is_no_reason_to_refuse_a_torn_end() {
    let disk = lived_in();
    patch(&disk, SECOND_LOG, 5000, b"torn");
    let (store, report) = open(&disk, &settings());
    assert!(report.cut_off.is_some() && report.cut_off_lost.is_none());
    drop(store);
    let count = |disk: &SimDisk| {
        let before = disk.operations();
        drop(open(disk, &settings()));
        disk.operations() - before
    };
    let sound = disk.kill();
    patch(&sound, SECOND_LOG, 5000, b"torn");
    let total = count(&sound.kill());
    let mut lost = 0;
    for nth in 1..=total {
        let disk = sound.kill();
        disk.fail_nth(nth);
        if let Ok((store, report)) = Store::open(disk.clone(), settings(), NOW) {
            assert_eq!(drain(&store, "T", 0).len(), 30);
            lost += u32::from(report.cut_off_lost.is_some());
        }
    }
    assert!(lost > 0);
}

#[test]
fn what_looks_like_a_record_in_the_body_of_a_damaged_one_is_none() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    // A client that knows where its message will lie.
    let inner = fields("Secret", 0, b"");
    let place = message::record::Place {
        queue_offset: 0,
        physical_offset: 88,
        store_timestamp: NOW + 1,
    };
    let mut body = vec![0; inner.encoded_len()];
    inner.encode(place, &mut body);
    body.extend_from_slice(b"and more");
    let forged = send_through(&store, record("T", 0, &body, b""), NOW);
    assert_eq!(forged.physical_offset.0, 0);
    let after = send_through(&store, record("T", 0, b"after", b""), NOW);
    drop(store);
    for followed in [true, false] {
        let disk = disk.kill();
        disk.take(Path::new("/store/checkpoint"));
        patch_log(&disk, 88 + body.len() as i64 - 1, b"X");
        if !followed {
            patch_log(&disk, after.physical_offset.0, &[0; 400]);
        }
        let (store, report) = open(&disk, &settings());
        assert_eq!(store.queue_max_offset("Secret", 0).0, 0, "{report:?}");
        assert_eq!(drain_places(&store, "T", 0).len(), usize::from(followed));
        assert_eq!(report.log_cut.is_some(), !followed);
    }
}

#[test]
fn leftovers_behind_a_cut_of_java_do_not_come_back() {
    // Java cut the log behind the fifth message and stored shorter ones since: whole old records lie behind them.
    let disk = lived_in();
    let (store, _) = open(&disk, &settings());
    let at = send_through(&store, record("T", 1, b"x", b""), NOW + 1000)
        .physical_offset
        .0;
    drop(store);
    let disk = disk.kill();
    let whole = disk.content(Path::new(SECOND_LOG)).unwrap();
    let newest = &whole[(at - 16384) as usize..][..93];
    let mut log = disk.content(Path::new(LOG)).unwrap();
    let cut = 5 * 599;
    log[cut..cut + 93].copy_from_slice(newest);
    log[cut + 28..cut + 36].copy_from_slice(&(cut as i64).to_be_bytes());
    let java = SimDisk::new();
    java.put(Path::new(LOG), &log);
    let (store, report) = open(&java, &settings());
    assert_eq!(
        (report.records, report.log_end),
        (6, cut as i64 + 93),
        "{report:?}"
    );
    assert_eq!(drain(&store, "T", 0).len(), 5);
    assert_eq!(store.queue_max_offset("T", 1).0, 1);
}

/// The only file of a log, whatever size the settings have.
#[test]
fn a_file_that_was_cut_short_is_named_by_its_own_name() {
    for setting in [16384, 1 << 30] {
        let disk = stopped();
        let second = disk.content(Path::new(SECOND_LOG)).unwrap();
        let settings = StoreSettings {
            commitlog_file_size: setting,
            ..settings()
        };
        disk.put(Path::new(SECOND_LOG), &second[..100]);
        let text = refused(&disk, settings.clone());
        assert!(
            text.starts_with(&format!("{SECOND_LOG} has 100 bytes, but ")),
            "{text}"
        );
    }
    // One file alone says nothing of how long it was.
    let settings = StoreSettings {
        commitlog_file_size: 1 << 20,
        ..settings()
    };
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings);
    for _ in 0..30 {
        send_through(&store, record("T", 0, &[7; 500], b""), NOW);
    }
    let end = store.max_physical().0;
    store.shutdown().unwrap();
    drop(store);
    let disk = disk.kill();
    let log = disk.content(Path::new(LOG)).unwrap();
    disk.put(Path::new(LOG), &log[..8000]);
    let why = format!(
        "{LOG} has 8000 bytes, but the checkpoint says that the log in it reached byte {end}: the file was cut short"
    );
    let text = refused(&disk, settings.clone());
    assert!(text.starts_with(&why), "{text}");
    let told = store::check::check(&disk, &settings, |_| {}).unwrap();
    let told: Vec<_> = told.first_faults.iter().map(ToString::to_string).collect();
    assert_eq!(told[0], format!("{why}; a start is refused"));
    assert!(
        !told
            .iter()
            .any(|told| told.contains("a start drops") || told.contains("a start cuts")),
        "{told:?}"
    );
    // Who accepts it has what is left, in a file of the log's size.
    let accepting = StoreSettings {
        accept_missing_log: true,
        ..settings.clone()
    };
    let (store, report) = open(&disk, &accepting);
    assert_eq!(report.extended, [PathBuf::from(LOG)]);
    let left = drain(&store, "T", 0).len();
    assert!((1..30).contains(&left), "{left} of 30");
    send_through(&store, record("T", 0, b"next", b""), NOW);
}

/// A file that does not belong there is named, not the sound one beside it.
#[test]
fn a_strange_file_is_named_and_not_the_sound_one() {
    for setting in [16384, 1 << 30] {
        let settings = StoreSettings {
            commitlog_file_size: setting,
            ..settings()
        };
        for (name, content) in [
            ("00000000000000000002", &b"ab"[..]),
            ("00000000000000008192", b"ab"),
        ] {
            let disk = stopped();
            let strange = format!("/store/commitlog/{name}");
            disk.put(Path::new(&strange), content);
            let text = refused(&disk, settings.clone());
            assert!(text.starts_with(&format!("{strange} ")), "{text}");
        }
        let disk = stopped();
        disk.put(Path::new(LOG), b"ab");
        let text = refused(&disk, settings);
        assert!(text.starts_with(&format!("{LOG} has 2 bytes")), "{text}");
    }
}

#[test]
fn a_missing_file_in_the_middle_refuses_the_start_and_names_it() {
    let (disk, positions) = sixty();
    disk.take(Path::new(SECOND_LOG));
    let why = "1 commitlog files from 00000000000000016384 on are missing between \
               /store/commitlog/00000000000000000000 and /store/commitlog/00000000000000032768";
    let text = refused(&disk, settings());
    assert!(text.starts_with(why), "{text}");
    assert!(
        text.ends_with("bring it back, or set acceptMissingCommitLog=true to go on without it"),
        "{text}"
    );
    let told = checked(&disk);
    assert_eq!(
        told.first_faults[0].to_string(),
        format!("{why}; a start is refused")
    );
    // Nothing was changed, so that bringing it back is enough. With the setting the rest is served.
    let gone: Vec<i64> = (0..60)
        .filter(|place| (16384..32768).contains(&positions[*place as usize]))
        .collect();
    for queues in [true, false] {
        let disk = disk.kill();
        if !queues {
            without_queues(&disk);
        }
        let accepting = StoreSettings {
            accept_missing_log: true,
            ..settings()
        };
        let (store, report) = open(&disk, &accepting);
        assert_eq!(report.missing.len(), 1);
        let there: Vec<_> = drain_places(&store, "T", 0)
            .into_iter()
            .map(|(place, _)| place)
            .collect();
        let expected: Vec<_> = (0..60).filter(|place| !gone.contains(place)).collect();
        assert_eq!(there, expected, "with queues: {queues}");
        assert_eq!(
            send_through(&store, record("T", 0, b"x", b""), NOW)
                .queue_offset
                .0,
            60
        );
        assert!(
            store
                .record_at(PhysicalOffset(positions[gone[0] as usize]))
                .is_err()
        );
        store.build_index().unwrap();
        store.shutdown().unwrap();
        drop(store);
        assert_eq!(log_files(&disk).len(), 5, "none of the others went");
    }
}

#[test]
fn a_missing_log_refuses_the_start_and_says_what_tells_of_it() {
    let with_log = stopped();
    let without = |parts: &[&str]| {
        let disk = with_log.kill();
        for path in disk.paths() {
            if parts
                .iter()
                .any(|part| path.starts_with(Path::new("/store").join(part)))
            {
                disk.take(&path);
            }
        }
        disk
    };
    let text = refused(&without(&["commitlog"]), settings());
    let start = "there is no commitlog file in /store/commitlog, but ";
    assert!(
        text.starts_with(&format!(
            "{start}/store/checkpoint says that messages were stored;"
        )),
        "{text}"
    );
    let text = refused(&without(&["commitlog", "checkpoint"]), settings());
    assert!(
        text.starts_with(&format!("{start}/store/consumequeue/T/0 has queue files;")),
        "{text}"
    );
    assert!(matches!(
        checked(&without(&["commitlog"])).first_faults[0],
        Fault::Missing(_)
    ));
    let accepting = StoreSettings {
        accept_missing_log: true,
        ..settings()
    };
    for (disk, settings) in [
        (without(&["commitlog"]), accepting),
        // Nothing tells of a log: a new store.
        (without(&["commitlog", "consumequeue", "checkpoint"]), settings()),
    ] {
        let (store, _) = open(&disk, &settings);
        assert_eq!(store.queue_max_offset("T", 0).0, 0);
        assert_eq!(
            send_through(&store, record("T", 0, b"x", b""), NOW)
                .physical_offset
                .0,
            0
        );
    }
    // A store that never had a message has no log either.
    let disk = SimDisk::new();
    open(&disk, &settings()).0.shutdown().unwrap();
    open(&disk.kill(), &settings());
}

#[test]
fn a_forgotten_directory_refuses_the_start() {
    let dirs = |names: &[&str]| StoreSettings {
        commitlog_dirs: names.iter().map(PathBuf::from).collect(),
        ..settings()
    };
    let fill = |count: u8| {
        let disk = SimDisk::new();
        let (store, _) = open(&disk, &dirs(&["/a", "/b"]));
        for number in 0..count {
            send_through(&store, record("T", 0, &[number; 1400], b""), NOW);
        }
        store.shutdown().unwrap();
        drop(store);
        disk.kill()
    };
    let text = refused(&fill(30), dirs(&["/a"]));
    assert!(
        text.contains("from 00000000000000016384 on are missing between /a/0000000000000"),
        "{text}"
    );
    // The last file lies in the other one.
    let disk = fill(15);
    let text = refused(&disk, dirs(&["/a"]));
    let expected = "the commitlog ends with /a/00000000000000000000 at 16384, but the checkpoint says that it reached 23844";
    assert!(text.starts_with(expected), "{text}");
    assert!(
        text.contains("00000000000000016384 and what follows is missing"),
        "{text}"
    );
    let (store, _) = open(&disk, &dirs(&["/b", "/a"]));
    assert_eq!(drain(&store, "T", 0).len(), 15);
}

#[test]
fn saved_positions_are_brought_into_what_is_there() {
    // The log lost its end since checkpoint, queues and index were written.
    let disk = stopped();
    let end = checked(&disk).log_end;
    disk.take(Path::new(SECOND_LOG));
    let accepting = StoreSettings {
        accept_missing_log: true,
        ..settings()
    };
    let (store, report) = open(&disk, &accepting);
    assert_eq!((drain(&store, "T", 0).len(), report.log_end), (27, 16384));
    assert_eq!((report.brought_in.len(), report.units_cut), (1, 3), "{report:?}");
    let told = report.brought_in[0];
    assert_eq!(told.saved, end);
    assert!(told.now <= report.log_end);
    assert!(report.index_files_removed > 0);
    let lines = report.warnings();
    assert!(
        lines.contains(&format!(
            "the checkpoint's position in the commitlog said {end}, which is not there; it goes on from {}",
            told.now
        )),
        "{lines:?}"
    );
    store.build_index().unwrap();
    assert_eq!(store.query_by_key("T", "k26", 9, 0, i64::MAX).unwrap().len(), 1);
    assert_eq!(store.query_by_key("T", "k27", 9, 0, i64::MAX).unwrap(), []);
    for (saved, expected) in [(0, 0), (-5, 0), (26, 26), (27, 27), (30, 27), (i64::MAX, 27)] {
        assert_eq!(store.clamp_offset("T", 0, QueueOffset(saved)).0, expected);
    }
    assert_eq!(store.clamp_offset("Gone", 3, QueueOffset(30)).0, 0);
}

#[test]
fn a_log_keeps_the_file_size_it_was_made_with() {
    for disk in [stopped(), lived_in()] {
        for size in [8192, 65536] {
            let disk = disk.kill();
            let other = StoreSettings {
                commitlog_file_size: size,
                ..settings()
            };
            assert_eq!(store::check::check(&disk, &other, |_| {}).unwrap().faults, 0);
            let (store, report) = open(&disk, &other);
            assert_eq!(report.other_log_file_size, Some(16384));
            for number in 30..60u8 {
                send_through(&store, record("T", 0, &[number; 500], b""), NOW);
            }
            assert_eq!(drain(&store, "T", 0).len(), 60);
            assert_eq!(store.settings().max_record_bytes(), 16384 - 8);
            store.shutdown().unwrap();
            drop(store);
            let disk = disk.kill();
            let lens: Vec<_> = log_files(&disk)
                .iter()
                .map(|path| disk.content(path).unwrap().len())
                .collect();
            assert_eq!(lens, [16384; 3]);
            let (store, report) = open(&disk, &settings());
            assert_eq!(
                (drain(&store, "T", 0).len(), report.other_log_file_size),
                (60, None)
            );
        }
    }
    // The only file of a log: a clean stop leaves it whole, whatever its size; a crash may have cut it short.
    for clean in [true, false] {
        let disk = SimDisk::new();
        let (store, _) = open(&disk, &settings());
        send_through(&store, record("T", 0, b"x", b""), NOW);
        if clean {
            store.shutdown().unwrap();
        }
        drop(store);
        let disk = disk.kill();
        let larger = StoreSettings {
            commitlog_file_size: 32768,
            ..settings()
        };
        let (store, report) = open(&disk, &larger);
        assert_eq!(drain(&store, "T", 0), [b"x"]);
        assert_eq!(report.other_log_file_size, clean.then_some(16384));
        assert_eq!(
            report.extended,
            if clean { vec![] } else { vec![PathBuf::from(LOG)] }
        );
    }
}

#[test]
fn two_files_of_one_name_refuse_the_start_and_are_both_named() {
    let disk = SimDisk::new();
    let dirs = ["/a/commitlog", "/b/commitlog"].map(PathBuf::from);
    let settings = StoreSettings {
        commitlog_dirs: dirs.to_vec(),
        ..settings()
    };
    let (store, _) = open(&disk, &settings);
    send_through(&store, record("T", 0, b"x", b""), NOW);
    store.shutdown().unwrap();
    drop(store);
    let disk = disk.kill();
    let [first, second] = dirs.map(|dir| dir.join("00000000000000000000"));
    let content = disk.content(&first).unwrap();
    disk.write_small(&second, &content, false).unwrap();
    let refused = refused(&disk, settings.clone());
    let summary = store::check::check(&disk, &settings, |_| {}).unwrap();
    assert_eq!(summary.faults, 1, "{summary}");
    let checked = summary.first_faults[0].to_string();
    for said in [refused, checked] {
        assert!(
            said.contains("/a/commitlog/0000") && said.contains("/b/commitlog/0000"),
            "{said}"
        );
    }
    disk.remove_file(&first).unwrap();
    let (store, _) = open(&disk, &settings);
    assert_eq!(drain(&store, "T", 0), [b"x"]);
}

#[test]
fn a_record_that_no_client_could_read_is_passed_over_and_the_others_are_read() {
    let (disk, positions) = sixty();
    // The length of the body; the head is as it was.
    patch_log(&disk, positions[7] + 84, &9999i32.to_be_bytes());
    let (store, _) = open(&disk, &settings());
    let places: Vec<i64> = drain_places(&store, "T", 0)
        .iter()
        .map(|(place, _)| *place)
        .collect();
    let expected: Vec<i64> = (0..60).filter(|place| *place != 7).collect();
    assert_eq!(places, expected);
    let (read, _) = read(&store, "T", 0, 0);
    assert_eq!(read.damaged, Some((QueueOffset(7), PhysicalOffset(positions[7]))));
}
