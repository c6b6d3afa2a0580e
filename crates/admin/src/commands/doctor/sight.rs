//! What a cluster tells of itself, twice.

use super::super::broker::settings_of;
use super::super::connection::members;
use super::super::consumer::running_info;
use super::super::ha::HaStatus;
use super::super::message_text::decode_one;
use super::super::running_info::RunningInfo;
use super::super::topic::topic_stats;
use crate::failure::Failure;
use crate::net::{MASTER, Net};
use crate::time;
use client::Received;
use message::name::{RETRY_PREFIX, is_dlq_topic, is_retry_topic, is_system_topic};
use protocol::body::broker::{ConsumeType, MessageModel};
use protocol::body::namesrv::{ClusterInfo, TopicConfigTable};
use protocol::body::operator::ConsumeStatsList;
use protocol::body::{MessageQueue, TopicConfig};
use protocol::code::request;
use protocol::header::NoHeader;
use protocol::header::broker::{
    GetConsumeStatsInBrokerHeader, PullMessageRequestHeader, ViewMessageRequestHeader,
};
use remoting::Body;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// How long a server may take: one that takes longer is as good as away.
const WITHIN: Duration = Duration::from_secs(5);
/// How long it may take to tell where every group is: as in Java's tool.
const STATISTICS_WITHIN: Duration = Duration::from_secs(50);
const WAITING: &str = "where its groups are";
/// How often name servers are asked who is where: of two that take each other's place one may be there for a moment only.
const POLL: Duration = Duration::from_millis(100);
/// How long after its start a broker of 4.9 does not tell of itself.
const FIRST_SECOND: Duration = Duration::from_millis(1_200);
/// In how many topics a slave's last message is looked for.
const TOPICS_TRIED: usize = 20;

/// Everything that is known.
#[derive(Default)]
pub struct Sight {
    /// Each name server, and whom it knows or why it does not answer.
    pub(super) namesrvs: Vec<(String, Result<ClusterInfo, String>)>,
    pub(super) brokers: Vec<Broker>,
    pub(super) clashes: Vec<Clash>,
    pub(super) groups: Vec<Group>,
    pub(super) watched: Duration,
    /// How far behind a group may be.
    pub(super) level: i64,
}

/// A broker as a name server knows it.
#[derive(Default, Clone)]
pub(super) struct Broker {
    pub(super) cluster: String,
    pub(super) name: String,
    pub(super) id: i64,
    pub(super) address: String,
    /// Why it does not answer.
    pub(super) away: Option<String>,
    /// What it does not tell, and why.
    pub(super) untold: Vec<String>,
    /// Whether it answers, that it will not tell.
    pub(super) refuses: bool,
    /// What it tells of itself, first and last.
    pub(super) status: [BTreeMap<String, String>; 2],
    pub(super) settings: BTreeMap<String, String>,
    /// Its clock less that of this host.
    pub(super) clock_ms: Option<i64>,
    pub(super) ha: Option<HaStatus>,
    pub(super) topics: BTreeMap<String, TopicConfig>,
    /// Messages that wait for a group in a topic, first and last.
    pub(super) waiting: [BTreeMap<(String, String), i64>; 2],
    /// Messages in each topic of dead letters, ever and now, first and last.
    pub(super) dead: [BTreeMap<String, Dead>; 2],
    /// Of a slave: its last message, and what the master has in that place.
    pub(super) proof: Option<Proof>,
}

/// Dead letters of a group on a broker.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Dead {
    pub(super) ever: i64,
    pub(super) now: i64,
}

/// Whether a slave's log is the master's.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Proof {
    Same,
    /// At this place of the log.
    Other(i64),
}

/// Brokers that take each other's place.
#[derive(Default)]
pub(super) struct Clash {
    pub(super) name: String,
    pub(super) id: i64,
    /// Those that answer, and say that they are who they are.
    pub(super) addresses: Vec<String>,
}

/// A group with members that are connected.
#[derive(Default)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) is_push: bool,
    pub(super) is_broadcast: bool,
    pub(super) members: BTreeMap<String, RunningInfo>,
    /// Members that tell nothing of themselves.
    pub(super) silent: Vec<String>,
    /// Queues of its topics that may be read.
    pub(super) queues: BTreeSet<MessageQueue>,
}

impl Broker {
    pub(super) fn is_master(&self) -> bool {
        self.id == MASTER
    }

