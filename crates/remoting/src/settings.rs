//! Limits, and what is counted when they are met.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use ipnet::IpNet;

use crate::served::{ServedTable, SlowRequests};
use crate::tls::{ClientTls, ServerTls};

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
    /// The same for their bytes.
    pub bytes_in_flight_max: usize,
    /// A frame that is coming must be whole, or have grown by `arrival_bytes`, within this time; its connection is closed
    /// otherwise. A peer that is not read from has all the time it wants.
    pub arrival: Duration,
    /// The same, bytes.
    pub arrival_bytes: usize,
    /// However it grows, it must be whole within `arrival` and a second more for each so many bytes that it has; 0: it has all the
    /// time it grows in.
    pub frame_bytes_per_second: usize,
    /// Requests of a connection in a second; 0: any number. Further ones are answered SYSTEM_BUSY.
    pub requests_per_second: u32,
    /// The same of an address.
    pub address_requests_per_second: u32,
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
            bytes_in_flight_max: 64 << 20,
            // 4 KiB a second, at any time.
            arrival: Duration::from_secs(30),
            arrival_bytes: 120 << 10,
            // And eight times that on the whole: 16 MiB have nine minutes.
            frame_bytes_per_second: 32 << 10,
            requests_per_second: 0,
            address_requests_per_second: 0,
            write_stall: Duration::from_secs(30),
            idle: Duration::from_secs(120),
        }
    }
}

impl Limits {
    /// How long a frame of so many bytes may take in all, s.
    pub(crate) fn frame_seconds(&self, bytes: usize) -> u32 {
        let own = bytes.checked_div(self.frame_bytes_per_second);
        let own = own.map_or(u32::MAX, |seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
        own.saturating_add(self.arrival.as_secs() as u32)
    }
}

/// What the connections of one address may use together.
#[derive(Debug, Clone)]
pub struct AddressLimits {
    /// Connections; further ones are closed as they come. 0: as many as all.
    pub connections_max: usize,
    /// Bytes of requests that are not answered, and of frames that are still coming. 0: half of what all may have.
    pub bytes_held_max: usize,
    /// TLS handshakes at once, of all addresses; one has half of them. 0: any number.
    pub handshakes_max: usize,
}

impl Default for AddressLimits {
    fn default() -> Self {
        Self {
            connections_max: 0,
            bytes_held_max: 0,
            // Some 60 MiB.
            handshakes_max: 4096,
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
    /// Connections of all ports at once; further ones are closed as they come.
    pub connections_max: usize,
    /// What the connections of one address may use.
    pub address: AddressLimits,
    /// Balancers: from there a PROXY header may come before everything else, and what it names is the address that counts.
    pub proxies: Vec<IpNet>,
    /// What all connections together may hold of requests, and of frames that are still coming.
    pub room: Arc<Room>,
    /// SO_SNDBUF, 0 leaves it (`serverSocketSndBufSize`).
    pub send_buffer_bytes: u32,
    /// SO_RCVBUF, 0 leaves it (`serverSocketRcvBufSize`).
    pub receive_buffer_bytes: u32,
    /// Limits of each connection.
    pub limits: Limits,
    /// Counters; several listeners may share them.
    pub metrics: Arc<Metrics>,
    /// TLS, where it is spoken; several listeners may share it.
    pub tls: Option<Arc<ServerTls>>,
}

impl ServerSettings {
    /// Java's defaults for a listener at `bind`.
    pub fn at(bind: SocketAddr) -> Self {
        Self {
            bind,
            backlog: 1024,
            connections_max: 50_000,
            address: AddressLimits::default(),
            proxies: Vec::new(),
            room: Arc::default(),
            send_buffer_bytes: 0,
            receive_buffer_bytes: 0,
            limits: Limits::default(),
            metrics: Arc::default(),
            tls: None,
        }
    }
}

/// What puts more fields into every request of a client: who asks, and a signature. It is given the fields in no order, and the
/// body in pieces.
#[derive(Clone)]
pub struct Sign(Arc<SignRequest>);

type SignRequest = dyn Fn(&[(&str, &str)], &[&[u8]]) -> Vec<(&'static str, String)> + Send + Sync;

impl Sign {
    /// By this function.
    pub fn by(
        sign: impl Fn(&[(&str, &str)], &[&[u8]]) -> Vec<(&'static str, String)> + Send + Sync + 'static,
    ) -> Self {
        Sign(Arc::new(sign))
    }

    /// The fields that come to these.
    pub(crate) fn fields(&self, fields: &[(&str, &str)], body: &[&[u8]]) -> Vec<(&'static str, String)> {
        (self.0)(fields, body)
    }
}

/// What it signs with is no text for a log.
impl std::fmt::Debug for Sign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sign(..)")
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
    /// Signs every request.
    pub sign: Option<Sign>,
    /// Speaks TLS on every connection.
    pub tls: Option<ClientTls>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            limits: Limits::default(),
            metrics: Arc::default(),
            sign: None,
            tls: None,
        }
    }
}

/// Bytes of requests that are not answered yet and of frames that are still coming, of all connections that share it.
///
/// Requests that find no room are answered SYSTEM_BUSY. The last eighth is for small ones alone, so that heartbeats and
/// administration come through when large sends do not.
#[derive(Debug)]
pub struct Room {
    held: AtomicUsize,
    max: usize,
}

impl Default for Room {
    fn default() -> Self {
        Room::of(512 << 20)
    }
}

impl Room {
    /// Requests up to this many bytes may use the last eighth.
    const SMALL: usize = 4096;

