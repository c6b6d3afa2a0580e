//! LOCK_BATCH_MQ (41) and UNLOCK_BATCH_MQ (42), for orderly consumers.

use std::sync::Arc;

use disk::Clock;
use protocol::body::broker::{LockBatchRequestBody, LockBatchResponseBody};
use protocol::code::response;
use remoting::Request;

use crate::locks::QueueLocks;

/// What the handler needs.
pub struct Lock {
    /// The locks.
    pub locks: Arc<QueueLocks>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Lock {
    /// LOCK_BATCH_MQ.
    pub fn lock(&self, request: Request) {
        let Request { frame, responder } = request;
        match protocol::body::read::<LockBatchRequestBody>(&frame.body) {
            Ok(body) => {
                let now = self.clock.now_ms();
                let held = self
                    .locks
                    .lock(&body.consumer_group, &body.client_id, body.mq_set, now);
                responder.body(&LockBatchResponseBody { lock_ok_mq_set: held });
            }
            Err(e) => responder.error(response::SYSTEM_ERROR, &e.to_string()),
        }
    }

    /// UNLOCK_BATCH_MQ.
    pub fn unlock(&self, request: Request) {
        let Request { frame, responder } = request;
        match protocol::body::read::<LockBatchRequestBody>(&frame.body) {
            Ok(body) => {
                self.locks
                    .unlock(&body.consumer_group, &body.client_id, &body.mq_set);
                responder.ok();
            }
            Err(e) => responder.error(response::SYSTEM_ERROR, &e.to_string()),
        }
    }
}
