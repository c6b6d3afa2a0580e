//! Who may do what: signatures of requests, accounts, their permissions, and the verdict.
//!
//! Owns the rules of both generations of RocketMQ's access control: accounts (ACL 1.0, `plain_acl.yml`), users and policies
//! (ACL 2.0). Knows no file, no socket, no clock: texts and frames go in, verdicts and texts come out. Start reading at
//! [`Accounts::judge`] and [`Users::judge`].
//!
//! ```
//! use acl::{AclFile, Accounts};
//!
//! let text = "accounts:\n- {accessKey: RocketMQ, secretKey: 12345678, defaultTopicPerm: PUB}\n";
//! let file = AclFile::read("conf/plain_acl.yml", text)?;
//! let (accounts, _odd) = Accounts::new(vec![file]);
//! assert!(accounts.get("RocketMQ").is_some());
//! # Ok::<(), acl::Finding>(())
//! ```
#![forbid(unsafe_code)]

mod accounts;
mod address;
mod credentials;
mod edit;
mod failures;
mod file;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod migration;
mod need;
mod permission;
mod policy;
#[cfg(test)]
mod requests;
mod signature;
mod target;
mod users;
mod verdict;
mod yaml;

pub use accounts::Accounts;
pub use address::{BadPattern, Pattern};
pub use credentials::Credentials;
pub use edit::{AccountUpdate, Document};
pub use failures::Failures;
pub use file::{Account, AccountConfig, AclFile, BadAccount, Finding};
pub use migration::{Migrated, migrated};
pub use need::{Resource, each_need, is_for_admins};
pub use permission::Permission;
pub use policy::{Actions, BadEntry, Entry, Kind, Policy, Target};
pub use signature::{ACCESS_KEY, SECURITY_TOKEN, SIGNATURE, SIGNATURE_LEN, SecretKey, Signature, identity};
pub use users::{BYTES_MAX, BadChange, ENTRIES_MAX, Rules, USERS_MAX, User, Users};
pub use verdict::{Generation, Granted, Reason, Refused};
