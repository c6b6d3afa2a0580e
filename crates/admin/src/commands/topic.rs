//! Topics: updateTopic, deleteTopic, updateTopicPerm, updateOrderConf, topicList, topicRoute, topicStatus, topicClusterList,
//! allocateMQ.

use crate::failure::Failure;
use crate::job::Job;
use crate::net::{self, MASTER, Net};
use crate::output::{Cell, Out, Table};
use crate::table::{Command, ROUTE_OF, Run, any_of, flag, one_of, required, value};
use crate::time;
use bytes::Bytes;
use message::name::{is_dlq_topic, is_retry_topic};
use protocol::body::broker::{GroupList, TopicOffset};
use protocol::body::namesrv::{BrokerData, ClusterInfo, QueueData, TopicRouteData};
use protocol::body::{MessageQueue, TopicConfig, TopicList, object_keys};
use protocol::code::request;
use protocol::header::NoHeader;
use protocol::header::broker::{CreateTopicRequestHeader, TopicRequestHeader};
use protocol::header::namesrv::{DeleteTopic, KvKey, KvValue, PutKvConfig};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// Where the name server keeps which brokers have how many queues of an ordered topic.
const ORDER_NAMESPACE: &str = "ORDER_TOPIC_CONFIG";

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "updateTopic",
        alias: None,
        about: "makes a topic or changes it",
        options: &[
            one_of('b', "brokerAddr", "the broker that gets the topic"),
            one_of('c', "clusterName", "the cluster whose masters get the topic"),
            required('t', "topic", "the topic"),
            value('r', "readQueueNums", "number of queues to read [default: 8]"),
            value('w', "writeQueueNums", "number of queues to write [default: 8]"),
            value('p', "perm", "permission: 2 write, 4 read, 6 both [default: 6]"),
            value('o', "order", "whether it is an ordered topic: true or false"),
            value('u', "unit", "whether it belongs to a unit: true or false"),
            value('s', "hasUnitSub", "whether units subscribe to it: true or false"),
            value('a', "attributes", "changes of attributes, 5.x: +name=value,-name"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(update(job, out))),
    },
    Command {
        name: "deleteTopic",
        alias: None,
        about: "deletes a topic, with its messages, from a cluster's masters and from the name servers",
        options: &[
            required('t', "topic", "the topic"),
            required('c', "clusterName", "the cluster that loses it"),
        ],
        asks: Some("Delete topic {topic} and its messages from cluster {clusterName}?"),
        run: Run::Online(|job, out| Box::pin(delete(job, out))),
    },
    Command {
        name: "updateTopicPerm",
        alias: None,
        about: "changes whether a topic may be written and read",
        options: &[
            any_of('b', "brokerAddr", "the master on which it changes"),
            any_of('c', "clusterName", "the cluster on whose masters it changes"),
            required('t', "topic", "the topic"),
            required('p', "perm", "permission: 2 write, 4 read, 6 both"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(update_perm(job, out))),
    },
    Command {
        name: "topicRoute",
        alias: None,
        about: "shows which brokers have a topic, and how many queues",
        options: &[
            required('t', "topic", "the topic"),
            flag('l', "list", "as a table"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(route(job, out))),
    },
    Command {
        name: "topicStatus",
        alias: None,
        about: "shows the offsets of a topic's queues",
        options: &[required('t', "topic", "the topic"), ROUTE_OF],
        asks: None,
        run: Run::Online(|job, out| Box::pin(status(job, out))),
    },
    Command {
        name: "topicClusterList",
        alias: None,
        about: "shows which cluster has a topic",
        options: &[required('t', "topic", "the topic")],
        asks: None,
        run: Run::Online(|job, out| Box::pin(cluster_list(job, out))),
    },
    Command {
        name: "topicList",
        alias: None,
        about: "lists the topics that the name server knows",
        options: &[flag(
            'c',
            "clusterModel",
            "with their clusters and consumer groups",
        )],
        asks: None,
        run: Run::Online(|job, out| Box::pin(list(job, out))),
    },
    Command {
        name: "updateOrderConf",
        alias: None,
        about: "sets, shows or deletes the brokers and queue numbers of an ordered topic",
        options: &[
            required('t', "topic", "the topic"),
            value('v', "orderConf", "for put: broker-a:4;broker-b:4"),
            required('m', "method", "put, get or delete"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(order_conf(job, out))),
    },
    Command {
        name: "allocateMQ",
        alias: None,
        about: "shows which consumer would get which queues of a topic",
        options: &[
            required('t', "topic", "the topic"),
            required('i', "ipList", "the consumers, separated by commas"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(allocate(job, out))),
    },
];

async fn update(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let unit = i32::from(given.switch("unit")?.unwrap_or_default());
    let units_subscribe = i32::from(given.switch("hasUnitSub")?.unwrap_or_default());
    let topic = TopicConfig {
        topic_name: given.required("topic").to_owned(),
        read_queue_nums: given.number("readQueueNums")?.unwrap_or(8),
        write_queue_nums: given.number("writeQueueNums")?.unwrap_or(8),
        perm: given.number("perm")?.unwrap_or(6),
        topic_sys_flag: unit | units_subscribe << 1,
        order: given.switch("order")?.unwrap_or_default(),
        ..TopicConfig::default()
    };
    let attributes = given.text("attributes").map(str::to_owned);
    let masters = job.masters().await?;
    let of_one = given.has("brokerAddr");
    let made = put_topic(&job.net, out, masters, &topic, attributes).await?;
    // As Java's: of one broker the order comes first.
    if topic.order && of_one {
        ordered(job, out, &topic, "set broker orderConf.").await?;
    }
    for address in made {
        out.either(
            &format!("create topic to {address} success.\n"),
            json!({"brokerAddr": address, "topic": &topic}),
        );
    }
    if topic.order && !of_one {
        ordered(job, out, &topic, "set cluster orderConf.").await?;
    }
    out.text(&shown(&topic));
    Ok(())
}

async fn ordered(job: &Job, out: &mut Out, topic: &TopicConfig, head: &str) -> Result<(), Failure> {
    let conf = keep_order(job, topic).await?;
    out.either(
        &format!("{head} isOrder=true, orderConf=[{conf}]"),
        json!({"topicName": topic.topic_name, "orderConf": conf}),
    );
    Ok(())
}

/// Makes a topic on brokers, or changes it.
async fn put_topic(
    net: &Net,
    out: &mut Out,
    addresses: Vec<String>,
    topic: &TopicConfig,
    attributes: Option<String>,
) -> Result<Vec<String>, Failure> {
    net::some(out, keep_topic(net, addresses, topic, attributes).await).map(net::names)
}

/// Makes a topic on these brokers, or changes it, and gives what each said.
pub async fn keep_topic(
    net: &Net,
    addresses: Vec<String>,
    topic: &TopicConfig,
    attributes: Option<String>,
) -> Vec<(String, Result<(), Failure>)> {
    let header = CreateTopicRequestHeader {
        topic: topic.topic_name.clone().into(),
        // What Java sends, and no broker reads.
        default_topic: Some("TBW102".into()),
        read_queue_nums: topic.read_queue_nums,
        write_queue_nums: topic.write_queue_nums,
        perm: topic.perm,
        topic_filter_type: Some(topic.topic_filter_type.name().into()),
        topic_sys_flag: Some(topic.topic_sys_flag),
        order: Some(topic.order),
        attributes: attributes.map(Into::into),
    };
    let code = request::UPDATE_AND_CREATE_TOPIC;
    net.told(addresses, code, header, Bytes::new()).await
}

/// Tells the name servers which brokers have how many queues of the topic: of one broker beside what they know, of a cluster anew.
async fn keep_order(job: &Job, topic: &TopicConfig) -> Result<String, Failure> {
    let queues = topic.write_queue_nums;
    let of = |name: &str| format!("{name}:{queues}");
    let Some(address) = job.given.text("brokerAddr") else {
        let groups = job.net.groups(job.given.required("clusterName")).await?;
        let parts: Vec<String> = groups.iter().map(|group| of(&group.broker_name)).collect();
        let conf = parts.join(";");
        put_order(&job.net, &topic.topic_name, &conf).await?;
        return Ok(conf);
    };
    let info = job.net.clusters().await?;
    let group = info
        .broker_addr_table
        .values()
        .find(|group| group.broker_addrs.values().any(|known| known == address));
    let group =
        group.ok_or_else(|| Failure::wrong(format!("no broker with the address {address} is registered")))?;
    let own = of(&group.broker_name);
    let known = match get_order(&job.net, &topic.topic_name).await {
        Ok(known) => known,
        // None yet.
        Err(why) if why.code().is_some() => String::new(),
        Err(why) => return Err(why),
    };
    let mut parts: Vec<&str> = known
        .split(';')
        .filter(|part| !part.is_empty())
        .filter(|part| part.split(':').next() != Some(group.broker_name.as_str()))
        .collect();
    parts.push(&own);
    put_order(&job.net, &topic.topic_name, &parts.join(";")).await?;
    Ok(own)
}

async fn get_order(net: &Net, topic: &str) -> Result<String, Failure> {
    let header = KvKey {
        namespace: ORDER_NAMESPACE.into(),
        key: topic.into(),
    };
    let (peer, answer) = net.ask_namesrv(request::GET_KV_CONFIG, &header).await?;
    let told: KvValue<'_> = net::read_header(&peer, &answer)?;
    Ok(told.value.unwrap_or_default().into_owned())
}

async fn put_order(net: &Net, topic: &str, conf: &str) -> Result<(), Failure> {
    let (topic, conf) = (topic.to_owned(), conf.to_owned());
    let header = PutKvConfig {
        namespace: ORDER_NAMESPACE.into(),
        key: topic.into(),
        value: conf.into(),
    };
    net.tell_namesrvs(request::PUT_KV_CONFIG, header, Bytes::new())
        .await
}

/// A topic as Java shows it.
fn shown(topic: &TopicConfig) -> String {
    let letter = |bit, letter| if topic.perm & bit != 0 { letter } else { '-' };
    format!(
        "TopicConfig [topicName={}, readQueueNums={}, writeQueueNums={}, perm={}{}{}, topicFilterType={}, \
         topicSysFlag={}, order={}]",
        topic.topic_name,
        topic.read_queue_nums,
        topic.write_queue_nums,
        letter(4, 'R'),
        letter(2, 'W'),
        letter(1, 'X'),
        topic.topic_filter_type.name(),
        topic.topic_sys_flag,
        topic.order
    )
}

async fn delete(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let (topic, cluster) = (job.given.required("topic"), job.given.required("clusterName"));
    delete_topic(&job.net, out, topic, cluster).await
}

/// Deletes a topic from a cluster's masters, then from the name servers.
pub(super) async fn delete_topic(
    net: &Net,
    out: &mut Out,
    topic: &str,
    cluster: &str,
) -> Result<(), Failure> {
    let told = drop_topic(net, topic, cluster).await?;
    let asked = told.len();
    let done = net::some(out, told)?;
    if done.len() < asked {
        return Err(Failure::Some {
            failed: asked - done.len(),
            all: asked,
        });
    }
    out.either(
        &format!("delete topic [{topic}] from cluster [{cluster}] success.\n"),
        json!({"topic": topic, "clusterName": cluster}),
    );
    forget_topic(net, topic, cluster).await?;
    out.line(&format!("delete topic [{topic}] from NameServer success."));
    Ok(())
}

/// Deletes a topic from a cluster's masters, and gives what each said.
///
/// # Errors
/// There is no such cluster, or it has no master.
pub async fn drop_topic(
    net: &Net,
    topic: &str,
    cluster: &str,
) -> Result<Vec<(String, Result<(), Failure>)>, Failure> {
    let header = TopicRequestHeader {
        topic: topic.to_owned().into(),
    };
    let code = request::DELETE_TOPIC_IN_BROKER;
    let masters = net.masters(cluster).await?;
    Ok(net.told(masters, code, header, Bytes::new()).await)
}

/// Deletes a topic from the name servers. Only where every master has: a route to messages that are still there is no lie.
///
/// # Errors
/// A name server has not done it.
pub async fn forget_topic(net: &Net, topic: &str, cluster: &str) -> Result<(), Failure> {
    let header = DeleteTopic {
        topic: topic.to_owned().into(),
        cluster_name: Some(cluster.to_owned().into()),
    };
    net.tell_namesrvs(request::DELETE_TOPIC_IN_NAMESRV, header, Bytes::new())
        .await
}

async fn update_perm(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let topic_name = job.given.required("topic");
    let perm: i32 = job.given.number("perm")?.unwrap_or_default();
    let route = job.net.route(topic_name).await?;
    let first = route.queue_datas.first();
    let first = first.ok_or_else(|| Failure::wrong(format!("no broker has queues of {topic_name}")))?;
    let topic = TopicConfig {
        topic_name: topic_name.to_owned(),
        read_queue_nums: first.read_queue_nums,
        write_queue_nums: first.write_queue_nums,
        topic_sys_flag: first.topic_sys_flag,
        perm,
        ..TopicConfig::default()
    };
    let Some(address) = job.given.text("brokerAddr") else {
        let masters = job.net.masters(job.given.required("clusterName")).await?;
        for address in put_topic(&job.net, out, masters, &topic, None).await? {
            perm_changed(out, first.perm, &topic, &address);
        }
        return Ok(());
    };
    let is_there = |group: &&BrokerData| group.broker_addrs.get(&MASTER).is_some_and(|m| m == address);
    let Some(group) = route.broker_datas.iter().find(is_there) else {
        return Err(Failure::wrong(format!(
            "no master with the address {address} has the topic {topic_name}"
        )));
    };
    let old = route
        .queue_datas
        .iter()
        .find(|queues| queues.broker_name == group.broker_name)
        .map_or(0, |queues| queues.perm);
    if old == perm {
        out.either(
            "new perm equals to the old one!\n",
            json!({"brokerAddr": address, "oldPerm": old, "perm": perm}),
        );
        return Ok(());
    }
    put_topic(&job.net, out, vec![address.to_owned()], &topic, None).await?;
    perm_changed(out, old, &topic, address);
    out.line(&format!("{}.", shown(&topic)));
    Ok(())
}

fn perm_changed(out: &mut Out, old: i32, topic: &TopicConfig, address: &str) {
    let perm = topic.perm;
    out.either(
        &format!("update topic perm from {old} to {perm} in {address} success.\n"),
        json!({"brokerAddr": address, "oldPerm": old, "perm": perm}),
    );
}

const ROUTE: Table = Table {
    titles: "%-45s %-32s %-50s %-10s %-11s %-5s%n",
    row: "%-45s %-32s %-50s %-10s %-11s %-5s%n",
    columns: &[
        ("#ClusterName", "clusterName"),
        ("#BrokerName", "brokerName"),
        ("#BrokerAddrs", "brokerAddrs"),
        ("#ReadQueue", "readQueueNums"),
        ("#WriteQueue", "writeQueueNums"),
        ("#Perm", "perm"),
    ],
};

async fn route(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let mut route = job.net.route(job.given.required("topic")).await?;
    if !job.given.has("list") {
        return whole_route(out, &route);
    }
    route
        .broker_datas
        .sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
    out.titles(&ROUTE);
    let (mut read, mut write) = (0, 0);
    for group in &route.broker_datas {
        let queues = route
            .queue_datas
            .iter()
            .find(|queues| queues.broker_name == group.broker_name);
        let Some(queues) = queues else {
            continue;
        };
        read += queues.read_queue_nums;
        write += queues.write_queue_nums;
        let pairs: Vec<String> = group
            .broker_addrs
            .iter()
            .map(|(id, address)| format!("{id}={address}"))
            .collect();
        out.row(
            &ROUTE,
            [
                (&group.cluster).into(),
                (&group.broker_name).into(),
                Cell::shown(format!("{{{}}}", pairs.join(", ")), json!(group.broker_addrs)),
                queues.read_queue_nums.into(),
                queues.write_queue_nums.into(),
                queues.perm.into(),
            ],
        );
    }
    let brokers = route.queue_datas.len().to_string();
    out.text(&format!("{}\n", "-".repeat(158)));
    let (read, write) = (read.to_string(), write.to_string());
    out.text(&crate::output::printf(
        ROUTE.row,
        &["Total:", &brokers, "", &read, &write, ""],
    ));
    Ok(())
}

/// A route as a tool of 4.9 knows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteOf4<'a> {
    broker_datas: Vec<GroupOf4<'a>>,
    filter_server_table: &'a BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_topic_conf: Option<&'a str>,
    queue_datas: &'a [QueueData],
}

/// A broker group of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupOf4<'a> {
    broker_addrs: &'a BTreeMap<i64, String>,
    broker_name: &'a str,
    cluster: &'a str,
}

/// The whole route, as Java's tool indents it.
fn whole_route(out: &mut Out, route: &TopicRouteData) -> Result<(), Failure> {
    let groups = route.broker_datas.iter().map(|group| GroupOf4 {
        broker_addrs: &group.broker_addrs,
        broker_name: &group.broker_name,
        cluster: &group.cluster,
    });
    let shown = RouteOf4 {
        broker_datas: groups.collect(),
        filter_server_table: &route.filter_server_table,
        order_topic_conf: route.order_topic_conf.as_deref(),
        queue_datas: &route.queue_datas,
    };
    let pretty = protocol::body::write_pretty_fastjson(&shown);
    out.text(&numbers_in_line(&String::from_utf8_lossy(&pretty)));
    out.json(&json!(route));
    Ok(())
}

/// fastjson breaks no lines between the pairs of a map whose keys are numbers; `brokerAddrs` is the one here.
fn numbers_in_line(pretty: &str) -> String {
    let mut text = String::new();
    let mut is_map = false;
    for line in pretty.lines() {
        let ends = is_map && line.trim_start().starts_with('}');
        is_map &= !ends;
        match (is_map, ends) {
            (true, _) => text += line.trim_start(),
            (false, true) => text += &format!("\n{line}\n"),
            (false, false) if line.ends_with("\"brokerAddrs\":{") => {
                is_map = true;
                text += line;
            }
            (false, false) => text += &format!("{line}\n"),
        }
    }
    text
}

/// Answer to GET_TOPIC_STATS_INFO.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicStats {
    /// Offsets of each queue.
    #[serde(with = "object_keys")]
    pub offset_table: BTreeMap<MessageQueue, TopicOffset>,
    /// Messages a second that are put into it on this broker, 5.x.
    pub topic_put_tps: f64,
}

