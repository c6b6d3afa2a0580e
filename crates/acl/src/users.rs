//! Users and their policies (5.x), what they say of a request, and how tools change them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use protocol::Frame;
use protocol::body::auth::{AclInfo, PolicyInfo, UserInfo};
use protocol::code::response;

use crate::policy::{Actions, BadEntry, Entry, Policy, Target, is_resource};
use crate::signature::{SecretKey, identity};
use crate::target::{each_target, is_about_users};
use crate::verdict::{Granted, Reason, Refused};

/// Most users one broker keeps.
pub const USERS_MAX: usize = 100_000;
/// Most entries of one user.
pub const ENTRIES_MAX: usize = 10_000;
/// Most bytes of all users and policies together.
pub const BYTES_MAX: usize = 64 << 20;
/// Longest name and password, bytes.
const TEXT_MAX: usize = 1024;

const SUBJECT: &str = "User:";
const CUSTOM: &str = "Custom";
const DEFAULT: &str = "Default";

/// What is looked at.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Who sent a request (`authenticationEnabled`).
    pub authentication: bool,
    /// What its user may do (`authorizationEnabled`).
    pub authorization: bool,
    /// Codes of requests that anybody may send.
    pub unsigned: HashSet<i32>,
    /// Codes of requests that every user may send.
    pub unauthorized: HashSet<i32>,
    /// The broker's cluster.
    pub cluster: String,
}

/// A user, ready to be asked.
#[derive(Clone)]
pub struct User {
    name: String,
    password: String,
    secret: SecretKey,
    /// May it do everything?
    pub is_super: bool,
    /// May it do anything?
    pub is_enabled: bool,
    custom: Policy,
    default: Policy,
}

/// A password is in no log.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({})", self.name)
    }
}

impl User {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As tools are told, and as it stands in the file.
    pub fn info(&self) -> UserInfo {
        UserInfo {
            password: Some(self.password.clone()),
            user_status: Some(if self.is_enabled { "enable" } else { "disable" }.to_owned()),
            user_type: Some(if self.is_super { "Super" } else { "Normal" }.to_owned()),
            username: Some(self.name.clone()),
        }
    }

    /// Its policies as tools are told; nothing if it has none.
    pub fn acl(&self) -> Option<AclInfo> {
        let policies: Vec<PolicyInfo> = self
            .policies()
            .filter(|(_, policy)| !policy.is_empty())
            .map(|(kind, policy)| PolicyInfo {
                entries: policy.entries().iter().map(Entry::info).collect(),
                policy_type: Some(kind.to_owned()),
            })
            .collect();
        (!policies.is_empty()).then(|| AclInfo {
            policies,
            subject: Some(format!("{SUBJECT}{}", self.name)),
        })
    }

    fn policies(&self) -> impl Iterator<Item = (&'static str, &Policy)> {
        [(CUSTOM, &self.custom), (DEFAULT, &self.default)].into_iter()
    }

    fn weight(&self) -> usize {
        let entries = self.policies().flat_map(|(_, policy)| policy.entries());
        size_of::<User>()
            + 2 * self.name.len()
            + self.password.len()
            + entries.map(Entry::weight).sum::<usize>()
    }

    /// The entry that decides: one of the Default policy where none of the Custom one matches.
    fn find(&self, target: Target<'_>, wanted: Actions, from: IpAddr) -> Option<(&'static str, &Entry)> {
        self.policies()
            .find_map(|(kind, policy)| Some((kind, policy.find(target, wanted, from)?)))
    }
}

/// Why a change is not made: Java's texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum BadChange {
    #[error("The username is blank")]
    BlankName,
    #[error("The subject is blank")]
    BlankSubject,
    #[error("The user is existed")]
    Exists,
    #[error("The user is not exist")]
    NoUser,
    #[error("password can not be blank")]
    BlankPassword,
    #[error("the user type can be Super or Normal, the status enable or disable")]
    BadType,
    #[error("The subject of {0} is not exist.")]
    NoSubject(String),
    #[error("The subject is not exist.")]
    NoSubjectAsked,
    #[error("The policies is empty.")]
    NoPolicies,
    #[error("the policy type can be Custom or Default")]
    BadPolicyType,
    #[error("The acl is not exist.")]
    NoAcl,
    #[error("{0}")]
    Entry(#[from] BadEntry),
    #[error("`{0}` is no resource; nothing was deleted")]
    BadResource(String),
    #[error("{0}")]
    Limit(String),
}

