//! A commitlog as a model: records that say their own offset, files with blank tails.

use ha::{Comparison, Extent, Outcome, Question};

pub(crate) const FILE_LEN: i64 = 256;
const BLANK: [u8; 4] = [0xCB, 0xD4, 0x31, 0x94];
const MAGIC: [u8; 4] = [0xDA, 0xA3, 0x20, 0xA7];
/// Length, magic, serial number, own offset.
pub(crate) const RECORD_LEN_MIN: usize = 24;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) min: i64,
    pub(crate) bytes: Vec<u8>,
}

impl Log {
    pub(crate) fn end(&self) -> i64 {
        self.min + self.bytes.len() as i64
    }

    pub(crate) fn extent(&self) -> Extent {
        Extent {
            min: self.min,
            end: self.end(),
        }
    }

    pub(crate) fn slice(&self, from: i64, len: usize) -> &[u8] {
        let at = (from - self.min) as usize;
        &self.bytes[at..at + len]
    }

    /// Appends a record, into the next file if it does not fit, and says where it ends. The serial number makes it unique.
    pub(crate) fn append(&mut self, serial: u64, len: usize) -> i64 {
        let len = len.clamp(RECORD_LEN_MIN, 200);
        let left = FILE_LEN - self.end() % FILE_LEN;
        if len as i64 + 8 > left {
            self.bytes.extend((left as u32).to_be_bytes());
            self.bytes.extend(BLANK);
            let blank = self.bytes.len() + left as usize - 8;
            self.bytes.resize(blank, 0);
        }
        let offset = self.end();
        self.bytes.extend((len as u32).to_be_bytes());
        self.bytes.extend(MAGIC);
        self.bytes.extend(serial.to_be_bytes());
        self.bytes.extend(offset.to_be_bytes());
        let body = self.bytes.len() + len - RECORD_LEN_MIN;
        self.bytes.resize(body, serial as u8);
        self.end()
    }

    /// Where whole records begin, and where each ends.
    pub(crate) fn records(&self) -> Vec<(i64, i64)> {
        let mut all = Vec::new();
        let mut at = 0;
        while let Some((len, rest)) = self.bytes[at..].split_first_chunk::<4>() {
            let len = u32::from_be_bytes(*len) as usize;
            if self.bytes.len() - at < len {
                break;
            }
            let offset = self.min + at as i64;
            if rest[..4] == MAGIC {
                all.push((offset, offset + len as i64));
            }
            at += len;
        }
        all
    }

    /// What a slave's log is after a start: whole records only.
    pub(crate) fn recover(&mut self) {
        let end = self.records().last().map_or(self.min, |last| last.1);
        // A whole blank tail is kept.
        let at = (end - self.min) as usize;
        let left = FILE_LEN - end % FILE_LEN;
        let is_blank = self.bytes.get(at + 4..at + 8) == Some(&BLANK) && self.end() >= end + left;
        self.cut(if is_blank { end + left } else { end });
    }

    pub(crate) fn cut(&mut self, at: i64) {
        if at <= self.min {
            self.bytes.clear();
        } else {
            self.bytes.truncate((at - self.min) as usize);
        }
    }

    /// Retention takes the oldest file away, if it is not the newest.
    pub(crate) fn delete_oldest(&mut self) {
        let next = self.min - self.min % FILE_LEN + FILE_LEN;
        if next < self.end() {
            self.bytes.drain(..(next - self.min) as usize);
            self.min = next;
        }
    }

    /// What VIEW_MESSAGE_BY_ID gives: as many bytes as the first four say, whatever they are.
    pub(crate) fn view(&self, offset: i64) -> Option<&[u8]> {
        let at = usize::try_from(offset - self.min).ok()?;
        let len = u32::from_be_bytes(*self.bytes.get(at..)?.first_chunk()?);
        self.bytes.get(at..at.checked_add(len as usize)?)
    }

    fn files(&self) -> Vec<i64> {
        let records = self.records();
        let mut files: Vec<i64> = records.iter().map(|record| record.0).collect();
        files.dedup_by_key(|at| *at / FILE_LEN);
        files
    }

    /// Compares itself with a master's log, and says how many questions that took.
    pub(crate) fn compare(&self, master: &Log) -> (Outcome, usize) {
        let mut comparison = Comparison::new(self.extent(), self.files(), master.extent());
        for asked in 0.. {
            match comparison.question() {
                Question::LastRecord => {
                    comparison.answer_last_record(self.records().last().map(|last| last.0))
                }
                Question::Records { from, to, at_most } => {
                    let all: Vec<i64> = self.records().iter().map(|record| record.0).collect();
                    let mut asked: Vec<i64> = all.into_iter().filter(|at| (from..to).contains(at)).collect();
                    // Small logs are thinned, too.
                    let step = asked.len().div_ceil(at_most.min(5)).max(1);
                    asked = asked.into_iter().step_by(step).collect();
                    comparison.answer_records(asked);
                }
                Question::Compare { offset } => {
                    let own = self.view(offset).expect("asked for what is there");
                    comparison.answer_compare(own, master.view(offset));
                }
                Question::None(outcome) => return (outcome, asked),
            }
        }
        unreachable!("it ends")
    }
}
