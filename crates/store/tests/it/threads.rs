//! Many threads on one store, as in the broker.

use crate::harness::*;
use disk::MmapDisk;
use std::sync::atomic::{AtomicBool, Ordering};
use store::{FlushType, ReadStatus, Store, StoreSettings};

const THREADS: u32 = 4;
const EACH: u32 = 1500;

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
                        store.dispatch(&mut |_| {}).unwrap();
                        if flush_type == FlushType::Sync && number % 50 == 0 {
                            assert!(store.flush(0).unwrap() >= appended.end);
                            store.dispatch(&mut |_| {}).unwrap();
                            assert!(store.record_at(appended.physical_offset).is_ok());
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                store.flush(0).unwrap();
                store.dispatch(&mut |_| {}).unwrap();
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
    assert_eq!(store.dispatched(), store.max_physical(), "nothing is left behind");
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
