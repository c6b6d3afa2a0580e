//! VIEW_BROKER_STATS_DATA: what every request counts, under Java's names and keys.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use message::batch;
use message::name::CHECK_MAX_TIME_TOPIC;
use protocol::body::operator::BrokerStatsData;
use protocol::code::{request, response};
use protocol::header::Short;
use protocol::header::broker::*;

use crate::fixture::{from, records, refused, to};
use crate::still::{Still, client};
use crate::transaction_world::{COMMIT, LATER, ROLLBACK, World};

/// Sum over the last minute; none if the broker has no such statistic.
fn sum(broker: &Still, name: &str, key: &str) -> Option<i64> {
    view(broker, name, key).map(|data| data.stats_minute.sum)
}

fn view(broker: &Still, name: &str, key: &str) -> Option<BrokerStatsData> {
    let header = ViewBrokerStatsDataRequestHeader {
        stats_name: Cow::Borrowed(name),
        stats_key: Cow::Borrowed(key),
    };
    let answer = broker.ask(request::VIEW_BROKER_STATS_DATA, &header, "");
    if answer.code != response::SUCCESS {
        let remark = format!("The stats <{name}> <{key}> not exist");
        assert_eq!(refused(&answer), (response::SYSTEM_ERROR, &*remark));
        return None;
    }
    Some(protocol::body::read(&answer.body).unwrap())
}

fn sample(broker: &Still) {
    broker.clock.advance(10_000);
    broker
        .parts
        .log
        .stats
        .items
        .sample(disk::Clock::now_ms(&broker.clock));
}

/// Bytes of the log that something stores.
fn stored(broker: &Still, what: impl FnOnce()) -> i64 {
    let end = || broker.parts.log.store.max_physical().0;
    let before = end();
    what();
    end() - before
}

#[test]
fn sends_and_pulls_are_counted() {
    let broker = Still::new(|_| {});
    assert_eq!(sum(&broker, "TOPIC_PUT_NUMS", "Topic"), None);
    let mut body = Vec::new();
    for number in 0..3 {
        batch::push_entry(&mut body, number, b"x", b"");
    }
    let batch = SendMessageRequestHeader {
        batch: Some(true),
        ..to("Topic", 0, "")
    };
    let bytes = stored(&broker, || {
        broker.send(&to("Topic", 0, ""), b"one");
        let sent = broker.ask(request::SEND_BATCH_MESSAGE, &Short(&batch), body);
        assert_eq!(sent.code, response::SUCCESS);
        assert_eq!(
            broker.send(&to("Topic", 99, ""), b"refused").code,
            response::SYSTEM_ERROR
        );
    });
    broker.send(&to("Other", 0, ""), b"other");
    let pulled = broker.pull(&from("Topic", 0, 1));
    let got = pulled.body.len() as i64;
    assert_eq!(records(&pulled.body).len(), 3);
    // Nothing there: nothing is counted.
    broker.pull(&from("Topic", 1, 0));
    assert_eq!(
        sum(&broker, "TOPIC_PUT_NUMS", "Topic"),
        Some(0),
        "not sampled yet"
    );
    sample(&broker);
    for (name, key, expected) in [
        ("TOPIC_PUT_NUMS", "Topic", Some(4)),
        ("TOPIC_PUT_SIZE", "Topic", Some(bytes)),
        ("TOPIC_PUT_NUMS", "Other", Some(1)),
        ("GROUP_GET_NUMS", "Topic@g", Some(3)),
        ("GROUP_GET_SIZE", "Topic@g", Some(got)),
        ("GROUP_GET_LATENCY", "0@Topic@g", Some(0)),
        ("GROUP_GET_LATENCY", "1@Topic@g", None),
        ("BROKER_PUT_NUMS", "DefaultCluster", Some(5)),
        ("BROKER_GET_NUMS", "DefaultCluster", Some(3)),
        ("QUEUE_PUT_NUMS", "Topic@0", None),
        ("SNDBCK_PUT_NUMS", "Topic@g", None),
        ("GROUP_GET_FROM_DISK_NUMS", "Topic@g", None),
        ("COMMERCIAL_SEND_TIMES", "Owner", None),
    ] {
        assert_eq!(sum(&broker, name, key), expected, "{name} {key}");
    }
}

