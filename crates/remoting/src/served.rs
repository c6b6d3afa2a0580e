//! What became of requests, and how long each took: counted for every one, by its code and that of its answer.
//!
//! Names, labels and bounds: RocketMQ 5.3.3, `rocketmq_rpc_latency`.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metrics::{Exposition, Histogram, HistogramView, Source};
use parking_lot::Mutex;
use protocol::code::{request, response};

/// Upper bounds of the classes, µs.
const BOUNDS: [u64; 9] = [
    1_000, 3_000, 5_000, 7_000, 10_000, 100_000, 1_000_000, 2_000_000, 3_000_000,
];
static BOUNDS_US: [u64; 9] = BOUNDS;
/// Places in the table: some ten times what a broker's clients and tools use. A power of two.
const PLACES: usize = 1024;
/// What nobody knows is counted as this code, so that no peer can fill the table.
const UNKNOWN: i32 = i16::MAX as i32;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Success,
    /// It wanted no answer.
    Oneway,
    /// Whoever asked is gone.
    WriteChannelFailed,
    /// Its handler dropped it.
    ProcessRequestFailed,
}

impl Outcome {
    const ALL: [(Outcome, &'static str); 4] = [
        (Outcome::Success, "success"),
        (Outcome::Oneway, "oneway"),
        (Outcome::WriteChannelFailed, "write_channel_failed"),
        (Outcome::ProcessRequestFailed, "process_request_failed"),
    ];

    fn name(self) -> &'static str {
        let found = Outcome::ALL.iter().find(|(outcome, _)| *outcome == self);
        found.map_or("", |(_, name)| name)
    }
}

/// A request that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// Code of the request.
    pub request: i32,
    /// Code of its answer, also of one that was not wanted.
    pub response: i32,
    /// It was held until there was something to answer.
    pub held: bool,
    /// How it ended.
    pub outcome: Outcome,
}

impl Served {
    /// As one number that is not 0.
    fn key(self) -> i64 {
        let known = |code: i32, name: Option<&str>| name.map_or(UNKNOWN, |_| code);
        let request = i64::from(known(self.request, request::name(self.request)));
        let response = i64::from(known(self.response, response::name(self.response)));
        let outcome = self.outcome as i64;
        1 | i64::from(self.held) << 1 | outcome << 2 | request << 8 | response << 32
    }

    fn of_key(key: i64) -> Self {
        let outcome = Outcome::ALL.get((key >> 2 & 0xF) as usize);
        Self {
            request: (key >> 8 & 0xFF_FFFF) as i32,
            response: (key >> 32) as i32,
            held: key & 2 != 0,
            outcome: outcome.map_or(Outcome::Success, |(outcome, _)| *outcome),
        }
    }
}

/// The table. Adding to it takes no lock, and allocates nothing.
pub struct ServedTable {
    places: Box<[Place]>,
    /// Requests that found no place.
    untold: AtomicU64,
}

struct Place {
    /// 0: nobody has it.
    key: AtomicI64,
    latency: Histogram<9>,
}

impl std::fmt::Debug for ServedTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServedTable")
    }
}

impl Default for ServedTable {
    fn default() -> Self {
        let place = || Place {
            key: AtomicI64::new(0),
            latency: Histogram::new(&BOUNDS_US),
        };
        Self {
            places: (0..PLACES).map(|_| place()).collect(),
            untold: AtomicU64::new(0),
        }
    }
}

impl ServedTable {
    /// Counts so many requests that took so long from their decoding to their answers.
    pub fn add(&self, served: Served, took: Duration, times: u64) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        match self.place(served.key()) {
            Some(place) => place.latency.add_times(took_us, times),
            None => drop(self.untold.fetch_add(times, Relaxed)),
        }
    }

    /// The place of a key; the first free one where it has none.
    fn place(&self, key: i64) -> Option<&Place> {
        let first = (key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54;
        for step in 0..PLACES {
            let place = self.places.get((first as usize + step) % PLACES)?;
            match place.key.load(Relaxed) {
                found if found == key => return Some(place),
                0 => {}
                _ => continue,
            }
            match place.key.compare_exchange(0, key, Relaxed, Relaxed) {
                Ok(_) => return Some(place),
                Err(found) if found == key => return Some(place),
                Err(_) => {}
            }
        }
        None
    }

    /// Everything that was counted.
    pub fn views(&self) -> Vec<(Served, HistogramView<9>)> {
        let counted = self.places.iter().filter_map(|place| {
            let key = place.key.load(Relaxed);
            let view = place.latency.view()?;
            (key != 0).then(|| (Served::of_key(key), view))
        });
        counted.collect()
    }
}

/// Tells `rocketmq_rpc_latency_milliseconds` of the connections that count into these.
pub struct ServedRequests(pub std::sync::Arc<crate::Metrics>);

