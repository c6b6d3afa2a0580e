//! Transactions on a simulated disk and clock: what is stored, who is asked when, and what is given up.

use std::sync::Arc;

use broker::settings::{BrokerRole, FlushDiskType};
use broker::transaction::GROUP;
use disk::Clock;
use message::id::OffsetMessageId;
use message::name::{CHECK_MAX_TIME_TOPIC, HALF_TOPIC, OP_HALF_TOPIC, SCHEDULE_TOPIC};
use message::properties;
use message::record::{Check, Entry, decode};
use protocol::body::KvTable;
use protocol::code::{request, response};
use protocol::header::Short;
use protocol::header::broker::*;
use protocol::{EncodeHeader, Frame};
use remoting::MemoryPeer;
use store::NewRecord;

use crate::fixture::{Fixture, Tested, WITHIN, heartbeat, to};
use crate::log_lines;
use crate::pairs::{answer, eventually};
use crate::still::assembled;
use crate::transaction_scenario::{self, Recording};
use crate::transaction_world::*;

#[test]
fn a_message_is_seen_when_it_is_committed() {
    let world = World::new(|_| {});
    let (kept, dropped) = (world.half("\u{2}TAGS\u{1}a", "kept"), world.half("", "dropped"));
    assert!(world.read("Orders", 2).is_empty());
    assert_eq!(world.end(kept, COMMIT).code, response::SUCCESS);
    assert_eq!(world.end(dropped, ROLLBACK).code, response::SUCCESS);
    let orders = world.read("Orders", 2);
    assert_eq!(orders.len(), 1);
    let order = &orders[0];
    assert_eq!((order.body.as_str(), order.flag, order.sys_flag), ("kept", 5, 8));
    assert_eq!((order.queue_id, order.prepared), (2, kept.1));
    for (name, value) in [
        ("REAL_TOPIC", "Orders"),
        ("REAL_QID", "2"),
        ("TRAN_MSG", "true"),
        ("TAGS", "a"),
    ] {
        assert_eq!(order.property(name), Some(value), "{name}");
    }
    let marks = world.read(OP_HALF_TOPIC, 0);
    let marks: Vec<_> = marks
        .iter()
        .map(|mark| (mark.body.as_str(), mark.text.as_str()))
        .collect();
    let text = "WAIT\u{1}true\u{2}TAGS\u{1}d";
    assert_eq!(marks, [("0", text), ("1", text)]);
    let halves = world.read(HALF_TOPIC, 0);
    assert!(
        halves
            .iter()
            .all(|half| (half.sys_flag, half.flag, half.queue_id) == (0, 5, 0))
    );
    assert!(world.parts.tables.topics.get(HALF_TOPIC).is_some());
    // Both are ended: nobody is asked, and the offsets pass them.
    assert!(world.pass(LATER).is_empty());
    assert_eq!(world.offsets(), (Some(2), Some(2)));
    assert_eq!(
        world.parts.checks.pause_ms(),
        None,
        "it sleeps until something comes"
    );
}

#[test]
fn what_is_no_open_half_message_of_the_group_is_refused() {
    let world = World::new(|_| {});
    let place = world.half("", "a");
    let check = |answer: Frame, code: i32, remark: &str| {
        assert_eq!(
            (answer.code, answer.remark.as_deref().unwrap_or("")),
            (code, remark)
        );
    };
    let error = response::SYSTEM_ERROR;
    check(
        world.end_by("other", place, COMMIT),
        error,
        "The producer group wrong",
    );
    check(
        world.end((7, place.1), ROLLBACK),
        error,
        "The transaction state table offset wrong",
    );
    let missing = "Find prepared transaction message failed";
    for (at, how) in [
        (99_999, COMMIT),
        (99_999, ROLLBACK),
        (place.1 + 1, COMMIT),
        (-1, COMMIT),
    ] {
        check(world.end((place.0, at), how), error, missing);
    }
    check(world.end(place, 5), error, "commitOrRollback field wrong");
    check(world.end(place, 0), response::SUCCESS, "");
    assert!(world.read("Orders", 2).is_empty() && world.read(OP_HALF_TOPIC, 0).is_empty());
    assert_eq!(world.end(place, COMMIT).code, response::SUCCESS);
    // What was committed is a message like others, and not committed by its place once more.
    let order = world.read("Orders", 2).remove(0);
    check(world.end((order.offset, order.physical), COMMIT), error, missing);
    // Unlike Java, which stores once more what it is told twice.
    assert_eq!(world.end(place, COMMIT).code, response::SUCCESS);
    check(
        world.end(place, ROLLBACK),
        error,
        "The half message was committed before",
    );
    assert_eq!(world.bodies("Orders", 2), ["a"]);
    assert!(world.pass(LATER).is_empty());
    assert_eq!(world.offsets(), (Some(1), Some(1)));
}

