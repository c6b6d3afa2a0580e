//! What the slaves have, and who waits for them.

use std::sync::atomic::{AtomicI64, Ordering};

use ha::{ConnectionId, Need, Replicas, Rule, Standing};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::watermark::Watermark;

/// Most slaves that an answer waits for: `inSyncReplicas` is 16 at most, this broker counted in.
pub(super) const SLAVES_MAX: usize = 15;

/// No slave is connected.
const NONE: i64 = i64::MIN;

/// The slaves of this broker, and the work that waits until so many of them have a position.
pub(super) struct Replicated<W> {
    replicas: Mutex<Replicas>,
    /// [`Replicas::nearest`], which every send of a SYNC_MASTER asks for; below any position: none. Written under the lock.
    nearest: AtomicI64,
    /// At index `k - 1`, what `k` slaves have.
    marks: [Watermark<W>; SLAVES_MAX],
    /// Wakes who looks for expired waits.
    first: Notify,
}

/// What came of a slave's report.
pub(super) struct Reported<W> {
    /// What waited for it.
    pub(super) ready: Vec<W>,
    /// This connection is another one of the same slave, and is to be closed.
    pub(super) replaced: Option<ConnectionId>,
}

impl<W> Replicated<W> {
    /// No slave is connected. No send waits longer than `slave_timeout_ms`.
    pub(super) fn new(slave_timeout_ms: i64) -> Self {
        Self {
            replicas: Mutex::new(Replicas::new(slave_timeout_ms)),
            nearest: AtomicI64::new(NONE),
            marks: std::array::from_fn(|_| Watermark::new(0)),
            first: Notify::new(),
        }
    }

    /// Looks at the slaves, or notes who connects and who is gone. Nothing else is locked meanwhile.
    pub(super) fn replicas<T>(&self, with: impl FnOnce(&mut Replicas) -> T) -> T {
        let mut replicas = self.replicas.lock();
        let done = with(&mut replicas);
        self.nearest
            .store(replicas.nearest().unwrap_or(NONE), Ordering::Release);
        done
    }

    /// What a send that ends at `end` waits for. Where the nearest slave decides that, no lock is taken.
    pub(super) fn need(&self, rule: Rule, end: i64) -> Need {
        let nearest = Some(self.nearest.load(Ordering::Acquire)).filter(|nearest| *nearest != NONE);
        let need = rule.need_by(nearest, end);
        match need.unwrap_or_else(|| self.replicas.lock().need(rule, end)) {
            Need::Slaves(slaves) => Need::Slaves(slaves.min(SLAVES_MAX)),
            need => need,
        }
    }

    /// A slave's connection stands so.
    pub(super) fn report(&self, id: ConnectionId, standing: Standing, now_ms: i64) -> Reported<W> {
        let (progress, reached) = self.replicas(|replicas| {
            let progress = replicas.report(id, standing, now_ms);
            let marks = 1..=replicas.reached_by_most().min(SLAVES_MAX);
            let reached: Vec<i64> = match progress.grew {
                true => marks.filter_map(|slaves| replicas.reached(slaves)).collect(),
                false => Vec::new(),
            };
            (progress, reached)
        });
        let marks = self.marks.iter().zip(reached);
        Reported {
            ready: marks.flat_map(|(mark, end)| mark.advance(end)).collect(),
            replaced: progress.replaced,
        }
    }

    /// Up to where `slaves` of them, 1 or more, have the log.
    pub(super) fn reached(&self, slaves: usize) -> i64 {
        let mark = slaves.checked_sub(1).and_then(|index| self.marks.get(index));
        mark.map_or(0, Watermark::reached)
    }

    /// Parks a waiter until so many slaves, 1 to [`SLAVES_MAX`], have what is before `end`, or the time is `deadline_ms`; gives it
    /// back if they have it already.
    pub(super) fn park(
        &self,
        slaves: usize,
        end: i64,
        now_ms: i64,
        deadline_ms: i64,
        waiter: W,
    ) -> Option<W> {
        let Some(mark) = slaves.checked_sub(1).and_then(|index| self.marks.get(index)) else {
            return Some(waiter);
        };
        let left = mark.park(end, now_ms, deadline_ms, waiter);
        if left.is_none() {
            self.first.notify_one();
        }
        left
    }

