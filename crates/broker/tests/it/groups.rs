//! Every field of a group's settings does what it does in Java.

use std::borrow::Cow;
use std::sync::Arc;

use message::id::OffsetMessageId;
use protocol::Frame;
use protocol::body::broker::SubscriptionGroupConfig;
use protocol::body::topic::TopicConfig;
use protocol::code::{request, response};
use protocol::header::broker::*;
use remoting::{MemoryPeer, Peer};

use crate::fixture::{from, heartbeat, records, refused, to};
use crate::still::{Still, client};

/// UPDATE_AND_CREATE_SUBSCRIPTIONGROUP of the group `g`, with one thing changed.
fn set(broker: &Still, change: impl FnOnce(&mut SubscriptionGroupConfig)) {
    let mut config = SubscriptionGroupConfig {
        group_name: "g".to_owned(),
        ..SubscriptionGroupConfig::default()
    };
    change(&mut config);
    let body = protocol::body::write(&config);
    let answer = broker.ask(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &(), body);
    assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
}

fn topic(broker: &Still, topic: &'static str) -> Option<TopicConfig> {
    let header = TopicRequestHeader {
        topic: Cow::Borrowed(topic),
    };
    let answer = broker.ask(request::GET_TOPIC_CONFIG, &header, "");
    protocol::body::read(&answer.body).ok()
}

/// The place of a new message in the log.
fn sent(broker: &Still) -> i64 {
    let answer = broker.send(&to("Topic", 0, ""), b"work");
    let header: SendMessageResponseHeader<'_> = answer.header().unwrap();
    header.msg_id.parse::<OffsetMessageId>().unwrap().physical_offset
}

fn send_back(broker: &Still, offset: i64, delay_level: i32) -> Frame {
    send_back_by(broker, "g", offset, delay_level)
}

fn send_back_by(broker: &Still, group: &str, offset: i64, delay_level: i32) -> Frame {
    let header = ConsumerSendMsgBackRequestHeader {
        offset,
        group: Cow::Borrowed(group),
        delay_level,
        origin_msg_id: None,
        origin_topic: None,
        unit_mode: None,
        max_reconsume_times: None,
    };
    broker.ask(request::CONSUMER_SEND_MSG_BACK, &header, "")
}

/// How many messages a topic's queue has.
fn end(broker: &Still, topic: &str, queue_id: i32) -> i64 {
    broker.parts.log.store.queue_max_offset(topic, queue_id).0
}

/// How many messages lie in the queue of the delay level.
fn parked(broker: &Still, level: i32) -> i64 {
    end(broker, "SCHEDULE_TOPIC_XXXX", level - 1)
}

#[test]
fn a_group_that_may_not_consume_is_refused_until_it_may() {
    let broker = Still::new(|_| {});
    sent(&broker);
    set(&broker, |config| config.consume_enable = false);
    let answer = broker.pull(&from("Topic", 0, 0));
    let remark = "subscription group no permission, g";
    assert_eq!(refused(&answer), (response::NO_PERMISSION, remark));
    set(&broker, |_| {});
    assert_eq!(broker.pull(&from("Topic", 0, 0)).code, response::SUCCESS);
}

/// consumeFromMinEnable is kept and told, and no release has ever asked for it: a new group begins where its clients say.
#[test]
fn where_a_new_group_begins_is_not_for_consume_from_min_enable_to_say() {
    let broker = Still::new(|_| {});
    sent(&broker);
    let start = QueryConsumerOffsetRequestHeader {
        consumer_group: Cow::Borrowed("g"),
        topic: Cow::Borrowed("Topic"),
        queue_id: 0,
        set_zero_if_not_found: None,
    };
    for enabled in [true, false] {
        set(&broker, |config| config.consume_from_min_enable = enabled);
        let group = GroupRequestHeader {
            group: Cow::Borrowed("g"),
        };
        let told = broker.ask(request::GET_SUBSCRIPTIONGROUP_CONFIG, &group, "");
        let told: SubscriptionGroupConfig = protocol::body::read(&told.body).unwrap();
        assert_eq!(told.consume_from_min_enable, enabled);
        let answer = broker.ask(request::QUERY_CONSUMER_OFFSET, &start, "");
        assert_eq!(answer.code, response::SUCCESS);
        assert_eq!(answer.header::<OffsetResponseHeader>().unwrap().offset, 0);
        assert_eq!(broker.pull(&from("Topic", 0, 0)).code, response::SUCCESS);
    }
}

