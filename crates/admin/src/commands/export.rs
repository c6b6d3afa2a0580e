//! Files about a cluster: exportMetadata, exportConfigs, exportMetrics.

use super::broker::{as_object, settings_of};
use super::connection::{members, version_name};
use super::stats::{counted, is_none_yet, of_day};
use crate::failure::Failure;
use crate::job::Job;
use crate::net::{MASTER, Net};
use crate::output::{Out, pretty};
use crate::table::{Command, Run, any_of, flag, required, value};
use crate::time;
use message::name::{HALF_TOPIC, SCHEDULE_TOPIC, is_dlq_topic, is_retry_topic, is_system_group};
use protocol::body::broker::SubscriptionGroupTable;
use protocol::body::namesrv::TopicConfigTable;
use protocol::body::operator::BrokerStatsData;
use protocol::body::{KvTable, TopicList};
use protocol::code::request;
use protocol::header::NoHeader;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where files go unless told otherwise.
const FOLDER: &str = "/tmp/rocketmq/export";

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "exportMetadata",
        alias: None,
        about: "writes topics and consumer groups into a file",
        options: &[
            any_of(
                'c',
                "clusterName",
                "the cluster; queues of several masters are added up",
            ),
            any_of('b', "brokerAddr", "the broker; then -t or -g says what"),
            value(
                'f',
                "filePath",
                "the folder of the file [default: /tmp/rocketmq/export]",
            ),
            flag('t', "topic", "topics alone"),
            flag('g', "subscriptionGroup", "groups alone"),
            flag('s', "specialTopic", "with retry and dead letter topics"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(metadata(job, out))),
    },
    Command {
        name: "exportConfigs",
        alias: None,
        about: "writes the important settings of a cluster's masters into a file",
        options: &[
            required('c', "clusterName", "the cluster"),
            value(
                'f',
                "filePath",
                "the folder of the file [default: /tmp/rocketmq/export]",
            ),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(configs(job, out))),
    },
    Command {
        name: "exportMetrics",
        alias: None,
        about: "writes figures of a cluster's masters into a file",
        options: &[
            required('c', "clusterName", "the cluster"),
            value(
                'f',
                "filePath",
                "the folder of the file [default: /tmp/rocketmq/export]",
            ),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(metrics(job, out))),
    },
];

/// Writes the file and says where it is.
fn write(job: &Job, out: &mut Out, name: &str, value: &Value, end: &str) -> Result<(), Failure> {
    let folder = job.given.text("filePath").unwrap_or(FOLDER);
    let path = format!("{folder}/{name}");
    let failed = |cause| Failure::File {
        path: path.clone(),
        cause,
    };
    std::fs::create_dir_all(Path::new(folder)).map_err(failed)?;
    std::fs::write(&path, pretty(value)).map_err(failed)?;
    out.either(&format!("export {path} success{end}"), json!({"path": path}));
    Ok(())
}

/// A broker's topics but those of the system.
async fn topics_of(net: &Net, address: &str, special: bool) -> Result<TopicConfigTable, Failure> {
    let mut table: TopicConfigTable = net
        .read(address, request::GET_ALL_TOPIC_CONFIG, &NoHeader)
        .await?;
    let code = request::GET_SYSTEM_TOPIC_LIST_FROM_BROKER;
    let system: TopicList = net.read(address, code, &NoHeader).await?;
    table.topic_config_table.retain(|topic, _| {
        let is_special = is_retry_topic(topic) || is_dlq_topic(topic);
        !system.topic_list.contains(topic) && (special || !is_special)
    });
    Ok(table)
}

/// Groups that every broker has, besides those whose names begin with `CID_RMQ_SYS_`.
const SYSTEM_GROUPS: [&str; 12] = [
    "DEFAULT_CONSUMER",
    "DEFAULT_PRODUCER",
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "__MONITOR_CONSUMER",
    "CLIENT_INNER_PRODUCER",
    "SELF_TEST_P_GROUP",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_ONSAPI_PULL",
];

/// A broker's groups but those of the system.
async fn groups_of(net: &Net, address: &str) -> Result<SubscriptionGroupTable, Failure> {
    let code = request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG;
    let mut table: SubscriptionGroupTable = net.read(address, code, &NoHeader).await?;
    table
        .subscription_group_table
        .retain(|group, _| !is_system_group(group) && !SYSTEM_GROUPS.contains(&group.as_str()));
    Ok(table)
}

