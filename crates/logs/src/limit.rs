//! Warnings that could come thousands of times a second.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Lets one event through each second and counts the others.
#[derive(Debug)]
pub struct Limit {
    /// Milliseconds after the first use in this process, from which on the next event may pass.
    open_from_ms: AtomicU64,
    dropped: AtomicU64,
}

impl Limit {
    /// One that lets the next event through.
    #[allow(
        clippy::new_without_default,
        reason = "it stands in statics, where Default is no use"
    )]
    pub const fn new() -> Limit {
        Limit {
            open_from_ms: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Whether an event may pass now; if so, how many were held back since the last.
    pub fn pass(&self) -> Option<u64> {
        static START: OnceLock<Instant> = OnceLock::new();
        let elapsed = START.get_or_init(Instant::now).elapsed();
        self.pass_at(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }

    fn pass_at(&self, now_ms: u64) -> Option<u64> {
        let open_from = self.open_from_ms.load(Ordering::Relaxed);
        let next = now_ms.saturating_add(1000);
        let passes = now_ms >= open_from
            && self
                .open_from_ms
                .compare_exchange(open_from, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if passes {
            Some(self.dropped.swap(0, Ordering::Relaxed))
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            crate::count::held_back();
            None
        }
    }
}

/// Logs at most once a second from the place where it stands, saying how often it was held back in between.
///
/// ```
/// for port in 0..1000 {
///     logs::limited!(warn, "no answer from port {port}");
/// }
/// ```
#[macro_export]
macro_rules! limited {
    ($level:ident, $($message:tt)+) => {{
        static LIMIT: $crate::Limit = $crate::Limit::new();
        match LIMIT.pass() {
            Some(0) => $crate::tracing::$level!($($message)+),
            Some(dropped) => $crate::tracing::$level!("{} (and {dropped} more like it before)", format_args!($($message)+)),
            None => {}
        }
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second() {
        let limit = Limit::new();
        assert_eq!(limit.pass_at(5), Some(0));
        assert_eq!((limit.pass_at(6), limit.pass_at(1004)), (None, None));
        assert_eq!(limit.pass_at(1005), Some(2));
        assert_eq!(limit.pass_at(5000), Some(0));
    }
}
