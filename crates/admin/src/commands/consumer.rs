//! Consumer groups at work: consumerProgress, consumerStatus.

use super::broker::order_of;
use super::connection::{members, version_name};
use super::running_info::{self, RunningInfo};
use crate::failure::Failure;
use crate::job::Job;
use crate::net::{self, Net};
use crate::output::{Cell, Out, Table, complain};
use crate::table::{Command, ROUTE_OF, Run, flag, required, value};
use crate::time;
use message::name::{RETRY_PREFIX, retry_topic};
use protocol::body::broker::{ClientConnection, ConsumeType, ConsumerConnection, OffsetWrapper};
use protocol::body::operator::ConsumeStats;
use protocol::body::{MessageQueue, TopicList};
use protocol::code::{request, response};
use protocol::header::NoHeader;
use protocol::header::broker::{GetConsumeStatsRequestHeader, GetConsumerRunningInfoRequestHeader};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "consumerProgress",
        alias: None,
        about: "shows how far a consumer group is, or all groups",
        options: &[
            value('g', "groupName", "the group; all without it"),
            value('t', "topicName", "of the group this topic alone"),
            value('s', "showClientIP", "true: with the member that has each queue"),
            ROUTE_OF,
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(progress(job, out))),
    },
    Command {
        name: "consumerStatus",
        alias: None,
        about: "writes what each member of a group tells of itself to files, and judges it",
        options: &[
            required('g', "consumerGroup", "the group"),
            value('i', "clientId", "prints what this member tells"),
            value('b', "brokerAddr", "the broker that is asked for the members"),
            flag('s', "jstack", "with what each member's threads do"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(status(job, out))),
    },
];

/// Where a group is, as the brokers of its retry topic tell. A broker that does not answer is an error: the sum would be a lie.
pub async fn consume_stats(net: &Net, group: &str, topic: Option<&str>) -> Result<ConsumeStats, Failure> {
    consume_stats_by(net, &retry_topic(group), group, topic).await
}

/// The same, as the brokers of another topic tell.
async fn consume_stats_by(
    net: &Net,
    route_of: &str,
    group: &str,
    topic: Option<&str>,
) -> Result<ConsumeStats, Failure> {
    let route = net.route(route_of).await?;
    let work = |net: Net, address: String| {
        let (group, topic) = (group.to_owned(), topic.map(str::to_owned));
        async move {
            let header = GetConsumeStatsRequestHeader {
                consumer_group: group.into(),
                topic: topic.map(Into::into),
            };
            let code = request::GET_CONSUME_STATS;
            net.read::<ConsumeStats>(&address, code, &header).await
        }
    };
    let mut all = ConsumeStats::default();
    for (_, told) in net.each(net::addresses(&route), work).await {
        let told = told?;
        all.consume_tps += told.consume_tps;
        all.offset_table.extend(told.offset_table);
    }
    match all.offset_table.is_empty() {
        // The code of Java's tool for it.
        true => Err(Failure::Refused {
            peer: format!("the consumer group {group}"),
            code: response::CONSUMER_NOT_ONLINE,
            remark: "it has consumed nothing".to_owned(),
        }),
        false => Ok(all),
    }
}

const PROGRESS: Table = Table {
    titles: "%-64s  %-32s  %-4s  %-20s  %-20s  %-20s  %s%n",
    row: "%-64s  %-32s  %-4d  %-20d  %-20d  %-20d  %s%n",
    columns: &[
        ("#Topic", "topic"),
        ("#Broker Name", "brokerName"),
        ("#QID", "queueId"),
        ("#Broker Offset", "brokerOffset"),
        ("#Consumer Offset", "consumerOffset"),
        ("#Diff", "diff"),
        ("#LastTime", "lastTimestamp"),
    ],
};

const PROGRESS_OF_CLIENTS: Table = Table {
    titles: "%-64s  %-32s  %-4s  %-20s  %-20s  %-20s %-20s  %s%n",
    row: "%-64s  %-32s  %-4d  %-20d  %-20d  %-20s %-20d  %s%n",
    columns: &[
        ("#Topic", "topic"),
        ("#Broker Name", "brokerName"),
        ("#QID", "queueId"),
        ("#Broker Offset", "brokerOffset"),
        ("#Consumer Offset", "consumerOffset"),
        ("#Client IP", "clientIp"),
        ("#Diff", "diff"),
        ("#LastTime", "lastTimestamp"),
    ],
};

