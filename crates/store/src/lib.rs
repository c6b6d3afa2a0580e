//! The commitlog, consumequeue, index and checkpoint.
//!
//! Synchronous and deterministic: the disk, the settings and the time are passed in, there is no thread, no clock and
//! no `std::fs` here, so a test can crash a store a thousand times a second. The broker's threads are short loops
//! around [`Store`]:
//!
//! | thread or task | calls |
//! |---|---|
//! | connection | [`Store::prepare`], [`Store::append`], [`Store::reput`] (ASYNC_FLUSH), [`Store::read`] |
//! | flush | [`Store::flush`], then [`Store::reput`] (SYNC_FLUSH); [`Store::flush_consumequeues`] |
//! | allocate | [`Store::prepare_ahead`] whenever [`Store::needs_preparation`] |
//! | whoever opens | [`Store::open_with`], which is lent threads ([`Parallel`]) and tells how far it is |
//! | replication | [`Store::raw`] on a master, [`Store::append_raw`] and [`Store::cut_back`] on a slave; [`Store::record_starts`] |
//! | slow tick | [`Store::build_index`], [`Store::tick_disk`], [`Store::tick_retention`] |
//!
//! What it refuses: to know topics' settings, consumers or the network. Start reading at [`Store::append`] and
//! [`Store::read`]; opening is in [`recover`].
#![forbid(unsafe_code)]

mod append;
pub mod check;
mod checkpoint;
mod cut_back;
mod cut_off;
mod damage;
mod damaged_units;
mod delete_topic;
mod deletions;
mod ext;
mod flush;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod index;
mod latch;
mod live_settings;
mod log;
mod lost_files;
mod multi;
mod offset;
mod prepare;
mod progress;
mod queue;
mod queue_checkpoint;
mod queue_ends;
mod raw;
mod read;
mod read_ahead;
mod record_starts;
pub mod recover;
mod reput;
mod retention;
mod sealed;
mod settings;
mod store;
mod units;

pub use append::{AppendError, Appended, DiskFull, Illegal, NewRecord, Pending, copy_properties};
pub use cut_back::{CutBack, CutBackError, KeptAside};
pub use damage::{Damage, DamageReport};
pub use delete_topic::{DeleteTopicError, DeleteTopicsError, MatchedDeletions};
pub use latch::Latched;
pub use log::RecordAtError;
pub use lost_files::{Fate, LostLogFile};
pub use offset::{PhysicalOffset, QueueOffset};
pub use prepare::Preparer;
pub use progress::{Helpers, Inline, Parallel, Phase, Progress};
pub use queue::Queue;
pub use queue_checkpoint::QueueCheckpointLoss;
pub use queue_ends::{KeepEndsError, QueueEnds};
pub use raw::{RawAppended, RawError};
pub use read::{Boundary, ReadLimits, ReadResult, ReadStatus, records};
pub use read_ahead::Heat;
pub use recover::files::MissingLog;
pub use recover::{BroughtIn, LogCut, MovedAway, OpenError, RecoveryReport};
pub use reput::{Arrival, Bitmaps};
pub use retention::{Health, Removed, ReputStuck, UnitsWait};
pub use settings::{DELAY_LEVELS_S, FlushType, RECORD_ROOM_BYTES, SettingsError, StoreSettings};
pub use store::Store;
pub use units::{QueueUnit, UnitExtension};
