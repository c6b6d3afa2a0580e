//! Consumers that were connected when the broker stopped, until they are heard of again.
//!
//! A client tells a broker what it consumes each 30 s. Java's broker has forgotten everything at its restart: it refuses the pulls of
//! clients of 4.x, Go and others until their next heartbeat, and tells the first member that is back that it is alone in its group. Here a
//! member that was there at the stop counts until the time of a heartbeat is over.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use protocol::body::broker::{ConsumeType, ConsumerConnection, MessageModel, SubscriptionData};
use remoting::budget::{Budget, Exhausted, Share};

use super::consumers::{GroupView, Subscription};
use super::member::MEMBER_BYTES;

/// How long after the start a member that has not come back counts, ms: clients send a heartbeat each 30 s.
pub const RETURNS_WITHIN_MS: i64 = 35_000;

/// Groups whose members are not all back.
#[derive(Default)]
pub(super) struct ReturningGroups {
    groups: HashMap<String, Group>,
    until_ms: i64,
}

struct Group {
    consume_type: ConsumeType,
    model: MessageModel,
    subscriptions: HashMap<String, Arc<Subscription>>,
    client_ids: HashSet<String>,
    _share: Share,
}

impl ReturningGroups {
    /// Groups as they were at the stop, which count until `until_ms`. Where the budget is used up the rest has to wait for heartbeats.
    pub(super) fn of(
        connections: BTreeMap<String, ConsumerConnection>,
        until_ms: i64,
        budget: &Arc<Budget>,
    ) -> Self {
        let mut groups = HashMap::new();
        for (name, connection) in connections {
            match Group::of(&name, connection, budget) {
                Ok(group) => drop(groups.insert(name, group)),
                Err(_exhausted) => {
                    tracing::warn!(
                        "consumer groups from {name} on have to wait for heartbeats: there is no room"
                    );
                    break;
                }
            }
        }
        Self { groups, until_ms }
    }

    /// Forgets who has not come back in time.
    pub(super) fn expire(&mut self, now: i64) {
        if now >= self.until_ms {
            self.groups = HashMap::new();
        }
    }

    /// A client is back, or says that it is gone.
    pub(super) fn settle(&mut self, group_name: &str, client_id: &str) {
        let Some(group) = self.groups.get_mut(group_name) else {
            return;
        };
        group.client_ids.remove(client_id);
        if group.client_ids.is_empty() {
            self.groups.remove(group_name);
        }
    }

    /// Who is not back yet.
    pub(super) fn client_ids(&self, group: &str) -> impl Iterator<Item = &String> {
        self.groups
            .get(group)
            .into_iter()
            .flat_map(|group| &group.client_ids)
    }

    /// The group as a pull of `topic` sees it.
    pub(super) fn view(&self, group: &str, topic: &str) -> Option<GroupView> {
        let group = self.groups.get(group)?;
        Some(GroupView {
            consume_type: group.consume_type,
            model: group.model,
            subscription: group.subscriptions.get(topic).cloned(),
            is_returning: true,
        })
    }
}

impl Group {
    fn of(name: &str, connection: ConsumerConnection, budget: &Arc<Budget>) -> Result<Self, Exhausted> {
        let address = connection
            .connection_set
            .first()
            .and_then(|client| client.client_addr.parse::<SocketAddr>().ok())
            .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip());
        let client_ids: HashSet<String> = connection
            .connection_set
            .into_iter()
            .map(|client| client.client_id)
            .collect();
        let texts: usize = client_ids.iter().map(|id| id.len() + MEMBER_BYTES).sum();
        let share = budget.take_for(address, MEMBER_BYTES + name.len() + texts)?;
        let entry = |data: SubscriptionData| {
            let topic = data.topic.clone();
            Subscription::new(data, address, budget).map(|subscription| (topic, Arc::new(subscription)))
        };
        let subscriptions: Result<_, _> = connection.subscription_table.into_values().map(entry).collect();
        Ok(Self {
            consume_type: connection.consume_type,
            model: connection.message_model,
            subscriptions: subscriptions?,
            client_ids,
            _share: share,
        })
    }
}
