//! The simulated disk and clock: live and durable bytes apart, so that a test can pull the plug.
//!
//! A file has *live* bytes, which everyone sees, and *durable* bytes, which a sync copies from them. A directory has
//! live names and durable names. [`SimDisk::crash`] gives the disk as a power cut could leave it: of each page
//! written since its last sync nothing, all, or some of its 512-byte sectors; of each directory's unsynced changes
//! some prefix. [`SimDisk::kill`] gives it as a killed process leaves it: everything live.
//!
//! It also fails as disks and processes do: the n-th operation ([`SimDisk::fail_nth`]), all of a kind below a directory
//! ([`SimDisk::inject`]), whatever takes a descriptor ([`SimDisk::set_descriptors`]), or takes its time
//! ([`SimDisk::set_cost`]).
//!
//! Randomness comes from seeds only, so a run can be repeated.
#![allow(unsafe_code)] // The promises that `region` asks for; the same as in `mmap`.

use crate::ranges::{BlockRanges, stretch};
use crate::region::{MappedSlice, PAGE, Region};
use crate::{Clock, DirEntry, Disk, Error, MapOptions, MappedFile, Operation, Result, Usage};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SECTOR: usize = 512;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A clock that stands still until it is moved.
#[derive(Clone, Debug, Default)]
pub struct SimClock(Arc<AtomicI64>);

impl SimClock {
    /// A clock at `ms`.
    pub fn at(ms: i64) -> Self {
        SimClock(Arc::new(AtomicI64::new(ms)))
    }

