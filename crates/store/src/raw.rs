//! The log as bytes, for replication: a slave's log is its master's byte for byte, the ends of files and damage included.
//!
//! Bytes come in pieces that end anywhere, also within a record. Readers see whole records only: what is appended here
//! becomes visible up to the last byte of the last whole record. Behind damage, which the master has stepped over, that is
//! where [`crate::Store`] finds the log to go on.

use crate::append::AppendError;
use crate::damage::Search;
use crate::latch::Undone;
use crate::log::LogFile;
use crate::offset::PhysicalOffset;
use crate::store::{LogWriter, Store};
use disk::{Disk, MappedFile, MappedSlice};
use message::record::{self, Check, Entry, RecordError};
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Why bytes were not appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RawError {
    /// As for a record.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// They belong elsewhere.
    #[error("bytes of {at} were to be appended, and the commitlog ends at {end}")]
    Elsewhere {
        /// Where they belong.
        at: PhysicalOffset,
        /// Where the log ends.
        end: PhysicalOffset,
    },
    /// An empty log begins where a file does.
    #[error("an empty commitlog can not begin at {0}, which is no file's start")]
    Within(PhysicalOffset),
}

/// What became of bytes that were appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawAppended {
    /// Where the log ends now.
    pub end: PhysicalOffset,
    /// Damage among what was copied: no record starts there, and the log goes on behind.
    pub damage: Option<Range<i64>>,
}

/// How far the appended bytes are whole records.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Whole {
    pub(crate) end: i64,
    /// Damage is there, in which no record starts before this position.
    searched: Option<i64>,
    /// Damage that was stepped over and is not told yet: where it starts, and where the log goes on.
    damage: Option<(i64, i64)>,
}

impl Whole {
    /// Up to `end`.
    pub(crate) fn up_to(end: i64) -> Self {
        Whole {
            end,
            ..Whole::default()
        }
    }
}

/// What stands at a position.
enum Piece {
    /// A record, or the end of a file, up to here; with the record's store time.
    Whole(i64, Option<i64>),
    /// The beginning of one.
    Part,
    Damage,
}

impl<D: Disk> Store<D> {
    /// Bytes of the log from `from` on: at most `most` of them, not over the end of a file. Counted: they stay what they
    /// are while the slice lives. `None` where the log has none, because it ends or begins elsewhere.
    pub fn raw(&self, from: PhysicalOffset, most: usize) -> disk::Result<Option<MappedSlice>> {
        if from < self.min_physical() {
            return Ok(None);
        }
        let Some(slice) = self.log.slice_to_file_end(from.0)? else {
            return Ok(None);
        };
        let part = slice.part(0..slice.len().min(most));
        // A slave must not be given zeros for a page that was lost.
        part.check()?;
        Ok(Some(part))
    }

    /// Appends bytes of a master's log that belong at `at`, which must be the end of this one; an empty log begins at any
    /// file's start. No bytes make the first file of an empty log and nothing else. `now` in ms.
    ///
    /// Call [`Store::reput`] afterwards. On an error some of the bytes may be there: the log's end tells.
    pub fn append_raw(&self, at: PhysicalOffset, bytes: &[u8], now: i64) -> Result<RawAppended, RawError> {
        self.may_append()?;
        let mut writer = self.writer.lock();
        if writer.shut_down {
            return Err(AppendError::ShutDown.into());
        }
        // It may have been set since it was asked for.
        self.latch.check().map_err(AppendError::from)?;
        if self.log.files().is_empty() {
            if at.0 < 0 || at.0 % self.log.file_size != 0 {
                return Err(RawError::Within(at));
            }
            writer.position = at.0;
            self.raw_file(&mut writer, now)?;
        }
        if writer.position != at.0 {
            let end = PhysicalOffset(writer.position);
            return Err(RawError::Elsewhere { at, end });
        }
        if writer.whole.is_none() {
            let whole = Whole::up_to(self.log.written().max(self.log.min()));
            self.whole_end.store(whole.end, Ordering::SeqCst);
            writer.whole = Some(whole);
        }
        let appended = self.append_pieces(&mut writer, bytes, now);
        // Before the end of the whole records, which is never behind the end of the log.
        self.log.set_written(writer.position);
        self.find_whole(&mut writer)?;
        appended?;
        let damage = writer.whole.as_mut().and_then(|whole| whole.damage.take());
        Ok(RawAppended {
            end: PhysicalOffset(writer.position),
            damage: damage.map(|(at, next)| at..next),
        })
    }

