//! The life of a connection: one task that reads, serves and writes.
//!
//! Order of one turn: write what is ready, read what is there, serve it, write again. The task sleeps when neither
//! direction can move; a push into the outbox from elsewhere wakes it.
//!
//! A service may leave requests: when the peer does not take its answers, or when a turn has made much to write. They come
//! before anything more is read.
//!
//! A read that filled its buffer is followed by another before anything is served: a burst is one append, one flush and
//! one write of answers, not one more for its last few requests.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use protocol::code::response;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::{poll_read_buf, poll_write_buf};

use crate::address::{Full, Rate};
use crate::connection::{Connection, NO_FRAME, TURN_TIME};
use crate::cutter::{Cut, Cutter, Damaged};
use crate::{Peer, Request, Responder, Service};

/// Bytes asked for in one read.
const READ_BYTES: usize = 64 * 1024;
/// Reads that are served together.
const READS_TOGETHER: usize = 4;
/// Buffers one worker thread keeps for the next connection that has something to read.
const POOLED: usize = READS_TOGETHER + 1;
/// Bytes a request is counted with besides its frame.
const REQUEST_BYTES: usize = 256;
/// Rounds of reading and serving before the task lets others run.
const ROUNDS_PER_TURN: usize = 4;
/// Reads of a connection on a server that stops, after which it is read no more although the peer goes on.
const LAST_ROUNDS: u32 = 64;

thread_local! {
    /// Read buffers that no connection needs now: a sleeping connection holds none.
    static BUFFERS: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

fn take_buffer() -> BytesMut {
    BUFFERS
        .with_borrow_mut(Vec::pop)
        .unwrap_or_else(|| BytesMut::with_capacity(READ_BYTES))
}

fn give_buffer(mut buffer: BytesMut) {
    buffer.clear();
    // Only a buffer nobody else refers to is worth keeping.
    if buffer.try_reclaim(READ_BYTES) && buffer.capacity() <= 2 * READ_BYTES {
        BUFFERS.with_borrow_mut(|pool| {
            if pool.len() < POOLED {
                pool.push(buffer);
            }
        });
    }
}

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The peer closed it, or we did.
    Closed,
    /// The socket failed.
    Io(io::Error),
    /// The peer sent what is no frame.
    Damaged(Damaged),
    /// There is no room for the large header that it is sending.
    Crowded,
}

/// What a task does after a round.
enum Next {
    /// Another round.
    Again,
    /// Others first.
    Yield,
    /// Nothing until it is woken.
    Sleep,
}

/// A frame that is coming, as it was when it last had grown enough.
struct Arrival {
    /// Bytes that had come.
    came: usize,
    /// Bytes it has in all, as far as it said.
    announced: usize,
    /// By when it has to have grown, s.
    grows_by: u32,
    /// By when it has to be whole, s.
    whole_by: u32,
}

