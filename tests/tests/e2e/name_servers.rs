//! Brokers and name servers that are set otherwise than usual.

use cluster::{Broker, Flavour, NameServer, Wire};

const CREATE_TOPIC: i32 = 17;
const ROUTE: i32 = 105;
const UPDATE_NAMESRV_CONFIG: i32 = 318;

fn knows(namesrv: &NameServer, topic: &str) -> bool {
    let mut wire = Wire::connect(&namesrv.address()).unwrap();
    wire.ask(ROUTE, &[("topic", topic)], b"").unwrap().code() == 0
}

fn make(broker: &Broker, topic: &str) {
    let fields = [
        ("topic", topic),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", "4"),
        ("writeQueueNums", "4"),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("topicSysFlag", "0"),
        ("order", "false"),
    ];
    let answer = Wire::connect(&broker.address())
        .unwrap()
        .ask(CREATE_TOPIC, &fields, b"")
        .unwrap();
    assert_eq!(answer.code(), 0, "{}", answer.remark());
    broker.wait_for_topic(topic);
}

/// Our broker beside a name server of 5.3.3 that takes each registration for the broker's whole table.
#[test]
fn topics_stay_at_a_java_name_server_that_forgets() {
    let namesrv_flavour = Flavour::Java("5.3.3");
    let broker_flavour = Flavour::from_env("E2E_BROKER");
    for singly in ["true", "false"] {
        let dir = tempfile::tempdir().unwrap();
        let namesrv = NameServer::start(namesrv_flavour, dir.path());
        let forgets = b"deleteTopicWithBrokerRegistration=true\n";
        let answer = Wire::connect(&namesrv.address())
            .unwrap()
            .ask(UPDATE_NAMESRV_CONFIG, &[], forgets);
        assert_eq!(answer.unwrap().code(), 0);
        let settings = [("enableSingleTopicRegister", singly)];
        let broker = Broker::start(
            broker_flavour,
            dir.path(),
            "broker-a",
            &namesrv.address(),
            &settings,
        );
        make(&broker, "First");
        make(&broker, "Second");
        for topic in ["First", "broker-a", "TBW102"] {
            assert!(
                knows(&namesrv, topic),
                "{topic} is lost, enableSingleTopicRegister={singly}"
            );
        }
    }
}
