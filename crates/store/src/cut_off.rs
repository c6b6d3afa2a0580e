//! What was cut off is kept in files of its own, the last few times.

use crate::damage;
use crate::log::LogFile;
use disk::{Disk, MappedFile};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Most bytes that are kept of what is cut off the log.
pub(crate) const KEPT_BYTES: usize = 16 << 20;
/// Most cuts that are kept.
const KEPT_CUTS: usize = 8;

/// Keeps what is dropped at `end` in a file of the directory. `now` in ms.
pub(crate) fn keep<D: Disk>(
    disk: &D,
    dir: &Path,
    what: &str,
    end: i64,
    content: &[u8],
    now: i64,
) -> disk::Result<PathBuf> {
    let mut names: Vec<_> = disk.list(dir)?.into_iter().map(|entry| entry.name).collect();
    names.retain(|name| name.starts_with(&format!("{what}-")));
    // The newest are those that may still be of use, and names do not tell which they are: the times at their ends do.
    names.sort_by_key(|name| name.rsplit('-').next().and_then(|time| time.parse::<i64>().ok()));
    let mut free = (now..).map(|time| format!("{what}-{end:020}-{time}"));
    let name = free.find(|name| !names.contains(name)).unwrap_or_default();
    for name in names.iter().take((names.len() + 1).saturating_sub(KEPT_CUTS)) {
        disk.remove_file(&dir.join(name))?;
    }
    let path = dir.join(name);
    disk.write_small(&path, content, false)?;
    Ok(path)
}

/// Adds published bytes of a log file to `out`.
pub(crate) fn copy_out<F: MappedFile>(
    file: &LogFile<F>,
    range: Range<u64>,
    out: &mut Vec<u8>,
) -> disk::Result<()> {
    if let Some(part) = file.file.slice(range)? {
        damage::fetch(file, &part)?;
        out.extend_from_slice(&part);
    }
    Ok(())
}
