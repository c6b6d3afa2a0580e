//! A name server on a free port of 127.0.0.1, driven over real connections.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![allow(clippy::disallowed_methods, reason = "tests make files and runtimes")]

use bytes::Bytes;
use namesrv::run::{Namesrv, start_at};
use namesrv::settings::Settings;
use protocol::body::namesrv::{ClusterInfo, MemberGroupBody, QueueData, RegisterBrokerBody, TopicRouteData};
use protocol::body::{self, DataVersion, KvTable, TopicConfig, TopicList};
use protocol::code::{request, response};
use protocol::encode::{Head, encode_frame};
use protocol::header::namesrv::{
    BrokerIdentity, QueryDataVersionResponseHeader, RegisterBrokerRequestHeader, RegisterBrokerResponseHeader,
};
use protocol::header::{EncodeHeader, NoHeader};
use protocol::{Frame, Language, SerializeType};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Fixture {
    namesrv: Namesrv,
    folder: TempDir,
}

async fn start(change: impl FnOnce(&mut Settings)) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.namesrv.kv_config_path = folder.path().join("kvConfig.json").display().to_string();
    settings.namesrv.config_store_path = folder.path().join("namesrv.properties").display().to_string();
    settings.namesrv.scan_not_active_broker_interval = 20;
    change(&mut settings);
    let namesrv = start_at(settings, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    Fixture { namesrv, folder }
}

/// A peer that can say it is any version.
struct Peer {
    stream: TcpStream,
    version: i32,
    opaque: i32,
}

impl Fixture {
    async fn peer(&self, version: i32) -> Peer {
        let stream = TcpStream::connect(self.namesrv.local_addr()).await.unwrap();
        Peer {
            stream,
            version,
            opaque: 0,
        }
    }
}

impl Peer {
    async fn send(&mut self, code: i32, flag: i32, header: &dyn EncodeHeader, body: &[u8]) {
        self.opaque += 1;
        let head = Head {
            code,
            language: Language::Java,
            version: self.version,
            opaque: self.opaque,
            flag,
            remark: None,
            serialize_type: SerializeType::Json,
        };
        let frame = encode_frame(&head, header, body).unwrap();
        self.stream.write_all(&frame).await.unwrap();
    }

    async fn receive(&mut self) -> Frame {
        let total = self.stream.read_u32().await.unwrap() as usize;
        let mut bytes = vec![0; total];
        self.stream.read_exact(&mut bytes).await.unwrap();
        Frame::decode(Bytes::from(bytes)).unwrap()
    }

    async fn ask_with(&mut self, code: i32, header: &dyn EncodeHeader, body: &[u8]) -> Frame {
        self.send(code, 0, header, body).await;
        let frame = tokio::time::timeout(Duration::from_secs(20), self.receive())
            .await
            .unwrap();
        assert!(frame.is_response());
        assert_eq!(frame.opaque, self.opaque);
        frame
    }

    async fn ask(&mut self, code: i32, fields: &[(&str, &str)]) -> Frame {
        self.ask_with(code, &fields, &[]).await
    }

    async fn ok(&mut self, code: i32, fields: &[(&str, &str)]) -> Frame {
        let frame = self.ask(code, fields).await;
        assert_eq!((frame.code, frame.remark.as_deref()), (response::SUCCESS, None));
        frame
    }

    async fn topics(&mut self, code: i32, fields: &[(&str, &str)]) -> Vec<String> {
        let frame = self.ok(code, fields).await;
        let mut list = body::read::<TopicList>(&frame.body).unwrap().topic_list;
        list.sort();
        list
    }

    async fn route(&mut self, topic: &str) -> Option<TopicRouteData> {
        let frame = self
            .ask(request::GET_ROUTEINFO_BY_TOPIC, &[("topic", topic)])
            .await;
        match frame.code {
            response::SUCCESS => Some(body::read(&frame.body).unwrap()),
            response::TOPIC_NOT_EXIST => None,
            other => panic!("{other}: {:?}", frame.remark),
        }
    }

    async fn register(&mut self, header: &RegisterBrokerRequestHeader, table: &RegisterBrokerBody) -> Frame {
        let body = table.to_json();
        let header = RegisterBrokerRequestHeader {
            body_crc32: Some(protocol::body_crc32(&body)),
            ..header.clone()
        };
        self.ask_with(request::REGISTER_BROKER, &header, &body).await
    }

