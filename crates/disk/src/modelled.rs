//! The published end of a file against every order in which two threads can run.
#![allow(unsafe_code)] // The test is whether an access that must not overlap does.

mod atomics {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};
}

#[path = "published.rs"]
#[allow(dead_code, reason = "the other copy is the one that is used")]
mod published;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use published::Published;

/// A file of one byte, and the count that an `Arc` of its mapping keeps, with the orders that `Arc` has.
struct File {
    published: Published,
    count: AtomicUsize,
    byte: UnsafeCell<u8>,
}

impl File {
    fn new(byte: u8, end: u64) -> Arc<File> {
        Arc::new(File {
            published: Published::new(end),
            count: AtomicUsize::new(1),
            byte: UnsafeCell::new(byte),
        })
    }

    /// Takes a slice of the byte, reads it, and gives it back.
    fn read(&self) -> Option<u8> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let covered = self.published.covers(1);
        // SAFETY: what the test is about: loom fails it if a write can run at the same time.
        let byte = covered.then(|| self.byte.with(|byte| unsafe { *byte }));
        self.count.fetch_sub(1, Ordering::Release);
        byte
    }

    fn write(&self, value: u8) {
        // SAFETY: as in `read`.
        self.byte.with_mut(|byte| unsafe { *byte = value });
    }

    fn take_back(&self) -> bool {
        self.published
            .take_back(0, || self.count.load(Ordering::Relaxed) > 1)
    }
}

#[test]
fn a_byte_is_written_before_it_is_published() {
    loom::model(|| {
        let file = File::new(0, 0);
        let reader = file.clone();
        let reader = thread::spawn(move || reader.read());
        file.write(7);
        file.published.publish(1);
        assert!(matches!(reader.join().unwrap(), None | Some(7)));
    });
}

#[test]
fn a_byte_is_not_written_again_while_a_slice_of_it_exists() {
    loom::model(|| {
        let file = File::new(1, 1);
        let reader = file.clone();
        let reader = thread::spawn(move || reader.read());
        if file.take_back() {
            file.write(2);
            file.published.publish(1);
        }
        assert!(matches!(reader.join().unwrap(), None | Some(1 | 2)));
    });
}

#[test]
fn of_two_readers_each_is_seen() {
    let mut model = loom::model::Builder::new();
    // All orders of three threads take half a minute; these are the ones with two switches that nobody asked for.
    model.preemption_bound = Some(2);
    model.check(|| {
        let file = File::new(1, 1);
        let readers = [file.clone(), file.clone()].map(|reader| thread::spawn(move || reader.read()));
        if file.take_back() {
            file.write(2);
        }
        for reader in readers {
            assert!(matches!(reader.join().unwrap(), None | Some(1)));
        }
    });
}