    /// Moves the clock.
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A small generator of numbers (SplitMix64); the same seed gives the same numbers for ever.
#[derive(Clone, Debug)]
pub struct SimRandom(u64);

impl SimRandom {
    /// A generator that starts from `seed`.
    pub fn new(seed: u64) -> Self {
        SimRandom(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is above 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Content of one file.
#[derive(Debug)]
struct Node {
    live: Arc<Region>,
    len: usize,
    state: Mutex<NodeState>,
}

#[derive(Debug)]
struct NodeState {
    durable: Vec<u8>,
    /// The length is durable; before its first sync a new file may turn out empty after a crash.
    len_is_durable: bool,
    /// Pages written since their last sync.
    dirty: BTreeSet<usize>,
    reserved: BlockRanges,
    published: u64,
    modified_ms: i64,
}

impl Node {
    fn new(len: usize, content: &[u8], durable: bool) -> io::Result<Arc<Node>> {
        let live = Region::anonymous(len)?;
        // SAFETY: the region is new and nobody else knows it.
        unsafe { live.bytes_mut(0..content.len()) }.copy_from_slice(content);
        let dirty = if durable {
            BTreeSet::new()
        } else {
            (0..content.len().div_ceil(PAGE)).collect()
        };
        let mut bytes = vec![0; len];
        let mut reserved = BlockRanges::default();
        if durable {
            bytes[..content.len()].copy_from_slice(content);
            // What is in it has its blocks.
            for (number, page) in content.chunks(PAGE).enumerate() {
                if page.iter().any(|&byte| byte != 0) {
                    let start = (number * PAGE) as u64;
                    reserved.add(start..(start + PAGE as u64).min(len as u64));
                }
            }
        }
        Ok(Arc::new(Node {
            live: Arc::new(live),
            len,
            state: Mutex::new(NodeState {
                durable: bytes,
                len_is_durable: durable,
                dirty,
                reserved,
                published: 0,
                modified_ms: 0,
            }),
        }))
    }

    /// A copy of the live bytes.
    fn bytes(&self, _state: &NodeState) -> Vec<u8> {
        // SAFETY: writes take the state's lock, which the caller holds.
        unsafe { self.live.bytes(0..self.len) }.to_vec()
    }

    fn sync(&self, state: &mut NodeState, range: Range<usize>) {
        let pages = range.start / PAGE..range.end.min(self.len).div_ceil(PAGE);
        for page in pages {
            if state.dirty.remove(&page) {
                let bytes = page * PAGE..((page + 1) * PAGE).min(self.len);
                // SAFETY: writes take the state's lock, which the caller holds.
                state.durable[bytes.clone()].copy_from_slice(unsafe { self.live.bytes(bytes.clone()) });
            }
        }
        state.len_is_durable = true;
    }
}

/// A change of a directory that is not durable yet.
#[derive(Clone, Debug)]
enum Change {
    Set(PathBuf, Arc<Node>),
    Remove(PathBuf),
    /// A directory goes, with the files that were in it and whatever was not durable of them.
    RemoveDir(PathBuf, Vec<(PathBuf, Arc<Node>)>),
    /// A name goes over to another one; never only half, unless renames are torn.
    Rename(PathBuf, PathBuf, Arc<Node>),
    /// A directory gets another name, with all that is in it.
    RenameDir(PathBuf, PathBuf),
}

impl Change {
    /// The change of something in `from` once that is called `to`.
    fn moved(&mut self, from: &Path, to: &Path) {
        let rename = |path: &mut PathBuf| {
            if let Ok(rest) = path.strip_prefix(from) {
                *path = to.join(rest);
            }
        };
        match self {
            Change::Set(path, _) | Change::Remove(path) => rename(path),
            Change::RemoveDir(dir, files) => {
                rename(dir);
                files.iter_mut().for_each(|(path, _)| rename(path));
            }
            Change::Rename(old, new, _) | Change::RenameDir(old, new) => {
                rename(old);
                rename(new);
            }
        }
    }
}

/// Operations that fail.
#[derive(Clone, Debug)]
pub struct Injection {
    /// Which; none stands for all.
    pub operations: Vec<Operation>,
    /// Of files below it, and of itself.
    pub below: PathBuf,
    /// What the system says, such as `libc::EIO`.
    pub errno: i32,
}

#[derive(Debug, Default)]
struct World {
    files: BTreeMap<PathBuf, Arc<Node>>,
    durable: BTreeMap<PathBuf, Arc<Node>>,
    dirs: BTreeSet<PathBuf>,
    pending: Vec<(PathBuf, Change)>,
    locked: BTreeSet<PathBuf>,
    operations: u64,
    fail_at: Option<u64>,
    failed: Option<Operation>,
    /// Bytes of blocks that can be had.
    capacity: Option<u64>,
    used: u64,
    populated: u64,
    usage: Option<Usage>,
    now_ms: i64,
    injections: Vec<Injection>,
    /// Nothing can be opened.
    no_descriptors: bool,
    /// A crash may leave both names of what was renamed.
    torn_renames: bool,
    /// What each operation takes, ms, and what all took.
    costs: Vec<(Operation, u64)>,
    spent_ms: u64,
}

impl World {
    fn apply(durable: &mut BTreeMap<PathBuf, Arc<Node>>, change: &Change) {
        match change {
            Change::Set(path, node) => {
                durable.insert(path.clone(), node.clone());
            }
            Change::Remove(path) => {
                durable.remove(path);
            }
            Change::RemoveDir(_, files) => {
                for (path, node) in files {
                    // Another one may have its name by now.
                    if durable.get(path).is_some_and(|there| Arc::ptr_eq(there, node)) {
                        durable.remove(path);
                    }
                }
            }
            Change::Rename(from, to, node) => {
                durable.remove(from);
                durable.insert(to.clone(), node.clone());
            }
            Change::RenameDir(from, to) => {
                let inside: Vec<_> = durable
                    .keys()
                    .filter(|path| path.starts_with(from))
                    .cloned()
                    .collect();
                for path in inside {
                    if let (Some(node), Ok(rest)) = (durable.remove(&path), path.strip_prefix(from)) {
                        durable.insert(to.join(rest), node);
                    }
                }
            }
        }
    }

    /// Makes those of the pending changes durable that are chosen, by their numbers. Returns the numbers of all that are settled
    /// by it: with a directory that is gone, what was pending in it.
    fn settle(
        durable: &mut BTreeMap<PathBuf, Arc<Node>>,
        pending: &[(PathBuf, Change)],
        chosen: &BTreeSet<usize>,
    ) -> BTreeSet<usize> {
        // What is pending in a directory when it goes, goes with it.
        let mut gone = BTreeSet::new();
        for &number in chosen {
            if let Change::RemoveDir(removed, _) = &pending[number].1 {
                let before = pending[..number].iter().enumerate();
                let inside = before.filter(|(_, (dir, _))| dir.starts_with(removed));
                gone.extend(inside.map(|(number, _)| number));
            }
        }
        for &number in chosen.difference(&gone) {
            World::apply(durable, &pending[number].1);
        }
        gone.extend(chosen);
        gone
    }

    fn change(&mut self, dir: &Path, change: Change) {
        World::apply(&mut self.files, &change);
        self.pending.push((dir.to_path_buf(), change));
    }
}

/// A disk in memory that can lose what was not synced, fail, and fill up.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
}

impl SimDisk {
    /// An empty disk without limits.
    pub fn new() -> Self {
        SimDisk::default()
    }

    /// Lets the `n`-th operation from now on fail (1 is the next one); with `ErrorKind::Other`, as a broken device.
    pub fn fail_nth(&self, n: u64) {
        let mut world = lock(&self.world);
        world.fail_at = Some(world.operations + n);
        world.failed = None;
    }

    /// What failed since [`SimDisk::fail_nth`].
    pub fn failed(&self) -> Option<Operation> {
        lock(&self.world).failed
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        lock(&self.world).operations
    }

    /// Limits the bytes that can be reserved from now on; `None` lifts it.
    pub fn set_free(&self, bytes: Option<u64>) {
        let mut world = lock(&self.world);
        world.capacity = bytes.map(|bytes| world.used + bytes);
    }

    /// Bytes that [`MappedFile::populate`] was asked for so far, of all files.
    pub fn populated(&self) -> u64 {
        lock(&self.world).populated
    }

    /// What [`Disk::usage`] says from now on.
    pub fn set_usage(&self, usage: Usage) {
        lock(&self.world).usage = Some(usage);
    }

    /// Modification time of files made or synced from now on.
    pub fn set_now(&self, now_ms: i64) {
        lock(&self.world).now_ms = now_ms;
    }

    /// The disk as a killed process leaves it. The old one is of no use any more.
    pub fn kill(&self) -> SimDisk {
        let world = lock(&self.world);
        let mut files = BTreeMap::new();
        for (path, node) in &world.files {
            let state = lock(&node.state);
            files.insert(path.clone(), (node.bytes(&state), state.modified_ms));
        }
        SimDisk::restored(&world, files)
    }

    /// The disk as a power cut leaves it, one of many ways, chosen by `seed`.
    pub fn crash(&self, seed: u64) -> SimDisk {
        let mut random = SimRandom::new(seed);
        let world = lock(&self.world);
        // Names: of each directory's unsynced changes a prefix, for a journal keeps their order.
        let mut durable = world.durable.clone();
        let dirs: BTreeSet<&PathBuf> = world.pending.iter().map(|(dir, _)| dir).collect();
        let (mut chosen, mut torn) = (BTreeSet::new(), Vec::new());
        for dir in dirs {
            let changes = world.pending.iter().enumerate();
            let changes: Vec<_> = changes.filter(|(_, (of, _))| of == dir).collect();
            let kept = random.below(changes.len() as u64 + 1) as usize;
            chosen.extend(changes[..kept].iter().map(|(number, _)| *number));
            if let Some((_, (_, Change::Rename(_, to, node)))) = changes.get(kept)
                && world.torn_renames
                && random.one_in(2)
            {
                torn.push((to.clone(), node.clone()));
            }
        }
        World::settle(&mut durable, &world.pending, &chosen);
        durable.extend(torn);
        let mut files = BTreeMap::new();
        for (path, node) in durable {
            let state = lock(&node.state);
            if !state.len_is_durable && random.one_in(2) {
                files.insert(path, (Vec::new(), state.modified_ms));
                continue;
            }
            let live = node.bytes(&state);
            let mut bytes = state.durable.clone();
            for &page in &state.dirty {
                let range = page * PAGE..((page + 1) * PAGE).min(node.len);
                match random.below(3) {
                    0 => {}
                    1 => bytes[range.clone()].copy_from_slice(&live[range]),
                    _ => {
                        for start in range.clone().step_by(SECTOR) {
                            if random.one_in(2) {
                                let sector = start..(start + SECTOR).min(range.end);
                                bytes[sector.clone()].copy_from_slice(&live[sector]);
                            }
                        }
                    }
                }
            }
            files.insert(path, (bytes, state.modified_ms));
        }
        SimDisk::restored(&world, files)
    }

    fn restored(old: &World, contents: BTreeMap<PathBuf, (Vec<u8>, i64)>) -> SimDisk {
        let mut files = BTreeMap::new();
        for (path, (bytes, modified_ms)) in contents {
            let node = Node::new(bytes.len(), &bytes, true).expect("memory for a simulated file");
            lock(&node.state).modified_ms = modified_ms;
            files.insert(path, node);
        }
        // A directory whose move or removal did not last is there again with its files.
        let mut dirs = old.dirs.clone();
        let above = files.keys().flat_map(|path| path.ancestors().skip(1));
        dirs.extend(above.map(Path::to_path_buf));
        let world = World {
            durable: files.clone(),
            files,
            dirs,
            usage: old.usage,
            now_ms: old.now_ms,
            torn_renames: old.torn_renames,
            ..World::default()
        };
        SimDisk {
            world: Arc::new(Mutex::new(world)),
        }
    }

    /// Paths of all files, as they are now.
    pub fn paths(&self) -> Vec<PathBuf> {
        lock(&self.world).files.keys().cloned().collect()
    }

    /// Content of a file, as it is now.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let node = lock(&self.world).files.get(path).cloned()?;
        let state = lock(&node.state);
        Some(node.bytes(&state))
    }

    /// Puts a file there, durable, as if another program had made it.
    pub fn put(&self, path: &Path, content: &[u8]) {
        let node = Node::new(content.len(), content, true).expect("memory for a simulated file");
        let mut world = lock(&self.world);
        world.dirs.extend(path.ancestors().skip(1).map(Path::to_path_buf));
        world.files.insert(path.to_path_buf(), node.clone());
        world.durable.insert(path.to_path_buf(), node);
    }

    /// Takes a file away, durable, as if another program had.
    pub fn take(&self, path: &Path) {
        let mut world = lock(&self.world);
        world.files.remove(path);
        world.durable.remove(path);
    }

    /// Lets operations fail from now on, in addition to those that do already.
    pub fn inject(&self, injection: Injection) {
        lock(&self.world).injections.push(injection);
    }

    /// Whatever was injected is over.
    pub fn clear_injections(&self) {
        lock(&self.world).injections.clear();
    }

    /// Whether the process has a descriptor left. Without one nothing is opened or made, and files that are not pinned can not
    /// be grown, cleared, read or synced.
    pub fn set_descriptors(&self, left: bool) {
        lock(&self.world).no_descriptors = !left;
    }

    /// Whether a crash may leave both names of a file that was renamed, as file systems without a journal do.
    pub fn set_torn_renames(&self, torn: bool) {
        lock(&self.world).torn_renames = torn;
    }

    /// What every such operation takes from now on, ms. Nobody waits; [`SimDisk::spent_ms`] says what it would have been.
    pub fn set_cost(&self, operation: Operation, ms: u64) {
        lock(&self.world).costs.push((operation, ms));
    }

    /// What the operations took so far that have a cost, ms.
    pub fn spent_ms(&self) -> u64 {
        lock(&self.world).spent_ms
    }

    /// An operation for which something has to be opened first.
    fn open_and_step(&self, operation: Operation, path: &Path) -> Result<MutexGuard<'_, World>> {
        if lock(&self.world).no_descriptors {
            let error = io::Error::from_raw_os_error(libc::EMFILE);
            return Err(Error::new(Operation::Open, path, error));
        }
        self.step(operation, path)
    }

