//! What the broker asks clients for operators: INVOKE_BROKER_TO_GET_CONSUMER_STATUS (223) by GET_CONSUMER_STATUS_FROM_CLIENT
//! (221) to each member of a group, GET_CONSUMER_RUNNING_INFO (307) and CONSUME_MESSAGE_DIRECTLY (309) to one.
//!
//! Codes and remarks: RocketMQ 4.9.8, AdminBrokerProcessor.callConsumer and Broker2Client.getConsumeStatus. The answers come
//! later: no thread waits for a client.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use disk::Disk;
use message::id::OffsetMessageId;
use message::record::{Check, Entry, decode};
use parking_lot::Mutex;
use protocol::body::operator::{ConsumerStatus, ConsumerStatuses};
use protocol::code::{request, response};
use protocol::header::broker::{
    ConsumeMessageDirectlyRequestHeader, GetConsumerRunningInfoRequestHeader, GetConsumerStatusRequestHeader,
};
use protocol::version::{V3_0_7, V3_1_8};
use protocol::{EncodeHeader, Frame};
use remoting::{Body, InvokeError, Request, Responder};
use store::{PhysicalOffset, Store};

use super::{Error, refuse};
use crate::access::Guard;
use crate::clients::{Consumers, Member};
use crate::lane::MayWait;
use crate::settings::Settings;

/// How long a client has for what its consumer does or is.
const CONSUMER_WITHIN: Duration = Duration::from_secs(10);
/// How long each has for where it is.
const STATUS_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer about where a client is: one of 10,000 queues.
const STATUS_MAX_BYTES: usize = 2 << 20;

/// What the handler needs.
pub struct Relay<D: Disk> {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Who is connected.
    pub consumers: Arc<Consumers>,
    /// Access control, where it is on.
    pub access: Option<Arc<Guard>>,
    /// The messages.
    pub store: Arc<Store<D>>,
}

/// Where the members of a group are, as far as they have told.
struct Gathered {
    responder: Option<Responder>,
    statuses: ConsumerStatuses,
    left: usize,
}

impl<D: Disk> Relay<D> {
    /// GET_CONSUMER_RUNNING_INFO.
    pub fn running_info(&self, request: Request) {
        let Request { frame, responder } = request;
        let header = match frame.header::<GetConsumerRunningInfoRequestHeader<'_>>() {
            Ok(header) => header,
            Err(e) => return refuse(responder, &Error::Header(e)),
        };
        let (group, client_id) = (&*header.consumer_group, &*header.client_id);
        let code = request::GET_CONSUMER_RUNNING_INFO;
        self.call(responder, (group, client_id), code, &header, Body::Empty);
    }

    /// CONSUME_MESSAGE_DIRECTLY. The message may have to come from the disk.
    pub fn consume_directly(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let outcome = frame
            .header::<ConsumeMessageDirectlyRequestHeader<'_>>()
            .map_err(Error::Header)
            .and_then(|header| {
                let message = self.message(header.msg_id.as_deref())?;
                if let (Some(access), Ok(Entry::Record(view))) =
                    (&self.access, decode(&message, Check::Lengths))
                {
                    access.may_read(&frame, responder.peer().address().ip(), &view)?;
                }
                Ok((message, header))
            });
        let (message, header) = match outcome {
            Ok(found) => found,
            Err(e) => return refuse(responder, &e),
        };
        let broker_name = self.settings.load().broker.broker_name.clone();
        let header = ConsumeMessageDirectlyRequestHeader {
            broker_name: Some(Cow::Owned(broker_name)),
            ..header
        };
        let client_id = header.client_id.as_deref().unwrap_or("null");
        let asked = (&*header.consumer_group, client_id);
        let code = request::CONSUME_MESSAGE_DIRECTLY;
        self.call(responder, asked, code, &header, Body::Bytes(message));
    }

    /// The bytes of a message.
    fn message(&self, id: Option<&str>) -> Result<Bytes, Error> {
        let id = id.unwrap_or_default();
        let none = |why: String| Error::Value(format!("the message of id[{id}] can not be read: {why}"));
        let place: OffsetMessageId = id
            .parse()
            .map_err(|_| none("it is no offset message id".to_owned()))?;
        let record = self
            .store
            .record_at(PhysicalOffset(place.physical_offset))
            .map_err(|e| none(e.to_string()))?;
        record.fetch().map_err(|e| none(e.to_string()))?;
        Ok(Bytes::from_owner(record))
    }

    /// Asks one member of a group what an operator wants to know, and hands its answer on.
    fn call(
        &self,
        responder: Responder,
        (group, client_id): (&str, &str),
        code: i32,
        header: &dyn EncodeHeader,
        body: Body,
    ) {
        let Some(member) = self.consumers.member(group, client_id) else {
            let remark = format!("The Consumer <{group}> <{client_id}> not online");
            return responder.error(response::SYSTEM_ERROR, &remark);
        };
        if member.version < V3_1_8 {
            let remark = format!(
                "The Consumer <{client_id}> Version <{}> too low to finish, please upgrade it to V3_1_8_SNAPSHOT",
                member.version
            );
            return responder.error(response::SYSTEM_ERROR, &remark);
        }
        let name = format!("consumer <{group}> <{client_id}>");
        let then = move |answer| hand_on(responder, &name, answer);
        member
            .conn
            .ask(code, header, body, CONSUMER_WITHIN, Box::new(then));
    }

    /// INVOKE_BROKER_TO_GET_CONSUMER_STATUS.
    pub fn statuses(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let header = match frame.header::<GetConsumerStatusRequestHeader<'_>>() {
            Ok(header) => header,
            Err(e) => return refuse(responder, &Error::Header(e)),
        };
        let members = self.consumers.members(&header.group);
        if members.is_empty() {
            let remark = format!("No Any Consumer online in the consumer group: [{}]", header.group);
            return responder.error(response::SYSTEM_ERROR, &remark);
        }
        if let Some(old) = members.iter().find(|member| member.version < V3_0_7) {
            return refuse(responder, &Error::OldClient(old.version));
        }
        let wanted = header.client_addr.as_deref().unwrap_or_default().trim();
        let is_wanted = |member: &Member| wanted.is_empty() || *member.client_id == *wanted;
        let asked: Vec<Member> = members.into_iter().filter(is_wanted).collect();
        let header = GetConsumerStatusRequestHeader {
            client_addr: None,
            ..header
        };
        let gathered = Arc::new(Mutex::new(Gathered {
            responder: Some(responder),
            statuses: ConsumerStatuses::default(),
            left: asked.len() + 1,
        }));
        for member in asked {
            let (gathered, client_id) = (Arc::clone(&gathered), Arc::clone(&member.client_id));
            let then = move |answer| take(&gathered, Some((&client_id, answer)));
            let code = request::GET_CONSUMER_STATUS_FROM_CLIENT;
            member
                .conn
                .ask(code, &header, Body::Empty, STATUS_WITHIN, Box::new(then));
        }
        take(&gathered, None);
    }
}

