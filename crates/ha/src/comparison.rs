//! Where the log of a slave and that of its master part.
//!
//! Both logs are copies of what masters appended, and a record holds its own offset, the times and the hosts of its birth. So two
//! logs that have the same record at the same offset have the same bytes before it; and they differ in everything behind the first
//! difference. That allows to bisect: over the files of the slave's log first, which begin with a record each, then over the records
//! in one file.
//!
//! VIEW_MESSAGE_BY_ID gives the bytes at an offset from any master. It does not check that a record begins there, so only
//! equality means anything; a slave asks for what begins with a record in its own log.
//!
//! A slave connects to its master first, compares then, and reports at last. In that order a master that is killed in between, and
//! comes back with less, has taken the connection with it. A master waits for the first report; one that does not wait long enough
//! finds the work done the next time.
//!
//! Damage of the master's log is no difference. Where both have a record up to a position, one starts there in either log, or the log or a file
//! ends. A master that has nothing sound there has damage, and its log is the same if what follows lies where the slave's records do: the
//! bisection goes on behind ([`Comparison::step_over`]).
//!
//! What the slave keeps ends with a common record. Half a record behind it, or the blank tail of a file, was not compared, and the
//! master sends it again.
//!
//! # What is not decided here
//!
//! - A cut that would take back what was acknowledged: [`crate::Reigns`] tells, and the slave stops.
//! - A cut of more than somebody has allowed. A master that lost its power lacks a moment of its log; one that lacks more was brought back from
//!   a backup, or is another's, and the slave may have the only copy of what was acknowledged since.
//! - Two logs that have nothing in common where both have something: a wrong master, or one whose disk was lost. The slave stops.
//!
//! A slave whose whole log is older than the master's oldest byte begins anew: retention has taken from the master what it has. So does
//! one whose log holds no record: where it begins was a master's word, and that master may have lost what was before.
//!
//! ```
//! use ha::{Comparison, Extent, Outcome, Question, Reigns};
//!
//! // Records of ten bytes; the master's differ from the fifth on.
//! let mut comparison = Comparison::new(Extent { min: 0, end: 80 }, vec![0], Extent { min: 0, end: 90 });
//! let outcome = loop {
//!     match comparison.question() {
//!         Question::Records { from, to, at_most } => {
//!             let all: Vec<i64> = (0..80).step_by(10).filter(|at| (from..to).contains(at)).collect();
//!             assert!(all.len() <= at_most);
//!             comparison.answer_records(all);
//!         }
//!         Question::Compare { offset } => {
//!             let master = if offset < 40 { b"of both..." } else { b"otherwise." };
//!             comparison.answer_compare(b"of both...", Some(master));
//!         }
//!         Question::LastRecord => comparison.answer_last_record(Some(70)),
//!         Question::None(outcome) => break outcome,
//!     }
//! };
//! assert_eq!(outcome, Outcome::Keep { until: 40 });
//! assert_eq!(outcome.allowed(80, 1000, &Reigns::default(), "10.0.0.1"), Ok(()));
//! ```

use crate::master::Extent;
use crate::reigns::{Reign, Reigns};

/// Records of a file that are asked for at once.
const SAMPLE: usize = 1024;

/// What is to be found out next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Where the last whole record of the slave's log begins: [`Comparison::answer_last_record`].
    LastRecord,
    /// Where whole records of the slave's log begin, from one that begins at `from` up to those that begin before `to`, in order;
    /// if there are more than `at_most`, so many of them, evenly spread: [`Comparison::answer_records`]. There are none if the blank tail
    /// of a file begins at `from`, or half a record.
    Records {
        /// Where the first one begins.
        from: i64,
        /// None begins here or behind.
        to: i64,
        /// Not more than this.
        at_most: usize,
    },
    /// The slave's record that begins at `offset`, and what the master has there: [`Comparison::answer_compare`].
    Compare {
        /// Where it begins.
        offset: i64,
    },
    /// Nothing: that is how it stands.
    None(Outcome),
}

/// How two logs stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything before `until` is the same. What the slave has behind it is to be cut.
    Keep {
        /// The end of the last common record.
        until: i64,
    },
    /// The slave's log ends before the master's oldest byte, or holds no record: it begins anew.
    BeginAnew,
    /// No record of the slave is in the master's log, though it reaches there.
    NothingInCommon,
}

