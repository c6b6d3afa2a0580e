//! Append, reput, read, on the simulated disk unless the real one matters.

use crate::harness::*;
use disk::{MmapDisk, SimDisk, Usage};
use filter::{Filter, TagFilter, Verdict};
use message::record::{Check, Entry, View, decode};
use std::path::Path;
use store::{
    AppendError, Boundary, FlushType, Illegal, NewRecord, PhysicalOffset, QueueOffset, ReadLimits,
    ReadStatus, Store, StoreSettings,
};

#[test]
fn what_is_sent_is_read() {
    let (store, report) = open(&SimDisk::new(), &small(FlushType::Async));
    assert!(report.clean && report.log_end == 0);
    let mut told = Vec::new();
    let first = send(&store, record("T", 1, b"one", b"TAGS\x01a\x02"), NOW);
    let second = send(&store, record("T", 1, b"two", b""), NOW + 5);
    store
        .reput(&mut |message| told.push((message.queue_id, message.queue_offset.0, message.tags_code)))
        .unwrap();
    assert_eq!(told, [(1, 0, 97), (1, 1, 0)]);
    assert_eq!(
        (first.queue_offset.0, first.physical_offset.0, first.end.0),
        (0, 0, 91 + 1 + 3 + 7)
    );
    assert_eq!(second.physical_offset, first.end);
    let (result, slices) = read(&store, "T", 1, 0);
    assert_eq!(
        (result.status, result.count, result.next_begin_offset.0),
        (ReadStatus::Found, 2, 2)
    );
    assert_eq!(slices.len(), 1, "adjacent records are one slice");
    assert_eq!(drain(&store, "T", 1), [b"one", b"two"]);
    assert_eq!(
        store
            .topics()
            .iter()
            .map(|topic| topic.to_string())
            .collect::<Vec<_>>(),
        ["T"]
    );
}

#[test]
fn reput_leaves_what_comes_meanwhile() {
    let (store, _) = open(&SimDisk::new(), &small(FlushType::Async));
    send(&store, record("T", 0, b"first", b""), NOW);
    let mut told = 0;
    let more = store.reput(&mut |_| {
        told += 1;
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                send(&store, record("T", 0, b"second", b""), NOW);
                store.reput(&mut |_| {}).unwrap()
            });
            assert!(!other.join().unwrap(), "whoever is at it is told, not the second");
        });
    });
    assert_eq!(
        (told, more.unwrap()),
        (1, true),
        "the caller gets back to its own work"
    );
    assert!(!store.reput(&mut |_| {}).unwrap());
    assert_eq!(drain(&store, "T", 0), [b"first".as_slice(), b"second"]);
}

#[test]
fn every_status() {
    let (store, _) = open(&SimDisk::new(), &small(FlushType::Async));
    let status = |queue, offset| {
        let (result, _) = read(&store, "T", queue, offset);
        (result.status, result.next_begin_offset.0)
    };
    assert_eq!(status(0, 5), (ReadStatus::NoMatchedLogicQueue, 0));
    let pending = store.prepare(&record("T", 0, b"", b"")).unwrap();
    drop(pending);
    assert_eq!(status(0, 5), (ReadStatus::NoMessageInQueue, 0));
    for _ in 0..3 {
        send_through(&store, record("T", 0, b"x", b"TAGS\x01a"), NOW);
    }
    assert_eq!(status(0, -1), (ReadStatus::OffsetTooSmall, 0));
    assert_eq!(status(0, 3), (ReadStatus::OffsetOverflowOne, 3));
    assert_eq!(status(0, 4), (ReadStatus::OffsetOverflowBadly, 3));
    assert_eq!(status(0, 1), (ReadStatus::Found, 3));
    let filter = TagFilter::parse("b").unwrap();
    let (result, slices) = read_with(&store, "T", 0, 0, ALL, &filter);
    assert_eq!(
        (result.status, result.next_begin_offset.0),
        (ReadStatus::NoMatchedMessage, 3)
    );
    assert!(slices.is_empty());
}

