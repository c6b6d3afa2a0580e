//! The real disk.
#![allow(unsafe_code)] // System calls, and the promises that `region` asks for.

use crate::error::at;
use crate::parts::write_all_parts_at;
use crate::published::Published;
use crate::ranges::{BlockRanges, stretch};
use crate::region::{MappedSlice, Region};
use crate::small::{keep_as, read_bounded, through_links, with_suffix, write_in_place};
use crate::{DirEntry, Disk, Error, MapOptions, MappedFile, Operation, Result, Usage, Writes};
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::{Errno, retry_on_intr};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::UNIX_EPOCH;

/// Zeros written by one call, bytes: what the writer may have to wait for, and as large as the file's folios become. Faulting
/// pages in instead would make the kernel read ahead: where a device's `read_ahead_kb` is some thousand, one fault fills as
/// much with zeros and has a processor for itself for tens of milliseconds.
const ZEROS_STEP: u64 = 64 << 10;
/// A larger buffer of a write call is given back, bytes.
const SCRATCH_KEPT: usize = 1 << 20;

/// Files of this machine, mapped into memory.
#[derive(Clone, Debug)]
pub struct MmapDisk {
    pool: Arc<Pool>,
}

impl Default for MmapDisk {
    /// At most 4,096 files besides the pinned ones are mapped at a time: far below `vm.max_map_count` (65,530 by
    /// default), and few enough that their page tables stay small.
    fn default() -> Self {
        MmapDisk::new(4096)
    }
}

impl MmapDisk {
    /// A disk that keeps at most `max_mapped` files mapped, those not counted that are pinned or in use.
    pub fn new(max_mapped: usize) -> Self {
        MmapDisk::of(max_mapped, false)
    }

    /// A disk whose files are opened for reading alone: those of a file system that is mounted so, or of another user. A write is
    /// an error.
    pub fn read_only() -> Self {
        MmapDisk::of(4096, true)
    }

    fn of(max_mapped: usize, read_only: bool) -> Self {
        MmapDisk {
            pool: Arc::new(Pool {
                max_mapped: max_mapped.max(1),
                read_only,
                mapped: Mutex::default(),
                #[cfg(feature = "faults")]
                faults: Arc::default(),
            }),
        }
    }

    /// What goes wrong on this disk and its clones.
    #[cfg(feature = "faults")]
    pub fn faults(&self) -> Arc<crate::Faults> {
        self.pool.faults.clone()
    }

    fn file(
        &self,
        path: &Path,
        file: Option<File>,
        len: u64,
        options: MapOptions,
        published: u64,
    ) -> MmapFile {
        MmapFile {
            inner: Arc::new(Inner {
                path: path.to_path_buf(),
                replaced: OnceLock::new(),
                len,
                options,
                published: Published::new(published),
                pinned: OnceLock::new(),
                used: AtomicBool::new(false),
                state: Mutex::new(State {
                    file: file.filter(|_| options.pinned).map(Arc::new),
                    region: None,
                    reserved: BlockRanges::default(),
                    written: 0,
                    zeroed: 0,
                    forgotten: false,
                    scratch: Vec::new(),
                }),
                pool: self.pool.clone(),
            }),
        }
    }
}

/// The unpinned files that are mapped, roughly in order of their last use.
#[derive(Debug)]
struct Pool {
    max_mapped: usize,
    read_only: bool,
    mapped: Mutex<VecDeque<Weak<Inner>>>,
    #[cfg(feature = "faults")]
    faults: Arc<crate::Faults>,
}

impl Pool {
    /// Opens a file that is there.
    fn open(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(!self.read_only).open(path)
    }

