//! Files, mapped files and clocks, real and simulated.
//!
//! The store is given a [`Disk`] and never touches a file by itself: [`MmapDisk`] is the real one, `SimDisk`
//! (feature `sim`) keeps live and durable bytes apart so that a test can pull the plug. This is the only crate
//! with unsafe code, all of it in [`region`](crate::MappedSlice), the handler of lost pages and a few system calls.
//!
//! It knows nothing of records or offsets. Start reading at [`Disk`] and [`MappedFile`].
//!
//! # Why a mapped file is safe here
//!
//! - Bytes below a file's *published* end never change while the file is open: writes below it are refused, and
//!   the end only goes back ([`MappedFile::unpublish`]) while no slice exists. So a `&[u8]` from a
//!   [`MappedSlice`] never sees a byte change.
//! - Bytes above it are reachable only inside the closure of [`MappedFile::write_with`] or copied out by
//!   [`MappedFile::read`], both under the file's own lock.
//! - A file has its full length before it is mapped and is never shortened by us, and the blocks under a write
//!   are reserved before the write, so neither the end of the file nor a full disk becomes a SIGBUS. What
//!   another process does to the files, or a device that fails while a page is read, can: then zeros take the
//!   page's place, and [`MappedSlice::check`], reads and writes of the page have an error.
//! - A mapping lives as long as the last slice of it.
#![allow(clippy::disallowed_methods, reason = "files are this crate's")]
#![cfg_attr(
    test,
    allow(clippy::duplicate_mod, reason = "`published` is tested with other atomics")
)]

mod clock;
mod error;
#[cfg(feature = "faults")]
mod faults;
mod lost_pages;
mod machine;
mod mmap;
mod page_cache;
mod parts;
mod published;
mod ranges;
mod region;
#[cfg(feature = "sim")]
pub mod sim;
mod small;

pub use clock::{Clock, SystemClock};
pub use error::{Error, Operation, Result};
#[cfg(feature = "faults")]
pub use faults::Faults;
pub use machine::{clock_is_synchronised, physical_memory_bytes};
pub use mmap::{MmapDisk, MmapFile, MmapLock};
pub use page_cache::forget_pages;
pub use region::MappedSlice;
#[cfg(feature = "sim")]
pub use sim::{Injection, SimClock, SimDisk, SimRandom};

/// What [`published`] is made of.
mod atomics {
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};
}

#[cfg(test)]
mod modelled;

use std::io::IoSlice;
use std::ops::Range;
use std::path::Path;

/// How a mapped file will be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapOptions {
    /// Blocks are reserved at most this many bytes at a time ahead of the writer (and, in a file that is not
    /// pinned, no more than lie before the writer).
    pub reserve_step_bytes: u64,
    /// Stays mapped and keeps its descriptor once used: for the few files that everything goes through. The
    /// others share a bounded number of mappings and are mapped again when they are needed.
    pub pinned: bool,
    /// How bytes get into the file's pages.
    pub writes: Writes,
}

/// How bytes get into a file's pages. Readers see the same bytes whichever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Stores into the mapping: for bytes here and there.
    Stores,
    /// Calls to the system: for a file that grows without end. A store pays a page fault for each page that is new, and
    /// again after each sync, which takes the write permission of the pages away on every processor; and what it makes
    /// dirty is a whole folio, of which a call marks only the blocks it wrote.
    Calls,
    /// The same for a file that is synced all the time: [`MappedFile::populate`] makes its zeros durable.
    CallsAndSyncs,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Name within the directory. Entries whose name is not UTF-8 are left out of listings.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Length in bytes.
    pub len: u64,
    /// Bytes of blocks it has, at most: a new file has none.
    pub allocated: u64,
    /// Last modification, ms since 1970.
    pub modified_ms: i64,
}

/// How full a file system is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in use.
    pub used: u64,
    /// Bytes that we may still use.
    pub available: u64,
}

impl Usage {
    /// Used part of what can be used, in whole percent rounded up, as Java's UtilAll computes it: 0..=100.
    pub fn percent(&self) -> u32 {
        let total = u128::from(self.used) + u128::from(self.available);
        if total == 0 {
            0
        } else {
            (u128::from(self.used) * 100).div_ceil(total) as u32
        }
    }
}

