//! A connection as everybody but its own task sees it: an outbox, and the requests sent to the peer.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::code::response;
use protocol::frame::FLAG_ONEWAY;
use protocol::version::V4_9_8;
use protocol::{EncodeHeader, Frame, Head, Language, SerializeType};
use tokio::sync::oneshot;

use crate::address::Holding;
use crate::client::InvokeError;
use crate::peer::RequestEnd;
use crate::responder::Body;
use crate::served::Served;
use crate::settings::{Limits, Metrics, Sign};

/// A body of at most this many bytes is copied behind its header: one piece to write instead of two.
const COPY_BELOW: usize = 512;
/// Bytes of answers after which a turn ends and the worker serves others.
pub(crate) const TURN_BYTES: usize = 1024 * 1024;
/// How long a turn may serve requests before others have the worker.
pub(crate) const TURN_TIME: Duration = Duration::from_millis(2);
/// No frame is coming. No time is later.
pub(crate) const NO_FRAME: u32 = u32::MAX;
/// Bytes a buffer for frames starts with.
const HEAD_LEAST: usize = 512;
const HEAD_MOST: usize = 16 * 1024;

/// The connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection is closed")]
pub struct Closed;

/// The number of a request, and what its answer comes through.
pub(crate) type Sent = (i32, oneshot::Receiver<Frame>);

/// Why a frame is not in the outbox.
#[derive(Debug, thiserror::Error)]
enum NotPushed {
    #[error("the connection is closed")]
    Closed,
    #[error("{0}")]
    TooLarge(#[from] protocol::encode::TooLarge),
}

/// What waits to be written, and who writes it.
#[derive(Default)]
pub(crate) struct Outbox {
    /// Finished pieces, written before `head`.
    pub(crate) chunks: VecDeque<Bytes>,
    /// Frames that have no piece of their own yet.
    pub(crate) head: Vec<u8>,
    /// Bytes the last such piece had: room for the next one.
    usual: usize,
    /// Bytes of both.
    pub(crate) bytes: usize,
    /// Bytes of answered requests, for which the task gives the room back: not each answer by itself, since all processors
    /// write there.
    pub(crate) returned: usize,
    /// The task, when it sleeps.
    pub(crate) waker: Option<Waker>,
    /// The task is inside the service: it will look into the outbox anyway.
    pub(crate) serving: bool,
    /// Since when, in this turn.
    pub(crate) serving_since: Option<Instant>,
    /// What ended in this turn.
    ended: Ended,
    /// Nothing more is taken.
    pub(crate) closed: bool,
}

/// Requests that ended and are to be counted.
#[derive(Default)]
pub(crate) struct Ended {
    requests: usize,
    bytes: usize,
    /// The last of them, as far as they are alike: those of a turn mostly are.
    alike: Option<Alike>,
}

impl Ended {
    fn is_nothing(&self) -> bool {
        self.requests == 0 && self.alike.is_none()
    }
}

/// Requests of one read that ended in the same way.
struct Alike {
    served: Served,
    since: Instant,
    times: u64,
}

impl Alike {
    fn is_like(&self, other: &Alike) -> bool {
        self.served == other.served && self.since == other.since
    }
}

impl Outbox {
    /// Notes the end of a request; gives what is to be counted now. What ends in a turn is counted when its answers are written,
    /// with one look at the clock.
    fn note(&mut self, end: RequestEnd) -> Ended {
        let one = end.served.map(|(served, since)| Alike {
            served,
            since,
            times: 1,
        });
        if !self.serving {
            return Ended {
                requests: 1,
                bytes: end.weight,
                alike: one,
            };
        }
        let turn = &mut self.ended;
        turn.requests += 1;
        turn.bytes += end.weight;
        let alike = match (&mut turn.alike, one) {
            (_, None) => None,
            (Some(last), Some(one)) if last.is_like(&one) => {
                last.times += 1;
                None
            }
            (last, one) => std::mem::replace(last, one),
        };
        Ended {
            alike,
            ..Ended::default()
        }
    }

