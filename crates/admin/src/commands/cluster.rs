//! Clusters: clusterList, clusterRT.

use crate::failure::Failure;
use crate::job::Job;
use crate::net::Net;
use crate::output::{Cell, Out, Table, complain, fixed};
use crate::table::{Command, Run, flag, value};
use crate::time;
use client::Message;
use protocol::body::KvTable;
use protocol::body::namesrv::ClusterInfo;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "clusterList",
        alias: None,
        about: "lists clusters and their brokers",
        options: &[
            flag(
                'm',
                "moreStats",
                "how many messages came and went yesterday and today",
            ),
            value('i', "interval", "again each so many seconds, until it is stopped"),
            value('c', "clusterName", "this cluster alone"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(list(job, out))),
    },
    Command {
        name: "clusterRT",
        alias: None,
        about: "measures how long sends to each broker take, until it is stopped",
        options: &[
            value('a', "amount", "messages a round [default: 100]"),
            value('s', "size", "bytes a message [default: 128]"),
            value('c', "cluster", "this cluster alone"),
            value(
                'p',
                "printLog",
                "true: prints lines for a log, in the time of China",
            ),
            value('m', "machineRoom", "a name for those lines [default: noname]"),
            value('i', "interval", "seconds between rounds [default: 10]"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(round_trips(job, out))),
    },
];

const BROKERS: Table = Table {
    titles: "%-16s  %-22s  %-4s  %-22s %-16s %19s %19s %10s %5s %6s%n",
    row: "%-16s  %-22s  %-4s  %-22s %-16s %19s %19s %10s %5s %6s%n",
    columns: &[
        ("#Cluster Name", "clusterName"),
        ("#Broker Name", "brokerName"),
        ("#BID", "brokerId"),
        ("#Addr", "brokerAddr"),
        ("#Version", "version"),
        ("#InTPS(LOAD)", "inTps"),
        ("#OutTPS(LOAD)", "outTps"),
        ("#PCWait(ms)", "pageCacheLockMs"),
        ("#Hour", "hours"),
        ("#SPACE", "diskRatio"),
    ],
};

const TOTALS: Table = Table {
    titles: "%-16s  %-32s %14s %14s %14s %14s%n",
    row: "%-16s  %-32s %14d %14d %14d %14d%n",
    columns: &[
        ("#Cluster Name", "clusterName"),
        ("#Broker Name", "brokerName"),
        ("#InTotalYest", "inYesterday"),
        ("#OutTotalYest", "outYesterday"),
        ("#InTotalToday", "inToday"),
        ("#OutTotalToday", "outToday"),
    ],
};

/// A broker's line before anything is known of it.
#[derive(Clone)]
struct Place {
    cluster: String,
    broker_name: String,
    broker_id: i64,
    address: String,
}

/// Every broker, by cluster, name and id.
fn places(info: &ClusterInfo, wanted: Option<&str>) -> Result<Vec<Place>, Failure> {
    let mut places = Vec::new();
    for (cluster, names) in &info.cluster_addr_table {
        if wanted.is_some_and(|wanted| wanted != cluster) {
            continue;
        }
        let mut names = names.clone();
        names.sort();
        for group in names.iter().filter_map(|name| info.broker_addr_table.get(name)) {
            places.extend(group.broker_addrs.iter().map(|(id, address)| Place {
                cluster: cluster.clone(),
                broker_name: group.broker_name.clone(),
                broker_id: *id,
                address: address.clone(),
            }));
        }
    }
    match wanted {
        Some(wanted) if places.is_empty() => Err(Failure::wrong(format!("there is no cluster {wanted}"))),
        _ => Ok(places),
    }
}

async fn list(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let interval: Option<u64> = job.given.number("interval")?;
    loop {
        list_once(job, out).await?;
        match interval {
            Some(seconds) if !out.is_closed() => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
            _ => return Ok(()),
        }
    }
}

async fn list_once(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let info = job.net.clusters().await?;
    let places = places(&info, job.given.text("clusterName"))?;
    let more = job.given.has("moreStats");
    out.titles(if more { &TOTALS } else { &BROKERS });
    let addresses = places.iter().map(|place| place.address.clone()).collect();
    let work = |net: Net, address: String| async move { net.runtime_info(&address).await };
    let told = job.net.each(addresses, work).await;
    for (place, (_, told)) in places.iter().zip(told) {
        // A broker that does not answer has a line, too: that it is registered is worth knowing.
        let told = told.unwrap_or_else(|why| {
            out.away(&why);
            KvTable::default()
        });
        let table = &told.table;
        match more {
            true => out.row(&TOTALS, totals(place, table)),
            false => out.row_and(&BROKERS, broker(place, table), of_5(table)),
        }
    }
    Ok(())
}

type Told = BTreeMap<String, String>;

fn totals(place: &Place, told: &Told) -> [Cell; 6] {
    let number = |key: &str| told.get(key).and_then(|text| text.parse::<i64>().ok());
    let numbers = || {
        let (put, got) = ("msgPutTotal", "msgGetTotal");
        let of = |kind: &str, time: &str| number(&format!("{kind}{time}"));
        let (yesterday, today, now) = ("YesterdayMorning", "TodayMorning", "TodayNow");
        Some([
            of(put, today)? - of(put, yesterday)?,
            of(got, today)? - of(got, yesterday)?,
            of(put, now)? - of(put, today)?,
            of(got, now)? - of(got, today)?,
        ])
    };
    let [in_yesterday, out_yesterday, in_today, out_today] = numbers().unwrap_or_default();
    [
        (&place.cluster).into(),
        (&place.broker_name).into(),
        in_yesterday.into(),
        out_yesterday.into(),
        in_today.into(),
        out_today.into(),
    ]
}

