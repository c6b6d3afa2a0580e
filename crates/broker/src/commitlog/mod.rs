//! What surrounds the store's commitlog in a broker: the one way to append, the acknowledgements that wait for what was
//! appended to be safe, the building of queues, who hears of arrivals, and the threads' bodies.

mod acknowledgement;
mod appender;
mod flush;
mod growth;
mod held_count;
#[cfg(test)]
mod held_count_model;
mod hold;
mod maintenance;
mod open_progress;
mod replicated;
mod reput;
mod wake;

mod atomics {
    pub(crate) use std::sync::atomic::{AtomicUsize, Ordering, fence};
}

pub use acknowledgement::{Acknowledgements, Answer, CommitAnswer, Physical, Safety, SendAnswer, Waiter};
pub use appender::{Appender, StoreError, Stored};
pub use flush::{FlushFigures, Flusher};
pub use growth::Growth;
pub use hold::{HELD_MAX_BYTES, Held, Hold, Key, Waiting};
pub use maintenance::Maintenance;
pub use open_progress::{OpenProgress, OpenThreads};
pub use reput::{ArrivalListener, Reput};
pub use wake::Wake;