#[test]
fn sync_flush_shows_only_what_is_durable() {
    let (store, _) = open(&SimDisk::new(), &small(FlushType::Sync));
    let appended = send(&store, record("T", 0, b"x", b""), NOW);
    store.reput(&mut |_| panic!("not durable yet")).unwrap();
    assert_eq!(read(&store, "T", 0, 0).0.status, ReadStatus::NoMessageInQueue);
    assert!(store.record_at(appended.physical_offset).is_err());
    assert_eq!(store.flush(0).unwrap(), appended.end);
    store.reput(&mut |_| {}).unwrap();
    assert_eq!(drain(&store, "T", 0), [b"x"]);
}

#[test]
fn zeros_go_before_small_groups_and_not_before_large_ones() {
    let settings = StoreSettings {
        commitlog_file_size: 64 << 20,
        log_reserve_step_bytes: 64 << 20,
        ..small(FlushType::Sync)
    };
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings);
    // Sends groups of so many records of 1 KiB, 4 MiB in all; returns how much of the log got zeros ahead meanwhile.
    let zeros_before_groups_of = |group: usize| {
        let before = disk.populated();
        for _ in 0..4096 / group {
            for _ in 0..group {
                send(&store, record("T", 0, &[1; 1024], b""), NOW);
            }
            store.flush(0).unwrap();
            if store.needs_preparation() {
                store.prepare_ahead(NOW, &mut || {});
            }
        }
        disk.populated() - before
    };
    assert!(zeros_before_groups_of(1) >= 4 << 20);
    // What lies ahead from before is used up first.
    zeros_before_groups_of(512);
    assert_eq!(zeros_before_groups_of(512), 0);
    zeros_before_groups_of(1);
    assert!(zeros_before_groups_of(1) >= 3 << 20);
}

#[test]
fn flush_waits_for_enough_pages() {
    let (store, _) = open(&SimDisk::new(), &small(FlushType::Async));
    send(&store, record("T", 0, &[1; 5000], b""), NOW);
    assert_eq!(store.flush(4).unwrap(), PhysicalOffset(0));
    assert_eq!(store.flush(1).unwrap(), store.max_physical());
}

#[test]
fn files_roll_with_a_blank_record() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &small(FlushType::Async));
    // 16,384 bytes: three records of 5,092 leave 1,108; the fourth does not fit.
    for _ in 0..4 {
        send_through(&store, record("T", 0, &[7; 5000], b""), NOW);
    }
    let log = disk
        .content(Path::new("/store/commitlog/00000000000000000000"))
        .unwrap();
    let at = 3 * 5092;
    assert!(matches!(
        decode(&log[at..], Check::Lengths),
        Ok(Entry::Blank { left: 1108 })
    ));
    assert_eq!(store.max_physical().0, 16384 + 5092);
    assert_eq!(drain(&store, "T", 0).len(), 4);
}

#[test]
fn the_blank_record_always_has_room() {
    // Bodies that leave exactly 8 and 7 bytes after the second record.
    for (left, rolls) in [(8, false), (7, true)] {
        let (store, _) = open(&SimDisk::new(), &small(FlushType::Async));
        let first = send(&store, record("T", 0, &[1; 8100], b""), NOW);
        let body = vec![2; 16384 - left - first.end.0 as usize - 92];
        let second = send(&store, record("T", 0, &body, b""), NOW);
        assert_eq!(second.physical_offset.0 == 16384, rolls, "{left} bytes left");
        settle(&store);
        assert_eq!(drain(&store, "T", 0).len(), 2);
    }
}

#[test]
fn a_batch_shares_a_file_and_fails_as_one() {
    let (store, _) = open(&SimDisk::new(), &small(FlushType::Async));
    send(&store, record("T", 0, &[1; 6000], b""), NOW);
    let joined = NewRecord {
        joined: true,
        ..record("T", 0, &[2; 6000], b"")
    };
    let results = try_send(
        &store,
        &[record("T", 0, &[2; 6000], b""), joined, record("U", 0, b"x", b"")],
        NOW,
    );
    let places: Vec<_> = results
        .into_iter()
        .map(|result| result.unwrap().physical_offset.0)
        .collect();
    assert_eq!(places, [16384, 16384 + 6092, 16384 + 2 * 6092]);
    let results = try_send(&store, &[record("T", 0, &[2; 6000], b""), joined, joined], NOW);
    assert!(results.iter().all(|result| matches!(
        result,
        Err(AppendError::BatchTooLong {
            len: 18276,
            max: 16376
        })
    )));
    settle(&store);
    assert_eq!(drain(&store, "T", 0).len(), 3);
}

