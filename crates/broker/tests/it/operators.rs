//! Operators' requests about consumers, their offsets and their queues.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use broker::tables::ConfigFile;
use disk::{Injection, Operation};
use message::id::OffsetMessageId;
use protocol::body::broker::SubscriptionGroupConfig;
use protocol::body::operator::*;
use protocol::body::topic::MessageQueue;
use protocol::code::{request, response};
use protocol::header::broker::*;
use protocol::{EncodeHeader, Frame};
use remoting::{MemoryPeer, Peer};

use crate::fixture::{from, records, refused, to};
use crate::still::{Still, client};

fn queue(queue_id: i32) -> MessageQueue {
    MessageQueue {
        broker_name: "broker-a".to_owned(),
        queue_id,
        topic: "Topic".to_owned(),
    }
}

fn text(name: &str) -> Cow<'_, str> {
    Cow::Borrowed(name)
}

/// A broker with five messages in each of the four queues of `Topic`, a second apart, of which the group `g` has consumed three.
fn broker() -> Still {
    let broker = Still::new(|_| {});
    for _ in 0..5 {
        for queue_id in 0..4 {
            broker.send(&to("Topic", queue_id, "TAGS\x01A\x02"), b"x");
        }
        broker.clock.advance(1000);
    }
    for queue_id in 0..4 {
        commit(&broker, "g", queue_id, 3);
    }
    broker
}

fn commit(broker: &Still, group: &str, queue_id: i32, offset: i64) {
    let header = UpdateConsumerOffsetRequestHeader {
        consumer_group: text(group),
        topic: text("Topic"),
        queue_id,
        commit_offset: offset,
    };
    let answer = broker.ask(request::UPDATE_CONSUMER_OFFSET, &header, "");
    assert_eq!(answer.code, response::SUCCESS);
}

fn offset(broker: &Still, group: &str, queue_id: i32) -> Option<i64> {
    broker.parts.tables.offsets.get(group, "Topic", queue_id)
}

/// The one request that a client was sent.
fn asked(client: &MemoryPeer, code: i32) -> Frame {
    let mut told = client.take();
    told.retain(|frame| !frame.is_response() && frame.code != request::NOTIFY_CONSUMER_IDS_CHANGED);
    assert_eq!(told.iter().map(|frame| frame.code).collect::<Vec<_>>(), [code]);
    told.remove(0)
}

fn read<T: serde::de::DeserializeOwned>(answer: &Frame) -> T {
    assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
    protocol::body::read(&answer.body).unwrap()
}

fn member(broker: &Still, client_id: &str) -> Arc<MemoryPeer> {
    let member = client();
    broker.beat(&member, client_id, "g", "Topic");
    member.take();
    member
}

fn reset<'a>(timestamp: i64, is_force: bool) -> ResetOffsetRequestHeader<'a> {
    ResetOffsetRequestHeader {
        topic: text("Topic"),
        group: text("g"),
        timestamp,
        is_force: Some(is_force),
        queue_id: None,
        offset: Some(-1),
    }
}

const RESET: i32 = request::INVOKE_BROKER_TO_RESET_OFFSET;

