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
//!
//! What is to be entered comes from memory, where reput leaves the hashes of each record's keys, and from the log where
//! that has a gap. It is entered in rounds: all slots of a round first, then its entries by one write.

mod cut;

pub(crate) use cut::forget_behind;

use crate::latch::{Latched, Undone};
use crate::log::Step;
use crate::offset::PhysicalOffset;
use crate::queue_checkpoint::IndexState;
use crate::settings::StoreSettings;
use crate::store::Store;
use disk::{Disk, MapOptions, MappedFile, Writes};
use message::hash::JavaHash;
use message::properties::{Wanted, get};
use message::record::{Check, Entry, View, decode};
use message::sys_flag;
use std::collections::VecDeque;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

const HEADER: u64 = 40;
const ENTRY: u64 = 20;
/// Keys that are entered together; the lines of their slots fit into a processor's cache.
const ROUND: usize = 1024;
/// Entries of so many bytes are written by a call: whole pages are then not zeroed first.
const CALL_LEN: usize = 4096;
/// Most records that wait in memory to be indexed; beyond it the log is read.
const REMEMBERED_MAX: usize = 1 << 16;
/// Keys of a record that are kept in memory; one with more is read from the log.
const KEYS_MAX: usize = 3;

/// Hashes of a record's keys in the order in which they are entered; -1 stands for none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyHashes([i32; KEYS_MAX]);

impl KeyHashes {
    pub(crate) const NONE: KeyHashes = KeyHashes([-1; KEYS_MAX]);

    /// Those of a record whose topic is `topic`; `None` if there are too many.
    pub(crate) fn of(topic: TopicHash, wanted: &Wanted<'_>, sys_flag: i32) -> Option<KeyHashes> {
        let mut hashes = KeyHashes::NONE;
        if is_indexed(sys_flag) {
            for (nth, key) in keys_of(wanted).enumerate() {
                *hashes.0.get_mut(nth)? = topic.hash(key);
            }
        }
        Some(hashes)
    }
}

/// What the index needs of a record that was appended, so that it does not have to read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembered {
    pub(crate) physical: i64,
    pub(crate) timestamp: i64,
    pub(crate) size: i32,
    pub(crate) hashes: KeyHashes,
}

/// Records that follow one another in the log, oldest first; where some are missing the log is read instead.
pub(crate) type RememberedQueue = VecDeque<Remembered>;

/// Adds a record if there is room.
pub(crate) fn remember(queue: &mut RememberedQueue, record: Remembered) {
    if queue.len() < REMEMBERED_MAX {
        queue.push_back(record);
    }
}

/// A key to be entered.
#[derive(Clone, Copy, Debug)]
struct Key {
    hash: i32,
    physical: i64,
    timestamp: i64,
}

/// Keys of records that follow one another in the log.
#[derive(Debug)]
struct Round {
    keys: Vec<Key>,
    /// Where the record after them starts.
    end: i64,
}

impl Round {
    fn is_full(&self) -> bool {
        self.keys.len() >= ROUND
    }

    /// Adds what is remembered of the next records below `until`. If that is nothing, says up to where the log has to be
    /// read instead.
    fn add_remembered(&mut self, queue: &mut RememberedQueue, until: i64) -> i64 {
        while let Some(front) = queue.front() {
            let end = front.physical + i64::from(front.size);
            if front.physical >= self.end {
                if front.physical > self.end || end > until || self.is_full() {
                    break;
                }
                let hashes = front.hashes.0.iter().take_while(|&&hash| hash >= 0);
                self.keys.extend(hashes.map(|&hash| Key {
                    hash,
                    physical: front.physical,
                    timestamp: front.timestamp,
                }));
                self.end = end;
            }
            queue.pop_front();
        }
        let next = queue.front().map(|front| front.physical);
        next.filter(|&next| next > self.end)
            .map_or(until, |next| next.min(until))
    }

    /// Adds a record that was read from the log.
    fn add_read(&mut self, view: &View<'_>) {
        let (physical, timestamp) = (view.physical_offset(), view.store_timestamp());
        if is_indexed(view.sys_flag()) {
            let (wanted, topic) = (Wanted::of(view.properties()), TopicHash::of(view.topic()));
            self.keys.extend(keys_of(&wanted).map(|key| Key {
                hash: topic.hash(key),
                physical,
                timestamp,
            }));
        }
        self.end = physical + view.total_len() as i64;
    }
}

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

impl Header {
    /// Counts a key in and makes its entry; `head` is what its slot holds, `max` how many entries a file has.
    fn enter(&mut self, key: &Key, head: i32, max: i32) -> [u8; ENTRY as usize] {
        let previous = if head <= 0 || head > self.count || head >= max {
            0
        } else {
            head
        };
        if self.count <= 1 {
            self.begin_timestamp = key.timestamp;
            self.begin_physical = key.physical;
        }
        let seconds = if self.begin_timestamp <= 0 {
            0
        } else {
            ((key.timestamp - self.begin_timestamp) / 1000).clamp(0, i64::from(i32::MAX))
        };
        if previous == 0 {
            self.slots_used += 1;
        }
        self.count += 1;
        self.end_physical = key.physical;
        self.end_timestamp = key.timestamp;
        let mut entry = [0; ENTRY as usize];
        entry[..4].copy_from_slice(&key.hash.to_be_bytes());
        entry[4..12].copy_from_slice(&key.physical.to_be_bytes());
        entry[12..16].copy_from_slice(&(seconds as i32).to_be_bytes());
        entry[16..].copy_from_slice(&previous.to_be_bytes());
        entry
    }
}

