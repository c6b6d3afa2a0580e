//! The answer to a send: made when the record has its place, sent when the record is as safe as was asked for.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use message::id::{OffsetMessageId, TEXT_MAX};
use protocol::code::response;
use protocol::header::broker::SendMessageResponseHeader;
use remoting::{Body, Responder};

/// An answer that knows where the message is.
pub struct Answer {
    /// Who gets it.
    pub responder: Responder,
    /// Queue of the topic the sender asked for.
    pub queue_id: i32,
    /// Offset of the first record.
    pub queue_offset: i64,
    /// Physical offset of each record; one, unless it was a batch.
    pub physical: Physical,
    /// brokerIP1:listenPort, part of the message ids.
    pub store_host: SocketAddr,
    /// regionId and traceOn, which clients read without a test.
    pub region: Arc<str>,
    /// traceOn.
    pub trace_on: bool,
    /// What the answer says if the message is safe on this broker but not where else it should be.
    pub code: i32,
}

/// Physical offsets of what one request stored.
pub enum Physical {
    /// One record.
    One(i64),
    /// A batch.
    Many(Vec<i64>),
}

impl Answer {
    /// Sends the answer; `code` is SUCCESS or one of the codes that are successes to the client as well.
    pub fn send(self, code: i32) {
        let mut buffer = [0; TEXT_MAX];
        let ids = match &self.physical {
            Physical::One(at) => Cow::Borrowed(self.id(*at).text(&mut buffer)),
            Physical::Many(all) => {
                let mut ids = String::with_capacity(33 * all.len());
                for (i, at) in all.iter().enumerate() {
                    if i > 0 {
                        ids.push(',');
                    }
                    ids.push_str(self.id(*at).text(&mut buffer));
                }
                Cow::Owned(ids)
            }
        };
        let header = SendMessageResponseHeader {
            msg_id: ids,
            queue_id: self.queue_id,
            queue_offset: self.queue_offset,
            transaction_id: None,
            region: Some(Cow::Borrowed(&self.region)),
            trace_on: Some(Cow::Borrowed(if self.trace_on { "true" } else { "false" })),
        };
        // A failed flush counts less than a missing slave (RocketMQ 4.9.8, CommitLog.asyncPutMessage).
        let code = if self.code == response::SUCCESS {
            code
        } else {
            self.code
        };
        self.responder.reply(code, None, &header, Body::Empty);
    }

    fn id(&self, physical_offset: i64) -> OffsetMessageId {
        OffsetMessageId {
            store_host: self.store_host,
            physical_offset,
        }
    }

    /// Refuses: the message may be in the log, but it is not as safe as was asked for and never will be.
    pub fn fail(self, code: i32, remark: &str) {
        self.responder.error(code, remark);
    }
}
