//! An account of ACL 1.0 as a user with policies (5.3.3, AuthMigrator).

use protocol::body::auth::{AclInfo, PolicyEntryInfo, PolicyInfo, UserInfo};

use crate::Account;
use crate::permission::Permission;

/// What an account becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The user.
    pub user: UserInfo,
    /// Its policies, if it has any.
    pub acl: Option<AclInfo>,
    /// What it loses or gains by that.
    pub odd: Vec<String>,
}

/// The user that an account becomes.
pub fn migrated(account: &Account) -> Migrated {
    let config = &account.config;
    let mut odd = Vec::new();
    let mut custom = Vec::new();
    let mut entry = |kind: &str, name: &str, permission| match name.contains('*') {
        // It would be a prefix there.
        true => odd.push(format!("permission for `{name}` is left out: no name has a `*`")),
        false => custom.push(entry_of(format!("{kind}:{name}"), permission)),
    };
    for (kind, permissions) in [("Topic", &account.topics), ("Group", &account.groups)] {
        let mut sorted: Vec<_> = permissions.iter().collect();
        sorted.sort_by_key(|(name, _)| *name);
        for (name, permission) in sorted {
            entry(kind, name, *permission);
        }
    }
    let default: Vec<PolicyEntryInfo> = [
        ("Topic:*", &config.default_topic_perm, account.default_topic),
        ("Group:*", &config.default_group_perm, account.default_group),
    ]
    .into_iter()
    .filter(|(_, given, _)| given.is_some())
    .map(|(resource, _, permission)| entry_of(resource.to_owned(), permission))
    .collect();
    if config.admin && !(custom.is_empty() && odd.is_empty()) {
        odd.push(
            "the admin is bound to its permissions as an account, and may do everything as a Super user"
                .to_owned(),
        );
    }
    if config
        .white_remote_address
        .as_deref()
        .is_some_and(|white| !white.trim().is_empty())
    {
        odd.push("whiteRemoteAddress is left out: every request of a user is signed".to_owned());
    }
    let policies: Vec<PolicyInfo> = [("Custom", custom), ("Default", default)]
        .into_iter()
        .filter(|(_, entries)| !entries.is_empty())
        .map(|(kind, entries)| PolicyInfo {
            entries,
            policy_type: Some(kind.to_owned()),
        })
        .collect();
    let user_type = if config.admin { "Super" } else { "Normal" };
    Migrated {
        user: UserInfo {
            password: Some(config.secret_key.clone()),
            user_status: Some("enable".to_owned()),
            user_type: Some(user_type.to_owned()),
            username: Some(config.access_key.clone()),
        },
        acl: (!policies.is_empty()).then(|| AclInfo {
            policies,
            subject: Some(format!("User:{}", config.access_key)),
        }),
        odd,
    }
}

fn entry_of(resource: String, permission: Permission) -> PolicyEntryInfo {
    let (actions, decision): (&[&str], _) = match permission {
        Permission::Deny => (&["All"], "Deny"),
        Permission::Pub => (&["Pub"], "Allow"),
        Permission::Sub => (&["Sub"], "Allow"),
        Permission::PubSub => (&["Pub", "Sub"], "Allow"),
    };
    PolicyEntryInfo {
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        decision: Some(decision.to_owned()),
        resource: Some(resource),
        source_ips: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AclFile, Actions, Rules, Target, Users};

    const FILE: &str = "\
accounts:
- accessKey: RocketMQ
  secretKey: 12345678
  whiteRemoteAddress: 10.1.1.1
  defaultGroupPerm: SUB
  defaultTopicPerm: DENY
  topicPerms: [topicA=DENY, topicB=PUB|SUB, 'all*=PUB']
  groupPerms: [groupA=DENY]
- accessKey: adminuser
  secretKey: 12345678
  admin: true
";

    #[test]
    fn a_user_may_what_its_account_might() {
        let file = AclFile::read("f.yml", FILE).expect("a file");
        let [user, admin] = [0, 1].map(|at| migrated(&file.accounts[at]));
        assert_eq!((admin.acl, admin.odd.len()), (None, 0));
        assert_eq!(admin.user.user_type.as_deref(), Some("Super"));
        assert_eq!(user.odd.len(), 2, "{:?}", user.odd);
        let users = Users::read(&[user.user], user.acl.as_slice()).expect("a user");
        let rules = Rules {
            authorization: true,
            ..Rules::default()
        };
        let may = |target: &str, wanted| {
            let target = Target::parse(target).expect(target);
            users
                .explain(&rules, "RocketMQ", [127, 0, 0, 1].into(), target, wanted)
                .is_ok()
        };
        for (target, publish, subscribe) in [
            ("Topic:topicA", false, false),
            ("Topic:topicB", true, true),
            ("Topic:other", false, false),
            ("Topic:alley", false, false),
            ("Group:groupA", false, false),
            ("Group:other", false, true),
        ] {
            assert_eq!(may(target, Actions::PUB), publish, "{target}");
            assert_eq!(may(target, Actions::SUB), subscribe, "{target}");
        }
    }
}
