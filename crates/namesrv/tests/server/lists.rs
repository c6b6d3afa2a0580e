//! Topics by themselves, in lists and in zones.

use crate::peer::{broker, start, table};
use protocol::body::namesrv::{QueueData, TopicRouteData};
use protocol::body::{self, TopicList};
use protocol::code::request;
use protocol::header::namesrv::RegisterBrokerRequestHeader;

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
