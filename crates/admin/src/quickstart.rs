//! The quickstart programs, with the same groups, topic, messages and output lines as RocketMQ's examples.

use crate::credentials;
use crate::output::{block_on, complain, print, stopped};
use crate::tls;
use client::{
    ConsumeFromWhere, Consumed, Error, Message, Producer, ProducerSettings, PushConsumer,
    PushConsumerSettings, Received,
};
use std::time::Duration;

const TOPIC: &str = "TopicTest";
const PRODUCER_GROUP: &str = "please_rename_unique_group_name";
const CONSUMER_GROUP: &str = "please_rename_unique_group_name_4";
const MESSAGES: usize = 1000;
/// Failures in a row, a second apart, after which the producer gives up: servers that were started in the line before may need
/// some. Java's goes on for a thousand.
const FAILURES_MAX: u32 = 10;

pub(crate) fn run(consume: bool, namesrv: &str) -> Result<(), String> {
    block_on(async {
        if consume {
            consumer(namesrv).await
        } else {
            producer(namesrv).await
        }
    })
}

async fn producer(namesrv: &str) -> Result<(), Error> {
    let settings = ProducerSettings {
        credentials: credentials::of_home()?,
        tls: tls::given()?,
        ..ProducerSettings::new(namesrv, PRODUCER_GROUP)
    };
    let producer = Producer::start(settings).await?;
    let mut failures = 0;
    let mut number = 0;
    let mut outcome = Ok(());
    while number < MESSAGES {
        let message = Message::new(TOPIC, format!("Hello RocketMQ {number}")).tags("TagA");
        match producer.send(&message).await {
            Ok(result) => {
                print(&result.to_string());
                failures = 0;
                number += 1;
            }
            Err(e) if failures + 1 < FAILURES_MAX => {
                complain(&format!("message {number}: {e}"));
                failures += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(e) => {
                outcome = Err(e);
                break;
            }
        }
    }
    producer.shutdown().await;
    outcome
}

async fn consumer(namesrv: &str) -> Result<(), Error> {
    let mut settings = PushConsumerSettings::new(namesrv, CONSUMER_GROUP).subscribe(TOPIC, "*");
    settings.from = ConsumeFromWhere::FirstOffset;
    settings.credentials = credentials::of_home()?;
    settings.tls = tls::given()?;
    let consumer = PushConsumer::start(settings, |messages: &[Received]| {
        let thread = std::thread::current();
        let shown: Vec<String> = messages.iter().map(ToString::to_string).collect();
        print(&format!(
            "{} Receive New Messages: [{}] ",
            thread.name().unwrap_or("main"),
            shown.join(", ")
        ));
        Consumed::Success
    })
    .await?;
    print("Consumer Started.");
    stopped().await;
    consumer.shutdown().await;
    Ok(())
}
