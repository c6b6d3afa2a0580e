//! A listener: accepts, limits, sweeps, ends.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Service;
use crate::address::{Addresses, Entered, Holding};
use crate::connection::Connection;
use crate::proxy_header;
use crate::settings::{Limits, Metrics, Room, ServerSettings};
use crate::task::Task;
use crate::tls::{Accepted, ServerTls};

/// How often silent and stuck connections are looked for; also the tick of the coarse clock.
const SWEEP: Duration = Duration::from_secs(1);
/// How long a PROXY header may take.
const HEADER_WITHIN: Duration = Duration::from_secs(10);
/// Pause after an accept failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Open = Arc<Mutex<HashMap<u64, Arc<Connection>>>>;

/// Listening sockets and their connections. All of them stop together.
pub struct Server {
    local: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
    shared: Arc<Shared>,
}

/// What the listeners of a server have in common.
struct Shared {
    open: Open,
    seconds: Arc<AtomicU32>,
    connections_max: usize,
    /// One for each connection that may be, whether it has begun or not.
    slots: Arc<Semaphore>,
    /// A connection has ended.
    ended: Notify,
    addresses: Arc<Addresses>,
    proxies: Vec<IpNet>,
    room: Arc<Room>,
    metrics: Arc<Metrics>,
}

/// How a connection begins.
struct Begin {
    limits: Arc<Limits>,
    service: Arc<dyn Service>,
    tls: Option<Arc<ServerTls>>,
    stop: CancellationToken,
    shared: Arc<Shared>,
}

struct Acceptor {
    listener: TcpListener,
    limits: Arc<Limits>,
    service: Arc<dyn Service>,
    tls: Option<Arc<ServerTls>>,
    stop: CancellationToken,
    tasks: TaskTracker,
    shared: Arc<Shared>,
}

/// A port that is taken and not served yet. Peers may connect; they are served later.
pub struct Bound {
    listener: TcpListener,
    local: SocketAddr,
    settings: ServerSettings,
}

impl Bound {
    /// What it was bound with.
    pub fn settings(&self) -> &ServerSettings {
        &self.settings
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves it. Must be called inside a tokio runtime.
    pub fn serve(self, service: Arc<dyn Service>) -> Server {
        let settings = self.settings;
        let server = Server {
            local: self.local,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            shared: Arc::new(Shared {
                open: Open::default(),
                seconds: Arc::default(),
                connections_max: settings.connections_max,
                slots: Arc::new(Semaphore::new(
                    settings.connections_max.min(Semaphore::MAX_PERMITS),
                )),
                ended: Notify::new(),
                addresses: Addresses::new(settings.address, Arc::clone(&settings.room)),
                proxies: settings.proxies,
                room: Arc::clone(&settings.room),
                metrics: Arc::clone(&settings.metrics),
            }),
        };
        let limits = Arc::new(settings.limits);
        server
            .tasks
            .spawn(sweep(Arc::clone(&server.shared), server.stop.clone()));
        server.accept(self.listener, limits, settings.tls, service);
        server
    }
}

impl Server {
    /// Takes a port. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The port cannot be had.
    pub fn bind(settings: ServerSettings) -> io::Result<Bound> {
        let listener = listen(&settings)?;
        let local = listener.local_addr()?;
        Ok(Bound {
            listener,
            local,
            settings,
        })
    }

    /// Serves another port as well, with another service. Connections are counted together, limited by what the first port
    /// was told, and stop together.
    pub fn also(&self, bound: Bound, service: Arc<dyn Service>) {
        let ServerSettings { limits, tls, .. } = bound.settings;
        self.accept(bound.listener, Arc::new(limits), tls, service);
    }