#[test]
fn what_was_rolled_back_is_never_stored() {
    for clean in [None, Some(true), Some(false)] {
        let mut world = World::new(|_| {});
        let (place, other) = (world.half("", "a"), world.half("", "b"));
        assert_eq!(world.end(place, ROLLBACK).code, response::SUCCESS);
        let how = match clean {
            None => "rolled back",
            // The mark does not say how.
            Some(clean) => {
                world.restart(clean);
                "ended"
            }
        };
        let refused = world.end(place, COMMIT);
        let remark = format!("The half message was {how} before");
        assert_eq!(
            (refused.code, refused.remark),
            (response::SYSTEM_ERROR, Some(remark))
        );
        assert_eq!(world.end(other, COMMIT).code, response::SUCCESS);
        assert_eq!(world.bodies("Orders", 2), ["b"]);
        // The walk is past it.
        assert!(world.pass(LATER).is_empty());
        assert_eq!(world.end(place, COMMIT).code, response::SYSTEM_ERROR);
        assert_eq!(world.bodies("Orders", 2), ["b"]);
    }
}

/// A half message that is put back for each check has many places. Its producer may end it at any of them, and tell that again at any.
#[test]
fn what_was_put_back_is_ended_once_at_whichever_of_its_places() {
    for (at, how) in [
        (0, COMMIT),
        (1, COMMIT),
        (2, COMMIT),
        (0, ROLLBACK),
        (1, ROLLBACK),
        (2, ROLLBACK),
    ] {
        let world = World::new(|_| {});
        let mut places = vec![world.half("", "a")];
        for _ in 0..2 {
            let asked = world.pass(LATER);
            places.push(question(&asked[0]).0);
        }
        assert_eq!(world.end(places[at], how).code, response::SUCCESS);
        for place in &places {
            assert_eq!(
                world.end(*place, how).code,
                response::SUCCESS,
                "{how} {at} {place:?}"
            );
            let other = world.end(*place, COMMIT + ROLLBACK - how);
            assert_eq!(other.code, response::SYSTEM_ERROR, "{how} {at} {place:?}");
        }
        let expected: &[&str] = if how == COMMIT { &["a"] } else { &[] };
        assert_eq!(world.bodies("Orders", 2), expected, "{how} {at}");
        for _ in 0..20 {
            assert!(
                world.pass(LATER).is_empty(),
                "{how} {at}: nobody is asked any more"
            );
        }
        assert!(world.bodies(CHECK_MAX_TIME_TOPIC, 0).is_empty());
        assert_eq!(world.parts.checks.pause_ms(), None);
    }
}

/// The marks name the copy that the check has before it: a broker that starts, ours or Java's, asks for nothing that is ended.
#[test]
fn what_is_ended_at_an_old_place_is_not_asked_for_after_a_restart() {
    for how in [COMMIT, ROLLBACK] {
        for clean in [true, false] {
            let mut world = World::new(|_| {});
            let place = world.half("", "a");
            assert_eq!(world.pass(LATER).len(), 1);
            assert_eq!(world.end(place, how).code, response::SUCCESS);
            world.restart(clean);
            for _ in 0..20 {
                assert!(world.pass(LATER).is_empty(), "{how} {clean}");
            }
            assert!(world.bodies(CHECK_MAX_TIME_TOPIC, 0).is_empty());
            assert_eq!(world.bodies("Orders", 2).len(), usize::from(how == COMMIT));
        }
    }
}

/// Consumers get both properties with a message that was put back, and one that is sent on brings them.
#[test]
fn what_the_broker_says_of_a_half_message_is_not_for_clients_to_say() {
    let world = World::new(|_| {});
    let others = world.half("", "others");
    let named = format!("\u{2}TRAN_PREPARED_QUEUE_OFFSET\u{1}{}", others.0);
    let named = format!("{named}\u{2}TRANSACTION_CHECK_TIMES\u{1}15");
    let sent_on = world.half(&named, "sent on");
    assert_eq!(world.end(sent_on, ROLLBACK).code, response::SUCCESS);
    let again = world.half(&named, "again");
    assert_eq!(world.end(others, COMMIT).code, response::SUCCESS);
    assert_eq!(world.bodies("Orders", 2), ["others"]);
    // And it is asked for like any other.
    let asked = world.pass(LATER);
    assert_eq!(asked.len(), 1);
    let (place, body, _) = question(&asked[0]);
    assert_eq!(body, "again");
    assert_eq!(world.end(place, COMMIT).code, response::SUCCESS);
    assert_eq!(world.end(again, COMMIT).code, response::SUCCESS);
    assert_eq!(world.bodies("Orders", 2), ["others", "again"]);
    assert!(world.bodies(CHECK_MAX_TIME_TOPIC, 0).is_empty());
}

#[test]
fn an_end_that_can_not_be_written_may_be_told_again() {
    let world = World::new(|_| {});
    let place = world.half("", "a");
    let disk_is = |used| {
        world.disk.set_usage(disk::Usage {
            used,
            available: 100 - used,
        });
        world.parts.log.store.tick_disk(world.clock.now_ms());
    };
    disk_is(99);
    for how in [COMMIT, ROLLBACK] {
        assert_eq!(world.end(place, how).code, response::SERVICE_NOT_AVAILABLE);
    }
    disk_is(1);
    assert_eq!(world.end(place, COMMIT).code, response::SUCCESS);
    assert_eq!(world.bodies("Orders", 2), ["a"]);
}

