//! Sending: SEND_MESSAGE_V2 310 and SEND_BATCH_MESSAGE 320.

use crate::Error;
use crate::instance::{DEFAULT_QUEUES, Instance, Role, TIMEOUT, refused};
use crate::message::{Message, SendResult, SendStatus};
use crate::route::Route;
use crate::unique_id::now_ms;
use bytes::Bytes;
use protocol::Frame;
use protocol::body::MessageQueue;
use protocol::body::broker::{HeartbeatData, ProducerData};
use protocol::code::{request, response};
use protocol::header::Short;
use protocol::header::broker::{SendMessageRequestHeader, SendMessageResponseHeader};
use remoting::Body;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What a producer is told.
#[derive(Debug, Clone)]
pub struct ProducerSettings {
    /// Name servers, `host:port` separated by `;`.
    pub namesrv: String,
    /// Producer group.
    pub group: String,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How many more attempts a send gets when the first fails, on other brokers where there are some.
    pub retries: u32,
    /// Bodies of this many bytes and more are compressed (compressMsgBodyOverHowmuch).
    pub compress_from: usize,
    /// Signs every request.
    pub credentials: Option<acl::Credentials>,
    /// Speaks TLS with name servers and brokers.
    pub tls: Option<remoting::tls::ClientTls>,
}

impl ProducerSettings {
    /// Java's defaults: 3 s, two more attempts.
    pub fn new(namesrv: impl Into<String>, group: impl Into<String>) -> ProducerSettings {
        ProducerSettings {
            namesrv: namesrv.into(),
            group: group.into(),
            timeout: TIMEOUT,
            retries: 2,
            compress_from: 4096,
            credentials: None,
            tls: None,
        }
    }
}

/// Sends messages. Any number of sends may be under way at once; they share one connection to each broker.
pub struct Producer {
    instance: Arc<Instance>,
    settings: ProducerSettings,
    group: Arc<Group>,
    turn: AtomicUsize,
}

struct Group(String);

impl Role for Group {
    fn heartbeat(&self) -> HeartbeatData {
        let producer = ProducerData {
            group_name: self.0.clone(),
        };
        HeartbeatData {
            producer_data_set: vec![producer],
            ..HeartbeatData::default()
        }
    }

    fn reads(&self) -> bool {
        false
    }
}

/// Something ready to be sent to a queue of its topic.
struct Parcel<'a> {
    topic: &'a str,
    body: Bytes,
    properties: String,
    sys_flag: i32,
    flag: i32,
    batch: bool,
    msg_id: String,
}

impl Producer {
    /// Starts a producer. No broker is asked yet.
    pub async fn start(settings: ProducerSettings) -> Result<Producer, Error> {
        message::name::check_group(&settings.group).map_err(|e| Error::BadMessage(e.to_string()))?;
        let instance = Instance::new(
            &settings.namesrv,
            settings.credentials.as_ref(),
            settings.tls.clone(),
            None,
        )?;
        let group = Arc::new(Group(settings.group.clone()));
        let role: Arc<dyn Role> = Arc::clone(&group) as Arc<dyn Role>;
        instance.start(role);
        Ok(Producer {
            instance,
            settings,
            group,
            turn: AtomicUsize::new(0),
        })
    }

    /// Sends a message to a queue of the producer's choice and waits for the answer.
    pub async fn send(&self, message: &Message) -> Result<SendResult, Error> {
        self.send_parcel(&self.parcel(message)?).await
    }

    /// Sends to one queue, without another attempt.
    pub async fn send_to(&self, queue: &MessageQueue, message: &Message) -> Result<SendResult, Error> {
        let parcel = self.parcel(message)?;
        let route = self.route(parcel.topic).await?;
        self.attempt(&route, queue, &parcel).await
    }

    /// Sends without an answer: it may be lost, nobody will know.
    pub async fn send_oneway(&self, message: &Message) -> Result<(), Error> {
        let parcel = self.parcel(message)?;
        let route = self.route(parcel.topic).await?;
        let queue = self.choose(&route, parcel.topic, None)?;
        let address = route
            .master(&queue.broker_name)
            .ok_or_else(|| Error::NoBroker(queue.broker_name.clone()))?;
        let connection = self.instance.client.connection(address).await?;
        let header = self.header(&queue, &parcel);
        connection.oneway(
            request::SEND_MESSAGE_V2,
            &Short(&header),
            Body::Bytes(parcel.body.clone()),
        )?;
        Ok(())
    }

    /// Sends messages of one topic to one queue, as one request: all are stored or none.
    pub async fn send_batch(&self, messages: &[Message]) -> Result<SendResult, Error> {
        let first = messages
            .first()
            .ok_or_else(|| Error::BadMessage("a batch without messages".to_owned()))?;
        let mut body = Vec::new();
        let mut msg_ids = Vec::with_capacity(messages.len());
        for message in messages {
            message.check()?;
            if message.topic != first.topic {
                return Err(Error::BadMessage(
                    "the messages of a batch go to one topic".to_owned(),
                ));
            }
            let msg_id = self.instance.ids.next();
            let properties = message.properties_text(&msg_id)?;
            message::batch::push_entry(&mut body, message.flag, &message.body, properties.as_bytes());
            msg_ids.push(msg_id);
        }
        let msg_id = msg_ids.join(",");
        let parcel = Parcel {
            topic: &first.topic,
            body: body.into(),
            properties: String::new(),
            sys_flag: 0,
            flag: 0,
            batch: true,
            msg_id,
        };
        self.send_parcel(&parcel).await
    }

    /// The topic's queues that may be written.
    pub async fn queues(&self, topic: &str) -> Result<Vec<MessageQueue>, Error> {
        Ok(self.route(topic).await?.writable.clone())
    }

