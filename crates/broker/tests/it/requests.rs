//! What every request is answered.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use broker::settings::FlushDiskType;
use message::{batch, properties};
use protocol::code::{request, response};
use protocol::encode::encode_request;
use protocol::header::Short;
use protocol::header::broker::*;
use protocol::{Frame, SerializeType};
use remoting::{Body, Connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_can_be_pulled_at_once() {
    let fixture = Fixture::new(|_| {}).await;
    let sent = fixture
        .send(
            &to("Topic", 2, "TAGS\x01A\x02KEYS\x01k1\x02WAIT\x01true\x02"),
            b"hello",
        )
        .await;
    assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    let place: SendMessageResponseHeader<'_> = sent.header().unwrap();
    assert_eq!(
        (place.queue_id, place.queue_offset, place.trace_on.as_deref()),
        (2, 0, Some("true"))
    );
    let id: message::id::OffsetMessageId = place.msg_id.parse().unwrap();
    assert_eq!(id.store_host.to_string(), format!("127.0.0.1:{}", fixture.port));

    let found = fixture.pull(&from("Topic", 2, 0)).await;
    assert_eq!(refused(&found), (response::SUCCESS, "FOUND"));
    let ends: PullMessageResponseHeader = found.header().unwrap();
    assert_eq!(
        (ends.next_begin_offset, ends.min_offset, ends.max_offset),
        (1, 0, 1)
    );
    let all = records(&found.body);
    assert_eq!(
        (all.len(), all[0].body(), all[0].topic()),
        (1, &b"hello"[..], "Topic")
    );
    let text = all[0].properties();
    assert_eq!(properties::get_str(text, "WAIT"), None, "4.9 takes it out");
    assert_eq!(properties::get_str(text, "CLUSTER"), Some("DefaultCluster"));
    assert_eq!(properties::get_str(text, "KEYS"), Some("k1"));

    let viewed = fixture
        .ask(
            request::VIEW_MESSAGE_BY_ID,
            &ViewMessageRequestHeader {
                offset: id.physical_offset,
            },
            "",
        )
        .await;
    assert_eq!(viewed.body, found.body);
    let nowhere = fixture
        .ask(
            request::VIEW_MESSAGE_BY_ID,
            &ViewMessageRequestHeader { offset: 7 },
            "",
        )
        .await;
    assert_eq!(nowhere.code, response::SYSTEM_ERROR);
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_that_come_together_are_stored_like_those_that_come_alone() {
    let fixture = Fixture::new(|_| {}).await;
    let texts = ["KEYS\x01k1\x02WAIT\x01true", "TAGS\x01A\x02", "", "KEYS\x01k2"];
    let (mut frames, mut opaque) = (Vec::new(), 0);
    let places = [("Together", 0), ("Elsewhere", 0), ("Together", 1)];
    for (topic, queue) in places.into_iter().chain([("Together", 9)]) {
        for text in texts {
            let header = to(topic, queue, text);
            opaque += 1;
            let (kind, code) = (SerializeType::Json, request::SEND_MESSAGE_V2);
            encode_request(&mut frames, kind, code, opaque, false, &Short(&header), 4);
            frames.extend_from_slice(b"body");
        }
    }
    let mut stream = TcpStream::connect(("127.0.0.1", fixture.port)).await.unwrap();
    stream.write_all(&frames).await.unwrap();
    for _ in 0..16 {
        let mut frame = vec![0; stream.read_u32().await.unwrap() as usize];
        stream.read_exact(&mut frame).await.unwrap();
        let answer = Frame::decode(frame.into()).unwrap();
        // Only the last four name a queue that there is not.
        let known = answer.opaque <= 12;
        assert_eq!(answer.code == response::SUCCESS, known, "{:?}", answer.remark);
    }
    for (topic, queue) in places {
        let found = fixture.pull(&from(topic, queue, 0)).await;
        let stored: Vec<_> = records(&found.body)
            .iter()
            .map(|r| r.properties().to_vec())
            .collect();
        let cluster = "CLUSTER\x01DefaultCluster";
        let expected = ["KEYS\x01k1\x02", "TAGS\x01A\x02", "", "KEYS\x01k2\x02"];
        let expected = expected.map(|text| format!("{text}{cluster}").into_bytes());
        assert_eq!(stored, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_split_into_records_with_consecutive_offsets() {
    let fixture = Fixture::new(|_| {}).await;
    let mut body = Vec::new();
    for i in 0..3 {
        batch::push_entry(&mut body, i, format!("body {i}").as_bytes(), b"TAGS\x01T");
    }
    let header = SendMessageRequestHeader {
        batch: Some(true),
        ..to("Batch", 0, "")
    };
    let sent = fixture
        .ask(request::SEND_BATCH_MESSAGE, &Short(&header), body)
        .await;
    let place: SendMessageResponseHeader<'_> = sent.header().unwrap();
    assert_eq!((place.queue_offset, place.msg_id.split(',').count()), (0, 3));
    let found = fixture.pull(&from("Batch", 0, 0)).await;
    let all = records(&found.body);
    let seen: Vec<_> = all
        .iter()
        .map(|v| (v.queue_offset(), v.flag(), v.body().to_vec()))
        .collect();
    let expected: Vec<_> = (0..3)
        .map(|i| (i64::from(i), i, format!("body {i}").into_bytes()))
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(
        properties::get_str(all[2].properties(), "CLUSTER"),
        Some("DefaultCluster")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_sends_get_javas_codes() {
    let fixture = Fixture::new(|s| s.store.max_message_size = 1000).await;
    let long = "a".repeat(128);
    let names = [
        ("a/b", response::SYSTEM_ERROR),
        ("..", response::SYSTEM_ERROR),
        ("a\0b", response::SYSTEM_ERROR),
        ("", response::SYSTEM_ERROR),
        (long.as_str(), response::SYSTEM_ERROR),
        ("SCHEDULE_TOPIC_XXXX", response::NO_PERMISSION),
        ("RMQ_SYS_TRANS_HALF_TOPIC", response::NO_PERMISSION),
    ];
    for (name, code) in names {
        let answer = fixture.send(&to(name, 0, ""), b"x").await;
        assert_eq!(answer.code, code, "{name:?}: {:?}", answer.remark);
    }
    let stray = SendMessageRequestHeader {
        default_topic: Some(Cow::Borrowed("NoTemplate")),
        ..to("New", 0, "")
    };
    let answer = fixture.send(&stray, b"x").await;
    assert_eq!(answer.code, response::TOPIC_NOT_EXIST);
    assert!(
        answer
            .remark
            .unwrap()
            .starts_with("topic[New] not exist, apply first please!")
    );
    for queue_id in [4, i32::MAX] {
        assert_eq!(
            fixture.send(&to("Good", queue_id, ""), b"x").await.code,
            response::SYSTEM_ERROR
        );
    }
    assert_eq!(
        fixture.send(&to("Good", -1, ""), b"x").await.code,
        response::SUCCESS,
        "the broker picks"
    );
    assert_eq!(
        fixture.send(&to("Good", 0, ""), &[0; 1001]).await.code,
        response::MESSAGE_ILLEGAL
    );
    let text = format!("K\x01{}", "v".repeat(32_768));
    assert_eq!(
        fixture.send(&to("Good", 0, &text), b"x").await.code,
        response::MESSAGE_ILLEGAL
    );
    for text in ["\x01\x02\x01\x01\x02\x02", "TAGS", "=\x02", "\x02"] {
        assert_eq!(
            fixture.send(&to("Good", 0, text), b"x").await.code,
            response::SUCCESS,
            "{text:?} is dropped"
        );
    }
    let nul = fixture.send(&to("Good", 0, "K\x01a\0b\x02"), b"x").await;
    assert_eq!(nul.code, response::MESSAGE_ILLEGAL, "{:?}", nul.remark);
    let broken = SendMessageRequestHeader {
        batch: Some(true),
        ..to("Good", 0, "")
    };
    assert_eq!(
        fixture.send(&broken, b"no chain").await.code,
        response::SYSTEM_ERROR
    );
    let nothing = fixture.ask(request::SEND_MESSAGE_V2, &(), "").await;
    assert_eq!(nothing.code, response::SYSTEM_ERROR);
    let ill_typed = [("b", "Good"), ("e", "one"), ("g", "1")];
    assert_eq!(
        fixture
            .ask(request::SEND_MESSAGE_V2, &&ill_typed[..], "")
            .await
            .code,
        response::SYSTEM_ERROR
    );
    let inside: Vec<_> = std::fs::read_dir(fixture.dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(inside, ["store"], "nothing outside the store");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_pulls_get_the_codes_clients_branch_on() {
    let fixture = Fixture::new(|s| s.broker.auto_create_subscription_group = false).await;
    assert_eq!(
        fixture.pull(&from("Topic", 0, 0)).await.code,
        response::SUBSCRIPTION_GROUP_NOT_EXIST
    );
    let tools = |h: PullMessageRequestHeader<'static>| PullMessageRequestHeader {
        consumer_group: Cow::Borrowed("TOOLS_CONSUMER"),
        ..h
    };
    assert_eq!(
        fixture.pull(&tools(from("Topic", 0, 0))).await.code,
        response::TOPIC_NOT_EXIST
    );
    for _ in 0..3 {
        fixture.send(&to("Topic", 0, "TAGS\x01A"), b"x").await;
    }
    let cases = [
        (from("Topic", -1, 0), response::SYSTEM_ERROR),
        (from("Topic", 4, 0), response::SYSTEM_ERROR),
        (from("Topic", 1, 0), response::PULL_NOT_FOUND),
        (from("Topic", 1, 5), response::PULL_OFFSET_MOVED),
        (from("Topic", 0, 3), response::PULL_NOT_FOUND),
        (from("Topic", 0, 4), response::PULL_OFFSET_MOVED),
        (from("Topic", 0, -1), response::PULL_OFFSET_MOVED),
        (from("Topic", 0, i64::MAX), response::PULL_OFFSET_MOVED),
        (
            PullMessageRequestHeader {
                subscription: Some(Cow::Borrowed("B")),
                ..from("Topic", 0, 0)
            },
            response::PULL_RETRY_IMMEDIATELY,
        ),
        (
            PullMessageRequestHeader {
                subscription: Some(Cow::Borrowed("||")),
                ..from("Topic", 0, 0)
            },
            response::SUBSCRIPTION_PARSE_FAILED,
        ),
        (
            PullMessageRequestHeader {
                sys_flag: 0,
                ..from("Topic", 0, 0)
            },
            response::SUBSCRIPTION_NOT_EXIST,
        ),
    ];
    for (header, code) in cases {
        let text = format!("{header:?}");
        let answer = fixture.pull(&tools(header)).await;
        assert_eq!(answer.code, code, "{text}: {:?}", answer.remark);
    }
    let unknown = fixture.ask(9999, &(), "").await;
    assert_eq!(
        refused(&unknown),
        (
            response::REQUEST_CODE_NOT_SUPPORTED,
            " request type 9999 not supported"
        )
    );
    let vip = format!("127.0.0.1:{}", fixture.port - 2);
    let header = tools(from("Topic", 0, 0));
    let answer = fixture
        .client
        .invoke(&vip, request::PULL_MESSAGE, &header, Body::Empty, WITHIN)
        .await
        .unwrap();
    assert_eq!(answer.code, response::REQUEST_CODE_NOT_SUPPORTED);
    let header = to("Topic", 0, "");
    let sent = fixture
        .client
        .invoke(&vip, request::SEND_MESSAGE, &header, Body::Empty, WITHIN)
        .await
        .unwrap();
    assert_eq!(sent.code, response::SUCCESS, "the VIP port takes sends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_waits_for_a_message_it_wants() {
    let fixture = Fixture::new(|_| {}).await;
    fixture.send(&to("Topic", 0, "TAGS\x01A"), b"first").await;
    let header = PullMessageRequestHeader {
        sys_flag: 6,
        subscription: Some(Cow::Borrowed("B")),
        ..from("Topic", 0, 1)
    };
    let mut waiting = std::pin::pin!(fixture.pull(&header));
    for tag in ["A", "A", "B"] {
        let early = tokio::time::timeout(Duration::from_millis(150), &mut waiting).await;
        assert!(
            early.is_err(),
            "answered before a B came: {:?}",
            early.map(|f| f.remark)
        );
        fixture
            .send(&to("Topic", 0, &format!("TAGS\x01{tag}")), tag.as_bytes())
            .await;
    }
    let found = waiting.await;
    assert_eq!(found.code, response::SUCCESS, "{:?}", found.remark);
    assert_eq!(
        records(&found.body)
            .iter()
            .map(|v| v.body().to_vec())
            .collect::<Vec<_>>(),
        [b"B"]
    );
    let short = PullMessageRequestHeader {
        suspend_timeout_millis: Some(200),
        sys_flag: 6,
        ..from("Topic", 0, 4)
    };
    let started = std::time::Instant::now();
    assert_eq!(fixture.pull(&short).await.code, response::PULL_NOT_FOUND);
    assert!(
        started.elapsed() >= Duration::from_millis(200),
        "not before its time"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_kept_over_a_restart() {
    let mut fixture = Fixture::new(|_| {}).await;
    let query = |topic: &'static str, queue_id| QueryConsumerOffsetRequestHeader {
        consumer_group: Cow::Borrowed("g"),
        topic: Cow::Borrowed(topic),
        queue_id,
        set_zero_if_not_found: None,
    };
    let commit = |topic: &'static str, offset| UpdateConsumerOffsetRequestHeader {
        consumer_group: Cow::Borrowed("g"),
        topic: Cow::Borrowed(topic),
        queue_id: 1,
        commit_offset: offset,
    };
    for _ in 0..5 {
        fixture.send(&to("Topic", 1, ""), b"x").await;
    }
    let first = fixture
        .ask(request::QUERY_CONSUMER_OFFSET, &query("Topic", 1), "")
        .await;
    assert_eq!(
        first.header::<OffsetResponseHeader>().unwrap().offset,
        0,
        "the queue still starts at 0"
    );
    let never = QueryConsumerOffsetRequestHeader {
        set_zero_if_not_found: Some(false),
        ..query("Topic", 1)
    };
    assert_eq!(
        fixture.ask(request::QUERY_CONSUMER_OFFSET, &never, "").await.code,
        response::QUERY_NOT_FOUND
    );
    assert_eq!(
        fixture
            .ask(request::UPDATE_CONSUMER_OFFSET, &commit("Topic", 4), "")
            .await
            .code,
        response::SUCCESS
    );
    for (topic, offset) in [("../x", 1), ("Topic", -1)] {
        let answer = fixture
            .ask(request::UPDATE_CONSUMER_OFFSET, &commit(topic, offset), "")
            .await;
        assert_eq!(answer.code, response::SYSTEM_ERROR);
    }
    fixture.restart().await;
    let kept = fixture
        .ask(request::QUERY_CONSUMER_OFFSET, &query("Topic", 1), "")
        .await;
    assert_eq!(kept.header::<OffsetResponseHeader>().unwrap().offset, 4);
    let queue = QueueRequestHeader {
        topic: Cow::Borrowed("Topic"),
        queue_id: 1,
    };
    let max = fixture.ask(request::GET_MAX_OFFSET, &queue, "").await;
    assert_eq!(max.header::<OffsetResponseHeader>().unwrap().offset, 5);
    let found = fixture.pull(&from("Topic", 1, 4)).await;
    assert_eq!((found.code, records(&found.body).len()), (response::SUCCESS, 1));
    let unknown = QueueRequestHeader {
        topic: Cow::Borrowed("Nowhere"),
        queue_id: -5,
    };
    for code in [request::GET_MAX_OFFSET, request::GET_MIN_OFFSET] {
        let answer = fixture.ask(code, &unknown, "").await;
        assert_eq!(answer.header::<OffsetResponseHeader>().unwrap().offset, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_hear_of_each_other() {
    let fixture = Fixture::new(|_| {}).await;
    fixture.send(&to("Topic", 0, ""), b"x").await;
    let (first, mut first_notices, _keep_first) = fixture.own_connection().await;
    let beat = |conn: Arc<Connection>, text: String| async move {
        conn.invoke(request::HEART_BEAT, &(), Body::Bytes(text.into()), WITHIN)
            .await
            .unwrap()
    };
    assert_eq!(
        beat(Arc::clone(&first), heartbeat("c1", "g", "Topic")).await.code,
        response::SUCCESS
    );
    let notice = first_notices.recv().await.unwrap();
    assert_eq!(notice.code, request::NOTIFY_CONSUMER_IDS_CHANGED);
    assert_eq!(notice.field("consumerGroup"), Some("g"));
    let (second, _second_notices, _keep_second) = fixture.own_connection().await;
    assert_eq!(
        beat(Arc::clone(&second), heartbeat("c2", "g", "Topic"))
            .await
            .code,
        response::SUCCESS
    );
    assert_eq!(
        first_notices.recv().await.unwrap().code,
        request::NOTIFY_CONSUMER_IDS_CHANGED
    );
    let group = ConsumerGroupRequestHeader {
        consumer_group: Cow::Borrowed("g"),
    };
    let list = async || {
        let frame = fixture.ask(request::GET_CONSUMER_LIST_BY_GROUP, &group, "").await;
        let mut ids = protocol::body::read::<protocol::body::broker::ConsumerIdList>(&frame.body)
            .map(|l| l.consumer_id_list)
            .unwrap_or_default();
        ids.sort();
        ids
    };
    assert_eq!(list().await, ["c1", "c2"]);
    // By the registered subscription, without one in the header.
    let pull = PullMessageRequestHeader {
        sys_flag: 0,
        sub_version: Some(5),
        ..from("Topic", 0, 0)
    };
    assert_eq!(fixture.pull(&pull).await.code, response::SUCCESS);
    let newer = PullMessageRequestHeader {
        sub_version: Some(6),
        ..pull
    };
    assert_eq!(fixture.pull(&newer).await.code, response::SUBSCRIPTION_NOT_LATEST);
    second.close("the test is done with it");
    assert_eq!(
        first_notices.recv().await.unwrap().code,
        request::NOTIFY_CONSUMER_IDS_CHANGED
    );
    assert_eq!(list().await, ["c1"]);
    let leave = UnregisterClientRequestHeader {
        client_id: Some(Cow::Borrowed("c1")),
        producer_group: Some(Cow::Borrowed("p")),
        consumer_group: Some(Cow::Borrowed("g")),
    };
    let left = first
        .invoke(request::UNREGISTER_CLIENT, &leave, Body::Empty, WITHIN)
        .await
        .unwrap();
    assert_eq!(left.code, response::SUCCESS);
    assert_eq!(
        fixture
            .ask(request::GET_CONSUMER_LIST_BY_GROUP, &group, "")
            .await
            .code,
        response::SYSTEM_ERROR
    );
    let config = protocol::header::broker::TopicRequestHeader {
        topic: Cow::Borrowed("%RETRY%g"),
    };
    assert_eq!(
        fixture.ask(request::GET_TOPIC_CONFIG, &config, "").await.code,
        response::SUCCESS,
        "made by the heartbeat"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_and_groups_are_created_kept_and_deleted() {
    let mut fixture = Fixture::new(|_| {}).await;
    let create = |topic: &'static str, queues| CreateTopicRequestHeader {
        topic: Cow::Borrowed(topic),
        default_topic: None,
        read_queue_nums: queues,
        write_queue_nums: queues,
        perm: 6,
        topic_filter_type: Some(Cow::Borrowed("SINGLE_TAG")),
        topic_sys_flag: None,
        order: Some(false),
        attributes: None,
    };
    let made = fixture
        .ask(request::UPDATE_AND_CREATE_TOPIC, &create("Mine", 3), "")
        .await;
    assert_eq!(made.code, response::SUCCESS, "{:?}", made.remark);
    for (topic, queues) in [("TBW102", 1), ("a/b", 1), ("Huge", i32::MAX), ("Negative", -1)] {
        let answer = fixture
            .ask(request::UPDATE_AND_CREATE_TOPIC, &create(topic, queues), "")
            .await;
        assert_eq!(answer.code, response::SYSTEM_ERROR, "{topic}");
    }
    let group = br#"{"groupName":"mine","retryMaxTimes":3,"consumeEnable":true}"#.to_vec();
    assert_eq!(
        fixture
            .ask(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &(), group)
            .await
            .code,
        response::SUCCESS
    );
    assert_eq!(
        fixture.send(&to("Mine", 2, ""), b"x").await.code,
        response::SUCCESS
    );
    assert_eq!(
        fixture.send(&to("Auto", 0, ""), b"x").await.code,
        response::SUCCESS
    );
    // Ordered, and then given more queues by a tool that does not say so.
    for (order, queues) in [(Some(true), 2), (Some(false), 5), (None, 6)] {
        let header = CreateTopicRequestHeader {
            order,
            ..create("Ordered", queues)
        };
        let made = fixture.ask(request::UPDATE_AND_CREATE_TOPIC, &header, "").await;
        assert_eq!(made.code, response::SUCCESS, "{:?}", made.remark);
    }
    let list =
        r#"{"topicConfigList":[{"topicName":"Ordered","readQueueNums":7,"writeQueueNums":7,"perm":6}]}"#;
    let made = fixture
        .ask(request::UPDATE_AND_CREATE_TOPIC_LIST, &(), list)
        .await;
    assert_eq!(made.code, response::SUCCESS, "{:?}", made.remark);
    fixture.restart().await;
    let all = fixture.ask(request::GET_ALL_TOPIC_CONFIG, &(), "").await;
    let table: broker::tables::TopicFile = protocol::body::read(&all.body).unwrap();
    let ordered = &table.topic_config_table["Ordered"];
    assert_eq!((ordered.order, ordered.write_queue_nums), (true, 7));
    assert!(!table.topic_config_table["Mine"].order);
    assert_eq!(table.topic_config_table["Mine"].write_queue_nums, 3);
    assert_eq!(table.topic_config_table["Auto"].write_queue_nums, 4);
    let groups = fixture
        .ask(request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, &(), "")
        .await;
    let groups: protocol::body::broker::SubscriptionGroupTable = protocol::body::read(&groups.body).unwrap();
    assert_eq!(groups.subscription_group_table["mine"].retry_max_times, 3);
    let topic = TopicRequestHeader {
        topic: Cow::Borrowed("Mine"),
    };
    assert_eq!(
        fixture
            .ask(request::DELETE_TOPIC_IN_BROKER, &topic, "")
            .await
            .code,
        response::SUCCESS
    );
    assert_eq!(
        fixture.ask(request::GET_TOPIC_STATS_INFO, &topic, "").await.code,
        response::TOPIC_NOT_EXIST
    );
    assert!(!fixture.dir.path().join("store/consumequeue/Mine").exists());
    let gone = DeleteSubscriptionGroupRequestHeader {
        group_name: Cow::Borrowed("mine"),
        clean_offset: Some(true),
        remove_offset: None,
    };
    assert_eq!(
        fixture
            .ask(request::DELETE_SUBSCRIPTIONGROUP, &gone, "")
            .await
            .code,
        response::SUCCESS
    );
    let again = fixture.send(&to("Mine", 0, ""), b"again").await;
    assert_eq!(
        again
            .header::<SendMessageResponseHeader<'_>>()
            .unwrap()
            .queue_offset,
        0,
        "a new life starts at 0"
    );
    assert_eq!(
        records(&fixture.pull(&from("Mine", 0, 0)).await.body)[0].body(),
        b"again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_flush_answers_only_what_is_on_disk() {
    let fixture = Fixture::new(|s| s.store.flush_disk_type = FlushDiskType::SyncFlush).await;
    let sends = (0..200).map(|i| {
        let (client, address) = (fixture.client.clone(), format!("127.0.0.1:{}", fixture.port));
        tokio::spawn(async move {
            let header = to("Sync", i % 4, "");
            client
                .invoke(
                    &address,
                    request::SEND_MESSAGE_V2,
                    &Short(&header),
                    Body::Empty,
                    WITHIN,
                )
                .await
                .unwrap()
        })
    });
    for sent in sends.collect::<Vec<_>>() {
        let sent = sent.await.unwrap();
        assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    }
    let info = fixture.ask(request::GET_BROKER_RUNTIME_INFO, &(), "").await;
    let table: protocol::body::topic::KvTable = protocol::body::read(&info.body).unwrap();
    assert_eq!(table.table["remainHowManyDataToFlush"], "0 B");
    assert_eq!(table.table["putMessageTimesTotal"], "200");
    assert_eq!(records(&fixture.pull(&from("Sync", 0, 0)).await.body).len(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_message_comes_in_its_time() {
    let fixture = Fixture::new(|s| s.store.message_delay_level = "1s 2h".to_owned()).await;
    let started = std::time::Instant::now();
    let sent = fixture
        .send(&to("Later", 1, "DELAY\x011\x02TAGS\x01A"), b"later")
        .await;
    assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    assert_eq!(
        sent.header::<SendMessageResponseHeader<'_>>().unwrap().queue_id,
        1,
        "of the topic asked for"
    );
    let header = PullMessageRequestHeader {
        sys_flag: 6,
        ..from("Later", 1, 0)
    };
    let found = fixture.pull(&header).await;
    not_before(started.elapsed(), Duration::from_secs(1));
    let all = records(&found.body);
    assert_eq!(
        (all.len(), all[0].body(), all[0].queue_id()),
        (1, &b"later"[..], 1)
    );
    let text = all[0].properties();
    assert_eq!(
        properties::get_str(text, "REAL_TOPIC"),
        Some("Later"),
        "kept in the text, as Java does"
    );
    assert_eq!(properties::get_str(text, "DELAY"), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_sent_back_is_retried_then_dead() {
    let fixture = Fixture::new(|s| s.store.message_delay_level = "1s 1s 1s 1s".to_owned()).await;
    let sent = fixture.send(&to("Work", 0, ""), b"job").await;
    let id: message::id::OffsetMessageId = sent
        .header::<SendMessageResponseHeader<'_>>()
        .unwrap()
        .msg_id
        .parse()
        .unwrap();
    let back = |offset, max| ConsumerSendMsgBackRequestHeader {
        offset,
        group: Cow::Borrowed("g"),
        delay_level: 0,
        origin_msg_id: None,
        origin_topic: None,
        unit_mode: None,
        max_reconsume_times: Some(max),
    };
    let answer = fixture
        .ask(request::CONSUMER_SEND_MSG_BACK, &back(id.physical_offset, 1), "")
        .await;
    assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
    let header = PullMessageRequestHeader {
        sys_flag: 6,
        ..from("%RETRY%g", 0, 0)
    };
    let retried = fixture.pull(&header).await;
    let all = records(&retried.body);
    assert_eq!((all[0].reconsume_times(), all[0].body()), (1, &b"job"[..]));
    let text = all[0].properties();
    assert_eq!(properties::get_str(text, "RETRY_TOPIC"), Some("Work"));
    assert_eq!(
        properties::get_str(text, "ORIGIN_MESSAGE_ID"),
        Some(id.to_string().as_str())
    );
    let again = fixture
        .ask(
            request::CONSUMER_SEND_MSG_BACK,
            &back(all[0].physical_offset(), 1),
            "",
        )
        .await;
    assert_eq!(again.code, response::SUCCESS);
    let dead = fixture.pull(&from("%DLQ%g", 0, 0)).await;
    assert_eq!(records(&dead.body)[0].reconsume_times(), 2);
    let nowhere = fixture
        .ask(request::CONSUMER_SEND_MSG_BACK, &back(1 << 40, 1), "")
        .await;
    assert_eq!(nowhere.code, response::SYSTEM_ERROR);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runtime_info_has_every_key_the_tools_read() {
    let fixture = Fixture::new(|_| {}).await;
    fixture.send(&to("Topic", 0, "DELAY\x013"), b"x").await;
    let info = fixture.ask(request::GET_BROKER_RUNTIME_INFO, &(), "").await;
    let table = protocol::body::read::<protocol::body::topic::KvTable>(&info.body)
        .unwrap()
        .table;
    let keys = [
        "remainTransientStoreBufferNumbs",
        "bootTimestamp",
        "brokerVersion",
        "brokerVersionDesc",
        "commitLogDirCapacity",
        "commitLogDiskRatio",
        "commitLogMaxOffset",
        "commitLogMinOffset",
        "consumeQueueDiskRatio",
        "dispatchBehindBytes",
        "dispatchMaxBuffer",
        "earliestMessageTimeStamp",
        "EndTransactionQueueSize",
        "EndTransactionThreadPoolQueueCapacity",
        "getFoundTps",
        "getMessageEntireTimeMax",
        "getMissTps",
        "getTotalTps",
        "getTransferedTps",
        "msgGetTotalTodayMorning",
        "msgGetTotalTodayNow",
        "msgGetTotalYesterdayMorning",
        "msgPutTotalTodayMorning",
        "msgPutTotalTodayNow",
        "msgPutTotalYesterdayMorning",
        "pageCacheLockTimeMills",
        "pullThreadPoolQueueCapacity",
        "pullThreadPoolQueueHeadWaitTimeMills",
        "pullThreadPoolQueueSize",
        "putLatency99",
        "putLatency999",
        "putMessageAverageSize",
        "putMessageDistributeTime",
        "putMessageEntireTimeMax",
        "putMessageFailedTimes",
        "putMessageSizeTotal",
        "putMessageTimesTotal",
        "putTps",
        "queryThreadPoolQueueCapacity",
        "queryThreadPoolQueueHeadWaitTimeMills",
        "queryThreadPoolQueueSize",
        "remainHowManyDataToFlush",
        "runtime",
        "scheduleMessageOffset_3",
        "sendThreadPoolQueueCapacity",
        "sendThreadPoolQueueHeadWaitTimeMills",
        "sendThreadPoolQueueSize",
        "startAcceptSendRequestTimeStamp",
    ];
    let missing: Vec<_> = keys.iter().filter(|k| !table.contains_key(**k)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(table["scheduleMessageOffset_3"], "0,1");
    assert!(table["commitLogDiskRatio"].parse::<f64>().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_change_while_the_broker_runs() {
    let fixture = Fixture::new(|_| {}).await;
    let update = async |text: &str| {
        fixture
            .ask(request::UPDATE_BROKER_CONFIG, &(), text.to_owned())
            .await
    };
    assert_eq!(update("traceOn=false\n").await.code, response::SUCCESS);
    let sent = fixture.send(&to("Topic", 0, ""), b"x").await;
    assert_eq!(sent.field("TRACE_ON"), Some("false"));
    assert_eq!(
        update("brokerConfigPath=/etc/passwd\n").await.code,
        response::NO_PERMISSION
    );
    assert_eq!(
        update("longPollingEnable=perhaps\n").await.code,
        response::SYSTEM_ERROR
    );
    let shown = fixture.ask(request::GET_BROKER_CONFIG, &(), "").await;
    let text = String::from_utf8(shown.body.to_vec()).unwrap();
    assert!(text.lines().any(|l| l == "traceOn=false"), "{text}");
    let kept = std::fs::read_to_string(fixture.dir.path().join("broker.conf")).unwrap();
    assert_eq!(kept, "traceOn=false\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_light_message_queue_is_pulled_like_a_topic_with_one_queue() {
    let fixture = Fixture::new(|s| {
        s.store.enable_lmq = true;
        s.store.enable_multi_dispatch = true;
        s.store.max_lmq_consume_queue_num = 1;
    })
    .await;
    let light = |queue_id, offset| PullMessageRequestHeader {
        consumer_group: Cow::Borrowed("%LMQ%group"),
        // Held until something comes.
        sys_flag: 6,
        ..from("%LMQ%a", queue_id, offset)
    };
    let (first, sent) = (light(0, 0), to("Topic", 2, "INNER_MULTI_DISPATCH\x01%LMQ%a"));
    let (held, sent) = tokio::join!(fixture.pull(&first), fixture.send(&sent, b"light"));
    assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    assert_eq!(refused(&held), (response::SUCCESS, "FOUND"));
    let all = records(&held.body);
    assert_eq!(
        (all.len(), all[0].body(), all[0].topic()),
        (1, &b"light"[..], "Topic")
    );
    let offset = properties::get_str(all[0].properties(), "INNER_MULTI_QUEUE_OFFSET");
    assert_eq!(offset, Some("0"));

    let other = fixture.pull(&light(1, 0)).await;
    assert_eq!(other.code, response::SYSTEM_ERROR, "it has queue 0 only");
    let more = fixture
        .send(&to("Topic", 2, "INNER_MULTI_DISPATCH\x01%LMQ%b"), b"x")
        .await;
    let (code, remark) = refused(&more);
    assert_eq!(code, response::SYSTEM_ERROR);
    assert!(remark.starts_with("[LMQ_CONSUME_QUEUE_NUM_EXCEEDED]"), "{remark}");
    let hostile = fixture
        .send(&to("Topic", 2, "INNER_MULTI_DISPATCH\x01../../x"), b"x")
        .await;
    assert_eq!(hostile.code, response::MESSAGE_ILLEGAL, "{:?}", hostile.remark);

    let without = Fixture::new(|_| {}).await;
    let unknown = without.pull(&from("%LMQ%a", 0, 0)).await;
    assert_eq!(unknown.code, response::TOPIC_NOT_EXIST);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_left_memory_is_pulled_from_the_disk() {
    // Not where temporary files are: those may be in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let fixture = Fixture::in_folder(dir, |_| {}).await;
    let body = |number: u32| number.to_be_bytes().repeat(2000);
    for number in 0..300 {
        let sent = fixture
            .send(&to("Topic", 0, "TAGS\x01A\x02"), &body(number))
            .await;
        assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    }
    let dir = fixture.stop().await;
    forget_pages(dir.path());
    let fixture = Fixture::in_folder(dir, |_| {}).await;
    // What the start has read.
    disk::forget_pages(&fixture.log_dir()).unwrap();
    let mut next = 0;
    while next < 300 {
        let found = fixture.pull(&from("Topic", 0, i64::from(next))).await;
        assert_eq!(refused(&found), (response::SUCCESS, "FOUND"));
        for view in records(&found.body) {
            assert_eq!(view.body(), body(next));
            next += 1;
        }
    }
    let runtime = fixture.runtime().await;
    assert_eq!(runtime["pullThreadPoolQueueSize"], "0");
}

/// A hundred times what came would it be, once read.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_would_take_much_more_memory_than_came_is_refused() {
    let fixture = Fixture::new(|_| {}).await;
    let objects = format!(r#"{{"unknown":[{}]}}"#, vec!["{}"; 300_000].join(","));
    let copies = vec![r#"{"$ref":"$.a"}"#; 20_000].join(",");
    let copies = format!(r#"{{"a":"{}","unknown":[{copies}]}}"#, "x".repeat(10_000));
    let user = |username: &'static str| protocol::header::auth::UserRequestHeader {
        username: Some(username.into()),
    };
    for code in [
        request::HEART_BEAT,
        request::CHECK_CLIENT_CONFIG,
        request::LOCK_BATCH_MQ,
        request::UNLOCK_BATCH_MQ,
        request::UPDATE_AND_CREATE_TOPIC_LIST,
        request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
        request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
        request::AUTH_CREATE_USER,
        request::AUTH_CREATE_ACL,
    ] {
        for body in [&objects, &copies] {
            let answer = fixture.ask(code, &user("alice"), body.clone()).await;
            let remark = answer.remark.unwrap_or_default();
            assert_ne!(answer.code, response::SUCCESS, "{code}");
            assert!(remark.contains("bytes of memory"), "{code}: {remark}");
        }
    }
}

/// As operating.md and security.md say: SIGQUIT tells what connections there were, with TLS and without, and what was refused.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_state_tells_of_connections_and_of_what_they_were_refused() {
    let fixture =
        Fixture::new(|settings| settings.server.server_requests_per_second_per_connection = 5).await;
    let mut codes = Vec::new();
    for _ in 0..10 {
        codes.push(fixture.ask(request::GET_MAX_OFFSET, &(), "").await.code);
    }
    assert!(codes.contains(&response::SYSTEM_BUSY), "{codes:?}");
    // It begins like a handshake and is none.
    let mut stream = TcpStream::connect(("127.0.0.1", fixture.port)).await.unwrap();
    stream.write_all(b"\x16\x03\x01\x00\x05hello").await.unwrap();
    let mut alert = Vec::new();
    let _ = stream.read_to_end(&mut alert).await;
    let page = fixture.broker.as_ref().unwrap().state().page();
    let line = page.lines().find(|line| line.starts_with("network: "));
    let line = line.unwrap_or_else(|| panic!("{page}"));
    for part in [
        " connections, ",
        " requests so far",
        "1 handshakes failed",
        "requests refused as too many a second",
        "bytes of requests held",
    ] {
        assert!(line.contains(part), "{line}");
    }
}
