//! What any bytes may do to the store: nothing. One function a target, for tests and fuzzers (feature `fuzz`).
//!
//! Each takes the bytes for what its name says and asserts what must hold whatever they are: no panic, nothing read that was
//! not stored, the same at the next start.

use crate::{
    FlushType, NewRecord, PhysicalOffset, QueueOffset, ReadLimits, Store, StoreSettings, check,
    copy_properties,
};
use disk::{Disk, MappedSlice, SimDisk};
use filter::TagFilter;
use message::properties::{self, Ending};
use message::record::{Check, Entry, View, decode};
use std::net::SocketAddr;
use std::path::Path;

const NOW: i64 = 1_700_000_000_000;
const LOG: &str = "/store/commitlog/00000000000000000000";
const QUEUE: &str = "/store/consumequeue/T/0/00000000000000000000";
/// Messages of the store that consumequeue and index files are put into.
const MESSAGES: i64 = 20;

fn settings() -> StoreSettings {
    StoreSettings {
        commitlog_file_size: 16 * 1024,
        consumequeue_file_size: 32 * 20,
        max_message_size: 8 * 1024,
        flush_type: FlushType::Async,
        index_slots: 16,
        index_entries: 64,
        log_reserve_step_bytes: 8192,
        multi_dispatch: true,
        lmq: true,
        ..StoreSettings::below("/store")
    }
}

/// A record at the start of the bytes.
pub fn record(input: &[u8]) {
    for kind in [Check::Lengths, Check::Body, Check::BodyAndProperty] {
        let Ok(Entry::Record(view)) = decode(input, kind) else {
            continue;
        };
        let parts = view.body().len() + view.topic().len() + view.properties().len();
        assert!(parts < view.total_len() && view.total_len() <= input.len());
        let _ = (
            view.born_host(),
            view.store_host(),
            view.unwritten_sector(0),
            view.crc_property_fits(),
        );
        let mut text = Vec::new();
        copy_properties(&view, &["WAIT"], &[("DELAY", "1")], Ending::Bare, &mut text);
        assert!(!text.contains(&0) && properties::get_str(&text, "DELAY") == Some("1"));
        let copy = NewRecord::copy_of(&view, "T", 0, &text);
        assert_eq!(copy.body, view.body());
    }
}

/// A file of the commitlog: what is sound of it is there, and at the next start again.
pub fn commitlog(input: &[u8]) {
    let mut file = input.to_vec();
    file.resize(16 * 1024, 0);
    let disk = SimDisk::new();
    disk.put(Path::new(LOG), &file);
    let told = check::check(&disk, &settings(), |_| {}).expect("the simulated disk works");
    let ends = [(); 2].map(|()| {
        let store = open(&disk);
        let all: Vec<_> = store
            .topics()
            .iter()
            .flat_map(|topic| {
                let ids = store.queue_ids(topic).into_iter();
                let places = ids.map(|id| (topic.to_string(), id, all_of(&store, topic, id)));
                places.collect::<Vec<_>>()
            })
            .collect();
        store.build_index().expect("the simulated disk works");
        (store.max_physical(), all.len())
    });
    assert_eq!(ends[0], ends[1]);
    assert!(
        ends[0].0.0 >= told.log_end,
        "the check found more than the start kept"
    );
}

/// A file of a consumequeue beside a log that is sound: what is read is what was stored there.
pub fn consumequeue(input: &[u8]) {
    for clean in [true, false] {
        let disk = filled();
        let mut file = input.to_vec();
        file.resize(32 * 20, 0);
        disk.put(Path::new(QUEUE), &file);
        if !clean {
            disk.put(Path::new("/store/abort"), b"");
        }
        let store = open(&disk);
        let found = all_of(&store, "T", 0);
        assert!(found <= MESSAGES);
        let next = store.queue_max_offset("T", 0);
        let mut one = [store.prepare(&new(b"one more")).expect("it is legal")];
        store.append(&mut one, NOW);
        store.reput(&mut |_| {}).expect("the simulated disk works");
        assert_eq!(store.queue_max_offset("T", 0), next.plus(1));
    }
}

