//! Cutting a queue back while it is read.

use super::{Queue, QueueFile, QueueFiles, UNIT, Unit};
use crate::log::copy_path;
use disk::{Disk, MappedFile};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes of units that are copied at once.
const STEP: usize = 256 << 10;

/// Where a queue ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueEnd {
    /// One behind its last unit.
    pub(crate) index: i64,
    /// End in the log of the last record that has a unit; 0 if none has.
    pub(crate) max_physical: i64,
}

impl<F: MappedFile> Queue<F> {
    /// Where the queue ends once the log ends at `to`: its units from there on are of records that go. Looked for from the end of
    /// the queue backwards. Fillers before the first that goes were made for it and go, too. A queue of which nothing stays
    /// ends where its first message was.
    pub(crate) fn end_below(&self, to: i64) -> disk::Result<QueueEnd> {
        let (min, end) = (self.min(), self.end());
        let mut first_gone = None;
        let files = self.files.read().clone();
        for file in files.iter().rev() {
            let first = file.start / UNIT;
            let until = end.min((file.start + file.file.published() as i64) / UNIT);
            let range = (min.max(first) - first)..(until - first);
            if range.is_empty() {
                continue;
            }
            let bytes = (range.start * UNIT) as u64..(range.end * UNIT) as u64;
            let Some(units) = file.file.slice(bytes)? else {
                continue;
            };
            let units = units.chunks_exact(UNIT as usize).map(Unit::decode);
            for (nth, unit) in units.enumerate().rev() {
                if unit.is_pre_blank() || !unit.is_valid() {
                    continue;
                }
                let index = first + range.start + nth as i64;
                if unit.physical < to {
                    return Ok(QueueEnd {
                        index: first_gone.map_or(end, |_| index + 1),
                        max_physical: unit.end().min(to),
                    });
                }
                first_gone = Some(index);
            }
        }
        Ok(QueueEnd {
            index: first_gone.unwrap_or(end),
            max_physical: 0,
        })
    }

    /// Drops the units behind `to`, whoever reads them. After an error some are still there; the queue is whole up to its end, and
    /// what it lacks can be put again. Only under the reput lock, and not while files are removed at its front.
    pub(crate) fn cut_back<D: Disk<File = F>>(
        &self,
        disk: &D,
        files: &QueueFiles,
        to: QueueEnd,
    ) -> disk::Result<()> {
        // First: what goes is to be put again if only some of it goes.
        self.max_physical.store(to.max_physical, Ordering::Release);
        let byte = to.index * UNIT;
        loop {
            let last = self.files.read().last().cloned();
            match last {
                Some(last) if last.start >= byte => self.cut_whole_file(disk, &last)?,
                Some(last) => {
                    self.cut_file(disk, &last, (byte - last.start) as u64, to.index)?;
                    break;
                }
                None => break,
            }
        }
        self.go_back_to(to.index);
        self.next.store(to.index, Ordering::Relaxed);
        if self.files.read().is_empty() {
            self.keep_end_of_empty(disk, files, to.index)?;
        }
        if let Some(ext) = self.ext.get() {
            ext.cut_behind(disk, self.last_address()?)?;
        }
        Ok(())
    }

    fn go_back_to(&self, index: i64) {
        if index < self.end() {
            self.set_end(index);
        }
        self.flushed.fetch_min(index, Ordering::AcqRel);
        match self.files.read().is_empty() {
            true => self.min.store(index, Ordering::Release),
            false => _ = self.min.fetch_min(index, Ordering::AcqRel),
        }
    }

    /// Takes out the last file. The end goes back before the units go.
    fn cut_whole_file<D: Disk<File = F>>(&self, disk: &D, last: &QueueFile<F>) -> disk::Result<()> {
        let end = self.end();
        self.set_end(end.min(last.start / UNIT));
        if let Err(error) = disk.remove_file(last.file.path()) {
            self.set_end(end);
            return Err(error);
        }
        self.new_names.store(true, Ordering::Release);
        self.files.write().pop();
        last.file.forget();
        self.go_back_to(last.start / UNIT);
        Ok(())
    }