    /// As findings name it.
    pub(super) fn place(&self) -> String {
        format!("{} (id {}) at {}", self.name, self.id, self.address)
    }

    /// A number of its last status.
    pub(super) fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.status[1].get(key)?.trim().parse().ok()
    }

    pub(super) fn setting(&self, key: &str) -> &str {
        self.settings.get(key).map_or("", String::as_str)
    }
}

impl Sight {
    pub(super) fn masters(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.iter().filter(|broker| broker.is_master())
    }

    /// Slaves with their masters, where both answer.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&Broker, &Broker)> {
        let answering = |broker: &&Broker| broker.away.is_none();
        let slaves = self.brokers.iter().filter(|broker| !broker.is_master());
        slaves.filter(answering).filter_map(move |slave| {
            let mut masters = self.masters().filter(answering);
            let master =
                masters.find(|master| (&master.cluster, &master.name) == (&slave.cluster, &slave.name))?;
            Some((slave, master))
        })
    }

    /// Topics of people, and their masters.
    pub(super) fn topics(&self) -> BTreeMap<&str, Vec<&Broker>> {
        let mut topics: BTreeMap<&str, Vec<&Broker>> = BTreeMap::new();
        let is_name = |topic: &str| {
            self.brokers
                .iter()
                .any(|broker| broker.name == topic || broker.cluster == topic)
        };
        for master in self.masters() {
            for topic in master.topics.keys() {
                let is_own = is_system_topic(topic) || is_retry_topic(topic) || is_dlq_topic(topic);
                // Answers of request-reply have a topic a cluster.
                if !is_own && !is_name(topic) && !topic.ends_with("_REPLY_TOPIC") {
                    topics.entry(topic).or_default().push(master);
                }
            }
        }
        topics
    }

    /// Whether this host reaches the name servers over a network.
    pub(super) fn is_remote(&self) -> bool {
        !self
            .namesrvs
            .iter()
            .any(|(address, _)| is_loopback(address) || address.starts_with("localhost"))
    }
}

/// Whether an address is of its own host alone.
pub(super) fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_matches(['[', ']']);
    host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Name, id and address, as name servers have them.
type Seat = (String, String, i64);

/// How to look.
pub struct Look<'a> {
    /// At this cluster alone.
    pub cluster: Option<&'a str>,
    /// How long between both looks.
    pub watched: Duration,
    /// Messages that a group may be behind in a topic.
    pub level: i64,
}

/// Looks twice.
///
/// # Errors
/// No name server answers, or none knows the cluster.
pub async fn look(net: &Net, how: &Look<'_>) -> Result<Sight, Failure> {
    let Look {
        cluster,
        watched,
        level,
    } = *how;
    let net = net.within(WITHIN);
    let namesrvs = ask_namesrvs(&net).await?;
    let mut seats: BTreeMap<Seat, BTreeSet<String>> = BTreeMap::new();
    note(&mut seats, &namesrvs);
    if let Some(cluster) = cluster {
        // Named if it is not there.
        net.groups(cluster).await?;
    }
    let wanted = |cluster_of: &String| cluster.is_none_or(|cluster| cluster == cluster_of);
    let mut progress = net.progress();
    let brokers = first_looks(&net, &seats).await;
    let mut brokers: Vec<Broker> = brokers
        .into_iter()
        .filter(|broker| wanted(&broker.cluster))
        .collect();
    let groups = groups_of(&net, &brokers).await;
    let started = tokio::time::Instant::now();
    while started.elapsed() < watched {
        progress.tell(|| format!("watching, {} s left", (watched - started.elapsed()).as_secs() + 1));
        tokio::time::sleep(POLL.min(watched - started.elapsed())).await;
        note(&mut seats, &ask_namesrvs(&net).await?);
    }
    second_looks(&net, &mut brokers).await;
    proofs(&net, &mut brokers).await;
    let clashes = clashes(
        &net,
        seats.into_iter().filter(|((cluster, ..), _)| wanted(cluster)),
    )
    .await;
    Ok(Sight {
        namesrvs,
        brokers,
        clashes,
        groups,
        watched,
        level,
    })
}

async fn ask_namesrvs(net: &Net) -> Result<Vec<(String, Result<ClusterInfo, String>)>, Failure> {
    let work = |net: Net, address: String| async move {
        let code = request::GET_BROKER_CLUSTER_INFO;
        net.read::<ClusterInfo>(&address, code, &NoHeader).await
    };
    let told = net.each(net.namesrvs()?, work).await;
    let (mut all, mut first) = (Vec::new(), None);
    for (address, told) in told {
        all.push((
            address,
            told.map_err(|why| {
                let said = why.to_string();
                first.get_or_insert(why);
                said
            }),
        ));
    }
    match first {
        Some(why) if all.iter().all(|(_, told)| told.is_err()) => Err(why),
        _ => Ok(all),
    }
}

