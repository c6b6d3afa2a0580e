//! The last lines that all brokers of this process have logged: a test that fails shows them.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Once;

use parking_lot::Mutex;

/// Lines that are kept. Tests beside the one that fails log as well.
const LINES_MAX: usize = 300;

static LINES: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Keeps what is logged from now on.
pub(crate) fn keep() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_thread_names(true)
            .with_writer(|| Lines)
            .init();
    });
}

/// Shows what is kept if the test that drops it has failed.
pub(crate) struct ShownIfFailed;

#[allow(clippy::print_stderr, reason = "the harness takes it for the test's report")]
impl Drop for ShownIfFailed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in std::mem::take(&mut *LINES.lock()) {
                eprint!("{line}");
            }
        }
    }
}

struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut lines = LINES.lock();
        if lines.len() >= LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(String::from_utf8_lossy(line).into_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
