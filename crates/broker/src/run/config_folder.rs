//! The folder `config/` of a running broker: what is written there must come to lie where the start has read.
//!
//! Another folder may take its place: one that is mounted over it, or a backup that somebody puts there. Its files are not what this broker
//! has in memory, and nothing of this broker's may take their place. Where nothing is left at the path, the folder is made again.

use std::path::{Path, PathBuf};

use disk::Disk;
use parking_lot::Mutex;

/// The folder as it was opened.
pub struct ConfigFolder<D: Disk> {
    disk: D,
    path: PathBuf,
    /// Nobody can tell whether it is the same where somebody else has it.
    taken: Mutex<Option<D::Lock>>,
}

/// How the folder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the one that was opened.
    Same,
    /// It was gone, and is made again: its files are to be written.
    MadeAgain,
    /// Another one lies there.
    Other,
}

impl<D: Disk> ConfigFolder<D> {
    /// Takes the folder, which is made if it is not there.
    ///
    /// # Errors
    /// It can not be made or opened.
    pub fn take(disk: D, path: PathBuf) -> disk::Result<Self> {
        disk.create_dirs(&path)?;
        let taken = Mutex::new(disk.lock_dir(&path)?);
        Ok(Self { disk, path, taken })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at it, and makes it again where nothing is there.
    pub fn look(&self) -> Standing {
        let mut taken = self.taken.lock();
        let Some(lock) = &*taken else {
            return Standing::Same;
        };
        if self.disk.is_there(lock, &self.path) {
            return Standing::Same;
        }
        if self.is_anything_there() {
            return Standing::Other;
        }
        let made = self.disk.create_dirs(&self.path);
        match made.and_then(|()| self.disk.lock_dir(&self.path)) {
            Ok(new) => *taken = new,
            Err(error) => {
                tracing::error!("{} is gone and is not made again: {error}", self.path.display());
                return Standing::Same;
            }
        }
        tracing::warn!(
            "{} was moved or removed while the broker runs: it is made again, and its files are written",
            self.path.display()
        );
        Standing::MadeAgain
    }

    fn is_anything_there(&self) -> bool {
        let (Some(parent), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return true;
        };
        let entries = self.disk.list(parent);
        entries.is_ok_and(|entries| entries.iter().any(|entry| name == entry.name.as_str()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use disk::MmapDisk;

    use super::*;

    #[test]
    fn another_folder_at_the_path_is_told_from_none() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config");
        let folder = ConfigFolder::take(MmapDisk::default(), config.clone()).unwrap();
        assert_eq!(folder.look(), Standing::Same);
        std::fs::rename(&config, dir.path().join("away")).unwrap();
        assert_eq!(folder.look(), Standing::MadeAgain);
        assert!(config.is_dir());
        assert_eq!(folder.look(), Standing::Same);
        std::fs::rename(&config, dir.path().join("away again")).unwrap();
        std::fs::create_dir(&config).unwrap();
        assert_eq!(folder.look(), Standing::Other);
        assert_eq!(folder.look(), Standing::Other, "it stays so");
    }
}
