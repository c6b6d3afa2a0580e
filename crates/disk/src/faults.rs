//! Makes the disk of this machine misbehave, for tests of crates above: syncs that wait or fail, writes that fail, a file
//! system as full as it is said to be.

use crate::Usage;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Nobody waits longer, so that a test that failed ends.
const HELD_MAX: Duration = Duration::from_secs(20);

/// The faults of one disk and all its clones; none at first.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    syncs: Syncs,
    held: usize,
    /// Below it writes fail.
    unwritable: Option<PathBuf>,
    usage: Option<Usage>,
}

#[derive(Debug, Default)]
enum Syncs {
    #[default]
    Work,
    Wait(PathBuf),
    Fail(PathBuf),
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, syncs: Syncs) {
        self.lock().syncs = syncs;
        self.changed.notify_all();
    }

    /// Syncs of files below `dir` wait until [`Faults::mend_syncs`].
    pub fn hold_syncs(&self, dir: &Path) {
        self.set(Syncs::Wait(dir.to_owned()));
    }

    /// Syncs of files below `dir` fail with EIO, those that wait too.
    pub fn fail_syncs(&self, dir: &Path) {
        self.set(Syncs::Fail(dir.to_owned()));
    }

    /// Syncs work again.
    pub fn mend_syncs(&self) {
        self.set(Syncs::Work);
    }

    /// Writes into mapped files below `dir` fail with EIO before they change a byte; `None`: none does.
    pub fn fail_writes(&self, dir: Option<&Path>) {
        self.lock().unwritable = dir.map(Path::to_owned);
    }

    /// Waits until `count` syncs wait.
    ///
    /// # Panics
    /// They do not within 20 s.
    pub fn wait_for_held(&self, count: usize) {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), HELD_MAX, |state| state.held < count);
        let (state, over) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!over.timed_out(), "{} syncs wait, not {count}", state.held);
    }

    /// Waits until those that waited go on.
    ///
    /// # Panics
    /// They do not within 20 s.
    pub fn wait_for_none_held(&self) {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), HELD_MAX, |state| state.held > 0);
        let (state, over) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!over.timed_out(), "{} syncs wait", state.held);
    }

    /// Every file system is this full; `None`: as full as it is.
    pub fn set_usage(&self, usage: Option<Usage>) {
        self.lock().usage = usage;
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        self.lock().usage
    }

    pub(crate) fn before_write(&self, path: &Path) -> io::Result<()> {
        match &self.lock().unwritable {
            Some(dir) if path.starts_with(dir) => Err(io::Error::from_raw_os_error(libc::EIO)),
            _ => Ok(()),
        }
    }

    pub(crate) fn before_sync(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let mut held = false;
        let outcome = loop {
            match &state.syncs {
                Syncs::Wait(dir) if path.starts_with(dir) => {
                    if !std::mem::replace(&mut held, true) {
                        state.held += 1;
                        self.changed.notify_all();
                    }
                    let waited = self.changed.wait_timeout(state, HELD_MAX);
                    let (now, over) = waited.unwrap_or_else(PoisonError::into_inner);
                    state = now;
                    if over.timed_out() {
                        break Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Syncs::Fail(dir) if path.starts_with(dir) => {
                    break Err(io::Error::from_raw_os_error(libc::EIO));
                }
                _ => break Ok(()),
            }
        };
        state.held -= usize::from(held);
        drop(state);
        self.changed.notify_all();
        outcome
    }
}
