//! The gate before the handlers: what every request of a read passes, sends included, before anything is made of it.
//!
//! Here stand the limits that concern a whole family of requests; here is the place of access control.

use std::sync::Arc;

use protocol::code::{request, response};
use remoting::Request;

use remoting::budget::Budget;

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
    /// What the answers occupy that wait until their records are safe.
    pub waiting_sends: Arc<Budget>,
}

/// How the gate stands for the requests of one read.
pub struct Pass<'g> {
    gate: &'g Gate,
    takes_sends: bool,
}

impl Gate {
    /// Looks once for all requests of a read.
    pub fn look(&self) -> Pass<'_> {
        Pass {
            gate: self,
            takes_sends: !self.waiting_sends.is_exhausted(),
        }
    }
}

impl Pass<'_> {
    /// Why this request goes no further, if so.
    pub fn refusal(&self, request: &Request) -> Option<Refusal> {
        match request.frame.code {
            request::SEND_MESSAGE
            | request::SEND_MESSAGE_V2
            | request::SEND_BATCH_MESSAGE
            | request::CONSUMER_SEND_MSG_BACK
            | request::SEND_REPLY_MESSAGE
            | request::SEND_REPLY_MESSAGE_V2
            | request::END_TRANSACTION
                if !self.takes_sends =>
            {
                self.gate.waiting_sends.refuse();
                Some(Refusal {
                    code: response::SYSTEM_BUSY,
                    remark: "[TOO_MANY_SENDS_WAIT]the disk does not keep up with what is to be flushed, send again later",
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use remoting::MemoryPeer;

    use super::*;

    #[test]
    fn sends_are_refused_while_too_many_wait_and_nothing_else_is() {
        let gate = Gate {
            waiting_sends: Budget::new("WAITING_SENDS", 1000),
        };
        let peer = MemoryPeer::new(([127, 0, 0, 1], 1).into());
        let code = |code| {
            let (request, _) = peer.request(code, &(), "");
            gate.look().refusal(&request).map(|refusal| refusal.code)
        };
        let sends = [
            request::SEND_MESSAGE,
            request::SEND_MESSAGE_V2,
            request::SEND_BATCH_MESSAGE,
            request::CONSUMER_SEND_MSG_BACK,
            request::SEND_REPLY_MESSAGE,
            request::SEND_REPLY_MESSAGE_V2,
            request::END_TRANSACTION,
        ];
        let share = gate.waiting_sends.count(1000);
        for send in sends {
            assert_eq!(code(send), Some(response::SYSTEM_BUSY), "{send}");
        }
        assert_eq!(code(request::HEART_BEAT), None);
        assert_eq!(gate.waiting_sends.refused(), sends.len() as u64);
        drop(share);
        for send in sends {
            assert_eq!(code(send), None, "{send}");
        }
    }
}
