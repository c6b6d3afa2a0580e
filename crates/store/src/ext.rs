//! The extension of a consumequeue (`enableConsumeQueueExt`): what a unit has no room for.
//!
//! | bytes | field |
//! |---|---|
//! | 0–1 | length of the unit i16, at least 20 |
//! | 2–9 | tagsCode i64 |
//! | 10–17 | store time i64, ms |
//! | 18–19 | length of the bitmap i16 |
//! | 20… | bitmap of the consumer filters that want the message |
//!
//! Units follow one another. Where less than a unit and four bytes are left of a file, an i16 of −1 ends it. A unit of the
//! consumequeue then holds, in the place of its tagsCode, the *address*: the position here plus `i64::MIN`. Whatever is
//! not above −2,147,483,649 is an address, for a tagsCode is the hash of a tag (RocketMQ 4.9.8, ConsumeQueueExt).

use crate::queue::{QueueFile, QueueFiles};
use disk::{Disk, MappedFile};
use parking_lot::RwLock;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Bytes of a unit without bitmap.
pub(crate) const EXT_UNIT_MIN: i64 = 20;
/// Bytes that stay free behind the last unit of a file, at least.
pub(crate) const END_LEN: i64 = 4;
/// The highest address.
const ADDRESS_MAX: i64 = i32::MIN as i64 - 1;
/// Positions do not go beyond this one: their addresses would look like tagsCodes.
const POSITION_MAX: i64 = ADDRESS_MAX.wrapping_sub(i64::MIN);

/// Whether a consumequeue unit's tagsCode is an address.
pub(crate) fn is_address(tags_code: i64) -> bool {
    tags_code <= ADDRESS_MAX
}

/// The position an address stands for.
pub(crate) fn position_of(address: i64) -> i64 {
    address.wrapping_sub(i64::MIN)
}

/// What a unit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExtUnit {
    pub(crate) tags_code: i64,
    pub(crate) store_timestamp: i64,
    pub(crate) bitmap: Vec<u8>,
}

/// What an extension says of a message beside its tag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extra<'a> {
    pub(crate) store_timestamp: i64,
    pub(crate) bitmap: &'a [u8],
}

impl ExtUnit {
    fn encode(&self) -> Vec<u8> {
        let len = EXT_UNIT_MIN as usize + self.bitmap.len();
        let mut bytes = Vec::with_capacity(len);
        bytes.extend_from_slice(&(len as i16).to_be_bytes());
        bytes.extend_from_slice(&self.tags_code.to_be_bytes());
        bytes.extend_from_slice(&self.store_timestamp.to_be_bytes());
        bytes.extend_from_slice(&(self.bitmap.len() as i16).to_be_bytes());
        bytes.extend_from_slice(&self.bitmap);
        bytes
    }
}

/// The extension of one queue. Written by whoever holds the reput lock, read by everyone.
#[derive(Debug)]
pub(crate) struct Ext<F> {
    file_size: i64,
    /// One behind the last unit.
    end: AtomicI64,
    flushed: AtomicI64,
    /// What a sync of everything that is under way will cover.
    covered: AtomicI64,
    new_names: AtomicBool,
    files: RwLock<Vec<Arc<QueueFile<F>>>>,
}

impl<F: MappedFile> Ext<F> {
    pub(crate) fn new(file_size: i64) -> Self {
        Ext {
            file_size,
            end: AtomicI64::new(0),
            flushed: AtomicI64::new(0),
            covered: AtomicI64::new(0),
            new_names: AtomicBool::new(false),
            files: RwLock::default(),
        }
    }

    /// An extension as recovery found it. `last` is the address in the last unit of the queue that has one: what lies
    /// behind its unit is dropped. Returns the paths of the files that were removed with it, too.
    pub(crate) fn loaded<D: Disk<File = F>>(
        disk: &D,
        file_size: i64,
        files: Vec<Arc<QueueFile<F>>>,
        last: Option<i64>,
    ) -> disk::Result<(Self, Vec<PathBuf>)> {
        let ext = Ext::new(file_size);
        *ext.files.write() = files;
        let removed = ext.cut_behind(disk, last)?;
        ext.flushed
            .store(ext.end.load(Ordering::Acquire), Ordering::Release);
        Ok((ext, removed))
    }

