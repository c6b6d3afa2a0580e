//! VIEW_BROKER_STATS_DATA (315): a statistic over the last minute, hour and day.

use std::sync::Arc;

use protocol::header::broker::ViewBrokerStatsDataRequestHeader;
use remoting::Request;

use super::{Error, refuse};
use crate::lane::MayWait;
use crate::stats::Stats;

/// What the handler needs.
pub struct BrokerStats {
    /// The counters.
    pub stats: Arc<Stats>,
}

impl BrokerStats {
    /// VIEW_BROKER_STATS_DATA.
    pub fn view(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let outcome = frame
            .header::<ViewBrokerStatsDataRequestHeader<'_>>()
            .map_err(Error::Header)
            .and_then(|header| {
                let (name, key) = (&*header.stats_name, &*header.stats_key);
                let found = self.stats.items.view(name, key);
                found.ok_or_else(|| Error::Value(format!("The stats <{name}> <{key}> not exist")))
            });
        match outcome {
            Ok(data) => responder.body(&data),
            Err(e) => refuse(responder, &e),
        }
    }
}
