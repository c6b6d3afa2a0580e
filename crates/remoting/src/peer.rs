//! The other end of a request, whatever carries it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// The end of one request.
#[derive(Debug, Clone, Copy)]
pub struct RequestEnd {
    /// Bytes that the peer still counts for it, and gets back.
    pub weight: usize,
    /// What became of it and when its decoding began, if that is to be counted.
    pub served: Option<(Served, Instant)>,
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

    /// The other end is needed until a server that stops has told it the last: its connection is closed after all others
    /// ([`crate::Server::close_clients`]).
    fn stay(&self) {}

    /// Gets back bytes that it counts for a request, before its outcome.
    fn release(&self, bytes: usize) {
        let _ = bytes;
    }

    /// Takes the outcome of one request, exactly once for each: its answer, or nothing for a oneway request.
    fn finish(&self, reply: Option<Reply<'_>>, end: RequestEnd);

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

    fn stay(&self) {
        self.stay();
    }

    fn release(&self, bytes: usize) {
        self.bytes_released(bytes);
    }

    fn finish(&self, reply: Option<Reply<'_>>, end: RequestEnd) {
        match reply {
            Some(Reply { head, header, body }) => self.push_answer(&head, header, body, end),
            None => self.end_unanswered(end),
        }
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
