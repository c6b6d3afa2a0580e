//! The limit of open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that stay for the store and everything else that is no connection, where the limit allows: a fifth, at least
/// so many.
const OTHERS_LEAST: u64 = 128;
/// What counts where there is no limit.
const UNLIMITED: u64 = 1 << 20;

/// How many files this process may have open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// The limit in force.
    pub limit: u64,
    /// The limit before it was raised.
    pub was: u64,
}

impl Descriptors {
    /// Those of this process now.
    pub fn current() -> Descriptors {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED);
        Descriptors { limit, was: limit }
    }

    /// Those that [`raise_descriptors`] leads to.
    pub fn attainable() -> Descriptors {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let was = current.unwrap_or(UNLIMITED);
        let limit = maximum.unwrap_or(UNLIMITED).max(was);
        Descriptors { limit, was }
    }

    /// Whether the store has what it needs beside the connections.
    pub fn are_enough_for_the_store(&self) -> bool {
        self.limit >= 2 * OTHERS_LEAST
    }

    /// How many connections may be open at once, so that the rest is left for the store's files.
    pub fn connections_max(&self) -> usize {
        let others = (self.limit / 5).max(OTHERS_LEAST).min(self.limit / 2);
        usize::try_from(self.limit - others).unwrap_or(usize::MAX)
    }
}

/// Raises the soft limit of open files to the hard one, as the JVM does, and says the numbers in the log.
pub fn raise_descriptors() -> Descriptors {
    let Descriptors { limit: wanted, was } = Descriptors::attainable();
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(wanted),
            maximum,
        },
    );
    let limit = match raised {
        Ok(()) => wanted,
        Err(error) => {
            tracing::warn!("the limit of open files stays {was}: {error}");
            was
        }
    };
    let descriptors = Descriptors { limit, was };
    tracing::info!(
        "open files: at most {limit} (the soft limit was {was}), of these {} connections",
        descriptors.connections_max()
    );
    descriptors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_store() {
        for (limit, connections) in [(64, 32), (512, 384), (1024, 820), (524_288, 419_431)] {
            let descriptors = Descriptors { limit, was: limit };
            assert_eq!(descriptors.connections_max(), connections, "{limit}");
        }
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        let low = Rlimit {
            current: Some(100),
            maximum: before.maximum,
        };
        setrlimit(Resource::Nofile, low).unwrap();
        let descriptors = raise_descriptors();
        assert_eq!(descriptors.was, 100);
        assert_eq!(getrlimit(Resource::Nofile).current, Some(descriptors.limit));
        assert_eq!(descriptors.limit, before.maximum.unwrap_or(UNLIMITED));
    }
}
