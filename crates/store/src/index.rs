//! The key index: files of hash chains from `topic#key` to positions in the log.
//!
//! | header bytes | field |
//! |---|---|
//! | 0–7 | beginTimestamp, ms |
//! | 8–15 | endTimestamp, ms |
//! | 16–23 | beginPhyOffset |
//! | 24–31 | endPhyOffset |
//! | 32–35 | used slots i32 |
//! | 36–39 | entry count i32, starts at 1 |
//!
//! Then the slots (i32 each, number of the newest entry of the chain), then entries of 20 bytes: key hash i32,
//! physical offset i64, seconds since beginTimestamp i32, previous entry of the slot i32. Entry 0 is never used.
//! (RocketMQ 4.9.8, IndexFile, IndexHeader, IndexService)

use crate::latch::Latched;
use crate::log::Step;
use crate::offset::PhysicalOffset;
use crate::settings::StoreSettings;
use crate::store::Store;
use disk::{Disk, MapOptions, MappedFile, Writes};
use message::hash::JavaHash;
use message::properties::{Wanted, get};
use message::record::{Check, Entry, View, decode};
use message::sys_flag;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

const HEADER: u64 = 40;
const ENTRY: u64 = 20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Header {
    begin_timestamp: i64,
    end_timestamp: i64,
    begin_physical: i64,
    end_physical: i64,
    slots_used: i32,
    count: i32,
}

impl Header {
    fn encode(self) -> [u8; HEADER as usize] {
        let mut bytes = [0; HEADER as usize];
        let longs = [
            self.begin_timestamp,
            self.end_timestamp,
            self.begin_physical,
            self.end_physical,
        ];
        for (at, value) in longs.into_iter().enumerate() {
            bytes[at * 8..at * 8 + 8].copy_from_slice(&value.to_be_bytes());
        }
        bytes[32..36].copy_from_slice(&self.slots_used.to_be_bytes());
        bytes[36..].copy_from_slice(&self.count.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER as usize]) -> Header {
        let long = |at: usize| i64::from(int(bytes, at)) << 32 | i64::from(int(bytes, at + 4) as u32);
        Header {
            begin_timestamp: long(0),
            end_timestamp: long(8),
            begin_physical: long(16),
            end_physical: long(24),
            slots_used: int(bytes, 32),
            // Java corrects 0 to 1 on loading, too.
            count: int(bytes, 36).max(1),
        }
    }
}

