//! Short ways to open a store, send and read.

use disk::{Disk, MappedSlice, SimDisk};
use filter::{Filter, TagFilter};
use message::properties::get_str;
use message::record::{Check, Entry, Fields, Version, View, body_crc, decode};
use std::net::SocketAddr;
use store::check::would_open;
use store::{
    AppendError, Appended, FlushType, Helpers, NewRecord, OpenError, Parallel, PhysicalOffset, QueueOffset,
    ReadLimits, ReadResult, ReadStatus, RecoveryReport, Store, StoreSettings,
};

pub(crate) const NOW: i64 = 1_700_000_000_000;

/// Three tasks at a time, the last one first: nothing may depend on their order.
pub(crate) struct Backwards;

impl Parallel for Backwards {
    fn width(&self) -> usize {
        3
    }

    fn run<'a>(&self, tasks: Vec<Box<dyn FnOnce() + Send + 'a>>) {
        tasks.into_iter().rev().for_each(|task| task());
    }
}

/// Opens a store with [`Backwards`] tasks.
pub(crate) fn open_backwards(
    disk: &SimDisk,
    settings: &StoreSettings,
) -> Result<(Store<SimDisk>, RecoveryReport), OpenError> {
    let helpers = Helpers {
        parallel: &Backwards,
        progress: &|_| {},
    };
    Store::open_with(disk.clone(), settings.clone(), NOW, &helpers)
}

/// Small files, so that everything rolls soon.
pub(crate) fn small(flush_type: FlushType) -> StoreSettings {
    StoreSettings {
        commitlog_file_size: 16 * 1024,
        consumequeue_file_size: 16 * 20,
        max_message_size: 8 * 1024,
        flush_type,
        index_slots: 16,
        index_entries: 40,
        log_reserve_step_bytes: 8192,
        ..StoreSettings::below("/store")
    }
}

pub(crate) fn open(disk: &SimDisk, settings: &StoreSettings) -> (Store<SimDisk>, RecoveryReport) {
    // Whoever asks before a start is told what it will say.
    let told = would_open(&disk.kill(), settings);
    match Store::open(disk.clone(), settings.clone(), NOW) {
        Ok(opened) => {
            assert!(told.is_ok(), "{told:?}");
            opened
        }
        Err(error) => panic!("cannot open: {error}"),
    }
}

pub(crate) fn record<'a>(
    topic: &'a str,
    queue_id: i32,
    body: &'a [u8],
    properties: &'a [u8],
) -> NewRecord<'a> {
    NewRecord {
        topic,
        queue_id,
        flag: 0,
        sys_flag: 0,
        born_timestamp: NOW,
        born_host: SocketAddr::from(([127, 0, 0, 1], 4000)),
        store_host: SocketAddr::from(([127, 0, 0, 1], 10911)),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties,
        joined: false,
    }
}

pub(crate) fn try_send<D: Disk>(
    store: &Store<D>,
    records: &[NewRecord<'_>],
    now: i64,
) -> Vec<Result<Appended, AppendError>> {
    let mut pending: Vec<_> = records
        .iter()
        .map(|record| store.prepare(record).unwrap())
        .collect();
    store.append(&mut pending, now);
    pending.into_iter().map(|record| record.result.unwrap()).collect()
}

pub(crate) fn send<D: Disk>(store: &Store<D>, new: NewRecord<'_>, now: i64) -> Appended {
    try_send(store, &[new], now).remove(0).unwrap()
}

/// Sends, flushes and reputs.
pub(crate) fn send_through<D: Disk>(store: &Store<D>, new: NewRecord<'_>, now: i64) -> Appended {
    let appended = send(store, new, now);
    settle(store);
    appended
}

pub(crate) fn settle<D: Disk>(store: &Store<D>) {
    store.flush(0).unwrap();
    store.reput(&mut |_| {}).unwrap();
}

pub(crate) const ALL: ReadLimits = ReadLimits {
    max_messages: 32,
    max_bytes: i64::MAX,
};

pub(crate) fn read<D: Disk>(
    store: &Store<D>,
    topic: &str,
    queue_id: i32,
    offset: i64,
) -> (ReadResult, Vec<MappedSlice>) {
    read_with(store, topic, queue_id, offset, ALL, &TagFilter::All)
}

pub(crate) fn read_with<D: Disk>(
    store: &Store<D>,
    topic: &str,
    queue_id: i32,
    offset: i64,
    limits: ReadLimits,
    filter: &dyn Filter,
) -> (ReadResult, Vec<MappedSlice>) {
    let mut out = Vec::new();
    let result = store
        .read(topic, queue_id, QueueOffset(offset), limits, filter, &mut out)
        .unwrap();
    assert_eq!(
        out.iter().map(|slice| slice.len() as u64).sum::<u64>(),
        result.bytes
    );
    (result, out)
}

/// The records in `slices`.
pub(crate) fn records(slices: &[MappedSlice]) -> Vec<View<'_>> {
    let mut views = Vec::new();
    for slice in slices {
        let mut rest = &slice[..];
        while !rest.is_empty() {
            match decode(rest, Check::Body) {
                Ok(Entry::Record(view)) => {
                    rest = &rest[view.total_len()..];
                    views.push(view);
                }
                other => panic!("no record in what was read: {other:?}"),
            }
        }
    }
    views
}

