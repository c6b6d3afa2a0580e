//! What a name server does for each request.

pub mod broker;
pub mod kv;
pub mod settings;
pub mod topic;

use protocol::HeaderError;
use protocol::code::response;
use protocol::header::NoHeader;
use remoting::{Body, Responder};

/// Answers a request whose header lacks something or whose body cannot be read.
fn refuse(responder: Responder, why: &dyn std::fmt::Display) {
    responder.error(response::SYSTEM_ERROR, &why.to_string());
}

/// Answers SUCCESS with a body.
fn with_body(responder: Responder, body: bytes::Bytes) {
    responder.reply(response::SUCCESS, None, &NoHeader, Body::Bytes(body));
}

/// The typed header, or an answer that names the field.
macro_rules! header {
    ($frame:expr, $responder:expr, $ty:ty) => {
        match $frame.header::<$ty>() {
            Ok(header) => header,
            Err(e) => return $crate::handlers::refuse_header($responder, &e),
        }
    };
}
use header;

fn refuse_header(responder: Responder, error: &HeaderError) {
    refuse(responder, error);
}