fn int(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

struct IndexFile<F> {
    file: F,
    header: Header,
    /// The header as it stands in the file.
    written: Header,
    /// The header has its block since the file was opened, so that it can be written on a full disk, too.
    has_block: bool,
    dirty: bool,
}

impl<F: MappedFile> IndexFile<F> {
    /// Brings the header in the file up to date. Not for every entry: after a crash no file is believed but those that
    /// were full and synced, and a stop syncs all.
    fn write_header(&mut self) -> disk::Result<()> {
        if self.written != self.header {
            self.file.write(0, &self.header.encode())?;
            self.written = self.header;
        }
        Ok(())
    }

    fn sync(&mut self) -> disk::Result<()> {
        self.write_header()?;
        self.file.sync(0..self.file.len())?;
        self.dirty = false;
        Ok(())
    }
}

/// The index files, oldest first, and how far the log is indexed.
pub(crate) struct Index<D: Disk> {
    dir: PathBuf,
    slots: i32,
    entries: i32,
    local_offset_ms: i64,
    files: Vec<IndexFile<D::File>>,
    /// The log below it is indexed.
    pub(crate) position: i64,
    /// End time of the newest full and flushed file, to be put in the checkpoint.
    full_timestamp: i64,
}

impl<D: Disk> Index<D> {
    fn len(&self) -> u64 {
        HEADER + self.slots as u64 * 4 + self.entries as u64 * ENTRY
    }

    fn options() -> MapOptions {
        MapOptions {
            reserve_step_bytes: 4 << 20,
            pinned: false,
            writes: Writes::Stores,
        }
    }

    /// Opens what is there. After an unclean stop only the files are kept that were full and flushed, which the
    /// checkpoint says by the time `vouched`; the rest is removed. So is, unlike Java, a file of a wrong length, or
    /// one with records that the log lost, with all that follow, instead of refusing to start: everything can be made
    /// again from the log.
    pub(crate) fn load(
        disk: &D,
        settings: &StoreSettings,
        vouched: Option<i64>,
        log_end: i64,
    ) -> disk::Result<Self> {
        let mut index = Index {
            dir: settings.index_dir(),
            slots: settings.index_slots,
            entries: settings.index_entries,
            local_offset_ms: settings.local_offset_ms,
            files: Vec::new(),
            position: 0,
            full_timestamp: 0,
        };
        let len = index.len();
        let mut keep = true;
        for entry in disk.list(&index.dir)? {
            let path = index.dir.join(&entry.name);
            if entry.is_dir || !entry.name.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            keep &= entry.len == len;
            if keep {
                let file = disk.open(&path, len, Self::options())?;
                file.unpublish(0)?;
                let mut bytes = [0; HEADER as usize];
                file.read(0, &mut bytes)?;
                let header = Header::decode(&bytes);
                let flushed = |vouched| header.count >= index.entries && header.end_timestamp <= vouched;
                keep = vouched.is_none_or(flushed)
                    && header.count <= index.entries
                    && header.end_physical >= header.begin_physical
                    && header.end_physical < log_end.max(1);
                if keep {
                    index.files.push(IndexFile {
                        file,
                        header,
                        written: header,
                        has_block: false,
                        dirty: false,
                    });
                }
            }
            if !keep {
                tracing::info!(file = %path.display(), "index file removed, its part of the log is indexed again");
                disk.remove_file(&path)?;
            }
        }
        Ok(index)
    }

    /// Decides where indexing goes on, once the log is known. After a clean stop the record at the newest entry has
    /// all its keys in; otherwise some may have been in the file that was removed, so it is entered again (queries
    /// give it once).
    pub(crate) fn resume(
        &mut self,
        clean: bool,
        log_min: i64,
        log_end: i64,
        record_end: impl Fn(i64) -> Option<i64>,
    ) {
        let last = self
            .files
            .last()
            .filter(|file| (log_min..log_end).contains(&file.header.end_physical));
        let known = last.and_then(|file| {
            // A file without entries was made for a record that then found no space.
            let complete = clean && file.header.count > 1;
            let position = file.header.end_physical;
            record_end(position).map(|end| if complete { end } else { position })
        });
        self.position = known.unwrap_or(log_min);
    }

    /// End time of the newest full file; 0 when there is none.
    pub(crate) fn full_timestamp(&self) -> i64 {
        let full = self
            .files
            .iter()
            .rev()
            .find(|file| file.header.count >= self.entries);
        full.map_or(0, |file| file.header.end_timestamp)
    }

    fn newest(&mut self, disk: &D, now: i64) -> disk::Result<&mut IndexFile<D::File>> {
        let full = self
            .files
            .last()
            .is_none_or(|file| file.header.count >= self.entries);
        if full {
            let mut header = Header {
                count: 1,
                ..Header::default()
            };
            if let Some(last) = self.files.last_mut() {
                // The next file starts with the end of the full one.
                header.begin_timestamp = last.header.end_timestamp;
                header.end_timestamp = last.header.end_timestamp;
                header.begin_physical = last.header.end_physical;
                header.end_physical = last.header.end_physical;
                last.sync()?;
                self.full_timestamp = last.header.end_timestamp;
            }
            disk.create_dirs(&self.dir)?;
            let path = self.free_name(now);
            // A try that failed for want of space may have left it.
            disk.remove_file(&path)?;
            let file = disk.create(&path, self.len(), Self::options())?;
            // Slots are written all over; entries follow one another.
            file.reserve(0..HEADER + self.slots as u64 * 4)?;
            file.write(0, &header.encode())?;
            disk.sync_dir(&self.dir)?;
            self.files.push(IndexFile {
                file,
                header,
                written: header,
                has_block: true,
                dirty: true,
            });
        }
        match self.files.last_mut() {
            Some(file) => Ok(file),
            None => unreachable!("a file was pushed when there was none"),
        }
    }

    /// A name for `now` (local time, 17 digits) that comes after those there are.
    fn free_name(&self, now: i64) -> PathBuf {
        let mut at = now + self.local_offset_ms;
        loop {
            let path = self.dir.join(digits(at));
            if self
                .files
                .last()
                .is_none_or(|last| last.file.path() < path.as_path())
            {
                return path;
            }
            at += 1;
            // Where the clock was set back by far, count on from the newest name.
            if let Some(next) = self.files.last().and_then(|last| next_digits(last.file.path())) {
                return self.dir.join(next);
            }
        }
    }

    fn put(&mut self, disk: &D, hash: i32, physical: i64, timestamp: i64, now: i64) -> disk::Result<()> {
        let (slots, entries) = (self.slots, self.entries);
        let file = self.newest(disk, now)?;
        if !file.has_block {
            file.file.reserve(0..HEADER)?;
            file.has_block = true;
        }
        let header = &mut file.header;
        let slot_at = HEADER + (hash % slots) as u64 * 4;
        let mut slot = [0; 4];
        file.file.read(slot_at, &mut slot)?;
        let head = i32::from_be_bytes(slot);
        let previous = if head <= 0 || head > header.count || head >= entries {
            0
        } else {
            head
        };
        let first = header.count <= 1;
        if first {
            header.begin_timestamp = timestamp;
            header.begin_physical = physical;
        }
        let seconds = if header.begin_timestamp <= 0 {
            0
        } else {
            ((timestamp - header.begin_timestamp) / 1000).clamp(0, i64::from(i32::MAX))
        };
        let mut entry = [0; ENTRY as usize];
        entry[..4].copy_from_slice(&hash.to_be_bytes());
        entry[4..12].copy_from_slice(&physical.to_be_bytes());
        entry[12..16].copy_from_slice(&(seconds as i32).to_be_bytes());
        entry[16..].copy_from_slice(&previous.to_be_bytes());
        file.file
            .write(HEADER + slots as u64 * 4 + header.count as u64 * ENTRY, &entry)?;
        file.file.write(slot_at, &header.count.to_be_bytes())?;
        if previous == 0 {
            header.slots_used += 1;
        }
        header.count += 1;
        header.end_physical = physical;
        header.end_timestamp = timestamp;
        file.dirty = true;
        Ok(())
    }

    /// Enters the keys of a record: UNIQ_KEY, then each word of KEYS.
    fn put_record(&mut self, disk: &D, view: &View<'_>, now: i64) -> disk::Result<()> {
        if sys_flag::transaction_type(view.sys_flag()) == sys_flag::TRANSACTION_ROLLBACK {
            return Ok(());
        }
        let wanted = Wanted::of(view.properties());
        let (topic, at, time) = (view.topic(), view.physical_offset(), view.store_timestamp());
        for key in keys_of(&wanted) {
            self.put(disk, key_hash(topic, key), at, time, now)?;
        }
        Ok(())
    }

    /// Positions of records whose key has this hash and whose time lies in the window, newest first.
    fn find(&self, hash: i32, begin: i64, end: i64, max: usize, out: &mut Vec<i64>) -> disk::Result<()> {
        for file in self.files.iter().rev() {
            let header = &file.header;
            if header.count > 1 && header.begin_timestamp <= end && header.end_timestamp >= begin {
                self.find_in(file, hash, (begin, end), max, out)?;
            }
            if out.len() >= max {
                break;
            }
        }
        Ok(())
    }

    fn find_in(
        &self,
        file: &IndexFile<D::File>,
        hash: i32,
        (begin, end): (i64, i64),
        max: usize,
        out: &mut Vec<i64>,
    ) -> disk::Result<()> {
        let mut slot = [0; 4];
        file.file
            .read(HEADER + (hash % self.slots) as u64 * 4, &mut slot)?;
        let mut number = i32::from_be_bytes(slot);
        // A chain goes to ever older entries; anything else is damage and ends it.
        let mut below = file.header.count;
        while number > 0 && number < below && out.len() < max {
            below = number;
            let mut entry = [0; ENTRY as usize];
            file.file
                .read(HEADER + self.slots as u64 * 4 + number as u64 * ENTRY, &mut entry)?;
            let seconds = int(&entry, 12);
            let time = file.header.begin_timestamp + i64::from(seconds) * 1000;
            // The entry knows whole seconds only; the record's own time decides later.
            if int(&entry, 0) == hash && seconds >= 0 && time + 999 >= begin && time <= end {
                let position = i64::from(int(&entry, 4)) << 32 | i64::from(int(&entry, 8) as u32);
                if !out.contains(&position) {
                    out.push(position);
                }
            }
            number = int(&entry, 16);
        }
        Ok(())
    }

    /// Takes out the files, the last one excepted, that only point below `log_min`.
    pub(crate) fn remove_expired(&mut self, disk: &D, log_min: i64) -> disk::Result<()> {
        while self.files.len() > 1 && self.files[0].header.end_physical < log_min {
            let file = self.files.remove(0);
            file.file.forget();
            disk.remove_file(file.file.path())?;
        }
        Ok(())
    }
}

/// The keys of a record in the order in which Java enters them.
fn keys_of<'a>(wanted: &Wanted<'a>) -> impl Iterator<Item = &'a [u8]> {
    let keys = wanted.keys.unwrap_or_default();
    wanted
        .uniq_key
        .into_iter()
        .chain(keys.split(|&byte| byte == b' ').filter(|key| !key.is_empty()))
}