/// Where the queues of a topic are on one broker.
///
/// # Errors
/// It does not say.
pub async fn topic_stats(net: &Net, address: &str, topic: &str) -> Result<TopicStats, Failure> {
    let header = TopicRequestHeader { topic: topic.into() };
    let code = request::GET_TOPIC_STATS_INFO;
    net.read(address, code, &header).await
}

const STATUS: Table = Table {
    titles: "%-32s  %-4s  %-20s  %-20s    %s%n",
    row: "%-32s  %-4d  %-20d  %-20d    %s%n",
    columns: &[
        ("#Broker Name", "brokerName"),
        ("#QID", "queueId"),
        ("#Min Offset", "minOffset"),
        ("#Max Offset", "maxOffset"),
        ("#Last Updated", "lastUpdateTimestamp"),
    ],
};

/// The queues of a topic that may be read.
pub fn readable(route: &TopicRouteData, topic: &str) -> Vec<MessageQueue> {
    const READ: i32 = 4;
    let brokers = route.queue_datas.iter().filter(|queues| queues.perm & READ != 0);
    let queues = brokers.flat_map(|queues| {
        // Numbers come from outside: a broker with a million queues is not believed.
        (0..queues.read_queue_nums.clamp(0, 65_536)).map(|queue_id| MessageQueue {
            topic: topic.to_owned(),
            broker_name: queues.broker_name.clone(),
            queue_id,
        })
    });
    queues.collect()
}