    /// Drops what lies behind the unit at the address `last`; all, if there is none. Returns the paths of the files that were
    /// removed. Only under the reput lock.
    ///
    /// Unlike Java, which takes the end from the files alone: if they are gone the next address is still none that a unit
    /// of the queue has already.
    pub(crate) fn cut_behind<D: Disk<File = F>>(
        &self,
        disk: &D,
        last: Option<i64>,
    ) -> disk::Result<Vec<PathBuf>> {
        let file_size = self.file_size;
        let end = match last.map(position_of) {
            None => 0,
            Some(position) => match self.unit_len(position)? {
                Some(len) => position + len,
                None => position - position % file_size + file_size,
            },
        };
        let mut removed = Vec::new();
        let mut list = self.files.write();
        while let Some(file) = list.last().filter(|file| file.start >= end) {
            disk.remove_file(file.file.path())?;
            // Should the next one stay: it is full.
            self.end.fetch_min(file.start, Ordering::AcqRel);
            self.flushed.fetch_min(file.start, Ordering::AcqRel);
            self.new_names.store(true, Ordering::Release);
            file.file.forget();
            removed.push(file.file.path().to_path_buf());
            list.pop();
        }
        if let Some(file) = list.last() {
            let cut = (end - file.start).min(file_size) as u64;
            file.file.unpublish(cut)?;
            self.end.store(end, Ordering::Release);
            let mut next = [0; 2];
            if cut + 2 <= file_size as u64 {
                file.file.read(cut, &mut next)?;
            }
            if next != [0; 2] {
                file.file.zero_from(cut)?;
            }
        }
        self.end.store(end, Ordering::Release);
        self.flushed.fetch_min(end, Ordering::AcqRel);
        Ok(removed)
    }

    fn file_at(&self, position: i64) -> Option<Arc<QueueFile<F>>> {
        let files = self.files.read();
        let after = files.partition_point(|file| file.start <= position);
        let file = files.get(after.checked_sub(1)?)?;
        (position < file.start + self.file_size).then(|| file.clone())
    }

    /// Length of the unit at `position` if there can be one.
    fn unit_len(&self, position: i64) -> disk::Result<Option<i64>> {
        let Some((file, at)) = self
            .file_at(position)
            .map(|file| (file.clone(), position - file.start))
        else {
            return Ok(None);
        };
        if at + EXT_UNIT_MIN + END_LEN > self.file_size {
            return Ok(None);
        }
        let mut head = [0; EXT_UNIT_MIN as usize];
        file.file.read(at as u64, &mut head)?;
        let len = i64::from(i16::from_be_bytes([head[0], head[1]]));
        let bitmap = i64::from(i16::from_be_bytes([head[18], head[19]]));
        let good = bitmap >= 0 && len == EXT_UNIT_MIN + bitmap && at + len + END_LEN <= self.file_size;
        Ok(good.then_some(len))
    }

    /// Has a look at what lies at an address; `None` where no unit is. Allocates nothing for a bitmap of the usual length.
    pub(crate) fn look<R>(
        &self,
        address: i64,
        look: impl FnOnce(i64, Extra<'_>) -> R,
    ) -> disk::Result<Option<R>> {
        let position = position_of(address);
        if !is_address(address) || position >= self.end.load(Ordering::Acquire) {
            return Ok(None);
        }
        let (Some(len), Some(file)) = (self.unit_len(position)?, self.file_at(position)) else {
            return Ok(None);
        };
        let (mut few, mut many) = ([0; 256], Vec::new());
        let bytes = match few.get_mut(..len as usize) {
            Some(few) => few,
            None => {
                many.resize(len as usize, 0);
                many.as_mut_slice()
            }
        };
        file.file.read((position - file.start) as u64, bytes)?;
        let long = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            i64::from_be_bytes(eight)
        };
        let extra = Extra {
            store_timestamp: long(10),
            bitmap: &bytes[EXT_UNIT_MIN as usize..],
        };
        Ok(Some(look(long(2), extra)))
    }