impl BadChange {
    /// The code it is answered with.
    pub fn code(&self) -> i32 {
        match self {
            BadChange::BlankName | BadChange::BlankSubject => response::INVALID_PARAMETER,
            BadChange::Limit(_) => response::SYSTEM_ERROR,
            BadChange::Exists
            | BadChange::NoUser
            | BadChange::BlankPassword
            | BadChange::BadType
            | BadChange::NoSubject(_)
            | BadChange::NoSubjectAsked
            | BadChange::NoPolicies
            | BadChange::BadPolicyType
            | BadChange::NoAcl
            | BadChange::Entry(_)
            | BadChange::BadResource(_) => response::NO_PERMISSION,
        }
    }
}

/// All users.
#[derive(Debug, Clone, Default)]
pub struct Users {
    by_name: HashMap<String, Arc<User>>,
    bytes: usize,
}

impl Users {
    /// What a file, or another broker, says.
    ///
    /// # Errors
    /// Something of it can not be; it is named.
    pub fn read(users: &[UserInfo], acls: &[AclInfo]) -> Result<Self, String> {
        let mut all = Users::default();
        for user in users {
            let name = user.username.clone().unwrap_or_default();
            all.create(user).map_err(|e| format!("user `{name}`: {e}"))?;
        }
        for acl in acls {
            let subject = acl.subject.clone().unwrap_or_default();
            let put = all.put_acl(acl);
            put.map_err(|e| format!("policies of `{subject}`: {e}"))?;
        }
        Ok(all)
    }

    /// A user by the name.
    pub fn get(&self, name: &str) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// All in the order of their names, which is that of Java's store.
    pub fn sorted(&self) -> Vec<&Arc<User>> {
        let mut all: Vec<_> = self.by_name.values().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Those whose name has this part.
    pub fn list(&self, part: &str) -> Vec<UserInfo> {
        let all = self.sorted().into_iter();
        all.filter(|user| user.name.contains(part))
            .map(|user| user.info())
            .collect()
    }

    /// Policies of subjects that have this part, with the entries whose resource has that one. As in Java the second does not
    /// count for a subject that has it itself.
    pub fn list_acls(&self, subject_part: &str, resource_part: &str) -> Vec<AclInfo> {
        let acls = self.sorted().into_iter().filter_map(|user| user.acl());
        acls.filter(|acl| acl.subject.as_deref().unwrap_or_default().contains(subject_part))
            .filter_map(|mut acl| {
                if acl.subject.as_deref().unwrap_or_default().contains(resource_part) {
                    return Some(acl);
                }
                for policy in &mut acl.policies {
                    policy.entries.retain(|entry| {
                        entry
                            .resource
                            .as_deref()
                            .unwrap_or_default()
                            .contains(resource_part)
                    });
                }
                acl.policies.retain(|policy| !policy.entries.is_empty());
                (!acl.policies.is_empty()).then_some(acl)
            })
            .collect()
    }

    /// The user of `User:NAME`.
    ///
    /// # Errors
    /// There is none.
    pub fn subject(&self, subject: &str) -> Result<&Arc<User>, BadChange> {
        let name = subject_name(subject)?;
        self.get(name).ok_or(BadChange::NoSubjectAsked)
    }

    /// Whether a request from there is served.
    ///
    /// # Errors
    /// It is not, and why.
    pub fn judge(&self, rules: &Rules, frame: &Frame, peer: IpAddr) -> Result<(), Refused> {
        let peer = peer.to_canonical();
        let (name, signature) = identity(frame);
        let code = frame.code;
        if rules.authentication && !rules.unsigned.contains(&code) {
            let Some(name) = name else {
                return Err(no_name());
            };
            let user = self.enabled(name, "is not found.")?;
            let presented = signature.unwrap_or_default();
            if !user
                .secret
                .has_signed(presented, frame.version, frame.fields(), &frame.body)
            {
                let text = "check signature failed.".to_owned();
                return Err(Refused::by_users(Reason::Signature, text, None));
            }
            if !rules.authorization && is_about_users(code) && !user.is_super {
                return Err(not_super(&user.name));
            }
        }
        if !rules.authorization || rules.unauthorized.contains(&code) {
            return Ok(());
        }
        each_target(frame, &rules.cluster, |target, wanted| {
            let name = name.ok_or_else(unauthorized)?;
            self.permits(name, peer, target, wanted).map(|_granted| ())
        })
    }

    /// What [`Users::judge`] would say of a request of this user, were it signed.
    ///
    /// # Errors
    /// It is refused, and why.
    pub fn explain(
        &self,
        rules: &Rules,
        name: &str,
        peer: IpAddr,
        target: Target<'_>,
        wanted: Actions,
    ) -> Result<Granted<'_>, Refused> {
        if rules.authentication {
            self.enabled(name, "is not found.")?;
        }
        match rules.authorization {
            true => self.permits(name, peer.to_canonical(), target, wanted),
            false => Ok(Granted::NotAuthorized),
        }
    }

