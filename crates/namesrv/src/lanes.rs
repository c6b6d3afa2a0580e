//! The name server's lanes: where it serves requests that may wait for the disk, or whose work grows with the topics.

use remoting::budget::Budget;
use remoting::lane::{Lane, LaneSettings, Workers, stop_all};
use std::sync::Arc;
use std::time::Duration;

/// Threads of each lane.
const WIDTH: usize = 2;
/// Bytes that the line of operators' requests may hold.
const ADMIN_MAX_BYTES: usize = 64 << 20;
/// The same of long registrations, of which one may have 128 MiB.
const REGISTRATIONS_MAX_BYTES: usize = 256 << 20;

/// The lanes of requests that may wait.
#[derive(Clone)]
pub struct Lanes {
    /// Operators' requests: they write files, or look at all topics.
    pub admin: Arc<Lane>,
    /// Registrations of many topics, which no operator's request may hold up: a broker that is not registered in time counts
    /// as dead.
    pub registrations: Arc<Lane>,
}

impl Lanes {
    /// Lanes that work there.
    pub fn new(workers: &Workers) -> Self {
        let lane = |name, threads, max_bytes| {
            let settings = LaneSettings {
                name,
                threads,
                width: WIDTH,
                max_bytes,
            };
            Lane::new(settings, workers.clone())
        };
        Self {
            admin: lane("ADMIN_REQUESTS", "lane-admin", ADMIN_MAX_BYTES),
            registrations: lane("REGISTRATIONS", "lane-register", REGISTRATIONS_MAX_BYTES),
        }
    }

    pub(crate) fn all(&self) -> [&Arc<Lane>; 2] {
        [&self.admin, &self.registrations]
    }

    /// Lets all threads end when their lines are empty, and waits for that, at most `budget`; false if some have not ended.
    pub fn stop(&self, budget: Duration) -> bool {
        stop_all(self.all(), budget)
    }

    /// Lines for the page of state.
    pub fn figures(&self) -> String {
        let lines = self.all().map(|lane| {
            let (here, wait) = lane.look();
            let budget: &Budget = lane.budget();
            let (name, used, max) = (budget.name(), budget.used(), budget.max_bytes());
            let (wait, refused) = (wait.as_millis(), budget.refused());
            format!(
                "lane {name}: {here} requests, the oldest for {wait} ms\n\
                 limit {name}: {used} of {max} bytes, {refused} refused\n"
            )
        });
        lines.concat()
    }
}