    fn step(&self, operation: Operation, path: &Path) -> Result<MutexGuard<'_, World>> {
        let mut world = lock(&self.world);
        world.operations += 1;
        let cost = world.costs.iter().rev().find(|(of, _)| *of == operation);
        world.spent_ms += cost.map_or(0, |(_, ms)| *ms);
        let injected = world.injections.iter().find(|injection| {
            path.starts_with(&injection.below)
                && (injection.operations.is_empty() || injection.operations.contains(&operation))
        });
        if let Some(injection) = injected {
            let error = io::Error::from_raw_os_error(injection.errno);
            return Err(Error::new(operation, path, error));
        }
        if world.fail_at == Some(world.operations) {
            world.failed = Some(operation);
            return Err(Error::new(operation, path, io::Error::other("simulated failure")));
        }
        Ok(world)
    }

    fn file(&self, path: &Path, node: Arc<Node>, options: MapOptions, published: u64) -> SimFile {
        lock(&node.state).published = published;
        SimFile {
            disk: self.clone(),
            path: path.to_path_buf(),
            node,
            options,
        }
    }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().map(Path::to_path_buf).unwrap_or_default()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    name.into()
}

/// A held lock of a [`SimDisk`].
#[derive(Debug)]
pub struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        lock(&self.disk.world).locked.remove(&self.path);
    }
}

