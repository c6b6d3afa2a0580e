//! Who may do what: signatures of requests, accounts, their permissions, and the verdict.
//!
//! Owns the rules of RocketMQ's ACL 1.0 (`plain_acl.yml`). Knows no file, no socket, no clock: texts and frames go in, verdicts
//! and texts come out. Start reading at [`Accounts::judge`].
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
mod file;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod need;
mod permission;
mod signature;
mod yaml;

pub use accounts::{Accounts, Reason, Refused, access_key};
pub use address::{BadPattern, Pattern};
pub use credentials::Credentials;
pub use edit::{AccountUpdate, Document};
pub use file::{Account, AccountConfig, AclFile, BadAccount, Finding};
pub use need::{Resource, each_need, is_for_admins};
pub use permission::Permission;
pub use signature::{ACCESS_KEY, SECURITY_TOKEN, SIGNATURE, SIGNATURE_LEN, SecretKey, Signature};
