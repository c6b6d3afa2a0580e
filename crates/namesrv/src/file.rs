//! The small files that the name server keeps: read whole, and replaced so that a crash at any instant leaves the old text or the new
//! one, by what the broker does it with.

use std::io;
use std::path::Path;

use disk::{Disk, MmapDisk};

/// Largest file read into memory.
const READ_MAX: u64 = 64 << 20;

/// Writes `path`. Makes missing folders. A link stays one: what it leads to is replaced, or made.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = MmapDisk::default().write_small(path, bytes, false);
    written.map_err(|error| error.source)
}

/// The file's bytes; `None` when there is none.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let read = MmapDisk::default().read_small(path, READ_MAX);
    read.map_err(|error| error.source)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and may wait for files"
)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn what_a_link_leads_to_is_replaced_and_not_the_link() {
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("kv.json"), dir.path().join("shared/kv.json"));
        fs::create_dir(dir.path().join("shared")).unwrap();
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        symlink("shared/kv.json", &link).unwrap();
        replace(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
        let mode = fs::metadata(&target).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        replace(&dir.path().join("made/kv.json"), b"first").unwrap();
        assert_eq!(
            read(&dir.path().join("made/kv.json")).unwrap().as_deref(),
            Some(&b"first"[..])
        );
    }

    /// As where a volume is to be filled by the first start.
    #[test]
    fn what_a_link_leads_to_is_made_where_it_is_not_there_yet() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("kv.json");
        symlink("volume/namesrv/kv.json", &link).unwrap();
        assert_eq!(read(&link).unwrap(), None);
        replace(&link, b"first").unwrap();
        assert!(link.is_symlink());
        let target = dir.path().join("volume/namesrv/kv.json");
        assert_eq!(fs::read(target).unwrap(), b"first");
    }
}