/// Hash of `topic#key`: Java's, made positive; `i32::MIN` becomes 0.
fn key_hash(topic: &str, key: &[u8]) -> i32 {
    JavaHash::new()
        .update(topic.as_bytes())
        .update(b"#")
        .update(key)
        .finish()
        .checked_abs()
        .unwrap_or(0)
}

/// `yyyyMMddHHmmssSSS` of ms since 1970 in local time.
fn digits(local_ms: i64) -> String {
    let days = local_ms.div_euclid(86_400_000);
    let ms = local_ms.rem_euclid(86_400_000);
    // Days to a date: counted in 400-year eras that start on a 1st of March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!(
        "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}{:03}",
        ms % 1000
    )
}

/// The number after the one a file is named by.
fn next_digits(path: &std::path::Path) -> Option<String> {
    let number: u64 = path.file_name()?.to_str()?.parse().ok()?;
    Some(format!("{:017}", number + 1))
}

impl<D: Disk> Store<D> {
    /// Indexes what was dispatched since the last call. For a background thread: key queries see a message a moment
    /// after it can be consumed, as in Java. A full disk is no error: the rest waits for the next call.
    pub fn build_index(&self) -> Result<(), Latched> {
        let mut guard = self.index.lock();
        let Some(index) = guard.as_mut() else {
            return Ok(());
        };
        let until = self.dispatched.load(Ordering::Acquire);
        if index.position < self.log.min() {
            index.position = self.log.min();
        }
        if index.position >= until {
            return Ok(());
        }
        let before = index.full_timestamp;
        let full = self.index_up_to(index, until)?;
        if let Some(newest) = index.files.last_mut() {
            self.latch.guard(newest.write_header())?;
        }
        if full {
            return Ok(());
        }
        if index.full_timestamp != before {
            // A file became full and was flushed: from now on a crash keeps it.
            let mut checkpoint = self.checkpoint.lock();
            let (file, content) = &mut *checkpoint;
            content.index_timestamp = index.full_timestamp;
            self.latch.guard(file.save(content))?;
        }
        Ok(())
    }

