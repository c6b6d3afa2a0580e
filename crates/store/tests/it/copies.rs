//! Copies of stored records, and whether one could be stored.

use crate::harness::*;
use disk::SimDisk;
use message::properties::{Ending, get_str, names};
use message::record::Place;
use std::net::SocketAddr;
use std::path::Path;
use store::{FlushType, Illegal, NewRecord, PhysicalOffset, Store, StoreSettings, copy_properties};

const V6: [u16; 8] = [0xFD00, 0, 0, 0, 0, 0, 0, 7];

/// A record with something else than the usual in every field.
fn original() -> NewRecord<'static> {
    NewRecord {
        flag: 77,
        // Compressed with LZ4, committed.
        sys_flag: 0x1 | 0x100 | 0x8,
        born_timestamp: NOW - 5000,
        born_host: SocketAddr::from((V6, 4001)),
        store_host: SocketAddr::from((V6, 10912)),
        reconsume_times: 3,
        prepared_transaction_offset: 1234,
        ..record("T", 1, b"the body", b"TAGS\x01t\x02KEYS\x01k\x02WAIT\x01false")
    }
}

fn stored(store: &Store<SimDisk>, new: NewRecord<'_>) -> disk::MappedSlice {
    let appended = send_through(store, new, NOW);
    store.record_at(appended.physical_offset).unwrap()
}

#[test]
fn a_copy_has_another_place_and_all_else_is_kept() {
    let (store, _) = open(&SimDisk::new(), &small(FlushType::Async));
    let old = [stored(&store, original())];
    let old = records(&old)[0];
    let mut text = b"kept".to_vec();
    let with = [(names::DELAY, "0"), (names::TAGS, "u")];
    copy_properties(&old, &[names::WAIT], &with, Ending::Bare, &mut text);
    assert_eq!(text, b"keptKEYS\x01k\x02DELAY\x010\x02TAGS\x01u");
    let new = [stored(
        &store,
        NewRecord::copy_of(&old, "%RETRY%g", 5, &text[4..]),
    )];
    let new = records(&new)[0];
    assert_eq!(
        (new.topic(), new.queue_id(), new.queue_offset()),
        ("%RETRY%g", 5, 0)
    );
    assert_eq!(new.properties(), &text[4..]);
    // With the bits of two IPv6 hosts.
    assert_eq!(new.sys_flag(), 0x1 | 0x100 | 0x8 | 0x10 | 0x20);
    let all = |view: &message::record::View<'_>| {
        (
            (view.flag(), view.sys_flag(), view.reconsume_times()),
            (view.born_timestamp(), view.born_host(), view.store_host()),
            (
                view.prepared_transaction_offset(),
                view.body().to_vec(),
                view.body_crc(),
            ),
        )
    };
    assert_eq!(all(&new), all(&old));
    let again = NewRecord {
        reconsume_times: old.reconsume_times() + 1,
        prepared_transaction_offset: 0,
        ..NewRecord::copy_of(&old, "T", 0, b"")
    };
    let again = [stored(&store, again)];
    let again = records(&again)[0];
    assert_eq!(
        (again.reconsume_times(), again.prepared_transaction_offset()),
        (4, 0)
    );
}

#[test]
fn a_copy_does_not_have_what_belongs_to_the_original_alone() {
    let settings = StoreSettings {
        append_crc: true,
        multi_dispatch: true,
        lmq: true,
        ..small(FlushType::Async)
    };
    let (store, _) = open(&SimDisk::new(), &settings);
    let named = record("T", 0, b"x", b"INNER_MULTI_DISPATCH\x01%LMQ%a");
    let old = [stored(&store, named)];
    let old = records(&old)[0];
    assert_eq!(
        get_str(old.properties(), names::INNER_MULTI_QUEUE_OFFSET),
        Some("0")
    );
    assert!(get_str(old.properties(), names::CRC32).is_some());
    let mut text = Vec::new();
    copy_properties(&old, &[], &[], Ending::Separator, &mut text);
    assert_eq!(text, b"INNER_MULTI_DISPATCH\x01%LMQ%a\x02");
    let new = [stored(&store, NewRecord::copy_of(&old, "T", 0, &text))];
    let new = records(&new)[0];
    assert!(new.crc_property_fits());
    assert_eq!(
        get_str(new.properties(), names::INNER_MULTI_QUEUE_OFFSET),
        Some("1")
    );
    let crcs = new.properties().windows(8).filter(|window| window == b"__CRC32#");
    assert_eq!(crcs.count(), 1);
}

