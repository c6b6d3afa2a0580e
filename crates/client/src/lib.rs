//! Producer and consumers, for our tools, benchmarks and tests.
//!
//! Owns: routes and their refresh, heartbeats, choice of queues, retries, rebalance, offsets. Speaks the protocol of a 4.9
//! client. Start at [`Producer`], [`PushConsumer`] and [`PullConsumer`]; what they share is in `instance.rs`.
//!
//! ```no_run
//! # async fn example() -> Result<(), client::Error> {
//! let producer = client::Producer::start(client::ProducerSettings::new("127.0.0.1:9876", "my_group")).await?;
//! let sent = producer.send(&client::Message::new("TopicTest", "Hello").tags("TagA")).await?;
//! println!("{sent}");
//! producer.shutdown().await;
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests make files and runtimes")
)]

mod allocate;
mod consumer;
mod instance;
mod message;
mod offsets;
mod process_queue;
mod producer;
mod pull;
mod pull_consumer;
mod received;
mod route;
mod unique_id;

pub use acl::Credentials;
pub use allocate::allocate;
pub use consumer::{Consumed, Listener, PushConsumer, PushConsumerSettings};
pub use message::{Message, SendResult, SendStatus};
pub use producer::{Producer, ProducerSettings};
pub use protocol::body::MessageQueue;
pub use protocol::body::broker::{ConsumeFromWhere, MessageModel};
pub use pull::{PullResult, PullStatus};
pub use pull_consumer::PullConsumer;
pub use received::Received;
pub use remoting::tls::ClientTls;

use remoting::InvokeError;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No name server address was given.
    #[error("no name server is known; give one with -n or NAMESRV_ADDR, for example 127.0.0.1:9876")]
    NoNamesrv,
    /// None of the name servers answered.
    #[error("none of the name servers {addresses} answers: {cause}")]
    NamesrvAway {
        /// All that were tried.
        addresses: String,
        /// What the last of them said.
        cause: InvokeError,
    },
    /// No broker has the topic, and none would make it.
    #[error("no route info of this topic: {0}")]
    NoRoute(String),
    /// The queue's broker is not in the topic's route.
    #[error("the broker [{0}] does not exist")]
    NoBroker(String),
    /// A message that cannot be sent as it is.
    #[error("{0}")]
    BadMessage(String),
    /// No answer.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    /// The connection closed before a oneway request was sent.
    #[error(transparent)]
    Closed(#[from] remoting::Closed),
    /// An answer that refuses.
    #[error("CODE: {code}  DESC: {remark}")]
    Refused {
        /// Response code.
        code: i32,
        /// What the server said.
        remark: String,
    },
    /// An answer that cannot be read.
    #[error("the answer of {peer} cannot be read: {cause}")]
    BadAnswer {
        /// Who answered.
        peer: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A file of offsets.
    #[error("offsets in {path}: {cause}")]
    Offsets {
        /// The file.
        path: String,
        /// What went wrong.
        cause: String,
    },
}