async fn progress(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let Some(group) = job.given.text("groupName") else {
        return progress_of_all(job, out).await;
    };
    let with_clients = job.given.switch("showClientIP")?.unwrap_or_default();
    let topic = job.given.text("topicName");
    let stats = match job.given.text("cluster") {
        Some(route_of) => consume_stats_by(&job.net, route_of, group, topic).await?,
        None => consume_stats(&job.net, group, topic).await?,
    };
    let clients = match with_clients {
        true => Some(clients_of_queues(&job.net, out, group).await),
        false => None,
    };
    let table = match with_clients {
        true => &PROGRESS_OF_CLIENTS,
        false => &PROGRESS,
    };
    out.titles(table);
    let mut queues: Vec<_> = stats.offset_table.iter().collect();
    queues.sort_by_key(|(queue, _)| order_of(queue));
    for (queue, offsets) in queues {
        let client = clients.as_ref().map(|clients| clients.get(queue));
        let client = client.map(|client| client.map_or("N/A", String::as_str));
        let more = json!({"inflight": inflight(offsets)});
        out.row_and(table, position(queue, offsets, client), more);
    }
    let (tps, total) = (stats.consume_tps, stats.total_diff());
    let inflight: i64 = stats.offset_table.values().map(inflight).sum();
    out.either(
        &format!(
            "\nConsume TPS: {}\nDiff Total: {total}\n",
            crate::output::fixed(tps, 2)
        ),
        json!({"consumeTps": tps, "diffTotal": total, "inflightTotal": inflight}),
    );
    Ok(())
}

/// What is pulled and not consumed, of a broker that tells it (5.x, and these).
fn inflight(offsets: &OffsetWrapper) -> i64 {
    (offsets.pull_offset - offsets.consumer_offset).max(0)
}

fn position(queue: &MessageQueue, offsets: &OffsetWrapper, client: Option<&str>) -> Vec<Cell> {
    let last = match offsets.last_timestamp {
        0 => "N/A".to_owned(),
        ms => time::seconds(ms),
    };
    let mut cells = vec![
        Cell::cut(&queue.topic, 64),
        Cell::cut(&queue.broker_name, 32),
        queue.queue_id.into(),
        offsets.broker_offset.into(),
        offsets.consumer_offset.into(),
    ];
    cells.extend(client.map(Cell::from));
    cells.push((offsets.broker_offset - offsets.consumer_offset).into());
    cells.push(Cell::shown(last, offsets.last_timestamp));
    cells
}

/// Which member has which queue, by the part of its id that is an address. Members that do not tell have none.
async fn clients_of_queues(net: &Net, out: &mut Out, group: &str) -> BTreeMap<MessageQueue, String> {
    let ids = match members(net, group, None).await {
        Ok(told) => told.connection_set.into_iter().map(|client| client.client_id),
        Err(why) => {
            out.away(&why);
            return BTreeMap::new();
        }
    };
    let work = |net: Net, id: String| {
        let group = group.to_owned();
        async move { running_info(&net, &group, &id, false).await }
    };
    let mut clients = BTreeMap::new();
    for (id, told) in net.each(ids.collect(), work).await {
        let ip = id.split('@').next().unwrap_or_default();
        match told {
            Ok(told) => {
                clients.extend(told.mq_table.into_keys().map(|queue| (queue, ip.to_owned())));
            }
            Err(why) => out.away(&why),
        }
    }
    clients
}

const GROUPS: Table = Table {
    titles: "%-64s  %-6s  %-24s %-5s  %-14s  %-7s  %s%n",
    row: "%-64s  %-6d  %-24s %-5s  %-14s  %-7d  %d%n",
    columns: &[
        ("#Group", "group"),
        ("#Count", "count"),
        ("#Version", "version"),
        ("#Type", "type"),
        ("#Model", "model"),
        ("#TPS", "consumeTps"),
        ("#Diff Total", "diffTotal"),
    ],
};

/// The groups that have a retry topic, by name.
pub(super) async fn retry_groups(net: &Net) -> Result<Vec<String>, Failure> {
    let code = request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER;
    let mut topics: TopicList = net.read_namesrv(code, &NoHeader).await?;
    topics.topic_list.sort();
    let groups = topics.topic_list.iter();
    let groups = groups.filter_map(|topic| topic.strip_prefix(RETRY_PREFIX));
    Ok(groups.map(str::to_owned).collect())
}

async fn progress_of_all(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let groups = retry_groups(&job.net).await?;
    let work = |net: Net, group: String| async move {
        let stats = consume_stats(&net, &group, None).await;
        Ok((known(stats)?, known(members(&net, &group, None).await)?))
    };
    out.titles(&GROUPS);
    for (group, told) in job.net.each(groups, work).await {
        let (stats, members) = told.unwrap_or_else(|why| {
            out.away(&format!("{group}: {why}"));
            Default::default()
        });
        out.row(&GROUPS, summary(&group, stats.as_ref(), members.as_ref()));
    }
    Ok(())
}

/// That a group has consumed nothing, or that none of its members is there, is an answer, too.
fn known<T>(told: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match told {
        Ok(told) => Ok(Some(told)),
        Err(Failure::Refused { .. } | Failure::Wrong(_)) => Ok(None),
        Err(Failure::Client(client::Error::NoRoute(_))) => Ok(None),
        Err(why) => Err(why),
    }
}