    /// Counts `newcomer` and unmaps files nobody used for the longest time. Called with the newcomer's lock held;
    /// other files' locks are only tried.
    fn admit(&self, newcomer: &Arc<Inner>) {
        let mut mapped = lock(&self.mapped);
        mapped.push_back(Arc::downgrade(newcomer));
        // Each file gets one second chance in a round; two rounds find whatever can go.
        let mut tries = 2 * mapped.len();
        while mapped.len() > self.max_mapped && tries > 0 {
            tries -= 1;
            let Some(candidate) = mapped.pop_front() else {
                return;
            };
            let Some(file) = candidate.upgrade() else { continue };
            if file.used.swap(false, Ordering::Relaxed) || !file.try_unmap() {
                mapped.push_back(candidate);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the locks guard stays consistent when a closure panics: nothing is half changed across a call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file of this machine, mapped when it is needed.
#[derive(Debug)]
pub struct MmapFile {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// The name that it took over.
    replaced: OnceLock<PathBuf>,
    len: u64,
    options: MapOptions,
    published: Published,
    /// The mapping of a pinned file, readable without the lock.
    pinned: OnceLock<Arc<Region>>,
    /// Used since the pool looked last.
    used: AtomicBool,
    state: Mutex<State>,
    pool: Arc<Pool>,
}

struct State {
    /// Kept for pinned files only: 100,000 queues have more files than a process may have descriptors.
    file: Option<Arc<File>>,
    region: Option<Arc<Region>>,
    reserved: BlockRanges,
    /// End of the last write.
    written: u64,
    /// End of the zeros that were written ahead.
    zeroed: u64,
    forgotten: bool,
    /// Where the next write call is put together.
    scratch: Vec<u8>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("reserved", &self.reserved)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn path(&self) -> &Path {
        self.replaced.get().unwrap_or(&self.path)
    }

    fn error(&self, operation: Operation) -> impl FnOnce(io::Error) -> Error + '_ {
        at(operation, self.path())
    }

    fn handle(&self, state: &State) -> Result<Arc<File>> {
        if let Some(file) = &state.file {
            return Ok(file.clone());
        }
        if state.forgotten {
            return Err(Error::new(
                Operation::Open,
                self.path(),
                ErrorKind::NotFound.into(),
            ));
        }
        let file = self.pool.open(self.path()).map_err(self.error(Operation::Open))?;
        // Mapping a file that somebody shortened would be a SIGBUS later.
        let len = file.metadata().map_err(self.error(Operation::Open))?.len();
        if len < self.len {
            let error = io::Error::new(
                ErrorKind::InvalidData,
                format!("it shrank from {} to {len} bytes", self.len),
            );
            return Err(Error::new(Operation::Open, self.path(), error));
        }
        Ok(Arc::new(file))
    }

    /// The mapping, made if there is none.
    fn region<'s>(self: &'s Arc<Self>, state: &'s mut State) -> Result<&'s Arc<Region>> {
        if self.pinned.get().is_none() && state.region.is_none() {
            self.map(state)?;
        }
        self.used.store(true, Ordering::Relaxed);
        let region = self.pinned.get().or(state.region.as_ref());
        Ok(region.expect("it is mapped now, and only under the lock that is held here it could be unmapped"))
    }

    fn map(self: &Arc<Self>, state: &mut State) -> Result<()> {
        let file = self.handle(state)?;
        let map = match self.pool.read_only {
            true => Region::of_file_to_read,
            false => Region::of_file,
        };
        let region = map(&file, self.path(), self.len as usize).map_err(self.error(Operation::Map))?;
        let region = Arc::new(region);
        if self.options.pinned {
            // Only set under the state's lock, so nobody was quicker.
            let _ = self.pinned.set(region);
        } else {
            region.random_access();
            state.region = Some(region);
            self.pool.admit(self);
        }
        Ok(())
    }

    /// Unmaps if nobody has a slice and nobody is busy with the file.
    fn try_unmap(&self) -> bool {
        let Ok(mut state) = self.state.try_lock() else {
            return false;
        };
        if state
            .region
            .as_ref()
            .is_some_and(|region| Arc::strong_count(region) > 1)
        {
            return false;
        }
        state.region = None;
        true
    }

    /// What every write begins with: checks the range and gives it blocks. Returns its end.
    fn begin_write(&self, state: &mut State, at: u64, len: usize) -> Result<u64> {
        let end = at.checked_add(len as u64).filter(|&end| end <= self.len);
        let end = end.unwrap_or_else(|| panic!("write beyond the end of {}", self.path().display()));
        let published = self.published.end();
        assert!(
            at >= published,
            "write at {at} below the published end {published} of {}",
            self.path().display()
        );
        // Nobody may store into such a mapping.
        if self.pool.read_only {
            return Err(self.error(Operation::Write)(ErrorKind::ReadOnlyFilesystem.into()));
        }
        #[cfg(feature = "faults")]
        self.pool
            .faults
            .before_write(self.path())
            .map_err(self.error(Operation::Write))?;
        self.reserve_locked(state, at..end)?;
        state.written = state.written.max(end);
        Ok(end)
    }

    /// Writes into the mapping.
    fn store<R>(
        self: &Arc<Self>,
        state: &mut State,
        at: u64,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R> {
        let end = self.begin_write(state, at, len)?;
        let region = self.region(state)?;
        // SAFETY: inside the mapping (the range was checked, and the file was long enough when it was mapped); reserved;
        // slices exist only below the published end, and every other access above it, and publishing, takes the lock of
        // `state`.
        let filled = fill(unsafe { region.bytes_mut(at as usize..end as usize) });
        let checked = region.check(at as usize..end as usize);
        checked.map_err(|lost| self.error(Operation::Write)(lost.source))?;
        Ok(filled)
    }

    /// Writes by a call to the system.
    fn call(&self, state: &mut State, at: u64, bytes: &[u8]) -> Result<()> {
        self.begin_write(state, at, bytes.len())?;
        self.write_all(state, at, bytes)
    }

    fn write_all(&self, state: &State, at: u64, bytes: &[u8]) -> Result<()> {
        let file = self.handle(state)?;
        file.write_all_at(bytes, at).map_err(self.error(Operation::Write))
    }

    fn write(self: &Arc<Self>, state: &mut State, at: u64, bytes: &[u8]) -> Result<()> {
        match self.options.writes {
            Writes::Stores => self.store(state, at, bytes.len(), |out| out.copy_from_slice(bytes)),
            Writes::Calls | Writes::CallsAndSyncs => self.call(state, at, bytes),
        }
    }

    /// Puts what a write call writes together first.
    fn fill_and_call<R>(
        &self,
        state: &mut State,
        at: u64,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R> {
        self.begin_write(state, at, len)?;
        let mut scratch = std::mem::take(&mut state.scratch);
        if scratch.len() < len {
            scratch.resize(len, 0);
        }
        let result = fill(&mut scratch[..len]);
        let written = self.write_all(state, at, &scratch[..len]);
        if scratch.len() <= SCRATCH_KEPT {
            state.scratch = scratch;
        }
        written.map(|()| result)
    }

    /// Zeros for what nobody has written yet. In small steps under the lock: a writer may have come further than the
    /// range's start meanwhile.
    fn write_zeros(&self, range: Range<u64>) -> Result<()> {
        static ZEROS: [u8; ZEROS_STEP as usize] = [0; ZEROS_STEP as usize];
        let is_durable = self.options.writes == Writes::CallsAndSyncs;
        let file = if is_durable {
            // A descriptor of its own, so that an error of the device is told to this sync and to that of a flush, too.
            let file = OpenOptions::new().write(true).open(self.path());
            Arc::new(file.map_err(self.error(Operation::Open))?)
        } else {
            self.handle(&lock(&self.state))?
        };
        let (mut at, mut wrote) = (range.start, false);
        while at < range.end {
            let end = range.end.min((at / ZEROS_STEP + 1) * ZEROS_STEP);
            let mut state = lock(&self.state);
            let from = at.max(state.written).max(self.published.end());
            if from < end && state.zeroed < end {
                let zeros = &ZEROS[..(end - from) as usize];
                file.write_all_at(zeros, from)
                    .map_err(self.error(Operation::Populate))?;
                state.zeroed = end;
                wrote = true;
            }
            drop(state);
            at = end;
        }
        if wrote && is_durable {
            file.sync_data().map_err(self.error(Operation::Populate))?;
        }
        Ok(())
    }

    fn reserve_locked(&self, state: &mut State, range: Range<u64>) -> Result<()> {
        if state.reserved.covers(&range) {
            return Ok(());
        }
        let mut step = self.options.reserve_step_bytes;
        if !self.options.pinned {
            // Of 100,000 queues most have a few units: a file takes no more ahead than it has.
            step = step.min(range.start);
        }
        let wanted = stretch(&range, step, self.len);
        let file = self.handle(state)?;
        let reserved = allocate_or_less(&file, wanted, stretch(&range, 0, self.len))
            .map_err(self.error(Operation::Reserve))?;
        state.reserved.add(reserved);
        Ok(())
    }
}

/// Gives a range its blocks, or only the least of it: near the end of the space that may still fit. Returns what has
/// them now.
fn allocate_or_less(file: &File, wanted: Range<u64>, least: Range<u64>) -> io::Result<Range<u64>> {
    match allocate(file, &wanted) {
        Err(error) if error.kind() == ErrorKind::StorageFull && wanted != least => {
            allocate(file, &least).map(|()| least)
        }
        result => result.map(|()| wanted),
    }
}

/// Gives a range its blocks without changing a byte of it.
fn allocate(file: &File, range: &Range<u64>) -> io::Result<()> {
    let allocated = retry_on_intr(|| {
        fallocate(
            file,
            FallocateFlags::empty(),
            range.start,
            range.end - range.start,
        )
    });
    match allocated {
        Err(Errno::OPNOTSUPP) => allocate_by_writing(file, range),
        allocated => Ok(allocated?),
    }
}

/// For file systems without fallocate: writing back one byte of each block makes it exist. The file's owner holds
/// its lock and nothing in the range is being written.
fn allocate_by_writing(file: &File, range: &Range<u64>) -> io::Result<()> {
    let mut byte = [0u8];
    for at in (range.start..range.end).step_by(4096) {
        file.read_exact_at(&mut byte, at)?;
        file.write_all_at(&byte, at)?;
    }
    Ok(())
}

fn clear(file: &File, range: &Range<u64>) -> io::Result<()> {
    let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match retry_on_intr(|| fallocate(file, mode, range.start, range.end - range.start)) {
        Err(Errno::OPNOTSUPP) => {}
        cleared => return Ok(cleared?),
    }
    let zeros = [0u8; 64 * 1024];
    let mut at = range.start;
    while at < range.end {
        let len = zeros.len().min((range.end - at) as usize);
        file.write_all_at(&zeros[..len], at)?;
        at += len as u64;
    }
    Ok(())
}

impl MappedFile for MmapFile {
    fn len(&self) -> u64 {
        self.inner.len
    }

    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn is_at_path(&self) -> bool {
        // Without a descriptor it is opened by its name when it is needed.
        let file = lock(&self.inner.state).file.clone();
        let is_gone = |error: &io::Error| error.kind() == ErrorKind::NotFound;
        // Numbers of files are not compared: where a file system changed them, a log that is sound would be taken for lost.
        let has_name = |file: Arc<File>| file.metadata().map_or(true, |file| file.nlink() > 0);
        file.is_none_or(|file| {
            !fs::metadata(self.inner.path()).is_err_and(|error| is_gone(&error)) && has_name(file)
        })
    }

    fn published(&self) -> u64 {
        self.inner.published.end()
    }

    fn publish(&self, end: u64) {
        assert!(
            end <= self.inner.len,
            "published beyond the end of {}",
            self.inner.path().display()
        );
        // Under the lock, so that a write that is going on is finished first.
        let _state = lock(&self.inner.state);
        self.inner.published.publish(end);
    }

    fn unpublish(&self, end: u64) -> Result<()> {
        let state = lock(&self.inner.state);
        let region = self.inner.pinned.get().or(state.region.as_ref());
        let is_in_use = || region.is_some_and(|region| Arc::strong_count(region) > 1);
        match self.inner.published.take_back(end, is_in_use) {
            true => Ok(()),
            false => Err(Error::new(
                Operation::Unpublish,
                self.inner.path(),
                ErrorKind::WouldBlock.into(),
            )),
        }
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.inner.write(&mut lock(&self.inner.state), at, bytes)
    }

    fn write_and_publish(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let inner = &self.inner;
        let mut state = lock(&inner.state);
        inner.write(&mut state, at, bytes)?;
        // Only under the lock, and the write was above it: it does not go back.
        inner.published.publish(at + bytes.len() as u64);
        Ok(())
    }

    fn write_parts_and_publish(&self, at: u64, parts: &mut [IoSlice<'_>]) -> Result<()> {
        let inner = &self.inner;
        let mut state = lock(&inner.state);
        let len: usize = parts.iter().map(|part| part.len()).sum();
        match inner.options.writes {
            Writes::Stores => inner.store(&mut state, at, len, |mut out| {
                for part in parts {
                    let (here, behind) = out.split_at_mut(part.len());
                    here.copy_from_slice(part);
                    out = behind;
                }
            })?,
            Writes::Calls | Writes::CallsAndSyncs => {
                inner.begin_write(&mut state, at, len)?;
                let file = inner.handle(&state)?;
                write_all_parts_at(&file, parts, at).map_err(inner.error(Operation::Write))?;
            }
        }
        // Only under the lock, and the write was above it: it does not go back.
        inner.published.publish(at + len as u64);
        Ok(())
    }

    fn write_by_call(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let inner = &self.inner;
        let mut state = lock(&inner.state);
        // A process that has no descriptor left can still store into what is mapped.
        let Ok(file) = inner.handle(&state) else {
            return inner.write(&mut state, at, bytes);
        };
        inner.begin_write(&mut state, at, bytes.len())?;
        file.write_all_at(bytes, at)
            .map_err(inner.error(Operation::Write))
    }

    fn write_with<R>(&self, at: u64, len: u64, fill: impl FnOnce(&mut [u8]) -> R) -> Result<R> {
        let inner = &self.inner;
        let mut state = lock(&inner.state);
        match inner.options.writes {
            Writes::Stores => inner.store(&mut state, at, len as usize, fill),
            Writes::Calls | Writes::CallsAndSyncs => inner.fill_and_call(&mut state, at, len as usize, fill),
        }
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<()> {
        let inner = &self.inner;
        let state = lock(&inner.state);
        let end = at.checked_add(out.len() as u64).filter(|&end| end <= inner.len);
        let Some(end) = end else {
            return Err(Error::new(
                Operation::Read,
                inner.path(),
                ErrorKind::UnexpectedEof.into(),
            ));
        };
        if let Some(region) = inner.pinned.get().or(state.region.as_ref()) {
            // SAFETY: inside the mapping; bytes above the published end are written only under the lock we hold.
            out.copy_from_slice(unsafe { region.bytes(at as usize..end as usize) });
            return region.check(at as usize..end as usize);
        }
        let file = inner.handle(&state)?;
        file.read_exact_at(out, at).map_err(inner.error(Operation::Read))
    }

    fn next_data(&self, from: u64) -> Result<Option<u64>> {
        let inner = &self.inner;
        if from >= inner.len {
            return Ok(None);
        }
        let file = inner.handle(&lock(&inner.state))?;
        // Everything else is done at positions that are named, so nobody minds where the descriptor stands.
        match rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(from)) {
            Ok(at) if at < inner.len => Ok(Some(at)),
            Ok(_) | Err(Errno::NXIO) => Ok(None),
            // A file system that can not tell.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(from)),
            Err(error) => Err(inner.error(Operation::Read)(error.into())),
        }
    }

    fn slice(&self, range: Range<u64>) -> Result<Option<MappedSlice>> {
        let inner = &self.inner;
        let region = match inner.pinned.get() {
            Some(region) => region.clone(),
            None => inner.region(&mut lock(&inner.state))?.clone(),
        };
        // Counted before the end is looked at. (For files that are not pinned the count is taken under the lock.)
        if range.start > range.end || !inner.published.covers(range.end) {
            return Ok(None);
        }
        // SAFETY: published lies inside the mapping; bytes below it are not written, and `unpublish` refuses
        // while the region that we counted is alive.
        Ok(Some(unsafe {
            MappedSlice::new(region, range.start as usize..range.end as usize)
        }))
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        let inner = &self.inner;
        let file = {
            let state = lock(&inner.state);
            if state.reserved.covers(&range) {
                return Ok(());
            }
            inner.handle(&state)?
        };
        // Without the lock: the writer must not wait for the file system here.
        let least = stretch(&range, 0, inner.len);
        let step = match inner.options.pinned {
            true => inner.options.reserve_step_bytes,
            false => 0,
        };
        let wanted = stretch(&range, step, inner.len);
        let reserved = allocate_or_less(&file, wanted, least).map_err(inner.error(Operation::Reserve))?;
        lock(&inner.state).reserved.add(reserved);
        Ok(())
    }

    fn populate(&self, range: Range<u64>) -> Result<()> {
        let range = range.start.min(self.inner.len)..range.end.min(self.inner.len);
        if range.is_empty() {
            return Ok(());
        }
        self.reserve(range.clone())?;
        if self.inner.options.writes == Writes::Stores {
            return Ok(());
        }
        self.inner.write_zeros(range)
    }

    fn zero_from(&self, from: u64) -> Result<()> {
        let inner = &self.inner;
        let mut state = lock(&inner.state);
        assert!(
            from >= self.published(),
            "clearing published bytes of {}",
            inner.path().display()
        );
        if from >= inner.len {
            return Ok(());
        }
        let file = inner.handle(&state)?;
        state.reserved.cut(from);
        state.written = state.written.min(from);
        state.zeroed = state.zeroed.min(from);
        clear(&file, &(from..inner.len)).map_err(inner.error(Operation::Zero))
    }

    fn sync(&self, range: Range<u64>) -> Result<()> {
        let inner = &self.inner;
        #[cfg(feature = "faults")]
        inner
            .pool
            .faults
            .before_sync(inner.path())
            .map_err(inner.error(Operation::Sync))?;
        let (file, region) = {
            let mut state = lock(&inner.state);
            let region = match &state.region {
                _ if inner.options.pinned && !range.is_empty() => Some(inner.region(&mut state)?.clone()),
                region => region.clone(),
            };
            match region {
                // Only the range: what lies ahead of it is not written for nothing, and stays writable.
                Some(region) if !range.is_empty() => (None, Some(region)),
                _ => (Some(inner.handle(&state)?), None),
            }
        };
        let result = match (file, region) {
            (Some(file), _) => file.sync_data(),
            (None, Some(region)) => region.sync(range.start as usize..range.end.min(inner.len) as usize),
            (None, None) => Ok(()),
        };
        result.map_err(inner.error(Operation::Sync))
    }

    fn forget(&self) {
        let mut state = lock(&self.inner.state);
        state.forgotten = true;
        // What is mapped stays so for those who have just found this file.
        state.file = None;
    }
}

/// The held lock file or folder.
#[derive(Debug)]
pub struct MmapLock {
    file: File,
}

pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

impl Disk for MmapDisk {
    type File = MmapFile;
    type Lock = MmapLock;

    fn create_dirs(&self, path: &Path) -> Result<()> {
        fs::create_dir_all(path).map_err(at(Operation::CreateDirectory, path))
    }

    fn list(&self, path: &Path) -> Result<Vec<DirEntry>> {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(at(Operation::List, path))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(at(Operation::List, path))?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            // Through a symbolic link, as Java's File sees it.
            let metadata = match fs::metadata(entry.path()) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                metadata => metadata.map_err(at(Operation::List, path))?,
            };
            let modified = metadata
                .modified()
                .ok()
                .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            found.push(DirEntry {
                name,
                is_dir: metadata.is_dir(),
                len: metadata.len(),
                allocated: metadata.blocks().saturating_mul(512),
                modified_ms: modified.map_or(0, |since| since.as_millis() as i64),
            });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn create(&self, path: &Path, len: u64, options: MapOptions) -> Result<MmapFile> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path);
        let file = file.map_err(at(Operation::Create, path))?;
        if let Err(error) = file.set_len(len) {
            // An empty leftover would stop the next start.
            let _ = fs::remove_file(path);
            return Err(Error::new(Operation::Create, path, error));
        }
        Ok(self.file(path, Some(file), len, options, 0))
    }

    fn open(&self, path: &Path, len: u64, options: MapOptions) -> Result<MmapFile> {
        // A file that is not pinned is opened when it is needed: of 100,000 queues most are not.
        let (file, metadata) = if options.pinned {
            let file = self.pool.open(path).map_err(at(Operation::Open, path))?;
            let metadata = file.metadata();
            (Some(file), metadata)
        } else {
            (None, fs::metadata(path))
        };
        let found = metadata.map_err(at(Operation::Open, path))?.len();
        if found != len {
            let text = format!("it has {found} bytes, but files there have {len}");
            return Err(Error::new(
                Operation::Open,
                path,
                io::Error::new(ErrorKind::InvalidData, text),
            ));
        }
        Ok(self.file(path, file, len, options, len))
    }

    fn may_open(&self, path: &Path) -> Result<()> {
        let opened = self.pool.open(path);
        opened.map(drop).map_err(at(Operation::Open, path))
    }

    fn extend(&self, path: &Path, len: u64) -> Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .open(path)
            .map_err(at(Operation::Open, path))?;
        let found = file.metadata().map_err(at(Operation::Open, path))?.len();
        if found < len {
            file.set_len(len).map_err(at(Operation::Write, path))?;
        }
        Ok(())
    }

    fn make_private(&self, path: &Path) -> Result<()> {
        let permissions = fs::Permissions::from_mode(0o600);
        fs::set_permissions(path, permissions).map_err(at(Operation::Write, path))
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        gone(fs::remove_file(path)).map_err(at(Operation::Remove, path))
    }

    fn remove_dir_all(&self, path: &Path) -> Result<()> {
        gone(fs::remove_dir_all(path)).map_err(at(Operation::Remove, path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        gone(fs::rename(from, to)).map_err(at(Operation::Rename, from))
    }

    fn replace(&self, file: MmapFile, path: &Path) -> Result<MmapFile> {
        fs::rename(file.path(), path).map_err(at(Operation::Rename, file.path()))?;
        // Nobody else has the file, and a second time is a bug of the caller's.
        let set = file.inner.replaced.set(path.to_path_buf());
        assert!(set.is_ok(), "{} has taken another name before", path.display());
        Ok(file)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let dir = File::open(path).map_err(at(Operation::Open, path))?;
        dir.sync_all().map_err(at(Operation::Sync, path))
    }

    fn sync_file_system(&self, path: &Path) -> Result<()> {
        let dir = File::open(path).map_err(at(Operation::Open, path))?;
        rustix::fs::syncfs(&dir).map_err(|error| Error::new(Operation::Sync, path, error.into()))
    }

    fn read_small(&self, path: &Path, max_bytes: u64) -> Result<Option<Vec<u8>>> {
        read_bounded(path, max_bytes).map_err(at(Operation::Read, path))
    }

    fn write_small(&self, path: &Path, content: &[u8], keep_previous: bool) -> Result<()> {
        let path = &through_links(path);
        self.create_dirs(parent(path))?;
        let temporary = with_suffix(path, ".tmp");
        let mut file = File::create(&temporary).map_err(at(Operation::Create, &temporary))?;
        if let Ok(replaced) = fs::metadata(path) {
            // Its owner may read it where others may not. Only root can give a file away; what anybody else writes is its own.
            let _ = fchown(&file, Some(replaced.uid()), Some(replaced.gid()));
            // A file with secrets must not be open to more than it was, not for a moment.
            file.set_permissions(replaced.permissions())
                .map_err(at(Operation::Write, &temporary))?;
        }
        #[cfg(feature = "faults")]
        self.faults()
            .before_sync(path)
            .map_err(at(Operation::Sync, path))?;
        let written = file.write_all(content).and_then(|()| file.sync_all());
        written.map_err(at(Operation::Write, &temporary))?;
        if keep_previous {
            let backup = with_suffix(path, ".bak");
            keep_as(&backup, path).map_err(at(Operation::Write, &backup))?;
        }
        match fs::rename(&temporary, path) {
            Err(error) if matches!(error.kind(), ErrorKind::ResourceBusy | ErrorKind::CrossesDevices) => {
                write_in_place(path, &temporary, content).map_err(at(Operation::Write, path))?;
            }
            renamed => renamed.map_err(at(Operation::Rename, path))?,
        }
        self.sync_dir(parent(path))
    }

    fn lock(&self, path: &Path) -> Result<Option<MmapLock>> {
        self.create_dirs(parent(path))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let file = file.map_err(at(Operation::Open, path))?;
        let mut request = first_byte();
        // An open-file-description lock: Java's lock (a process lock on the same byte) and it exclude each other, and
        // so do two stores of one process.
        if let Err(error) = fcntl_lock(&file, libc::F_OFD_SETLK, &mut request) {
            return match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EACCES) => Ok(None),
                _ => Err(Error::new(Operation::Lock, path, error)),
            };
        }
        file.write_all_at(b"lock", 0)
            .map_err(at(Operation::Write, path))?;
        Ok(Some(MmapLock { file }))
    }

    fn lock_dir(&self, path: &Path) -> Result<Option<MmapLock>> {
        let file = File::open(path).map_err(at(Operation::Open, path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(None),
            // Not every file system of a network can.
            Ok(()) | Err(_) => Ok(Some(MmapLock { file })),
        }
    }

    fn is_there(&self, lock: &MmapLock, path: &Path) -> bool {
        is_at(&lock.file, path)
    }

    fn is_locked(&self, path: &Path) -> Result<bool> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            file => file.map_err(at(Operation::Open, path))?,
        };
        let mut request = first_byte();
        fcntl_lock(&file, libc::F_OFD_GETLK, &mut request).map_err(at(Operation::Lock, path))?;
        Ok(request.l_type != libc::F_UNLCK as libc::c_short)
    }

    fn usage(&self, path: &Path) -> Result<Usage> {
        #[cfg(feature = "faults")]
        if let Some(usage) = self.pool.faults.usage() {
            return Ok(usage);
        }
        let there = path
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or(Path::new("."));
        let stat = rustix::fs::statvfs(there);
        let stat = stat.map_err(|error| Error::new(Operation::Usage, path, error.into()))?;
        Ok(Usage {
            used: stat
                .f_blocks
                .saturating_sub(stat.f_bfree)
                .saturating_mul(stat.f_frsize),
            available: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

/// A write lock of the byte that Java's broker locks.
fn first_byte() -> libc::flock {
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut request: libc::flock = unsafe { std::mem::zeroed() };
    request.l_type = libc::F_WRLCK as libc::c_short;
    request.l_whence = libc::SEEK_SET as libc::c_short;
    request.l_len = 1;
    request
}

fn fcntl_lock(file: &File, command: libc::c_int, request: &mut libc::flock) -> io::Result<()> {
    // SAFETY: a system call on a descriptor that is open, with a struct that outlives it.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut *request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether an open file or folder is what is at the path. True where that can not be told.
fn is_at(open: &File, path: &Path) -> bool {
    let found = match fs::metadata(path) {
        Err(error) => return error.kind() != ErrorKind::NotFound,
        Ok(found) => found,
    };
    open.metadata().map_or(true, |open| {
        (open.dev(), open.ino()) == (found.dev(), found.ino())
    })
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