#[test]
fn delayed_messages_those_sent_back_and_replies_are_counted() {
    let broker = Still::new(|_| {});
    broker.send(&to("Topic", 0, "DELAY\x011\x02"), b"later");
    let found = broker.send(&to("Topic", 0, ""), b"work");
    let header: SendMessageResponseHeader<'_> = found.header().unwrap();
    let id: message::id::OffsetMessageId = header.msg_id.parse().unwrap();
    let back = ConsumerSendMsgBackRequestHeader {
        offset: id.physical_offset,
        group: Cow::Borrowed("g"),
        delay_level: 2,
        origin_msg_id: None,
        origin_topic: None,
        unit_mode: None,
        max_reconsume_times: None,
    };
    assert_eq!(
        broker.ask(request::CONSUMER_SEND_MSG_BACK, &back, "").code,
        response::SUCCESS
    );
    let reply = to("DefaultCluster_REPLY_TOPIC", 0, "");
    broker.ask(request::SEND_REPLY_MESSAGE, &reply, "nobody asked");
    broker.clock.advance(2000);
    broker.parts.delivery.look(&mut Default::default());
    broker.settle();
    sample(&broker);
    for (name, key, expected) in [
        // Its delivery, and the one that was not delayed.
        ("TOPIC_PUT_NUMS", "Topic", Some(2)),
        ("TOPIC_PUT_NUMS", "SCHEDULE_TOPIC_XXXX", Some(2)),
        ("QUEUE_PUT_NUMS", "SCHEDULE_TOPIC_XXXX@0", Some(1)),
        ("QUEUE_PUT_NUMS", "SCHEDULE_TOPIC_XXXX@1", Some(1)),
        ("GROUP_GET_NUMS", "SCHEDULE_TOPIC_XXXX@SCHEDULE_CONSUMER", Some(1)),
        (
            "QUEUE_GET_NUMS",
            "SCHEDULE_TOPIC_XXXX@0@SCHEDULE_CONSUMER",
            Some(1),
        ),
        ("QUEUE_GET_NUMS", "SCHEDULE_TOPIC_XXXX@1@SCHEDULE_CONSUMER", None),
        ("SNDBCK_PUT_NUMS", "Topic@g", Some(1)),
        ("TOPIC_PUT_NUMS", "DefaultCluster_REPLY_TOPIC", Some(1)),
        ("BROKER_PUT_NUMS", "DefaultCluster", Some(5)),
    ] {
        assert_eq!(sum(&broker, name, key), expected, "{name} {key}");
    }
}

#[test]
fn statistics_end_with_their_topic_and_group() {
    let broker = Still::new(|_| {});
    for topic in ["Topic", "Other"] {
        broker.send(&to(topic, 0, ""), b"x");
        for group in ["g", "h"] {
            let header = PullMessageRequestHeader {
                consumer_group: Cow::Borrowed(group),
                ..from(topic, 0, 0)
            };
            assert_eq!(broker.pull(&header).code, response::SUCCESS);
        }
    }
    sample(&broker);
    let group = DeleteSubscriptionGroupRequestHeader {
        group_name: Cow::Borrowed("h"),
        clean_offset: None,
        remove_offset: None,
    };
    broker.ask(request::DELETE_SUBSCRIPTIONGROUP, &group, "");
    let topic = TopicRequestHeader {
        topic: Cow::Borrowed("Other"),
    };
    assert_eq!(
        broker.ask(request::DELETE_TOPIC_IN_BROKER, &topic, "").code,
        response::SUCCESS
    );
    let get = |key| sum(&broker, "GROUP_GET_NUMS", key);
    assert_eq!(
        [get("Topic@g"), get("Topic@h"), get("Other@g"), get("Other@h")],
        [Some(1), None, None, None]
    );
    assert_eq!(sum(&broker, "TOPIC_PUT_NUMS", "Other"), None);
}

/// The rates that other requests tell come from the same place.
#[test]
fn progress_of_groups_and_state_of_topics_have_their_rates() {
    let broker = Still::new(|_| {});
    let member = client();
    broker.beat(&member, "c", "g", "Topic");
    for _ in 0..20 {
        broker.send(&to("Topic", 0, ""), b"x");
    }
    broker.pull(&from("Topic", 0, 0));
    sample(&broker);
    let update = UpdateConsumerOffsetRequestHeader {
        consumer_group: Cow::Borrowed("g"),
        topic: Cow::Borrowed("Topic"),
        queue_id: 0,
        commit_offset: 20,
    };
    broker.ask(request::UPDATE_CONSUMER_OFFSET, &update, "");
    let header = GetConsumeStatsRequestHeader {
        consumer_group: Cow::Borrowed("g"),
        topic: None,
    };
    let answer = broker.ask(request::GET_CONSUME_STATS, &header, "");
    let stats: protocol::body::operator::ConsumeStats = protocol::body::read(&answer.body).unwrap();
    assert_eq!(stats.consume_tps, 2.0);
    let topic = TopicRequestHeader {
        topic: Cow::Borrowed("Topic"),
    };
    let answer = broker.ask(request::GET_TOPIC_STATS_INFO, &topic, "");
    let stats: serde_json::Value = protocol::body::read(&answer.body).unwrap();
    assert_eq!(stats["topicPutTps"], 2.0);
}

