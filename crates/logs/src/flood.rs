//! No place of the program fills the log with warnings: each has so many lines a second.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines of level WARN and ERROR that one place may write in a second. A start tells each finding about its settings from one
/// place, and nobody reads more than this.
pub(crate) const LINES_A_SECOND: u32 = 100;

thread_local! {
    /// What was held back before the line that this thread is writing.
    static HELD_BACK: Cell<u64> = const { Cell::new(0) };
}

/// How many lines of its place were held back before the line that this thread is writing; each is told once.
pub(crate) fn held_back_before() -> u64 {
    HELD_BACK.take()
}

/// What one place has said.
#[derive(Debug, Default, Clone, Copy)]
struct Place {
    second: u64,
    lines: u32,
    held_back: u64,
}

impl Place {
    /// Whether it may say one more; if so, how many it could not say before.
    fn pass(&mut self, second: u64) -> Option<u64> {
        if self.second != second {
            (self.second, self.lines) = (second, 0);
        }
        if self.lines == LINES_A_SECOND {
            self.held_back += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.held_back))
    }
}

/// Holds back what is too much.
pub(crate) struct Flood {
    started: Instant,
    /// As many as there are places in the program.
    places: Mutex<HashMap<Identifier, Place>>,
}

impl Flood {
    /// Nothing has been said yet.
    pub(crate) fn new() -> Flood {
        Flood {
            started: Instant::now(),
            places: Mutex::default(),
        }
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Identifier, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Flood {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        if *event.metadata().level() > Level::WARN {
            return true;
        }
        let second = self.started.elapsed().as_secs();
        let passed = self
            .places()
            .entry(event.metadata().callsite())
            .or_default()
            .pass(second);
        match passed {
            Some(before) => HELD_BACK.set(before),
            None => crate::count::held_back(),
        }
        passed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_so_many_lines_a_second_and_says_what_it_could_not_say() {
        let mut place = Place::default();
        for _ in 0..LINES_A_SECOND {
            assert_eq!(place.pass(7), Some(0));
        }
        assert_eq!((place.pass(7), place.pass(7)), (None, None));
        assert_eq!((place.pass(8), place.pass(8)), (Some(2), Some(0)));
    }
}