impl Disk for SimDisk {
    type File = SimFile;
    type Lock = SimLock;

    // Directories are durable at once: the store makes them before it needs them and syncs what is in them.
    fn create_dirs(&self, path: &Path) -> Result<()> {
        let mut world = self.step(Operation::CreateDirectory, path)?;
        world.dirs.extend(path.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    fn list(&self, path: &Path) -> Result<Vec<DirEntry>> {
        let world = self.open_and_step(Operation::List, path)?;
        let mut entries = Vec::new();
        let name_of = |child: &Path| child.file_name().map(|name| name.to_string_lossy().into_owned());
        for dir in world.dirs.iter().filter(|dir| dir.parent() == Some(path)) {
            entries.extend(name_of(dir).map(|name| DirEntry {
                name,
                is_dir: true,
                len: 0,
                allocated: 0,
                modified_ms: 0,
            }));
        }
        for (file, node) in world.files.iter().filter(|(file, _)| file.parent() == Some(path)) {
            let modified_ms = lock(&node.state).modified_ms;
            entries.extend(name_of(file).map(|name| DirEntry {
                name,
                is_dir: false,
                len: node.len as u64,
                allocated: node.len as u64,
                modified_ms,
            }));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn create(&self, path: &Path, len: u64, options: MapOptions) -> Result<SimFile> {
        let mut world = self.open_and_step(Operation::Create, path)?;
        if world.files.contains_key(path) {
            return Err(Error::new(
                Operation::Create,
                path,
                ErrorKind::AlreadyExists.into(),
            ));
        }
        let node = Node::new(len as usize, &[], false);
        let node = node.map_err(|error| Error::new(Operation::Create, path, error))?;
        lock(&node.state).modified_ms = world.now_ms;
        world.change(&parent(path), Change::Set(path.to_path_buf(), node.clone()));
        drop(world);
        Ok(self.file(path, node, options, 0))
    }

    fn open(&self, path: &Path, len: u64, options: MapOptions) -> Result<SimFile> {
        let world = match options.pinned {
            true => self.open_and_step(Operation::Open, path)?,
            false => self.step(Operation::Open, path)?,
        };
        let Some(node) = world.files.get(path).cloned() else {
            return Err(Error::new(Operation::Open, path, ErrorKind::NotFound.into()));
        };
        drop(world);
        if node.len as u64 != len {
            let text = format!("it has {} bytes, but files there have {len}", node.len);
            return Err(Error::new(
                Operation::Open,
                path,
                io::Error::new(ErrorKind::InvalidData, text),
            ));
        }
        Ok(self.file(path, node, options, len))
    }

    fn extend(&self, path: &Path, len: u64) -> Result<()> {
        let mut world = self.step(Operation::Write, path)?;
        let Some(node) = world.files.get(path).cloned() else {
            return Err(Error::new(Operation::Open, path, ErrorKind::NotFound.into()));
        };
        if (node.len as u64) < len {
            let bytes = node.bytes(&lock(&node.state));
            let longer = Node::new(len as usize, &bytes, false);
            let longer = longer.map_err(|error| Error::new(Operation::Write, path, error))?;
            world.change(&parent(path), Change::Set(path.to_path_buf(), longer));
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        let mut world = self.step(Operation::Remove, path)?;
        if world.files.contains_key(path) {
            world.change(&parent(path), Change::Remove(path.to_path_buf()));
        }
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> Result<()> {
        let mut world = self.step(Operation::Remove, path)?;
        let below = |files: &BTreeMap<PathBuf, Arc<Node>>| -> Vec<(PathBuf, Arc<Node>)> {
            let inside = files.iter().filter(|(file, _)| file.starts_with(path));
            inside.map(|(file, node)| (file.clone(), node.clone())).collect()
        };
        let (mut gone, durable) = (below(&world.files), below(&world.durable));
        // One by one, each durable with its own directory; and all of them with the one above.
        for (file, _) in &gone {
            world.change(&parent(file), Change::Remove(file.clone()));
        }
        gone.extend(durable);
        if !gone.is_empty() {
            world.change(&parent(path), Change::RemoveDir(path.to_path_buf(), gone));
        }
        world.dirs.retain(|dir| !dir.starts_with(path));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut world = self.step(Operation::Rename, from)?;
        let dirs: Vec<_> = world
            .dirs
            .iter()
            .filter(|dir| dir.starts_with(from))
            .cloned()
            .collect();
        if dirs.is_empty() {
            if let Some(node) = world.files.get(from).cloned() {
                world.change(
                    &parent(from),
                    Change::Rename(from.to_path_buf(), to.to_path_buf(), node),
                );
            }
            return Ok(());
        }
        for dir in dirs {
            world.dirs.remove(&dir);
            if let Ok(rest) = dir.strip_prefix(from) {
                world.dirs.insert(to.join(rest));
            }
        }
        // What is not durable yet of the directory's content goes with it.
        for (dir, change) in &mut world.pending {
            if let Ok(rest) = dir.strip_prefix(from) {
                *dir = to.join(rest);
                change.moved(from, to);
            }
        }
        world.change(
            &parent(from),
            Change::RenameDir(from.to_path_buf(), to.to_path_buf()),
        );
        Ok(())
    }

    fn replace(&self, file: SimFile, path: &Path) -> Result<SimFile> {
        let mut world = self.step(Operation::Rename, &file.path)?;
        let node = file.node.clone();
        let change = Change::Rename(file.path.clone(), path.to_path_buf(), node);
        world.change(&parent(path), change);
        drop(world);
        Ok(SimFile {
            path: path.to_path_buf(),
            ..file
        })
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let mut world = self.open_and_step(Operation::Sync, path)?;
        let World { pending, durable, .. } = &mut *world;
        let of_dir = pending.iter().enumerate().filter(|(_, (dir, _))| dir == path);
        let chosen = of_dir.map(|(number, _)| number).collect();
        let settled = World::settle(durable, pending, &chosen);
        let mut number = 0..;
        pending.retain(|_| !number.next().is_some_and(|number| settled.contains(&number)));
        Ok(())
    }

    fn sync_file_system(&self, path: &Path) -> Result<()> {
        let mut world = self.open_and_step(Operation::Sync, path)?;
        let World {
            pending,
            durable,
            files,
            ..
        } = &mut *world;
        World::settle(durable, pending, &(0..pending.len()).collect());
        pending.clear();
        for node in files.values() {
            node.sync(&mut lock(&node.state), 0..node.len);
        }
        Ok(())
    }

    fn read_small(&self, path: &Path, max_bytes: u64) -> Result<Option<Vec<u8>>> {
        let world = self.open_and_step(Operation::Read, path)?;
        let Some(node) = world.files.get(path) else {
            return Ok(None);
        };
        if node.len as u64 > max_bytes {
            let text = format!("it has more than {max_bytes} bytes");
            return Err(Error::new(
                Operation::Read,
                path,
                io::Error::new(ErrorKind::InvalidData, text),
            ));
        }
        Ok(Some(node.bytes(&lock(&node.state))))
    }

    fn write_small(&self, path: &Path, content: &[u8], keep_previous: bool) -> Result<()> {
        let temporary = with_suffix(path, ".tmp");
        self.create_dirs(&parent(path))?;
        let mut world = self.open_and_step(Operation::Write, path)?;
        let end = world.used + content.len() as u64;
        if !content.is_empty() && world.capacity.is_some_and(|capacity| end > capacity) {
            return Err(Error::new(Operation::Write, path, ErrorKind::StorageFull.into()));
        }
        let node = Node::new(content.len(), content, false);
        let node = node.map_err(|error| Error::new(Operation::Write, path, error))?;
        world.change(&parent(path), Change::Set(temporary.clone(), node.clone()));
        drop(world);
        drop(self.step(Operation::Sync, &temporary)?);
        node.sync(&mut lock(&node.state), 0..content.len());
        let mut world = self.step(Operation::Rename, path)?;
        if keep_previous && let Some(previous) = world.files.get(path).cloned() {
            world.change(&parent(path), Change::Set(with_suffix(path, ".bak"), previous));
        }
        world.change(&parent(path), Change::Rename(temporary, path.to_path_buf(), node));
        drop(world);
        self.sync_dir(&parent(path))
    }

    fn lock(&self, path: &Path) -> Result<Option<SimLock>> {
        let mut world = self.open_and_step(Operation::Lock, path)?;
        let free = world.locked.insert(path.to_path_buf());
        Ok(free.then(|| SimLock {
            disk: self.clone(),
            path: path.to_path_buf(),
        }))
    }

    fn lock_dir(&self, path: &Path) -> Result<Option<SimLock>> {
        self.lock(path)
    }

    fn is_locked(&self, path: &Path) -> Result<bool> {
        Ok(lock(&self.world).locked.contains(path))
    }

    fn usage(&self, path: &Path) -> Result<Usage> {
        let world = self.step(Operation::Usage, path)?;
        Ok(world.usage.unwrap_or(Usage {
            used: 0,
            available: 1 << 40,
        }))
    }
}

/// A file of a [`SimDisk`].
#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    node: Arc<Node>,
    options: MapOptions,
}

impl SimFile {
    /// An operation for which a file that is not pinned is opened.
    fn step(&self, operation: Operation) -> Result<MutexGuard<'_, World>> {
        match self.options.pinned {
            true => self.disk.step(operation, &self.path),
            false => self.disk.open_and_step(operation, &self.path),
        }
    }

    fn reserve_locked(&self, state: &mut NodeState, range: &Range<u64>) -> Result<()> {
        if state.reserved.covers(range) {
            return Ok(());
        }
        let mut world = self.step(Operation::Reserve)?;
        let mut wanted = stretch(
            range,
            self.options.reserve_step_bytes.min(range.start.max(4096)),
            self.len(),
        );
        let fits = |wanted: &Range<u64>| {
            world
                .capacity
                .is_none_or(|capacity| world.used + (wanted.end - wanted.start) <= capacity)
        };
        if !fits(&wanted) {
            wanted = stretch(range, 0, self.len());
        }
        if !fits(&wanted) {
            return Err(Error::new(
                Operation::Reserve,
                &self.path,
                ErrorKind::StorageFull.into(),
            ));
        }
        world.used += wanted.end - wanted.start;
        state.reserved.add(wanted);
        Ok(())
    }
}

impl MappedFile for SimFile {
    fn len(&self) -> u64 {
        self.node.len as u64
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn published(&self) -> u64 {
        lock(&self.node.state).published
    }

    fn publish(&self, end: u64) {
        assert!(
            end <= self.len(),
            "published beyond the end of {}",
            self.path.display()
        );
        let mut state = lock(&self.node.state);
        state.published = state.published.max(end);
    }

    fn unpublish(&self, end: u64) -> Result<()> {
        let mut state = lock(&self.node.state);
        if end >= state.published {
            return Ok(());
        }
        if Arc::strong_count(&self.node.live) > 1 {
            return Err(Error::new(
                Operation::Unpublish,
                &self.path,
                ErrorKind::WouldBlock.into(),
            ));
        }
        state.published = end;
        Ok(())
    }

    fn write_with<R>(&self, at: u64, len: u64, fill: impl FnOnce(&mut [u8]) -> R) -> Result<R> {
        let mut state = lock(&self.node.state);
        let end = at + len;
        assert!(
            end <= self.len(),
            "write beyond the end of {}",
            self.path.display()
        );
        assert!(
            at >= state.published,
            "write at {at} below the published end of {}",
            self.path.display()
        );
        self.reserve_locked(&mut state, &(at..end))?;
        state.modified_ms = lock(&self.disk.world).now_ms;
        state
            .dirty
            .extend(at as usize / PAGE..(end as usize).div_ceil(PAGE));
        // SAFETY: inside the region; slices exist only below the published end, everything else takes this lock.
        Ok(fill(unsafe {
            self.node.live.bytes_mut(at as usize..end as usize)
        }))
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<()> {
        drop(self.step(Operation::Read)?);
        let _state = lock(&self.node.state);
        let end = at + out.len() as u64;
        if end > self.len() {
            return Err(Error::new(
                Operation::Read,
                &self.path,
                ErrorKind::UnexpectedEof.into(),
            ));
        }
        // SAFETY: inside the region; writes take the lock that we hold.
        out.copy_from_slice(unsafe { self.node.live.bytes(at as usize..end as usize) });
        Ok(())
    }

    fn next_data(&self, from: u64) -> Result<Option<u64>> {
        drop(self.step(Operation::Read)?);
        let _state = lock(&self.node.state);
        let from = (from as usize).min(self.node.len);
        // SAFETY: inside the region; writes take the lock that we hold.
        let rest = unsafe { self.node.live.bytes(from..self.node.len) };
        let first = rest.iter().position(|&byte| byte != 0);
        // By blocks, as a file system does.
        Ok(first.map(|first| ((from + first) / PAGE * PAGE).max(from) as u64))
    }

    fn slice(&self, range: Range<u64>) -> Result<Option<MappedSlice>> {
        let state = lock(&self.node.state);
        if range.start > range.end || range.end > state.published {
            return Ok(None);
        }
        let range = range.start as usize..range.end as usize;
        // SAFETY: inside the region; published bytes are not written, and `unpublish` sees the count.
        Ok(Some(unsafe { MappedSlice::new(self.node.live.clone(), range) }))
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        self.reserve_locked(&mut lock(&self.node.state), &range)
    }

    fn populate(&self, range: Range<u64>) -> Result<()> {
        let range = range.start.min(self.len())..range.end.min(self.len());
        lock(&self.disk.world).populated += range.end - range.start;
        self.reserve(range)
    }

    fn zero_from(&self, from: u64) -> Result<()> {
        drop(self.step(Operation::Zero)?);
        let mut state = lock(&self.node.state);
        assert!(
            from >= state.published,
            "clearing published bytes of {}",
            self.path.display()
        );
        state.reserved.cut(from);
        let range = (from as usize).min(self.node.len)..self.node.len;
        state.dirty.extend(range.start / PAGE..range.end.div_ceil(PAGE));
        // SAFETY: inside the region; nothing from `from` on is published, everything else takes this lock.
        unsafe { self.node.live.bytes_mut(range) }.fill(0);
        Ok(())
    }

    fn sync(&self, range: Range<u64>) -> Result<()> {
        drop(self.step(Operation::Sync)?);
        let mut state = lock(&self.node.state);
        self.node
            .sync(&mut state, range.start as usize..range.end as usize);
        Ok(())
    }

    fn forget(&self) {}
}
