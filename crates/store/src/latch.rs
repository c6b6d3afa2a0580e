//! The latch: once a write or sync of data failed, nothing is written any more.
//!
//! After a failed fsync the kernel may have dropped the dirty pages and marked them clean, so a second fsync that
//! succeeds proves nothing. The only honest thing is to stop and let recovery look at what is really there.
//!
//! Every other error leaves the files as they were: a process that is out of descriptors or memory, or may not make a file, can
//! do so later. What needed it is refused, or waits and is tried again.

use std::sync::OnceLock;

/// Writes are off for good; the reason is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("writes are off since a disk operation failed: {reason}")]
pub struct Latched {
    /// The error that did it.
    pub reason: String,
}

/// Remembers the first failure.
#[derive(Debug, Default)]
pub(crate) struct Latch(OnceLock<Latched>);

impl Latch {
    /// `Ok` as long as nothing failed.
    pub(crate) fn check(&self) -> Result<(), Latched> {
        self.0.get().map_or(Ok(()), |latched| Err(latched.clone()))
    }

    /// Sets the latch (the first reason stays) and returns it.
    pub(crate) fn set(&self, error: &disk::Error) -> Latched {
        self.0
            .get_or_init(|| {
                tracing::error!(%error, "writes are off from now on");
                Latched {
                    reason: error.to_string(),
                }
            })
            .clone()
    }

    /// What an error means: it sets the latch if data may be lost.
    pub(crate) fn judge(&self, error: disk::Error) -> Undone {
        match error.may_lose_data() {
            true => Undone::Latched(self.set(&error)),
            false => Undone::Waits(error),
        }
    }

    /// [`Latch::judge`] of a result.
    pub(crate) fn guard<T>(&self, result: disk::Result<T>) -> Result<T, Undone> {
        result.map_err(|error| self.judge(error))
    }

    /// The reason, if there is one.
    pub(crate) fn get(&self) -> Option<&Latched> {
        self.0.get()
    }
}

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Undone {
    /// Writes are off for good.
    Latched(Latched),
    /// Not now; nothing is lost, and the next try may do it.
    Waits(disk::Error),
}

impl From<Latched> for Undone {
    fn from(latched: Latched) -> Self {
        Undone::Latched(latched)
    }
}

impl Undone {
    /// For what is done again and again: what waits is told, and is no error.
    pub(crate) fn until_next_time(self, what: &str) -> Result<(), Latched> {
        match self {
            Undone::Latched(latched) => Err(latched),
            Undone::Waits(error) => {
                tracing::warn!(%error, "{what} waits");
                Ok(())
            }
        }
    }
}
