//! An operator sets a group back in time, and its members, whatever they are written in, consume again.

use cluster::{Client, Cluster, Language, Wire};

use crate::check::*;

const RESET: i32 = 222;
const COUNT: usize = 20;

#[test]
fn members_in_each_language_consume_again_after_a_reset() {
    let cluster = Cluster::start(&[]);
    make_topic(&cluster, "Again");
    let namesrv = cluster.namesrv.address();
    for (language, group) in [(JAVA_4, "java4"), (JAVA_5, "java5"), (Language::Go, "go")] {
        let options = [("ns", namesrv.as_str()), ("topic", "Again"), ("group", group)];
        let consumer = Client::start(language, cluster.path(), "consume", &options);
        if group == "java4" {
            send(
                JAVA_4,
                &cluster,
                &[("topic", "Again"), ("count", &(COUNT - 1).to_string())],
            );
        }
        consumer.wait_count("received", COUNT, LONG);
        wait_until_told(&cluster.broker, "Again", group);
        let fields = [
            ("topic", "Again"),
            ("group", group),
            ("timestamp", "0"),
            ("isForce", "true"),
        ];
        let mut wire = Wire::connect(&cluster.broker.address()).unwrap();
        let answer = wire.ask(RESET, &fields, b"").unwrap();
        assert_eq!(answer.code(), 0, "{}", answer.remark());
        consumer.wait_count("received", 2 * COUNT, LONG);
        consumer.stop();
    }
}