async fn metadata(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let (topics_only, groups_only) = (given.has("topic"), given.has("subscriptionGroup"));
    let special = given.has("specialTopic");
    if let Some(address) = given.text("brokerAddr") {
        if topics_only {
            let table = topics_of(&job.net, address, special).await?;
            return write(job, out, "topic.json", &json!(table), "");
        }
        if groups_only {
            let table = groups_of(&job.net, address).await?;
            return write(job, out, "subscriptionGroup.json", &json!(table), "");
        }
        return Err(Failure::wrong(
            "exportMetadata -b needs -t/--topic or -g/--subscriptionGroup",
        ));
    }
    let (mut topics, mut groups) = (BTreeMap::new(), BTreeMap::new());
    for address in job.net.masters(given.required("clusterName")).await? {
        for (name, mut topic) in topics_of(&job.net, &address, special).await?.topic_config_table {
            if let Some(known) = topics.get(&name) {
                let known: &protocol::body::TopicConfig = known;
                topic.read_queue_nums += known.read_queue_nums;
                topic.write_queue_nums += known.write_queue_nums;
            }
            topics.insert(name, topic);
        }
        for (name, mut group) in groups_of(&job.net, &address).await?.subscription_group_table {
            if let Some(known) = groups.get(&name) {
                let known: &protocol::body::broker::SubscriptionGroupConfig = known;
                group.retry_queue_nums += known.retry_queue_nums;
            }
            groups.insert(name, group);
        }
    }
    let mut result = Map::new();
    result.insert("exportTime".to_owned(), json!(time::now_ms()));
    if topics_only || !groups_only {
        result.insert("topicConfigTable".to_owned(), json!(topics));
    }
    if !topics_only {
        result.insert("subscriptionGroupTable".to_owned(), json!(groups));
    }
    let name = match (topics_only, groups_only) {
        (true, _) => "topic.json",
        (false, true) => "subscriptionGroup.json",
        (false, false) => "metadata.json",
    };
    write(job, out, name, &Value::Object(result), "\n")
}

/// What exportConfigs takes of a broker's settings.
const IMPORTANT: [&str; 16] = [
    "brokerClusterName",
    "brokerId",
    "brokerName",
    "brokerRole",
    "fileReservedTime",
    "filterServerNums",
    "flushDiskType",
    "maxMessageSize",
    "messageDelayLevel",
    "msgTraceTopicName",
    "slaveReadEnable",
    "traceOn",
    "traceTopicEnable",
    "useTLS",
    "autoCreateTopicEnable",
    "autoCreateSubscriptionGroup",
];

async fn configs(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let groups = job.net.groups(job.given.required("clusterName")).await?;
    let (mut masters, mut slaves) = (0, 0);
    let mut brokers = Map::new();
    for group in &groups {
        slaves += group.broker_addrs.keys().filter(|id| **id != MASTER).count();
        let Some(address) = group.broker_addrs.get(&MASTER) else {
            continue;
        };
        masters += 1;
        let mut settings = settings_of(&job.net, address).await?;
        settings.retain(|(key, _)| IMPORTANT.contains(&key.as_str()));
        brokers.insert(group.broker_name.clone(), as_object(&settings));
    }
    let result = json!({
        "brokerConfigs": brokers,
        "clusterScale": {
            "namesrvSize": job.net.namesrvs()?.len(),
            "masterBrokerSize": masters,
            "slaveBrokerSize": slaves,
        },
    });
    write(job, out, "configs.json", &result, "")
}

/// Figures of a broker, and what they add to the whole.
struct Figures {
    report: Value,
    /// Normal in and out, transactions in, delayed in: messages a second, messages a day.
    tps: [f64; 4],
    day: [i64; 4],
}

const TPS: [&str; 4] = ["normalInTps", "normalOutTps", "transInTps", "scheduleInTps"];
const TOTAL_TPS: [&str; 4] = [
    "totalNormalInTps",
    "totalNormalOutTps",
    "totalTransInTps",
    "totalScheduleInTps",
];
const DAY: [&str; 4] = [
    "normalOneDayInNum",
    "normalOneDayOutNum",
    "transOneDayInNum",
    "scheduleOneDayInNum",
];

fn named<T: Into<Value> + Copy>(names: [&str; 4], values: [T; 4]) -> Value {
    let pairs = names.into_iter().zip(values);
    Value::Object(
        pairs
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect(),
    )
}

