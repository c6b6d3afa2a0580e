//! Queues that lost files: no offset is given twice, no message hidden.

use crate::damage::settings;
use crate::harness::*;
use disk::{Disk, SimDisk};
use message::record::{Fields, Place, body_crc};
use std::path::{Path, PathBuf};
use store::{RecoveryReport, Store};

/// Messages of the queue that is looked at: over three of its files.
const COUNT: usize = 40;
const BODY: usize = 500;
/// Bytes of a record.
const RECORD: usize = 92 + BODY;
/// Bytes of a log file.
const FILE: i64 = 16 * 1024;
const DIR: &str = "/store/consumequeue/T/0";

fn body(number: usize) -> Vec<u8> {
    vec![number as u8; BODY]
}

/// 40 messages in T-0 and a few in other queues, over several log files. The checkpoint vouches for all of them.
fn vouched(clean: bool) -> SimDisk {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    for number in 0..COUNT {
        send_through(&store, record("T", 0, &body(number), b""), NOW + number as i64);
        if number % 10 == 5 {
            send_through(&store, record("T", 1, b"other queue", b""), NOW);
            send_through(&store, record("Other", 0, b"other topic", b""), NOW);
        }
    }
    match clean {
        true => store.shutdown().unwrap(),
        false => store.flush_consumequeues(0, true).unwrap(),
    }
    drop(store);
    disk.kill()
}

fn queue_file(number: i64) -> PathBuf {
    Path::new(DIR).join(format!("{:020}", number * 320))
}

fn remove_dir(disk: &SimDisk, dir: &str) {
    disk.remove_dir_all(Path::new(dir)).unwrap();
    disk.sync_file_system(Path::new("/store")).unwrap();
}

/// The store opens with all messages in their places, goes on behind them, now, after a kill and after a stop.
fn all_is_there(disk: &SimDisk) -> RecoveryReport {
    let (store, report) = open(disk, &settings());
    let check = |store: &Store<SimDisk>, count: usize| {
        let bodies = drain(store, "T", 0);
        assert_eq!(bodies.len(), count, "{report:?}");
        assert!(bodies.iter().enumerate().all(|(nth, found)| *found == body(nth)));
        assert_eq!(
            (drain(store, "T", 1).len(), drain(store, "Other", 0).len()),
            (4, 4)
        );
    };
    check(&store, COUNT);
    let next = send_through(&store, record("T", 0, &body(COUNT), b""), NOW);
    assert_eq!(next.queue_offset.0, COUNT as i64, "no offset is given twice");
    drop(store);
    let disk = disk.kill();
    let (store, again) = open(&disk, &settings());
    check(&store, COUNT + 1);
    assert_eq!(again.errors(), [] as [String; 0], "it is told once");
    store.shutdown().unwrap();
    drop(store);
    let (store, again) = open(&disk.kill(), &settings());
    check(&store, COUNT + 1);
    assert_eq!((again.errors().len(), again.records), (0, 0));
    report
}

/// Puts other bytes where units of the queue are.
fn spoil(disk: &SimDisk, number: i64, at: usize, bytes: &[u8]) {
    crate::damage::patch(disk, queue_file(number).to_str().unwrap(), at, bytes);
}

/// No start reads the units that are vouched for. A reader meets those that are damaged, and the next start builds them again.
#[test]
fn units_that_are_zeros_or_noise_are_built_again_when_a_reader_has_met_them() {
    let noise: Vec<u8> = (0..60u32).map(|at| (at * 37 % 251) as u8).collect();
    for clean in [true, false] {
        for (file, at, bytes) in [(0, 100, vec![0; 80]), (1, 40, noise.clone())] {
            let disk = vouched(true);
            spoil(&disk, file, at, &bytes);
            let (store, report) = open(&disk, &settings());
            assert_eq!(report.errors(), [] as [String; 0], "nobody has met it");
            assert_eq!(drain_places(&store, "T", 0).len(), COUNT - bytes.len() / 20);
            let first = file * 16 + at as i64 / 20;
            let (result, _) = read(&store, "T", 0, first);
            assert!(result.is_unit_damaged && result.damaged.is_some_and(|(offset, _)| offset.0 == first));
            match clean {
                true => store.shutdown().unwrap(),
                false => store.save_damaged_units().unwrap(),
            }
            drop(store);
            let disk = disk.kill();
            let report = all_is_there(&disk);
            let told = format!(
                "consumequeue T 0: {} is damaged; units up to {} of 40",
                queue_file(file).display(),
                file * 16
            );
            assert!(report.errors()[0].starts_with(&told), "{:?}", report.errors());
            assert!(!disk.paths().iter().any(|path| path.ends_with("damagedQueues")));
        }
    }
}

