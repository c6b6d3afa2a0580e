//! How a slave stands to its master: for the log, runtime information, `haStatus`.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// What is known of the connection to the master.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkState {
    /// Where the master replicates from, if that is known.
    pub master: Option<String>,
    /// When the connection that stands was made, ms since 1970.
    pub since_ms: Option<i64>,
    /// When something came last, ms since 1970; 0: never.
    pub read_ms: i64,
    /// When a report went last, ms since 1970; 0: never.
    pub write_ms: i64,
    /// Bytes that came.
    pub read_bytes: u64,
    /// As many of them a second ago.
    read_before: u64,
    /// Bytes that came in the last second.
    pub speed: u64,
    /// The end of the master's log as it said last, and when it was asked, ms since 1970.
    pub master_end: Option<(i64, i64)>,
    /// As far as the master's log was durable then; 0: it did not say that to the byte, as a Java master does not while it has more
    /// than a KiB to flush.
    pub master_flushed: i64,
    /// Why nothing is replicated, if that needs somebody.
    pub stopped: Option<String>,
    /// How often this broker has cut its log since its start.
    pub cuts: u64,
}

/// What a master said longer ago than this says nothing of where its log ends now, ms: it is asked each second.
const SAID_FOR_MS: i64 = 5_000;

impl LinkState {
    /// How many bytes a log that ends at `end` is behind the master's. Nobody knows while the log does not come from there, or the master
    /// has said nothing for a while.
    pub fn behind(&self, end: i64, now_ms: i64) -> Option<i64> {
        self.since_ms?;
        let (behind, age_ms) = self.was_behind(end, now_ms)?;
        (age_ms <= SAID_FOR_MS).then_some(behind)
    }

    /// The same, as the master said last, and how long ago that was, ms.
    pub fn was_behind(&self, end: i64, now_ms: i64) -> Option<(i64, i64)> {
        let (master, at) = self.master_end?;
        Some(((master - end).max(0), (now_ms - at).max(0)))
    }
}

/// How this broker stands to its master. All of it stays empty on a master.
#[derive(Debug, Default)]
pub struct Link {
    state: Mutex<LinkState>,
    made: Notify,
}

impl Link {
    /// As it is now.
    pub fn state(&self) -> LinkState {
        self.state.lock().clone()
    }

    /// A second is over.
    pub fn tick(&self) {
        let mut link = self.state.lock();
        link.speed = link.read_bytes - link.read_before;
        link.read_before = link.read_bytes;
    }

    /// A connection was made at this time, ms since 1970.
    pub(super) fn stands(&self, since_ms: i64) {
        self.note(|link| link.since_ms = Some(since_ms));
        self.made.notify_one();
    }

    /// Waits until another connection was made than the last that was waited for.
    pub(super) async fn made(&self) {
        self.made.notified().await;
    }

    /// Notes what has changed.
    pub(super) fn note(&self, change: impl FnOnce(&mut LinkState)) {
        change(&mut self.state.lock());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_slave_is_behind_is_known_while_the_log_comes_and_its_master_speaks() {
        let mut link = LinkState {
            master_end: Some((100, 10_000)),
            ..LinkState::default()
        };
        assert_eq!(link.behind(70, 10_000), None, "nothing comes");
        assert_eq!(link.was_behind(70, 12_500), Some((30, 2_500)));
        link.since_ms = Some(9_000);
        assert_eq!(link.behind(70, 15_000), Some(30));
        assert_eq!(link.behind(120, 15_000), Some(0));
        assert_eq!(link.behind(70, 15_001), None, "it says nothing any more");
    }
}
