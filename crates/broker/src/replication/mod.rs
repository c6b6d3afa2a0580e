//! Replication: the sockets around the state machines of crate `ha`.
//!
//! | File | Owns |
//! |---|---|
//! | `history` | what this broker acknowledged as a master, and its file |
//! | `admission` | who may connect to the port of replication |
//! | `port` | the port of replication, and how it gives way |
//! | `master` | one thread a slave |
//! | `session` | one slave as its master serves it, without the socket |
//! | `slave` | the one thread that copies a master's log |
//! | `copy` | the copy of the log, without the socket |
//! | `compare` | what a slave asks its master and its own log before it copies |
//! | `deletions` | the deletions of topics, as the master has them |
//! | `metadata` | what a slave copies besides the log |
//! | `status` | how a slave stands to its master, for tools |
//!
//! A connection has a thread with a runtime of its own: what a slave asks for may lie on the disk only, and an append may wait for
//! it, and no other connection waits with them.

use std::io;

mod admission;
mod compare;
mod copies;
mod copy;
mod deletions;
mod history;
mod lost;
mod master;
mod metadata;
mod port;
mod session;
mod slave;
mod status;

pub use admission::{Admission, Places, Registered};
pub use compare::{Error as CompareError, LOG_FILE_SIZE, MasterLog, NOTHING_THERE};
pub use copies::{TableCopies, text};
pub use copy::{CopyError, CopyParts, LogCopy};
pub use deletions::TopicDeletions;
pub use history::{HistoryListener, LastRun, LogDamage, RoleHistory};
pub use lost::{LOST, OLD};
pub use master::{SlaveServer, SlaveServerParts, SlaveState};
pub use metadata::{
    DELAYS, GROUPS, Metadata, OFFSETS, REQUEST_MODES, STOPS, TIMER_METRICS, TOPICS, USERS, UnknownTopic,
};
pub use port::{ReplicationPort, ask_for};
pub use session::{Pause, SessionError, SlaveSession};
pub use slave::Follower;
pub use status::{Link, LinkState};

/// Runs a connection on this thread, with a runtime of its own.
#[expect(
    clippy::disallowed_methods,
    reason = "this thread is no worker: only the connection waits with it"
)]
fn run_alone<T>(connection: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(connection))
}