#[test]
fn illegal_messages() {
    let (store, _) = open(&SimDisk::new(), &small(FlushType::Async));
    let body = vec![0; 8193];
    let long = "x".repeat(40_000);
    let topic = "t".repeat(256);
    let cases = [
        (record("T", 0, &body, b""), Illegal::Body { len: 8193, max: 8192 }),
        (record("T", -1, b"", b""), Illegal::QueueId(-1)),
        (
            record("T", 0, b"", long.as_bytes()),
            Illegal::Properties { len: 40_000 },
        ),
        (record(&topic, 0, b"", b""), Illegal::Topic { len: 256, max: 255 }),
        (
            record("T", 0, b"", &long.as_bytes()[..20_000]),
            Illegal::Record {
                len: 20_092,
                max: 16_376,
            },
        ),
    ];
    for (new, expected) in cases {
        assert_eq!(store.prepare(&new).err(), Some(expected));
    }
}

#[test]
fn prepared_and_rollback_have_no_unit() {
    let (store, _) = open(&SimDisk::new(), &small(FlushType::Async));
    for sys_flag in [4, 12, 8, 0] {
        send_through(
            &store,
            NewRecord {
                sys_flag,
                ..record("T", 0, &[sys_flag as u8], b"")
            },
            NOW,
        );
    }
    assert_eq!(drain(&store, "T", 0), [[8], [0]]);
}

#[test]
fn delay_records_carry_their_due_time() {
    let (store, _) = open(&SimDisk::new(), &small(FlushType::Async));
    let mut told = Vec::new();
    for level in ["1", "18", "99", "0"] {
        let properties = format!("DELAY\x01{level}\x02TAGS\x01a");
        send(
            &store,
            record("SCHEDULE_TOPIC_XXXX", 0, b"", properties.as_bytes()),
            NOW,
        );
        store.reput(&mut |message| told.push(message.tags_code)).unwrap();
    }
    assert_eq!(told, [NOW + 1000, NOW + 7_200_000, NOW + 7_200_000, 97]);
}

#[test]
fn limits_of_a_read() {
    let settings = StoreSettings {
        memory_window_bytes: 3000,
        consumequeue_file_size: 2000,
        ..small(FlushType::Async)
    };
    let (store, _) = open(&SimDisk::new(), &settings);
    for _ in 0..50 {
        send_through(&store, record("T", 0, &[0; 100], b""), NOW);
    }
    let count = |offset, max_messages, max_bytes| {
        let limits = ReadLimits {
            max_messages,
            max_bytes,
        };
        let (result, _) = read_with(&store, "T", 0, offset, limits, &TagFilter::All);
        (result.count, result.far_behind)
    };
    assert_eq!(count(0, 32, i64::MAX), (8, true), "on disk");
    assert_eq!(count(40, 32, i64::MAX), (10, false), "in memory");
    assert_eq!(count(40, 3, i64::MAX).0, 3);
    assert_eq!(count(40, 3, 1).0, 1, "the first is always given");
    assert_eq!(count(40, 9, 192 * 2).0, 2);
}

#[test]
fn offsets_by_time() {
    let (store, _) = open(&SimDisk::new(), &small(FlushType::Async));
    for time in [1000, 2000, 2000, 2000, 5000] {
        send_through(&store, record("T", 0, b"x", b""), NOW + time);
    }
    let cases = [
        // time, lower, upper, nearest
        (0, 0, 0, 0),
        (1000, 0, 0, 0),
        (1400, 1, 0, 0),
        (1500, 1, 0, 0),
        (1501, 1, 0, 1),
        (2000, 1, 3, 1),
        (4999, 4, 3, 4),
        (5000, 4, 4, 4),
        (9000, 5, 4, 5),
    ];
    for (time, lower, upper, nearest) in cases {
        let at = |boundary| store.offset_by_time("T", 0, NOW + time, boundary).unwrap().0;
        let found = (at(Boundary::Lower), at(Boundary::Upper), at(Boundary::Nearest));
        assert_eq!(found, (lower, upper, nearest), "at {time}");
    }
    assert_eq!(store.earliest_store_time("T", 0).unwrap(), Some(NOW + 1000));
    assert_eq!(store.earliest_log_time(), Some(NOW + 1000));
}

