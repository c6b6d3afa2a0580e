//! What was made, chosen or parked under settings that have changed since.

use std::borrow::Cow;

use broker::settings::Settings;
use protocol::body::topic::TopicConfig;
use protocol::code::{request, response};
use protocol::header::broker::*;

use crate::fixture::*;
use crate::name_servers::wait_until;

impl Fixture {
    /// Stops the broker and starts one on its store, with other settings.
    async fn again(self, change: impl FnOnce(&mut Settings)) -> Fixture {
        Fixture::in_folder(self.stop().await, change).await
    }

    async fn topic(&self, name: &str) -> TopicConfig {
        let header = TopicRequestHeader {
            topic: Cow::Borrowed(name),
        };
        let answer = self.ask(request::GET_TOPIC_CONFIG, &header, "").await;
        assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
        protocol::body::read(&answer.body).unwrap()
    }

    /// Waits until a message is there.
    async fn arrives(&self, topic: &str, body: &[u8]) {
        wait_until("it is delivered", WITHIN, async || {
            let answer = self.pull(&from(topic, 0, 0)).await;
            records(&answer.body).first().map(|view| view.body()) == Some(body)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_in_a_level_that_is_gone_is_delivered() {
    let fixture = Fixture::new(|s| s.store.message_delay_level = "1s 1h 1h 2h".to_owned()).await;
    let sent = fixture.send(&to("Topic", 0, "DELAY\u{1}4\u{2}"), b"late").await;
    assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    let fixture = fixture
        .again(|s| s.store.message_delay_level = "1s 2s".to_owned())
        .await;
    fixture.arrives("Topic", b"late").await;
    // And its progress is kept: it does not come again.
    let fixture = fixture
        .again(|s| s.store.message_delay_level = "1s".to_owned())
        .await;
    let sent = fixture.send(&to("Topic", 0, "DELAY\u{1}4\u{2}"), b"next").await;
    assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    wait_until("the next is delivered", WITHIN, async || {
        let answer = fixture.pull(&from("Topic", 0, 1)).await;
        let bodies: Vec<_> = records(&answer.body)
            .iter()
            .map(|view| view.body().to_vec())
            .collect();
        assert!(!bodies.iter().any(|body| body == b"late"));
        bodies == [b"next"]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_parked_is_delivered_though_it_is_longer_than_messages_may_be_now() {
    let fixture = Fixture::new(|_| {}).await;
    let body = [b'x'; 2000];
    let sent = fixture.send(&to("Topic", 0, "DELAY\u{1}1\u{2}"), &body).await;
    assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    fixture.set("maxMessageSize=100\n").await;
    fixture.arrives("Topic", &body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_parked_for_a_topic_or_queue_that_is_gone_is_delivered_and_counted() {
    let fixture = Fixture::new(|_| {}).await;
    for (topic, queue_id) in [("Gone", 0), ("Small", 3), ("Stays", 0)] {
        let sent = fixture
            .send(&to(topic, queue_id, "DELAY\u{1}1\u{2}"), b"late")
            .await;
        assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    }
    let gone = TopicRequestHeader {
        topic: Cow::Borrowed("Gone"),
    };
    fixture.ask(request::DELETE_TOPIC_IN_BROKER, &gone, "").await;
    let small = CreateTopicRequestHeader {
        topic: Cow::Borrowed("Small"),
        default_topic: Some(Cow::Borrowed("TBW102")),
        read_queue_nums: 2,
        write_queue_nums: 2,
        perm: 6,
        topic_filter_type: None,
        topic_sys_flag: None,
        order: None,
        attributes: None,
    };
    fixture.ask(request::UPDATE_AND_CREATE_TOPIC, &small, "").await;
    fixture.arrives("Stays", b"late").await;
    wait_until("the others are delivered", WITHIN, async || {
        fixture.runtime().await["delayedMessagesUnread"] == "2"
    })
    .await;
    // The topic is made again: what was delivered is there.
    let again = CreateTopicRequestHeader {
        topic: Cow::Borrowed("Gone"),
        ..small
    };
    fixture.ask(request::UPDATE_AND_CREATE_TOPIC, &again, "").await;
    fixture.arrives("Gone", b"late").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_of_the_broker_itself_follow_the_settings_of_each_start() {
    let fixture = Fixture::new(|_| {}).await;
    let queues = async |fixture: &Fixture, name: &str| {
        let topic = fixture.topic(name).await;
        (topic.read_queue_nums, topic.write_queue_nums, topic.perm)
    };
    let mut wanted = to("Before", 0, "");
    wanted.default_topic_queue_nums = Some(8);
    fixture.send(&wanted, b"x").await;
    assert_eq!(queues(&fixture, "Before").await, (8, 8, 6));
    assert_eq!(queues(&fixture, "TBW102").await, (8, 8, 7));
    assert_eq!(queues(&fixture, "broker-a").await, (1, 1, 7));
    let fixture = fixture
        .again(|s| {
            s.broker.default_topic_queue_nums = 2;
            s.broker.broker_topic_enable = false;
            s.broker.cluster_topic_enable = false;
        })
        .await;
    wanted.topic = Cow::Borrowed("After");
    fixture.send(&wanted, b"x").await;
    assert_eq!(queues(&fixture, "After").await, (2, 2, 6));
    assert_eq!(
        queues(&fixture, "Before").await,
        (8, 8, 6),
        "a topic stays as it is"
    );
    assert_eq!(queues(&fixture, "broker-a").await, (1, 1, 1));
    assert_eq!(queues(&fixture, "DefaultCluster").await, (16, 16, 1));
    let fixture = fixture.again(|_| {}).await;
    assert_eq!(queues(&fixture, "TBW102").await, (8, 8, 7));
    assert_eq!(queues(&fixture, "broker-a").await, (1, 1, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_taken_over_when_light_queues_are_first_switched_on() {
    let light = |on: bool| move |s: &mut Settings| s.store.enable_lmq = on;
    let fixture = Fixture::new(|_| {}).await;
    for _ in 0..5 {
        fixture.send(&to("Topic", 0, ""), b"x").await;
    }
    let commit = async |fixture: &Fixture, group: &str, topic: &str, offset: i64| {
        let header = UpdateConsumerOffsetRequestHeader {
            consumer_group: Cow::Borrowed(group),
            topic: Cow::Borrowed(topic),
            queue_id: 0,
            commit_offset: offset,
        };
        let answer = fixture.ask(request::UPDATE_CONSUMER_OFFSET, &header, "").await;
        assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
    };
    let committed = async |fixture: &Fixture, group: &str, topic: &str| {
        let header = QueryConsumerOffsetRequestHeader {
            consumer_group: Cow::Borrowed(group),
            topic: Cow::Borrowed(topic),
            queue_id: 0,
            set_zero_if_not_found: Some(false),
        };
        let answer = fixture.ask(request::QUERY_CONSUMER_OFFSET, &header, "").await;
        answer.header::<OffsetResponseHeader>().unwrap().offset
    };
    commit(&fixture, "g", "Topic", 1).await;
    let fixture = fixture.again(light(true)).await;
    assert_eq!(committed(&fixture, "g", "Topic").await, 1);
    commit(&fixture, "g", "Topic", 2).await;
    commit(&fixture, "%LMQ%g", "%LMQ%q", 7).await;
    let fixture = fixture.again(light(true)).await;
    assert_eq!(committed(&fixture, "g", "Topic").await, 2);
    assert_eq!(committed(&fixture, "%LMQ%g", "%LMQ%q").await, 7);
    // Each setting has a file of its own, as in Java; which was written last says nothing after a copy.
    let fixture = fixture.again(light(false)).await;
    assert_eq!(committed(&fixture, "g", "Topic").await, 1);
}

/// A pull that waits for ten minutes is answered when its topic changes, with what is so now.
#[tokio::test(flavor = "multi_thread")]
async fn pulls_hear_at_once_that_their_topic_is_closed_or_gone() {
    let fixture = Fixture::new(|_| {}).await;
    fixture.send(&to("Topic", 0, ""), b"x").await;
    let waiting = PullMessageRequestHeader {
        sys_flag: 6,
        suspend_timeout_millis: Some(600_000),
        ..from("Topic", 0, 1)
    };
    let topic = |perm: i32| CreateTopicRequestHeader {
        topic: Cow::Borrowed("Topic"),
        default_topic: Some(Cow::Borrowed("TBW102")),
        read_queue_nums: 4,
        write_queue_nums: 4,
        perm,
        topic_filter_type: None,
        topic_sys_flag: None,
        order: None,
        attributes: None,
    };
    let gone = TopicRequestHeader {
        topic: Cow::Borrowed("Topic"),
    };
    for (perm, code) in [
        (Some(6), response::PULL_NOT_FOUND),
        (Some(2), response::NO_PERMISSION),
        (None, response::TOPIC_NOT_EXIST),
    ] {
        let change = async {
            wait_until("a pull waits", WITHIN, async || {
                fixture.runtime().await["pullHoldSize"] == "1"
            })
            .await;
            let answer = match perm {
                Some(perm) => {
                    let header = topic(perm);
                    fixture.ask(request::UPDATE_AND_CREATE_TOPIC, &header, "").await
                }
                None => fixture.ask(request::DELETE_TOPIC_IN_BROKER, &gone, "").await,
            };
            assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
        };
        let (held, ()) = tokio::join!(fixture.pull(&waiting), change);
        assert_eq!(held.code, code, "{:?}", held.remark);
        // For the next pull.
        let open = topic(6);
        fixture.ask(request::UPDATE_AND_CREATE_TOPIC, &open, "").await;
    }
}

/// The same for its group.
#[tokio::test(flavor = "multi_thread")]
async fn pulls_hear_at_once_that_their_group_may_not_consume_or_is_gone() {
    let fixture = Fixture::new(|s| s.broker.auto_create_subscription_group = false).await;
    fixture.send(&to("Topic", 0, ""), b"x").await;
    let waiting = PullMessageRequestHeader {
        sys_flag: 6,
        suspend_timeout_millis: Some(600_000),
        ..from("Topic", 0, 1)
    };
    let group = waiting.consumer_group.to_string();
    let config =
        |name: &str, consumes: bool| format!(r#"{{"groupName":"{name}","consumeEnable":{consumes}}}"#);
    let put = async |body: String| {
        let code = request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP;
        let answer = fixture.ask(code, &(), body).await;
        assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
    };
    let gone = DeleteSubscriptionGroupRequestHeader {
        group_name: Cow::Borrowed(&group),
        clean_offset: None,
        remove_offset: None,
    };
    for (consumes, code) in [
        (Some(true), response::PULL_NOT_FOUND),
        (Some(false), response::NO_PERMISSION),
        (None, response::SUBSCRIPTION_GROUP_NOT_EXIST),
    ] {
        put(config(&group, true)).await;
        let change = async {
            wait_until("a pull waits", WITHIN, async || {
                fixture.runtime().await["pullHoldSize"] == "1"
            })
            .await;
            // Another group's pulls go on waiting.
            put(config("another", false)).await;
            assert_eq!(fixture.runtime().await["pullHoldSize"], "1");
            match consumes {
                Some(consumes) => put(config(&group, consumes)).await,
                None => {
                    let answer = fixture.ask(request::DELETE_SUBSCRIPTIONGROUP, &gone, "").await;
                    assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
                }
            }
        };
        let (held, ()) = tokio::join!(fixture.pull(&waiting), change);
        assert_eq!(held.code, code, "{:?}", held.remark);
    }
}