    /// Asks until the topic's route is as wanted: what happens after a connection closes is not answered to anybody.
    async fn until(&mut self, topic: &str, wanted: impl Fn(Option<&TopicRouteData>) -> bool) {
        let waiting = async {
            while !wanted(self.route(topic).await.as_ref()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .unwrap();
    }
}

fn broker(name: &str, id: i64) -> RegisterBrokerRequestHeader {
    RegisterBrokerRequestHeader {
        broker_name: name.to_owned(),
        broker_addr: format!("10.0.0.{}:10911", id + 1),
        cluster_name: "DefaultCluster".to_owned(),
        ha_server_addr: format!("10.0.0.{}:10912", id + 1),
        broker_id: id,
        ..RegisterBrokerRequestHeader::default()
    }
}

fn table(counter: i64, topics: &[(&str, i32)]) -> RegisterBrokerBody {
    let mut body = RegisterBrokerBody::default();
    let wrapper = &mut body.topic_config_serialize_wrapper;
    wrapper.data_version = DataVersion {
        counter,
        state_version: 0,
        timestamp: 1,
    };
    for (name, flag) in topics {
        let config = TopicConfig {
            topic_name: (*name).to_owned(),
            topic_sys_flag: *flag,
            read_queue_nums: 8,
            write_queue_nums: 4,
            ..TopicConfig::default()
        };
        wrapper.topic_config_table.insert((*name).to_owned(), config);
    }
    body
}

fn identity(header: &RegisterBrokerRequestHeader) -> BrokerIdentity {
    BrokerIdentity {
        broker_name: header.broker_name.clone(),
        broker_addr: header.broker_addr.clone(),
        cluster_name: header.cluster_name.clone(),
        broker_id: header.broker_id,
    }
}

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

#[tokio::test]
async fn topic_lists() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(409).await;
    peer.register(
        &broker("a", 0),
        &table(1, &[("Plain", 0), ("Unit", 1), ("Sub", 2), ("Both", 3)]),
    )
    .await;
    let elsewhere = RegisterBrokerRequestHeader {
        cluster_name: "Other".to_owned(),
        ..broker("z", 5)
    };
    peer.register(&elsewhere, &table(1, &[])).await;
    type Case<'a> = (i32, &'a [(&'a str, &'a str)], &'a [&'a str]);
    let table: &[Case<'_>] = &[
        (
            request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER,
            &[],
            &["Both", "Plain", "Sub", "Unit"],
        ),
        (
            request::GET_TOPICS_BY_CLUSTER,
            &[("cluster", "DefaultCluster")],
            &["Both", "Plain", "Sub", "Unit"],
        ),
        (request::GET_TOPICS_BY_CLUSTER, &[("cluster", "Other")], &[]),
        (request::GET_TOPICS_BY_CLUSTER, &[("cluster", "None")], &[]),
        (
            request::GET_SYSTEM_TOPIC_LIST_FROM_NS,
            &[],
            &["DefaultCluster", "Other", "a", "z"],
        ),
        (request::GET_UNIT_TOPIC_LIST, &[], &["Both", "Unit"]),
        (request::GET_HAS_UNIT_SUB_TOPIC_LIST, &[], &["Both", "Sub"]),
        (request::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, &[], &["Sub"]),
    ];
    for (code, fields, expected) in table {
        assert_eq!(peer.topics(*code, fields).await, *expected, "{code}");
    }
    let system = peer.ok(request::GET_SYSTEM_TOPIC_LIST_FROM_NS, &[]).await;
    assert!(
        body::read::<TopicList>(&system.body)
            .unwrap()
            .broker_addr
            .is_some()
    );
    // One cluster's part of a topic can be deleted.
    peer.ok(
        request::DELETE_TOPIC_IN_NAMESRV,
        &[("topic", "Plain"), ("clusterName", "Other")],
    )
    .await;
    assert!(peer.route("Plain").await.is_some());
    peer.ok(
        request::DELETE_TOPIC_IN_NAMESRV,
        &[("topic", "Plain"), ("clusterName", "DefaultCluster")],
    )
    .await;
    assert!(peer.route("Plain").await.is_none());
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn a_topic_registered_by_itself() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(479).await;
    peer.register(&broker("a", 0), &table(1, &[("A", 0), ("B", 0)]))
        .await;
    for (name, known) in [("nobody", false), ("a", true)] {
        let queue = QueueData {
            broker_name: name.to_owned(),
            perm: 6,
            ..QueueData::default()
        };
        let route = TopicRouteData {
            queue_datas: vec![queue],
            ..TopicRouteData::default()
        };
        let header: &[(&str, &str)] = &[("topic", "New")];
        let code = peer
            .ask_with(request::REGISTER_TOPIC_IN_NAMESRV, &header, &body::write(&route))
            .await
            .code;
        assert_eq!(code, 0);
        assert_eq!(peer.route("New").await.is_some(), known);
    }
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn zones() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(479).await;
    for (name, zone) in [("a", "one"), ("b", "two")] {
        let header = RegisterBrokerRequestHeader {
            zone_name: Some(zone.to_owned()),
            ..broker(name, 0)
        };
        peer.register(&header, &table(1, &[("A", 0), ("B", 0)])).await;
    }
    let asked = [("topic", "A"), ("__ZONE_MODE", "true"), ("__ZONE_NAME", "TWO")];
    let frame = peer.ok(request::GET_ROUTEINFO_BY_TOPIC, &asked).await;
    let route: TopicRouteData = body::read(&frame.body).unwrap();
    assert_eq!((route.broker_datas.len(), route.queue_datas.len()), (1, 1));
    assert_eq!(route.broker_datas[0].broker_name, "b");
    fixture.namesrv.shutdown().await;
}

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
async fn unknown_codes_and_missing_fields_are_answered() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(409).await;
    let unknown = peer.ask(4711, &[]).await;
    assert_eq!(
        (unknown.code, unknown.remark.as_deref()),
        (3, Some(" request type 4711 not supported"))
    );
    for code in [
        100, 101, 102, 103, 104, 105, 205, 216, 217, 219, 224, 322, 327, 901, 904,
    ] {
        let frame = peer.ask(code, &[]).await;
        assert_eq!(frame.code, 1, "{code}");
        assert!(frame.remark.unwrap().contains("is null"), "{code}");
    }
    // A oneway request is served and not answered: the next answer is the next request's.
    peer.send(request::GET_BROKER_CLUSTER_INFO, 2, &NoHeader, &[])
        .await;
    peer.ok(request::GET_BROKER_CLUSTER_INFO, &[]).await;
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn sixty_thousand_topics() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(409).await;
    let names: Vec<String> = (0..60_000)
        .map(|i| format!("{:0>100}", format!("topic{i}")))
        .collect();
    let topics: Vec<(&str, i32)> = names.iter().map(|n| (n.as_str(), 0)).collect();
    let body = table(1, &topics);
    assert!(
        body.to_json().len() > 16 << 20,
        "larger than any other frame may be"
    );
    assert_eq!(peer.register(&broker("a", 0), &body).await.code, 0);
    assert!(peer.route(&names[59_999]).await.is_some());
    assert_eq!(peer.register(&broker("a", 0), &body).await.code, 0);
    // What may not be that large closes its connection, and only that.
    let mut other = fixture.peer(409).await;
    let large = vec![b' '; 17 << 20];
    let head = Head {
        code: request::PUT_KV_CONFIG,
        language: Language::Java,
        version: 409,
        opaque: 1,
        flag: 0,
        remark: None,
        serialize_type: SerializeType::Json,
    };
    let frame = encode_frame(&head, &(), &large).unwrap();
    // The write may fail already: the server reads no further than the header.
    let _ = other.stream.write_all(&frame).await;
    assert!(matches!(other.stream.read(&mut [0]).await, Ok(0) | Err(_)));
    assert!(peer.route(&names[0]).await.is_some());
    fixture.namesrv.shutdown().await;
}

