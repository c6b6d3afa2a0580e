//! Settings that an operator changes while the broker runs, and that act at once.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use protocol::code::{request, response};
use protocol::header::broker::*;

use crate::fixture::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_message_changes_at_once_both_ways() {
    let fixture = Fixture::new(|_| {}).await;
    let send = async |len: usize| fixture.send(&to("Topic", 0, ""), &vec![b'x'; len]).await.code;
    assert_eq!(send(2000).await, response::SUCCESS);
    fixture.set("maxMessageSize=1000\n").await;
    assert_eq!(send(1001).await, response::MESSAGE_ILLEGAL);
    assert_eq!(send(1000).await, response::SUCCESS);
    fixture.set("maxMessageSize=500000\n").await;
    assert_eq!(send(500_000).await, response::SUCCESS);
    assert_eq!(send(500_001).await, response::MESSAGE_ILLEGAL);
    let kept = std::fs::read_to_string(fixture.dir.path().join("broker.conf")).unwrap();
    assert_eq!(kept, "maxMessageSize=500000\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_reads_and_queries_change_at_once() {
    let fixture = Fixture::new(|_| {}).await;
    for _ in 0..10 {
        fixture.send(&to("Topic", 0, "KEYS\x01k\x02"), &[b'x'; 100]).await;
    }
    let pulled = async || records(&fixture.pull(&from("Topic", 0, 0)).await.body).len();
    assert_eq!(pulled().await, 10);
    fixture.set("maxTransferCountOnMessageInMemory=4\n").await;
    assert_eq!(pulled().await, 4);
    fixture.set("maxTransferBytesOnMessageInMemory=600\n").await;
    assert_eq!(pulled().await, 2, "of some 230 bytes each");
    // Everything counts as being on disk.
    fixture
        .set("accessMessageInMemoryMaxRatio=0\nmaxTransferCountOnMessageInDisk=3\n")
        .await;
    assert_eq!(pulled().await, 3);
    fixture.set("maxTransferBytesOnMessageInDisk=1\n").await;
    assert_eq!(pulled().await, 1, "the first is always given");

    let query = QueryMessageRequestHeader {
        topic: Cow::Borrowed("Topic"),
        key: Cow::Borrowed("k"),
        max_num: 64,
        begin_timestamp: 0,
        end_timestamp: i64::MAX,
        unique_key_query: None,
    };
    let found = async || {
        let answer = fixture.ask(request::QUERY_MESSAGE, &query, "").await;
        records(&answer.body).len()
    };
    let started = Instant::now();
    while found().await < 10 {
        assert!(started.elapsed() < WITHIN, "the index is not built");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fixture.set("maxMsgsNumBatch=7\n").await;
    assert_eq!(found().await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_counts_at_the_next_start_is_taken_and_kept() {
    let mut fixture = Fixture::new(|_| {}).await;
    fixture.set("defaultTopicQueueNums=3\ndeleteWhen=05\n").await;
    let shown = async |fixture: &Fixture| {
        let answer = fixture.ask(request::GET_BROKER_CONFIG, &(), "").await;
        String::from_utf8(answer.body.to_vec()).unwrap()
    };
    let text = shown(&fixture).await;
    assert!(text.lines().any(|line| line == "deleteWhen=05"), "{text}");
    assert!(
        text.lines().any(|line| line == "defaultTopicQueueNums=8"),
        "{text}"
    );
    let kept = std::fs::read_to_string(fixture.dir.path().join("broker.conf")).unwrap();
    assert_eq!(kept, "deleteWhen=05\ndefaultTopicQueueNums=3\n");
    fixture.restart().await;
}