    pub(crate) fn seal_head(&mut self) {
        if !self.head.is_empty() {
            self.usual = self.head.len().clamp(HEAD_LEAST, HEAD_MOST);
            self.chunks.push_back(std::mem::take(&mut self.head).into());
        }
    }
}

/// Requests that are not answered, and their bytes, in one number: both change together.
#[derive(Debug, Default)]
struct InFlight(AtomicU64);

impl InFlight {
    /// Bytes are below, requests above.
    const BYTES_BITS: u32 = 40;

    fn pack(requests: usize, bytes: usize) -> u64 {
        ((requests as u64) << Self::BYTES_BITS) | bytes as u64
    }

    fn add(&self, requests: usize, bytes: usize) {
        self.0.fetch_add(Self::pack(requests, bytes), Ordering::AcqRel);
    }

    fn subtract(&self, requests: usize, bytes: usize) {
        self.0.fetch_sub(Self::pack(requests, bytes), Ordering::SeqCst);
    }

    fn get(&self) -> (usize, usize) {
        let both = self.0.load(Ordering::SeqCst);
        let bytes = both & ((1 << Self::BYTES_BITS) - 1);
        ((both >> Self::BYTES_BITS) as usize, bytes as usize)
    }
}

/// One TCP connection.
pub struct Connection {
    id: u64,
    peer: SocketAddr,
    local: SocketAddr,
    outbox: Mutex<Outbox>,
    invoked: Mutex<HashMap<i32, oneshot::Sender<Frame>>>,
    next_opaque: AtomicI32,
    in_flight: InFlight,
    /// The task sleeps until requests are answered: nothing else would wake it.
    waits_for_answers: AtomicBool,
    closing: AtomicBool,
    draining: AtomicBool,
    stays: AtomicBool,
    /// Seconds on the server's coarse clock when bytes last moved.
    pub(crate) active_at: AtomicU32,
    /// The same for bytes written, or for nothing to write.
    pub(crate) wrote_at: AtomicU32,
    /// Seconds on the same clock by when the frame that is coming has to be whole, or to have grown enough; [`NO_FRAME`] without
    /// one.
    pub(crate) frame_due: AtomicU32,
    /// Bytes the task took from the outbox and has not written yet.
    pub(crate) unwritten: AtomicUsize,
    pub(crate) limits: Arc<Limits>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) room: Holding,
    /// Signs the requests that this end sends.
    sign: Option<Sign>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({} {})", self.id, self.peer)
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Connection {
    pub(crate) fn new(
        peer: SocketAddr,
        local: SocketAddr,
        limits: Arc<Limits>,
        metrics: Arc<Metrics>,
        room: Holding,
    ) -> Arc<Self> {
        Self::signing(peer, local, limits, metrics, room, None)
    }

    /// One whose requests are signed.
    pub(crate) fn signing(
        peer: SocketAddr,
        local: SocketAddr,
        limits: Arc<Limits>,
        metrics: Arc<Metrics>,
        room: Holding,
        sign: Option<Sign>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            peer,
            local,
            outbox: Mutex::default(),
            invoked: Mutex::default(),
            next_opaque: AtomicI32::new(0),
            in_flight: InFlight::default(),
            waits_for_answers: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            stays: AtomicBool::new(false),
            active_at: AtomicU32::new(0),
            wrote_at: AtomicU32::new(0),
            frame_due: AtomicU32::new(NO_FRAME),
            unwritten: AtomicUsize::new(0),
            limits,
            metrics,
            room,
            sign,
        })
    }

    /// A number no other connection of this process has.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Our end.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Can it still be written to?
    pub fn is_open(&self) -> bool {
        !self.closing.load(Ordering::Acquire)
    }

    /// Closes it; what is in the outbox is lost.
    pub fn close(&self, reason: &str) {
        if !self.closing.swap(true, Ordering::AcqRel) {
            tracing::debug!("connection of {} closed: {reason}", self.peer);
        }
        self.wake();
    }

    /// Lets answers go out, takes no more requests, closes when all are answered.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.wake();
    }

    /// It is closed after all others.
    pub(crate) fn stay(&self) {
        self.stays.store(true, Ordering::Relaxed);
    }

    pub(crate) fn stays(&self) -> bool {
        self.stays.load(Ordering::Relaxed)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    fn wake(&self) {
        let waker = self.outbox.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Does anything wait for the peer to read? The task takes what is in the outbox at once, so there is no need to look
    /// there.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.unwritten.load(Ordering::Relaxed) > 0
    }

    /// Does more wait to be written than may?
    pub fn is_congested(&self) -> bool {
        let waiting = self.unwritten.load(Ordering::Relaxed) + self.outbox.lock().bytes;
        waiting > self.limits.outbox_max_bytes
    }

    /// Does the peer take no more, or has this turn made so much to write, or taken so long, that others should have the
    /// worker first? A service leaves the rest of its requests then.
    pub fn should_yield(&self) -> bool {
        let outbox = self.outbox.lock();
        let (made, serving_since) = (outbox.bytes, outbox.serving_since);
        drop(outbox);
        made > TURN_BYTES
            || self.unwritten.load(Ordering::Relaxed) + made > self.limits.outbox_max_bytes
            || serving_since.is_some_and(|since| since.elapsed() > TURN_TIME)
    }

    pub(crate) fn outbox(&self) -> &Mutex<Outbox> {
        &self.outbox
    }

    /// Requests handed to the service and not yet answered, and their bytes.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        self.in_flight.get()
    }

    /// Counts a request of so many bytes.
    pub(crate) fn request_started(&self, bytes: usize) {
        self.in_flight.add(1, bytes);
    }

    /// Counts bytes of a request no more, before its outcome.
    pub(crate) fn bytes_released(&self, bytes: usize) {
        if bytes > 0 {
            self.in_flight.subtract(0, bytes);
            self.room.give(bytes);
        }
    }

    /// Gives the room of a request back that no answer carries back.
    pub(crate) fn give_room(&self, bytes: usize) {
        if bytes > 0 {
            self.room.give(bytes);
        }
    }

    /// Counts requests that ended; `now`: when that is, if it is known.
    fn count(&self, ended: Ended, now: Option<Instant>) {
        if let Some(Alike { served, since, times }) = ended.alike {
            let took = now.unwrap_or_else(Instant::now).saturating_duration_since(since);
            self.metrics.served.add(served, took, times);
            self.metrics.slow.note(served, took, times, self.peer);
        }
        if ended.requests == 0 {
            return;
        }
        // SeqCst on both sides of `sleeps_for_answers`: either the task sees this, or this sees that the task sleeps.
        self.in_flight.subtract(ended.requests, ended.bytes);
        if self.waits_for_answers.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    /// The task begins to serve, in a turn that has done so since then.
    pub(crate) fn begin_serving(&self, turn_since: Instant) {
        let mut outbox = self.outbox.lock();
        outbox.serving = true;
        outbox.serving_since = Some(turn_since);
    }

    /// The task has served, and it is `now`.
    pub(crate) fn end_serving(&self, now: Instant) {
        let mut outbox = self.outbox.lock();
        outbox.serving = false;
        let ended = std::mem::take(&mut outbox.ended);
        drop(outbox);
        self.count(ended, Some(now));
    }

    /// Ends a request that wants no answer.
    pub(crate) fn end_unanswered(&self, end: RequestEnd) {
        self.give_room(end.weight);
        let ended = self.outbox.lock().note(end);
        self.count(ended, None);
    }

    /// Notes that the task may go to sleep until requests are answered. What it sleeps for is looked at afterwards.
    pub(crate) fn sleeps_for_answers(&self) {
        self.waits_for_answers.store(true, Ordering::SeqCst);
    }

    /// Notes that the task is awake, and looks at everything again before it sleeps.
    pub(crate) fn runs(&self) {
        self.waits_for_answers.store(false, Ordering::Relaxed);
    }

    /// Puts the answer to a request into the outbox. One that is too large to be written is SYSTEM_ERROR instead: whoever asked must
    /// not wait for nothing.
    pub(crate) fn push_answer(
        &self,
        head: &Head<'_>,
        header: &dyn EncodeHeader,
        body: Body,
        end: RequestEnd,
    ) {
        let pushed = match self.push(head, header, body, Some(end)) {
            Err(NotPushed::TooLarge(e)) => {
                self.metrics.answers_too_large.fetch_add(1, Ordering::Relaxed);
                tracing::error!("an answer to {} is SYSTEM_ERROR instead: {e}", self.peer);
                let remark = format!("the answer can not be sent: {e}");
                let instead = Head {
                    code: response::SYSTEM_ERROR,
                    remark: Some(&remark),
                    ..*head
                };
                self.push(&instead, &(), Body::Empty, Some(end))
            }
            pushed => pushed,
        };
        if pushed.is_err() {
            self.end_unanswered(end);
        }
    }

    /// Puts a frame into the outbox. A request that it answers counts as ended only then: a connection that drains closes when all have
    /// ended.
    fn push(
        &self,
        head: &Head<'_>,
        header: &dyn EncodeHeader,
        body: Body,
        answers: Option<RequestEnd>,
    ) -> Result<(), NotPushed> {
        let mut outbox = self.outbox.lock();
        if outbox.closed {
            return Err(NotPushed::Closed);
        }
        let before = outbox.head.len();
        if before == 0 {
            let usual = outbox.usual.max(HEAD_LEAST);
            outbox.head.reserve(usual);
        }
        protocol::encode::encode_head(&mut outbox.head, head, header, body.len())?;
        outbox.bytes += outbox.head.len() - before + body.len();
        match body {
            Body::Empty => {}
            Body::Bytes(bytes) if bytes.len() <= COPY_BELOW => outbox.head.extend_from_slice(&bytes),
            Body::Bytes(bytes) => {
                outbox.seal_head();
                outbox.chunks.push_back(bytes);
            }
            Body::Chunks(chunks) => {
                outbox.seal_head();
                outbox.chunks.extend(chunks.into_iter().filter(|c| !c.is_empty()));
            }
        }
        let ended = answers.map(|end| {
            outbox.returned += end.weight;
            outbox.note(end)
        });
        let waker = if outbox.serving { None } else { outbox.waker.take() };
        drop(outbox);
        if let Some(waker) = waker {
            waker.wake();
        }
        if let Some(ended) = ended.filter(|ended| !ended.is_nothing()) {
            self.count(ended, None);
        }
        Ok(())
    }

    /// Puts a request into the outbox, signed where this end signs.
    fn push_request(&self, head: &Head<'_>, header: &dyn EncodeHeader, body: Body) -> Result<(), NotPushed> {
        let Some(sign) = &self.sign else {
            return self.push(head, header, body, None);
        };
        // The values are known once they are written; which form they are written in makes no difference to them.
        let written = protocol::encode::encode_frame(
            &Head {
                serialize_type: SerializeType::RocketMq,
                ..*head
            },
            header,
            &[],
        )?;
        let frame = Frame::decode(written.slice(4..)).expect("what was just written is a frame");
        let fields: Vec<(&str, &str)> = frame.fields().collect();
        let pieces: Vec<&[u8]> = match &body {
            Body::Empty => Vec::new(),
            Body::Bytes(bytes) => vec![bytes],
            Body::Chunks(chunks) => chunks.iter().map(|chunk| &**chunk).collect(),
        };
        let more = sign.fields(&fields, &pieces);
        self.push(head, &Signed { header, more: &more }, body, None)
    }

    /// Sends a request that nobody answers.
    pub fn oneway(&self, code: i32, header: &dyn EncodeHeader, body: Body) -> Result<(), Closed> {
        let opaque = self.next_opaque.fetch_add(1, Ordering::Relaxed);
        match self.push_request(&request_head(code, opaque, FLAG_ONEWAY), header, body) {
            Ok(()) => Ok(()),
            Err(NotPushed::Closed) => Err(Closed),
            Err(NotPushed::TooLarge(e)) => {
                // Nobody waits for it, and the connection is sound.
                tracing::error!("request {code} to {} is not sent: {e}", self.peer);
                Ok(())
            }
        }
    }

    /// Sends a request at once; the future waits for the answer, whatever its code.
    pub fn invoke(
        &self,
        code: i32,
        header: &dyn EncodeHeader,
        body: Body,
        timeout: Duration,
    ) -> impl Future<Output = Result<Frame, InvokeError>> + Send + use<'_> {
        let sent = self.send(code, header, body);
        self.answer(sent, code, timeout)
    }

    /// The same as a client in another language: a broker writes for it what it reads.
    pub fn invoke_as(
        &self,
        language: Language,
        code: i32,
        header: &dyn EncodeHeader,
        body: Body,
        timeout: Duration,
    ) -> impl Future<Output = Result<Frame, InvokeError>> + Send + use<'_> {
        let sent = self.send_as(language, code, header, body);
        self.answer(sent, code, timeout)
    }

    /// The answer to what was sent.
    pub(crate) async fn answer(
        &self,
        sent: Result<Sent, InvokeError>,
        code: i32,
        timeout: Duration,
    ) -> Result<Frame, InvokeError> {
        let (opaque, answer) = sent?;
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(frame)) => Ok(frame),
            Ok(Err(_)) => Err(InvokeError::Closed { peer: self.peer }),
            Err(_) => {
                self.invoked.lock().remove(&opaque);
                Err(InvokeError::Timeout {
                    peer: self.peer,
                    code,
                    after: timeout,
                })
            }
        }
    }

    pub(crate) fn send(&self, code: i32, header: &dyn EncodeHeader, body: Body) -> Result<Sent, InvokeError> {
        self.send_as(Language::Java, code, header, body)
    }

    fn send_as(
        &self,
        language: Language,
        code: i32,
        header: &dyn EncodeHeader,
        body: Body,
    ) -> Result<Sent, InvokeError> {
        let opaque = self.next_opaque.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.invoked.lock().insert(opaque, sender);
        let head = Head {
            language,
            ..request_head(code, opaque, 0)
        };
        let sent = self.push_request(&head, header, body);
        if let Err(why) = sent {
            self.invoked.lock().remove(&opaque);
            return Err(match why {
                NotPushed::Closed => InvokeError::Closed { peer: self.peer },
                NotPushed::TooLarge(cause) => InvokeError::TooLarge {
                    peer: self.peer,
                    code,
                    cause,
                },
            });
        }
        Ok((opaque, receiver))
    }

    /// Hands an answer to whoever asked.
    pub(crate) fn answered(&self, frame: Frame) {
        let waiting = self.invoked.lock().remove(&frame.opaque);
        if waiting.is_none_or(|w| w.send(frame).is_err()) {
            self.metrics.answers_late.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The task has ended: memory is given back, whoever waits for an answer hears of it.
    pub(crate) fn ended(&self) {
        self.closing.store(true, Ordering::Release);
        let closed = Outbox {
            closed: true,
            ..Outbox::default()
        };
        let outbox = std::mem::replace(&mut *self.outbox.lock(), closed);
        self.room.give(outbox.returned);
        drop(outbox);
        self.invoked.lock().clear();
    }
}

/// A header with the fields that sign it.
struct Signed<'a> {
    header: &'a dyn EncodeHeader,
    more: &'a [(&'static str, String)],
}

