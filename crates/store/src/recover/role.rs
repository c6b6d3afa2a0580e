//! In which role the last run ended, and what that says of a hole in the log.
//!
//! A power cut may take a part of the log and spare what lies behind it. On a master everything behind is kept: it may have been
//! acknowledged, and is nowhere else. A slave's log is a copy. A hole in it has to go, for the master sends only what follows
//! the end; so the log is cut at the hole, and the master sends the rest once more.
//!
//! Three things keep that from hitting what is not in the master's log, or not to be had a second time:
//!
//! - Only what no checkpoint vouches for is cut. Older damage, such as the master stepped over before it was copied, or a broken
//!   sector, is stepped over on a slave, too.
//! - Only what a slave wrote is cut. The file `abort` says in which role the run was that made it; where it was a master's, or
//!   Java's, the start steps over the hole and reports where it is ([`LogHole`]). The broker knows when it was a master, and to
//!   whom it acknowledged what; it cuts there ([`crate::Store::cut_back`]), or stops.
//! - What is cut off is kept aside, up to a bound, and told with its place and length.

use super::{OpenError, Recovery};
use crate::settings::StoreSettings;
use disk::Disk;
use std::path::PathBuf;

/// What the abort file of a slave's run says. Java's is empty or has a number, and means nothing.
const REPLICA: &[u8] = b"replica";
/// More than this is not read of it, bytes.
const ABORT_MAX: u64 = 4096;

/// A hole in the log of a slave that was a master when it was left: what follows it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHole {
    /// Its first byte in the log; a record ends there, so that the log can be cut at it.
    pub at: i64,
    /// One behind its last byte: a record begins there.
    pub until: i64,
}

/// Whether the last run was a slave's and did not stop cleanly.
pub(super) fn was_killed_replica<D: Disk>(
    disk: &D,
    settings: &StoreSettings,
    clean: bool,
) -> disk::Result<bool> {
    if clean {
        return Ok(false);
    }
    let content = disk.read_small(&abort_path(settings), ABORT_MAX)?;
    Ok(content.as_deref() == Some(REPLICA))
}

/// Makes the abort file of a run in this role, durably.
pub(super) fn write_abort<D: Disk>(
    disk: &D,
    settings: &StoreSettings,
    is_replica: bool,
    is_there: bool,
) -> disk::Result<()> {
    let path = abort_path(settings);
    let content = if is_replica { REPLICA } else { b"" };
    match disk.write_small(&path, content, false) {
        // An empty one needs no space. Without the word a start steps over holes: that loses nothing.
        Err(error) if error.is_full() && is_replica && is_there => Ok(()),
        Err(error) if error.is_full() && is_replica => disk.write_small(&path, b"", false),
        written => written,
    }
}

fn abort_path(settings: &StoreSettings) -> PathBuf {
    settings.root_dir.join("abort")
}

impl<D: Disk> Recovery<'_, D> {
    /// Makes the abort file before something is taken apart, so that the next start is one after a crash. It keeps the role of the
    /// run that was left.
    pub(super) fn mark_unclean(&self) -> Result<(), OpenError> {
        Ok(write_abort(
            self.disk,
            self.settings,
            self.was_killed_replica,
            !self.report.clean,
        )?)
    }
}
