//! A slave's side of one connection.
//!
//! It keeps no body. [`Slave::next`] cuts what was read into runs of log bytes that lie in the reader's own buffer; a run may be a
//! part of a body, and a record may be split over runs. The caller appends every run, in order and whole, or drops the connection.
//!
//! The first report tells the master where to go on. It is the end of what is appended, because a master's first header must
//! be there; and a Java master takes it for an acknowledgement. So a slave that promises what is synced waits with it until
//! everything is synced.

use crate::wire::{Cutter, HEADER_LEN, Header, REPORT_LEN, report};

/// What a slave's connection is set to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Size of a commitlog file, bytes; the master's has the same.
    pub file_len: i64,
    /// What a report says.
    pub promise: Promise,
    /// A report goes at least so often, ms. `haSendHeartbeatInterval`.
    pub heartbeat_ms: i64,
    /// After so much silence of the master the connection is closed, ms. `haHousekeepingInterval`.
    pub housekeeping_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            file_len: 1 << 30,
            promise: Promise::Appended,
            heartbeat_ms: 5_000,
            housekeeping_ms: 20_000,
        }
    }
}

/// What a slave promises by a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// The bytes are in its log, as in Java. They survive the end of the process.
    Appended,
    /// The bytes are synced. They survive the end of the power.
    Synced,
}

/// Where the slave's log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Behind the last byte that was appended.
    pub appended: i64,
    /// Behind the last byte that was synced.
    pub synced: i64,
}

/// Log bytes, and where they belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// Where they belong: at the end of the log.
    pub at: i64,
    /// The bytes. None says that an empty log begins at `at`, in the file that `at` lies in.
    pub bytes: &'a [u8],
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Close {
    /// The master sends another part of the log.
    #[error("the master sends the log from {offset}, and this one ends at {end}")]
    Elsewhere {
        /// Where the body belongs.
        offset: i64,
        /// Where the log ends.
        end: i64,
    },
    /// A header that no master writes.
    #[error("the master announces {size} bytes at {offset}: that is no transfer")]
    NoTransfer {
        /// Where the body would belong.
        offset: i64,
        /// How long it would be.
        size: i32,
    },
    /// A body that is in two files here.
    #[error(
        "the master sends {size} bytes at {offset}, over the end of a commitlog file of {file_len} bytes: \
         mappedFileSizeCommitLog is not the same on both sides"
    )]
    OverFileEnd {
        /// Where the body belongs.
        offset: i64,
        /// How long it is.
        size: i32,
        /// Size of a file here.
        file_len: i64,
    },
    /// Nothing came from the master.
    #[error("the master has sent nothing for {0} ms")]
    Silent(i64),
}

/// One connection to a master.
#[derive(Debug)]
pub struct Slave {
    settings: Settings,
    cutter: Cutter<HEADER_LEN>,
    /// Where the next byte belongs.
    next: i64,
    /// The log was empty, and no header has come.
    begins: bool,
    /// Bytes of the body that have not come.
    body_left: usize,
    /// The end of the log at the start; the first report, which waits for it.
    start: i64,
    reported: Option<i64>,
    /// A heartbeat came: the next report answers it.
    owes_answer: bool,
    read_ms: i64,
    reported_ms: i64,
}

impl Slave {
    /// A connection of a slave whose log ends at `end`; an empty log ends at 0. The logs are compared already, at `now_ms`, and the
    /// connection is older than that: [`crate::Comparison`].
    ///
    /// # Panics
    /// The end is below 0 or the settings have no file length.
    pub fn new(settings: Settings, end: i64, now_ms: i64) -> Slave {
        assert!(
            end >= 0 && settings.file_len > 0,
            "a log has an end, a file a length"
        );
        Slave {
            settings,
            cutter: Cutter::new(),
            next: end,
            begins: end == 0,
            body_left: 0,
            start: end,
            reported: None,
            owes_answer: false,
            read_ms: now_ms,
            reported_ms: now_ms,
        }
    }