#[test]
fn members_are_told_where_to_go_on() {
    let broker = broker();
    let members = [member(&broker, "one"), member(&broker, "two")];
    let begun = 1_700_000_000_000;
    // Before where the group is, behind it, and at the end.
    for (timestamp, is_force, expected) in [
        (begun + 1000, false, 1),
        (begun + 1000, true, 1),
        (begun + 4000, false, 3),
        (begun + 4000, true, 4),
        (-1, false, 3),
        (-1, true, 5),
        (0, false, 0),
    ] {
        let answer = broker.ask(RESET, &reset(timestamp, is_force), "");
        let body: ResetOffsetBody = read(&answer);
        let all: BTreeMap<MessageQueue, i64> = (0..4).map(|id| (queue(id), expected)).collect();
        assert_eq!(body.offset_table, all, "{timestamp} {is_force}");
        for member in &members {
            let told = asked(member, request::RESET_CONSUMER_CLIENT_OFFSET);
            assert!(told.is_oneway());
            let header: ResetConsumerClientOffsetRequestHeader<'_> = told.header().unwrap();
            assert_eq!(
                (&*header.topic, &*header.group, header.timestamp),
                ("Topic", "g", timestamp)
            );
            let body: ResetOffsetBody = protocol::body::read(&told.body).unwrap();
            assert_eq!(body.offset_table, all);
            // Go's client reads no other form.
            assert!(told.body.starts_with(br#"{"offsetTable":{{"brokerName":"#));
        }
    }
    assert_eq!(offset(&broker, "g", 0), Some(3), "its members set it themselves");
}

/// The list that a client in C++ reads; the answer to the tool stays a map.
#[test]
fn members_in_cpp_are_told_by_a_list() {
    let broker = broker();
    let member = member(&broker, "one");
    let (mut request, opaque) = broker.peer.request(RESET, &reset(-1, true), "");
    request.frame.language = protocol::Language::Cpp;
    let handlers = Arc::clone(&broker.parts.handlers);
    handlers.serve(&mut [request].into(), true, &|| false);
    let told = asked(&member, request::RESET_CONSUMER_CLIENT_OFFSET);
    let body: ResetOffsetBodyForC = protocol::body::read(&told.body).unwrap();
    let expected = |queue_id| OffsetOfQueue::of((&queue(queue_id), &5));
    assert_eq!(body.offset_table, (0..4).map(expected).collect::<Vec<_>>());
    let body: ResetOffsetBody = read(&broker.peer.take_answer(opaque).unwrap());
    assert_eq!(body.offset_table.len(), 4);
}

#[test]
fn a_reset_is_refused_in_javas_words() {
    let broker = broker();
    let refused_with = |header: &ResetOffsetRequestHeader<'_>| {
        let answer = broker.ask(RESET, header, "");
        (answer.code, answer.remark.unwrap_or_default())
    };
    let (code, remark) = refused_with(&reset(7, true));
    assert_eq!(code, response::CONSUMER_NOT_ONLINE);
    assert_eq!(
        remark,
        "Consumer not online, so can not reset offset, Group: g Topic: Topic Timestamp: 7"
    );
    let other = ResetOffsetRequestHeader {
        topic: text("Other"),
        ..reset(7, true)
    };
    let (code, remark) = refused_with(&other);
    assert_eq!(code, response::SYSTEM_ERROR);
    assert_eq!(
        remark,
        "[reset-offset] reset offset failed, no topic in this broker. topic=Other"
    );
    let other = ResetOffsetRequestHeader {
        group: text("other"),
        ..reset(7, true)
    };
    let (code, remark) = refused_with(&other);
    assert_eq!(
        (code, &*remark),
        (response::SYSTEM_ERROR, "THe consumer group <other> not exist")
    );
}

/// As 5.x's tool does: one queue to one offset, whatever the group's consumers say meanwhile.
#[test]
fn one_queue_is_set_to_an_offset_by_the_broker() {
    let broker = broker();
    let config = SubscriptionGroupConfig {
        group_name: "g".to_owned(),
        ..SubscriptionGroupConfig::default()
    };
    let set = ResetOffsetRequestHeader {
        queue_id: Some(1),
        offset: Some(2),
        ..reset(0, false)
    };
    let unknown = broker.ask(RESET, &set, "");
    assert_eq!(unknown.code, response::SUBSCRIPTION_GROUP_NOT_EXIST);
    let body = protocol::body::write(&config);
    broker.ask(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &(), body);
    let beyond = ResetOffsetRequestHeader {
        offset: Some(7),
        ..set.clone()
    };
    let answer = broker.ask(RESET, &beyond, "");
    let remark = "Target offset 7 not in consume queue range [0-5]";
    assert_eq!(refused(&answer), (response::SYSTEM_ERROR, remark));
    // Its consumer waits for a message.
    let waits = PullMessageRequestHeader {
        sys_flag: 7,
        commit_offset: Some(5),
        ..from("Topic", 1, 5)
    };
    let waiting = broker.begin(&broker.peer, request::PULL_MESSAGE, &waits, "");
    let body: ResetOffsetBody = read(&broker.ask(RESET, &set, ""));
    assert_eq!(body.offset_table, BTreeMap::from([(queue(1), 2)]));
    let moved = broker.peer.take_answer(waiting).expect("it hears at once");
    assert_eq!(refused(&moved), (response::PULL_OFFSET_MOVED, "OFFSET_RESET"));
    let header: PullMessageResponseHeader = moved.header().unwrap();
    assert_eq!(
        (header.next_begin_offset, header.min_offset, header.max_offset),
        (2, 0, 5)
    );
    // What it says before it hears of that does not count, nor does what its next pull brings.
    broker.ask(RESET, &set, "");
    commit(&broker, "g", 1, 5);
    assert_eq!(offset(&broker, "g", 1), Some(2));
    let moved = broker.pull(&waits);
    assert_eq!(moved.code, response::PULL_OFFSET_MOVED);
    assert_eq!(offset(&broker, "g", 1), Some(2));
    let found = broker.pull(&from("Topic", 1, 2));
    assert_eq!(records(&found.body).len(), 3);
    commit(&broker, "g", 1, 5);
    assert_eq!(offset(&broker, "g", 1), Some(5));
    // A group that is deleted, and a topic, take it along.
    broker.ask(RESET, &set, "");
    let delete = DeleteSubscriptionGroupRequestHeader {
        group_name: text("g"),
        clean_offset: Some(true),
        remove_offset: None,
    };
    broker.ask(request::DELETE_SUBSCRIPTIONGROUP, &delete, "");
    assert_eq!(broker.pull(&from("Topic", 1, 2)).code, response::SUCCESS);
}

#[test]
fn every_member_is_asked_where_it_is() {
    let broker = broker();
    let header = |client: Option<&'static str>| GetConsumerStatusRequestHeader {
        topic: text("Topic"),
        group: text("g"),
        client_addr: client.map(text),
    };
    let code = request::INVOKE_BROKER_TO_GET_CONSUMER_STATUS;
    let nobody = broker.ask(code, &header(None), "");
    let remark = "No Any Consumer online in the consumer group: [g]";
    assert_eq!(refused(&nobody), (response::SYSTEM_ERROR, remark));
    let members = ["one", "two", "three"].map(|id| member(&broker, id));
    let opaque = broker.begin(&broker.peer, code, &header(None), "");
    for (number, member) in members.iter().enumerate() {
        let question = asked(member, request::GET_CONSUMER_STATUS_FROM_CLIENT);
        let wanted: GetConsumerStatusRequestHeader<'_> = question.header().unwrap();
        assert_eq!((&*wanted.topic, &*wanted.group), ("Topic", "g"));
        assert!(broker.peer.take_answer(opaque).is_none(), "all are waited for");
        if number == 2 {
            assert_eq!(member.answer_nothing(), Duration::from_secs(5));
            continue;
        }
        // As a Java client writes it.
        let body = format!(
            "{{\"consumerTable\":{{}},\"messageQueueTable\":{{{{\"brokerName\":\"broker-a\",\"queueId\":{number},\
             \"topic\":\"Topic\"}}:7}}}}"
        );
        member.answer(question.opaque, response::SUCCESS, None, &(), body);
    }
    let told: ConsumerStatuses = read(&broker.peer.take_answer(opaque).unwrap());
    let of = |id: i32| ConsumerStatus(BTreeMap::from([(queue(id), 7)]));
    let expected = BTreeMap::from([("one".to_owned(), of(0)), ("two".to_owned(), of(1))]);
    assert_eq!(told.consumer_table, expected);
    // One alone.
    let opaque = broker.begin(&broker.peer, code, &header(Some("two")), "");
    let question = asked(&members[1], request::GET_CONSUMER_STATUS_FROM_CLIENT);
    assert_eq!(members[0].take().len() + members[2].take().len(), 0);
    members[1].answer(question.opaque, response::SYSTEM_ERROR, Some("no"), &(), "");
    let told: ConsumerStatuses = read(&broker.peer.take_answer(opaque).unwrap());
    assert_eq!(told, ConsumerStatuses::default());
    // Nobody of that name: nobody is asked.
    let told: ConsumerStatuses = read(&broker.ask(code, &header(Some("four")), ""));
    assert_eq!(told, ConsumerStatuses::default());
}

