//! One mapping, and counted references into it: the only place where mapped memory becomes a slice.
#![allow(unsafe_code)] // The point of this module; each block says why it is sound.

use memmap2::{Advice, MmapMut, MmapOptions, MmapRaw};
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::lost_pages::Mapping;
use crate::{Error, Operation, Result};

/// Bytes of a page. Linux may have larger ones; then more is synced or faulted in than asked, never less.
pub(crate) const PAGE: usize = 4096;

/// A mapping of a whole file (or, simulated, of nothing). Who may touch which bytes is decided by the file that
/// owns it, see the crate's documentation.
#[derive(Debug)]
pub(crate) struct Region {
    map: MmapRaw,
    /// Notes lost pages of the file that had this path; nothing is noted of memory without a file, and of what is only looked at.
    noted: Option<(&'static Mapping, PathBuf)>,
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Some((mapping, _)) = &self.noted {
            mapping.end();
        }
    }
}

impl Region {
    /// Maps all `len` bytes of `file`, for reading and writing.
    pub(crate) fn of_file(file: &File, path: &Path, len: usize) -> io::Result<Region> {
        let map = MmapOptions::new().len(len).map_raw(file)?;
        let noted = Some((Mapping::begin(map.as_ptr().addr(), len), path.to_owned()));
        Ok(Region { map, noted })
    }

    /// Maps all `len` bytes of `file`, which is open for reading only.
    pub(crate) fn of_file_to_read(file: &File, path: &Path, len: usize) -> io::Result<Region> {
        let map = MmapOptions::new().len(len).map_raw_read_only(file)?;
        let noted = Some((Mapping::begin(map.as_ptr().addr(), len), path.to_owned()));
        Ok(Region { map, noted })
    }

    /// Maps all `len` bytes of `file`, which may be open for reading only, to ask what of it is in memory.
    pub(crate) fn to_look_at(file: &File, len: usize) -> io::Result<Region> {
        Ok(Region {
            map: MmapOptions::new().len(len).map_raw_read_only(file)?,
            noted: None,
        })
    }

    /// Tells the kernel not to read ahead: for files of which a page here and there is touched. Without it the first
    /// touch of a hole fills many pages with zeros that nobody asked for.
    pub(crate) fn random_access(&self) {
        // Only advice: where it is not taken, things are slower.
        let _ = self.map.advise(Advice::Random);
    }

    /// Memory without a file, all zero.
    #[cfg_attr(not(feature = "sim"), allow(dead_code))]
    pub(crate) fn anonymous(len: usize) -> io::Result<Region> {
        Ok(Region {
            map: MmapRaw::from(MmapMut::map_anon(len.max(1))?),
            noted: None,
        })
    }

    /// The bytes of `range`.
    ///
    /// # Safety
    /// `range` lies in the mapping, and nobody writes these bytes while the reference lives.
    pub(crate) unsafe fn bytes(&self, range: Range<usize>) -> &[u8] {
        debug_assert!(range.start <= range.end && range.end <= self.map.len());
        // SAFETY: the range is inside the mapping, which lives as long as self; no writer, says the caller.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(range.start), range.end - range.start) }
    }

    /// The bytes of `range`, to be changed.
    ///
    /// # Safety
    /// `range` lies in the mapping, its blocks are reserved, and no other reference to these bytes exists.
    #[allow(clippy::mut_from_ref)] // The exclusivity is the caller's promise.
    pub(crate) unsafe fn bytes_mut(&self, range: Range<usize>) -> &mut [u8] {
        debug_assert!(range.start <= range.end && range.end <= self.map.len());
        // SAFETY: the range is inside the mapping, which lives as long as self; no other reference, says the caller.
        unsafe {
            std::slice::from_raw_parts_mut(self.map.as_mut_ptr().add(range.start), range.end - range.start)
        }
    }

    /// Writes the pages of `range` back and waits for the device. What was stored into a lost page was an error of that write; a page
    /// that was lost to a reader has nothing to write back.
    pub(crate) fn sync(&self, range: Range<usize>) -> io::Result<()> {
        self.map.flush_range(range.start, range.end - range.start)
    }

    /// Whether the bytes of `range` are the file's; for whoever has just read or written them. One atomic load where nothing was lost.
    ///
    /// # Errors
    /// A page of them could not be read, and holds zeros, or what was written since and reaches no disk.
    pub(crate) fn check(&self, range: Range<usize>) -> Result<()> {
        match &self.noted {
            Some((mapping, path)) if mapping.has_lost(range.clone()) => {
                let (from, to) = (range.start, range.end);
                let lost = io::Error::other(format!(
                    "a page of bytes {from} to {to} is lost: the device failed, or somebody shortened the file"
                ));
                Err(Error::new(Operation::Read, path, lost))
            }
            _ => Ok(()),
        }
    }

