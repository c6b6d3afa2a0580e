//! Threads and tasks by name, and what follows from a panic in one.
//!
//! - A thread around the store holds its progress: without `flush` every synchronous send would time out for ever. A panic
//!   there ends the process with a message; the next start recovers.
//! - A task keeps something up to date and can begin anew. A panic is logged and counted, and the task is started again after
//!   [`AGAIN_AFTER`].

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// When a task that panicked is started again.
pub const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What is done when a store thread panicked.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// Starts, names, counts and joins threads and tasks.
pub struct Supervisor {
    threads: Mutex<Vec<JoinHandle<()>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    panics: Arc<AtomicU64>,
    on_fatal: OnFatal,
}

/// Says so and ends the process; nothing of it can be trusted any more.
pub fn abort(message: &str) {
    logs::complain(message);
    logs::flush();
    std::process::abort();
}

/// Says so and ends the process, which is sound but has lost what it works on.
pub fn end(message: &str) -> ! {
    tracing::error!("{message}");
    logs::complain(message);
    logs::flush();
    std::process::exit(1);
}

impl Supervisor {
    /// Nothing runs yet. `on_fatal` is called after a panic on a thread; [`abort`] in a server.
    pub fn new(on_fatal: OnFatal) -> Self {
        Self {
            threads: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            panics: Arc::default(),
            on_fatal,
        }
    }

    /// Cancelled when tasks are to end.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// Panics of tasks so far.
    pub fn panics(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.panics)
    }

    /// Starts a thread.
    pub fn thread(&self, name: &'static str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let on_fatal = Arc::clone(&self.on_fatal);
        let supervised = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
                let why = text_of(panic.as_ref());
                let message = format!(
                    "thread {name} panicked ({why}): the broker ends here, and its next start recovers the store"
                );
                tracing::error!("{message}");
                on_fatal(&message);
            }
        };
        let handle = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(supervised)?;
        self.threads.lock().push(handle);
        Ok(())
    }

    /// Starts a task, and again each time it panics. It is given the token that tells it to end.
    pub fn task<F>(&self, name: &'static str, make: impl Fn(CancellationToken) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, panics) = (self.stop.clone(), Arc::clone(&self.panics));
        self.tasks.spawn(async move {
            while let Err(why) = caught(make(stop.clone())).await {
                let count = panics.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::error!("task {name} panicked ({why}) and is started again (panic number {count})");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(AGAIN_AFTER) => {}
                }
            }
        });
    }

    /// Tells the tasks to end and waits for them, at most `budget`; false if some did not.
    pub async fn stop_tasks(&self, budget: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(budget, self.tasks.wait()).await.is_ok()
    }

    /// Waits for the threads, which must have been told to end.
    pub fn join_threads(&self) {
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // A panic was told by the thread itself.
            let _told = thread.join();
        }
    }
}

/// Without a stop, nobody waits for what ends.
impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Runs a future; an error says why it panicked.
async fn caught(future: impl Future<Output = ()>) -> Result<(), String> {
    let mut future = Box::pin(future);
    std::future::poll_fn(
        move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
            Err(panic) => Poll::Ready(Err(text_of(panic.as_ref()))),
        },
    )
    .await
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no text".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_panic_on_a_thread_is_fatal_and_names_it() {
        let (sender, messages) = mpsc::channel();
        let sender = Mutex::new(sender);
        let supervisor = Supervisor::new(Arc::new(move |message| {
            sender.lock().send(message.to_owned()).unwrap();
        }));
        supervisor.thread("flush", || panic!("on purpose {}", 7)).unwrap();
        supervisor.thread("reput", || {}).unwrap();
        supervisor.join_threads();
        let message = messages.recv().unwrap();
        assert!(
            message.contains("flush") && message.contains("on purpose 7"),
            "{message}"
        );
        assert!(messages.try_recv().is_err(), "a thread that ends is no fault");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_begins_anew() {
        let supervisor = Supervisor::new(Arc::new(|_| panic!("a task is not fatal")));
        let runs = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&runs);
        supervisor.task("test", move |stop| {
            let run = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                assert!(run >= 2, "on purpose");
                stop.cancelled().await;
            }
        });
        while runs.load(Ordering::Relaxed) < 3 {
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        assert_eq!(supervisor.panics().load(Ordering::Relaxed), 2);
        assert!(supervisor.stop_tasks(Duration::from_secs(5)).await);
    }
}
