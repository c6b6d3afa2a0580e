//! The latch: once a write or sync failed, nothing is written any more.
//!
//! After a failed fsync the kernel may have dropped the dirty pages and marked them clean, so a second fsync that
//! succeeds proves nothing. The only honest thing is to stop and let recovery look at what is really there.

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

    /// Sets the latch when `result` is an error.
    pub(crate) fn guard<T>(&self, result: disk::Result<T>) -> Result<T, Latched> {
        result.map_err(|error| self.set(&error))
    }

    /// The reason, if there is one.
    pub(crate) fn get(&self) -> Option<&Latched> {
        self.0.get()
    }
}
