//! Brokers: brokerStatus, getBrokerConfig, updateBrokerConfig, brokerConsumeStats, cleanExpiredCQ, cleanUnusedTopic,
//! deleteExpiredCommitLog.

use crate::failure::Failure;
use crate::job::Job;
use crate::net::{MASTER, Net, some};
use crate::output::{Cell, Out, Table};
use crate::table::{Command, Run, any_of, required, value};
use crate::time;
use bytes::Bytes;
use protocol::body::MessageQueue;
use protocol::body::broker::OffsetWrapper;
use protocol::body::operator::ConsumeStatsList;
use protocol::code::request;
use protocol::header::NoHeader;
use protocol::header::broker::GetConsumeStatsInBrokerHeader;
use remoting::Body;
use serde_json::{Map, Value, json};
use settings::Properties;
use std::time::Duration;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "brokerStatus",
        alias: None,
        about: "shows what brokers tell of themselves",
        options: &[
            any_of('b', "brokerAddr", "the broker"),
            any_of('c', "clusterName", "the cluster, masters and slaves"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(status(job, out))),
    },
    Command {
        name: "getBrokerConfig",
        alias: None,
        about: "shows the settings of brokers",
        options: &[
            any_of('b', "brokerAddr", "the broker"),
            any_of('c', "clusterName", "the cluster, masters and slaves"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(config(job, out))),
    },
    Command {
        name: "updateBrokerConfig",
        alias: None,
        about: "changes a setting of brokers",
        options: &[
            any_of('b', "brokerAddr", "the broker"),
            any_of('c', "clusterName", "the cluster whose masters change"),
            required('k', "key", "the setting"),
            required('v', "value", "its value"),
            value('a', "updateAllBroker", "true: with -c slaves, too, 5.x"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(update_config(job, out))),
    },
    Command {
        name: "brokerConsumeStats",
        alias: None,
        about: "shows how far every consumer group of a broker is",
        options: &[
            required('b', "brokerAddr", "the broker"),
            value('t', "timeoutMillis", "how long it may take, ms [default: 50000]"),
            value(
                'l',
                "level",
                "only queues with at least so many messages waiting [default: 0]",
            ),
            value('o', "order", "true: only ordered topics"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(consume_stats(job, out))),
    },
    Command {
        name: "cleanExpiredCQ",
        alias: None,
        about: "deletes queue files whose messages are gone; everywhere without an option",
        options: &[
            value('b', "brokerAddr", "the broker"),
            value('c', "cluster", "the cluster"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(clean(job, out, request::CLEAN_EXPIRED_CONSUMEQUEUE))),
    },
    Command {
        name: "cleanUnusedTopic",
        alias: None,
        about: "deletes queue files of topics that are gone; everywhere without an option",
        options: &[
            value('b', "brokerAddr", "the broker"),
            value('c', "cluster", "the cluster"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(clean(job, out, request::CLEAN_UNUSED_TOPIC))),
    },
    Command {
        name: "deleteExpiredCommitLog",
        alias: None,
        about: "deletes commitlog files that are older than the broker keeps; everywhere without an option",
        options: &[
            value('b', "brokerAddr", "the broker"),
            value('c', "cluster", "the cluster"),
        ],
        asks: Some("Delete commitlog files that are kept long enough, of {brokerAddr}{cluster} or of all?"),
        run: Run::Online(|job, out| Box::pin(clean(job, out, request::DELETE_EXPIRED_COMMITLOG))),
    },
];

async fn status(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let many = !job.given.has("brokerAddr");
    let brokers = job.brokers().await?;
    let work = |net: Net, address: String| async move { net.runtime_info(&address).await };
    for (address, told) in some(out, job.net.each(brokers, work).await)? {
        for (key, value) in &told.table {
            match many {
                true => out.line(&format!("{address:<24} {key:<32}: {value}")),
                false => out.line(&format!("{key:<32}: {value}")),
            }
        }
        out.json(&json!({"brokerAddr": address, "status": told.table}));
    }
    Ok(())
}

/// The settings of a broker, by name.
pub async fn settings_of(net: &Net, address: &str) -> Result<Vec<(String, String)>, Failure> {
    let code = request::GET_BROKER_CONFIG;
    let answer = net.ask(address, code, &NoHeader, Body::Empty).await?;
    Ok(settings_in(&answer.body))
}

/// The settings in a text of properties, by name.
pub(super) fn settings_in(text: &[u8]) -> Vec<(String, String)> {
    let entries = Properties::parse(text).entries;
    let mut pairs: Vec<_> = entries
        .into_iter()
        .map(|entry| (entry.key, entry.value))
        .collect();
    pairs.sort();
    pairs
}

/// The same as an object.
pub(super) fn as_object(settings: &[(String, String)]) -> Value {
    let pairs = settings.iter().map(|(key, value)| (key.clone(), json!(value)));
    Value::Object(pairs.collect::<Map<_, _>>())
}

/// One `key=value` line of a settings request.
///
/// # Errors
/// A line break would be a second setting.
pub(super) fn setting(key: &str, value: &str) -> Result<Bytes, Failure> {
    if key.contains(['\n', '\r', '=']) || value.contains(['\n', '\r']) {
        return Err(Failure::wrong(
            "neither key nor value may have a line break, nor the key a `=`",
        ));
    }
    Ok(format!("{key}={value}\n").into())
}

/// As both servers' settings are shown.
pub(super) fn show_settings(out: &mut Out, settings: &[(String, String)]) {
    for (key, value) in settings {
        out.line(&format!("{key:<50}=  {value}"));
    }
}

/// Brokers, and how Java's tool heads what each of them tells.
pub(super) struct Placed(Vec<(String, String)>);

impl Placed {
    pub(super) fn addresses(&self) -> Vec<String> {
        self.0.iter().map(|(address, _)| address.clone()).collect()
    }

    pub(super) fn head<'a>(&'a self, address: &'a str) -> &'a str {
        let head = self.0.iter().find(|(known, _)| known == address);
        head.map_or(address, |(_, head)| head)
    }
}

/// The broker that `-b` names, or those of `-c` with their roles.
pub(super) async fn placed(job: &Job) -> Result<Placed, Failure> {
    if let Some(address) = job.given.text("brokerAddr") {
        return Ok(Placed(vec![(address.to_owned(), address.to_owned())]));
    }
    let mut heads = Vec::new();
    for group in job.net.groups(job.given.required("clusterName")).await? {
        // A group without a master is shown, too; Java's tool ends in an error there.
        let master = group.broker_addrs.get(&MASTER).map_or("none", String::as_str);
        for (id, address) in &group.broker_addrs {
            let head = match *id == MASTER {
                true => format!("Master: {address}"),
                false => format!("My Master: {master}=====Slave: {address}"),
            };
            heads.push((address.clone(), head));
        }
    }
    Ok(Placed(heads))
}

async fn config(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let places = placed(job).await?;
    let work = |net: Net, address: String| async move { settings_of(&net, &address).await };
    let told = job.net.each(places.addresses(), work).await;
    for (address, settings) in some(out, told)? {
        out.line(&format!("============{}============", places.head(&address)));
        show_settings(out, &settings);
        out.text("\n");
        out.json(&json!({"brokerAddr": address, "config": as_object(&settings)}));
    }
    Ok(())
}

async fn update_config(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let (key, value) = (job.given.required("key"), job.given.required("value"));
    let body = setting(key, value)?;
    let brokers = match job.given.switch("updateAllBroker")? {
        Some(true) => job.brokers().await?,
        _ => job.masters().await?,
    };
    let code = request::UPDATE_BROKER_CONFIG;
    for address in job.net.tell(out, brokers, code, NoHeader, body).await? {
        out.either(
            &format!("update broker config success, {address}\n"),
            json!({"brokerAddr": address, "key": key, "value": value}),
        );
    }
    Ok(())
}

const CONSUME_STATS: Table = Table {
    titles: "%-64s  %-64s  %-32s  %-4s  %-20s  %-20s  %-20s  %s%n",
    row: "%-64s  %-64s  %-32s  %-4d  %-20d  %-20d  %-20d  %s%n",
    columns: &[
        ("#Topic", "topic"),
        ("#Group", "group"),
        ("#Broker Name", "brokerName"),
        ("#QID", "queueId"),
        ("#Broker Offset", "brokerOffset"),
        ("#Consumer Offset", "consumerOffset"),
        ("#Diff", "diff"),
        ("#LastTime", "lastTimestamp"),
    ],
};

async fn consume_stats(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let within = Duration::from_millis(given.number("timeoutMillis")?.unwrap_or(50_000));
    let level: i64 = given.number("level")?.unwrap_or(0);
    let header = GetConsumeStatsInBrokerHeader {
        is_order: Some(given.switch("order")?.unwrap_or_default()),
    };
    let address = given.required("brokerAddr");
    let code = request::GET_BROKER_CONSUME_STATS;
    let told: ConsumeStatsList = job.net.within(within).read(address, code, &header).await?;
    out.titles(&CONSUME_STATS);
    for (group, stats) in told.consume_stats_list.into_iter().flatten() {
        let queues = stats.into_iter().map(|stats| stats.offset_table);
        let mut queues: Vec<_> = queues.flatten().collect();
        queues.sort_by(|(a, _), (b, _)| order_of(a).cmp(&order_of(b)));
        for (queue, offsets) in &queues {
            let diff = offsets.broker_offset - offsets.consumer_offset;
            // As Java's: a group that has consumed nothing yet has no line.
            if diff >= level && offsets.last_timestamp > 0 {
                out.row(&CONSUME_STATS, waiting(&group, queue, offsets, diff));
            }
        }
    }
    let total = told.total_diff;
    out.either(&format!("\nDiff Total: {total}\n"), json!({"diffTotal": total}));
    Ok(())
}

/// Java's order of queues.
pub(super) fn order_of(queue: &MessageQueue) -> (&str, &str, i32) {
    (&queue.topic, &queue.broker_name, queue.queue_id)
}

fn waiting(group: &str, queue: &MessageQueue, offsets: &OffsetWrapper, diff: i64) -> [Cell; 8] {
    [
        Cell::cut(&queue.topic, 64),
        group.into(),
        Cell::cut(&queue.broker_name, 32),
        queue.queue_id.into(),
        offsets.broker_offset.into(),
        offsets.consumer_offset.into(),
        diff.into(),
        Cell::shown(time::seconds(offsets.last_timestamp), offsets.last_timestamp),
    ]
}

async fn clean(job: &Job, out: &mut Out, code: i32) -> Result<(), Failure> {
    let masters = match (job.given.text("brokerAddr"), job.given.text("cluster")) {
        (Some(address), _) => vec![address.to_owned()],
        (None, Some(cluster)) => job.net.masters(cluster).await?,
        (None, None) => {
            let info = job.net.clusters().await?;
            let groups = info.broker_addr_table.values();
            groups
                .filter_map(|group| group.broker_addrs.get(&MASTER))
                .cloned()
                .collect()
        }
    };
    let all = masters.len();
    let done = job.net.tell(out, masters, code, NoHeader, Bytes::new()).await?;
    for address in &done {
        out.json(&json!({"brokerAddr": address, "result": "success"}));
    }
    match done.len() {
        0 => Err(Failure::wrong("no broker is registered")),
        count if count < all => {
            out.text("false");
            Err(Failure::Some {
                failed: all - count,
                all,
            })
        }
        _ => {
            out.text("success");
            Ok(())
        }
    }
}
