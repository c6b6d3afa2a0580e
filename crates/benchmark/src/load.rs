//! One load on one broker: what is asked of it, how fast, and what is measured.
//!
//! Both brokers get the same bytes from the same code. A connection's task reads what came, and writes the next requests of
//! all that was answered at once, as a client does whose callbacks send. At a set rate a thread of its own writes each
//! message when it is due, whatever the broker does, and the latency counts from when it was due: no coordinated omission.

use std::io;
use std::io::ErrorKind::WouldBlock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use admin::histogram::Histogram;
use admin::observed::used;
use protocol::SerializeType;
use protocol::code::response::PULL_RETRY_IMMEDIATELY;
use remoting::tls::{ClientTls, Wire};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::broker;
use crate::frames::{self, Answer, SendFrame, SendShape, Wish, cut};

/// Queues of a topic.
pub(crate) const QUEUES: usize = 8;
/// Messages that may be under way on a connection at a set rate; a broker that lets more gather can not keep it.
const PACED_SLOTS: usize = 1 << 16;
/// Bytes a connection reads at once.
const READ_BYTES: usize = 256 * 1024;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sends.
    Send,
    /// Half messages, each committed once it is answered; what counts is the answer of the commit.
    Transaction,
    /// Sends at a rate without answers: what counts is what the queues' ends say.
    Oneway,
    /// Pulls of 32, each slot through a queue from its start to its end, over and over.
    Pull,
    /// The same through an expression that lets one message of a hundred through; what counts is what was looked at.
    Filtered,
    /// Sends at a rate; measured until a pull that waited has brought the message.
    EndToEnd,
    /// The same with delay level 1; measured is how much later than due the message came.
    Delayed,
}

/// How a load reaches the broker.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// Frames as they are.
    Plain,
    /// By TLS.
    Tls(ClientTls),
    /// Each request is signed by an account: its access key and its secret key.
    Signed(&'static str, &'static str),
}

/// Delay level 1 of every broker here.
const DELAY_LEVEL: u32 = 1;
const DELAY: Duration = Duration::from_secs(1);

impl Kind {
    /// Does a consumer wait for what is sent?
    fn is_received(self) -> bool {
        matches!(self, Kind::EndToEnd | Kind::Delayed)
    }

    /// How long the broker keeps a message from its consumers.
    fn delay(self) -> Duration {
        match self {
            Kind::Delayed => DELAY,
            _ => Duration::ZERO,
        }
    }
}

/// What the times in messages count from: one for all loads, as what is delayed may come while the next one runs.
static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

fn nanos() -> u64 {
    BASE.elapsed().as_nanos() as u64
}

/// A load.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) kind: Kind,
    pub(crate) address: String,
    pub(crate) topic: &'static str,
    pub(crate) connections: usize,
    /// Requests under way on each connection.
    pub(crate) in_flight: usize,
    /// Bytes in a body.
    pub(crate) size: usize,
    /// Messages in a request.
    pub(crate) batch: usize,
    pub(crate) serialize_type: SerializeType,
    /// Messages have the properties that expressions are about.
    pub(crate) has_parts: bool,
    /// Messages a second; 0: as many as go.
    pub(crate) rate: u64,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    /// Pulls end at the end of the queues, and so does the measurement.
    pub(crate) once: bool,
    /// The broker's process.
    pub(crate) pid: u32,
    /// Only sends go another way than [`Way::Plain`].
    pub(crate) way: Way,
}

/// What came out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    pub(crate) messages: f64,
    /// Messages answered while nothing was counted.
    pub(crate) beside: f64,
    pub(crate) seconds: f64,
    /// p50, p99, p99.9, max, ms.
    pub(crate) latency_ms: [f64; 4],
    /// CPU seconds of the broker and of this process.
    pub(crate) broker_cpu: f64,
    pub(crate) own_cpu: f64,
    /// Requests that were refused.
    pub(crate) refused: f64,
    /// Flushes that the block devices were asked for.
    pub(crate) flushes: f64,
    /// MiB that the broker read from the disk.
    pub(crate) disk_mib: f64,
}

