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
use crate::settings::{Limits, Metrics, ServerSettings};
use crate::task::Task;

/// How often silent and stuck connections are looked for; also the tick of the coarse clock.
const SWEEP: Duration = Duration::from_secs(1);
/// Pause after an accept failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Open = Arc<Mutex<HashMap<u64, Arc<Connection>>>>;

/// A listening socket and its connections.
pub struct Server {
    local: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
    open: Open,
}

struct Acceptor {
    listener: TcpListener,
    settings: ServerSettings,
    limits: Arc<Limits>,
    service: Arc<dyn Service>,
    tasks: TaskTracker,
    open: Open,
    seconds: Arc<AtomicU32>,
}

impl Server {
    /// Takes the port. Must be called inside a tokio runtime. Peers may connect from now on; they are served later.
    pub fn bind(settings: ServerSettings) -> io::Result<Bound> {
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
        let listener = socket.listen(settings.backlog.max(1))?;
        let local = listener.local_addr()?;
        Ok(Bound {
            listener,
            local,
            settings,
        })
    }
}

/// A port that is taken and not served yet.
pub struct Bound {
    listener: TcpListener,
    local: SocketAddr,
    settings: ServerSettings,
}

impl Bound {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves it. Must be called inside a tokio runtime.
    pub fn serve(self, service: Arc<dyn Service>) -> Server {
        let Bound {
            listener,
            local,
            settings,
        } = self;
        let (stop, tasks, open) = (CancellationToken::new(), TaskTracker::new(), Open::default());
        let seconds = Arc::new(AtomicU32::new(0));
        let limits = Arc::new(settings.limits.clone());
        tasks.spawn(sweep(
            Arc::clone(&open),
            Arc::clone(&seconds),
            Arc::clone(&limits),
            stop.clone(),
        ));
        let acceptor = Acceptor {
            listener,
            settings,
            limits,
            service,
            tasks: tasks.clone(),
            open: Arc::clone(&open),
            seconds,
        };
        let token = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = acceptor.run() => {}
            }
        });
        Server {
            local,
            stop,
            tasks,
            open,
        }
    }
}

impl Server {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        self.open.lock().len()
    }

    /// Ends: accepts and reads no more, lets answers in the making go out, closes what is left after `budget`.
    pub async fn shutdown(self, budget: Duration) {
        self.stop.cancel();
        self.tasks.close();
        let connections: Vec<_> = self.open.lock().values().cloned().collect();
        connections.iter().for_each(|c| c.drain());
        if tokio::time::timeout(budget, self.tasks.wait()).await.is_err() {
            let left: Vec<_> = self.open.lock().values().cloned().collect();
            left.iter().for_each(|c| c.close("the server stops"));
            self.tasks.wait().await;
        }
    }
}

impl Acceptor {
    async fn run(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => self.accepted(stream, peer),
                Err(e) => {
                    // A peer that went away meanwhile is no reason to wait; want of file descriptors is.
                    if e.kind() != io::ErrorKind::ConnectionAborted {
                        tracing::warn!("a connection could not be accepted: {e}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }

    fn accepted(&self, stream: TcpStream, peer: SocketAddr) {
        let metrics = &self.settings.metrics;
        if self.open.lock().len() >= self.settings.connections_max {
            let refused = metrics.connections_refused.fetch_add(1, Ordering::Relaxed) + 1;
            if refused.is_power_of_two() {
                let most = self.settings.connections_max;
                tracing::warn!("connection of {peer} refused, {most} are open ({refused} refused so far)");
            }
            return;
        }
        let Ok(local) = stream.local_addr() else { return };
        if let Err(e) = stream.set_nodelay(true) {
            tracing::debug!("TCP_NODELAY for {peer}: {e}");
        }
        let conn = Connection::new(peer, local, Arc::clone(&self.limits), Arc::clone(metrics));
        self.open.lock().insert(conn.id(), Arc::clone(&conn));
        metrics.connections.fetch_add(1, Ordering::Relaxed);
        let task = Task::new(
            stream,
            Arc::clone(&conn),
            Arc::clone(&self.service),
            Arc::clone(&self.seconds),
        );
        let (open, metrics) = (Arc::clone(&self.open), Arc::clone(metrics));
        self.tasks.spawn(async move {
            let _leave = Leave {
                open,
                metrics,
                id: conn.id(),
            };
            task.run().await;
        });
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
async fn sweep(open: Open, seconds: Arc<AtomicU32>, limits: Arc<Limits>, stop: CancellationToken) {
    let (idle, stall) = (limits.idle.as_secs() as u32, limits.write_stall.as_secs() as u32);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
        let now = seconds.fetch_add(1, Ordering::Relaxed) + 1;
        let overdue: Vec<_> = open
            .lock()
            .values()
            .filter_map(|conn| Some((overdue(conn, now, idle, stall)?, Arc::clone(conn))))
            .collect();
        for (why, conn) in overdue {
            match why {
                Overdue::Silent => {
                    conn.metrics.closed_idle.fetch_add(1, Ordering::Relaxed);
                    conn.close("it was silent for too long");
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
    Stuck,
}

/// Looks at one of perhaps very many connections that sleep. Loads and a store and no more, so that the processor waits for
/// the memory of several at once: taking a reference and a lock of each cost more than twice as much.
fn overdue(conn: &Connection, now: u32, idle: u32, stall: u32) -> Option<Overdue> {
    if !conn.has_unwritten() {
        conn.wrote_at.store(now, Ordering::Relaxed);
    }
    let silent = now.saturating_sub(conn.active_at.load(Ordering::Relaxed));
    let stuck = now.saturating_sub(conn.wrote_at.load(Ordering::Relaxed));
    if idle > 0 && silent > idle {
        Some(Overdue::Silent)
    } else if stall > 0 && stuck > stall {
        Some(Overdue::Stuck)
    } else {
        None
    }
}
