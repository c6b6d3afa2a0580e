//! The check: the walk through the half queue, and the questions to producers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use disk::{Clock, Disk};
use filter::TagFilter;
use message::name::{CHECK_MAX_TIME_TOPIC, HALF_TOPIC, OP_HALF_TOPIC};
use message::properties::{self, names};
use message::record::View;
use parking_lot::Mutex;
use protocol::code::request;
use remoting::Body;
use remoting::budget::Budget;
use store::{Arrival, PhysicalOffset, QueueOffset, ReadLimits};
use tokio::sync::Notify;

use super::QUEUE;
use super::copies::{self, Copies};
use super::ended::{self, Ended};
use super::ends::{Ends, Half};
use super::messages::{MARK_TAG, Question, append_mark, changed_text, moved};
use super::progress::{Place, Progress};
use crate::access::{Guard, topic_of};
use crate::clients::{Asked, Member, Producers};
use crate::commitlog::{Appender, ArrivalListener, StoreError, Stored};
use crate::config::{SettingsChange, SettingsListener};
use crate::settings::Settings;
use crate::tables::{OffsetTable, OpenHalves, Tables, TopicTable, perm};

/// Messages read at once (Java: OP_MSG_PULL_NUMS).
const READ_MAX: i32 = 32;
/// Half messages that one step looks at, and marks that it reads.
const STEP_HALVES: u32 = 1024;
const STEP_MARKS: u32 = 8192;
/// Longest sleep while transactions are open, ms: the wall clock may be set forward meanwhile.
const SLEEP_MAX_MS: i64 = 5_000;
/// How soon it is seen that the log has become durable, ms.
const SETTLE_MS: i64 = 200;
/// When a round goes on that could not write, and one whose producers do not read; and how long it waits for those in all, ms.
const RETRY_MS: i64 = 1_000;
const BUSY_MS: i64 = 50;
const BUSY_MAX_MS: i64 = 5_000;
/// How often the same trouble is told, ms.
const TELL_EACH_MS: i64 = 1_000;
/// Least time between two rounds, ms.
const INTERVAL_LEAST_MS: i64 = 100;

/// Wakes the check when a half message comes and nothing else is open.
#[derive(Default)]
pub struct HalfListener {
    arrived: AtomicBool,
    /// The task sleeps without a limit.
    idle: AtomicBool,
    wake: Notify,
}

impl HalfListener {
    /// Waits until it is woken.
    pub async fn wait(&self) {
        self.wake.notified().await;
    }
}

impl ArrivalListener for HalfListener {
    fn arrived(&self, arrival: &Arrival<'_>) {
        if arrival.topic == HALF_TOPIC {
            self.arrived.store(true, Ordering::Release);
        }
    }

    fn wake(&self) {
        if self.arrived.load(Ordering::Acquire)
            && self.arrived.swap(false, Ordering::AcqRel)
            && self.idle.swap(false, Ordering::AcqRel)
        {
            self.wake.notify_one();
        }
    }
}

/// It sleeps by the old interval.
impl SettingsListener for HalfListener {
    fn changed(&self, _change: &SettingsChange) {
        self.wake.notify_one();
    }
}

/// One walk.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// When it began, ms: what was stored since is left for the next.
    began: i64,
    /// When it goes on, ms.
    from: i64,
    /// How long it has waited for producers that do not read, ms.
    waited: i64,
}

#[derive(Debug)]
struct State {
    progress: Progress,
    ended: Ended,
    copies: Copies,
    round: Option<Round>,
    /// When the last round began, or the broker started.
    began_last: i64,
    /// When something came while nothing was open.
    woken_at: Option<i64>,
    idle: bool,
    /// No round begins or goes on any more.
    over: bool,
}