    fn enabled(&self, name: &str, unknown: &str) -> Result<&User, Refused> {
        let Some(user) = self.get(name) else {
            let text = format!("{SUBJECT}{name} {unknown}");
            return Err(Refused::by_users(Reason::UnknownAccount, text, None));
        };
        if !user.is_enabled {
            let text = format!("{SUBJECT}{name} is disabled.");
            return Err(Refused::by_users(Reason::Disabled, text, None));
        }
        Ok(user)
    }

    fn permits(
        &self,
        name: &str,
        peer: IpAddr,
        target: Target<'_>,
        wanted: Actions,
    ) -> Result<Granted<'_>, Refused> {
        // Unlike Java, which passes over a user that is switched off where nobody has to sign.
        let user = self.enabled(name, "not found.")?;
        if user.is_super {
            return Ok(Granted::Super { user: &user.name });
        }
        let found = user.find(target, wanted, peer);
        if let Some((policy, entry)) = found
            && entry.allows()
        {
            return Ok(Granted::Entry {
                user: &user.name,
                policy,
                entry,
            });
        }
        let (why, rule) = match found {
            Some((policy, entry)) => ("the decision is deny.", format!("{policy} policy: {entry}")),
            None => ("no matched policies.", format!("{wanted} is needed")),
        };
        let text = format!("{SUBJECT}{name} has no permission to access {target} from {peer}, {why}");
        Err(Refused::by_users(Reason::Permission, text, Some(rule)))
    }

    /// Makes a user.
    pub fn create(&mut self, info: &UserInfo) -> Result<(), BadChange> {
        let name = named(info)?;
        if self.by_name.contains_key(name) {
            return Err(BadChange::Exists);
        }
        let password = info
            .password
            .as_deref()
            .filter(|password| !password.trim().is_empty());
        let user = User {
            name: name.to_owned(),
            password: String::new(),
            secret: SecretKey::new(""),
            is_super: false,
            is_enabled: true,
            custom: Policy::default(),
            default: Policy::default(),
        };
        password.ok_or(BadChange::BlankPassword)?;
        self.put(with(user, info)?)
    }

    /// Changes what is given of a user.
    pub fn update(&mut self, info: &UserInfo) -> Result<(), BadChange> {
        let user = self.get(named(info)?).ok_or(BadChange::NoUser)?;
        let user = User::clone(user);
        self.put(with(user, info)?)
    }

    /// Takes a user and its policies away; whether it was there.
    pub fn delete(&mut self, name: &str) -> Result<bool, BadChange> {
        if name.trim().is_empty() {
            return Err(BadChange::BlankName);
        }
        Ok(match self.by_name.remove(name) {
            Some(user) => {
                self.bytes -= user.weight();
                true
            }
            None => false,
        })
    }

    /// Puts entries into the policies of the subject that is named.
    pub fn put_acl(&mut self, acl: &AclInfo) -> Result<(), BadChange> {
        let subject = acl.subject.as_deref().unwrap_or_default();
        let name = subject_name(subject)?;
        let no_subject = || BadChange::NoSubject(subject.to_owned());
        let mut user = User::clone(self.get(name).ok_or_else(no_subject)?);
        if acl.policies.is_empty() {
            return Err(BadChange::NoPolicies);
        }
        for policy in &acl.policies {
            let entries: Result<Vec<Entry>, _> = policy.entries.iter().map(Entry::read).collect();
            let entries = entries?;
            if entries.is_empty() {
                return Err(BadChange::NoPolicies);
            }
            let old = policy_of(&mut user, policy.policy_type.as_deref())?;
            *old = old.merged(entries);
        }
        let entries: usize = user.policies().map(|(_, policy)| policy.entries().len()).sum();
        if entries > ENTRIES_MAX {
            return Err(BadChange::Limit(format!(
                "more than {ENTRIES_MAX} entries of one user"
            )));
        }
        self.put(user)
    }

    /// Takes what is said of one resource out of a policy; without a resource all policies of the subject.
    ///
    /// Unlike Java, which deletes everything where it can not read the resource.
    pub fn delete_acl(
        &mut self,
        subject: &str,
        policy_type: Option<&str>,
        resource: &str,
    ) -> Result<(), BadChange> {
        let user = self.get(subject_name(subject)?).ok_or(BadChange::NoAcl)?;
        if user.acl().is_none() {
            return Err(BadChange::NoAcl);
        }
        let mut user = User::clone(user);
        if resource.trim().is_empty() {
            (user.custom, user.default) = (Policy::default(), Policy::default());
        } else if is_resource(resource) {
            let policy = policy_of(&mut user, policy_type)?;
            *policy = policy.without(resource);
        } else {
            return Err(BadChange::BadResource(resource.chars().take(64).collect()));
        }
        self.put(user)
    }

    fn put(&mut self, user: User) -> Result<(), BadChange> {
        let weight = user.weight();
        let before = self.get(&user.name).map(|user| user.weight());
        if before.is_none() && self.by_name.len() >= USERS_MAX {
            return Err(BadChange::Limit(format!(
                "the broker has {USERS_MAX} users, the most it keeps"
            )));
        }
        let bytes = self.bytes - before.unwrap_or(0) + weight;
        // What shrinks is taken.
        if bytes > BYTES_MAX && weight > before.unwrap_or(0) {
            let text = format!("users and policies would take more than {BYTES_MAX} bytes");
            return Err(BadChange::Limit(text));
        }
        self.bytes = bytes;
        self.by_name.insert(user.name.clone(), Arc::new(user));
        Ok(())
    }
}

