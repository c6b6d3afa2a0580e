//! Answering a request: exactly once.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use protocol::code::response;
use protocol::frame::FLAG_RESPONSE;
use protocol::version::V4_9_8;
use protocol::{EncodeHeader, Head, Language, SerializeType};
use serde::Serialize;

use crate::{Peer, Reply};

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
        }
    }

    /// The same, for a request whose bytes the peer counts; [`Peer::release`] gets them back.
    pub fn weighing(mut self, bytes: usize) -> Self {
        self.weight = bytes;
        self
    }

    /// Gives back the bytes that the peer counts for the request, before its answer: whoever keeps it from now on keeps
    /// something smaller, and counts that.
    pub fn release_weight(&mut self) {
        self.peer.release(std::mem::take(&mut self.weight));
    }

    /// Answers.
    pub fn reply(mut self, code: i32, remark: Option<&str>, header: &dyn EncodeHeader, body: Body) {
        self.answer(code, remark, header, body);
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

    fn answer(&mut self, code: i32, remark: Option<&str>, header: &dyn EncodeHeader, body: Body) {
        self.answered = true;
        let weight = std::mem::take(&mut self.weight);
        if self.oneway {
            return self.peer.finish(None, weight);
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
        self.peer.finish(Some(Reply { head, header, body }), weight);
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if !self.answered {
            let remark = "the request was dropped by a fault in this server, see its log";
            self.answer(response::SYSTEM_ERROR, Some(remark), &(), Body::Empty);
        }
    }
}
