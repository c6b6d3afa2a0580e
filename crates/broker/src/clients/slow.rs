//! Groups that read further behind the log's end than they may.
//!
//! Rules: RocketMQ 4.9.8, BrokerController.protectBroker. Unlike Java: only what was pulled since the last look counts, so that
//! a group which an operator has let consume again is not stopped by what it did before.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// Most queues that are noted: one is enough for its group to be stopped.
const QUEUES_MAX: usize = 100_000;

#[derive(Default)]
struct Noted {
    /// Group to topic and queue to bytes behind.
    groups: HashMap<String, BTreeMap<(String, i32), i64>>,
    queues: usize,
}

/// Queues whose last pull was too far behind, by groups. Costs one load while there are none.
#[derive(Default)]
pub struct SlowGroups {
    noted: Mutex<Noted>,
    any: AtomicBool,
}

impl SlowGroups {
    /// A pull of this queue was so many bytes behind; is that more than `most`?
    pub fn note(&self, group: &str, (topic, queue_id): (&str, i32), behind: i64, most: i64) {
        let is_slow = behind > most;
        if !is_slow && !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut noted = self.noted.lock();
        let Noted { groups, queues } = &mut *noted;
        if is_slow {
            if *queues < QUEUES_MAX {
                let of_group = groups.entry(group.to_owned()).or_default();
                *queues += usize::from(of_group.insert((topic.to_owned(), queue_id), behind).is_none());
                self.any.store(true, Ordering::Release);
            }
            return;
        }
        // It has caught up there.
        if let Some(of_group) = groups.get_mut(group) {
            *queues -= usize::from(of_group.remove(&(topic.to_owned(), queue_id)).is_some());
            if of_group.is_empty() {
                groups.remove(group);
            }
            self.any.store(!groups.is_empty(), Ordering::Release);
        }
    }

    /// The groups that have a queue too far behind, with the most bytes; none is noted any more.
    pub fn take(&self) -> Vec<(String, i64)> {
        let noted = std::mem::take(&mut *self.noted.lock());
        self.any.store(false, Ordering::Release);
        let worst = |queues: BTreeMap<_, i64>| queues.into_values().max().unwrap_or(0);
        noted
            .groups
            .into_iter()
            .map(|(group, queues)| (group, worst(queues)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_behind_now_counts_and_only_once() {
        let slow = SlowGroups::default();
        slow.note("near", ("T", 0), 100, 100);
        slow.note("far", ("T", 0), 101, 100);
        slow.note("far", ("T", 1), 500, 100);
        slow.note("back", ("T", 0), 900, 100);
        slow.note("back", ("T", 0), 0, 100);
        // Another queue of it is still behind.
        slow.note("half", ("T", 0), 300, 100);
        slow.note("half", ("T", 1), 200, 100);
        slow.note("half", ("T", 0), 0, 100);
        let mut taken = slow.take();
        taken.sort();
        assert_eq!(taken, [("far".to_owned(), 500), ("half".to_owned(), 200)]);
        assert_eq!(slow.take(), []);
    }

    #[test]
    fn what_is_noted_is_bounded() {
        let slow = SlowGroups::default();
        for queue_id in 0..QUEUES_MAX as i32 + 10 {
            slow.note("g", ("T", queue_id), 2, 1);
        }
        assert_eq!(slow.noted.lock().queues, QUEUES_MAX);
        for queue_id in 0..QUEUES_MAX as i32 + 10 {
            slow.note("g", ("T", queue_id), 0, 1);
        }
        assert_eq!(slow.noted.lock().queues, 0);
        assert_eq!(slow.take(), []);
    }
}