impl Outcome {
    pub(crate) fn rate(&self) -> f64 {
        self.messages / self.seconds
    }

    pub(crate) fn cpu_per_million(&self) -> f64 {
        self.broker_cpu / self.messages * 1e6
    }
}

type Worker = JoinHandle<io::Result<()>>;

/// Counters of all connections; they count only while `measuring`.
struct Shared {
    load: Load,
    measuring: AtomicBool,
    stop: AtomicBool,
    /// Running number of the last message, for its key.
    number: AtomicU64,
    messages: AtomicU64,
    /// Messages answered while nothing was counted.
    beside: AtomicU64,
    refused: AtomicU64,
    latency: Histogram,
}

impl Shared {
    fn done(&self, messages: usize, since_nanos: u64) {
        if self.measuring.load(Relaxed) {
            self.messages.fetch_add(messages as u64, Relaxed);
            self.latency
                .add(Duration::from_nanos(nanos().saturating_sub(since_nanos)));
        } else {
            self.beside.fetch_add(messages as u64, Relaxed);
        }
    }

    fn refuse(&self, answer: &Answer<'_>) {
        if self.refused.fetch_add(1, Relaxed) == 0 {
            println!(
                "refused with {}: {}",
                answer.code,
                String::from_utf8_lossy(answer.header)
            );
        }
    }

    fn next_number(&self) -> u64 {
        self.number.fetch_add(self.load.batch as u64, Relaxed)
    }
}

/// One thread reads and writes when there is one connection; more would only hand it to each other.
fn runtime(connections: usize) -> tokio::runtime::Runtime {
    let built = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(connections.clamp(1, 2))
        .enable_all()
        .build();
    built.expect("threads can be started")
}

impl Load {
    /// Runs it in a runtime of its own.
    pub(crate) fn run(&self) -> io::Result<Outcome> {
        runtime(self.connections).block_on(self.drive())
    }

