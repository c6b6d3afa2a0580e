//! Multi-dispatch: messages that are in more queues than their own.

use crate::harness::*;
use disk::SimDisk;
use message::properties::get_str;
use message::record::{Check, Entry, Place, decode};
use std::path::Path;
use store::{FlushType, Illegal, NewRecord, QueueOffset, Store, StoreSettings};

fn settings() -> StoreSettings {
    StoreSettings {
        multi_dispatch: true,
        lmq: true,
        ..small(FlushType::Async)
    }
}

/// Sends a message to queue 1 of T that names `queues`, and gives the offsets it got.
fn send_to(store: &Store<SimDisk>, queues: &str, body: &str) -> Option<String> {
    let properties = format!("WAIT\x01true\x02INNER_MULTI_DISPATCH\x01{queues}\x02TAGS\x01tag");
    let appended = send_through(store, record("T", 1, body.as_bytes(), properties.as_bytes()), NOW);
    let slice = store.record_at(appended.physical_offset).unwrap();
    let slices = [slice];
    let views = records(&slices);
    let text = views[0].properties();
    assert_eq!(get_str(text, "TAGS"), Some("tag"));
    get_str(text, "INNER_MULTI_QUEUE_OFFSET").map(String::from)
}

/// Bodies of a queue that messages of other topics are in.
fn bodies(store: &Store<SimDisk>, topic: &str, queue_id: i32) -> Vec<String> {
    let (min, max) = store.queue_bounds(topic, queue_id);
    let (mut offset, mut bodies) = (min.0, Vec::new());
    while offset < max.0 {
        let (result, slices) = read(store, topic, queue_id, offset);
        assert!(result.count > 0, "{topic} at {offset}: {:?}", result.status);
        bodies.extend(
            records(&slices)
                .iter()
                .map(|view| String::from_utf8(view.body().to_vec()).unwrap()),
        );
        offset = result.next_begin_offset.0;
    }
    bodies
}

fn no_faults(disk: &SimDisk) {
    let summary = store::check::check(disk, &settings(), |_| {}).unwrap();
    assert_eq!(summary.faults, 0, "{summary:?}");
}

#[test]
fn a_message_is_in_every_queue_it_names() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    assert_eq!(
        send_to(&store, "%LMQ%a,%LMQ%b,Other", "1").as_deref(),
        Some("0,0,0")
    );
    assert_eq!(send_to(&store, "%LMQ%b,", "2").as_deref(), Some("1"));
    send_through(&store, record("Other", 1, b"own", b""), NOW);
    let properties = b"INNER_MULTI_DISPATCH\x01%LMQ%a\x02INNER_MULTI_QUEUE_OFFSET\x0177";
    let mut told = Vec::new();
    send(&store, record("T", 1, b"3", properties), NOW);
    store
        .reput(&mut |unit| told.push((unit.topic.to_string(), unit.queue_id, unit.queue_offset.0)))
        .unwrap();
    assert_eq!(told, [("T".into(), 1, 2), ("%LMQ%a".into(), 0, 1)]);
    assert_eq!(bodies(&store, "T", 1), ["1", "2", "3"]);
    assert_eq!(bodies(&store, "%LMQ%a", 0), ["1", "3"]);
    assert_eq!(bodies(&store, "%LMQ%b", 0), ["1", "2"]);
    assert_eq!(bodies(&store, "Other", 1), ["1", "own"]);
    store.shutdown().unwrap();
    drop(store);
    no_faults(&disk.kill());
}

#[test]
fn naming_a_queue_twice_or_the_own_one_gives_one_place() {
    let (store, _) = open(&SimDisk::new(), &settings());
    assert_eq!(send_to(&store, "%LMQ%a,%LMQ%a,T", "1").as_deref(), Some("0,0,0"));
    assert_eq!(send_to(&store, "%LMQ%a,T", "2").as_deref(), Some("1,1"));
    assert_eq!(bodies(&store, "%LMQ%a", 0), ["1", "2"]);
    assert_eq!(bodies(&store, "T", 1), ["1", "2"]);
}

