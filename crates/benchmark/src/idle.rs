//! Ten thousand clients that do nothing but send their heartbeats.

use std::io;
use std::process::Command;
use std::time::Duration;

use admin::observed::used;
use bytes::BytesMut;
use cluster::Cluster;
use protocol::SerializeType;
use protocol::body::broker::{ConsumerData, HeartbeatData, ProducerData, SubscriptionData};
use protocol::code::request;
use protocol::encode::encode_request;
use protocol::header::NoHeader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::compare::Plan;
use crate::rows::Goal;
use crate::table::{Line, Table};

const ROW: &str = "10,000 idle connections with heartbeats";
const CONNECTIONS: usize = 10_000;
/// heartbeatBrokerInterval of Java's clients.
const EACH: Duration = Duration::from_secs(30);
/// After this nothing is left of the connecting.
const SETTLE: Duration = Duration::from_secs(5);
/// Every tenth client consumes, ten of them in a group.
const CONSUMER_EACH: usize = 10;
const GROUP_OF: usize = 10;
/// Descriptors that 10,000 connections and the rest need.
const DESCRIPTORS: usize = 12_000;

/// KiB of memory a connection, and per cent of a core.
fn measure(cluster: &Cluster) -> io::Result<[f64; 2]> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let pid = cluster.broker.process.pid();
    runtime.block_on(async {
        let resident = || {
            let kib = cluster.broker.process.resident_kib();
            kib.ok_or_else(|| io::Error::other("the broker is gone"))
        };
        let cpu = || {
            used(pid)
                .map(|used| used.cpu.as_secs_f64())
                .map_err(io::Error::other)
        };
        let before = resident()?;
        let mut clients = Vec::new();
        let began = tokio::time::Instant::now();
        for number in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(cluster.broker.address()).await?;
            let heartbeat = heartbeat(number);
            stream.write_all(&heartbeat).await?;
            wait_for_answer(&mut stream).await?;
            let first = began + EACH.mul_f64(number as f64 / CONNECTIONS as f64);
            clients.push(tokio::spawn(live(stream, heartbeat, first)));
        }
        // Connecting is over; each sends one heartbeat within what is measured.
        tokio::time::sleep(SETTLE).await;
        let (cpu_before, started) = (cpu()?, std::time::Instant::now());
        tokio::time::sleep(EACH).await;
        let cores = (cpu()? - cpu_before) / started.elapsed().as_secs_f64();
        let after = resident()?;
        let gone = clients.iter().filter(|client| client.is_finished()).count();
        if gone > 0 {
            return Err(io::Error::other(format!(
                "{gone} of {CONNECTIONS} connections were closed"
            )));
        }
        Ok([
            after.saturating_sub(before) as f64 / CONNECTIONS as f64,
            cores * 100.0,
        ])
    })
}

/// Sends a heartbeat every 30 s and takes in what comes. The first are as far from each other as all that follow, however
/// long the connecting takes.
async fn live(mut stream: TcpStream, heartbeat: Vec<u8>, first: tokio::time::Instant) -> io::Result<()> {
    let mut due = tokio::time::interval_at(first, EACH);
    let mut answers = [0; 512];
    loop {
        tokio::select! {
            _ = due.tick() => stream.write_all(&heartbeat).await?,
            read = stream.read(&mut answers) => {
                if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}

/// The broker may tell of a changed group before it answers.
async fn wait_for_answer(stream: &mut TcpStream) -> io::Result<()> {
    let mut bytes = BytesMut::with_capacity(4096);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&bytes);
        if text.contains("\"code\":0,") {
            return Ok(());
        }
        if text.contains("\"code\":1,") {
            return Err(io::Error::other(format!("a heartbeat is refused: {text}")));
        }
    }
}

/// A heartbeat as a Java client sends it.
fn heartbeat(number: usize) -> Vec<u8> {
    let mut data = HeartbeatData {
        client_id: format!("127.0.0.1@{}#{number}", std::process::id()),
        producer_data_set: vec![ProducerData {
            group_name: "CLIENT_INNER_PRODUCER".into(),
        }],
        ..HeartbeatData::default()
    };
    if number.is_multiple_of(CONSUMER_EACH) {
        let group = format!("benchmark_idle_{}", number / CONSUMER_EACH / GROUP_OF);
        let subscription = |topic: String| SubscriptionData {
            topic,
            sub_string: "*".into(),
            ..SubscriptionData::default()
        };
        data.consumer_data_set = vec![ConsumerData {
            subscription_data_set: vec![
                subscription("BenchmarkIdle".into()),
                subscription(format!("%RETRY%{group}")),
            ],
            group_name: group,
            ..ConsumerData::default()
        }];
    }
    let body = protocol::body::write(&data);
    let mut bytes = Vec::new();
    let opaque = number as i32;
    encode_request(
        &mut bytes,
        SerializeType::Json,
        request::HEART_BEAT,
        opaque,
        false,
        &NoHeader,
        body.len(),
    );
    bytes.extend_from_slice(&body);
    bytes
}

/// Lets this process, and the brokers it starts, open as many files as they may.
fn raise_limit() -> io::Result<()> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let hard: usize = line
        .and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .ok_or_else(|| io::Error::other("/proc/self/limits does not say how many files may be open"))?;
    if hard < DESCRIPTORS {
        let text =
            format!("{CONNECTIONS} connections need {DESCRIPTORS} open files, the hard limit here is {hard}");
        return Err(io::Error::other(text));
    }
    let pid = std::process::id().to_string();
    let status = Command::new("prlimit")
        .args(["--pid", &pid, &format!("--nofile={hard}:{hard}")])
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other("prlimit can not raise the limit of open files"))
}

/// Measures each side after the other.
pub(crate) fn run(plan: &Plan, table: &mut Table) -> io::Result<()> {
    if !plan.wants(ROW) {
        return Ok(());
    }
    raise_limit()?;
    let mut values = [Vec::new(), Vec::new()];
    for (_, flavour) in plan.sides() {
        let cluster = Cluster::of(flavour, flavour, &[]);
        let measured = measure(&cluster)?;
        for (values, value) in values.iter_mut().zip(measured) {
            values.push(value);
        }
    }
    let [memory, cpu] = values;
    table.add(vec![
        Line::of(ROW, "KiB of the broker each", memory, Some(Goal::AtMost(10.0))),
        Line::of(ROW, "% of a core", cpu, Some(Goal::AtMost(2.0))),
    ]);
    Ok(())
}
