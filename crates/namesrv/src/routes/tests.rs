use super::*;
use crate::limits::ENTRY;
use protocol::EncodeHeader;
use protocol::body::TopicConfig;
use remoting::lane::may_wait as may;
use remoting::{Answered, Body, Closed, Reply, RequestEnd};
use std::net::SocketAddr;
use std::time::Duration;

/// A connection on which nothing is said.
struct Silent;

impl Peer for Silent {
    fn id(&self) -> u64 {
        1
    }
    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], 1).into()
    }
    fn is_open(&self) -> bool {
        true
    }
    fn is_congested(&self) -> bool {
        false
    }
    fn close(&self, _reason: &str) {}
    fn finish(&self, _reply: Option<Reply<'_>>, _end: RequestEnd) {}
    fn oneway(&self, _code: i32, _header: &dyn EncodeHeader, _body: Body) -> Result<(), Closed> {
        Ok(())
    }
    fn ask(
        self: Arc<Self>,
        _code: i32,
        _header: &dyn EncodeHeader,
        _body: Body,
        _within: Duration,
        _then: Answered,
    ) {
    }
}

fn identity(name: &str) -> BrokerIdentity {
    BrokerIdentity {
        broker_name: name.to_owned(),
        broker_addr: format!("{name}:10911"),
        cluster_name: "c".to_owned(),
        broker_id: 0,
    }
}

struct Sent {
    header: RegisterBrokerRequestHeader,
    body: RegisterBrokerBody,
    connection: Arc<dyn Peer>,
}

/// A registration of a master, whose table has this version and these topics with so many queues.
fn sent(name: &str, version: i64, topics: &[(&str, i32)]) -> Sent {
    let BrokerIdentity {
        broker_name,
        broker_addr,
        cluster_name,
        broker_id,
    } = identity(name);
    let header = RegisterBrokerRequestHeader {
        broker_name,
        broker_addr,
        cluster_name,
        broker_id,
        ..RegisterBrokerRequestHeader::default()
    };
    let mut body = RegisterBrokerBody {
        filter_server_list: vec!["10.0.0.1:1".to_owned()],
        ..RegisterBrokerBody::default()
    };
    let table = &mut body.topic_config_serialize_wrapper;
    table.data_version.counter = version;
    for (topic, queues) in topics {
        let config = TopicConfig {
            topic_name: (*topic).to_owned(),
            write_queue_nums: *queues,
            ..TopicConfig::default()
        };
        table.topic_config_table.insert((*topic).to_owned(), config);
        table
            .topic_queue_mapping_info_map
            .extend((*topic == "static").then(|| ("static".to_owned(), serde_json::json!({"bname": name}))));
    }
    Sent {
        header,
        body,
        connection: Arc::new(Silent),
    }
}

impl Sent {
    fn registration(&self, delete_missing_topics: bool) -> Registration<'_> {
        let table = &self.body.topic_config_serialize_wrapper;
        Registration {
            header: &self.header,
            body: self.body.clone(),
            version: 0,
            fingerprint: (table.topic_config_table.len(), table.data_version.counter as u64),
            connection: &self.connection,
            now: Instant::now(),
            delete_missing_topics,
        }
    }

    fn known(&self, routes: &RouteTable) -> bool {
        let fingerprint = self.registration(false).fingerprint;
        routes
            .refresh(&self.header, fingerprint, &self.connection, Instant::now())
            .is_some()
    }
}

fn register(
    routes: &RouteTable,
    name: &str,
    topics: &[&str],
    delete_missing_topics: bool,
) -> Result<(), RegisterError> {
    let topics: Vec<(&str, i32)> = topics.iter().map(|topic| (*topic, 4)).collect();
    let sent = sent(name, 0, &topics);
    routes
        .register(&sent.registration(delete_missing_topics), may())
        .map(|_| ())
}

fn queues(routes: &RouteTable, topic: &str) -> Option<i32> {
    routes
        .route(topic, false)
        .map(|route| route.queue_datas[0].write_queue_nums)
}