    /// Room for `max` bytes.
    pub fn of(max: usize) -> Room {
        Room {
            held: AtomicUsize::new(0),
            max,
        }
    }

    /// The limit, bytes.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Bytes held now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Takes room for so many bytes; false if there is none.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        self.take_below(self.max_for(bytes), bytes)
    }

    /// Takes what a request of `bytes` lacks beside what is `taken` already, and where there is plenty as much as `more` for
    /// those behind it; false if there is no room.
    pub(crate) fn take_rest(&self, bytes: usize, more: usize, taken: &mut usize) -> bool {
        let rest = bytes.saturating_sub(*taken);
        for (amount, max) in [
            (rest.max(more), self.max_for(usize::MAX)),
            (rest, self.max_for(bytes)),
        ] {
            if self.take_below(max, amount) {
                *taken += amount;
                return true;
            }
        }
        false
    }

    pub(crate) fn max_for(&self, bytes: usize) -> usize {
        if bytes <= Self::SMALL {
            self.max
        } else {
            self.max - self.max / 8
        }
    }

    pub(crate) fn take_below(&self, max: usize, bytes: usize) -> bool {
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes <= max {
            return true;
        }
        self.give(bytes);
        false
    }

    pub(crate) fn give(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Counters. They only grow, except `connections`.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Open connections.
    pub connections: AtomicU64,
    /// Connections turned away at the limit.
    pub connections_refused: AtomicU64,
    /// Connections turned away at the limit of their address.
    pub connections_refused_of_address: AtomicU64,
    /// Times no connection could be accepted, for want of descriptors or memory.
    pub accepts_failed: AtomicU64,
    /// Connections closed because a frame did not come on.
    pub closed_slow: AtomicU64,
    /// Connections closed because a frame could not be read.
    pub frames_damaged: AtomicU64,
    /// Connections closed for silence.
    pub closed_idle: AtomicU64,
    /// Connections closed because the peer did not read.
    pub closed_stalled: AtomicU64,
    /// Connections with TLS.
    pub tls_connections: AtomicU64,
    /// Connections closed because their handshake failed or took too long.
    pub tls_failed: AtomicU64,
    /// Connections closed because too many others shook hands.
    pub tls_crowded: AtomicU64,
    /// Connections closed because their PROXY header made no sense or did not come.
    pub proxy_headers_damaged: AtomicU64,
    /// Connections closed because they are plain and only TLS is taken.
    pub closed_plain: AtomicU64,
    /// Times reading was paused because too much waited for the peer or too many requests were in flight.
    pub reads_paused: AtomicU64,
    /// Requests answered SYSTEM_BUSY because there was no room for their bytes.
    pub requests_refused: AtomicU64,
    /// Requests answered SYSTEM_BUSY because their connection or address had asked too many in this second.
    pub requests_too_many: AtomicU64,
    /// Connections closed because there was no room for a frame whose header alone is large.
    pub closed_crowded: AtomicU64,
    /// Answers that were too large to be written; SYSTEM_ERROR went in their place.
    pub answers_too_large: AtomicU64,
    /// Answers nobody waited for any more.
    pub answers_late: AtomicU64,
    /// Requests.
    pub requests: AtomicU64,
    /// Requests whose handler panicked.
    pub panics: AtomicU64,
    /// What became of requests, and how long they took.
    pub served: ServedTable,
    /// Those that took long.
    pub slow: SlowRequests,
}

/// A metric that counters are told as: its name and what it says. Those of one metric differ by `reason`.
pub(crate) type Family = (&'static str, &'static str);

const REFUSED: Family = (
    "rocketmq_connections_refused_total",
    "Connections refused, by reason.",
);
const CLOSED: Family = (
    "rocketmq_connections_closed_total",
    "Connections closed by the server, by reason.",
);
const REQUESTS: Family = (
    "rocketmq_connection_requests_refused_total",
    "Requests refused before they were looked at, by reason.",
);

/// One of the counters of [`Metrics`], as the page of state and the metrics name it.
pub(crate) struct Counter<'a> {
    pub(crate) count: &'a AtomicU64,
    page: &'static str,
    pub(crate) family: Family,
    /// Empty where the metric has this one alone.
    pub(crate) reason: &'static str,
}

impl Metrics {
    /// Every counter that is told, those of one metric together.
    pub(crate) fn counters(&self) -> [Counter<'_>; 19] {
        let of = |count, page, family, reason| Counter {
            count,
            page,
            family,
            reason,
        };
        let alone = |count, page, name, help| of(count, page, (name, help), "");
        [
            of(
                &self.connections_refused,
                "connections refused at the limit",
                REFUSED,
                "limit",
            ),
            of(
                &self.connections_refused_of_address,
                "connections refused at the limit of their address",
                REFUSED,
                "limit_of_address",
            ),
            of(
                &self.accepts_failed,
                "times no connection could be accepted",
                REFUSED,
                "no_descriptor",
            ),
            of(&self.tls_failed, "handshakes failed", REFUSED, "tls_handshake"),
            of(
                &self.tls_crowded,
                "handshakes refused because of others",
                REFUSED,
                "tls_handshakes_limit",
            ),
            of(
                &self.proxy_headers_damaged,
                "PROXY headers damaged",
                REFUSED,
                "proxy_header",
            ),
            of(&self.closed_plain, "plain connections closed", REFUSED, "plain"),
            of(
                &self.frames_damaged,
                "connections closed for damaged frames",
                CLOSED,
                "damaged_frame",
            ),
            of(
                &self.closed_idle,
                "connections closed for silence",
                CLOSED,
                "idle",
            ),
            of(
                &self.closed_stalled,
                "connections closed for not reading",
                CLOSED,
                "stalled",
            ),
            of(
                &self.closed_slow,
                "connections closed for frames that did not come on",
                CLOSED,
                "slow_frame",
            ),
            of(
                &self.closed_crowded,
                "connections closed for want of room",
                CLOSED,
                "no_room",
            ),
            of(
                &self.requests_refused,
                "requests refused for want of room",
                REQUESTS,
                "no_room",
            ),
            of(
                &self.requests_too_many,
                "requests refused as too many a second",
                REQUESTS,
                "too_many_a_second",
            ),
            alone(
                &self.tls_connections,
                "connections with TLS",
                "rocketmq_tls_connections_total",
                "Connections with TLS.",
            ),
            alone(
                &self.reads_paused,
                "pauses of reading",
                "rocketmq_reads_paused_total",
                "Pauses of reading, because a peer does not read its answers.",
            ),
            alone(
                &self.answers_too_large,
                "answers too large",
                "rocketmq_answers_too_large_total",
                "Answers that were too large to be written.",
            ),
            alone(
                &self.answers_late,
                "answers that came too late",
                "rocketmq_answers_late_total",
                "Answers nobody waited for any more.",
            ),
            alone(
                &self.panics,
                "panics",
                "rocketmq_request_panics_total",
                "Requests whose handler panicked.",
            ),
        ]
    }
}

/// For a page of state: what is open, and each count that is not nothing.
impl std::fmt::Display for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        write!(
            f,
            "{} connections, {} requests so far",
            now(&self.connections),
            now(&self.requests)
        )?;
        for Counter { count, page, .. } in self.counters() {
            let count = now(count);
            if count > 0 {
                write!(f, ", {count} {page}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_are_nothing_are_not_shown() {
        let metrics = Metrics::default();
        assert_eq!(metrics.to_string(), "0 connections, 0 requests so far");
        metrics.panics.fetch_add(2, Ordering::Relaxed);
        metrics.requests.fetch_add(7, Ordering::Relaxed);
        assert_eq!(metrics.to_string(), "0 connections, 7 requests so far, 2 panics");
    }

    #[test]
    fn the_last_eighth_is_for_small_requests() {
        let room = Room::of(800_000);
        assert!(room.take(700_000));
        assert!(!room.take(5000), "large ones have seven eighths");
        assert!(room.take(4096));
        assert_eq!(room.held(), 704_096);
        room.give(700_000);
        assert!(room.take(5000));
        assert_eq!(room.held(), 9096);
    }

    #[test]
    fn room_is_taken_for_what_follows_only_where_there_is_plenty() {
        let room = Room::of(80_000);
        let mut taken = 0;
        assert!(room.take_rest(10_000, 60_000, &mut taken));
        assert_eq!((taken, room.held()), (60_000, 60_000));
        taken -= 10_000;
        // A request that is larger than what is left of that.
        assert!(room.take_rest(55_000, 60_000, &mut taken));
        assert_eq!((taken, room.held()), (55_000, 65_000));
        // The last eighth is for small ones.
        assert!(!room.take_rest(5_001, 60_000, &mut 0));
        assert_eq!(room.held(), 65_000);
        for held in [70_000, 74_000, 78_000] {
            let mut taken = 0;
            let bytes = held - room.held();
            assert!(room.take_rest(bytes, 60_000, &mut taken));
            assert_eq!((taken, room.held()), (bytes, held));
        }
        assert!(!room.take_rest(4_000, 60_000, &mut 0));
        assert_eq!(room.held(), 78_000);
    }
}
