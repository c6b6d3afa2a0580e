//! Which bytes of a file are known to have blocks.

use std::ops::Range;

/// A set of byte ranges, kept joined.
#[derive(Debug, Default)]
pub(crate) struct BlockRanges(Vec<Range<u64>>);

impl BlockRanges {
    /// Whether all of `range` has blocks.
    pub(crate) fn covers(&self, range: &Range<u64>) -> bool {
        range.is_empty()
            || self
                .0
                .iter()
                .rev()
                .any(|known| known.start <= range.start && range.end <= known.end)
    }

    /// Adds a range that now has blocks.
    pub(crate) fn add(&mut self, mut range: Range<u64>) {
        self.0.retain(|known| {
            let apart = known.end < range.start || range.end < known.start;
            if !apart {
                range = known.start.min(range.start)..known.end.max(range.end);
            }
            apart
        });
        self.0.push(range);
    }

    /// Forgets everything from `from` on.
    pub(crate) fn cut(&mut self, from: u64) {
        self.0.retain_mut(|known| {
            known.end = known.end.min(from);
            known.start < known.end
        });
    }
}

/// What to reserve so that `range` can be written: from the block it starts in, at least a step.
pub(crate) fn stretch(range: &Range<u64>, step: u64, len: u64) -> Range<u64> {
    let start = range.start / 4096 * 4096;
    let end = range
        .end
        .max(start.saturating_add(step))
        .div_ceil(4096)
        .saturating_mul(4096);
    start..end.min(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_and_cut() {
        let mut reserved = BlockRanges::default();
        assert!(reserved.covers(&(5..5)) && !reserved.covers(&(0..1)));
        reserved.add(0..10);
        reserved.add(20..30);
        assert!(!reserved.covers(&(5..25)));
        reserved.add(10..20);
        assert!(reserved.covers(&(0..30)));
        reserved.cut(15);
        assert!(reserved.covers(&(0..15)) && !reserved.covers(&(0..16)));
    }

    #[test]
    fn stretches_to_blocks_within_the_file() {
        assert_eq!(stretch(&(5000..5010), 65536, 1 << 20), 4096..69632);
        assert_eq!(stretch(&(5000..5010), 65536, 6000), 4096..6000);
        assert_eq!(stretch(&(0..100_000), 65536, 1 << 20), 0..102400);
    }
}
