//! The accounts of all files together, and what they say of a request.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use protocol::Frame;

use crate::address::Pattern;
use crate::file::{Account, AclFile, Finding};
use crate::need::{Resource, each_need, is_for_admins, is_of_tools};
use crate::permission::Permission;
use crate::policy::{Actions, Kind, Target};
use crate::signature::identity;
use crate::verdict::{Granted, Reason, Refused};

/// Every account may send here: where clients put their traces.
const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";

/// Addresses that need no key.
#[derive(Debug, Clone)]
struct White {
    pattern: Pattern,
    text: String,
    file: Arc<str>,
}

/// All accounts.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    white: Vec<White>,
    by_key: HashMap<String, Account>,
}

impl Accounts {
    /// From the files in the order they count: of a key in two files the first one's account is taken.
    pub fn new(files: Vec<AclFile>) -> (Self, Vec<Finding>) {
        let mut all = Accounts::default();
        let mut odd = Vec::new();
        for file in files {
            all.white
                .extend(file.white.into_iter().map(|(pattern, text)| White {
                    pattern,
                    text,
                    file: Arc::clone(&file.name),
                }));
            for account in file.accounts {
                match all.by_key.entry(account.config.access_key.clone()) {
                    Entry::Vacant(entry) => {
                        entry.insert(account);
                    }
                    Entry::Occupied(first) => odd.push(Finding {
                        file: account.file,
                        line: account.line,
                        text: format!(
                            "account {} has no effect: it is in {}:{} already",
                            first.key(),
                            first.get().file,
                            first.get().line
                        ),
                    }),
                }
            }
        }
        (all, odd)
    }

    /// An account by its key.
    pub fn get(&self, access_key: &str) -> Option<&Account> {
        self.by_key.get(access_key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The pattern and the file by which an address needs no key.
    pub fn white_for(&self, peer: IpAddr) -> Option<(&str, &str)> {
        let white = self.white.iter().find(|white| white.pattern.matches(peer))?;
        Some((&white.text, &white.file))
    }

    /// Whether a request from there is served: in the order of RocketMQ's PlainPermissionManager.
    ///
    /// # Errors
    /// It is not, and why.
    pub fn judge(&self, frame: &Frame, peer: IpAddr) -> Result<(), Refused> {
        if self.white_granted(peer).is_some() {
            return Ok(());
        }
        let (key, signature) = identity(frame);
        let account = self.account(key)?;
        if account.white.matches(peer) {
            // Java looks no further, neither at the signature nor at permissions: who comes from there is trusted.
            return Ok(());
        }
        let presented = signature.unwrap_or_default();
        if !account
            .secret
            .has_signed(presented, frame.version, frame.fields(), &frame.body)
        {
            let text = format!(
                "Check signature failed for accessKey={}",
                account.config.access_key
            );
            return Err(Refused::by_accounts(Reason::Signature, text, None));
        }
        account.may_ask(frame.code)?;
        if account.config.admin && is_of_tools(frame.code) {
            return Ok(());
        }
        each_need(frame, |resource, needed| {
            account.permits(resource, needed).map(|_granted| ())
        })
    }

    /// Whether an account that was let in has a permission which its request does not show: for what a stored message says, or
    /// what a handler finds out. `key` is what [`crate::identity`] gave, `peer` where the request came from.
    ///
    /// # Errors
    /// It has not, and why.
    pub fn permits(
        &self,
        key: Option<&str>,
        peer: IpAddr,
        resource: Resource<'_>,
        needed: Permission,
    ) -> Result<(), Refused> {
        if self.white_granted(peer).is_some() {
            return Ok(());
        }
        let account = self.account(key)?;
        if account.white.matches(peer) {
            return Ok(());
        }
        account.permits(resource, needed).map(|_granted| ())
    }

    /// What [`Accounts::judge`] would say of a request of this account about this topic or group, were it signed. Who changes
    /// what is there, and who asks about the cluster, needs an admin.
    ///
    /// # Errors
    /// It is refused, and why.
    pub fn explain(
        &self,
        access_key: &str,
        peer: IpAddr,
        target: Target<'_>,
        wanted: Actions,
    ) -> Result<Granted<'_>, Refused> {
        if let Some(granted) = self.white_granted(peer) {
            return Ok(granted);
        }
        let account = self.account(Some(access_key))?;
        if account.white.matches(peer) {
            return Ok(Granted::WhiteAccount { account });
        }
        let needed = match (wanted.meets(Actions::PUB), wanted.meets(Actions::SUB)) {
            (true, _) => Some(Permission::Pub),
            (false, true) => Some(Permission::Sub),
            (false, false) => None,
        };
        let resource = match target.kind {
            Kind::Topic => Some(Resource::Topic(target.name)),
            Kind::Group => Some(Resource::Group(target.name)),
            Kind::Cluster | Kind::Namespace => None,
        };
        match (resource, needed) {
            (Some(resource), Some(needed)) => account.permits(resource, needed),
            (None, _) if account.config.admin => Ok(Granted::Admin { account }),
            // What only reads needs nothing but an account, with exceptions that the verdict names.
            _ if wanted == Actions::GET || wanted == Actions::LIST => {
                Ok(Granted::NothingNeeded { about: target.kind })
            }
            _ if account.config.admin => Ok(Granted::Admin { account }),
            _ => Err(account.is_no_admin(format!("Need admin permission for {wanted} of {target}"))),
        }
    }

    fn white_granted(&self, peer: IpAddr) -> Option<Granted<'_>> {
        let (pattern, file) = self.white_for(peer)?;
        Some(Granted::WhiteAddress { pattern, file })
    }

