//! Files that are to be read from their device again: for tests and measurements of what has left memory.

use std::fs::File;
use std::io;
use std::path::Path;

/// Syncs every file below `dir` and asks the kernel to drop its pages from memory. Those that a process has mapped and
/// touched stay.
pub fn forget_pages(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let forgotten = if path.is_dir() {
            forget_pages(&path)
        } else {
            File::open(path).and_then(|file| forget(&file))
        };
        match forgotten {
            // Whoever owns the files may replace one meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            forgotten => forgotten?,
        }
    }
    Ok(())
}

fn forget(file: &File) -> io::Result<()> {
    // A page that is not written yet can not be dropped.
    file.sync_data()?;
    Ok(rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?)
}