impl Source for ServedRequests {
    fn write(&self, to: &mut Exposition<'_>) {
        let mut family = to.histogram("rocketmq_rpc_latency_milliseconds", "Rpc latency");
        let views = self.0.served.views();
        for (served, view) in views {
            let request = label(request::name(served.request));
            let response = label(response::name(served.response));
            let labels = [
                ("is_long_polling", if served.held { "true" } else { "false" }),
                ("protocol_type", "remoting"),
                ("request_code", request.as_str()),
                ("response_code", response.as_str()),
                ("result", served.outcome.name()),
            ];
            family.view(&labels, &view, 1000.0);
        }
        let untold = self.0.served.untold.load(Relaxed);
        to.counter(
            "rocketmq_rpc_latency_untold_total",
            "Requests of more kinds than are told apart.",
        )
        .value(&[], untold as f64);
    }
}

/// Tells what connections occupy and how they ended.
pub fn traffic(metrics: &crate::Metrics, room: &crate::Room, to: &mut Exposition<'_>) {
    let count = |count: &AtomicU64| count.load(Relaxed) as f64;
    to.gauge("rocketmq_connections", "Open connections.")
        .value(&[], count(&metrics.connections));
    to.gauge(
        "rocketmq_requests_held_bytes",
        "Bytes of requests that are not answered.",
    )
    .value(&[], room.held() as f64);
    to.counter("rocketmq_requests_total", "Requests.")
        .value(&[], count(&metrics.requests));
    to.counter(
        "rocketmq_slow_requests_total",
        "Requests that took longer than slowRequestMillis.",
    )
    .value(&[], metrics.slow.count() as f64);
    let counters = metrics.counters();
    for alike in counters.chunk_by(|one, next| one.family == next.family) {
        let Some(first) = alike.first() else { continue };
        let (name, help) = first.family;
        let mut family = to.counter(name, help);
        for counter in alike {
            match counter.reason {
                "" => family.value(&[], count(counter.count)),
                reason => family.value(&[("reason", reason)], count(counter.count)),
            }
        }
    }
}

fn label(name: Option<&str>) -> String {
    name.unwrap_or("unknown").to_ascii_lowercase()
}

/// The last requests that took long, held ones left out.
#[derive(Debug)]
pub struct SlowRequests {
    /// What is long, ms; 0: nothing is.
    threshold_ms: AtomicU64,
    count: AtomicU64,
    last: Mutex<VecDeque<SlowRequest>>,
}

#[derive(Debug, Clone)]
struct SlowRequest {
    at: SystemTime,
    served: Served,
    took: Duration,
    peer: SocketAddr,
}

/// How many are kept.
const SLOW_KEPT: usize = 64;
/// What is long unless something else is said, ms.
const SLOW_MS: u64 = 1000;

impl Default for SlowRequests {
    fn default() -> Self {
        Self {
            threshold_ms: AtomicU64::new(SLOW_MS),
            count: AtomicU64::new(0),
            last: Mutex::default(),
        }
    }
}

impl SlowRequests {
    /// Takes requests for slow from this time on, ms; 0: none.
    pub fn set_threshold_ms(&self, ms: u64) {
        self.threshold_ms.store(ms, Relaxed);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// Keeps requests of one read that ended together, as one, if they were slow. Says so in the log: the first, then each that doubles
    /// their number.
    pub(crate) fn note(&self, served: Served, took: Duration, times: u64, peer: SocketAddr) {
        let threshold_ms = self.threshold_ms.load(Relaxed);
        if served.held || threshold_ms == 0 || took < Duration::from_millis(threshold_ms) {
            return;
        }
        let slow = SlowRequest {
            at: SystemTime::now(),
            served,
            took,
            peer,
        };
        let before = self.count.fetch_add(times, Relaxed);
        let count = before + times;
        if before.checked_ilog2() != count.checked_ilog2() {
            tracing::warn!("slow request: {slow} ({count} so far)");
        }
        let mut last = self.last.lock();
        if last.len() == SLOW_KEPT {
            last.pop_front();
        }
        last.push_back(slow);
    }

    /// A line for each that is kept, the newest last.
    pub fn page(&self) -> String {
        let last = self.last.lock().clone();
        let mut page = format!(
            "{} requests took longer than {} ms\n",
            self.count(),
            self.threshold_ms.load(Relaxed)
        );
        for slow in last {
            let at = slow.at.duration_since(UNIX_EPOCH).unwrap_or_default();
            page.push_str(&format!("{} ms since 1970: {slow}\n", at.as_millis()));
        }
        page
    }
}

impl fmt::Display for SlowRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Served {
            request, response, ..
        } = self.served;
        let (name, answer) = (label(request::name(request)), label(response::name(response)));
        write!(
            f,
            "{name} of {} took {} ms, answered {answer}",
            self.peer,
            self.took.as_millis()
        )
    }
}

