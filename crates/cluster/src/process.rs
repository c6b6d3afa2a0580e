//! A child process whose output is kept and waited for.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::turns::Turn;

/// A running program. Ended with SIGKILL when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    started: Instant,
    stdin: Option<ChildStdin>,
    shared: Arc<Shared>,
    _turn: Turn,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    /// When each line came.
    times: Vec<Instant>,
    /// Output streams that are still open.
    open: u32,
    exit: Option<ExitStatus>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Process {
    /// Starts a program. Its output is read line by line, and also written to `log`.
    ///
    /// # Panics
    /// The program cannot be started; the message names it.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Process {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let turn = Turn::begin();
        let started = Instant::now();
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        let shared = Arc::new(Shared::default());
        shared.lock().open = 2;
        let file = Arc::new(Mutex::new(
            File::create(log).unwrap_or_else(|error| panic!("{}: {error}", log.display())),
        ));
        let stdout = child.stdout.take().expect("piped");
        let stderr = child.stderr.take().expect("piped");
        read(stdout, Arc::clone(&shared), Arc::clone(&file));
        read(stderr, Arc::clone(&shared), file);
        let stdin = child.stdin.take();
        let pid = child.id();
        wait(child, Arc::clone(&shared));
        Process {
            name: name.to_owned(),
            pid,
            started,
            stdin,
            shared,
            _turn: turn,
        }
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Everything it has printed so far.
    pub fn lines(&self) -> Vec<String> {
        self.shared.lock().lines.clone()
    }

    /// Waits until `pick` finds something in one of the lines (those already printed included).
    ///
    /// # Panics
    /// The process ends, or the time is over, before there is such a line.
    pub fn wait_for<T>(&self, what: &str, within: Duration, mut pick: impl FnMut(&str) -> Option<T>) -> T {
        let mut seen = 0;
        self.wait_until(what, within, |lines| {
            let found = lines[seen..].iter().find_map(|line| pick(line));
            seen = lines.len();
            found
        })
    }

    /// Waits until `pick` finds something in all lines printed so far.
    ///
    /// # Panics
    /// The process ends, or the time is over, before it does.
    pub fn wait_until<T>(
        &self,
        what: &str,
        within: Duration,
        mut pick: impl FnMut(&[String]) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + within;
        let mut state = self.shared.lock();
        loop {
            if let Some(found) = pick(&state.lines) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let ended = state.exit.is_some() && state.open == 0;
            if left.is_zero() || ended {
                let why = if ended {
                    format!("it ended: {:?}", state.exit)
                } else {
                    format!("{within:?} are over")
                };
                let tail = tail(&state.lines);
                drop(state);
                panic!("{}: waiting for {what}: {why}; last lines:\n{tail}", self.name);
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It still runs after that time.
    pub fn wait_exit(&self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        let mut state = self.shared.lock();
        loop {
            if let (Some(exit), 0) = (state.exit, state.open) {
                return exit;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let tail = tail(&state.lines);
                drop(state);
                panic!("{} still runs after {within:?}; last lines:\n{tail}", self.name);
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.shared.lock().exit.is_some()
    }

    /// Closes its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal (`TERM`, `KILL`, `STOP`, …) by name.
    ///
    /// # Panics
    /// The signal cannot be sent although the process runs.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.pid.to_string())
            .output();
        let sent = sent.expect("the program kill exists everywhere");
        assert!(
            sent.status.success() || self.has_ended(),
            "{}: {}",
            self.name,
            String::from_utf8_lossy(&sent.stderr)
        );
    }

    /// Time from its start to the first line that contains this; zero if there is none.
    pub fn time_to(&self, part: &str) -> Duration {
        let state = self.shared.lock();
        let at = state.lines.iter().position(|line| line.contains(part));
        at.and_then(|at| state.times.get(at))
            .map_or(Duration::ZERO, |time| time.duration_since(self.started))
    }

    /// The longest time between two lines that contain this, one after the other, from `from` until the last of them.
    pub fn longest_pause(&self, part: &str, from: Instant) -> Duration {
        let state = self.shared.lock();
        let lines = state.lines.iter().zip(&state.times);
        let times = lines
            .filter(|(line, time)| **time >= from && line.contains(part))
            .map(|(_, time)| *time);
        let mut before = from;
        let mut longest = Duration::ZERO;
        for time in times {
            longest = longest.max(time.duration_since(before));
            before = time;
        }
        longest
    }

    /// The last lines, for a message.
    pub fn tail(&self) -> String {
        tail(&self.shared.lock().lines)
    }

    /// Resident memory in KiB, as /proc has it.
    pub fn resident_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches("kB").trim().parse().ok()
    }
}

fn tail(lines: &[String]) -> String {
    lines[lines.len().saturating_sub(40)..].join("\n")
}

fn read(stream: impl Read + Send + 'static, shared: Arc<Shared>, file: Arc<Mutex<File>>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            // A log file that cannot be written is no reason to end a test.
            let _ = file
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write_all(&bytes);
            let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            bytes.clear();
            let mut state = shared.lock();
            state.lines.push(line);
            state.times.push(Instant::now());
            drop(state);
            shared.changed.notify_all();
        }
        shared.lock().open -= 1;
        shared.changed.notify_all();
    });
}

fn wait(mut child: Child, shared: Arc<Shared>) {
    std::thread::spawn(move || {
        let exit = child.wait().ok();
        shared.lock().exit = exit;
        shared.changed.notify_all();
    });
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended() {
            if std::thread::panicking() {
                eprintln!("---- last lines of {} ----\n{}", self.name, self.tail());
            }
            // Nothing more can be done about one that cannot be ended.
            let _ = Command::new("kill")
                .arg("-KILL")
                .arg(self.pid.to_string())
                .output();
        }
    }
}
