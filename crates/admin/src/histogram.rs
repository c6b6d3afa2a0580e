//! Latencies, counted so that any number of threads may add.
//!
//! Buckets are powers of two in 32 steps each: a quantile is right to about three in a hundred.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const STEPS: usize = 32;
const STEP_BITS: u32 = STEPS.ilog2();
/// Up to 2^42 ns, more than an hour.
const BUCKETS: usize = (42 - STEP_BITS as usize + 1) * STEPS;

/// Counts of latencies.
pub struct Histogram {
    counts: Vec<AtomicU64>,
    max_ns: AtomicU64,
    sum_ns: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let counts = std::iter::repeat_with(|| AtomicU64::new(0))
            .take(BUCKETS)
            .collect();
        Histogram {
            counts,
            max_ns: AtomicU64::new(0),
            sum_ns: AtomicU64::new(0),
        }
    }
}

fn bucket(ns: u64) -> usize {
    if ns < STEPS as u64 {
        return ns as usize;
    }
    let shift = ns.ilog2() - STEP_BITS;
    let index = (shift as usize + 1) * STEPS + (ns >> shift) as usize - STEPS;
    index.min(BUCKETS - 1)
}

/// The largest latency of a bucket, ns.
fn upper(index: usize) -> u64 {
    if index < STEPS {
        return index as u64;
    }
    let shift = (index / STEPS - 1) as u32;
    let step = (index % STEPS + STEPS) as u64;
    ((step + 1) << shift) - 1
}

impl Histogram {
    /// Counts a latency.
    pub fn add(&self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(ns)].fetch_add(1, Ordering::Relaxed);
        self.max_ns.fetch_max(ns, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }

    /// The latency below which `share` (0 to 1) of them are.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count.load(Ordering::Relaxed);
            if seen >= wanted.max(1) {
                return Duration::from_nanos(upper(index)).min(self.max());
            }
        }
        self.max()
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns.load(Ordering::Relaxed))
    }

    /// The average.
    pub fn mean(&self) -> Duration {
        let count = self.count().max(1);
        Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed) / count)
    }

    /// Empties it, for the next interval.
    pub fn clear(&self) {
        self.counts
            .iter()
            .for_each(|count| count.store(0, Ordering::Relaxed));
        self.max_ns.store(0, Ordering::Relaxed);
        self.sum_ns.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_one_another() {
        for index in 0..BUCKETS - 1 {
            assert_eq!(bucket(upper(index)), index);
            assert_eq!(bucket(upper(index) + 1), index + 1);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_near() {
        let histogram = Histogram::default();
        (1..=1000).for_each(|ms| histogram.add(Duration::from_millis(ms)));
        assert_eq!(histogram.count(), 1000);
        for (share, ms) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile(share).as_secs_f64() * 1000.0;
            assert!((found / ms - 1.0).abs() < 0.04, "{share}: {found}");
        }
        assert_eq!(histogram.max(), Duration::from_secs(1));
        histogram.clear();
        assert_eq!((histogram.count(), histogram.max()), (0, Duration::ZERO));
    }
}
