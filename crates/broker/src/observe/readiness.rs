//! Whether the broker is ready: its store is open and writable, it has its role, name servers know it, and it does not stop.

use std::sync::Arc;

use disk::Disk;
use settings::Live;
use store::Store;

use crate::registration::Registration;
use crate::replication::Link;
use crate::settings::Settings;

/// Says so.
pub struct Readiness<D: Disk> {
    /// Settings that may change at run time.
    pub settings: Arc<Live<Settings>>,
    /// The store.
    pub store: Arc<Store<D>>,
    /// What the name servers know.
    pub registration: Arc<Registration>,
    /// How a slave stands to its master.
    pub link: Arc<Link>,
}

impl<D: Disk> Readiness<D> {
    /// Each condition that is not met, in a line; empty: the broker is ready.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.registration.drains() {
            missing.push("producers are sent away, the broker is about to stop".to_owned());
        }
        if let Some(problem) = self.store.health().problem() {
            missing.push(format!("the store takes no messages: {problem}"));
        }
        let standing = self.registration.standing();
        if !standing.is_empty() && standing.iter().all(|(_, knows)| !knows) {
            missing.push("no name server knows this broker".to_owned());
        }
        let settings = self.settings.load();
        let link = self.link.state();
        if settings.is_slave() {
            if let Some(why) = link.stopped {
                missing.push(format!("this slave copies nothing: {why}"));
            } else if link.master.is_none() {
                missing.push("this slave does not know its master".to_owned());
            }
        }
        missing
    }
}