async fn status(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let topic = job.given.required("topic");
    let route = job.route(topic).await?;
    let header = TopicRequestHeader {
        topic: topic.to_owned().into(),
    };
    let code = request::GET_TOPIC_STATS_INFO;
    let told: Vec<(String, TopicStats)> = job
        .net
        .read_each(out, net::addresses(&route), code, header)
        .await?;
    let of_broker = |(_, stats): (String, TopicStats)| {
        let tps = stats.topic_put_tps;
        let queues = stats.offset_table.into_iter();
        queues.map(move |(queue, offsets)| (queue, offsets, tps))
    };
    let mut queues: Vec<_> = told.into_iter().flat_map(of_broker).collect();
    if queues.is_empty() {
        return Err(Failure::wrong(format!("no broker tells of queues of {topic}")));
    }
    queues.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    out.titles(&STATUS);
    for (queue, offsets, tps) in &queues {
        let updated = match offsets.last_update_timestamp {
            ms if ms > 0 => time::millis(ms),
            _ => String::new(),
        };
        out.row_and(
            &STATUS,
            [
                Cell::cut(&queue.broker_name, 32),
                queue.queue_id.into(),
                offsets.min_offset.into(),
                offsets.max_offset.into(),
                Cell::shown(updated, offsets.last_update_timestamp),
            ],
            json!({"topicPutTps": tps}),
        );
    }
    Ok(())
}