/// Queue and offset that a record says it has in a topic, or in a light message queue that it names.
fn place_in(view: &View<'_>, topic: &str) -> (i32, i64) {
    if view.topic() == topic {
        return (view.queue_id(), view.queue_offset());
    }
    let list = |name| get_str(view.properties(), name).unwrap_or_default().split(',');
    let offset = list("INNER_MULTI_DISPATCH")
        .zip(list("INNER_MULTI_QUEUE_OFFSET"))
        .find_map(|(name, offset)| (name == topic).then(|| offset.parse().unwrap()));
    (
        0,
        offset.unwrap_or_else(|| panic!("a record of {} in {topic}", view.topic())),
    )
}

/// Bodies of a queue from its first message to its last; each one's place is checked, and none is missing.
pub(crate) fn drain<D: Disk>(store: &Store<D>, topic: &str, queue_id: i32) -> Vec<Vec<u8>> {
    let (min, max) = store.queue_bounds(topic, queue_id);
    let messages = drain_places(store, topic, queue_id);
    let offsets: Vec<i64> = messages.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, (min.0..max.0).collect::<Vec<_>>(), "{topic} {queue_id}");
    messages.into_iter().map(|(_, body)| body).collect()
}

/// Offsets and bodies of all messages of a queue that are there; each one's place is checked.
pub(crate) fn drain_places<D: Disk>(store: &Store<D>, topic: &str, queue_id: i32) -> Vec<(i64, Vec<u8>)> {
    let (min, max) = store.queue_bounds(topic, queue_id);
    let mut offset = min.0;
    let mut messages = Vec::new();
    while offset < max.0 {
        let (result, slices) = read(store, topic, queue_id, offset);
        assert!(
            // Where all messages of a queue file are lost there is no file.
            matches!(
                result.status,
                ReadStatus::Found | ReadStatus::MessageWasRemoving | ReadStatus::OffsetFoundNull
            ),
            "{topic} {queue_id} at {offset} of {max}: {result:?}"
        );
        let next = result.next_begin_offset.0;
        assert!(next > offset, "{topic} {queue_id} at {offset}: {result:?}");
        for view in records(&slices) {
            let (queue, place) = place_in(&view, topic);
            assert_eq!(queue, queue_id, "{topic}");
            assert!((offset..next).contains(&place), "{topic} {queue_id}: {place}");
            assert!(store.record_at(PhysicalOffset(view.physical_offset())).is_ok());
            messages.push((place, view.body().to_vec()));
        }
        offset = next;
    }
    messages
}

/// The fields of a record that no store would make up, to be written into a log by hand.
pub(crate) fn fields<'a>(topic: &'a str, queue_id: i32, properties: &'a [u8]) -> Fields<'a> {
    let new = record(topic, queue_id, b"x", properties);
    Fields {
        version: Version::V1,
        topic,
        queue_id,
        flag: 0,
        sys_flag: 0,
        born_timestamp: NOW,
        born_host: new.born_host,
        store_host: new.store_host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: b"x",
        body_crc: body_crc(b"x"),
        properties,
        append_crc: false,
    }
}