    fn account(&self, key: Option<&str>) -> Result<&Account, Refused> {
        let Some(key) = key.filter(|key| !key.trim().is_empty()) else {
            let text = "No accessKey is configured".to_owned();
            return Err(Refused::by_accounts(Reason::NoAccount, text, None));
        };
        self.by_key.get(key).ok_or_else(|| {
            Refused::by_accounts(Reason::UnknownAccount, format!("No acl config for {key}"), None)
        })
    }
}

impl Account {
    /// Whether it may ask this at all.
    fn may_ask(&self, code: i32) -> Result<(), Refused> {
        if !is_for_admins(code) || self.config.admin {
            return Ok(());
        }
        let key = &self.config.access_key;
        Err(self.is_no_admin(format!(
            "Need admin permission for request code={code}, but accessKey={key} is not"
        )))
    }

    fn is_no_admin(&self, text: String) -> Refused {
        let rule = Some(format!("{} is no admin", self.place()));
        Refused::by_accounts(Reason::NotAdmin, text, rule)
    }

    /// Whether it may do this with a topic or a group.
    fn permits(&self, resource: Resource<'_>, needed: Permission) -> Result<Granted<'_>, Refused> {
        // With a single permission an admin is bound to all defaults, as in Java.
        if self.config.admin && self.topics.is_empty() && self.groups.is_empty() {
            return Ok(Granted::Admin { account: self });
        }
        let (kind, name, own, default) = match resource {
            Resource::Topic(TRACE_TOPIC) if needed == Permission::Pub => return Ok(Granted::TraceTopic),
            Resource::Topic(name) => ("topic", name, self.topics.get(name), self.default_topic),
            Resource::Group(name) => ("group", name, self.groups.get(name), self.default_group),
        };
        let permission = own.copied().unwrap_or(default);
        let key = match (own, kind) {
            (Some(_), "topic") => "topicPerms",
            (Some(_), _) => "groupPerms",
            (None, "topic") => "defaultTopicPerm",
            (None, _) => "defaultGroupPerm",
        };
        if permission.allows(needed) {
            return Ok(Granted::Permission {
                account: self,
                key,
                permission,
            });
        }
        let place = self.place();
        let rule = match own {
            Some(own) => format!("{place}: {key} {name}={own}, {needed} is needed"),
            None => format!("{place}: {key} {default}, {needed} is needed"),
        };
        Err(Refused::by_accounts(
            Reason::Permission,
            format!("No default permission for {kind}:{name}"),
            Some(rule),
        ))
    }

    pub(crate) fn place(&self) -> String {
        format!(
            "account {} of {}:{}",
            self.config.access_key, self.file, self.line
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::{self, bare as frame};
    use crate::signature::ACCESS_KEY;
    use proptest::prelude::*;
    use protocol::SerializeType;
    use protocol::code::request;

    use crate::target::each_target;

    const FILE: &str = "\
globalWhiteRemoteAddresses: [10.1.1.1]
accounts:
- accessKey: RocketMQ
  secretKey: 12345678
  defaultGroupPerm: SUB
  topicPerms: [topicA=DENY, topicB=PUB|SUB, topicC=SUB]
  groupPerms: [groupA=DENY]
- accessKey: adminuser
  secretKey: 12345678
  whiteRemoteAddress: 10.2.2.2
  admin: true
- accessKey: halfadmin
  secretKey: 12345678
  admin: true
  topicPerms: [topicA=PUB]
";

    fn accounts() -> Accounts {
        let file = AclFile::read("conf/plain_acl.yml", FILE).expect("a file");
        assert_eq!(file.odd, []);
        let (accounts, odd) = Accounts::new(vec![file]);
        assert_eq!((odd, accounts.len()), (Vec::new(), 3));
        accounts
    }

    fn signed(key: &str, secret: &str, code: i32, fields: &[(&str, &str)], body: &[u8]) -> [Frame; 2] {
        [SerializeType::Json, SerializeType::RocketMq]
            .map(|form| requests::signed(form, (key, secret), code, fields, body))
    }

    /// The verdict, the same for both forms of a header.
    fn judge(key: &str, code: i32, fields: &[(&str, &str)], body: &str) -> Result<(), Refused> {
        let accounts = accounts();
        let [json, binary] = signed(key, "12345678", code, fields, body.as_bytes());
        let peer = [127, 0, 0, 1].into();
        let verdict = accounts.judge(&json, peer);
        assert_eq!(accounts.judge(&binary, peer), verdict);
        verdict
    }

    fn text(verdict: Result<(), Refused>) -> String {
        verdict.map_or_else(|refused| refused.to_string(), |()| "allowed".to_owned())
    }

    #[test]
    fn who_is_let_in() {
        let accounts = accounts();
        let send = [("b", "topicB")];
        let bare = frame(SerializeType::Json, 310, &send, b"x");
        let at = |frame: &Frame, last: [u8; 4]| text(accounts.judge(frame, last.into()));
        let exception = "org.apache.rocketmq.acl.common.AclException: ";
        assert_eq!(at(&bare, [10, 1, 1, 1]), "allowed");
        assert_eq!(
            at(&bare, [10, 2, 2, 2]),
            format!("{exception}No accessKey is configured")
        );
        let [wrong, _] = signed("adminuser", "12345679", 310, &send, b"x");
        assert_eq!(at(&wrong, [10, 2, 2, 2]), "allowed");
        assert_eq!(
            at(&wrong, [10, 2, 2, 3]),
            format!("{exception}Check signature failed for accessKey=adminuser")
        );
        let [unknown, _] = signed("nobodyhere", "12345678", 310, &send, b"x");
        assert_eq!(
            at(&unknown, [1, 1, 1, 1]),
            format!("{exception}No acl config for nobodyhere")
        );
        let no_signature = frame(
            SerializeType::Json,
            310,
            &[("b", "topicB"), (ACCESS_KEY, "RocketMQ")],
            b"x",
        );
        assert_eq!(
            at(&no_signature, [1, 1, 1, 1]),
            format!("{exception}Check signature failed for accessKey=RocketMQ")
        );
        assert_eq!(
            accounts.white_for([10, 1, 1, 1].into()),
            Some(("10.1.1.1", "conf/plain_acl.yml"))
        );
        assert_eq!(accounts.white_for([10, 1, 1, 2].into()), None);
    }

    /// Who asks whether an account may read hears of each request that it may not make.
    #[test]
    fn an_explanation_of_reading_names_what_is_refused_all_the_same() {
        let accounts = accounts();
        let explain = |key: &str, target: &str| {
            let target = Target::parse(target).expect("a target");
            let granted = accounts.explain(key, [127, 0, 0, 1].into(), target, Actions::GET);
            granted.map_or_else(|refused| refused.to_string(), |granted| granted.to_string())
        };
        let fields = [
            ("topic", "topicA"),
            ("consumerGroup", "groupA"),
            ("group", "groupA"),
        ];
        for target in ["Cluster:c", "Topic:topicA", "Group:groupA"] {
            let text = explain("RocketMQ", target);
            let kind = Target::parse(target).expect("a target").kind;
            for code in 1..=request::EXPLAIN_ACL {
                let mut reads = false;
                let probe = frame(SerializeType::Json, code, &fields, b"");
                each_target(&probe, "c", |about, actions| {
                    reads |= about.kind == kind && actions.meets(Actions::GET);
                    Ok::<(), ()>(())
                })
                .expect("no error");
                // The handler asks for the topic of the message that it finds.
                let by_message = kind == Kind::Topic && code == request::VIEW_MESSAGE_BY_ID;
                let refused = by_message || reads && judge("RocketMQ", code, &fields, "").is_err();
                assert_eq!(
                    text.contains(&format!("({code})")),
                    refused,
                    "{target} {code}: {text}"
                );
            }
        }
        assert_eq!(
            explain("RocketMQ", "Cluster:c"),
            "every account may, but not each: GET_BROKER_CONFIG (26) needs an admin, GET_BROKER_CLUSTER_ACL_INFO (52) needs an admin, \
             GET_BROKER_CLUSTER_ACL_CONFIG (54) needs an admin, EXPLAIN_ACL (3900) needs an admin"
        );
        let of_admin = explain("halfadmin", "Cluster:c");
        assert!(of_admin.ends_with("is an admin"), "{of_admin}");
    }

    /// Java 4.9 asks for a signature alone.
    #[test]
    fn a_groups_offsets_and_locks_need_the_group() {
        let locks = |group: &str, topic: &str| {
            format!(
                r#"{{"consumerGroup":"{group}","clientId":"c","mqSet":[{{"topic":"{topic}","brokerName":"b","queueId":0}}]}}"#
            )
        };
        let (reset, clone) = (
            request::INVOKE_BROKER_TO_RESET_OFFSET,
            request::CLONE_GROUP_OFFSET,
        );
        let (lock, unlock) = (request::LOCK_BATCH_MQ, request::UNLOCK_BATCH_MQ);
        for (code, fields, body, refused) in [
            (
                reset,
                &[("group", "g"), ("topic", "topicC")][..],
                String::new(),
                "",
            ),
            (
                reset,
                &[("group", "groupA"), ("topic", "topicC")],
                String::new(),
                "group:groupA",
            ),
            (
                reset,
                &[("group", "g"), ("topic", "topicA")],
                String::new(),
                "topic:topicA",
            ),
            (clone, &[("srcGroup", "g"), ("destGroup", "h")], String::new(), ""),
            (
                clone,
                &[("srcGroup", "groupA"), ("destGroup", "h")],
                String::new(),
                "group:groupA",
            ),
            (
                clone,
                &[("srcGroup", "g"), ("destGroup", "groupA")],
                String::new(),
                "group:groupA",
            ),
            (
                clone,
                &[("srcGroup", "g"), ("destGroup", "h"), ("topic", "topicA")],
                String::new(),
                "topic:topicA",
            ),
            (lock, &[], locks("g", "topicC"), ""),
            (lock, &[], locks("g", "%RETRY%g"), ""),
            (lock, &[], locks("groupA", "topicC"), "group:groupA"),
            (unlock, &[], locks("groupA", "topicC"), "group:groupA"),
            (unlock, &[], locks("g", "topicA"), "topic:topicA"),
        ] {
            let verdict = text(judge("RocketMQ", code, fields, &body));
            match refused {
                "" => assert_eq!(verdict, "allowed", "{code} {fields:?} {body}"),
                what => assert!(
                    verdict.contains(&format!("No default permission for {what}")),
                    "{verdict}"
                ),
            }
        }
        let tool = &[("group", "groupA"), ("topic", "topicA")];
        assert_eq!(text(judge("halfadmin", reset, tool, "")), "allowed");
    }

    #[test]
    fn what_a_request_does_not_show_is_permitted_by_the_same_rules() {
        let accounts = accounts();
        let (topic, group) = (Resource::Topic("topicA"), Resource::Group("groupA"));
        let ask = |key: Option<&str>, last: [u8; 4], what, needed| {
            text(accounts.permits(key, last.into(), what, needed))
        };
        let (pub_, sub, other) = (Permission::Pub, Permission::Sub, [1, 1, 1, 1]);
        assert_eq!(
            ask(Some("RocketMQ"), other, Resource::Topic("topicB"), pub_),
            "allowed"
        );
        let refused = ask(Some("RocketMQ"), other, topic, sub);
        assert!(
            refused.ends_with("topicPerms topicA=DENY, SUB is needed"),
            "{refused}"
        );
        let refused = ask(Some("RocketMQ"), other, group, sub);
        assert!(
            refused.ends_with("groupPerms groupA=DENY, SUB is needed"),
            "{refused}"
        );
        assert_eq!(ask(Some("adminuser"), other, topic, sub), "allowed");
        let bound = ask(Some("halfadmin"), other, topic, sub);
        assert!(bound.ends_with("topicA=PUB, SUB is needed"), "{bound}");
        for (key, refused) in [
            (None, "No accessKey is configured"),
            (Some("gone"), "No acl config for gone"),
        ] {
            assert!(ask(key, other, topic, pub_).contains(refused));
            assert_eq!(ask(key, [10, 1, 1, 1], topic, pub_), "allowed");
        }
    }

    #[test]
    fn what_requests_need() {
        let place = "account RocketMQ of conf/plain_acl.yml:3";
        let no = |what: &str, rule: &str| {
            format!(
                "org.apache.rocketmq.acl.common.AclException: No default permission for {what}, {place}: {rule}"
            )
        };
        let a = "topicPerms topicA=DENY, ";
        let group = "groupPerms groupA=DENY, SUB is needed";
        let heartbeat = r#"{"clientID":"c","consumerDataSet":[{"groupName":"g","subscriptionDataSet":[{"topic":"topicB"},{"topic":"topicA"}]}]}"#;
        for (code, fields, body, expected) in [
            (
                request::SEND_MESSAGE,
                &[("topic", "topicB")][..],
                "x",
                "allowed".to_owned(),
            ),
            (
                request::SEND_MESSAGE,
                &[("topic", "topicA")],
                "x",
                no("topic:topicA", &format!("{a}PUB is needed")),
            ),
            (
                request::SEND_MESSAGE_V2,
                &[("b", "topicA")],
                "x",
                no("topic:topicA", &format!("{a}PUB is needed")),
            ),
            (
                request::SEND_MESSAGE_V2,
                &[("b", "topicB"), ("topic", "topicA")],
                "x",
                no("topic:topicA", &format!("{a}PUB is needed")),
            ),
            (
                request::SEND_MESSAGE_V2,
                &[("b", "topicC")],
                "x",
                no("topic:topicC", "topicPerms topicC=SUB, PUB is needed"),
            ),
            (
                request::SEND_BATCH_MESSAGE,
                &[("b", "topicA")],
                "x",
                no("topic:topicA", &format!("{a}PUB is needed")),
            ),
            (
                request::SEND_MESSAGE_V2,
                &[("b", "%RETRY%groupA"), ("a", "groupB")],
                "x",
                no("group:groupA", group),
            ),
            (
                request::SEND_MESSAGE_V2,
                &[("b", "%RETRY%groupB")],
                "x",
                "allowed".to_owned(),
            ),
            (
                request::SEND_MESSAGE_V2,
                &[("b", "RMQ_SYS_TRACE_TOPIC")],
                "x",
                "allowed".to_owned(),
            ),
            (
                request::CONSUMER_SEND_MSG_BACK,
                &[("group", "groupA")],
                "",
                no("group:groupA", group),
            ),
            (
                request::PULL_MESSAGE,
                &[("topic", "topicD"), ("consumerGroup", "g")],
                "",
                no("topic:topicD", "defaultTopicPerm DENY, SUB is needed"),
            ),
            (
                request::PULL_MESSAGE,
                &[("topic", "topicC"), ("consumerGroup", "groupA")],
                "",
                no("group:groupA", group),
            ),
            (
                request::PULL_MESSAGE,
                &[("topic", "topicC"), ("consumerGroup", "g")],
                "",
                "allowed".to_owned(),
            ),
            (
                request::QUERY_MESSAGE,
                &[("topic", "topicA")],
                "",
                no("topic:topicA", &format!("{a}SUB is needed")),
            ),
            (
                request::HEART_BEAT,
                &[],
                heartbeat,
                no("topic:topicA", &format!("{a}SUB is needed")),
            ),
            (request::HEART_BEAT, &[], "no heartbeat", "allowed".to_owned()),
            (
                request::UNREGISTER_CLIENT,
                &[("consumerGroup", "groupA")],
                "",
                no("group:groupA", group),
            ),
            (
                request::GET_CONSUMER_LIST_BY_GROUP,
                &[("consumerGroup", "groupA")],
                "",
                no("group:groupA", group),
            ),
            (
                request::UPDATE_CONSUMER_OFFSET,
                &[("consumerGroup", "groupA"), ("topic", "topicC")],
                "",
                no("group:groupA", group),
            ),
            (
                request::GET_MAX_OFFSET,
                &[("topic", "topicA")],
                "",
                "allowed".to_owned(),
            ),
        ] {
            assert_eq!(
                text(judge("RocketMQ", code, fields, body)),
                expected,
                "{code} {fields:?}"
            );
        }
    }

    #[test]
    fn what_operators_may() {
        for code in [17, 25, 200, 207, 215, 50, 51, 52, 53, 54, 26, 306, 316, 323, 329] {
            let refused = judge("RocketMQ", code, &[], "").expect_err("no admin");
            assert_eq!(
                refused.to_string(),
                format!(
                    "org.apache.rocketmq.acl.common.AclException: Need admin permission for request code={code}, but \
                     accessKey=RocketMQ is not, account RocketMQ of conf/plain_acl.yml:3 is no admin"
                )
            );
            assert_eq!(judge("adminuser", code, &[], ""), Ok(()));
        }
        assert_eq!(judge("adminuser", 310, &[("b", "any")], "x"), Ok(()));
        // One permission, and all the rest is DENY.
        assert_eq!(judge("halfadmin", 310, &[("b", "topicA")], "x"), Ok(()));
        assert!(judge("halfadmin", 310, &[("b", "topicB")], "x").is_err());
    }

    #[test]
    fn of_a_key_in_two_files_the_first_counts() {
        let read = |name| AclFile::read(name, FILE).expect("a file");
        let (accounts, odd) = Accounts::new(vec![read("conf/acl/a.yml"), read("conf/plain_acl.yml")]);
        assert_eq!(
            accounts.get("RocketMQ").map(|account| &*account.file),
            Some("conf/acl/a.yml")
        );
        assert_eq!(
            odd.first().map(Finding::to_string).as_deref(),
            Some("conf/plain_acl.yml:3: account RocketMQ has no effect: it is in conf/acl/a.yml:3 already")
        );
    }

    proptest! {
        #[test]
        fn a_changed_request_is_not_signed(
            fields in proptest::collection::btree_map("[a-z]{1,3}", "[a-z0-9\u{e9}\"\\\\]{1,5}", 1..20),
            body in proptest::collection::vec(any::<u8>(), 0..50),
            at in any::<prop::sample::Index>(),
        ) {
            let accounts = accounts();
            let list: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let peer = [127, 0, 0, 1].into();
            for honest in signed("adminuser", "12345678", 310, &list, &body) {
                prop_assert_eq!(accounts.judge(&honest, peer), Ok(()));
                let form = honest.serialize_type;
                let changed: Vec<(String, String)> = honest
                    .fields()
                    .enumerate()
                    .map(|(i, (name, value))| {
                        let more = if i == at.index(list.len()) { "x" } else { "" };
                        (name.to_owned(), format!("{value}{more}"))
                    })
                    .collect();
                let changed: Vec<_> = changed.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                let verdict = accounts.judge(&frame(form, 310, &changed, &body), peer);
                prop_assert_eq!(verdict.map_err(|refused| refused.reason), Err(Reason::Signature));
            }
        }
    }
}
