//! The tokio server and client of the remoting protocol.
//!
//! Owns: sockets, cutting the byte stream into frames, matching answers to requests, limits, and an orderly end. Knows
//! nothing of topics. One task a connection does everything: it reads what is there, hands all whole frames to the
//! [`Service`] at once, and writes all answers that are ready in one vectored write. Answers made elsewhere (a long
//! poll, a flush) are put into the connection's outbox and wake the task. What may take time is served in a [`lane`].
//!
//! Start reading at `task.rs`.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests make files and runtimes")
)]

mod address;
pub mod budget;
mod client;
mod connection;
mod cutter;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod lane;
#[cfg(any(test, feature = "memory-peer"))]
mod memory_peer;
mod peer;
mod proxy_header;
mod responder;
mod served;
mod server;
mod settings;
mod task;
pub mod tls;

use std::collections::VecDeque;
use std::sync::Arc;

pub use client::{Client, InvokeError};
pub use connection::{Closed, Connection};
#[cfg(any(test, feature = "memory-peer"))]
pub use memory_peer::MemoryPeer;
pub use peer::{Answered, Peer, Reply, RequestEnd};
pub use responder::{Body, Responder};
pub use served::{Outcome, Served, ServedRequests, ServedTable, SlowRequests, traffic};
pub use server::{Bound, Server, socket_for};
pub use settings::{AddressLimits, ClientSettings, LargeFrames, Limits, Metrics, Room, ServerSettings, Sign};

use protocol::Frame;

/// A request and the one chance to answer it.
#[derive(Debug)]
pub struct Request {
    /// What was asked.
    pub frame: Frame,
    /// Answers it.
    pub responder: Responder,
}

/// What serves the requests of a listener.
pub trait Service: Send + Sync + 'static {
    /// Called on the connection's task with every request that one read brought, in order. Takes from the front what
    /// it handles. Must not wait for anything but short locks: slow work takes the [`Responder`] to a task of its own.
    ///
    /// Looks between two requests whether it should leave the rest ([`Connection::should_yield`]), which is handed in again.
    ///
    /// A panic answers the requests that were taken and not answered with SYSTEM_ERROR; the rest are handed in again.
    fn serve(&self, conn: &Arc<Connection>, requests: &mut VecDeque<Request>);

    /// Called after the answers of what was served have been offered to the socket: the place for work that others wait
    /// for and the peer does not.
    fn served(&self) {}

    /// The connection is gone.
    fn closed(&self, conn: &Arc<Connection>);
}
