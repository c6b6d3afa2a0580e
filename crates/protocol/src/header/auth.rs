//! Headers of users and their policies, AUTH_CREATE_USER (3001) to AUTH_LIST_ACL (3010) of 5.x, and of EXPLAIN_ACL.

use std::borrow::Cow;

use super::Header;

/// AUTH_CREATE_USER (3001), AUTH_UPDATE_USER (3002), AUTH_DELETE_USER (3003), AUTH_GET_USER (3004).
#[derive(Debug, Clone, Default, Header)]
pub struct UserRequestHeader<'a> {
    /// The user; it counts before the one in the body.
    pub username: Option<Cow<'a, str>>,
}

/// AUTH_LIST_USER (3005).
#[derive(Debug, Clone, Default, Header)]
pub struct ListUsersRequestHeader<'a> {
    /// A part of the names that are wanted.
    pub filter: Option<Cow<'a, str>>,
}

/// AUTH_CREATE_ACL (3006), AUTH_UPDATE_ACL (3007), AUTH_DELETE_ACL (3008), AUTH_GET_ACL (3009).
#[derive(Debug, Clone, Default, Header)]
pub struct AclRequestHeader<'a> {
    /// `User:NAME`.
    pub subject: Option<Cow<'a, str>>,
    /// `Custom` or `Default`: which policy loses an entry.
    pub policy_type: Option<Cow<'a, str>>,
    /// The entry that goes; without one everything goes.
    pub resource: Option<Cow<'a, str>>,
}

/// AUTH_LIST_ACL (3010).
#[derive(Debug, Clone, Default, Header)]
pub struct ListAclsRequestHeader<'a> {
    /// A part of the subjects that are wanted.
    pub subject_filter: Option<Cow<'a, str>>,
    /// A part of the resources that are wanted.
    pub resource_filter: Option<Cow<'a, str>>,
}

/// EXPLAIN_ACL (3900): what would be said of a request, were it signed.
#[derive(Debug, Clone, Default, Header)]
pub struct ExplainAclRequestHeader<'a> {
    /// The user, or the access key of an account.
    pub username: Cow<'a, str>,
    /// Where the request comes from, an IP address.
    pub address: Cow<'a, str>,
    /// `Topic:NAME`, `Group:NAME` or `Cluster:NAME`.
    pub resource: Cow<'a, str>,
    /// `Pub`, `Sub`, …; several, separated by commas, are one of them.
    pub action: Cow<'a, str>,
}
