use super::*;
use crate::policy::Kind;
use crate::requests;
use protocol::SerializeType;
use protocol::code::request;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn user(name: &str, more: &str) -> UserInfo {
    let body = format!(r#"{{"username":"{name}","password":"pw-{name}"{more}}}"#);
    protocol::body::read(body.as_bytes()).expect("a user")
}

fn acl(name: &str, kind: &str, resource: &str, actions: &str, decision: &str) -> AclInfo {
    let body = format!(
        r#"{{"subject":"User:{name}","policies":[{{"policyType":"{kind}","entries":[{{"resource":"{resource}","actions":["{}"],"decision":"{decision}"}}]}}]}}"#,
        actions.replace(',', "\",\"")
    );
    protocol::body::read(body.as_bytes()).expect("an acl")
}

fn users() -> Users {
    let mut all = Users::default();
    for info in [
        user("root", r#","userType":"Super""#),
        user("alice", ""),
        user("gone", r#","userStatus":"disable""#),
    ] {
        all.create(&info).expect("a user");
    }
    for acl in [
        acl("alice", "Custom", "Topic:T1", "Pub,Sub", "Allow"),
        acl("alice", "Custom", "Topic:T1-dark", "All", "Deny"),
        acl("alice", "Default", "Topic:T1*", "All", "Allow"),
        acl("alice", "", "Group:g1", "Sub", "Allow"),
    ] {
        all.put_acl(&acl).expect("policies");
    }
    all
}

fn rules(authentication: bool, authorization: bool) -> Rules {
    Rules {
        authentication,
        authorization,
        unsigned: HashSet::from([request::GET_BROKER_RUNTIME_INFO]),
        unauthorized: HashSet::from([request::GET_MAX_OFFSET]),
        cluster: "C".to_owned(),
    }
}

fn frame(who: Option<(&str, &str)>, code: i32, fields: &[(&str, &str)], body: &str) -> Frame {
    let (form, body) = (SerializeType::Json, body.as_bytes());
    match who {
        Some(who) => requests::signed(form, who, code, fields, body),
        None => requests::bare(form, code, fields, body),
    }
}

const ALICE: Option<(&str, &str)> = Some(("alice", "pw-alice"));

fn said(users: &Users, rules: &Rules, frame: &Frame) -> String {
    let verdict = users.judge(rules, frame, PEER);
    verdict.map_or_else(|refused| refused.to_string(), |()| "allowed".to_owned())
}

#[test]
fn who_is_let_in() {
    let (users, rules) = (users(), rules(true, true));
    let send = |who| frame(who, request::SEND_MESSAGE_V2, &[("b", "T1")], "x");
    for (who, text) in [
        (None, "username cannot be null."),
        (Some(("nobody", "x")), "User:nobody is not found."),
        (Some(("gone", "pw-gone")), "User:gone is disabled."),
        (Some(("alice", "wrong")), "check signature failed."),
        (ALICE, "allowed"),
        (Some(("root", "pw-root")), "allowed"),
    ] {
        assert_eq!(said(&users, &rules, &send(who)), text);
    }
    let refused = users.judge(&rules, &send(None), PEER).expect_err("nobody");
    assert_eq!((refused.code(), refused.reason), (16, Reason::NoAccount));
    // A code that needs no signature.
    let info = frame(None, request::GET_BROKER_RUNTIME_INFO, &[], "");
    assert_eq!(said(&users, &rules, &info), "allowed");
}

#[test]
fn what_users_may_do() {
    let (users, both) = (users(), rules(true, true));
    let no = |target: &str, why: &str| {
        format!("User:alice has no permission to access {target} from 127.0.0.1, {why}")
    };
    let unmatched =
        |target: &str, wanted: &str| no(target, &format!("no matched policies. ({wanted} is needed)"));
    let heartbeat = r#"{"clientID":"c","consumerDataSet":[{"groupName":"g1","subscriptionDataSet":[{"topic":"T1"},{"topic":"%RETRY%g1"},{"topic":"X"}]}]}"#;
    let lock =
        r#"{"consumerGroup":"g1","clientId":"c","mqSet":[{"topic":"X","brokerName":"b","queueId":0}]}"#;
    let pull = [("consumerGroup", "g1"), ("topic", "T1")];
    let stranger = [("consumerGroup", "g2"), ("topic", "T1")];
    for (code, fields, body, expected) in [
        (310, &[("b", "T1")][..], "", "allowed".to_owned()),
        (310, &[("b", "T1b")], "", "allowed".to_owned()),
        (
            320,
            &[("b", "T1-dark")],
            "",
            no(
                "Topic:T1-dark",
                "the decision is deny. (Custom policy: Topic:T1-dark All Deny)",
            ),
        ),
        (10, &[("topic", "X")], "", unmatched("Topic:X", "Pub")),
        (310, &[("b", "%RETRY%g1"), ("a", "p")], "", "allowed".to_owned()),
        (
            310,
            &[("b", "%RETRY%g2"), ("a", "g1")],
            "",
            unmatched("Group:g2", "Sub"),
        ),
        (11, &pull, "", "allowed".to_owned()),
        (11, &stranger, "", unmatched("Group:g2", "Sub")),
        (361, &stranger, "", unmatched("Group:g2", "Sub")),
        (14, &stranger, "", unmatched("Group:g2", "Sub,Get")),
        (15, &stranger, "", unmatched("Group:g2", "Sub,Update")),
        (34, &[], heartbeat, unmatched("Topic:X", "Sub")),
        (41, &[], lock, unmatched("Topic:X", "Sub")),
        (17, &[("topic", "X")], "", unmatched("Topic:X", "Create")),
        (
            18,
            &[],
            r#"{"topicConfigList":[{"topicName":"X"}]}"#,
            unmatched("Topic:X", "Create"),
        ),
        (200, &[], r#"{"groupName":"g1"}"#, unmatched("Group:g1", "Create")),
        (
            225,
            &[],
            r#"{"groupConfigList":[{"groupName":"g2"}]}"#,
            unmatched("Group:g2", "Create"),
        ),
        (25, &[], "a=b", unmatched("Cluster:C", "Update")),
        (26, &[], "", unmatched("Cluster:C", "Get")),
        (3001, &[("username", "x")], "{}", unmatched("Cluster:C", "Update")),
        (3005, &[], "", unmatched("Cluster:C", "Get")),
        (
            308,
            &[
                ("filterGroups", "g1, g2"),
                ("compareGroup", "g1"),
                ("topic", "T1b"),
            ],
            "",
            unmatched("Group:g1", "Get"),
        ),
        (30, &[("topic", "X")], "", "allowed".to_owned()),
        (31, &[("topic", "X")], "", unmatched("Topic:X", "Get")),
        (28, &[], "", "allowed".to_owned()),
        (99_999, &[], "", "allowed".to_owned()),
    ] {
        assert_eq!(
            said(&users, &both, &frame(ALICE, code, fields, body)),
            expected,
            "{code} {fields:?}"
        );
        let root = Some(("root", "pw-root"));
        assert_eq!(
            said(&users, &both, &frame(root, code, fields, body)),
            "allowed",
            "{code}"
        );
    }
    // Who is switched off may do nothing, though nobody has to sign.
    let unsigned = rules(false, true);
    let send = |name| frame(Some((name, "x")), 310, &[("b", "T1")], "");
    assert_eq!(said(&users, &unsigned, &send("alice")), "allowed");
    assert_eq!(said(&users, &unsigned, &send("gone")), "User:gone is disabled.");
    assert_eq!(said(&users, &unsigned, &send("nobody")), "User:nobody not found.");
    assert_eq!(
        said(&users, &unsigned, &frame(None, 310, &[("b", "T1")], "")),
        "Authorization failed. Please verify your access rights and try again."
    );
    // Without policies passwords are still no one's but Super users'.
    let signed = rules(true, false);
    assert_eq!(
        said(&users, &signed, &frame(ALICE, 17, &[("topic", "X")], "")),
        "allowed"
    );
    let list = said(&users, &signed, &frame(ALICE, 3005, &[], ""));
    assert!(list.starts_with("User:alice has no permission: "), "{list}");
    assert_eq!(
        said(&users, &signed, &frame(Some(("root", "pw-root")), 3005, &[], "")),
        "allowed"
    );
}

#[test]
fn explanations_are_the_verdicts() {
    let (users, both) = (users(), rules(true, true));
    let explained = |name: &str, target: &str, wanted| {
        let target = Target::parse(target).expect(target);
        match users.explain(&both, name, PEER, target, wanted) {
            Ok(granted) => granted.to_string(),
            Err(refused) => format!("refused: {refused}"),
        }
    };
    for (name, target, wanted, text) in [
        (
            "alice",
            "Topic:T1",
            Actions::PUB,
            "Custom policy of User:alice: Topic:T1 Pub,Sub Allow",
        ),
        (
            "alice",
            "Topic:T1x",
            Actions::PUB,
            "Default policy of User:alice: Topic:T1* All Allow",
        ),
        ("root", "Topic:T1", Actions::PUB, "User:root is a Super user"),
        (
            "gone",
            "Topic:T1",
            Actions::PUB,
            "refused: User:gone is disabled.",
        ),
        (
            "alice",
            "Group:%RETRY%g2",
            Actions::SUB,
            "refused: User:alice has no permission to access Group:g2 from 127.0.0.1, no matched policies. (Sub is needed)",
        ),
    ] {
        assert_eq!(explained(name, target, wanted), text);
    }
    let target = Target {
        kind: Kind::Topic,
        name: "X",
    };
    let granted = users.explain(&rules(true, false), "alice", PEER, target, Actions::PUB);
    assert!(matches!(granted, Ok(Granted::NotAuthorized)));
}

#[test]
fn users_are_made_changed_and_deleted() {
    let mut all = users();
    for (bad, code, text) in [
        (user(" ", ""), 29, "The username is blank"),
        (user("alice", ""), 16, "The user is existed"),
        (
            UserInfo {
                password: Some(" ".to_owned()),
                ..user("new", "")
            },
            16,
            "password can not be blank",
        ),
        (user("new", r#","userType":"King""#), 16, "the user type can be"),
        (user(&"n".repeat(2000), ""), 1, "a name has 1024 bytes at most"),
    ] {
        let refused = all.create(&bad).expect_err("no user");
        assert_eq!(refused.code(), code);
        assert!(refused.to_string().starts_with(text), "{refused}");
    }
    assert_eq!(all.update(&user("new", "")), Err(BadChange::NoUser));
    let change = r#"{"username":"alice","password":" ","userStatus":"disable"}"#;
    all.update(&protocol::body::read(change.as_bytes()).expect("a user"))
        .expect("a change");
    let alice = all.get("alice").expect("alice").info();
    assert_eq!(
        protocol::body::write(&alice),
        r#"{"password":"pw-alice","userStatus":"disable","userType":"Normal","username":"alice"}"#
    );
    let names = |users: &[UserInfo]| -> Vec<String> {
        users.iter().filter_map(|user| user.username.clone()).collect()
    };
    assert_eq!(names(&all.list("")), ["alice", "gone", "root"]);
    assert_eq!(names(&all.list("o")), ["gone", "root"]);
    let bytes = all.bytes;
    assert_eq!(all.delete("alice"), Ok(true));
    assert!(all.bytes < bytes && all.get("alice").is_none());
    assert_eq!(all.delete("alice"), Ok(false));
    assert_eq!(all.delete(""), Err(BadChange::BlankName));
    // Its policies went with it.
    all.create(&user("alice", "")).expect("a user");
    assert_eq!(all.subject("User:alice").expect("alice").acl(), None);
}

#[test]
fn policies_are_merged_listed_and_deleted() {
    let mut all = users();
    let text = |users: &Users| protocol::body::write(&users.subject("User:alice").expect("alice").acl());
    assert_eq!(
        text(&all),
        concat!(
            r#"{"policies":[{"entries":[{"actions":["Pub","Sub"],"decision":"Allow","resource":"Topic:T1"},"#,
            r#"{"actions":["All"],"decision":"Deny","resource":"Topic:T1-dark"},"#,
            r#"{"actions":["Sub"],"decision":"Allow","resource":"Group:g1"}],"policyType":"Custom"},"#,
            r#"{"entries":[{"actions":["All"],"decision":"Allow","resource":"Topic:T1*"}],"policyType":"Default"}],"#,
            r#""subject":"User:alice"}"#
        )
    );
    for (bad, code, text) in [
        (
            acl("nobody", "", "*", "Pub", "Allow"),
            16,
            "The subject of User:nobody is not exist.",
        ),
        (
            acl("alice", "", "T1", "Pub", "Allow"),
            16,
            "The resource is null.",
        ),
        (
            acl("alice", "Third", "*", "Pub", "Allow"),
            16,
            "the policy type can be",
        ),
        (
            AclInfo {
                subject: Some("User:alice".to_owned()),
                policies: Vec::new(),
            },
            16,
            "The policies is empty.",
        ),
        (AclInfo::default(), 29, "The subject is blank"),
    ] {
        let refused = all.put_acl(&bad).expect_err("no policies");
        assert_eq!(refused.code(), code);
        assert!(refused.to_string().starts_with(text), "{refused}");
    }
    let listed = all.list_acls("alice", "dark");
    assert_eq!((listed.len(), listed[0].policies[0].entries.len()), (1, 1));
    assert_eq!(all.list_acls("", "ali")[0].policies.len(), 2);
    assert!(all.list_acls("root", "").is_empty());
    assert!(matches!(
        all.delete_acl("User:alice", None, "T1"),
        Err(BadChange::BadResource(_))
    ));
    all.delete_acl("User:alice", None, "Topic:T1-dark")
        .expect("deleted");
    all.delete_acl("User:alice", Some("Default"), "Topic:T1*")
        .expect("deleted");
    assert!(!text(&all).windows(4).any(|part| part == b"dark"));
    all.delete_acl("User:alice", None, "").expect("deleted");
    assert_eq!(all.delete_acl("User:alice", None, ""), Err(BadChange::NoAcl));
    assert_eq!(all.subject("User:nobody").err(), Some(BadChange::NoSubjectAsked));
}

#[test]
fn what_is_read_is_what_was_told() {
    let all = users();
    let told: Vec<UserInfo> = all.list("");
    let again = Users::read(&told, &all.list_acls("", "")).expect("users");
    assert_eq!((again.list(""), again.bytes), (told.clone(), all.bytes));
    assert_eq!(again.list_acls("", ""), all.list_acls("", ""));
    let twice = [told.clone(), told].concat();
    assert_eq!(
        Users::read(&twice, &[]).err().as_deref(),
        Some("user `alice`: The user is existed")
    );
    let bad = Users::read(&[], &[acl("x", "", "*", "Pub", "Allow")]).err();
    assert_eq!(
        bad.as_deref(),
        Some("policies of `User:x`: The subject of User:x is not exist.")
    );
}

#[test]
fn there_is_an_end_to_what_is_kept() {
    let mut all = users();
    let mut many = acl("alice", "", "Topic:x", "Pub", "Allow");
    let entry = many.policies[0].entries[0].clone();
    many.policies[0].entries = (0..=ENTRIES_MAX)
        .map(|at| protocol::body::auth::PolicyEntryInfo {
            resource: Some(format!("Topic:x{at}")),
            ..entry.clone()
        })
        .collect();
    assert!(matches!(all.put_acl(&many), Err(BadChange::Limit(_))));
    many.policies[0].entries.truncate(100);
    many.policies[0].entries[0].resource = Some(format!("Topic:{}", "x".repeat(BYTES_MAX)));
    assert!(matches!(all.put_acl(&many), Err(BadChange::Limit(_))));
    many.policies[0].entries.remove(0);
    all.put_acl(&many).expect("few");
}