/// Looks after half messages that nobody ends.
pub struct Checks<D: Disk> {
    pub(super) appender: Arc<Appender<D>>,
    topics: Arc<TopicTable>,
    offsets: Arc<OffsetTable>,
    open_halves: Arc<OpenHalves>,
    producers: Arc<Producers>,
    settings: Arc<settings::Live<Settings>>,
    pub(super) clock: Arc<dyn Clock>,
    /// Wakes it.
    pub listener: Arc<HalfListener>,
    state: Mutex<State>,
    /// What is kept to find copies of half messages.
    pub copies_budget: Arc<Budget>,
    /// Access control, where it is on.
    access: Option<Arc<Guard>>,
    /// How half messages were ended lately.
    pub ends: Arc<Ends>,
    /// Questions asked.
    pub asked: AtomicU64,
    /// Half messages that were due for a question, and nobody was there to be asked.
    pub unasked: AtomicU64,
    /// Half messages that were given up.
    pub given_up: AtomicU64,
    told: AtomicI64,
}

/// Why a step ends.
pub(super) enum Halt {
    /// There is nothing more to be done in this round.
    Over,
    /// It has done enough.
    Enough,
    /// It goes on after so many ms.
    Later(i64),
}

impl<D: Disk> Checks<D> {
    /// Nothing is looked at before the first interval is over.
    pub fn new(
        appender: Arc<Appender<D>>,
        Tables { topics, offsets, .. }: Tables,
        open_halves: Arc<OpenHalves>,
        producers: Arc<Producers>,
        settings: Arc<settings::Live<Settings>>,
        clock: Arc<dyn Clock>,
        listener: Arc<HalfListener>,
    ) -> Self {
        let copies_budget = copies::budget();
        let progress = Progress::load(&offsets, &appender.store);
        let half_end = appender.store.queue_max_offset(HALF_TOPIC, QUEUE).0;
        let state = State {
            ended: Ended::from(progress.now().mark),
            copies: Copies::between(progress.now().half, half_end, &copies_budget),
            progress,
            round: None,
            began_last: clock.now_ms(),
            woken_at: None,
            idle: false,
            over: false,
        };
        let checks = Self {
            appender,
            topics,
            offsets,
            open_halves,
            producers,
            settings,
            clock,
            listener,
            state: Mutex::new(state),
            copies_budget,
            access: None,
            ends: Arc::default(),
            asked: AtomicU64::new(0),
            unasked: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            told: AtomicI64::new(i64::MIN),
        };
        // Producers may say once more what they said to the last run.
        let mut marks = STEP_MARKS;
        let _read_by_the_first_round = checks.read_marks(&mut checks.state.lock(), &mut marks);
        checks
    }

    /// Only producers are asked that might have sent the message.
    #[must_use]
    pub fn with_access(mut self, access: Option<Arc<Guard>>) -> Self {
        self.access = access;
        self
    }

    /// Writes how far it is, as far as the log is durable.
    pub fn settle(&self) {
        self.state
            .lock()
            .progress
            .settle(&self.offsets, &self.appender.store, self.safe_end());
    }

    /// Checks nothing any more: nothing is put back from here on. Waits for the step that is being done.
    pub fn end(&self) {
        self.state.lock().over = true;
    }

    /// Up to where what was put back is as safe as an answer would have been.
    fn safe_end(&self) -> PhysicalOffset {
        self.appender.safe_end(&self.settings.load())
    }

