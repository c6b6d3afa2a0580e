//! PUT_KV_CONFIG 100, GET_KV_CONFIG 101, DELETE_KV_CONFIG 102, GET_KVLIST_BY_NAMESPACE 219.

use super::{header, refuse, with_body};
use crate::kv::{Error, KvConfig};
use protocol::code::response;
use protocol::header::namesrv::{KvKey, KvNamespace, KvValue, PutKvConfig};
use remoting::lane::MayWait;
use remoting::{Body, Request, Responder};

/// What the handler needs.
pub struct Kv {
    /// The table.
    pub config: KvConfig,
}

impl Kv {
    /// PUT_KV_CONFIG.
    pub fn put(&self, request: Request, may: MayWait) {
        let Request { frame, responder } = request;
        let header = header!(frame, responder, PutKvConfig<'_>);
        let put = self
            .config
            .put(&header.namespace, &header.key, &header.value, may);
        answer(responder, put);
    }

    /// DELETE_KV_CONFIG.
    pub fn delete(&self, request: Request, may: MayWait) {
        let Request { frame, responder } = request;
        let header = header!(frame, responder, KvKey<'_>);
        let deleted = self.config.delete(&header.namespace, &header.key, may);
        answer(responder, deleted);
    }

    /// GET_KV_CONFIG.
    pub fn get(&self, request: Request) {
        let Request { frame, responder } = request;
        let KvKey { namespace, key } = header!(frame, responder, KvKey<'_>);
        match self.config.get(&namespace, &key) {
            Some(value) => {
                let reply = KvValue {
                    value: Some(value.into()),
                };
                responder.reply(response::SUCCESS, None, &reply, Body::Empty);
            }
            None => {
                let remark = format!("No config item, Namespace: {namespace} Key: {key}");
                responder.error(response::QUERY_NOT_FOUND, &remark);
            }
        }
    }

    /// GET_KVLIST_BY_NAMESPACE.
    pub fn list(&self, request: Request) {
        let Request { frame, responder } = request;
        let KvNamespace { namespace } = header!(frame, responder, KvNamespace<'_>);
        match self.config.namespace(&namespace) {
            Some(text) => with_body(responder, text),
            None => {
                let remark = format!("No config item, Namespace: {namespace}");
                responder.error(response::QUERY_NOT_FOUND, &remark);
            }
        }
    }
}

/// Answers a change that is on disk, or could not be.
fn answer(responder: Responder, change: Result<(), Error>) {
    match change {
        Ok(()) => responder.ok(),
        Err(e) => {
            tracing::error!("{e}");
            refuse(responder, &e);
        }
    }
}