#[test]
fn zero_bytes_that_java_stored_are_left_out_of_a_copy() {
    let fields = fields("T", 0, b"a\x01b\0c\x02TAGS\x01t\0");
    let mut log = vec![0; 16384];
    let place = Place {
        queue_offset: 0,
        physical_offset: 0,
        store_timestamp: NOW,
    };
    fields.encode(place, &mut log[..fields.encoded_len()]);
    let disk = SimDisk::new();
    disk.put(Path::new("/store/commitlog/00000000000000000000"), &log);
    let (store, _) = open(&disk, &small(FlushType::Async));
    let old = [store.record_at(PhysicalOffset(0)).unwrap()];
    let old = records(&old)[0];
    assert!(
        store
            .prepare(&NewRecord::copy_of(&old, "T", 0, old.properties()))
            .is_err()
    );
    let mut text = b"\0".to_vec();
    copy_properties(&old, &[], &[], Ending::Bare, &mut text);
    assert_eq!(text, b"\0a\x01bc\x02TAGS\x01t");
    assert!(
        store
            .prepare(&NewRecord::copy_of(&old, "T", 0, &text[1..]))
            .is_ok()
    );
}

#[test]
fn whether_a_parked_message_can_be_stored_later_is_told_before() {
    let settings = StoreSettings {
        multi_dispatch: true,
        lmq: true,
        max_lmq_queues: 1,
        ..small(FlushType::Async)
    };
    let (store, _) = open(&SimDisk::new(), &settings);
    let long = format!("%RETRY%{}", "g".repeat(200));
    // It fits as long as its topic is the short one of the delayed messages.
    let room = store.settings().max_record_bytes() as usize;
    assert_eq!(room, 16384 - 8, "a file is what limits it");
    let text = vec![b'x'; room - 91 - 19 - 8000 - 60];
    let parked = record("SCHEDULE_TOPIC_XXXX", 0, &[7; 8000], &text);
    assert!(store.prepare(&parked).is_ok());
    let delivered = NewRecord {
        topic: &long,
        ..parked
    };
    let told = store.check_record(&delivered).unwrap_err();
    assert_eq!(
        told,
        Illegal::Record {
            len: room + 207 + 1 - 19 - 60,
            max: room as i64
        }
    );
    assert_eq!(store.prepare(&delivered).err(), Some(told));

    // Queues that can not be are named by a message of the schedule topic, too: only its own topic is dispatched to them.
    for (list, refused) in [
        ("%LMQ%a", false),
        ("../a", true),
        ("%LMQ%a,%LMQ%b", false),
        ("", false),
    ] {
        let text = format!("INNER_MULTI_DISPATCH\x01{list}");
        let delivered = record("T", 0, b"x", text.as_bytes());
        assert!(
            store
                .prepare(&NewRecord {
                    topic: "SCHEDULE_TOPIC_XXXX",
                    ..delivered
                })
                .is_ok()
        );
        assert_eq!(store.check_record(&delivered).is_err(), refused, "{list}");
        let topics = store.topics();
        assert!(
            !topics.iter().any(|topic| topic.contains("LMQ")),
            "nothing is made: {topics:?}"
        );
    }
    drop(store.prepare(&record("%LMQ%z", 0, b"x", b"")).unwrap());
    let one_more = record("T", 0, b"x", b"INNER_MULTI_DISPATCH\x01%LMQ%a");
    assert_eq!(store.check_record(&one_more), Err(Illegal::LmqNumber { max: 1 }));
    assert!(store.check_record(&record("T", -1, b"x", b"")).is_err());
    assert!(store.check_record(&record("a/b", 0, b"x", b"")).is_err());
}