    /// How long there is nothing to do, ms; 0 if there is something, `None` until a half message comes.
    pub fn pause_ms(&self) -> Option<i64> {
        let mut state = self.state.lock();
        let settled = state
            .progress
            .settle(&self.offsets, &self.appender.store, self.safe_end());
        if settled && state.round.is_none() {
            // Not with the next period: a broker that is killed until then puts back once more what it has put back.
            self.offsets.save_soon();
        }
        if state.over {
            return Some(SLEEP_MAX_MS);
        }
        let now = self.clock.now_ms();
        let pause = match state.round {
            Some(round) => (round.from - now).max(0),
            // Whoever looks at the queues after this sees what came before.
            None if !self.has_open(&state) => {
                state.idle = true;
                self.listener.idle.store(true, Ordering::Release);
                if !self.has_open(&state) {
                    self.open_halves.none_before(state.progress.now().half, now);
                    return state.progress.is_waiting().then_some(SETTLE_MS);
                }
                0
            }
            None => {
                let interval = self.interval();
                let mut due = state.began_last + interval;
                if std::mem::take(&mut state.idle) {
                    state.woken_at = Some(now);
                }
                if let Some(woken) = state.woken_at {
                    let young = self.settings.load().broker.transaction_time_out;
                    due = due.max(woken + young.clamp(0, interval));
                }
                (due - now).max(0)
            }
        };
        let most = if state.progress.is_waiting() {
            SETTLE_MS
        } else {
            SLEEP_MAX_MS
        };
        Some(pause.min(most))
    }

    fn interval(&self) -> i64 {
        self.settings
            .load()
            .broker
            .transaction_check_interval
            .max(INTERVAL_LEAST_MS)
    }

    fn has_open(&self, state: &State) -> bool {
        let store = &self.appender.store;
        let Place { half, mark } = state.progress.now();
        half < store.queue_max_offset(HALF_TOPIC, QUEUE).0
            || mark < store.queue_max_offset(OP_HALF_TOPIC, QUEUE).0
    }

    /// Does a step of the round, and begins one that is due. May wait for the disk.
    pub fn look(&self) {
        let mut state = self.state.lock();
        let now = self.clock.now_ms();
        let state = &mut *state;
        if state.over {
            return;
        }
        if state.round.is_none() {
            if now < state.began_last + self.interval() {
                return;
            }
            self.begin(state, now);
        }
        let Some(mut round) = state.round.filter(|round| round.from <= now) else {
            return;
        };
        let before = state.progress.now();
        let halt = self.step(state, &mut round);
        state.ended.walked(state.progress.now().half);
        let place = Place {
            mark: state.ended.done(),
            ..state.progress.now()
        };
        if place != before {
            // What was put back is passed for good only when it is durable.
            self.appender.acknowledgements.request_thorough_flush();
            self.appender.reput.all();
            self.appender.reput.wake();
        }
        state.progress.note(place, self.appender.store.max_physical());
        state.round = match halt {
            Halt::Over => {
                if state.ended.horizon() < i64::MAX && place.half > before.half {
                    // The rest of what is ended did not fit: another round at once.
                    state.began_last = now - self.interval();
                }
                None
            }
            Halt::Enough => Some(round),
            Halt::Later(ms) => Some(Round {
                from: self.clock.now_ms() + ms,
                ..round
            }),
        };
    }

    fn begin(&self, state: &mut State, now: i64) {
        if state.progress.is_outdated(&self.offsets, &self.appender.store) {
            state.progress = Progress::load(&self.offsets, &self.appender.store);
            state.ended = Ended::from(state.progress.now().mark);
            let half_end = self.appender.store.queue_max_offset(HALF_TOPIC, QUEUE).0;
            state.copies = Copies::between(state.progress.now().half, half_end, &self.copies_budget);
        }
        state.ended.begin_again();
        (state.began_last, state.woken_at) = (now, None);
        state.round = Some(Round {
            began: now,
            from: now,
            waited: 0,
        });
    }

    fn step(&self, state: &mut State, round: &mut Round) -> Halt {
        let (mut halves, mut marks) = (STEP_HALVES, STEP_MARKS);
        if let Err(halt) = self.look_for_copies(state, &mut halves) {
            return halt;
        }
        loop {
            if let Err(halt) = self.read_marks(state, &mut marks) {
                return halt;
            }
            if let Err(halt) = self.walk(state, round, &mut halves) {
                return halt;
            }
        }
    }