#[test]
fn keys_find_their_messages() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &small(FlushType::Async));
    let mut last = PhysicalOffset(0);
    for number in 0..100 {
        let properties = format!("KEYS\x01k{number} shared\x02UNIQ_KEY\x01U{number}");
        last = send_through(
            &store,
            record("T", 0, b"x", properties.as_bytes()),
            NOW + number * 1000,
        )
        .physical_offset;
        store.build_index().unwrap();
    }
    let query = |key: &str, begin, end| store.query_by_key("T", key, 64, NOW + begin, NOW + end).unwrap();
    assert_eq!(query("k99", 0, 1_000_000), [last]);
    assert_eq!(query("U99", 99_000, 99_000), [last]);
    assert_eq!(query("k99", 0, 98_999), []);
    assert_eq!(query("shared", 0, 1_000_000).len(), 64);
    assert_eq!(query("shared", 10_000, 19_999).len(), 10);
    assert_eq!(query("k", 0, 1_000_000), []);
    assert!(
        disk.paths()
            .iter()
            .filter(|path| path.starts_with("/store/index"))
            .count()
            > 3,
        "index files roll"
    );
    store.shutdown().unwrap();
    drop(store);
    let (store, _) = open(&disk, &small(FlushType::Async));
    store.build_index().unwrap();
    assert_eq!(store.query_by_key("T", "k99", 64, 0, i64::MAX).unwrap(), [last]);
}

#[test]
fn a_deleted_topic_is_gone_and_can_come_back() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &small(FlushType::Async));
    for _ in 0..20 {
        send_through(&store, record("T", 0, b"old", b""), NOW);
    }
    store.delete_topic("T").unwrap();
    assert_eq!(store.queue_bounds("T", 0), (QueueOffset(0), QueueOffset(0)));
    assert!(
        !disk
            .paths()
            .iter()
            .any(|path| path.starts_with("/store/consumequeue/T"))
    );
    assert_eq!(
        send_through(&store, record("T", 0, b"new", b""), NOW)
            .queue_offset
            .0,
        0
    );
    assert_eq!(drain(&store, "T", 0), [b"new"]);
    // The log still has the old records; a recovery that meets both keeps the later ones.
    drop(store);
    let (store, _) = open(&disk.kill(), &small(FlushType::Async));
    assert_eq!(drain(&store, "T", 0), [b"new"]);
}

#[test]
fn a_message_in_flight_to_a_deleted_topic_is_refused() {
    let (store, _) = open(&SimDisk::new(), &small(FlushType::Async));
    let mut pending = [store.prepare(&record("T", 0, b"x", b"")).unwrap()];
    store.delete_topic("T").unwrap();
    store.append(&mut pending, NOW);
    assert_eq!(pending[0].result, Some(Err(AppendError::TopicDeleted)));
}

#[test]
fn a_failed_sync_latches_and_reads_go_on() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &small(FlushType::Async));
    send_through(&store, record("T", 0, b"good", b""), NOW);
    send(&store, record("T", 0, b"lost", b""), NOW);
    disk.fail_nth(1);
    let latched = store.flush(0).unwrap_err();
    assert!(
        latched.reason.contains("cannot sync /store/commitlog/0000"),
        "{latched}"
    );
    let refused = try_send(&store, &[record("T", 0, b"no", b"")], NOW).remove(0);
    assert_eq!(refused, Err(AppendError::Latched(latched.clone())));
    assert_eq!(store.flush(0), Err(latched.clone()), "never tried again");
    assert_eq!(store.health().latched, Some(latched));
    assert_eq!(read(&store, "T", 0, 0).0.status, ReadStatus::Found);
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &small(FlushType::Async));
    send_through(&store, record("T", 0, b"x", b""), NOW);
    disk.set_free(Some(0));
    let mut refused = 0;
    for _ in 0..4 {
        refused += i32::from(try_send(&store, &[record("T", 0, &[1; 5000], b"")], NOW)[0].is_err());
    }
    assert!(refused > 0, "8 KiB were reserved, 20 KiB were sent");
    disk.set_free(None);
    send_through(&store, record("T", 0, b"again", b""), NOW);
    let bodies = drain(&store, "T", 0);
    assert_eq!(bodies.len(), 6 - refused as usize);
    assert_eq!(bodies.last().unwrap(), b"again");
}

