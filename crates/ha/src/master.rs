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
//!   ([`Master::handed`]), and the first header before them. The kernel gives the peer its bytes in order, so a peer that has read a
//!   byte has read all before it. Bytes that wait in the socket layer do not count. A peer that does not read gets no more than two
//!   socket buffers; from there on nothing is handed over and no report is believed.
//! - A report that repeats the start acknowledges the start once the first header was handed over: the peer has stayed and sent
//!   it again. Java's slaves do that with their heartbeat.
//! - A report that goes back, or between the first one and the start, or beyond what was handed over, closes the connection.
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
    pub says: Option<i64>,
    /// What it has acknowledged; nothing before it has acknowledged anything.
    pub acknowledged: Option<i64>,
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
    pub fn received(&mut self, mut bytes: &[u8], log: Extent, now_ms: i64) -> Result<(), Close> {
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
        let before = self.standing.says.unwrap_or(report);
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
        self.standing.says = Some(report);
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
        self.standing.says = Some(claim);
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
    pub fn handed(&mut self, mut bytes: usize) {
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