/// Its unit is right, and there is nothing to build.
#[test]
fn a_damaged_record_has_no_queue_built_again() {
    let disk = vouched(true);
    crate::damage::patch(
        &disk,
        "/store/commitlog/00000000000000000000",
        RECORD * 3,
        &[0; RECORD],
    );
    let (store, _) = open(&disk, &settings());
    let (result, _) = read(&store, "T", 0, 3);
    assert!(result.damaged.is_some() && !result.is_unit_damaged);
    store.shutdown().unwrap();
    assert!(!disk.paths().iter().any(|path| path.ends_with("damagedQueues")));
}

/// A start after a kill makes a file whole that was cut short. Its units are not made of zeros.
#[test]
fn a_queue_file_in_the_middle_that_is_cut_short_is_built_again() {
    for len in [0, 20, 200, 310] {
        let disk = vouched(false);
        let content = disk.content(&queue_file(1)).unwrap();
        disk.put(&queue_file(1), &content[..len]);
        let report = all_is_there(&disk);
        assert_eq!(report.missing_units.queues, 1, "{len}: {:?}", report.errors());
    }
}

#[test]
fn nothing_missing_is_nothing_to_tell() {
    for clean in [true, false] {
        let report = all_is_there(&vouched(clean));
        assert_eq!(
            (report.errors().len(), report.records, report.units_built),
            (0, 0, 0)
        );
    }
}

#[test]
fn a_broker_without_traffic_writes_no_checkpoint_again() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    for number in 0..COUNT {
        send_through(&store, record("T", 0, &body(number), b"KEYS\x01k"), NOW);
    }
    store.build_index().unwrap();
    store.flush_consumequeues(0, true).unwrap();
    let before = disk.operations();
    (0..3).for_each(|_| store.flush_consumequeues(0, true).unwrap());
    assert_eq!(disk.operations(), before);
    // What changes is written, be it another topic's queue or a queue's files.
    let is_written = |store: &Store<SimDisk>| {
        let before = disk.content(Path::new("/store/queueCheckpoint"));
        store.flush_consumequeues(0, true).unwrap();
        disk.content(Path::new("/store/queueCheckpoint")) != before
    };
    send_through(&store, record("Other", 0, b"x", b""), NOW);
    assert!(is_written(&store) && !is_written(&store));
    store.delete_topic("Other").unwrap();
    assert!(is_written(&store) && !is_written(&store));
    // And a stop leaves both, whatever became of them.
    disk.take(Path::new("/store/queueCheckpoint"));
    store.shutdown().unwrap();
    drop(store);
    let (_, report) = open(&disk.kill(), &settings());
    assert_eq!((report.queue_checkpoint_lost, report.clean), (None, true));
}

#[test]
fn a_queue_that_lost_a_file_is_built_again_from_there_on() {
    for clean in [true, false] {
        for (number, found) in [(2, 32), (1, 16), (0, 0)] {
            let disk = vouched(clean);
            disk.take(&queue_file(number));
            let report = all_is_there(&disk);
            let lines = report.errors();
            let start = format!(
                "consumequeue T 0: {} is missing; units up to {found} of 40 were there, the rest was built again",
                queue_file(number).display()
            );
            assert!(lines.len() == 1 && lines[0].starts_with(&start), "{lines:?}");
            assert_eq!(report.units_built, (COUNT - found) as u64);
            // What is before it is not read again.
            assert!(report.records < 60 - found as u64, "{report:?}");
        }
    }
}

