//! Lines for people, and what every program needs around its work.

use std::future::Future;
use std::io::Write;
use tokio::signal::unix::{SignalKind, signal};

/// A line to stderr; without a terminal it is lost.
pub(crate) fn complain(why: &str) {
    let _ = std::io::stderr().write_all(format!("{why}\n").as_bytes());
}

/// A line to stdout in one piece, so that lines of several threads do not mix.
pub(crate) fn print(line: &str) {
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
}

/// Runs to the end on a runtime of its own.
pub(crate) fn block_on(work: impl Future<Output = Result<(), client::Error>>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("the runtime cannot be started: {e}"))?;
    runtime.block_on(work).map_err(|e| e.to_string())
}

/// Waits for SIGTERM or SIGINT.
pub(crate) async fn stopped() {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    match signals {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        // Without handlers the signals end the process as they do by default.
        _ => std::future::pending().await,
    }
}
