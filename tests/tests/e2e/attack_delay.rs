//! One message that cannot be delivered, parked at a delay level among others.

use crate::asks::*;
use cluster::{Cluster, Flavour};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);

/// The level goes on behind a message that has become too long.
#[test]
fn a_level_goes_on_behind_a_message_above_a_limit_that_was_lowered() {
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let mut wire = connect(&cluster.broker);
    create_topic(&mut wire, "Topic", "1");
    // Level 2: 5 s.
    let long = send(&mut wire, "Topic", "0", "DELAY\u{1}2\u{2}", &[b'x'; 100_000]);
    assert_eq!(long.code(), 0, "{}", long.remark());
    set(&mut wire, "maxMessageSize=1000\n");
    let short = send(&mut wire, "Topic", "0", "DELAY\u{1}2\u{2}", b"short");
    assert_eq!(short.code(), 0, "{}", short.remark());
    wait_until("the message behind it", SOON, || {
        pull_all(&mut wire, "Topic", "0").contains(&b"short".to_vec())
    });
}

/// The level goes on behind a message whose queues' names cannot be, whether or not it was refused.
#[test]
fn a_level_goes_on_behind_a_message_with_a_bad_multi_dispatch() {
    let settings = [("enableMultiDispatch", "true"), ("enableLmq", "true")];
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &settings);
    let mut wire = connect(&cluster.broker);
    create_topic(&mut wire, "Topic", "1");
    let long = "x".repeat(20_000);
    for bad in [
        "../../escaped",
        "%LMQ%",
        "a,,b",
        ",",
        "%LMQ%a/b",
        long.as_str(),
        "\u{3}",
    ] {
        let properties = format!("INNER_MULTI_DISPATCH\u{1}{bad}\u{2}DELAY\u{1}1\u{2}");
        send(&mut wire, "Topic", "0", &properties, b"bad");
    }
    let after = send(&mut wire, "Topic", "0", "DELAY\u{1}1\u{2}", b"after");
    assert_eq!(after.code(), 0, "{}", after.remark());
    wait_until("the message behind them", SOON, || {
        pull_all(&mut wire, "Topic", "0").contains(&b"after".to_vec())
    });
    assert!(!cluster.broker.store().join("escaped").exists());
}

/// The same where the feature was off when the message was parked, and is on when it is due.
#[test]
fn a_level_goes_on_where_multi_dispatch_was_switched_on_meanwhile() {
    let mut cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let mut wire = connect(&cluster.broker);
    create_topic(&mut wire, "Topic", "1");
    let properties = "INNER_MULTI_DISPATCH\u{1}../../escaped\u{2}DELAY\u{1}2\u{2}";
    let bad = send(&mut wire, "Topic", "0", properties, b"bad");
    assert_eq!(bad.code(), 0, "{}", bad.remark());
    let after = send(&mut wire, "Topic", "0", "DELAY\u{1}2\u{2}", b"after");
    assert_eq!(after.code(), 0, "{}", after.remark());
    drop(wire);
    cluster.broker.stop();
    let file = cluster.broker.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}enableMultiDispatch=true\nenableLmq=true\n")).unwrap();
    cluster.broker.restart();
    let mut wire = connect(&cluster.broker);
    wait_until("the message behind it", SOON, || {
        pull_all(&mut wire, "Topic", "0").contains(&b"after".to_vec())
    });
}
