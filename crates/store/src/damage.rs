//! Stretches of the log that hold no record, and where the log goes on behind them.
//!
//! A torn end and a damaged middle look alike from the front: what starts there is no record. They differ in what follows. A
//! power cut tears the end, so nothing sound stands behind it. Behind a damaged sector, or a file that somebody wrote into,
//! the log goes on, and none of it may be lost for that.

use crate::log::{Log, LogFile};
use disk::{Disk, MappedFile, MappedSlice, Operation};
use memchr::memmem::Finder;
use message::record::{self, Check, Entry, MAGIC_V1, OVERHEAD_V1, RecordError, View, decode};
use std::fmt;
use std::path::PathBuf;

/// Bytes that are searched between two looks for holes.
const STEP: u64 = 1 << 20;
/// Bytes of a record up to the end of its magic: a search must not miss one that lies across the end of a step.
const HEAD: u64 = 8;
/// Most stretches that are told one by one.
const TOLD_MAX: usize = 20;

/// A stretch of the log that holds no record and was stepped over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file it starts in.
    pub path: PathBuf,
    /// Where in that file it starts, bytes.
    pub file_offset: i64,
    /// Where in the log it starts, bytes.
    pub at: i64,
    /// How long it is, bytes.
    pub bytes: i64,
    /// What is wrong where it starts.
    pub reason: RecordError,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} bytes from byte {} on are damaged ({}); the log goes on behind them",
            self.path.display(),
            self.bytes,
            self.file_offset,
            self.reason
        )
    }
}

/// What a search for the next record came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    /// A sound record starts here.
    Found(i64),
    /// None does. When the log is longer, a search that begins here misses nothing.
    Nothing {
        /// Where to go on, a position of the log.
        from: i64,
    },
}

/// What may start at a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Sound,
    No,
    /// The beginning of a record, which is longer than what there is.
    Part,
}

/// All the damage that was stepped over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DamageReport {
    /// How many stretches there are.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first of them, at most 20.
    pub first: Vec<Damage>,
}

impl DamageReport {
    /// Adds a stretch; one that follows the last is the same.
    pub(crate) fn add(&mut self, damage: Damage) {
        self.bytes += damage.bytes as u64;
        if self.count == self.first.len() as u64
            && let Some(last) = self.first.last_mut()
            && last.at + last.bytes == damage.at
        {
            last.bytes += damage.bytes;
            return;
        }
        self.count += 1;
        if self.first.len() < TOLD_MAX {
            self.first.push(damage);
        }
    }
}

impl<D: Disk> Log<D> {
    /// The stretch `at..next`, where something else than a record stands.
    pub(crate) fn damage(&self, at: i64, next: i64, reason: RecordError) -> Damage {
        let file = self.file_at(at);
        Damage {
            path: file
                .as_ref()
                .map(|file| file.file.path().to_path_buf())
                .unwrap_or_default(),
            file_offset: file.map_or(0, |file| at - file.start),
            at,
            bytes: next - at,
            reason,
        }
    }

