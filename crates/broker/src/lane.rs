//! The broker's lanes: where it serves requests that may wait for the disk, or whose work grows with a table.

use std::sync::Arc;
use std::time::Duration;

pub use remoting::lane::{Lane, MayWait, Workers};

use remoting::budget::Budget;
use remoting::lane::{LaneSettings, stop_all};

/// Threads of the lanes: two operators at once, as many searches as Java's query pool has threads
/// (`queryMessageThreadPoolNums`, on two cores), and enough pulls to keep a disk busy.
const ADMIN_WIDTH: usize = 2;
const SEARCH_WIDTH: usize = 10;
const PULL_WIDTH: usize = 32;
/// Bytes that the line of a lane may hold.
const LINE_MAX_BYTES: usize = 64 << 20;

/// The lanes of requests that may wait.
#[derive(Clone)]
pub struct Lanes {
    /// Operators' requests: they write files, or grow with the tables.
    pub admin: Arc<Lane>,
    /// Requests that look for old records.
    pub search: Arc<Lane>,
    /// Pulls of what is not in memory.
    pub pull: Arc<Lane>,
}

impl Lanes {
    /// Lanes that work there.
    pub fn new(workers: &Workers) -> Self {
        let lane = |name, threads, width| {
            let settings = LaneSettings {
                name,
                threads,
                width,
                max_bytes: LINE_MAX_BYTES,
            };
            Lane::new(settings, workers.clone())
        };
        Self {
            admin: lane("ADMIN_REQUESTS", "lane-admin", ADMIN_WIDTH),
            search: lane("SEARCH_REQUESTS", "lane-search", SEARCH_WIDTH),
            pull: lane("COLD_PULLS", "lane-pull", PULL_WIDTH),
        }
    }

    fn all(&self) -> [&Arc<Lane>; 3] {
        [&self.admin, &self.search, &self.pull]
    }

    /// What the lines may occupy.
    pub fn budgets(&self) -> [&Budget; 3] {
        self.all().map(|lane| lane.budget().as_ref())
    }

    /// Lets all threads end when their lines are empty, and waits for that, at most `budget`; false if some have not ended.
    pub fn stop(&self, budget: Duration) -> bool {
        stop_all(self.all(), budget)
    }
}
