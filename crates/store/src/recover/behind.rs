//! Queue units that point behind the end of the log: it lost its tail, and they are all that is left of the messages there.
//!
//! They are dropped, as in Java: what they lead to is gone. But that it was there is told, with figures, and what they say is kept
//! aside in a text file, a line a unit: topic, queue id, queue offset, position in the log, bytes, tagsCode.

use super::{OpenError, Recovery};
use crate::queue::{Queue, QueueFile, UNIT, Unit};
use disk::{Disk, MappedFile};
use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::path::PathBuf;

/// Most units that are kept aside; the rest is only counted.
const LISTED_MAX: usize = 100_000;
/// Bytes of units that are read at once.
const STEP: usize = 200 * UNIT as usize;

/// What pointed behind the end of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitsBehind {
    /// How many units.
    pub units: u64,
    /// Of how many queues.
    pub queues: u64,
    /// Up to where in the log they point, bytes.
    pub until: i64,
    /// Where the log ends, bytes.
    pub log_end: i64,
    /// Where they are kept, or why they could not be.
    pub kept: Result<PathBuf, String>,
}

impl fmt::Display for UnitsBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UnitsBehind {
            units,
            queues,
            until,
            log_end,
            ..
        } = self;
        write!(
            f,
            "{units} units of {queues} consumequeues point behind the end of the commitlog at {log_end}, up to {until}: it has lost \
             its end, and these messages with it; their offsets are given to new messages"
        )?;
        match &self.kept {
            Ok(path) => write!(f, "; what the units say is kept in {}", path.display()),
            Err(why) => write!(f, "; what the units say could not be kept: {why}"),
        }
    }
}

/// Units that were dropped, as long as it is not known where the log ends.
#[derive(Debug, Default)]
pub(super) struct DroppedUnits {
    units: Vec<(String, i32, i64, Unit)>,
    /// Those for which there was no room and that point behind the last file of the log.
    more: u64,
    /// The end of that file.
    files_end: i64,
}

impl DroppedUnits {
    /// None, of a log whose last file ends at `files_end`.
    pub(super) fn of(files_end: i64) -> Self {
        DroppedUnits {
            files_end,
            ..DroppedUnits::default()
        }
    }

    pub(super) fn add(&mut self, topic: &str, id: i32, index: i64, unit: Unit) {
        if self.units.len() < LISTED_MAX {
            self.units.push((topic.to_owned(), id, index, unit));
        } else if unit.physical >= self.files_end {
            self.more += 1;
        }
    }

    pub(super) fn extend(&mut self, other: DroppedUnits) {
        self.more += other.more;
        for (topic, id, index, unit) in other.units {
            self.add(&topic, id, index, unit);
        }
    }

    /// Adds the units of a file from place `from` of it on that point at or behind `position`.
    pub(super) fn add_file<F: MappedFile>(
        &mut self,
        (topic, id): (&str, i32),
        file: &QueueFile<F>,
        from: i64,
        position: i64,
    ) -> disk::Result<()> {
        let len = file.file.len() as i64;
        let mut at = from * UNIT;
        while at < len {
            let mut bytes = vec![0; STEP.min((len - at) as usize)];
            file.file.read(at as u64, &mut bytes)?;
            for bytes in bytes.chunks_exact(UNIT as usize) {
                let unit = Unit::decode(bytes);
                if !unit.is_valid() {
                    return Ok(());
                }
                if !unit.is_pre_blank() && unit.physical >= position {
                    self.add(topic, id, (file.start + at) / UNIT, unit);
                }
                at += UNIT;
            }
        }
        Ok(())
    }
}

impl<D: Disk> Recovery<'_, D> {
    /// Adds what stands behind the end of a queue in its last file.
    pub(super) fn drop_behind_end(
        &self,
        queue: &Queue<D::File>,
        dropped: &mut DroppedUnits,
    ) -> Result<(), OpenError> {
        if let Some((file, from)) = queue.leftover_behind_end() {
            dropped.add_file((&queue.topic, queue.id), &file, from, self.report.log_end)?;
        }
        Ok(())
    }

    /// Reports and keeps those of the dropped units that point behind the end of the log.
    pub(super) fn tell_dropped(&mut self, mut dropped: DroppedUnits, now: i64) -> Result<(), OpenError> {
        let log_end = self.report.log_end;
        dropped.units.retain(|(.., unit)| unit.physical >= log_end);
        if dropped.units.is_empty() {
            return Ok(());
        }
        dropped
            .units
            .sort_by(|a, b| (&a.0, a.1, a.2).cmp(&(&b.0, b.1, b.2)));
        let queues: BTreeSet<_> = dropped.units.iter().map(|(topic, id, ..)| (topic, *id)).collect();
        let mut text = String::new();
        for (topic, id, index, unit) in &dropped.units {
            let Unit {
                physical,
                size,
                tags_code,
            } = unit;
            let _ = writeln!(text, "{topic} {id} {index} {physical} {size} {tags_code}");
        }
        let ends = dropped.units.iter().map(|(.., unit)| unit.end());
        self.report.units_behind = Some(UnitsBehind {
            units: dropped.units.len() as u64 + dropped.more,
            queues: queues.len() as u64,
            until: ends.max().unwrap_or(log_end),
            log_end,
            kept: self.keep_aside("consumequeue", text.as_bytes(), now)?,
        });
        Ok(())
    }
}
