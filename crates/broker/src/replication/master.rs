//! A master's side: the port of replication, and one thread a slave.
//!
//! The thread hands counted slices of the mapped log to the socket, many in one write, and gives every report to the session, whose
//! state machine ([`ha::Master`]) believes no more than it must. What the slaves have goes to the acknowledgements.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use disk::{Clock, Disk};
use ha::{ConnectionId, Extent, Master, MasterSettings, NewSlave, Standing};
use parking_lot::Mutex;
use remoting::tls::{ServerTls, Wire};
use store::Store;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::port::{First, ReplicationPort};
use super::session::{Outbox, Pause, SessionError, SlaveSession};
use super::{Admission, Places, RoleHistory, TableCopies, run_alone};
use crate::commitlog::{Acknowledgements, Growth};
use crate::registration::Registration;
use crate::settings::Settings;
use crate::tables::SaveError;

/// Connections that are looked at or served at once, at most.
const CONNECTIONS_MAX: usize = 64;
/// Headers and slices in one write.
const PIECES_MAX: usize = 64;
/// Reports of one read: far more than a slave sends in one round trip.
const READ_BYTES: usize = 4096;
/// The longest sleep: a growth that was missed is seen then.
const LOOK_EACH: Duration = Duration::from_millis(100);
/// How often a refused address is mentioned.
const MENTION_EACH: Duration = Duration::from_secs(10);

/// How long the connections may take to end at a stop.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// Why a slave is served no more.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Session(#[from] SessionError),
    #[error("{0}")]
    Socket(#[from] io::Error),
    #[error("the slave closed the connection")]
    Closed,
    #[error(
        "another connection from its address counts now: the slave has connected again, or two live there that name servers take for one, \
         with the same brokerId"
    )]
    Replaced,
    #[error(
        "its connection is plain, and this broker takes slaves by TLS alone (haTlsEnable=true): the slave's file needs haTlsEnable=true, too"
    )]
    Plain,
    #[error("it has said nothing")]
    Silent,
    #[error("haAllowedSlaves has changed: whether it may connect is to be asked again")]
    AskedAgain,
    #[error("the broker stops")]
    Stops,
}

/// Serves the slaves of this broker.
pub struct SlaveServer<D: Disk> {
    parts: SlaveServerParts<D>,
    /// Connections by id, to close them.
    connections: Mutex<HashMap<ConnectionId, Connected>>,
    /// One for each connection that there may be.
    places: Arc<Semaphore>,
    /// Connections that were refused.
    refused: Refusals,
    /// A slave has reported, or is gone.
    moved: Notify,
    /// The connections are to end.
    leaves: CancellationToken,
}

/// A slave that is connected.
struct Connected {
    address: SocketAddr,
    closes: CancellationToken,
    traffic: Arc<SlaveTraffic>,
}

/// What goes to a slave.
#[derive(Default)]
pub(super) struct SlaveTraffic {
    /// Bytes handed to the kernel.
    pub(super) sent: AtomicU64,
    /// As many of them a second ago.
    before: AtomicU64,
    /// Bytes in the last second.
    speed: AtomicU64,
    /// Where the next transfer begins.
    pub(super) next: AtomicI64,
}

/// Addresses that were refused, told now and then.
#[derive(Default)]
struct Refusals {
    count: AtomicUsize,
    told: Mutex<Option<Instant>>,
}

impl Refusals {
    fn note(&self, address: SocketAddr, why: &str) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut told = self.told.lock();
        if told.is_none_or(|told| told.elapsed() >= MENTION_EACH) {
            *told = Some(Instant::now());
            tracing::warn!("replication: {address} is refused, {why} ({count} refused so far)");
        }
    }
}

/// A slave as tools are shown it.
pub struct SlaveState {
    /// Where it connects from.
    pub address: String,
    /// What it has acknowledged.
    pub acknowledged: i64,
    /// The end of the log that it said it has.
    pub claim: Option<i64>,
    /// Where what it is sent next begins.
    pub next: i64,
    /// Bytes that went to it in the last second.
    pub speed: u64,
}