#[test]
fn the_messages_of_a_batch_get_one_place_after_the_other() {
    let (store, _) = open(&SimDisk::new(), &settings());
    send_to(&store, "%LMQ%a", "0");
    let batch: Vec<_> = ["1", "2", "3"]
        .iter()
        .enumerate()
        .map(|(index, body)| NewRecord {
            joined: index > 0,
            ..record("T", 1, body.as_bytes(), b"INNER_MULTI_DISPATCH\x01%LMQ%a,T")
        })
        .collect();
    let results = try_send(&store, &batch, NOW);
    assert!(results.iter().all(Result::is_ok));
    settle(&store);
    assert_eq!(bodies(&store, "%LMQ%a", 0), ["0", "1", "2", "3"]);
    assert_eq!(bodies(&store, "T", 1), ["0", "1", "2", "3"]);
}

#[test]
fn switched_off_the_property_is_one_like_any_other() {
    let (store, _) = open(&SimDisk::new(), &small(FlushType::Async));
    assert_eq!(send_to(&store, "%LMQ%a,../x", "1"), None);
    assert_eq!(store.topics().len(), 1);
    let without_lmq = StoreSettings {
        lmq: false,
        ..settings()
    };
    let (store, _) = open(&SimDisk::new(), &without_lmq);
    send_to(&store, "%LMQ%a", "1");
    assert_eq!(store.queue_ids("%LMQ%a"), [1], "a name like any other");
}

#[test]
fn copies_of_the_system_are_not_multi_dispatched_again() {
    let (store, _) = open(&SimDisk::new(), &settings());
    let properties = b"INNER_MULTI_DISPATCH\x01%LMQ%a\x02INNER_MULTI_QUEUE_OFFSET\x010";
    send_to(&store, "%LMQ%a", "1");
    for topic in [
        "%RETRY%g",
        "SCHEDULE_TOPIC_XXXX",
        "rmq_sys_x",
        "RMQ_SYS_TRANS_HALF_TOPIC",
    ] {
        let appended = send_through(&store, record(topic, 0, b"copy", properties), NOW);
        let slices = [store.record_at(appended.physical_offset).unwrap()];
        assert_eq!(
            get_str(records(&slices)[0].properties(), "INNER_MULTI_QUEUE_OFFSET"),
            None
        );
    }
    let half = NewRecord {
        sys_flag: 4,
        ..record("T", 1, b"half", properties)
    };
    send_through(&store, half, NOW);
    assert_eq!(bodies(&store, "%LMQ%a", 0), ["1"]);
}

#[test]
fn names_that_are_none_and_texts_that_grow_too_long_are_refused() {
    let (store, _) = open(&SimDisk::new(), &settings());
    for queues in [
        "../../etc",
        "a/b",
        "%LMQ%a,,%LMQ%b",
        "%LMQ%a, %LMQ%b",
        "%LMQ%a\n",
        ",a",
    ] {
        let properties = format!("INNER_MULTI_DISPATCH\x01{queues}");
        let refused = store
            .prepare(&record("T", 1, b"x", properties.as_bytes()))
            .map(|_| ());
        assert!(matches!(refused, Err(Illegal::Name(_))), "{queues}: {refused:?}");
    }
    // Short now, but not with an offset for each.
    let properties = format!("INNER_MULTI_DISPATCH\x01{}", "a,".repeat(5000));
    let refused = store
        .prepare(&record("T", 1, b"x", properties.as_bytes()))
        .map(|_| ());
    assert!(matches!(refused, Err(Illegal::Properties { .. })), "{refused:?}");
}