/// Why a slave does not replicate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The logs have nothing in common.
    #[error(
        "no record of this log is in the master's, so nothing is replicated. Either this is not its master, or the master has lost \
         its log: then make this broker the master. To throw this log away, start with an empty store"
    )]
    NothingInCommon,
    /// The cut would take back what was acknowledged.
    #[error(
        "the master's log differs from {at} on, and this broker may have acknowledged what it has from there to {end} as a master \
         ({reign}), so nothing is cut. Make this broker the master again; or, if those messages may go, remove that line from the \
         history of roles"
    )]
    Acknowledged {
        /// Where the cut would be.
        at: i64,
        /// The end of the slave's last whole record.
        end: i64,
        /// When it was a master.
        reign: Reign,
    },
    /// The cut would be longer than is allowed.
    #[error(
        "the master's log ends or differs from {at} on, and this one goes on to {end}: more than haCutMaxBytes ({most} bytes) would be \
         cut, so nothing is. If the master was brought back from a backup, this broker may have the only copy of what came since: make \
         it the master. If those messages may go, set haCutMaxBytes higher"
    )]
    TooMuch {
        /// Where the cut would be.
        at: i64,
        /// The end of the slave's last whole record.
        end: i64,
        /// As many bytes may be cut.
        most: i64,
    },
}

impl Outcome {
    /// Where a slave's log is cut, if it is allowed. 0 is all of it.
    fn cut(self) -> Option<i64> {
        match self {
            Outcome::Keep { until } => Some(until),
            Outcome::BeginAnew => Some(0),
            Outcome::NothingInCommon => None,
        }
    }

