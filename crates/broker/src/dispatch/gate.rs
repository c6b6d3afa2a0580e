//! The gate before the handlers: what every request of a read passes, sends included, before anything is made of it.
//!
//! Here stand the limits that concern a whole family of requests; here is the place of access control.

use std::sync::Arc;

use protocol::code::{request, response};
use remoting::Request;

use crate::commitlog::Acknowledgements;

/// Sends that may wait for a flush at once: with what each keeps, 256 MiB.
const WAITING_SENDS_MAX: usize = (256 << 20) / WAITING_SEND_BYTES;
/// Bytes that a send keeps while it waits: its place, its answer, what its responder holds.
const WAITING_SEND_BYTES: usize = 512;

/// What a request is refused with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// RocketMQ's code.
    pub code: i32,
    /// What the user can do.
    pub remark: &'static str,
}

/// Looks at every request.
pub struct Gate {
    /// Who waits for safety.
    pub acknowledgements: Arc<Acknowledgements>,
}

/// How the gate stands for the requests of one read.
pub struct Pass {
    sends: Option<Refusal>,
}

impl Gate {
    /// Looks once for all requests of a read.
    pub fn look(&self) -> Pass {
        let full = self.acknowledgements.len() >= WAITING_SENDS_MAX;
        Pass {
            sends: full.then_some(Refusal {
                code: response::SYSTEM_BUSY,
                remark: "[TOO_MANY_SENDS_WAIT]the disk does not keep up with what is to be flushed, send again later",
            }),
        }
    }
}

impl Pass {
    /// Why this request goes no further, if so.
    pub fn refusal(&self, request: &Request) -> Option<Refusal> {
        match request.frame.code {
            request::SEND_MESSAGE
            | request::SEND_MESSAGE_V2
            | request::SEND_BATCH_MESSAGE
            | request::CONSUMER_SEND_MSG_BACK => self.sends,
            _ => None,
        }
    }
}
