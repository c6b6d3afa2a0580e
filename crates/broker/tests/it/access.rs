//! Access control of a whole broker: accounts, tools that change them, files that change, what is refused.

use std::path::Path;

use acl::Credentials;
use broker::settings::Settings;
use disk::Clock;
use protocol::code::{request, response};
use protocol::header::Short;
use protocol::header::broker::*;
use protocol::{EncodeHeader, Frame};
use remoting::{Body, Client, ClientSettings, Sign};
use tempfile::TempDir;

use crate::fixture::{Fixture, WITHIN, from, to};
use crate::pairs::eventually;

const ACCOUNTS: &str = "\
accounts:
- accessKey: RocketMQ
  secretKey: 12345678
  defaultGroupPerm: SUB
  topicPerms:
  - Allowed=PUB|SUB
- accessKey: adminuser
  secretKey: 12345678
  admin: true
";

struct Guarded {
    fixture: Fixture,
    user: Client,
    admin: Client,
}

fn client(access_key: &str, secret: &str) -> Client {
    Client::new(signing(access_key, secret))
}

fn signing(access_key: &str, secret: &str) -> ClientSettings {
    let credentials = Credentials::new(access_key, secret);
    ClientSettings {
        sign: Some(Sign::by(move |fields, body| credentials.sign(fields, body))),
        ..ClientSettings::default()
    }
}

fn write(home: &Path, text: &str) {
    std::fs::create_dir_all(home.join("conf")).unwrap();
    std::fs::write(home.join("conf/plain_acl.yml"), text).unwrap();
}

impl Guarded {
    async fn new(text: &str) -> Guarded {
        Guarded::with(text, |_| {}).await
    }

    async fn with(text: &str, change: impl FnOnce(&mut Settings)) -> Guarded {
        let dir = TempDir::new().unwrap();
        write(dir.path(), text);
        let home = dir.path().display().to_string();
        let fixture = Fixture::in_folder(dir, |settings| {
            settings.broker.acl_enable = true;
            settings.broker.rocketmq_home = Some(home);
            change(settings);
        })
        .await;
        Guarded {
            fixture,
            user: client("RocketMQ", "12345678"),
            admin: client("adminuser", "12345678"),
        }
    }

    async fn ask(&self, client: &Client, code: i32, header: &(dyn EncodeHeader + Sync), body: &str) -> Frame {
        let address = format!("127.0.0.1:{}", self.fixture.port);
        let body = Body::Bytes(body.to_owned().into());
        client.invoke(&address, code, header, body, WITHIN).await.unwrap()
    }

    async fn send(&self, client: &Client, code: i32, topic: &str) -> Frame {
        self.ask(client, code, &Short(&to(topic, 0, "")), "hello").await
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.fixture.dir.path().join("conf/plain_acl.yml")).unwrap()
    }
}

