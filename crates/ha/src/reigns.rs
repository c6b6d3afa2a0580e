//! What a broker acknowledged while it was a master.
//!
//! A slave whose log has more than its master's must cut what is too much. It may do so by itself if nobody was told that those
//! records are kept. It may not if it was a master when it wrote them, and answered SUCCESS. The log does not tell; so every
//! start as a master is noted, with what an answer meant:
//!
//! - **Alone**: SUCCESS needed no slave (ASYNC_MASTER, or `inSyncReplicas` = 1). Every record of the reign may be acknowledged.
//! - **With slaves**: SUCCESS needed a slave. What slaves had acknowledged is saved now and then, and when the master stops. If it
//!   was killed, slaves may have acknowledged more than was saved. That does not matter if the only one of them is today's master:
//!   what it acknowledged, it has. It does if there were others.
//!
//! One case is left. Today's master may have lost what it acknowledged as a slave: its power went before a sync, or it was cut when
//! it followed a third broker. What is lost of before the last save stops the cut here. What was acknowledged between the last save
//! and the kill, by that slave alone, is cut; nobody can tell. So a master saves every second, a slave that promises what is synced
//! loses nothing by a power cut, a broker syncs its log before it begins a reign, and whoever cuts keeps the bytes aside.
//!
//! Sends that asked for no wait (`WAIT=false`), and those that were answered FLUSH_SLAVE_TIMEOUT or SLAVE_NOT_AVAILABLE, were
//! promised nothing: the second kind was told so.
//!
//! The file is text, a line a reign, the oldest first:
//!
//! ```text
//! from=0 until=4096 alone
//! from=8192 until=10240 acknowledged=10000 doubtful=10240 slaves=10.0.0.2,10.0.0.3
//! from=20480 acknowledged=30000 doubtful=0 slaves=10.0.0.2*2
//! ```
//!
//! An address at which several slaves may live has their number behind it: that today's master is there does not say that it is the
//! one that acknowledged.
//!
//! A reign without `until` goes on, or its broker was killed. Who wants what a slave refuses to cut gone removes its line.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};
use std::str::FromStr;

/// What SUCCESS meant in a reign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The master has the record.
    Alone,
    /// A slave has it, too.
    WithSlaves {
        /// Slaves have acknowledged everything before this, as far as it was saved.
        acknowledged: i64,
        /// The log's end when the broker was killed, or 0: any slave may have acknowledged what is before it.
        doubtful: i64,
        /// The addresses of all slaves that reported in this reign, without ports, and how many live there.
        slaves: BTreeMap<String, usize>,
    },
}

/// A time in which the broker was a master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reign {
    /// The log's end when it began.
    pub from: i64,
    /// The log's end when it was over.
    pub until: Option<i64>,
    /// What SUCCESS meant.
    pub meaning: Meaning,
}

impl Reign {
    /// May it have acknowledged a record behind `at`, of a log whose last record ends at `end`, that `master` is not known to have?
    fn may_have_acknowledged(&self, at: i64, end: i64, master: &str) -> bool {
        match &self.meaning {
            Meaning::Alone => self.from.max(at) < self.until.unwrap_or(end).min(end),
            Meaning::WithSlaves {
                acknowledged,
                doubtful,
                slaves,
            } => {
                let has_others = slaves.iter().any(|(slave, count)| slave != master || *count > 1);
                // A reign without an end is one whose broker was killed: a slave asks, not a master.
                let doubtful = if self.until.is_none() { end } else { *doubtful };
                *acknowledged > at || (has_others && self.from.max(at) < doubtful.min(end))
            }
        }
    }
}

/// A line of the file is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the history of roles is not understood: {text}")]
pub struct NotUnderstood {
    /// Its number, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

/// All reigns that records of the log may be of, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reigns(Vec<Reign>);

impl Reigns {
    /// Those of a log of which nobody has noted who wrote it, a Java broker's for example: all of it may be acknowledged.
    pub fn of_unknown_log(end: i64) -> Reigns {
        let reign = Reign {
            from: 0,
            until: Some(end),
            meaning: Meaning::Alone,
        };
        Reigns(if end > 0 { vec![reign] } else { Vec::new() })
    }

