//! A master's side of one connection.
//!
//! # What is believed
//!
//! The protocol has no proof: a report is eight bytes that anybody can send. Java's master takes the first one for an
//! acknowledgement. This one believes as little as it can while every Java slave still works:
//!
//! - The **first report** says from where the peer wants the log. It acknowledges nothing, whatever it says. Beyond the end of the
//!   log, or before its oldest byte, it closes the connection.
//! - A **later report** acknowledges if, when it was read, the kernel had taken every byte up to it for this connection
//!   ([`Master::hand_over`]), and the first header before them. The kernel gives the peer its bytes in order, so a peer that has read a
//!   byte has read all before it. Bytes that wait in the socket layer do not count. A peer that does not read gets no more than two
//!   socket buffers; from there on nothing is handed over and no report is believed.
//! - A report that repeats the start acknowledges the start once the first header was handed over: the peer has stayed and sent
//!   it again. Java's slaves do that with their heartbeat.
//! - A report that goes back, or between the first one and the start, or beyond what was handed over, closes the connection.
//!
//! A slave that is given the newest file only has nothing of the files before, and a send may wait whose message is in one of those:
//! [`crate::Replicas`] sees to it.
//!
//! What is left: a peer with an allowed address that lies about bytes it was sent. Who is allowed is decided before there is a
//! `Master`.
//!
//! Only whole units of eight bytes count; each is looked at, so the last one of a read says how far the peer is.

use std::collections::VecDeque;

use crate::flow::Flow;
use crate::wire::{BODY_LEN_MAX, Cutter, HEADER_LEN, Header, REPORT_LEN};

/// What a master's connections are set to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Size of a commitlog file, bytes: a transfer ends where a file does.
    pub file_len: i64,
    /// The longest body, bytes; more than [`BODY_LEN_MAX`] is taken for that. `haTransferBatchSize`.
    pub batch_len: usize,
    /// Bytes that may wait for the kernel; one transfer is always allowed.
    pub outbox_len: usize,
    /// What a slave without a log is given.
    pub new_slave: NewSlave,
    /// After so much silence a heartbeat goes, ms. `haSendHeartbeatInterval`.
    pub heartbeat_ms: i64,
    /// After so much silence of the peer the connection is closed, ms. `haHousekeepingInterval`.
    pub housekeeping_ms: i64,
    /// Most bytes a second; 0 is no limit.
    pub bytes_per_second: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            file_len: 1 << 30,
            batch_len: BODY_LEN_MAX,
            outbox_len: 2 * BODY_LEN_MAX,
            new_slave: NewSlave::WholeLog,
            heartbeat_ms: 5_000,
            housekeeping_ms: 20_000,
            bytes_per_second: 0,
        }
    }
}

/// What a slave without a log is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewSlave {
    /// Everything that is there.
    WholeLog,
    /// The newest file, as Java does.
    NewestFile,
}

/// Where a log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its oldest byte.
    pub min: i64,
    /// Behind its newest byte.
    pub end: i64,
}

/// What to do for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This goes behind what went before.
    Send(Transfer),
    /// Nothing, until there is more log, or the kernel takes bytes, or the peer sends some, or it is `until_ms`.
    Wait {
        /// When to ask again, ms.
        until_ms: i64,
    },
}

/// A header, and behind it a range of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The first bytes.
    pub header: [u8; HEADER_LEN],
    /// Where the range begins.
    pub from: i64,
    /// Its length, bytes; 0 is a heartbeat.
    pub len: usize,
}