    /// Takes out those whose time is over.
    pub(super) fn take_expired(&self, now_ms: i64) -> Vec<W> {
        self.marks
            .iter()
            .flat_map(|mark| mark.take_expired(now_ms))
            .collect()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.marks.iter().map(Watermark::len).sum()
    }

    /// Does nobody wait?
    pub(super) fn is_empty(&self) -> bool {
        self.marks.iter().all(Watermark::is_empty)
    }

    /// How long the first has waited, ms.
    pub(super) fn head_wait_ms(&self, now_ms: i64) -> i64 {
        let waits = self.marks.iter().map(|mark| mark.head_wait_ms(now_ms));
        waits.max().unwrap_or(0)
    }

    /// Waits until somebody waits.
    pub(super) async fn wait_for_any(&self) {
        while self.is_empty() {
            self.first.notified().await;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn has(end: i64) -> Standing {
        Standing {
            claim: Some(end),
            acknowledged: Some(end),
            newest_file_ms: None,
            began_at: 0,
        }
    }

    #[test]
    fn who_waits_for_two_slaves_is_not_given_back_by_one() {
        let replicated = Replicated::new(3_000);
        let [one, two] = ["10.0.0.2", "10.0.0.3"]
            .map(|address| replicated.replicas(|replicas| replicas.connect(address, 1, 0).unwrap()));
        assert_eq!(replicated.park(1, 100, 0, 500, "one"), None);
        assert_eq!(replicated.park(2, 100, 0, 500, "two"), None);
        assert_eq!(replicated.park(2, 300, 0, 400, "late"), None);
        assert_eq!(replicated.report(one, has(100), 1).ready, ["one"]);
        assert_eq!(replicated.report(one, has(200), 2).ready, Vec::<&str>::new());
        assert_eq!(replicated.report(two, has(150), 3).ready, ["two"]);
        assert_eq!(
            (
                replicated.reached(1),
                replicated.reached(2),
                replicated.reached(3)
            ),
            (200, 150, 0)
        );
        assert_eq!(
            replicated.park(2, 150, 4, 500, "there already"),
            Some("there already")
        );
        assert_eq!((replicated.len(), replicated.head_wait_ms(350)), (1, 350));
        assert_eq!(replicated.take_expired(400), ["late"]);
        assert!(replicated.is_empty());
    }

    #[test]
    fn what_a_send_waits_for_follows_the_slaves_without_their_lock() {
        let replicated = Replicated::<()>::new(3_000);
        let one_slave = Rule::OneSlave { behind_max: 100 };
        let two_brokers = Rule::InSync(ha::InSync {
            replicas: 2,
            replicas_min: 1,
            auto: false,
            all: false,
            behind_max: 100,
        });
        let needs = |end| {
            // Whoever takes the lock here waits for ever.
            let _held = replicated.replicas.lock();
            [one_slave, two_brokers].map(|rule| replicated.need(rule, end))
        };
        assert_eq!(needs(50), [Need::NotAvailable, Need::Slaves(1)]);
        let id = replicated.replicas(|replicas| replicas.connect("10.0.0.2", 1, 0).unwrap());
        assert_eq!(needs(99), [Need::Slaves(1), Need::Slaves(1)], "it may be near");
        assert_eq!(needs(100), [Need::NotAvailable, Need::Slaves(1)]);
        replicated.report(id, has(1000), 1);
        assert_eq!(needs(1099)[0], Need::Slaves(1));
        assert_eq!(needs(1100)[0], Need::NotAvailable);
        replicated.replicas(|replicas| replicas.disconnect(id));
        assert_eq!(needs(1000)[0], Need::NotAvailable);
    }

    #[test]
    fn nobody_waits_for_more_slaves_than_there_are_marks() {
        let replicated = Replicated::<()>::new(3_000);
        for host in 0..40 {
            let address = format!("10.0.0.{host}");
            let id = replicated.replicas(|replicas| replicas.connect(&address, 1, 0).unwrap());
            replicated.report(id, has(100), 1);
        }
        let rule = Rule::InSync(ha::InSync {
            replicas: 1,
            replicas_min: 1,
            auto: false,
            all: true,
            behind_max: 1 << 20,
        });
        assert_eq!(replicated.need(rule, 100), Need::Slaves(SLAVES_MAX));
        assert_eq!(replicated.reached(SLAVES_MAX), 100);
    }
}
