//! The benchmark programs, with the options of RocketMQ's own and a few more.
//!
//! Without `--rate` every one of `-w` workers sends its next message when the last is answered: that finds the highest
//! rate. With `--rate` messages are due at set times and the latency counts from when a message was due, not from when it
//! was sent, so that a broker that stalls is charged for everything that had to wait (no coordinated omission).
//!
//! What the producer delays (`-d true`) the consumer counts twice: the time since it was sent, and how late it was.
//!
//! With `--against` two brokers are loaded in turns, A B A B, and compared.

use crate::credentials;
use crate::histogram::Histogram;
use crate::lateness;
use crate::observed::{Used, used};
use crate::output::{block_on, complain, print, stopped};
use crate::tls;
use crate::turns::{self, Figures, Side, in_turns};
use clap::{Arg, ArgMatches, value_parser};
use client::{
    ConsumeFromWhere, Consumed, Error, Message, Producer, ProducerSettings, PushConsumer,
    PushConsumerSettings, Received,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

/// Messages due and not yet taken by a worker, above which the pace waits: the broker is far too slow for the rate.
const DUE_MAX: usize = 1 << 20;
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);

pub(crate) fn number(
    id: &'static str,
    short: Option<char>,
    default: &'static str,
    help: &'static str,
) -> Arg {
    let arg = Arg::new(id)
        .long(id)
        .value_name("N")
        .default_value(default)
        .help(help);
    let arg = arg.value_parser(value_parser!(u64));
    match short {
        Some(short) => arg.short(short),
        None => arg,
    }
}

fn text(id: &'static str, short: char, default: &'static str, help: &'static str) -> Arg {
    Arg::new(id)
        .long(id)
        .short(short)
        .value_name("TEXT")
        .default_value(default)
        .help(help)
}

pub(crate) fn producer_arguments() -> Vec<Arg> {
    let mut arguments = sending_arguments();
    arguments.push(number("batchSize", None, "1", "Messages in one request"));
    let delay = Arg::new("delayEnable").long("delayEnable").short('d');
    let delay = delay.value_name("BOOL").value_parser(value_parser!(bool));
    arguments.push(delay.default_value("false").help("Send with a delay level"));
    let level = number(
        "delayLevel",
        Some('e'),
        "1",
        "The level, from 1 (1 s) to 18 (2 h)",
    );
    arguments.push(level.value_parser(value_parser!(u64).range(lateness::LEVELS)));
    arguments
}

pub(crate) fn batch_producer_arguments() -> Vec<Arg> {
    let mut arguments = sending_arguments();
    arguments.push(number("batchSize", Some('b'), "16", "Messages in one request"));
    arguments
}

fn sending_arguments() -> Vec<Arg> {
    let mut arguments = vec![
        text("topic", 't', "BenchmarkTest", "Topic"),
        number(
            "threadCount",
            Some('w'),
            "64",
            "Requests in flight on each connection",
        ),
        number("messageSize", Some('s'), "128", "Bytes in a body"),
        number("propertySize", Some('p'), "0", "Bytes in an extra property"),
        number(
            "messageQuantity",
            Some('q'),
            "0",
            "Messages to send, 0: until stopped",
        ),
        number("connections", None, "1", "Connections"),
        number("rate", None, "0", "Messages a second, 0: as many as go"),
        number("seconds", None, "0", "Seconds to measure, 0: until stopped"),
        number("warmUp", None, "0", "Seconds to send before measuring"),
    ];
    arguments.extend(turns::arguments());
    arguments
}

pub(crate) fn consumer_arguments() -> Vec<Arg> {
    let mut arguments = vec![
        text("topic", 't', "BenchmarkTest", "Topic"),
        text("group", 'g', "benchmark_consumer", "Consumer group"),
        text("expression", 'e', "*", "Tags, separated by ||"),
        number("threadCount", Some('w'), "20", "Threads that consume"),
        number("seconds", None, "0", "Seconds to measure, 0: until stopped"),
        number(
            "warmUp",
            None,
            "0",
            "Seconds to consume before measuring: what waited for the group is not counted",
        ),
    ];
    arguments.extend(turns::arguments());
    arguments
}

pub(crate) fn given(matches: &ArgMatches, id: &str) -> u64 {
    matches.get_one::<u64>(id).copied().unwrap_or(0)
}

fn given_text(matches: &ArgMatches, id: &str) -> String {
    matches.get_one::<String>(id).cloned().unwrap_or_default()
}

/// The level of what is sent; batches have none.
fn delay_level(matches: &ArgMatches) -> Option<u64> {
    let enabled = matches.try_get_one::<bool>("delayEnable").ok().flatten();
    enabled
        .is_some_and(|enabled| *enabled)
        .then(|| given(matches, "delayLevel"))
}