/// Of a minute, an hour or a day: sum, seconds between its first and its last sample, avgpt.
type Figures = (i64, i64, f64);

/// Nothing was sampled.
const NONE: Figures = (0, 1, 0.0);

/// Each statistic's minute, hour and day over more than a day. A sample is taken each 10 s, 10 min and hour, and seven, seven and 25
/// are kept; before its first one an item stands at 0 one period earlier. `sum` is the last less the first, `tps` is that by
/// the time between them, `avgpt` by the requests counted between them (RocketMQ 4.9.8, StatsItem).
#[test]
fn minutes_hours_and_days_are_javas() {
    let broker = Still::new(|_| {});
    let begin = disk::Clock::now_ms(&broker.clock);
    // What happens before the sample of this second: so many batches of so many messages.
    let happens = |second: i64| match second {
        5 => (2, 3),
        25 => (1, 4),
        700 => (3, 1),
        4_000 => (1, 10),
        _ => (0, 0),
    };
    let send = |(batches, messages): (i32, i32)| {
        for _ in 0..batches {
            let mut body = Vec::new();
            for number in 0..messages {
                batch::push_entry(&mut body, number, b"x", b"");
            }
            let header = SendMessageRequestHeader {
                batch: Some(true),
                ..to("Topic", 0, "")
            };
            let sent = broker.ask(request::SEND_BATCH_MESSAGE, &Short(&header), body);
            assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
        }
    };
    // Minute, hour, day behind the sample of a second, worked out by hand.
    let expected: [(i64, [Figures; 3]); 9] = [
        // Nothing had been counted when the hour and the day were sampled last: there is no sample of them.
        (10, [(6, 10, 3.0), NONE, NONE]),
        // (10 - 0) in 3 requests over 30 s.
        (30, [(10, 30, 10.0 / 3.0), NONE, NONE]),
        // Seven samples, the oldest that of second 0.
        (60, [(10, 60, 10.0 / 3.0), NONE, NONE]),
        // The oldest is that of second 10, with 6 messages in 2 requests.
        (70, [(4, 60, 4.0), NONE, NONE]),
        (90, [(0, 60, 0.0), NONE, NONE]),
        // The hour has its first sample, and one of 0 that is said to be 10 min older.
        (600, [(0, 60, 0.0), (10, 600, 10.0 / 3.0), NONE]),
        (710, [(3, 60, 1.0), (10, 600, 10.0 / 3.0), NONE]),
        // The hour reaches from 600 (10 in 3) to 4200 (23 in 7), the day from 0 to 3600 (13 in 6).
        (
            4_200,
            [(0, 60, 0.0), (13, 3_600, 13.0 / 4.0), (13, 3_600, 13.0 / 6.0)],
        ),
        // A day and an hour: the day begins with the sample of second 3600.
        (90_000, [(0, 60, 0.0), (0, 3_600, 0.0), (10, 86_400, 10.0)]),
    ];
    let mut looked = 0;
    for second in 0..=90_000 {
        send(happens(second));
        if second % 10 == 0 {
            broker.parts.log.stats.items.sample(begin + second * 1000);
        }
        let Some((_, windows)) = expected.iter().find(|(at, _)| *at == second) else {
            continue;
        };
        let data = view(&broker, "TOPIC_PUT_NUMS", "Topic").expect("it counts");
        let told = [data.stats_minute, data.stats_hour, data.stats_day];
        for (told, (sum, seconds, avgpt)) in told.iter().zip(*windows) {
            let tps = sum as f64 * 1000.0 / (seconds * 1000) as f64;
            assert_eq!((told.sum, told.avgpt), (sum, avgpt), "second {second}");
            // What reads JSON here may be wrong in the last bit.
            assert!(
                (told.tps - tps).abs() <= tps * 1e-12,
                "second {second}: {} for {tps}",
                told.tps
            );
        }
        looked += 1;
    }
    assert_eq!(looked, expected.len());
}

