//! What one peer may make this name server hold. Java has no such limits.

use protocol::Frame;
use protocol::body::namesrv::{QueueData, RegisterBrokerBody};

/// Longest name of a topic, broker, cluster or address, and longest value of a header field that is none, bytes. RocketMQ's
/// own names have 255 at most.
const NAME_MAX: usize = 1024;
/// Longest value of the key-value configuration, bytes.
const VALUE_MAX: usize = 1 << 20;
/// Most bytes of the key-value configuration together: it is written whole at each change.
pub(crate) const KV_MAX: usize = 16 << 20;
/// Most bytes of the route tables together.
pub(crate) const TABLES_MAX: usize = 1 << 30;
/// What an entry of a table takes besides its names, bytes.
pub(crate) const ENTRY: usize = 160;

/// Something that is longer than it may be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} has {len} bytes, more than {max}")]
pub struct TooLong {
    /// What.
    pub what: String,
    /// Its bytes.
    pub len: usize,
    /// How many it may have.
    pub max: usize,
}

pub(crate) fn within(what: &str, len: usize, max: usize) -> Result<(), TooLong> {
    if len <= max {
        return Ok(());
    }
    Err(TooLong {
        what: what.chars().take(64).collect(),
        len,
        max,
    })
}

/// Looks at every field of a request's header.
pub(crate) fn check_fields(frame: &Frame) -> Result<(), TooLong> {
    let mut fields = frame.fields();
    while let Some((name, value)) = fields.next_named() {
        let max = if name == b"value" { VALUE_MAX } else { NAME_MAX };
        within(&String::from_utf8_lossy(name), value.len(), max)?;
    }
    Ok(())
}

/// Looks at every name of a registration.
pub(crate) fn check_registration(body: &RegisterBrokerBody) -> Result<(), TooLong> {
    let table = &body.topic_config_serialize_wrapper;
    for (topic, config) in &table.topic_config_table {
        within("a topic", topic.len().max(config.topic_name.len()), NAME_MAX)?;
    }
    for topic in table.topic_queue_mapping_info_map.keys() {
        within("a static topic", topic.len(), NAME_MAX)?;
    }
    for filter in &body.filter_server_list {
        within("a filter server", filter.len(), NAME_MAX)?;
    }
    Ok(())
}

/// Looks at every name of a topic that is registered by itself.
pub(crate) fn check_queues(queues: &[QueueData]) -> Result<(), TooLong> {
    queues
        .iter()
        .try_for_each(|queue| within("a broker's name", queue.broker_name.len(), NAME_MAX))
}
