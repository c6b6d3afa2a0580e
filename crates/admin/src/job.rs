//! What a command has: its options, and connections that are made when they are needed.

use crate::failure::Failure;
use crate::net::Net;
use crate::parse::Given;

/// One run of a command.
pub(crate) struct Job {
    pub(crate) given: Given,
    pub(crate) net: Net,
}

impl Job {
    /// The brokers that `-b`, or `-c` with every master of the cluster, name.
    pub(crate) async fn masters(&self) -> Result<Vec<String>, Failure> {
        match self.given.text("brokerAddr") {
            Some(address) => Ok(vec![address.to_owned()]),
            None => self.net.masters(self.given.required("clusterName")).await,
        }
    }

    /// The same with slaves.
    pub(crate) async fn brokers(&self) -> Result<Vec<String>, Failure> {
        match self.given.text("brokerAddr") {
            Some(address) => Ok(vec![address.to_owned()]),
            None => self.net.brokers(self.given.required("clusterName")).await,
        }
    }
}
