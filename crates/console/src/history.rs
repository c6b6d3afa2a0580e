//! What rates and lags were: a point each few seconds, for the charts.

use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};

/// Points of a line: an hour of one each ten seconds.
const POINTS: usize = 360;
/// Lines of one kind. Those of brokers, groups and topics beyond have no chart.
const LINES: usize = 1_000;

/// A moment, ms since 1970, and a value.
pub(crate) type Point = (i64, f64);

/// Lines by name.
#[derive(Default)]
pub(crate) struct Lines(Mutex<BTreeMap<String, VecDeque<Point>>>);

impl Lines {
    /// Adds a point.
    pub(crate) fn add(&self, name: &str, at: i64, value: f64) {
        let mut lines = self.0.lock();
        if !lines.contains_key(name) {
            if lines.len() >= LINES {
                return;
            }
            lines.insert(name.to_owned(), VecDeque::new());
        }
        let Some(line) = lines.get_mut(name) else {
            return;
        };
        // Several viewers in one moment make one point.
        if line.back().is_some_and(|(last, _)| *last >= at) {
            return;
        }
        if line.len() >= POINTS {
            line.pop_front();
        }
        line.push_back((at, value));
    }

    /// The points of a line.
    pub(crate) fn of(&self, name: &str) -> Vec<Point> {
        let lines = self.0.lock();
        lines.get(name).into_iter().flatten().copied().collect()
    }

    /// Forgets lines that have had no point since: their broker or group is gone.
    pub(crate) fn forget_before(&self, at: i64) {
        self.0
            .lock()
            .retain(|_, line| line.back().is_some_and(|(last, _)| *last >= at));
    }
}

/// Sums that grow, for what they grew by a second.
#[derive(Default)]
pub(crate) struct Growth(Mutex<BTreeMap<String, Point>>);

impl Growth {
    /// Notes sums of one moment; gives what each has grown by a second since the moment before. What is new, or went back, has no rate.
    pub(crate) fn rates<'a>(
        &self,
        at: i64,
        sums: impl IntoIterator<Item = (&'a str, i64)>,
    ) -> BTreeMap<String, f64> {
        let mut last = self.0.lock();
        let (mut now, mut rates) = (BTreeMap::new(), BTreeMap::new());
        for (name, sum) in sums {
            let sum = sum as f64;
            if let Some((before, old)) = last.get(name)
                && at > *before
                && sum >= *old
            {
                let seconds = (at - before) as f64 / 1000.0;
                rates.insert(name.to_owned(), (sum - old) / seconds);
            }
            now.insert(name.to_owned(), (at, sum));
        }
        *last = now;
        rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded() {
        let lines = Lines::default();
        for at in 0..2 * POINTS as i64 {
            lines.add("a", at, 1.0);
            lines.add("a", at, 2.0);
        }
        let line = lines.of("a");
        assert_eq!((line.len(), line[0]), (POINTS, (POINTS as i64, 1.0)));
        for number in 0..2 * LINES {
            lines.add(&number.to_string(), 1, 1.0);
        }
        assert_eq!(lines.0.lock().len(), LINES);
        lines.forget_before(2);
        assert_eq!(lines.0.lock().len(), 1);
    }

    #[test]
    fn what_grows_has_a_rate() {
        let growth = Growth::default();
        assert!(growth.rates(1_000, [("a", 10), ("b", 5)]).is_empty());
        let rates = growth.rates(3_000, [("a", 30), ("b", 4), ("c", 1)]);
        assert_eq!(rates, BTreeMap::from([("a".to_owned(), 10.0)]));
        assert_eq!(
            growth.rates(4_000, [("b", 6)]),
            BTreeMap::from([("b".to_owned(), 2.0)])
        );
    }
}
