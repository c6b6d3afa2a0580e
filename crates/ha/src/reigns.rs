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
//! Sends that asked for no wait (`WAIT=false`), and those that were answered FLUSH_SLAVE_TIMEOUT or SLAVE_NOT_AVAILABLE, were
//! promised nothing: the second kind was told so.
//!
//! The file is text, a line a reign, the oldest first:
//!
//! ```text
//! from=0 until=4096 alone
//! from=8192 until=10240 acknowledged=10000 doubtful=10240 slaves=10.0.0.2,10.0.0.3
//! from=20480 acknowledged=30000 doubtful=0 slaves=10.0.0.2
//! ```
//!
//! A reign without `until` goes on, or its broker was killed. Who wants what a slave refuses to cut gone removes its line.

use std::collections::BTreeSet;
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
        /// The addresses of all slaves that reported in this reign, without ports.
        slaves: BTreeSet<String>,
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
    /// May it have acknowledged a byte at or behind `at`, of a log that ends at `end`, that `master` is not known to have?
    fn may_have_acknowledged(&self, at: i64, end: i64, master: &str) -> bool {
        match &self.meaning {
            Meaning::Alone => self.from.max(at) < self.until.unwrap_or(end),
            Meaning::WithSlaves {
                acknowledged,
                doubtful,
                slaves,
            } => {
                let has_others = slaves.iter().any(|slave| slave != master);
                // A reign without an end is one whose broker was killed: a slave asks, not a master.
                let doubtful = if self.until.is_none() { end } else { *doubtful };
                *acknowledged > at || (has_others && self.from.max(at) < doubtful)
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

    /// The broker starts as a master with a log that ends at `end`. Goes on with the last reign if nothing lies between and SUCCESS
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
                slaves: BTreeSet::new(),
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

    /// A reign that was not ended was that of a broker that was killed.
    fn close_killed(&mut self, end: i64) {
        if let Some(last) = self.0.last_mut()
            && last.until.is_none()
        {
            // A power cut may have left less than there was at the beginning.
            last.until = Some(end.max(last.from));
            if let Meaning::WithSlaves { doubtful, .. } = &mut last.meaning {
                *doubtful = end.max(*doubtful);
            }
        }
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

    /// A slave at this address, without a port, reports. True if that is new, and so to be saved before its reports count.
    pub fn note_slave(&mut self, address: &str) -> bool {
        match self.open() {
            Some(Meaning::WithSlaves { slaves, .. }) => slaves.insert(plain(address)),
            _ => false,
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

    /// The newest reign that may have acknowledged a byte at or behind `at`, of a log that ends at `end`, that `master` (an
    /// address without a port) is not known to have.
    pub fn acknowledged_behind(&self, at: i64, end: i64, master: &str) -> Option<&Reign> {
        let master = plain(master);
        self.0
            .iter()
            .rev()
            .find(|reign| reign.may_have_acknowledged(at, end, &master))
    }

    /// All of them.
    pub fn all(&self) -> &[Reign] {
        &self.0
    }
}

/// An address as a word of the file.
fn plain(address: &str) -> String {
    address.replace(|c: char| c.is_whitespace() || c == ',', "_")
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
                for (index, slave) in slaves.iter().enumerate() {
                    if index > 0 {
                        f.write_char(',')?;
                    }
                    f.write_str(slave)?;
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
                names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
            },
        },
    };
    words.next().is_none().then_some(Reign { from, until, meaning })
}
