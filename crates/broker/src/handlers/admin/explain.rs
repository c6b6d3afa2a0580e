//! EXPLAIN_ACL (3900), of these servers alone: what access control would say of a request, without doing it.
//!
//! The verdict is made by what judges requests, and names the rule by which it is so.

use std::net::IpAddr;
use std::sync::Arc;

use acl::{Actions, Target};
use protocol::Frame;
use protocol::body::auth::{Explained, Explanation};
use protocol::code::response;
use protocol::header::HeaderError;
use protocol::header::auth::ExplainAclRequestHeader;
use remoting::Request;

use crate::access::Guard;
use crate::lane::MayWait;

/// What the handler needs.
pub struct Explain {
    /// Access control, where it is on.
    pub guard: Option<Arc<Guard>>,
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Header(#[from] HeaderError),
    #[error("`{0}` is no IP address")]
    Address(String),
    #[error("`{0}` is no resource: Topic:NAME, Group:NAME, Cluster:NAME")]
    Resource(String),
    #[error("`{0}` is no action: Pub, Sub, Create, Update, Delete, Get, List")]
    Action(String),
}

impl Explain {
    /// EXPLAIN_ACL.
    pub fn answer(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        match self.explain(&frame) {
            Ok(explanation) => responder.body(&explanation),
            Err(e) => responder.error(response::INVALID_PARAMETER, &e.to_string()),
        }
    }

    fn explain(&self, frame: &Frame) -> Result<Explanation, Error> {
        let header = frame.header::<ExplainAclRequestHeader<'_>>()?;
        let address: IpAddr = header
            .address
            .parse()
            .map_err(|_| Error::Address(header.address.to_string()))?;
        let target = Target::parse(&header.resource);
        let target = target.ok_or_else(|| Error::Resource(header.resource.to_string()))?;
        let mut wanted = Actions::default();
        for text in header.action.split(',').map(str::trim) {
            let action = Actions::parse(text).filter(|(action, _)| *action != Actions::ALL);
            let (action, _) = action.ok_or_else(|| Error::Action(text.to_owned()))?;
            wanted = wanted.or(action);
        }
        Ok(match &self.guard {
            Some(guard) => guard.explain(&header.username, address, target, wanted),
            None => Explanation {
                allowed: true,
                verdicts: vec![Explained {
                    allowed: true,
                    by: "nobody".to_owned(),
                    rule: "access control is off: every request is served".to_owned(),
                }],
            },
        })
    }
}