#[test]
fn a_queue_or_a_topic_without_its_directory_is_built_again() {
    for clean in [true, false] {
        for dir in [DIR, "/store/consumequeue/T", "/store/consumequeue"] {
            let disk = vouched(clean);
            remove_dir(&disk, dir);
            let report = all_is_there(&disk);
            let queues = match dir {
                DIR => 1,
                "/store/consumequeue/T" => 2,
                _ => 3,
            };
            assert_eq!(report.missing_units.queues, queues, "{report:?}");
            let line = format!("consumequeue T 0: {DIR} is missing; units up to 0 of 40 were there");
            assert!(
                report.errors().iter().any(|found| found.starts_with(&line)),
                "{report:?}"
            );
        }
    }
}

#[test]
fn units_that_became_zeros_at_the_end_of_a_queue_are_built_again() {
    for clean in [true, false] {
        let disk = vouched(clean);
        crate::damage::patch(&disk, &queue_file(2).to_string_lossy(), 40, &[0; 280]);
        let lines = all_is_there(&disk).errors();
        assert!(
            lines[0].starts_with("consumequeue T 0: units up to 34 of 40 were there"),
            "{lines:?}"
        );
    }
}

#[test]
fn what_a_store_of_java_shows_by_itself_is_seen() {
    for clean in [true, false] {
        for (lost, is_dir) in [
            (queue_file(1), false),
            (queue_file(0), false),
            (PathBuf::from(DIR), true),
        ] {
            let disk = vouched(clean);
            disk.take(Path::new("/store/queueCheckpoint"));
            match is_dir {
                true => (0..3).for_each(|number| disk.take(&queue_file(number))),
                false => disk.take(&lost),
            }
            let lines = all_is_there(&disk).errors();
            let start = format!("consumequeue T 0: {} is missing; units up to ", lost.display());
            assert!(lines[0].starts_with(&start), "{lines:?}");
        }
    }
}

#[test]
fn where_the_file_that_tells_is_damaged_the_log_tells() {
    let path = Path::new("/store/queueCheckpoint");
    for clean in [true, false] {
        for content in [&b""[..], b"garbage", &[0; 100]] {
            let lost: [&dyn Fn(&SimDisk); 4] = [
                &|_| {},
                &|disk| disk.take(&queue_file(2)),
                &|disk| remove_dir(disk, DIR),
                &|disk| remove_dir(disk, "/store/consumequeue/T"),
            ];
            for lose in lost {
                let disk = vouched(clean);
                disk.put(path, content);
                lose(&disk);
                let summary = store::check::check(&disk, &settings(), |_| {}).unwrap();
                let told = summary.first_faults[0].to_string();
                assert!(
                    told.starts_with("/store/queueCheckpoint: it is damaged"),
                    "{told}"
                );
                let lines = all_is_there(&disk).errors();
                assert!(
                    lines
                        .iter()
                        .any(|line| line.starts_with("queueCheckpoint is damaged")),
                    "{lines:?}"
                );
            }
        }
    }
    let disk = vouched(true);
    disk.take(path);
    let lines = all_is_there(&disk).warnings();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("queueCheckpoint is missing")),
        "{lines:?}"
    );
}

/// What the check says of a store, none of which is said after a start.
fn checked(disk: &SimDisk) -> Vec<String> {
    let look = |disk: &SimDisk| store::check::check(disk, &settings(), |_| {}).unwrap();
    let summary = look(disk);
    assert!(!summary.is_open);
    let (store, _) = open(&disk.kill(), &settings());
    let disk = store.disk().clone();
    assert!(look(&disk).is_open, "figures move");
    store.shutdown().unwrap();
    drop(store);
    assert_eq!(look(&disk).first_faults, []);
    let faults = summary.first_faults.iter();
    let faults = faults.filter(|fault| !matches!(fault, store::check::Fault::NoUnit { .. }));
    faults.map(ToString::to_string).collect()
}

