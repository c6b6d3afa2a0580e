//! Errors that name what was tried and where.

use std::io;
use std::path::{Path, PathBuf};

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Each is the verb of the message.
pub enum Operation {
    CreateDirectory,
    List,
    Create,
    Open,
    Map,
    Remove,
    Read,
    Write,
    Reserve,
    Populate,
    Zero,
    Sync,
    Rename,
    Lock,
    Usage,
    Unpublish,
}

impl Operation {
    fn verb(self) -> &'static str {
        match self {
            Operation::CreateDirectory => "make directory",
            Operation::List => "list",
            Operation::Create => "create",
            Operation::Open => "open",
            Operation::Map => "map",
            Operation::Remove => "remove",
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Reserve => "reserve space in",
            Operation::Populate => "fault in",
            Operation::Zero => "clear the end of",
            Operation::Sync => "sync",
            Operation::Rename => "rename",
            Operation::Lock => "lock",
            Operation::Usage => "see how full the disk is at",
            Operation::Unpublish => "take back the end of",
        }
    }
}

/// A failed operation on a file or directory.
#[derive(Debug, thiserror::Error)]
#[error("cannot {} {}: {source}", operation.verb(), path.display())]
pub struct Error {
    /// What was tried.
    pub operation: Operation,
    /// On which path.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Result of a disk operation.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The error of `operation` on `path`.
    pub fn new(operation: Operation, path: &Path, source: io::Error) -> Error {
        Error {
            operation,
            path: path.to_path_buf(),
            source,
        }
    }

    /// Whether the disk (or our quota on it) is full: space may come back, so trying later makes sense.
    pub fn is_full(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }
}

impl Error {
    /// Whether the kernel had no page to show what a mapped file has there: the device gave none, or a full file system none to one that
    /// was never written.
    pub fn is_missing_page(&self) -> bool {
        self.source.raw_os_error() == Some(libc::EFAULT)
    }

    /// Whether bytes that were given to the disk may be lost: a write, a sync or a clearing failed for another reason than a
    /// full disk. After it nothing is known about the file. Every other error leaves the file as it was: a descriptor, memory
    /// or a permission was missing, and the same may work later.
    pub fn may_lose_data(&self) -> bool {
        matches!(
            self.operation,
            Operation::Write | Operation::Sync | Operation::Zero
        ) && !self.is_full()
    }
}

/// For `map_err`: `.map_err(at(Operation::Open, path))`.
pub(crate) fn at(operation: Operation, path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    move |source| Error::new(operation, path, source)
}
