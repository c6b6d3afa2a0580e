//! JSON bodies of users and their policies, AUTH_CREATE_USER (3001) to AUTH_LIST_ACL (3010) of 5.x.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::de;

/// A user. What is absent stays as it is, or has Java's default.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UserInfo {
    /// What signs the user's requests.
    #[serde(deserialize_with = "de::optional", skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// `enable` or `disable`.
    #[serde(deserialize_with = "de::optional", skip_serializing_if = "Option::is_none")]
    pub user_status: Option<String>,
    /// `Super` or `Normal`.
    #[serde(deserialize_with = "de::optional", skip_serializing_if = "Option::is_none")]
    pub user_type: Option<String>,
    /// The name, which requests give as their access key.
    #[serde(deserialize_with = "de::optional", skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// A password is in no log.
impl fmt::Debug for UserInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserInfo")
            .field("username", &self.username)
            .field("user_type", &self.user_type)
            .field("user_status", &self.user_status)
            .finish_non_exhaustive()
    }
}

/// What one subject may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AclInfo {
    /// Its policies.
    #[serde(deserialize_with = "de::or_default")]
    pub policies: Vec<PolicyInfo>,
    /// `User:NAME`.
    #[serde(deserialize_with = "de::optional", skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// One of a subject's two policies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyInfo {
    /// Its entries.
    #[serde(deserialize_with = "de::or_default")]
    pub entries: Vec<PolicyEntryInfo>,
    /// `Custom` or `Default`.
    #[serde(deserialize_with = "de::optional", skip_serializing_if = "Option::is_none")]
    pub policy_type: Option<String>,
}

/// One entry of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyEntryInfo {
    /// `Pub`, `Sub`, `Get`, …
    #[serde(deserialize_with = "de::scalars")]
    pub actions: Vec<String>,
    /// `Allow` or `Deny`.
    #[serde(deserialize_with = "de::optional", skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// `Topic:T1`, `Group:pre*`, `*`.
    #[serde(deserialize_with = "de::optional", skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Addresses and networks; none is any.
    #[serde(deserialize_with = "de::scalars", skip_serializing_if = "Vec::is_empty")]
    pub source_ips: Vec<String>,
}

/// Answer to EXPLAIN_ACL (3900).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Explanation {
    /// Would it be served?
    pub allowed: bool,
    /// Who said what, in the order in which they are asked; the first refusal is the answer.
    pub verdicts: Vec<Explained>,
}

/// One verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Explained {
    /// Would it be served?
    pub allowed: bool,
    /// `accounts` or `users`.
    pub by: String,
    /// The rule and where it stands; of a refusal also its text.
    pub rule: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_javas_tools_send_and_read() {
        let user = r#"{"username":"alice","password":12345678,"userType":"Normal"}"#;
        let user: UserInfo = crate::body::read(user.as_bytes()).expect("a user");
        assert_eq!(user.password.as_deref(), Some("12345678"));
        assert_eq!(
            crate::body::write(&user),
            r#"{"password":"12345678","userType":"Normal","username":"alice"}"#
        );
        assert!(!format!("{user:?}").contains("12345678"));
        let acl = r#"{"policies":[{"entries":[{"actions":["Pub","Sub"],"decision":"Allow","resource":"Topic:T1","sourceIps":["127.0.0.1"]}],"policyType":"Custom"}],"subject":"User:alice"}"#;
        let read: AclInfo = crate::body::read(acl.as_bytes()).expect("an acl");
        assert_eq!(crate::body::write(&read), acl);
        let nulls = r#"{"subject":"User:alice","policies":[{"policyType":null,"entries":[{"actions":null,"sourceIps":null}]}]}"#;
        let read: AclInfo = crate::body::read(nulls.as_bytes()).expect("an acl");
        assert_eq!(read.policies[0].entries, [PolicyEntryInfo::default()]);
    }
}