#[test]
fn broadcasting_needs_leave_and_clustering_does_not() {
    let broker = Still::new(|_| {});
    sent(&broker);
    let member = client();
    let pull = PullMessageRequestHeader {
        sys_flag: 0,
        ..from("Topic", 0, 0)
    };
    let pull = || broker.ask_as(&member, request::PULL_MESSAGE, &pull, "");
    for model in ["CLUSTERING", "BROADCASTING"] {
        for may in [true, false] {
            set(&broker, |config| config.consume_broadcast_enable = may);
            let beat = heartbeat("c", "g", "Topic").replace("CLUSTERING", model);
            broker.ask_as(&member, request::HEART_BEAT, &(), beat);
            let answer = pull();
            match (model, may) {
                ("BROADCASTING", false) => {
                    let remark = "the consumer group[g] can not consume by broadcast way";
                    assert_eq!(refused(&answer), (response::NO_PERMISSION, remark));
                }
                _ => assert_eq!(
                    answer.code,
                    response::SUCCESS,
                    "{model} {may}: {:?}",
                    answer.remark
                ),
            }
        }
    }
}

#[test]
fn the_retry_topic_has_as_many_queues_as_the_group_says() {
    let broker = Still::new(|s| s.store.message_delay_level = "1s 1s 1s".to_owned());
    set(&broker, |config| config.retry_queue_nums = 3);
    broker.beat(&client(), "c", "g", "Topic");
    let made = topic(&broker, "%RETRY%g").expect("made by the heartbeat");
    assert_eq!(
        (made.read_queue_nums, made.write_queue_nums, made.perm),
        (3, 3, 6)
    );
    let offset = sent(&broker);
    for _ in 0..6 {
        assert_eq!(send_back(&broker, offset, 0).code, response::SUCCESS);
    }
    assert_eq!(parked(&broker, 3), 6);
    let held = broker.pull(&from("SCHEDULE_TOPIC_XXXX", 2, 0));
    let mut queues: Vec<String> = records(&held.body)
        .iter()
        .map(|record| {
            message::properties::get_str(record.properties(), "REAL_QID")
                .unwrap()
                .to_owned()
        })
        .collect();
    queues.sort();
    assert_eq!(queues, ["0", "0", "1", "1", "2", "2"], "all of them are used");
}

#[test]
fn the_retry_topic_grows_with_the_groups_setting_and_does_not_shrink() {
    let broker = Still::new(|s| s.store.message_delay_level = "1s 1s 1s".to_owned());
    let queues = |broker: &Still| {
        let made = topic(broker, "%RETRY%g").expect("made by the heartbeat");
        (made.read_queue_nums, made.write_queue_nums)
    };
    broker.beat(&client(), "c", "g", "Topic");
    assert_eq!(queues(&broker), (1, 1));
    set(&broker, |config| config.retry_queue_nums = 3);
    // No heartbeat came since: what is sent back has a queue that consumers know.
    assert_eq!(send_back(&broker, sent(&broker), 0).code, response::SUCCESS);
    assert_eq!(queues(&broker), (3, 3));
    set(&broker, |config| config.retry_queue_nums = 2);
    broker.beat(&client(), "c", "g", "Topic");
    assert_eq!(queues(&broker), (3, 3), "something may lie in the third");
}

/// A group of light queues needs no entry, and its name comes from a client.
#[test]
fn a_light_group_with_a_name_that_no_topic_may_have_is_none() {
    let broker = Still::new(|s| s.store.enable_lmq = true);
    let offset = sent(&broker);
    for (group, code) in [
        ("%LMQ%ok", response::SUCCESS),
        ("%LMQ%../../e", response::SUBSCRIPTION_GROUP_NOT_EXIST),
        ("%LMQ%a b", response::SUBSCRIPTION_GROUP_NOT_EXIST),
    ] {
        let answer = send_back_by(&broker, group, offset, 1);
        assert_eq!(answer.code, code, "{group}");
        let made = broker.parts.tables.topics.get(&format!("%RETRY%{group}"));
        assert_eq!(made.is_some(), code == response::SUCCESS, "{group}");
    }
}

