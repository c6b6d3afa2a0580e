//! What a directory says of itself before it is checked, and what is said of it afterwards.

use super::CheckSummary;
use crate::StoreSettings;
use crate::checkpoint::Checkpoint;
use disk::Disk;
use std::fmt;
use std::path::{Path, PathBuf};

/// Settings for a store directory that nobody has settings of: the files themselves say how large they are.
///
/// # Errors
/// A directory can not be listed.
pub fn settings_found<D: Disk>(disk: &D, root: &Path, logs: &[PathBuf]) -> disk::Result<StoreSettings> {
    let mut settings = StoreSettings::below(root);
    settings.commitlog_dirs = logs.to_vec();
    for log in logs {
        if let Some(size) = file_size(disk, log)? {
            settings.commitlog_file_size = size;
            break;
        }
    }
    if let Some(size) = queue_file_size(disk, &settings.consumequeue_dir())? {
        settings.consumequeue_file_size = size;
    }
    Ok(settings)
}

/// Length of the first file of a directory that holds files named by positions.
fn file_size<D: Disk>(disk: &D, dir: &Path) -> disk::Result<Option<i64>> {
    let is_named = |name: &str| name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
    let entries = disk.list(dir)?;
    let found = entries
        .iter()
        .find(|entry| !entry.is_dir && entry.len > 0 && is_named(&entry.name));
    Ok(found.map(|entry| i64::try_from(entry.len).unwrap_or(i64::MAX)))
}

fn queue_file_size<D: Disk>(disk: &D, root: &Path) -> disk::Result<Option<i64>> {
    for topic in disk.list(root)? {
        for queue in disk.list(&root.join(&topic.name)).unwrap_or_default() {
            let size = file_size(disk, &root.join(&topic.name).join(&queue.name))?;
            if size.is_some() {
                return Ok(size);
            }
        }
    }
    Ok(None)
}

/// What the checkpoint of a store says that is not opened. Zeros where there is none.
///
/// # Errors
/// It can not be read.
pub fn checkpoint_told<D: Disk>(disk: &D, root: &Path) -> disk::Result<String> {
    let checkpoint = Checkpoint::read(disk, root)?;
    let vouched = checkpoint
        .vouched
        .map_or_else(|| "nothing".to_owned(), |end| end.to_string());
    Ok(format!(
        "commitlog flushed until    {} (ms since 1970)\nconsumequeues until        {}\nindex until                {}\n\
         masterFlushedOffset        {}\nconfirmPhyOffset           {}\ndurable with its queues to {vouched}\n",
        checkpoint.physic_timestamp,
        checkpoint.logics_timestamp,
        checkpoint.index_timestamp,
        checkpoint.master_flushed,
        checkpoint.confirmed
    ))
}

impl fmt::Display for CheckSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = self;
        if summary.is_open {
            writeln!(
                f,
                "A broker has this store open: the figures move, and a fault may be what it is just writing."
            )?;
        }
        let stop = if summary.clean { "clean" } else { "not clean" };
        writeln!(f, "last stop      {stop}")?;
        writeln!(
            f,
            "commitlog      {} files, {} to {}, {} records",
            summary.log_files, summary.log_start, summary.log_end, summary.records
        )?;
        if let Some((first, last)) = summary.times {
            writeln!(f, "stored         {first} to {last} (ms since 1970)")?;
        }
        writeln!(
            f,
            "consumequeues  {} with {} units",
            summary.queues, summary.units
        )?;
        for (topic, records) in &summary.topics {
            writeln!(f, "topic          {topic}: {records} records")?;
        }
        for ((topic, queue), records) in &summary.without_queue {
            writeln!(
                f,
                "no queue       {topic} {queue}: {records} records (the topic was deleted, or the queue's directory is lost)"
            )?;
        }
        write!(f, "faults         {}", summary.faults)?;
        for fault in &summary.first_faults {
            write!(f, "\n  {fault}")?;
        }
        let rest = summary.faults - summary.first_faults.len() as u64;
        if rest > 0 {
            write!(f, "\n  and {rest} more")?;
        }
        Ok(())
    }
}