#[test]
fn there_are_no_more_light_message_queues_than_allowed() {
    let disk = SimDisk::new();
    let two = StoreSettings {
        max_lmq_queues: 2,
        ..settings()
    };
    let (store, _) = open(&disk, &two);
    send_to(&store, "%LMQ%a,%LMQ%b", "1");
    let third = record("T", 1, b"x", b"INNER_MULTI_DISPATCH\x01%LMQ%a,%LMQ%c");
    let is_full = |store: &Store<SimDisk>, new: &NewRecord<'_>| {
        matches!(store.prepare(new), Err(Illegal::LmqNumber { max: 2 }))
    };
    assert!(is_full(&store, &third));
    assert!(
        is_full(&store, &record("%LMQ%c", 0, b"x", b"")),
        "and not as a topic"
    );
    send_to(&store, "%LMQ%b,%LMQ%a", "those there are still take messages");
    drop(store);
    let (store, _) = open(&disk.kill(), &two);
    assert!(is_full(&store, &third), "counted anew at the start");
    store.delete_topic("%LMQ%b").unwrap();
    send_to(&store, "%LMQ%a,%LMQ%c", "2");
    assert_eq!(bodies(&store, "%LMQ%c", 0), ["2"]);
}

#[test]
fn recovery_builds_the_named_queues_again_and_goes_on_with_their_offsets() {
    for lost in ["nothing", "checkpoint", "queues"] {
        let disk = SimDisk::new();
        let (store, _) = open(&disk, &settings());
        for number in 0..40 {
            let queues = ["%LMQ%a", "%LMQ%b,%LMQ%a", "%LMQ%b"][number % 3];
            send_to(&store, queues, &number.to_string());
            if number == 20 {
                store.flush_consumequeues(0, true).unwrap();
            }
        }
        let before = (bodies(&store, "%LMQ%a", 0), bodies(&store, "%LMQ%b", 0));
        assert_eq!(before.0.len(), 27);
        let disk = disk.kill();
        match lost {
            "checkpoint" => disk.take(Path::new("/store/checkpoint")),
            "queues" => {
                let queues = disk.paths().into_iter();
                queues
                    .filter(|path| path.starts_with("/store/consumequeue"))
                    .for_each(|path| disk.take(&path));
            }
            _ => {}
        }
        let (store, report) = open(&disk, &settings());
        let after = (bodies(&store, "%LMQ%a", 0), bodies(&store, "%LMQ%b", 0));
        assert_eq!(before, after, "{lost}: {report:?}");
        assert_eq!(
            send_to(&store, "%LMQ%a,%LMQ%b", "more").as_deref(),
            Some("27,26"),
            "{lost}"
        );
        assert_eq!(report.units_cut, 0, "{lost}");
    }
}

#[test]
fn a_light_message_queue_that_was_deleted_starts_anew_and_stays_so_after_a_kill() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    for body in ["1", "2", "3"] {
        send_to(&store, "%LMQ%a", body);
    }
    store.delete_topic("%LMQ%a").unwrap();
    assert_eq!(send_to(&store, "%LMQ%a", "4").as_deref(), Some("0"));
    send_to(&store, "%LMQ%a", "5");
    let disk = disk.kill();
    disk.take(Path::new("/store/checkpoint"));
    let (store, _) = open(&disk, &settings());
    assert_eq!(bodies(&store, "%LMQ%a", 0), ["4", "5"]);
}

