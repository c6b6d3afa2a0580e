//! Limits, and what is counted when they are met.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Frames of one code that may be larger than others.
#[derive(Debug, Clone, Copy)]
pub struct LargeFrames {
    /// The request code.
    pub code: i32,
    /// Their limit, bytes, length field included.
    pub max_bytes: usize,
}

/// What one connection may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest frame, bytes, length field included (Java: `com.rocketmq.remoting.frameMaxLength`, 16 MiB).
    pub frame_max_bytes: usize,
    /// An exception for one code.
    pub large_frames: Option<LargeFrames>,
    /// Answers not yet written, bytes, above which nothing more is read from the peer.
    pub outbox_max_bytes: usize,
    /// Requests handed out and not answered above which nothing more is read from the peer.
    pub requests_in_flight_max: usize,
    /// A peer that takes nothing of what waits for it is cut off after this time.
    pub write_stall: Duration,
    /// A connection silent in both directions is closed after this time (`serverChannelMaxIdleTimeSeconds`).
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_max_bytes: 16_777_216,
            large_frames: None,
            outbox_max_bytes: 8 << 20,
            requests_in_flight_max: 65_536,
            write_stall: Duration::from_secs(30),
            idle: Duration::from_secs(120),
        }
    }
}

/// A listener.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where to listen.
    pub bind: SocketAddr,
    /// Length of the queue of connections not yet accepted (`serverSocketBacklog`).
    pub backlog: u32,
    /// Connections at once; further ones are closed as they come.
    pub connections_max: usize,
    /// SO_SNDBUF, 0 leaves it (`serverSocketSndBufSize`).
    pub send_buffer_bytes: u32,
    /// SO_RCVBUF, 0 leaves it (`serverSocketRcvBufSize`).
    pub receive_buffer_bytes: u32,
    /// Limits of each connection.
    pub limits: Limits,
    /// Counters; several listeners may share them.
    pub metrics: Arc<Metrics>,
}

impl ServerSettings {
    /// Java's defaults for a listener at `bind`.
    pub fn at(bind: SocketAddr) -> Self {
        Self {
            bind,
            backlog: 1024,
            connections_max: 50_000,
            send_buffer_bytes: 0,
            receive_buffer_bytes: 0,
            limits: Limits::default(),
            metrics: Arc::default(),
        }
    }
}

/// The calling side.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// How long a connection may take to be made (`connectTimeoutMillis`).
    pub connect_timeout: Duration,
    /// Limits of each connection.
    pub limits: Limits,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            limits: Limits::default(),
            metrics: Arc::default(),
        }
    }
}

/// Counters. They only grow, except `connections`.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Open connections.
    pub connections: AtomicU64,
    /// Connections turned away at the limit.
    pub connections_refused: AtomicU64,
    /// Connections closed because a frame could not be read.
    pub frames_damaged: AtomicU64,
    /// Connections closed for silence.
    pub closed_idle: AtomicU64,
    /// Connections closed because the peer did not read.
    pub closed_stalled: AtomicU64,
    /// Times reading was paused because too much waited for the peer or too many requests were in flight.
    pub reads_paused: AtomicU64,
    /// Answers nobody waited for any more.
    pub answers_late: AtomicU64,
    /// Requests.
    pub requests: AtomicU64,
    /// Requests whose handler panicked.
    pub panics: AtomicU64,
}
