//! Waking a thread that works by itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Wakes a thread; any number of nudges while it works are one.
#[derive(Default)]
pub struct Wake {
    wanted: AtomicBool,
    lock: Mutex<()>,
    work: Condvar,
}

impl Wake {
    /// Asks the thread to look. Cheap when it has been asked already.
    pub fn nudge(&self) {
        if !self.wanted.swap(true, Ordering::AcqRel) {
            let _held = self.lock.lock();
            self.work.notify_one();
        }
    }

    /// Sleeps until it is asked for, or for `limit`; asked, it lets `gather` pass first. Nudges of that time cost nobody a
    /// system call.
    pub fn wait_and_gather(&self, limit: Duration, gather: Duration) {
        let mut held = self.lock.lock();
        if !self.wanted.load(Ordering::Acquire) {
            self.work.wait_for(&mut held, limit);
        }
        if self.wanted.load(Ordering::Acquire) {
            // Nobody notifies while it is wanted already: this is a pause, which the lock does not hold up.
            self.work.wait_for(&mut held, gather.min(limit));
        }
        self.wanted.store(false, Ordering::Release);
    }

    /// Sleeps until it is asked for, or for `limit`.
    pub fn wait(&self, limit: Duration) {
        let mut held = self.lock.lock();
        if !self.wanted.load(Ordering::Acquire) {
            self.work.wait_for(&mut held, limit);
        }
        self.wanted.store(false, Ordering::Release);
    }

    /// Rests for so long, or until it is asked for anew.
    pub fn pause(&self, rest: Duration) {
        let mut held = self.lock.lock();
        self.work.wait_for(&mut held, rest);
    }
}