    /// Ends the last file at byte `cut` of it: where nobody reads it, by clearing what is behind; else a copy takes its place.
    fn cut_file<D: Disk<File = F>>(
        &self,
        disk: &D,
        last: &Arc<QueueFile<F>>,
        cut: u64,
        index: i64,
    ) -> disk::Result<()> {
        let (end, published) = (self.end(), last.file.published());
        if published <= cut && index >= end {
            return Ok(());
        }
        self.set_end(end.min(index));
        let result = match last.file.unpublish(cut) {
            Ok(()) => last.file.zero_from(cut).map(|()| {
                self.cleared.store(true, Ordering::Release);
            }),
            Err(error) if error.source.kind() == ErrorKind::WouldBlock => self.copy_in_place(disk, last, cut),
            Err(error) => Err(error),
        };
        if result.is_err() {
            last.file.publish(published);
            self.set_end(end);
        }
        result
    }

    /// Puts a copy of the first `len` bytes of the last file in its place. What is vouched for is in it, so it is durable before it
    /// has the name.
    fn copy_in_place<D: Disk<File = F>>(
        &self,
        disk: &D,
        last: &Arc<QueueFile<F>>,
        len: u64,
    ) -> disk::Result<()> {
        let (path, copy_path) = (last.file.path(), copy_path(last.file.path()));
        disk.remove_file(&copy_path)?;
        let copy = disk.create(&copy_path, self.file_size as u64, QueueFiles::options())?;
        let mut at = 0;
        let mut bytes = vec![0; STEP.min(len as usize)];
        while at < len {
            let step = (len - at).min(STEP as u64) as usize;
            last.file.read(at, &mut bytes[..step])?;
            copy.write_and_publish(at, &bytes[..step])?;
            at += step as u64;
        }
        copy.sync(0..self.file_size as u64)?;
        // While this is held nobody maps the old file anew: by its name that would be the copy.
        let _mapped = last.file.slice(0..0)?;
        let copy = disk.replace(copy, path)?;
        self.new_names.store(true, Ordering::Release);
        let mut files = self.files.write();
        if let Some(place) = files.last_mut() {
            *place = Arc::new(QueueFile {
                start: last.start,
                file: copy,
            });
        }
        drop(files);
        last.file.forget();
        Ok(())
    }

