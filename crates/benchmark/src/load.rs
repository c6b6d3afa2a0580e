//! One load on one broker: what is sent, how much of it, and what is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use admin::histogram::Histogram;
use admin::observed::used;
use client::{Error, Message, Producer, ProducerSettings, PullConsumer, PullStatus, Received};
use tokio::task::JoinHandle;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Send.
    Send,
    /// Pull what is there, over and over.
    Pull,
    /// Send at a rate; measure until a consumer has the message.
    EndToEnd,
}

/// A load.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) kind: Kind,
    pub(crate) namesrv: String,
    pub(crate) topic: String,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    pub(crate) size: usize,
    pub(crate) batch: usize,
    /// Messages a second; 0: as many as go.
    pub(crate) rate: u64,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    /// The broker's process.
    pub(crate) pid: u32,
}

/// What came out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    pub(crate) messages: f64,
    pub(crate) seconds: f64,
    /// p50, p99, p99.9, max, ms.
    pub(crate) latency_ms: [f64; 4],
    pub(crate) cpu_seconds: Option<f64>,
}

impl Outcome {
    pub(crate) fn rate(&self) -> f64 {
        self.messages / self.seconds
    }

    pub(crate) fn cpu_per_million(&self) -> Option<f64> {
        self.cpu_seconds.map(|cpu| cpu / self.messages * 1e6)
    }
}

/// Counters shared by all workers; they count only while `measuring`.
#[derive(Default)]
struct Shared {
    measuring: AtomicBool,
    stop: AtomicBool,
    messages: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
    latency: Histogram,
}

impl Shared {
    /// Counts messages whose bodies begin with the time they were due to be sent.
    fn received(&self, messages: &[Received]) {
        if !self.measuring.load(Relaxed) {
            return;
        }
        for message in messages {
            let Some(stamp) = message.body.first_chunk::<8>() else {
                continue;
            };
            self.messages.fetch_add(1, Relaxed);
            self.bytes.fetch_add(message.body.len() as u64, Relaxed);
            let age = unix_nanos().saturating_sub(u64::from_be_bytes(*stamp));
            self.latency.add(Duration::from_nanos(age));
        }
    }

    fn done(&self, messages: u64, bytes: u64, since: Instant) {
        if self.measuring.load(Relaxed) {
            self.messages.fetch_add(messages, Relaxed);
            self.bytes.fetch_add(bytes, Relaxed);
            self.latency.add(since.elapsed());
        }
    }
}

fn cpu_seconds(pid: u32) -> Option<f64> {
    used(pid).ok().map(|used| used.cpu.as_secs_f64())
}

fn unix_nanos() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}