fn running_info<'a>(client_id: &'a str) -> GetConsumerRunningInfoRequestHeader<'a> {
    GetConsumerRunningInfoRequestHeader {
        consumer_group: text("g"),
        client_id: text(client_id),
        jstack_enable: Some(true),
    }
}

#[test]
fn what_a_consumer_does_is_asked_of_it() {
    let broker = broker();
    let code = request::GET_CONSUMER_RUNNING_INFO;
    let nobody = broker.ask(code, &running_info("one"), "");
    let remark = "The Consumer <g> <one> not online";
    assert_eq!(refused(&nobody), (response::SYSTEM_ERROR, remark));
    let member = member(&broker, "one");
    let begin = || broker.begin(&broker.peer, code, &running_info("one"), "");
    let opaque = begin();
    let question = asked(&member, code);
    let header: GetConsumerRunningInfoRequestHeader<'_> = question.header().unwrap();
    assert_eq!((&*header.client_id, header.jstack_enable), ("one", Some(true)));
    let told = "{\"mqTable\":{{\"queueId\":0}:{}}}";
    member.answer(question.opaque, 0, None, &(), told);
    let answer = broker.peer.take_answer(opaque).unwrap();
    assert_eq!((answer.code, &*answer.body), (0, told.as_bytes()), "as it is");
    // Its refusal is handed on as well.
    let opaque = begin();
    let question = asked(&member, code);
    member.answer(
        question.opaque,
        1,
        Some("The Consumer Group <g> not exist"),
        &(),
        "",
    );
    let answer = broker.peer.take_answer(opaque).unwrap();
    assert_eq!(refused(&answer), (1, "The Consumer Group <g> not exist"));
    let opaque = begin();
    asked(&member, code);
    assert_eq!(member.answer_nothing(), Duration::from_secs(10));
    let answer = broker.peer.take_answer(opaque).unwrap();
    assert_eq!(answer.code, response::CONSUME_MSG_TIMEOUT);
    assert!(answer.remark.unwrap().starts_with("consumer <g> <one> Timeout: "));
    let opaque = begin();
    asked(&member, code);
    Peer::close(member.as_ref(), "gone");
    let answer = broker.peer.take_answer(opaque).unwrap();
    assert_eq!(answer.code, response::SYSTEM_ERROR);
    assert!(
        answer
            .remark
            .unwrap()
            .starts_with("invoke consumer <g> <one> Exception: ")
    );
}

