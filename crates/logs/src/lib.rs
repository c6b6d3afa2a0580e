//! Where log lines go and which are written.
//!
//! Owns: the files `broker.log` and `namesrv.log` with RocketMQ's names, line form and rotation, the choice between files and
//! stdout, the levels and their change at run time, and [`limited!`] for warnings
//! that peers can cause at will; any other place has a hundred lines a second. Whoever logs never waits for
//! what is written to: that is a thread's for each file and stream. Refuses to know what is logged.
//!
//! Start reading at [`init`].
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "log files are this crate's")]

mod count;
mod flood;
mod format;
mod heard;
mod levels;
mod limit;
mod rolling;
mod section;
mod spool;
mod target;

pub use count::{Counts, counts};
pub use heard::heard;
pub use levels::{BadLevel, Levels};
pub use limit::Limit;
pub use rolling::{Rolling, Rotation};
pub use section::LogSection;
pub use target::Target;

#[doc(hidden)]
pub use tracing;

use spool::{Out, Spool};
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;

/// What a server says when its log starts.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// The file is `STEM.log`.
    pub stem: &'static str,
    /// Who writes, for each line: the broker's name.
    pub who: Option<&'a str>,
    /// The folder of this server's file if another server holds the one of [`Target::Dir`].
    pub own_folder: &'a str,
    /// When a file is set aside.
    pub rotation: Rotation,
    /// Where lines go.
    pub target: Target,
    /// Levels that the settings give; empty: what `ROCKETMQ_LOG` says, `info` without it.
    pub levels: &'a str,
    /// Each line is a JSON object.
    pub json: bool,
    /// Modules that log, so that a mistyped one is noticed.
    pub modules: &'static [&'static str],
}

/// The log of this process, once it has started.
struct Log {
    filter: reload::Handle<Targets, Registry>,
    file: Option<Arc<Rolling>>,
    modules: &'static [&'static str],
    levels: Mutex<Levels>,
}

static LOG: OnceLock<Log> = OnceLock::new();
static STDOUT: OnceLock<Option<Spool>> = OnceLock::new();
static STDERR: OnceLock<Option<Spool>> = OnceLock::new();
static FILE: OnceLock<Option<Spool>> = OnceLock::new();
/// How long the end of a process waits for its last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Starts logging for a whole process.
///
/// A log that cannot be written does not stop a server: lines go to stderr then, after one line that says why. Levels and
/// zones that are none are reported and not used.
pub fn init(setup: &Setup<'_>) {
    let mut doubts = Vec::new();
    let levels = match Levels::parse(&text_of(setup.levels)) {
        Ok(levels) => levels,
        Err(bad) => {
            doubts.push(format!("ROCKETMQ_LOG: {bad}; logging at info"));
            Levels::default()
        }
    };
    let zone = format::zone(&settings::host::variable("ROCKETMQ_LOG_ZONE").unwrap_or_default());
    let zone = zone.unwrap_or_else(|bad| {
        doubts.push(format!("ROCKETMQ_LOG_ZONE: {bad}; times are GMT+8"));
        format::zone("").expect("no text is RocketMQ's zone")
    });
    let sink = Sink::open(setup, &mut doubts);
    let file = sink.file();
    let (filter, handle) = reload::Layer::new(levels.filter());
    let lines = tracing_subscriber::fmt::layer()
        .event_format(format::Lines::new(zone, setup.who, setup.json))
        .with_ansi(false)
        // It would print to a stderr that may be as full as the log, and panic there. `Rolling` counts what it loses.
        .log_internal_errors(false)
        .with_writer(sink);
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(count::Counted)
        // The outermost is asked first.
        .with(flood::Flood::new());
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        complain("warning: logging was started twice; the first one stays");
        return;
    }
    let log = LOG.get_or_init(|| Log {
        filter: handle,
        file,
        modules: setup.modules,
        levels: Mutex::new(levels),
    });
    std::panic::set_hook(Box::new(tell_panic));
    for doubt in doubts {
        complain(&format!("warning: {doubt}"));
        tracing::warn!("{doubt}");
    }
    // Those of the settings are reported with what else is odd about these.
    if setup.levels.is_empty() {
        log.warn_of_unknown_modules();
    }
    if let Some(file) = &log.file {
        let path = file.path();
        if !matches!(&setup.target, Target::Dir(dir) | Target::StdoutAndDir(dir) if path.parent() == Some(dir.as_path()))
        {
            let line = format!(
                "another server writes {}.log there; this one's log is {}",
                setup.stem,
                path.display()
            );
            complain(&line);
            tracing::warn!("{line}");
        }
    }
}

