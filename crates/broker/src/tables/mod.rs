//! What the broker knows by name and keeps in files under `store/config/`: topics, groups, offsets.
//!
//! Each table owns its map, its file, its version and its rules.

pub mod attributes;
mod commits;
mod config_file;
mod connections;
pub mod dormant;
pub mod filters;
mod groups;
mod offsets;
mod open_halves;
mod saver;
mod topics;

use std::sync::Arc;

pub use commits::CommitsForMaster;
pub use config_file::{Found, LoadError, load, pretty};
pub use connections::ConsumerConnectionFile;
pub use groups::{GROUPS_MAX, GroupTable, NotPut};
pub(crate) use offsets::by_pair;
pub use offsets::{Full, OffsetKey, OffsetTable};
pub use open_halves::OpenHalves;
pub use saver::{Change, ConfigFile, SaveError, Saver, WhenSaved, save, save_at_the_end};
pub use topics::{Identity, NotCreated, QUEUES_MAX, TOPICS_MAX, TopicFile, TopicState, TopicTable, perm};

/// The tables most requests look into. Cloned handles are the same tables.
#[derive(Clone)]
pub struct Tables {
    /// Topics.
    pub topics: Arc<TopicTable>,
    /// Consumer groups.
    pub groups: Arc<GroupTable>,
    /// Consumer offsets.
    pub offsets: Arc<OffsetTable>,
}