#[test]
fn without_retry_queues_a_message_sent_back_is_dropped_and_that_is_success() {
    let broker = Still::new(|_| {});
    set(&broker, |config| config.retry_queue_nums = 0);
    let offset = sent(&broker);
    let before = broker.parts.log.store.max_physical();
    assert_eq!(send_back(&broker, offset, 0).code, response::SUCCESS);
    assert_eq!(broker.parts.log.store.max_physical(), before);
}

#[test]
fn after_its_last_retry_a_message_is_dead() {
    let broker = Still::new(|_| {});
    // The message has not been consumed before: 0 retries are left, or one.
    for (most, retried, dead) in [(1, 1, 0), (0, 1, 1), (-1, 1, 2)] {
        set(&broker, |config| config.retry_max_times = most);
        let offset = sent(&broker);
        assert_eq!(send_back(&broker, offset, 0).code, response::SUCCESS);
        let counts = (parked(&broker, 3), end(&broker, "%DLQ%g", 0));
        assert_eq!(counts, (retried, dead), "retryMaxTimes={most}");
    }
    // The same for a consumer that sends the message itself.
    for (most, retried, dead) in [(1, 1, 2), (0, 1, 3)] {
        set(&broker, |config| config.retry_max_times = most);
        broker.send(&to("%RETRY%g", 0, ""), b"work");
        let counts = (end(&broker, "%RETRY%g", 0), end(&broker, "%DLQ%g", 0));
        assert_eq!(counts, (retried, dead), "retryMaxTimes={most}");
    }
}

#[test]
fn consumers_are_told_which_broker_to_read_from() {
    for slave_reads in [true, false] {
        let broker = Still::new(|s| {
            s.broker.slave_read_enable = slave_reads;
            // Whatever is not the newest message is far behind.
            s.store.access_message_in_memory_max_ratio = 0;
        });
        set(&broker, |config| {
            config.broker_id = 3;
            config.which_broker_when_consume_slowly = 5;
        });
        for _ in 0..3 {
            sent(&broker);
        }
        let suggested = |offset, count| {
            let header = PullMessageRequestHeader {
                max_msg_nums: count,
                ..from("Topic", 0, offset)
            };
            let answer: PullMessageResponseHeader = broker.pull(&header).header().unwrap();
            answer.suggest_which_broker_id
        };
        let expected = if slave_reads { (5, 3) } else { (0, 0) };
        // At the end nothing is behind.
        assert_eq!((suggested(0, 1), suggested(3, 1)), expected);
    }
}

/// A group that wants no notices gets none but of connections that close, which nobody else tells of.
#[test]
fn members_hear_of_others_if_their_group_wants_that() {
    for wants in [true, false] {
        let broker = Still::new(|_| {});
        set(&broker, |config| {
            config.notify_consumer_ids_changed_enable = wants
        });
        let (stays, leaves, closes) = (client(), client(), client());
        let heard = || {
            let told = stays.take();
            let notices = told
                .iter()
                .filter(|frame| frame.code == request::NOTIFY_CONSUMER_IDS_CHANGED && !frame.is_response());
            notices.count()
        };
        broker.beat(&stays, "stays", "g", "Topic");
        let wanted = usize::from(wants);
        assert_eq!(heard(), wanted, "of itself");
        broker.beat(&leaves, "leaves", "g", "Topic");
        broker.beat(&closes, "closes", "g", "Topic");
        assert_eq!(heard(), 2 * wanted, "of who joins");
        let leave = UnregisterClientRequestHeader {
            client_id: None,
            producer_group: None,
            consumer_group: Some(Cow::Borrowed("g")),
        };
        broker.ask_as(&leaves, request::UNREGISTER_CLIENT, &leave, "");
        assert_eq!(heard(), wanted, "of who leaves");
        broker.parts.handlers.closed(closes.as_ref() as &dyn Peer);
        assert_eq!(heard(), 1, "of who is gone");
    }
}

