//! Whether a start would refuse a store: asked by the start's own rules, with nothing opened for writing and nothing changed.

use crate::checkpoint::Checkpoint;
use crate::log::parse_file_name;
use crate::queue::{QueueFiles, UNIT, found_size};
use crate::recover::files::LogListing;
use crate::recover::in_the_way::what_is_wrong;
use crate::recover::queues::{is_topic, queue_id};
use crate::recover::{OpenError, Row, accepted};
use crate::settings::StoreSettings;
use disk::{DirEntry, Disk, Operation};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Looks at the store below `settings.root_dir` as far as a start refuses it: what is missing of the log, names and lengths of files,
/// files where directories belong. Records are not read: no start is refused for one. For a store that no broker has open.
///
/// # Errors
/// What [`crate::Store::open`] would say.
pub fn would_open<D: Disk>(disk: &D, settings: &StoreSettings) -> Result<(), OpenError> {
    let settings = settings.clone().checked()?;
    let root = &settings.root_dir;
    let entries = disk.list(root)?;
    if entries.iter().any(|entry| entry.name == "lock" && entry.is_dir) {
        let lock = root.join("lock");
        return Err(disk::Error::new(Operation::Open, &lock, ErrorKind::IsADirectory.into()).into());
    }
    let clean = !entries.iter().any(|entry| entry.name == "abort");
    let is_strange = entries
        .iter()
        .any(|entry| entry.name == "checkpoint" && what_is_wrong(entry).is_some());
    let checkpoint = match is_strange {
        true => Checkpoint::default(),
        false => Checkpoint::read(disk, root)?,
    };
    let listing = LogListing::of(disk, &settings, &checkpoint, clean)?.unambiguous()?;
    let missing = accepted(listing.missing(disk, &settings, &checkpoint)?, &settings)?;
    judge_all(Row::of_log(&listing, clean, &missing), &listing.files)?;
    for name in ["lock", "checkpoint"] {
        if entries.iter().any(|entry| entry.name == name && !entry.is_dir) {
            disk.may_open(&root.join(name))?;
        }
    }
    for (_, path, _) in &listing.files {
        disk.may_open(path)?;
    }
    queues(
        disk,
        &QueueFiles::of(&settings),
        settings.consumequeue_file_size,
        clean,
    )?;
    if settings.index {
        disk.list(&settings.index_dir())?;
    }
    Ok(())
}

type Files = Vec<(i64, PathBuf, DirEntry)>;

fn judge_all(row: Row, files: &Files) -> Result<(), OpenError> {
    for (index, (start, path, entry)) in files.iter().enumerate() {
        row.judge((*start, path, entry), row.is_last(index, files.len()))?;
    }
    Ok(())
}

fn queues<D: Disk>(disk: &D, files: &QueueFiles, setting: i64, clean: bool) -> Result<(), OpenError> {
    let with_ext = disk.list(&files.ext_dir)?;
    for topic in disk.list(&files.dir)?.into_iter().filter(is_topic) {
        let has_ext = with_ext
            .iter()
            .any(|entry| entry.is_dir && entry.name == topic.name);
        let entries = disk.list(&files.dir.join(&topic.name))?;
        for id in entries.iter().filter_map(queue_id) {
            row(disk, &files.queue_dir(&topic.name, id), (setting, UNIT), clean)?;
            if has_ext {
                row(
                    disk,
                    &files.ext_queue_dir(&topic.name, id),
                    (files.ext_file_size, 1),
                    clean,
                )?;
            }
        }
    }
    Ok(())
}

/// Judges the files of a queue's directory.
fn row<D: Disk>(disk: &D, dir: &Path, (setting, multiple): (i64, i64), clean: bool) -> Result<(), OpenError> {
    let entries = disk.list(dir)?.into_iter().filter(|entry| !entry.is_dir);
    let files: Files = entries
        .filter_map(|entry| Some((parse_file_name(&entry.name)?, dir.join(&entry.name), entry)))
        .collect();
    let lens: Vec<_> = files
        .iter()
        .map(|(start, _, entry)| (*start, entry.len))
        .collect();
    judge_all(Row::of_queue(found_size(setting, multiple, &lens), clean), &files)?;
    for (_, path, _) in &files {
        disk.may_open(path)?;
    }
    Ok(())
}