    fn accept(
        &self,
        listener: TcpListener,
        limits: Arc<Limits>,
        tls: Option<Arc<ServerTls>>,
        service: Arc<dyn Service>,
    ) {
        let acceptor = Acceptor {
            listener,
            limits,
            service,
            tls,
            stop: self.stop.clone(),
            tasks: self.tasks.clone(),
            shared: Arc::clone(&self.shared),
        };
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = acceptor.run() => {}
            }
        });
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        self.shared.open.lock().len()
    }

    /// Takes no more connections. Those that are open are read no more, but for those that stay ([`crate::Peer::stay`]): answers in the
    /// making go out, what is left after `budget` is closed.
    pub async fn close_clients(&self, budget: Duration) {
        self.stop.cancel();
        let each_client = |act: &dyn Fn(&Connection)| {
            let open = self.shared.open.lock();
            let clients: Vec<_> = open.values().filter(|conn| !conn.stays()).cloned().collect();
            drop(open);
            clients.iter().for_each(|conn| act(conn));
        };
        each_client(&Connection::drain);
        let all_gone = async {
            loop {
                let mut ended = std::pin::pin!(self.shared.ended.notified());
                ended.as_mut().enable();
                // Looked at as often as a connection ends: the first client is enough to know.
                if self.shared.open.lock().values().all(|conn| conn.stays()) {
                    return;
                }
                ended.await;
            }
        };
        if tokio::time::timeout(budget, all_gone).await.is_err() {
            each_client(&|conn| conn.close("the server stops"));
        }
    }

    /// Ends all ports together: accepts and reads no more, lets answers in the making go out, closes what is left after
    /// `budget`.
    pub async fn shutdown(self, budget: Duration) {
        self.stop.cancel();
        self.tasks.close();
        let connections = || -> Vec<_> { self.shared.open.lock().values().cloned().collect() };
        connections().iter().for_each(|conn| conn.drain());
        if tokio::time::timeout(budget, self.tasks.wait()).await.is_err() {
            connections()
                .iter()
                .for_each(|conn| conn.close("the server stops"));
            self.tasks.wait().await;
        }
    }
}

/// A socket for a listener at this address, which is to be bound to it. `::` is every address of IPv4, too, whatever the host's usual
/// is (`net.ipv6.bindv6only`).
///
/// # Errors
/// The system gives none.
pub fn socket_for(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => {
            let socket = TcpSocket::new_v6()?;
            rustix::net::sockopt::set_ipv6_v6only(&socket, false)?;
            socket
        }
    };
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

fn listen(settings: &ServerSettings) -> io::Result<TcpListener> {
    let socket = socket_for(settings.bind)?;
    if settings.send_buffer_bytes > 0 {
        socket.set_send_buffer_size(settings.send_buffer_bytes)?;
    }
    if settings.receive_buffer_bytes > 0 {
        socket.set_recv_buffer_size(settings.receive_buffer_bytes)?;
    }
    socket.bind(settings.bind)?;
    socket.listen(settings.backlog.max(1))
}

