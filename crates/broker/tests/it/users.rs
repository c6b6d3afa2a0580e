//! Users and policies of a whole broker: tools that change them, what is refused, a start, a slave.

use acl::Credentials;
use broker::settings::{BrokerRole, Settings};
use protocol::code::{request, response};
use protocol::header::Short;
use protocol::header::auth::*;
use protocol::{EncodeHeader, Frame};
use remoting::{Body, Client, ClientSettings, Sign};
use settings::Section;

use crate::fixture::*;

pub(crate) const INIT: &str = r#"{"username":"root","password":"rootpw"}"#;

pub(crate) fn guarded(settings: &mut Settings) {
    for (key, value) in [
        ("authenticationEnabled", "true"),
        ("authorizationEnabled", "true"),
        ("authenticationWhitelist", "28"),
        ("initAuthenticationUser", INIT),
    ] {
        settings.auth.set(key, value).unwrap();
    }
}

pub(crate) fn client(name: &str, password: &str) -> Client {
    let credentials = Credentials::new(name, password);
    Client::new(ClientSettings {
        sign: Some(Sign::by(move |fields, body| credentials.sign(fields, body))),
        ..ClientSettings::default()
    })
}

pub(crate) async fn ask(
    fixture: &Fixture,
    client: &Client,
    code: i32,
    header: &(dyn EncodeHeader + Sync),
    body: &str,
) -> Frame {
    let address = format!("127.0.0.1:{}", fixture.port);
    let body = Body::Bytes(body.to_owned().into());
    client.invoke(&address, code, header, body, WITHIN).await.unwrap()
}

