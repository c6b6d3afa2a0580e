//! SEND_MESSAGE (10), SEND_MESSAGE_V2 (310), SEND_BATCH_MESSAGE (320); replies in a file of their own.
//!
//! All sends that one read brought are checked and prepared first, without a lock, then appended together under the
//! commitlog's one short lock. Checks, codes and remarks: RocketMQ 4.9.8, SendMessageProcessor and
//! AbstractSendMessageProcessor (reference: wire.md §9, behaviours.md §5).

mod plan;
mod reply;

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use disk::{Clock, Disk, MappedFile};
use message::name::SCHEDULE_TOPIC;
use plan::{Plan, Scratch};
use protocol::Frame;
use protocol::code::{request, response};
use remoting::{Request, Responder};
use store::{AppendError, Illegal, NewRecord, Pending, PhysicalOffset, Preparer};

use crate::access::Guard;
use crate::clients::Producers;
use crate::commitlog::{Answer, Appender, Physical, Safety, SendAnswer, Waiter};
use crate::settings::DelayLevels;
use crate::settings::Settings;
use crate::stats::{Flowed, Stats};
use crate::tables::{GroupTable, OpenHalves, TopicTable};

pub use plan::Error;

/// Most sends taken into one append.
const SENDS_PER_APPEND: usize = 1024;

/// What the handler needs.
pub struct Send<D: Disk> {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Topics.
    pub topics: Arc<TopicTable>,
    /// Groups, for sends to retry topics.
    pub groups: Arc<GroupTable>,
    /// Who waits for replies.
    pub producers: Arc<Producers>,
    /// Where messages go.
    pub appender: Arc<Appender<D>>,
    /// Access control, where it is on: for what the request itself does not show.
    pub access: Option<Arc<Guard>>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Counts of open half messages.
    pub open_halves: Arc<OpenHalves>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// regionId.
    pub region: Arc<str>,
    /// Delays of the delay levels.
    pub delay_levels: Arc<DelayLevels>,
    /// Spreads sends that name no queue.
    pub next_queue: AtomicU32,
}

/// Is this one of the requests served here?
pub fn is_send(frame: &Frame) -> bool {
    matches!(
        frame.code,
        request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE
    )
}

impl<D: Disk> Send<D> {
    /// Serves the sends at the front of `requests`.
    pub fn handle(&self, requests: &mut VecDeque<Request>) {
        let most = requests.len().min(SENDS_PER_APPEND);
        let mut frames = Vec::with_capacity(most);
        let mut responders = Vec::with_capacity(most);
        while frames.len() < SENDS_PER_APPEND && requests.front().is_some_and(|r| is_send(&r.frame)) {
            let Some(Request { frame, responder }) = requests.pop_front() else {
                break;
            };
            frames.push(frame);
            responders.push(Some(responder));
        }
        let now = self.clock.now_ms();
        let settings = self.settings.load();
        let mut scratch = Scratch::for_sends(most);
        let mut plans = Vec::with_capacity(frames.len());
        for (at, (frame, slot)) in frames.iter().zip(&mut responders).enumerate() {
            let Some(responder) = slot.as_ref() else { continue };
            let mark = scratch.mark();
            let peer = responder.peer().address();
            let planned = catch_unwind(AssertUnwindSafe(|| {
                self.plan(frame, peer, &settings, now, &mut scratch)
            }));
            if !matches!(planned, Ok(Ok(_))) {
                scratch.reset(mark);
            }
            match planned {
                Ok(Ok(plan)) => plans.push((at, plan)),
                Ok(Err(e)) => self.refuse(Some(slot), &e),
                // A panic harms this request alone: its responder, dropped without an answer, answers SYSTEM_ERROR.
                Err(_) => *slot = None,
            }
        }
        self.append(&plans, &mut responders, &scratch, &settings, now);
    }