/// Notes who sits where.
fn note(seats: &mut BTreeMap<Seat, BTreeSet<String>>, namesrvs: &[(String, Result<ClusterInfo, String>)]) {
    for info in namesrvs.iter().filter_map(|(_, told)| told.as_ref().ok()) {
        for group in info.broker_addr_table.values() {
            for (id, address) in &group.broker_addrs {
                let seat = (group.cluster.clone(), group.broker_name.clone(), *id);
                seats.entry(seat).or_default().insert(address.clone());
            }
        }
    }
}

async fn first_looks(net: &Net, seats: &BTreeMap<Seat, BTreeSet<String>>) -> Vec<Broker> {
    let mut known = BTreeMap::new();
    for ((cluster, name, id), addresses) in seats {
        for address in addresses {
            known.insert(
                format!("{cluster} {name} {id} {address}"),
                Broker {
                    cluster: cluster.clone(),
                    name: name.clone(),
                    id: *id,
                    address: address.clone(),
                    ..Broker::default()
                },
            );
        }
    }
    let work = |net: Net, key: String| {
        let broker = known.get(&key).cloned().unwrap_or_default();
        async move { Ok(first_look(&net, broker).await) }
    };
    let told = net.each(known.keys().cloned().collect(), work).await;
    told.into_iter().filter_map(|(_, broker)| broker.ok()).collect()
}

/// What a broker does not tell stays empty, and is noted; but for the state of replication, which releases before 5.x do not know.
async fn first_look(net: &Net, mut broker: Broker) -> Broker {
    let address = broker.address.clone();
    let mut told = status_of(net, &address).await;
    if matches!(told, Err(Failure::Refused { .. })) {
        // Java's answers so in its first second.
        tokio::time::sleep(FIRST_SECOND).await;
        told = status_of(net, &address).await;
    }
    match told {
        Ok((status, clock_ms)) => (broker.status[0], broker.clock_ms) = (status, clock_ms),
        Err(why) => {
            broker.away = Some(why.to_string());
            broker.refuses = why.code().is_some();
            return broker;
        }
    }
    match settings_of(net, &address).await {
        Ok(settings) => broker.settings = settings.into_iter().collect(),
        Err(why) => broker.untold.push(format!("its settings: {why}")),
    }
    let code = request::GET_BROKER_HA_STATUS;
    broker.ha = net.read(&address, code, &NoHeader).await.ok();
    let code = request::GET_ALL_TOPIC_CONFIG;
    match net.read::<TopicConfigTable>(&address, code, &NoHeader).await {
        Ok(told) => broker.topics = told.topic_config_table,
        Err(why) => broker.untold.push(format!("its topics: {why}")),
    }
    if broker.is_master() {
        match waiting(net, &address).await {
            Ok(waits) => broker.waiting[0] = waits,
            Err(why) => broker.untold.push(format!("{WAITING}: {why}")),
        }
        broker.dead[0] = dead_letters(net, &broker).await;
    }
    broker
}

/// What it tells of itself, and how far its clock is from this host's: it tells when it started, and how long ago that was.
async fn status_of(net: &Net, address: &str) -> Result<(BTreeMap<String, String>, Option<i64>), Failure> {
    let asked = time::now_ms();
    let status = net.runtime_info(address).await?.table;
    let now = (asked + time::now_ms()) / 2;
    let boot: Option<i64> = status.get("bootTimestamp").and_then(|text| text.parse().ok());
    let runtime = status.get("runtime").and_then(|text| span_ms(text));
    // The span has whole seconds: half of one is what is cut off on average.
    let clock = boot.zip(runtime).map(|(boot, span)| boot + span + 500 - now);
    Ok((status, clock))
}

/// Milliseconds of `[ 1 days, 2 hours, 3 minutes, 4 seconds ]`.
pub(super) fn span_ms(text: &str) -> Option<i64> {
    let mut seconds = 0;
    for (part, of_unit) in text
        .trim_matches(['[', ']', ' '])
        .split(',')
        .zip([86_400, 3_600, 60, 1])
    {
        let number: i64 = part.split_whitespace().next()?.parse().ok()?;
        seconds += number * of_unit;
    }
    Some(seconds * 1000)
}

