//! Request and reply: a producer asks by a message, a consumer replies to it through the broker.

use std::sync::Arc;
use std::time::Duration;

use message::properties;
use protocol::Frame;
use protocol::code::{request, response};
use protocol::header::Short;
use protocol::header::broker::*;
use remoting::MemoryPeer;

use crate::fixture::{from, records, refused, to};
use crate::still::{Still, client};

const TOPIC: &str = "DefaultCluster_REPLY_TOPIC";
const TEXT: &str =
    "CORRELATION_ID\x017\x02REPLY_TO_CLIENT\x01asker@1\x02MSG_TYPE\x01reply\x02WAIT\x01true\x02";

/// A broker that knows the producer `asker@1`, and that one.
fn broker(stores: bool) -> (Still, Arc<MemoryPeer>) {
    let broker = Still::new(|s| s.broker.store_reply_message_enable = stores);
    let asker = client();
    broker.beat(&asker, "asker@1", "unused", "Topic");
    asker.take();
    (broker, asker)
}

fn reply(broker: &Still, replier: &Arc<MemoryPeer>, text: &str) -> i32 {
    let header = SendMessageRequestHeader {
        sys_flag: Some(1 | 0x100 | 0x10),
        flag: Some(9),
        ..to(TOPIC, 0, text)
    };
    broker.begin(replier, request::SEND_REPLY_MESSAGE_V2, &Short(&header), "yes")
}

/// What the producer was handed.
fn pushed(asker: &MemoryPeer) -> Frame {
    let mut told = asker.take();
    assert_eq!(told.len(), 1, "{told:?}");
    let frame = told.remove(0);
    assert_eq!(frame.code, request::PUSH_REPLY_MESSAGE_TO_CLIENT);
    frame
}

/// Message id, queue and queue offset of the answer.
fn place(answer: &Frame) -> (String, i32, i64) {
    let header: SendMessageResponseHeader<'_> = answer.header().unwrap();
    assert_eq!(header.region.as_deref(), Some("DefaultRegion"));
    assert_eq!(header.trace_on.as_deref(), Some("true"));
    (header.msg_id.into_owned(), header.queue_id, header.queue_offset)
}

#[test]
fn a_reply_is_handed_to_who_asked_and_stored() {
    let (broker, asker) = broker(true);
    let replier = client();
    let asked = reply(&broker, &replier, TEXT);
    assert!(
        replier.take_answer(asked).is_none(),
        "nobody has taken the reply yet"
    );
    let frame = pushed(&asker);
    let header: ReplyMessageRequestHeader<'_> = frame.header().unwrap();
    assert_eq!(
        (&*header.topic, header.queue_id, header.flag),
        (TOPIC, 0, Some(9))
    );
    assert_eq!(header.sys_flag, Some(1 | 0x100 | 0x10));
    assert_eq!(header.born_host, replier_address(&replier));
    assert_eq!(header.store_host, "127.0.0.1:10911");
    assert_eq!(header.store_timestamp, 1_700_000_000_000);
    let text = header.properties.unwrap().as_bytes();
    assert_eq!(properties::get_str(text, "CORRELATION_ID"), Some("7"));
    assert_eq!(
        properties::get_str(text, "PUSH_REPLY_TIME"),
        Some("1700000000000")
    );
    assert_eq!(&*frame.body, b"yes");

    asker.answer(frame.opaque, response::SUCCESS, None, &(), "");
    let answer = replier.take_answer(asked).unwrap();
    assert_eq!(answer.code, response::SUCCESS);
    let (id, queue_id, offset) = place(&answer);
    assert_eq!((id.len(), queue_id, offset), (32, 0, 0));
    let kept = broker.pull(&from(TOPIC, 0, 0));
    let all = records(&kept.body);
    assert_eq!((all.len(), all[0].body(), all[0].flag()), (1, &b"yes"[..], 9));
    assert_eq!(all[0].sys_flag(), 1 | 0x100, "how its body is compressed");
    // As in Java just as they came.
    assert_eq!(all[0].properties(), TEXT.as_bytes());
}

fn replier_address(replier: &MemoryPeer) -> String {
    remoting::Peer::address(replier).to_string()
}

pub(crate) const STORED: [&str; 1] = ["storeReplyMessageEnable"];