/// How far a slave is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The end of its log, as it says; nothing before its first report.
    pub claim: Option<i64>,
    /// What it has acknowledged; nothing before it has acknowledged anything.
    pub acknowledged: Option<i64>,
    /// When it was given the newest file alone, ms: it has nothing of those before.
    pub newest_file_ms: Option<i64>,
    /// The end of the master's log at its first report.
    pub began_at: i64,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Close {
    /// A position below 0.
    #[error("the slave reports {0}, which is no position in a log")]
    NoPosition(i64),
    /// The first report is beyond the end.
    #[error(
        "the slave's log ends at {claim}, this master's at {end}: the slave has what this master has not, and must compare \
         the logs before it connects"
    )]
    MoreThanMaster {
        /// What the slave reports.
        claim: i64,
        /// Where the log ends.
        end: i64,
    },
    /// The first report is before the oldest byte.
    #[error("the slave's log ends at {claim}, and the oldest byte here is {min}: what is between is gone")]
    Gone {
        /// What the slave reports.
        claim: i64,
        /// The oldest byte.
        min: i64,
    },
    /// A report below the one before.
    #[error("the slave reports {report} after {before}: a log does not get shorter")]
    Backwards {
        /// What the slave reports.
        report: i64,
        /// What it reported before.
        before: i64,
    },
    /// A report of what it was not sent.
    #[error("the slave reports {report}, and was sent [{start}, {handed})")]
    NotSent {
        /// What the slave reports.
        report: i64,
        /// Where the stream begins.
        start: i64,
        /// How far the kernel has taken it.
        handed: i64,
    },
    /// Nothing came from the peer.
    #[error("the slave has sent nothing for {0} ms")]
    Silent(i64),
    /// What is to be sent next was deleted.
    #[error("the slave needs the log from {next}, and the oldest byte here is {min}: it is too slow")]
    Overtaken {
        /// What is to be sent next.
        next: i64,
        /// The oldest byte.
        min: i64,
    },
    /// The log ends before what was sent.
    #[error(
        "this master's log ends at {end}, and the slave was sent {sent}: the log was cut while it was replicated"
    )]
    Cut {
        /// Where the log ends.
        end: i64,
        /// The end of what was sent.
        sent: i64,
    },
}

/// What waits for the kernel.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Bytes of the header that the kernel has not taken.
    header_left: usize,
    /// The first byte of the body that the kernel has not taken.
    from: i64,
    /// Bytes of the body that the kernel has not taken.
    left: usize,
}

/// A stream that has begun.
#[derive(Clone, Debug)]
struct Stream {
    /// Where it began.
    start: i64,
    /// Where the next transfer begins.
    next: i64,
    /// Up to where the kernel has taken it; nothing before the first header is through.
    handed: Option<i64>,
}

/// One connection of a slave.
#[derive(Debug)]
pub struct Master {
    settings: Settings,
    flow: Flow,
    cutter: Cutter<REPORT_LEN>,
    stream: Option<Stream>,
    standing: Standing,
    waiting: VecDeque<Waiting>,
    waiting_len: usize,
    read_ms: i64,
    sent_ms: i64,
}

impl Master {
    /// A connection that was accepted at `now_ms`.
    ///
    /// # Panics
    /// The settings have no file or batch length.
    pub fn new(settings: Settings, now_ms: i64) -> Master {
        assert!(
            settings.file_len > 0 && settings.batch_len > 0,
            "transfers have a length"
        );
        Master {
            flow: Flow::new(settings.bytes_per_second, now_ms),
            settings,
            cutter: Cutter::new(),
            stream: None,
            standing: Standing::default(),
            waiting: VecDeque::new(),
            waiting_len: 0,
            read_ms: now_ms,
            sent_ms: now_ms,
        }
    }

    /// Another limit, in bytes a second; 0 is none.
    pub fn set_bytes_per_second(&mut self, bytes_per_second: u64, now_ms: i64) {
        self.flow.set(bytes_per_second, now_ms);
    }

    /// How far the slave is.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Bytes that the kernel has not taken.
    pub fn waiting_len(&self) -> usize {
        self.waiting_len
    }

    /// Where the next transfer begins; nothing before the slave's first report.
    pub fn next_offset(&self) -> Option<i64> {
        self.stream.as_ref().map(|stream| stream.next)
    }

    /// Where the stream began and how far the kernel has taken it.
    pub fn sent(&self) -> Option<Extent> {
        let stream = self.stream.as_ref()?;
        Some(Extent {
            min: stream.start,
            end: stream.handed?,
        })
    }

    /// Bytes came from the slave, any number of them.
    ///
    /// # Errors
    /// They are to be answered by closing the connection.
    pub fn receive(&mut self, mut bytes: &[u8], log: Extent, now_ms: i64) -> Result<(), Close> {
        if !bytes.is_empty() {
            self.read_ms = self.read_ms.max(now_ms);
        }
        while let Some(unit) = self.cutter.next(&mut bytes) {
            self.report(i64::from_be_bytes(unit), log, now_ms)?;
        }
        Ok(())
    }