/// What serving slaves needs.
pub struct SlaveServerParts<D: Disk> {
    /// The log.
    pub store: Arc<Store<D>>,
    /// The disk that the history of roles lies on.
    pub disk: D,
    /// Who hears of what slaves have.
    pub acknowledgements: Arc<Acknowledgements>,
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Who may connect.
    pub admission: Admission,
    /// What slaves have of the tables.
    pub copies: TableCopies,
    /// Who is told where slaves connect.
    pub registration: Arc<Registration>,
    /// What was acknowledged.
    pub history: Arc<RoleHistory>,
    /// Wakes connections.
    pub growth: Arc<Growth>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl<D: Disk + Clone> SlaveServer<D> {
    /// Nobody is connected.
    pub fn new(parts: SlaveServerParts<D>) -> Self {
        Self {
            parts,
            connections: Mutex::default(),
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            refused: Refusals::default(),
            moved: Notify::new(),
            leaves: CancellationToken::new(),
        }
    }

    /// Connections that were refused.
    pub fn refused(&self) -> usize {
        self.refused.count.load(Ordering::Relaxed)
    }

    /// Connections that are open, and the most that may be.
    pub fn connected(&self) -> (usize, usize) {
        let free = self.places.available_permits();
        (CONNECTIONS_MAX - free, CONNECTIONS_MAX)
    }

    /// Ends the connections, once the slaves have the whole log or `within` is over: nobody appends any more, and whoever takes over
    /// lacks nothing then. Waits for their threads.
    pub async fn leave(&self, within: Duration) {
        if tokio::time::timeout(within, self.drained()).await.is_err() {
            for slave in self.slaves() {
                let lacks = self.parts.store.max_physical().0 - slave.acknowledged;
                if lacks > 0 {
                    tracing::warn!(
                        "replication: slave {} lacks the last {lacks} bytes of the log, and is waited for no longer",
                        slave.address
                    );
                }
            }
        }
        self.leaves.cancel();
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        if tokio::time::timeout(LEAVE_WITHIN, self.places.acquire_many(all))
            .await
            .is_err()
        {
            tracing::warn!("replication: some connections did not end within {LEAVE_WITHIN:?}");
        }
    }

    /// Waits until every slave has, by its own word, the whole log.
    async fn drained(&self) {
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            moved.as_mut().enable();
            let end = self.parts.store.max_physical().0;
            let slaves = self.slaves();
            if slaves
                .iter()
                .all(|slave| slave.claim.is_none_or(|claim| claim >= end))
            {
                return;
            }
            moved.await;
        }
    }

