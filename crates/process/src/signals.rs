//! What each signal does.
//!
//! | Signal | Does |
//! |---|---|
//! | TERM, INT | a clean stop; once more: nothing, the stop goes on |
//! | HUP | with a terminal: a clean stop (it was closed). Without one: the log files are opened anew |
//! | INT, HUP that were ignored at the start (`nohup`, `&` in a script) | nothing, as in the JVM |
//! | QUIT | a page of state in the log |
//! | USR1, USR2, ALRM, VTALRM, PROF, IO, PWR, XCPU, TRAP, STKFLT, RTMIN to RTMAX | a line in the log; the JVM ends |
//! | XFSZ | nothing: the write that was too long fails with its error |

use std::future::pending;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Why a server is to stop, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop(pub &'static str);

/// Signals by name and, where tokio has no word for them, by their number on Linux, that would end a process which does
/// nothing about them.
const DEADLY: [(&str, i32); 10] = [
    ("SIGTRAP", 5),
    ("SIGUSR1", 10),
    ("SIGUSR2", 12),
    ("SIGALRM", 14),
    ("SIGSTKFLT", 16),
    ("SIGXCPU", 24),
    ("SIGVTALRM", 26),
    ("SIGPROF", 27),
    ("SIGIO", 29),
    ("SIGPWR", 30),
];
/// Real-time signals by their numbers; the C library keeps 32 and 33 for itself.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;
const XFSZ: i32 = 25;
const HUP: u32 = 1;
const INT: u32 = 2;

/// The signals of a server. From [`Signals::watch`] to the end of the process none of the table above ends it.
pub struct Signals {
    terminate: Signal,
    quit: Signal,
    /// `None`: ignored since before the start, as a shell does for what a script leaves in the background; it stays so.
    interrupt: Option<Signal>,
    /// `None`: the same, as nohup does.
    hang_up: Option<Signal>,
    file_size: Signal,
    deadly: Vec<(String, Signal)>,
    terminal: bool,
}

impl Signals {
    /// Takes the signals over. Needs a tokio runtime. To be called before the line that tells scripts the server is up.
    ///
    /// # Errors
    /// The kernel refuses a handler.
    pub fn watch() -> io::Result<Signals> {
        let ignored = status_mask("SigIgn").unwrap_or(0);
        let unless_ignored = |number: u32, kind| match ignored & (1 << (number - 1)) {
            0 => signal(kind).map(Some),
            _ => Ok(None),
        };
        let named = DEADLY.into_iter().map(|(name, number)| (name.to_owned(), number));
        let real_time = REAL_TIME.map(|number| (real_time_name(number), number));
        let deadly = named
            .chain(real_time)
            .map(|(name, number)| Ok((name, signal(SignalKind::from_raw(number))?)));
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: unless_ignored(INT, SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up: unless_ignored(HUP, SignalKind::hangup())?,
            file_size: signal(SignalKind::from_raw(XFSZ))?,
            deadly: deadly.collect::<io::Result<_>>()?,
            terminal: has_terminal(),
        })
    }

    /// Waits for a signal to stop, doing meanwhile what the others ask for. `state` gives the page of state.
    pub async fn stop(&mut self, state: impl Fn() -> String) -> Stop {
        loop {
            match self.next().await {
                Event::Stop(stop) => return stop,
                Event::State => show(&state()),
                Event::Reopen => reopen(),
                Event::Nothing(name) => tracing::info!("{name} received; it does nothing"),
                Event::TooLong => {
                    tracing::warn!("SIGXFSZ received: a file is longer than the limit of this process")
                }
            }
        }
    }

    /// The same while the server stops: another signal to stop changes nothing. Never ends.
    pub async fn while_stopping(&mut self, state: impl Fn() -> String) -> std::convert::Infallible {
        loop {
            let Stop(name) = self.stop(&state).await;
            tracing::info!("{name} received; the server is stopping already");
        }
    }

    async fn next(&mut self) -> Event {
        let terminal = self.terminal;
        tokio::select! {
            _ = self.terminate.recv() => Event::Stop(Stop("SIGTERM")),
            () = received(&mut self.interrupt) => Event::Stop(Stop("SIGINT")),
            _ = self.quit.recv() => Event::State,
            () = received(&mut self.hang_up) => if terminal {
                Event::Stop(Stop("SIGHUP"))
            } else {
                Event::Reopen
            },
            _ = self.file_size.recv() => Event::TooLong,
            name = any(&mut self.deadly) => Event::Nothing(name),
        }
    }
}

/// As `kill -l` calls it.
fn real_time_name(number: i32) -> String {
    match number - REAL_TIME.start() {
        0 => "SIGRTMIN".to_owned(),
        above => format!("SIGRTMIN+{above}"),
    }
}

enum Event {
    Stop(Stop),
    State,
    Reopen,
    TooLong,
    Nothing(String),
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => pending().await,
    }
}

async fn any(signals: &mut [(String, Signal)]) -> String {
    std::future::poll_fn(|context| {
        let come = signals
            .iter_mut()
            .find_map(|(name, signal)| signal.poll_recv(context).is_ready().then(|| name.clone()));
        come.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
    })
    .await
}

fn show(state: &str) {
    for line in state.lines() {
        tracing::info!("state: {line}");
    }
}

fn reopen() {
    match logs::reopen() {
        Ok(()) => tracing::info!("SIGHUP received; the log file is opened anew"),
        Err(error) => tracing::warn!("SIGHUP received; the log file cannot be opened anew: {error}"),
    }
}

/// A bit mask of `/proc/self/status`.
fn status_mask(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let text = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    u64::from_str_radix(text.trim(), 16).ok()
}

/// Whether the process belongs to a terminal, whose end is what SIGHUP means then. Asked at start: a terminal that closes is
/// gone before its signal is looked at.
fn has_terminal() -> bool {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    terminal_of(&stat).is_none_or(|number| number != 0)
}

/// The terminal's number in a line of `/proc/PID/stat`; the name before it may hold blanks and brackets.
fn terminal_of(stat: &str) -> Option<i64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(4)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_of_a_process() {
        assert_eq!(terminal_of("7 (a b) c) S 1 7 7 34816 7 4194560 1"), Some(34_816));
        assert_eq!(terminal_of("7 (mqbroker) S 1 7 7 0 -1 4194560 1"), Some(0));
        assert_eq!(terminal_of(""), None);
    }

    #[test]
    fn masks_are_read() {
        // Rust's runtime ignores SIGPIPE, 13.
        let mask = status_mask("SigIgn").expect("Linux has it");
        assert_ne!(mask & (1 << 12), 0, "{mask:x}");
        assert_eq!(status_mask("SigNope"), None);
    }
}
