//! Every way of consuming.

use crate::check::*;
use cluster::{Cluster, Language};

/// Two members share a group; when one leaves, the other gets its queues and goes on where it was.
fn clustering(language: Language) {
    let cluster = Cluster::start(&[]);
    make_topic(&cluster, "T");
    let member = |instance| {
        client(
            language,
            &cluster,
            "consume",
            &[
                ("topic", "T"),
                ("group", "g"),
                ("instance", instance),
                ("order", "yes"),
            ],
        )
    };
    let (one, two) = (member("one"), member("two"));
    let sent = send(
        language,
        &cluster,
        &[("topic", "T"), ("count", "4000"), ("prefix", "both")],
    );
    // Both have some: the queues are shared. A member's first rebalance may be a moment away, so send until it is done.
    let begun = std::time::Instant::now();
    let mut more = 0;
    while of(&one.events(), "received").is_empty() || of(&two.events(), "received").is_empty() {
        assert!(begun.elapsed() < LONG, "the queues were never shared");
        let prefix = format!("more{more}");
        send(
            language,
            &cluster,
            &[("topic", "T"), ("count", "100"), ("prefix", &prefix)],
        );
        more += 1;
    }
    let of_one = of(&one.stop(), "received");
    let late = send(
        language,
        &cluster,
        &[("topic", "T"), ("count", "1000"), ("prefix", "late")],
    );
    let all: Vec<String> = sent.iter().chain(&late).map(|event| event.body.clone()).collect();
    let expected = all.len();
    two.process()
        .wait_until("everything between the two", LONG, |lines| {
            let got = of_one.iter().map(|event| event.body.as_str());
            let text = lines
                .iter()
                .filter_map(|line| line.split("\"body\":\"").nth(1)?.split('"').next());
            let wanted: std::collections::BTreeSet<&str> = all.iter().map(String::as_str).collect();
            let seen: std::collections::BTreeSet<&str> =
                got.chain(text).filter(|body| wanted.contains(body)).collect();
            (seen.len() == expected).then_some(())
        });
    let of_two = of(&two.stop(), "received");
    let received: Vec<_> = of_one.into_iter().chain(of_two).collect();
    assert_all_bodies(all, &received);
}

#[test]
fn java_4_clustering() {
    clustering(JAVA_4);
}

#[test]
fn java_5_clustering() {
    clustering(JAVA_5);
}

#[test]
fn go_clustering() {
    clustering(Language::Go);
}

#[test]
fn node_clustering() {
    clustering(Language::Node);
}

/// The Go client's pull consumer.
#[test]
fn go_pull() {
    let cluster = Cluster::start(&[]);
    let sent = send(
        Language::Go,
        &cluster,
        &[("topic", "T"), ("count", "10000"), ("mode", "async")],
    );
    let received = client(
        Language::Go,
        &cluster,
        "lite",
        &[("topic", "T"), ("count", "10000")],
    )
    .finish(LONG);
    assert_same(&sent, &of(&received, "received"));
}

/// Each member gets everything.
fn broadcasting(language: Language) {
    let cluster = Cluster::start(&[]);
    make_topic(&cluster, "T");
    let member = |instance| {
        client(
            language,
            &cluster,
            "consume",
            &[
                ("topic", "T"),
                ("group", "g"),
                ("instance", instance),
                ("model", "broadcasting"),
            ],
        )
    };
    let (one, two) = (member("one"), member("two"));
    send(
        language,
        &cluster,
        &[
            ("topic", "T"),
            ("count", "10000"),
            ("prefix", "all"),
            ("mode", "async"),
        ],
    );
    for member in [one, two] {
        member.wait_count("received", 10_001, LONG);
        let received = of(&member.stop(), "received");
        places(&received);
        assert_all_bodies((0..10_000).map(|number| format!("all-{number}")), &received);
    }
}

#[test]
fn java_4_broadcasting() {
    broadcasting(JAVA_4);
}

#[test]
fn java_5_broadcasting() {
    broadcasting(JAVA_5);
}

#[test]
fn go_broadcasting() {
    broadcasting(Language::Go);
}

#[test]
fn node_broadcasting() {
    broadcasting(Language::Node);
}

/// The pull consumers read everything, in order.
fn pulling(language: Language) {
    let cluster = Cluster::start(&[]);
    let sent = send(
        language,
        &cluster,
        &[("topic", "T"), ("count", "10000"), ("mode", "async")],
    );
    let received = of(
        &client(language, &cluster, "pull", &[("topic", "T")]).finish(LONG),
        "received",
    );
    assert_in_order(&received);
    assert_same(&sent, &received);
    let received = client(language, &cluster, "lite", &[("topic", "T"), ("count", "10000")]).finish(LONG);
    assert_same(&sent, &of(&received, "received"));
}

#[test]
fn java_4_pull() {
    pulling(JAVA_4);
}

#[test]
fn java_5_pull() {
    pulling(JAVA_5);
}

/// A subscription to some tags gets these and no others.
fn tags(language: Language) {
    let cluster = Cluster::start(&[]);
    make_topic(&cluster, "T");
    let sent = send(
        language,
        &cluster,
        &[
            ("topic", "T"),
            ("count", "3000"),
            ("mode", "async"),
            ("tags", "TagA,TagB,TagC"),
        ],
    );
    let consumer = client(
        language,
        &cluster,
        "consume",
        &[("topic", "T"), ("group", "g"), ("sub", "TagA || TagC")],
    );
    consumer.wait_count("received", 2000, LONG);
    let received = of(&consumer.stop(), "received");
    let wanted: Vec<_> = sent
        .into_iter()
        .filter(|event| number_of(&event.body) % 3 != 1)
        .collect();
    assert_same(&wanted, &received);
    assert!(received.iter().all(|event| event.tag != "TagB"));
}

fn number_of(body: &str) -> usize {
    body.split(['-', '.'])
        .nth(1)
        .and_then(|number| number.parse().ok())
        .unwrap()
}

#[test]
fn java_4_tags() {
    tags(JAVA_4);
}

#[test]
fn java_5_tags() {
    tags(JAVA_5);
}

#[test]
fn go_tags() {
    tags(Language::Go);
}

#[test]
fn node_tags() {
    tags(Language::Node);
}

/// A consumer that waits gets a message at once, not when its long poll is over.
#[test]
fn long_polling_answers_at_once() {
    let _alone = cluster::alone();
    let cluster = Cluster::start(&[]);
    send(
        JAVA_4,
        &cluster,
        &[("topic", "T"), ("count", "1"), ("prefix", "first")],
    );
    let consumer = client(JAVA_4, &cluster, "consume", &[("topic", "T"), ("group", "g")]);
    consumer.wait_count("received", 1, LONG);
    let begun = std::time::Instant::now();
    send(
        JAVA_4,
        &cluster,
        &[("topic", "T"), ("count", "8"), ("prefix", "later")],
    );
    let answered = std::time::Instant::now();
    consumer.wait_count("received", 9, LONG);
    // A poll lasts 15 s and is looked at every 5 s; the sender's own start took longer than this wait.
    assert!(
        answered.elapsed().as_secs() < 4,
        "{:?} after {:?}",
        answered.elapsed(),
        begun.elapsed()
    );
    consumer.stop();
}
