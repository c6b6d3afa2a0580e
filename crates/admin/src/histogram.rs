//! Latencies, counted by any number of threads.

use std::time::Duration;

use parking_lot::Mutex;

/// From 1 ns to an hour; what is longer counts as an hour.
const MAX_NS: u64 = 3_600_000_000_000;
/// Two digits: a quantile is right to one in a hundred.
const DIGITS: u8 = 2;

/// Counts of latencies.
pub struct Histogram(Mutex<Counts>);

struct Counts {
    of: hdrhistogram::Histogram<u64>,
    /// The longest, to the nanosecond.
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        let counts = hdrhistogram::Histogram::new_with_max(MAX_NS, DIGITS);
        Histogram(Mutex::new(Counts {
            of: counts.expect("these bounds are valid"),
            max: Duration::ZERO,
        }))
    }
}

impl Histogram {
    /// Counts a latency.
    pub fn add(&self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        let mut counts = self.0.lock();
        counts.of.saturating_record(ns);
        counts.max = counts.max.max(latency);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.lock().of.len()
    }

    /// The latency below which `share` (0 to 1) of them are.
    pub fn quantile(&self, share: f64) -> Duration {
        let counts = self.0.lock();
        Duration::from_nanos(counts.of.value_at_quantile(share)).min(counts.max)
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        self.0.lock().max
    }

    /// The average.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.0.lock().of.mean() as u64)
    }

    /// Empties it, for the next interval.
    pub fn clear(&self) {
        let mut counts = self.0.lock();
        counts.of.reset();
        counts.max = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near() {
        let histogram = Histogram::default();
        assert_eq!((histogram.count(), histogram.quantile(0.99)), (0, Duration::ZERO));
        (1..=1000).for_each(|ms| histogram.add(Duration::from_millis(ms)));
        assert_eq!(histogram.count(), 1000);
        for (share, ms) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile(share).as_secs_f64() * 1000.0;
            assert!((found / ms - 1.0).abs() < 0.01, "{share}: {found}");
        }
        assert_eq!(histogram.max(), Duration::from_secs(1));
        assert!(histogram.mean().abs_diff(Duration::from_micros(500_500)) < Duration::from_millis(5));
        histogram.add(Duration::MAX);
        let longest = histogram.quantile(1.0).as_secs();
        assert!((3_500..3_700).contains(&longest), "{longest}");
        histogram.clear();
        assert_eq!((histogram.count(), histogram.max()), (0, Duration::ZERO));
    }
}
