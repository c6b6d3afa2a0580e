//! What requests can make the broker keep: each limit, what is used of it, how often it refused.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use remoting::{Metrics, Room};

use crate::clients::Clients;
use crate::commitlog::{Acknowledgements, Hold};
use crate::config::{SettingsChange, SettingsListener};
use crate::handlers::pull::HeldPull;
use crate::lane::Lanes;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::tables::filters::FilterTable;
use remoting::budget::Budget;

/// What connections occupy.
#[derive(Clone, Default)]
pub struct Traffic {
    /// Requests that are not answered.
    pub room: Arc<Room>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

impl SettingsListener for Traffic {
    fn changed(&self, change: &SettingsChange) {
        self.follow(&change.after);
    }
}

impl Traffic {
    /// Takes over what these settings call slow.
    pub fn follow(&self, settings: &Settings) {
        let ms = u64::try_from(settings.broker.slow_request_millis).unwrap_or(0);
        self.metrics.slow.set_threshold_ms(ms);
    }
}

/// Every limit of the broker.
#[derive(Clone)]
pub struct Limits {
    /// Members, queue locks.
    pub clients: Clients,
    /// Requests in line.
    pub lanes: Lanes,
    /// Pulls that wait for a message.
    pub hold: Arc<Hold<HeldPull>>,
    /// Consumers' expressions.
    pub filters: Arc<FilterTable>,
    /// Sends that wait for a flush.
    pub acknowledgements: Arc<Acknowledgements>,
    /// Statistics of topics and groups.
    pub stats: Arc<Stats>,
    /// What is kept to find copies of half messages.
    pub transaction_copies: Arc<Budget>,
    /// Connections.
    pub traffic: Traffic,
}

/// How one limit stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Its name.
    pub name: &'static str,
    /// Bytes in use.
    pub used: usize,
    /// The limit, bytes.
    pub max: usize,
    /// How often it refused.
    pub refused: u64,
}

impl Level {
    fn of(budget: &Budget) -> Level {
        Level {
            name: budget.name(),
            used: budget.used(),
            max: budget.max_bytes(),
            refused: budget.refused(),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} B, {} refused", self.used, self.max, self.refused)
    }
}

impl Limits {
    /// How each stands.
    pub fn levels(&self) -> Vec<Level> {
        let budgets = self.clients.budgets().into_iter().chain(self.lanes.budgets());
        let budgets = budgets.chain([
            self.hold.budget(),
            self.filters.budget(),
            &**self.acknowledgements.budget(),
            self.stats.items.budget(),
            &*self.transaction_copies,
        ]);
        let Traffic { room, metrics } = &self.traffic;
        let refused = &metrics.requests_refused;
        let requests = Level {
            name: "REQUESTS",
            used: room.held(),
            max: room.max(),
            refused: refused.load(Ordering::Relaxed) + metrics.closed_crowded.load(Ordering::Relaxed),
        };
        budgets.map(Level::of).chain([requests]).collect()
    }
}
