//! What a command has: its options, and connections that are made when they are needed.

use crate::failure::Failure;
use crate::net::Net;
use crate::parse::Given;
use protocol::body::namesrv::TopicRouteData;

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
    /// The route of a topic; of `-c` where that is given: every cluster is a topic, too, and a light message queue has no route but its
    /// parent's.
    pub(crate) async fn route(&self, topic: &str) -> Result<TopicRouteData, Failure> {
        self.net.route(self.given.text("cluster").unwrap_or(topic)).await
    }
}
