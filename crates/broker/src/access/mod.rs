//! Access control of a running broker: the accounts in force, and the files that they come from.

mod files;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use acl::{Accounts, Reason, Refused};
use arc_swap::ArcSwap;
use remoting::Request;

pub use files::{AccessFiles, ChangeError, LoadError};

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
        if let Some(count) = self.guard.refused.get(refused.reason.index()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let code = request.frame.code;
        logs::limited!(
            warn,
            "access control: request {code} of {peer} refused: {refused}"
        );
        Some(refused)
    }
}
