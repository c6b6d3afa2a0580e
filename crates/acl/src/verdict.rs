//! What is said of a request: served, and by which rule; or refused, and why.

use std::fmt;
use std::net::IpAddr;

use protocol::code::{request, response};

use crate::Permission;
use crate::policy::{Entry, Kind};
use crate::target::reads_with_a_need;

/// Why requests are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It names no account.
    NoAccount,
    /// It names one that is not there.
    UnknownAccount,
    /// It names one that is switched off.
    Disabled,
    /// The signature is not the account's.
    Signature,
    /// So many were not that none is looked at for a while.
    TooManyFailures,
    /// It is for operators, and the account is none.
    NotAdmin,
    /// A topic, a group or the cluster.
    Permission,
}

impl Reason {
    /// All, in the order of [`Reason::index`].
    pub const ALL: [Reason; 7] = [
        Reason::NoAccount,
        Reason::UnknownAccount,
        Reason::Disabled,
        Reason::Signature,
        Reason::TooManyFailures,
        Reason::NotAdmin,
        Reason::Permission,
    ];

    /// A number below the length of [`Reason::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// What a counter is called.
    pub fn name(self) -> &'static str {
        match self {
            Reason::NoAccount => "aclRefusedNoAccessKey",
            Reason::UnknownAccount => "aclRefusedUnknownAccessKey",
            Reason::Disabled => "aclRefusedDisabled",
            Reason::Signature => "aclRefusedSignature",
            Reason::TooManyFailures => "aclRefusedTooManyFailures",
            Reason::NotAdmin => "aclRefusedNotAdmin",
            Reason::Permission => "aclRefusedPermission",
        }
    }
}

/// Whose words a refusal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Accounts (ACL 1.0).
    Accounts,
    /// Users and policies (ACL 2.0).
    Users,
}

/// A request that is not served. As text it is Java's remark, with the rule behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// By what.
    pub generation: Generation,
    /// Why.
    pub reason: Reason,
    /// Java's text.
    pub text: String,
    /// The rule, and where it stands: only for those who have proven who they are.
    pub rule: Option<String>,
}

impl Refused {
    /// The code it is answered with.
    pub fn code(&self) -> i32 {
        match self.generation {
            Generation::Accounts => response::SYSTEM_ERROR,
            Generation::Users => response::NO_PERMISSION,
        }
    }

    /// A request whose signature is not looked at: of `account` there were too many wrong ones from `peer`.
    pub fn unseen(generation: Generation, account: &str, peer: IpAddr, left_ms: u64) -> Self {
        let seconds = left_ms.div_ceil(1000);
        let text = match generation {
            Generation::Accounts => format!("Check signature failed for accessKey={account}"),
            Generation::Users => "check signature failed.".to_owned(),
        };
        let rule = format!("too many were wrong from {peer}: none of it is looked at for {seconds} s more");
        Self {
            generation,
            reason: Reason::TooManyFailures,
            text,
            rule: Some(rule),
        }
    }

    pub(crate) fn by_accounts(reason: Reason, text: String, rule: Option<String>) -> Self {
        Self {
            generation: Generation::Accounts,
            reason,
            text,
            rule,
        }
    }

    pub(crate) fn by_users(reason: Reason, text: String, rule: Option<String>) -> Self {
        Self {
            generation: Generation::Users,
            reason,
            text,
            rule,
        }
    }
}

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.generation, &self.rule) {
            (Generation::Accounts, Some(rule)) => {
                write!(
                    f,
                    "org.apache.rocketmq.acl.common.AclException: {}, {rule}",
                    self.text
                )
            }
            (Generation::Accounts, None) => {
                write!(f, "org.apache.rocketmq.acl.common.AclException: {}", self.text)
            }
            (Generation::Users, Some(rule)) => write!(f, "{} ({rule})", self.text),
            (Generation::Users, None) => f.write_str(&self.text),
        }
    }
}

/// By which rule something is allowed. Borrowed: nobody writes it down but who explains it.
#[derive(Debug, Clone, Copy)]
pub enum Granted<'a> {
    /// The address needs no key.
    WhiteAddress {
        /// The pattern.
        pattern: &'a str,
        /// The file it stands in.
        file: &'a str,
    },
    /// The account needs no signature from there, and may do everything then.
    WhiteAccount {
        /// The account.
        account: &'a crate::Account,
    },
    /// The account is an admin without permissions of its own.
    Admin {
        /// The account.
        account: &'a crate::Account,
    },
    /// Everybody may send traces.
    TraceTopic,
    /// Every account may read what there is to know about such a thing, but for some requests, which the text names.
    NothingNeeded {
        /// What it is about.
        about: Kind,
    },
    /// The account has this permission.
    Permission {
        /// The account.
        account: &'a crate::Account,
        /// The key in its file, and the name where it has one of its own.
        key: &'static str,
        /// What it says.
        permission: Permission,
    },
    /// The user is a Super user.
    Super {
        /// The user.
        user: &'a str,
    },
    /// An entry of the user's policies allows it.
    Entry {
        /// The user.
        user: &'a str,
        /// Which policy.
        policy: &'static str,
        /// The entry.
        entry: &'a Entry,
    },
    /// It is not looked at what users may do.
    NotAuthorized,
}

impl fmt::Display for Granted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Granted::WhiteAddress { pattern, file } => {
                write!(
                    f,
                    "globalWhiteRemoteAddresses {pattern} of {file}: no key is needed"
                )
            }
            Granted::WhiteAccount { account } => {
                let white = account.config.white_remote_address.as_deref().unwrap_or_default();
                write!(f, "{}: whiteRemoteAddress {white}", account.place())
            }
            Granted::Admin { account } => write!(f, "{} is an admin", account.place()),
            Granted::TraceTopic => f.write_str("every account may send traces"),
            Granted::NothingNeeded { about } => {
                f.write_str("every account may")?;
                let mut separator = ", but not each: ";
                for (code, need) in reads_with_a_need(*about) {
                    let name = request::name(code).unwrap_or("request");
                    write!(f, "{separator}{name} ({code}) needs {need}")?;
                    separator = ", ";
                }
                Ok(())
            }
            Granted::Permission {
                account,
                key,
                permission,
            } => write!(f, "{}: {key} {permission}", account.place()),
            Granted::Super { user } => write!(f, "User:{user} is a Super user"),
            Granted::Entry { user, policy, entry } => write!(f, "{policy} policy of User:{user}: {entry}"),
            Granted::NotAuthorized => f.write_str("authorizationEnabled=false: every user may"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_counter_of_its_own() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), at);
        }
        let names: std::collections::BTreeSet<_> = Reason::ALL.map(Reason::name).into();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