    /// Takes connections until `stop`, and serves them until [`SlaveServer::leave`]; each slave has a thread of its own.
    pub async fn run(self: Arc<Self>, port: &mut ReplicationPort, stop: CancellationToken) {
        let (wants, mut wanted) = mpsc::channel(1);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                Some(asks) = wanted.recv() => {
                    self.give_way(port, asks).await;
                    continue;
                }
                () = port.is_due_back() => {
                    if port.come_back() {
                        self.moved(port.number());
                    }
                    continue;
                }
                accepted = port.listener.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    tracing::warn!("replication: a connection could not be taken: {e}");
                    tokio::time::sleep(LOOK_EACH).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                let why = format!("{CONNECTIONS_MAX} connections, the most there may be, are open already");
                self.refused.note(address, &why);
                continue;
            };
            let (this, stop, tls) = (Arc::clone(&self), self.leaves.clone(), port.tls.clone());
            let wants = port.may_ask(&stream).then(|| wants.clone());
            tokio::spawn(async move {
                let _place = place;
                if let Err(e) = this.welcome(stream, address, wants, tls, stop).await {
                    tracing::debug!("replication: {address} is gone before it said anything: {e}");
                }
            });
        }
    }

    async fn give_way(&self, port: &mut ReplicationPort, asks: TcpStream) {
        let given = port.give_way(asks).await;
        self.moved(given.and_then(|()| port.number()));
    }

    /// Tells the name servers where replication listens now.
    fn moved(&self, number: io::Result<u16>) {
        match number {
            Ok(number) => self
                .parts
                .registration
                .replication_moved(number, self.parts.clock.now_ms()),
            Err(e) => tracing::warn!("the port of replication can not be given up: {e}"),
        }
    }

    /// A connection that `wants` the port, or is a slave's.
    async fn welcome(
        self: Arc<Self>,
        mut stream: TcpStream,
        address: SocketAddr,
        wants: Option<mpsc::Sender<TcpStream>>,
        tls: Option<Arc<ServerTls>>,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let first = match wants {
            Some(wants) => {
                let first = First::read(&mut stream).await?;
                if first.asks(&stream) {
                    let _stops = wants.send(stream).await;
                    return Ok(());
                }
                Some(first)
            }
            None => None,
        };
        let listed = self.parts.settings.load().store.ha_allowed_slaves.clone();
        let arrived = Arrived {
            stream,
            first,
            tls,
            listed,
        };
        self.admit(arrived, address, stop).await;
        Ok(())
    }

    async fn admit(self: Arc<Self>, arrived: Arrived, address: SocketAddr, stop: CancellationToken) {
        let ip = address.ip().to_canonical();
        if self.parts.settings.load().is_slave() {
            return self.refused.note(address, "this broker is a slave itself");
        }
        let is_there = |other: &&Connected| other.address.ip().to_canonical() == ip;
        let connected = self.connections.lock().values().filter(is_there).count();
        let places = self.parts.admission.places(ip, connected).await;
        if places.most == 0 {
            let name = self.parts.settings.load().broker.broker_name.clone();
            let why =
                format!("no name server knows a slave of {name} there, and haAllowedSlaves does not list it");
            return self.refused.note(address, &why);
        }
        let Some(session) = self.session(address, places) else {
            return self
                .refused
                .note(address, "too many connections from there have said nothing");
        };
        tracing::info!("replication: slave {address} has connected");
        let ended = serve_on_its_own_thread(session, arrived, stop).await;
        match ended {
            Ended::Stops => tracing::info!("replication: slave {address} is left: the broker stops"),
            Ended::Closed | Ended::Replaced | Ended::AskedAgain | Ended::Socket(_) => {
                tracing::info!("replication: slave {address} is gone: {ended}");
            }
            Ended::Session(_) | Ended::Plain | Ended::Silent => {
                tracing::warn!("replication: the connection of slave {address} is closed: {ended}");
            }
        }
    }

    /// A slave has connected from `address`, where so many may be. Nothing if too many from there have connected and said nothing.
    pub fn session(self: &Arc<Self>, address: SocketAddr, places: Places) -> Option<SlaveSession<D>> {
        let (ip, now) = (address.ip().to_canonical(), self.now_ms());
        let id = self
            .parts
            .acknowledgements
            .replicas(|replicas| replicas.connect(&ip.to_string(), places.most, now))?;
        let (closes, traffic) = (CancellationToken::new(), Arc::new(SlaveTraffic::default()));
        let entry = Connected {
            address,
            closes: closes.clone(),
            traffic: Arc::clone(&traffic),
        };
        self.connections.lock().insert(id, entry);
        Some(SlaveSession {
            id,
            ip,
            server: Arc::clone(self),
            master: Master::new(self.master_settings(), now),
            outbox: Outbox::default(),
            traffic,
            registered: places.registered,
            noted: None,
            closes,
        })
    }

    /// What slaves have of the tables.
    pub fn copies(&self) -> &TableCopies {
        &self.parts.copies
    }

    /// Is a slave at this address connected?
    pub fn serves(&self, ip: IpAddr) -> bool {
        let connections = self.connections.lock();
        connections
            .values()
            .any(|slave| slave.address.ip().to_canonical() == ip)
    }

    /// A connection is over.
    pub(super) fn left(&self, id: ConnectionId) {
        let gone = self.connections.lock().remove(&id);
        self.parts
            .acknowledgements
            .replicas(|replicas| replicas.disconnect(id));
        if let Some(gone) = gone {
            let ip = gone.address.ip().to_canonical();
            self.parts.copies.left(ip, self.speaking(ip));
        }
        self.moved.notify_waiters();
    }

    /// A slave stands so.
    pub(super) fn reported(&self, id: ConnectionId, standing: Standing) {
        let replaced = self.parts.acknowledgements.slave_reported(id, standing);
        let connections = self.connections.lock();
        if let Some(other) = replaced.and_then(|id| connections.get(&id)) {
            other.closes.cancel();
        }
        drop(connections);
        self.moved.notify_waiters();
    }

    /// The history of roles knows, on disk, the slave of a connection, and with it the others that have connected from its address;
    /// name servers know `registered` there.
    pub(super) fn note_slave(
        &self,
        id: ConnectionId,
        ip: IpAddr,
        registered: usize,
        now: i64,
    ) -> Result<(), SaveError> {
        let others = self.speaking_but(ip, Some(id));
        let (history, disk) = (&self.parts.history, &self.parts.disk);
        history.save_slave(&ip.to_string(), registered.max(others + 1), disk, now)
    }

    /// How many connections from this address have reported.
    pub fn speaking(&self, ip: IpAddr) -> usize {
        self.speaking_but(ip, None)
    }

    pub(super) fn speaking_but(&self, ip: IpAddr, but: Option<ConnectionId>) -> usize {
        let ip = ip.to_string();
        self.parts.acknowledgements.replicas(|replicas| {
            let there = replicas.all().filter(|(other, address, standing)| {
                Some(*other) != but && *address == ip && standing.claim.is_some()
            });
            there.count()
        })
    }

    /// How often what SUCCESS means has changed.
    pub(super) fn history_changes(&self) -> u64 {
        self.parts.history.changes()
    }

    pub(super) fn store(&self) -> &Arc<Store<D>> {
        &self.parts.store
    }

    pub(super) fn settings(&self) -> arc_swap::Guard<Arc<Settings>> {
        self.parts.settings.load()
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.parts.clock.now_ms()
    }

    /// The connected slaves.
    pub fn slaves(&self) -> Vec<SlaveState> {
        let standings = self.parts.acknowledgements.replicas(|replicas| {
            let all = replicas.all().map(|(id, _, standing)| (id, standing));
            all.collect::<Vec<_>>()
        });
        let connections = self.connections.lock();
        let states = standings.into_iter().filter_map(|(id, standing)| {
            let connected = connections.get(&id)?;
            Some(SlaveState {
                address: connected.address.to_string(),
                acknowledged: standing.acknowledged.unwrap_or(0),
                claim: standing.claim,
                next: connected.traffic.next.load(Ordering::Relaxed),
                speed: connected.traffic.speed.load(Ordering::Relaxed),
            })
        });
        states.collect()
    }

    /// A second is over.
    pub fn tick(&self) {
        for connected in self.connections.lock().values() {
            let sent = connected.traffic.sent.load(Ordering::Relaxed);
            let before = connected.traffic.before.swap(sent, Ordering::Relaxed);
            connected.traffic.speed.store(sent - before, Ordering::Relaxed);
        }
    }

    pub(super) fn extent(&self) -> Extent {
        Extent {
            min: self.parts.store.min_physical().0,
            end: self.parts.store.max_physical().0,
        }
    }

    fn master_settings(&self) -> MasterSettings {
        let settings = self.parts.settings.load();
        let s = &settings.store;
        MasterSettings {
            // What is on disk decides, not what the settings would make.
            file_len: self.parts.store.settings().commitlog_file_size,
            new_slave: match s.sync_from_last_file {
                true => NewSlave::NewestFile,
                false => NewSlave::WholeLog,
            },
            heartbeat_ms: i64::from(s.ha_send_heartbeat_interval),
            housekeeping_ms: i64::from(s.ha_housekeeping_interval),
            bytes_per_second: rate(&settings),
            ..MasterSettings::default()
        }
    }
}

