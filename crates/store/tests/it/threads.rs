//! Many threads on one store, as in the broker.

use crate::harness::*;
use disk::MmapDisk;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use store::{FlushType, Helpers, Parallel, Phase, ReadStatus, Store, StoreSettings};

const THREADS: u32 = 4;
const EACH: u32 = 1500;

/// A thread a task.
struct Threads;

impl Parallel for Threads {
    fn width(&self) -> usize {
        4
    }

    fn run<'a>(&self, tasks: Vec<Box<dyn FnOnce() + Send + 'a>>) {
        std::thread::scope(|scope| tasks.into_iter().for_each(|task| drop(scope.spawn(task))));
    }
}

#[test]
fn many_hands_open_a_store_to_the_same_state_and_say_how_far_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings {
        commitlog_file_size: 32 << 20,
        consumequeue_file_size: 4000,
        index: false,
        ext: true,
        ..StoreSettings::below(dir.path())
    };
    let (store, _) = Store::open(MmapDisk::new(4), settings.clone(), NOW).unwrap();
    // More than two stretches of the log in 12 queues.
    let (topics, mut sent) = (["A", "B", "C"], [const { Vec::new() }; 12]);
    for number in 0..9_000usize {
        let place = number * 7 % 12;
        let body = [number.to_be_bytes(); 1000].concat();
        send(
            &store,
            record(topics[place / 4], place as i32 % 4, &body, b"TAGS\x01t"),
            NOW,
        );
        sent[place].push(body);
        if number % 1000 == 0 {
            store.reput(&mut |_| {}).unwrap();
        }
    }
    let end = store.max_physical();
    drop(store);
    std::fs::remove_file(dir.path().join("checkpoint")).unwrap();
    let told = Mutex::new(Vec::new());
    let helpers = Helpers {
        parallel: &Threads,
        progress: &|progress| told.lock().unwrap().push(progress),
    };
    let (store, report) = Store::open_with(MmapDisk::new(4), settings, NOW, &helpers).unwrap();
    assert_eq!((report.records, report.units_built), (9_000, 9_000));
    assert_eq!((store.max_physical(), report.log_cut), (end, None));
    for (place, bodies) in sent.iter().enumerate() {
        assert!(
            drain(&store, topics[place / 4], place as i32 % 4) == *bodies,
            "{place}"
        );
    }
    let told = told.into_inner().unwrap();
    let of = |phase| told.iter().filter(move |progress| progress.phase == phase);
    assert_eq!(of(Phase::Queues).map(|progress| progress.done).max(), Some(3));
    assert!(of(Phase::Queues).all(|progress| progress.total == 3));
    let log: Vec<u64> = of(Phase::Log).map(|progress| progress.done).collect();
    assert!(log.len() >= 3 && log.is_sorted(), "{log:?}");
    assert_eq!(log.last(), Some(&(end.0 as u64)));
}

fn run(flush_type: FlushType) {
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings {
        commitlog_file_size: 256 * 1024,
        consumequeue_file_size: 4000,
        index_slots: 100,
        index_entries: 4000,
        max_message_size: 10_000,
        flush_type,
        ..StoreSettings::below(dir.path())
    };
    let (store, _) = Store::open(MmapDisk::new(4), settings.clone(), NOW).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || {
                    for number in 0..EACH {
                        let body = [thread.to_be_bytes(), number.to_be_bytes()].concat().repeat(8);
                        let queue = (number % 3) as i32;
                        let appended = send(store, record("T", queue, &body, b"KEYS\x01k"), NOW);
                        store.reput(&mut |_| {}).unwrap();
                        if flush_type == FlushType::Sync && number % 50 == 0 {
                            assert!(store.flush(0).unwrap() >= appended.end);
                            store.reput(&mut |_| {}).unwrap();
                            assert!(store.record_at(appended.physical_offset).is_ok());
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                store.flush(0).unwrap();
                store.reput(&mut |_| {}).unwrap();
                store.flush_consumequeues(0, true).unwrap();
                store.prepare_ahead(NOW, &mut || {});
                store.build_index().unwrap();
            }
        });
        scope.spawn(|| {
            let mut offset = 0;
            while !done.load(Ordering::Acquire) {
                let (result, slices) = read(&store, "T", 1, offset);
                for view in records(&slices) {
                    assert_eq!(view.queue_offset(), offset);
                    offset += 1;
                }
                assert!(
                    matches!(
                        result.status,
                        ReadStatus::Found
                            | ReadStatus::OffsetOverflowOne
                            | ReadStatus::NoMessageInQueue
                            | ReadStatus::NoMatchedLogicQueue
                    ),
                    "{result:?} at {offset}"
                );
            }
        });
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        done.store(true, Ordering::Release);
    });
    settle(&store);
    assert_eq!(store.reput_end(), store.max_physical(), "nothing is left behind");
    let check = |store: &Store<MmapDisk>| {
        let mut next = vec![0; THREADS as usize];
        let mut all = Vec::new();
        for queue in 0..3 {
            let bodies = drain(store, "T", queue);
            assert_eq!(bodies.len() as u32, THREADS * EACH / 3);
            // Each sender's messages are in its own order.
            next.fill(queue as u32);
            for body in bodies {
                let word =
                    |at: usize| u32::from_be_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
                let (thread, number) = (word(0) as usize, word(4));
                assert_eq!(number, next[thread], "sender {thread} in queue {queue}");
                next[thread] += 3;
                all.push(body);
            }
        }
        all.sort();
        all.dedup();
        assert_eq!(all.len() as u32, THREADS * EACH);
    };
    check(&store);
    drop(store);
    let (store, _) = Store::open(MmapDisk::new(4), settings, NOW).unwrap();
    check(&store);
}

#[test]
fn senders_readers_and_the_background_async() {
    run(FlushType::Async);
}

#[test]
fn senders_readers_and_the_background_sync() {
    run(FlushType::Sync);
}