#[test]
fn the_check_tells_before_a_start_what_the_start_would() {
    for clean in [true, false] {
        assert_eq!(checked(&vouched(clean)), [] as [String; 0]);
        let disk = vouched(clean);
        disk.take(&queue_file(1));
        let file = queue_file(1).display().to_string();
        assert_eq!(
            checked(&disk),
            [format!(
                "consumequeue T 0: {file} is missing; units up to 16 of 40 are there; a start builds the rest again from the \
                 commitlog"
            )]
        );
        let disk = vouched(clean);
        disk.take(&queue_file(2));
        assert!(checked(&disk)[0].contains("units up to 32 of 40 are there"));
        // Where nothing vouches, a gap is seen all the same.
        disk.take(Path::new("/store/queueCheckpoint"));
        disk.take(&queue_file(0));
        assert!(checked(&disk)[0].contains("units up to 0 are there"));
        let disk = vouched(clean);
        remove_dir(&disk, "/store/consumequeue/T");
        let told = checked(&disk);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with(&format!(
            "consumequeue T 0: {DIR} is missing; units up to 0 of 40"
        )));
        // Where nothing tells of it, the records do.
        disk.take(Path::new("/store/queueCheckpoint"));
        let summary = store::check::check(&disk, &settings(), |_| {}).unwrap();
        let expected = [(("T".to_owned(), 0), COUNT as u64), (("T".to_owned(), 1), 4)];
        assert_eq!((summary.faults, summary.without_queue), (0, expected.into()));
    }
}

#[test]
fn the_check_knows_of_deleted_topics() {
    let disk = vouched(true);
    let (store, _) = open(&disk, &settings());
    store.delete_topic("T").unwrap();
    send_through(&store, record("T", 0, b"new", b""), NOW);
    drop(store);
    let disk = disk.kill();
    let summary = store::check::check(&disk, &settings(), |_| {}).unwrap();
    assert_eq!(
        (summary.faults, summary.without_queue.len()),
        (0, 0),
        "{summary:?}"
    );
    crate::damage::patch(&disk, "/store/deletedTopics", 0, b"9");
    let told = store::check::check(&disk, &settings(), |_| {})
        .unwrap()
        .first_faults[0]
        .to_string();
    assert!(told.starts_with("/store/deletedTopics: it is damaged"), "{told}");
}

#[test]
fn a_start_that_fails_half_way_is_made_good_by_the_next() {
    // The whole of what a start does, cut short at each of its operations, by a kill or a power cut.
    for known in [true, false] {
        let whole = vouched(true);
        if !known {
            whole.take(Path::new("/store/queueCheckpoint"));
        }
        whole.take(&queue_file(1));
        for nth in 1.. {
            let disk = whole.kill();
            disk.fail_nth(nth);
            let opened = Store::open(disk.clone(), settings(), NOW).map(drop);
            let failed = disk.failed().is_some();
            drop(opened);
            let disk = if nth % 2 == 0 {
                disk.kill()
            } else {
                disk.crash(nth)
            };
            let (store, report) = open(&disk, &settings());
            let bodies = drain(&store, "T", 0);
            assert_eq!(bodies.len(), COUNT, "cut short at {nth}: {report:?}");
            assert_eq!(
                send(&store, record("T", 0, b"x", b""), NOW).queue_offset.0,
                COUNT as i64
            );
            if !failed {
                assert!(nth > 40, "{nth}");
                break;
            }
        }
    }
}

#[test]
fn what_retention_removed_is_not_missed() {
    let disk = vouched(true);
    let (store, _) = open(&disk, &settings());
    store.delete_expired_soon();
    let removed = store.tick_retention(NOW + 73 * 3_600_000).unwrap();
    // A kill at once: the checkpoint was saved since the files went.
    assert!(!removed.log.is_empty() && removed.queue_files > 0, "{removed:?}");
    let (min, max) = store.queue_bounds("T", 0);
    drop(store);
    let (store, report) = open(&disk.kill(), &settings());
    assert_eq!((report.errors().len(), report.records), (0, 0), "{report:?}");
    assert_eq!(store.queue_bounds("T", 0), (min, max));
    drop(store);
    // One more file that retention did not take.
    let disk = disk.kill();
    let first = disk
        .paths()
        .into_iter()
        .find(|path| path.starts_with(DIR))
        .unwrap();
    disk.take(&first);
    let (store, report) = open(&disk, &settings());
    assert_eq!(report.missing_units.queues, 1, "{report:?}");
    assert_eq!(store.queue_bounds("T", 0), (min, max));
    drain(&store, "T", 0);
}