#[test]
fn disk_levels_stop_writes_and_let_go() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &small(FlushType::Async));
    let level = |percent| {
        disk.set_usage(Usage {
            used: percent,
            available: 100 - percent,
        });
        store.tick_disk(NOW);
        store.health().is_writable()
    };
    assert!(level(90));
    assert!(!level(91));
    let error = try_send(&store, &[record("T", 0, b"", b"")], NOW)
        .remove(0)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the disk of /store/commitlog is 91 % full, writes stop above 90 %"
    );
    assert!(!level(86), "in between nothing changes");
    assert!(level(85));
    send(&store, record("T", 0, b"", b""), NOW);
}

#[test]
fn retention_removes_old_files_and_what_points_there() {
    let disk = SimDisk::new();
    let settings = StoreSettings {
        file_reserved_hours: 1,
        delete_when: vec![],
        ..small(FlushType::Async)
    };
    let (store, _) = open(&disk, &settings);
    for number in 0..200 {
        let properties = format!("KEYS\x01k{number}");
        send_through(
            &store,
            record("T", 0, &[1; 500], properties.as_bytes()),
            NOW + number,
        );
        store.build_index().unwrap();
    }
    let (_, held) = read(&store, "T", 0, 0);
    let later = NOW + 2 * 3_600_000;
    assert_eq!(
        store.tick_retention(later).unwrap().log.len(),
        0,
        "not the hour, disk not full"
    );
    store.delete_expired_soon();
    let removed = store.tick_retention(later).unwrap();
    assert_eq!(removed.log.len(), 7, "all but the last of 8 files");
    assert!(removed.queue_files > 5);
    let (min, max) = store.queue_bounds("T", 0);
    assert!(min.0 > 150 && max.0 == 200);
    assert_eq!(drain(&store, "T", 0).len() as i64, 200 - min.0);
    assert_eq!(read(&store, "T", 0, 3).0.status, ReadStatus::OffsetTooSmall);
    assert_eq!(records(&held)[0].body(), [1; 500], "a reader keeps what it has");
    assert_eq!(store.query_by_key("T", "k3", 8, 0, i64::MAX).unwrap(), []);
    assert_eq!(store.min_physical().0, 7 * 16384);
    store.shutdown().unwrap();
    drop(store);
    let (store, report) = open(&disk, &settings);
    assert!(report.clean && report.log_cut.is_none());
    assert_eq!(store.queue_bounds("T", 0), (min, max));
}

#[test]
fn an_open_store_takes_other_limits() {
    let disk = SimDisk::new();
    let settings = StoreSettings {
        file_reserved_hours: 1000,
        delete_when: vec![],
        ..small(FlushType::Async)
    };
    let (store, _) = open(&disk, &settings);
    for number in 0..100 {
        let key = b"KEYS\x01k";
        send_through(&store, record("T", 0, &[1; 500], key), NOW + number);
    }
    store.build_index().unwrap();
    let later = NOW + 2 * 3_600_000;
    let count = || {
        let limits = ReadLimits {
            max_messages: 32,
            max_bytes: i64::MAX,
        };
        read_with(&store, "T", 0, 80, limits, &TagFilter::All).0.count
    };
    let keys = || store.query_by_key("T", "k", 64, 0, i64::MAX).unwrap().len();
    assert_eq!((count(), keys()), (16, 64), "to the end of a queue file");
    assert_eq!(store.tick_retention(later).unwrap().log.len(), 0);

    let hour = (later / 3_600_000 % 24) as u32;
    store.tune(&StoreSettings {
        max_message_size: 100,
        max_transfer_count_in_memory: 5,
        query_max: 3,
        file_reserved_hours: 1,
        delete_when: vec![hour],
        delete_batch_max: 2,
        ..settings.clone()
    });
    let refused = store.prepare(&record("T", 0, &[1; 101], b"")).err().unwrap();
    assert_eq!(refused, Illegal::Body { len: 101, max: 100 });
    assert_eq!((count(), keys()), (5, 3));
    assert_eq!(store.tick_retention(later).unwrap().log.len(), 2);

    store.tune(&settings);
    send(&store, record("T", 0, &[1; 101], b""), NOW);
    assert_eq!(count(), 16);
}

