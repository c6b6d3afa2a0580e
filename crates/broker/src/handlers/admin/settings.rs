//! UPDATE_BROKER_CONFIG (25) and GET_BROKER_CONFIG (26).

use std::sync::Arc;

use disk::Disk;
use protocol::code::response;
use protocol::header::broker::GetBrokerConfigResponseHeader;
use remoting::{Body, Request};
use settings::Refused;

use super::{Error, refuse};
use crate::config::{ConfigStore, UpdateError};
use crate::lane::MayWait;

/// What the handler needs.
pub struct SettingsRequests<D: Disk> {
    /// The settings in force and the file they are kept in.
    pub config: Arc<ConfigStore<D>>,
}

impl<D: Disk> SettingsRequests<D> {
    /// UPDATE_BROKER_CONFIG: properties text. Nothing is applied when any key is black-listed or any value is bad.
    pub fn update(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        if frame.body.is_empty() {
            return responder.ok();
        }
        let outcome = match std::str::from_utf8(&frame.body) {
            Ok(text) => self.config.update(text).map_err(|e| match e {
                UpdateError::Refused(Refused::Blacklisted(key)) => {
                    Error::Forbidden(format!("Can not update config in black list. ({key})"))
                }
                other => Error::Value(other.to_string()),
            }),
            Err(e) => Err(Error::Value(format!("the body is not UTF-8: {e}"))),
        };
        match outcome {
            Ok(()) => responder.ok(),
            Err(e) => refuse(responder, &e),
        }
    }

    /// GET_BROKER_CONFIG: `key=value` lines.
    pub fn get(&self, request: Request, _: MayWait) {
        let (version, text) = self.config.text();
        let header = GetBrokerConfigResponseHeader { version };
        request
            .responder
            .reply(response::SUCCESS, None, &header, Body::Bytes(text.into()));
    }
}