/// A connection's task.
pub(crate) struct Task<S> {
    pub(crate) stream: S,
    pub(crate) conn: Arc<Connection>,
    pub(crate) service: Arc<dyn Service>,
    /// The server's coarse clock, s.
    pub(crate) seconds: Arc<AtomicU32>,
    buffer: BytesMut,
    cutter: Cutter,
    /// Bytes of a long frame that is still coming, counted in the room of all connections.
    coming: usize,
    /// How the frame gets on that is coming.
    arrival: Option<Arrival>,
    /// What a pause left of the time of the frame that is coming, s.
    time_left: Option<u32>,
    /// Requests of this second.
    asked: Rate,
    /// Why the connection ends once what came before is served.
    ending: Option<End>,
    /// Buffers that hold `requests` and nothing else.
    full: Vec<BytesMut>,
    requests: VecDeque<Request>,
    /// Pieces taken from the outbox and not yet written.
    writing: Pieces,
    unflushed: usize,
    /// Something was written that the stream may still hold, as one with TLS does.
    unsent: bool,
    paused: bool,
    peer_done: bool,
    /// How often it was read since all was answered on a server that stops.
    last_rounds: u32,
    /// The last of those reads found nothing.
    has_looked: bool,
    /// The last turn was given up so that more could be pushed.
    gathered: bool,
    /// When the last read was cut into frames.
    read_at: Instant,
    /// Since when this turn has served, and whether that is long enough.
    turn_since: Option<Instant>,
    has_spent_its_turn: bool,
    /// All was written a moment ago.
    has_nothing_to_write: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Task<S> {
    pub(crate) fn new(
        stream: S,
        conn: Arc<Connection>,
        service: Arc<dyn Service>,
        seconds: Arc<AtomicU32>,
    ) -> Self {
        let now = seconds.load(Ordering::Relaxed);
        conn.active_at.store(now, Ordering::Relaxed);
        conn.wrote_at.store(now, Ordering::Relaxed);
        Self {
            stream,
            conn,
            service,
            seconds,
            buffer: BytesMut::new(),
            cutter: Cutter::default(),
            coming: 0,
            arrival: None,
            time_left: None,
            asked: Rate::default(),
            ending: None,
            full: Vec::new(),
            requests: VecDeque::new(),
            writing: Pieces::default(),
            unflushed: 0,
            unsent: false,
            paused: false,
            last_rounds: 0,
            has_looked: false,
            peer_done: false,
            gathered: false,
            read_at: Instant::now(),
            turn_since: None,
            has_spent_its_turn: false,
            has_nothing_to_write: false,
        }
    }

    /// Runs until the connection ends.
    pub(crate) async fn run(mut self) {
        let end = std::future::poll_fn(|cx| self.poll(cx)).await;
        let peer = self.conn.peer();
        match end {
            End::Damaged(e) => {
                self.conn.metrics.frames_damaged.fetch_add(1, Ordering::Relaxed);
                // A scanner, or a check of a load balancer, comes as often as it likes.
                logs::limited!(warn, "connection of {peer} closed: it sent {e}");
            }
            End::Crowded => {
                let closed = self.conn.metrics.closed_crowded.fetch_add(1, Ordering::Relaxed) + 1;
                if closed.is_power_of_two() {
                    let held = self.conn.room.held(Full::All);
                    tracing::warn!(
                        "connection of {peer} closed: {held} bytes of requests are held, there is no room for its header \
                         ({closed} closed so far)"
                    );
                }
            }
            End::Io(e) => tracing::debug!("connection of {peer} lost: {e}"),
            End::Closed => tracing::debug!("connection of {peer} closed"),
        }
        self.conn.ended();
        self.conn.give_room(self.coming);
        let (service, conn) = (Arc::clone(&self.service), Arc::clone(&self.conn));
        drop(self);
        service.closed(&conn);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.turn(cx) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    /// Moves what can be moved. `Ok`: nothing more can be done until the task is woken.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        {
            let mut outbox = self.conn.outbox().lock();
            // Whoever pushed woke us at once, before others that are ready to push as well. Behind them there is more for
            // the one write.
            if outbox.bytes > 0 && !std::mem::replace(&mut self.gathered, true) {
                cx.waker().wake_by_ref();
                return Ok(());
            }
            self.gathered = false;
            self.has_nothing_to_write =
                outbox.bytes + outbox.returned == 0 && !self.writing.has_remaining() && !self.unsent;
            if !outbox.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                outbox.waker = Some(cx.waker().clone());
            }
        }
        self.conn.runs();
        (self.turn_since, self.has_spent_its_turn) = (None, false);
        for _ in 0..ROUNDS_PER_TURN {
            match self.round(cx)? {
                Next::Again if self.has_spent_its_turn => break,
                Next::Again => {}
                Next::Yield => break,
                Next::Sleep => return Ok(()),
            }
        }
        // Others wait for this worker too.
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn round(&mut self, cx: &mut Context<'_>) -> Result<Next, End> {
        if !self.conn.is_open() {
            return Err(End::Closed);
        }
        // What others push in between wakes the task once more.
        if !std::mem::take(&mut self.has_nothing_to_write) {
            self.write(cx)?;
        }
        if !self.requests.is_empty() {
            // Left by an earlier round. While the peer takes nothing, the socket wakes the task when it does.
            if self.pauses(self.conn.is_congested()) {
                return Ok(Next::Sleep);
            }
            self.serve(cx)?;
            return Ok(self.after_serving());
        }
        if let Some(end) = self.ending.take() {
            return Err(end);
        }
        if self.is_over() {
            return Err(End::Closed);
        }
        if self.is_drained() {
            return self.end_drained(cx);
        }
        if self.must_pause() {
            return Ok(Next::Sleep);
        }
        // It was not read from for a while, and may have sent no more than what it is blamed for from now on.
        self.note_arrival(false);
        let (read, served) = self.read_and_serve(cx)?;
        match read {
            // Not to sleep on the answers.
            Poll::Pending if served => Ok(self.after_serving()),
            Poll::Pending => {
                if self.buffer.is_empty() && self.buffer.capacity() > 0 {
                    give_buffer(std::mem::take(&mut self.buffer));
                }
                Ok(Next::Sleep)
            }
            Poll::Ready(Ok(())) => Ok(self.after_serving()),
            Poll::Ready(Err(end)) => {
                self.ending = Some(end);
                Ok(self.after_serving())
            }
        }
    }