/// Messages that wait, by group and topic.
async fn waiting(net: &Net, address: &str) -> Result<BTreeMap<(String, String), i64>, Failure> {
    let header = GetConsumeStatsInBrokerHeader {
        is_order: Some(false),
    };
    let code = request::GET_BROKER_CONSUME_STATS;
    let mut waiting = BTreeMap::new();
    let net = net.within(STATISTICS_WITHIN);
    let told: ConsumeStatsList = net.read(address, code, &header).await?;
    for (group, stats) in told.consume_stats_list.into_iter().flatten() {
        for (queue, offsets) in stats.into_iter().flat_map(|stats| stats.offset_table) {
            let behind = (offsets.broker_offset - offsets.consumer_offset).max(0);
            *waiting.entry((group.clone(), queue.topic)).or_default() += behind;
        }
    }
    Ok(waiting)
}

async fn dead_letters(net: &Net, broker: &Broker) -> BTreeMap<String, Dead> {
    let topics = broker.topics.keys().filter(|topic| is_dlq_topic(topic));
    let work = |net: Net, topic: String| {
        let address = broker.address.clone();
        async move { topic_stats(&net, &address, &topic).await }
    };
    let mut dead = BTreeMap::new();
    for (topic, told) in net.each(topics.cloned().collect(), work).await {
        let Ok(told) = told else {
            continue;
        };
        let mut sum = Dead::default();
        for offsets in told.offset_table.values() {
            sum.ever += offsets.max_offset;
            sum.now += offsets.max_offset - offsets.min_offset;
        }
        dead.insert(topic, sum);
    }
    dead
}

async fn second_looks(net: &Net, brokers: &mut [Broker]) {
    let work = |net: Net, address: String| {
        let broker = brokers.iter().find(|broker| broker.address == address);
        let broker = broker.cloned().unwrap_or_default();
        async move {
            let (status, _) = status_of(&net, &address).await?;
            // What was not told the first time would look as if it had grown.
            let waits =
                match broker.is_master() && !broker.untold.iter().any(|what| what.starts_with(WAITING)) {
                    true => waiting(&net, &address).await.map_err(|why| why.to_string()),
                    false => Ok(BTreeMap::new()),
                };
            let mut dead = match broker.is_master() {
                true => dead_letters(&net, &broker).await,
                false => BTreeMap::new(),
            };
            dead.retain(|topic, _| broker.dead[0].contains_key(topic));
            Ok((status, waits, dead))
        }
    };
    let there = brokers.iter().filter(|broker| broker.away.is_none());
    let there = there.map(|broker| broker.address.clone()).collect();
    for (address, told) in net.each(there, work).await {
        for broker in brokers.iter_mut().filter(|broker| broker.address == address) {
            match &told {
                Ok((status, waits, dead)) => {
                    broker.status[1] = status.clone();
                    broker.dead[1] = dead.clone();
                    match waits {
                        Ok(waits) => broker.waiting[1] = waits.clone(),
                        Err(why) => {
                            broker.untold.push(format!("{WAITING}: {why}"));
                            broker.waiting[1] = broker.waiting[0].clone();
                        }
                    }
                }
                Err(why) => broker.away = Some(why.to_string()),
            }
        }
    }
}

async fn proofs(net: &Net, brokers: &mut [Broker]) {
    let masters: Vec<Broker> = brokers
        .iter()
        .filter(|broker| broker.is_master())
        .cloned()
        .collect();
    for slave in brokers
        .iter_mut()
        .filter(|broker| !broker.is_master() && broker.away.is_none())
    {
        let mut masters = masters.iter().filter(|master| master.away.is_none());
        let master = masters.find(|master| (&master.cluster, &master.name) == (&slave.cluster, &slave.name));
        if let Some(master) = master {
            slave.proof = proof(net, slave, master).await;
        }
    }
}

