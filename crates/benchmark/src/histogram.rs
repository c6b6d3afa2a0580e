//! Latencies in classes of 1 part in 64: small, and exact enough for any percentile.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SUB_BITS: u32 = 6;
const CLASSES: usize = (64 - SUB_BITS as usize) << SUB_BITS;

/// Counts of latencies, in nanoseconds; many threads may add.
pub(crate) struct Histogram {
    classes: Vec<AtomicU64>,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            classes: (0..CLASSES).map(|_| AtomicU64::new(0)).collect(),
            max: AtomicU64::new(0),
        }
    }
}

fn class_of(nanos: u64) -> usize {
    let bits = 64 - nanos.leading_zeros();
    if bits <= SUB_BITS + 1 {
        return nanos as usize;
    }
    let shift = bits - SUB_BITS - 1;
    ((shift as usize) << SUB_BITS) + (nanos >> shift) as usize
}

/// The highest value of a class.
fn upper(class: usize) -> u64 {
    let shift = (class >> SUB_BITS).saturating_sub(1) as u32;
    if shift == 0 {
        return class as u64;
    }
    let low = ((class - ((shift as usize) << SUB_BITS)) as u64) << shift;
    low + (1 << shift) - 1
}

impl Histogram {
    pub(crate) fn add(&self, nanos: u64) {
        if let Some(class) = self.classes.get(class_of(nanos)) {
            class.fetch_add(1, Relaxed);
        }
        self.max.fetch_max(nanos, Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.classes.iter().map(|c| c.load(Relaxed)).sum()
    }

    pub(crate) fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    /// The latency that this part of all does not exceed, ns.
    pub(crate) fn quantile(&self, part: f64) -> u64 {
        let wanted = (self.count() as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (class, count) in self.classes.iter().enumerate() {
            seen += count.load(Relaxed);
            if seen >= wanted && seen > 0 {
                return upper(class).min(self.max());
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_narrow_and_holds_its_value() {
        for nanos in (0..5000).chain([1 << 20, (1 << 20) + 7, 123_456_789, 1 << 40, u64::MAX / 2]) {
            let top = upper(class_of(nanos));
            assert!(
                top >= nanos && top - nanos <= nanos / 64 + 1,
                "{nanos} in a class up to {top}"
            );
        }
    }

    #[test]
    fn quantiles() {
        let histogram = Histogram::default();
        (1..=1000).for_each(|v| histogram.add(v * 1000));
        for (part, expected) in [(0.5, 500_000), (0.99, 990_000), (1.0, 1_000_000)] {
            let found = histogram.quantile(part);
            assert!(found.abs_diff(expected) <= expected / 60, "{part}: {found}");
        }
    }
}