/// Whatever changes in a group is told its members, and nothing else is.
#[test]
fn members_hear_of_every_change_of_their_group() {
    let broker = Still::new(|_| {});
    let (stays, changes) = (client(), client());
    let heard = |of: &MemoryPeer| {
        let told = of.take().into_iter();
        let notices = told.filter(|frame| frame.code == request::NOTIFY_CONSUMER_IDS_CHANGED);
        let groups: Vec<String> = notices
            .map(|notice| {
                assert!(notice.is_oneway());
                notice
                    .field("consumerGroup")
                    .expect("it names the group")
                    .to_owned()
            })
            .collect();
        groups.len() + groups.iter().filter(|group| *group != "g").count() * 100
    };
    let both = || (heard(&stays), heard(&changes));
    let beat = |peer: &Arc<MemoryPeer>, text: String| {
        assert_eq!(
            broker.ask_as(peer, request::HEART_BEAT, &(), text).code,
            response::SUCCESS
        );
    };
    let of = |id: &str, topic: &str| heartbeat(id, "g", topic);
    let more = |version: i64| {
        let topic = |name: &str| {
            let version = if name == "Topic" { version } else { 5 };
            format!(
                r#"{{"topic":"{name}","subString":"*","subVersion":{version},"tagsSet":[],"codeSet":[]}}"#
            )
        };
        let one = of("changes", "Topic");
        let (start, _) = one.split_once(r#"[{"topic""#).expect("a subscription");
        format!("{start}[{},{}]}}]}}", topic("Topic"), topic("Other"))
    };
    beat(&stays, of("stays", "Topic"));
    assert_eq!(both(), (1, 0), "stays has joined");
    beat(&changes, of("changes", "Topic"));
    assert_eq!(both(), (1, 1), "changes has joined");
    beat(&changes, of("changes", "Topic"));
    beat(&stays, of("stays", "Topic"));
    assert_eq!(both(), (0, 0), "they are still there");
    beat(&changes, more(5));
    assert_eq!(both(), (1, 1), "a topic more");
    beat(&changes, more(6));
    assert_eq!(both(), (0, 0), "another expression for the same topics");
    beat(&changes, of("changes", "Topic"));
    assert_eq!(both(), (1, 1), "a topic less");

    let leave = |group: &'static str| UnregisterClientRequestHeader {
        client_id: None,
        producer_group: None,
        consumer_group: Some(Cow::Borrowed(group)),
    };
    broker.ask_as(&changes, request::UNREGISTER_CLIENT, &leave("another"), "");
    assert_eq!(both(), (0, 0), "it was not in that group");
    broker.ask_as(&changes, request::UNREGISTER_CLIENT, &leave("g"), "");
    assert_eq!(both(), (1, 0), "changes has left");
    broker.parts.handlers.closed(changes.as_ref() as &dyn Peer);
    assert_eq!(both(), (0, 0), "its connection is closed, and it had left");

    let (closes, falls_silent) = (client(), client());
    beat(&closes, of("closes", "Topic"));
    beat(&falls_silent, of("silent", "Topic"));
    assert_eq!(both(), (2, 0));
    broker.parts.handlers.closed(closes.as_ref() as &dyn Peer);
    assert_eq!(both(), (1, 0), "closes is gone");

    broker.clock.advance(100_000);
    beat(&stays, of("stays", "Topic"));
    broker.clock.advance(20_000);
    broker.parts.expire_clients();
    assert!(falls_silent.is_open(), "for 120 s");
    broker.clock.advance(1);
    broker.parts.expire_clients();
    assert!(!falls_silent.is_open() && stays.is_open());
    // Its connection says that it is closed.
    broker.parts.handlers.closed(falls_silent.as_ref() as &dyn Peer);
    assert_eq!(both(), (1, 0), "silent is gone");
}

pub(crate) const SLOW: [&str; 2] = [
    "consumerFallbehindThreshold",
    "disableConsumeIfConsumerReadSlowly",
];