/// A place for files.
///
/// Every error names the path and what was tried. Nothing here retries.
pub trait Disk: Send + Sync + 'static {
    /// A file of fixed size, mapped into memory.
    type File: MappedFile;
    /// A held lock; dropping it gives it up.
    type Lock: Send + Sync + 'static;

    /// Makes a directory and those above it; fine if it is there.
    fn create_dirs(&self, path: &Path) -> Result<()>;
    /// The entries of a directory in order of name. A directory that is not there has none.
    fn list(&self, path: &Path) -> Result<Vec<DirEntry>>;
    /// Makes a file of `len` zero bytes without taking its blocks yet; an existing file is an error. Nothing is
    /// published. The file and its name survive a power cut only after [`MappedFile::sync`] and
    /// [`Disk::sync_dir`].
    fn create(&self, path: &Path, len: u64, options: MapOptions) -> Result<Self::File>;
    /// Opens a file that must have exactly `len` bytes. All of it is published.
    fn open(&self, path: &Path, len: u64, options: MapOptions) -> Result<Self::File>;
    /// Whether a file that is there may be opened as [`Disk::open`] does it. Changes nothing.
    fn may_open(&self, _path: &Path) -> Result<()> {
        Ok(())
    }
    /// Makes a file longer with zero bytes, for one that a crash cut off. Not for files that are open.
    fn extend(&self, path: &Path, len: u64) -> Result<()>;
    /// Leaves a file to its owner alone. Nobody else is on a simulated disk.
    fn make_private(&self, _path: &Path) -> Result<()> {
        Ok(())
    }
    /// Removes a file; fine if it is not there.
    fn remove_file(&self, path: &Path) -> Result<()>;
    /// Removes a directory and all in it; fine if it is not there.
    fn remove_dir_all(&self, path: &Path) -> Result<()>;
    /// Gives a file or directory another name on the same file system; fine if it is not there. Durable after
    /// [`Disk::sync_dir`] of both parents.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    /// Gives a file that nobody else has yet the name of another one, which it replaces; once in its life. Whoever has the other
    /// one, or slices of it, keeps them as they are. Whether it has the name after a power cut is only known after
    /// [`Disk::sync_dir`]; what is in it was made durable before.
    fn replace(&self, file: Self::File, path: &Path) -> Result<Self::File>;
    /// Makes the names of a directory durable.
    fn sync_dir(&self, path: &Path) -> Result<()>;
    /// Makes everything of the file system that holds `path` durable, files and names: quicker than syncing many small
    /// files one by one.
    fn sync_file_system(&self, path: &Path) -> Result<()>;
    /// The whole of a small file; `None` if it is not there, an error if it is longer than `max_bytes`.
    fn read_small(&self, path: &Path, max_bytes: u64) -> Result<Option<Vec<u8>>>;
    /// Replaces a small file so that a crash at any instant leaves the old or the new content: writes
    /// `<path>.tmp`, syncs, renames, syncs the directory. With `keep_previous` the old content becomes
    /// `<path>.bak` first, as Java's string2File does. Where the path is a link, that is where it leads. The file keeps its owner
    /// and mode. A file that is mounted by itself, over which nothing can be renamed, is written where it is.
    fn write_small(&self, path: &Path, content: &[u8], keep_previous: bool) -> Result<()>;
    /// Takes the exclusive lock file (and writes `lock` into it, as Java does); `None` if another process has it.
    fn lock(&self, path: &Path) -> Result<Option<Self::Lock>>;
    /// Takes a folder that is there for itself, whatever files are in it, moved or removed; `None` if another process has it. Where the
    /// file system has no locks of folders nobody is kept away.
    fn lock_dir(&self, path: &Path) -> Result<Option<Self::Lock>>;
    /// Whether a folder that was taken is still what is at its path: it may have been moved, removed, or mounted over. True where that
    /// can not be told.
    fn is_there(&self, _lock: &Self::Lock, _path: &Path) -> bool {
        true
    }
    /// Whether a process has the exclusive lock file. Changes nothing.
    fn is_locked(&self, path: &Path) -> Result<bool>;
    /// How full the file system under `path` (or its nearest existing parent) is.
    fn usage(&self, path: &Path) -> Result<Usage>;
}

