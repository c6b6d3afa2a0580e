//! A consumer that is given its messages: one of a group, or one that gets everything.
//!
//! Every member of a group asks the brokers who else is in it and takes its own part of the queues (`allocate.rs`). Each
//! queue it has is pulled by a task of its own and consumed by a pool of threads; what was consumed is committed each 5 s.

use crate::allocate::averagely;
use crate::instance::{Instance, Role, TIMEOUT, read_body, refused};
use crate::offsets::LocalOffsets;
use crate::process_queue::ProcessQueue;
use crate::pull::{Pull, PullStatus};
use crate::received::Received;
use crate::unique_id::now_ms;
use crate::{ConsumeFromWhere, Error, MessageModel, MessageQueue};
use message::properties::names;
use parking_lot::Mutex;
use protocol::body::broker::{ConsumerData, ConsumerIdList, HeartbeatData, SubscriptionData};
use protocol::code::{request, response};
use protocol::header::broker::{ConsumerGroupRequestHeader, ConsumerSendMsgBackRequestHeader};
use remoting::{Body, Connection, Request, Service};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How often the queues are shared out again without any news, and how often while a topic has no route.
const REBALANCE: Duration = Duration::from_secs(20);
const REBALANCE_SOON: Duration = Duration::from_secs(1);
/// How often offsets are committed (persistConsumerOffsetInterval).
const COMMIT: Duration = Duration::from_secs(5);
/// Pause after a pull that failed, and before a message is consumed again that could not be sent back.
const AFTER_FAILURE: Duration = Duration::from_secs(3);
/// Messages asked for at once (pullBatchSize).
const PULL_BATCH: i32 = 32;

/// What a listener made of its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumed {
    /// Done.
    Success,
    /// To be delivered again later. Broadcasting consumers do not get them again.
    Later,
}

/// Consumes messages, on several threads at once.
pub trait Listener: Send + Sync + 'static {
    /// Consumes. A panic counts as [`Consumed::Later`].
    fn consume(&self, messages: &[Received]) -> Consumed;
}

impl<F: Fn(&[Received]) -> Consumed + Send + Sync + 'static> Listener for F {
    fn consume(&self, messages: &[Received]) -> Consumed {
        self(messages)
    }
}

/// What a push consumer is told.
#[derive(Debug, Clone)]
pub struct PushConsumerSettings {
    /// Name servers, `host:port` separated by `;`.
    pub namesrv: String,
    /// Consumer group.
    pub group: String,
    /// Topic to expression: `*`, or tags separated by `||`.
    pub subscriptions: BTreeMap<String, String>,
    /// One of the group, or all of them.
    pub model: MessageModel,
    /// Where a group without offsets starts.
    pub from: ConsumeFromWhere,
    /// For [`ConsumeFromWhere::Timestamp`]: ms since 1970.
    pub from_timestamp: i64,
    /// Threads that call the listener.
    pub threads: usize,
    /// Most messages in one call of the listener.
    pub batch: usize,
    /// How often a message is delivered again before it becomes a dead letter.
    pub max_reconsume_times: i32,
    /// Where a broadcasting consumer keeps its offsets.
    pub offsets_folder: PathBuf,
    /// The last part of that folder; a broadcasting consumer that is to go on where it stopped keeps it.
    pub instance_name: String,
    /// Signs every request.
    pub credentials: Option<acl::Credentials>,
    /// Speaks TLS with name servers and brokers.
    pub tls: Option<remoting::tls::ClientTls>,
}

impl PushConsumerSettings {
    /// Java's defaults: clustering, from the last offset, 20 threads, one message a call, 16 deliveries.
    pub fn new(namesrv: impl Into<String>, group: impl Into<String>) -> PushConsumerSettings {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        PushConsumerSettings {
            namesrv: namesrv.into(),
            group: group.into(),
            subscriptions: BTreeMap::new(),
            model: MessageModel::Clustering,
            from: ConsumeFromWhere::LastOffset,
            from_timestamp: 0,
            threads: 20,
            batch: 1,
            max_reconsume_times: 16,
            offsets_folder: home.join(".rocketmq_offsets"),
            instance_name: "DEFAULT".to_owned(),
            credentials: None,
            tls: None,
        }
    }

    /// With a topic.
    pub fn subscribe(mut self, topic: &str, expression: &str) -> PushConsumerSettings {
        self.subscriptions.insert(topic.to_owned(), expression.to_owned());
        self
    }
}

