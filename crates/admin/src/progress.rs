//! How far a long command is, for whoever watches a terminal.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How soon the first line comes, and how often another.
const EVERY: Duration = Duration::from_millis(500);

/// A line on the terminal that is written over and over. Where stderr is none, there is no line.
pub(crate) struct Progress {
    is_shown: bool,
    last: Instant,
    width: usize,
}

impl Progress {
    /// Nothing is shown before some time has passed: most commands are over by then.
    pub(crate) fn start() -> Progress {
        Progress {
            is_shown: std::io::stderr().is_terminal(),
            last: Instant::now(),
            width: 0,
        }
    }

    /// Nothing is shown ever.
    pub(crate) fn hidden() -> Progress {
        Progress {
            is_shown: false,
            ..Progress::start()
        }
    }

    /// Shows `what`, unless the last line is young.
    pub(crate) fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.is_shown && self.last.elapsed() >= EVERY {
            self.write(&what());
            self.last = Instant::now();
        }
    }

    /// Takes the line away before something else is printed.
    pub(crate) fn clear(&mut self) {
        if self.width > 0 {
            self.write("");
        }
    }

    fn write(&mut self, text: &str) {
        let line = format!("\r{text:<width$}", width = self.width);
        let back = if text.is_empty() { "\r" } else { "" };
        self.width = text.chars().count();
        // A terminal that is gone misses nothing.
        let _ = std::io::stderr().write_all(format!("{line}{back}").as_bytes());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
