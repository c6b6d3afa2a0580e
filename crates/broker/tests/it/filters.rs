//! SQL92 filters: checks, pulls that bring an expression and pulls by what the group registered, waiting for a match, retry topics,
//! bitmaps, the file.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use protocol::Frame;
use protocol::code::{request, response};
use protocol::header::broker::*;
use remoting::{Body, Connection};
use serde_json::Value;
use tempfile::TempDir;

use crate::fixture::*;
use crate::name_servers::wait_until;

/// A broker that takes SQL92, with a topic of messages `price` 0 to 9 that it was given in this order.
async fn shop() -> Fixture {
    let fixture = Fixture::new(|settings| settings.broker.enable_property_filter = true).await;
    for price in 0..10 {
        offer(&fixture, "Topic", price).await;
    }
    fixture
}

async fn offer(fixture: &Fixture, topic: &str, price: i32) {
    let properties = format!("price\x01{price}\x02TAGS\x01t{}", price % 2);
    let sent = fixture
        .send(&to(topic, 0, &properties), price.to_string().as_bytes())
        .await;
    assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
}

/// A pull that brings its expression.
fn with<'a>(kind: &'a str, text: &'a str) -> PullMessageRequestHeader<'a> {
    PullMessageRequestHeader {
        subscription: Some(Cow::Borrowed(text)),
        expression_type: Some(Cow::Borrowed(kind)),
        ..from("Topic", 0, 0)
    }
}

/// A pull by what the group registered with a version.
fn by_group(version: i64) -> PullMessageRequestHeader<'static> {
    PullMessageRequestHeader {
        sys_flag: 0,
        subscription: None,
        sub_version: Some(version),
        expression_type: None,
        ..from("Topic", 0, 0)
    }
}

fn bodies(frame: &Frame) -> Vec<String> {
    assert_eq!(frame.code, response::SUCCESS, "{:?}", frame.remark);
    let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
    records(&frame.body)
        .iter()
        .map(|view| text(view.body()))
        .collect()
}

/// A heartbeat of group `g`, which subscribes to topics by expressions of these versions.
fn beat_of(subscriptions: &[(&str, &str, &str, i64)]) -> String {
    let all: Vec<Value> = subscriptions
        .iter()
        .map(|(topic, kind, text, version)| {
            serde_json::json!({"topic": topic, "subString": text, "subVersion": version, "expressionType": kind,
                "tagsSet": [], "codeSet": []})
        })
        .collect();
    serde_json::json!({"clientID": "c1", "consumerDataSet": [{"groupName": "g", "consumeType": "CONSUME_PASSIVELY",
        "messageModel": "CLUSTERING", "consumeFromWhere": "CONSUME_FROM_LAST_OFFSET", "subscriptionDataSet": all}]})
    .to_string()
}

async fn beat(conn: &Arc<Connection>, subscriptions: &[(&str, &str, &str, i64)]) {
    let body = Body::Bytes(beat_of(subscriptions).into());
    let answer = conn.invoke(request::HEART_BEAT, &(), body, WITHIN).await.unwrap();
    assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
}

/// CHECK_CLIENT_CONFIG.
async fn check(fixture: &Fixture, kind: &str, text: &str) -> (i32, Option<String>) {
    let body = serde_json::json!({"clientId": "c1", "group": "g",
        "subscriptionData": {"topic": "Topic", "subString": text, "expressionType": kind}});
    let answer = fixture
        .ask(request::CHECK_CLIENT_CONFIG, &(), body.to_string())
        .await;
    (answer.code, answer.remark.as_deref().map(str::to_owned))
}