    /// Leaves the group and closes the connections.
    pub async fn shutdown(self) {
        self.instance.shutdown(Some(&self.settings.group), None).await;
    }

    fn parcel<'a>(&self, message: &'a Message) -> Result<Parcel<'a>, Error> {
        message.check()?;
        let msg_id = match message.unique_id() {
            Some(id) => id.to_owned(),
            None => self.instance.ids.next(),
        };
        let properties = message.properties_text(&msg_id)?;
        let (body, sys_flag) = message.packed_body(self.settings.compress_from);
        Ok(Parcel {
            topic: &message.topic,
            body,
            properties,
            sys_flag,
            flag: message.flag,
            batch: false,
            msg_id,
        })
    }

    async fn route(&self, topic: &str) -> Result<Arc<Route>, Error> {
        let route = self.instance.route_to_send(topic).await?;
        self.instance.greet(&*self.group).await;
        Ok(route)
    }

    async fn send_parcel(&self, parcel: &Parcel<'_>) -> Result<SendResult, Error> {
        let mut failed: Option<(Error, String)> = None;
        for _ in 0..=self.settings.retries {
            let route = self.route(parcel.topic).await?;
            let queue = self.choose(
                &route,
                parcel.topic,
                failed.as_ref().map(|(_, broker)| broker.as_str()),
            )?;
            match self.attempt(&route, &queue, parcel).await {
                Ok(result) => return Ok(result),
                Err(e) if is_worth_another_attempt(&e) => {
                    self.instance.forget(parcel.topic);
                    failed = Some((e, queue.broker_name));
                }
                Err(e) => return Err(e),
            }
        }
        Err(failed.map_or_else(|| Error::NoRoute(parcel.topic.to_owned()), |(e, _)| e))
    }

    /// The next queue in turn, on another broker than the one that just failed where there is one.
    fn choose(&self, route: &Route, topic: &str, avoid: Option<&str>) -> Result<MessageQueue, Error> {
        let queues = &route.writable;
        if queues.is_empty() {
            return Err(Error::NoRoute(topic.to_owned()));
        }
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..queues.len()).map(|step| &queues[(start + step) % queues.len()]);
        let other = in_turn
            .clone()
            .find(|queue| avoid != Some(queue.broker_name.as_str()));
        Ok(other.unwrap_or(&queues[start % queues.len()]).clone())
    }

    async fn attempt(
        &self,
        route: &Route,
        queue: &MessageQueue,
        parcel: &Parcel<'_>,
    ) -> Result<SendResult, Error> {
        let address = route
            .master(&queue.broker_name)
            .ok_or_else(|| Error::NoBroker(queue.broker_name.clone()))?;
        let header = self.header(queue, parcel);
        let code = if parcel.batch {
            request::SEND_BATCH_MESSAGE
        } else {
            request::SEND_MESSAGE_V2
        };
        let body = Body::Bytes(parcel.body.clone());
        let timeout = self.settings.timeout;
        let frame = self
            .instance
            .client
            .invoke(address, code, &Short(&header), body, timeout)
            .await?;
        result(&frame, queue, &parcel.msg_id, address)
    }

    fn header<'a>(&'a self, queue: &'a MessageQueue, parcel: &'a Parcel<'_>) -> SendMessageRequestHeader<'a> {
        SendMessageRequestHeader {
            producer_group: Some(self.settings.group.as_str().into()),
            topic: parcel.topic.into(),
            default_topic: Some(message::name::AUTO_CREATE_TOPIC.into()),
            default_topic_queue_nums: Some(DEFAULT_QUEUES),
            queue_id: queue.queue_id,
            sys_flag: Some(parcel.sys_flag),
            born_timestamp: now_ms(),
            flag: Some(parcel.flag),
            properties: Some(&parcel.properties),
            reconsume_times: Some(0),
            unit_mode: Some(false),
            batch: Some(parcel.batch),
            max_reconsume_times: None,
        }
    }
}

/// Whether another broker, or the same one a moment later, might take it.
fn is_worth_another_attempt(error: &Error) -> bool {
    const RETRIED: [i32; 6] = [
        response::TOPIC_NOT_EXIST,
        response::SERVICE_NOT_AVAILABLE,
        response::SYSTEM_ERROR,
        response::SYSTEM_BUSY,
        response::NO_PERMISSION,
        response::GO_AWAY,
    ];
    match error {
        Error::Refused { code, .. } => RETRIED.contains(code),
        Error::Invoke(_) | Error::NoBroker(_) => true,
        _ => false,
    }
}

fn result(frame: &Frame, queue: &MessageQueue, msg_id: &str, peer: &str) -> Result<SendResult, Error> {
    let status = match frame.code {
        response::SUCCESS => SendStatus::Ok,
        response::FLUSH_DISK_TIMEOUT => SendStatus::FlushDiskTimeout,
        response::FLUSH_SLAVE_TIMEOUT => SendStatus::FlushSlaveTimeout,
        response::SLAVE_NOT_AVAILABLE => SendStatus::SlaveNotAvailable,
        _ => return Err(refused(frame)),
    };
    let header: SendMessageResponseHeader<'_> = frame.header().map_err(|cause| Error::BadAnswer {
        peer: peer.to_owned(),
        cause: cause.to_string(),
    })?;
    Ok(SendResult {
        status,
        msg_id: msg_id.to_owned(),
        offset_msg_id: header.msg_id.into_owned(),
        queue: MessageQueue {
            queue_id: header.queue_id,
            ..queue.clone()
        },
        queue_offset: header.queue_offset,
    })
}
