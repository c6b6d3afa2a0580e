//! A limit in bytes a second.

/// Spends bytes that come back with time. A spender may go into debt once, then waits until the debt is gone: no transfer is cut
/// into crumbs, and the rate holds.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    bytes_per_second: u64,
    /// Millionths of a byte would be needed for exactness at odd rates; thousandths are, because time is in ms.
    left_millibytes: i64,
    at_ms: i64,
}

/// The most that a pause saves up, ms.
const SAVED_MS: i64 = 100;

impl Flow {
    /// 0 is no limit.
    pub(crate) fn new(bytes_per_second: u64, now_ms: i64) -> Self {
        Self {
            bytes_per_second,
            left_millibytes: 0,
            at_ms: now_ms,
        }
    }

    /// Takes over what was saved or owed, in time.
    pub(crate) fn set(&mut self, bytes_per_second: u64, now_ms: i64) {
        self.earn(now_ms);
        if self.bytes_per_second != bytes_per_second {
            *self = Self::new(bytes_per_second, now_ms);
        }
    }

    /// Bytes that may go at once: what is spent in 100 ms, so that the wait after it is short against any heartbeat.
    pub(crate) fn most(&self) -> usize {
        match self.bytes_per_second {
            0 => usize::MAX,
            rate => usize::try_from(rate / 10).unwrap_or(usize::MAX).max(1),
        }
    }

    /// Nothing if something may go now; otherwise when, ms.
    pub(crate) fn wait_until(&mut self, now_ms: i64) -> Option<i64> {
        self.earn(now_ms);
        if self.bytes_per_second == 0 || self.left_millibytes >= 0 {
            return None;
        }
        let rate = i64::try_from(self.bytes_per_second).unwrap_or(i64::MAX);
        let wait_ms = self.left_millibytes.unsigned_abs().div_ceil(rate.unsigned_abs());
        Some(now_ms.saturating_add(i64::try_from(wait_ms).unwrap_or(i64::MAX)))
    }

    /// They go.
    pub(crate) fn spend(&mut self, bytes: usize) {
        if self.bytes_per_second != 0 {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            self.left_millibytes = self.left_millibytes.saturating_sub(bytes.saturating_mul(1000));
        }
    }

    fn earn(&mut self, now_ms: i64) {
        // bytes a second = millibytes a ms.
        let rate = i64::try_from(self.bytes_per_second).unwrap_or(i64::MAX);
        let passed_ms = now_ms.saturating_sub(self.at_ms).max(0);
        self.left_millibytes = self
            .left_millibytes
            .saturating_add(rate.saturating_mul(passed_ms))
            .min(rate.saturating_mul(SAVED_MS));
        self.at_ms = self.at_ms.max(now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_seconds_the_rate_holds_however_large_the_pieces_are() {
        for rate in [1_u64, 999, 100_000, 100 << 20] {
            let mut flow = Flow::new(rate, 0);
            let piece = flow.most();
            let mut sent = 0;
            let mut now = 0;
            while now < 20_000 {
                match flow.wait_until(now) {
                    Some(until) => {
                        assert!(until > now, "at {rate}/s it waits");
                        assert!(
                            until - now <= 1000,
                            "and not longer than a heartbeat: {}",
                            until - now
                        );
                        now = until;
                    }
                    None => {
                        flow.spend(piece);
                        sent += piece as u64;
                    }
                }
            }
            let due = rate * 20;
            assert!(sent >= due && sent <= due + 2 * piece as u64, "{sent} of {due}");
        }
    }

    #[test]
    fn a_pause_saves_a_tenth_of_a_second_and_no_more() {
        let mut flow = Flow::new(1000, 0);
        assert_eq!(flow.wait_until(60_000), None);
        flow.spend(100);
        assert_eq!(flow.wait_until(60_000), None, "that was saved");
        flow.spend(100);
        assert_eq!(flow.wait_until(60_000), Some(60_100));
    }

    #[test]
    fn a_limit_taken_away_or_set_holds_at_once() {
        let mut flow = Flow::new(1, 0);
        flow.spend(1000);
        assert!(flow.wait_until(0).is_some());
        flow.set(0, 0);
        assert_eq!((flow.wait_until(0), flow.most()), (None, usize::MAX));
        flow.spend(usize::MAX);
        assert_eq!(flow.wait_until(0), None);
        flow.set(10, 5);
        flow.spend(1);
        assert_eq!(flow.wait_until(5), Some(105));
        flow.set(10, 5);
        assert_eq!(flow.wait_until(5), Some(105), "the same limit forgives no debt");
    }
}
