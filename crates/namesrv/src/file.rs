//! Replacing a small file so that a crash at any instant leaves the old text or the new one.

#![allow(
    clippy::disallowed_methods,
    reason = "called on threads that may wait for the disk, and at start"
)]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Largest file read into memory.
const READ_MAX: u64 = 64 << 20;

/// Writes `path`, by way of a second file beside it: write, fsync, rename, fsync of the folder. Makes missing folders. A link stays one:
/// what it leads to is replaced.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let leads_to = fs::canonicalize(path);
    let path = leads_to.as_deref().unwrap_or(path);
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = Path::new(&beside);
    let mut file = File::create(beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    File::open(folder)?.sync_all()
}

/// The file's bytes; `None` when there is none.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Ok(meta) if meta.len() > READ_MAX => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {READ_MAX} bytes"),
        )),
        Ok(_) => fs::read(path).map(Some),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_a_link_leads_to_is_replaced_and_not_the_link() {
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("kv.json"), dir.path().join("shared/kv.json"));
        fs::create_dir(dir.path().join("shared")).unwrap();
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink("shared/kv.json", &link).unwrap();
        replace(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
        replace(&dir.path().join("made/kv.json"), b"first").unwrap();
        assert_eq!(
            read(&dir.path().join("made/kv.json")).unwrap().as_deref(),
            Some(&b"first"[..])
        );
    }
}