fn remark(frame: &Frame) -> &str {
    frame.remark.as_deref().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_signed_requests_of_accounts_are_served() {
    let guarded = Guarded::new(ACCOUNTS).await;
    let stranger = &guarded.fixture.client;
    let wrong = client("RocketMQ", "87654321");
    for (client, topic, expected) in [
        (&guarded.user, "Allowed", ""),
        (&guarded.admin, "Anything", ""),
        (stranger, "Allowed", "No accessKey is configured"),
        (&wrong, "Allowed", "Check signature failed for accessKey=RocketMQ"),
        (
            &guarded.user,
            "Denied",
            "No default permission for topic:Denied, account RocketMQ of conf/plain_acl.yml:2",
        ),
    ] {
        for code in [request::SEND_MESSAGE_V2, request::SEND_BATCH_MESSAGE] {
            let answer = guarded.send(client, code, topic).await;
            if expected.is_empty() {
                assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
            } else {
                assert_eq!(answer.code, response::SYSTEM_ERROR);
                let start = format!("org.apache.rocketmq.acl.common.AclException: {expected}");
                assert!(remark(&answer).starts_with(&start), "{}", remark(&answer));
            }
        }
    }
    let runtime = guarded
        .ask(&guarded.user, request::GET_BROKER_RUNTIME_INFO, &(), "")
        .await;
    let table = protocol::body::read::<protocol::body::KvTable>(&runtime.body)
        .unwrap()
        .table;
    for (reason, count) in [
        ("aclRefusedNoAccessKey", "2"),
        ("aclRefusedSignature", "2"),
        ("aclRefusedPermission", "2"),
        ("aclFiles", "OK"),
    ] {
        assert_eq!(table.get(reason).map(String::as_str), Some(count), "{reason}");
    }
    guarded.fixture.stop().await;
}

/// The end of a queue.
async fn end_of(guarded: &Guarded, topic: &str) -> i64 {
    let header = QueueRequestHeader {
        topic: topic.into(),
        queue_id: 0,
    };
    let answer = guarded
        .ask(&guarded.admin, request::GET_MAX_OFFSET, &header, "")
        .await;
    answer.field("offset").unwrap().parse().unwrap()
}

const NO_PUB: &str = "No default permission for topic:Denied, account RocketMQ of conf/plain_acl.yml:2: \
                      defaultTopicPerm DENY, PUB is needed";

fn assert_denied(answer: &Frame, expected: &str) {
    let expected = format!("org.apache.rocketmq.acl.common.AclException: {expected}");
    assert_eq!(
        (answer.code, remark(answer)),
        (response::SYSTEM_ERROR, &*expected)
    );
}

/// `Allowed` alone may be sent to.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_a_message_names_needs_what_a_send_to_it_needs() {
    let guarded = Guarded::with(ACCOUNTS, |s| s.store.enable_multi_dispatch = true).await;
    let text = |names: &str| format!("INNER_MULTI_DISPATCH\x01{names}");
    let send = |client, names: &str| {
        let text = text(names);
        let guarded = &guarded;
        async move {
            let header = to("Allowed", 0, &text);
            guarded
                .ask(client, request::SEND_MESSAGE_V2, &Short(&header), "x")
                .await
        }
    };
    assert_denied(&send(&guarded.user, "%LMQ%a,Allowed,Denied").await, NO_PUB);
    let retry = send(&guarded.user, "%RETRY%closed").await;
    assert_eq!(retry.code, response::SUCCESS, "defaultGroupPerm is SUB");
    for (client, names) in [(&guarded.user, "%LMQ%a"), (&guarded.admin, "Denied,%LMQ%a,")] {
        let sent = send(client, names).await;
        assert_eq!(sent.code, response::SUCCESS, "{names}: {:?}", sent.remark);
    }
    assert_eq!(end_of(&guarded, "Denied").await, 1);
    guarded.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_to_another_topic_than_that_for_replies_is_a_send() {
    let guarded = Guarded::new(ACCOUNTS).await;
    let made = guarded
        .send(&guarded.admin, request::SEND_MESSAGE_V2, "Denied")
        .await;
    assert_eq!(made.code, response::SUCCESS);
    let reply = |client, code, topic| {
        let guarded = &guarded;
        async move {
            let header = to(topic, 0, "REPLY_TO_CLIENT\x01z");
            match code {
                request::SEND_REPLY_MESSAGE => guarded.ask(client, code, &header, "x").await,
                _ => guarded.ask(client, code, &Short(&header), "x").await,
            }
        }
    };
    for code in [request::SEND_REPLY_MESSAGE, request::SEND_REPLY_MESSAGE_V2] {
        assert_denied(&reply(&guarded.user, code, "Denied").await, NO_PUB);
        for (client, topic) in [
            (&guarded.user, "DefaultCluster_REPLY_TOPIC"),
            (&guarded.user, "Allowed"),
            (&guarded.admin, "Denied"),
        ] {
            let answer = reply(client, code, topic).await;
            let expected = "push reply message fail, channel of <z> not found.";
            assert_eq!(remark(&answer), expected, "{topic}");
        }
    }
    assert_eq!(end_of(&guarded, "Denied").await, 3, "the admin's");
    guarded.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_change_accounts() {
    let guarded = Guarded::new(ACCOUNTS).await;
    let new = UpdateAclConfigRequestHeader {
        access_key: Some("newuser1".into()),
        secret_key: Some("secret99".into()),
        white_remote_address: None,
        admin: Some(false),
        default_topic_perm: None,
        default_group_perm: None,
        topic_perms: Some("Denied=PUB,Other=SUB".into()),
        group_perms: None,
    };
    let refused = guarded
        .ask(&guarded.user, request::UPDATE_AND_CREATE_ACL_CONFIG, &new, "")
        .await;
    assert!(
        remark(&refused).contains("Need admin permission for request code=50, but accessKey=RocketMQ is not")
    );
    let made = guarded
        .ask(&guarded.admin, request::UPDATE_AND_CREATE_ACL_CONFIG, &new, "")
        .await;
    assert_eq!((made.code, made.remark), (response::SUCCESS, None));
    // In force at once.
    let user = client("newuser1", "secret99");
    assert_eq!(
        guarded.send(&user, request::SEND_MESSAGE_V2, "Denied").await.code,
        response::SUCCESS
    );
    assert_eq!(
        guarded.send(&user, request::SEND_MESSAGE_V2, "Other").await.code,
        response::SYSTEM_ERROR
    );
    assert!(
        guarded
            .text()
            .contains("- accessKey: newuser1\n  secretKey: secret99\n")
    );
    let bad = UpdateAclConfigRequestHeader {
        topic_perms: Some("Denied".into()),
        ..new.clone()
    };
    let refused = guarded
        .ask(&guarded.admin, request::UPDATE_AND_CREATE_ACL_CONFIG, &bad, "")
        .await;
    assert_eq!(refused.code, response::UPDATE_AND_CREATE_ACL_CONFIG_FAILED);
    assert!(
        remark(&refused).starts_with("Parse Resource format error for Denied.\n"),
        "{}",
        remark(&refused)
    );

    let info = guarded
        .ask(&guarded.admin, request::GET_BROKER_CLUSTER_ACL_INFO, &(), "")
        .await;
    assert_eq!(info.field("brokerName"), Some("broker-a"));
    assert!(
        info.field("version")
            .unwrap()
            .starts_with("{\"counter\":1,\"timestamp\":")
    );
    assert!(
        info.field("allAclFileVersion")
            .unwrap()
            .contains("conf/plain_acl.yml\":{\"counter\":1")
    );
    let config = guarded
        .ask(&guarded.admin, request::GET_BROKER_CLUSTER_ACL_CONFIG, &(), "")
        .await;
    let config = String::from_utf8_lossy(&config.body).into_owned();
    assert!(
        config.starts_with(
            "{\"globalWhiteAddrs\":[],\"plainAccessConfigs\":[{\"accessKey\":\"RocketMQ\",\"admin\":false,"
        ),
        "{config}"
    );

    let delete = |key: &'static str| DeleteAclConfigRequestHeader {
        access_key: Some(key.into()),
    };
    let gone = guarded
        .ask(
            &guarded.admin,
            request::DELETE_ACL_CONFIG,
            &delete("newuser1"),
            "",
        )
        .await;
    assert_eq!(gone.code, response::SUCCESS);
    let answer = guarded.send(&user, request::SEND_MESSAGE_V2, "Denied").await;
    assert!(
        remark(&answer).ends_with("No acl config for newuser1"),
        "{}",
        remark(&answer)
    );
    let unknown = guarded
        .ask(
            &guarded.admin,
            request::DELETE_ACL_CONFIG,
            &delete("newuser1"),
            "",
        )
        .await;
    assert_eq!(unknown.code, response::DELETE_ACL_CONFIG_FAILED);
    assert_eq!(
        remark(&unknown),
        "The accesskey[newuser1] corresponding to accessConfig has been deleted failed."
    );

    let white = |addresses: &'static str, file: Option<&'static str>| UpdateGlobalWhiteAddrsRequestHeader {
        global_white_addrs: Some(addresses.into()),
        acl_file_full_path: file.map(Into::into),
    };
    let code = request::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG;
    let outside = guarded
        .ask(&guarded.admin, code, &white("10.1.1.1", Some("/etc/passwd")), "")
        .await;
    assert_eq!(outside.code, response::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG_FAILED);
    assert_eq!(
        remark(&outside),
        "The globalWhiteAddresses[10.1.1.1] has been updated failed."
    );
    let stranger = &guarded.fixture.client;
    assert_eq!(
        guarded.send(stranger, request::SEND_MESSAGE_V2, "Any").await.code,
        response::SYSTEM_ERROR
    );
    assert_eq!(
        guarded
            .ask(&guarded.admin, code, &white("127.0.0.{1,2}", None), "")
            .await
            .code,
        response::SUCCESS
    );
    assert_eq!(
        guarded.send(stranger, request::SEND_MESSAGE_V2, "Any").await.code,
        response::SUCCESS
    );
    guarded.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_in_force_within_seconds() {
    let guarded = Guarded::new(ACCOUNTS).await;
    let wanted = client("lateruser", "12345678");
    let more = format!("{ACCOUNTS}- accessKey: lateruser\n  secretKey: 12345678\n  defaultTopicPerm: PUB\n");
    write(guarded.fixture.dir.path(), &more);
    let deadline = tokio::time::Instant::now() + WITHIN;
    // Nothing tells a client when a file is in force: it asks again.
    while guarded.send(&wanted, request::SEND_MESSAGE_V2, "Any").await.code != response::SUCCESS {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // A file that makes no sense changes nothing.
    write(guarded.fixture.dir.path(), "accounts:\n- accessKey: x\n");
    loop {
        let runtime = guarded
            .ask(&wanted, request::GET_BROKER_RUNTIME_INFO, &(), "")
            .await;
        let table = protocol::body::read::<protocol::body::KvTable>(&runtime.body)
            .unwrap()
            .table;
        if table["aclFiles"].starts_with("conf/plain_acl.yml:2: The accessKey=x and secretKey=") {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{}", table["aclFiles"]);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(
        guarded.send(&wanted, request::SEND_MESSAGE_V2, "Any").await.code,
        response::SUCCESS
    );
    guarded.fixture.stop().await;
}

/// A pull that was let in gets nothing that came after its account lost the right.
#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_waits_is_looked_at_again() {
    let guarded = Guarded::new(ACCOUNTS).await;
    let send = async || {
        guarded
            .send(&guarded.admin, request::SEND_MESSAGE_V2, "Allowed")
            .await
            .code
    };
    assert_eq!(send().await, response::SUCCESS);
    let pull = PullMessageRequestHeader {
        sys_flag: 2 | 4,
        suspend_timeout_millis: Some(60_000),
        ..from("Allowed", 0, 1)
    };
    let pulled = guarded.ask(&guarded.user, request::PULL_MESSAGE, &pull, "");
    let change = async {
        let waits = async || {
            let runtime = guarded
                .ask(&guarded.admin, request::GET_BROKER_RUNTIME_INFO, &(), "")
                .await;
            let table = protocol::body::read::<protocol::body::KvTable>(&runtime.body).unwrap();
            table.table["pullHoldSize"] == "1"
        };
        eventually("the pull waits", waits).await;
        let denied = UpdateAclConfigRequestHeader {
            access_key: Some("RocketMQ".into()),
            secret_key: Some("12345678".into()),
            white_remote_address: None,
            admin: Some(false),
            default_topic_perm: None,
            default_group_perm: None,
            topic_perms: Some("Allowed=DENY".into()),
            group_perms: None,
        };
        let changed = guarded
            .ask(&guarded.admin, request::UPDATE_AND_CREATE_ACL_CONFIG, &denied, "")
            .await;
        assert_eq!(changed.code, response::SUCCESS, "{:?}", changed.remark);
        assert_eq!(send().await, response::SUCCESS);
    };
    let (answer, ()) = tokio::join!(pulled, change);
    let why = "No default permission for topic:Allowed, account RocketMQ of conf/plain_acl.yml:5: topicPerms Allowed=DENY, SUB is needed";
    assert_denied(&answer, why);
    assert!(answer.body.is_empty());
    guarded.fixture.stop().await;
}

#[tokio::test]
async fn a_file_that_makes_no_sense_refuses_the_start() {
    let dir = TempDir::new().unwrap();
    write(
        dir.path(),
        "accounts:\n- accessKey: RocketMQ\n  secretKey: short\n",
    );
    let mut settings = crate::fixture::settings(&dir, cluster::free_port());
    settings.broker.acl_enable = true;
    settings.broker.rocketmq_home = Some(dir.path().display().to_string());
    let refused = broker::run::start(settings).await.err().unwrap().to_string();
    assert!(
        refused.starts_with("access control: conf/plain_acl.yml:2: "),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_access_control_there_are_no_accounts_to_change() {
    let fixture = Fixture::new(|_| {}).await;
    for (code, refused) in [
        (
            request::UPDATE_AND_CREATE_ACL_CONFIG,
            response::UPDATE_AND_CREATE_ACL_CONFIG_FAILED,
        ),
        (request::DELETE_ACL_CONFIG, response::DELETE_ACL_CONFIG_FAILED),
        (
            request::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG,
            response::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG_FAILED,
        ),
        (request::GET_BROKER_CLUSTER_ACL_INFO, response::SYSTEM_ERROR),
        (request::GET_BROKER_CLUSTER_ACL_CONFIG, response::SYSTEM_ERROR),
    ] {
        let answer = fixture.ask(code, &(), "").await;
        assert_eq!(answer.code, refused, "{code}");
        assert!(remark(&answer).contains("aclEnable=false"));
    }
    fixture.stop().await;
}

/// Whoever may not pull a topic gets its messages in no other way.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_shown_to_who_may_read_its_topic() {
    let guarded = Guarded::new(ACCOUNTS).await;
    let mut places = Vec::new();
    for topic in ["Denied", "Allowed"] {
        let sent = guarded
            .send(&guarded.admin, request::SEND_MESSAGE_V2, topic)
            .await;
        let header: SendMessageResponseHeader<'_> = sent.header().unwrap();
        places.push(header.msg_id.into_owned());
    }
    // One that is parked is of the topic that it goes to.
    let delayed = to("Denied", 0, "DELAY\x0118");
    let sent = guarded
        .ask(&guarded.admin, request::SEND_MESSAGE_V2, &Short(&delayed), "x")
        .await;
    let header: SendMessageResponseHeader<'_> = sent.header().unwrap();
    places.insert(0, header.msg_id.into_owned());
    let no_sub = "No default permission for topic:Denied, account RocketMQ of conf/plain_acl.yml:2: \
                  defaultTopicPerm DENY, SUB is needed";
    for (at, id) in places.iter().enumerate() {
        let place: message::id::OffsetMessageId = id.parse().unwrap();
        let view = ViewMessageRequestHeader {
            offset: place.physical_offset,
        };
        let back = ConsumerSendMsgBackRequestHeader {
            offset: place.physical_offset,
            group: "g".into(),
            delay_level: 1,
            origin_msg_id: None,
            origin_topic: Some("Allowed".into()),
            unit_mode: None,
            max_reconsume_times: None,
        };
        let direct = ConsumeMessageDirectlyRequestHeader {
            consumer_group: "g".into(),
            client_id: Some("c".into()),
            msg_id: Some(id.as_str().into()),
            broker_name: None,
            topic: None,
            topic_sys_flag: None,
            group_sys_flag: None,
        };
        let all: [(i32, &(dyn EncodeHeader + Sync)); 3] = [
            (request::VIEW_MESSAGE_BY_ID, &view),
            (request::CONSUMER_SEND_MSG_BACK, &back),
            (request::CONSUME_MESSAGE_DIRECTLY, &direct),
        ];
        for (code, header) in all {
            let by_user = guarded.ask(&guarded.user, code, header, "").await;
            match at < 2 {
                true => assert_denied(&by_user, no_sub),
                false => assert!(!remark(&by_user).contains("AclException"), "{code}"),
            }
            let by_admin = guarded.ask(&guarded.admin, code, header, "").await;
            assert!(!remark(&by_admin).contains("AclException"), "{code}");
        }
    }
    guarded.fixture.stop().await;
}

/// Anybody may say that he is a producer of the group.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_ended_by_who_may_send_to_its_topic() {
    let guarded = Guarded::with(ACCOUNTS, |s| {
        s.broker.transaction_check_interval = 100;
        s.broker.transaction_time_out = 0;
        s.broker.transaction_check_max = 1_000_000;
    })
    .await;
    let (conn, mut notices, _client) = guarded
        .fixture
        .connection_as(signing("RocketMQ", "12345678"))
        .await;
    let beat = r#"{"clientID":"c@1","producerDataSet":[{"groupName":"p"}]}"#;
    let body = Body::from(beat.as_bytes().to_vec());
    let beaten = conn.invoke(request::HEART_BEAT, &(), body, WITHIN).await.unwrap();
    assert_eq!(beaten.code, response::SUCCESS, "{:?}", beaten.remark);
    let mut ends = Vec::new();
    for topic in ["Denied", "Allowed"] {
        let header = SendMessageRequestHeader {
            born_timestamp: disk::SystemClock.now_ms(),
            ..to(topic, 0, "TRAN_MSG\x01true\x02PGROUP\x01p")
        };
        let sent = guarded
            .ask(&guarded.admin, request::SEND_MESSAGE_V2, &Short(&header), topic)
            .await;
        let place: SendMessageResponseHeader<'_> = sent.header().unwrap();
        let id: message::id::OffsetMessageId = place.msg_id.parse().unwrap();
        ends.push(EndTransactionRequestHeader {
            producer_group: "p".into(),
            tran_state_table_offset: place.queue_offset,
            commit_log_offset: id.physical_offset,
            commit_or_rollback: 8,
            from_transaction_check: Some(false),
            msg_id: None,
            transaction_id: None,
        });
    }
    // Both are looked at in each round.
    for _ in 0..3 {
        let asked = tokio::time::timeout(WITHIN, notices.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(asked.code, request::CHECK_TRANSACTION_STATE);
        let shown = String::from_utf8_lossy(&asked.body);
        assert!(shown.contains("Allowed") && !shown.contains("Denied"), "{shown}");
    }
    let code = request::END_TRANSACTION;
    assert_denied(&guarded.ask(&guarded.user, code, &ends[0], "").await, NO_PUB);
    for (client, end) in [(&guarded.user, &ends[1]), (&guarded.admin, &ends[0])] {
        let ended = guarded.ask(client, code, end, "").await;
        assert_eq!(ended.code, response::SUCCESS, "{:?}", ended.remark);
    }
    assert_eq!(end_of(&guarded, "Denied").await, 1);
    guarded.fixture.stop().await;
}