/// Consumes the messages of its topics until it is shut down.
pub struct PushConsumer {
    inner: Arc<Inner>,
    workers: Vec<JoinHandle<()>>,
}

struct Inner {
    instance: Arc<Instance>,
    settings: PushConsumerSettings,
    subscriptions: BTreeMap<String, SubscriptionData>,
    listener: Arc<dyn Listener>,
    wake: Arc<Notify>,
    queues: Mutex<HashMap<MessageQueue, Arc<ProcessQueue>>>,
    local: Option<LocalOffsets>,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    runtime: tokio::runtime::Handle,
}

struct Job {
    process: Arc<ProcessQueue>,
    messages: Vec<Received>,
}

/// Requests of brokers.
struct FromBrokers {
    wake: Arc<Notify>,
}

impl Service for FromBrokers {
    fn serve(&self, _conn: &Arc<Connection>, requests: &mut VecDeque<Request>) {
        for Request { frame, responder } in requests.drain(..) {
            if frame.code == request::NOTIFY_CONSUMER_IDS_CHANGED {
                self.wake.notify_one();
                responder.ok();
            } else {
                let remark = format!(" request type {} not supported", frame.code);
                responder.error(response::REQUEST_CODE_NOT_SUPPORTED, &remark);
            }
        }
    }

    fn closed(&self, _conn: &Arc<Connection>) {}
}

impl Role for Inner {
    fn heartbeat(&self) -> HeartbeatData {
        let consumer = ConsumerData {
            group_name: self.settings.group.clone(),
            message_model: self.settings.model,
            consume_from_where: self.settings.from,
            subscription_data_set: self.subscriptions.values().cloned().collect(),
            ..ConsumerData::default()
        };
        HeartbeatData {
            consumer_data_set: vec![consumer],
            ..HeartbeatData::default()
        }
    }

    fn reads(&self) -> bool {
        true
    }
}

impl PushConsumer {
    /// Starts to consume.
    pub async fn start(
        settings: PushConsumerSettings,
        listener: impl Listener,
    ) -> Result<PushConsumer, Error> {
        message::name::check_group(&settings.group).map_err(|e| Error::BadMessage(e.to_string()))?;
        let wake = Arc::new(Notify::new());
        let service = Arc::new(FromBrokers {
            wake: Arc::clone(&wake),
        });
        let instance = Instance::new(
            &settings.namesrv,
            settings.credentials.as_ref(),
            settings.tls.clone(),
            Some(service),
        )?;
        let broadcasting = settings.model == MessageModel::Broadcasting;
        let file = || {
            settings
                .offsets_folder
                .join(&settings.instance_name)
                .join(&settings.group)
                .join("offsets.json")
        };
        let local = if broadcasting {
            Some(LocalOffsets::load(file())?)
        } else {
            None
        };
        let mut subscriptions = BTreeMap::new();
        for (topic, expression) in &settings.subscriptions {
            subscriptions.insert(topic.clone(), subscription(topic, expression));
        }
        if !broadcasting {
            let retry = message::name::retry_topic(&settings.group);
            subscriptions.insert(retry.clone(), subscription(&retry, "*"));
        }
        let (sender, receiver) = mpsc::channel();
        let inner = Arc::new(Inner {
            instance: Arc::clone(&instance),
            subscriptions,
            listener: Arc::new(listener),
            wake,
            queues: Mutex::default(),
            local,
            jobs: Mutex::new(Some(sender)),
            runtime: tokio::runtime::Handle::current(),
            settings,
        });
        let workers = spawn_workers(&inner, receiver);
        instance.start(Arc::clone(&inner) as Arc<dyn Role>);
        let this = Arc::clone(&inner);
        instance
            .tasks
            .spawn(async move { this.rebalance_for_ever().await });
        let this = Arc::clone(&inner);
        instance.tasks.spawn(async move { this.commit_for_ever().await });
        Ok(PushConsumer { inner, workers })
    }

    /// The queues it has now.
    pub fn queues(&self) -> Vec<MessageQueue> {
        let mut queues: Vec<_> = self.inner.queues.lock().keys().cloned().collect();
        queues.sort();
        queues
    }