/// A level that is no number is no wish to have the message at once.
#[test]
fn a_delay_that_is_no_number_is_refused() {
    let world = World::new(|_| {});
    let send = |text: &str, sys_flag, batch| {
        let header = SendMessageRequestHeader {
            sys_flag: Some(sys_flag),
            batch,
            ..to("Orders", 2, text)
        };
        world.ask(request::SEND_MESSAGE_V2, &Short(&header), b"x")
    };
    for level in ["abc", "1.5", "2147483648", " 3", "3 "] {
        let text = format!("DELAY\u{1}{level}");
        let half = format!("{text}\u{2}TRAN_MSG\u{1}true\u{2}PGROUP\u{1}p");
        for answer in [
            send(&text, 0, None),
            send(&half, 4, None),
            send(&text, 0, Some(true)),
        ] {
            let remark = answer.remark.unwrap_or_default();
            assert_eq!(answer.code, response::SYSTEM_ERROR, "{level:?}: {remark}");
            let java = format!("java.lang.NumberFormatException: For input string: \"{level}\"");
            assert!(remark.starts_with(&java), "{remark}");
        }
    }
    assert_eq!(world.parts.log.store.max_physical().0, 0);
    for (level, queue) in [("+3", 2), ("03", 2), ("99", 17)] {
        let sent = send(&format!("DELAY\u{1}{level}"), 0, None);
        assert_eq!(sent.code, response::SUCCESS, "{level}: {:?}", sent.remark);
        assert!(!world.bodies(SCHEDULE_TOPIC, queue).is_empty(), "{level}");
    }
    for level in ["0", "-1"] {
        assert_eq!(
            send(&format!("DELAY\u{1}{level}"), 0, None).code,
            response::SUCCESS
        );
    }
    assert_eq!(world.bodies("Orders", 2).len(), 2);
}

#[test]
fn a_slave_ends_nothing() {
    let world = World::new(|_| {});
    let place = world.half("", "a");
    let mut settings = world.settings.clone();
    settings.store.broker_role = BrokerRole::Slave;
    let slave = World {
        parts: assembled(settings.clone(), &world.disk.kill(), &world.clock),
        ..world
    };
    assert_eq!(slave.end(place, COMMIT).code, response::SLAVE_NOT_AVAILABLE);
    assert!(slave.read("Orders", 2).is_empty());
}

#[test]
fn what_a_consumer_sends_to_its_retry_topic_is_no_half_message() {
    let world = World::new(|_| {});
    let header = SendMessageRequestHeader {
        reconsume_times: Some(1),
        ..to(
            "%RETRY%g",
            0,
            "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}p\u{2}DELAY\u{1}3",
        )
    };
    let sent = world.ask(request::SEND_MESSAGE_V2, &Short(&header), b"again");
    assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    assert_eq!(world.bodies(SCHEDULE_TOPIC, 2), ["again"]);
    assert!(world.read(HALF_TOPIC, 0).is_empty());
}

#[test]
fn a_delayed_message_is_delayed_from_its_commit_on() {
    let world = World::new(|_| {});
    let place = world.half("\u{2}DELAY\u{1}99", "late");
    assert_eq!(world.end(place, COMMIT).code, response::SUCCESS);
    assert!(world.read("Orders", 2).is_empty());
    let parked = world.read(SCHEDULE_TOPIC, 17).remove(0);
    assert_eq!((parked.property("DELAY"), parked.sys_flag), (Some("18"), 8));
    assert_eq!((parked.property("TRAN_MSG"), parked.prepared), (None, place.1));
    world.clock.advance(2 * 3_600_000);
    world.parts.delivery.look(&mut Default::default());
    assert_eq!(world.bodies("Orders", 2), ["late"]);
}

#[test]
fn nobody_is_asked_too_early_and_the_answer_ends_the_copy() {
    let world = World::new(|s| s.broker.transaction_time_out = 90_000);
    let first = world.half("\u{2}KEYS\u{1}k", "a");
    assert_eq!(first.0, 0);
    assert!(world.pass(59_000).is_empty(), "the interval is not over");
    assert!(world.pass(10_000).is_empty(), "it is young");
    assert!(world.pass(10_000).is_empty(), "the interval is not over again");
    let asked = world.pass(50_000);
    assert_eq!(asked.len(), 1);
    let (copy, body, text) = question(&asked[0]);
    assert_eq!((copy.0, body.as_str()), (1, "a"));
    let was = world.read(HALF_TOPIC, 0).remove(0).text;
    let mut was: Vec<String> = properties::pairs(was.as_bytes())
        .map(|p| format!("{p:?}"))
        .collect();
    let pairs: Vec<String> = properties::pairs(text.as_bytes())
        .map(|p| format!("{p:?}"))
        .collect();
    was.retain(|pair| !pairs.contains(pair));
    assert!(was.is_empty(), "the original's properties are all there: {was:?}");
    assert_eq!(
        properties::get_str(text.as_bytes(), "TRANSACTION_CHECK_TIMES"),
        Some("1")
    );
    let header: CheckTransactionStateRequestHeader<'_> = asked[0].header().unwrap();
    assert_eq!(
        (header.msg_id.as_deref(), header.transaction_id.as_deref()),
        (Some("Ua"), Some("Ua"))
    );
    let id: OffsetMessageId = header.offset_msg_id.unwrap().parse().unwrap();
    assert_eq!(id.physical_offset, copy.1);
    assert_eq!(world.end(copy, COMMIT).code, response::SUCCESS);
    assert_eq!(world.bodies("Orders", 2), ["a"]);
    assert!(world.pass(LATER).is_empty());
    assert_eq!(world.offsets(), (Some(2), Some(1)));
}