    async fn drive(&self) -> io::Result<Outcome> {
        let shared = Arc::new(Shared {
            load: self.clone(),
            // What reads once has no warm-up.
            measuring: AtomicBool::new(self.once),
            stop: AtomicBool::new(false),
            number: AtomicU64::new(u64::from(std::process::id()) << 8),
            messages: AtomicU64::new(0),
            beside: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            latency: Histogram::default(),
        });
        let mut workers: Vec<Worker> = Vec::new();
        if self.kind.is_received() {
            let stream = connect(&self.address).await?;
            workers.push(tokio::spawn(Puller::new(stream, &shared, true)?.run()));
        }
        let mut paced = Vec::new();
        for connection in 0..self.connections {
            let stream = connect(&self.address).await?;
            match self.kind {
                Kind::Pull | Kind::Filtered => {
                    workers.push(tokio::spawn(Puller::new(stream, &shared, false)?.run()));
                }
                Kind::Transaction => {
                    let wire = self.wire(stream).await?;
                    workers.push(tokio::spawn(Transactor::new(wire, &shared, connection).run()));
                }
                Kind::Send if self.rate == 0 => {
                    let wire = self.wire(stream).await?;
                    workers.push(tokio::spawn(Sender::new(wire, &shared, connection).run()));
                }
                Kind::Send | Kind::Oneway | Kind::EndToEnd | Kind::Delayed => {
                    let paced_connection = Arc::new(PacedConnection::new(stream));
                    paced.push(Arc::clone(&paced_connection));
                    workers.push(tokio::spawn(paced_connection.read(Arc::clone(&shared))));
                }
            }
        }
        let pacer = (!paced.is_empty()).then(|| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || pace(&shared, &paced))
        });
        tokio::time::sleep(self.warm_up + self.kind.delay()).await;
        let mut outcome = self.measure(&shared, &mut workers).await;
        shared.stop.store(true, Relaxed);
        for worker in workers {
            if worker.is_finished() {
                worker.await??;
            } else {
                worker.abort();
                let _cancelled = worker.await;
            }
        }
        if let Some(pacer) = pacer {
            tokio::task::spawn_blocking(move || pacer.join())
                .await?
                .expect("the pacer does not panic")?;
        }
        if let Ok(outcome) = &mut outcome {
            outcome.beside = shared.beside.load(Relaxed) as f64;
        }
        outcome
    }

    async fn measure(&self, shared: &Shared, workers: &mut Vec<Worker>) -> io::Result<Outcome> {
        let cpu = |pid| {
            used(pid)
                .map(|used| used.cpu.as_secs_f64())
                .map_err(io::Error::other)
        };
        let look = || -> io::Result<[f64; 5]> {
            let stored = match self.kind {
                Kind::Oneway => broker::stored(&self.address, self.topic)? as f64,
                _ => 0.0,
            };
            Ok([
                cpu(self.pid)?,
                cpu(std::process::id())?,
                stored,
                broker::device_flushes(),
                broker::disk_mib(self.pid)?,
            ])
        };
        let before = look()?;
        let started = Instant::now();
        shared.measuring.store(true, Relaxed);
        if self.once {
            for worker in workers.drain(..) {
                worker.await??;
            }
        } else {
            tokio::time::sleep(self.measured).await;
        }
        shared.measuring.store(false, Relaxed);
        let seconds = started.elapsed().as_secs_f64();
        let after = look()?;
        let [broker_cpu, own_cpu, stored, flushes, disk_mib] = std::array::from_fn(|i| after[i] - before[i]);
        let ms = |latency: Duration| latency.as_secs_f64() * 1000.0;
        let latency = &shared.latency;
        let counted = shared.messages.load(Relaxed) as f64;
        Ok(Outcome {
            messages: if self.kind == Kind::Oneway {
                stored
            } else {
                counted
            },
            beside: 0.0,
            seconds,
            latency_ms: [
                ms(latency.quantile(0.5)),
                ms(latency.quantile(0.99)),
                ms(latency.quantile(0.999)),
                ms(latency.max()),
            ],
            broker_cpu,
            own_cpu,
            refused: shared.refused.load(Relaxed) as f64,
            flushes,
            disk_mib,
        })
    }

    fn frames(&self) -> Vec<SendFrame> {
        let shape = SendShape {
            topic: self.topic,
            size: self.size,
            batch: self.batch,
            serialize_type: self.serialize_type,
            oneway: self.kind == Kind::Oneway,
            delay_level: (self.kind == Kind::Delayed).then_some(DELAY_LEVEL),
            has_parts: self.has_parts,
            is_half: self.kind == Kind::Transaction,
        };
        let frame = |queue: usize| {
            let frame = SendFrame::new(shape, queue as i32);
            match self.way {
                Way::Signed(access_key, secret_key) => frame.signed(access_key, secret_key),
                _ => frame,
            }
        };
        (0..QUEUES).map(frame).collect()
    }

    async fn wire(&self, stream: TcpStream) -> io::Result<Wire> {
        match &self.way {
            Way::Tls(tls) => Wire::connect(tls, stream).await,
            _ => Ok(Wire::plain(stream)),
        }
    }
}