#[test]
fn the_real_disk_does_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings {
        commitlog_file_size: 64 * 1024,
        consumequeue_file_size: 2000,
        index_slots: 100,
        index_entries: 200,
        max_message_size: 10_000,
        ..StoreSettings::below(dir.path())
    };
    let disk = MmapDisk::new(3);
    let (store, _) = Store::open(disk.clone(), settings.clone(), NOW).unwrap();
    for number in 0..1000i32 {
        let topic = ["A", "B", "C", "D", "E"][number as usize % 5];
        let properties = format!("KEYS\x01k{number}");
        send(
            &store,
            record(
                topic,
                number % 2,
                &number.to_be_bytes().repeat(50),
                properties.as_bytes(),
            ),
            NOW,
        );
        if store.needs_preparation() {
            store.prepare_ahead(NOW, &mut || {});
        }
        store.reput(&mut |_| {}).unwrap();
    }
    assert!(matches!(
        Store::open(disk.clone(), settings.clone(), NOW),
        Err(store::OpenError::Locked(_))
    ));
    // Nor does a lock file that somebody removed, or another root, let two write one log.
    std::fs::remove_file(settings.root_dir.join("lock")).unwrap();
    let other_root = StoreSettings {
        root_dir: dir.path().join("other"),
        ..settings.clone()
    };
    for (settings, dir) in [
        (settings.clone(), &settings.commitlog_dirs[0]),
        (other_root, &settings.commitlog_dirs[0]),
    ] {
        match Store::open(disk.clone(), settings, NOW) {
            Err(store::OpenError::Locked(path)) => assert_eq!(path, *dir),
            opened => panic!("{:?}", opened.map(|(_, report)| report)),
        }
    }
    store.flush(0).unwrap();
    store.build_index().unwrap();
    let check = |store: &Store<MmapDisk>| {
        for number in 0..1000i32 {
            let found = store.query_by_key(
                ["A", "B", "C", "D", "E"][number as usize % 5],
                &format!("k{number}"),
                9,
                0,
                i64::MAX,
            );
            assert_eq!(found.unwrap().len(), 1, "k{number}");
        }
        let bodies = drain(store, "C", 0);
        assert_eq!(bodies.len(), 100);
        assert_eq!(bodies[1], 12i32.to_be_bytes().repeat(50));
    };
    check(&store);
    // Not shut down: as after a kill.
    drop(store);
    let (store, report) = Store::open(disk.clone(), settings.clone(), NOW).unwrap();
    assert!(!report.clean);
    store.build_index().unwrap();
    check(&store);
    store.shutdown().unwrap();
    drop(store);
    let (store, report) = Store::open(disk, settings, NOW).unwrap();
    assert!(report.clean && report.records == 0, "{report:?}");
    check(&store);
}

/// Bodies of every length around that from which they are not copied, and in one append.
fn bodies_of_many_lengths(disk: MmapDisk, settings: &StoreSettings) {
    let bodies: Vec<Vec<u8>> = (0..60usize)
        .map(|number| (0..number * number).map(|at| (at * 7 + number) as u8).collect())
        .collect();
    let (store, _) = Store::open(disk.clone(), settings.clone(), NOW).unwrap();
    for round in 0..3 {
        let records: Vec<_> = bodies
            .iter()
            .enumerate()
            .map(|(number, body)| record("T", (number % 2) as i32, body, b"TAGS\x01a"))
            .collect();
        let sent = try_send(&store, &records, NOW);
        settle(&store);
        for (appended, body) in sent.into_iter().zip(&bodies) {
            let appended = appended.unwrap();
            let slice = store.record_at(appended.physical_offset).unwrap();
            let Ok(Entry::Record(view)) = decode(&slice, Check::Body) else {
                panic!("no record in round {round}");
            };
            assert!(view.body() == &body[..] && view.properties().starts_with(b"TAGS\x01a"));
            assert_eq!(view.physical_offset(), appended.physical_offset.0);
        }
    }
    drop(store);
    let (store, report) = Store::open(disk, settings.clone(), NOW).unwrap();
    assert!(!report.clean && report.log_cut.is_none(), "{report:?}");
    assert_eq!(drain(&store, "T", 1).len(), 90);
}