    fn report(&mut self, report: i64, log: Extent, now_ms: i64) -> Result<(), Close> {
        if report < 0 {
            return Err(Close::NoPosition(report));
        }
        let Some(stream) = &self.stream else {
            return self.begin(report, log, now_ms);
        };
        let before = self.standing.claim.unwrap_or(report);
        if report < before {
            return Err(Close::Backwards { report, before });
        }
        let start = stream.start;
        let handed = stream.handed.unwrap_or(start);
        let is_repeated = report == before;
        let was_sent = stream.handed.is_some() && (start..=handed).contains(&report);
        if !is_repeated && !was_sent {
            return Err(Close::NotSent {
                report,
                start,
                handed,
            });
        }
        self.standing.claim = Some(report);
        if was_sent {
            self.standing.acknowledged = Some(report);
        }
        Ok(())
    }

    fn begin(&mut self, claim: i64, log: Extent, now_ms: i64) -> Result<(), Close> {
        let start = match (claim, self.settings.new_slave) {
            (0, NewSlave::WholeLog) => log.min,
            (0, NewSlave::NewestFile) => (log.end - log.end % self.settings.file_len).max(log.min),
            (claim, _) if claim > log.end => {
                return Err(Close::MoreThanMaster { claim, end: log.end });
            }
            (claim, _) if claim < log.min => return Err(Close::Gone { claim, min: log.min }),
            (claim, _) => claim,
        };
        if claim == 0 && start > log.min {
            self.standing.newest_file_ms = Some(now_ms);
        }
        self.standing.claim = Some(claim);
        self.standing.began_at = log.end;
        self.stream = Some(Stream {
            start,
            next: start,
            handed: None,
        });
        self.sent_ms = now_ms;
        Ok(())
    }

    /// What to send. Asked again until it says [`Next::Wait`]; what it says to send is sent, or the connection is closed.
    ///
    /// The first transfer of a stream is a heartbeat: it tells a slave without a log where its first file begins.
    ///
    /// # Errors
    /// The connection is to be closed.
    pub fn next(&mut self, log: Extent, now_ms: i64) -> Result<Next, Close> {
        let silent_ms = now_ms.saturating_sub(self.read_ms);
        if silent_ms > self.settings.housekeeping_ms {
            return Err(Close::Silent(silent_ms));
        }
        let close_ms = self
            .read_ms
            .saturating_add(self.settings.housekeeping_ms)
            .saturating_add(1);
        let wait = |until_ms: i64| {
            Ok(Next::Wait {
                until_ms: until_ms.min(close_ms),
            })
        };
        let Some(stream) = &self.stream else {
            return wait(close_ms);
        };
        let (next, is_first) = (stream.next, stream.handed.is_none() && self.waiting.is_empty());
        if next < log.min {
            return Err(Close::Overtaken { next, min: log.min });
        }
        if log.end < next {
            return Err(Close::Cut {
                end: log.end,
                sent: next,
            });
        }
        if is_first {
            return Ok(self.send(0, now_ms));
        }
        let len = self.next_len(next, log.end);
        if len == 0 {
            let heartbeat_ms = self.sent_ms.saturating_add(self.settings.heartbeat_ms);
            // A peer that does not take what is there is not told more.
            return match self.waiting.is_empty() {
                true if heartbeat_ms <= now_ms => Ok(self.send(0, now_ms)),
                true => wait(heartbeat_ms),
                false => wait(close_ms),
            };
        }
        if !self.waiting.is_empty() && self.waiting_len + HEADER_LEN + len > self.settings.outbox_len {
            return wait(close_ms);
        }
        if let Some(until_ms) = self.flow.wait_until(now_ms) {
            return wait(until_ms);
        }
        Ok(self.send(len, now_ms))
    }

    /// Bytes of the next body.
    fn next_len(&self, next: i64, end: i64) -> usize {
        let file_left = self.settings.file_len - next % self.settings.file_len;
        let left = usize::try_from((end - next).min(file_left)).unwrap_or(usize::MAX);
        left.min(self.settings.batch_len)
            .min(BODY_LEN_MAX)
            .min(self.flow.most())
    }

    fn send(&mut self, len: usize, now_ms: i64) -> Next {
        let stream = self.stream.as_mut().expect("asked for only when there is one");
        let size = i32::try_from(len).expect("not over BODY_LEN_MAX");
        let from = stream.next;
        stream.next += i64::from(size);
        self.flow.spend(len);
        self.waiting.push_back(Waiting {
            header_left: HEADER_LEN,
            from,
            left: len,
        });
        self.waiting_len += HEADER_LEN + len;
        self.sent_ms = now_ms;
        let header = Header { offset: from, size }.encode();
        Next::Send(Transfer { header, from, len })
    }

