//! A disk to look at: what is read is there, what is written is not kept. What a start does with its files can be tried on it.

use disk::{DirEntry, Disk, Error, MapOptions, Operation, Result, Usage};
use std::io::ErrorKind;
use std::path::Path;

/// Another disk, of which nothing is changed. Small files seem to be written, moved and removed; others can not be made.
#[derive(Clone, Debug)]
pub(super) struct Looking<D>(pub(super) D);

fn kept_as_it_is(operation: Operation, path: &Path) -> Error {
    Error::new(operation, path, ErrorKind::ReadOnlyFilesystem.into())
}

impl<D: Disk> Disk for Looking<D> {
    type File = D::File;
    type Lock = D::Lock;

    fn create_dirs(&self, _path: &Path) -> Result<()> {
        Ok(())
    }

    fn list(&self, path: &Path) -> Result<Vec<DirEntry>> {
        self.0.list(path)
    }

    fn create(&self, path: &Path, _len: u64, _options: MapOptions) -> Result<D::File> {
        Err(kept_as_it_is(Operation::Create, path))
    }

    fn open(&self, path: &Path, _len: u64, _options: MapOptions) -> Result<D::File> {
        // It could be written through.
        Err(kept_as_it_is(Operation::Open, path))
    }

    fn extend(&self, path: &Path, _len: u64) -> Result<()> {
        Err(kept_as_it_is(Operation::Write, path))
    }

    fn remove_file(&self, _path: &Path) -> Result<()> {
        Ok(())
    }

    fn remove_dir_all(&self, _path: &Path) -> Result<()> {
        Ok(())
    }

    fn rename(&self, _from: &Path, _to: &Path) -> Result<()> {
        Ok(())
    }

    fn replace(&self, _file: D::File, path: &Path) -> Result<D::File> {
        Err(kept_as_it_is(Operation::Rename, path))
    }

    fn sync_dir(&self, _path: &Path) -> Result<()> {
        Ok(())
    }

    fn sync_file_system(&self, _path: &Path) -> Result<()> {
        Ok(())
    }

    fn read_small(&self, path: &Path, max_bytes: u64) -> Result<Option<Vec<u8>>> {
        self.0.read_small(path, max_bytes)
    }

    fn write_small(&self, _path: &Path, _content: &[u8], _keep_previous: bool) -> Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Option<D::Lock>> {
        Err(kept_as_it_is(Operation::Lock, path))
    }

    fn lock_dir(&self, path: &Path) -> Result<Option<D::Lock>> {
        Err(kept_as_it_is(Operation::Lock, path))
    }

    fn is_locked(&self, path: &Path) -> Result<bool> {
        self.0.is_locked(path)
    }

    fn usage(&self, path: &Path) -> Result<Usage> {
        self.0.usage(path)
    }
}
