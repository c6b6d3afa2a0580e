//! LOCK_BATCH_MQ (41) and UNLOCK_BATCH_MQ (42), for orderly consumers.

use std::net::IpAddr;
use std::sync::Arc;

use disk::Clock;
use message::name;
use protocol::body::broker::{LockBatchRequestBody, LockBatchResponseBody};
use protocol::body::topic::MessageQueue;
use protocol::code::response;
use remoting::Request;

use crate::clients::{CLIENT_ID_MAX_LEN, QueueLocks};
use remoting::budget::Exhausted;

/// What the handler needs.
pub struct Lock {
    /// The locks.
    pub locks: Arc<QueueLocks>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Why queues are neither locked nor freed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum Error {
    #[error("{0}")]
    Body(#[from] protocol::body::BodyError),
    #[error("{0}")]
    Name(#[from] name::NameError),
    #[error("the client id is longer than {CLIENT_ID_MAX_LEN}")]
    ClientId,
    #[error("{0}")]
    NoRoom(#[from] Exhausted),
}

impl Error {
    fn code(&self) -> i32 {
        match self {
            Error::Body(_) | Error::Name(_) | Error::ClientId => response::SYSTEM_ERROR,
            Error::NoRoom(_) => response::SYSTEM_BUSY,
        }
    }
}

impl Lock {
    /// LOCK_BATCH_MQ.
    pub fn lock(&self, request: Request) {
        let Request { frame, responder } = request;
        match read(&frame.body).and_then(|body| self.locked(body, responder.peer().address().ip())) {
            Ok(lock_ok_mq_set) => responder.body(&LockBatchResponseBody { lock_ok_mq_set }),
            Err(e) => responder.error(e.code(), &e.to_string()),
        }
    }

    fn locked(&self, body: LockBatchRequestBody, address: IpAddr) -> Result<Vec<MessageQueue>, Error> {
        let now = self.clock.now_ms();
        Ok(self
            .locks
            .lock((address, &body.client_id), &body.consumer_group, body.mq_set, now)?)
    }

    /// UNLOCK_BATCH_MQ.
    pub fn unlock(&self, request: Request) {
        let Request { frame, responder } = request;
        match read(&frame.body) {
            Ok(body) => {
                self.locks
                    .unlock(&body.consumer_group, &body.client_id, &body.mq_set);
                responder.ok();
            }
            Err(e) => responder.error(e.code(), &e.to_string()),
        }
    }
}

fn read(body: &[u8]) -> Result<LockBatchRequestBody, Error> {
    let body: LockBatchRequestBody = protocol::body::read_request(body)?;
    name::check_group(&body.consumer_group)?;
    if body.client_id.len() > CLIENT_ID_MAX_LEN {
        return Err(Error::ClientId);
    }
    for queue in &body.mq_set {
        name::check_any_topic(&queue.topic)?;
    }
    Ok(body)
}