    /// The broker starts as a master with a log that ends at `end` and is synced. Goes on with the last reign if nothing lies between and SUCCESS
    /// means the same.
    pub fn begin(&mut self, end: i64, alone: bool) {
        self.close_killed(end);
        if let Some(last) = self.0.last_mut()
            && last.until == Some(end)
            && alone == (last.meaning == Meaning::Alone)
        {
            last.until = None;
            return;
        }
        let meaning = match alone {
            true => Meaning::Alone,
            false => Meaning::WithSlaves {
                acknowledged: end,
                doubtful: 0,
                slaves: BTreeMap::new(),
            },
        };
        self.0.push(Reign {
            from: end,
            until: None,
            meaning,
        });
    }

    /// The broker starts as a slave with a log that ends at `end`.
    pub fn begin_as_slave(&mut self, end: i64) {
        self.close_killed(end);
    }

    /// A reign that was not ended was that of a broker that was killed. What a power cut has taken is not in the log any more.
    fn close_killed(&mut self, end: i64) {
        if let Some(last) = self.0.last_mut()
            && last.until.is_none()
        {
            last.until = Some(end.max(last.from));
            if let Meaning::WithSlaves { doubtful, .. } = &mut last.meaning {
                *doubtful = end.max(*doubtful);
            }
        }
        self.cut(end);
    }

    /// Slaves have acknowledged everything before `acknowledged`. Before a slave's first report counts, its name must be noted
    /// **and saved**: [`Reigns::note_slave`].
    pub fn note_acknowledged(&mut self, acknowledged: i64) {
        if let Some(Meaning::WithSlaves {
            acknowledged: before, ..
        }) = self.open()
        {
            *before = acknowledged.max(*before);
        }
    }

    /// A slave at this address, without a port, reports, at which `count` slaves may live. True if that is new, and so to be saved
    /// before its reports count.
    pub fn note_slave(&mut self, address: &str, count: usize) -> bool {
        let Some(Meaning::WithSlaves { slaves, .. }) = self.open() else {
            return false;
        };
        let known = slaves.entry(plain(address)).or_default();
        let is_new = *known < count.max(1);
        *known = count.max(1).max(*known);
        is_new
    }

    /// Up to where the log is known to be of these reigns and of what was copied between them: no further than what the last one is
    /// sure of, if it was not ended.
    pub fn known_end(&self) -> i64 {
        self.0.last().map_or(0, |last| match (&last.meaning, last.until) {
            (_, Some(until)) => until,
            (Meaning::Alone, None) => last.from,
            (Meaning::WithSlaves { acknowledged, .. }, None) => last.from.max(*acknowledged),
        })
    }

    /// Somebody who notes nothing, Java's broker for example, wrote what lies from `from` to the log's end `end`, and may have
    /// acknowledged it alone.
    pub fn note_unknown(&mut self, from: i64, end: i64) {
        self.cut(from);
        self.end(from);
        if from < end {
            self.0.push(Reign {
                from,
                until: Some(end),
                meaning: Meaning::Alone,
            });
        }
    }

    fn open(&mut self) -> Option<&mut Meaning> {
        let last = self.0.last_mut()?;
        last.until.is_none().then_some(&mut last.meaning)
    }

    /// The master stops, and answers nobody any more. Its log ends at `end`.
    pub fn end(&mut self, end: i64) {
        if let Some(last) = self.0.last_mut()
            && last.until.is_none()
        {
            last.until = Some(end);
        }
    }

    /// The log was cut at `at`.
    pub fn cut(&mut self, at: i64) {
        self.0.retain(|reign| reign.from < at);
        for reign in &mut self.0 {
            reign.until = reign.until.map(|until| until.min(at));
            if let Meaning::WithSlaves {
                acknowledged,
                doubtful,
                ..
            } = &mut reign.meaning
            {
                *acknowledged = at.min(*acknowledged);
                *doubtful = at.min(*doubtful);
            }
        }
    }