#[test]
fn who_is_asked_in_vain_is_asked_again_until_it_is_enough() {
    let world = World::new(|s| s.broker.transaction_check_max = 3);
    world.half("", "a");
    for times in ["1", "2", "3"] {
        let asked = world.pass(LATER);
        assert_eq!(asked.len(), 1, "{times}");
        let text = question(&asked[0]).2;
        assert_eq!(
            properties::get_str(text.as_bytes(), "TRANSACTION_CHECK_TIMES"),
            Some(times)
        );
    }
    assert!(world.pass(LATER).is_empty());
    let given_up = world.read(CHECK_MAX_TIME_TOPIC, 0);
    assert_eq!(given_up.len(), 1);
    assert_eq!((given_up[0].body.as_str(), given_up[0].flag), ("a", 5));
    assert_eq!(given_up[0].property("TRANSACTION_CHECK_TIMES"), Some("3"));
    assert!(world.parts.tables.topics.get(CHECK_MAX_TIME_TOPIC).is_some());
    assert_eq!(world.parts.checks.pause_ms(), None, "nothing is checked for ever");
    // An operator has it checked once more.
    let id = OffsetMessageId {
        store_host: world.parts.log.appender.store_host,
        physical_offset: given_up[0].physical,
    };
    let resume = |id: String| {
        let header = ResumeCheckHalfMessageRequestHeader {
            msg_id: Some(id.into()),
        };
        world.ask(request::RESUME_CHECK_HALF_MESSAGE, &header, b"").code
    };
    assert_eq!(resume(id.to_string()), response::SUCCESS);
    assert_eq!(resume("no id".to_owned()), response::SYSTEM_ERROR);
    let asked = world.pass(LATER);
    let (copy, _, text) = question(&asked[0]);
    assert_eq!(
        properties::get_str(text.as_bytes(), "TRANSACTION_CHECK_TIMES"),
        Some("1")
    );
    world.end(copy, COMMIT);
    assert_eq!(world.bodies("Orders", 2), ["a"]);
}

#[test]
fn what_is_older_than_the_log_is_kept_is_given_up() {
    let world = World::new(|s| s.store.file_reserved_time = 1);
    world.half("", "a");
    assert_eq!(world.pass(3_600_000).len(), 1);
    assert!(world.pass(LATER).is_empty());
    assert_eq!(world.bodies(CHECK_MAX_TIME_TOPIC, 0), ["a"]);
}

#[test]
fn without_a_producer_the_checks_go_on_and_any_of_the_group_is_asked() {
    let world = World::new(|_| {});
    world.half("", "a");
    world.parts.handlers.closed(world.peer.as_ref());
    assert!(world.pass(LATER).is_empty());
    assert_eq!(
        world.read(HALF_TOPIC, 0)[1].property("TRANSACTION_CHECK_TIMES"),
        Some("1")
    );
    let other = World {
        peer: MemoryPeer::new(([127, 0, 0, 1], 4001).into()),
        ..world
    };
    other.beat();
    let asked = other.pass(LATER);
    let (copy, _, text) = question(&asked[0]);
    assert_eq!(
        properties::get_str(text.as_bytes(), "TRANSACTION_CHECK_TIMES"),
        Some("2")
    );
    assert_eq!(other.end(copy, ROLLBACK).code, response::SUCCESS);
    assert!(other.pass(LATER).is_empty() && other.read("Orders", 2).is_empty());
}

#[test]
fn a_producer_that_does_not_read_holds_up_a_round_for_a_while() {
    let world = World::new(|_| {});
    for body in ["a", "b"] {
        world.half("", body);
    }
    world.peer.set_congested(true);
    assert!(world.pass(LATER).is_empty());
    assert_eq!(
        world.read(HALF_TOPIC, 0).len(),
        2,
        "nothing is put back for nobody"
    );
    world.peer.set_congested(false);
    assert_eq!(world.pass(60).len(), 2);
    world.peer.set_congested(true);
    // It never reads again: the others' transactions go on without it.
    for _ in 0..2_000 {
        world.pass(60);
    }
    assert!(world.read(HALF_TOPIC, 0).len() > 4);
}