#[test]
fn what_a_record_says_harms_no_path_and_no_queue_of_another_topic() {
    let mut log = vec![0; 16384];
    let mut at = 0;
    let mut put = |topic: &str, index: i64, properties: &str| {
        let fields = fields(topic, 0, properties.as_bytes());
        let place = Place {
            queue_offset: index,
            physical_offset: at as i64,
            store_timestamp: NOW,
        };
        fields.encode(place, &mut log[at..at + fields.encoded_len()]);
        at += fields.encoded_len();
    };
    let multi = |queues: &str, offsets: &str| {
        format!("INNER_MULTI_DISPATCH\x01{queues}\x02INNER_MULTI_QUEUE_OFFSET\x01{offsets}")
    };
    (0..5).for_each(|index| put("T", index, "a\x01b"));
    (0..5).for_each(|index| put("U", index, &multi("%LMQ%a", &index.to_string())));
    put("U", 5, &multi("../../etc,a/b,.", "0,0,0"));
    put("U", 6, &multi("%LMQ%a,%LMQ%b", "5"));
    put("U", 7, &multi("%LMQ%b,%LMQ%c,%LMQ%d", "-1,9223372036854775807,x"));
    put("U", 8, &multi("T", "0"));
    put("%RETRY%g", 0, &multi("%LMQ%a", "2"));
    let disk = SimDisk::new();
    disk.put(Path::new("/store/commitlog/00000000000000000000"), &log);
    let (store, report) = open(&disk, &settings());
    assert_eq!((report.records, report.units_cut), (15, 0));
    assert_eq!(store.queue_max_offset("T", 0), QueueOffset(5));
    assert_eq!(store.queue_max_offset("%LMQ%a", 0), QueueOffset(5));
    assert_eq!(store.topics().len(), 4, "{:?}", store.topics());
    assert_eq!(disk.paths().len(), 4 + 4 + 1, "{:?}", disk.paths());
}

#[test]
fn one_append_of_every_kind_over_files_is_what_each_record_says() {
    let settings = StoreSettings {
        append_crc: true,
        ..settings()
    };
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings);
    let multi = b"INNER_MULTI_DISPATCH\x01%LMQ%a,%LMQ%b\x02TAGS\x01tag";
    let bodies: Vec<_> = (0..60).map(|nth| vec![nth as u8; nth * 30]).collect();
    let new = |nth: usize, topic, properties| NewRecord {
        sys_flag: if nth % 7 == 3 { 4 } else { 0 },
        ..record(topic, (nth % 2) as i32, &bodies[nth], properties)
    };
    let mut pending: Vec<_> = (0..60)
        .map(|nth| match nth % 5 {
            0 | 1 => new(nth, "T", b"TAGS\x01tag"),
            2 => new(nth, "Gone", b""),
            3 => new(nth, "U", b"\x02"),
            _ => new(nth, "T", multi),
        })
        .map(|record| store.prepare(&record).unwrap())
        .collect();
    // Those in between are refused: what is behind them is not written in their place.
    store.delete_topic("Gone").unwrap();
    store.append(&mut pending, NOW);
    assert!(store.max_physical().0 > 2 * settings.commitlog_file_size);
    let mut nexts = std::collections::BTreeMap::new();
    for (nth, pending) in pending.iter().enumerate() {
        if nth % 5 == 2 {
            assert_eq!(
                pending.result,
                Some(Err(store::AppendError::TopicDeleted)),
                "{nth}"
            );
            continue;
        }
        let appended = pending.result.clone().unwrap().unwrap();
        let slice = store.record_at(appended.physical_offset).unwrap();
        let Ok(Entry::Record(view)) = decode(&slice, Check::BodyAndProperty) else {
            panic!("no record {nth}")
        };
        assert_eq!(view.body(), bodies[nth], "{nth}");
        assert_eq!(view.physical_offset(), appended.physical_offset.0);
        assert_eq!(view.queue_offset(), appended.queue_offset.0);
        assert_eq!(view.store_timestamp(), NOW);
        if nth % 7 != 3 {
            let next = nexts
                .entry((view.topic().to_owned(), view.queue_id()))
                .or_insert(0);
            assert_eq!(view.queue_offset(), *next, "{nth}");
            *next += 1;
        }
    }
    store.reput(&mut |_| {}).unwrap();
    let summary = store::check::check(&disk, &settings, |_| {}).unwrap();
    assert_eq!(summary.faults, 0, "{summary:?}");
}