const OFF: &str = "The broker does not support consumer to filter message by SQL92";

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_they_are_refused() {
    let fixture = Fixture::new(|_| {}).await;
    offer(&fixture, "Topic", 1).await;
    let refusal = (response::SYSTEM_ERROR, OFF);
    assert_eq!(refused(&fixture.pull(&with("SQL92", "price > 0")).await), refusal);
    let (conn, _notices, _keep) = fixture.own_connection().await;
    beat(&conn, &[("Topic", "SQL92", "price > 0", 5)]).await;
    assert_eq!(refused(&fixture.pull(&by_group(5)).await), refusal);
    let checked = check(&fixture, "SQL92", "price > 0").await;
    assert_eq!(checked, (refusal.0, Some(OFF.to_owned())));
    // As in Java nothing is said of tags, not even of those that a pull is refused for.
    for tags in ["*", "a || b", "||", ""] {
        assert_eq!(
            check(&fixture, "TAG", tags).await,
            (response::SUCCESS, None),
            "{tags}"
        );
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_hears_what_is_wrong_with_its_expression() {
    let fixture = shop().await;
    for good in [
        "price > 1",
        "a IS NULL",
        "TRUE",
        "price BETWEEN -1 AND 5.5 OR name CONTAINS 'x'",
    ] {
        assert_eq!(
            check(&fixture, "SQL92", good).await,
            (response::SUCCESS, None),
            "{good}"
        );
    }
    for (bad, text) in [
        (
            "price >",
            "org.apache.rocketmq.filter.parser.ParseException: Encountered \"<EOF>\" at line 1, column 7.",
        ),
        (
            "price ! 1",
            "org.apache.rocketmq.filter.parser.TokenMgrError: Lexical error at line 1, column 7.",
        ),
        (
            "price > 'x'",
            "java.lang.RuntimeException: Value ''x'' cannot be compared.",
        ),
        (
            "",
            "org.apache.rocketmq.filter.parser.ParseException: Encountered \"<EOF>\"",
        ),
    ] {
        let (code, remark) = check(&fixture, "SQL92", bad).await;
        assert_eq!(code, response::SUBSCRIPTION_PARSE_FAILED, "{bad}");
        assert!(remark.as_deref().unwrap().starts_with(text), "{bad}: {remark:?}");
    }
    assert_eq!(
        check(&fixture, "XPATH", "x").await.0,
        response::SUBSCRIPTION_PARSE_FAILED
    );
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_may_bring_its_expression() {
    let fixture = shop().await;
    let pulled = async |kind: &str, text: &str| fixture.pull(&with(kind, text)).await;
    let all: Vec<String> = (0..10).map(|price| price.to_string()).collect();
    assert_eq!(
        bodies(&pulled("SQL92", "price BETWEEN 3 AND 5").await),
        ["3", "4", "5"]
    );
    assert_eq!(
        bodies(&pulled("SQL92", "TAGS = 't1' AND price > 4").await),
        ["5", "7", "9"]
    );
    let none = pulled("SQL92", "price > 99").await;
    assert_eq!(
        refused(&none),
        (response::PULL_RETRY_IMMEDIATELY, "NO_MATCHED_MESSAGE")
    );
    let ends: PullMessageResponseHeader = none.header().unwrap();
    assert_eq!(ends.next_begin_offset, 10, "it is not looked at them again");
    // What cannot be evaluated is not let through; what does not compile filters nothing, as in Java.
    assert_eq!(
        pulled("SQL92", "TAGS > 1").await.code,
        response::PULL_RETRY_IMMEDIATELY
    );
    for odd in [("SQL92", "price >"), ("SQL92", " "), ("XPATH", "x")] {
        assert_eq!(bodies(&pulled(odd.0, odd.1).await), all, "{odd:?}");
    }
    for kind in ["SQL92", "XPATH"] {
        let empty = pulled(kind, "").await;
        let text = format!("parse the consumer's subscription failed: Expression can't be null! {kind}");
        assert_eq!(refused(&empty), (response::SUBSCRIPTION_PARSE_FAILED, &*text));
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_registers_its_expression() {
    let fixture = shop().await;
    let pulled = async |version| fixture.pull(&by_group(version)).await;
    assert_eq!(pulled(5).await.code, response::SUBSCRIPTION_NOT_EXIST);
    let (conn, _notices, _keep) = fixture.own_connection().await;
    beat(&conn, &[("Topic", "SQL92", "price < 2", 5)]).await;
    assert_eq!(bodies(&pulled(5).await), ["0", "1"]);
    assert_eq!(bodies(&pulled(0).await), ["0", "1"]);
    assert_eq!(pulled(6).await.code, response::SUBSCRIPTION_NOT_LATEST);
    beat(&conn, &[("Topic", "SQL92", "price = 7", 6)]).await;
    assert_eq!(bodies(&pulled(6).await), ["7"]);
    // An older one comes late.
    beat(&conn, &[("Topic", "SQL92", "price < 2", 5)]).await;
    assert_eq!(bodies(&pulled(6).await), ["7"]);

    // The subscription is newer than what could be made of it.
    beat(&conn, &[("Topic", "SQL92", "", 7)]).await;
    assert_eq!(
        refused(&pulled(7).await),
        (
            response::FILTER_DATA_NOT_LATEST,
            "the consumer's consumer filter data not latest"
        )
    );
    beat(&conn, &[("Topic", "SQL92", "price >", 8)]).await;
    assert_eq!(
        refused(&pulled(8).await),
        (
            response::FILTER_DATA_NOT_EXIST,
            "The broker's consumer filter data is not exist!Your expression may be wrong!"
        )
    );
    beat(&conn, &[("Topic", "TAG", "*", 9)]).await;
    assert_eq!(bodies(&pulled(9).await).len(), 10);
    beat(&conn, &[("Topic", "SQL92", "price = 3", 10)]).await;
    assert_eq!(bodies(&pulled(10).await), ["3"]);
    fixture.stop().await;
}

/// How many pulls wait, when there are so many.
async fn wait_for_held(fixture: &Fixture, count: &str) {
    wait_until("pulls wait", WITHIN, async || {
        fixture.runtime().await["pullHoldSize"] == count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_pull_wakes_for_a_match_only() {
    let fixture = shop().await;
    let (conn, _notices, _keep) = fixture.own_connection().await;
    beat(&conn, &[("Topic", "SQL92", "price > 90", 5)]).await;
    let waits = |header: PullMessageRequestHeader<'static>| PullMessageRequestHeader {
        sys_flag: header.sys_flag | 2,
        queue_offset: 10,
        suspend_timeout_millis: Some(600_000),
        ..header
    };
    let (brought, registered) = (
        waits(with("SQL92", "price = 99 OR price = 95")),
        waits(by_group(5)),
    );
    let messages = async {
        wait_for_held(&fixture, "2").await;
        for price in 10..30 {
            offer(&fixture, "Topic", price).await;
        }
        // Whoever wakes does so before the next request of the producer's connection is served.
        assert_eq!(fixture.runtime().await["pullHoldSize"], "2");
        offer(&fixture, "Topic", 91).await;
        wait_for_held(&fixture, "1").await;
        offer(&fixture, "Topic", 99).await;
    };
    let (brought, registered, ()) = tokio::join!(fixture.pull(&brought), fixture.pull(&registered), messages);
    assert_eq!(bodies(&brought), ["99"]);
    assert_eq!(bodies(&registered)[0], "91");
    fixture.stop().await;
}

pub(crate) const SQL92: [&str; 3] = [
    "enablePropertyFilter",
    "filterSupportRetry",
    "enableCalcFilterBitMap",
];

/// A waiting pull hears of a change; the third setting is told by the bitmaps.
#[tokio::test(flavor = "multi_thread")]
async fn filters_are_switched_on_and_off_at_once() {
    let fixture = Fixture::new(|settings| settings.store.enable_consume_queue_ext = true).await;
    let changes = Tested::new(&SQL92);
    offer(&fixture, "Topic", 1).await;
    let (conn, _notices, _keep) = fixture.own_connection().await;
    let pulled = async |topic: &'static str| {
        let header = with("SQL92", "price = 2");
        fixture
            .pull(&PullMessageRequestHeader {
                topic: topic.into(),
                ..header
            })
            .await
    };
    assert_eq!(refused(&pulled("Topic").await), (response::SYSTEM_ERROR, OFF));
    changes.set(&fixture, "enablePropertyFilter=true\n").await;
    beat(
        &conn,
        &[("Topic", "SQL92", "price = 2", 5), ("%RETRY%g", "TAG", "*", 5)],
    )
    .await;
    assert_eq!(pulled("Topic").await.code, response::PULL_RETRY_IMMEDIATELY);
    changes.set(&fixture, "enableCalcFilterBitMap=true\n").await;
    let filter = filter_of(&fixture, |filter| filter["bornTime"].is_i64()).await;
    let has_bitmaps = async || {
        // Later than the filter, which must not be asked about what came before.
        wait_until("the clock goes on", WITHIN, async || {
            now_ms() > filter["bornTime"].as_i64().unwrap()
        })
        .await;
        offer(&fixture, "Topic", 1).await;
        !bitmaps(fixture.dir.path()).is_empty()
    };
    assert!(has_bitmaps().await);
    changes.set(&fixture, "enableCalcFilterBitMap=false\n").await;
    let before = bitmaps(fixture.dir.path()).len();
    offer(&fixture, "Topic", 1).await;
    assert_eq!(bitmaps(fixture.dir.path()).len(), before);

    for price in [1, 2] {
        let properties = format!("price\x01{price}\x02RETRY_TOPIC\x01Topic");
        fixture.send(&to("%RETRY%g", 0, &properties), b"again").await;
    }
    fixture
        .send(&to("%RETRY%g", 0, "price\x011\x02RETRY_TOPIC\x01Other"), b"other")
        .await;
    let again = async || {
        let header = PullMessageRequestHeader {
            topic: "%RETRY%g".into(),
            ..by_group(5)
        };
        bodies(&fixture.pull(&header).await)
    };
    assert_eq!(again().await, ["again", "again", "other"]);
    changes.set(&fixture, "filterSupportRetry=true\n").await;
    assert_eq!(
        again().await,
        ["again", "other"],
        "the one that was let through, and one of no filter"
    );

    let waiting = PullMessageRequestHeader {
        sys_flag: 2,
        queue_offset: 3,
        suspend_timeout_millis: Some(600_000),
        ..by_group(5)
    };
    let switched_off = async {
        wait_for_held(&fixture, "1").await;
        changes.set(&fixture, "enablePropertyFilter=false\n").await;
    };
    let (answer, ()) = tokio::join!(fixture.pull(&waiting), switched_off);
    assert_eq!(refused(&answer), (response::SYSTEM_ERROR, OFF));
    fixture.stop().await;
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    since.as_millis() as i64
}

/// The filter of g for Topic as the file has it, when it is so.
async fn filter_of(fixture: &Fixture, is_so: impl Fn(&Value) -> bool) -> Value {
    let path = fixture.dir.path().join("store/config/consumerFilter.json");
    let filter = || {
        let file: Value = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
        Some(file["filterDataByTopic"]["Topic"]["groupFilterData"]["g"].clone())
    };
    wait_until("it is saved", WITHIN, async || {
        filter().as_ref().is_some_and(&is_so)
    })
    .await;
    filter().unwrap()
}

/// The bitmaps in the extension of the topic's first queue.
fn bitmaps(dir: &Path) -> Vec<Vec<u8>> {
    let (_, file) = extension(dir);
    units(&file)
        .into_iter()
        .map(|(start, len)| file[start + 20..start + len].to_vec())
        .filter(|map| !map.is_empty())
        .collect()
}

fn extension(dir: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let path = dir.join("store/consumequeue_ext/Topic/0/00000000000000000000");
    let file = std::fs::read(&path).unwrap();
    (path, file)
}

/// Where units are, and how long.
fn units(file: &[u8]) -> Vec<(usize, usize)> {
    let (mut at, mut units) = (0, Vec::new());
    loop {
        let len = i16::from_be_bytes([file[at], file[at + 1]]);
        if len <= 0 {
            return units;
        }
        units.push((at, len as usize));
        at += len as usize;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bitmaps_say_who_lets_a_message_through_and_reads_believe_them() {
    let on = |settings: &mut broker::settings::Settings| {
        settings.broker.enable_property_filter = true;
        settings.broker.enable_calc_filter_bit_map = true;
        settings.store.enable_consume_queue_ext = true;
    };
    let fixture = Fixture::new(on).await;
    offer(&fixture, "Topic", 1).await;
    let (conn, _notices, _keep) = fixture.own_connection().await;
    beat(&conn, &[("Topic", "SQL92", "price > 4", 5)]).await;
    let filter = filter_of(&fixture, |filter| filter["dead"] == Value::Bool(false)).await;
    let born = filter["bornTime"].as_i64().unwrap();
    wait_until("the clock goes on", WITHIN, async || now_ms() > born).await;
    for price in [3, 5, 4, 6] {
        offer(&fixture, "Topic", price).await;
    }
    assert_eq!(bodies(&fixture.pull(&by_group(5)).await), ["5", "6"]);
    let bloom = filter::Bloom::of(32, 20);
    let positions = bloom.positions("g", "Topic");
    assert_eq!(filter["bloomFilterData"]["bitPos"], serde_json::json!(positions));
    let (mut hit, miss) = (vec![0; 14], vec![0; 14]);
    filter::Bloom::set(&positions, &mut hit);
    assert_eq!(
        bitmaps(fixture.dir.path()),
        [&miss, &hit, &miss, &hit].map(Vec::clone)
    );

    // A bitmap that says no is believed, of messages that came after the filter.

    let dir = fixture.stop().await;
    let (path, mut file) = extension(dir.path());
    let (last, len) = *units(&file).last().unwrap();
    file[last + 20..last + len].fill(0);
    std::fs::write(path, file).unwrap();
    let fixture = Fixture::in_folder(dir, on).await;
    let (conn, _notices, _keep) = fixture.own_connection().await;
    beat(&conn, &[("Topic", "SQL92", "price > 4", 5)]).await;
    assert_eq!(bodies(&fixture.pull(&by_group(5)).await), ["5"]);
    // Not by a pull with an expression of its own, nor by another expression of the group.
    assert_eq!(
        bodies(&fixture.pull(&with("SQL92", "price > 4")).await),
        ["5", "6"]
    );
    beat(&conn, &[("Topic", "SQL92", "price >= 5", 6)]).await;
    assert_eq!(bodies(&fixture.pull(&by_group(6)).await), ["5", "6"]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_java_brokers_file_goes_on() {
    for version in ["4.9.7", "5.3.3"] {
        let dir = TempDir::new().unwrap();
        let config = dir.path().join("store/config");
        std::fs::create_dir_all(&config).unwrap();
        let golden = format!(
            "{}/tests/golden/java-{version}/consumerFilter.json",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(golden)
            .unwrap()
            .replace("Orders", "Topic")
            .replace("\"group\"", "\"g\"");
        std::fs::write(config.join("consumerFilter.json"), text).unwrap();
        let fixture = Fixture::in_folder(dir, |settings| settings.broker.enable_property_filter = true).await;
        for properties in ["a\x012\x02b\x01x", "a\x011\x02b\x01x", "a\x012"] {
            fixture
                .send(&to("Topic", 0, properties), properties.as_bytes())
                .await;
        }
        let dead = filter_of(&fixture, |filter| filter["dead"] == Value::Bool(true)).await;
        assert!(dead["deadTime"].as_i64() >= dead["bornTime"].as_i64());
        let (conn, _notices, _keep) = fixture.own_connection().await;
        // The version that the file has.
        let version = 1_700_000_000_000;
        beat(&conn, &[("Topic", "SQL92", "a > 1 AND b IS NOT NULL", version)]).await;
        assert_eq!(
            bodies(&fixture.pull(&by_group(version)).await),
            ["a\x012\x02b\x01x"]
        );
        let alive = filter_of(&fixture, |filter| filter["dead"] == Value::Bool(false)).await;
        assert_eq!(
            (&alive["deadTime"], &alive["bornTime"]),
            (&Value::from(0), &dead["bornTime"])
        );
        // The last member goes: by its own word, and the filter is dead.
        let header = UnregisterClientRequestHeader {
            client_id: Some("c1".into()),
            producer_group: None,
            consumer_group: Some("g".into()),
        };
        let left = conn
            .invoke(request::UNREGISTER_CLIENT, &header, Body::Empty, WITHIN)
            .await
            .unwrap();
        assert_eq!(left.code, response::SUCCESS);
        filter_of(&fixture, |filter| filter["dead"] == Value::Bool(true)).await;
        // Or because its connection closes.
        beat(&conn, &[("Topic", "SQL92", "a > 1 AND b IS NOT NULL", version)]).await;
        filter_of(&fixture, |filter| filter["dead"] == Value::Bool(false)).await;
        conn.close("it leaves");
        filter_of(&fixture, |filter| filter["dead"] == Value::Bool(true)).await;
        fixture.stop().await;
    }
}
