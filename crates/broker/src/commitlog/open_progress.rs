//! Opening the store: threads to do it with, and a word each second where it takes long.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use store::{Parallel, Phase, Progress};

/// How often it is said how far the opening is.
const EACH: Duration = Duration::from_secs(1);
/// More threads than this wait for the disk and each other.
const THREADS_MAX: usize = 16;

/// A thread a task, `open-1` and on; fewer where the system gives no more.
pub struct OpenThreads;

impl Parallel for OpenThreads {
    fn width(&self) -> usize {
        std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX))
    }

    fn run<'a>(&self, tasks: Vec<Box<dyn FnOnce() + Send + 'a>>) {
        // The caller's thread is one of them.
        let others = tasks.len().saturating_sub(1);
        let tasks = Mutex::new(tasks);
        let next = || tasks.lock().pop();
        let work = || {
            while let Some(task) = next() {
                task();
            }
        };
        std::thread::scope(|scope| {
            for number in 1..=others {
                let thread = std::thread::Builder::new().name(format!("open-{number}"));
                if thread.spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        });
    }
}

/// Says how far the opening is, in the log and on the terminal: somebody waits there.
pub struct OpenProgress {
    started: Instant,
    next: Mutex<Instant>,
}

impl OpenProgress {
    /// Starts to watch.
    pub fn new(started: Instant) -> Self {
        Self {
            started,
            next: Mutex::new(started + EACH),
        }
    }

    /// Is told how far it is; speaks once a second.
    pub fn note(&self, progress: Progress) {
        if let Some(line) = self.line(progress, Instant::now()) {
            tracing::info!("{line}");
            logs::announce(&line);
        }
    }

    /// What is to be said at `now`, if anything.
    fn line(&self, progress: Progress, now: Instant) -> Option<String> {
        // Whoever finds it taken leaves the word to the other.
        let mut next = self.next.try_lock()?;
        if now < *next {
            return None;
        }
        *next = now + EACH;
        let seconds = (now - self.started).as_secs();
        let Progress { phase, done, total } = progress;
        let mib = |bytes: u64| bytes >> 20;
        Some(match phase {
            Phase::Queues => {
                format!("opening the store: consumequeues of {done} of {total} topics, {seconds} s")
            }
            Phase::Log => format!(
                "opening the store: {} of at most {} MiB of the commitlog checked, {seconds} s",
                mib(done),
                mib(total)
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn it_says_how_far_it_is_once_a_second() {
        let start = Instant::now();
        let watch = OpenProgress::new(start);
        let log = |done: u64| Progress {
            phase: Phase::Log,
            done: done << 20,
            total: 3000 << 20,
        };
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(watch.line(log(1), after(900)), None);
        let line = "opening the store: 1200 of at most 3000 MiB of the commitlog checked, 1 s";
        assert_eq!(watch.line(log(1200), after(1100)).as_deref(), Some(line));
        assert_eq!(watch.line(log(1300), after(2000)), None);
        let queues = Progress {
            phase: Phase::Queues,
            done: 7,
            total: 12_500,
        };
        let line = "opening the store: consumequeues of 7 of 12500 topics, 2 s";
        assert_eq!(watch.line(queues, after(2100)).as_deref(), Some(line));
    }

    #[test]
    fn every_task_is_run_before_it_returns() {
        let count = AtomicU32::new(0);
        let task = || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        OpenThreads.run(
            (0..5)
                .map(|_| Box::new(task) as Box<dyn FnOnce() + Send>)
                .collect(),
        );
        assert_eq!(count.into_inner(), 5);
        OpenThreads.run(Vec::new());
        assert!(OpenThreads.width() >= 1);
    }
}