/// Whether the last message of one of the slave's queues is in the master's log, in the same place.
async fn proof(net: &Net, slave: &Broker, master: &Broker) -> Option<Proof> {
    let topics = slave.topics.keys().filter(|topic| !is_system_topic(topic));
    for topic in topics.take(TOPICS_TRIED) {
        let Ok(told) = topic_stats(net, &slave.address, topic).await else {
            continue;
        };
        let filled = told
            .offset_table
            .into_iter()
            .find(|(_, offsets)| offsets.max_offset > offsets.min_offset);
        let Some((queue, offsets)) = filled else {
            continue;
        };
        let Some(last) = last_of(net, &slave.address, &queue, offsets.max_offset - 1).await else {
            continue;
        };
        let header = ViewMessageRequestHeader {
            offset: last.physical_offset,
        };
        let code = request::VIEW_MESSAGE_BY_ID;
        let there = match net.ask(&master.address, code, &header, Body::Empty).await {
            Ok(answer) => decode_one(&answer.body),
            Err(Failure::Refused { .. }) => None,
            Err(_) => return None,
        };
        let is_deleted = master
            .number("commitLogMinOffset")
            .is_some_and(|first: i64| last.physical_offset < first);
        let is_same = there.is_some_and(|there| {
            (there.msg_id(), there.body_crc, there.queue_offset)
                == (last.msg_id(), last.body_crc, last.queue_offset)
        });
        return match (is_same, is_deleted) {
            (true, _) => Some(Proof::Same),
            (false, true) => None,
            (false, false) => Some(Proof::Other(last.physical_offset)),
        };
    }
    None
}

async fn last_of(net: &Net, address: &str, queue: &MessageQueue, offset: i64) -> Option<Received> {
    const SUBSCRIPTION: i32 = 4;
    let header = PullMessageRequestHeader {
        consumer_group: super::super::message::READER.into(),
        topic: queue.topic.as_str().into(),
        queue_id: queue.queue_id,
        queue_offset: offset,
        max_msg_nums: 1,
        sys_flag: SUBSCRIPTION,
        commit_offset: Some(0),
        suspend_timeout_millis: Some(0),
        subscription: Some("*".into()),
        sub_version: Some(0),
        expression_type: Some("TAG".into()),
        max_msg_bytes: None,
    };
    let code = request::PULL_MESSAGE;
    let answer = net.ask(address, code, &header, Body::Empty).await.ok()?;
    decode_one(&answer.body)
}

/// Seats that more than one broker has taken, all of which are there and say that the seat is theirs.
async fn clashes(net: &Net, seats: impl Iterator<Item = (Seat, BTreeSet<String>)>) -> Vec<Clash> {
    let mut clashes = Vec::new();
    for ((_, name, id), addresses) in seats.filter(|(_, addresses)| addresses.len() > 1) {
        let work = |net: Net, address: String| async move { settings_of(&net, &address).await };
        let told = net.each(addresses.into_iter().collect(), work).await;
        let is_own = |settings: &[(String, String)]| {
            let has =
                |key: &str, value: &str| settings.iter().any(|(known, own)| known == key && own == value);
            has("brokerName", &name) && has("brokerId", &id.to_string())
        };
        let there = told
            .into_iter()
            .filter_map(|(address, told)| told.ok().filter(|told| is_own(told)).map(|_| address));
        let addresses: Vec<String> = there.collect();
        if addresses.len() > 1 {
            clashes.push(Clash { name, id, addresses });
        }
    }
    clashes
}

/// Groups that have a retry topic and members.
async fn groups_of(net: &Net, brokers: &[Broker]) -> Vec<Group> {
    let topics = brokers.iter().flat_map(|broker| broker.topics.keys());
    let names: BTreeSet<&str> = topics
        .filter_map(|topic| topic.strip_prefix(RETRY_PREFIX))
        .collect();
    let work = |net: Net, name: String| async move { group(&net, &name).await };
    let names = names.into_iter().map(str::to_owned).collect();
    let told = net.each(names, work).await.into_iter();
    // Without members there is nothing to look at.
    told.filter_map(|(_, group)| group.ok()).collect()
}

async fn group(net: &Net, name: &str) -> Result<Group, Failure> {
    let connected = members(net, name, None).await?;
    let mut group = Group {
        name: name.to_owned(),
        is_push: connected.consume_type == ConsumeType::Passively,
        is_broadcast: connected.message_model == MessageModel::Broadcasting,
        ..Group::default()
    };
    for client in connected.connection_set {
        match running_info(net, name, &client.client_id, false).await {
            Ok(info) => {
                group.members.insert(client.client_id, info);
            }
            Err(_) => group.silent.push(client.client_id),
        }
    }
    for topic in connected.subscription_table.into_keys() {
        if let Ok(route) = net.route(&topic).await {
            group.queues.extend(super::super::topic::readable(&route, &topic));
        }
    }
    Ok(group)
}