impl EncodeHeader for Signed<'_> {
    fn encode(&self, writer: &mut protocol::encode::FieldWriter<'_>) {
        self.header.encode(writer);
        for (name, value) in self.more {
            writer.foreign(name, value);
        }
    }
}

pub(crate) fn request_head(code: i32, opaque: i32, flag: i32) -> Head<'static> {
    Head {
        code,
        language: Language::Java,
        version: V4_9_8,
        opaque,
        flag,
        remark: None,
        serialize_type: SerializeType::Json,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Notes how many requests are open while the header of an answer is written.
    struct Looking<'a>(&'a Connection, Cell<usize>);

    impl EncodeHeader for Looking<'_> {
        fn encode(&self, _writer: &mut protocol::encode::FieldWriter<'_>) {
            self.1.set(self.0.in_flight().0);
        }
    }

    /// A connection that drains closes when no request is open and the outbox is empty: there is no moment between the two.
    #[test]
    fn a_request_is_open_until_its_answer_is_in_the_outbox() {
        let address = ([127, 0, 0, 1], 1).into();
        let room = Holding::of_all(Arc::default());
        let conn = Connection::new(address, address, Arc::default(), Arc::default(), room);
        conn.request_started(0);
        let head = request_head(response::SUCCESS, 7, 0);
        let header = Looking(&conn, Cell::new(0));
        let end = RequestEnd {
            weight: 0,
            served: None,
        };
        conn.push_answer(&head, &header, Body::Empty, end);
        assert_eq!(header.1.get(), 1, "it ended before its answer was there");
        assert_eq!(conn.in_flight(), (0, 0));
        assert!(conn.outbox().lock().bytes > 0);
    }
}