    fn advise(&self, advice: Advice, range: Range<usize>) -> io::Result<()> {
        let start = range.start / PAGE * PAGE;
        match self.map.advise_range(advice, start, range.end - start) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            result => result,
        }
    }

    /// Whether every page of `range` is in memory; `true` where the kernel will not say.
    fn is_resident(&self, range: Range<usize>) -> bool {
        self.looks(range).all(|(all, resident)| resident == all)
    }

    /// How many bytes are in memory; all of them where the kernel will not say.
    pub(crate) fn resident_bytes(&self) -> usize {
        let pages: usize = self.looks(0..self.map.len()).map(|(_, resident)| resident).sum();
        pages * PAGE
    }

    /// Pages of each stretch of `range`, and how many of them are in memory: all of them where the kernel will not say.
    fn looks(&self, range: Range<usize>) -> impl Iterator<Item = (usize, usize)> + '_ {
        let mut at = range.start / PAGE * PAGE;
        std::iter::from_fn(move || {
            let mut pages = [0u8; 256];
            let len = range.end.saturating_sub(at).min(pages.len() * PAGE);
            if len == 0 {
                return None;
            }
            // SAFETY: `at` is page-aligned and inside the mapping, and `pages` has a byte for each page of `len`.
            let result = unsafe {
                libc::mincore(
                    self.map.as_mut_ptr().add(at).cast(),
                    len,
                    pages.as_mut_ptr().cast(),
                )
            };
            at += len;
            let all = len.div_ceil(PAGE);
            match result {
                0 => Some((all, pages[..all].iter().filter(|page| **page & 1 == 1).count())),
                _ => Some((all, all)),
            }
        })
    }
}

/// A counted reference to bytes of a mapped file. The file stays mapped until the last one is gone, also when it
/// has been removed meanwhile. The bytes never change.
#[derive(Clone)]
pub struct MappedSlice {
    region: Arc<Region>,
    start: usize,
    end: usize,
}

impl MappedSlice {
    /// A slice of published bytes.
    ///
    /// # Safety
    /// `range` lies in the mapping, and its bytes are never written while the slice or a copy of it exists.
    pub(crate) unsafe fn new(region: Arc<Region>, range: Range<usize>) -> MappedSlice {
        MappedSlice {
            region,
            start: range.start,
            end: range.end,
        }
    }

    /// Part of this slice.
    ///
    /// # Panics
    /// When the range is not inside.
    pub fn part(&self, range: Range<usize>) -> MappedSlice {
        assert!(
            range.start <= range.end && range.end <= self.len(),
            "part of a slice outside of it"
        );
        MappedSlice {
            region: self.region.clone(),
            start: self.start + range.start,
            end: self.start + range.end,
        }
    }

    /// Makes this slice longer by `next` if that is what follows in the same mapping; says whether it did.
    pub fn join(&mut self, next: &MappedSlice) -> bool {
        let follows = Arc::ptr_eq(&self.region, &next.region) && self.end == next.start;
        if follows {
            self.end = next.end;
        }
        follows
    }

    /// Makes this slice longer by a part of `whole` if that is what follows in the same mapping; says whether it did. Costs no
    /// count of references, unlike [`MappedSlice::part`] and [`MappedSlice::join`].
    ///
    /// # Panics
    /// When the range is not inside of `whole`.
    pub fn join_part(&mut self, whole: &MappedSlice, range: Range<usize>) -> bool {
        assert!(
            range.start <= range.end && range.end <= whole.len(),
            "part of a slice outside of it"
        );
        let follows = Arc::ptr_eq(&self.region, &whole.region) && self.end == whole.start + range.start;
        if follows {
            self.end = whole.start + range.end;
        }
        follows
    }

    /// Whether all of it is in memory, so that reading it will not wait for the device.
    pub fn is_resident(&self) -> bool {
        self.region.is_resident(self.start..self.end)
    }

    /// Reads all of it into memory; for a thread that may wait.
    pub fn fetch(&self) -> io::Result<()> {
        self.region.advise(Advice::PopulateRead, self.start..self.end)?;
        self.check().map_err(|error| error.source)
    }

    /// Asks the device for all of it and does not wait until it is there. Only advice: where it is not taken, a read waits longer.
    pub fn will_need(&self) {
        let _ = self.region.advise(Advice::WillNeed, self.start..self.end);
    }

    /// Whether its bytes are the file's; for whoever has just read them.
    ///
    /// # Errors
    /// A page could not be read, because the device failed or somebody shortened the file: its bytes are zeros.
    pub fn check(&self) -> Result<()> {
        self.region.check(self.start..self.end)
    }

    /// The same of a part of it.
    ///
    /// # Errors
    /// As [`MappedSlice::check`].
    pub fn check_part(&self, range: Range<usize>) -> Result<()> {
        self.region
            .check(self.start + range.start..self.start + range.end)
    }
}

impl Deref for MappedSlice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `new` was promised that these bytes are inside and do not change while self lives.
        unsafe { self.region.bytes(self.start..self.end) }
    }
}

impl AsRef<[u8]> for MappedSlice {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for MappedSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MappedSlice({}..{})", self.start, self.end)
    }
}