/// A connection, as far as [`Buffers`] use it.
trait Ends {
    fn take(&mut self, bytes: &mut [u8]) -> io::Result<usize>;
    fn give(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

impl Ends for &TcpStream {
    fn take(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.try_read(bytes)
    }

    fn give(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
    }
}

impl Ends for &mut Wire {
    fn take(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.try_read(bytes)
    }

    fn give(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(&[io::IoSlice::new(bytes)])
    }
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Bytes that came and bytes that wait to go.
struct Buffers {
    read: Vec<u8>,
    filled: usize,
    out: Vec<u8>,
    written: usize,
}

impl Buffers {
    fn new() -> Buffers {
        Buffers {
            read: vec![0; READ_BYTES],
            filled: 0,
            out: Vec::new(),
            written: 0,
        }
    }

    /// Writes what goes at once; true when nothing is left.
    fn write(&mut self, mut ends: impl Ends) -> io::Result<bool> {
        while self.written < self.out.len() {
            match ends.give(&self.out[self.written..]) {
                Ok(written) => self.written += written,
                Err(e) if e.kind() == WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(true)
    }

    /// Reads once and hands over every answer that is whole.
    fn read(
        &mut self,
        mut ends: impl Ends,
        mut take: impl FnMut(Answer<'_>, &mut Vec<u8>),
    ) -> io::Result<()> {
        match ends.take(&mut self.read[self.filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => self.filled += read,
            Err(e) if e.kind() == WouldBlock => return Ok(()),
            Err(e) => return Err(e),
        }
        let mut at = 0;
        while let Some((answer, len)) = cut(&self.read[at..self.filled]) {
            take(answer, &mut self.out);
            at += len;
        }
        self.read.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }

    /// Waits until something can be done.
    async fn ready(&self, stream: &TcpStream, all_written: bool) -> io::Result<bool> {
        let interest = if all_written {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        Ok(stream.ready(interest).await?.is_readable())
    }
}

/// A connection whose slots send the next message when the last is answered.
struct Sender {
    wire: Wire,
    shared: Arc<Shared>,
    frames: Vec<SendFrame>,
    since: Vec<u64>,
    turn: usize,
}

impl Sender {
    fn new(wire: Wire, shared: &Arc<Shared>, connection: usize) -> Sender {
        Sender {
            wire,
            shared: Arc::clone(shared),
            frames: shared.load.frames(),
            since: vec![0; shared.load.in_flight],
            turn: connection,
        }
    }

    fn push(&mut self, out: &mut Vec<u8>, slot: usize) {
        self.turn += 1;
        self.frames[self.turn % QUEUES].push(out, slot, self.shared.next_number(), None);
    }

    async fn run(mut self) -> io::Result<()> {
        let mut buffers = Buffers::new();
        for slot in 0..self.since.len() {
            self.since[slot] = nanos();
            self.push(&mut buffers.out, slot);
        }
        loop {
            let all_written = buffers.write(&mut self.wire)?;
            self.wire.ready(!all_written).await?;
            let (shared, since, frames, turn) =
                (&self.shared, &mut self.since, &mut self.frames, &mut self.turn);
            buffers.read(&mut self.wire, |answer, out| {
                if answer.code == 0 {
                    shared.done(shared.load.batch, since[answer.slot]);
                } else {
                    shared.refuse(&answer);
                }
                since[answer.slot] = nanos();
                *turn += 1;
                frames[*turn % QUEUES].push(out, answer.slot, shared.next_number(), None);
            })?;
        }
    }
}

/// A connection whose slots send a half message, commit it, and begin anew.
struct Transactor {
    sender: Sender,
    /// The half message of a slot is stored, and its commit under way.
    commits: Vec<bool>,
}

impl Transactor {
    fn new(wire: Wire, shared: &Arc<Shared>, connection: usize) -> Transactor {
        Transactor {
            sender: Sender::new(wire, shared, connection),
            commits: vec![false; shared.load.in_flight],
        }
    }

    async fn run(self) -> io::Result<()> {
        let Transactor {
            mut sender,
            mut commits,
        } = self;
        let mut buffers = Buffers::new();
        for slot in 0..commits.len() {
            sender.since[slot] = nanos();
            sender.push(&mut buffers.out, slot);
        }
        loop {
            let all_written = buffers.write(&mut sender.wire)?;
            sender.wire.ready(!all_written).await?;
            let Sender {
                wire,
                shared,
                frames,
                since,
                turn,
            } = &mut sender;
            buffers.read(wire, |answer, out| {
                let slot = answer.slot;
                let place = answer.field("queueOffset").zip(answer.position());
                match (answer.code, std::mem::take(&mut commits[slot]), place) {
                    (0, false, Some((offset, position))) => {
                        commits[slot] = true;
                        return frames::push_commit(out, slot, offset, position);
                    }
                    (0, true, _) => shared.done(1, since[slot]),
                    _ => shared.refuse(&answer),
                }
                since[slot] = nanos();
                *turn += 1;
                frames[*turn % QUEUES].push(out, slot, shared.next_number(), None);
            })?;
        }
    }
}

/// A connection with a pull under way in each slot.
struct Puller {
    stream: TcpStream,
    shared: Arc<Shared>,
    offsets: Vec<i64>,
    since: Vec<u64>,
    /// The broker may hold the pulls; what they bring was sent when its stamp says.
    waits: bool,
}

impl Puller {
    fn new(stream: TcpStream, shared: &Arc<Shared>, waits: bool) -> io::Result<Puller> {
        let load = &shared.load;
        let offsets = if waits {
            broker::queue_ends(&load.address, load.topic)?
        } else {
            vec![0; load.in_flight]
        };
        Ok(Puller {
            stream,
            since: vec![0; offsets.len()],
            offsets,
            shared: Arc::clone(shared),
            waits,
        })
    }

    async fn run(mut self) -> io::Result<()> {
        let (shared, waits) = (Arc::clone(&self.shared), self.waits);
        let (topic, delay) = (shared.load.topic, shared.load.kind.delay().as_nanos() as u64);
        let is_filtered = shared.load.kind == Kind::Filtered;
        let wish = Wish {
            sql: is_filtered.then_some(frames::ONE_PART),
            waits,
        };
        let push = |out: &mut Vec<u8>, slot: usize, offset: i64| {
            frames::push_pull(out, topic, slot, (slot % QUEUES) as i32, offset, wish);
        };
        let mut buffers = Buffers::new();
        for slot in 0..self.offsets.len() {
            self.since[slot] = nanos();
            push(&mut buffers.out, slot, self.offsets[slot]);
        }
        let mut left = self.offsets.len();
        // The answer of a pull is larger than what one read brings; several wait for their turn.
        buffers.read = vec![0; 4 << 20];
        while left > 0 {
            let all_written = buffers.write(&self.stream)?;
            if !buffers.ready(&self.stream, all_written).await? {
                continue;
            }
            let (offsets, since, left) = (&mut self.offsets, &mut self.since, &mut left);
            buffers.read(&self.stream, |answer, out| {
                let slot = answer.slot;
                let next = answer.field("nextBeginOffset").unwrap_or(offsets[slot]);
                // Of many messages none may be let through.
                let found = answer.code == 0 || (is_filtered && answer.code == PULL_RETRY_IMMEDIATELY);
                if found && waits {
                    for record in answer.records() {
                        if let Some(stamp) = frames::stamp_of(record) {
                            shared.done(1, stamp + delay);
                        }
                    }
                } else if found && is_filtered {
                    shared.done((next - offsets[slot]).max(0) as usize, since[slot]);
                } else if found {
                    shared.done(answer.records().count(), since[slot]);
                }
                if !found && shared.load.once {
                    *left -= 1;
                    return;
                }
                // At the end of the queue the next pull begins at its start.
                offsets[slot] = if found || waits { next } else { 0 };
                since[slot] = nanos();
                push(out, slot, offsets[slot]);
            })?;
        }
        Ok(())
    }
}

/// A connection at a set rate: the pacer writes, a task reads.
struct PacedConnection {
    stream: TcpStream,
    /// When the message of each slot was due, ns since [`BASE`].
    due: Vec<AtomicU64>,
}

impl PacedConnection {
    fn new(stream: TcpStream) -> PacedConnection {
        let due = std::iter::repeat_with(AtomicU64::default)
            .take(PACED_SLOTS)
            .collect();
        PacedConnection { stream, due }
    }

    async fn read(self: Arc<Self>, shared: Arc<Shared>) -> io::Result<()> {
        let mut buffers = Buffers::new();
        loop {
            self.stream.readable().await?;
            buffers.read(&self.stream, |answer, _| {
                let due = self.due[answer.slot % PACED_SLOTS].swap(0, Relaxed);
                if answer.code != 0 {
                    shared.refuse(&answer);
                } else if shared.load.kind == Kind::Send {
                    shared.done(1, due);
                }
            })?;
        }
    }
}

/// Writes every message when it is due.
fn pace(shared: &Shared, connections: &[Arc<PacedConnection>]) -> io::Result<()> {
    let between = 1_000_000_000 / shared.load.rate.max(1);
    let mut frames = shared.load.frames();
    let mut buffers: Vec<Buffers> = connections.iter().map(|_| Buffers::new()).collect();
    let stamped = shared.load.kind.is_received();
    let mut due = nanos();
    let mut count = 0;
    while !shared.stop.load(Relaxed) {
        let now = nanos();
        if due > now {
            std::thread::sleep(Duration::from_nanos(due - now));
        }
        // All that is due by now, each connection's in one write.
        let now = nanos();
        while due <= now {
            let at = count % connections.len();
            let slot = count / connections.len() % PACED_SLOTS;
            let waits = connections[at].due[slot].swap(due, Relaxed) != 0;
            if waits && shared.load.kind != Kind::Oneway {
                return Err(io::Error::other("the broker does not keep up with the set rate"));
            }
            let frame = &mut frames[count % QUEUES];
            frame.push(
                &mut buffers[at].out,
                slot,
                shared.next_number(),
                stamped.then_some(due),
            );
            due += between;
            count += 1;
        }
        for (buffers, connection) in buffers.iter_mut().zip(connections) {
            // What does not go now goes with what is due next; the latency counts from when it was due.
            buffers.write(&connection.stream)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::{Cluster, Flavour};

    const TOPIC: &str = "Counted";

    fn load(cluster: &Cluster, kind: Kind, rate: u64) -> Load {
        Load {
            kind,
            address: cluster.broker.address(),
            topic: TOPIC,
            connections: 2,
            in_flight: 4,
            size: 100,
            batch: 1,
            serialize_type: SerializeType::Json,
            has_parts: true,
            rate,
            warm_up: Duration::ZERO,
            measured: Duration::from_millis(300),
            once: false,
            pid: cluster.broker.process.pid(),
            way: Way::Plain,
        }
    }

    #[test]
    fn a_load_counts_what_the_broker_has_stored_and_hands_out() {
        let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[("enablePropertyFilter", "true")]);
        let address = cluster.broker.address();
        broker::create_topic(&address, TOPIC).unwrap();
        let stored = || broker::stored(&address, TOPIC).unwrap() as f64;
        let loads = [
            load(&cluster, Kind::Send, 0),
            load(&cluster, Kind::Send, 2000),
            Load {
                serialize_type: SerializeType::RocketMq,
                ..load(&cluster, Kind::Send, 0)
            },
            Load {
                batch: 5,
                ..load(&cluster, Kind::Send, 0)
            },
        ];
        for load in loads {
            let before = stored();
            let outcome = load.run().unwrap();
            let grown = stored() - before;
            // What was under way when the load stopped is stored and not counted.
            let answered = outcome.messages + outcome.beside;
            let under_way = (load.connections * load.in_flight * load.batch + 100) as f64;
            assert_eq!(outcome.refused, 0.0);
            assert!(outcome.messages > 0.0, "{load:?}");
            assert!(
                (grown - under_way..=grown).contains(&answered),
                "answered {answered}, stored {grown}: {load:?}"
            );
        }
        let signed = Load {
            way: Way::Signed("anybody", "secret"),
            ..load(&cluster, Kind::Send, 0)
        };
        let before = stored();
        assert!(signed.run().unwrap().messages > 0.0 && stored() > before);
        let pull = Load {
            once: true,
            connections: 1,
            in_flight: QUEUES,
            ..load(&cluster, Kind::Pull, 0)
        };
        assert_eq!(pull.run().unwrap().messages, stored());
        let filtered = Load {
            kind: Kind::Filtered,
            ..pull
        };
        assert_eq!(filtered.run().unwrap().messages, stored(), "all were looked at");
    }

    #[test]
    fn lateness_counts_from_when_a_message_was_due() {
        let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
        broker::create_topic(&cluster.broker.address(), TOPIC).unwrap();
        let outcome = load(&cluster, Kind::Delayed, 1000).run().unwrap();
        assert!(outcome.messages > 0.0, "{outcome:?}");
        let [p50, .., max] = outcome.latency_ms;
        // Nothing would be late if nothing had been delayed.
        assert!(max > 0.0, "{outcome:?}");
        let delay = DELAY.as_secs_f64() * 1000.0;
        assert!(p50 < delay, "it does not count from the sending: {outcome:?}");
    }
}
