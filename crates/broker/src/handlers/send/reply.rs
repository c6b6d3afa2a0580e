//! SEND_REPLY_MESSAGE (324), SEND_REPLY_MESSAGE_V2 (325): what a consumer replies to a producer that asked. It is handed to that
//! producer by PUSH_REPLY_MESSAGE_TO_CLIENT (326), and stored in the topic it names.
//!
//! Codes and remarks: RocketMQ 4.9.8, ReplyMessageProcessor (reference: behaviours.md §12).

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use disk::{Clock, Disk};
use message::id::OffsetMessageId;
use message::properties::{self, Ending, names};
use message::sys_flag;
use protocol::Frame;
use protocol::code::{request, response};
use protocol::header::broker::{
    ReplyMessageRequestHeader, SendMessageRequestHeader, SendMessageResponseHeader,
};
use remoting::{Body, Request, Responder};
use store::NewRecord;

use super::Send;
use super::plan::Error;
use crate::commitlog::{Answer, Appender, Physical, Safety, SendAnswer, Stored, Waiter};
use crate::settings::Settings;
use crate::stats::{Flowed, MessageKind};
use crate::tables::Change;

/// How long the producer that asked has to take the reply.
const PUSH_WITHIN: Duration = Duration::from_secs(10);

/// Where a reply is stored.
struct Place {
    queue_id: i32,
    /// The change of the topic that is not on disk yet.
    topic_unsaved: Option<Change>,
    made_topic: bool,
}

/// A reply that is on its way to who asked.
struct Push<D: Disk> {
    appender: Arc<Appender<D>>,
    settings: Arc<settings::Live<Settings>>,
    clock: Arc<dyn Clock>,
    region: Arc<str>,
    responder: Responder,
    frame: Frame,
    place: Place,
}

impl<D: Disk> Send<D> {
    /// SEND_REPLY_MESSAGE.
    pub fn reply(&self, request: Request) {
        let Request { frame, responder } = request;
        // It is kept until the producer has answered.
        let frame = frame.detached();
        let (settings, now, replier) = (
            self.settings.load(),
            self.clock.now_ms(),
            responder.peer().address(),
        );
        let checked = frame.header().map_err(Error::Header).and_then(|header| {
            self.check_reply(&header, &frame, replier, &settings)?;
            let place = self.reply_place(&header, replier, &settings, now)?;
            Ok((header, place))
        });
        let (header, place) = match checked {
            Ok(checked) => checked,
            Err(e) => return self.refuse(Some(&mut Some(responder)), &e),
        };
        let asker = properties::get_str(
            header.properties.unwrap_or_default().as_bytes(),
            names::REPLY_TO_CLIENT,
        );
        let asker = asker.map(str::to_owned);
        let mut text = Vec::new();
        let hosts = (replier.to_string(), self.appender.store_host.to_string());
        let pushed = pushed_header(&header, (&hosts.0, &hosts.1), now, &mut text);
        let push = Push {
            appender: Arc::clone(&self.appender),
            settings: Arc::clone(&self.settings),
            clock: Arc::clone(&self.clock),
            region: Arc::clone(&self.region),
            responder,
            frame: frame.clone(),
            place,
        };
        let Some(asker) = asker else {
            let remark = format!("reply message properties[{}] is null", names::REPLY_TO_CLIENT);
            return push.end(Err(remark));
        };
        let Some(peer) = self.producers.find(&asker) else {
            let remark = format!("push reply message fail, channel of <{asker}> not found.");
            return push.end(Err(remark));
        };
        let then = move |answer: Result<Frame, remoting::InvokeError>| {
            let why = match answer {
                Ok(answer) if answer.code == response::SUCCESS => return push.end(Ok(())),
                Ok(answer) => answer.remark.unwrap_or_default(),
                Err(e) => e.to_string(),
            };
            tracing::warn!("push reply message to <{}> fail: {why}", asker.escape_debug());
            push.end(Err(format!("push reply message to {asker}fail.")));
        };
        let body = Body::Bytes(frame.body.clone());
        peer.ask(
            request::PUSH_REPLY_MESSAGE_TO_CLIENT,
            &pushed,
            body,
            PUSH_WITHIN,
            Box::new(then),
        );
    }

    /// Replies go to the cluster's own topic for them, for which no account needs a permission; one to another topic is a send to
    /// that. (Java asks for none.)
    fn check_reply(
        &self,
        header: &SendMessageRequestHeader<'_>,
        frame: &Frame,
        replier: SocketAddr,
        settings: &Settings,
    ) -> Result<(), Error> {
        let is_own = header.topic == message::name::reply_topic(&settings.broker.broker_cluster_name);
        if let Some(access) = self.access.as_ref().filter(|_| !is_own) {
            let resource = acl::Resource::topic(&header.topic);
            access.permits(frame, replier.ip(), resource, resource.needed_to_send())?;
        }
        if settings.store.enable_multi_dispatch {
            self.check_dispatch(header.properties.unwrap_or_default().as_bytes(), frame, replier)?;
        }
        Ok(())
    }