fn summary(group: &str, stats: Option<&ConsumeStats>, members: Option<&ConsumerConnection>) -> [Cell; 7] {
    let count = members.map_or(0, |members| members.connection_set.len());
    let (mut version, mut kind, mut model) = ("OFFLINE".to_owned(), "", "");
    if let Some(members) = members.filter(|_| count > 0) {
        let versions = members.connection_set.iter().map(|client| client.version);
        version = version_name(versions.min().unwrap_or_default());
        kind = match members.consume_type {
            ConsumeType::Actively => "PULL",
            _ => "PUSH",
        };
        if members.consume_type == ConsumeType::Passively {
            model = members.message_model.name();
        }
    }
    let tps = stats.map_or(0.0, |stats| stats.consume_tps);
    [
        Cell::cut(group, 64),
        count.into(),
        version.into(),
        kind.into(),
        model.into(),
        Cell::shown(format!("{}", tps.trunc() as i64), tps),
        stats.map_or(0, ConsumeStats::total_diff).into(),
    ]
}

/// What a member tells of itself, by way of a broker that it is connected to.
pub async fn running_info(net: &Net, group: &str, id: &str, jstack: bool) -> Result<RunningInfo, Failure> {
    let header = GetConsumerRunningInfoRequestHeader {
        consumer_group: group.into(),
        client_id: id.into(),
        jstack_enable: Some(jstack),
    };
    let route = net.route(&retry_topic(group)).await?;
    let mut refused = None;
    for address in net::addresses(&route) {
        let code = request::GET_CONSUMER_RUNNING_INFO;
        match net.read(&address, code, &header).await {
            Ok(told) => return Ok(told),
            Err(why) => refused = Some(why),
        }
    }
    Err(refused.unwrap_or_else(|| Failure::wrong(format!("no broker has the group {group}"))))
}

const STATUS: Table = Table {
    titles: "%-10s %-40s %-20s %s%n",
    row: "%-10d %-40s %-20s %s%n",
    columns: &[
        ("#Index", "index"),
        ("#ClientId", "clientId"),
        ("#Version", "version"),
        ("#ConsumerRunningInfoFile", "runningInfoFile"),
    ],
};

async fn status(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let group = job.given.required("consumerGroup");
    let jstack = job.given.has("jstack");
    let told = members(&job.net, group, job.given.text("brokerAddr")).await?;
    if let Some(id) = job.given.text("clientId") {
        let info = running_info(&job.net, group, id, jstack).await?;
        out.text(&info.text());
        out.json(&json!({"clientId": id, "runningInfo": info}));
        return Ok(());
    }
    let folder = PathBuf::from(time::now_ms().to_string());
    let ids = told.connection_set.iter().map(|client| client.client_id.clone());
    let work = |net: Net, id: String| {
        let group = group.to_owned();
        async move { running_info(&net, &group, &id, jstack).await }
    };
    let infos = job.net.each(ids.collect(), work).await;
    out.titles(&STATUS);
    let mut members = BTreeMap::new();
    for (client, (id, info)) in told.connection_set.iter().zip(infos) {
        match info {
            Ok(info) => {
                let file = keep(&folder, client, &info)?;
                let index = members.len() + 1;
                out.row(
                    &STATUS,
                    [
                        index.into(),
                        (&client.client_id).into(),
                        version_name(client.version).into(),
                        file.display().to_string().into(),
                    ],
                );
                members.insert(id, info);
            }
            Err(why) => complain(&format!("{id}: {why}")),
        }
    }
    if members.len() < told.connection_set.len() {
        out.exit_code = 1;
    }
    if !members.is_empty() {
        let judgement = running_info::judge(&members, time::now_ms());
        out.either(&judgement.text(), json!(judgement));
    }
    Ok(())
}

/// Writes what a member tells into a file of its own. Ids come from clients: none names a file elsewhere.
fn keep(folder: &Path, client: &ClientConnection, info: &RunningInfo) -> Result<PathBuf, Failure> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |cause| Failure::File { path, cause }
    };
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    let name = super::message_text::file_name(&client.client_id);
    let path = folder.join(name);
    std::fs::write(&path, info.text()).map_err(failed(&path))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_no_file_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        for (id, name) in [
            ("10.0.0.9@1#2", "10.0.0.9@1#2"),
            ("../../x", ".._.._x"),
            ("..", "_.."),
            ("", "_"),
        ] {
            let client = ClientConnection {
                client_id: id.to_owned(),
                ..ClientConnection::default()
            };
            let path = keep(folder.path(), &client, &RunningInfo::default()).unwrap();
            assert_eq!(path, folder.path().join(name));
        }
    }
}