/// Tells of a panic in the log and on stderr. Rust's own way is stderr alone, where a pipe that nobody reads would hold up
/// whoever panics, and where nobody looks under a supervisor that keeps the log.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("without a name");
    let text = format!("thread {name}: {panic}");
    tracing::error!("{text}");
    complain(&text);
    let backtrace = std::backtrace::Backtrace::capture();
    if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
        tracing::error!("{backtrace}");
        complain(&backtrace.to_string());
    }
    if name == "main" {
        // The process ends with it.
        flush();
    }
}

/// What is to be parsed: the settings' text, or the environment's.
fn text_of(levels: &str) -> String {
    if levels.trim().is_empty() {
        settings::host::variable("ROCKETMQ_LOG").unwrap_or_default()
    } else {
        levels.to_owned()
    }
}

/// Changes the levels of the running process; an empty text goes back to what `ROCKETMQ_LOG` said, or to `info`. Before
/// [`init`] nothing happens.
///
/// # Errors
/// The text has a part that is no level; nothing is changed.
pub fn set_levels(text: &str) -> Result<(), BadLevel> {
    let levels = match Levels::parse(&text_of(text)) {
        Ok(levels) => levels,
        Err(bad) if !text.trim().is_empty() => return Err(bad),
        // The environment's text was reported at start.
        Err(_) => Levels::default(),
    };
    let Some(log) = LOG.get() else { return Ok(()) };
    {
        let mut now = log.levels.lock().unwrap_or_else(PoisonError::into_inner);
        if *now == levels {
            return Ok(());
        }
        now.clone_from(&levels);
    }
    // Fails only if the subscriber is gone, and with it everything that could be logged.
    let _ = log.filter.reload(levels.filter());
    tracing::info!("log levels are {levels}");
    log.warn_of_unknown_modules();
    Ok(())
}

/// The levels in force, as [`Levels::parse`] reads them.
pub fn levels() -> String {
    let now = LOG
        .get()
        .map(|log| log.levels.lock().unwrap_or_else(PoisonError::into_inner).clone());
    now.unwrap_or_default().to_string()
}

/// Opens the log file anew by its name, for whoever has moved it away. Without a file nothing happens.
///
/// # Errors
/// The file cannot be opened; lines still go to the old one.
pub fn reopen() -> io::Result<()> {
    match LOG.get().and_then(|log| log.file.as_ref()) {
        Some(file) => file.reopen(),
        None => Ok(()),
    }
}

/// A line on stdout, which tutorials and scripts wait for. Where stdout takes none (`| head`, a full disk), the log is told.
pub fn announce(line: &str) {
    let text = format!("{line}\n").into_bytes();
    match stdout() {
        Some(spool) => spool.push_or(text.into(), |line, error| {
            tracing::warn!("stdout cannot take `{line}`: {error}");
        }),
        None => drop(io::stdout().lock().write_all(&text)),
    }
}

/// A line on stderr. Where stderr takes none, nobody is left to tell but the log, which its callers write themselves.
pub fn complain(line: &str) {
    let text = format!("{line}\n").into_bytes();
    match stderr() {
        Some(spool) => spool.push(text.into()),
        None => drop(io::stderr().lock().write_all(&text)),
    }
}

/// Waits until the lines so far are written, for a second at most: the end of a process takes with it what is not. False if
/// some are not written.
pub fn flush() -> bool {
    let deadline = Instant::now() + LAST_LINES;
    let started = || {
        [&STDOUT, &STDERR, &FILE]
            .into_iter()
            .filter_map(|spool| spool.get()?.as_ref())
    };
    // Twice: a stream that fails is told to the file.
    let once = |_| started().all(|spool| spool.flush(deadline));
    [(); 2].into_iter().all(once)
}