    /// May a slave of `master` (an address without a port) do it, if its last whole record ends at `end`, and `most` bytes may be cut?
    /// What retention has taken from the master is not counted.
    ///
    /// # Errors
    /// It may not, and stops until somebody has decided.
    pub fn allowed(self, end: i64, most: i64, reigns: &Reigns, master: &str) -> Result<(), Stop> {
        let at = self.cut().ok_or(Stop::NothingInCommon)?;
        if matches!(self, Outcome::Keep { until } if end - until > most) {
            return Err(Stop::TooMuch { at, end, most });
        }
        match reigns.acknowledged_behind(at, end, master) {
            Some(reign) => Err(Stop::Acknowledged {
                at,
                end,
                reign: reign.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// Finds the last record that two logs have in common. Whoever has a slave's log and a connection to the master answers its
/// questions, one after the other.
#[derive(Debug)]
pub struct Comparison {
    own: Extent,
    master: Extent,
    /// Nothing is asked twice: what the last question was about.
    asks: Asks,
    /// The end of the newest record that was found to be common.
    common: Option<i64>,
    /// The oldest record that was found to differ; or the end of the slave's log.
    differs: i64,
    /// Where records begin that lie between, in order.
    candidates: Vec<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    LastRecord,
    Records { from: i64 },
    Compare { offset: i64 },
    Nothing(Outcome),
}

impl Comparison {
    /// Of the log `own`, whose files that hold a whole record begin at `files`, with that of a master, which reaches as far as
    /// `master`. GET_BROKER_RUNTIME_INFO tells a master's extent: `commitLogMinOffset`, `commitLogMaxOffset`.
    pub fn new(own: Extent, files: Vec<i64>, master: Extent) -> Comparison {
        let asks = if own.end <= 0 {
            Asks::Nothing(Outcome::Keep { until: 0 })
        } else if files.is_empty() || own.end <= master.min {
            Asks::Nothing(Outcome::BeginAnew)
        } else {
            Asks::LastRecord
        };
        // What the master has deleted cannot be compared.
        let candidates = files
            .into_iter()
            .filter(|&file| file >= master.min && file < own.end)
            .collect();
        Comparison {
            own,
            master,
            asks,
            common: None,
            differs: own.end,
            candidates,
        }
    }

    /// What is to be found out next.
    pub fn question(&self) -> Question {
        match self.asks {
            Asks::LastRecord => Question::LastRecord,
            Asks::Records { from } => Question::Records {
                from,
                to: self.differs,
                at_most: SAMPLE,
            },
            Asks::Compare { offset } => Question::Compare { offset },
            Asks::Nothing(outcome) => Question::None(outcome),
        }
    }

    /// Where the last whole record of the slave's log begins.
    pub fn answer_last_record(&mut self, offset: Option<i64>) {
        if self.asks == Asks::LastRecord {
            match offset {
                Some(offset) if offset >= self.master.min => self.asks = Asks::Compare { offset },
                _ => self.narrow(),
            }
        }
    }

    /// Where records begin, as they were asked for. What was not asked for is left out.
    pub fn answer_records(&mut self, offsets: Vec<i64>) {
        if let Asks::Records { from } = self.asks {
            self.candidates = offsets;
            self.candidates.retain(|&at| (from..self.differs).contains(&at));
            if self.candidates.is_empty() {
                self.asks = Asks::Nothing(Outcome::Keep { until: from });
            } else {
                self.narrow();
            }
        }
    }

    /// The slave's record that was asked for, and what the master has in its place: nothing, if it says that it has nothing there.
    /// An answer that did not come, or says that the master is busy, is no answer; the comparison is given up.
    pub fn answer_compare(&mut self, own: &[u8], master: Option<&[u8]>) {
        let Asks::Compare { offset } = self.asks else {
            return;
        };
        if !own.is_empty() && master == Some(own) {
            let end = offset.saturating_add(i64::try_from(own.len()).unwrap_or(i64::MAX));
            self.common = Some(end.min(self.own.end));
            self.candidates.retain(|&at| at > offset);
        } else {
            self.differs = offset;
            self.candidates.retain(|&at| at < offset);
        }
        self.narrow();
    }

    /// All up to `end` is common although it was found otherwise: what the master has where the logs seemed to part is damage, and no other
    /// log. What follows is compared as from the beginning; `files` as in [`Comparison::new`].
    pub fn step_over(&mut self, end: i64, files: Vec<i64>) {
        self.common = Some(end);
        self.differs = self.own.end;
        self.candidates = files;
        self.candidates
            .retain(|&file| (end..self.own.end).contains(&file));
        self.narrow();
    }

    /// Halves what lies between, or looks closer.
    fn narrow(&mut self) {
        self.asks = match (self.candidates.get(self.candidates.len() / 2), self.common) {
            (Some(&offset), _) => Asks::Compare { offset },
            (None, Some(from)) if from >= self.differs => Asks::Nothing(Outcome::Keep { until: from }),
            (None, Some(from)) => Asks::Records { from },
            (None, None) => Asks::Nothing(Outcome::NothingInCommon),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_allowed_where_nothing_acknowledged_goes() {
        let mut reigns = Reigns::default();
        reigns.begin(100, true);
        reigns.end(200);
        let allowed = |outcome: Outcome, end| outcome.allowed(end, i64::MAX, &reigns, "10.0.0.2");
        assert_eq!(allowed(Outcome::Keep { until: 200 }, 300), Ok(()));
        assert_eq!(allowed(Outcome::Keep { until: 150 }, 150), Ok(()), "nothing goes");
        let stop = allowed(Outcome::Keep { until: 199 }, 300).expect_err("a byte goes");
        let text = stop.to_string();
        assert!(text.contains("differs from 199 on"), "{text}");
        assert!(
            text.contains("from there to 300 as a master (from=100 until=200 alone)"),
            "{text}"
        );
        assert!(allowed(Outcome::BeginAnew, 300).is_err(), "all goes");
        let none = Reigns::default();
        assert_eq!(Outcome::BeginAnew.allowed(300, 0, &none, "m"), Ok(()));
        let keep = Outcome::Keep { until: 200 };
        assert_eq!(keep.allowed(300, 100, &none, "m"), Ok(()));
        let too_much = keep.allowed(300, 99, &none, "m").expect_err("100 bytes would go");
        assert!(
            matches!(
                too_much,
                Stop::TooMuch {
                    at: 200,
                    end: 300,
                    most: 99
                }
            ),
            "{too_much}"
        );
        let nothing = Outcome::NothingInCommon.allowed(300, 0, &none, "m");
        assert_eq!(nothing, Err(Stop::NothingInCommon));
    }

    #[test]
    fn behind_damage_of_the_master_it_is_looked_on() {
        let log = Extent { min: 0, end: 40 };
        let mut comparison = Comparison::new(log, vec![0], log);
        comparison.answer_last_record(Some(30));
        comparison.answer_compare(b"the fourth", None);
        comparison.answer_compare(b"the  first", Some(b"the  first"));
        comparison.answer_records(vec![10, 20, 30]);
        comparison.answer_compare(b"the  third", None);
        comparison.answer_compare(b"the second", None);
        assert_eq!(comparison.question(), Question::None(Outcome::Keep { until: 10 }));
        comparison.step_over(30, vec![0]);
        let rest = Question::Records {
            from: 30,
            to: 40,
            at_most: 1024,
        };
        assert_eq!(comparison.question(), rest);
        comparison.answer_records(vec![30]);
        comparison.answer_compare(b"the fourth", Some(b"the fourth"));
        assert_eq!(comparison.question(), Question::None(Outcome::Keep { until: 40 }));
        comparison.step_over(40, vec![0]);
        assert_eq!(comparison.question(), Question::None(Outcome::Keep { until: 40 }));
    }

    #[test]
    fn records_are_asked_for_in_bounded_numbers() {
        let log = Extent { min: 0, end: 1 << 30 };
        let mut comparison = Comparison::new(log, vec![0], log);
        comparison.answer_last_record(None);
        comparison.answer_compare(b"same", Some(b"same"));
        let asked = Question::Records {
            from: 4,
            to: 1 << 30,
            at_most: 1024,
        };
        assert_eq!(comparison.question(), asked);
        // What was not asked for is left out: it would be compared with what is not known to differ.
        comparison.answer_records(vec![0, 2, 1 << 30]);
        assert_eq!(comparison.question(), Question::None(Outcome::Keep { until: 4 }));
    }
}