impl Acceptor {
    async fn run(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => self.accepted(stream, peer),
                // A peer that went away meanwhile is no reason to wait; want of file descriptors is.
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(e) => {
                    let failed = self.shared.metrics.accepts_failed.fetch_add(1, Ordering::Relaxed) + 1;
                    if failed.is_power_of_two() {
                        tracing::warn!("a connection could not be accepted: {e} ({failed} times so far)");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn accepted(&self, stream: TcpStream, peer: SocketAddr) {
        // What comes by IPv4 to a listener of both is IPv4 to everybody: records, limits, logs.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let Shared { metrics, slots, .. } = self.shared.as_ref();
        let Ok(slot) = Arc::clone(slots).try_acquire_owned() else {
            let refused = metrics.connections_refused.fetch_add(1, Ordering::Relaxed) + 1;
            if refused.is_power_of_two() {
                let most = self.shared.connections_max;
                tracing::warn!("connection of {peer} refused, {most} are open ({refused} refused so far)");
            }
            return;
        };
        if let Err(e) = stream.set_nodelay(true) {
            tracing::debug!("TCP_NODELAY for {peer}: {e}");
        }
        let begin = Begin {
            limits: Arc::clone(&self.limits),
            service: Arc::clone(&self.service),
            tls: self.tls.clone(),
            stop: self.stop.clone(),
            shared: Arc::clone(&self.shared),
        };
        let is_proxy = self
            .shared
            .proxies
            .iter()
            .any(|network| network.contains(&peer.ip()));
        if is_proxy {
            self.tasks.spawn(async move {
                let _slot = slot;
                begin.behind_proxy(stream, peer).await;
            });
        } else if let Some(entered) = begin.enter(&stream, peer) {
            self.tasks.spawn(async move {
                let _slot = slot;
                begin.run(stream, entered).await;
            });
        }
    }
}

/// A connection on the list of those that are open, however its task ends.
struct Listed {
    conn: Arc<Connection>,
    entered: Entered,
    shared: Arc<Shared>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.shared.open.lock().remove(&self.conn.id());
        self.shared.ended.notify_waiters();
        self.shared.metrics.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Begin {
    /// Puts a connection of this peer on the list, unless its address has as many as it may.
    fn enter(&self, stream: &TcpStream, peer: SocketAddr) -> Option<Listed> {
        let shared = &self.shared;
        let local = stream.local_addr().ok()?;
        let Some(entered) = shared.addresses.enter(peer.ip()) else {
            let refused = &shared.metrics.connections_refused_of_address;
            let refused = refused.fetch_add(1, Ordering::Relaxed) + 1;
            if refused.is_power_of_two() {
                tracing::warn!(
                    "connection of {peer} refused, its address has as many as it may (serverConnectionsPerAddressMax; \
                     {refused} refused so far)"
                );
            }
            return None;
        };
        tracing::debug!("connection of {peer} to {local} accepted");
        let room = Holding::of(Arc::clone(&shared.room), Arc::clone(&entered.address));
        let metrics = Arc::clone(&shared.metrics);
        let conn = Connection::new(peer, local, Arc::clone(&self.limits), metrics, room);
        let now = shared.seconds.load(Ordering::Relaxed);
        conn.active_at.store(now, Ordering::Relaxed);
        shared.open.lock().insert(conn.id(), Arc::clone(&conn));
        shared.metrics.connections.fetch_add(1, Ordering::Relaxed);
        let listed = Listed {
            conn,
            entered,
            shared: Arc::clone(shared),
        };
        // A server that stops looked at the list before.
        if self.stop.is_cancelled() {
            listed.conn.drain();
        }
        Some(listed)
    }

    /// Reads who is behind the balancer first: its address counts from then on.
    async fn behind_proxy(self, mut stream: TcpStream, peer: SocketAddr) {
        let header = async {
            let read = tokio::time::timeout(HEADER_WITHIN, proxy_header::read(&mut stream)).await;
            read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        let source = tokio::select! {
            source = header => source,
            () = self.stop.cancelled() => return,
        };
        match source {
            Ok(source) => {
                if let Some(listed) = self.enter(&stream, source.unwrap_or(peer)) {
                    self.run(stream, listed).await;
                }
            }
            Err(why) => {
                let damaged = &self.shared.metrics.proxy_headers_damaged;
                let damaged = damaged.fetch_add(1, Ordering::Relaxed) + 1;
                if damaged.is_power_of_two() {
                    tracing::warn!(
                        "connection of {peer} closed: its PROXY header: {why} ({damaged} closed so far)"
                    );
                }
            }
        }
    }

    /// The life of a connection.
    async fn run(self, stream: TcpStream, listed: Listed) {
        let (conn, service) = (&listed.conn, Arc::clone(&self.service));
        let seconds = Arc::clone(&self.shared.seconds);
        let accepted = match &self.tls {
            None => Ok(Accepted::Plain(stream)),
            // In a box, as is the stream: what a handshake needs is large, and is not kept for every connection.
            Some(tls) => Box::pin(self.accept(tls, stream, &listed)).await,
        };
        drop(self);
        match accepted {
            Ok(Accepted::Plain(stream)) => Task::new(stream, Arc::clone(conn), service, seconds).run().await,
            Ok(Accepted::Tls(stream)) => {
                conn.metrics.tls_connections.fetch_add(1, Ordering::Relaxed);
                Task::new(stream, Arc::clone(conn), service, seconds).run().await;
            }
            Err(why) => refused(conn, &why),
        }
    }

    /// Until the first byte has come, and hands are shaken where they are to be.
    async fn accept(&self, tls: &ServerTls, stream: TcpStream, listed: &Listed) -> io::Result<Accepted> {
        // The sweep closes what is silent; nothing runs yet that it could wake.
        let silent = async {
            match listed.conn.limits.idle {
                Duration::ZERO => std::future::pending().await,
                idle => tokio::time::sleep(idle).await,
            }
        };
        let accept = async {
            if !tls.wants_handshake(&stream).await? {
                return Ok(Accepted::Plain(stream));
            }
            let Some(_shaking) = listed.entered.shake() else {
                return Err(io::ErrorKind::QuotaExceeded.into());
            };
            tls.shake(stream).await
        };
        tokio::select! {
            accepted = accept => accepted,
            () = silent => Err(io::ErrorKind::TimedOut.into()),
            // Nothing was asked yet.
            () = self.stop.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

/// Counts why a connection did not begin.
fn refused(conn: &Connection, why: &io::Error) {
    conn.ended();
    let (peer, metrics) = (conn.peer(), &conn.metrics);
    match why.kind() {
        io::ErrorKind::PermissionDenied => {
            let closed = metrics.closed_plain.fetch_add(1, Ordering::Relaxed) + 1;
            if closed.is_power_of_two() {
                tracing::warn!(
                    "connection of {peer} closed: it is plain, and only TLS is taken (tls.server.mode=enforcing; {closed} \
                     closed so far)"
                );
            }
        }
        io::ErrorKind::InvalidData | io::ErrorKind::TimedOut => {
            let failed = metrics.tls_failed.fetch_add(1, Ordering::Relaxed) + 1;
            if failed.is_power_of_two() {
                tracing::warn!(
                    "connection of {peer} closed: the TLS handshake failed: {why} ({failed} failed so far)"
                );
            }
        }
        io::ErrorKind::QuotaExceeded => {
            let crowded = metrics.tls_crowded.fetch_add(1, Ordering::Relaxed) + 1;
            if crowded.is_power_of_two() {
                tracing::warn!(
                    "connection of {peer} closed: too many handshakes are made at once (serverHandshakesMax, half of it for \
                     one address; {crowded} closed so far)"
                );
            }
        }
        _ => tracing::debug!("connection of {peer} closed before it began: {why}"),
    }
}

/// Moves the coarse clock on and closes silent and stuck connections: one timer for all of them.
async fn sweep(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
        let now = shared.seconds.fetch_add(1, Ordering::Relaxed) + 1;
        let overdue: Vec<_> = shared
            .open
            .lock()
            .values()
            .filter_map(|conn| Some((overdue(conn, now)?, Arc::clone(conn))))
            .collect();
        for (why, conn) in overdue {
            match why {
                Overdue::Silent => {
                    conn.metrics.closed_idle.fetch_add(1, Ordering::Relaxed);
                    conn.close("it was silent for too long");
                }
                Overdue::Slow => {
                    let closed = conn.metrics.closed_slow.fetch_add(1, Ordering::Relaxed) + 1;
                    if closed.is_power_of_two() {
                        tracing::warn!(
                            "connection of {} closed: the frame that it is sending does not come on ({closed} closed so far)",
                            conn.peer()
                        );
                    }
                    conn.close("its frame does not come on");
                }
                Overdue::Stuck => {
                    conn.metrics.closed_stalled.fetch_add(1, Ordering::Relaxed);
                    logs::limited!(
                        warn,
                        "connection of {} closed: it takes none of its answers",
                        conn.peer()
                    );
                    conn.close("it does not read");
                }
            }
        }
    }
}

/// Why a connection is closed.
enum Overdue {
    Silent,
    Slow,
    Stuck,
}

/// Looks at one of perhaps very many connections that sleep. Loads and a store and no more, so that the processor waits for
/// the memory of several at once: taking a reference and a lock of each cost more than twice as much.
fn overdue(conn: &Connection, now: u32) -> Option<Overdue> {
    let [idle, stall] = [conn.limits.idle, conn.limits.write_stall].map(|limit| limit.as_secs() as u32);
    if !conn.has_unwritten() {
        conn.wrote_at.store(now, Ordering::Relaxed);
    }
    let silent = now.saturating_sub(conn.active_at.load(Ordering::Relaxed));
    let stuck = now.saturating_sub(conn.wrote_at.load(Ordering::Relaxed));
    if idle > 0 && silent > idle {
        Some(Overdue::Silent)
    } else if now > conn.frame_due.load(Ordering::Relaxed) {
        Some(Overdue::Slow)
    } else if stall > 0 && stuck > stall {
        Some(Overdue::Stuck)
    } else {
        None
    }
}