    /// Enters the records below `until`; says whether the disk was full before all were in.
    fn index_up_to(&self, index: &mut Index<D>, until: i64) -> Result<bool, Latched> {
        let mut walk = self.log.walk(index.position, until);
        loop {
            match self.latch.guard(walk.next(Check::Lengths))? {
                Step::Record(view) => {
                    let end = view.physical_offset() + view.total_len() as i64;
                    let time = view.store_timestamp();
                    match index.put_record(&self.disk, &view, time) {
                        Err(error) if error.is_full() => {
                            tracing::warn!(%error, "the index waits for space");
                            return Ok(true);
                        }
                        result => self.latch.guard(result)?,
                    }
                    index.position = end;
                }
                Step::End => {
                    index.position = until;
                    break;
                }
                Step::Bad(error) => {
                    tracing::error!(position = index.position, %error, "no record here; the rest of the file is not indexed");
                    index.position = self.log.next_file(index.position).min(until);
                    break;
                }
            }
        }
        Ok(false)
    }

    /// Makes the index files durable; at the stop, as 5.x does. Says in the checkpoint that they are.
    pub(crate) fn flush_index(&self) -> Result<(), Latched> {
        let mut guard = self.index.lock();
        let Some(index) = guard.as_mut() else {
            return Ok(());
        };
        for file in index.files.iter_mut().filter(|file| file.dirty) {
            self.latch.guard(file.sync())?;
        }
        Ok(())
    }

