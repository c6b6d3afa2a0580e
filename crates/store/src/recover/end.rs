//! Ending the log where nothing sound follows, and keeping what is cut off.

use super::{OpenError, Recovery};
use crate::cut_off::{self, KEPT_BYTES, copy_out};
use crate::damage;
use crate::log::{Log, LogFile};
use disk::{Disk, MappedFile, Operation};
use std::path::PathBuf;

/// Bytes that are looked at between two questions for holes.
const STEP: u64 = 1 << 20;

impl<D: Disk> Recovery<'_, D> {
    /// Ends the log at `log_end`: removes the files behind it and clears what lies behind it in its file. No sound record is
    /// there. What is, up to a bound, is kept in a file of its own.
    ///
    /// Unlike Java, which leaves those bytes: a leftover record that happens to start where a new one of the same
    /// length ends would be taken for the next one by a later recovery.
    pub(super) fn end_log(&mut self, log: &Log<D>, now: i64) -> Result<(), OpenError> {
        let end = self.report.log_end;
        if !self.report.end_is_vouched {
            self.keep_tail(log, now)?;
        }
        // The last one first: should this be cut short, no file is missing before another.
        for file in log.retain(|file| file.start <= end).into_iter().rev() {
            file.file.forget();
            self.disk.remove_file(file.file.path())?;
            self.report.removed.push(file.file.path().to_path_buf());
        }
        for file in log.files().iter() {
            if end < file.start + log.file_size {
                file.file.unpublish((end - file.start) as u64)?;
                file.file.zero_from((end - file.start) as u64)?;
            }
            // What a killed process left in the page cache counts from now on, so it has to be on disk.
            if file.start + log.file_size > self.report.scan_start {
                file.file.sync(0..log.file_size as u64)?;
            }
        }
        log.set_written(end);
        log.set_flushed(end);
        Ok(())
    }

    /// Counts and keeps what stands behind the end of the log.
    fn keep_tail(&mut self, log: &Log<D>, now: i64) -> Result<(), OpenError> {
        let end = self.report.log_end;
        let (files, mut until, mut kept) = (log.files(), end, Vec::new());
        let behind = || files.iter().filter(|file| file.start + log.file_size > end);
        for file in behind() {
            let from = (end - file.start).max(0) as u64;
            let written = written_until(file, from)?;
            if written > from {
                until = file.start + written as i64;
            }
        }
        for file in behind().filter(|file| file.start < until) {
            let from = (end - file.start).max(0) as u64;
            let most = (KEPT_BYTES - kept.len()) as u64;
            let part = (until - file.start).min(log.file_size) as u64;
            copy_out(file, from..part.min(from + most), &mut kept)?;
        }
        self.report.log_cut_bytes = (until - end) as u64;
        self.report.cut_off_bytes = kept.len() as u64;
        if kept.is_empty() {
            return Ok(());
        }
        match self.keep_aside("commitlog", &kept, now)? {
            Ok(path) => self.report.cut_off = Some(path),
            Err(why) => self.report.cut_off_lost = Some(why),
        }
        Ok(())
    }

    /// Keeps what is dropped in a file of its own, the last few times. A full disk is no reason not to start: then it says why
    /// that could not be.
    pub(super) fn keep_aside(
        &self,
        what: &str,
        content: &[u8],
        now: i64,
    ) -> Result<Result<PathBuf, String>, OpenError> {
        let (dir, end) = (self.settings.cut_off_dir(), self.report.log_end);
        match cut_off::keep(self.disk, &dir, what, end, content, now) {
            Err(error) if matches!(error.operation, Operation::List | Operation::Remove) => Err(error.into()),
            kept => Ok(kept.map_err(|error| error.to_string())),
        }
    }
}

/// One behind the last published byte of a file at or behind `from` that is not zero; `from` if there is none.
pub(crate) fn written_until<F: MappedFile>(file: &LogFile<F>, from: u64) -> disk::Result<u64> {
    let len = file.file.published();
    let (mut at, mut written) = (from, from);
    while let Some(data) = file.file.next_data(at)?.filter(|data| *data < len) {
        let end = len.min(data + STEP);
        if let Some(part) = file.file.slice(data..end)? {
            damage::fetch(file, &part)?;
            if let Some(last) = part.iter().rposition(|&byte| byte != 0) {
                written = data + last as u64 + 1;
            }
        }
        at = end;
    }
    Ok(written)
}