impl Load {
    /// Runs it in a runtime of its own.
    pub(crate) fn run(&self) -> Result<Outcome, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        runtime.expect("threads can be started").block_on(self.drive())
    }

    async fn drive(&self) -> Result<Outcome, Error> {
        let shared = Arc::new(Shared::default());
        let mut workers = Vec::new();
        if self.kind == Kind::EndToEnd {
            self.listen(&shared, &mut workers).await?;
        }
        for connection in 0..self.connections {
            match self.kind {
                Kind::Send | Kind::EndToEnd => {
                    let group = format!("benchmark_producer_{connection}");
                    let producer =
                        Arc::new(Producer::start(ProducerSettings::new(&self.namesrv, group)).await?);
                    for slot in 0..self.in_flight {
                        let (load, shared) = (self.clone(), Arc::clone(&shared));
                        let producer = Arc::clone(&producer);
                        workers.push(tokio::spawn(async move {
                            load.send(&producer, &shared, connection, slot).await
                        }));
                    }
                }
                Kind::Pull => {
                    for slot in 0..self.in_flight {
                        let (load, shared) = (self.clone(), Arc::clone(&shared));
                        workers.push(tokio::spawn(
                            async move { load.pull(&shared, connection, slot).await },
                        ));
                    }
                }
            }
        }
        tokio::time::sleep(self.warm_up).await;
        let cpu_before = cpu_seconds(self.pid);
        let started = Instant::now();
        shared.measuring.store(true, Relaxed);
        tokio::time::sleep(self.measured).await;
        shared.measuring.store(false, Relaxed);
        let seconds = started.elapsed().as_secs_f64();
        let cpu_after = cpu_seconds(self.pid);
        shared.stop.store(true, Relaxed);
        for worker in workers {
            worker.abort();
        }
        let ms = |latency: Duration| latency.as_secs_f64() * 1000.0;
        let latency = &shared.latency;
        Ok(Outcome {
            messages: shared.messages.load(Relaxed) as f64,
            seconds,
            latency_ms: [
                ms(latency.quantile(0.5)),
                ms(latency.quantile(0.99)),
                ms(latency.quantile(0.999)),
                ms(latency.max()),
            ],
            cpu_seconds: cpu_before.zip(cpu_after).map(|(before, after)| after - before),
        })
    }

    /// One request after the other. At a set rate each request has its time, and its latency counts from that time,
    /// not from when it could be sent at last: a stall is charged to every request that it delayed.
    async fn send(&self, producer: &Producer, shared: &Shared, connection: usize, slot: usize) {
        let workers = (self.connections * self.in_flight) as u64;
        let number = (connection * self.in_flight + slot) as u64;
        let period = (self.rate > 0)
            .then(|| Duration::from_nanos(1_000_000_000 * workers * self.batch as u64 / self.rate.max(1)));
        let mut due = Instant::now() + period.map_or(Duration::ZERO, |p| p * number as u32 / workers as u32);
        let mut body = vec![b'x'; self.size.max(8)];
        while !shared.stop.load(Relaxed) {
            let since = match period {
                Some(period) => {
                    tokio::time::sleep_until(due.into()).await;
                    let since = due;
                    due += period;
                    since
                }
                None => Instant::now(),
            };
            if self.kind == Kind::EndToEnd {
                let stamp = unix_nanos() - since.elapsed().as_nanos() as u64;
                if let Some(head) = body.first_chunk_mut::<8>() {
                    *head = stamp.to_be_bytes();
                }
            }
            let sent = if self.batch == 1 {
                producer.send(&Message::new(&self.topic, body.clone())).await
            } else {
                let messages: Vec<_> = (0..self.batch)
                    .map(|_| Message::new(&self.topic, body.clone()))
                    .collect();
                producer.send_batch(&messages).await
            };
            match sent {
                Ok(_) if self.kind == Kind::Send => {
                    shared.done(self.batch as u64, (self.batch * self.size) as u64, since);
                }
                Ok(_) => {}
                Err(_) => drop(shared.failed.fetch_add(1, Relaxed)),
            }
        }
    }

    /// Reads a queue from its start to its end, over and over.
    async fn pull(&self, shared: &Shared, connection: usize, slot: usize) {
        let group = format!("benchmark_puller_{connection}_{slot}");
        let Ok(consumer) = PullConsumer::start(&self.namesrv, &group) else {
            return;
        };
        let Ok(queues) = consumer.queues(&self.topic).await else {
            return;
        };
        let Some(queue) = queues.get((connection * self.in_flight + slot) % queues.len().max(1)) else {
            return;
        };
        let mut offset = 0;
        while !shared.stop.load(Relaxed) {
            let since = Instant::now();
            match consumer.pull(queue, "*", offset, 32, false).await {
                Ok(pulled) => {
                    let bytes: usize = pulled.messages.iter().map(|m| m.body.len()).sum();
                    shared.done(pulled.messages.len() as u64, bytes as u64, since);
                    offset = if pulled.status == PullStatus::Found {
                        pulled.next_offset
                    } else {
                        pulled.min_offset
                    };
                }
                Err(_) => drop(shared.failed.fetch_add(1, Relaxed)),
            }
        }
    }

    /// Long-polls every queue and measures how old each message is when it comes.
    async fn listen(&self, shared: &Arc<Shared>, workers: &mut Vec<JoinHandle<()>>) -> Result<(), Error> {
        let consumer = Arc::new(PullConsumer::start(&self.namesrv, "benchmark_listener")?);
        for queue in consumer.queues(&self.topic).await? {
            let mut offset = consumer.max_offset(&queue).await?;
            let (consumer, shared) = (Arc::clone(&consumer), Arc::clone(shared));
            workers.push(tokio::spawn(async move {
                while !shared.stop.load(Relaxed) {
                    match consumer.pull(&queue, "*", offset, 32, true).await {
                        Ok(pulled) => {
                            offset = pulled.next_offset;
                            shared.received(&pulled.messages);
                        }
                        Err(_) => drop(shared.failed.fetch_add(1, Relaxed)),
                    }
                }
            }));
        }
        Ok(())
    }
}