fn bytes(routes: &RouteTable) -> usize {
    routes.tables.read().bytes
}

#[test]
fn what_is_taken_out_is_given_back() {
    let routes = RouteTable::default();
    for round in 0..3 {
        register(&routes, "a", &["one", "two", "static"], false).unwrap();
        let once = bytes(&routes);
        assert!(once > 7 * ENTRY, "{once}");
        register(&routes, "a", &["one", "two", "static"], false).unwrap();
        assert_eq!(
            bytes(&routes),
            once,
            "the same again takes nothing, round {round}"
        );
        register(&routes, "b", &["two", "three"], false).unwrap();
        let queue = QueueData {
            broker_name: "b".to_owned(),
            ..QueueData::default()
        };
        routes.register_topic("four", vec![queue]).unwrap();
        routes.delete_topic("two", None);
        routes.delete_topic("one", Some("c"));
        routes.unregister(&[identity("a"), identity("b")]);
        routes.clean();
        assert_eq!(bytes(&routes), 0, "round {round}");
    }
}

#[test]
fn full_tables_take_what_they_know_and_nothing_new() {
    let routes = RouteTable::of(4000);
    register(&routes, "a", &["one", "two"], false).unwrap();
    let names: Vec<String> = (0..20).map(|i| format!("made-up-{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let before = bytes(&routes);
    let refused = register(&routes, "b", &names, false).unwrap_err();
    assert!(
        matches!(refused, RegisterError::Full { max: 4000, .. }),
        "{refused}"
    );
    assert_eq!(bytes(&routes), before, "nothing of it was taken");
    assert!(routes.route("made-up-0", false).is_none());
    let queue = QueueData {
        broker_name: "a".to_owned(),
        ..QueueData::default()
    };
    let long = "x".repeat(4000);
    assert!(routes.register_topic(&long, vec![queue]).is_err());
    register(&routes, "a", &["one", "two"], false).unwrap();
    assert!(routes.route("one", false).is_some());
}

/// Brokers of 5.x with enableSingleTopicRegister send a new topic alone, as REGISTER_BROKER.
#[test]
fn an_increment_takes_no_topic_away() {
    let routes = RouteTable::default();
    register(&routes, "a", &["SELF_TEST_TOPIC", "one", "two"], true).unwrap();
    register(&routes, "a", &["three"], true).unwrap();
    for topic in ["SELF_TEST_TOPIC", "one", "two", "three"] {
        assert!(routes.route(topic, false).is_some(), "{topic}");
    }
    register(&routes, "a", &["SELF_TEST_TOPIC", "two"], true).unwrap();
    assert_eq!(routes.all_topics(may()).topic_list, ["SELF_TEST_TOPIC", "two"]);
}

/// What a broker leaves takes a while to be taken out; nobody sees it meanwhile.
#[test]
fn a_broker_that_goes_leaves_nothing_to_be_seen() {
    let routes = RouteTable::default();
    register(&routes, "a", &["one", "two", "static"], false).unwrap();
    register(&routes, "b", &["two"], false).unwrap();
    routes.unregister(&[identity("a")]);
    assert_eq!(routes.all_topics(may()).topic_list, ["two"]);
    assert_eq!(routes.topics_of_cluster("c", may()).topic_list, ["two"]);
    assert!(routes.route("one", false).is_none());
    let two = routes.route("two", false).unwrap();
    assert_eq!((two.queue_datas.len(), two.broker_datas.len()), (1, 1));
    assert_eq!(routes.set_permission("a", Permission::Add, may()), 0);
    // The name comes again with fewer topics before the old ones are gone.
    register(&routes, "a", &["one"], false).unwrap();
    assert_eq!(routes.all_topics(may()).topic_list, ["one", "two"]);
    assert_eq!(routes.route("two", false).unwrap().queue_datas.len(), 1);
    routes.clean();
    assert_eq!(routes.all_topics(may()).topic_list, ["one", "two"]);
    routes.unregister(&[identity("a"), identity("b")]);
    routes.clean();
    assert_eq!(bytes(&routes), 0);
}

#[test]
fn a_long_registration_leaves_alone_what_came_after_it() {
    let routes = RouteTable::default();
    let whole = sent("a", 1, &[("one", 1), ("two", 1), ("three", 1)]);
    let (_, entering) = routes
        .tables
        .write()
        .begin(&whole.registration(false), 0)
        .unwrap();
    let entering = entering.unwrap();
    // While its topics are still to be entered.
    let newer = sent("a", 2, &[("two", 2)]);
    routes.register(&newer.registration(false), may()).unwrap();
    assert!(newer.known(&routes));
    let table = &whole.body.topic_config_serialize_wrapper;
    let mut tables = routes.tables.write();
    tables.enter(&entering, table.topic_config_table.iter()).unwrap();
    tables.finish(
        &entering,
        whole.registration(false).fingerprint,
        table.data_version,
    );
    drop(tables);
    assert_eq!(
        (queues(&routes, "one"), queues(&routes, "two")),
        (Some(1), Some(2))
    );
    assert!(newer.known(&routes) && !whole.known(&routes));
    // What an operator wiped meanwhile stays wiped, and what was deleted makes the table unknown.
    let third = sent("a", 3, &[("one", 3), ("two", 3)]);
    let (_, entering) = routes
        .tables
        .write()
        .begin(&third.registration(false), 0)
        .unwrap();
    let entering = entering.unwrap();
    assert_eq!(routes.set_permission("a", Permission::WipeWrite, may()), 3);
    routes.delete_topic("three", None);
    let table = &third.body.topic_config_serialize_wrapper;
    let mut tables = routes.tables.write();
    tables.enter(&entering, table.topic_config_table.iter()).unwrap();
    tables.finish(
        &entering,
        third.registration(false).fingerprint,
        table.data_version,
    );
    drop(tables);
    assert_eq!(routes.route("one", false).unwrap().queue_datas[0].perm & WRITE, 0);
    assert!(!third.known(&routes));
    routes.register(&third.registration(false), may()).unwrap();
    assert!(third.known(&routes));
}

#[test]
fn a_long_registration_ends_when_its_broker_goes() {
    let routes = RouteTable::default();
    let whole = sent("a", 1, &[("one", 1), ("two", 1)]);
    let (_, entering) = routes
        .tables
        .write()
        .begin(&whole.registration(false), 0)
        .unwrap();
    let entering = entering.unwrap();
    routes.unregister(&[identity("a")]);
    let table = &whole.body.topic_config_serialize_wrapper.topic_config_table;
    let entered = routes.tables.write().enter(&entering, table.iter());
    assert_eq!(entered, Err(RegisterError::Gone));
    // Also when another of its name has come.
    register(&routes, "a", &["three"], false).unwrap();
    let entered = routes.tables.write().enter(&entering, table.iter());
    assert_eq!(entered, Err(RegisterError::Gone));
    assert_eq!(routes.all_topics(may()).topic_list, ["three"]);
}

#[test]
fn many_steps_see_every_topic_once() {
    let routes = RouteTable::default();
    let names: Vec<String> = (0..3 * tables::STEP + 7)
        .map(|i| format!("topic-{i:05}"))
        .collect();
    let topics: Vec<&str> = names.iter().map(String::as_str).collect();
    register(&routes, "a", &topics, false).unwrap();
    register(&routes, "b", &topics[1..], false).unwrap();
    assert_eq!(routes.all_topics(may()).topic_list, names);
    assert_eq!(
        routes.set_permission("b", Permission::WipeWrite, may()),
        names.len() as i32 - 1
    );
    routes.unregister(&[identity("b")]);
    routes.clean();
    let alone = RouteTable::default();
    register(&alone, "a", &topics, false).unwrap();
    assert_eq!(bytes(&routes), bytes(&alone));
    register(&routes, "a", &["SELF_TEST_TOPIC", &names[5]], true).unwrap();
    assert_eq!(
        routes.all_topics(may()).topic_list,
        ["SELF_TEST_TOPIC", &names[5]]
    );
}
