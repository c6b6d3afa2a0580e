//! The other end of a request, whatever carries it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::{EncodeHeader, Frame, Head};

use crate::served::Served;
use crate::{Body, Closed, Connection, InvokeError};

/// Takes what comes of a request that a peer was asked: its answer, whatever the code, or why there is none. Called once, on any
/// thread.
pub type Answered = Box<dyn FnOnce(Result<Frame, InvokeError>) + Send>;

/// The answer to one request, before it is encoded.
pub struct Reply<'a> {
    /// Code, opaque, remark and the form of the header.
    pub head: Head<'a>,
    /// The typed header.
    pub header: &'a dyn EncodeHeader,
    /// The body.
    pub body: Body,
}

/// Who sent a request, and where its answer goes. A [`Connection`] is one; a simulation or another front brings its own.
pub trait Peer: Send + Sync + 'static {
    /// A number no other peer of this process has.
    fn id(&self) -> u64;

    /// Its address.
    fn address(&self) -> SocketAddr;

    /// Can it still be written to?
    fn is_open(&self) -> bool;

    /// Does more wait for it to read than may? What makes large answers refuses to make more of them.
    fn is_congested(&self) -> bool;

    /// Ends the talk; what waits to be written is lost.
    fn close(&self, reason: &str);

    /// Gets back bytes that it counts for a request, before its outcome.
    fn release(&self, bytes: usize) {
        let _ = bytes;
    }

    /// Hears what became of a request, and how long it took.
    fn served(&self, served: Served, took: Duration) {
        let _ = (served, took);
    }

    /// Takes the outcome of one request, exactly once for each: its answer, or nothing for a oneway request; and gets back
    /// the `weight`, bytes that it still counts for the request.
    fn finish(&self, reply: Option<Reply<'_>>, weight: usize);

    /// Sends a request that nobody answers.
    fn oneway(&self, code: i32, header: &dyn EncodeHeader, body: Body) -> Result<(), Closed>;

    /// Sends a request at once; `then` gets what comes of it, at the latest after `within`.
    fn ask(
        self: Arc<Self>,
        code: i32,
        header: &dyn EncodeHeader,
        body: Body,
        within: Duration,
        then: Answered,
    );
}

impl Peer for Connection {
    fn id(&self) -> u64 {
        self.id()
    }

    fn address(&self) -> SocketAddr {
        self.peer()
    }

    fn is_open(&self) -> bool {
        self.is_open()
    }

    fn is_congested(&self) -> bool {
        self.is_congested()
    }

    fn close(&self, reason: &str) {
        self.close(reason);
    }

    fn release(&self, bytes: usize) {
        self.bytes_released(bytes);
    }

    fn finish(&self, reply: Option<Reply<'_>>, weight: usize) {
        // Into the outbox before it is counted as done: a connection that drains closes when all are done.
        match reply {
            Some(Reply { head, header, body }) => self.push_answer(&head, header, body, weight),
            None => self.give_room(weight),
        }
        self.request_done(weight);
    }

    fn served(&self, served: Served, took: Duration) {
        self.metrics.served.add(served, took);
        self.metrics.slow.note(served, took, self.peer());
    }

    fn oneway(&self, code: i32, header: &dyn EncodeHeader, body: Body) -> Result<(), Closed> {
        self.oneway(code, header, body)
    }

    /// Only inside a runtime.
    fn ask(
        self: Arc<Self>,
        code: i32,
        header: &dyn EncodeHeader,
        body: Body,
        within: Duration,
        then: Answered,
    ) {
        let sent = self.send(code, header, body);
        tokio::spawn(async move { then(self.answer(sent, code, within).await) });
    }
}