/// A file of fixed length, mapped into memory on demand. Cheap to keep while it is not used.
pub trait MappedFile: Send + Sync + 'static {
    /// Length in bytes; never changes.
    fn len(&self) -> u64;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Where the file lies.
    fn path(&self) -> &Path;
    /// Whether the file has a name and something is at its path: it may have been removed, moved or replaced. True where that can not be
    /// told.
    fn is_at_path(&self) -> bool {
        true
    }
    /// Bytes that may be sliced and will not change.
    fn published(&self) -> u64;
    /// Makes all below `end` readable by [`MappedFile::slice`]; never goes back.
    fn publish(&self, end: u64);
    /// Takes back the published end, so that what lies behind can be written again. Refused with
    /// `WouldBlock` while a slice of the file exists.
    fn unpublish(&self, end: u64) -> Result<()>;
    /// Writes `bytes` at `at`. See [`MappedFile::write_with`].
    fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.write_with(at, bytes.len() as u64, |out| out.copy_from_slice(bytes))
    }
    /// Writes `bytes` at `at`, then publishes all below their end.
    fn write_and_publish(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.write(at, bytes)?;
        self.publish(at + bytes.len() as u64);
        Ok(())
    }
    /// Writes `parts` one after the other from `at` on, then publishes all below their end. Where writes are calls it is one
    /// call, and nothing is copied together for it. `parts` is used up. A full disk is an error here and nothing is changed.
    fn write_parts_and_publish(&self, at: u64, parts: &mut [IoSlice<'_>]) -> Result<()> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        // For all of them or, on a full disk, for none.
        self.reserve(at..at + len as u64)?;
        let mut end = at;
        for part in parts {
            self.write(end, part)?;
            end += part.len() as u64;
        }
        self.publish(end);
        Ok(())
    }
    /// Writes `bytes` at `at` by a call to the system, whatever the file's way is otherwise: pages that are new are not
    /// filled with zeros first, one fault after the other. Worth it for a page and more. Where a descriptor cannot be had it
    /// is [`MappedFile::write`].
    fn write_by_call(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.write(at, bytes)
    }
    /// Gives `fill` the bytes `at..at + len` as they are, to be changed; if writes are calls it finds anything there and sets
    /// every byte. Blocks are reserved before; a full disk is an error here and nothing is changed.
    ///
    /// # Panics
    /// When the range lies below the published end or beyond the file: the caller's books are wrong.
    fn write_with<R>(&self, at: u64, len: u64, fill: impl FnOnce(&mut [u8]) -> R) -> Result<R>;
    /// Copies `at..at + out.len()` out, published or not. Does not map a file that is not mapped.
    fn read(&self, at: u64, out: &mut [u8]) -> Result<()>;
    /// The first position at or after `from` where the file may hold something other than zeros, as far as the file system
    /// tells without reading: blocks that were reserved and never written are none. `None` if there is nothing more.
    fn next_data(&self, from: u64) -> Result<Option<u64>>;
    /// A counted reference to published bytes; `None` if the range is not below the published end.
    fn slice(&self, range: Range<u64>) -> Result<Option<MappedSlice>>;
    /// Reserves the blocks of a range, so that writing there cannot meet a full disk.
    fn reserve(&self, range: Range<u64>) -> Result<()>;
    /// Makes writing in a range quick, for a thread that may wait: reserves it, and if writes are calls writes zeros where
    /// nothing was written yet, so that the pages are there; with [`Writes::CallsAndSyncs`] makes them durable, so that a
    /// later sync of what is written there changes nothing but data.
    fn populate(&self, range: Range<u64>) -> Result<()>;
    /// Makes everything from `from` to the end zero and gives its blocks back.
    ///
    /// # Panics
    /// When `from` lies below the published end.
    fn zero_from(&self, from: u64) -> Result<()>;
    /// Makes the bytes of a range durable. After an error nothing is known about them: do not try again.
    fn sync(&self, range: Range<u64>) -> Result<()>;
    /// Tells the file that it was removed: an unmapped one is not opened again. Slices stay good.
    fn forget(&self);
}