    /// Where the next byte belongs: the end of the log when all runs so far are appended.
    pub fn end(&self) -> i64 {
        self.next
    }

    /// The next run of bytes that were read at `now_ms`. Asked again until it gives nothing; then all input is used up.
    ///
    /// # Errors
    /// The connection is to be closed. The runs before are sound.
    pub fn next<'a>(&mut self, input: &mut &'a [u8], now_ms: i64) -> Result<Option<Run<'a>>, Close> {
        if !input.is_empty() {
            self.read_ms = self.read_ms.max(now_ms);
        }
        while self.body_left == 0 {
            let Some(bytes) = self.cutter.next(input) else {
                return Ok(None);
            };
            if let Some(at) = self.header(Header::decode(bytes))? {
                return Ok(Some(Run { at, bytes: &[] }));
            }
        }
        let (bytes, rest) = input.split_at(input.len().min(self.body_left));
        *input = rest;
        if bytes.is_empty() {
            return Ok(None);
        }
        let at = self.next;
        self.body_left -= bytes.len();
        self.next += i64::try_from(bytes.len()).expect("a body is short");
        Ok(Some(Run { at, bytes }))
    }

    /// Checks what comes next. Gives the place where an empty log begins, if that is not 0.
    fn header(&mut self, header: Header) -> Result<Option<i64>, Close> {
        let Header { offset, size } = header;
        let body_left = match usize::try_from(size) {
            Ok(len) if offset >= 0 && i64::from(size) <= self.settings.file_len => len,
            _ => return Err(Close::NoTransfer { offset, size }),
        };
        if offset != self.next && !self.begins {
            return Err(Close::Elsewhere {
                offset,
                end: self.next,
            });
        }
        let file_len = self.settings.file_len;
        if offset % file_len > file_len - i64::from(size) || offset.checked_add(file_len).is_none() {
            return Err(Close::OverFileEnd {
                offset,
                size,
                file_len,
            });
        }
        let moves = offset != self.next;
        self.begins = false;
        self.next = offset;
        self.body_left = body_left;
        self.owes_answer |= size == 0;
        Ok(moves.then_some(offset))
    }

    /// The report that is due at `now_ms`, if one is. It is written whole before the next one is asked for.
    ///
    /// A report is due at the start, when there is more to promise than before, as an answer to a heartbeat, and after
    /// `heartbeat_ms` without one.
    ///
    /// # Errors
    /// The connection is to be closed.
    pub fn report(&mut self, ends: Ends, now_ms: i64) -> Result<Option<[u8; REPORT_LEN]>, Close> {
        let silent_ms = now_ms.saturating_sub(self.read_ms);
        if silent_ms > self.settings.housekeeping_ms {
            return Err(Close::Silent(silent_ms));
        }
        let promised = match self.settings.promise {
            Promise::Appended => ends.appended,
            Promise::Synced => ends.synced.min(ends.appended),
        };
        let Some(before) = self.reported else {
            return Ok((promised >= self.start).then(|| self.write(self.start, now_ms)));
        };
        // Never less than before: a master would take that for a log that was cut.
        let end = promised.max(before);
        let is_late = now_ms.saturating_sub(self.reported_ms) >= self.settings.heartbeat_ms;
        let is_due = end > before || self.owes_answer || is_late;
        Ok(is_due.then(|| self.write(end, now_ms)))
    }

    fn write(&mut self, end: i64, now_ms: i64) -> [u8; REPORT_LEN] {
        self.reported = Some(end);
        self.reported_ms = now_ms;
        self.owes_answer = false;
        report(end)
    }

    /// When [`Slave::report`] is to be asked even if nothing has happened, ms.
    pub fn wait_until_ms(&self) -> i64 {
        let close_ms = self
            .read_ms
            .saturating_add(self.settings.housekeeping_ms)
            .saturating_add(1);
        match self.reported {
            None => close_ms,
            Some(_) => close_ms.min(self.reported_ms.saturating_add(self.settings.heartbeat_ms)),
        }
    }
}