/// What a slave is sent at most, bytes a second; 0: as much as it takes.
pub(super) fn rate(settings: &Settings) -> u64 {
    match settings.store.ha_flow_control_enable {
        true => settings.store.max_ha_transfer_byte_in_second.unsigned_abs(),
        false => 0,
    }
}

/// A connection that may be a slave's.
struct Arrived {
    stream: TcpStream,
    /// What was read of it already.
    first: Option<First>,
    /// What it is answered with if it begins a handshake.
    tls: Option<Arc<ServerTls>>,
    /// `haAllowedSlaves` as it was when this was let in.
    listed: Option<String>,
}

impl Arrived {
    /// Waits for the slave's first byte, which says whether it speaks TLS, and for the handshake.
    async fn shake<D: Disk + Clone>(self, session: &mut SlaveSession<D>) -> Result<Wire, Ended> {
        // The socket belongs to this runtime from here on.
        let stream = TcpStream::from_std(self.stream.into_std()?)?;
        stream.set_nodelay(true)?;
        let first = self.first.filter(|first| !first.bytes().is_empty());
        let wire = match (first, self.tls) {
            (Some(first), _) => {
                session.receive(first.bytes())?;
                Wire::plain(stream)
            }
            (None, Some(tls)) => {
                let silence = session.server.master_settings().housekeeping_ms;
                let within = Duration::from_millis(silence.max(1).unsigned_abs());
                let accepted = tokio::time::timeout(within, Wire::accept(&tls, stream)).await;
                accepted.map_err(|_| Ended::Silent)??
            }
            (None, None) => Wire::plain(stream),
        };
        match wire.is_tls() || !session.server.settings().store.ha_tls_enable {
            true => Ok(wire),
            false => Err(Ended::Plain),
        }
    }
}

