//! A scrape of the metrics of ten thousand topics and a thousand groups, each of which reads ten of them.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use admin::observed::used;
use cluster::{Cluster, Flavour, Wire, free_port};
use protocol::body::broker::{ConsumerData, HeartbeatData, SubscriptionData};
use protocol::code::request;

use crate::compare::{Plan, median};
use crate::slow::{add_topics, many};
use crate::table::{Line, Table};

const ROW: &str = "a scrape of 10,000 topics of 8 queues and 1,000 groups";
const TOPICS: usize = 10_000;
const QUEUES: usize = 8;
const GROUPS: usize = 1000;
/// Topics that a group reads.
const EACH: usize = 10;
/// Scrapes, of which the median counts.
const SCRAPES: usize = 5;
const WITHIN: Duration = Duration::from_secs(120);

/// A consumer of every group.
fn heartbeat() -> HeartbeatData {
    let subscription = |topic: String| SubscriptionData {
        topic,
        sub_string: "*".into(),
        ..SubscriptionData::default()
    };
    let group = |number: usize| ConsumerData {
        group_name: format!("benchmark_scrape_{number}"),
        subscription_data_set: (0..EACH)
            .map(|at| subscription(many((number * EACH + at) % TOPICS)))
            .collect(),
        ..ConsumerData::default()
    };
    HeartbeatData {
        client_id: "127.0.0.1@scrape".into(),
        consumer_data_set: (0..GROUPS).map(group).collect(),
        ..HeartbeatData::default()
    }
}

/// Bytes of the answer, and how many lags it tells of.
fn scrape(port: u16) -> io::Result<(usize, usize)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    let lags = String::from_utf8_lossy(&text)
        .matches("\nrocketmq_consumer_lag_messages{")
        .count();
    Ok((text.len(), lags))
}

/// Milliseconds, MiB of text, seconds of the broker's processor time for one scrape, and how many lags it tells of.
fn measure(flavour: Flavour) -> io::Result<[f64; 4]> {
    if flavour == Flavour::Java("4.9.7") {
        // It has no metrics.
        return Ok([f64::NAN; 4]);
    }
    let port = free_port();
    let port_text = port.to_string();
    let tuning = [
        ("metricsExporterType", "PROM"),
        ("metricsPromExporterHost", "127.0.0.1"),
        ("metricsPromExporterPort", port_text.as_str()),
        ("metricsOtelCardinalityLimit", "100000"),
    ];
    let mut cluster = Cluster::of(flavour, flavour, &tuning);
    add_topics(&mut cluster, TOPICS, QUEUES)?;
    let mut wire = Wire::connect(&cluster.broker.address())?;
    wire.wait_for_answers(WITHIN);
    let body = protocol::body::write(&heartbeat());
    let answer = wire.ask(request::HEART_BEAT, &[], &body)?;
    if answer.code() != 0 {
        return Err(io::Error::other(format!(
            "a heartbeat is refused: {}",
            answer.remark()
        )));
    }
    let pid = cluster.broker.process.pid();
    let cpu = || {
        used(pid)
            .map(|used| used.cpu.as_secs_f64())
            .map_err(io::Error::other)
    };
    let (bytes, lags) = scrape(port)?;
    if flavour == Flavour::Ours && lags != GROUPS * EACH {
        return Err(io::Error::other(format!("a scrape tells of {lags} lags")));
    }
    let (mut times, before) = (Vec::new(), cpu()?);
    for _ in 0..SCRAPES {
        let begun = Instant::now();
        scrape(port)?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let cpu = (cpu()? - before) / SCRAPES as f64;
    let mib = bytes as f64 / f64::from(1 << 20);
    Ok([median(times), mib, cpu, lags as f64])
}

/// Measures each side after the other.
pub(crate) fn run(plan: &Plan, table: &mut Table) -> io::Result<()> {
    if !plan.wants(ROW) {
        return Ok(());
    }
    let mut values = [const { Vec::new() }; 4];
    for (_, flavour) in plan.sides() {
        for (values, value) in values.iter_mut().zip(measure(flavour)?) {
            values.push(value);
        }
    }
    let names = ["ms", "MiB of text", "broker CPU s each", "lags told"];
    let lines = names.into_iter().zip(values);
    table.add(
        lines
            .map(|(figure, values)| Line::of(ROW, figure, values, None))
            .collect(),
    );
    Ok(())
}