#[test]
fn a_message_is_consumed_once_more_by_one_consumer() {
    let broker = broker();
    let member = member(&broker, "one");
    let code = request::CONSUME_MESSAGE_DIRECTLY;
    let found = broker.pull(&from("Topic", 2, 4));
    let place = records(&found.body)[0].physical_offset();
    let id = OffsetMessageId {
        store_host: "127.0.0.1:10911".parse().unwrap(),
        physical_offset: place,
    };
    let id = id.to_string();
    let header = ConsumeMessageDirectlyRequestHeader {
        consumer_group: text("g"),
        client_id: Some(text("one")),
        msg_id: Some(text(&id)),
        broker_name: Some(text("lies")),
        topic: None,
        topic_sys_flag: None,
        group_sys_flag: None,
    };
    let opaque = broker.begin(&broker.peer, code, &header, "");
    let question = asked(&member, code);
    assert_eq!(question.body, found.body, "the record as it is stored");
    let told: ConsumeMessageDirectlyRequestHeader<'_> = question.header().unwrap();
    assert_eq!(told.broker_name.as_deref(), Some("broker-a"));
    assert_eq!(told.msg_id.as_deref(), Some(&*id));
    member.answer(
        question.opaque,
        0,
        None,
        &(),
        "{\"consumeResult\":\"CR_SUCCESS\"}",
    );
    let answer = broker.peer.take_answer(opaque).unwrap();
    assert_eq!(
        (answer.code, &*answer.body),
        (0, &b"{\"consumeResult\":\"CR_SUCCESS\"}"[..])
    );
    for bad in [None, Some("none"), Some("7F00000100002A9F00000000000FFFFF")] {
        let header = ConsumeMessageDirectlyRequestHeader {
            msg_id: bad.map(text),
            ..header.clone()
        };
        let answer = broker.ask(code, &header, "");
        assert_eq!(answer.code, response::SYSTEM_ERROR, "{bad:?}");
    }
    assert_eq!(member.take().len(), 0);
}

