//! Our servers beside Java's.

use crate::check::*;
use cluster::{Cluster, Flavour};

fn sends_and_consumes(namesrv: Flavour, broker: Flavour) {
    let cluster = Cluster::of(namesrv, broker, &[]);
    for (language, topic) in [(JAVA_4, "Four"), (JAVA_5, "Five")] {
        let sent = send(
            language,
            &cluster,
            &[
                ("topic", topic),
                ("count", "2000"),
                ("keys", "k"),
                ("tags", "A,B"),
            ],
        );
        let consumer = client(
            language,
            &cluster,
            "consume",
            &[("topic", topic), ("group", "g"), ("order", "yes")],
        );
        consumer.wait_count("received", sent.len(), LONG);
        let received = of(&consumer.stop(), "received");
        assert_in_order(&received);
        assert_same(&sent, &received);
    }
}

#[test]
fn java_4_name_server_with_our_broker() {
    sends_and_consumes(Flavour::Java("4.9.7"), Flavour::Ours);
}

#[test]
fn java_5_name_server_with_our_broker() {
    sends_and_consumes(Flavour::Java("5.3.3"), Flavour::Ours);
}

#[test]
fn our_name_server_with_java_4_broker() {
    sends_and_consumes(Flavour::Ours, Flavour::Java("4.9.7"));
}

#[test]
fn our_name_server_with_java_5_broker() {
    sends_and_consumes(Flavour::Ours, Flavour::Java("5.3.3"));
}