    /// Finds out which half messages have a newer copy, once, before the walk goes through them.
    fn look_for_copies(&self, state: &mut State, left: &mut u32) -> Result<(), Halt> {
        while let Some(from) = state.copies.next() {
            if *left == 0 {
                return Err(Halt::Enough);
            }
            let mut slices = Vec::new();
            let read = self.read(HALF_TOPIC, from, &mut slices)?;
            for half in store::records(&slices).flatten() {
                *left = left.saturating_sub(1);
                state.copies.take_in(&half);
            }
            state.copies.looked(read.max(from + 1));
        }
        Ok(())
    }

    /// Reads marks up to the last one.
    fn read_marks(&self, state: &mut State, left: &mut u32) -> Result<(), Halt> {
        let store = &self.appender.store;
        loop {
            let next = state.ended.next();
            if next >= store.queue_max_offset(OP_HALF_TOPIC, QUEUE).0 {
                return Ok(());
            }
            if *left == 0 {
                return Err(Halt::Enough);
            }
            let mut slices = Vec::new();
            let read = self.read(OP_HALF_TOPIC, next, &mut slices)?;
            // Behind the marks: what they name is there.
            let end = store.queue_max_offset(HALF_TOPIC, QUEUE).0;
            for view in store::records(&slices).flatten() {
                *left = left.saturating_sub(1);
                state.ended.skip_to(view.queue_offset());
                let is_mark = properties::get_str(view.properties(), names::TAGS) == Some(MARK_TAG);
                if !is_mark {
                    tracing::error!("mark {} has another tag than {MARK_TAG}", view.queue_offset());
                }
                let halves = ended::named(view.body()).filter(|_| is_mark);
                let halves = halves.inspect(|at| {
                    self.ends.marked(Half { at: *at, first: None });
                });
                state.ended.take_in(halves, state.progress.now().half, end);
            }
            // What can not be read is no mark.
            state.ended.skip_to(read.max(next + 1));
        }
    }

    /// Reads some messages; returns where to go on.
    pub(super) fn read(
        &self,
        topic: &str,
        from: i64,
        slices: &mut Vec<disk::MappedSlice>,
    ) -> Result<i64, Halt> {
        let limits = ReadLimits {
            max_messages: READ_MAX,
            max_bytes: i64::MAX,
        };
        let read = self
            .appender
            .store
            .read(topic, QUEUE, QueueOffset(from), limits, &TagFilter::All, slices);
        match read {
            Ok(read) => Ok(read.next_begin_offset.0),
            Err(error) => Err(self.trouble(&format!("{topic} can not be read at {from}: {error}"))),
        }
    }

    fn trouble(&self, what: &str) -> Halt {
        if self.may_tell() {
            tracing::warn!("transactions wait: {what}");
        }
        Halt::Later(RETRY_MS)
    }

    fn may_tell(&self) -> bool {
        let (now, told) = (self.clock.now_ms(), self.told.load(Ordering::Relaxed));
        if (told..told.saturating_add(TELL_EACH_MS)).contains(&now) {
            return false;
        }
        self.told.store(now, Ordering::Relaxed);
        true
    }

    /// Goes on through the half queue: over what is ended, and to the end of the next messages that are not.
    fn walk(&self, state: &mut State, round: &mut Round, left: &mut u32) -> Result<(), Halt> {
        let store = &self.appender.store;
        let at = |state: &State| state.progress.now().half;
        let end = store.queue_max_offset(HALF_TOPIC, QUEUE).0;
        while at(state) < end && state.ended.take(at(state)) {
            state.progress.walk_to(at(state) + 1);
        }
        let from = at(state);
        if from >= end || from >= state.ended.horizon() {
            return Err(Halt::Over);
        }
        if *left == 0 {
            return Err(Halt::Enough);
        }
        let mut slices = Vec::new();
        let next = self.read(HALF_TOPIC, from, &mut slices)?;
        for half in store::records(&slices).flatten() {
            *left = left.saturating_sub(1);
            let offset = half.queue_offset();
            if offset >= state.ended.horizon() {
                return Err(Halt::Over);
            }
            state.progress.walk_to(offset);
            if !state.ended.take(offset) && !state.copies.take(offset) {
                // It may have been ended since the marks were read.
                let mut marks = STEP_MARKS;
                self.read_marks(state, &mut marks)?;
                if !state.ended.take(offset) {
                    self.examine(&half, &state.ended, round)?;
                }
            }
            state.progress.walk_to(offset + 1);
        }
        if at(state) < next {
            // Those can not be read.
            state.progress.walk_to(next);
        }
        if at(state) == from {
            state.progress.walk_to(from + 1);
        }
        Ok(())
    }