async fn metrics(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let mut reports = Map::new();
    let (mut tps, mut day) = ([0.0; 4], [0; 4]);
    for group in job.net.groups(job.given.required("clusterName")).await? {
        let Some(address) = group.broker_addrs.get(&MASTER) else {
            continue;
        };
        let figures = figures(&job.net, address).await?;
        for index in 0..4 {
            tps[index] += figures.tps[index];
            day[index] += figures.day[index];
        }
        reports.insert(group.broker_name, figures.report);
    }
    let result = json!({
        "evaluateReport": reports,
        "totalData": {"totalTps": named(TOTAL_TPS, tps), "totalOneDayNum": named(DAY, day)},
    });
    write(job, out, "metrics.json", &result, "")
}

async fn figures(net: &Net, address: &str) -> Result<Figures, Failure> {
    let told = net.runtime_info(address).await?;
    let settings = settings_of(net, address).await?;
    let groups = groups_of(net, address).await?;
    let topics = topics_of(net, address, false).await?;
    let transactions = flow(net, address, HALF_TOPIC).await?;
    let delayed = flow(net, address, SCHEDULE_TOPIC).await?;
    let text = |key: &str| told.table.get(key).cloned();
    let (tps_in, tps_out) = (first_of(&told, "putTps"), transferred(&told));
    let tps = [
        tps_in,
        tps_out,
        transactions.stats_minute.tps,
        delayed.stats_minute.tps,
    ];
    let number = |key: &str| text(key).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let since =
        |kind: &str| number(&format!("{kind}TodayMorning")) - number(&format!("{kind}YesterdayMorning"));
    let day = [
        since("msgPutTotal"),
        since("msgGetTotal"),
        of_day(&transactions),
        of_day(&delayed),
    ];
    let cpus = settings
        .iter()
        .find(|(key, _)| key == "clientCallbackExecutorThreads");
    let report = json!({
        "runtimeEnv": without_nulls(json!({
            "cpuNum": cpus.map(|(_, value)| value),
            "totalMemKBytes": text("totalMemKBytes"),
        })),
        "runtimeQuota": without_nulls(json!({
            "diskRatio": without_nulls(json!({
                "commitLogDiskRatio": text("commitLogDiskRatio"),
                "consumeQueueDiskRatio": text("consumeQueueDiskRatio"),
            })),
            "tps": named(TPS, tps),
            "oneDayNum": named(DAY, day),
            "messageAverageSize": text("putMessageAverageSize"),
            "topicSize": topics.topic_config_table.len(),
            "groupSize": groups.subscription_group_table.len(),
        })),
        "runtimeVersion": {
            "rocketmqVersion": version_name(protocol::VERSION),
            "clientInfo": clients(net, &groups).await?,
        },
    });
    Ok(Figures { report, tps, day })
}

/// fastjson leaves out what is null.
fn without_nulls(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    value
}

/// The first of three numbers: that of the last ten seconds.
fn first_of(told: &KvTable, key: &str) -> f64 {
    let text = told.table.get(key).map(String::as_str).unwrap_or_default();
    let first = text.split(' ').next().and_then(|first| first.parse().ok());
    first.unwrap_or(0.0)
}

/// Messages a second to consumers; 5.x has mended the key.
fn transferred(told: &KvTable) -> f64 {
    match told.table.contains_key("getTransferedTps") {
        true => first_of(told, "getTransferedTps"),
        false => first_of(told, "getTransferredTps"),
    }
}

async fn flow(net: &Net, address: &str, topic: &str) -> Result<BrokerStatsData, Failure> {
    match counted(net, address, "TOPIC_PUT_NUMS", topic).await {
        Err(why) if is_none_yet(&why) => Ok(BrokerStatsData::default()),
        told => told,
    }
}

/// Languages and versions of the groups' members.
async fn clients(net: &Net, groups: &SubscriptionGroupTable) -> Result<BTreeSet<String>, Failure> {
    let mut clients = BTreeSet::new();
    for group in groups.subscription_group_table.keys() {
        match members(net, group, None).await {
            Ok(told) => clients.extend(
                told.connection_set
                    .iter()
                    .map(|client| format!("{}%{}", client.language, version_name(client.version))),
            ),
            Err(why) if is_none_yet(&why) || matches!(why, Failure::Wrong(_)) => {}
            Err(why) => return Err(why),
        }
    }
    Ok(clients)
}