    fn after_serving(&self) -> Next {
        if self.requests.is_empty() {
            Next::Again
        } else {
            Next::Yield
        }
    }

    /// Writes what the socket takes. Where the connection ends anyway, a socket that fails is not why.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        match self.poll_write(cx) {
            Poll::Ready(Err(e)) => Err(self.ending.take().unwrap_or(End::Io(e))),
            _ => Ok(()),
        }
    }

    /// Is there nothing left to do on this connection?
    fn is_over(&self) -> bool {
        // A peer that closed its side gets no more answers: it closed the connection, as every client does.
        self.peer_done
    }

    /// Is all answered and written, on a server that stops?
    fn is_drained(&self) -> bool {
        if !self.conn.is_draining() {
            return false;
        }
        self.conn.sleeps_for_answers();
        let quiet = !self.writing.has_remaining() && !self.unsent && self.conn.in_flight().0 == 0;
        quiet && self.conn.outbox().lock().bytes == 0
    }

    /// Reads, and serves what has come whole, also before an end: it has been asked. Says how the read ended and whether anything was served.
    fn read_and_serve(&mut self, cx: &mut Context<'_>) -> Result<(Poll<Result<(), End>>, bool), End> {
        let read = self.poll_requests(cx);
        let served = !self.requests.is_empty();
        if served {
            self.turn_since.get_or_insert(self.read_at);
            self.serve(cx)?;
        }
        Ok((read, served))
    }

    /// Serves what the peer sent before it could hear of the end: a client of Java's 4.9 waits as long as it may for each answer, and
    /// repeats nothing after that. Then the end is said.
    fn end_drained(&mut self, cx: &mut Context<'_>) -> Result<Next, End> {
        if self.last_rounds == LAST_ROUNDS {
            return self.linger(cx).map(|()| Next::Sleep);
        }
        self.last_rounds += 1;
        self.note_arrival(false);
        let (read, served) = self.read_and_serve(cx)?;
        match read {
            Poll::Pending if served => self.has_looked = false,
            // The rest of a frame is on its way.
            Poll::Pending if !self.buffer.is_empty() => return Ok(Next::Sleep),
            Poll::Pending if !std::mem::replace(&mut self.has_looked, true) => {
                // The runtime may not have heard yet of what has come: once more when it has asked the system.
                let _deferred = std::pin::pin!(tokio::task::yield_now()).poll(cx);
                return Ok(Next::Sleep);
            }
            Poll::Pending => self.last_rounds = LAST_ROUNDS,
            Poll::Ready(Ok(())) => self.has_looked = false,
            Poll::Ready(Err(end)) => self.ending = Some(end),
        }
        Ok(self.after_serving())
    }

    /// Says that no more will come, and takes in what the peer still sends, unread, until it closes. A close with
    /// unread bytes would be a reset, which can destroy answers that the peer has not read yet.
    fn linger(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        if let Poll::Ready(Err(e)) = Pin::new(&mut self.stream).poll_shutdown(cx) {
            return Err(End::Io(e));
        }
        loop {
            self.buffer.clear();
            match self.poll_read(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(e)) => return Err(End::Io(e)),
                Poll::Ready(Ok(0)) => return Err(End::Closed),
                Poll::Ready(Ok(_)) => {}
            }
        }
    }

    /// Reading stops while too much waits for the peer, or is asked and not answered: the peer is bounded by what it does
    /// not take, and does not wait for.
    fn must_pause(&mut self) -> bool {
        let conn = Arc::clone(&self.conn);
        let limits = &conn.limits;
        let unanswered = || {
            let (requests, bytes) = conn.in_flight();
            conn.is_draining()
                || requests >= limits.requests_in_flight_max
                || bytes > limits.bytes_in_flight_max
        };
        let waiting = self.unflushed + conn.outbox().lock().bytes;
        let pause = waiting > limits.outbox_max_bytes
            || (unanswered() && {
                conn.sleeps_for_answers();
                unanswered()
            });
        self.pauses(pause)
    }

    fn pauses(&mut self, pause: bool) -> bool {
        if pause && !self.paused {
            self.conn.metrics.reads_paused.fetch_add(1, Ordering::Relaxed);
        }
        if pause && let Some(arrival) = self.arrival.take() {
            let now = self.seconds.load(Ordering::Relaxed);
            self.time_left = Some(arrival.whole_by.saturating_sub(now));
            self.conn.frame_due.store(NO_FRAME, Ordering::Relaxed);
        }
        self.paused = pause;
        pause
    }

    /// Looks how the frame that is coming gets on; `anew`: it is another one than before.
    fn note_arrival(&mut self, anew: bool) {
        let came = self.cutter.came(&self.buffer);
        if came == 0 {
            self.time_left = None;
            if self.arrival.take().is_some() {
                self.conn.frame_due.store(NO_FRAME, Ordering::Relaxed);
            }
            return;
        }
        if anew {
            (self.arrival, self.time_left) = (None, None);
        }
        let limits = &self.conn.limits;
        let now = self.seconds.load(Ordering::Relaxed);
        let announced = self.cutter.announced(&self.buffer);
        let grown = |then: usize| came >= then + limits.arrival_bytes;
        let next = match &self.arrival {
            Some(before) if before.announced == announced && !grown(before.came) => return,
            // Its length is known now, or it has grown enough.
            Some(before) => Arrival {
                came,
                grows_by: now.saturating_add(limits.arrival.as_secs() as u32),
                whole_by: match before.announced == announced {
                    true => before.whole_by,
                    false => now.saturating_add(limits.frame_seconds(announced)),
                },
                announced,
            },
            None => Arrival {
                came,
                grows_by: now.saturating_add(limits.arrival.as_secs() as u32),
                whole_by: now.saturating_add(
                    self.time_left
                        .take()
                        .unwrap_or_else(|| limits.frame_seconds(announced)),
                ),
                announced,
            },
        };
        if !limits.arrival.is_zero() {
            let due = next.grows_by.min(next.whole_by);
            self.conn.frame_due.store(due, Ordering::Relaxed);
        }
        self.arrival = Some(next);
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buffer.capacity() == 0 {
            self.buffer = take_buffer();
        }
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES / 4 {
            self.buffer.reserve(READ_BYTES);
        }
        let read = ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.buffer))?;
        self.conn
            .active_at
            .store(self.seconds.load(Ordering::Relaxed), Ordering::Relaxed);
        Poll::Ready(Ok(read))
    }

    /// Reads, and cuts frames out of what came, as long as reads fill their buffers. Pending: the socket has no more for
    /// now, whether or not requests were cut before it said so.
    fn poll_requests(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        loop {
            match ready!(self.poll_read(cx)) {
                Err(e) => return Poll::Ready(Err(End::Io(e))),
                Ok(0) => {
                    self.peer_done = true;
                    return Poll::Ready(Ok(()));
                }
                Ok(_) => {}
            }
            let has_more = self.buffer.len() == self.buffer.capacity();
            self.cut_frames()?;
            let is_enough = self.full.len() + 1 == READS_TOGETHER
                || self.conn.in_flight().0 >= self.conn.limits.requests_in_flight_max;
            if !has_more || is_enough || self.requests.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let mut next = take_buffer();
            next.extend_from_slice(&self.buffer);
            self.buffer.clear();
            self.full.push(std::mem::replace(&mut self.buffer, next));
        }
    }

    /// Cuts all whole frames out of the buffer; answers go to who asked.
    fn cut_frames(&mut self) -> Result<(), End> {
        let mut room = std::mem::take(&mut self.coming);
        // Once for all of them: a look at the clock costs what cutting a frame does.
        self.read_at = Instant::now();
        let mut anew = false;
        let cut = loop {
            let before = self.buffer.len();
            match self.cutter.cut(&mut self.buffer, &self.conn.limits) {
                Ok(Cut::Frame(frame)) if frame.is_response() => self.conn.answered(frame),
                Ok(Cut::Frame(frame)) => self.enter(frame, before - self.buffer.len(), &mut room),
                Ok(Cut::Partial) => break Ok(()),
                Err(e) => break Err(End::Damaged(e)),
            }
            anew = true;
        };
        self.conn.give_room(room);
        cut?;
        self.note_arrival(anew);
        // What fits a read is bounded by the number of connections.
        if self.buffer.len() > READ_BYTES {
            if let Err(full) = self.conn.room.take(self.buffer.len()) {
                return self.read_over(full);
            }
            self.coming = self.buffer.len();
        }
        Ok(())
    }

    /// There is no room for the frame that is coming: answers so, and lets its bytes go as they come.
    fn read_over(&mut self, full: Full) -> Result<(), End> {
        let head = self.cutter.read_over(&mut self.buffer).map_err(End::Damaged)?;
        let head = head.ok_or(End::Crowded)?;
        if head.is_response() {
            // Whoever asked has a limit of his own.
            tracing::debug!("no room for the answer {} of {}", head.opaque, self.conn.peer());
        } else {
            self.conn.request_started(0);
            self.refuse(self.responder(&head), full);
        }
        Ok(())
    }

    fn responder(&self, frame: &protocol::Frame) -> Responder {
        let peer = Arc::clone(&self.conn) as Arc<dyn Peer>;
        let responder = Responder::new(peer, frame.opaque, frame.serialize_type, frame.is_oneway());
        responder.begun(frame.code, self.read_at)
    }

    /// Takes a request of so many bytes in, or answers that there is no room. `room` is what is taken for the requests of this
    /// read and not used yet: each request by itself would write where all processors write.
    fn enter(&mut self, frame: protocol::Frame, frame_bytes: usize, room: &mut usize) {
        tracing::debug!(
            "request {} of {}: opaque {}, {frame_bytes} bytes",
            frame.code,
            self.conn.peer(),
            frame.opaque
        );
        if let Some((whose, most)) = self.asks_too_much() {
            self.conn.request_started(0);
            return self.refuse_as_too_many(self.responder(&frame), whose, most);
        }
        let bytes = frame_bytes + REQUEST_BYTES;
        let taken = match bytes <= *room {
            true => Ok(()),
            false => self.conn.room.take_rest(bytes, READ_BYTES, room),
        };
        let responder = self.responder(&frame);
        match taken {
            Ok(()) => {
                *room -= bytes;
                self.conn.request_started(bytes);
                let responder = responder.weighing(bytes);
                self.requests.push_back(Request { frame, responder });
            }
            Err(full) => {
                self.conn.request_started(0);
                self.refuse(responder, full);
            }
        }
    }

    /// Counts a request; whose limit it is above, and that limit, if so.
    fn asks_too_much(&self) -> Option<(&'static str, u32)> {
        let limits = &self.conn.limits;
        let (own, address) = (limits.requests_per_second, limits.address_requests_per_second);
        if own == 0 && address == 0 {
            return None;
        }
        let now = self.seconds.load(Ordering::Relaxed);
        if own > 0 && !self.asked.take(now, own) {
            return Some(("this connection", own));
        }
        (address > 0 && !self.conn.room.ask(now, address)).then_some(("this address", address))
    }

    /// Answers a request that it is one too many.
    fn refuse_as_too_many(&self, responder: Responder, whose: &str, most: u32) {
        let refused = self
            .conn
            .metrics
            .requests_too_many
            .fetch_add(1, Ordering::Relaxed)
            + 1;
        let remark =
            format!("[TOO_MANY_REQUESTS]{whose} may ask {most} times a second, try again in a second");
        if refused.is_power_of_two() {
            let peer = self.conn.peer();
            tracing::warn!("a request of {peer} refused: {remark} ({refused} refused so far)");
        }
        responder.error(response::SYSTEM_BUSY, &remark);
    }

    /// Answers a request that there is no room for it.
    fn refuse(&self, responder: Responder, full: Full) {
        let refused = self.conn.metrics.requests_refused.fetch_add(1, Ordering::Relaxed) + 1;
        let held = self.conn.room.held(full);
        let whose = match full {
            Full::All => String::new(),
            Full::Address => format!(" of {}", self.conn.peer().ip()),
        };
        let remark = format!(
            "the server holds {held} bytes of requests{whose} that are not answered yet, try again later"
        );
        if refused.is_power_of_two() {
            tracing::warn!(
                "a request of {} refused: {remark} ({refused} refused so far)",
                self.conn.peer()
            );
        }
        responder.error(response::SYSTEM_BUSY, &remark);
    }

    /// Hands the requests to the service, until all are taken or it leaves some, and writes the answers.
    fn serve(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let since = *self.turn_since.get_or_insert_with(Instant::now);
        self.conn.begin_serving(since);
        let before = self.requests.len();
        while !self.requests.is_empty() {
            let length = self.requests.len();
            let (conn, requests) = (&self.conn, &mut self.requests);
            guarded(conn, || self.service.serve(conn, requests));
            if !self.requests.is_empty() && self.conn.should_yield() {
                break;
            }
            if self.requests.len() == length {
                // The service did not even take it; its responder answers SYSTEM_ERROR.
                self.requests.pop_front();
            }
        }
        let served = (before - self.requests.len()) as u64;
        self.conn.metrics.requests.fetch_add(served, Ordering::Relaxed);
        // One look at the clock for the turn and for all that was answered in it.
        let now = Instant::now();
        self.has_spent_its_turn = now.duration_since(since) > TURN_TIME;
        self.conn.end_serving(now);
        if self.requests.is_empty() {
            self.full.drain(..).for_each(give_buffer);
        }
        self.write(cx)?;
        self.has_nothing_to_write = !self.writing.has_remaining() && !self.unsent;
        guarded(&self.conn, || self.service.served());
        Ok(())
    }

    /// Writes what is in the outbox until it is empty or the socket takes no more.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let returned;
            {
                let mut outbox = self.conn.outbox().lock();
                outbox.seal_head();
                self.writing.0.append(&mut outbox.chunks);
                self.unflushed += std::mem::take(&mut outbox.bytes);
                returned = std::mem::take(&mut outbox.returned);
            }
            self.conn.give_room(returned);
            let seconds = self.seconds.load(Ordering::Relaxed);
            self.conn.unwritten.store(self.unflushed, Ordering::Relaxed);
            if !self.writing.has_remaining() {
                return self.poll_flush(cx);
            }
            let written = ready!(poll_write_buf(Pin::new(&mut self.stream), cx, &mut self.writing))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed -= written;
            self.unsent = true;
            self.conn.wrote_at.store(seconds, Ordering::Relaxed);
            self.conn.active_at.store(seconds, Ordering::Relaxed);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Task<S> {
    /// Lets go what the stream still holds. A socket holds nothing.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.unsent {
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut self.stream).poll_flush(cx)? {
            Poll::Ready(()) => {
                self.unsent = false;
                Poll::Ready(Ok(()))
            }
            Poll::Pending => {
                // The peer takes nothing: it has the time of one that does not read.
                self.conn.unwritten.store(1, Ordering::Relaxed);
                Poll::Pending
            }
        }
    }
}