    /// Does what is to be done with a half message that is not ended; an error leaves it where it is.
    fn examine(&self, half: &View<'_>, ended: &Ended, round: &mut Round) -> Result<(), Halt> {
        let text = half.properties();
        let number = |name| properties::get_str(text, name).map(|text| text.parse::<i64>().unwrap_or(-1));
        let first = number(names::TRANSACTION_PREPARED_QUEUE_OFFSET);
        if first.is_some_and(|first| ended.has_first(first)) {
            return Ok(());
        }
        let (now, settings) = (self.clock.now_ms(), self.settings.load());
        let age = now.saturating_sub(half.born_timestamp());
        let times = number(names::TRANSACTION_CHECK_TIMES);
        let asked_enough =
            times.is_some_and(|times| times >= i64::from(settings.broker.transaction_check_max));
        let kept_ms = i64::from(settings.store.file_reserved_time).saturating_mul(3_600_000);
        if asked_enough || age > kept_ms {
            return self.give_up(half, now);
        }
        if half.store_timestamp() >= round.began {
            return Err(Halt::Over);
        }
        let usual = settings.broker.transaction_time_out;
        match number(names::CHECK_IMMUNITY_TIME_IN_SECONDS) {
            Some(seconds) => {
                let immune = if seconds == -1 {
                    usual
                } else {
                    seconds.saturating_mul(1000)
                };
                if age < immune {
                    return self.put_back_immune(half, first, now);
                }
            }
            // A producer whose clock is ahead is asked at once.
            None if (0..usual).contains(&age) => return Err(Halt::Over),
            None => {}
        }
        self.ask(half, &(times.unwrap_or(0) + 1).to_string(), round, now)
    }

    /// Stores a copy; none if it can not be a record: what the broker adds does not fit into properties that are nearly as long
    /// as they may be.
    fn store(&self, half: &View<'_>, topic: &str, text: &[u8], now: i64) -> Result<Option<Stored>, Halt> {
        match self.appender.append_copy(&moved(half, topic, text), now) {
            Ok(stored) => Ok(Some(stored)),
            Err(StoreError::Append(error)) => Err(self.trouble(&error.to_string())),
            Err(StoreError::Illegal(error)) => {
                let at = half.physical_offset();
                tracing::warn!("the half message at {at} can not be stored again in {topic}: {error}");
                Ok(None)
            }
        }
    }

    /// It is looked at again in the next round, and its checks are not counted. (Java counts them, and gives up without a
    /// question what is immune for longer than the checks take.)
    fn put_back_immune(&self, half: &View<'_>, first: Option<i64>, now: i64) -> Result<(), Halt> {
        let first = first.unwrap_or(half.queue_offset()).to_string();
        let with = [
            (names::WAIT, "false"),
            (names::TRANSACTION_PREPARED_QUEUE_OFFSET, first.as_str()),
        ];
        if self
            .store(half, HALF_TOPIC, &changed_text(half, &with), now)?
            .is_none()
        {
            // Without a word on where it was first.
            self.store(half, HALF_TOPIC, half.properties(), now)?;
        }
        Ok(())
    }