#[test]
fn a_message_that_the_log_lost_too_keeps_its_offset() {
    let disk = vouched(true);
    disk.take(&queue_file(2));
    // The last message of the queue: its body.
    let log = disk.paths();
    let log = log
        .iter()
        .rfind(|path| path.starts_with("/store/commitlog"))
        .unwrap();
    let content = disk.content(log).unwrap();
    let at = content
        .windows(BODY)
        .rposition(|bytes| bytes == body(COUNT - 1))
        .unwrap();
    // Something sound has to follow it, or it would be the torn end.
    let (store, _) = open(&disk, &settings());
    send_through(&store, record("Other", 1, b"behind", b""), NOW);
    store.shutdown().unwrap();
    drop(store);
    let disk = disk.kill();
    disk.take(&queue_file(2));
    crate::damage::patch(&disk, &log.to_string_lossy(), at, &[0xFF]);
    for _ in 0..3 {
        // Also after starts that no longer read that part of the log.
        let (store, report) = open(&disk, &settings());
        assert_eq!(store.queue_max_offset("T", 0).0, COUNT as i64, "{report:?}");
        assert_eq!(drain_places(&store, "T", 0).len(), COUNT - 1);
        store.shutdown().unwrap();
    }
    let (store, _) = open(&disk.kill(), &settings());
    assert_eq!(
        send_through(&store, record("T", 0, b"x", b""), NOW)
            .queue_offset
            .0,
        COUNT as i64
    );
}

#[test]
fn on_a_full_disk_places_are_kept_all_the_same() {
    let disk = vouched(true);
    // Something sound at the end, so that it is no torn one.
    let (store, _) = open(&disk, &settings());
    send_through(&store, record("Other", 1, b"behind", b"KEYS\x01k"), NOW);
    store.shutdown().unwrap();
    drop(store);
    let disk = disk.kill();
    // All of the topic's messages are damaged: nothing of the queue can be built.
    for path in disk
        .paths()
        .iter()
        .filter(|path| path.starts_with("/store/commitlog"))
    {
        let content = disk.content(path).unwrap();
        let mut torn = content.clone();
        for at in 0..content.len() - BODY {
            if (0..COUNT).any(|number| content[at..at + BODY] == body(number)[..])
                && content[at - 1] != content[at]
            {
                torn[at] ^= 0xFF;
            }
        }
        disk.put(path, &torn);
    }
    remove_dir(&disk, DIR);
    disk.set_free(Some(0));
    let (store, report) = open(&disk, &settings());
    assert!(report.damage.count > 0, "{report:?}");
    disk.set_free(None);
    assert_eq!(
        send_through(&store, record("T", 0, b"x", b""), NOW)
            .queue_offset
            .0,
        COUNT as i64
    );
    assert_eq!(drain_places(&store, "T", 0), [(COUNT as i64, b"x".to_vec())]);
}

/// Offsets 32 to 35 are given twice, by a broker that did not notice that the queue's last file was gone.
fn given_twice() -> SimDisk {
    let disk = vouched(true);
    let (store, _) = open(&disk, &settings());
    for number in 32..36 {
        let at = store.max_physical();
        let body = [200 + number as u8; BODY];
        let fields = Fields {
            body: &body,
            body_crc: body_crc(&body),
            ..fields("T", 0, b"")
        };
        let mut bytes = vec![0; fields.encoded_len()];
        assert!(at.0 % FILE + bytes.len() as i64 + 8 <= FILE, "it fits the file");
        let place = Place {
            queue_offset: number,
            physical_offset: at.0,
            store_timestamp: NOW,
        };
        fields.encode(place, &mut bytes);
        store.append_raw(at, &bytes, NOW).unwrap();
        settle(&store);
    }
    assert_eq!(store.taken_places(), 4);
    store.shutdown().unwrap();
    drop(store);
    disk.kill()
}

