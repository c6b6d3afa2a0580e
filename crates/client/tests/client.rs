//! The client library against a whole name server and broker in this process.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests make files and runtimes")]

use client::{
    ConsumeFromWhere, Consumed, Error, Message, MessageModel, Producer, ProducerSettings, PullConsumer,
    PullStatus, PushConsumer, PushConsumerSettings, Received, SendStatus,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;

const WITHIN: Duration = Duration::from_secs(60);

struct Servers {
    dir: TempDir,
    namesrv: namesrv::run::Namesrv,
    broker: broker::run::Broker,
}

impl Servers {
    async fn start() -> Servers {
        let dir = TempDir::new().unwrap();
        let mut settings = namesrv::settings::Settings::default();
        settings.namesrv.kv_config_path = dir.path().join("kvConfig.json").display().to_string();
        let namesrv = namesrv::run::start_at(settings, "127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let mut settings = broker::settings::Settings::default();
        settings.broker.broker_name = "broker-a".to_owned();
        settings.broker.broker_ip1 = "127.0.0.1".to_owned();
        settings.broker.broker_ip2 = "127.0.0.1".to_owned();
        settings.broker.namesrv_addr = Some(namesrv.local_addr().to_string());
        settings.broker.broker_config_path = Some(dir.path().join("broker.conf").display().to_string());
        settings.server.bind_address = "127.0.0.1".to_owned();
        settings.server.listen_port = i32::from(cluster::free_port());
        settings.store.store_path_root_dir = dir.path().join("store").display().to_string();
        settings.store.mapped_file_size_commit_log = 4 << 20;
        // The third level is the first that a message sent back gets.
        settings.store.message_delay_level = "1s 1s 1s 1s 1s 1s".to_owned();
        let broker = broker::run::start(settings).await.unwrap();
        Servers { dir, namesrv, broker }
    }

    fn address(&self) -> String {
        self.namesrv.local_addr().to_string()
    }

    async fn producer(&self) -> Producer {
        Producer::start(ProducerSettings::new(self.address(), "pg"))
            .await
            .unwrap()
    }

    fn consumer(&self, group: &str, topic: &str, expression: &str) -> PushConsumerSettings {
        let mut settings = PushConsumerSettings::new(self.address(), group).subscribe(topic, expression);
        settings.from = ConsumeFromWhere::FirstOffset;
        settings.threads = 3;
        settings.offsets_folder = self.dir.path().join("offsets");
        settings
    }

    async fn stop(self) {
        self.broker.stop().await;
        self.namesrv.shutdown().await;
    }
}

/// A consumer that hands everything to the test.
async fn collecting(settings: PushConsumerSettings) -> (PushConsumer, mpsc::UnboundedReceiver<Received>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (collecting_into(settings, sender).await, receiver)
}

async fn collecting_into(
    settings: PushConsumerSettings,
    sender: mpsc::UnboundedSender<Received>,
) -> PushConsumer {
    let listener = move |messages: &[Received]| {
        for message in messages {
            let _test_is_over = sender.send(message.clone());
        }
        Consumed::Success
    };
    PushConsumer::start(settings, listener).await.unwrap()
}

async fn bodies(receiver: &mut mpsc::UnboundedReceiver<Received>, count: usize) -> Vec<String> {
    let mut out = Vec::new();
    while out.len() < count {
        let message = tokio::time::timeout(WITHIN, receiver.recv())
            .await
            .unwrap()
            .unwrap();
        out.push(String::from_utf8(message.body.to_vec()).unwrap());
    }
    out
}

async fn sorted(receiver: &mut mpsc::UnboundedReceiver<Received>, count: usize) -> BTreeSet<String> {
    bodies(receiver, count).await.into_iter().collect()
}

/// Receives until everything expected has come. More may come: who takes over a queue starts at what was committed.
async fn all(receiver: &mut mpsc::UnboundedReceiver<Received>, mut missing: BTreeSet<String>) {
    while !missing.is_empty() {
        let body = bodies(receiver, 1).await.remove(0);
        missing.remove(&body);
    }
}

fn expected(what: &str, count: usize) -> BTreeSet<String> {
    (0..count).map(|i| format!("{what} {i}")).collect()
}

async fn send_many(producer: &Producer, topic: &str, what: &str, count: usize) {
    for i in 0..count {
        let sent = producer
            .send(&Message::new(topic, format!("{what} {i}")))
            .await
            .unwrap();
        assert_eq!(sent.status, SendStatus::Ok);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_send_arrives() {
    let servers = Servers::start().await;
    let producer = servers.producer().await;
    let first = producer
        .send(
            &Message::new("T", "one")
                .tags("A")
                .keys("k1 k2")
                .property("x", "y"),
        )
        .await
        .unwrap();
    assert_eq!(
        (first.queue_offset, first.msg_id.len(), first.offset_msg_id.len()),
        (0, 32, 32)
    );
    let queue = first.queue.clone();
    let large = "large ".repeat(5000);
    producer
        .send_to(&queue, &Message::new("T", large.as_str()))
        .await
        .unwrap();
    let batch: Vec<Message> = (0..3).map(|i| Message::new("T", format!("batch {i}"))).collect();
    let sent = producer.send_batch(&batch).await.unwrap();
    assert_eq!(sent.offset_msg_id.split(',').count(), 3);
    producer.send_oneway(&Message::new("T", "oneway")).await.unwrap();

    let pull = PullConsumer::start(&servers.address(), "pull").unwrap();
    let result = pull.pull(&queue, "*", 0, 32, false).await.unwrap();
    assert_eq!(result.status, PullStatus::Found);
    let one = &result.messages[0];
    assert_eq!(
        (one.tags(), one.keys(), one.property("x")),
        (Some("A"), Some("k1 k2"), Some("y"))
    );
    assert_eq!(
        (one.msg_id(), one.offset_msg_id()),
        (first.msg_id, first.offset_msg_id)
    );
    assert_eq!(result.messages[1].body, large.as_bytes(), "packed on the way");
    let in_batch = pull
        .pull(&sent.queue, "*", sent.queue_offset, 32, false)
        .await
        .unwrap();
    let texts: Vec<&[u8]> = in_batch.messages.iter().take(3).map(|m| &m.body[..]).collect();
    assert_eq!(texts, [b"batch 0", b"batch 1", b"batch 2"]);

    pull.commit(&queue, 1).await.unwrap();
    assert_eq!(pull.committed(&queue).await.unwrap(), Some(1));
    assert!(pull.max_offset(&queue).await.unwrap() >= 2);
    assert_eq!(pull.min_offset(&queue).await.unwrap(), 0);
    assert_eq!(pull.offset_at(&queue, 0).await.unwrap(), 0);
    assert!(matches!(pull.queues("Missing").await, Err(Error::NoRoute(_))));
    pull.shutdown().await;
    producer.shutdown().await;
    servers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sends_at_once_on_one_connection() {
    let servers = Servers::start().await;
    let producer = Arc::new(servers.producer().await);
    producer.send(&Message::new("T", "first")).await.unwrap();
    let sends: Vec<_> = (0..500)
        .map(|i| {
            let producer = Arc::clone(&producer);
            tokio::spawn(async move { producer.send(&Message::new("T", format!("message {i}"))).await })
        })
        .collect();
    let mut places = BTreeSet::new();
    for send in sends {
        let sent = send.await.unwrap().unwrap();
        assert!(places.insert((sent.queue.queue_id, sent.queue_offset)));
    }
    assert_eq!(places.len(), 500);
    servers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_share_and_one_takes_over() {
    let servers = Servers::start().await;
    let producer = servers.producer().await;
    let (sender, mut received) = mpsc::unbounded_channel();
    send_many(&producer, "T", "first", 40).await;
    let one = collecting_into(servers.consumer("g", "T", "*"), sender.clone()).await;
    all(&mut received, expected("first", 40)).await;
    let two = collecting_into(servers.consumer("g", "T", "*"), sender).await;
    let shared = async {
        let of = |consumer: &PushConsumer| consumer.queues().iter().filter(|q| q.topic == "T").count();
        while (of(&one), of(&two)) != (2, 2) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WITHIN, shared).await.unwrap();
    send_many(&producer, "T", "second", 40).await;
    all(&mut received, expected("second", 40)).await;
    one.shutdown().await;
    send_many(&producer, "T", "third", 40).await;
    all(&mut received, expected("third", 40)).await;
    two.shutdown().await;
    // What was consumed is committed: a new member gets only what is new.
    producer.send(&Message::new("T", "new")).await.unwrap();
    let (three, mut from_three) = collecting(servers.consumer("g", "T", "*")).await;
    assert_eq!(bodies(&mut from_three, 1).await, ["new"]);
    three.shutdown().await;
    producer.shutdown().await;
    servers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_broadcasting() {
    let servers = Servers::start().await;
    let producer = servers.producer().await;
    for i in 0..12 {
        let tag = ["A", "B", "C"][i % 3];
        producer
            .send(&Message::new("T", format!("{tag}{i}")).tags(tag))
            .await
            .unwrap();
    }
    let broadcasting = |name: &str| {
        let mut settings = servers.consumer("all", "T", "A || C");
        settings.model = MessageModel::Broadcasting;
        settings.instance_name = name.to_owned();
        settings
    };
    let mut everybody = Vec::new();
    for name in ["x", "y"] {
        let (consumer, mut receiver) = collecting(broadcasting(name)).await;
        let got: Vec<String> = sorted(&mut receiver, 8).await.into_iter().collect();
        assert_eq!(got, ["A0", "A3", "A6", "A9", "C11", "C2", "C5", "C8"]);
        everybody.push(consumer);
    }
    for consumer in everybody {
        consumer.shutdown().await;
    }
    // Its offsets are its own, and kept.
    producer.send(&Message::new("T", "A99").tags("A")).await.unwrap();
    let (consumer, mut receiver) = collecting(broadcasting("x")).await;
    assert_eq!(bodies(&mut receiver, 1).await, ["A99"]);
    consumer.shutdown().await;
    producer.shutdown().await;
    servers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_fails_comes_again() {
    let servers = Servers::start().await;
    let producer = servers.producer().await;
    producer.send(&Message::new("T", "stubborn")).await.unwrap();
    let attempts = AtomicUsize::new(0);
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let listener = move |messages: &[Received]| {
        let attempt = attempts.fetch_add(1, Ordering::SeqCst);
        let _test_is_over = sender.send((messages[0].reconsume_times, messages[0].queue.topic.clone()));
        match attempt {
            0 => Consumed::Later,
            1 => panic!("a listener that panics has not consumed"),
            _ => Consumed::Success,
        }
    };
    let consumer = PushConsumer::start(servers.consumer("retry", "T", "*"), listener)
        .await
        .unwrap();
    for times in 0..3 {
        let (reconsumed, topic) = tokio::time::timeout(WITHIN, receiver.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!((reconsumed, topic.as_str()), (times, "T"));
    }
    consumer.shutdown().await;
    producer.shutdown().await;
    servers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_may_start_before_its_topic() {
    let servers = Servers::start().await;
    let (consumer, mut receiver) = collecting(servers.consumer("early", "Later", "*")).await;
    let producer = servers.producer().await;
    send_many(&producer, "Later", "message", 4).await;
    assert_eq!(sorted(&mut receiver, 4).await, expected("message", 4));
    consumer.shutdown().await;
    producer.shutdown().await;
    servers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said() {
    let none = Producer::start(ProducerSettings::new("", "pg"))
        .await
        .err()
        .unwrap();
    assert!(none.to_string().contains("NAMESRV_ADDR"), "{none}");
    let away = Producer::start(ProducerSettings::new("127.0.0.1:1", "pg"))
        .await
        .unwrap();
    let error = away.send(&Message::new("T", "x")).await.unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:1"), "{error}");
    let bad = Producer::start(ProducerSettings::new("127.0.0.1:1", "a/b"))
        .await
        .err()
        .unwrap();
    assert!(matches!(bad, Error::BadMessage(_)));
}
