//! A listener: accepts, limits, sweeps, ends.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Service;
use crate::connection::Connection;
use crate::settings::{Limits, Metrics, Room, ServerSettings};
use crate::task::Task;
use crate::tls::{Accepted, ServerTls};

/// How often silent and stuck connections are looked for; also the tick of the coarse clock.
const SWEEP: Duration = Duration::from_secs(1);
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
    room: Arc<Room>,
    metrics: Arc<Metrics>,
}

/// How a connection begins.
struct Begin {
    tls: Arc<ServerTls>,
    stop: CancellationToken,
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

fn listen(settings: &ServerSettings) -> io::Result<TcpListener> {
    let socket = match settings.bind {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
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
        let Shared {
            open,
            metrics,
            connections_max: most,
            ..
        } = self.shared.as_ref();
        if open.lock().len() >= *most {
            let refused = metrics.connections_refused.fetch_add(1, Ordering::Relaxed) + 1;
            if refused.is_power_of_two() {
                tracing::warn!("connection of {peer} refused, {most} are open ({refused} refused so far)");
            }
            return;
        }
        let Ok(local) = stream.local_addr() else { return };
        if let Err(e) = stream.set_nodelay(true) {
            tracing::debug!("TCP_NODELAY for {peer}: {e}");
        }
        tracing::debug!("connection of {peer} to {local} accepted");
        let room = Arc::clone(&self.shared.room);
        let conn = Connection::new(peer, local, Arc::clone(&self.limits), Arc::clone(metrics), room);
        let now = self.shared.seconds.load(Ordering::Relaxed);
        conn.active_at.store(now, Ordering::Relaxed);
        open.lock().insert(conn.id(), Arc::clone(&conn));
        metrics.connections.fetch_add(1, Ordering::Relaxed);
        let leave = Leave {
            open: Arc::clone(open),
            metrics: Arc::clone(metrics),
            id: conn.id(),
        };
        let (service, seconds) = (Arc::clone(&self.service), Arc::clone(&self.shared.seconds));
        let begin = self.tls.clone().map(|tls| Begin {
            tls,
            stop: self.stop.clone(),
        });
        self.tasks.spawn(async move {
            let _leave = leave;
            let accepted = match begin {
                None => Ok(Accepted::Plain(stream)),
                // In a box, as is the stream: what a handshake needs is large, and is not kept for every connection.
                Some(begin) => Box::pin(begin.accept(stream, &conn)).await,
            };
            match accepted {
                Ok(Accepted::Plain(stream)) => Task::new(stream, conn, service, seconds).run().await,
                Ok(Accepted::Tls(stream)) => {
                    conn.metrics.tls_connections.fetch_add(1, Ordering::Relaxed);
                    Task::new(stream, conn, service, seconds).run().await;
                }
                Err(why) => refused(&conn, &why),
            }
        });
    }
}

impl Begin {
    /// Until the first byte has come, and hands are shaken where they are to be.
    async fn accept(self, stream: TcpStream, conn: &Connection) -> io::Result<Accepted> {
        // The sweep closes what is silent; nothing runs yet that it could wake.
        let silent = async {
            match conn.limits.idle {
                Duration::ZERO => std::future::pending().await,
                idle => tokio::time::sleep(idle).await,
            }
        };
        tokio::select! {
            accepted = self.tls.accept(stream) => accepted,
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
        _ => tracing::debug!("connection of {peer} closed before it began: {why}"),
    }
}

/// Takes a connection off the list however its task ends.
struct Leave {
    open: Open,
    metrics: Arc<Metrics>,
    id: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.open.lock().remove(&self.id);
        self.metrics.connections.fetch_sub(1, Ordering::Relaxed);
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
                    tracing::warn!(
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
    let [idle, stall, arrival] =
        [conn.limits.idle, conn.limits.write_stall, conn.limits.arrival].map(|limit| limit.as_secs() as u32);
    if !conn.has_unwritten() {
        conn.wrote_at.store(now, Ordering::Relaxed);
    }
    let silent = now.saturating_sub(conn.active_at.load(Ordering::Relaxed));
    let stuck = now.saturating_sub(conn.wrote_at.load(Ordering::Relaxed));
    let coming = now.saturating_sub(conn.coming_since.load(Ordering::Relaxed));
    if idle > 0 && silent > idle {
        Some(Overdue::Silent)
    } else if arrival > 0 && coming > arrival {
        Some(Overdue::Slow)
    } else if stall > 0 && stuck > stall {
        Some(Overdue::Stuck)
    } else {
        None
    }
}