#[test]
fn an_immune_message_is_not_asked_for_and_its_commit_is_not_forgotten() {
    let world = World::new(|s| s.broker.transaction_check_max = 2);
    let immune = "\u{2}CHECK_IMMUNITY_TIME_IN_SECONDS\u{1}600";
    let (first, second) = (world.half(immune, "a"), world.half(immune, "b"));
    for _ in 0..4 {
        assert!(world.pass(LATER).is_empty());
    }
    let copies = world.read(HALF_TOPIC, 0);
    let last = copies.last().unwrap();
    assert_eq!(
        (last.property("TRAN_PREPARED_QUEUE_OFFSET"), last.property("WAIT")),
        (Some("1"), Some("false"))
    );
    assert_eq!(
        last.property("TRANSACTION_CHECK_TIMES"),
        None,
        "it was not asked for"
    );
    // Its producer knows the first place only.
    assert_eq!(world.end(first, COMMIT).code, response::SUCCESS);
    let asked = (0..9).flat_map(|_| world.pass(LATER)).collect::<Vec<_>>();
    let asked: Vec<_> = asked.iter().map(question).collect();
    assert!(
        !asked.is_empty() && asked.iter().all(|(_, body, _)| body == "b"),
        "{asked:?}"
    );
    assert_eq!(world.bodies("Orders", 2), ["a"]);
    assert_eq!(world.end(second, ROLLBACK).code, response::SUCCESS);
    assert!(world.pass(LATER).is_empty() || !world.bodies(CHECK_MAX_TIME_TOPIC, 0).contains(&"a".to_owned()));
    // Two marks of the rollback: it names the first place, and the check has the last copy before it.
    let all = world.read(HALF_TOPIC, 0).len() as i64;
    assert_eq!(world.offsets(), (Some(all), Some(3)));
}

/// What is committed and not yet on the disk is not marked: its producer is asked, and the answer marks it.
#[test]
fn a_commit_that_waited_too_long_for_the_disk_is_marked_when_it_is_told_again() {
    let immune = "\u{2}CHECK_IMMUNITY_TIME_IN_SECONDS\u{1}100";
    for more in [immune, ""] {
        let world = World::new(|s| {
            s.store.flush_disk_type = FlushDiskType::SyncFlush;
            s.broker.transaction_check_max = 3;
        });
        let place = world.half(more, "a");
        if !more.is_empty() {
            assert!(world.pass(LATER).is_empty(), "a copy is put back");
        }
        assert_eq!(world.commit_unflushed(place).code, response::SUCCESS);
        let asked = (0..9).map(|_| world.pass(LATER)).find(|asked| !asked.is_empty());
        let (copy, body, _) = question(&asked.expect("it may not be safe")[0]);
        assert_eq!(body, "a");
        assert_eq!(world.end(copy, COMMIT).code, response::SUCCESS);
        for _ in 0..9 {
            assert!(world.pass(LATER).is_empty(), "{more:?}: it is ended");
        }
        assert!(world.bodies(CHECK_MAX_TIME_TOPIC, 0).is_empty());
        assert_eq!(world.bodies("Orders", 2), ["a"]);
    }
}

#[test]
fn immunity_that_is_no_number_is_the_usual_one() {
    let world = World::new(|_| {});
    world.half("\u{2}CHECK_IMMUNITY_TIME_IN_SECONDS\u{1}soon", "a");
    assert_eq!(world.pass(LATER).len(), 1);
}

/// Marks as 5.x writes them: several half messages in one.
#[test]
fn batches_of_marks_are_understood() {
    let world = World::new(|_| {});
    for body in ["a", "b", "c", "d"] {
        world.half("", body);
    }
    let host = world.parts.log.appender.store_host;
    let mark = |body: &str| {
        let record = NewRecord {
            topic: OP_HALF_TOPIC,
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_timestamp: START,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: body.as_bytes(),
            properties: b"WAIT\x01true\x02TAGS\x01d\x02",
            joined: false,
        };
        world.parts.log.appender.append_copy(&record, START).unwrap();
    };
    mark("3,0,");
    mark("no mark at all");
    mark("1,1,99,");
    let asked = world.pass(LATER);
    assert_eq!(
        asked.iter().map(|frame| question(frame).1).collect::<Vec<_>>(),
        ["c"]
    );
    assert_eq!(world.offsets(), (Some(4), Some(3)));
}

#[test]
fn progress_is_written_when_the_log_is_durable() {
    for flush in [FlushDiskType::AsyncFlush, FlushDiskType::SyncFlush] {
        let mut world = World::new(|s| s.store.flush_disk_type = flush);
        world.half("", "a");
        world.clock.advance(LATER);
        while world.parts.checks.pause_ms() == Some(0) {
            world.parts.checks.look();
        }
        assert_eq!(world.peer.take().len(), 1);
        assert_eq!(world.offsets(), (None, None), "its copy may be lost yet");
        // It is, or is not known to be passed: the message is asked for again.
        world.restart(false);
        let left = world.read(HALF_TOPIC, 0).len();
        assert_eq!(world.pass(LATER).len(), 1, "where {left} of the two are left");
        assert_eq!(world.offsets(), (Some(left as i64), Some(0)));
        // At a clean stop it is written, whatever waits.
        world.clock.advance(LATER);
        while world.parts.checks.pause_ms() == Some(0) {
            world.parts.checks.look();
        }
        assert_eq!(world.offsets(), (Some(left as i64), Some(0)));
        world.restart(true);
        assert_eq!(world.offsets(), (Some(left as i64 + 1), Some(0)));
    }
}