#[test]
fn a_group_that_reads_too_far_behind_is_stopped_if_the_settings_want_that() {
    let broker = Still::new(|_| {});
    let change = |text: &str| {
        let answer = broker.ask(request::UPDATE_BROKER_CONFIG, &(), text.to_owned());
        assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
    };
    let [threshold, stops] = SLOW;
    set(&broker, |_| {});
    let offsets: Vec<i64> = (0..3).map(|_| sent(&broker)).collect();
    let first = PullMessageRequestHeader {
        max_msg_nums: 1,
        ..from("Topic", 0, 0)
    };
    let pull = |header: &PullMessageRequestHeader<'_>| broker.pull(header).code;
    let behind = broker.parts.log.store.max_physical().0 - offsets[0];
    change(&format!("{threshold}={}\n", behind - 1));
    assert_eq!(pull(&first), response::SUCCESS);
    broker.parts.stop_slow_groups();
    assert_eq!(pull(&first), response::SUCCESS, "that is off");
    change(&format!("{stops}=true\n{threshold}={behind}\n"));
    assert_eq!(pull(&first), response::SUCCESS);
    broker.parts.stop_slow_groups();
    assert_eq!(
        pull(&first),
        response::SUCCESS,
        "it is not more behind than it may"
    );
    change(&format!("{threshold}={}\n", behind - 1));
    assert_eq!(pull(&first), response::SUCCESS);
    let waits = PullMessageRequestHeader {
        sys_flag: 6,
        ..from("Other", 0, 0)
    };
    broker.send(&to("Other", 1, ""), b"makes the topic");
    let waiting = broker.begin(&broker.peer, request::PULL_MESSAGE, &waits, "");
    assert!(broker.peer.take_answer(waiting).is_none(), "it is held");
    broker.parts.stop_slow_groups();
    let answer = broker.peer.take_answer(waiting).expect("it does not wait on");
    let remark = "subscription group no permission, g";
    assert_eq!(refused(&answer), (response::NO_PERMISSION, remark));
    assert_eq!(pull(&first), response::NO_PERMISSION);
    // Others go on, and an operator's word counts.
    let others = PullMessageRequestHeader {
        consumer_group: Cow::Borrowed("other"),
        ..first.clone()
    };
    assert_eq!(pull(&others), response::SUCCESS);
    set(&broker, |_| {});
    broker.parts.stop_slow_groups();
    assert_eq!(pull(&first), response::SUCCESS);
}

/// UPDATE_AND_GET_GROUP_FORBIDDEN of the group `g`.
fn forbid(broker: &Still, topic: &'static str, readable: Option<bool>) -> (i32, String) {
    let header = UpdateGroupForbiddenRequestHeader {
        group: Cow::Borrowed("g"),
        topic: Cow::Borrowed(topic),
        readable,
    };
    let answer = broker.ask(request::UPDATE_AND_GET_GROUP_FORBIDDEN, &header, "");
    let text = match answer.code {
        response::SUCCESS => String::from_utf8(answer.body.to_vec()).unwrap(),
        _ => answer.remark.unwrap_or_default(),
    };
    (answer.code, text)
}