    /// Where the log goes on behind `position`, at which no sound record starts. `None` if nothing sound follows.
    ///
    /// A record is sound that has its magic, lengths that add up, the CRC of its body, and its own position in it. Within the
    /// file it must not be older than `not_before` (ms), the time of the last record before it: a broker that cuts a log
    /// without clearing what lies behind, as Java's does, leaves whole records that were replaced since. The first record of a
    /// file is believed in any case, because such a broker removes the files behind the cut.
    pub(crate) fn resume(&self, position: i64, not_before: i64) -> disk::Result<Option<i64>> {
        for file in self
            .files()
            .iter()
            .filter(|file| file.start + self.file_size > position)
        {
            let found = if file.start > position {
                match self.start_in(file, 0, i64::MIN)? {
                    Start::Sound => Search::Found(file.start),
                    _ => self.search(file, 1, not_before)?,
                }
            } else {
                self.search_behind(file, (position - file.start) as u64, not_before)?
            };
            if let Search::Found(at) = found {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// [`Log::resume`] in a log that grows: looks at nothing before `from`, where the last search said to go on.
    pub(crate) fn resume_search(&self, from: i64) -> disk::Result<Search> {
        let mut next = from;
        for file in self
            .files()
            .iter()
            .filter(|file| file.start + self.file_size > from)
        {
            match self.search(file, (from - file.start).max(0) as u64, i64::MIN)? {
                Search::Nothing { from } => next = from,
                found => return Ok(found),
            }
        }
        Ok(Search::Nothing { from: next })
    }

    /// [`Log::resume`] within the file of the position.
    fn search_behind(&self, file: &LogFile<D::File>, at: u64, not_before: i64) -> disk::Result<Search> {
        let mut from = at + 1;
        if let Some(rest) = file.file.slice(at..file.file.published())? {
            fetch(file, &rest.part(0..rest.len().min(STEP as usize)))?;
            if let Some(view) = readable(&rest, file.start + at as i64) {
                // Its body may hold anything, also what looks like a record of this very place.
                from = at + view.total_len() as u64;
            } else if let Some(len) = rest.first_chunk().map(|len| i32::from_be_bytes(*len))
                && let Some(len) = u64::try_from(len).ok().filter(|len| *len >= OVERHEAD_V1 as u64)
                && self.start_in(file, at + len, not_before)? == Start::Sound
            {
                return Ok(Search::Found(file.start + (at + len) as i64));
            }
        }
        self.search(file, from, not_before)
    }

    /// The first sound record of a file at or behind `from`.
    fn search(&self, file: &LogFile<D::File>, from: u64, not_before: i64) -> disk::Result<Search> {
        // What the magics of both record forms begin with.
        let magic = MAGIC_V1.to_be_bytes();
        let finder = Finder::new(&magic[..3]);
        let published = file.file.published();
        let (mut at, mut part) = (from, None);
        while let Some(data) = file.file.next_data(at)? {
            // The first bytes of a record's length are zero: they may lie in the hole before.
            let start = data.saturating_sub(HEAD).max(at);
            let end = published.min(data + STEP);
            let Some(window) = file.file.slice(start..end.max(start))? else {
                break;
            };
            fetch(file, &window)?;
            for magic in finder.find_iter(&window) {
                let Some(record) = magic.checked_sub(4) else {
                    continue;
                };
                let record = start + record as u64;
                match self.start_in(file, record, not_before)? {
                    Start::Sound => return Ok(Search::Found(file.start + record as i64)),
                    Start::Part => part = part.or(Some(record)),
                    Start::No => {}
                }
            }
            if end >= published {
                break;
            }
            at = end - HEAD;
        }
        let next = part.unwrap_or(published.saturating_sub(HEAD).max(from));
        Ok(Search::Nothing {
            from: file.start + next as i64,
        })
    }

    /// What starts at a place of a file.
    fn start_in(&self, file: &LogFile<D::File>, at: u64, not_before: i64) -> disk::Result<Start> {
        let published = file.file.published();
        if at + OVERHEAD_V1 as u64 > published {
            return Ok(Start::Part);
        }
        let Some(rest) = file.file.slice(at..published)? else {
            return Ok(Start::No);
        };
        fetch(file, &rest.part(0..OVERHEAD_V1))?;
        let len = rest.first_chunk().map_or(0, |len| i32::from_be_bytes(*len));
        let is_magic = [MAGIC_V1.to_be_bytes(), record::MAGIC_V2.to_be_bytes()]
            .iter()
            .any(|magic| rest[4..8] == *magic);
        if !is_magic || len < OVERHEAD_V1 as i32 || i64::from(len) > self.file_size - at as i64 {
            return Ok(Start::No);
        }
        let names_place = rest[record::PHYSICAL_OFFSET] == (file.start + at as i64).to_be_bytes();
        if len as usize > rest.len() {
            return Ok(if names_place { Start::Part } else { Start::No });
        }
        let record = rest.part(0..len as usize);
        fetch(file, &record)?;
        // The cheap look first: of bytes that a client chose, only those that name this place are worth a sum.
        let Some(view) = readable(&record, file.start + at as i64) else {
            return Ok(Start::No);
        };
        let is_sound = view.store_timestamp() >= not_before
            && view.unwritten_sector(at).is_none()
            && decode(&record, Check::Body).is_ok();
        Ok(if is_sound { Start::Sound } else { Start::No })
    }
}

/// The record at the start of `bytes`, if its lengths add up and it says that it lies at `position`.
pub(crate) fn readable(bytes: &[u8], position: i64) -> Option<View<'_>> {
    match decode(bytes, Check::Lengths) {
        Ok(Entry::Record(view)) => view.at(position).ok(),
        _ => None,
    }
}

/// Brings pages into memory: one that can not be read is an error here; met later, it would end the process.
pub(crate) fn fetch<F: MappedFile>(file: &LogFile<F>, slice: &MappedSlice) -> disk::Result<()> {
    slice
        .fetch()
        .map_err(|error| disk::Error::new(Operation::Read, file.file.path(), error))
}
