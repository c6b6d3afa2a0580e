//! The messages of a topic as they come, from all of its queues.

use super::topic::readable;
use crate::failure::Failure;
use crate::net::Net;
use client::{PullConsumer, PullStatus, Received};
use protocol::body::MessageQueue;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval};

/// How many messages a pull may bring.
pub(super) const AT_ONCE: i32 = 32;
/// How long a queue is left alone whose broker does not answer, or answers at once that there is nothing.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the name server is asked for queues that are new.
const LOOK: Duration = Duration::from_secs(10);
/// How many pulls may wait to be printed.
const WAITING: usize = 8;

type Arrived = Result<Vec<Received>, Failure>;

/// A topic that is followed.
pub(super) struct Follow {
    net: Net,
    topic: String,
    expression: String,
    reader: Arc<PullConsumer>,
    known: BTreeSet<MessageQueue>,
    sender: mpsc::Sender<Arrived>,
    arrivals: mpsc::Receiver<Arrived>,
    look: Interval,
    // They end with it.
    tasks: JoinSet<()>,
}

impl Follow {
    /// From the end of each queue, or so many messages before it.
    ///
    /// # Errors
    /// No broker has the topic, or one of them does not tell where its queues end.
    pub(super) async fn start(
        net: &Net,
        group: &str,
        topic: &str,
        expression: &str,
        last: i64,
    ) -> Result<Follow, Failure> {
        let (sender, arrivals) = mpsc::channel(WAITING);
        let mut follow = Follow {
            net: net.clone(),
            topic: topic.to_owned(),
            expression: expression.to_owned(),
            reader: Arc::new(net.reader(group)?),
            known: BTreeSet::new(),
            sender,
            arrivals,
            look: tokio::time::interval_at(Instant::now() + LOOK, LOOK),
            tasks: JoinSet::new(),
        };
        for queue in readable(&net.route(topic).await?, topic) {
            let end = follow.reader.max_offset(&queue).await?;
            let first = match last {
                0 => end,
                last => follow.reader.min_offset(&queue).await?.max(end - last),
            };
            follow.add(queue, first);
        }
        Ok(follow)
    }

    fn add(&mut self, queue: MessageQueue, first: i64) {
        if self.known.insert(queue.clone()) {
            let (reader, sender) = (Arc::clone(&self.reader), self.sender.clone());
            self.tasks
                .spawn(read(reader, queue, self.expression.clone(), first, sender));
        }
    }

    /// What comes next: messages of one queue, or once that a broker does not answer.
    pub(super) async fn next(&mut self) -> Arrived {
        loop {
            tokio::select! {
                arrived = self.arrivals.recv() => {
                    if let Some(arrived) = arrived {
                        return arrived;
                    }
                }
                _ = self.look.tick() => self.look_for_queues().await,
            }
        }
    }

    /// Queues that were not there at the start are read from their beginning. A name server that is away is asked again.
    async fn look_for_queues(&mut self) {
        let Ok(route) = self.net.route(&self.topic).await else {
            return;
        };
        let queues = readable(&route, &self.topic);
        if queues.iter().any(|queue| !self.known.contains(queue)) {
            self.reader.forget_route(&self.topic);
        }
        for queue in queues {
            self.add(queue, 0);
        }
    }
}

/// Reads a queue until nobody takes its messages any more.
async fn read(
    reader: Arc<PullConsumer>,
    queue: MessageQueue,
    expression: String,
    first: i64,
    sender: mpsc::Sender<Arrived>,
) {
    let (mut offset, mut is_away) = (first, false);
    loop {
        let asked = Instant::now();
        let arrived = match reader.pull(&queue, &expression, offset, AT_ONCE, true).await {
            Ok(result) => {
                is_away = false;
                offset = result.next_offset;
                // A broker that holds nothing is not asked without end.
                if result.status == PullStatus::NoNew && asked.elapsed() < PAUSE {
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(result.messages)
            }
            Err(why) => {
                tokio::time::sleep(PAUSE).await;
                reader.forget_route(&queue.topic);
                if std::mem::replace(&mut is_away, true) {
                    continue;
                }
                Err(why.into())
            }
        };
        let is_something = arrived.as_ref().map_or(true, |messages| !messages.is_empty());
        if is_something && sender.send(arrived).await.is_err() {
            return;
        }
    }
}