pub(crate) fn user(name: &'static str) -> UserRequestHeader<'static> {
    UserRequestHeader {
        username: Some(name.into()),
    }
}

pub(crate) fn subject(name: &'static str) -> AclRequestHeader<'static> {
    AclRequestHeader {
        subject: Some(name.into()),
        ..AclRequestHeader::default()
    }
}

pub(crate) fn text(frame: &Frame) -> &str {
    std::str::from_utf8(&frame.body).unwrap()
}

pub(crate) const POLICY: &str =
    r#"{"policies":[{"entries":[{"resource":"Topic:Orders*","actions":["Pub"],"decision":"Allow"}]}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn users_may_what_their_policies_allow() {
    let fixture = Fixture::new(guarded).await;
    let root = client("root", "rootpw");
    let alice = client("alice", "alicepw");
    let send = async |client: &Client, topic: &str| {
        let header = to(topic, 0, "");
        let answer = ask(&fixture, client, request::SEND_MESSAGE_V2, &Short(&header), "x").await;
        (answer.code, answer.remark.unwrap_or_default().to_string())
    };
    let nobody = (response::NO_PERMISSION, "User:alice is not found.".to_owned());
    assert_eq!(send(&alice, "Orders1").await, nobody);
    let made = ask(
        &fixture,
        &root,
        request::AUTH_CREATE_USER,
        &user("alice"),
        r#"{"password":"alicepw","userType":"Normal"}"#,
    )
    .await;
    assert_eq!(made.code, response::SUCCESS);
    let (code, remark) = send(&alice, "Orders1").await;
    assert_eq!(code, response::NO_PERMISSION);
    assert_eq!(
        remark,
        "User:alice has no permission to access Topic:Orders1 from 127.0.0.1, no matched policies. (Pub is needed)"
    );
    let put = ask(
        &fixture,
        &root,
        request::AUTH_CREATE_ACL,
        &subject("User:alice"),
        POLICY,
    )
    .await;
    assert_eq!((put.code, put.remark), (response::SUCCESS, None));
    assert_eq!(
        send(&alice, "Orders1").await.0,
        response::SUCCESS,
        "in force at once"
    );
    // A Normal user changes no one, whoever allows it: Super users are Super users' to make.
    let refused = ask(
        &fixture,
        &alice,
        request::AUTH_CREATE_USER,
        &user("eve"),
        r#"{"password":"x","userType":"Super"}"#,
    )
    .await;
    assert_eq!(refused.code, response::NO_PERMISSION);
    let all = r#"{"policies":[{"entries":[{"resource":"Cluster:*","actions":["All"],"decision":"Allow"}]}]}"#;
    ask(
        &fixture,
        &root,
        request::AUTH_UPDATE_ACL,
        &subject("User:alice"),
        all,
    )
    .await;
    for (code, header, body, answer, remark) in [
        (
            request::AUTH_CREATE_USER,
            user("eve"),
            r#"{"password":"x","userType":"Super"}"#,
            response::SYSTEM_ERROR,
            "The super user can only be create by super user",
        ),
        (
            request::AUTH_UPDATE_USER,
            user("alice"),
            r#"{"userType":"Super"}"#,
            response::NO_PERMISSION,
            "The super user can only be update by super user",
        ),
        (
            request::AUTH_UPDATE_USER,
            user("root"),
            r#"{"password":"x"}"#,
            response::NO_PERMISSION,
            "The super user can only be update by super user",
        ),
        (
            request::AUTH_DELETE_USER,
            user("root"),
            "",
            response::NO_PERMISSION,
            "The super user can only be update by super user",
        ),
    ] {
        let refused = ask(&fixture, &alice, code, &header, body).await;
        assert_eq!(
            (refused.code, refused.remark.as_deref()),
            (answer, Some(remark)),
            "{code}"
        );
    }
    // Their passwords are not told.
    let listed = ask(&fixture, &alice, request::AUTH_LIST_USER, &(), "").await;
    assert_eq!(
        text(&listed),
        r#"[{"password":"alicepw","userStatus":"enable","userType":"Normal","username":"alice"},{"userStatus":"enable","userType":"Super","username":"root"}]"#
    );
    let runtime = fixture.runtime().await;
    assert_eq!(runtime["aclRefusedUnknownAccessKey"], "1");
    assert_eq!(runtime["aclRefusedPermission"], "2");
    // What was answered is there after a start.
    let dir = fixture.stop().await;
    let fixture = Fixture::in_folder(dir, guarded).await;
    let send = ask(
        &fixture,
        &alice,
        request::SEND_MESSAGE_V2,
        &Short(&to("Orders2", 0, "")),
        "x",
    )
    .await;
    assert_eq!(send.code, response::SUCCESS);
    assert_eq!(
        ask(&fixture, &root, request::AUTH_DELETE_USER, &user("alice"), "")
            .await
            .code,
        response::SUCCESS
    );
    let gone = ask(&fixture, &root, request::AUTH_GET_ACL, &subject("User:alice"), "").await;
    assert_eq!(gone.remark.as_deref(), Some("The subject is not exist."));
    fixture.stop().await;
}

/// Answered is on the disk: no save is left to the stop.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_on_disk_before_it_is_answered() {
    let fixture = Fixture::new(guarded).await;
    let root = client("root", "rootpw");
    let body = r#"{"password":"alicepw"}"#;
    let made = ask(&fixture, &root, request::AUTH_CREATE_USER, &user("alice"), body).await;
    assert_eq!(made.code, response::SUCCESS);
    let file = std::fs::read_to_string(fixture.dir.path().join("store/config/auth.json")).unwrap();
    assert!(file.contains("\"alice\""), "{file}");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_users_there_are_none_to_change() {
    let fixture = Fixture::new(|_| {}).await;
    for code in request::AUTH_CREATE_USER..=request::AUTH_LIST_ACL {
        let body = r#"{"policies":[{"entries":[]}]}"#;
        let answer = fixture.ask(code, &user("alice"), body).await;
        assert_eq!(answer.code, response::SYSTEM_ERROR, "{code}");
        assert!(answer.remark.unwrap().contains("there are no users"), "{code}");
    }
    fixture.stop().await;
}

/// Java's tools make users on masters and slaves; what is made on the master alone comes here, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_has_its_masters_users() {
    let as_itself = |settings: &mut Settings| {
        guarded(settings);
        let inner = r#"{"accessKey":"inner","secretKey":"innerpw"}"#;
        settings
            .auth
            .set("innerClientAuthenticationCredentials", inner)
            .unwrap();
    };
    let master = Fixture::new(|settings| {
        as_itself(settings);
        settings.store.ha_listen_port = settings.server.listen_port + 1;
        settings.store.ha_allowed_slaves = Some("127.0.0.1".to_owned());
    })
    .await;
    let port = master.port;
    let slave = Fixture::new(|settings| {
        as_itself(settings);
        settings.store.broker_role = BrokerRole::Slave;
        settings.broker.broker_id = 1;
        settings.store.ha_master_address = Some(format!("127.0.0.1:{}", port + 1));
    })
    .await;
    let root = client("root", "rootpw");
    let body = r#"{"password":"alicepw"}"#;
    let made = ask(&master, &root, request::AUTH_CREATE_USER, &user("alice"), body).await;
    assert_eq!(made.code, response::SUCCESS);
    let put = ask(
        &master,
        &root,
        request::AUTH_CREATE_ACL,
        &subject("User:alice"),
        POLICY,
    )
    .await;
    assert_eq!(put.code, response::SUCCESS);
    let deadline = tokio::time::Instant::now() + WITHIN;
    loop {
        let acl = ask(&slave, &root, request::AUTH_GET_ACL, &subject("User:alice"), "").await;
        if text(&acl).contains("Topic:Orders*") {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{:?}", acl.remark);
        tokio::task::yield_now().await;
    }
    // The log comes over questions that are signed, too.
    let header = to("Orders1", 0, "");
    let sent = ask(&master, &root, request::SEND_MESSAGE_V2, &Short(&header), "x").await;
    assert_eq!(sent.code, response::SUCCESS);
    let end = async |broker: &Fixture| broker.runtime().await["commitLogMaxOffset"].clone();
    while end(&slave).await != end(&master).await {
        assert!(tokio::time::Instant::now() < deadline, "the log is not copied");
        tokio::task::yield_now().await;
    }
    // As a tool does that goes on to the slave.
    let again = ask(&slave, &root, request::AUTH_CREATE_USER, &user("alice"), body).await;
    assert_eq!(again.code, response::SUCCESS, "{:?}", again.remark);
    let other = ask(
        &slave,
        &root,
        request::AUTH_CREATE_USER,
        &user("alice"),
        r#"{"password":"x"}"#,
    )
    .await;
    assert_eq!(other.remark.as_deref(), Some("The user is existed"));
    slave.stop().await;
    master.stop().await;
}

/// What is explained is what is done: the same rule, asked for by an operator and met by a client.
#[tokio::test(flavor = "multi_thread")]
async fn explanations_are_what_clients_are_told() {
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::create_dir_all(dir.path().join("conf")).unwrap();
    let accounts = "accounts:\n- {accessKey: rootuser, secretKey: rootpw12, admin: true}\n\
                    - {accessKey: alice-account, secretKey: alicepw, topicPerms: [Orders1=PUB, Both=PUB]}\n";
    std::fs::write(dir.path().join("conf/plain_acl.yml"), accounts).unwrap();
    let home = dir.path().display().to_string();
    let fixture = Fixture::in_folder(dir, |settings| {
        guarded(settings);
        let init = r#"{"username":"rootuser","password":"rootpw12"}"#;
        settings.auth.set("initAuthenticationUser", init).unwrap();
        settings.auth.set("authenticationWhitelist", "").unwrap();
        settings.broker.acl_enable = true;
        settings.broker.rocketmq_home = Some(home);
    })
    .await;
    let root = client("rootuser", "rootpw12");
    let alice = client("alice-account", "alicepw");
    let body = r#"{"password":"alicepw"}"#;
    ask(
        &fixture,
        &root,
        request::AUTH_CREATE_USER,
        &user("alice-account"),
        body,
    )
    .await;
    let policy =
        r#"{"policies":[{"entries":[{"resource":"Topic:Both","actions":["Pub"],"decision":"Allow"}]}]}"#;
    ask(
        &fixture,
        &root,
        request::AUTH_CREATE_ACL,
        &subject("User:alice-account"),
        policy,
    )
    .await;
    let about = |resource: &'static str, action: &'static str| ExplainAclRequestHeader {
        username: "alice-account".into(),
        address: "127.0.0.1".into(),
        resource: resource.into(),
        action: action.into(),
    };
    for (topic, resource, by) in [
        ("Both", "Topic:Both", &["accounts", "users"][..]),
        ("Orders1", "Topic:Orders1", &["accounts", "users"]),
        ("Other", "Topic:Other", &["accounts"]),
    ] {
        let send = ask(
            &fixture,
            &alice,
            request::SEND_MESSAGE_V2,
            &Short(&to(topic, 0, "")),
            "x",
        )
        .await;
        let answer = ask(&fixture, &root, request::EXPLAIN_ACL, &about(resource, "Pub"), "").await;
        let explanation: protocol::body::auth::Explanation = protocol::body::read(&answer.body).unwrap();
        assert_eq!(explanation.allowed, send.code == response::SUCCESS, "{topic}");
        let asked: Vec<&str> = explanation
            .verdicts
            .iter()
            .map(|verdict| verdict.by.as_str())
            .collect();
        assert_eq!(asked, by, "{topic}");
        if let Some(refused) = explanation.verdicts.iter().find(|verdict| !verdict.allowed) {
            assert_eq!(Some(refused.rule.as_str()), send.remark.as_deref());
        }
    }
    let both = ask(
        &fixture,
        &root,
        request::EXPLAIN_ACL,
        &about("Topic:Both", "Pub"),
        "",
    )
    .await;
    assert_eq!(
        text(&both),
        concat!(
            r#"{"allowed":true,"verdicts":[{"allowed":true,"by":"accounts","rule":"account alice-account of conf/plain_acl.yml:3: topicPerms PUB"},"#,
            r#"{"allowed":true,"by":"users","rule":"Custom policy of User:alice-account: Topic:Both Pub Allow"}]}"#
        )
    );
    for (resource, action, part) in [
        ("Topic:*", "Pub", "is no resource"),
        ("Topic:a", "All", "is no action"),
        ("Topic:a", "", "is no action"),
    ] {
        let answer = ask(
            &fixture,
            &root,
            request::EXPLAIN_ACL,
            &about(resource, action),
            "",
        )
        .await;
        assert_eq!(answer.code, response::INVALID_PARAMETER);
        assert!(
            answer.remark.as_deref().unwrap().contains(part),
            "{:?}",
            answer.remark
        );
    }
    let stranger = ask(
        &fixture,
        &alice,
        request::EXPLAIN_ACL,
        &about("Topic:Both", "Pub"),
        "",
    )
    .await;
    assert!(
        stranger
            .remark
            .as_deref()
            .unwrap()
            .contains("Need admin permission")
    );
    fixture.stop().await;
}
