//! Files that are to be read from their device again: for tests and measurements of what has left memory.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::region::Region;

/// Syncs every file below `dir` and asks the kernel to drop its pages from memory. Gives the bytes that stay: pages that a process has
/// mapped and touched, and those that the file system still holds after a write. The latter go at a later try.
pub fn forget_pages(dir: &Path) -> io::Result<u64> {
    let mut stays = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let left = if path.is_dir() {
            forget_pages(&path)
        } else {
            File::open(path).and_then(|file| forget(&file))
        };
        stays += match left {
            // Whoever owns the files may replace one meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            left => left?,
        };
    }
    Ok(stays)
}

/// Gives the bytes that stay.
fn forget(file: &File) -> io::Result<u64> {
    // A page that is not written yet can not be dropped.
    file.sync_data()?;
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?;
    match usize::try_from(file.metadata()?.len()).map_err(io::Error::other)? {
        0 => Ok(0),
        len => Ok(Region::to_look_at(file, len)?.resident_bytes() as u64),
    }
}
