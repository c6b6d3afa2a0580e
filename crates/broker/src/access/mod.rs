//! Access control of a running broker: the accounts in force and the files that they come from, the users and their policies.

mod files;
mod stored;
mod users;

use std::fmt::Display;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use acl::{Accounts, Actions, Failures, Generation, Granted, Permission, Reason, Refused, Resource, Target};
use arc_swap::ArcSwap;
use disk::{Clock, Disk};
use protocol::Frame;
use protocol::body::auth::{Explained, Explanation};
use remoting::Request;

use crate::settings::Settings;

pub use files::{AccessFiles, ChangeError, LoadError};
pub use stored::topic_of;
pub(crate) use users::no_codes;
pub use users::{StartError, UserTable};

/// What a broker has of access control.
pub struct Access<D: Disk> {
    /// Asked about every request, where anything is asked about.
    pub guard: Option<Arc<Guard>>,
    /// The files of accounts (`aclEnable`).
    pub files: Option<Arc<AccessFiles<D>>>,
    /// Users and their policies (5.x).
    pub users: Option<Arc<UserTable>>,
    /// Users are a copy of the master's.
    pub is_slave: bool,
}

impl<D: Disk> Clone for Access<D> {
    fn clone(&self) -> Self {
        Self {
            guard: self.guard.clone(),
            files: self.files.clone(),
            users: self.users.clone(),
            is_slave: self.is_slave,
        }
    }
}

impl<D: Disk + Clone> Access<D> {
    /// What the settings ask for.
    ///
    /// # Errors
    /// Files can not be read, or make no sense.
    pub fn load(disk: &D, settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Self, StartError> {
        let files = match (settings.broker.acl_enable, &settings.broker.rocketmq_home) {
            (true, Some(home)) => {
                let files = AccessFiles::load(disk.clone(), &PathBuf::from(home), Arc::clone(clock))?;
                let accounts = files.in_force.accounts().len();
                match accounts {
                    0 => tracing::warn!(
                        "access control: no account is in force, nobody is let in but addresses of globalWhiteRemoteAddresses"
                    ),
                    _ => tracing::info!("access control: {accounts} accounts are in force"),
                }
                Some(Arc::new(files))
            }
            _ => None,
        };
        let users = UserTable::load(disk, settings, clock.now_ms())?.map(Arc::new);
        let asked = users.clone().filter(|users| users.is_asked());
        let accounts = files.as_ref().map(|files| Arc::clone(&files.in_force));
        let failures = Failures::new(
            settings.server.signature_failures_max.max(0) as u32,
            settings.server.signature_failures_seconds.max(0) as u32,
        );
        let guard = (accounts.is_some() || asked.is_some())
            .then(|| Arc::new(Guard::new(accounts, asked).counting(failures)));
        Ok(Self {
            guard,
            files,
            users,
            is_slave: settings.is_slave(),
        })
    }
}

/// The accounts in force.
#[derive(Debug, Default)]
pub struct InForce(ArcSwap<Accounts>);

impl InForce {
    /// These count from now on.
    pub fn put(&self, accounts: Accounts) {
        self.0.store(Arc::new(accounts));
    }

    /// The accounts in force.
    pub fn accounts(&self) -> Arc<Accounts> {
        self.0.load_full()
    }
}

/// What is asked about every request, and what was refused.
pub struct Guard {
    /// Accounts, where they count.
    pub accounts: Option<Arc<InForce>>,
    /// Users, where they count.
    pub users: Option<Arc<UserTable>>,
    refused: [AtomicU64; Reason::ALL.len()],
    failures: Failures,
    started: Instant,
}

/// Accounts and users as they are for the requests of one read.
pub struct Watch<'g> {
    accounts: Option<arc_swap::Guard<Arc<Accounts>>>,
    users: Option<users::Watch<'g>>,
    guard: &'g Guard,
}

impl Guard {
    /// A request has to be let in by both where there are both, as in 5.3.0 to 5.3.2.
    pub fn new(accounts: Option<Arc<InForce>>, users: Option<Arc<UserTable>>) -> Self {
        Self {
            accounts,
            users,
            refused: Default::default(),
            failures: Failures::default(),
            started: Instant::now(),
        }
    }

    /// Signatures are not looked at where too many are wrong.
    pub fn counting(self, failures: Failures) -> Self {
        Self { failures, ..self }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Looks once for all requests of a read.
    pub fn look(&self) -> Watch<'_> {
        Watch {
            accounts: self.accounts.as_ref().map(|accounts| accounts.0.load()),
            users: self.users.as_ref().map(|users| users.watch()),
            guard: self,
        }
    }