    /// Appends a unit and returns its address; `None` for one that does not fit a file, or when no address is left. Only
    /// under the reput lock.
    pub(crate) fn put<D: Disk<File = F>>(
        &self,
        disk: &D,
        dir: &Path,
        unit: &ExtUnit,
    ) -> disk::Result<Option<i64>> {
        let len = EXT_UNIT_MIN + unit.bitmap.len() as i64;
        let end = self.end.load(Ordering::Acquire);
        if len > i64::from(i16::MAX) || len + END_LEN > self.file_size || end + len > POSITION_MAX {
            return Ok(None);
        }
        let mut position = end;
        let left = self.file_size - position % self.file_size;
        if len + END_LEN > left {
            if let Some(file) = self.file_at(position) {
                file.file
                    .write((position - file.start) as u64, &(-1i16).to_be_bytes())?;
            }
            position += left;
        }
        let file = match self.file_at(position) {
            Some(file) => file,
            None => {
                let start = position - position % self.file_size;
                let file = Arc::new(QueueFiles::create(disk, dir, start, self.file_size)?);
                self.files.write().push(file.clone());
                self.new_names.store(true, Ordering::Release);
                file
            }
        };
        file.file.write((position - file.start) as u64, &unit.encode())?;
        self.end.store(position + len, Ordering::Release);
        Ok(Some(position.wrapping_add(i64::MIN)))
    }

    pub(crate) fn file_size(&self) -> i64 {
        self.file_size
    }

    /// The address that the first file begins with.
    pub(crate) fn first_address(&self) -> Option<i64> {
        let files = self.files.read();
        files.first().map(|file| file.start.wrapping_add(i64::MIN))
    }

    /// Files that are missing among those that hold the addresses from `first` to `last`: where each starts.
    pub(crate) fn missing_files(&self, first: i64, last: i64) -> Vec<i64> {
        let start_of = |address| position_of(address) / self.file_size;
        let all = (start_of(first)..=start_of(last)).map(|nth| nth * self.file_size);
        let files = self.files.read();
        all.filter(|start| files.binary_search_by_key(start, |file| file.start).is_err())
            .collect()
    }

    /// Writes a unit where an address says that it was, in a file that is made if it is not there. Only while the store is
    /// opened; not into files that were there.
    pub(crate) fn restore<D: Disk<File = F>>(
        &self,
        disk: &D,
        dir: &Path,
        address: i64,
        unit: &ExtUnit,
    ) -> disk::Result<()> {
        let position = position_of(address);
        let start = position - position % self.file_size;
        let bytes = unit.encode();
        if position + bytes.len() as i64 > start + self.file_size {
            return Ok(());
        }
        let file = match self.file_at(position) {
            Some(file) => file,
            None => {
                let file = Arc::new(QueueFiles::create(disk, dir, start, self.file_size)?);
                let mut files = self.files.write();
                let behind = files.partition_point(|other| other.start < start);
                files.insert(behind, file.clone());
                self.new_names.store(true, Ordering::Release);
                file
            }
        };
        self.flushed.fetch_min(position, Ordering::AcqRel);
        file.file.write((position - start) as u64, &bytes)
    }

    /// Ends restored files behind their last unit, which is at one of these addresses; where that is the `last` of all, the next
    /// unit goes behind it.
    pub(crate) fn end_restored(&self, addresses: impl Iterator<Item = i64>, last: i64) -> disk::Result<()> {
        for address in addresses {
            let position = position_of(address);
            let (Some(len), Some(file)) = (self.unit_len(position)?, self.file_at(position)) else {
                continue;
            };
            let at = (position + len - file.start) as u64;
            match address == last {
                true => self.end.store(position + len, Ordering::Release),
                false => file.file.write(at, &(-1i16).to_be_bytes())?,
            }
        }
        Ok(())
    }

    /// Makes the units written so far durable: to be done before the consumequeue units that point here are.
    pub(crate) fn flush<D: Disk>(&self, disk: &D, dir: &Path) -> disk::Result<()> {
        let end = self.end.load(Ordering::Acquire);
        let from = self.flushed.load(Ordering::Acquire);
        let files = self.files.read().clone();
        for file in &files {
            let start = (from - file.start).max(0);
            // With the mark that ends the file.
            let stop = (end + 2 - file.start).min(self.file_size);
            if start < stop && from < end {
                file.file.sync(start as u64..stop as u64)?;
            }
        }
        if self.new_names.swap(false, Ordering::AcqRel) {
            let synced = dir.ancestors().take(3).try_for_each(|dir| disk.sync_dir(dir));
            if synced.is_err() {
                self.new_names.store(true, Ordering::Release);
            }
            synced?;
        }
        self.flushed.fetch_max(end, Ordering::AcqRel);
        Ok(())
    }

