//! Where a topic is: the route of the name servers, as producers and consumers look at it.

use protocol::body::MessageQueue;
use protocol::body::namesrv::{BrokerData, TopicRouteData};
use std::collections::BTreeMap;

const WRITE: i32 = 2;
const READ: i32 = 4;
const MASTER: i64 = 0;

/// A topic's queues and its brokers' addresses.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Route {
    /// Queues that may be written, on brokers that have a master.
    pub(crate) writable: Vec<MessageQueue>,
    /// Queues that may be read.
    pub(crate) readable: Vec<MessageQueue>,
    /// Broker name → broker id → address.
    pub(crate) brokers: BTreeMap<String, BTreeMap<i64, String>>,
}

impl Route {
    pub(crate) fn of(topic: &str, data: TopicRouteData) -> Route {
        let named = |data: BrokerData| (data.broker_name, data.broker_addrs);
        let brokers: BTreeMap<_, _> = data.broker_datas.into_iter().map(named).collect();
        let mut route = Route {
            brokers,
            ..Route::default()
        };
        for queues in &data.queue_datas {
            let queue = |queue_id| MessageQueue {
                broker_name: queues.broker_name.clone(),
                queue_id,
                topic: topic.to_owned(),
            };
            let has_master = route
                .brokers
                .get(&queues.broker_name)
                .is_some_and(|b| b.contains_key(&MASTER));
            // Numbers come from outside: a broker with a million queues is not believed.
            let bounded = |count: i32| 0..count.clamp(0, 65_536);
            if queues.perm & WRITE != 0 && has_master {
                route.writable.extend(bounded(queues.write_queue_nums).map(queue));
            }
            if queues.perm & READ != 0 {
                route.readable.extend(bounded(queues.read_queue_nums).map(queue));
            }
        }
        route.writable.sort();
        route.readable.sort();
        route
    }

    /// The master's address.
    pub(crate) fn master(&self, broker_name: &str) -> Option<&str> {
        self.brokers.get(broker_name)?.get(&MASTER).map(String::as_str)
    }

    /// The address of a broker id, or where that is missing of any.
    pub(crate) fn replica(&self, broker_name: &str, id: i64) -> Option<&str> {
        let replicas = self.brokers.get(broker_name)?;
        replicas
            .get(&id)
            .or_else(|| replicas.values().next())
            .map(String::as_str)
    }
}

/// A queue as Java shows it.
pub(crate) fn shown(queue: &MessageQueue) -> String {
    format!(
        "MessageQueue [topic={}, brokerName={}, queueId={}]",
        queue.topic, queue.broker_name, queue.queue_id
    )
}
