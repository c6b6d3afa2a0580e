//! What stands where a small file of the store belongs, and is none: a directory, or a file that no broker has written.
//!
//! None of these files has a message in it. So a start moves it away, says so, and goes on as where the file is damaged.

use super::OpenError;
use crate::{checkpoint, damaged_units, deletions, queue_checkpoint};
use disk::{DirEntry, Disk};
use std::fmt;
use std::path::{Path, PathBuf};

/// More bytes no abort file has: Java's has the number of a process.
const ABORT_MAX: u64 = 4096;

/// Something that was moved out of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedAway {
    /// Where it stood.
    pub path: PathBuf,
    /// Why it is not what belongs there.
    pub what: String,
    /// Where it is now.
    pub to: PathBuf,
}

impl fmt::Display for MovedAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MovedAway { path, what, to } = self;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        write!(
            f,
            "{} {what}, and no {name} that a broker wrote: it was moved to {}, where nobody needs it, and {}",
            path.display(),
            to.display(),
            effect(&name)
        )
    }
}

/// What a start does without a file.
fn effect(name: &str) -> &'static str {
    match name {
        "checkpoint" => "more of the commitlog was read",
        "queueCheckpoint" => "the queues were compared with the whole commitlog",
        "deletedTopics" => "deleted topics may be back where queues were built from the commitlog",
        "damagedQueues" => "queues whose units are damaged are built again when these were met once more",
        _ => "the last stop counts as a crash",
    }
}

/// Why an entry of the store's root can not be the file of its name; `None` if it can, or is none of those.
pub(crate) fn what_is_wrong(entry: &DirEntry) -> Option<String> {
    let max = match entry.name.as_str() {
        "checkpoint" => checkpoint::LEN as u64,
        "queueCheckpoint" => queue_checkpoint::FILE_MAX,
        "deletedTopics" => deletions::FILE_MAX,
        "damagedQueues" => damaged_units::FILE_MAX,
        "abort" => ABORT_MAX,
        _ => return None,
    };
    match (entry.is_dir, entry.len > max) {
        (true, _) => Some("is a directory".to_owned()),
        (false, true) => Some(format!("has {} bytes", entry.len)),
        (false, false) => None,
    }
}

/// Moves out of the way whatever is in it. `now` in ms.
pub(super) fn move_away<D: Disk>(disk: &D, root: &Path, now: i64) -> Result<Vec<MovedAway>, OpenError> {
    let entries = disk.list(root)?;
    let mut moved = Vec::new();
    for entry in &entries {
        let Some(what) = what_is_wrong(entry) else {
            continue;
        };
        let free = (now..).map(|time| format!("{}.moved-{time}", entry.name));
        let mut free = free.filter(|name| entries.iter().all(|entry| entry.name != *name));
        let to = root.join(free.next().unwrap_or_default());
        let path = root.join(&entry.name);
        if let Err(source) = disk.rename(&path, &to).and_then(|()| disk.sync_dir(root)) {
            return Err(OpenError::InTheWay { path, what, source });
        }
        moved.push(MovedAway { path, what, to });
    }
    Ok(moved)
}