    /// What is left on the disk of a queue without files: nothing where it begins anew, else a filler in its last place, so that the
    /// next start knows its end.
    fn keep_end_of_empty<D: Disk<File = F>>(
        &self,
        disk: &D,
        files: &QueueFiles,
        end: i64,
    ) -> disk::Result<()> {
        if end == 0 {
            // An empty directory would be taken for a queue that lost its files.
            disk.remove_dir_all(&files.queue_dir(&self.topic, self.id))?;
            self.new_names.store(false, Ordering::Release);
            self.cleared.store(false, Ordering::Release);
            return Ok(());
        }
        let per_file = self.file_size / UNIT;
        let first = (end - 1) / per_file * per_file;
        let filled = (first..end).try_for_each(|index| self.write(disk, files, index, Unit::PRE_BLANK));
        self.flushed.fetch_min(first, Ordering::AcqRel);
        match filled {
            // On a full disk its end holds for this run only, unless a message comes.
            Err(error) if error.is_full() => Ok(()),
            filled => filled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::SimDisk;
    use std::path::Path;

    const SIZE: i64 = 200;

    fn files() -> QueueFiles {
        QueueFiles {
            dir: "/store/consumequeue".into(),
            ext_dir: "/store/consumequeue_ext".into(),
            ext: false,
            ext_file_size: 4000,
        }
    }

    fn unit(number: i64) -> Unit {
        Unit {
            physical: number * 100,
            size: 100,
            tags_code: number,
        }
    }

    /// A queue with `count` units.
    fn queue(disk: &SimDisk, count: i64) -> Queue<<SimDisk as Disk>::File> {
        let queue = Queue::new("T".into(), 0, SIZE);
        for number in 0..count {
            queue.put(disk, &files(), number, unit(number), None).unwrap();
        }
        queue
    }

    #[test]
    fn units_that_are_being_read_do_not_change() {
        for is_read in [false, true] {
            let disk = SimDisk::new();
            let queue = queue(&disk, 17);
            let held = queue.units(10, i64::MAX).unwrap().unwrap();
            let before = held.to_vec();
            let held = is_read.then_some(held);
            let end = queue.end_below(1250).unwrap();
            assert_eq!((end.index, end.max_physical), (13, 1250));
            queue.cut_back(&disk, &files(), end).unwrap();
            assert_eq!((queue.end(), queue.unit(13).unwrap()), (13, None));
            for number in 13..25 {
                queue
                    .put(&disk, &files(), number, unit(number + 50), None)
                    .unwrap();
            }
            assert!(held.is_none_or(|held| held[..] == before));
            let units = (0..25).map(|index| queue.unit(index).unwrap().unwrap().tags_code);
            assert!(units.eq((0..13).chain(63..75)));
            queue.flush(&disk, &files()).unwrap();
            // Where a copy took its place, it is the file.
            let crashed = disk.crash(1);
            let path = Path::new("/store/consumequeue/T/0/00000000000000000200");
            assert_eq!(crashed.content(path), disk.content(path));
            assert_eq!(
                crashed.content(path).map(|content| content[60..80].to_vec()),
                Some(unit(63).encode().to_vec())
            );
        }
    }

    #[test]
    fn a_copy_has_what_is_vouched_for_whatever_happens() {
        for nth in 1..12 {
            for seed in 0..4 {
                let disk = SimDisk::new();
                let queue = queue(&disk, 17);
                queue.flush(&disk, &files()).unwrap();
                let _held = queue.units(10, i64::MAX).unwrap();
                disk.fail_nth(nth);
                let end = queue.end_below(1250).unwrap();
                let cut = queue.cut_back(&disk, &files(), end);
                let crashed = disk.crash(nth * 10 + seed);
                let path = Path::new("/store/consumequeue/T/0/00000000000000000200");
                let content = crashed.content(path).unwrap();
                assert!(
                    (10..13)
                        .zip(content.chunks(20))
                        .all(|(number, bytes)| bytes == unit(number).encode())
                );
                if cut.is_err() {
                    assert_eq!(queue.end(), 17);
                    queue.cut_back(&disk, &files(), end).unwrap();
                }
                assert_eq!(queue.end(), 13);
            }
        }
    }

    #[test]
    fn fillers_before_what_goes_go_with_it_and_others_stay() {
        let disk = SimDisk::new();
        let queue = queue(&disk, 3);
        queue.put(&disk, &files(), 7, unit(30), None).unwrap();
        // Over files that are not there.
        queue.put(&disk, &files(), 1007, unit(40), None).unwrap();
        let end = |to| queue.end_below(to).unwrap().index;
        assert_eq!(
            [end(9000), end(4001), end(4000), end(3001), end(3000), end(200)],
            [1008, 1008, 8, 8, 3, 2]
        );
        let to = queue.end_below(3001).unwrap();
        queue.cut_back(&disk, &files(), to).unwrap();
        assert_eq!((queue.end(), queue.max_physical()), (8, 3001));
        queue.keep_places(&disk, &files(), 12).unwrap();
        assert_eq!(
            queue.end_below(3001).unwrap().index,
            12,
            "places that are kept for nobody"
        );
        assert_eq!(queue.end_below(3000).unwrap().index, 3);
    }
}