fn no_name() -> Refused {
    Refused::by_users(Reason::NoAccount, "username cannot be null.".to_owned(), None)
}

fn unauthorized() -> Refused {
    let text = "Authorization failed. Please verify your access rights and try again.";
    Refused::by_users(Reason::NoAccount, text.to_owned(), None)
}

fn not_super(name: &str) -> Refused {
    let text = format!(
        "{SUBJECT}{name} has no permission: without authorizationEnabled users are for Super users alone."
    );
    Refused::by_users(Reason::NotAdmin, text, None)
}

fn named(info: &UserInfo) -> Result<&str, BadChange> {
    let name = info.username.as_deref().filter(|name| !name.trim().is_empty());
    let name = name.ok_or(BadChange::BlankName)?;
    for (what, text) in [
        ("name", name),
        ("password", info.password.as_deref().unwrap_or_default()),
    ] {
        if text.len() > TEXT_MAX {
            return Err(BadChange::Limit(format!("a {what} has {TEXT_MAX} bytes at most")));
        }
    }
    Ok(name)
}

/// The user with what is given; a blank password is none, as in Java.
fn with(mut user: User, info: &UserInfo) -> Result<User, BadChange> {
    let given = |text: &'_ Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    if let Some(password) = given(&info.password) {
        user.secret = SecretKey::new(&password);
        user.password = password;
    }
    match given(&info.user_type) {
        None => {}
        Some(text) if text.eq_ignore_ascii_case("Super") => user.is_super = true,
        Some(text) if text.eq_ignore_ascii_case("Normal") => user.is_super = false,
        Some(_) => return Err(BadChange::BadType),
    }
    match given(&info.user_status) {
        None => {}
        Some(text) if text.eq_ignore_ascii_case("enable") => user.is_enabled = true,
        Some(text) if text.eq_ignore_ascii_case("disable") => user.is_enabled = false,
        Some(_) => return Err(BadChange::BadType),
    }
    Ok(user)
}

fn subject_name(subject: &str) -> Result<&str, BadChange> {
    if subject.trim().is_empty() {
        return Err(BadChange::BlankSubject);
    }
    let no_subject = || BadChange::NoSubject(subject.chars().take(64).collect());
    let (kind, name) = subject.split_once(':').ok_or_else(no_subject)?;
    match kind.eq_ignore_ascii_case("User") && !name.trim().is_empty() {
        true => Ok(name),
        false => Err(no_subject()),
    }
}

fn policy_of<'u>(user: &'u mut User, kind: Option<&str>) -> Result<&'u mut Policy, BadChange> {
    match kind.map(str::trim).filter(|kind| !kind.is_empty()) {
        None => Ok(&mut user.custom),
        Some(kind) if kind.eq_ignore_ascii_case(CUSTOM) => Ok(&mut user.custom),
        Some(kind) if kind.eq_ignore_ascii_case(DEFAULT) => Ok(&mut user.default),
        Some(_) => Err(BadChange::BadPolicyType),
    }
}

#[cfg(test)]
mod tests;