    /// Appends what was planned, under one lock, and answers. Each plan comes with the place of its responder.
    fn append(
        &self,
        plans: &[(usize, Plan<'_>)],
        responders: &mut [Option<Responder>],
        scratch: &Scratch<'_>,
        settings: &Settings,
        now: i64,
    ) {
        let mut pending = Vec::with_capacity(scratch.records.len());
        let mut stored = Vec::with_capacity(plans.len());
        let mut preparer = self.appender.preparer();
        let too_few = self.appender.has_too_few_in_sync(settings);
        for (at, plan) in plans {
            let first = pending.len();
            if too_few && plan.waits {
                self.refuse(responders.get_mut(*at), &Error::TooFewInSync);
                continue;
            }
            match self.prepare(plan, scratch, &mut preparer, &mut pending) {
                Ok(()) => stored.push((*at, plan, first..pending.len())),
                Err(illegal) => {
                    pending.truncate(first);
                    let error = Error::illegal(illegal, settings.store.max_message_size);
                    self.refuse(responders.get_mut(*at), &error);
                }
            }
        }
        if pending.is_empty() {
            return;
        }
        self.appender.append(&mut pending, now);
        self.count(&stored, &pending, now);
        for (at, plan, range) in stored {
            let results = pending.get_mut(range).unwrap_or_default();
            let slot = responders.get_mut(at);
            match outcome(results) {
                Ok(placed) => {
                    if let Some(responder) = slot.and_then(Option::take) {
                        self.answer(plan, responder, placed, settings, now);
                    }
                }
                Err(why) => {
                    if let AppendError::NoSpace(_) = &why {
                        logs::limited!(error, "a send is refused: {why}");
                    }
                    let body_max = settings.store.max_message_size;
                    self.refuse(slot, &Error::Append { why, body_max });
                }
            }
        }
    }

    /// Counts what is stored, before anybody has an answer; requests for one topic together.
    fn count(&self, stored: &[(usize, &Plan<'_>, Range<usize>)], pending: &[Pending<'_, D::File>], now: i64) {
        let mut sum = Flowed::default();
        for (at, (_, plan, range)) in stored.iter().enumerate() {
            let records = pending.get(range.clone()).unwrap_or_default();
            if records.iter().all(|record| matches!(record.result, Some(Ok(_)))) {
                let flow = Flowed {
                    messages: records.len() as u64,
                    bytes: records.iter().map(|record| record.record_len() as u64).sum(),
                    times: 1,
                };
                sum = sum.and(flow);
                if plan.topic == SCHEDULE_TOPIC {
                    self.stats.items.put_queue(SCHEDULE_TOPIC, plan.queue_id, flow);
                }
                let placed = records
                    .first()
                    .and_then(|record| record.result.as_ref()?.as_ref().ok());
                if let (Some(topic), Some(placed)) = (plan.half_of(), placed) {
                    self.open_halves.began(topic, placed.queue_offset.0, now);
                }
            }
            let next = stored.get(at + 1);
            let is_alike = |next: &Plan<'_>| next.kind == plan.kind && next.topic == plan.topic;
            if sum.times > 0 && next.is_none_or(|(_, next, _)| !is_alike(next)) {
                self.stats
                    .items
                    .put(&plan.topic, plan.kind, std::mem::take(&mut sum));
            }
        }
    }

    /// Does everything for the plan's records that needs no lock.
    fn prepare<'a>(
        &self,
        plan: &'a Plan<'_>,
        scratch: &'a Scratch<'_>,
        preparer: &mut Preparer<'_, D>,
        pending: &mut Vec<Pending<'a, D::File>>,
    ) -> Result<(), Illegal> {
        let records = scratch.records.get(plan.records.clone()).unwrap_or_default();
        for (i, record) in records.iter().enumerate() {
            let new = NewRecord {
                topic: &plan.topic,
                queue_id: plan.queue_id,
                flag: record.flag,
                sys_flag: plan.sys_flag,
                born_timestamp: plan.born_timestamp,
                born_host: plan.born_host,
                store_host: self.appender.store_host,
                reconsume_times: plan.reconsume_times,
                prepared_transaction_offset: 0,
                body: record.body,
                properties: scratch.text.get(record.properties.clone()).unwrap_or_default(),
                joined: i > 0,
            };
            if let Some(topic) = &plan.parked_for {
                // What could not be delivered later is refused while its sender still listens.
                self.appender.store.check_record(&NewRecord {
                    topic,
                    queue_id: plan.asked_queue_id,
                    ..new
                })?;
            }
            pending.push(match &record.wanted {
                Some(wanted) => preparer.prepare_walked(&new, wanted)?,
                None => preparer.prepare(&new)?,
            });
        }
        Ok(())
    }

    fn refuse(&self, slot: Option<&mut Option<Responder>>, e: &Error) {
        self.stats.refused();
        if let Some(responder) = slot.and_then(Option::take) {
            responder.error(e.code(), &e.to_string());
        }
    }

    /// Answers at once, or when flush, replication or the topic file have caught up.
    fn answer(&self, plan: &Plan<'_>, responder: Responder, placed: Placed, settings: &Settings, now: i64) {
        let answer = SendAnswer {
            responder,
            queue_id: plan.asked_queue_id,
            queue_offset: placed.queue_offset,
            physical: placed.physical,
            store_host: self.appender.store_host,
            region: Arc::clone(&self.region),
            trace_on: settings.broker.trace_on,
            code: response::SUCCESS,
        };
        let waiter = Waiter {
            end: placed.end,
            topic: plan.topic_unsaved,
            made_topic: plan.made_topic,
            since_ms: now,
            safety: Safety::default(),
            answer: Answer::Send(answer),
        };
        self.appender.acknowledge(waiter, plan.waits, settings);
    }
}

/// Where one request's records were put.
struct Placed {
    queue_offset: i64,
    physical: Physical,
    end: PhysicalOffset,
}

/// Sums up the results of one request's records: they are all stored or none is.
fn outcome<F: MappedFile>(results: &mut [Pending<'_, F>]) -> Result<Placed, AppendError> {
    let mut places = results
        .iter_mut()
        .map(|pending| pending.result.take().unwrap_or(Err(AppendError::ShutDown)));
    let first = places.next().unwrap_or(Err(AppendError::ShutDown))?;
    let mut last = first;
    let physical = match places.len() {
        0 => Physical::One(first.physical_offset.0),
        others => {
            let mut all = Vec::with_capacity(1 + others);
            all.push(first.physical_offset.0);
            for place in places {
                last = place?;
                all.push(last.physical_offset.0);
            }
            Physical::Many(all)
        }
    };
    Ok(Placed {
        queue_offset: first.queue_offset.0,
        physical,
        end: last.end,
    })
}