#[test]
fn the_times_of_stored_and_consumed_messages_are_told() {
    let broker = broker();
    let header = QueryConsumeTimeSpanRequestHeader {
        topic: text("Topic"),
        group: text("g"),
    };
    let code = request::QUERY_CONSUME_TIME_SPAN;
    let told: ConsumeTimeSpans = read(&broker.ask(code, &header, ""));
    let begun = 1_700_000_000_000;
    assert_eq!(told.consume_time_span_set.len(), 4);
    for (queue_id, span) in (0..).zip(&told.consume_time_span_set) {
        assert_eq!(span.message_queue, queue(queue_id));
        let times = (span.min_time_stamp, span.consume_time_stamp, span.max_time_stamp);
        assert_eq!(times, (begun, begun + 2000, begun + 4000));
        // The fourth message waits since then.
        assert_eq!(span.delay_time, 2000);
        assert_eq!(span.min_time_stamp_str.len(), "2023-11-14#22:13:20:000".len());
        assert!(
            span.min_time_stamp_str.starts_with("2023-11-1"),
            "{}",
            span.min_time_stamp_str
        );
        assert!(
            span.min_time_stamp_str.ends_with(":20:000"),
            "{}",
            span.min_time_stamp_str
        );
    }
    // A group that never was has consumed nothing.
    let header = QueryConsumeTimeSpanRequestHeader {
        group: text("new"),
        ..header
    };
    let told: ConsumeTimeSpans = read(&broker.ask(code, &header, ""));
    assert_eq!(told.consume_time_span_set[0].consume_time_stamp, begun);
    let header = QueryConsumeTimeSpanRequestHeader {
        topic: text("Other"),
        ..header
    };
    let answer = broker.ask(code, &header, "");
    assert_eq!(
        refused(&answer),
        (response::TOPIC_NOT_EXIST, "topic[Other] not exist")
    );
}

#[test]
fn the_least_offset_of_other_groups_is_told() {
    let broker = broker();
    for (group, offset) in [("a", 4), ("b", 1), ("c", 2)] {
        commit(&broker, group, 0, offset);
    }
    let ask = |left_out: &'static str, compared: &'static str| {
        let header = QueryCorrectionOffsetRequestHeader {
            filter_groups: Some(text(left_out)),
            compare_group: text(compared),
            topic: text("Topic"),
        };
        let told: CorrectionOffsets = read(&broker.ask(request::QUERY_CORRECTION_OFFSET, &header, ""));
        told.correction_offsets
    };
    assert_eq!(
        ask("", "nobody"),
        BTreeMap::from([(0, 1), (1, 3), (2, 3), (3, 3)])
    );
    assert_eq!(ask("b,c", "nobody")[&0], 3);
    // One that is behind all others.
    assert_eq!(ask("b", "b")[&0], i64::MAX);
    assert_eq!(offset(&broker, "b", 0), Some(1), "nothing is forgotten");
}

#[test]
fn a_group_gets_the_offsets_of_another() {
    let broker = broker();
    broker.send(&to("More", 0, ""), b"x");
    let more = UpdateConsumerOffsetRequestHeader {
        consumer_group: text("g"),
        topic: text("More"),
        queue_id: 0,
        commit_offset: 1,
    };
    broker.ask(request::UPDATE_CONSUMER_OFFSET, &more, "");
    let clone = |to: &'static str, topic: Option<&'static str>, offline| {
        let header = CloneGroupOffsetRequestHeader {
            src_group: text("g"),
            dest_group: text(to),
            topic: topic.map(text),
            offline: Some(offline),
        };
        let answer = broker.ask(request::CLONE_GROUP_OFFSET, &header, "");
        let more = broker.parts.tables.offsets.get(to, "More", 0);
        (answer.code, offset(&broker, to, 3), more)
    };
    assert_eq!(
        clone("one", Some("Topic"), false),
        (response::SUCCESS, Some(3), None)
    );
    assert_eq!(clone("all", None, false), (response::SUCCESS, Some(3), Some(1)));
    assert_eq!(
        clone("none", Some("Unknown"), false),
        (response::SUCCESS, None, None)
    );
    // Its members read one of the topics only.
    let _member = member(&broker, "c");
    assert_eq!(clone("read", None, false), (response::SUCCESS, Some(3), None));
    assert_eq!(
        clone("whatever", None, true),
        (response::SUCCESS, Some(3), Some(1))
    );
    assert_eq!(clone("not allowed!", None, true).0, response::SYSTEM_ERROR);
    let file = broker.parts.tables.offsets.file();
    assert!(file.offset_table.contains_key("Topic@one"));
}