#[test]
fn offsets_of_a_log_that_is_gone_or_of_an_operator_are_followed() {
    let world = World::new(|_| {});
    let offsets = Arc::clone(&world.parts.tables.offsets);
    let set = |half, mark| {
        offsets.commit(GROUP, HALF_TOPIC, 0, half).unwrap();
        offsets.commit(GROUP, OP_HALF_TOPIC, 0, mark).unwrap();
    };
    set(500, 700);
    let place = world.half("", "a");
    log_lines::keep();
    assert_eq!(
        world.pass(LATER).len(),
        0,
        "the offset said that it was looked at"
    );
    for line in [
        "transactions were looked through up to 500 of RMQ_SYS_TRANS_HALF_TOPIC, where its queue has no message: it goes on at 1",
        "transactions were looked through up to 700 of RMQ_SYS_TRANS_OP_HALF_TOPIC, where its queue has no message: it goes on at 0",
    ] {
        assert!(log_lines::has(line), "{line}");
    }
    world.end(place, COMMIT);
    set(0, 0);
    world.half("", "b");
    assert_eq!(world.pass(LATER).len(), 1, "a is ended, b is not");
    set(0, 1);
    // b is asked for at one place. Of a it is known that it is ended: it is put back before, and the copy is marked.
    let asked = world.pass(LATER);
    let places: Vec<i64> = asked.iter().map(|frame| question(frame).0.0).collect();
    assert_eq!(places, [4]);
}

#[test]
fn what_was_put_back_before_a_takeover_is_asked_for_once() {
    for ended in [None, Some(COMMIT), Some(ROLLBACK)] {
        let mut world = World::new(|_| {});
        let mut place = world.half("", "a");
        for _ in 0..3 {
            place = question(&world.pass(LATER)[0]).0;
        }
        if let Some(how) = ended {
            assert_eq!(world.end(place, how).code, response::SUCCESS);
        }
        world.take_over();
        let asks = usize::from(ended.is_none());
        for round in 1..4 {
            let asked = world.pass(LATER);
            assert_eq!(asked.len(), asks, "{ended:?}, round {round}");
            assert_eq!(world.read(HALF_TOPIC, 0).len(), 4 + round * asks);
            if let Some(asked) = asked.first() {
                place = question(asked).0;
            }
        }
        if ended.is_none() {
            assert_eq!(world.end(place, COMMIT).code, response::SUCCESS);
            assert!(world.pass(LATER).is_empty());
        }
        let commits = usize::from(ended != Some(ROLLBACK));
        assert_eq!(world.bodies("Orders", 2).len(), commits);
    }
}

/// A client that heard no answer sends once more, with the same key: these are two messages, and a copy of one is none of the other.
#[test]
fn what_a_client_has_sent_twice_is_asked_for_twice_after_a_takeover() {
    let mut world = World::new(|_| {});
    world.half("", "a");
    world.clock.advance(3_000);
    world.half("", "a");
    assert_eq!(world.pass(LATER).len(), 2);
    world.take_over();
    let asked = world.pass(LATER);
    let places: Vec<i64> = asked.iter().map(|frame| question(frame).0.0).collect();
    assert_eq!(places, [4, 5]);
}

#[test]
fn many_are_walked_in_small_steps() {
    const COUNT: usize = 3000;
    let world = World::new(|_| {});
    let places: Vec<Place> = (0..COUNT)
        .map(|number| world.half("", &number.to_string()))
        .collect();
    for place in places.iter().step_by(2) {
        world.end(*place, ROLLBACK);
    }
    world.clock.advance(LATER);
    world.parts.log.flusher.flush(0);
    let mut steps = Vec::new();
    while world.parts.checks.pause_ms() == Some(0) {
        world.parts.checks.look();
        steps.push(world.peer.take().len());
    }
    assert_eq!(steps.iter().sum::<usize>(), COUNT / 2);
    assert!(
        steps.len() >= 2 && steps.iter().all(|asked| *asked <= 1024),
        "{steps:?}"
    );
}

#[test]
fn half_messages_are_refused_as_of_now() {
    let world = World::new(|s| s.broker.reject_transaction_message = true);
    let refused = world.send("", "a");
    assert_eq!(refused.code, response::NO_PERMISSION);
    assert_eq!(
        refused.remark.as_deref(),
        Some("the broker[127.0.0.1] sending transaction message is forbidden")
    );
    let change = "rejectTransactionMessage=false\n";
    let changed = world.ask(request::UPDATE_BROKER_CONFIG, &(), change.as_bytes());
    assert_eq!(changed.code, response::SUCCESS, "{:?}", changed.remark);
    assert_eq!(world.send("", "a").code, response::SUCCESS);
}

#[test]
fn what_could_not_be_committed_is_refused() {
    let world = World::new(|_| {});
    // The copy in the half topic needs more room in the properties than the message.
    let refused = world.send(&format!("\u{2}K\u{1}{}", "x".repeat(32_700)), "a");
    assert_eq!(refused.code, response::MESSAGE_ILLEGAL, "{:?}", refused.remark);
    assert!(world.read(HALF_TOPIC, 0).is_empty());
}