    /// What would be said of a signed request, by each that is asked, up to the first refusal.
    pub fn explain(&self, user: &str, peer: IpAddr, target: Target<'_>, wanted: Actions) -> Explanation {
        let mut explanation = Explanation {
            allowed: true,
            verdicts: Vec::new(),
        };
        let mut note = |by: &str, verdict: Result<Granted<'_>, Refused>| {
            let allowed = verdict.is_ok();
            let rule = verdict.map_or_else(|refused| refused.to_string(), |granted| granted.to_string());
            explanation.allowed &= allowed;
            explanation.verdicts.push(Explained {
                allowed,
                by: by.to_owned(),
                rule,
            });
            allowed
        };
        if let Some(accounts) = &self.accounts
            && !note(
                "accounts",
                accounts.accounts().explain(user, peer, target, wanted),
            )
        {
            return explanation;
        }
        if let Some(table) = &self.users {
            note(
                "users",
                table.users().explain(&table.rules, user, peer, target, wanted),
            );
        }
        explanation
    }

    /// Whether whoever sent a request that was let in has a permission which the request itself does not show. A refusal is counted and
    /// told as those of the gate.
    ///
    /// # Errors
    /// It has not, and why.
    pub fn permits(
        &self,
        request: &Frame,
        peer: IpAddr,
        resource: Resource<'_>,
        needed: Permission,
    ) -> Result<(), Refused> {
        let (key, _) = acl::identity(request);
        let permitted = self.may(key, peer, (resource, needed), request.code);
        if let Err(refused) = &permitted {
            self.note(refused, request.code, peer);
        }
        permitted
    }

    /// The same of the account or user `key`, uncounted, in what the request `code` is about.
    ///
    /// # Errors
    /// It has not, and why.
    pub fn may(
        &self,
        key: Option<&str>,
        peer: IpAddr,
        (resource, needed): (Resource<'_>, Permission),
        code: i32,
    ) -> Result<(), Refused> {
        if let Some(accounts) = &self.accounts {
            accounts.0.load().permits(key, peer, resource, needed)?;
        }
        match &self.users {
            Some(table) if !table.rules.unauthorized.contains(&code) => {
                let target = match resource {
                    Resource::Topic(name) => Target::topic(name),
                    Resource::Group(name) => Target::group(name),
                };
                let wanted = match needed {
                    Permission::Pub => Actions::PUB,
                    Permission::Sub | Permission::PubSub | Permission::Deny => Actions::SUB,
                };
                let users = table.users();
                let name = key.unwrap_or_default();
                users
                    .explain(&table.rules, name, peer, target, wanted)
                    .map(|_granted| ())
            }
            _ => Ok(()),
        }
    }

    /// Is it an operator's account, and user?
    fn is_operator(&self, key: Option<&str>) -> bool {
        let Some(key) = key else { return false };
        let is_admin = |accounts: &Arc<InForce>| {
            let accounts = accounts.0.load();
            accounts.get(key).is_some_and(|account| account.config.admin)
        };
        let is_super = |table: &Arc<UserTable>| {
            !table.rules.authorization || table.users().get(key).is_some_and(|user| user.is_super)
        };
        self.accounts.as_ref().is_none_or(is_admin) && self.users.as_ref().is_none_or(is_super)
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
        let refused = match self.unseen(request, peer.ip()) {
            Some(unseen) => unseen,
            None => self.judge(request, peer.ip()).err()?,
        };
        if refused.reason == Reason::Signature
            && let (Some(key), _) = acl::identity(&request.frame)
        {
            let guard = self.guard;
            guard.failures.note(peer.ip(), key, guard.now_ms());
        }
        self.guard.note(&refused, request.frame.code, peer);
        Some(refused)
    }

    /// Why the signature of this request is not even looked at, if so.
    fn unseen(&self, request: &Request, peer: IpAddr) -> Option<Refused> {
        let failures = &self.guard.failures;
        if failures.is_quiet() {
            return None;
        }
        let (key, _) = acl::identity(&request.frame);
        let left_ms = failures.shut_for_ms(peer, key?, self.guard.now_ms())?;
        let generation = match self.accounts.is_some() {
            true => Generation::Accounts,
            false => Generation::Users,
        };
        Some(Refused::unseen(generation, key?, peer, left_ms))
    }

    fn judge(&self, request: &Request, peer: IpAddr) -> Result<(), Refused> {
        if let Some(accounts) = &self.accounts {
            accounts.judge(&request.frame, peer)?;
        }
        match &self.users {
            Some(users) => users.judge(&request.frame, peer),
            None => Ok(()),
        }
    }
}