#[test]
fn every_groups_progress_is_told_at_once() {
    let broker = broker();
    broker.beat(&client(), "c", "g", "Topic");
    let ask = |is_order: bool| -> ConsumeStatsList {
        let header = GetConsumeStatsInBrokerHeader {
            is_order: Some(is_order),
        };
        read(&broker.ask(request::GET_BROKER_CONSUME_STATS, &header, ""))
    };
    let all = ask(false);
    assert_eq!((all.total_diff, all.broker_addr.as_str()), (8, "127.0.0.1:10911"));
    let mut of_group: Vec<_> = all
        .consume_stats_list
        .iter()
        .filter_map(|groups| groups.get("g"))
        .collect();
    let stats = of_group.pop().unwrap();
    assert_eq!(
        (of_group.len(), stats.len(), stats[0].offset_table.len()),
        (0, 1, 4)
    );
    assert_eq!(ask(true).total_diff, 0, "the topic is not ordered");
}

#[test]
fn who_is_connected_is_told() {
    let broker = broker();
    let member = member(&broker, "c@1");
    let all: ProducerTable = read(&broker.ask(request::GET_ALL_PRODUCER_INFO, &(), ""));
    let expected = ProducerInfo {
        client_id: "c@1".to_owned(),
        language: "JAVA".to_owned(),
        last_update_timestamp: 1_700_000_005_000,
        remote_ip: format!("/{}", member.address()),
        version: 409,
    };
    assert_eq!(all.data, BTreeMap::from([("p".to_owned(), vec![expected])]));
    let subscription = |topic: &'static str| -> GroupSubscription {
        let header = QuerySubscriptionByConsumerRequestHeader {
            group: text("g"),
            topic: Some(text(topic)),
        };
        read(&broker.ask(request::QUERY_SUBSCRIPTION_BY_CONSUMER, &header, ""))
    };
    let wanted = subscription("Topic").subscription_data.unwrap();
    assert_eq!((&*wanted.topic, wanted.sub_version), ("Topic", 5));
    assert!(subscription("Other").subscription_data.is_none());
}

#[test]
fn the_units_of_a_queue_are_shown() {
    let broker = broker();
    let ask = |header: &QueryConsumeQueueRequestHeader<'_>| {
        broker.ask(request::QUERY_CONSUME_QUEUE, header as &dyn EncodeHeader, "")
    };
    let header = QueryConsumeQueueRequestHeader {
        topic: Some(text("Topic")),
        queue_id: Some(1),
        index: Some(2),
        count: Some(2),
        consumer_group: Some(text("g")),
    };
    let shown: ConsumeQueueContent = read(&ask(&header));
    assert_eq!((shown.min_queue_index, shown.max_queue_index), (0, 5));
    assert_eq!(shown.filter_data.as_deref(), Some("g@Topic is not online!"));
    let found = broker.pull(&from("Topic", 1, 2));
    let expected: Vec<_> = records(&found.body)
        .iter()
        .take(2)
        .map(|record| (record.physical_offset(), record.total_len() as i32, 65))
        .collect();
    let units: Vec<_> = shown
        .queue_data
        .iter()
        .map(|unit| (unit.physic_offset, unit.physic_size, unit.tags_code))
        .collect();
    assert_eq!(units, expected);
    broker.beat(&client(), "c", "g", "Topic");
    let shown: ConsumeQueueContent = read(&ask(&header));
    assert_eq!(shown.filter_data.as_deref(), Some("null"), "tags are no filter");
    assert_eq!(shown.subscription_data.unwrap().sub_string, "*");
    let beyond = QueryConsumeQueueRequestHeader {
        index: Some(5),
        ..header.clone()
    };
    let answer = ask(&beyond);
    assert_eq!(
        refused(&answer),
        (response::SUCCESS, "Index 5 of 1@Topic is not exist!")
    );
    assert!(answer.body.is_empty());
    let nowhere = QueryConsumeQueueRequestHeader {
        queue_id: Some(9),
        ..header.clone()
    };
    assert_eq!(
        refused(&ask(&nowhere)),
        (response::SYSTEM_ERROR, "9@Topic is not exist!")
    );
    let none = QueryConsumeQueueRequestHeader {
        count: Some(-1),
        ..header
    };
    let shown: ConsumeQueueContent = read(&ask(&none));
    assert_eq!(shown.queue_data, []);
}

