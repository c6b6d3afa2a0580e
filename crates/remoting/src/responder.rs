//! Answering a request: exactly once.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use protocol::code::response;
use protocol::frame::FLAG_RESPONSE;
use protocol::version::V4_9_8;
use protocol::{EncodeHeader, Head, Language, SerializeType};
use serde::Serialize;

use crate::served::{Begun, Outcome, Served};
use crate::{Peer, Reply, RequestEnd};

/// The body of a frame.
#[derive(Debug, Clone, Default)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// One piece.
    Bytes(Bytes),
    /// Pieces that are written one after the other, not copied together.
    Chunks(Vec<Bytes>),
}

impl Body {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Body::Empty => 0,
            Body::Bytes(bytes) => bytes.len(),
            Body::Chunks(chunks) => chunks.iter().map(Bytes::len).sum(),
        }
    }

    /// Is there nothing?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Body::Bytes(bytes.into())
    }
}

/// The one chance to answer a request, from any thread, now or much later. Dropped without an answer it answers
/// SYSTEM_ERROR. A oneway request is never answered, whatever is called.
pub struct Responder {
    peer: Arc<dyn Peer>,
    opaque: i32,
    serialize_type: SerializeType,
    oneway: bool,
    answered: bool,
    /// Bytes the peer counts for the request until it is answered.
    weight: usize,
    /// What is counted when it is answered.
    begun: Option<Begun>,
    held: bool,
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Responder({} to {})", self.opaque, self.peer.address())
    }
}

impl Responder {
    /// For one request of `peer`, with the number and the form of header that the answer repeats.
    pub fn new(peer: Arc<dyn Peer>, opaque: i32, serialize_type: SerializeType, oneway: bool) -> Self {
        Self {
            peer,
            opaque,
            serialize_type,
            oneway,
            answered: false,
            weight: 0,
            begun: None,
            held: false,
        }
    }

    /// The same, for a request of this code whose decoding began at `at`: the peer counts how long it took.
    pub(crate) fn begun(mut self, request: i32, at: Instant) -> Self {
        self.begun = Some(Begun { request, at });
        self
    }

    /// The same, for a request whose bytes the peer counts; [`Peer::release`] gets them back.
    pub fn weighing(mut self, bytes: usize) -> Self {
        self.weight = bytes;
        self
    }

    /// The request is held until there is something to answer. Gives back the bytes that the peer counts for it, before its answer:
    /// whoever keeps it from now on keeps something smaller, and counts that.
    pub fn release_weight(&mut self) {
        self.held = true;
        self.peer.release(std::mem::take(&mut self.weight));
    }

    /// Answers.
    pub fn reply(mut self, code: i32, remark: Option<&str>, header: &dyn EncodeHeader, body: Body) {
        self.answer(code, remark, header, body, Outcome::Success);
    }

    /// Answers SUCCESS with nothing else.
    pub fn ok(self) {
        self.reply(response::SUCCESS, None, &(), Body::Empty);
    }

    /// Answers SUCCESS with a JSON body.
    pub fn body<T: Serialize + ?Sized>(self, value: &T) {
        match serde_json::to_vec(value) {
            Ok(json) => self.reply(response::SUCCESS, None, &(), json.into()),
            Err(e) => self.error(
                response::SYSTEM_ERROR,
                &format!("the answer can not be written as JSON: {e}"),
            ),
        }
    }

    /// Refuses.
    pub fn error(self, code: i32, remark: &str) {
        self.reply(code, Some(remark), &(), Body::Empty);
    }

    /// Does the peer expect no answer?
    pub fn is_oneway(&self) -> bool {
        self.oneway
    }

    /// Who sent the request.
    pub fn peer(&self) -> &Arc<dyn Peer> {
        &self.peer
    }

    /// What is counted of it.
    fn served(&self, response: i32, outcome: Outcome) -> Option<(Served, Instant)> {
        let begun = self.begun?;
        let outcome = match outcome {
            Outcome::Success if self.oneway => Outcome::Oneway,
            Outcome::Success if !self.peer.is_open() => Outcome::WriteChannelFailed,
            outcome => outcome,
        };
        let served = Served {
            request: begun.request,
            response,
            held: self.held,
            outcome,
        };
        Some((served, begun.at))
    }

    fn answer(
        &mut self,
        code: i32,
        remark: Option<&str>,
        header: &dyn EncodeHeader,
        body: Body,
        outcome: Outcome,
    ) {
        self.answered = true;
        let end = RequestEnd {
            weight: std::mem::take(&mut self.weight),
            served: self.served(code, outcome),
        };
        if self.oneway {
            return self.peer.finish(None, end);
        }
        let head = Head {
            code,
            language: Language::Java,
            version: V4_9_8,
            opaque: self.opaque,
            flag: FLAG_RESPONSE,
            remark,
            serialize_type: self.serialize_type,
        };
        self.peer.finish(Some(Reply { head, header, body }), end);
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if !self.answered {
            let remark = "the request was dropped by a fault in this server, see its log";
            let outcome = Outcome::ProcessRequestFailed;
            self.answer(response::SYSTEM_ERROR, Some(remark), &(), Body::Empty, outcome);
        }
    }
}