/// rocketmq_topic_create_execution_time and its like of groups: until the change is on disk, and by outcome.
#[test]
fn it_is_counted_how_long_topics_and_groups_take_to_be_made() {
    let broker = Still::new(|_| {});
    let mut registry = metrics::Registry::new(&[], 1000);
    registry.add(broker::stats::StatsTold {
        stats: Arc::clone(&broker.parts.log.stats),
        topics: Arc::clone(&broker.parts.tables.topics),
        open_halves: Arc::clone(&broker.parts.open_halves),
    });
    let told = || -> Vec<String> {
        let text = registry.text();
        let lines = text
            .lines()
            .filter(|line| line.contains("_create_execution_time"));
        let figures = lines.filter(|line| line.contains("_sum{") || line.contains("_count{"));
        figures
            .map(|line| line.replace("_create_execution_time_milliseconds", ""))
            .collect()
    };
    assert_eq!(told(), Vec::<String>::new(), "nothing was made");
    let create = |topic: &'static str| {
        let header = CreateTopicRequestHeader {
            topic: Cow::Borrowed(topic),
            default_topic: None,
            read_queue_nums: 1,
            write_queue_nums: 1,
            perm: 6,
            topic_filter_type: None,
            topic_sys_flag: None,
            order: None,
            attributes: None,
        };
        let peer = client();
        let (request, _) = peer.request(request::UPDATE_AND_CREATE_TOPIC, &header, "");
        let handlers = Arc::clone(&broker.parts.handlers);
        handlers.serve(&mut VecDeque::from([request]), true, &|| false);
        broker.clock.advance(120);
        broker.settle();
        peer.take().pop().expect("it is answered").code
    };
    assert_eq!(create("Made"), response::SUCCESS);
    assert_eq!(create("not a name"), response::SYSTEM_ERROR);
    assert_eq!(create("TBW102"), response::SYSTEM_ERROR);
    let group = br#"{"groupName":"g"}"#.to_vec();
    broker.ask(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &(), group);
    broker.ask(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &(), "no JSON");
    let group = br#"{"groupConfigList":[{"groupName":"h"},{"groupName":"i"}]}"#.to_vec();
    broker.ask(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, &(), group);
    let expected = [
        r#"rocketmq_topic_sum{invocation_status="success",is_system="false"} 120"#,
        r#"rocketmq_topic_count{invocation_status="success",is_system="false"} 1"#,
        r#"rocketmq_topic_sum{invocation_status="failure",is_system="false"} 0"#,
        r#"rocketmq_topic_count{invocation_status="failure",is_system="false"} 1"#,
        r#"rocketmq_topic_sum{invocation_status="failure",is_system="true"} 0"#,
        r#"rocketmq_topic_count{invocation_status="failure",is_system="true"} 1"#,
        r#"rocketmq_consumer_group_sum{invocation_status="success"} 0"#,
        r#"rocketmq_consumer_group_count{invocation_status="success"} 2"#,
        r#"rocketmq_consumer_group_sum{invocation_status="failure"} 0"#,
        r#"rocketmq_consumer_group_count{invocation_status="failure"} 1"#,
    ];
    assert_eq!(told(), expected);
}

/// What `rocketmq_half_messages` tells.
fn open_halves(world: &World) -> Vec<String> {
    let mut registry = metrics::Registry::new(&[], 1000);
    registry.add(broker::stats::StatsTold {
        stats: Arc::clone(&world.parts.log.stats),
        topics: Arc::clone(&world.parts.tables.topics),
        open_halves: Arc::clone(&world.parts.open_halves),
    });
    let text = registry.text();
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("rocketmq_half_messages{"));
    lines.map(str::to_owned).collect()
}

#[test]
fn open_half_messages_are_counted_by_topic() {
    let mut world = World::new(|_| {});
    let of_orders = |open: i32| [format!("topic=\"Orders\"}} {open}")];
    assert_eq!(open_halves(&world), [""; 0], "there was none");
    let [kept, dropped, open] = ["kept", "dropped", "open"].map(|body| world.half("", body));
    assert_eq!(open_halves(&world), of_orders(3));
    world.end(kept, COMMIT);
    world.end(kept, COMMIT);
    world.end(dropped, ROLLBACK);
    assert_ne!(world.end(dropped, COMMIT).code, response::SUCCESS);
    assert_eq!(open_halves(&world), of_orders(1), "each ends once");
    world.restart(true);
    assert_eq!(open_halves(&world), of_orders(1));
    world.pass(LATER);
    assert_eq!(
        open_halves(&world),
        of_orders(1),
        "what is put back is the same one"
    );
    // The file does not know of the end when the broker is killed. It is over when none is open.
    world.end(open, ROLLBACK);
    world.restart(false);
    assert_eq!(open_halves(&world), of_orders(1));
    world.pass(LATER);
    assert_eq!(open_halves(&world), of_orders(0));

    world.half("", "given up");
    world.parts.handlers.closed(world.peer.as_ref());
    for _ in 0..16 {
        world.pass(LATER);
    }
    let given_up = world.read(CHECK_MAX_TIME_TOPIC, 0);
    assert_eq!((given_up.len(), open_halves(&world)), (1, of_orders(0).to_vec()));
    let id = message::id::OffsetMessageId {
        store_host: world.parts.log.appender.store_host,
        physical_offset: given_up[0].physical,
    };
    let header = ResumeCheckHalfMessageRequestHeader {
        msg_id: Some(id.to_string().into()),
    };
    assert_eq!(
        world.ask(request::RESUME_CHECK_HALF_MESSAGE, &header, b"").code,
        response::SUCCESS
    );
    assert_eq!(open_halves(&world), of_orders(1), "it is checked again");
}