/// How long a slave waits before it connects again. The first time short, then longer up to Java's 5 s.
#[derive(Clone, Debug, Default)]
pub struct Reconnection {
    failures: u32,
}

/// The first wait, ms.
const RECONNECT_FIRST_MS: i64 = 100;
/// The longest wait, ms: what a Java slave waits always.
const RECONNECT_MAX_MS: i64 = 5_000;

impl Reconnection {
    /// A connection failed, or ended. After one that brought log bytes or a heartbeat for a while (`served`) the waits begin anew.
    pub fn wait_ms(&mut self, served: bool) -> i64 {
        if served {
            self.failures = 0;
        }
        let wait_ms = RECONNECT_FIRST_MS << self.failures.min(8);
        self.failures = self.failures.saturating_add(1);
        wait_ms.min(RECONNECT_MAX_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(promise: Promise) -> Settings {
        Settings {
            file_len: 100,
            promise,
            ..Settings::default()
        }
    }

    fn ends(appended: i64, synced: i64) -> Ends {
        Ends { appended, synced }
    }

    fn header(offset: i64, size: i32) -> [u8; HEADER_LEN] {
        Header { offset, size }.encode()
    }

    #[test]
    fn headers_that_no_master_writes_close_the_connection() {
        let no_transfer = |offset, size| Close::NoTransfer { offset, size };
        let over_end = |offset, size| Close::OverFileEnd {
            offset,
            size,
            file_len: 100,
        };
        let table = [
            (50, header(50, -1), no_transfer(50, -1)),
            (50, header(50, i32::MIN), no_transfer(50, i32::MIN)),
            (50, header(50, 101), no_transfer(50, 101)),
            (50, header(50, i32::MAX), no_transfer(50, i32::MAX)),
            (0, header(-100, 10), no_transfer(-100, 10)),
            (50, header(50, 51), over_end(50, 51)),
            (0, header(199, 2), over_end(199, 2)),
            (0, header(i64::MAX - 7, 0), over_end(i64::MAX - 7, 0)),
            (50, header(49, 1), Close::Elsewhere { offset: 49, end: 50 }),
            (50, header(51, 0), Close::Elsewhere { offset: 51, end: 50 }),
            (50, header(0, 0), Close::Elsewhere { offset: 0, end: 50 }),
        ];
        for (end, bytes, close) in table {
            let mut slave = Slave::new(small(Promise::Appended), end, 0);
            assert_eq!(slave.next(&mut &bytes[..], 0), Err(close));
        }
        let close = Close::Elsewhere { offset: 49, end: 50 };
        assert_eq!(
            close.to_string(),
            "the master sends the log from 49, and this one ends at 50"
        );
    }

    #[test]
    fn runs_lie_in_the_readers_buffer() {
        let mut slave = Slave::new(small(Promise::Appended), 50, 0);
        let stream = [&header(50, 6)[..], b"abcdef", &header(56, 2), b"gh"].concat();
        let (first, second) = stream.split_at(15);
        let mut input = first;
        let run = slave.next(&mut input, 0).expect("sound").expect("part of a body");
        assert_eq!((run.at, run.bytes), (50, &b"abc"[..]));
        assert_eq!(run.bytes.as_ptr(), first[12..].as_ptr(), "nothing was copied");
        assert_eq!(slave.next(&mut input, 0), Ok(None));
        let mut input = second;
        let run = slave.next(&mut input, 0).expect("sound").expect("the other part");
        assert_eq!((run.at, run.bytes), (53, &b"def"[..]));
        let run = slave.next(&mut input, 0).expect("sound").expect("the next body");
        assert_eq!((run.at, run.bytes), (56, &b"gh"[..]));
        assert_eq!((slave.next(&mut input, 0), slave.end()), (Ok(None), 58));
    }

    #[test]
    fn an_empty_log_begins_where_the_first_header_says() {
        for (size, body) in [(0, &b""[..]), (3, b"abc")] {
            let mut slave = Slave::new(small(Promise::Appended), 0, 0);
            let stream = [&header(300, size)[..], body].concat();
            let mut input = &stream[..];
            let begins = Run { at: 300, bytes: &[] };
            assert_eq!(slave.next(&mut input, 0), Ok(Some(begins)));
            let run = slave.next(&mut input, 0).expect("sound");
            assert_eq!(run.map(|run| run.bytes), (!body.is_empty()).then_some(body));
            let again = header(0, 0);
            let close = Close::Elsewhere {
                offset: 0,
                end: 300 + i64::from(size),
            };
            assert_eq!(slave.next(&mut &again[..], 0), Err(close), "it begins once");
        }
        let mut slave = Slave::new(small(Promise::Appended), 0, 0);
        assert_eq!(
            slave.next(&mut &header(0, 0)[..], 0),
            Ok(None),
            "it begins at 0 already"
        );
    }

    #[test]
    fn reports_follow_appends_heartbeats_and_time() {
        let mut slave = Slave::new(small(Promise::Appended), 50, 0);
        assert_eq!(slave.report(ends(50, 0), 0), Ok(Some(report(50))), "at once");
        assert_eq!(slave.report(ends(50, 0), 0), Ok(None));
        assert_eq!(slave.report(ends(60, 0), 1), Ok(Some(report(60))));
        assert_eq!(slave.wait_until_ms(), 5001);
        assert_eq!(slave.report(ends(60, 0), 5000), Ok(None));
        assert_eq!(
            slave.report(ends(60, 0), 5001),
            Ok(Some(report(60))),
            "a heartbeat"
        );
        assert_eq!(
            slave.report(ends(55, 0), 10_001),
            Ok(Some(report(60))),
            "never less"
        );
        assert_eq!(slave.next(&mut &header(50, 0)[..], 10_002), Ok(None));
        assert_eq!(
            slave.report(ends(60, 0), 10_002),
            Ok(Some(report(60))),
            "an answer"
        );
        assert_eq!(slave.report(ends(60, 0), 10_003), Ok(None));
    }

    #[test]
    fn a_promise_of_what_is_synced_waits_for_the_sync() {
        let mut slave = Slave::new(small(Promise::Synced), 50, 0);
        assert_eq!(
            slave.report(ends(50, 49), 6000),
            Ok(None),
            "a Java master would believe it"
        );
        assert_eq!(slave.wait_until_ms(), 20_001);
        assert_eq!(slave.report(ends(50, 50), 6000), Ok(Some(report(50))));
        assert_eq!(slave.report(ends(90, 50), 6001), Ok(None));
        assert_eq!(slave.report(ends(90, 70), 6002), Ok(Some(report(70))));
        assert_eq!(
            slave.report(ends(90, 95), 6003),
            Ok(Some(report(90))),
            "not more than there is"
        );
    }

    #[test]
    fn a_silent_master_is_left() {
        let mut slave = Slave::new(small(Promise::Appended), 50, 0);
        slave
            .next(&mut &header(50, 0)[..3], 100)
            .expect("half a header is a sign of life");
        slave.next(&mut &[][..], 15_000).expect("nothing is none");
        assert!(slave.report(ends(50, 0), 20_100).is_ok());
        assert_eq!(slave.wait_until_ms(), 20_101);
        assert_eq!(slave.report(ends(50, 0), 20_101), Err(Close::Silent(20_001)));
    }

    #[test]
    fn waits_before_connecting_again_grow_to_javas() {
        let mut again = Reconnection::default();
        let waits: Vec<i64> = (0..9).map(|_| again.wait_ms(false)).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!([again.wait_ms(true), again.wait_ms(false)], [100, 200]);
        assert_eq!((0..100).map(|_| again.wait_ms(false)).max(), Some(5000));
    }
}