    /// The checks of a send, but that of the role: a slave hands replies on, too.
    fn reply_place(
        &self,
        header: &SendMessageRequestHeader<'_>,
        replier: SocketAddr,
        settings: &Settings,
        now: i64,
    ) -> Result<Place, Error> {
        self.check_time_and_permission(header, settings, now)?;
        let (known, made_topic) = self.known(header, replier, settings, now)?;
        Ok(Place {
            queue_id: self.queue_of(&known, header, replier)?,
            topic_unsaved: known.unsaved,
            made_topic,
        })
    }
}

/// The reply as the producer that asked gets it.
fn pushed_header<'a>(
    header: &'a SendMessageRequestHeader<'_>,
    (replier, broker): (&'a str, &'a str),
    now: i64,
    text: &'a mut Vec<u8>,
) -> ReplyMessageRequestHeader<'a> {
    let now_text = now.to_string();
    let with = [(names::PUSH_REPLY_TIME, now_text.as_str())];
    let own = header.properties.unwrap_or_default().as_bytes();
    properties::rebuild(own, &[], &with, Ending::Bare, text);
    ReplyMessageRequestHeader {
        producer_group: header.producer_group.as_deref().map(Cow::Borrowed),
        topic: Cow::Borrowed(&header.topic),
        default_topic: header.default_topic.as_deref().map(Cow::Borrowed),
        default_topic_queue_nums: header.default_topic_queue_nums,
        queue_id: header.queue_id,
        sys_flag: header.sys_flag,
        born_timestamp: header.born_timestamp,
        flag: header.flag,
        // Text in, text out.
        properties: std::str::from_utf8(text).ok(),
        reconsume_times: header.reconsume_times,
        unit_mode: header.unit_mode,
        born_host: Cow::Borrowed(replier),
        store_host: Cow::Borrowed(broker),
        store_timestamp: now,
    }
}

impl<D: Disk> Push<D> {
    /// Stores the reply, whether it was taken or not, and tells who replied.
    fn end(self, pushed: Result<(), String>) {
        let (settings, now) = (self.settings.load(), self.clock.now_ms());
        let stores = settings.broker.store_reply_message_enable && !settings.is_slave();
        let stored = if stores { self.store(now) } else { None };
        let reput = Arc::clone(&self.appender.reput);
        match (pushed, stored) {
            (Ok(()), Some(stored)) => self.when_safe(stored, now, &settings),
            // As in Java: clients read an id without a test.
            (Ok(()), None) => self.answer(response::SUCCESS, None, "0", 0),
            (Err(remark), Some(stored)) => {
                let id = OffsetMessageId {
                    store_host: self.appender.store_host,
                    physical_offset: stored.first.physical_offset.0,
                };
                let offset = stored.first.queue_offset.0;
                self.answer(response::SYSTEM_ERROR, Some(&remark), &id.to_string(), offset);
            }
            (Err(remark), None) => self.responder.error(response::SYSTEM_ERROR, &remark),
        }
        reput.wake();
    }

    /// The record has the request's own properties, and no delay.
    fn store(&self, now: i64) -> Option<Stored> {
        let header: SendMessageRequestHeader<'_> = self.frame.header().ok()?;
        // Unlike Java, which forgets that a body is compressed.
        let compression = sys_flag::COMPRESSED | sys_flag::COMPRESSION_MASK;
        let record = NewRecord {
            topic: &header.topic,
            queue_id: self.place.queue_id,
            flag: header.flag.unwrap_or(0),
            sys_flag: header.sys_flag.unwrap_or(0) & compression,
            born_timestamp: header.born_timestamp,
            born_host: self.responder.peer().address(),
            store_host: self.appender.store_host,
            reconsume_times: header.reconsume_times.unwrap_or(0),
            prepared_transaction_offset: 0,
            body: &self.frame.body,
            properties: header.properties.unwrap_or_default().as_bytes(),
            joined: false,
        };
        match self.appender.append_new(&record, now) {
            Ok(stored) => {
                let flow = Flowed::one((stored.end.0 - stored.first.physical_offset.0) as u64);
                self.appender
                    .stats
                    .items
                    .put(&header.topic, MessageKind::Normal, flow);
                Some(stored)
            }
            Err(e) => {
                tracing::warn!("a reply is not stored: {e}");
                None
            }
        }
    }

    fn when_safe(self, stored: Stored, now: i64, settings: &Settings) {
        let waiter = Waiter {
            end: stored.end,
            topic: self.place.topic_unsaved,
            made_topic: self.place.made_topic,
            since_ms: now,
            safety: Safety::default(),
            answer: Answer::Send(SendAnswer {
                queue_id: self.place.queue_id,
                queue_offset: stored.first.queue_offset.0,
                physical: Physical::One(stored.first.physical_offset.0),
                store_host: self.appender.store_host,
                region: self.region,
                trace_on: settings.broker.trace_on,
                code: response::SUCCESS,
                responder: self.responder,
            }),
        };
        self.appender.acknowledge(waiter, true, settings);
    }

    fn answer(self, code: i32, remark: Option<&str>, msg_id: &str, queue_offset: i64) {
        let trace_on = self.settings.load().broker.trace_on;
        let header = SendMessageResponseHeader {
            msg_id: Cow::Borrowed(msg_id),
            queue_id: self.place.queue_id,
            queue_offset,
            transaction_id: None,
            region: Some(Cow::Borrowed(&self.region)),
            trace_on: Some(Cow::Borrowed(if trace_on { "true" } else { "false" })),
        };
        self.responder.reply(code, remark, &header, Body::Empty);
    }
}
