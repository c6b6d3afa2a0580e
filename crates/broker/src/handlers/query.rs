//! VIEW_MESSAGE_BY_ID (33): one message by its physical offset.
//!
//! Rules: RocketMQ 4.9.8, QueryMessageProcessor. Unlike Java 4.9, an offset at which no record starts is refused
//! instead of answered with whatever bytes are there.

use std::sync::Arc;

use bytes::Bytes;
use protocol::code::response;
use protocol::header::broker::ViewMessageRequestHeader;
use remoting::{Body, Request};
use store::PhysicalOffset;

use crate::Store;

/// What the handler needs.
pub struct Query {
    /// The log.
    pub store: Arc<Store>,
}

impl Query {
    /// VIEW_MESSAGE_BY_ID.
    pub fn view(&self, request: Request) {
        let Request { frame, responder } = request;
        let offset = match frame.header::<ViewMessageRequestHeader>() {
            Ok(header) => header.offset,
            Err(e) => return responder.error(response::SYSTEM_ERROR, &e.to_string()),
        };
        match self.store.record_at(PhysicalOffset(offset)) {
            Ok(record) => {
                let body = Body::Bytes(Bytes::from_owner(record));
                responder.reply(response::SUCCESS, None, &(), body);
            }
            Err(e) => {
                let remark = format!("can not find message by the offset, {offset}: {e}");
                responder.error(response::SYSTEM_ERROR, &remark);
            }
        }
    }
}