/// The clusters that have a broker of this name.
fn clusters_of<'a>(info: &'a ClusterInfo, broker_name: &str) -> impl Iterator<Item = &'a String> {
    info.cluster_addr_table
        .iter()
        .filter(move |(_, names)| names.iter().any(|name| name == broker_name))
        .map(|(cluster, _)| cluster)
}

async fn cluster_list(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let route = job.net.route(job.given.required("topic")).await?;
    let info = job.net.clusters().await?;
    let first = route.broker_datas.first().map(|group| group.broker_name.as_str());
    for cluster in clusters_of(&info, first.unwrap_or_default()) {
        out.either(&format!("{cluster}\n"), json!({"clusterName": cluster}));
    }
    Ok(())
}

const TOPICS: Table = Table {
    titles: "%-20s  %-48s  %-48s%n",
    row: "%-20s  %-64s  %-64s%n",
    columns: &[
        ("#Cluster Name", "clusterName"),
        ("#Topic", "topic"),
        ("#Consumer Group", "consumerGroup"),
    ],
};

async fn list(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let code = request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER;
    let mut all: TopicList = job.net.read_namesrv(code, &NoHeader).await?;
    all.topic_list.sort();
    if !job.given.has("clusterModel") {
        for topic in &all.topic_list {
            out.either(&format!("{topic}\n"), json!({"topic": topic}));
        }
        return Ok(());
    }
    let info = job.net.clusters().await?;
    out.titles(&TOPICS);
    all.topic_list
        .retain(|topic| !is_retry_topic(topic) && !is_dlq_topic(topic));
    let work = |net: Net, topic: String| {
        let info = info.clone();
        async move { who_has(&net, &info, &topic).await }
    };
    for (topic, found) in job.net.each(all.topic_list, work).await {
        let (cluster, mut groups) = match found {
            Ok(found) => found,
            Err(why) => {
                out.away(&format!("{topic}: {why}"));
                Default::default()
            }
        };
        if groups.is_empty() {
            groups.push(String::new());
        }
        groups.sort();
        for group in &groups {
            out.row(
                &TOPICS,
                [
                    Cell::cut(&cluster, 20),
                    Cell::cut(&topic, 64),
                    Cell::cut(group, 64),
                ],
            );
        }
    }
    Ok(())
}

