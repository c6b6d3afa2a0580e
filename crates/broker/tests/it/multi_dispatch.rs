//! Queues that a message names (INNER_MULTI_DISPATCH): which ones a client may name, and which copies are not in them again.

use message::batch;
use message::name::{CHECK_MAX_TIME_TOPIC, HALF_TOPIC, OP_HALF_TOPIC, SCHEDULE_TOPIC};
use protocol::code::{request, response};
use protocol::header::Short;
use protocol::header::broker::*;

use crate::fixture::to;
use crate::still::Still;

fn broker() -> Still {
    Still::new(|s| {
        s.store.enable_lmq = true;
        s.store.enable_multi_dispatch = true;
        s.broker.store_reply_message_enable = true;
    })
}

/// Half messages, marks, delayed messages: what only the broker writes. A mark of a client's would end a half message, and one
/// sent to the queue of half messages would be asked for.
#[test]
fn what_a_send_is_forbidden_to_can_not_be_named() {
    let broker = broker();
    let reserved = [
        HALF_TOPIC,
        OP_HALF_TOPIC,
        SCHEDULE_TOPIC,
        CHECK_MAX_TIME_TOPIC,
        "SELF_TEST_TOPIC",
        "OFFSET_MOVED_EVENT",
    ];
    for name in reserved {
        let named = format!("INNER_MULTI_DISPATCH\x01%LMQ%a,{name},\x02REAL_TOPIC\x01victim\x02");
        for more in ["", "DELAY\x011", "TRAN_MSG\x01true\x02PGROUP\x01p"] {
            let text = format!("{named}{more}");
            let refused = broker.send(&to("Topic", 0, &text), b"x");
            assert_eq!(refused.code, response::MESSAGE_ILLEGAL, "{name} {more}");
            let remark = refused.remark.unwrap_or_default();
            assert!(remark.contains(name), "{remark}");
        }
        let reply = to("DefaultCluster_REPLY_TOPIC", 0, &named);
        let refused = broker.ask(request::SEND_REPLY_MESSAGE_V2, &Short(&reply), "x");
        assert_eq!(refused.code, response::MESSAGE_ILLEGAL, "{name} in a reply");
        let mut body = Vec::new();
        batch::push_entry(&mut body, 0, b"first", b"");
        batch::push_entry(&mut body, 0, b"second", named.as_bytes());
        for (text, body) in [("", &body[..]), (&named, &body[..batch::OVERHEAD_BYTES + 5])] {
            let header = SendMessageRequestHeader {
                batch: Some(true),
                ..to("Topic", 0, text)
            };
            let refused = broker.send(&header, body);
            assert_eq!(refused.code, response::MESSAGE_ILLEGAL, "{name} in a batch");
        }
    }
    let store = &broker.parts.log.store;
    assert_eq!(store.max_physical().0, 0, "nothing of all that is stored");
    let named = broker.send(&to("Topic", 0, "INNER_MULTI_DISPATCH\x01%LMQ%a,Other"), b"x");
    assert_eq!(named.code, response::SUCCESS, "{:?}", named.remark);
    assert_eq!(store.queue_max_offset("Other", 0).0, 1);
}

/// The message was in them when it came, or is in them when it is committed.
#[test]
fn dead_letters_are_not_dispatched_again() {
    let broker = broker();
    let sent = broker.send(&to("Topic", 0, "INNER_MULTI_DISPATCH\x01%LMQ%a,Other"), b"x");
    let place: SendMessageResponseHeader<'_> = sent.header().unwrap();
    let id: message::id::OffsetMessageId = place.msg_id.parse().unwrap();
    let back = ConsumerSendMsgBackRequestHeader {
        offset: id.physical_offset,
        group: "g".into(),
        // To the dead letters at once.
        delay_level: -1,
        origin_msg_id: None,
        origin_topic: Some("Topic".into()),
        unit_mode: None,
        max_reconsume_times: None,
    };
    let answer = broker.ask(request::CONSUMER_SEND_MSG_BACK, &back, "");
    assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
    let end = |topic| broker.parts.log.store.queue_max_offset(topic, 0).0;
    assert_eq!((end("%DLQ%g"), end("%LMQ%a"), end("Other")), (1, 1, 1));
}