/// How many lines were dropped because what they are written to does not keep up.
pub fn dropped() -> u64 {
    let spools = [&STDOUT, &STDERR, &FILE].into_iter();
    spools
        .filter_map(|spool| Some(spool.get()?.as_ref()?.dropped()))
        .sum()
}

fn stdout() -> Option<&'static Spool> {
    let start = || Spool::start("log-stdout", Stdout).ok();
    STDOUT.get_or_init(start).as_ref()
}

fn stderr() -> Option<&'static Spool> {
    let start = || Spool::start("log-stderr", Stderr).ok();
    STDERR.get_or_init(start).as_ref()
}

struct Stdout;

impl Out for Stdout {
    fn write(&mut self, lines: &[u8], _count: u64) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(lines)?;
        out.flush()
    }
}

struct Stderr;

impl Out for Stderr {
    fn write(&mut self, lines: &[u8], _count: u64) -> io::Result<()> {
        io::stderr().lock().write_all(lines)
    }
}

impl Out for Arc<Rolling> {
    fn write(&mut self, lines: &[u8], count: u64) -> io::Result<()> {
        self.append(lines, count)
    }
}

impl Log {
    fn warn_of_unknown_modules(&self) {
        let levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for doubt in levels.doubts(self.modules) {
            tracing::warn!("{doubt}");
        }
    }
}

/// Where lines go, opened.
enum Sink {
    Stdout,
    Stderr,
    File(Arc<Rolling>),
    StdoutAndFile(Arc<Rolling>),
}

impl Sink {
    fn open(setup: &Setup<'_>, doubts: &mut Vec<String>) -> Sink {
        let (dir, with_stdout) = match &setup.target {
            Target::Stdout => return Sink::Stdout,
            Target::Stderr => return Sink::Stderr,
            Target::Homeless => {
                let text = "no home directory is known (HOME is not set, and the user database has none); logging to stderr; \
                            --log-to names a directory";
                doubts.push(text.to_owned());
                return Sink::Stderr;
            }
            Target::Dir(dir) => (dir, false),
            Target::StdoutAndDir(dir) => (dir, true),
        };
        match Rolling::open(dir, setup.stem, setup.own_folder, setup.rotation) {
            Ok(file) if with_stdout => Sink::StdoutAndFile(Arc::new(file)),
            Ok(file) => Sink::File(Arc::new(file)),
            Err(error) => {
                let path = dir.join(format!("{}.log", setup.stem));
                let (instead, sink) = match with_stdout {
                    true => ("stdout only", Sink::Stdout),
                    false => ("stderr instead", Sink::Stderr),
                };
                doubts.push(format!(
                    "cannot write {}: {error}; logging to {instead}",
                    path.display()
                ));
                sink
            }
        }
    }

    fn file(&self) -> Option<Arc<Rolling>> {
        match self {
            Sink::File(file) | Sink::StdoutAndFile(file) => Some(Arc::clone(file)),
            Sink::Stdout | Sink::Stderr => None,
        }
    }
}

/// The file's spool.
fn file_spool(file: &Arc<Rolling>) -> Option<&'static Spool> {
    let start = || Spool::start("log-file", Arc::clone(file)).ok();
    FILE.get_or_init(start).as_ref()
}

/// Gives a line to the thread that writes it. Where the system gives no such thread, whoever logs writes.
fn put(spool: Option<&Spool>, line: Arc<[u8]>, mut out: impl Out) -> io::Result<()> {
    match spool {
        Some(spool) => {
            spool.push(line);
            Ok(())
        }
        None => out.write(&line, 1),
    }
}

/// One event's writer. `tracing` gives a whole line in one call.
struct Line<'a>(&'a Sink);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text: Arc<[u8]> = line.into();
        match self.0 {
            Sink::Stdout => put(stdout(), text, Stdout)?,
            Sink::Stderr => put(stderr(), text, Stderr)?,
            Sink::File(file) => put(file_spool(file), text, Arc::clone(file))?,
            Sink::StdoutAndFile(file) => {
                let kept = put(file_spool(file), Arc::clone(&text), Arc::clone(file));
                put(stdout(), text, Stdout).and(kept)?;
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}