#[test]
fn the_page_of_state_and_operators_see_open_transactions() {
    let world = World::new(|_| {});
    let shown = || {
        let answer = world.ask(request::GET_BROKER_RUNTIME_INFO, &(), b"");
        let table = protocol::body::read::<KvTable>(&answer.body).unwrap().table;
        [
            "NotLookedAt",
            "Asked",
            "Unasked",
            "GivenUp",
            "Committed",
            "RolledBack",
        ]
        .map(|name| table[&format!("transactions{name}")].parse::<u64>().unwrap())
    };
    world.half("", "a");
    assert_eq!(shown(), [1, 0, 0, 0, 0, 0]);
    let copy = question(&world.pass(LATER)[0]).0;
    assert_eq!(shown(), [1, 1, 0, 0, 0, 0], "the copy");
    world.end(copy, COMMIT);
    world.pass(LATER);
    assert_eq!(shown(), [0, 1, 0, 0, 1, 0]);
    world.half("", "b");
    world.parts.handlers.closed(world.peer.as_ref());
    for _ in 0..16 {
        world.pass(LATER);
    }
    assert_eq!(shown(), [0, 1, 15, 1, 1, 0]);
    world.end(world.half("", "c"), ROLLBACK);
    assert_eq!(shown()[4..], [1, 1]);
}

/// A recorded line: a step or a record, and its bytes.
fn recorded(line: &str) -> (&str, Vec<u8>) {
    let (head, hex) = line.rsplit_once(' ').unwrap();
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (head, (0..hex.len()).step_by(2).map(digit).collect())
}