#[test]
fn replies_are_kept_only_if_the_settings_want_that() {
    let (broker, asker) = broker(false);
    let replier = client();
    for (number, stores) in [false, true, false].into_iter().enumerate() {
        let text = format!("{}={stores}\n", STORED[0]);
        assert_eq!(
            broker.ask(request::UPDATE_BROKER_CONFIG, &(), text).code,
            response::SUCCESS
        );
        let asked = reply(&broker, &replier, TEXT);
        asker.answer(pushed(&asker).opaque, response::SUCCESS, None, &(), "");
        let answer = replier.take_answer(asked).unwrap();
        assert_eq!(answer.code, response::SUCCESS);
        let (id, queue_id, offset) = place(&answer);
        // Clients want some id.
        assert_eq!((id == "0", queue_id, offset), (!stores, 0, 0));
        let kept = broker.parts.log.store.queue_max_offset(TOPIC, 0).0;
        assert_eq!(kept, i64::from(number > 0));
    }
}

/// Codes and texts of Java; what could not be handed over is stored all the same.
#[test]
fn who_replies_is_told_why_nobody_has_the_reply() {
    for stores in [true, false] {
        let (broker, asker) = broker(stores);
        let replier = client();
        let mut kept = 0;
        let mut check = |asked: i32, remark: &str| {
            let answer = replier.take_answer(asked).expect("an answer");
            assert_eq!(refused(&answer), (response::SYSTEM_ERROR, remark));
            if stores {
                assert_eq!(place(&answer).2, kept, "it names the copy");
                kept += 1;
            }
            assert_eq!(broker.parts.log.store.queue_max_offset(TOPIC, 0).0, kept);
        };
        let asked = reply(&broker, &replier, "CORRELATION_ID\x017\x02");
        check(asked, "reply message properties[REPLY_TO_CLIENT] is null");
        let asked = reply(&broker, &replier, "REPLY_TO_CLIENT\x01nobody@1\x02");
        check(asked, "push reply message fail, channel of <nobody@1> not found.");
        let asked = reply(&broker, &replier, TEXT);
        asker.answer(
            pushed(&asker).opaque,
            response::SYSTEM_ERROR,
            Some("too late"),
            &(),
            "",
        );
        check(asked, "push reply message to asker@1fail.");
        let asked = reply(&broker, &replier, TEXT);
        pushed(&asker);
        assert_eq!(asker.answer_nothing(), Duration::from_secs(10));
        check(asked, "push reply message to asker@1fail.");
        let asked = reply(&broker, &replier, TEXT);
        broker
            .parts
            .handlers
            .closed(asker.as_ref() as &dyn remoting::Peer);
        remoting::Peer::close(asker.as_ref(), "gone");
        check(asked, "push reply message to asker@1fail.");
        let asked = reply(&broker, &replier, TEXT);
        check(asked, "push reply message fail, channel of <asker@1> not found.");
    }
}

#[test]
fn bad_replies_get_the_codes_of_bad_sends() {
    let (broker, asker) = broker(true);
    let reply = |header: &SendMessageRequestHeader<'_>| {
        let answer = broker.ask(request::SEND_REPLY_MESSAGE, header, "x");
        (answer.code, answer.remark.unwrap_or_default())
    };
    let (code, remark) = reply(&to(TOPIC, 1, TEXT));
    assert_eq!(code, response::SYSTEM_ERROR);
    assert!(remark.starts_with("request queueId[1] is illegal"), "{remark}");
    assert_eq!(
        reply(&to("SCHEDULE_TOPIC_XXXX", 0, TEXT)).0,
        response::NO_PERMISSION
    );
    assert_eq!(reply(&to("no topic!", 0, TEXT)).0, response::SYSTEM_ERROR);
    let unmade = SendMessageRequestHeader {
        default_topic: None,
        ..to("Unmade", 0, TEXT)
    };
    assert_eq!(reply(&unmade).0, response::TOPIC_NOT_EXIST);
    let text = format!("startAcceptSendRequestTimeStamp={}\n", i64::MAX);
    broker.ask(request::UPDATE_BROKER_CONFIG, &(), text);
    assert_eq!(reply(&to(TOPIC, 0, TEXT)).0, response::SYSTEM_ERROR);
    assert_eq!(asker.take().len(), 0);
}

/// A slave stores nothing of its own, and a reply in its memory is as good as any.
#[test]
fn a_slave_hands_replies_on() {
    let broker = Still::new(|s| {
        s.broker.broker_id = 1;
        s.store.broker_role = broker::settings::BrokerRole::Slave;
    });
    let (asker, replier) = (client(), client());
    broker.beat(&asker, "asker@1", "unused", "Topic");
    asker.take();
    let asked = reply(&broker, &replier, TEXT);
    asker.answer(pushed(&asker).opaque, response::SUCCESS, None, &(), "");
    let answer = replier.take_answer(asked).unwrap();
    assert_eq!((answer.code, place(&answer).0.as_str()), (response::SUCCESS, "0"));
    assert_eq!(broker.parts.log.store.max_physical().0, 0);
}