    /// Stops: messages in the listener are finished, what was consumed is committed, the group is left.
    pub async fn shutdown(self) {
        let PushConsumer { inner, workers } = self;
        for process in inner.queues.lock().values() {
            process.dropped.cancel();
        }
        inner.jobs.lock().take();
        let joined =
            tokio::task::spawn_blocking(move || workers.into_iter().map(JoinHandle::join).all(|r| r.is_ok()));
        if !joined.await.unwrap_or(false) {
            tracing::error!(
                "a thread of the consumer {} ended by a panic",
                inner.settings.group
            );
        }
        inner.commit_all().await;
        inner.instance.shutdown(None, Some(&inner.settings.group)).await;
    }
}

impl Inner {
    async fn rebalance_for_ever(self: Arc<Self>) {
        loop {
            let complete = tokio::select! {
                () = self.instance.stop.cancelled() => return,
                complete = self.rebalance() => complete,
            };
            let pause = if complete { REBALANCE } else { REBALANCE_SOON };
            tokio::select! {
                () = self.instance.stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = self.instance.changed.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Shares out the queues of every topic; false if that is to be tried again soon.
    async fn rebalance(self: &Arc<Self>) -> bool {
        let mut complete = true;
        for topic in self.subscriptions.keys() {
            if let Err(e) = self.instance.route(topic).await {
                tracing::debug!("topic {topic}: {e}");
                complete = false;
            }
        }
        self.instance.greet(&**self).await;
        for topic in self.subscriptions.keys() {
            if let Err(e) = self.rebalance_topic(topic).await {
                tracing::debug!("the queues of {topic} are not shared out: {e}");
                complete = false;
            }
        }
        complete
    }

    async fn rebalance_topic(self: &Arc<Self>, topic: &str) -> Result<(), Error> {
        let route = self.instance.route(topic).await?;
        let mut all = route.readable.clone();
        let mine = if self.settings.model == MessageModel::Broadcasting {
            all
        } else {
            let mut members = self.members(topic).await?;
            averagely(&self.instance.client_id, &mut members, &mut all)
        };
        let lost: Vec<Arc<ProcessQueue>> = {
            let mut queues = self.queues.lock();
            let mut lost = Vec::new();
            queues.retain(|queue, process| {
                let keep = queue.topic != topic || mine.contains(queue);
                if !keep {
                    lost.push(Arc::clone(process));
                }
                keep
            });
            lost
        };
        for process in lost {
            process.dropped.cancel();
            self.store(&process).await;
        }
        for queue in mine {
            if self.queues.lock().contains_key(&queue) {
                continue;
            }
            let start = self.start_of(&queue).await?;
            let token = self.instance.stop.child_token();
            let process = Arc::new(ProcessQueue::new(queue.clone(), start, token));
            self.queues.lock().insert(queue, Arc::clone(&process));
            let this = Arc::clone(self);
            self.instance
                .tasks
                .spawn(async move { this.pull_for_ever(process).await });
        }
        Ok(())
    }

    /// The ids of the group's members, as any broker of the topic knows them.
    async fn members(&self, topic: &str) -> Result<Vec<String>, Error> {
        let route = self.instance.route(topic).await?;
        let header = ConsumerGroupRequestHeader {
            consumer_group: self.settings.group.as_str().into(),
        };
        let mut failed = Error::NoRoute(topic.to_owned());
        for address in route
            .brokers
            .values()
            .filter_map(|replicas| replicas.values().next())
        {
            let code = request::GET_CONSUMER_LIST_BY_GROUP;
            match self
                .instance
                .client
                .invoke(address, code, &header, Body::Empty, TIMEOUT)
                .await
            {
                Ok(frame) if frame.code == response::SUCCESS => {
                    let list: ConsumerIdList = read_body(&frame, address)?;
                    return Ok(list.consumer_id_list);
                }
                Ok(frame) => failed = refused(&frame),
                Err(e) => failed = e.into(),
            }
        }
        Err(failed)
    }

    async fn start_of(&self, queue: &MessageQueue) -> Result<i64, Error> {
        let known = match &self.local {
            Some(local) => local.get(queue),
            None => {
                self.instance
                    .committed_offset(&self.settings.group, queue)
                    .await?
            }
        };
        if let Some(offset) = known {
            return Ok(offset);
        }
        match self.settings.from {
            // What was sent back while nobody had offsets is not to be lost.
            _ if message::name::is_retry_topic(&queue.topic) => Ok(0),
            ConsumeFromWhere::FirstOffset | ConsumeFromWhere::MinOffset => {
                self.instance.end_offset(request::GET_MIN_OFFSET, queue).await
            }
            ConsumeFromWhere::Timestamp => self.instance.offset_at(queue, self.settings.from_timestamp).await,
            ConsumeFromWhere::LastOffset
            | ConsumeFromWhere::LastOffsetAndFromMinWhenBootFirst
            | ConsumeFromWhere::MaxOffset => self.instance.end_offset(request::GET_MAX_OFFSET, queue).await,
        }
    }

    async fn pull_for_ever(self: Arc<Self>, process: Arc<ProcessQueue>) {
        let mut broker = 0;
        loop {
            let pulled = tokio::select! {
                () = process.dropped.cancelled() => return,
                pulled = self.pull_once(&process, broker) => pulled,
            };
            match pulled {
                Ok(suggested) => broker = suggested,
                Err(e) => {
                    tracing::warn!("pulling {}: {e}", crate::route::shown(&process.queue));
                    broker = 0;
                    if matches!(e, Error::Invoke(_) | Error::NoBroker(_)) {
                        self.instance.forget(&process.queue.topic);
                    }
                    self.pause(&process.dropped).await;
                }
            }
        }
    }

    async fn pause(&self, until: &CancellationToken) {
        tokio::select! {
            () = until.cancelled() => {}
            () = tokio::time::sleep(AFTER_FAILURE) => {}
        }
    }

    async fn pull_once(&self, process: &Arc<ProcessQueue>, broker: i64) -> Result<i64, Error> {
        process.room().await;
        let Some(subscription) = self.subscriptions.get(&process.queue.topic) else {
            return Ok(0);
        };
        let commit = if self.local.is_none() {
            Some(process.consumed_up_to())
        } else {
            None
        };
        let pull = Pull {
            group: &self.settings.group,
            queue: &process.queue,
            expression: &subscription.sub_string,
            subscription_version: subscription.sub_version,
            offset: process.next(),
            max: PULL_BATCH,
            suspend: true,
            commit: commit.filter(|offset| *offset > 0),
            broker,
        };
        let result = self.instance.pull(pull).await?;
        if result.status == PullStatus::OffsetIllegal {
            let queue = crate::route::shown(&process.queue);
            tracing::warn!(
                "offset {} is outside {queue}, going on at {}",
                process.next(),
                result.next_offset
            );
        }
        let (min, max) = (result.min_offset, result.max_offset);
        let wanted = |message: &Received| {
            let tags = &subscription.tags_set;
            // The broker compares hashes of tags, which different tags may share.
            tags.is_empty()
                || message
                    .tags()
                    .is_some_and(|tag| tags.iter().any(|wanted| wanted == tag))
        };
        let messages: Vec<Received> = result
            .messages
            .into_iter()
            .filter(wanted)
            .map(|message| prepare(message, min, max))
            .collect();
        process.pulled(messages.iter().map(|m| m.queue_offset), result.next_offset);
        self.dispatch(process, messages);
        Ok(result.suggested_broker)
    }

    fn dispatch(&self, process: &Arc<ProcessQueue>, messages: Vec<Received>) {
        let jobs = self.jobs.lock();
        let Some(jobs) = jobs.as_ref() else { return };
        let mut messages = messages.into_iter().peekable();
        while messages.peek().is_some() {
            let batch: Vec<Received> = messages.by_ref().take(self.settings.batch.max(1)).collect();
            // Fails only when every worker is gone, that is, at the end.
            let _ = jobs.send(Job {
                process: Arc::clone(process),
                messages: batch,
            });
        }
    }

    /// On a worker thread.
    fn consume(self: &Arc<Self>, mut job: Job) {
        if job.process.dropped.is_cancelled() {
            return;
        }
        let start = now_ms().to_string();
        for message in &mut job.messages {
            message
                .properties
                .insert(names::CONSUME_START_TIME.to_owned(), start.clone());
        }
        let consumed = catch_unwind(AssertUnwindSafe(|| self.listener.consume(&job.messages)));
        if consumed.is_ok_and(|consumed| consumed == Consumed::Success) || self.local.is_some() {
            job.messages
                .iter()
                .for_each(|message| job.process.done(message.queue_offset));
            return;
        }
        let this = Arc::clone(self);
        self.runtime.spawn(async move { this.send_back(job).await });
    }

    /// Gives failed messages back to their broker; those it does not take are consumed again here.
    async fn send_back(self: Arc<Self>, job: Job) {
        let Job { process, messages } = job;
        let mut kept = Vec::new();
        for message in messages {
            match self.send_back_one(&process.queue, &message).await {
                Ok(()) => process.done(message.queue_offset),
                Err(e) => {
                    tracing::warn!("message {} is not sent back: {e}", message.msg_id());
                    kept.push(message);
                }
            }
        }
        if !kept.is_empty() {
            self.pause(&process.dropped).await;
            self.dispatch(&process, kept);
        }
    }

    async fn send_back_one(&self, queue: &MessageQueue, message: &Received) -> Result<(), Error> {
        let route = self.instance.route(&queue.topic).await?;
        let address = route
            .master(&queue.broker_name)
            .ok_or_else(|| Error::NoBroker(queue.broker_name.clone()))?;
        let header = ConsumerSendMsgBackRequestHeader {
            offset: message.physical_offset,
            group: self.settings.group.as_str().into(),
            delay_level: 0,
            origin_msg_id: Some(message.msg_id().into()),
            origin_topic: Some(message.queue.topic.as_str().into()),
            unit_mode: Some(false),
            max_reconsume_times: Some(self.settings.max_reconsume_times),
        };
        let code = request::CONSUMER_SEND_MSG_BACK;
        let frame = self
            .instance
            .client
            .invoke(address, code, &header, Body::Empty, TIMEOUT)
            .await?;
        if frame.code == response::SUCCESS {
            Ok(())
        } else {
            Err(refused(&frame))
        }
    }

    async fn commit_for_ever(&self) {
        loop {
            tokio::select! {
                () = self.instance.stop.cancelled() => return,
                () = tokio::time::sleep(COMMIT) => self.commit_all().await,
            }
        }
    }

    async fn commit_all(&self) {
        let queues: Vec<Arc<ProcessQueue>> = self.queues.lock().values().cloned().collect();
        for process in &queues {
            self.store(process).await;
        }
    }

    async fn store(&self, process: &ProcessQueue) {
        let Some(offset) = process.to_store() else { return };
        let stored = match &self.local {
            Some(local) => {
                local.set(&process.queue, offset);
                local.save()
            }
            None => {
                self.instance
                    .commit_offset(&self.settings.group, &process.queue, offset)
                    .await
            }
        };
        match stored {
            Ok(()) => process.stored(offset),
            Err(e) => tracing::warn!(
                "offset {offset} of {} is not kept: {e}",
                crate::route::shown(&process.queue)
            ),
        }
    }
}

/// What Java's client adds to a message that was pulled, and the first topic of one that was sent back.
fn prepare(mut message: Received, min: i64, max: i64) -> Received {
    message
        .properties
        .insert(names::MIN_OFFSET.to_owned(), min.to_string());
    message
        .properties
        .insert(names::MAX_OFFSET.to_owned(), max.to_string());
    if message::name::is_retry_topic(&message.queue.topic)
        && let Some(first) = message.property(names::RETRY_TOPIC).map(str::to_owned)
    {
        message.queue.topic = first;
    }
    message
}

fn subscription(topic: &str, expression: &str) -> SubscriptionData {
    let expression = if expression.trim().is_empty() {
        "*"
    } else {
        expression
    };
    let tags: Vec<String> = match expression.trim() {
        "*" => Vec::new(),
        list => list
            .split("||")
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect(),
    };
    SubscriptionData {
        code_set: tags.iter().map(|tag| message::hash::java_hash(tag)).collect(),
        expression_type: "TAG".to_owned(),
        sub_string: expression.to_owned(),
        sub_version: now_ms(),
        tags_set: tags,
        topic: topic.to_owned(),
        ..SubscriptionData::default()
    }
}

fn spawn_workers(inner: &Arc<Inner>, receiver: mpsc::Receiver<Job>) -> Vec<JoinHandle<()>> {
    let receiver = Arc::new(Mutex::new(receiver));
    let worker = |number: usize| {
        let (inner, receiver) = (Arc::clone(inner), Arc::clone(&receiver));
        let builder = std::thread::Builder::new().name(format!("ConsumeMessageThread_{number}"));
        builder.spawn(move || {
            loop {
                // The lock is held while waiting: one waits for a job, the others for the lock, which comes to the same.
                let job = receiver.lock().recv();
                let Ok(job) = job else { return };
                inner.consume(job);
            }
        })
    };
    let spawned = (1..=inner.settings.threads.max(1)).map(worker);
    spawned
        .filter_map(|thread| {
            thread
                .map_err(|e| tracing::error!("a consumer thread cannot be started: {e}"))
                .ok()
        })
        .collect()
}
