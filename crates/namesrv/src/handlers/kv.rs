//! PUT_KV_CONFIG 100, GET_KV_CONFIG 101, DELETE_KV_CONFIG 102, GET_KVLIST_BY_NAMESPACE 219.

use super::{header, refuse, with_body};
use crate::kv::{Error, KvConfig};
use protocol::body;
use protocol::code::response;
use protocol::header::namesrv::{KvKey, KvNamespace, KvValue, PutKvConfig};
use remoting::{Body, Request, Responder};

/// What the handler needs.
pub struct Kv {
    /// The table.
    pub config: KvConfig,
}

impl Kv {
    /// PUT_KV_CONFIG.
    pub fn put(&self, request: Request) {
        let Request { frame, responder } = request;
        let header = header!(frame, responder, PutKvConfig<'_>);
        let (namespace, key, value) = (
            header.namespace.into_owned(),
            header.key.into_owned(),
            header.value.into_owned(),
        );
        let config = self.config.clone();
        on_disk(responder, move || config.put(&namespace, &key, &value));
    }

    /// DELETE_KV_CONFIG.
    pub fn delete(&self, request: Request) {
        let Request { frame, responder } = request;
        let header = header!(frame, responder, KvKey<'_>);
        let (namespace, key) = (header.namespace.into_owned(), header.key.into_owned());
        let config = self.config.clone();
        on_disk(responder, move || config.delete(&namespace, &key));
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
            Some(table) => with_body(responder, body::write(&table)),
            None => {
                let remark = format!("No config item, Namespace: {namespace}");
                responder.error(response::QUERY_NOT_FOUND, &remark);
            }
        }
    }
}

/// Answers when the change is on disk; the disk is waited for on a thread that may wait.
fn on_disk(responder: Responder, change: impl FnOnce() -> Result<(), Error> + Send + 'static) {
    tokio::task::spawn_blocking(move || match change() {
        Ok(()) => responder.ok(),
        Err(e) => {
            tracing::error!("{e}");
            refuse(responder, &e);
        }
    });
}
