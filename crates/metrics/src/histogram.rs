//! A histogram that any thread adds to.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts by upper bounds. Adding costs a walk over the bounds and two additions: no lock, no allocation.
#[derive(Debug)]
pub struct Histogram<const BOUNDS: usize> {
    bounds: &'static [u64; BOUNDS],
    counts: [AtomicU64; BOUNDS],
    /// Beyond the last bound.
    beyond: AtomicU64,
    sum: AtomicU64,
}

/// A histogram at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistogramView<const BOUNDS: usize> {
    /// Upper bounds.
    pub bounds: &'static [u64; BOUNDS],
    /// Values up to each bound and above the one before.
    pub counts: [u64; BOUNDS],
    /// Values beyond the last bound.
    pub beyond: u64,
    /// All values together.
    pub sum: u64,
}

impl<const BOUNDS: usize> Histogram<BOUNDS> {
    /// Nothing yet; `bounds` grow.
    pub const fn new(bounds: &'static [u64; BOUNDS]) -> Self {
        Self {
            bounds,
            counts: [const { AtomicU64::new(0) }; BOUNDS],
            beyond: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts a value.
    pub fn add(&self, value: u64) {
        self.add_times(value, 1);
    }

    /// Counts a value that came so many times.
    pub fn add_times(&self, value: u64, times: u64) {
        let class = self.bounds.iter().position(|bound| value <= *bound);
        let count = class
            .and_then(|class| self.counts.get(class))
            .unwrap_or(&self.beyond);
        count.fetch_add(times, Relaxed);
        self.sum.fetch_add(value.saturating_mul(times), Relaxed);
    }

    /// What was counted so far; none if nothing was.
    pub fn view(&self) -> Option<HistogramView<BOUNDS>> {
        let view = HistogramView {
            bounds: self.bounds,
            counts: std::array::from_fn(|class| self.counts[class].load(Relaxed)),
            beyond: self.beyond.load(Relaxed),
            sum: self.sum.load(Relaxed),
        };
        (view.count() > 0).then_some(view)
    }
}

impl<const BOUNDS: usize> HistogramView<BOUNDS> {
    /// How many values.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static BOUNDS: [u64; 3] = [1, 10, 100];

    #[test]
    fn a_value_counts_at_the_first_bound_that_holds_it() {
        let histogram = Histogram::new(&BOUNDS);
        assert_eq!(histogram.view(), None);
        for value in [0, 1, 2, 10, 11, 100, 101] {
            histogram.add(value);
        }
        histogram.add_times(3, 5);
        let view = histogram.view().expect("something was counted");
        assert_eq!(view.counts, [2, 7, 2]);
        assert_eq!((view.beyond, view.count(), view.sum), (1, 12, 225 + 15));
    }

    #[test]
    fn a_sum_that_no_number_holds_is_no_panic() {
        let histogram = Histogram::new(&BOUNDS);
        histogram.add_times(u64::MAX, 3);
        assert_eq!(histogram.view().map(|view| view.beyond), Some(3));
    }
}
