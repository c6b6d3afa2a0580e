//! One answer to each request, in time, and the right one.

use crate::asks::*;
use cluster::{Cluster, Flavour, frame};
use serde_json::Value;
use std::time::{Duration, Instant};

const SEARCH_OFFSET: i32 = 29;
const CONSUMER_CONNECTION: i32 = 203;
/// Requests of one connection that Java has under way at once: its broker's limit of oneway requests.
const ONEWAY: usize = 65_536;

/// A frame whose flag says that nobody waits for an answer.
fn oneway(code: i32, opaque: i32, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let asked = frame(code, opaque, fields, body);
    let text = String::from_utf8(asked[8..].to_vec()).unwrap();
    let text = text.replacen("\"flag\":0", "\"flag\":2", 1);
    // The same length: the two lengths in front stay.
    [&asked[..8], text.as_bytes()].concat()
}

/// A connection that sends more oneway requests than may be in flight is read on.
#[test]
fn a_request_behind_many_oneway_requests_is_answered() {
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let mut wire = connect(&cluster.broker);
    create_topic(&mut wire, "Topic", "1");
    let mut held = pull_fields("Topic", "0", "0");
    for field in &mut held {
        match field.0 {
            // It may be held.
            "sysFlag" => field.1 = "6",
            "suspendTimeoutMillis" => field.1 = "15000",
            _ => {}
        }
    }
    let mut writer = connect(&cluster.broker);
    let pulls = oneway(PULL, 1, &held, b"").repeat(64);
    for _ in 0..ONEWAY / 64 + 64 {
        writer.write(&pulls).unwrap();
    }
    let started = Instant::now();
    let answer = writer.ask(GET_MAX_OFFSET, &[("topic", "Topic"), ("queueId", "0")], b"");
    assert_eq!(answer.unwrap().code(), 0);
    assert!(
        started.elapsed() < Duration::from_secs(25),
        "{:?}",
        started.elapsed()
    );
}

/// Remarks repeat names: one that grows when it is written must not leave a request without its answer.
#[test]
fn an_answer_too_large_to_encode_is_an_error() {
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let mut wire = connect(&cluster.broker);
    // In JSON each of these is two bytes; frames end at 16 MiB.
    for len in [1 << 20, 8_388_300, 8_388_400] {
        let name = "\\".repeat(len);
        let mut fields = pull_fields(&name, "0", "0");
        fields[0].1 = "g";
        for (code, fields) in [
            (GET_MAX_OFFSET, vec![("topic", name.as_str()), ("queueId", "0")]),
            (PULL, fields),
        ] {
            let asked = frame(code, 7, &fields, b"");
            if asked.len() > 16 << 20 {
                continue;
            }
            wire.write(&asked).unwrap();
            let answer = wire.read();
            let answer = answer.unwrap_or_else(|error| panic!("{code} with a name of {len}: {error}"));
            assert_eq!(answer.opaque(), 7);
        }
    }
}

/// Behind the last message is the end of the queue, not the last message.
#[test]
fn the_offset_of_a_later_time_is_the_end() {
    let cluster = Cluster::start(&[]);
    let mut wire = connect(&cluster.broker);
    create_topic(&mut wire, "Topic", "1");
    for number in 0..5 {
        assert_eq!(send(&mut wire, "Topic", "0", "", &[number]).code(), 0);
    }
    // Java builds its queues a moment later.
    wait_until("five units", Duration::from_secs(10), || {
        let fields = [("topic", "Topic"), ("queueId", "0")];
        let answer = wire.ask(GET_MAX_OFFSET, &fields, b"").unwrap();
        answer.field("offset") == Some("5")
    });
    let mut search = |time: &str| {
        let fields = [("topic", "Topic"), ("queueId", "0"), ("timestamp", time)];
        let answer = wire.ask(SEARCH_OFFSET, &fields, b"").unwrap();
        answer.field("offset").unwrap().to_owned()
    };
    assert_eq!(search("9000000000000"), "5");
    assert_eq!(search("0"), "0");
}

/// A commitOffset that cannot be changes nothing.
#[test]
fn a_negative_offset_in_a_pull_is_not_kept() {
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let mut wire = connect(&cluster.broker);
    create_topic(&mut wire, "Topic", "1");
    for number in 0..5 {
        assert_eq!(send(&mut wire, "Topic", "0", "", &[number]).code(), 0);
    }
    let mut committed = |offset: &str| {
        let mut fields = pull_fields("Topic", "0", "0");
        for field in &mut fields {
            match field.0 {
                // With an offset to commit, and the subscription in the header.
                "sysFlag" => field.1 = "5",
                "commitOffset" => field.1 = offset,
                _ => {}
            }
        }
        wire.ask(PULL, &fields, b"").unwrap();
        let fields = [("consumerGroup", "asks"), ("topic", "Topic"), ("queueId", "0")];
        let answer = wire.ask(QUERY_CONSUMER_OFFSET, &fields, b"").unwrap();
        answer.field("offset").map(str::to_owned)
    };
    let before = committed("3");
    assert_eq!(before.as_deref(), Some("3"));
    for offset in ["-1", "-9223372036854775808"] {
        assert_eq!(committed(offset), before, "{offset}");
    }
}

/// The console shows how a member filters: TAG where it said nothing.
#[test]
fn a_subscription_without_a_type_is_shown_as_tag() {
    let cluster = Cluster::start(&[]);
    let mut wire = connect(&cluster.broker);
    let beat = r#"{"clientID":"127.0.0.1@1","producerDataSet":[],"consumerDataSet":[{"groupName":"asks",
        "consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","unitMode":false,
        "subscriptionDataSet":[{"classFilterMode":false,"topic":"Topic","subString":"*","subVersion":5,"tagsSet":[],"codeSet":[]}]}]}"#;
    assert_eq!(wire.ask(HEART_BEAT, &[], beat.as_bytes()).unwrap().code(), 0);
    let answer = wire
        .ask(CONSUMER_CONNECTION, &[("consumerGroup", "asks")], b"")
        .unwrap();
    assert_eq!(answer.code(), 0, "{}", answer.remark());
    let shown: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        shown["subscriptionTable"]["Topic"]["expressionType"], "TAG",
        "{shown}"
    );
}

/// Clients in other languages name what they are in their own way; none of them stays offline for it.
#[test]
fn clients_that_name_themselves_in_other_words_are_online() {
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let mut wire = connect(&cluster.broker);
    let beat = r#"{"clientID":"127.0.0.1@odd","producerDataSet":[{"groupName":"odd-producers"}],"consumerDataSet":[
        {"groupName":"go","consumeType":"PUSH","messageModel":"Clustering","consumeFromWhere":"ConsumeFromLastOffset",
         "subscriptionDataSet":[],"unitMode":false},
        {"groupName":"strange","consumeType":"NOBODY_KNOWS","messageModel":"NEITHER","consumeFromWhere":"SOMEWHERE",
         "subscriptionDataSet":[],"unitMode":false}]}"#;
    let answer = wire.ask(HEART_BEAT, &[], beat.as_bytes()).unwrap();
    assert_eq!(answer.code(), 0, "{}", answer.remark());
    for group in ["go", "strange"] {
        let answer = wire
            .ask(CONSUMER_CONNECTION, &[("consumerGroup", group)], b"")
            .unwrap();
        assert_eq!(answer.code(), 0, "{group}: {}", answer.remark());
        let shown = String::from_utf8(answer.body).unwrap();
        assert!(shown.contains("127.0.0.1@odd"), "{group}: {shown}");
    }
}