/// The cluster of a topic's first broker, and who consumes the topic.
async fn who_has(net: &Net, info: &ClusterInfo, topic: &str) -> Result<(String, Vec<String>), Failure> {
    let route = match net.route(topic).await {
        Ok(route) => route,
        // Java leaves the columns of a topic without brokers empty: system topics may be so.
        Err(Failure::Client(client::Error::NoRoute(_))) => return Ok(Default::default()),
        Err(why) => return Err(why),
    };
    let Some(first) = route.broker_datas.first() else {
        return Ok(Default::default());
    };
    let cluster = clusters_of(info, &first.broker_name).next();
    let groups = consumers_of(net, &route, topic).await?;
    Ok((cluster.cloned().unwrap_or_default(), groups))
}

/// The groups that consume a topic, as its first broker tells.
///
/// # Errors
/// It does not say.
pub async fn consumers_of(net: &Net, route: &TopicRouteData, topic: &str) -> Result<Vec<String>, Failure> {
    let Some(address) = route.broker_datas.first().and_then(net::one_of) else {
        return Ok(Vec::new());
    };
    let header = TopicRequestHeader { topic: topic.into() };
    let code = request::QUERY_TOPIC_CONSUME_BY_WHO;
    let told: GroupList = net.read(address, code, &header).await?;
    Ok(told.group_list)
}