/// The slot of a key in the table of all.
fn slot_of<'t>(table: &'t mut [u8], key: &Key, slots: i32) -> &'t mut [u8] {
    let at = (key.hash % slots) as usize * 4;
    &mut table[at..at + 4]
}

fn int(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

struct IndexFile<F> {
    file: F,
    header: Header,
    /// The header as it stands in the file.
    written: Header,
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

    /// Enters keys, for which the file must have room. All of them or, after an error, none.
    fn put(&mut self, keys: &[Key], slots: i32, max: i32) -> disk::Result<()> {
        let table = HEADER..HEADER + slots as u64 * 4;
        // The header, too: it is written when the disk is full as well.
        self.file.reserve(0..table.end)?;
        let at = table.end + self.header.count as u64 * ENTRY;
        let mut header = self.header;
        let mut entries = Vec::with_capacity(keys.len() * ENTRY as usize);
        let with_slots = |change: &mut dyn FnMut(&mut [u8])| {
            self.file
                .write_with(table.start, table.end - table.start, |bytes| change(bytes))
        };
        with_slots(&mut |table| {
            // Before they are changed one after the other all slots are looked at: the processor then waits for many
            // places in memory at once.
            black_box(
                keys.iter()
                    .fold(0, |seen, key| seen ^ int(slot_of(table, key, slots), 0)),
            );
            for key in keys {
                let slot = slot_of(table, key, slots);
                let number = header.count.to_be_bytes();
                entries.extend_from_slice(&header.enter(key, int(slot, 0), max));
                slot.copy_from_slice(&number);
            }
        })?;
        let written = match entries.len() < CALL_LEN {
            true => self.file.write(at, &entries),
            false => self.file.write_by_call(at, &entries),
        };
        if let Err(error) = written {
            // A slot must not lead to an entry that is not there: all behind it would be lost.
            with_slots(&mut |table| {
                for (key, entry) in keys.iter().zip(entries.chunks_exact(ENTRY as usize)).rev() {
                    slot_of(table, key, slots).copy_from_slice(&entry[16..]);
                }
            })?;
            return Err(error);
        }
        self.header = header;
        self.dirty = true;
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
    /// Records that the store remembered, taken over.
    remembered: RememberedQueue,
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
    /// again from the log. The same goes for what follows the first file that is `missing`. Returns how many were removed, too.
    pub(crate) fn load(
        disk: &D,
        settings: &StoreSettings,
        vouched: Option<i64>,
        missing: Option<&str>,
        log_end: i64,
    ) -> disk::Result<(Self, usize)> {
        let mut index = Index {
            dir: settings.index_dir(),
            slots: settings.index_slots,
            entries: settings.index_entries,
            local_offset_ms: settings.local_offset_ms,
            files: Vec::new(),
            position: 0,
            full_timestamp: 0,
            remembered: RememberedQueue::new(),
        };
        let len = index.len();
        let (mut keep, mut removed) = (true, 0);
        for entry in disk.list(&index.dir)? {
            let path = index.dir.join(&entry.name);
            if entry.is_dir || !entry.name.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            keep &= entry.len == len && missing.is_none_or(|missing| entry.name.as_str() < missing);
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
                        dirty: false,
                    });
                }
            }
            if !keep {
                tracing::info!(file = %path.display(), "index file removed, its part of the log is indexed again");
                disk.remove_file(&path)?;
                removed += 1;
            }
        }
        Ok((index, removed))
    }

    /// Decides where indexing goes on, once the log is known. After a clean stop the record at the newest entry has
    /// all its keys in, and so have all below `indexed`; otherwise some may have been in the file that was removed, so it is
    /// entered again (queries give it once).
    pub(crate) fn resume(
        &mut self,
        clean: bool,
        indexed: i64,
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
        let indexed = Some(indexed).filter(|indexed| clean && (log_min..=log_end).contains(indexed));
        self.position = known.max(indexed).unwrap_or(log_min);
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

    /// Enters the keys of a round and goes on behind it. After an error the position is the first record's of which a key is
    /// missing.
    fn enter(&mut self, disk: &D, round: &Round) -> disk::Result<()> {
        let mut rest = &round.keys[..];
        while let Some(first) = rest.first() {
            self.position = first.physical;
            let (slots, entries) = (self.slots, self.entries);
            let file = self.newest(disk, first.timestamp)?;
            let room = (entries - file.header.count) as usize;
            let (now, later) = rest.split_at(rest.len().min(room));
            file.put(now, slots, entries)?;
            rest = later;
        }
        self.position = round.end;
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

/// Whether the keys of a record are entered: all but a rollback's.
fn is_indexed(sys_flag: i32) -> bool {
    sys_flag::transaction_type(sys_flag) != sys_flag::TRANSACTION_ROLLBACK
}

/// The part of its keys' hashes that a topic makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TopicHash(JavaHash);

impl TopicHash {
    pub(crate) fn of(topic: &str) -> Self {
        TopicHash(JavaHash::new().update(topic.as_bytes()).update(b"#"))
    }

    /// Hash of `topic#key`: Java's, made positive; `i32::MIN` becomes 0.
    fn hash(self, key: &[u8]) -> i32 {
        self.0.update(key).finish().checked_abs().unwrap_or(0)
    }
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

fn name_of(path: &std::path::Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The number after the one a file is named by.
fn next_digits(path: &std::path::Path) -> Option<String> {
    let number: u64 = path.file_name()?.to_str()?.parse().ok()?;
    Some(format!("{:017}", number + 1))
}

impl<D: Disk> Store<D> {
    /// Indexes what has units since the last call. For a background thread: key queries see a message a moment
    /// after it can be consumed, as in Java. A full disk, or a file that can not be made now, is no error: the rest waits for
    /// the next call.
    pub fn build_index(&self) -> Result<(), Latched> {
        self.enter_keys()
            .or_else(|undone| undone.until_next_time("the index"))
    }

    pub(crate) fn enter_keys(&self) -> Result<(), Undone> {
        let mut guard = self.index.lock();
        let Some(index) = guard.as_mut() else {
            return Ok(());
        };
        let until = self.reput_end.load(Ordering::Acquire);
        index.position = index.position.max(self.log.min());
        index.local_offset_ms = self.live.local_offset_ms();
        if index.position >= until {
            return Ok(());
        }
        let before = index.full_timestamp;
        let result = self.index_up_to(index, until);
        self.indexed.store(index.position, Ordering::Release);
        if let Some(newest) = index.files.last_mut() {
            self.latch.guard(newest.write_header())?;
        }
        result?;
        if index.full_timestamp != before {
            // A file became full and was flushed: from now on a crash keeps it.
            let timestamp = index.full_timestamp;
            self.change_checkpoint(|content| content.index_timestamp = timestamp)?;
        }
        Ok(())
    }

    /// Enters the records below `until`.
    fn index_up_to(&self, index: &mut Index<D>, until: i64) -> Result<(), Undone> {
        let mut round = Round {
            keys: Vec::new(),
            end: index.position,
        };
        while round.end < until {
            while round.end < until && !round.is_full() {
                let start = round.end;
                let log_until = self.add_remembered(index, &mut round, until);
                if round.end == start {
                    self.add_from_log(&mut round, log_until)?;
                }
            }
            self.latch.guard(index.enter(&self.disk, &round))?;
            round.keys.clear();
        }
        Ok(())
    }

    /// [`Round::add_remembered`] of what was taken over before and of what came since.
    fn add_remembered(&self, index: &mut Index<D>, round: &mut Round, until: i64) -> i64 {
        let log_until = round.add_remembered(&mut index.remembered, until);
        if !index.remembered.is_empty() {
            return log_until;
        }
        // All of it at once, so that whoever reputs does not wait here.
        std::mem::swap(&mut index.remembered, &mut *self.remembered.lock());
        round.add_remembered(&mut index.remembered, until)
    }

    /// Adds the next records below `until` as they stand in the log.
    fn add_from_log(&self, round: &mut Round, until: i64) -> Result<(), Undone> {
        let mut walk = self.log.walk(round.end, until);
        while !round.is_full() {
            match self.latch.guard(walk.next(Check::Lengths))? {
                Step::Record(view) => round.add_read(&view),
                Step::End => {
                    round.end = until;
                    break;
                }
                Step::Bad(_) => {
                    // Recovery or reput told of it.
                    let at = walk.position;
                    let next = self.latch.guard(self.log.resume(at, i64::MIN))?;
                    round.end = next.unwrap_or(until).min(until);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Makes the index files durable; at the stop, as 5.x does. Says in the checkpoint that they are.
    pub(crate) fn flush_index(&self) -> Result<(), Undone> {
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
        let max = max.min(self.live.query_max());
        let mut candidates = Vec::new();
        if let Some(index) = self.index.lock().as_ref() {
            // Hashes collide rarely; a few more candidates than wanted make up for it.
            index.find(
                TopicHash::of(topic).hash(key.as_bytes()),
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

    /// The index as it is.
    pub(crate) fn index_state(&self) -> IndexState {
        let guard = self.index.lock();
        guard
            .as_ref()
            .map_or_else(IndexState::default, |index| IndexState {
                ends: index.ends_below(i64::MAX),
                indexed: index.position,
            })
    }

    /// Whether the index waits for [`Store::build_index`]. Cheap: ask after every reput.
    pub fn index_lags(&self) -> bool {
        self.settings.index && self.indexed.load(Ordering::Acquire) < self.reput_end.load(Ordering::Acquire)
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
        assert_eq!(TopicHash::of("a").hash(b"b"), message::hash::java_hash("a#b"));
        assert!(TopicHash::of("TopicTest").hash(b"7F0000010C7818B4AAC2159A5B1B0000") >= 0);
    }
}
