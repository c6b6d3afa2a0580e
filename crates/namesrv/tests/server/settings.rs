//! What operators change: KV configuration, settings, and who may.

use crate::peer::{Peer, broker, identity, identity_of, start, table};
use namesrv::settings::Settings;
use protocol::body::{self, KvTable};
use protocol::code::{request, response};
use protocol::header::NoHeader;
use protocol::header::namesrv::RegisterBrokerRequestHeader;
use std::time::Duration;

#[tokio::test]
async fn kv_and_order_topics() {
    let fixture = start(|s| s.namesrv.order_message_enable = true).await;
    let mut peer = fixture.peer(409).await;
    let key = [("namespace", "ORDER_TOPIC_CONFIG"), ("key", "A")];
    assert_eq!(
        peer.ask(request::GET_KV_CONFIG, &key).await.code,
        response::QUERY_NOT_FOUND
    );
    let namespace = [("namespace", "ORDER_TOPIC_CONFIG")];
    assert_eq!(
        peer.ask(request::GET_KVLIST_BY_NAMESPACE, &namespace).await.code,
        response::QUERY_NOT_FOUND
    );
    let topics = table(1, &[("A", 0), ("B", 0)]);
    assert!(peer.register(&broker("a", 0), &topics).await.body.is_empty());

    peer.ok(request::PUT_KV_CONFIG, &[key[0], key[1], ("value", "broker-a:8")])
        .await;
    assert_eq!(
        peer.ok(request::GET_KV_CONFIG, &key).await.field("value"),
        Some("broker-a:8")
    );
    let list = peer.ok(request::GET_KVLIST_BY_NAMESPACE, &namespace).await;
    assert_eq!(&list.body[..], br#"{"table":{"A":"broker-a:8"}}"#);
    assert_eq!(
        peer.route("A").await.unwrap().order_topic_conf.as_deref(),
        Some("broker-a:8")
    );
    let order = peer.register(&broker("a", 0), &topics).await;
    assert_eq!(
        body::read::<KvTable>(&order.body).unwrap().table["A"],
        "broker-a:8"
    );
    peer.ok(request::DELETE_KV_CONFIG, &key).await;
    assert_eq!(
        &peer.register(&broker("a", 0), &topics).await.body[..],
        br#"{"table":{}}"#
    );
    assert_eq!(
        std::fs::read_to_string(fixture.folder.path().join("kvConfig.json")).unwrap(),
        r#"{"configTable":{"ORDER_TOPIC_CONFIG":{}}}"#
    );
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn settings_from_afar() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(409).await;
    let file = fixture.folder.path().join("namesrv.properties");
    let update = peer
        .ask_with(
            request::UPDATE_NAMESRV_CONFIG,
            &NoHeader,
            b"enableTopicList=false",
        )
        .await;
    assert_eq!(update.code, 0);
    let refused = peer.ask(request::GET_UNIT_TOPIC_LIST, &[]).await;
    assert_eq!((refused.code, refused.remark.as_deref()), (1, Some("disable")));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "enableTopicList=false\n");
    let text = peer.ok(request::GET_NAMESRV_CONFIG, &[]).await.body;
    assert!(String::from_utf8_lossy(&text).contains("\nenableTopicList=false\n"));
    for (body, code) in [
        (
            &b"enableTopicList=true\nkvConfigPath=/tmp/x"[..],
            response::NO_PERMISSION,
        ),
        (
            b"enableTopicList=true\nwaitSecondsForService=x",
            response::SYSTEM_ERROR,
        ),
        (b"\xff\xfe", response::SYSTEM_ERROR),
    ] {
        assert_eq!(
            peer.ask_with(request::UPDATE_NAMESRV_CONFIG, &NoHeader, body)
                .await
                .code,
            code
        );
    }
    assert_eq!(
        peer.ask(request::GET_UNIT_TOPIC_LIST, &[]).await.code,
        1,
        "nothing of a refused update counts"
    );
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn what_the_next_start_would_refuse_is_refused() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(411).await;
    let file = fixture.folder.path().join("namesrv.properties");
    for (body, part) in [
        ("updateCredentials=abc", "updateCredentials: it should be"),
        ("metricsLabel=a # b", "starts no comment"),
        (
            "enableTopicList=false\nupdateCredentials=abc",
            "updateCredentials",
        ),
    ] {
        let refused = peer
            .ask_with(request::UPDATE_NAMESRV_CONFIG, &NoHeader, body.as_bytes())
            .await;
        let remark = refused.remark.unwrap_or_default();
        assert!(refused.code == 1 && remark.contains(part), "{remark}");
    }
    assert!(!file.exists());
    // The same text, said so that it is meant, is kept so that a start takes it.
    let kept = peer
        .ask_with(request::UPDATE_NAMESRV_CONFIG, &NoHeader, br"metricsLabel=a \# b")
        .await;
    assert_eq!(kept.code, 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "metricsLabel=a \\# b\n");
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_made_of_one_change() {
    let fixture = start(|settings| settings.config_file_given = true).await;
    let mut peer = fixture.peer(413).await;
    let file = fixture.folder.path().join("namesrv.properties");
    let kept = peer
        .ask_with(
            request::UPDATE_NAMESRV_CONFIG,
            &NoHeader,
            b"enableTopicList=false",
        )
        .await;
    let remark = kept.remark.unwrap_or_default();
    assert!(
        kept.code == 1 && remark.contains("in force but") && remark.contains("namesrv.properties"),
        "{remark}"
    );
    let off = peer.ask(request::GET_UNIT_TOPIC_LIST, &[]).await;
    assert_eq!(off.remark.as_deref(), Some("disable"));
    assert!(!file.exists());
    fixture.namesrv.shutdown().await;
}

/// Keys that the table calls live, each with what tells whether it is on.
#[tokio::test]
async fn every_live_setting_takes_effect_at_once() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(479).await;
    let told = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slave = RegisterBrokerRequestHeader {
        enable_acting_master: Some(true),
        broker_addr: told.local_addr().unwrap().to_string(),
        ..broker("b", 1)
    };
    let master = RegisterBrokerRequestHeader {
        enable_acting_master: Some(true),
        ..broker("b", 0)
    };
    let whole = table(1, &[("SELF_TEST_TOPIC", 0), ("A", 0), ("B", 0)]);
    let order = [
        ("namespace", "ORDER_TOPIC_CONFIG"),
        ("key", "A"),
        ("value", "b:4"),
    ];
    peer.ok(request::PUT_KV_CONFIG, &order).await;
    peer.register(&slave, &whole).await;
    let mut seen = Vec::new();

    for (value, shown) in [("true", true), ("false", false)] {
        peer.set("orderMessageEnable", value).await;
        assert_eq!(peer.route("A").await.unwrap().order_topic_conf.is_some(), shown);
        peer.set("supportActingMaster", value).await;
        let route = peer.route("A").await.unwrap();
        assert_eq!(route.broker_datas[0].broker_addrs.contains_key(&0), shown);
        peer.set("returnOrderTopicConfigToBroker", value).await;
        assert_eq!(!peer.register(&slave, &whole).await.body.is_empty(), shown);
        for (key, code) in [
            ("enableAllTopicList", request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER),
            ("enableTopicList", request::GET_UNIT_TOPIC_LIST),
        ] {
            peer.set(key, value).await;
            assert_eq!(
                peer.ask(code, &[]).await.code == response::SUCCESS,
                shown,
                "{key}"
            );
        }
    }
    seen.extend([
        "orderMessageEnable",
        "supportActingMaster",
        "returnOrderTopicConfigToBroker",
    ]);
    seen.extend(["enableAllTopicList", "enableTopicList"]);

    // Off by default: the master's coming is not told; its second coming is.
    peer.register(&master, &whole).await;
    peer.ask_with(request::UNREGISTER_BROKER, &identity(&master), &[])
        .await;
    peer.set("notifyMinBrokerIdChanged", "true").await;
    peer.register(&master, &whole).await;
    let (stream, _) = tokio::time::timeout(Duration::from_secs(20), told.accept())
        .await
        .unwrap()
        .unwrap();
    let notice = Peer {
        stream,
        version: 479,
        opaque: 0,
    }
    .receive()
    .await;
    assert_eq!(
        notice.field("offlineBrokerAddr"),
        None,
        "the first that is told is the second coming"
    );
    seen.push("notifyMinBrokerIdChanged");

    let fewer = table(2, &[("SELF_TEST_TOPIC", 0), ("A", 0)]);
    peer.register(&master, &fewer).await;
    assert!(peer.route("B").await.is_some());
    peer.set("deleteTopicWithBrokerRegistration", "true").await;
    let still_fewer = table(3, &[("SELF_TEST_TOPIC", 0)]);
    peer.register(&master, &still_fewer).await;
    assert!(peer.route("A").await.is_none() && peer.route("B").await.is_none());
    seen.push("deleteTopicWithBrokerRegistration");

    let names: Vec<String> = (0..4000).map(|i| format!("t{i}")).collect();
    let topics: Vec<(&str, i32)> = names.iter().map(|n| (n.as_str(), 0)).collect();
    for (value, code) in [
        ("1048576", response::INVALID_PARAMETER),
        ("16777216", response::SUCCESS),
    ] {
        peer.set("registrationMaxBytes", value).await;
        assert_eq!(peer.register(&master, &table(4, &topics)).await.code, code);
    }
    seen.push("registrationMaxBytes");

    // A process has one log: its own test is with the processes.
    seen.push("logLevels");
    seen.sort_unstable();
    let settings = Settings::default();
    let sections = ::settings::Group::sections(&settings);
    let rows = sections.iter().flat_map(|section| section.rows());
    let live = rows.filter(|row| row.applies == ::settings::Applies::Live);
    let mut live: Vec<&str> = live.map(|row| row.key).collect();
    live.sort_unstable();
    assert_eq!(seen, live, "each row that says so has its part above");
    fixture.namesrv.shutdown().await;
}