/// The last record but for its count of checks, which Java counts up for an immune message.
fn without_checks(record: &[u8]) -> (String, Vec<(String, String)>) {
    let Ok(Entry::Record(view)) = decode(record, Check::Body) else {
        panic!("no record");
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pairs = properties::pairs(view.properties()).map(|(name, value)| (text(name), text(value)));
    let pairs = pairs
        .filter(|(name, _)| name != "TRANSACTION_CHECK_TIMES")
        .collect();
    (
        format!("{} {} {}", view.topic(), view.queue_id(), view.queue_offset()),
        pairs,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_and_said_is_javas_byte_for_byte() {
    let fixture = Fixture::new(|s| {
        s.broker.transaction_check_interval = 500;
        s.broker.transaction_time_out = 200;
        s.broker.transaction_check_max = 2;
    })
    .await;
    let (address, log_dir) = (format!("127.0.0.1:{}", fixture.port), fixture.log_dir());
    let made = tokio::task::spawn_blocking(move || {
        let said = Recording::make(&address);
        (said, transaction_scenario::records(&log_dir))
    });
    let (said, stored) = made.await.unwrap();
    let golden = include_str!("../golden/java-4.9.7/transactions.txt");
    let java = |kind: &[&str]| -> Vec<&str> {
        let lines = golden.lines();
        lines
            .filter(|line| kind.iter().any(|kind| line.starts_with(kind)))
            .collect()
    };
    // 4.9 says so where a handler sets no remark.
    let plain: Vec<String> = java(&["ANSWER", "CHECK"])
        .iter()
        .map(|line| line.replace("0 not set any response code", "0 "))
        .collect();
    assert_eq!(said, plain);
    let expected = java(&["RECORD"]);
    assert_eq!(stored.len(), expected.len());
    let (last, rest) = stored.split_last().unwrap();
    for (ours, javas) in rest.iter().zip(&expected) {
        assert_eq!(recorded(ours), recorded(javas));
    }
    let javas = recorded(expected.last().unwrap());
    assert_eq!(without_checks(&recorded(last).1), without_checks(&javas.1));
    fixture.stop().await;
}

/// How far the check is does not wait for the next thorough flush: a kill until then had what was ended meanwhile asked for again.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_back_is_soon_passed_for_good() {
    let fixture = Fixture::new(|s| {
        s.store.flush_disk_type = FlushDiskType::AsyncFlush;
        s.store.flush_commit_log_thorough_interval = i32::MAX;
        s.broker.transaction_time_out = 0;
        s.broker.transaction_check_interval = 1_000;
    })
    .await;
    let half = to("Orders", 2, "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}p");
    assert_eq!(fixture.send(&half, b"a").await.code, response::SUCCESS);
    eventually("it is written", async || {
        let offsets = answer(&fixture, request::GET_ALL_CONSUMER_OFFSET).await;
        offsets["offsetTable"][format!("{HALF_TOPIC}@{GROUP}")]["0"].is_number()
    })
    .await;
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_follow_the_settings_of_now() {
    let fixture = Fixture::new(|s| s.broker.transaction_time_out = 600_000).await;
    let changes = Tested::new(&LIVE);
    let (conn, mut notices, _client) = fixture.own_connection().await;
    let ask = async |code: i32, header: &(dyn EncodeHeader + Sync), body: &str| {
        let body = remoting::Body::from(body.as_bytes().to_vec());
        conn.invoke(code, header, body, WITHIN).await.unwrap()
    };
    let beat = heartbeat("c@1", "g", "Orders");
    assert_eq!(ask(request::HEART_BEAT, &(), &beat).await.code, response::SUCCESS);
    let now = disk::SystemClock.now_ms();
    let half = async || {
        let header = SendMessageRequestHeader {
            born_timestamp: now - 1000,
            ..to("Orders", 2, "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}p")
        };
        ask(request::SEND_MESSAGE_V2, &Short(&header), "a").await.code
    };
    assert_eq!(half().await, response::SUCCESS);
    // It is young for ten minutes, and the next look is in one.
    changes
        .set(&fixture, "transactionTimeOut=0\ntransactionCheckInterval=100\n")
        .await;
    let mut asked = 0;
    while asked < 2 {
        let notice = tokio::time::timeout(WITHIN, notices.recv())
            .await
            .unwrap()
            .unwrap();
        asked += usize::from(notice.code == request::CHECK_TRANSACTION_STATE);
    }
    changes.set(&fixture, "transactionCheckMax=2\n").await;
    let given_up = async || {
        let header = TopicRequestHeader {
            topic: CHECK_MAX_TIME_TOPIC.into(),
        };
        ask(request::GET_TOPIC_STATS_INFO, &header, "").await.code == response::SUCCESS
    };
    let started = std::time::Instant::now();
    while !given_up().await {
        assert!(started.elapsed() < WITHIN, "it is not given up");
    }
    changes.set(&fixture, "rejectTransactionMessage=true\n").await;
    assert_eq!(half().await, response::NO_PERMISSION);
    fixture.stop().await;
}

/// The live settings of transactions.
pub(crate) const LIVE: [&str; 4] = [
    "rejectTransactionMessage",
    "transactionTimeOut",
    "transactionCheckMax",
    "transactionCheckInterval",
];

/// The message goes to the queues that it names when it is committed. Its copies would be there as often as it was checked.
#[test]
fn a_half_message_is_not_in_the_queues_that_it_names() {
    let world = World::new(|s| {
        s.store.enable_lmq = true;
        s.store.enable_multi_dispatch = true;
        s.broker.transaction_check_max = 2;
    });
    let named = "\u{2}INNER_MULTI_DISPATCH\u{1}%LMQ%a,Other";
    let given_up = world.half(named, "given up");
    for _ in 0..4 {
        world.pass(LATER);
    }
    assert_eq!(world.bodies(CHECK_MAX_TIME_TOPIC, 0), ["given up"]);
    let end = |topic, id| world.parts.log.store.queue_max_offset(topic, id).0;
    assert_eq!((given_up.0, end("%LMQ%a", 0), end("Other", 2)), (0, 0, 0));
    let committed = world.half(named, "committed");
    assert_eq!(world.end(committed, COMMIT).code, response::SUCCESS);
    assert_eq!((end("%LMQ%a", 0), end("Other", 2)), (1, 1));
}

/// Its properties have no room for the count of its checks: it is asked for once, and kept where operators look.
#[test]
fn a_half_message_without_room_for_a_count_is_asked_for_and_kept() {
    let world = World::new(|_| {});
    // The longest that is taken.
    let pad = |len: usize| format!("\u{2}PAD\u{1}{}", "x".repeat(len));
    let (mut fits, mut too_long) = (30_000, 33_000);
    while too_long - fits > 1 {
        let len = (fits + too_long) / 2;
        match world.send(&pad(len), "probe").code {
            response::SUCCESS => fits = len,
            _ => too_long = len,
        }
    }
    world.pass(LATER);
    let runtime = || {
        let answer = world.ask(request::GET_BROKER_RUNTIME_INFO, &(), b"");
        protocol::body::read::<KvTable>(&answer.body).unwrap().table
    };
    let before = runtime();
    let given_up = world.bodies(CHECK_MAX_TIME_TOPIC, 0).len();
    let big = world.half(&pad(fits), "big");
    let small = world.half("", "small");
    let asked: Vec<_> = world.pass(LATER).iter().map(question).collect();
    let find = |body: &str| asked.iter().find(|(_, found, _)| found == body).unwrap();
    assert_eq!(find("big").0, big, "where it is");
    assert!(find("small").0.0 > small.0, "a copy");
    let kept = world.bodies(CHECK_MAX_TIME_TOPIC, 0);
    assert_eq!(kept.len(), given_up + 1);
    assert_eq!(kept.last().map(String::as_str), Some("big"));
    let number = |table: &std::collections::BTreeMap<String, String>| -> u64 {
        table["transactionsGivenUp"].parse().unwrap()
    };
    assert_eq!(number(&runtime()), number(&before) + 1);
    assert_eq!(world.end(big, COMMIT).code, response::SUCCESS);
    assert_eq!(world.bodies("Orders", 2), ["big"]);
    // One that may not be asked for yet stays, and is asked for when it may.
    let immune = pad(fits - 40) + "\u{2}CHECK_IMMUNITY_TIME_IN_SECONDS\u{1}90";
    world.half(&immune, "immune");
    let bodies = |asked: Vec<Frame>| -> Vec<String> { asked.iter().map(|f| question(f).1).collect() };
    assert!(!bodies(world.pass(LATER)).contains(&"immune".to_owned()));
    assert!(bodies(world.pass(LATER)).contains(&"immune".to_owned()));
}