    fn give_up(&self, half: &View<'_>, now: i64) -> Result<(), Halt> {
        let made = self
            .topics
            .create_for_group(CHECK_MAX_TIME_TOPIC, 1, perm::READ | perm::WRITE, 0, now);
        if let Err(error) = made {
            return Err(self.trouble(&error.to_string()));
        }
        self.store(half, CHECK_MAX_TIME_TOPIC, &changed_text(half, &[]), now)?;
        self.open_halves.ended(topic_of(half), now);
        let count = self.given_up.fetch_add(1, Ordering::Relaxed) + 1;
        if self.may_tell() {
            let key = properties::get_str(half.properties(), names::UNIQ_KEY).unwrap_or("-");
            tracing::error!(
                "message {key} has been checked too many times, so discard it by moving it to system topic \
                 {CHECK_MAX_TIME_TOPIC} ({count} so far)"
            );
        }
        Ok(())
    }

    /// Puts the message back first: what the producer answers ends the copy.
    fn ask(&self, half: &View<'_>, times: &str, round: &mut Round, now: i64) -> Result<(), Halt> {
        let group = properties::get_str(half.properties(), names::PRODUCER_GROUP).unwrap_or_default();
        // The message is not shown to who could not have sent it.
        let resource = acl::Resource::topic(topic_of(half));
        let may_be = |member: &Member| {
            self.access.as_ref().is_none_or(|access| {
                let ip = member.conn.address().ip();
                let wanted = (resource, resource.needed_to_send());
                let code = request::CHECK_TRANSACTION_STATE;
                access.may(member.account.as_deref(), ip, wanted, code).is_ok()
            })
        };
        let producer = match self.producers.one_of(group, &may_be) {
            Some(Asked::Ready(producer)) => Some(producer),
            Some(Asked::Busy(_)) if round.waited < BUSY_MAX_MS => {
                round.waited += BUSY_MS;
                return Err(Halt::Later(BUSY_MS));
            }
            Some(Asked::Busy(_)) | None => None,
        };
        let text = changed_text(half, &[(names::TRANSACTION_CHECK_TIMES, times)]);
        let copy = self.store(half, HALF_TOPIC, &text, now)?;
        let place = match &copy {
            Some(copy) => {
                let at = copy.first.queue_offset.0;
                if self.is_ended_now(half, at, now)? {
                    return Ok(());
                }
                (at, copy.first.physical_offset.0)
            }
            None => {
                // It has no room for a count of its checks. It is asked for this once, where it is.
                self.give_up(half, now)?;
                (half.queue_offset(), half.physical_offset())
            }
        };
        let question = Question { half, place, times };
        let asked = producer.and_then(|producer| {
            let body = Body::from(question.body()?);
            producer
                .oneway(request::CHECK_TRANSACTION_STATE, &question.header(), body)
                .ok()
        });
        if asked.is_some() {
            self.asked.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let count = self.unasked.fetch_add(1, Ordering::Relaxed) + 1;
        if self.may_tell() {
            tracing::warn!(
                "Check transaction failed, no producer can be asked. groupId={group} ({count} so far)"
            );
        }
        Ok(())
    }

    /// Whether the half message was ended while it was put back: its end names the place where it was, and not the copy's.
    fn is_ended_now(&self, half: &View<'_>, copy: i64, now: i64) -> Result<bool, Halt> {
        let first = properties::get_str(half.properties(), names::TRANSACTION_PREPARED_QUEUE_OFFSET);
        let half = Half {
            at: half.queue_offset(),
            first: first.and_then(|first| first.parse().ok()),
        };
        if !self.ends.put_back(half, copy) {
            return Ok(false);
        }
        match append_mark(&self.appender, copy, now) {
            Ok(_) => Ok(true),
            Err(e) => Err(self.trouble(&e.to_string())),
        }
    }

    /// Where the walk is.
    pub(super) fn place(&self) -> Place {
        self.state.lock().progress.now()
    }

    /// Half messages that are not looked at yet, or not ended.
    pub fn open(&self) -> i64 {
        let end = self.appender.store.queue_max_offset(HALF_TOPIC, QUEUE).0;
        end - self.state.lock().progress.now().half
    }
}