#[test]
fn of_two_messages_with_one_offset_the_later_has_it_and_no_other_is_hidden() {
    for lost in ["/store/consumequeue", "/store/consumequeue/T/0"] {
        let disk = given_twice();
        remove_dir(&disk, lost);
        let open_and_check = |disk: &SimDisk| {
            let (store, report) = open_backwards(disk, &settings()).unwrap();
            let found = drain(&store, "T", 0);
            let expected: Vec<_> = (0..COUNT)
                .map(|nth| match nth {
                    32..36 => vec![200 + nth as u8; BODY],
                    _ => body(nth),
                })
                .collect();
            assert!(found == expected, "{report:?}");
            (store, report)
        };
        let (store, report) = open_and_check(&disk);
        assert_eq!((report.taken_places, store.taken_places()), (4, 4));
        let line = "consumequeue T 0: two messages have the offset 32; it now leads to the later one, at ";
        assert!(
            report.errors().iter().any(|found| found.starts_with(line)),
            "{report:?}"
        );
        assert_eq!(
            send_through(&store, record("T", 0, b"x", b""), NOW)
                .queue_offset
                .0,
            40
        );
        store.shutdown().unwrap();
        drop(store);
        // And once more, whatever is read again.
        let disk = disk.kill();
        disk.take(Path::new("/store/checkpoint"));
        disk.put(Path::new("/store/abort"), b"");
        let (store, report) = open(&disk, &settings());
        assert_eq!(drain(&store, "T", 0).len(), COUNT + 1, "{report:?}");
    }
}

#[test]
fn a_log_that_lost_its_end_is_told_by_the_units_that_point_there() {
    for clean in [true, false] {
        for checkpoint in [true, false] {
            let disk = vouched(clean);
            if !checkpoint {
                disk.take(Path::new("/store/checkpoint"));
            }
            let (_, sound) = open(&disk.kill(), &settings());
            // The last file of the log is gone, or the end of it is zeros.
            for lost_file in [true, false] {
                if checkpoint && !lost_file {
                    // Below what the checkpoint vouches for that is damage, and places stay taken.
                    continue;
                }
                let disk = disk.kill();
                let log = disk.paths();
                let log = log
                    .iter()
                    .rfind(|path| path.starts_with("/store/commitlog"))
                    .unwrap();
                let mut content = disk.content(log).unwrap();
                match lost_file {
                    true => disk.take(log),
                    false => {
                        let end = (sound.log_end % 16384) as usize;
                        content[end - RECORD * 3..end].fill(0);
                        disk.put(log, &content);
                    }
                }
                let accepting = store::StoreSettings {
                    accept_missing_log: true,
                    ..settings()
                };
                let (store, report) = open_backwards(&disk, &accepting).unwrap();
                let behind = report
                    .units_behind
                    .clone()
                    .unwrap_or_else(|| panic!("{report:?}"));
                let left = drain(&store, "T", 0).len();
                let lost =
                    COUNT - left + (4 - drain(&store, "T", 1).len()) + (4 - drain(&store, "Other", 0).len());
                assert!(lost > 0 && left > 0);
                assert_eq!(
                    (behind.units, behind.until, behind.log_end),
                    (lost as u64, sound.log_end, report.log_end),
                    "clean {clean}, checkpoint {checkpoint}, file {lost_file}: {report:?}"
                );
                let lines = String::from_utf8(disk.content(&behind.kept.clone().unwrap()).unwrap()).unwrap();
                assert_eq!(lines.lines().count(), lost);
                assert!(
                    lines
                        .lines()
                        .any(|line| line.starts_with("T 0 39 ") && line.ends_with(&format!(" {RECORD} 0"))),
                    "{lines}"
                );
                let line = format!("{lost} units of ");
                assert!(
                    report.errors().iter().any(|error| error.starts_with(&line)),
                    "{report:?}"
                );
                // As in Java.
                assert_eq!(
                    send_through(&store, record("T", 0, b"x", b""), NOW)
                        .queue_offset
                        .0,
                    left as i64
                );
                store.shutdown().unwrap();
                drop(store);
                let (_, report) = open(&disk.kill(), &settings());
                assert_eq!(report.errors(), [] as [String; 0], "it is told once");
            }
        }
    }
}
