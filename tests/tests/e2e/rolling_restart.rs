//! Every broker of `conf/2m-2s-async`, and of `conf/2m-2s-sync`, is stopped and started again, one after the other, under clients
//! with the defaults that their users have: no send fails after the client's own retries, no consumer stands still, nothing is lost,
//! and nothing is stored twice.

use crate::check::*;
use crate::replicated_clusters::{TOPIC, TwoPairs, wait_more, wait_received};
use cluster::{Client, Event, Language, Wire};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const GET_MAX_OFFSET: i32 = 30;
const LANGUAGES: [(&str, Language); 5] = [
    ("java4", JAVA_4),
    ("java5", JAVA_5),
    ("spring", Language::Spring),
    ("go", Language::Go),
    ("node", Language::Node),
];
/// Messages come from one of the masters all the time: who gets none for so long waits for more than its next pull.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The default of clients but Go's: that goes on to the next queue, which mostly is one of the same broker. It wants more than a broker has
/// queues.
fn retries(language: Language) -> &'static str {
    match language {
        Language::Go => "5",
        _ => "2",
    }
}

/// One after the other: JVMs that start side by side can hold each other up for longer than a send may take.
fn start_all(pairs: &TwoPairs, command: &str, options: &[(&str, &str)], first: &str) -> Vec<Client> {
    let start = |(name, language): &(&str, Language)| {
        let own = [
            ("group", *name),
            ("prefix", *name),
            ("retries", retries(*language)),
        ];
        let client = pairs.client(*language, command, &[&own, options].concat());
        client.wait_count(first, 1, LONG);
        client
    };
    LANGUAGES.iter().map(start).collect()
}

/// Waits until each producer sends to a broker again: it has asked for routes since that broker is back.
fn wait_sent_to(senders: &[Client], broker: &str) {
    let mark = format!("\"broker\":\"{broker}\"");
    let before: Vec<usize> = senders
        .iter()
        .map(|sender| sender.process().lines().len())
        .collect();
    for (sender, before) in senders.iter().zip(before) {
        sender
            .process()
            .wait_until("a send to the broker", LONG, |lines| {
                lines[before..]
                    .iter()
                    .any(|line| line.contains(&mark))
                    .then_some(())
            });
    }
}

/// Messages of the topic that a broker has stored.
fn stored(pairs: &TwoPairs, broker: &str) -> i64 {
    let mut wire = Wire::connect(&pairs.broker(broker).address()).unwrap();
    let mut end = |queue: &str| -> i64 {
        let answer = wire.ask(GET_MAX_OFFSET, &[("topic", TOPIC), ("queueId", queue)], b"");
        answer.unwrap().field("offset").unwrap().parse().unwrap()
    };
    ["0", "1", "2", "3"].map(&mut end).iter().sum()
}

#[test]
fn a_cluster_is_restarted_under_load() {
    restarted_under_load("async", &["SEND_OK"]);
}

/// While a slave is away its master says so, and has stored the message.
#[test]
fn a_cluster_of_sync_masters_is_restarted_under_load() {
    let statuses = ["SEND_OK", "SLAVE_NOT_AVAILABLE", "FLUSH_SLAVE_TIMEOUT"];
    restarted_under_load("sync", &statuses);
}

fn restarted_under_load(kind: &str, statuses: &[&str]) {
    // Beside others it would test the machine.
    let _alone = cluster::alone();
    let mut pairs = TwoPairs::start(kind);
    let consumers = start_all(&pairs, "consume", &[], "ready");
    let options = [("until", "stdin"), ("pause", "10"), ("timeout", "3000")];
    let senders = start_all(&pairs, "send", &options, "sent");
    wait_more(&senders, 100);
    for consumer in &consumers {
        consumer.wait_count("received", 100, LONG);
    }

    let begun = Instant::now();
    for master in ["broker-a", "broker-b"] {
        let slave = format!("{master}-s");
        for name in [slave.as_str(), master] {
            assert!(pairs.broker_mut(name).stop().success(), "{name}");
            pairs.broker_mut(name).restart();
            pairs.broker(name).wait_for_topic(TOPIC);
            // A master goes when its slave is back, and the next slave when its master has this one.
            pairs.wait_in_sync(master);
        }
        // The other one may go when everybody knows that this one is back.
        wait_sent_to(&senders, master);
    }
    wait_more(&senders, 100);
    let took = begun.elapsed();
    let pauses: Vec<Duration> = consumers
        .iter()
        .map(|consumer| consumer.process().longest_pause("\"event\":\"received\"", begun))
        .collect();

    let events: Vec<Vec<Event>> = senders.into_iter().map(Client::stop).collect();
    for ((name, _), events) in LANGUAGES.iter().zip(&events) {
        let failed = of(events, "failed");
        assert!(failed.is_empty(), "{name}: {failed:#?}");
        let odd: Vec<Event> = of(events, "sent")
            .into_iter()
            .filter(|event| !statuses.contains(&event.status.as_str()))
            .collect();
        assert!(odd.is_empty(), "{name}: {odd:#?}");
    }
    let sent: BTreeSet<String> = events
        .iter()
        .flat_map(|events| of(events, "sent"))
        .map(|event| event.body)
        .collect();
    for consumer in &consumers {
        wait_received(consumer, &sent, "everything");
    }
    let all = stored(&pairs, "broker-a") + stored(&pairs, "broker-b");
    assert_eq!(all, sent.len() as i64, "each is stored once");
    for consumer in consumers {
        let name = consumer.process().name().to_owned();
        let received: BTreeSet<String> = of(&consumer.stop(), "received")
            .into_iter()
            .map(|event| event.body)
            .collect();
        assert_eq!(received, sent, "{name}");
    }
    assert!(
        pauses.iter().all(|pause| *pause < PAUSE_MAX),
        "consumers stood still: {pauses:?} of {took:?}"
    );
}
