//! Users and policies as tools change and read them: AUTH_CREATE_USER (3001) to AUTH_LIST_ACL (3010) of 5.x.
//!
//! Codes and remarks: RocketMQ 5.3.3, AdminBrokerProcessor, AuthenticationMetadataManagerImpl, AuthorizationMetadataManagerImpl.

use std::sync::Arc;

use acl::{BadChange, Users, identity};
use disk::{Clock, Disk};
use protocol::Frame;
use protocol::body::BodyError;
use protocol::body::auth::{AclInfo, UserInfo};
use protocol::code::response;
use protocol::header::HeaderError;
use protocol::header::auth::{
    AclRequestHeader, ListAclsRequestHeader, ListUsersRequestHeader, UserRequestHeader,
};
use remoting::{Request, Responder};
use serde::Serialize;

use super::answer_when_saved;
use crate::access::{Access, UserTable};
use crate::lane::MayWait;
use crate::tables::Change;

/// The remark where there are no users.
const OFF: &str =
    "there are no users (authenticationEnabled=false, and authenticationMetadataProvider is not given)";

/// What the handler needs.
pub struct UserRequests<D: Disk> {
    /// Users, where there are any.
    pub access: Access<D>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{OFF}")]
    Off,
    #[error("{0}")]
    Header(#[from] HeaderError),
    #[error("{0}")]
    Body(#[from] BodyError),
    #[error("{0}")]
    Change(#[from] BadChange),
    #[error("The super user can only be create by super user")]
    CreateSuper,
    #[error("The super user can only be update by super user")]
    UpdateSuper,
    #[error(
        "org.apache.rocketmq.auth.authorization.exception.AuthorizationException: The body of acl is null"
    )]
    NoAcl,
}

impl Error {
    fn code(&self) -> i32 {
        match self {
            Error::Off | Error::Header(_) | Error::Body(_) | Error::CreateSuper | Error::NoAcl => {
                response::SYSTEM_ERROR
            }
            Error::Change(change) => change.code(),
            Error::UpdateSuper => response::NO_PERMISSION,
        }
    }
}

impl<D: Disk> UserRequests<D> {
    /// AUTH_CREATE_USER.
    pub fn create(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let made = user_of(&frame).and_then(|user| {
            let name = user.username.clone().unwrap_or_default();
            let is_super = self.is_super_caller(&frame)?;
            let change = self.change(|users| {
                // A slave that has copied it from its master meanwhile: tools make users on both.
                if users.get(&name).is_some_and(|there| there.info() == whole(&user)) && self.is_copy() {
                    return Ok(());
                }
                users.create(&user)?;
                match users.get(&name).is_some_and(|made| made.is_super) && !is_super {
                    true => Err(Error::CreateSuper),
                    false => Ok(()),
                }
            })?;
            tracing::info!(
                "access control: user {name} is made by {}",
                caller(&frame, &responder)
            );
            Ok(change)
        });
        self.answer_change(responder, made);
    }

    /// AUTH_UPDATE_USER.
    pub fn update(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let changed = user_of(&frame).and_then(|user| {
            let name = user.username.clone().unwrap_or_default();
            let is_super = self.is_super_caller(&frame)?;
            let change = self.change(|users| {
                let was_super = users.get(&name).is_some_and(|user| user.is_super);
                users.update(&user)?;
                let becomes_super = users.get(&name).is_some_and(|user| user.is_super);
                match (was_super || becomes_super) && !is_super {
                    true => Err(Error::UpdateSuper),
                    false => Ok(()),
                }
            })?;
            tracing::info!(
                "access control: user {name} is changed by {}",
                caller(&frame, &responder)
            );
            Ok(change)
        });
        self.answer_change(responder, changed);
    }

    /// AUTH_DELETE_USER.
    pub fn delete(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let header = frame.header::<UserRequestHeader<'_>>().map_err(Error::Header);
        let deleted = header.and_then(|header| {
            let name = header.username.unwrap_or_default();
            let is_super = self.is_super_caller(&frame)?;
            let change = self.change(|users| {
                if users.get(&name).is_some_and(|user| user.is_super) && !is_super {
                    return Err(Error::UpdateSuper);
                }
                users.delete(&name)?;
                Ok(())
            })?;
            tracing::info!(
                "access control: user {name} is deleted by {}",
                caller(&frame, &responder)
            );
            Ok(change)
        });
        self.answer_change(responder, deleted);
    }

    /// AUTH_GET_USER.
    pub fn get(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let header = frame.header::<UserRequestHeader<'_>>().map_err(Error::Header);
        let found = header.and_then(|header| {
            let name = header.username.unwrap_or_default();
            if name.trim().is_empty() {
                return Err(BadChange::BlankName.into());
            }
            let sees_all = self.is_super_caller(&frame)?;
            let users = self.table()?.users();
            Ok(users.get(&name).map(|user| shown(user.info(), sees_all)))
        });
        answer(responder, found);
    }

    /// AUTH_LIST_USER.
    pub fn list(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let header = frame
            .header::<ListUsersRequestHeader<'_>>()
            .map_err(Error::Header);
        let found = header.and_then(|header| {
            let sees_all = self.is_super_caller(&frame)?;
            let users = self.table()?.users();
            let listed = users.list(&header.filter.unwrap_or_default()).into_iter();
            Ok(some(listed.map(|user| shown(user, sees_all)).collect::<Vec<_>>()))
        });
        answer(responder, found);
    }