/// A unit of a queue with extensions shows what its extension says.
#[test]
fn the_extensions_of_units_are_shown() {
    let broker = Still::new(|s| {
        s.store.enable_consume_queue_ext = true;
        s.broker.enable_property_filter = true;
        s.broker.enable_calc_filter_bit_map = true;
    });
    let member = client();
    let beat = crate::fixture::heartbeat("c", "g", "Topic").replace(
        r#""subString":"*""#,
        r#""subString":"a = 1","expressionType":"SQL92""#,
    );
    let answer = broker.ask_as(&member, request::HEART_BEAT, &(), beat);
    assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
    broker.clock.advance(10);
    for number in ["1", "2"] {
        broker.send(&to("Topic", 0, &format!("TAGS\x01A\x02a\x01{number}\x02")), b"x");
    }
    let header = QueryConsumeQueueRequestHeader {
        topic: Some(text("Topic")),
        queue_id: Some(0),
        index: Some(0),
        count: Some(2),
        consumer_group: Some(text("g")),
    };
    let shown: ConsumeQueueContent = read(&broker.ask(request::QUERY_CONSUME_QUEUE, &header, ""));
    assert!(shown.filter_data.unwrap().contains("\"expression\":\"a = 1\""));
    let [one, two] = &shown.queue_data[..] else {
        panic!("two units");
    };
    assert_eq!((one.eval, two.eval), (true, false), "the filter lets one through");
    let extension: serde_json::Value =
        serde_json::from_str(one.extend_data_json.as_deref().unwrap()).unwrap();
    assert_eq!(extension["tagsCode"], 65);
    assert_eq!(extension["msgStoreTime"], 1_700_000_000_010_i64);
    assert!(one.bit_map.as_deref().unwrap().contains('1'));
    assert!(one.tags_code < 0, "the address of the extension");
}

#[test]
fn queues_of_topics_that_are_gone_are_cleaned() {
    let broker = broker();
    broker.send(&to("Unused", 0, ""), b"x");
    broker.send(&to("Later", 0, "DELAY\x011\x02"), b"x");
    // As a store that another broker wrote has them.
    broker.parts.tables.topics.remove("Unused", 0);
    broker.parts.tables.topics.remove("SCHEDULE_TOPIC_XXXX", 0);
    let store = &broker.parts.log.store;
    let ends = || ["Unused", "Topic", "SCHEDULE_TOPIC_XXXX"].map(|topic| store.queue_max_offset(topic, 0).0);
    assert_eq!(ends(), [1, 5, 1]);
    assert_eq!(
        broker.ask(request::CLEAN_UNUSED_TOPIC, &(), "").code,
        response::SUCCESS
    );
    assert_eq!(ends(), [0, 5, 1]);
}