/// What changes the name server is closed to strangers, what reads is not.
#[tokio::test(flavor = "multi_thread")]
async fn changes_can_be_for_some_alone() {
    let fixture = start(|settings| {
        settings.namesrv.update_allowed_networks = Some("10.0.0.0/8".to_owned());
        settings.namesrv.update_credentials = r#"{"accessKey":"broker","secretKey":"s1"}"#.into();
    })
    .await;
    let mut peer = fixture.peer(399).await;
    let master = identity_of("c", "a", 0, "10.0.0.1:10911");
    for (code, fields) in [
        (
            request::PUT_KV_CONFIG,
            vec![("namespace", "n"), ("key", "k"), ("value", "v")],
        ),
        (request::DELETE_KV_CONFIG, vec![("namespace", "n"), ("key", "k")]),
        (request::UPDATE_NAMESRV_CONFIG, vec![]),
        (request::REGISTER_BROKER, master.clone()),
        (request::UNREGISTER_BROKER, master.clone()),
        (request::BROKER_HEARTBEAT, master.clone()),
        (request::QUERY_DATA_VERSION, master.clone()),
        (request::WIPE_WRITE_PERM_OF_BROKER, vec![("brokerName", "a")]),
        (request::ADD_WRITE_PERM_OF_BROKER, vec![("brokerName", "a")]),
        (request::DELETE_TOPIC_IN_NAMESRV, vec![("topic", "T")]),
        (request::REGISTER_TOPIC_IN_NAMESRV, vec![("topic", "T")]),
    ] {
        let refused = peer.ask(code, &fields).await;
        assert_eq!(refused.code, response::NO_PERMISSION, "{code}");
        assert_eq!(refused.remark.as_deref(), Some(namesrv::gate::REFUSED));
    }
    assert!(
        fixture
            .namesrv
            .state()
            .page()
            .contains("changes: not everybody may, 11 refused")
    );
    let text = peer.ok(request::GET_NAMESRV_CONFIG, &[]).await.body;
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(
        text.contains("updateCredentials=******\n") && !text.contains("s1\""),
        "{text}"
    );
    // A signature is one of the request that it came with.
    let put = [("namespace", "n"), ("key", "k"), ("value", "v")];
    let more = acl::Credentials::new("broker", "s1").sign(&put, &[]);
    let mut signed = put.to_vec();
    signed.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
    peer.ok(request::PUT_KV_CONFIG, &signed).await;
    signed[2].1 = "another";
    assert_eq!(
        peer.ask(request::PUT_KV_CONFIG, &signed).await.code,
        response::NO_PERMISSION
    );
    fixture.namesrv.shutdown().await;
}