    /// Records of `topic` with this key (a word of KEYS, or the unique id) stored within `begin..=end` (ms), newest
    /// first, at most `max` and `maxMsgsNumBatch`.
    ///
    /// Unlike Java, which compares only hashes and leaves the rest to the client, and may return a message twice
    /// after a crash: each one is checked and given once.
    pub fn query_by_key(
        &self,
        topic: &str,
        key: &str,
        max: usize,
        begin: i64,
        end: i64,
    ) -> disk::Result<Vec<PhysicalOffset>> {
        let max = max.min(self.tuned.query_max());
        let mut candidates = Vec::new();
        if let Some(index) = self.index.lock().as_ref() {
            // Hashes collide rarely; a few more candidates than wanted make up for it.
            index.find(
                key_hash(topic, key.as_bytes()),
                begin,
                end,
                max.saturating_mul(4),
                &mut candidates,
            )?;
        }
        let mut found = Vec::new();
        for position in candidates {
            if found.len() >= max {
                break;
            }
            let Ok(slice) = self.log.record_at(position) else {
                continue;
            };
            let Ok(Entry::Record(view)) = decode(&slice, Check::Lengths) else {
                continue;
            };
            let in_window = (begin..=end).contains(&view.store_timestamp());
            if in_window && view.topic() == topic && has_key(view.properties(), key.as_bytes()) {
                found.push(PhysicalOffset(position));
            }
        }
        Ok(found)
    }

    /// Store time (ms) and position of the newest record in the index; both 0 while there is none (RocketMQ 4.9.8,
    /// IndexService: what a key query says beside its hits).
    pub fn index_end(&self) -> (i64, PhysicalOffset) {
        let guard = self.index.lock();
        let last = guard.as_ref().and_then(|index| index.files.last());
        last.map_or((0, PhysicalOffset(0)), |file| {
            (
                file.header.end_timestamp,
                PhysicalOffset(file.header.end_physical),
            )
        })
    }

    /// Whether the index waits for [`Store::build_index`].
    pub fn index_lags(&self) -> bool {
        self.index
            .lock()
            .as_ref()
            .is_some_and(|index| index.position < self.dispatched.load(Ordering::Acquire))
    }
}

fn has_key(properties: &[u8], key: &[u8]) -> bool {
    get(properties, "UNIQ_KEY") == Some(key)
        || get(properties, "KEYS")
            .is_some_and(|keys| keys.split(|&byte| byte == b' ').any(|word| word == key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_local_times() {
        assert_eq!(digits(0), "19700101000000000");
        assert_eq!(digits(951_782_399_999), "20000228235959999");
        assert_eq!(digits(951_782_400_000), "20000229000000000");
        assert_eq!(digits(1_700_000_000_123), "20231114221320123");
    }

    #[test]
    fn hashes_are_positive() {
        assert_eq!(key_hash("a", b"b"), message::hash::java_hash("a#b"));
        assert!(key_hash("TopicTest", b"7F0000010C7818B4AAC2159A5B1B0000") >= 0);
    }
}