/// A few bytes that unpack to very many topics are not built: four of them took 1.7 GB once.
#[tokio::test]
async fn a_registration_takes_no_more_memory_than_it_may() {
    let fixture = start(|settings| settings.namesrv.registration_max_bytes = 1 << 20).await;
    let mut peer = fixture.peer(479).await;
    let names: Vec<String> = (0..4000).map(|i| format!("t{i}")).collect();
    let topics: Vec<(&str, i32)> = names.iter().map(|n| (n.as_str(), 0)).collect();
    let few = table(1, &topics[..1000]).to_compressed_for(479);
    let many = table(2, &topics).to_compressed_for(479);
    assert!(many.len() < 32 * 1024);
    let header = |body: &[u8]| RegisterBrokerRequestHeader {
        compressed: Some(true),
        body_crc32: Some(protocol::body_crc32(body)),
        ..broker("a", 0)
    };
    let taken = peer.ask_with(request::REGISTER_BROKER, &header(&few), &few).await;
    assert_eq!((taken.code, taken.remark), (0, None));
    let refused = [
        peer.ask_with(request::REGISTER_BROKER, &header(&many), &many)
            .await,
        peer.register(&broker("a", 0), &table(2, &topics)).await,
    ];
    for answer in refused {
        let remark = answer.remark.as_deref().unwrap();
        assert_eq!(answer.code, response::INVALID_PARAMETER, "{remark}");
        assert!(
            remark.contains("1048576 bytes") && remark.contains("registrationMaxBytes"),
            "{remark}"
        );
    }
    assert!(peer.route("t999").await.is_some() && peer.route("t3999").await.is_none());
    let page = fixture.namesrv.state().page();
    assert!(page.contains("2 registrations were too large"), "{page}");
    // A topic by itself, of queues that are next to nothing each.
    let queues = format!(r#"{{"queueDatas":[{}{{}}]}}"#, "{},".repeat(4000));
    let alone: &[(&str, &str)] = &[("topic", "alone")];
    let answer = peer
        .ask_with(request::REGISTER_TOPIC_IN_NAMESRV, &alone, queues.as_bytes())
        .await;
    assert_eq!(answer.code, response::SYSTEM_ERROR);
    assert!(answer.remark.unwrap().contains("1048576 bytes"));
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn what_is_too_long_is_refused_with_its_length() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(401).await;
    let long = "x".repeat(2000);
    let mega = "x".repeat(8 << 20);
    for (code, fields) in [
        (request::GET_ROUTEINFO_BY_TOPIC, vec![("topic", mega.as_str())]),
        (request::GET_TOPICS_BY_CLUSTER, vec![("cluster", &long)]),
        (request::WIPE_WRITE_PERM_OF_BROKER, vec![("brokerName", &long)]),
        (
            request::PUT_KV_CONFIG,
            vec![("namespace", "n"), ("key", &long), ("value", "v")],
        ),
        (
            request::PUT_KV_CONFIG,
            vec![("namespace", "n"), ("key", "k"), ("value", &mega)],
        ),
        (request::GET_NAMESRV_CONFIG, vec![("never-asked-for", &long)]),
    ] {
        let refused = peer.ask(code, &fields).await;
        let remark = refused.remark.as_deref().unwrap();
        assert_eq!(refused.code, response::SYSTEM_ERROR, "{code}: {remark}");
        assert!(
            remark.contains("bytes, more than") && remark.len() < 200,
            "{code}: {remark}"
        );
    }
    let refused = peer.register(&broker(&long, 0), &table(1, &[("T", 0)])).await;
    assert!(
        refused
            .remark
            .as_deref()
            .unwrap()
            .contains("brokerName has 2000 bytes"),
        "{:?}",
        refused.remark
    );
    let refused = peer.register(&broker("a", 0), &table(1, &[(&long, 0)])).await;
    assert_eq!(refused.code, response::SYSTEM_ERROR);
    assert!(
        refused
            .remark
            .as_deref()
            .unwrap()
            .contains("a topic has 2000 bytes"),
        "{:?}",
        refused.remark
    );
    let update = format!("productEnvName={}\n", "x".repeat(100_000));
    let refused = peer
        .ask_with(request::UPDATE_NAMESRV_CONFIG, &(), update.as_bytes())
        .await;
    assert!(
        refused.remark.as_deref().unwrap().contains("at most 65536 bytes"),
        "{:?}",
        refused.remark
    );
    assert_eq!(
        peer.register(&broker("a", 0), &table(1, &[("T", 0)])).await.code,
        response::SUCCESS
    );
}

impl Peer {
    async fn set(&mut self, key: &str, value: &str) {
        let text = format!("{key}={value}\n");
        let answer = self
            .ask_with(request::UPDATE_NAMESRV_CONFIG, &(), text.as_bytes())
            .await;
        assert_eq!(answer.code, response::SUCCESS, "{key}: {:?}", answer.remark);
    }
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

fn identity_of<'a>(cluster: &'a str, name: &'a str, id: i64, address: &'a str) -> Vec<(&'a str, &'a str)> {
    assert_eq!(id, 0, "a master");
    vec![
        ("clusterName", cluster),
        ("brokerName", name),
        ("brokerId", "0"),
        ("brokerAddr", address),
        ("haServerAddr", address),
    ]
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
