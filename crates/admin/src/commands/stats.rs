//! Counters of brokers: statsAll.

use super::consumer::consume_stats;
use super::topic::consumers_of;
use crate::failure::Failure;
use crate::job::Job;
use crate::net::{self, Net};
use crate::output::{Cell, Out, Table};
use crate::table::{Command, Run, flag, value};
use message::name::{is_dlq_topic, is_retry_topic};
use protocol::body::TopicList;
use protocol::body::operator::BrokerStatsData;
use protocol::code::request;
use protocol::header::NoHeader;
use protocol::header::broker::ViewBrokerStatsDataRequestHeader;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "statsAll",
    alias: None,
    about: "shows how many messages topics get, and how many groups take",
    options: &[
        flag('a', "activeTopic", "only where something came or went"),
        value('t', "topic", "this topic alone"),
    ],
    asks: None,
    run: Run::Online(|job, out| Box::pin(all(job, out))),
}];

const STATS: Table = Table {
    titles: "%-64s  %-64s %12s %11s %11s %14s %14s%n",
    row: "%-64s  %-64s %12d %11s %11s %14d %14s%n",
    columns: &[
        ("#Topic", "topic"),
        ("#Consumer Group", "consumerGroup"),
        ("#Accumulation", "accumulation"),
        ("#InTPS", "inTps"),
        ("#OutTPS", "outTps"),
        ("#InMsg24Hour", "in24Hours"),
        ("#OutMsg24Hour", "out24Hours"),
    ],
};

/// What came or went.
#[derive(Default)]
struct Flow {
    tps: f64,
    day: i64,
}

/// A topic and what is to be said of it.
struct Line {
    group: Option<String>,
    accumulation: i64,
    inward: Flow,
    outward: Flow,
}

async fn all(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let code = request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER;
    let mut topics: TopicList = job.net.read_namesrv(code, &NoHeader).await?;
    let wanted = job.given.text("topic").filter(|topic| !topic.is_empty());
    topics.topic_list.retain(|topic| {
        !is_retry_topic(topic) && !is_dlq_topic(topic) && wanted.is_none_or(|wanted| wanted == topic)
    });
    if let (Some(wanted), true) = (wanted, topics.topic_list.is_empty()) {
        return Err(client::Error::NoRoute(wanted.to_owned()).into());
    }
    topics.topic_list.sort();
    let active_only = job.given.has("activeTopic");
    out.titles(&STATS);
    let work = |net: Net, topic: String| async move { lines(&net, &topic).await };
    for (topic, told) in job.net.each(topics.topic_list, work).await {
        let lines = match told {
            Ok(lines) => lines,
            // System topics that no broker has, in a list for people who look at what flows.
            Err(Failure::Client(client::Error::NoRoute(_))) => continue,
            Err(why) => {
                out.away(&format!("{topic}: {why}"));
                continue;
            }
        };
        for line in lines {
            if !active_only || line.inward.day > 0 || line.outward.day > 0 {
                out.row(&STATS, cells(&topic, line));
            }
        }
    }
    Ok(())
}

async fn lines(net: &Net, topic: &str) -> Result<Vec<Line>, Failure> {
    let route = net.route(topic).await?;
    let groups = consumers_of(net, &route, topic).await?;
    let masters = net::masters_of(&route);
    let mut lines = Vec::new();
    for group in groups.iter().map(Some).chain(groups.is_empty().then_some(None)) {
        let mut line = Line {
            group: group.cloned(),
            accumulation: 0,
            inward: flow(net, &masters, "TOPIC_PUT_NUMS", topic).await?,
            outward: Flow::default(),
        };
        if let Some(group) = group {
            line.outward = flow(net, &masters, "GROUP_GET_NUMS", &format!("{topic}@{group}")).await?;
            // As Java's: a group that has no offsets accumulates nothing.
            line.accumulation = match consume_stats(net, group, Some(topic)).await {
                Ok(stats) => stats.total_diff().max(0),
                Err(why) if is_none_yet(&why) => 0,
                Err(why) => return Err(why),
            };
        }
        lines.push(line);
    }
    Ok(lines)
}

/// The sum over brokers. One that has counted nothing says so by an error, as Java's does.
async fn flow(net: &Net, masters: &[String], name: &str, key: &str) -> Result<Flow, Failure> {
    let mut sum = Flow::default();
    for address in masters {
        match counted(net, address, name, key).await {
            Ok(told) => {
                sum.tps += told.stats_minute.tps;
                sum.day += of_day(&told);
            }
            Err(why) if is_none_yet(&why) => {}
            Err(why) => return Err(why),
        }
    }
    Ok(sum)
}

/// Whether a broker has answered that there is nothing.
pub(super) fn is_none_yet(why: &Failure) -> bool {
    why.code().is_some() || matches!(why, Failure::Client(client::Error::NoRoute(_)))
}

/// What a broker has counted.
pub(super) async fn counted(
    net: &Net,
    address: &str,
    name: &str,
    key: &str,
) -> Result<BrokerStatsData, Failure> {
    let header = ViewBrokerStatsDataRequestHeader {
        stats_name: name.into(),
        stats_key: key.into(),
    };
    let code = request::VIEW_BROKER_STATS_DATA;
    net.read(address, code, &header).await
}

/// Of a day, or where that is not over yet of what there is.
pub(super) fn of_day(told: &BrokerStatsData) -> i64 {
    let sums = [told.stats_day, told.stats_hour, told.stats_minute].map(|item| item.sum);
    sums.into_iter().find(|sum| *sum != 0).unwrap_or(0)
}

fn cells(topic: &str, line: Line) -> [Cell; 7] {
    let (out_tps, out_day) = match line.group {
        Some(_) => (Cell::fixed(line.outward.tps, 2), line.outward.day.into()),
        None => (
            Cell::shown("", serde_json::Value::Null),
            Cell::shown("NO_CONSUMER", serde_json::Value::Null),
        ),
    };
    [
        Cell::cut(topic, 64),
        Cell::cut(line.group.as_deref().unwrap_or_default(), 64),
        line.accumulation.into(),
        Cell::fixed(line.inward.tps, 2),
        out_tps,
        line.inward.day.into(),
        out_day,
    ]
}
