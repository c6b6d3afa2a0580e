//! Lines on their way to a stream or a file, so that nobody who logs waits for it.
//!
//! A pipe that nobody reads, a terminal that was stopped, a disk that hangs: each stops whoever writes to it. That is a thread
//! of its own here, and what logs is not. Lines wait for it in a queue of bounded bytes; what finds no room is dropped and
//! counted, and a line says how many were.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of lines that may wait.
const MAX_BYTES: usize = 4 << 20;
/// Bytes of a line besides its text.
const LINE_BYTES: usize = 64;
/// Bytes after which lines are written, although more wait.
const BATCH_BYTES: usize = 64 << 10;

/// What a spool writes to. Called on its thread alone.
pub(crate) trait Out: Send {
    /// Writes whole lines, so many of them.
    fn write(&mut self, lines: &[u8], count: u64) -> io::Result<()>;
}

/// A line that waits.
struct Line {
    text: Arc<[u8]>,
    /// Told if the line cannot be written.
    failed: Option<fn(&str, &io::Error)>,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Lines that came, and that are done with: written, or failed.
    come: u64,
    done: u64,
    dropped: u64,
    /// Of these, those that no line has told of yet.
    untold: u64,
    /// The thread sleeps.
    sleeps: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// A line came.
    more: Condvar,
    /// Lines are done with.
    progress: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held that would leave it half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue of lines and the thread that writes them.
pub(crate) struct Spool {
    shared: Arc<Shared>,
}

impl Spool {
    /// Starts a thread of this name that writes to `out`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(thread: &str, out: impl Out + 'static) -> io::Result<Spool> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(thread.to_owned())
            .spawn(move || run(&of_thread, out))?;
        Ok(Spool { shared })
    }

    /// Takes a line, with its line feed, to be written soon. Never waits for what it is written to.
    pub(crate) fn push(&self, text: Arc<[u8]>) {
        self.take(Line { text, failed: None });
    }

    /// The same; `failed` is told if the line cannot be written.
    pub(crate) fn push_or(&self, text: Arc<[u8]>, failed: fn(&str, &io::Error)) {
        let failed = Some(failed);
        self.take(Line { text, failed });
    }

    fn take(&self, line: Line) {
        let bytes = line.text.len() + LINE_BYTES;
        let mut state = self.shared.lock();
        if state.bytes + bytes > MAX_BYTES {
            state.dropped += 1;
            state.untold += 1;
            return;
        }
        state.bytes += bytes;
        state.come += 1;
        state.lines.push_back(line);
        let sleeps = std::mem::take(&mut state.sleeps);
        drop(state);
        if sleeps {
            self.shared.more.notify_one();
        }
    }

    /// Waits until what came before is written, until `deadline` at most; false if it is not.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        let mut state = self.shared.lock();
        let wanted = state.come;
        while state.done < wanted {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return false;
            }
            let waited = self.shared.progress.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// How many lines found no room.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.lock().dropped
    }
}

/// Writes lines for ever.
fn run(shared: &Shared, mut out: impl Out) {
    let mut batch: Vec<Line> = Vec::new();
    let mut text = Vec::new();
    loop {
        let mut state = shared.lock();
        while state.lines.is_empty() {
            state.sleeps = true;
            state = shared.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.sleeps = false;
        while text.len() < BATCH_BYTES
            && let Some(line) = state.lines.pop_front()
        {
            // Still counted until it is written: it takes memory, and a stream that hangs hangs with it.
            text.extend_from_slice(&line.text);
            batch.push(line);
        }
        let count = batch.len() as u64;
        let untold = match state.lines.is_empty() {
            // When all that is here is written, they were to be before what comes.
            true => std::mem::take(&mut state.untold),
            false => 0,
        };
        drop(state);
        if untold > 0 {
            let note = format!(
                "{untold} log lines before this one were dropped: they could not be written fast enough\n"
            );
            text.extend_from_slice(note.as_bytes());
        }
        if let Err(error) = out.write(&text, count) {
            for line in &batch {
                if let Some(failed) = line.failed {
                    failed(String::from_utf8_lossy(&line.text).trim_end(), &error);
                }
            }
        }
        text.clear();
        let bytes: usize = batch.iter().map(|line| line.text.len() + LINE_BYTES).sum();
        batch.clear();
        let mut state = shared.lock();
        state.bytes -= bytes;
        state.done += count;
        drop(state);
        shared.progress.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    const WITHIN: Duration = Duration::from_secs(20);

    /// Takes nothing until it is let.
    struct Gate {
        let_through: Receiver<io::Result<()>>,
        written: SyncSender<String>,
    }

    impl Out for Gate {
        fn write(&mut self, lines: &[u8], _count: u64) -> io::Result<()> {
            let allowed = self.let_through.recv().unwrap_or(Ok(()));
            self.written
                .send(String::from_utf8_lossy(lines).into_owned())
                .unwrap();
            allowed
        }
    }

    fn gated() -> (Spool, SyncSender<io::Result<()>>, Receiver<String>) {
        let (allow, let_through) = sync_channel(100);
        let (written, seen) = sync_channel(1000);
        let gate = Gate { let_through, written };
        (Spool::start("log-test", gate).unwrap(), allow, seen)
    }

    fn line(text: &str) -> Arc<[u8]> {
        text.as_bytes().into()
    }

    #[test]
    fn nobody_waits_for_a_stream_that_takes_nothing() {
        let (spool, allow, seen) = gated();
        let long = format!("{}\n", "x".repeat(1000 - LINE_BYTES - 1));
        let room = MAX_BYTES / 1000;
        for _ in 0..room + 25 {
            spool.push(line(&long));
        }
        assert_eq!(spool.dropped(), 25);
        assert!(!spool.flush(Instant::now() + Duration::from_millis(1)));
        drop(allow);
        assert!(spool.flush(Instant::now() + WITHIN));
        spool.push(line("after\n"));
        assert!(spool.flush(Instant::now() + WITHIN));
        let text: String = seen.try_iter().collect();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), room + 2);
        assert!(
            lines[room].starts_with("25 log lines before this one were dropped"),
            "{}",
            lines[room]
        );
        assert_eq!(lines[room + 1], "after");
    }

    #[test]
    fn a_line_that_cannot_be_written_is_told() {
        static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let (spool, allow, _seen) = gated();
        allow
            .send(Err(io::Error::from(io::ErrorKind::StorageFull)))
            .unwrap();
        spool.push_or(line("boot success\n"), |text, error| {
            TOLD.lock().unwrap().push(format!("{text}: {:?}", error.kind()));
        });
        assert!(spool.flush(Instant::now() + WITHIN));
        assert_eq!(*TOLD.lock().unwrap(), ["boot success: StorageFull"]);
        drop(allow);
        spool.push(line("and the next\n"));
        assert!(spool.flush(Instant::now() + WITHIN));
    }
}