#[test]
fn bodies_that_are_not_copied_are_stored_like_others() {
    let dir = tempfile::tempdir().unwrap();
    for (number, flush_type) in [FlushType::Async, FlushType::Sync].into_iter().enumerate() {
        for append_crc in [false, true] {
            let settings = StoreSettings {
                commitlog_file_size: 64 * 1024,
                max_message_size: 10_000,
                flush_type,
                append_crc,
                ..StoreSettings::below(dir.path().join(format!("{number}{append_crc}")))
            };
            bodies_of_many_lengths(MmapDisk::new(3), &settings);
        }
    }
}

#[test]
fn a_gap_in_a_queue_is_filled_within_a_file_and_over_files() {
    use message::record::Place;
    // Sixteen units a file: gaps within one, up to its end, over the next, and from the start.
    for indexes in [
        &[0, 3, 4][..],
        &[0, 15, 16],
        &[0, 16],
        &[1, 40, 41],
        &[5, 6, 60],
        &[20, 22],
    ] {
        let (mut log, mut at) = (vec![0; 16384], 0);
        for index in indexes {
            let fields = fields("T", 0, b"");
            let place = Place {
                queue_offset: *index,
                physical_offset: at as i64,
                store_timestamp: NOW,
            };
            fields.encode(place, &mut log[at..at + fields.encoded_len()]);
            at += fields.encoded_len();
        }
        let disk = SimDisk::new();
        disk.put(
            std::path::Path::new("/store/commitlog/00000000000000000000"),
            &log,
        );
        let (store, report) = open(&disk, &small(FlushType::Async));
        assert_eq!(report.units_built, indexes.len() as u64, "{indexes:?}");
        let (min, max) = store.queue_bounds("T", 0);
        assert_eq!((min.0, max.0), (indexes[0], indexes[indexes.len() - 1] + 1));
        let (mut offset, mut found) = (min.0, Vec::new());
        while offset < max.0 {
            let (result, slices) = read(&store, "T", 0, offset);
            found.extend(records(&slices).iter().map(|view| view.queue_offset()));
            assert!(result.next_begin_offset.0 > offset, "{indexes:?}: {result:?}");
            offset = result.next_begin_offset.0;
        }
        assert_eq!(found, indexes);
    }
}

/// Wants bodies of one length, which no unit tells.
#[derive(Debug)]
struct BodyLength(usize);

impl Filter for BodyLength {
    fn by_unit(&self, _tags_code: i64) -> Verdict {
        Verdict::AskRecord
    }

    fn by_record(&self, record: &View<'_>) -> bool {
        record.body().len() == self.0
    }

    fn bytes(&self) -> usize {
        0
    }
}

#[test]
fn a_filter_that_the_unit_does_not_decide_is_asked_about_the_record() {
    let store = open(&SimDisk::new(), &small(FlushType::Async)).0;
    for body in [&b"a"[..], b"bb", b"c", b"ddd", b"ee"] {
        send_through(&store, record("T", 0, body, b""), NOW);
    }
    let (result, slices) = read_with(&store, "T", 0, 0, ALL, &BodyLength(2));
    assert_eq!((result.status, result.count), (ReadStatus::Found, 2));
    assert_eq!(result.next_begin_offset, QueueOffset(5));
    let bodies: Vec<_> = records(&slices).iter().map(|view| view.body().to_vec()).collect();
    assert_eq!(bodies, [b"bb".to_vec(), b"ee".to_vec()]);
    let (result, _) = read_with(&store, "T", 0, 0, ALL, &BodyLength(7));
    assert_eq!((result.status, result.count), (ReadStatus::NoMatchedMessage, 0));
}