#[test]
fn a_group_may_be_forbidden_to_read_a_topic() {
    let broker = Still::new(|_| {});
    let told = |readable: bool| {
        let text = format!(r#"{{"group":"g","readable":{readable},"topic":"Topic"}}"#);
        (response::SUCCESS, text)
    };
    sent(&broker);
    let unknown = (
        response::SUBSCRIPTION_GROUP_NOT_EXIST,
        "subscription group [g] not exist".to_owned(),
    );
    assert_eq!(forbid(&broker, "Topic", Some(false)), unknown);
    assert_eq!(forbid(&broker, "Topic", None), told(true));
    set(&broker, |_| {});
    assert_eq!(forbid(&broker, "Other", Some(false)).0, response::TOPIC_NOT_EXIST);

    // Who waits hears of it.
    let member = client();
    let waits = PullMessageRequestHeader {
        sys_flag: 6,
        ..from("Topic", 0, 1)
    };
    broker.begin(&member, request::PULL_MESSAGE, &waits, "");
    assert!(member.take().is_empty(), "it waits");
    assert_eq!(forbid(&broker, "Topic", Some(false)), told(false));
    let refusal = (
        response::NO_PERMISSION,
        "the consumer group[g] is forbidden for topic[Topic]",
    );
    assert_eq!(refused(&member.take()[0]), refusal);

    let pull = from("Topic", 0, 0);
    assert_eq!(refused(&broker.ask(request::PULL_MESSAGE, &pull, "")), refusal);
    let other = PullMessageRequestHeader {
        consumer_group: Cow::Borrowed("h"),
        ..from("Topic", 0, 0)
    };
    assert_eq!(
        broker.ask(request::PULL_MESSAGE, &other, "").code,
        response::SUCCESS
    );
    assert_eq!(forbid(&broker, "Topic", None), told(false));
    let all = broker.ask(request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, &(), "");
    let all: serde_json::Value = serde_json::from_slice(&all.body).unwrap();
    // Java's bit, for a Java broker that takes over.
    assert_eq!(all["forbiddenTable"], serde_json::json!({"g": {"Topic": 4}}));

    assert_eq!(forbid(&broker, "Topic", Some(true)), told(true));
    assert_eq!(
        broker.ask(request::PULL_MESSAGE, &pull, "").code,
        response::SUCCESS
    );
}

/// DELETE_SUBSCRIPTIONGROUP, and what the table says of who may not read what then.
fn delete(broker: &Still, group: &'static str) -> serde_json::Value {
    let header = DeleteSubscriptionGroupRequestHeader {
        group_name: Cow::Borrowed(group),
        clean_offset: None,
        remove_offset: None,
    };
    let answer = broker.ask(request::DELETE_SUBSCRIPTIONGROUP, &header, "");
    assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
    let file = broker.parts.tables.groups.file();
    serde_json::to_value(file.forbidden_table).unwrap()
}

#[test]
fn what_a_group_may_not_read_goes_with_the_group() {
    let broker = Still::new(|_| {});
    sent(&broker);
    set(&broker, |_| {});
    // A file of Java's forbids what there is not, too.
    let mut file = broker.parts.tables.groups.file();
    file.data_version.counter += 1;
    for group in ["g", "h", "gone"] {
        let topics = [("Topic".to_owned(), 4)];
        file.forbidden_table
            .insert(group.to_owned(), topics.into_iter().collect());
    }
    broker.parts.tables.groups.replace(file);
    let version = || broker.parts.tables.groups.version().counter;
    let pull = from("Topic", 0, 0);
    assert_eq!(broker.pull(&pull).code, response::NO_PERMISSION);

    let others = serde_json::json!({"gone": {"Topic": 4}, "h": {"Topic": 4}});
    assert_eq!(delete(&broker, "g"), others);
    assert_eq!(
        broker.pull(&pull).code,
        response::SUCCESS,
        "a group that is made anew may read"
    );
    let before = version();
    assert_eq!(delete(&broker, "gone"), serde_json::json!({"h": {"Topic": 4}}));
    assert_eq!(version(), before + 1, "slaves hear of it");
    assert_eq!(delete(&broker, "gone"), serde_json::json!({"h": {"Topic": 4}}));
    assert_eq!(version(), before + 1);
    assert_eq!(delete(&broker, "h"), serde_json::json!({}));
}

/// topicSysFlag of topics that unit mode makes: 1 for what is sent to, 2 for what a group subscribes to (TopicSysFlag).
#[test]
fn unit_mode_marks_the_topics_that_are_made_for_it() {
    let flag = |broker: &Still, name| topic(broker, name).expect("it is made").topic_sys_flag;
    for (unit_mode, of_topic, of_retry) in [(Some(true), 1, 2), (Some(false), 0, 0), (None, 0, 0)] {
        let broker = Still::new(|_| {});
        let send = SendMessageRequestHeader {
            unit_mode,
            ..to("Topic", 0, "")
        };
        assert_eq!(broker.send(&send, b"x").code, response::SUCCESS);
        assert_eq!(flag(&broker, "Topic"), of_topic, "{unit_mode:?}: a send");

        set(&broker, |_| {});
        let beat = heartbeat("c", "g", "Topic");
        let beat = match unit_mode {
            Some(unit) => beat.replace(
                r#""groupName":"g","#,
                &format!(r#""groupName":"g","unitMode":{unit},"#),
            ),
            None => beat,
        };
        broker.ask_as(&client(), request::HEART_BEAT, &(), beat);
        assert_eq!(flag(&broker, "%RETRY%g"), of_retry, "{unit_mode:?}: a heartbeat");
    }
    for (unit_mode, of_retry) in [(Some(true), 2), (Some(false), 0)] {
        let broker = Still::new(|_| {});
        set(&broker, |_| {});
        let header = ConsumerSendMsgBackRequestHeader {
            offset: sent(&broker),
            group: Cow::Borrowed("g"),
            delay_level: 1,
            origin_msg_id: None,
            origin_topic: None,
            unit_mode,
            max_reconsume_times: None,
        };
        let answer = broker.ask(request::CONSUMER_SEND_MSG_BACK, &header, "");
        assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
        assert_eq!(flag(&broker, "%RETRY%g"), of_retry, "{unit_mode:?}: sent back");
    }
}