/// Since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// What is counted while messages go.
#[derive(Default)]
struct Counters {
    /// Of the whole measurement.
    all: Histogram,
    /// How much later than due those came that were delayed.
    late: Histogram,
    /// Of the interval that runs.
    interval: Histogram,
    messages: AtomicU64,
    /// Of bodies.
    bytes: AtomicU64,
    failed: AtomicU64,
}

impl Counters {
    fn count(&self, messages: usize, bytes: usize) {
        self.messages.fetch_add(messages as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn clear(&self) {
        self.all.clear();
        self.late.clear();
        self.interval.clear();
        self.messages.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        self.failed.store(0, Ordering::Relaxed);
    }
}

pub(crate) fn produce(matches: &ArgMatches, namesrv: &str) -> Result<(), String> {
    block_on(in_turns(matches, namesrv, async |side| {
        produce_async(matches, side).await
    }))
}

async fn produce_async(matches: &ArgMatches, side: &Side) -> Result<Option<Figures>, Error> {
    let topic = given_text(matches, "topic");
    let body = vec![b'a'; given(matches, "messageSize").max(1) as usize];
    let mut message = Message::new(topic.as_str(), body);
    let property = given(matches, "propertySize") as usize;
    if property > 0 {
        message = message.property("benchmark", &"p".repeat(property));
    }
    let batch = given(matches, "batchSize").max(1);
    let request = Arc::new(Request {
        messages: vec![message; batch as usize],
        delay_level: delay_level(matches),
    });
    if batch > 1 && request.delay_level.is_some() {
        return Err(Error::BadMessage("a batch has no delay level".to_owned()));
    }
    let mut producers = Vec::new();
    for _ in 0..given(matches, "connections").max(1) {
        let mut settings = ProducerSettings::new(side.namesrv.as_str(), "benchmark_producer");
        // What is measured is the broker, not the packing of a body of equal letters.
        settings.compress_from = usize::MAX;
        settings.retries = 0;
        settings.credentials = credentials::of_home()?;
        settings.tls = tls::given()?;
        let producer = Producer::start(settings).await?;
        // Finds out whether there is a route at all, and opens the connection.
        request.send(&producer).await?;
        producers.push(Arc::new(producer));
    }
    let counters = Arc::new(Counters::default());
    let stop = CancellationToken::new();
    let left = Arc::new(AtomicU64::new(match given(matches, "messageQuantity") {
        0 => u64::MAX,
        quantity => quantity.div_ceil(batch),
    }));
    let due = pace(given(matches, "rate"), batch, &stop);
    let mut workers = tokio::task::JoinSet::new();
    for producer in &producers {
        for _ in 0..given(matches, "threadCount").max(1) {
            let worker = Worker {
                producer: Arc::clone(producer),
                request: Arc::clone(&request),
                counters: Arc::clone(&counters),
                left: Arc::clone(&left),
                due: due.clone(),
                stop: stop.clone(),
            };
            workers.spawn(worker.run());
        }
    }
    let ended = async { while workers.join_next().await.is_some() {} };
    let figures = measure(matches, side, "Send", &counters, &stop, ended).await;
    drop(workers);
    for producer in producers {
        if let Some(producer) = Arc::into_inner(producer) {
            producer.shutdown().await;
        }
    }
    Ok(figures)
}

/// What every request sends.
struct Request {
    messages: Vec<Message>,
    delay_level: Option<u64>,
}

impl Request {
    async fn send(&self, producer: &Producer) -> Result<(), Error> {
        let sent = match (self.messages.as_slice(), self.delay_level) {
            ([one], Some(level)) => {
                let delayed = lateness::delayed(one.clone(), level, now());
                producer.send(&delayed).await
            }
            ([one], None) => producer.send(one).await,
            (many, _) => producer.send_batch(many).await,
        };
        sent.map(drop)
    }
}

type Due = Arc<Mutex<mpsc::Receiver<Instant>>>;

/// A thread that says when the next request is due; `None` without a set rate.
fn pace(rate: u64, batch: u64, stop: &CancellationToken) -> Option<Due> {
    if rate == 0 {
        return None;
    }
    let (sender, receiver) = mpsc::channel(DUE_MAX);
    let stop = stop.clone();
    let between = Duration::from_secs_f64(batch as f64 / rate as f64);
    std::thread::spawn(move || {
        let start = Instant::now();
        let mut count = 0u32;
        while !stop.is_cancelled() {
            let due = start + between.mul_f64(f64::from(count));
            if let Some(early) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(early);
            }
            if sender.blocking_send(due).is_err() {
                return;
            }
            count = count.saturating_add(1);
        }
    });
    Some(Arc::new(Mutex::new(receiver)))
}

struct Worker {
    producer: Arc<Producer>,
    request: Arc<Request>,
    counters: Arc<Counters>,
    left: Arc<AtomicU64>,
    due: Option<Due>,
    stop: CancellationToken,
}

impl Worker {
    async fn run(self) {
        while !self.stop.is_cancelled() {
            let taken = self
                .left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            if taken.is_err() {
                return;
            }
            let start = match &self.due {
                None => Instant::now(),
                Some(due) => {
                    let mut due = due.lock().await;
                    tokio::select! {
                        () = self.stop.cancelled() => return,
                        due = due.recv() => match due {
                            Some(due) => due,
                            None => return,
                        },
                    }
                }
            };
            match self.request.send(&self.producer).await {
                Ok(()) => {
                    self.counters.all.add(start.elapsed());
                    self.counters.interval.add(start.elapsed());
                    let messages = &self.request.messages;
                    let bytes = messages.iter().map(|message| message.body.len()).sum();
                    self.counters.count(messages.len(), bytes);
                }
                Err(e) => {
                    let failed = self.counters.failed.fetch_add(1, Ordering::Relaxed) + 1;
                    if failed.is_power_of_two() {
                        complain(&format!("{failed} sends have failed, the last: {e}"));
                    }
                }
            }
        }
    }
}

pub(crate) fn consume(matches: &ArgMatches, namesrv: &str) -> Result<(), String> {
    block_on(in_turns(matches, namesrv, async |side| {
        consume_async(matches, side).await
    }))
}

async fn consume_async(matches: &ArgMatches, side: &Side) -> Result<Option<Figures>, Error> {
    let group = given_text(matches, "group");
    let settings = PushConsumerSettings::new(side.namesrv.as_str(), group);
    let mut settings = settings.subscribe(&given_text(matches, "topic"), &given_text(matches, "expression"));
    settings.from = ConsumeFromWhere::LastOffset;
    settings.credentials = credentials::of_home()?;
    settings.tls = tls::given()?;
    settings.threads = given(matches, "threadCount").max(1) as usize;
    settings.batch = 32;
    let counters = Arc::new(Counters::default());
    let counted = Arc::clone(&counters);
    let listener = move |messages: &[Received]| {
        let now = now();
        for message in messages {
            if let Some(late) = lateness::lateness(|name| message.property(name), now) {
                counted.late.add(late);
            }
            let born = Duration::from_millis(u64::try_from(message.born_timestamp).unwrap_or(0));
            let latency = now.saturating_sub(born);
            counted.all.add(latency);
            counted.interval.add(latency);
        }
        let bytes = messages.iter().map(|message| message.body.len()).sum();
        counted.count(messages.len(), bytes);
        Consumed::Success
    };
    let consumer = PushConsumer::start(settings, listener).await?;
    let stop = CancellationToken::new();
    let ended = std::future::pending();
    let figures = measure(matches, side, "Consume", &counters, &stop, ended).await;
    consumer.shutdown().await;
    Ok(figures)
}

/// Lets the workers warm up, then reports until the time is over, everything is sent, or a signal comes. No figures if a signal
/// came, or everything was sent while they warmed up.
async fn measure(
    matches: &ArgMatches,
    side: &Side,
    what: &str,
    counters: &Counters,
    stop: &CancellationToken,
    ended: impl Future<Output = ()>,
) -> Option<Figures> {
    let mut ended = std::pin::pin!(ended);
    let warm_up = given(matches, "warmUp");
    tokio::select! {
        () = stopped() => {
            stop.cancel();
            return None;
        }
        () = &mut ended => return None,
        () = tokio::time::sleep(Duration::from_secs(warm_up)) => {}
    }
    counters.clear();
    let before = side.observed.map(used);
    let start = Instant::now();
    let seconds = given(matches, "seconds");
    let end = if seconds == 0 {
        Duration::from_secs(u64::from(u32::MAX))
    } else {
        Duration::from_secs(seconds)
    };
    let mut signal = std::pin::pin!(stopped());
    let (mut over, mut interrupted) = (false, false);
    while !over {
        let (lap, sent) = (Instant::now(), counters.messages.load(Ordering::Relaxed));
        let pause = PROGRESS.min(end.saturating_sub(start.elapsed()));
        tokio::select! {
            () = &mut signal => (over, interrupted) = (true, true),
            () = &mut ended => over = true,
            () = tokio::time::sleep(pause) => over = start.elapsed() >= end,
        }
        progress(what, counters, sent, lap.elapsed());
    }
    let elapsed = start.elapsed();
    let after = side.observed.map(used);
    stop.cancel();
    let use_of_broker = match (before, after) {
        (Some(Ok(before)), Some(Ok(after))) => Some((before, after)),
        (Some(Err(e)), _) | (_, Some(Err(e))) => {
            complain(&format!("the broker's process cannot be observed: {e}"));
            None
        }
        _ => None,
    };
    let figures = figures(counters, elapsed, use_of_broker);
    print(&summary(what, counters, elapsed, &figures));
    if let (Some(cpu), Some(peak)) = (figures.cpu_per_million, figures.peak_mib) {
        print(&format!(
            "Broker: {cpu:.2} CPU seconds per million messages, peak memory {peak:.1} MiB"
        ));
    }
    (!interrupted).then_some(figures)
}

fn figures(counters: &Counters, elapsed: Duration, use_of_broker: Option<(Used, Used)>) -> Figures {
    let seconds = elapsed.as_secs_f64().max(1e-9);
    let messages = counters.messages.load(Ordering::Relaxed);
    let millions = messages.max(1) as f64 / 1e6;
    let of_broker = |value: fn(Used, Used) -> f64| use_of_broker.map(|(before, after)| value(before, after));
    Figures {
        rate: messages as f64 / seconds,
        mb_per_second: counters.bytes.load(Ordering::Relaxed) as f64 / 1e6 / seconds,
        quantiles_ms: [0.5, 0.99, 0.999].map(|share| milliseconds(counters.all.quantile(share))),
        max_ms: milliseconds(counters.all.max()),
        cpu_per_million: of_broker(|before, after| (after.cpu - before.cpu).as_secs_f64())
            .map(|s| s / millions),
        peak_mib: of_broker(|_, after| after.peak_bytes as f64 / f64::from(1 << 20)),
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn progress(what: &str, counters: &Counters, before: u64, elapsed: Duration) {
    let count = counters.messages.load(Ordering::Relaxed) - before;
    print(&format!(
        "{what} TPS: {:.0} Max RT(ms): {:.3} Average RT(ms): {:.3} {what} Failed: {}",
        count as f64 / elapsed.as_secs_f64().max(1e-9),
        milliseconds(counters.interval.max()),
        milliseconds(counters.interval.mean()),
        counters.failed.load(Ordering::Relaxed)
    ));
    counters.interval.clear();
}

fn summary(what: &str, counters: &Counters, elapsed: Duration, figures: &Figures) -> String {
    let mut text = format!(
        "{what} total: {} messages in {:.2} s, {:.0} a second, {:.1} MB/s; latency {}; failed {}",
        counters.messages.load(Ordering::Relaxed),
        elapsed.as_secs_f64(),
        figures.rate,
        figures.mb_per_second,
        quantiles(&counters.all),
        counters.failed.load(Ordering::Relaxed)
    );
    let delayed = counters.late.count();
    if delayed > 0 {
        let late = quantiles(&counters.late);
        text.push_str(&format!("\n{what} delayed: {delayed} messages; lateness {late}"));
    }
    text
}

fn quantiles(of: &Histogram) -> String {
    format!(
        "ms p50 {:.3} p99 {:.3} p99.9 {:.3} max {:.3}",
        milliseconds(of.quantile(0.5)),
        milliseconds(of.quantile(0.99)),
        milliseconds(of.quantile(0.999)),
        milliseconds(of.max())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;

    fn level_of(arguments: Vec<Arg>, line: &[&str]) -> Option<u64> {
        let command = Command::new("load").no_binary_name(true).args(arguments);
        delay_level(&command.try_get_matches_from(line).expect("a command line"))
    }

    #[test]
    fn the_level_counts_where_delay_is_enabled() {
        let producer = |line| level_of(producer_arguments(), line);
        assert_eq!(producer(&[]), None);
        assert_eq!(producer(&["-e", "3"]), None);
        assert_eq!(producer(&["-d", "false", "-e", "3"]), None);
        assert_eq!(producer(&["-d", "true"]), Some(1));
        assert_eq!(
            producer(&["--delayEnable", "true", "--delayLevel", "18"]),
            Some(18)
        );
        assert_eq!(level_of(batch_producer_arguments(), &[]), None);
        let command = Command::new("load")
            .no_binary_name(true)
            .args(producer_arguments());
        assert!(command.try_get_matches_from(["-d", "true", "-e", "19"]).is_err());
    }

    fn told(counters: &Counters) -> String {
        let second = Duration::from_secs(1);
        summary("Consume", counters, second, &figures(counters, second, None))
    }

    #[test]
    fn lateness_is_told_where_something_was_delayed() {
        let counters = Counters::default();
        counters.messages.store(2, Ordering::Relaxed);
        counters.all.add(Duration::from_millis(1250));
        let text = told(&counters);
        assert!(!text.contains("lateness"), "{text}");
        counters.late.add(Duration::from_millis(250));
        let text = told(&counters);
        let line =
            "Consume delayed: 1 messages; lateness ms p50 250.000 p99 250.000 p99.9 250.000 max 250.000";
        assert_eq!(text.lines().last(), Some(line));
    }
}
