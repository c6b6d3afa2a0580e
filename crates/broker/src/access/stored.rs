//! Who may read a stored message that a request names by its place in the log.

use std::net::IpAddr;

use acl::{Permission, Refused, Resource};
use message::name::{self, CHECK_MAX_TIME_TOPIC, HALF_TOPIC, SCHEDULE_TOPIC};
use message::properties::{self, names};
use message::record::View;
use protocol::Frame;

use super::Guard;

/// The topic that a message is of: also while it is parked elsewhere.
pub fn topic_of<'a>(record: &View<'a>) -> &'a str {
    let topic = record.topic();
    match topic {
        HALF_TOPIC | SCHEDULE_TOPIC | CHECK_MAX_TIME_TOPIC => {
            properties::get_str(record.properties(), names::REAL_TOPIC).unwrap_or(topic)
        }
        _ => topic,
    }
}

impl Guard {
    /// Needs SUB on the message's topic, or on a light message queue that it is in, too. An admin may read every message.
    pub fn may_read(&self, request: &Frame, peer: IpAddr, record: &View<'_>) -> Result<(), Refused> {
        let (key, _) = acl::identity(request);
        if self.is_operator(key) {
            return Ok(());
        }
        let named = properties::get_str(record.properties(), names::INNER_MULTI_DISPATCH).unwrap_or_default();
        let mut light = named.split(',').filter(|queue| name::is_lmq(queue));
        let may_read = |topic: &str| {
            let wanted = (Resource::topic(topic), Permission::Sub);
            self.may(key, peer, wanted, request.code)
        };
        if light.any(|queue| may_read(queue).is_ok()) {
            return Ok(());
        }
        self.permits(request, peer, Resource::topic(topic_of(record)), Permission::Sub)
    }
}
