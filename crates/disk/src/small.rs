//! Small files, which are read and replaced whole.

use crate::mmap::parent;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Reads at most `max_bytes`; `None` if the file is not there.
pub(crate) fn read_bounded(path: &Path, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    // A FIFO without a writer would hold up whoever opens it.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let kind = file.metadata()?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut content = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut content)?;
    if content.len() as u64 > max_bytes {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("it has more than {max_bytes} bytes"),
        ));
    }
    Ok(Some(content))
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    name.into()
}

/// Makes `path` a second name of the content that is at `of` now, whatever was at `path` before.
pub(crate) fn keep_as(path: &Path, of: &Path) -> io::Result<()> {
    let step = with_suffix(path, ".tmp");
    let _ = fs::remove_file(&step);
    match fs::hard_link(of, &step) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        // Some file systems have no hard links.
        Err(_) => {
            fs::copy(of, &step)?;
            File::open(&step)?.sync_all()?;
        }
    }
    fs::rename(&step, path)
}

/// Gives `path` the content of `temporary`, whose name it can not have: something is mounted there, as a container has a single
/// file. A write that fails leaves the old content, as far as the disk takes that.
pub(crate) fn write_in_place(path: &Path, temporary: &Path, content: &[u8]) -> io::Result<()> {
    let old = fs::read(path)?;
    let file = OpenOptions::new().write(true).open(path)?;
    let write = |content: &[u8]| {
        file.write_all_at(content, 0)?;
        file.set_len(content.len() as u64)?;
        file.sync_all()
    };
    if let Err(error) = write(content) {
        // The new content stays beside it.
        let _ = write(&old);
        return Err(error);
    }
    fs::remove_file(temporary)
}

/// Where a path leads: a link is not to be replaced by what belongs where it points, and that need not be there yet.
pub(crate) fn through_links(path: &Path) -> PathBuf {
    /// As many as the kernel follows.
    const LINKS_MAX: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            Ok(target) => path = parent(&path).join(target),
            Err(_) => break,
        }
    }
    path
}