    fn append_pieces(
        &self,
        writer: &mut LogWriter<D>,
        mut bytes: &[u8],
        now: i64,
    ) -> Result<(), AppendError> {
        while !bytes.is_empty() {
            let file = self.raw_file(writer, now)?;
            let in_file = writer.position - file.start;
            let left = usize::try_from(self.log.file_size - in_file).unwrap_or(usize::MAX);
            let (piece, rest) = bytes.split_at(bytes.len().min(left));
            file.file
                .write_parts_and_publish(in_file as u64, &mut [IoSlice::new(piece)])
                .map_err(|error| self.refusal(error))?;
            file.modified_ms.store(now, Ordering::Relaxed);
            writer.position += piece.len() as i64;
            self.note_portion();
            bytes = rest;
        }
        Ok(())
    }

    /// The file of the writer's position, which may begin there.
    fn raw_file(&self, writer: &mut LogWriter<D>, now: i64) -> Result<Arc<LogFile<D::File>>, AppendError> {
        if let Some(file) = &writer.file
            && writer.position < file.start + self.log.file_size
        {
            return Ok(file.clone());
        }
        let file = self
            .log
            .add_file(&self.disk, writer.position, now)
            .map_err(|error| self.refusal(error))?;
        writer.file = Some(file.clone());
        Ok(file)
    }

    fn refusal(&self, error: disk::Error) -> AppendError {
        match self.latch.judge(error) {
            Undone::Waits(error) => AppendError::NoSpace(error.to_string()),
            Undone::Latched(latched) => AppendError::Latched(latched),
        }
    }

    /// Moves on over the whole records among what was appended.
    fn find_whole(&self, writer: &mut LogWriter<D>) -> Result<(), AppendError> {
        let Some(mut whole) = writer.whole else {
            return Ok(());
        };
        let refusal = |error| self.refusal(error);
        'files: while whole.end < writer.position {
            let start = whole.end;
            let Some(slice) = self.log.slice_to_file_end(start).map_err(refusal)? else {
                break;
            };
            let file_end = self.log.next_file(start);
            while whole.end < file_end {
                let rest = slice.get((whole.end - start) as usize..).unwrap_or_default();
                match piece(rest, whole.end, file_end) {
                    Piece::Whole(end, timestamp) => {
                        whole.end = end;
                        writer.timestamp = timestamp.unwrap_or(writer.timestamp);
                    }
                    Piece::Part => break 'files,
                    Piece::Damage => {
                        let from = whole.searched.unwrap_or(whole.end + 1);
                        match self.log.resume_search(from).map_err(refusal)? {
                            Search::Nothing { from } => {
                                whole.searched = Some(from);
                                break 'files;
                            }
                            Search::Found(next) => {
                                whole = Whole {
                                    end: next,
                                    searched: None,
                                    damage: whole.damage.or(Some((whole.end, next))),
                                };
                                continue 'files;
                            }
                        }
                    }
                }
            }
        }
        writer.whole = Some(whole);
        self.log
            .written_timestamp
            .store(writer.timestamp, Ordering::Release);
        self.whole_end.store(whole.end, Ordering::SeqCst);
        Ok(())
    }
}

/// What stands at `at`, where `bytes` are what there is of a file that ends at `file_end`.
fn piece(bytes: &[u8], at: i64, file_end: i64) -> Piece {
    match record::decode(bytes, Check::Lengths) {
        Ok(Entry::Record(view)) => match view.at(at) {
            Ok(view) => Piece::Whole(at + view.total_len() as i64, Some(view.store_timestamp())),
            Err(_) => Piece::Damage,
        },
        Ok(Entry::Blank { left }) if i64::from(left) != file_end - at => Piece::Damage,
        Ok(Entry::Blank { .. }) if at + (bytes.len() as i64) < file_end => Piece::Part,
        Ok(Entry::Blank { .. }) => Piece::Whole(file_end, None),
        Err(RecordError::Truncated { needed, .. }) if needed as i64 <= file_end - at => Piece::Part,
        Err(_) => Piece::Damage,
    }
}
