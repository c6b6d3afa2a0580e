//! A position that only grows, and what waits for it to be reached.

use std::cmp::{Ordering as Order, Reverse};
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Progress of one kind (what is flushed, which change is saved), with the work that waits for it.
///
/// Whoever makes progress calls [`Watermark::advance`] and does what comes back; nothing is called under the lock.
pub struct Watermark<W> {
    reached: AtomicI64,
    parked: Mutex<State<W>>,
    /// Wakes who looks for expired waits, when there is something to look for.
    first: Notify,
}

struct State<W> {
    /// The lowest position first.
    heap: BinaryHeap<Reverse<Parked<W>>>,
    /// No deadline of these is sooner, ms since 1970.
    earliest_ms: i64,
}

struct Parked<W> {
    /// Done when the watermark is not below this.
    at: i64,
    since_ms: i64,
    deadline_ms: i64,
    waiter: W,
}

/// Ordered by position: the order in which progress reaches them. That is the order in which they came, too, but for a few
/// that overtook each other on their way here.
impl<W> Ord for Parked<W> {
    fn cmp(&self, other: &Self) -> Order {
        self.at.cmp(&other.at)
    }
}

impl<W> PartialOrd for Parked<W> {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl<W> PartialEq for Parked<W> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<W> Eq for Parked<W> {}

impl<W> Watermark<W> {
    /// Starts at `reached`.
    pub fn new(reached: i64) -> Self {
        Self {
            reached: AtomicI64::new(reached),
            parked: Mutex::new(State {
                heap: BinaryHeap::new(),
                earliest_ms: i64::MAX,
            }),
            first: Notify::new(),
        }
    }

    /// How far it is.
    pub fn reached(&self) -> i64 {
        self.reached.load(Ordering::Acquire)
    }

    /// Parks a waiter until the watermark is at `at` or the time is `deadline_ms`; gives it back if it is there already.
    pub fn park(&self, at: i64, now_ms: i64, deadline_ms: i64, waiter: W) -> Option<W> {
        let mut parked = self.parked.lock();
        // Under the lock: `advance` moves the mark before it takes the lock.
        if self.reached() >= at {
            return Some(waiter);
        }
        if parked.heap.is_empty() {
            self.first.notify_one();
        }
        parked.earliest_ms = parked.earliest_ms.min(deadline_ms);
        parked.heap.push(Reverse(Parked {
            at,
            since_ms: now_ms,
            deadline_ms,
            waiter,
        }));
        None
    }

    /// Moves on to `to` and takes out what waited for that. Going back is no progress.
    pub fn advance(&self, to: i64) -> Vec<W> {
        self.reached.fetch_max(to, Ordering::AcqRel);
        self.take(|parked| parked.at <= to)
    }

    /// Takes out those whose time is over, in the order of their positions. Looks at all of them only if there is one:
    /// waits of different length may stand here together.
    pub fn take_expired(&self, now_ms: i64) -> Vec<W> {
        let mut parked = self.parked.lock();
        if parked.earliest_ms > now_ms {
            return Vec::new();
        }
        let all = std::mem::take(&mut parked.heap).into_vec();
        let (mut expired, left): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|entry| entry.0.deadline_ms <= now_ms);
        let deadlines = left.iter().map(|entry| entry.0.deadline_ms);
        parked.earliest_ms = deadlines.min().unwrap_or(i64::MAX);
        parked.heap = left.into();
        drop(parked);
        expired.sort_by_key(|entry| entry.0.at);
        expired.into_iter().map(|entry| entry.0.waiter).collect()
    }

    /// Takes out what waits for `to` at most, although that is not reached.
    pub fn take_to(&self, to: i64) -> Vec<W> {
        self.take(|parked| parked.at <= to)
    }

    /// Takes out everything: what they wait for will never come.
    pub fn take_all(&self) -> Vec<W> {
        self.take(|_| true)
    }

    fn take(&self, is_ready: impl Fn(&Parked<W>) -> bool) -> Vec<W> {
        let mut parked = self.parked.lock();
        let mut taken = Vec::new();
        while let Some(first) = parked.heap.peek()
            && is_ready(&first.0)
        {
            taken.extend(parked.heap.pop().map(|first| first.0.waiter));
        }
        taken
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.parked.lock().heap.len()
    }

    /// Does nobody wait?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long the first has waited, ms.
    pub fn head_wait_ms(&self, now_ms: i64) -> i64 {
        let parked = self.parked.lock();
        parked
            .heap
            .peek()
            .map_or(0, |first| (now_ms - first.0.since_ms).max(0))
    }

    /// Waits until somebody waits.
    pub async fn wait_for_any(&self) {
        while self.is_empty() {
            self.first.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_given_back_in_the_order_of_positions() {
        let mark = Watermark::new(10);
        assert_eq!(mark.park(10, 0, 100, "there already"), Some("there already"));
        for (at, name) in [(30, "c"), (11, "a"), (20, "b")] {
            assert_eq!(mark.park(at, 5, 100, name), None);
        }
        assert_eq!((mark.len(), mark.head_wait_ms(25)), (3, 20));
        assert_eq!(mark.advance(20), ["a", "b"]);
        assert_eq!(mark.advance(15), Vec::<&str>::new(), "it does not go back");
        assert_eq!(mark.reached(), 20);
        assert_eq!(mark.advance(30), ["c"]);
        assert!(mark.is_empty());
    }

    #[test]
    fn time_and_the_end_take_waiters_out() {
        let mark = Watermark::new(0);
        for (at, deadline) in [(1, 50), (2, 60), (3, 500)] {
            mark.park(at, 0, deadline, at);
        }
        assert_eq!(mark.take_expired(49), Vec::<i64>::new());
        assert_eq!(mark.take_expired(60), [1, 2]);
        assert_eq!(mark.take_all(), [3]);
    }

    #[test]
    fn a_long_wait_does_not_hold_up_a_short_one_behind_it() {
        let mark = Watermark::new(0);
        for (at, deadline) in [(1, 30_000), (2, 5_000), (3, 6_000), (4, 40_000)] {
            mark.park(at, 0, deadline, at);
        }
        assert_eq!(mark.take_expired(4_999), Vec::<i64>::new());
        assert_eq!(mark.take_expired(6_000), [2, 3]);
        assert_eq!(mark.take_expired(29_999), Vec::<i64>::new());
        assert_eq!(mark.take_expired(30_000), [1]);
        assert_eq!(mark.advance(4), [4]);
    }

    #[test]
    fn progress_that_comes_while_somebody_parks_is_not_missed() {
        let mark = std::sync::Arc::new(Watermark::new(0));
        for round in 1..2_000 {
            let other = std::sync::Arc::clone(&mark);
            let advancing = std::thread::spawn(move || other.advance(round).len());
            let given_back = mark.park(round, 0, i64::MAX, ()).is_some();
            let woken = advancing.join().expect("no panic");
            assert_eq!(usize::from(given_back) + woken, 1, "round {round}");
        }
    }
}