    /// AUTH_CREATE_ACL and AUTH_UPDATE_ACL, which do the same.
    pub fn put_acl(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let put = acl_of(&frame).and_then(|acl| {
            let change = self.change(|users| users.put_acl(&acl).map_err(Error::Change))?;
            let subject = acl.subject.unwrap_or_default();
            tracing::info!(
                "access control: policies of {subject} are changed by {}",
                caller(&frame, &responder)
            );
            Ok(change)
        });
        self.answer_change(responder, put);
    }

    /// AUTH_DELETE_ACL.
    pub fn delete_acl(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let header = frame.header::<AclRequestHeader<'_>>().map_err(Error::Header);
        let deleted = header.and_then(|header| {
            let subject = header.subject.unwrap_or_default();
            let resource = header.resource.unwrap_or_default();
            let change = self.change(|users| {
                Ok(users.delete_acl(&subject, header.policy_type.as_deref(), &resource)?)
            })?;
            tracing::info!(
                "access control: policies of {subject} are deleted by {}",
                caller(&frame, &responder)
            );
            Ok(change)
        });
        self.answer_change(responder, deleted);
    }

    /// AUTH_GET_ACL.
    pub fn acl(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let header = frame.header::<AclRequestHeader<'_>>().map_err(Error::Header);
        let found = header.and_then(|header| {
            let users = self.table()?.users();
            Ok(users.subject(&header.subject.unwrap_or_default())?.acl())
        });
        answer(responder, found);
    }

    /// AUTH_LIST_ACL.
    pub fn acls(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let header = frame.header::<ListAclsRequestHeader<'_>>().map_err(Error::Header);
        let found = header.and_then(|header| {
            let subjects = header.subject_filter.unwrap_or_default();
            let resources = header.resource_filter.unwrap_or_default();
            Ok(some(self.table()?.users().list_acls(&subjects, &resources)))
        });
        answer(responder, found);
    }

    fn table(&self) -> Result<&Arc<UserTable>, Error> {
        self.access.users.as_ref().ok_or(Error::Off)
    }

    fn is_copy(&self) -> bool {
        self.access.is_slave
    }

    /// Whether who asks may do with Super users what is asked. Java lets everybody who gives no name; here that is so only
    /// while nobody has to sign.
    fn is_super_caller(&self, frame: &Frame) -> Result<bool, Error> {
        let table = self.table()?;
        Ok(match identity(frame).0 {
            Some(name) => table.users().get(name).is_some_and(|user| user.is_super),
            None => !table.rules.authentication,
        })
    }

    fn change(&self, edit: impl FnOnce(&mut Users) -> Result<(), Error>) -> Result<Change, Error> {
        self.table()?.change(self.clock.now_ms(), edit)
    }

    fn answer_change(&self, responder: Responder, change: Result<Change, Error>) {
        match (change, &self.access.users) {
            (Ok(change), Some(table)) => {
                answer_when_saved(responder, table.as_ref(), change, self.clock.now_ms());
            }
            (Err(e), _) => responder.error(e.code(), &e.to_string()),
            (Ok(_), None) => responder.error(response::SYSTEM_ERROR, OFF),
        }
    }
}

/// The user that a request describes: the name in the header counts.
fn user_of(frame: &Frame) -> Result<UserInfo, Error> {
    let header = frame.header::<UserRequestHeader<'_>>()?;
    let name = header.username.filter(|name| !name.trim().is_empty());
    let mut user: UserInfo = protocol::body::read_request(&frame.body)?;
    if let Some(name) = name {
        user.username = Some(name.into_owned());
    }
    Ok(user)
}

/// The policies that a request describes: the subject in the body counts.
fn acl_of(frame: &Frame) -> Result<AclInfo, Error> {
    let header = frame.header::<AclRequestHeader<'_>>()?;
    if frame.body.is_empty() {
        return Err(Error::NoAcl);
    }
    let mut acl: AclInfo = protocol::body::read_request(&frame.body)?;
    if acl.policies.is_empty() {
        return Err(Error::NoAcl);
    }
    if acl
        .subject
        .as_deref()
        .is_none_or(|subject| subject.trim().is_empty())
    {
        acl.subject = header.subject.map(|subject| subject.into_owned());
    }
    Ok(acl)
}

/// As it will be told when it is made.
fn whole(user: &UserInfo) -> UserInfo {
    let or = |text: &Option<String>, default: &str| {
        let given = text.clone().filter(|text| !text.trim().is_empty());
        Some(given.unwrap_or_else(|| default.to_owned()))
    };
    UserInfo {
        user_type: or(&user.user_type, "Normal"),
        user_status: or(&user.user_status, "enable"),
        ..user.clone()
    }
}

/// Unlike Java, which tells everybody who may read users the passwords of those who may do everything.
fn shown(user: UserInfo, sees_all: bool) -> UserInfo {
    let is_super = user.user_type.as_deref() == Some("Super");
    UserInfo {
        password: user.password.filter(|_| sees_all || !is_super),
        ..user
    }
}

/// Who asks, for the log.
fn caller(frame: &Frame, responder: &Responder) -> String {
    let peer = responder.peer().address();
    identity(frame)
        .0
        .map_or_else(|| peer.to_string(), |name| format!("{name} at {peer}"))
}

/// A list, unless it is empty: Java sends no body then.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn answer<T: Serialize>(responder: Responder, found: Result<Option<T>, Error>) {
    match found {
        Ok(Some(found)) => responder.body(&found),
        Ok(None) => responder.ok(),
        Err(e) => responder.error(e.code(), &e.to_string()),
    }
}