/// A client's answer goes to whoever asked as it is.
fn hand_on(responder: Responder, name: &str, answer: Result<Frame, InvokeError>) {
    match answer {
        Ok(answer) => {
            let body = match answer.body.is_empty() {
                true => Body::Empty,
                false => Body::Bytes(answer.body.clone()),
            };
            responder.reply(answer.code, answer.remark.as_deref(), &(), body);
        }
        Err(e @ InvokeError::Timeout { .. }) => {
            responder.error(response::CONSUME_MSG_TIMEOUT, &format!("{name} Timeout: {e}"));
        }
        Err(e) => responder.error(response::SYSTEM_ERROR, &format!("invoke {name} Exception: {e}")),
    }
}

/// One more has told, or cannot; the last one's answer is everybody's.
fn take(gathered: &Mutex<Gathered>, told: Option<(&str, Result<Frame, InvokeError>)>) {
    let status = told.and_then(|(client_id, answer)| match read_status(answer) {
        Ok(status) => Some((client_id.to_owned(), status)),
        Err(why) => {
            tracing::warn!("[get-consumer-status] {}: {why}", client_id.escape_debug());
            None
        }
    });
    let mut all = gathered.lock();
    all.statuses.consumer_table.extend(status);
    all.left -= 1;
    if all.left > 0 {
        return;
    }
    let (responder, statuses) = (all.responder.take(), std::mem::take(&mut all.statuses));
    drop(all);
    if let Some(responder) = responder {
        responder.body(&statuses);
    }
}

fn read_status(answer: Result<Frame, InvokeError>) -> Result<ConsumerStatus, String> {
    let answer = answer.map_err(|e| e.to_string())?;
    if answer.code != response::SUCCESS {
        return Err(format!(
            "code {}: {}",
            answer.code,
            answer.remark.unwrap_or_default()
        ));
    }
    if answer.body.len() > STATUS_MAX_BYTES {
        return Err(format!("an answer of {} bytes", answer.body.len()));
    }
    let told: ConsumerStatuses = protocol::body::read_request(&answer.body).map_err(|e| e.to_string())?;
    Ok(ConsumerStatus(told.message_queue_table))
}
