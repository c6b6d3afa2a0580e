//! Brokers register, change, and go.

use crate::peer::{Peer, broker, identity, start, table};
use protocol::body::namesrv::{ClusterInfo, MemberGroupBody};
use protocol::body::{self, DataVersion};
use protocol::code::{request, response};
use protocol::header::namesrv::{
    QueryDataVersionResponseHeader, RegisterBrokerRequestHeader, RegisterBrokerResponseHeader,
};
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn registered_topics_have_routes_in_both_dialects() {
    let fixture = start(|_| {}).await;
    let mut old = fixture.peer(399).await;
    let mut new = fixture.peer(409).await;
    let master = broker("broker-a", 0);
    assert_eq!(
        old.register(&master, &table(1, &[("T", 0), ("U/中", 0)]))
            .await
            .code,
        0
    );

    let bare = old.ok(request::GET_ROUTEINFO_BY_TOPIC, &[("topic", "T")]).await;
    assert_eq!(
        &bare.body[..],
        br#"{"brokerDatas":[{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":8,"topicSysFlag":0,"writeQueueNums":4}]}"#
    );
    let strict = new.ok(request::GET_ROUTEINFO_BY_TOPIC, &[("topic", "T")]).await;
    assert!(strict.body.windows(6).any(|w| w == b"{\"0\":\""));
    let asked = [("topic", "T"), ("acceptStandardJsonOnly", "true")];
    assert_eq!(
        old.ok(request::GET_ROUTEINFO_BY_TOPIC, &asked).await.body,
        strict.body
    );

    let missing = new.ask(request::GET_ROUTEINFO_BY_TOPIC, &[("topic", "X")]).await;
    assert_eq!(missing.code, response::TOPIC_NOT_EXIST);
    assert!(
        missing
            .remark
            .unwrap()
            .starts_with("No topic route info in name server for the topic: X")
    );
    assert!(new.route("U/中").await.is_some());
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn every_form_of_registration() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(409).await;
    let body = table(7, &[("A", 0), ("B", 0)]);
    for version in [409, 479] {
        peer.version = version;
        let packed = body.to_compressed_for(version);
        let header = RegisterBrokerRequestHeader {
            compressed: Some(true),
            body_crc32: Some(protocol::body_crc32(&packed)),
            ..broker(&format!("packed-{version}"), 0)
        };
        assert_eq!(
            peer.ask_with(request::REGISTER_BROKER, &header, &packed)
                .await
                .code,
            0
        );
    }
    peer.version = 36;
    let alone = body::write(&body.topic_config_serialize_wrapper);
    assert_eq!(
        peer.ask_with(request::REGISTER_BROKER, &broker("old", 0), &alone)
            .await
            .code,
        0
    );
    let route = peer.route("A").await.unwrap();
    let names: Vec<_> = route.queue_datas.iter().map(|q| q.broker_name.as_str()).collect();
    assert_eq!(names, ["old", "packed-409", "packed-479"]);

    peer.version = 409;
    let wrong = RegisterBrokerRequestHeader {
        body_crc32: Some(1),
        ..broker("c", 0)
    };
    let refused = peer.ask_with(request::REGISTER_BROKER, &wrong, b"{}").await;
    assert_eq!(
        (refused.code, refused.remark.as_deref()),
        (1, Some("crc32 not match"))
    );
    for bad in [&b"{"[..], b"7", b"\x78\x9c\x01"] {
        let header = RegisterBrokerRequestHeader {
            compressed: Some(bad[0] == 0x78),
            ..broker("d", 0)
        };
        assert_eq!(
            peer.ask_with(request::REGISTER_BROKER, &header, bad).await.code,
            1
        );
    }
    let nameless = peer.ask(request::REGISTER_BROKER, &[("brokerAddr", "a:1")]).await;
    assert!(nameless.remark.unwrap().contains("brokerName"));
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn one_topic_from_an_unknown_broker() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(479).await;
    let refused = peer.register(&broker("b", 0), &table(1, &[("T", 0)])).await;
    assert_eq!(
        (refused.code, refused.remark.as_deref()),
        (1, Some("register broker failed"))
    );
    assert!(peer.route("T").await.is_none());
    peer.version = 409;
    assert_eq!(
        peer.register(&broker("b", 0), &table(1, &[("T", 0)])).await.code,
        0,
        "as 4.9 does"
    );
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn the_same_table_again_keeps_what_operators_changed() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(409).await;
    let (master, topics) = (broker("broker-a", 0), table(1, &[("A", 0), ("B", 0)]));
    peer.register(&master, &topics).await;
    let wiped = peer
        .ok(request::WIPE_WRITE_PERM_OF_BROKER, &[("brokerName", "broker-a")])
        .await;
    assert_eq!(wiped.field("wipeTopicCount"), Some("2"));
    peer.register(&master, &topics).await;
    assert_eq!(peer.route("A").await.unwrap().queue_datas[0].perm, 4);
    let added = peer
        .ok(request::ADD_WRITE_PERM_OF_BROKER, &[("brokerName", "broker-a")])
        .await;
    assert_eq!(added.field("addTopicCount"), Some("2"));
    assert_eq!(peer.route("A").await.unwrap().queue_datas[0].perm, 6);
    // A topic deleted here comes back with its broker's next registration, changed or not.
    peer.ok(request::DELETE_TOPIC_IN_NAMESRV, &[("topic", "A")]).await;
    assert!(peer.route("A").await.is_none());
    peer.register(&master, &topics).await;
    assert!(peer.route("A").await.is_some());
    // A newer table wins.
    peer.ok(request::WIPE_WRITE_PERM_OF_BROKER, &[("brokerName", "broker-a")])
        .await;
    peer.register(&master, &table(2, &[("A", 0), ("B", 0)])).await;
    assert_eq!(peer.route("B").await.unwrap().queue_datas[0].perm, 6);
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn data_versions() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(409).await;
    let master = broker("broker-a", 0);
    let version = |counter| {
        body::write(&DataVersion {
            counter,
            state_version: 0,
            timestamp: 1,
        })
    };
    let unknown = peer
        .ask_with(request::QUERY_DATA_VERSION, &identity(&master), &version(1))
        .await;
    assert_eq!(unknown.field("changed"), Some("true"));
    assert!(unknown.body.is_empty());
    peer.register(&master, &table(1, &[("A", 0), ("B", 0)])).await;
    for (counter, changed) in [(1, false), (2, true)] {
        let frame = peer
            .ask_with(request::QUERY_DATA_VERSION, &identity(&master), &version(counter))
            .await;
        assert_eq!(
            frame.header::<QueryDataVersionResponseHeader>().unwrap().changed,
            changed
        );
        assert_eq!(body::read::<DataVersion>(&frame.body).unwrap().counter, 1);
    }
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn masters_slaves_and_their_going() {
    let fixture = start(|_| {}).await;
    let mut watcher = fixture.peer(409).await;
    let mut a = fixture.peer(409).await;
    let mut b = fixture.peer(409).await;
    let topics = table(1, &[("A", 0), ("B", 0)]);
    a.register(&broker("broker-a", 0), &topics).await;
    let slave = b.register(&broker("broker-a", 1), &topics).await;
    let reply = slave.header::<RegisterBrokerResponseHeader>().unwrap();
    assert_eq!(reply.master_addr.as_deref(), Some("10.0.0.1:10911"));
    assert_eq!(reply.ha_server_addr.as_deref(), Some("10.0.0.1:10912"));

    let info: ClusterInfo =
        body::read(&watcher.ok(request::GET_BROKER_CLUSTER_INFO, &[]).await.body).unwrap();
    assert_eq!(info.cluster_addr_table["DefaultCluster"], ["broker-a"]);
    assert_eq!(info.broker_addr_table["broker-a"].broker_addrs.len(), 2);
    let group = [("clusterName", "DefaultCluster"), ("brokerName", "broker-a")];
    let members: MemberGroupBody =
        body::read(&watcher.ok(request::GET_BROKER_MEMBER_GROUP, &group).await.body).unwrap();
    assert_eq!(members.broker_member_group.broker_addrs[&1], "10.0.0.2:10911");

    drop(a);
    watcher
        .until("A", |r| {
            r.is_some_and(|r| !r.broker_datas[0].broker_addrs.contains_key(&0))
        })
        .await;
    let gone = b
        .ask_with(request::UNREGISTER_BROKER, &identity(&broker("broker-a", 1)), &[])
        .await;
    assert_eq!(gone.code, 0);
    assert!(watcher.route("A").await.is_none());
    assert!(
        watcher
            .topics(request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, &[])
            .await
            .is_empty()
    );
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn a_broker_that_changes_its_id_or_address() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(479).await;
    let topics = table(1, &[("A", 0), ("B", 0)]);
    peer.register(&broker("b", 0), &topics).await;
    let as_slave = RegisterBrokerRequestHeader {
        broker_id: 3,
        ..broker("b", 0)
    };
    peer.register(&as_slave, &topics).await;
    let addrs = peer.route("A").await.unwrap().broker_datas.remove(0).broker_addrs;
    assert_eq!(
        addrs.into_iter().collect::<Vec<_>>(),
        [(3, "10.0.0.1:10911".to_owned())]
    );
    // An older term at another address does not take the id over.
    let mut newer = table(1, &[("A", 0), ("B", 0)]);
    newer.topic_config_serialize_wrapper.data_version.state_version = 5;
    peer.register(&broker("c", 0), &newer).await;
    let other = RegisterBrokerRequestHeader {
        broker_addr: "10.9.9.9:1".to_owned(),
        ..broker("c", 0)
    };
    assert_eq!(peer.register(&other, &topics).await.code, 0);
    let route = peer.route("A").await.unwrap();
    let c = route.broker_datas.iter().find(|d| d.broker_name == "c").unwrap();
    assert_eq!(c.broker_addrs[&0], "10.0.0.1:10911");
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn a_silent_broker_expires() {
    let fixture = start(|_| {}).await;
    let mut silent = fixture.peer(479).await;
    let mut watcher = fixture.peer(409).await;
    let header = RegisterBrokerRequestHeader {
        heartbeat_timeout_millis: Some(200),
        ..broker("b", 0)
    };
    silent.register(&header, &table(1, &[("A", 0), ("B", 0)])).await;
    watcher.until("A", |route| route.is_none()).await;
    assert_eq!(
        silent.stream.read(&mut [0]).await.unwrap(),
        0,
        "its connection is closed"
    );
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn acting_masters() {
    let fixture = start(|s| s.namesrv.support_acting_master = true).await;
    let mut peer = fixture.peer(479).await;
    let acting = |id| RegisterBrokerRequestHeader {
        enable_acting_master: Some(true),
        ..broker("b", id)
    };
    peer.register(&acting(1), &table(1, &[("A", 0), ("B", 0)])).await;
    let route = peer.route("A").await.unwrap();
    assert_eq!(route.queue_datas[0].perm, 4, "a slave takes no writes");
    assert_eq!(route.broker_datas[0].broker_addrs[&0], "10.0.0.2:10911");
    peer.register(&acting(0), &table(1, &[("A", 0), ("B", 0)])).await;
    let route = peer.route("A").await.unwrap();
    assert_eq!(route.queue_datas[0].perm, 6);
    assert_eq!(route.broker_datas[0].broker_addrs.len(), 2);
    peer.ask_with(request::UNREGISTER_BROKER, &identity(&acting(0)), &[])
        .await;
    let route = peer.route("A").await.unwrap();
    assert_eq!(
        (
            route.queue_datas[0].perm,
            route.broker_datas[0].broker_addrs.len()
        ),
        (4, 1)
    );
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn the_lowest_id_is_told() {
    let fixture = start(|s| s.namesrv.notify_min_broker_id_changed = true).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slave_addr = listener.local_addr().unwrap().to_string();
    let mut peer = fixture.peer(479).await;
    let topics = table(1, &[("A", 0), ("B", 0)]);
    let slave = RegisterBrokerRequestHeader {
        enable_acting_master: Some(true),
        broker_addr: slave_addr.clone(),
        ..broker("b", 1)
    };
    peer.register(&slave, &topics).await;
    let master = RegisterBrokerRequestHeader {
        enable_acting_master: Some(true),
        ..broker("b", 0)
    };
    peer.register(&master, &topics).await;
    let (stream, _) = listener.accept().await.unwrap();
    let mut told = Peer {
        stream,
        version: 479,
        opaque: 0,
    };
    let notice = told.receive().await;
    assert_eq!(
        (notice.code, notice.is_oneway()),
        (request::NOTIFY_MIN_BROKER_ID_CHANGE, true)
    );
    assert_eq!(notice.field("minBrokerId"), Some("0"));
    assert_eq!(notice.field("minBrokerAddr"), Some("10.0.0.1:10911"));
    peer.ask_with(request::UNREGISTER_BROKER, &identity(&master), &[])
        .await;
    let notice = told.receive().await;
    assert_eq!(notice.field("minBrokerId"), Some("1"));
    assert_eq!(notice.field("offlineBrokerAddr"), Some("10.0.0.1:10911"));
    fixture.namesrv.shutdown().await;
}
