//! A peer without a socket, for tests and simulations: what it is sent can be taken out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::encode::encode_frame;
use protocol::{EncodeHeader, Frame, Head, SerializeType};

use crate::connection::request_head;
use crate::{Answered, Body, Closed, InvokeError, Peer, Reply, Request, RequestEnd, Responder};

static NEXT_ID: AtomicU64 = AtomicU64::new(1 << 63);

/// A peer that keeps what it is sent.
pub struct MemoryPeer {
    id: u64,
    address: SocketAddr,
    open: AtomicBool,
    congested: AtomicBool,
    next_opaque: AtomicI32,
    finished: AtomicU64,
    released: AtomicU64,
    received: Mutex<Vec<Frame>>,
    /// What it was asked and has not answered, with the time it has.
    asked: Mutex<HashMap<i32, (i32, Duration, Answered)>>,
}

impl MemoryPeer {
    /// A peer at this address.
    pub fn new(address: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            address,
            open: AtomicBool::new(true),
            congested: AtomicBool::new(false),
            next_opaque: AtomicI32::new(1),
            finished: AtomicU64::new(0),
            released: AtomicU64::new(0),
            received: Mutex::default(),
            asked: Mutex::default(),
        })
    }

    /// A request of this peer, as it would come over a connection; its opaque is the second value.
    pub fn request(
        self: &Arc<Self>,
        code: i32,
        header: &dyn EncodeHeader,
        body: impl Into<Bytes>,
    ) -> (Request, i32) {
        let opaque = self.next_opaque.fetch_add(1, Ordering::Relaxed);
        let frame = decoded(&request_head(code, opaque, 0), header, &body.into());
        let peer = Arc::clone(self) as Arc<dyn Peer>;
        let responder = Responder::new(peer, opaque, SerializeType::Json, false);
        (Request { frame, responder }, opaque)
    }

    /// Everything sent to it since the last call: answers and the server's own requests.
    pub fn take(&self) -> Vec<Frame> {
        std::mem::take(&mut *self.received.lock())
    }

    /// The answer to the request of this opaque, if it has come.
    pub fn take_answer(&self, opaque: i32) -> Option<Frame> {
        let mut received = self.received.lock();
        let at = received
            .iter()
            .position(|frame| frame.is_response() && frame.opaque == opaque)?;
        Some(received.remove(at))
    }

    /// Answers what it was asked with this opaque.
    ///
    /// # Panics
    /// It was not, or has answered.
    pub fn answer(
        &self,
        opaque: i32,
        code: i32,
        remark: Option<&str>,
        header: &dyn EncodeHeader,
        body: impl Into<Bytes>,
    ) {
        let (_, _, then) = self.asked.lock().remove(&opaque).expect("it was asked that");
        let head = Head {
            remark,
            ..request_head(code, opaque, protocol::frame::FLAG_RESPONSE)
        };
        then(Ok(decoded(&head, header, &body.into())));
    }

    /// Lets the time pass in which it could have answered; gives the longest time that any of its questions had.
    pub fn answer_nothing(&self) -> Duration {
        let asked = std::mem::take(&mut *self.asked.lock());
        let mut longest = Duration::ZERO;
        for (code, after, then) in asked.into_values() {
            longest = longest.max(after);
            then(Err(InvokeError::Timeout {
                peer: self.address,
                code,
                after,
            }));
        }
        longest
    }

    /// How many requests have had their outcome.
    pub fn finished(&self) -> u64 {
        self.finished.load(Ordering::Acquire)
    }

    /// Bytes of requests that it has got back.
    pub fn released(&self) -> u64 {
        self.released.load(Ordering::Acquire)
    }

    /// Makes it look as if it did not read.
    pub fn set_congested(&self, congested: bool) {
        self.congested.store(congested, Ordering::Release);
    }
}

fn decoded(head: &Head<'_>, header: &dyn EncodeHeader, body: &[u8]) -> Frame {
    let encoded = encode_frame(head, header, body).expect("test frames are small");
    let after_length = encoded.get(4..).unwrap_or_default();
    Frame::decode(Bytes::copy_from_slice(after_length)).expect("what was just encoded is a frame")
}

impl Peer for MemoryPeer {
    fn id(&self) -> u64 {
        self.id
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    fn is_congested(&self) -> bool {
        self.congested.load(Ordering::Acquire)
    }

    fn close(&self, _reason: &str) {
        self.open.store(false, Ordering::Release);
        let asked = std::mem::take(&mut *self.asked.lock());
        for (_, _, then) in asked.into_values() {
            then(Err(InvokeError::Closed { peer: self.address }));
        }
    }

    fn release(&self, bytes: usize) {
        self.released.fetch_add(bytes as u64, Ordering::AcqRel);
    }

    fn finish(&self, reply: Option<Reply<'_>>, end: RequestEnd) {
        self.release(end.weight);
        if let Some(Reply { head, header, body }) = reply {
            let frame = decoded(&head, header, &joined(body));
            self.received.lock().push(frame);
        }
        self.finished.fetch_add(1, Ordering::AcqRel);
    }

    fn oneway(&self, code: i32, header: &dyn EncodeHeader, body: Body) -> Result<(), Closed> {
        if !self.is_open() {
            return Err(Closed);
        }
        let opaque = self.next_opaque.fetch_add(1, Ordering::Relaxed);
        let flag = protocol::frame::FLAG_ONEWAY;
        let frame = decoded(&request_head(code, opaque, flag), header, &joined(body));
        self.received.lock().push(frame);
        Ok(())
    }

    fn ask(
        self: Arc<Self>,
        code: i32,
        header: &dyn EncodeHeader,
        body: Body,
        within: Duration,
        then: Answered,
    ) {
        if !self.is_open() {
            return then(Err(InvokeError::Closed { peer: self.address }));
        }
        let opaque = self.next_opaque.fetch_add(1, Ordering::Relaxed);
        let frame = decoded(&request_head(code, opaque, 0), header, &joined(body));
        self.asked.lock().insert(opaque, (code, within, then));
        self.received.lock().push(frame);
    }
}

fn joined(body: Body) -> Vec<u8> {
    match body {
        Body::Empty => Vec::new(),
        Body::Bytes(bytes) => bytes.to_vec(),
        Body::Chunks(chunks) => chunks.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_request_come_back_once() {
        let peer = MemoryPeer::new(([127, 0, 0, 1], 1).into());
        let mut kept = peer.request(1, &(), "").0.responder.weighing(100);
        kept.release_weight();
        assert_eq!((peer.released(), peer.finished()), (100, 0));
        kept.ok();
        assert_eq!((peer.released(), peer.finished()), (100, 1));
        peer.request(1, &(), "").0.responder.weighing(7).ok();
        assert_eq!(peer.released(), 107);
    }
}