    /// The log's oldest byte is `min`: reigns that were over before are of no use.
    pub fn forget_before(&mut self, min: i64) {
        self.0.retain(|reign| reign.until.is_none_or(|until| until > min));
    }

    /// The newest reign that may have acknowledged a record behind `at`, of a log whose last whole record ends at `end`, that
    /// `master` (an address without a port) is not known to have.
    pub fn acknowledged_behind(&self, at: i64, end: i64, master: &str) -> Option<&Reign> {
        let master = plain(master);
        self.0
            .iter()
            .rev()
            .filter(|_| at < end)
            .find(|reign| reign.may_have_acknowledged(at, end, &master))
    }

    /// All of them.
    pub fn all(&self) -> &[Reign] {
        &self.0
    }
}

/// An address as a word of the file.
fn plain(address: &str) -> String {
    address.replace(|c: char| c.is_whitespace() || c == ',' || c == '*', "_")
}

impl Display for Reign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from={}", self.from)?;
        if let Some(until) = self.until {
            write!(f, " until={until}")?;
        }
        match &self.meaning {
            Meaning::Alone => f.write_str(" alone"),
            Meaning::WithSlaves {
                acknowledged,
                doubtful,
                slaves,
            } => {
                write!(f, " acknowledged={acknowledged} doubtful={doubtful} slaves=")?;
                for (index, (slave, count)) in slaves.iter().enumerate() {
                    if index > 0 {
                        f.write_char(',')?;
                    }
                    f.write_str(slave)?;
                    if *count > 1 {
                        write!(f, "*{count}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// The text of the file.
impl Display for Reigns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|reign| writeln!(f, "{reign}"))
    }
}

impl FromStr for Reigns {
    type Err = NotUnderstood;

    fn from_str(text: &str) -> Result<Reigns, NotUnderstood> {
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty());
        let mut reigns: Vec<Reign> = Vec::new();
        for (index, line) in lines {
            let reign = parse(line).filter(|reign| follows(reigns.last(), reign));
            reigns.push(reign.ok_or_else(|| NotUnderstood {
                line: index + 1,
                text: line.to_owned(),
            })?);
        }
        Ok(Reigns(reigns))
    }
}

/// Only the last reign goes on, and none begins before the one before was over.
fn follows(before: Option<&Reign>, reign: &Reign) -> bool {
    let is_sound = reign.from >= 0 && reign.until.is_none_or(|until| until >= reign.from);
    is_sound && before.is_none_or(|before| before.until.is_some_and(|until| until <= reign.from))
}

fn parse(line: &str) -> Option<Reign> {
    let mut words = line.split_whitespace().peekable();
    let number = |word: &str, key: &str| word.strip_prefix(key)?.parse::<i64>().ok();
    let from = number(words.next()?, "from=")?;
    let until = match words.peek()?.strip_prefix("until=") {
        Some(_) => Some(number(words.next()?, "until=")?),
        None => None,
    };
    let meaning = match words.next()? {
        "alone" => Meaning::Alone,
        word => Meaning::WithSlaves {
            acknowledged: number(word, "acknowledged=")?,
            doubtful: number(words.next()?, "doubtful=")?,
            slaves: {
                let names = words.next()?.strip_prefix("slaves=")?.split(',');
                let names = names.filter(|name| !name.is_empty()).map(|name| {
                    let (name, count) = name.split_once('*').unwrap_or((name, "1"));
                    Some((name.to_owned(), count.parse().ok()?))
                });
                names.collect::<Option<_>>()?
            },
        },
    };
    words.next().is_none().then_some(Reign { from, until, meaning })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: &str = "10.0.0.2";

    fn with_slaves(acknowledged: i64, slaves: &[&str]) -> Reigns {
        let mut reigns = Reigns::default();
        reigns.begin(100, false);
        for slave in slaves {
            assert!(reigns.note_slave(slave, 1));
            assert!(!reigns.note_slave(slave, 1), "it is noted");
        }
        reigns.note_acknowledged(acknowledged);
        reigns
    }

    fn blocks(reigns: &Reigns, at: i64, end: i64) -> bool {
        reigns.acknowledged_behind(at, end, MASTER).is_some()
    }

    #[test]
    fn what_a_master_alone_wrote_may_all_be_acknowledged() {
        let mut reigns = Reigns::default();
        reigns.begin(100, true);
        assert!(blocks(&reigns, 0, 101) && blocks(&reigns, 199, 200));
        assert!(!blocks(&reigns, 0, 100), "it wrote nothing");
        assert!(!blocks(&reigns, 200, 200), "nothing is cut");
        reigns.end(150);
        assert!(blocks(&reigns, 149, 200));
        assert!(!blocks(&reigns, 150, 200), "a slave wrote the rest");
        assert!(!blocks(&reigns, 140, 140), "a blank tail is no record");
        assert!(!blocks(&reigns, 80, 100), "a reign of nothing but a blank tail");
    }

    #[test]
    fn what_slaves_have_acknowledged_was_acknowledged() {
        let mut reigns = with_slaves(150, &[MASTER]);
        reigns.note_acknowledged(140);
        reigns.end(200);
        assert!(blocks(&reigns, 149, 200));
        assert!(!blocks(&reigns, 149, 149));
        assert!(!blocks(&reigns, 150, 200), "nobody was told of the rest");
    }

    #[test]
    fn who_was_killed_does_not_know_what_others_acknowledged() {
        let killed = |slaves: &[&str]| {
            let mut reigns = with_slaves(150, slaves);
            reigns.begin_as_slave(200);
            reigns
        };
        assert!(
            !blocks(&killed(&[MASTER]), 150, 200),
            "today's master has what it acknowledged"
        );
        assert!(
            blocks(&killed(&[MASTER, "10.0.0.3"]), 199, 200),
            "the other may have had more"
        );
        assert!(
            !blocks(&killed(&[MASTER, "10.0.0.3"]), 200, 250),
            "a slave wrote that"
        );
        assert!(blocks(&killed(&[MASTER]), 149, 200), "that was saved");
        // Asked before the reign is closed it is the same.
        assert!(blocks(&with_slaves(150, &["10.0.0.3"]), 199, 200));
        let mut crowded = killed(&[MASTER]);
        crowded.begin(300, false);
        assert!(crowded.note_slave(MASTER, 2) && !crowded.note_slave(MASTER, 1));
        crowded.begin_as_slave(400);
        assert!(
            blocks(&crowded, 399, 400),
            "the other one at its address may have had more"
        );
        let mut stopped = with_slaves(150, &[MASTER, "10.0.0.3"]);
        stopped.end(200);
        assert!(!blocks(&stopped, 150, 200), "who was stopped has saved all");
    }

    #[test]
    fn reigns_that_follow_each_other_are_one() {
        let mut reigns = Reigns::default();
        for end in [100, 150, 180] {
            reigns.begin(end, true);
        }
        reigns.end(190);
        reigns.begin(190, true);
        assert_eq!(reigns.to_string(), "from=100 alone\n");
        reigns.end(200);
        reigns.begin(200, false);
        reigns.end(210);
        reigns.begin(210, false);
        reigns.end(220);
        reigns.begin(230, false);
        assert_eq!(
            reigns.to_string(),
            "from=100 until=200 alone\n\
             from=200 until=220 acknowledged=200 doubtful=0 slaves=\n\
             from=230 acknowledged=230 doubtful=0 slaves=\n"
        );
    }

    #[test]
    fn a_doubt_stays_through_the_next_reign() {
        let mut reigns = with_slaves(150, &["10.0.0.3"]);
        reigns.begin(200, false);
        reigns.end(300);
        assert!(blocks(&reigns, 199, 300));
        assert!(!blocks(&reigns, 200, 300));
    }

    #[test]
    fn what_is_cut_or_deleted_is_forgotten() {
        let mut reigns: Reigns =
            "from=0 until=100 alone\nfrom=200 until=400 acknowledged=350 doubtful=400 slaves=a\n"
                .parse()
                .expect("sound");
        reigns.cut(300);
        assert_eq!(
            reigns.to_string(),
            "from=0 until=100 alone\nfrom=200 until=300 acknowledged=300 doubtful=300 slaves=a\n"
        );
        reigns.forget_before(99);
        assert_eq!(reigns.all().len(), 2);
        reigns.forget_before(100);
        assert_eq!(reigns.all().len(), 1);
        reigns.cut(200);
        assert_eq!(reigns, Reigns::default());
        reigns.begin(500, true);
        reigns.begin(300, true);
        assert_eq!(
            reigns.to_string(),
            "from=300 alone\n",
            "a power cut took all of the first"
        );
    }

    #[test]
    fn a_log_of_unknown_origin_may_all_be_acknowledged() {
        let reigns = Reigns::of_unknown_log(100);
        assert!(blocks(&reigns, 99, 100) && !blocks(&reigns, 100, 200));
        assert_eq!(Reigns::of_unknown_log(0), Reigns::default());
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let mut reigns = with_slaves(150, &["10.0.0.3", "fe80::1", "a b,c\n", "d*7"]);
        assert!(reigns.note_slave("fe80::1", 3));
        reigns.end(200);
        reigns.begin(300, true);
        let text = reigns.to_string();
        assert_eq!(text.parse(), Ok(reigns));
        assert!(text.contains("slaves=10.0.0.3,a_b_c_,d_7,fe80::1*3\n"), "{text}");
        assert_eq!("\n  \n".parse(), Ok(Reigns::default()));
    }

    #[test]
    fn what_is_not_understood_is_said_and_nothing_is_guessed() {
        for text in [
            "from=0",
            "from=0 alone more",
            "from=x alone",
            "from=-1 alone",
            "until=5 alone",
            "from=5 until=4 alone",
            "from=0 until=5 acknowledged=3 slaves=",
            "from=0 until=5 acknowledged=3 doubtful=0",
            "from=0 until=5 acknowledged=3 doubtful=0 slaves=a*b",
            "from=0 alone\nfrom=5 alone",
            "from=0 until=6 alone\nfrom=5 alone",
        ] {
            let line = text.lines().count();
            let error = text.parse::<Reigns>().expect_err(text);
            assert_eq!(error.line, line, "{text}");
            assert!(error.to_string().contains(text.lines().last().expect("one")));
        }
    }

    /// Java's broker ran on the store after ours had been killed, or was stopped.
    #[test]
    fn what_nobody_noted_may_all_be_acknowledged() {
        let mut reigns = with_slaves(400, &[MASTER]);
        assert_eq!(reigns.known_end(), 400);
        reigns.note_unknown(400, 900);
        reigns.begin_as_slave(900);
        let text =
            "from=100 until=400 acknowledged=400 doubtful=0 slaves=10.0.0.2\nfrom=400 until=900 alone\n";
        assert_eq!(reigns.to_string(), text);
        assert_eq!(text.parse(), Ok(reigns.clone()));
        assert_eq!(
            reigns
                .acknowledged_behind(500, 900, MASTER)
                .map(|reign| reign.from),
            Some(400)
        );
        assert_eq!(reigns.known_end(), 900);
        reigns.note_unknown(900, 900);
        assert_eq!(reigns.to_string(), text);
        // A slave's copy lies behind the last reign.
        reigns.note_unknown(1_000, 1_200);
        assert_eq!(reigns.all().len(), 3);
        let mut alone = Reigns::default();
        assert_eq!(alone.known_end(), 0);
        alone.begin(300, true);
        assert_eq!(alone.known_end(), 300);
        alone.note_unknown(300, 700);
        assert_eq!(alone.to_string(), "from=300 until=700 alone\n");
    }
}
