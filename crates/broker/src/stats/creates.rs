//! How long it takes to make or change topics and groups for operators: from the request until the change is safe, or refused.

use metrics::{Exposition, Histogram};

/// Upper bounds as 5.x has them, ms.
static BOUNDS_MS: [u64; 5] = [10, 100, 1000, 3000, 5000];

/// By outcome: done, refused.
struct Times([Histogram<5>; 2]);

impl Default for Times {
    fn default() -> Self {
        Self([Histogram::new(&BOUNDS_MS), Histogram::new(&BOUNDS_MS)])
    }
}

impl Times {
    fn add(&self, took_ms: i64, done: bool) {
        let [of_done, of_refused] = &self.0;
        let times = if done { of_done } else { of_refused };
        times.add(took_ms.max(0).cast_unsigned());
    }

    /// Each outcome as 5.x names it (`invocation_status`).
    fn named(&self) -> impl Iterator<Item = (&'static str, &Histogram<5>)> {
        ["success", "failure"].into_iter().zip(&self.0)
    }
}

/// The times.
#[derive(Default)]
pub struct CreateTimes {
    topics: Times,
    system_topics: Times,
    groups: Times,
}

impl CreateTimes {
    /// A request for a topic, or for many; `is_system` if one of the system was among them.
    pub fn topic(&self, is_system: bool, took_ms: i64, done: bool) {
        let times = if is_system {
            &self.system_topics
        } else {
            &self.topics
        };
        times.add(took_ms, done);
    }

    /// A request for a group, or for many.
    pub fn group(&self, took_ms: i64, done: bool) {
        self.groups.add(took_ms, done);
    }

    pub(super) fn write(&self, to: &mut Exposition<'_>) {
        let mut family = to.histogram(
            "rocketmq_topic_create_execution_time_milliseconds",
            "The distribution of create topic time",
        );
        for (is_system, times) in [("false", &self.topics), ("true", &self.system_topics)] {
            for (status, times) in times.named() {
                if let Some(view) = times.view() {
                    let labels = [("invocation_status", status), ("is_system", is_system)];
                    family.view(&labels, &view, 1.0);
                }
            }
        }
        let mut family = to.histogram(
            "rocketmq_consumer_group_create_execution_time_milliseconds",
            "The distribution of create subscription time",
        );
        for (status, times) in self.groups.named() {
            if let Some(view) = times.view() {
                family.view(&[("invocation_status", status)], &view, 1.0);
            }
        }
    }
}