/// CVE-2023-37582: a request that moves the file which settings are written to, and its contents, writes any file. And what
/// looks like a command, CVE-2023-33246, is a text.
#[tokio::test(flavor = "multi_thread")]
async fn settings_write_no_file_but_their_own() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(399).await;
    let elsewhere = fixture.folder.path().join("elsewhere");
    for line in [
        format!("configStorePath={}", elsewhere.display()),
        format!("kvConfigPath={}", elsewhere.display()),
        "configBlackList=".to_owned(),
    ] {
        for body in [
            line.clone(),
            format!("orderMessageEnable=true\n{line}"),
            format!(" {line}"),
        ] {
            let refused = peer
                .ask_with(request::UPDATE_NAMESRV_CONFIG, &NoHeader, body.as_bytes())
                .await;
            assert_eq!(refused.code, response::NO_PERMISSION, "{body}");
        }
    }
    for body in [
        format!("rocketmqHome=-c $@|sh . echo touch {};", elsewhere.display()),
        format!("productEnvName=a\\n* * * * * root touch {}", elsewhere.display()),
    ] {
        let _whatever = peer
            .ask_with(request::UPDATE_NAMESRV_CONFIG, &NoHeader, body.as_bytes())
            .await;
    }
    assert!(!elsewhere.exists());
    let mut names: Vec<String> = std::fs::read_dir(fixture.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| !name.starts_with("namesrv.properties"));
    assert_eq!(names, Vec::<String>::new(), "nothing but its own file");
    fixture.namesrv.shutdown().await;
}