async fn order_conf(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let topic = job.given.required("topic");
    let (text, conf) = match job.given.required("method") {
        "get" => {
            let conf = get_order(&job.net, topic).await?;
            (
                format!("get orderConf success. topic=[{topic}], orderConf=[{conf}] "),
                Some(conf),
            )
        }
        "put" => {
            let conf = job.given.text("orderConf").filter(|conf| !conf.is_empty());
            let conf = conf.ok_or_else(|| Failure::wrong("-m put needs -v/--orderConf"))?;
            put_order(&job.net, topic, conf).await?;
            (
                format!("update orderConf success. topic=[{topic}], orderConf=[{conf}]"),
                Some(conf.to_owned()),
            )
        }
        "delete" => {
            let header = KvKey {
                namespace: ORDER_NAMESPACE.into(),
                key: topic.to_owned().into(),
            };
            let code = request::DELETE_KV_CONFIG;
            job.net.tell_namesrvs(code, header, Bytes::new()).await?;
            (format!("delete orderConf success. topic=[{topic}]"), None)
        }
        other => return Err(crate::parse::bad_value("method", other, "put, get or delete")),
    };
    out.either(&text, json!({"topicName": topic, "orderConf": conf}));
    Ok(())
}

async fn allocate(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let topic = job.given.required("topic");
    let route = job.net.route(topic).await?;
    let members: Vec<&str> = job.given.required("ipList").split(',').collect();
    let queues = readable(&route, topic);
    let result: BTreeMap<&str, Vec<MessageQueue>> = members
        .iter()
        .map(|member| (*member, client::allocate(member, &members, &queues)))
        .collect();
    let result = json!({"result": result});
    out.either(&format!("{result}\n"), result.clone());
    Ok(())
}