/// An index file beside a log that is sound: a key finds messages that have it, or none.
pub fn index(input: &[u8]) {
    for clean in [true, false] {
        let disk = filled();
        let paths = disk.paths().into_iter();
        for path in paths.filter(|path| path.starts_with("/store/index")) {
            let mut file = input.to_vec();
            file.resize(disk.content(&path).map_or(0, |content| content.len()), 0);
            disk.put(&path, &file);
        }
        if !clean {
            disk.put(Path::new("/store/abort"), b"");
        }
        let store = open(&disk);
        store.build_index().expect("the simulated disk works");
        for position in store
            .query_by_key("T", "k", 64, 0, i64::MAX)
            .expect("it can be read")
        {
            let record = store.record_at(position).expect("there is a record");
            assert!(matches!(decode(&record, Check::Body), Ok(Entry::Record(view)) if view.topic() == "T"));
        }
    }
}

/// A properties text: written anew it says the same, and written again it is the same.
pub fn properties_text(input: &[u8]) {
    let rebuilt = |text: &[u8]| {
        let mut out = Vec::new();
        properties::rebuild(text, &[], &[], Ending::Separator, &mut out);
        out
    };
    let once = rebuilt(input);
    assert_eq!(rebuilt(&once), once);
    for (name, _) in properties::pairs(input) {
        if let Ok(name) = std::str::from_utf8(name) {
            assert_eq!(properties::get(input, name), properties::get(&once, name));
        }
    }
    assert_eq!(
        properties::Wanted::of(input).waits(),
        properties::Wanted::of(&once).waits()
    );
}

fn new(body: &[u8]) -> NewRecord<'_> {
    let host = SocketAddr::from(([127, 0, 0, 1], 10911));
    NewRecord {
        topic: "T",
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        born_timestamp: NOW,
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties: b"KEYS\x01k\x02TAGS\x01t",
        joined: false,
    }
}

fn open(disk: &SimDisk) -> Store<SimDisk> {
    let opened = Store::open(disk.clone(), settings(), NOW);
    opened.expect("what files hold refuses no start").0
}

/// The disk of a store with some messages that was stopped.
pub fn filled() -> SimDisk {
    let disk = SimDisk::new();
    let store = open(&disk);
    for number in 0..MESSAGES {
        let body = [number as u8; 100];
        let mut one = [store.prepare(&new(&body)).expect("it is legal")];
        store.append(&mut one, NOW + number);
    }
    store.reput(&mut |_| {}).expect("the simulated disk works");
    store.shutdown().expect("the simulated disk works");
    drop(store);
    disk.kill()
}

/// Reads all of a queue and checks each message's place; returns how many there are.
fn all_of<D: Disk>(store: &Store<D>, topic: &str, id: i32) -> i64 {
    let (min, max) = store.queue_bounds(topic, id);
    let (mut offset, mut count) = (min, 0);
    let limits = ReadLimits {
        max_messages: 32,
        max_bytes: i64::MAX,
    };
    while offset < max {
        let mut slices: Vec<MappedSlice> = Vec::new();
        let read = store.read(topic, id, offset, limits, &TagFilter::All, &mut slices);
        let read = read.expect("the simulated disk works");
        assert!(read.next_begin_offset > offset, "{topic} {id}: {read:?}");
        for slice in &slices {
            count += records_in(slice, |view| {
                let own = view.topic() == topic && view.queue_id() == id;
                let place = QueueOffset(view.queue_offset());
                assert!(!own || (offset..read.next_begin_offset).contains(&place) || topic != "T");
                assert!(store.record_at(PhysicalOffset(view.physical_offset())).is_ok());
            });
        }
        offset = read.next_begin_offset;
    }
    count
}

fn records_in(slice: &[u8], on: impl Fn(&View<'_>)) -> i64 {
    let (mut rest, mut count) = (slice, 0);
    while let Ok(Entry::Record(view)) = decode(rest, Check::Lengths) {
        on(&view);
        count += 1;
        rest = &rest[view.total_len()..];
    }
    count
}