/// When a request was decoded, and what it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    pub(crate) request: i32,
    pub(crate) at: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn served(request: i32, response: i32) -> Served {
        Served {
            request,
            response,
            held: false,
            outcome: Outcome::Success,
        }
    }

    #[test]
    fn requests_are_told_apart_by_everything_that_is_a_label() {
        let table = ServedTable::default();
        let pull = Served {
            held: true,
            ..served(request::PULL_MESSAGE, response::PULL_NOT_FOUND)
        };
        let oneway = Served {
            outcome: Outcome::Oneway,
            ..served(request::UPDATE_CONSUMER_OFFSET, 0)
        };
        let all = [
            served(request::PULL_MESSAGE, response::PULL_NOT_FOUND),
            served(request::PULL_MESSAGE, response::SUCCESS),
            served(request::AUTH_LIST_ACL, 3001),
            pull,
            oneway,
        ];
        for (times, of) in all.into_iter().enumerate() {
            for _ in 0..=times {
                table.add(of, Duration::from_millis(2), 1);
            }
        }
        let mut found: Vec<_> = table.views();
        found.sort_by_key(|(_, view)| view.count());
        let counts: Vec<_> = found.iter().map(|(of, view)| (*of, view.count())).collect();
        assert_eq!(counts, all.into_iter().zip(1..).collect::<Vec<_>>());
        assert_eq!(found[0].1.counts[1], 1, "2 ms are in the class of 3 ms");
    }

    #[test]
    fn codes_that_nobody_knows_share_a_place() {
        let table = ServedTable::default();
        for code in 100_000..102_000 {
            table.add(served(code, -code), Duration::ZERO, 1);
        }
        let views = table.views();
        assert_eq!(views.len(), 1);
        assert_eq!(views[0].1.count(), 2000);
        assert_eq!(request::name(views[0].0.request), None);
    }

    #[test]
    fn slow_requests_are_kept_and_held_ones_are_not() {
        let slow = SlowRequests::default();
        let peer = ([127, 0, 0, 1], 7).into();
        let send = served(request::SEND_MESSAGE, 0);
        slow.note(send, Duration::from_millis(999), 1, peer);
        slow.note(Served { held: true, ..send }, Duration::from_secs(20), 1, peer);
        assert_eq!(slow.count(), 0);
        slow.note(send, Duration::from_millis(1000), 1, peer);
        let page = slow.page();
        assert!(
            page.contains("send_message of 127.0.0.1:7 took 1000 ms, answered success\n"),
            "{page}"
        );
        slow.set_threshold_ms(5);
        for _ in 0..100 {
            slow.note(send, Duration::from_millis(5), 1, peer);
        }
        assert_eq!((slow.count(), slow.page().lines().count()), (101, 1 + SLOW_KEPT));
        slow.set_threshold_ms(0);
        slow.note(send, Duration::from_secs(5), 1, peer);
        assert_eq!(slow.count(), 101);
    }

    #[test]
    fn a_full_table_counts_what_it_does_not_tell() {
        let table = ServedTable::default();
        for place in &table.places {
            place.key.store(-1, Relaxed);
        }
        table.add(served(10, 0), Duration::ZERO, 1);
        assert_eq!(table.untold.load(Relaxed), 1);
    }

    /// Each limit has its metric: what is counted on the page of state is told here, too, each metric once.
    #[test]
    fn every_counter_is_told_once() {
        struct Told(crate::Metrics);
        impl Source for Told {
            fn write(&self, to: &mut Exposition<'_>) {
                traffic(&self.0, &crate::Room::default(), to);
            }
        }
        let metrics = crate::Metrics::default();
        for (counter, value) in metrics.counters().iter().zip(1000..) {
            counter.count.store(value, Relaxed);
        }
        let page = metrics.to_string();
        let mut registry = metrics::Registry::new(&[], 100);
        registry.add(Told(metrics));
        let text = registry.text();
        for value in 1000..1019 {
            assert!(page.contains(&format!(", {value} ")), "{value}: {page}");
            let told = text.lines().filter(|line| line.ends_with(&format!(" {value}")));
            assert_eq!(told.count(), 1, "{value}: {text}");
        }
        let mut names: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "{text}");
    }

    #[test]
    fn the_text_has_the_labels_of_5_x() {
        let metrics = Arc::new(crate::Metrics::default());
        metrics
            .served
            .add(served(request::SEND_MESSAGE_V2, 0), Duration::from_micros(500), 1);
        let mut registry = metrics::Registry::new(&[], 100);
        registry.add(ServedRequests(metrics));
        let text = registry.text();
        let line = "rocketmq_rpc_latency_milliseconds_bucket{is_long_polling=\"false\",protocol_type=\"remoting\",\
                    request_code=\"send_message_v2\",response_code=\"success\",result=\"success\",le=\"1.0\"} 1\n";
        assert!(text.contains(line), "{text}");
    }
}
