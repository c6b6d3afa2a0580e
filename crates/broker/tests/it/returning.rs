//! Consumers of a broker that was restarted, before their next heartbeat.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use protocol::body::broker::ConsumerIdList;
use protocol::code::{request, response};
use protocol::header::broker::*;
use remoting::{Body, Connection};
use serde_json::Value;

use crate::fixture::*;
use crate::name_servers::wait_until;

const FILE: &str = "store/config/consumerConnection.json";

/// A heartbeat of a member of group `g`, which wants what has the tag `a` by a subscription of version 5.
async fn beat(conn: &Arc<Connection>, client_id: &str) {
    let text = serde_json::json!({"clientID": client_id, "consumerDataSet": [{"groupName": "g",
        "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING", "consumeFromWhere": "CONSUME_FROM_LAST_OFFSET",
        "subscriptionDataSet": [{"topic": "Topic", "subString": "a", "subVersion": 5, "expressionType": "TAG",
            "tagsSet": ["a"], "codeSet": [97]}]}]});
    let body = Body::Bytes(text.to_string().into());
    let answer = conn.invoke(request::HEART_BEAT, &(), body, WITHIN).await.unwrap();
    assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
}

/// A broker with messages of tags `a` and `b` and two members of group `g`, stopped and started again.
async fn restarted(between: impl FnOnce(&Path)) -> Fixture {
    let fixture = Fixture::new(|_| {}).await;
    for tag in ["a", "b"] {
        let sent = fixture
            .send(&to("Topic", 0, &format!("TAGS\x01{tag}")), tag.as_bytes())
            .await;
        assert_eq!(sent.code, response::SUCCESS);
    }
    let (first, _notices, _keep) = fixture.own_connection().await;
    let (second, _notices, _keep) = fixture.own_connection().await;
    beat(&first, "c1").await;
    beat(&second, "c2").await;
    let dir = fixture.stop().await;
    between(dir.path());
    Fixture::in_folder(dir, |_| {}).await
}

/// The answer to a pull by what the group registered, and the messages in it.
async fn pulled(fixture: &Fixture, sub_version: i64) -> (i32, Vec<String>) {
    let header = PullMessageRequestHeader {
        sys_flag: 0,
        sub_version: Some(sub_version),
        ..from("Topic", 0, 0)
    };
    let answer = fixture.pull(&header).await;
    let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
    let bodies = records(&answer.body)
        .iter()
        .map(|view| text(view.body()))
        .collect();
    (answer.code, bodies)
}

/// Members of the group as GET_CONSUMER_LIST_BY_GROUP tells them.
async fn members(fixture: &Fixture) -> BTreeSet<String> {
    let group = ConsumerGroupRequestHeader {
        consumer_group: Cow::Borrowed("g"),
    };
    let frame = fixture.ask(request::GET_CONSUMER_LIST_BY_GROUP, &group, "").await;
    let list = protocol::body::read::<ConsumerIdList>(&frame.body);
    list.map(|list| list.consumer_id_list.into_iter().collect())
        .unwrap_or_default()
}

fn set<const N: usize>(ids: [&str; N]) -> BTreeSet<String> {
    ids.map(str::to_owned).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_is_served_before_the_next_heartbeat() {
    let fixture = restarted(|_| {}).await;
    assert_eq!(
        pulled(&fixture, 5).await,
        (response::SUCCESS, vec!["a".to_owned()])
    );
    // As before the stop.
    assert_eq!(
        pulled(&fixture, 6).await,
        (response::SUBSCRIPTION_NOT_LATEST, vec![])
    );
    // Of a client that does not say which subscription it means: it looks at tags itself.
    let both = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(pulled(&fixture, 0).await, (response::SUCCESS, both));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_back_first_does_not_take_what_the_others_have() {
    let fixture = restarted(|_| {}).await;
    assert_eq!(members(&fixture).await, set(["c1", "c2"]));
    let (first, _notices, _keep) = fixture.own_connection().await;
    beat(&first, "c1").await;
    assert_eq!(members(&fixture).await, set(["c1", "c2"]));
    // A member that ends before it was heard of is no longer expected.
    let leave = UnregisterClientRequestHeader {
        client_id: Some(Cow::Borrowed("c2")),
        producer_group: None,
        consumer_group: Some(Cow::Borrowed("g")),
    };
    let left = fixture.ask(request::UNREGISTER_CLIENT, &leave, "").await;
    assert_eq!(left.code, response::SUCCESS);
    assert_eq!(members(&fixture).await, set(["c1"]));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_time_nobody_is_expected_back() {
    let fixture = restarted(|dir| {
        let path = dir.join(FILE);
        let mut file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let saved = file["savedAt"].as_i64().unwrap();
        assert_eq!(file["groups"]["g"]["connectionSet"].as_array().unwrap().len(), 2);
        file["savedAt"] = (saved - 120_001).into();
        std::fs::write(&path, file.to_string()).unwrap();
    })
    .await;
    assert_eq!(members(&fixture).await, set([]));
    assert_eq!(
        pulled(&fixture, 5).await,
        (response::SUBSCRIPTION_NOT_EXIST, vec![])
    );
    // Nobody was connected at this stop.
    let dir = fixture.stop().await;
    let file: Value = serde_json::from_slice(&std::fs::read(dir.path().join(FILE)).unwrap()).unwrap();
    assert_eq!(file["groups"], serde_json::json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_without_consumers_keeps_no_file_of_them() {
    let fixture = Fixture::new(|_| {}).await;
    let dir = fixture.stop().await;
    assert!(!dir.path().join(FILE).exists());
}

/// Who has an answer asks again at once, and what comes after the broker's last look at the connection has no answer: a client of Java's
/// 4.9 waits 30 s for it. A refusal makes clients wait first.
#[tokio::test(flavor = "multi_thread")]
async fn pulls_are_refused_before_their_connection_is_closed() {
    let fixture = Fixture::new(|_| {}).await;
    let sent = fixture.send(&to("Topic", 0, "TAGS\x01a"), b"a").await;
    assert_eq!(sent.code, response::SUCCESS);
    let (conn, _notices, _keep) = fixture.own_connection().await;
    beat(&conn, "c1").await;
    let pull = async |offset| {
        let header = PullMessageRequestHeader {
            sys_flag: 2,
            sub_version: Some(5),
            suspend_timeout_millis: Some(60_000),
            ..from("Topic", 0, offset)
        };
        let asked = conn.invoke(request::PULL_MESSAGE, &header, Body::Empty, WITHIN);
        asked.await.map(|answer| answer.code)
    };
    assert_eq!(pull(0).await.unwrap(), response::SUCCESS);
    let held = async {
        let first = pull(1).await.unwrap();
        // Also where there are messages.
        (first, pull(0).await.unwrap())
    };
    let stop = async {
        let state = fixture.broker.as_ref().unwrap().state();
        let is_held = async || state.page().contains("; 1 pulls wait for messages");
        wait_until("the pull is held", WITHIN, is_held).await;
        fixture.stop().await
    };
    let (codes, _dir) = tokio::join!(held, stop);
    let refused = response::SERVICE_NOT_AVAILABLE;
    assert_eq!(codes, (refused, refused));
}
