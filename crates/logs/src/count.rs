//! How many lines of each kind there were, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

static ERRORS: AtomicU64 = AtomicU64::new(0);
static WARNINGS: AtomicU64 = AtomicU64::new(0);
/// Warnings that could flood the log, and were held back.
static HELD_BACK: AtomicU64 = AtomicU64::new(0);

/// Lines so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Of level ERROR.
    pub errors: u64,
    /// Of level WARN.
    pub warnings: u64,
    /// Held back, because the same place had said something within the second.
    pub held_back: u64,
}

/// How many lines there were so far.
pub fn counts() -> Counts {
    Counts {
        errors: ERRORS.load(Relaxed),
        warnings: WARNINGS.load(Relaxed),
        held_back: HELD_BACK.load(Relaxed),
    }
}

/// Counts a line that is held back.
pub(crate) fn held_back() {
    HELD_BACK.fetch_add(1, Relaxed);
}

/// Counts what is logged.
pub(crate) struct Counted;

impl<S: Subscriber> Layer<S> for Counted {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        match *event.metadata().level() {
            Level::ERROR => drop(ERRORS.fetch_add(1, Relaxed)),
            Level::WARN => drop(WARNINGS.fetch_add(1, Relaxed)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn lines_are_counted_by_level_and_what_is_held_back_too() {
        let before = counts();
        let subscriber = tracing_subscriber::registry().with(Counted);
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!("one");
            tracing::info!("none");
            for _ in 0..5 {
                crate::limited!(warn, "the same");
            }
        });
        let after = counts();
        assert_eq!(after.errors - before.errors, 1);
        assert_eq!(after.warnings - before.warnings, 1);
        // Other tests hold lines back, too.
        assert!(after.held_back - before.held_back >= 4, "{after:?}");
    }
}