fn broker(place: &Place, told: &Told) -> [Cell; 10] {
    let text = |key: &str| told.get(key).map(String::as_str).unwrap_or_default();
    let rate = |key: &str| -> f64 {
        let first = text(key).split(' ').next();
        first.and_then(|first| first.parse().ok()).unwrap_or(0.0)
    };
    // 5.x has mended the key.
    let out_tps = match told.contains_key("getTransferedTps") {
        true => rate("getTransferedTps"),
        false => rate("getTransferredTps"),
    };
    let load = |tps: f64, pool: &str| {
        let size = text(&format!("{pool}ThreadPoolQueueSize"));
        let wait = text(&format!("{pool}ThreadPoolQueueHeadWaitTimeMills"));
        Cell::shown(format!("{:>9}({size},{wait}ms)", fixed(tps, 2)), tps)
    };
    let earliest: Option<i64> = text("earliestMessageTimeStamp").parse().ok();
    let hours = earliest.map_or(0.0, |earliest| (time::now_ms() - earliest) as f64 / 3_600_000.0);
    let space: f64 = text("commitLogDiskRatio").parse().unwrap_or(0.0);
    [
        (&place.cluster).into(),
        (&place.broker_name).into(),
        place.broker_id.into(),
        (&place.address).into(),
        text("brokerVersionDesc").into(),
        load(rate("putTps"), "send"),
        load(out_tps, "pull"),
        text("pageCacheLockTimeMills").into(),
        Cell::fixed(hours, 2),
        Cell::fixed(space, 4),
    ]
}

/// What 5.x's tool has in columns of its own: whether a broker is active, and how far its timers are.
fn of_5(told: &Told) -> serde_json::Value {
    let keys = [
        ("active", "brokerActive"),
        ("timerReadBehind", "timerReadBehind"),
        ("timerOffsetBehind", "timerOffsetBehind"),
        ("timerCongestNum", "timerCongestNum"),
        ("timerEnqueueTps", "timerEnqueueTps"),
        ("timerDequeueTps", "timerDequeueTps"),
    ];
    let told = keys.into_iter().filter_map(|(name, key)| {
        let text = told.get(key)?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into());
        Some((name.to_owned(), value))
    });
    serde_json::Value::Object(told.collect())
}

const ROUND_TRIPS: Table = Table {
    titles: "%-24s  %-24s  %-4s  %-8s  %-8s%n",
    row: "%-24s  %-24s  %-8s  %-16s  %-16s%n",
    columns: &[
        ("#Cluster Name", "clusterName"),
        ("#Broker Name", "brokerName"),
        ("#RT", "rtMs"),
        ("#successCount", "successCount"),
        ("#failCount", "failCount"),
    ],
};

async fn round_trips(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let amount: u32 = given.number("amount")?.unwrap_or(100);
    let size = super::send::size(given, "size")?;
    let interval: u64 = given.number("interval")?.unwrap_or(10);
    let as_log = given.switch("printLog")?.unwrap_or_default();
    let room = given.text("machineRoom").unwrap_or("noname");
    let info = job.net.clusters().await?;
    let groups: Vec<(&String, &String)> = info
        .cluster_addr_table
        .iter()
        .filter(|(cluster, _)| given.text("cluster").is_none_or(|wanted| wanted == *cluster))
        .flat_map(|(cluster, names)| names.iter().map(move |name| (cluster, name)))
        .collect();
    if let (Some(cluster), true) = (given.text("cluster"), groups.is_empty()) {
        return Err(Failure::wrong(format!("cluster [{cluster}] not exist")));
    }
    let producer = job.net.producer(&time::now_ms().to_string()).await?;
    if !as_log {
        out.titles(&ROUND_TRIPS);
    }
    while !out.is_closed() {
        for (cluster, name) in &groups {
            // Every broker has a topic of its own name.
            let message = Message::new(name.as_str(), vec![b'a'; size]);
            let round = measure(&producer, &message, amount).await;
            let cells = [
                (*cluster).into(),
                (*name).into(),
                Cell::fixed(round.mean_ms, 2),
                i64::from(round.succeeded).into(),
                i64::from(round.failed).into(),
            ];
            if as_log && !out.is_json() {
                let (now, rt) = (time::seconds_in_china(time::now_ms()), fixed(round.mean_ms, 0));
                out.line(&format!("{now}|{room}|{cluster}|{name}|{rt}"));
            } else {
                out.row(&ROUND_TRIPS, cells);
            }
        }
        tokio::time::sleep(Duration::from_secs(interval)).await;
    }
    producer.shutdown().await;
    Ok(())
}

struct Round {
    mean_ms: f64,
    succeeded: u32,
    failed: u32,
}

/// Sends one after the other. The first, which makes the connection, does not count in the mean.
async fn measure(producer: &client::Producer, message: &Message, amount: u32) -> Round {
    let (mut succeeded, mut failed, mut elapsed) = (0, 0, Duration::ZERO);
    for number in 0..amount {
        let start = Instant::now();
        match producer.send(message).await {
            Ok(_) => succeeded += 1,
            Err(why) => {
                if failed == 0 {
                    complain(&why.to_string());
                }
                failed += 1;
            }
        }
        if number != 0 {
            elapsed += start.elapsed();
        }
    }
    Round {
        mean_ms: elapsed.as_secs_f64() * 1000.0 / f64::from(amount.saturating_sub(1).max(1)),
        succeeded,
        failed,
    }
}