    /// Before all files are made durable at once: takes what that will cover.
    pub(crate) fn begin_flush(&self) {
        self.new_names.store(false, Ordering::Release);
        self.covered
            .store(self.end.load(Ordering::Acquire), Ordering::Release);
    }

    /// After it.
    pub(crate) fn end_flush(&self) {
        self.flushed
            .fetch_max(self.covered.load(Ordering::Acquire), Ordering::AcqRel);
    }

    /// When that did not happen.
    pub(crate) fn abandon_flush(&self) {
        self.new_names.store(true, Ordering::Release);
    }

    /// Takes out the files that lie before an address, the last one excepted.
    pub(crate) fn take_expired(&self, address: i64) -> Vec<Arc<QueueFile<F>>> {
        let position = position_of(address);
        let mut files = self.files.write();
        let expired = files
            .iter()
            .take(files.len().saturating_sub(1))
            .take_while(|file| file.start + self.file_size <= position)
            .count();
        files.drain(..expired).collect()
    }

    /// All files.
    pub(crate) fn take_all(&self) -> Vec<Arc<QueueFile<F>>> {
        std::mem::take(&mut self.files.write())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<F: MappedFile> Ext<F> {
        fn get(&self, address: i64) -> disk::Result<Option<ExtUnit>> {
            self.look(address, |tags_code, extra| ExtUnit {
                tags_code,
                store_timestamp: extra.store_timestamp,
                bitmap: extra.bitmap.to_vec(),
            })
        }
    }
    use crate::log::file_name;
    use disk::SimDisk;

    fn unit(tags_code: i64, bitmap: &[u8]) -> ExtUnit {
        ExtUnit {
            tags_code,
            store_timestamp: 7,
            bitmap: bitmap.to_vec(),
        }
    }

    #[test]
    fn addresses_are_below_every_hash_of_a_tag() {
        assert!(!is_address(i64::from(i32::MIN)));
        assert!(is_address(i64::from(i32::MIN) - 1));
        assert_eq!(position_of(i64::MIN + 40), 40);
        assert_eq!(POSITION_MAX, 9_223_372_034_707_292_159);
    }

    #[test]
    fn units_have_the_bytes_of_java_and_a_file_ends_with_a_mark() {
        let disk = SimDisk::new();
        let ext = Ext::new(64);
        let dir = Path::new("/ext/T/0");
        let addresses: Vec<_> = [&b""[..], b"\x05", b"", b""]
            .iter()
            .map(|bitmap| ext.put(&disk, dir, &unit(-3, bitmap)).unwrap().unwrap())
            .collect();
        // The third would leave three bytes: it needs 20 and 4 behind it.
        assert_eq!(addresses.map_positions(), [0, 20, 64, 84]);
        let first = disk.content(&dir.join(file_name(0))).unwrap();
        assert_eq!(first[..2], [0, 20]);
        assert_eq!(first[2..10], [255, 255, 255, 255, 255, 255, 255, 253]);
        assert_eq!(first[10..20], [0, 0, 0, 0, 0, 0, 0, 7, 0, 0]);
        assert_eq!(first[20..22], [0, 21]);
        assert_eq!(first[38..41], [0, 1, 5]);
        assert_eq!(first[41..43], [255, 255], "the end of the file");
        assert_eq!(ext.get(addresses[1]).unwrap(), Some(unit(-3, b"\x05")));
        assert_eq!(ext.get(i64::MIN + 104).unwrap(), None, "behind the end");
        assert_eq!(ext.put(&disk, dir, &unit(1, &[0; 41])).unwrap(), None, "too long");
    }

    trait Positions {
        fn map_positions(&self) -> Vec<i64>;
    }

    impl Positions for Vec<i64> {
        fn map_positions(&self) -> Vec<i64> {
            self.iter().map(|address| position_of(*address)).collect()
        }
    }
}