/// Calls the service; a panic of it is counted and ends nothing else.
fn guarded(conn: &Connection, call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        let panics = conn.metrics.panics.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::error!(
            "a request of {} made its handler panic (panic number {panics})",
            conn.peer()
        );
    }
}

/// Pieces of frames, written one after the other.
#[derive(Default)]
struct Pieces(VecDeque<Bytes>);

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn has_remaining(&self) -> bool {
        !self.0.is_empty()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let pieces = self.0.iter().zip(into.iter_mut());
        pieces.map(|(piece, slot)| *slot = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(front) = self.0.front_mut() {
            if count < front.len() {
                return front.advance(count);
            }
            count -= front.len();
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::address::Holding;
    use crate::connection::TURN_BYTES;

    use parking_lot::Mutex;
    use protocol::encode::encode_frame;
    use protocol::{Head, Language, SerializeType};
    use std::sync::atomic::AtomicBool;
    use std::task::{Wake, Waker};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    /// Echoes, and notes how many requests came together.
    #[derive(Default)]
    struct Counting(Mutex<Vec<usize>>);

    impl Service for Counting {
        fn serve(&self, _conn: &Arc<Connection>, requests: &mut VecDeque<Request>) {
            self.0.lock().push(requests.len());
            for Request { frame, responder } in requests.drain(..) {
                responder.reply(0, None, &(), crate::Body::Bytes(frame.body));
            }
        }

        fn closed(&self, _conn: &Arc<Connection>) {}
    }

    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Release);
        }
    }

    fn requests(count: i32, body_len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for opaque in 0..count {
            let head = Head {
                code: 10,
                language: Language::Java,
                version: 0,
                opaque,
                flag: 0,
                remark: None,
                serialize_type: SerializeType::Json,
            };
            bytes.extend_from_slice(&encode_frame(&head, &(), &vec![opaque as u8; body_len]).unwrap());
        }
        bytes
    }

    fn unlimited() -> Arc<Connection> {
        let address = ([127, 0, 0, 1], 1).into();
        Connection::new(
            address,
            address,
            Arc::default(),
            Arc::default(),
            Holding::of_all(Arc::default()),
        )
    }

    /// A connection to which all of `sent` has come, its service, and the other end.
    async fn connection(sent: &[u8]) -> (Task<DuplexStream>, Arc<Counting>, DuplexStream) {
        let (ours, mut theirs) = tokio::io::duplex(4 << 20);
        theirs.write_all(sent).await.unwrap();
        let conn = unlimited();
        let service = Arc::new(Counting::default());
        let task = Task::new(ours, conn, Arc::clone(&service) as _, Arc::default());
        (task, service, theirs)
    }

    /// Lets a connection do what it can with `sent`; returns the sizes of what was served together, and what was answered.
    async fn serve(sent: &[u8]) -> (Vec<usize>, Vec<u8>) {
        let (mut task, service, mut theirs) = connection(sent).await;
        // Nothing else happens: what is not done when it no longer wakes itself would never be done.
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        while woken.0.swap(false, Ordering::AcqRel) {
            assert!(task.poll(&mut Context::from_waker(&waker)).is_pending());
        }
        let mut answered = Vec::new();
        drop(task);
        theirs.read_to_end(&mut answered).await.unwrap();
        (std::mem::take(&mut service.0.lock()), answered)
    }

    fn answers(bytes: &[u8]) -> Vec<(i32, Vec<u8>)> {
        let mut buffer = BytesMut::from(bytes);
        let mut cutter = Cutter::default();
        std::iter::from_fn(|| match cutter.cut(&mut buffer, &crate::Limits::default()) {
            Ok(Cut::Frame(frame)) => Some((frame.opaque, frame.body.to_vec())),
            _ => None,
        })
        .collect()
    }

    #[tokio::test]
    async fn a_burst_of_several_reads_is_served_together() {
        // More than two buffers.
        let (together, answered) = serve(&requests(120, 1024)).await;
        assert_eq!(together, [120]);
        let expected: Vec<_> = (0..120).map(|i| (i, vec![i as u8; 1024])).collect();
        assert_eq!(answers(&answered), expected);
    }

    #[tokio::test]
    async fn what_ends_in_a_turn_is_counted_with_its_end() {
        let (mut task, _service, _theirs) = connection(&requests(120, 1024)).await;
        assert!(task.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let views = task.conn.metrics.served.views();
        let counts: Vec<_> = views
            .iter()
            .map(|(served, view)| (served.request, view.count()))
            .collect();
        assert_eq!(counts, [(10, 120)]);
        assert_eq!(task.conn.in_flight(), (0, 0));
    }

    #[tokio::test]
    async fn a_read_that_fills_its_buffer_and_was_the_last_is_answered() {
        let mut sent = requests(50, 1024);
        let overhead = requests(1, 0).len();
        sent.extend(requests(1, READ_BYTES - sent.len() - overhead));
        assert_eq!(sent.len(), READ_BYTES);
        let (together, answered) = serve(&sent).await;
        assert_eq!(together, [51]);
        assert_eq!(answers(&answered).len(), 51);
    }

    #[tokio::test]
    async fn no_more_than_a_few_reads_are_served_together() {
        let (together, answered) = serve(&requests(1000, 1024)).await;
        assert_eq!(together.iter().sum::<usize>(), 1000);
        let most = READS_TOGETHER * 2 * READ_BYTES / 1024;
        assert!(
            together.len() > 1 && together.iter().all(|&n| n <= most),
            "{together:?}"
        );
        assert_eq!(answers(&answered).len(), 1000);
    }

    #[tokio::test]
    async fn a_frame_longer_than_a_read_is_put_together() {
        let sent = [requests(3, 1024), requests(1, 1 << 20), requests(2, 10)].concat();
        let (together, answered) = serve(&sent).await;
        assert_eq!(together.iter().sum::<usize>(), 6);
        let bodies: Vec<_> = answers(&answered).into_iter().map(|(_, body)| body).collect();
        let lens: Vec<_> = bodies.iter().map(Vec::len).collect();
        assert_eq!(lens, [1024, 1024, 1024, 1 << 20, 10, 10]);
        assert!(bodies[3].iter().all(|&byte| byte == 0));
    }

    /// Answers much, one request a time.
    struct Large;

    impl Service for Large {
        fn serve(&self, conn: &Arc<Connection>, requests: &mut VecDeque<Request>) {
            while let Some(Request { responder, .. }) = requests.pop_front() {
                let body = crate::Body::Bytes(Bytes::from(vec![7; TURN_BYTES]));
                responder.reply(0, None, &(), body);
                if conn.should_yield() {
                    return;
                }
            }
        }

        fn closed(&self, _conn: &Arc<Connection>) {}
    }

    #[tokio::test]
    async fn the_worker_is_given_back_between_large_answers() {
        let (ours, mut theirs) = tokio::io::duplex(12 * TURN_BYTES);
        theirs.write_all(&requests(10, 10)).await.unwrap();
        let conn = unlimited();
        let mut task = Task::new(ours, conn, Arc::new(Large), Arc::default());
        let mut context = Context::from_waker(Waker::noop());
        for turn in 1..=10 {
            assert!(task.poll(&mut context).is_pending());
            assert_eq!(task.conn.metrics.requests.load(Ordering::Relaxed), turn);
        }
        drop(task);
        let mut answered = Vec::new();
        theirs.read_to_end(&mut answered).await.unwrap();
        assert_eq!(answers(&answered).len(), 10);
    }

    /// Serves each request for as long as a turn may take, while the next one comes.
    struct Slow(Mutex<DuplexStream>);

    impl Service for Slow {
        fn serve(&self, _conn: &Arc<Connection>, asked: &mut VecDeque<Request>) {
            asked.pop_front();
            let next = requests(1, 10);
            let mut theirs = self.0.lock();
            let written = Pin::new(&mut *theirs).poll_write(&mut Context::from_waker(Waker::noop()), &next);
            assert!(written.is_ready());
            let since = Instant::now();
            while since.elapsed() <= TURN_TIME {
                std::hint::spin_loop();
            }
        }

        fn closed(&self, _conn: &Arc<Connection>) {}
    }

    /// However much comes, and whether it is answered or not.
    #[tokio::test]
    async fn a_turn_of_several_reads_ends_by_its_time() {
        let (ours, mut theirs) = tokio::io::duplex(4 << 20);
        theirs.write_all(&requests(1, 10)).await.unwrap();
        let conn = unlimited();
        let mut task = Task::new(ours, conn, Arc::new(Slow(Mutex::new(theirs))), Arc::default());
        let mut context = Context::from_waker(Waker::noop());
        for turn in 1..=5 {
            assert!(task.poll(&mut context).is_pending());
            // Every second turn is given up so that more answers can be gathered.
            let _gathered = task.conn.outbox().lock().bytes > 0 && task.poll(&mut context).is_pending();
            assert_eq!(task.conn.metrics.requests.load(Ordering::Relaxed), turn);
        }
    }

    #[tokio::test]
    async fn what_came_whole_before_damage_is_served() {
        let mut sent = requests(100, 1024);
        sent.extend_from_slice(&[0, 0, 0, 1, 9]);
        let (task, service, mut theirs) = connection(&sent).await;
        task.run().await;
        let mut answered = Vec::new();
        theirs.read_to_end(&mut answered).await.unwrap();
        assert_eq!(*service.0.lock(), [100]);
        assert_eq!(answers(&answered).len(), 100);
    }
}
