//! The runtime of a server, whose threads can be told apart.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

thread_local! {
    /// Whether this worker has told that it runs.
    static HAS_TOLD: Cell<bool> = const { Cell::new(false) };
}

/// How long the end of a process waits for what still blocks. Whatever has to be done was waited for before; who asks a mute name
/// service waits as long as that is mute.
const END_WITHIN: Duration = Duration::from_secs(1);

/// Runs a server to its end on a runtime of its own.
///
/// # Errors
/// The system gives no threads.
pub fn run<F: Future>(server: F) -> io::Result<F::Output> {
    let runtime = runtime()?;
    let output = runtime.block_on(server);
    runtime.shutdown_timeout(END_WITHIN);
    Ok(output)
}

/// A runtime with a worker for each processor. Its threads are called `worker-1`, … and, where something waits for the disk,
/// `blocking-1`, …; Linux shows 15 characters of a name, and logs and the page of state show it, too.
///
/// # Errors
/// The system gives no threads.
fn runtime() -> io::Result<Runtime> {
    let workers = available_parallelism().map_or(1, usize::from);
    let started = AtomicUsize::new(0);
    let (running, runs) = mpsc::channel();
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .worker_threads(workers)
        .thread_name_fn(move || {
            let before = started.fetch_add(1, Ordering::Relaxed);
            match before.checked_sub(workers) {
                None => format!("worker-{}", before + 1),
                Some(others) => format!("blocking-{}", others + 1),
            }
        })
        // A worker without work parks, and nothing but a worker does.
        .on_thread_park(move || {
            if !HAS_TOLD.replace(true) {
                // The other end is gone when all have told.
                let _ = running.send(());
            }
        })
        .build()?;
    // Workers are tasks for the same threads as everything that blocks: while one is not begun, what blocks could have its
    // thread, and its name.
    let all = runs.iter().take(workers).count();
    debug_assert_eq!(all, workers);
    Ok(runtime)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn own_name() -> String {
        std::thread::current().name().unwrap().to_owned()
    }

    /// As one that asks a mute name service.
    #[test]
    fn a_thread_that_waits_for_others_does_not_hold_up_the_end() {
        let (answer, asked) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let output = run(async move {
            drop(tokio::task::spawn_blocking(move || {
                begin.send(()).unwrap();
                asked.recv()
            }));
            tokio::task::spawn_blocking(move || begun.recv().unwrap())
                .await
                .unwrap();
            7
        });
        assert_eq!(output.unwrap(), 7);
        assert!(answer.send(()).is_ok(), "it waits still");
    }

    #[test]
    fn workers_and_what_blocks_have_names_of_their_own() {
        for _ in 0..20 {
            let runtime = runtime().unwrap();
            runtime.block_on(async {
                for _ in 0..20 {
                    let worker = tokio::spawn(async { own_name() }).await.unwrap();
                    assert!(worker.starts_with("worker-"), "{worker}");
                    let blocking = tokio::task::spawn_blocking(own_name).await.unwrap();
                    assert!(blocking.starts_with("blocking-"), "{blocking}");
                }
            });
        }
    }
}
