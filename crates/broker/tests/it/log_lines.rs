//! What the brokers of this process have logged: a test that fails shows it from its own start on.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::sync::{LazyLock, Once};
use std::thread::{self, ThreadId};
use std::time::Instant;

use parking_lot::Mutex;

/// Lines that are kept. Tests beside the one that fails log as well.
const LINES_MAX: usize = 5_000;

static LINES: Mutex<VecDeque<(Instant, String)>> = Mutex::new(VecDeque::new());

/// The last panic of each thread.
static PANICS: LazyLock<Mutex<HashMap<ThreadId, String>>> = LazyLock::new(Mutex::default);

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
        let shown = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.lock().insert(thread::current().id(), panic.to_string());
            shown(panic);
        }));
    });
}

/// Whether a line with this text was logged.
pub(crate) fn has(text: &str) -> bool {
    count(text) > 0
}

/// How many lines with this text were logged.
pub(crate) fn count(text: &str) -> usize {
    LINES
        .lock()
        .iter()
        .filter(|(_, line)| line.contains(text))
        .count()
}

/// Shows what was logged since then if the test that drops it has failed, and after it why: who reads the end of a long report finds it
/// there.
pub(crate) struct ShownIfFailed(pub(crate) Instant);

#[allow(clippy::print_stderr, reason = "the harness takes it for the test's report")]
impl Drop for ShownIfFailed {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        for (_, line) in LINES.lock().iter().filter(|(at, _)| *at >= self.0) {
            eprint!("{line}");
        }
        if let Some(panic) = PANICS.lock().get(&thread::current().id()) {
            eprintln!("{panic}");
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
        lines.push_back((Instant::now(), String::from_utf8_lossy(line).into_owned()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
