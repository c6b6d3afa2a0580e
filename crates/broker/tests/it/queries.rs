//! Messages found by key, and offsets found by time.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use protocol::Frame;
use protocol::code::{request, response};
use protocol::header::broker::*;

use crate::fixture::*;

fn by_key<'a>(topic: &'a str, key: &'a str) -> QueryMessageRequestHeader<'a> {
    QueryMessageRequestHeader {
        topic: Cow::Borrowed(topic),
        key: Cow::Borrowed(key),
        max_num: 64,
        begin_timestamp: 0,
        end_timestamp: i64::MAX,
        unique_key_query: None,
    }
}

fn bodies(frame: &Frame) -> Vec<String> {
    let text = |view: &message::record::View<'_>| String::from_utf8(view.body().to_vec()).unwrap();
    records(&frame.body).iter().map(text).collect()
}

impl Fixture {
    async fn query(&self, header: &QueryMessageRequestHeader<'_>) -> Frame {
        self.ask(request::QUERY_MESSAGE, header, "").await
    }

    /// Asks until the index, which is built a moment after the send, has the message.
    async fn query_found(&self, header: &QueryMessageRequestHeader<'_>) -> Frame {
        let started = Instant::now();
        loop {
            let answer = self.query(header).await;
            if answer.code != response::QUERY_NOT_FOUND {
                return answer;
            }
            assert!(started.elapsed() < WITHIN, "{header:?} is not found");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_found_by_each_of_its_keys_and_by_its_unique_id() {
    let fixture = Fixture::new(|s| s.store.default_query_max_num = 1).await;
    for i in 0..5 {
        let text = format!("KEYS\x01order{i} shared\x02UNIQ_KEY\x01ID{i}\x02");
        let sent = fixture
            .send(&to("Topic", 0, &text), format!("body {i}").as_bytes())
            .await;
        assert_eq!(sent.code, response::SUCCESS);
    }
    fixture
        .send(&to("Other", 0, "KEYS\x01shared\x02UNIQ_KEY\x01ID1\x02"), b"other")
        .await;
    let last = fixture.query_found(&by_key("Other", "shared")).await;
    assert_eq!(bodies(&last), ["other"]);

    let all = fixture.query(&by_key("Topic", "shared")).await;
    let in_log_order: Vec<String> = (0..5).map(|i| format!("body {i}")).collect();
    assert_eq!((all.code, bodies(&all)), (response::SUCCESS, in_log_order));
    let newest = records(&last.body)[0];
    let header: QueryMessageResponseHeader = all.header().unwrap();
    assert_eq!(
        (
            header.index_last_update_timestamp,
            header.index_last_update_phyoffset
        ),
        (newest.store_timestamp(), newest.physical_offset())
    );

    let few = fixture
        .query(&QueryMessageRequestHeader {
            max_num: 2,
            ..by_key("Topic", "shared")
        })
        .await;
    assert_eq!(bodies(&few), ["body 3", "body 4"], "the newest");
    for max_num in [0, -1] {
        let none = fixture
            .query(&QueryMessageRequestHeader {
                max_num,
                ..by_key("Topic", "shared")
            })
            .await;
        assert_eq!(none.code, response::QUERY_NOT_FOUND);
    }
    let one = fixture.query(&by_key("Topic", "order3")).await;
    assert_eq!(bodies(&one), ["body 3"]);
    // By unique id, the limit is the broker's own and not the one asked for.
    let unique = QueryMessageRequestHeader {
        max_num: 0,
        unique_key_query: Some(true),
        ..by_key("Topic", "ID1")
    };
    assert_eq!(bodies(&fixture.query(&unique).await), ["body 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_minds_the_time_window_and_finds_nothing_with_javas_words() {
    let fixture = Fixture::new(|_| {}).await;
    fixture.send(&to("Topic", 0, "KEYS\x01k\x02"), b"x").await;
    let found = fixture.query_found(&by_key("Topic", "k")).await;
    let stored = records(&found.body)[0].store_timestamp();
    let cases = [
        (stored, stored, true),
        (0, stored, true),
        (stored, i64::MAX, true),
        (0, stored - 1, false),
        (stored + 1, i64::MAX, false),
        (stored + 1, stored - 1, false),
    ];
    for (begin_timestamp, end_timestamp, there) in cases {
        let header = QueryMessageRequestHeader {
            begin_timestamp,
            end_timestamp,
            ..by_key("Topic", "k")
        };
        let answer = fixture.query(&header).await;
        let code = if there {
            response::SUCCESS
        } else {
            response::QUERY_NOT_FOUND
        };
        assert_eq!(
            answer.code, code,
            "{begin_timestamp}..{end_timestamp} of {stored}"
        );
    }
    for (topic, key) in [("Topic", "K"), ("Topic", ""), ("Topics", "k"), ("Unknown", "k")] {
        let answer = fixture.query(&by_key(topic, key)).await;
        let words = "can not find message, maybe time range not correct";
        assert_eq!(
            refused(&answer),
            (response::QUERY_NOT_FOUND, words),
            "{topic} {key}"
        );
        let header: QueryMessageResponseHeader = answer.header().unwrap();
        assert_eq!(
            (
                header.index_last_update_timestamp,
                header.index_last_update_phyoffset
            ),
            (0, 0)
        );
    }
    for topic in ["../x", "a/b", ""] {
        let answer = fixture.query(&by_key(topic, "k")).await;
        assert_eq!(answer.code, response::SYSTEM_ERROR, "{topic:?}");
    }
    let incomplete = fixture
        .ask(
            request::QUERY_MESSAGE,
            &&[("topic", "Topic"), ("key", "k")][..],
            "",
        )
        .await;
    assert_eq!(incomplete.code, response::SYSTEM_ERROR);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_query_fits_a_frame_of_javas_clients() {
    let fixture = Fixture::new(|s| s.store.mapped_file_size_commit_log = 32 << 20).await;
    let body = vec![b'x'; 3 << 20];
    for i in 0..8 {
        let text = format!("KEYS\x01big k{i}\x02");
        let sent = fixture.send(&to("Topic", 0, &text), &body).await;
        assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    }
    fixture.query_found(&by_key("Topic", "k7")).await;
    let answer = fixture.query(&by_key("Topic", "big")).await;
    assert_eq!(records(&answer.body).len(), 5, "6 are more than 16 MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_by_time_are_exact_at_every_boundary() {
    let fixture = Fixture::new(|_| {}).await;
    // Messages of at least 4 store times, several of one time where the clock lets us.
    let mut times: Vec<i64> = Vec::new();
    while times.iter().collect::<std::collections::BTreeSet<_>>().len() < 4 {
        let offset = times.len() as i64;
        fixture.send(&to("Topic", 0, ""), b"x").await;
        let found = fixture.pull(&from("Topic", 0, offset)).await;
        times.push(records(&found.body)[0].store_timestamp());
    }
    let first_at = |time: i64| times.iter().position(|t| *t >= time).unwrap_or(times.len()) as i64;
    let last_at = |time: i64| times.iter().rposition(|t| *t <= time).unwrap_or(0) as i64;
    let nearest = |time: i64| {
        let (after, end) = (first_at(time), times.len() as i64 - 1);
        let distance = |offset: i64| (times[offset as usize] - time).abs();
        match after {
            0 => 0,
            // Unlike 4.9.8: behind the last message there is nothing to read.
            after if after > end => after,
            after if distance(after - 1) <= distance(after) => after - 1,
            after => after,
        }
    };
    let mut asked: Vec<i64> = times.iter().flat_map(|t| [t - 1, *t, t + 1]).collect();
    asked.extend([0, i64::MAX]);
    for time in asked {
        let expected = [
            (Some("LOWER"), first_at(time)),
            (Some("lower"), first_at(time)),
            (Some("UPPER"), last_at(time)),
            (Some("upper"), last_at(time)),
            (None, nearest(time)),
        ];
        for (boundary, offset) in expected {
            let header = SearchOffsetRequestHeader {
                topic: Cow::Borrowed("Topic"),
                queue_id: 0,
                timestamp: time,
                boundary_type: boundary.map(Cow::Borrowed),
            };
            let answer = fixture
                .ask(request::SEARCH_OFFSET_BY_TIMESTAMP, &header, "")
                .await;
            let found: OffsetResponseHeader = answer.header().unwrap();
            assert_eq!(found.offset, offset, "{boundary:?} {time} of {times:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_queries_than_allowed_are_told_that_the_broker_is_busy() {
    const ASKED: i32 = 2000;
    let fixture = Fixture::new(|_| {}).await;
    fixture.send(&to("Topic", 0, "KEYS\x01k\x02"), b"x").await;
    fixture.query_found(&by_key("Topic", "k")).await;
    fixture.set("queryThreadPoolQueueCapacity=1\n").await;
    let info = fixture.runtime().await;
    assert_eq!(info["queryThreadPoolQueueCapacity"], "1");
    assert_eq!(info["queryThreadPoolQueueSize"], "0");
    let fields = [
        ("topic", "Topic"),
        ("key", "k"),
        ("maxNum", "1"),
        ("beginTimestamp", "0"),
        ("endTimestamp", "9223372036854775807"),
    ];
    let frames: Vec<u8> = (0..ASKED)
        .flat_map(|opaque| cluster::frame(request::QUERY_MESSAGE, opaque, &fields, b""))
        .collect();
    let address = format!("127.0.0.1:{}", fixture.port);
    let answers: Vec<cluster::Answer> = tokio::task::block_in_place(|| {
        let mut wire = cluster::Wire::connect(&address).unwrap();
        wire.write(&frames).unwrap();
        (0..ASKED).map(|_| wire.read().unwrap()).collect()
    });
    let busy: Vec<_> = answers.iter().filter(|answer| answer.code() != 0).collect();
    assert!(
        !busy.is_empty() && busy.len() < answers.len(),
        "{} of {ASKED}",
        busy.len()
    );
    for answer in busy {
        let told = (answer.code() as i32, answer.remark());
        let words = "[OVERLOAD]system busy, start flow control for a while";
        assert_eq!(told, (response::SYSTEM_BUSY, words));
    }
    fixture.set("queryThreadPoolQueueCapacity=20000\n").await;
    assert_eq!(fixture.query(&by_key("Topic", "k")).await.code, response::SUCCESS);
}
