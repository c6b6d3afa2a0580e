//! Headers of the requests that a name server serves, and of its replies.

use super::Header;
use std::borrow::Cow;

/// PUT_KV_CONFIG 100.
#[derive(Debug, Clone, Header)]
pub struct PutKvConfig<'a> {
    /// Namespace.
    pub namespace: Cow<'a, str>,
    /// Key.
    pub key: Cow<'a, str>,
    /// Value.
    pub value: Cow<'a, str>,
}

/// GET_KV_CONFIG 101 and DELETE_KV_CONFIG 102.
#[derive(Debug, Clone, Header)]
pub struct KvKey<'a> {
    /// Namespace.
    pub namespace: Cow<'a, str>,
    /// Key.
    pub key: Cow<'a, str>,
}

/// Reply to GET_KV_CONFIG.
#[derive(Debug, Clone, Header)]
pub struct KvValue<'a> {
    /// The value; missing when the key is.
    pub value: Option<Cow<'a, str>>,
}

/// GET_KVLIST_BY_NAMESPACE 219.
#[derive(Debug, Clone, Header)]
pub struct KvNamespace<'a> {
    /// Namespace.
    pub namespace: Cow<'a, str>,
}

/// REGISTER_BROKER 103.
#[derive(Debug, Clone, Default, Header)]
pub struct RegisterBrokerRequestHeader {
    /// Broker name, one for a master and its slaves.
    pub broker_name: String,
    /// `brokerIP1:listenPort`.
    pub broker_addr: String,
    /// Cluster.
    pub cluster_name: String,
    /// `brokerIP2:haListenPort`.
    pub ha_server_addr: String,
    /// 0 for the master.
    pub broker_id: i64,
    /// Since 5.x: how long the broker is alive after this, in milliseconds.
    pub heartbeat_timeout_millis: Option<i64>,
    /// Since 5.x: whether the lowest id left stands in for a master that is gone.
    pub enable_acting_master: Option<bool>,
    /// Whether the body is the deflated stream (`crate::body::namesrv`).
    pub compressed: Option<bool>,
    /// CRC-32 of the body AND 0x7FFFFFFF; 0 for none.
    pub body_crc32: Option<i32>,
    /// Since 5.x: the broker's zone.
    #[header(java = "__ZONE_NAME")]
    pub zone_name: Option<String>,
}

/// Reply to REGISTER_BROKER, filled only for a slave whose master is alive.
#[derive(Debug, Clone, Default, Header)]
pub struct RegisterBrokerResponseHeader {
    /// Where the slave replicates from.
    pub ha_server_addr: Option<String>,
    /// The master's address.
    pub master_addr: Option<String>,
}

/// UNREGISTER_BROKER 104 and QUERY_DATA_VERSION 322.
#[derive(Debug, Clone, Default, Header)]
pub struct BrokerIdentity {
    /// Broker name.
    pub broker_name: String,
    /// Address it registered with.
    pub broker_addr: String,
    /// Cluster.
    pub cluster_name: String,
    /// 0 for the master.
    pub broker_id: i64,
}

/// UNREGISTER_BROKER 104.
pub type UnregisterBrokerRequestHeader = BrokerIdentity;
/// QUERY_DATA_VERSION 322.
pub type QueryDataVersionRequestHeader = BrokerIdentity;

/// Reply to QUERY_DATA_VERSION.
#[derive(Debug, Clone, Header)]
pub struct QueryDataVersionResponseHeader {
    /// Whether the broker must register again.
    pub changed: bool,
}

/// GET_ROUTEINFO_BY_TOPIC 105.
#[derive(Debug, Clone, Header)]
pub struct GetRouteInfo<'a> {
    /// Topic.
    pub topic: Cow<'a, str>,
    /// Whether map keys must be quoted, whatever the sender's version is.
    pub accept_standard_json_only: Option<bool>,
    /// Since 5.x: whether only brokers of one zone are wanted.
    #[header(java = "__ZONE_MODE")]
    pub zone_mode: Option<bool>,
    /// Since 5.x: that zone.
    #[header(java = "__ZONE_NAME")]
    pub zone_name: Option<Cow<'a, str>>,
}

/// WIPE_WRITE_PERM_OF_BROKER 205 and ADD_WRITE_PERM_OF_BROKER 327.
#[derive(Debug, Clone, Header)]
pub struct BrokerPermission<'a> {
    /// Broker name.
    pub broker_name: Cow<'a, str>,
}

/// Reply to WIPE_WRITE_PERM_OF_BROKER.
#[derive(Debug, Clone, Header)]
pub struct WipedWritePermission {
    /// Number of topics changed.
    pub wipe_topic_count: i32,
}

/// Reply to ADD_WRITE_PERM_OF_BROKER.
#[derive(Debug, Clone, Header)]
pub struct AddedWritePermission {
    /// Number of topics changed.
    pub add_topic_count: i32,
}

/// DELETE_TOPIC_IN_NAMESRV 216.
#[derive(Debug, Clone, Header)]
pub struct DeleteTopic<'a> {
    /// Topic.
    pub topic: Cow<'a, str>,
    /// Only on brokers of this cluster.
    pub cluster_name: Option<Cow<'a, str>>,
}

/// REGISTER_TOPIC_IN_NAMESRV 217.
#[derive(Debug, Clone, Header)]
pub struct RegisterTopic<'a> {
    /// Topic.
    pub topic: Cow<'a, str>,
}

/// GET_TOPICS_BY_CLUSTER 224.
#[derive(Debug, Clone, Header)]
pub struct TopicsByCluster<'a> {
    /// Cluster.
    pub cluster: Cow<'a, str>,
}

/// GET_BROKER_MEMBER_GROUP 901.
#[derive(Debug, Clone, Header)]
pub struct MemberGroup<'a> {
    /// Cluster.
    pub cluster_name: Cow<'a, str>,
    /// Broker name.
    pub broker_name: Cow<'a, str>,
}

/// BROKER_HEARTBEAT 904, of which a name server reads these.
#[derive(Debug, Clone, Header)]
pub struct BrokerHeartbeat<'a> {
    /// Cluster.
    pub cluster_name: Cow<'a, str>,
    /// Address it registered with.
    pub broker_addr: Cow<'a, str>,
    /// Broker name.
    pub broker_name: Cow<'a, str>,
}

/// NOTIFY_MIN_BROKER_ID_CHANGE 905, name server to broker, oneway.
#[derive(Debug, Clone, Header)]
pub struct MinBrokerIdChange<'a> {
    /// The lowest id now.
    pub min_broker_id: Option<i64>,
    /// Broker name.
    pub broker_name: Option<Cow<'a, str>>,
    /// Address of the broker with the lowest id.
    pub min_broker_addr: Option<Cow<'a, str>>,
    /// Address of the broker that went away.
    pub offline_broker_addr: Option<Cow<'a, str>>,
    /// Where slaves replicate from.
    pub ha_broker_addr: Option<Cow<'a, str>>,
}