#[test]
fn expired_files_are_deleted_when_an_operator_says_so() {
    let broker = Still::new(|s| {
        s.store.mapped_file_size_commit_log = 4096;
        // Not at this hour.
        s.store.delete_when = "04".to_owned();
    });
    let store = &broker.parts.log.store;
    for _ in 0..40 {
        broker.send(&to("Topic", 0, ""), &[b'x'; 200]);
    }
    let (old, end) = (store.min_physical(), store.queue_max_offset("Topic", 0));
    broker.clock.advance(100 * 3_600_000);
    broker.disk.set_now(disk::Clock::now_ms(&broker.clock));
    assert_eq!(
        broker.ask(request::CLEAN_EXPIRED_CONSUMEQUEUE, &(), "").code,
        response::SUCCESS
    );
    assert_eq!(store.min_physical(), old, "the log's files are no queues");
    assert_eq!(
        broker.ask(request::DELETE_EXPIRED_COMMITLOG, &(), "").code,
        response::SUCCESS
    );
    assert_eq!(
        broker.ask(request::CLEAN_EXPIRED_CONSUMEQUEUE, &(), "").code,
        response::SUCCESS
    );
    assert!(store.min_physical() > old, "a retention run deletes now");
    assert_eq!(
        store.queue_max_offset("Topic", 0),
        end,
        "no offset is given again"
    );
    assert!(store.queue_min_offset("Topic", 0).0 > 0);
}

#[test]
fn pulls_that_wait_are_listed() {
    let broker = broker();
    let page = || broker::observe::pulls_page(&broker.parts.hold, disk::Clock::now_ms(&broker.clock));
    assert_eq!(page(), "0 pulls wait for messages\n");
    let (one, two) = (member(&broker, "one"), member(&broker, "two"));
    let mut lines = Vec::new();
    for (peer, queue_id) in [(&two, 1), (&one, 0)] {
        let end = broker.parts.log.store.queue_max_offset("Topic", queue_id).0;
        let header = PullMessageRequestHeader {
            sys_flag: 6,
            ..from("Topic", queue_id, end)
        };
        broker.begin(peer, request::PULL_MESSAGE, &header, "");
        let address = peer.address();
        lines.push(format!(
            "topic Topic queue {queue_id} offset {end} group g at {address} for another 10000 ms\n"
        ));
    }
    broker.clock.advance(5_000);
    lines.sort();
    assert_eq!(page(), format!("2 pulls wait for messages\n{}", lines.concat()));
    let shown = PullMessageRequestHeader {
        sys_flag: 6,
        ..from("Topic", 1, 0)
    };
    assert_eq!(broker.pull(&shown).code, response::SUCCESS, "it does not wait");
    assert!(page().starts_with("2 pulls"));
}

/// Offsets that could not be written are not lost in silence.
#[test]
fn a_stop_that_can_not_write_its_tables_says_which() {
    let path = Path::new("/store/config/consumerOffset.json");
    let broker = Still::new(|_| {});
    assert_eq!(broker.send(&to("Topic", 0, ""), b"x").code, response::SUCCESS);
    broker.settle();
    commit(&broker, "g", 0, 1);
    broker.disk.inject(Injection {
        operations: Vec::new(),
        below: path.to_owned(),
        // ENOSPC.
        errno: 28,
    });
    // Something has changed since.
    broker.parts.tables.offsets.saver().touch_later();
    let unclean = broker.parts.close().unwrap_err().to_string();
    assert!(unclean.contains(path.to_str().unwrap()), "{unclean}");
    assert!(!unclean.contains("topics.json"), "{unclean}");
}

/// What fails once may have room when the log file made ahead is gone.
#[test]
fn a_stop_tries_to_write_its_tables_again() {
    let path = Path::new("/store/config/consumerOffset.json");
    let mut repeated = 0;
    for number in 1.. {
        let broker = Still::new(|_| {});
        assert_eq!(broker.send(&to("Topic", 0, ""), b"x").code, response::SUCCESS);
        commit(&broker, "g", 0, 1);
        broker.disk.take(path);
        broker.parts.tables.offsets.saver().touch_later();
        broker.disk.fail_nth(number);
        let closed = broker.parts.close();
        let Some(failed) = broker.disk.failed() else { break };
        let content = broker.disk.content(path);
        assert!(
            closed.is_err() || content.is_some(),
            "operation {number}, {failed:?}"
        );
        repeated += usize::from(closed.is_ok() && failed == Operation::Write);
    }
    assert!(repeated > 0);
}