/// Serves a slave on a thread of its own, and says why it is over.
async fn serve_on_its_own_thread<D: Disk + Clone>(
    session: SlaveSession<D>,
    arrived: Arrived,
    stop: CancellationToken,
) -> Ended {
    let (done, end) = tokio::sync::oneshot::channel();
    let served = move || {
        let ended = run_alone(serve(session, arrived, &stop)).unwrap_or_else(|e| Err(e.into()));
        let Err(ended) = ended;
        let _gone = done.send(ended);
    };
    let thread = std::thread::Builder::new().name("slave".to_owned()).spawn(served);
    match thread {
        // A thread that panicked has dropped its end.
        Ok(_) => end.await.unwrap_or(Ended::Closed),
        Err(e) => e.into(),
    }
}

async fn serve<D: Disk + Clone>(
    mut session: SlaveSession<D>,
    arrived: Arrived,
    stop: &CancellationToken,
) -> Result<std::convert::Infallible, Ended> {
    let (closes, listed) = (session.closes.clone(), arrived.listed.clone());
    let mut wire = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(Ended::Stops),
        () = closes.cancelled() => return Err(Ended::Replaced),
        wire = arrived.shake(&mut session) => wire?,
    };
    let mut read = [0; READ_BYTES];
    loop {
        if session.server.settings().store.ha_allowed_slaves != listed {
            return Err(Ended::AskedAgain);
        }
        receive(&mut session, &mut wire, &mut read)?;
        let pause = session.fill()?;
        let is_full = send(&mut session, &mut wire)?;
        sleep(&session, &mut wire, pause, is_full, stop).await?;
    }
}

/// Reads every report that has come.
fn receive<D: Disk + Clone>(
    session: &mut SlaveSession<D>,
    wire: &mut Wire,
    read: &mut [u8],
) -> Result<(), Ended> {
    loop {
        match wire.try_read(read) {
            Ok(0) => return Err(Ended::Closed),
            Ok(len) => session.receive(read.get(..len).unwrap_or_default())?,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Hands over what the kernel takes; true if it took not all.
fn send<D: Disk + Clone>(session: &mut SlaveSession<D>, wire: &mut Wire) -> Result<bool, Ended> {
    while session.has_more() {
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        let count = session.next(&mut slices);
        match wire.try_write(slices.get(..count).unwrap_or_default()) {
            Ok(written) => session.wrote(written),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(false)
}

/// Sleeps until there is something to do.
async fn sleep<D: Disk + Clone>(
    session: &SlaveSession<D>,
    wire: &mut Wire,
    pause: Pause,
    is_full: bool,
    stop: &CancellationToken,
) -> Result<(), Ended> {
    let parts = &session.server.parts;
    let wait_ms = (pause.until_ms - parts.clock.now_ms()).max(0).unsigned_abs();
    let wait = Duration::from_millis(wait_ms).min(LOOK_EACH);
    // A peer that takes nothing more, or a limit, is waited for however the log grows.
    let growth = async {
        match pause.seen {
            Some(seen) => parts.growth.sleep(|| parts.store.max_physical().0 > seen).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Ended::Stops),
        () = session.closes.cancelled() => Err(Ended::Replaced),
        ready = wire.ready(is_full) => ready.map_err(Ended::from),
        () = growth => Ok(()),
        () = tokio::time::sleep(wait) => Ok(()),
    }
}
