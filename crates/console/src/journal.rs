//! What was changed, by whom, from where: lines for the log, and the last of them for a page.

use crate::asked::Asked;
use admin::ask::{now_ms, seconds};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io::Write;

/// Changes that a page shows.
const KEPT: usize = 200;
/// Letters of one text of an entry.
const TEXT_MAX: usize = 2_000;

/// A change.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    /// ms since 1970.
    pub(crate) at: i64,
    pub(crate) who: String,
    pub(crate) from: String,
    pub(crate) what: String,
    /// What each server said: who, and an error if there was one.
    pub(crate) outcome: Vec<(String, Option<String>)>,
}

impl Entry {
    /// Whether it was done everywhere.
    pub(crate) fn is_done(&self) -> bool {
        self.outcome.iter().all(|(_, why)| why.is_none())
    }
}

/// The last changes.
#[derive(Default)]
pub(crate) struct Journal(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    entries: VecDeque<Entry>,
    next: u64,
}

impl Journal {
    /// Notes a change, also one that was not done; gives its number.
    pub(crate) fn note(&self, asked: &Asked, what: String, outcome: Vec<(String, Option<String>)>) -> u64 {
        let who = asked
            .session
            .as_ref()
            .map_or("nobody", |session| session.name.as_str());
        let from = match &asked.forwarded {
            Some(said) => format!("{} (for {said})", asked.peer),
            None => asked.peer.to_string(),
        };
        let mut entry = Entry {
            number: 0,
            at: now_ms(),
            who: cut(who),
            from: cut(&from),
            what: cut(&what),
            outcome,
        };
        let mut kept = self.0.lock();
        entry.number = kept.next;
        kept.next += 1;
        tell(&line(&entry));
        if kept.entries.len() >= KEPT {
            kept.entries.pop_back();
        }
        let number = entry.number;
        kept.entries.push_front(entry);
        number
    }

    /// The last ones, the newest first.
    pub(crate) fn last(&self) -> Vec<Entry> {
        self.0.lock().entries.iter().cloned().collect()
    }
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

/// One line, whatever is in the texts: quotes and control characters in them are escaped.
fn line(entry: &Entry) -> String {
    let said: Vec<String> = entry
        .outcome
        .iter()
        .map(|(peer, why)| match why {
            Some(why) => format!("{peer}: {why}"),
            None => format!("{peer}: done"),
        })
        .collect();
    let (who, from, what) = (&entry.who, &entry.from, &entry.what);
    format!(
        "change by={who:?} from={from:?} what={what:?} outcome={:?}",
        said.join("; ")
    )
}

/// A line of the log, which is stdout: whoever starts the program keeps it.
pub(crate) fn tell(text: &str) {
    let _ = std::io::stdout().write_all(format!("{} {text}\n", seconds(now_ms())).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one() {
        let entry = Entry {
            number: 0,
            at: 0,
            who: "Ann\nchange by=\"Bob\"".to_owned(),
            from: "127.0.0.1:1".to_owned(),
            what: "delete topic \u{1b}[31m".to_owned(),
            outcome: vec![("10.0.0.1:10911".to_owned(), Some("no\nright".to_owned()))],
        };
        assert_eq!(
            line(&entry),
            r#"change by="Ann\nchange by=\"Bob\"" from="127.0.0.1:1" what="delete topic \u{1b}[31m" outcome="10.0.0.1:10911: no\nright""#
        );
        assert!(!entry.is_done());
    }
}
