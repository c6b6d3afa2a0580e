use super::*;
use protocol::EncodeHeader;
use remoting::{Body, Closed, Reply};
use std::net::SocketAddr;

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
    fn finish(&self, _reply: Option<Reply<'_>>, _weight: usize) {}
    fn oneway(&self, _code: i32, _header: &dyn EncodeHeader, _body: Body) -> Result<(), Closed> {
        Ok(())
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

fn register(
    routes: &RouteTable,
    name: &str,
    topics: &[&str],
    delete_missing_topics: bool,
) -> Result<(), RegisterError> {
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
    for topic in topics {
        let config = TopicConfig {
            topic_name: (*topic).to_owned(),
            ..TopicConfig::default()
        };
        let table = &mut body.topic_config_serialize_wrapper;
        table.topic_config_table.insert((*topic).to_owned(), config);
        table
            .topic_queue_mapping_info_map
            .extend((*topic == "static").then(|| ("static".to_owned(), serde_json::json!({"bname": name}))));
    }
    let connection: Arc<dyn Peer> = Arc::new(Silent);
    let registration = Registration {
        header: &header,
        body,
        version: 0,
        fingerprint: (topics.len(), 0),
        connection: &connection,
        now: Instant::now(),
        delete_missing_topics,
    };
    routes.register(registration).map(|_| ())
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
    let left = routes.all_topics().topic_list;
    assert_eq!(
        left.iter().collect::<BTreeSet<_>>(),
        BTreeSet::from([&"SELF_TEST_TOPIC".to_owned(), &"two".to_owned()])
    );
}