    /// The kernel has taken so many bytes more of what [`Master::next`] said to send.
    ///
    /// # Panics
    /// They are more than it said.
    pub fn hand_over(&mut self, mut bytes: usize) {
        let stream = self.stream.as_mut();
        assert!(bytes <= self.waiting_len, "more was written than there is");
        self.waiting_len -= bytes;
        let Some(stream) = stream else { return };
        while let Some(first) = self.waiting.front_mut() {
            let of_header = bytes.min(first.header_left);
            first.header_left -= of_header;
            let of_body = (bytes - of_header).min(first.left);
            first.left -= of_body;
            first.from += i64::try_from(of_body).expect("a body is short");
            bytes -= of_header + of_body;
            if first.header_left > 0 {
                break;
            }
            stream.handed = Some(first.from);
            if first.left > 0 {
                break;
            }
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{JAVA_SLAVE_BUFFER_LEN, report};

    const LOG: Extent = Extent { min: 100, end: 1000 };

    fn small() -> Settings {
        Settings {
            file_len: 100,
            batch_len: 70,
            outbox_len: 200,
            ..Settings::default()
        }
    }

    /// A stream that has begun at `claim`, its first header through.
    fn begun(settings: Settings, claim: i64) -> Master {
        let mut master = Master::new(settings, 0);
        master.receive(&report(claim), LOG, 0).expect("a claim");
        let Ok(Next::Send(first)) = master.next(LOG, 0) else {
            panic!("a stream begins with a header");
        };
        assert_eq!(first.len, 0);
        master.hand_over(HEADER_LEN);
        master
    }

    fn begins_at(new_slave: NewSlave, log: Extent, claim: i64) -> Result<i64, Close> {
        let settings = Settings { new_slave, ..small() };
        let mut master = Master::new(settings, 0);
        master.receive(&report(claim), log, 0)?;
        match master.next(log, 0)? {
            Next::Send(first) => Ok(first.from),
            wait => panic!("{wait:?}"),
        }
    }

    #[test]
    fn the_first_report_says_where_a_stream_begins() {
        use NewSlave::{NewestFile, WholeLog};
        let odd = Extent { min: 250, end: 280 };
        let table = [
            (WholeLog, LOG, 0, Ok(100)),
            (NewestFile, LOG, 0, Ok(1000)),
            (NewestFile, Extent { min: 100, end: 999 }, 0, Ok(900)),
            (NewestFile, odd, 0, Ok(250)),
            (WholeLog, Extent { min: 0, end: 0 }, 0, Ok(0)),
            (WholeLog, LOG, 100, Ok(100)),
            (NewestFile, LOG, 555, Ok(555)),
            (WholeLog, LOG, 1000, Ok(1000)),
            (
                WholeLog,
                LOG,
                1001,
                Err(Close::MoreThanMaster {
                    claim: 1001,
                    end: 1000,
                }),
            ),
            (WholeLog, LOG, 99, Err(Close::Gone { claim: 99, min: 100 })),
            (WholeLog, LOG, -1, Err(Close::NoPosition(-1))),
            (WholeLog, LOG, i64::MIN, Err(Close::NoPosition(i64::MIN))),
        ];
        for (new_slave, log, claim, expected) in table {
            assert_eq!(
                begins_at(new_slave, log, claim),
                expected,
                "{new_slave:?} {claim}"
            );
        }
    }

    #[test]
    fn transfers_end_where_files_and_batches_do() {
        let mut master = begun(small(), 150);
        let mut sent = Vec::new();
        let log = Extent { min: 100, end: 330 };
        while let Ok(Next::Send(transfer)) = master.next(log, 0) {
            let header = Header::decode(transfer.header);
            assert_eq!(
                (header.offset, header.size as usize),
                (transfer.from, transfer.len)
            );
            master.hand_over(HEADER_LEN + transfer.len);
            sent.push((transfer.from, transfer.len));
        }
        assert_eq!(sent, [(150, 50), (200, 70), (270, 30), (300, 30)]);
    }

    #[test]
    fn a_transfer_fits_into_what_a_java_slave_reads_into() {
        let settings = Settings {
            batch_len: usize::MAX,
            outbox_len: 0,
            ..Settings::default()
        };
        let mut master = begun(settings, 100);
        let log = Extent { min: 0, end: 1 << 40 };
        let Ok(Next::Send(transfer)) = master.next(log, 0) else {
            panic!("one transfer is always allowed");
        };
        assert_eq!(HEADER_LEN + transfer.len, JAVA_SLAVE_BUFFER_LEN);
    }

    #[test]
    fn no_more_waits_for_the_kernel_than_the_outbox_holds() {
        let mut master = begun(small(), 100);
        let mut sent = 0;
        while let Ok(Next::Send(transfer)) = master.next(LOG, 0) {
            sent += HEADER_LEN + transfer.len;
            assert_eq!(master.waiting_len(), sent);
        }
        assert_eq!(sent, 82 + 42, "with 82 more it would be over 200");
        master.hand_over(82);
        assert!(matches!(master.next(LOG, 0), Ok(Next::Send(_))));
    }

    #[test]
    fn a_report_counts_when_the_kernel_has_taken_its_bytes() {
        let mut master = begun(small(), 150);
        let acknowledged = |master: &Master| master.standing().acknowledged;
        assert!(matches!(master.next(LOG, 0), Ok(Next::Send(_))));
        master.hand_over(HEADER_LEN + 20);
        master.receive(&report(170), LOG, 0).expect("it was sent that");
        assert_eq!(acknowledged(&master), Some(170));
        let close = master.receive(&report(171), LOG, 0);
        let expected = Close::NotSent {
            report: 171,
            start: 150,
            handed: 170,
        };
        assert_eq!(close, Err(expected));
        master.hand_over(1);
        master.receive(&report(171), LOG, 0).expect("now it was");
        assert_eq!(acknowledged(&master), Some(171));
        let close = master.receive(&report(170), LOG, 0);
        assert_eq!(
            close,
            Err(Close::Backwards {
                report: 170,
                before: 171
            })
        );
    }

    #[test]
    fn the_start_counts_when_it_is_repeated_after_the_first_header() {
        let mut master = Master::new(small(), 0);
        let twice = [report(150), report(150)].concat();
        master.receive(&twice, LOG, 0).expect("a heartbeat of a slave");
        assert!(matches!(master.next(LOG, 0), Ok(Next::Send(_))));
        master.hand_over(HEADER_LEN - 1);
        master.receive(&report(150), LOG, 0).expect("another");
        assert_eq!(master.standing().acknowledged, None, "the header is not through");
        master.hand_over(1);
        master.receive(&report(150), LOG, 0).expect("another");
        let standing = Standing {
            claim: Some(150),
            acknowledged: Some(150),
            newest_file_ms: None,
            began_at: LOG.end,
        };
        assert_eq!(master.standing(), standing);
    }

    #[test]
    fn of_many_reports_in_pieces_the_last_whole_one_counts() {
        let mut master = begun(small(), 150);
        assert!(matches!(master.next(LOG, 0), Ok(Next::Send(_))));
        master.hand_over(HEADER_LEN + 50);
        let all = [report(160), report(170), report(190)].concat();
        master.receive(&all[..21], LOG, 0).expect("sound");
        assert_eq!(master.standing().claim, Some(170));
        master.receive(&all[21..], LOG, 0).expect("sound");
        assert_eq!(master.standing().acknowledged, Some(190));
    }

    #[test]
    fn a_slave_of_the_newest_file_is_told_apart() {
        let given = |new_slave, log, claim| {
            let settings = Settings { new_slave, ..small() };
            let mut master = Master::new(settings, 0);
            master.receive(&report(claim), log, 7).expect("a claim");
            master.standing().newest_file_ms
        };
        let one_file = Extent { min: 900, end: 950 };
        assert_eq!(given(NewSlave::NewestFile, LOG, 0), Some(7));
        assert_eq!(
            given(NewSlave::NewestFile, LOG, 500),
            None,
            "it has the files before"
        );
        assert_eq!(
            given(NewSlave::NewestFile, one_file, 0),
            None,
            "there is no other file"
        );
        assert_eq!(given(NewSlave::WholeLog, LOG, 0), None);
    }

    #[test]
    fn a_new_slave_that_repeats_its_claim_has_nothing_yet() {
        let mut master = begun(small(), 0);
        master.receive(&report(0), LOG, 0).expect("it has not begun");
        assert_eq!(master.standing().acknowledged, None);
        master.receive(&report(100), LOG, 0).expect("it has begun");
        assert_eq!(master.standing().acknowledged, Some(100));
        let close = master.receive(&report(50), LOG, 0);
        assert!(matches!(close, Err(Close::Backwards { .. })));
    }

    #[test]
    fn a_report_before_the_start_is_no_position_that_was_sent() {
        let mut master = begun(small(), 0);
        let close = master.receive(&report(99), LOG, 0);
        let expected = Close::NotSent {
            report: 99,
            start: 100,
            handed: 100,
        };
        assert_eq!(close, Err(expected));
    }

    #[test]
    fn heartbeats_fill_silence_and_a_silent_peer_is_left() {
        let mut master = begun(small(), 1000);
        assert_eq!(master.next(LOG, 1), Ok(Next::Wait { until_ms: 5000 }));
        for at in [5000, 10_000, 15_000, 20_000] {
            let Ok(Next::Send(heartbeat)) = master.next(LOG, at) else {
                panic!("it is time");
            };
            let header = Header::decode(heartbeat.header);
            assert_eq!(
                header,
                Header {
                    offset: 1000,
                    size: 0
                }
            );
            let wait = master.next(LOG, at + 5000 - 1);
            if at < 20_000 {
                assert_eq!(
                    wait,
                    Ok(Next::Wait { until_ms: 20_001 }),
                    "the first is not through"
                );
            }
            master.hand_over(HEADER_LEN);
        }
        assert_eq!(master.next(LOG, 20_000), Ok(Next::Wait { until_ms: 20_001 }));
        assert_eq!(master.next(LOG, 20_001), Err(Close::Silent(20_001)));
        // Half a report is a sign of life, nothing is not.
        master.receive(&[], LOG, 20_001).expect("open");
        assert_eq!(master.next(LOG, 20_001), Err(Close::Silent(20_001)));
        master.receive(&[0], LOG, 20_001).expect("open");
        assert!(master.next(LOG, 40_001).is_ok());
    }

    #[test]
    fn a_slave_of_4_9_is_silent_at_first() {
        let mut master = Master::new(small(), 0);
        assert_eq!(master.next(LOG, 19_999), Ok(Next::Wait { until_ms: 20_001 }));
        assert_eq!(master.next(LOG, 20_001), Err(Close::Silent(20_001)));
    }

    #[test]
    fn retention_overtakes_a_slow_slave() {
        let mut master = begun(small(), 150);
        let log = Extent { min: 200, end: 1000 };
        assert_eq!(master.next(log, 0), Err(Close::Overtaken { next: 150, min: 200 }));
        let cut = Extent { min: 100, end: 149 };
        assert_eq!(master.next(cut, 0), Err(Close::Cut { end: 149, sent: 150 }));
    }

    #[test]
    fn the_rate_is_kept_and_changed() {
        let settings = Settings {
            file_len: 1 << 30,
            batch_len: BODY_LEN_MAX,
            bytes_per_second: 10_000,
            ..Settings::default()
        };
        let log = Extent { min: 0, end: 1 << 40 };
        let mut master = Master::new(settings, 0);
        master.receive(&report(100), log, 0).expect("a claim");
        let mut sent = 0;
        let mut send_until = |master: &mut Master, from: i64, end: i64| {
            let mut now = from;
            let mut sent_now = 0;
            while now < end {
                master.receive(&report(100), log, now).expect("alive");
                match master.next(log, now).expect("open") {
                    Next::Send(transfer) => {
                        assert!(transfer.len <= 1000, "a tenth of a second");
                        master.hand_over(HEADER_LEN + transfer.len);
                        sent_now += transfer.len;
                    }
                    Next::Wait { until_ms } => now = until_ms,
                }
            }
            sent += sent_now;
            sent_now
        };
        let ten_seconds = send_until(&mut master, 0, 10_000);
        assert!((100_000..=102_000).contains(&ten_seconds), "{ten_seconds}");
        master.set_bytes_per_second(2_000, 10_000);
        let slower = send_until(&mut master, 10_000, 20_000);
        assert!((20_000..=21_000).contains(&slower), "{slower}");
    }

    #[test]
    #[should_panic(expected = "more was written than there is")]
    fn who_hands_over_more_than_there_is_has_lost_count() {
        begun(small(), 150).hand_over(1);
    }

    #[test]
    fn reasons_say_what_the_peer_did() {
        let texts = [
            (Close::NoPosition(-5), "the slave reports -5, which"),
            (
                Close::MoreThanMaster { claim: 9, end: 5 },
                "ends at 9, this master's at 5",
            ),
            (
                Close::Gone { claim: 9, min: 50 },
                "ends at 9, and the oldest byte here is 50",
            ),
            (Close::Silent(20_001), "nothing for 20001 ms"),
        ];
        for (close, part) in texts {
            assert!(close.to_string().contains(part), "{close}");
        }
    }
}
