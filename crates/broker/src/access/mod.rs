//! Access control of a running broker: the accounts in force, and the files that they come from.

mod files;
mod stored;

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use acl::{Accounts, Permission, Reason, Refused, Resource};
use arc_swap::ArcSwap;
use protocol::Frame;
use remoting::Request;

pub use files::{AccessFiles, ChangeError, LoadError};
pub use stored::topic_of;

/// The accounts in force, and what was refused by them.
#[derive(Debug, Default)]
pub struct Guard {
    accounts: ArcSwap<Accounts>,
    refused: [AtomicU64; Reason::ALL.len()],
}

/// The accounts as they are for the requests of one read.
pub struct Watch<'g> {
    accounts: arc_swap::Guard<Arc<Accounts>>,
    guard: &'g Guard,
}

impl Guard {
    /// Looks once for all requests of a read.
    pub fn look(&self) -> Watch<'_> {
        Watch {
            accounts: self.accounts.load(),
            guard: self,
        }
    }

    /// Whether the account of a request that was let in has a permission which the request itself does not show. A refusal is
    /// counted and told as those of the gate.
    pub fn permits(
        &self,
        request: &Frame,
        peer: IpAddr,
        resource: Resource<'_>,
        needed: Permission,
    ) -> Result<(), Refused> {
        let key = acl::access_key(request);
        let permitted = self.accounts.load().permits(key, peer, resource, needed);
        if let Err(refused) = &permitted {
            self.note(refused, request.code, peer);
        }
        permitted
    }

    fn note(&self, refused: &Refused, code: i32, peer: impl Display) {
        if let Some(count) = self.refused.get(refused.reason.index()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        logs::limited!(
            warn,
            "access control: request {code} of {peer} refused: {refused}"
        );
    }

    /// These count from now on.
    pub fn put(&self, accounts: Accounts) {
        self.accounts.store(Arc::new(accounts));
    }

    /// The accounts in force.
    pub fn accounts(&self) -> Arc<Accounts> {
        self.accounts.load_full()
    }

    /// How many requests were refused for each reason.
    pub fn refused(&self) -> [(&'static str, u64); Reason::ALL.len()] {
        Reason::ALL.map(|reason| {
            let count = self.refused.get(reason.index());
            (
                reason.name(),
                count.map_or(0, |count| count.load(Ordering::Relaxed)),
            )
        })
    }
}

impl Watch<'_> {
    /// Why a request goes no further, if so. Counts it, and says it in the log once a second at most.
    pub fn refusal(&self, request: &Request) -> Option<Refused> {
        let peer = request.responder.peer().address();
        let refused = self.accounts.judge(&request.frame, peer.ip()).err()?;
        self.guard.note(&refused, request.frame.code, peer);
        Some(refused)
    }
}
