//! The count of held pulls against every order in which a pull and a message can meet.

mod atomics {
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering, fence};
}

#[path = "held_count.rs"]
#[expect(clippy::duplicate_mod, reason = "the other copy is the one that is used")]
mod held_count;

use held_count::HeldCount;
use loom::sync::atomic::{AtomicI64, Ordering, fence};
use loom::sync::{Arc, Mutex};
use loom::thread;

/// A queue, and the table of the one pull that may wait for its first message.
struct Meeting {
    end: AtomicI64,
    table: Mutex<bool>,
    count: HeldCount,
}

impl Meeting {
    /// As `Hold::put` and the look that follows it; true if the pull has the message.
    fn hold(&self) -> bool {
        *self.table.lock().unwrap() = true;
        self.count.add();
        self.end.load(Ordering::SeqCst) > 0 && self.take()
    }

    /// As reput and its listener; true if the pull has the message.
    fn publish(&self) -> bool {
        self.end.store(1, Ordering::SeqCst);
        // The model takes sequentially consistent accesses for weaker ones; only its fences are as strong as real ones.
        fence(Ordering::SeqCst);
        self.count.get() > 0 && self.take()
    }

    fn take(&self) -> bool {
        let taken = std::mem::take(&mut *self.table.lock().unwrap());
        if taken {
            self.count.sub(1);
        }
        taken
    }
}

#[test]
fn no_pull_sleeps_through_a_message() {
    loom::model(|| {
        let meeting = Arc::new(Meeting {
            end: AtomicI64::new(0),
            table: Mutex::new(false),
            count: HeldCount::new(),
        });
        let other = Arc::clone(&meeting);
        let publisher = thread::spawn(move || other.publish());
        let woken = [meeting.hold(), publisher.join().unwrap()];
        assert_eq!(woken.iter().filter(|woken| **woken).count(), 1, "{woken:?}");
        assert_eq!(meeting.count.get(), 0);
    });
}
