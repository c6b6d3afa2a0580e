//! Transactions, cut off at every operation of the disk.
//!
//! A producer sends half messages, ends some at once, and answers when it is asked for the others. One operation fails, the plug is
//! pulled, and the broker starts again; with time for all checks everything has come to its end: what was to be committed is
//! there, what was to be rolled back is not, and nothing is checked for ever.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use broker::lane::Workers;
use broker::run::{Parts, StartError, Surroundings};
use broker::settings::{FlushDiskType, Settings};
use broker::tables::save;
use disk::{Clock, SimClock, SimDisk};
use filter::TagFilter;
use message::id::OffsetMessageId;
use message::name::{CHECK_MAX_TIME_TOPIC, HALF_TOPIC};
use message::record::{Check, Entry, decode};
use protocol::code::{request, response};
use protocol::header::broker::{
    CheckTransactionStateRequestHeader, EndTransactionRequestHeader, SendMessageRequestHeader,
    SendMessageResponseHeader,
};
use protocol::{EncodeHeader, Frame};
use remoting::MemoryPeer;
use store::{QueueOffset, ReadLimits};

use crate::requests;
use crate::world::Mode;

const START_MS: i64 = 1_700_000_000_000;
/// Longer than the interval of the checks.
const ROUND_MS: i64 = 61_000;
const TOPIC: &str = "Orders";
const GROUP: &str = "producers";
/// Half messages of one run.
const HALVES: usize = 10;
/// Most checks of one message.
const CHECK_MAX: i32 = 3;

/// How the broker ends when an operation has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// What was not synced may be lost, in a way that this seed chooses.
    Power(u64),
    /// What was written stays.
    Kill,
}

/// What the producer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Commit,
    Rollback,
    CommitWhenAsked,
    RollbackWhenAsked,
    /// It does not know, however often it is asked.
    Never,
}

impl Wish {
    const ALL: [Wish; 5] = [
        Wish::Commit,
        Wish::CommitWhenAsked,
        Wish::Rollback,
        Wish::Never,
        Wish::RollbackWhenAsked,
    ];

    fn of(body: &str) -> Wish {
        let number: usize = body.trim_start_matches('m').parse().unwrap_or_default();
        Wish::ALL[number % Wish::ALL.len()]
    }

    fn commits(self) -> bool {
        matches!(self, Wish::Commit | Wish::CommitWhenAsked)
    }

    /// What END_TRANSACTION says: at once, or when it is asked.
    fn end(self, is_asked: bool) -> Option<i32> {
        match self {
            Wish::Commit => Some(8),
            Wish::Rollback => Some(12),
            Wish::CommitWhenAsked if is_asked => Some(8),
            Wish::RollbackWhenAsked if is_asked => Some(12),
            _ => None,
        }
    }
}

enum Asked {
    Half(String),
    Commit(String),
    Other,
}

struct Run {
    mode: Mode,
    disk: SimDisk,
    clock: SimClock,
    parts: Option<Parts<SimDisk>>,
    peer: Arc<MemoryPeer>,
    asked: HashMap<i32, Asked>,
    /// Half messages whose sender heard SUCCESS, and commits that did.
    halves: BTreeSet<String>,
    commits: BTreeSet<String>,
    what: String,
}

/// Operations that a run takes when nothing fails.
pub fn operations(mode: Mode) -> u64 {
    let mut run = Run::new(mode, "no cut".to_owned());
    run.open().expect("an empty disk");
    run.scene();
    let operations = run.disk.operations();
    run.finish();
    let found = run.bodies(TOPIC);
    for number in 0..HALVES {
        let body = format!("m{number}");
        let expected = usize::from(Wish::of(&body).commits());
        run.assert(
            found.get(&body).copied().unwrap_or(0) == expected,
            &format!("{body}: {found:?}"),
        );
    }
    run.check();
    operations
}

/// A run whose `nth` operation fails, and that is cut off then.
///
/// # Panics
/// When something that was promised does not hold.
pub fn cut_off(mode: Mode, nth: u64, cut: Cut) {
    let mut run = Run::new(mode, format!("{mode:?}, operation {nth} fails, {cut:?}"));
    run.disk.fail_nth(nth);
    if run.open().is_ok() {
        run.scene();
    }
    run.asked.clear();
    run.peer.take();
    run.disk = match cut {
        Cut::Power(seed) => run.disk.crash(seed),
        Cut::Kill => run.disk.kill(),
    };
    run.parts = None;
    if let Err(error) = run.open() {
        run.fail(&format!("the broker does not start: {error}"));
    }
    if matches!(cut, Cut::Power(_)) && mode == Mode::Async {
        // What nobody was promised may be gone.
        let there: BTreeSet<String> = run.bodies(HALF_TOPIC).into_keys().collect();
        run.halves.retain(|body| there.contains(body));
        run.commits.clear();
    }
    run.finish();
    run.check();
}

impl Run {
    fn new(mode: Mode, what: String) -> Run {
        Run {
            mode,
            disk: SimDisk::new(),
            clock: SimClock::at(START_MS),
            parts: None,
            peer: MemoryPeer::new(([127, 0, 0, 1], 4000).into()),
            asked: HashMap::new(),
            halves: BTreeSet::new(),
            commits: BTreeSet::new(),
            what,
        }
    }

    fn fail(&self, why: &str) -> ! {
        panic!("{}: {why}", self.what);
    }

    fn assert(&self, is_so: bool, why: &str) {
        if !is_so {
            self.fail(why);
        }
    }

    fn open(&mut self) -> Result<(), StartError> {
        self.disk.set_now(self.clock.now_ms());
        let mut settings = Settings::default();
        settings.broker.broker_name = "broker-a".to_owned();
        settings.broker.broker_ip1 = "127.0.0.1".to_owned();
        settings.broker.transaction_check_max = CHECK_MAX;
        settings.store.store_path_root_dir = "/store".to_owned();
        settings.store.mapped_file_size_commit_log = 4 << 10;
        settings.store.mapped_file_size_consume_queue = 8 * 20;
        settings.store.max_hash_slot_num = 16;
        settings.store.max_index_num = 40;
        settings.store.flush_disk_type = match self.mode {
            Mode::Sync => FlushDiskType::SyncFlush,
            Mode::Async => FlushDiskType::AsyncFlush,
        };
        let surroundings = Surroundings {
            disk: self.disk.clone(),
            clock: Arc::new(self.clock.clone()),
            workers: Workers::Caller,
            traffic: Default::default(),
        };
        let helpers = store::Helpers {
            parallel: &store::Inline,
            progress: &|_| {},
        };
        let (parts, _) = Parts::assemble(settings, surroundings, &helpers)?;
        parts.tables.topics.set_told(u64::MAX);
        parts.log.reput.all();
        self.parts = Some(parts);
        self.beat();
        Ok(())
    }

    fn parts(&self) -> &Parts<SimDisk> {
        self.parts.as_ref().expect("a broker runs")
    }

    fn is_broken(&self) -> bool {
        self.disk.failed().is_some()
    }

    fn ask(&mut self, code: i32, header: &dyn EncodeHeader, body: &[u8], asked: Asked) {
        let (request, opaque) = self.peer.request(code, header, body.to_vec());
        self.asked.insert(opaque, asked);
        let handlers = Arc::clone(&self.parts().handlers);
        handlers.serve(&mut VecDeque::from([request]), true, &|| false);
        self.settle();
    }

    /// What threads and tasks do: flush, write files, let who waits be answered.
    fn settle(&mut self) {
        let parts = self.parts();
        parts.log.flusher.flush(0);
        parts.log.reput.wake();
        for (file, _) in &parts.files {
            if file.saver().is_behind() {
                // Where it fails, the plug is pulled.
                let _failed = save(file.as_ref(), &self.disk, self.clock.now_ms());
            }
        }
        parts.log.flusher.flush(0);
        self.hear();
    }

    fn beat(&mut self) {
        let beat = format!(
            r#"{{"clientID":"c@1","consumerDataSet":[],"producerDataSet":[{{"groupName":"{GROUP}"}}]}}"#
        );
        self.ask(request::HEART_BEAT, &(), beat.as_bytes(), Asked::Other);
    }

    fn half(&mut self, number: usize) {
        let body = format!("m{number}");
        let text = format!(
            "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}{GROUP}\u{2}UNIQ_KEY\u{1}{body}\u{2}X\u{1}{}",
            "x".repeat(number * 37 % 300)
        );
        let header = SendMessageRequestHeader {
            sys_flag: Some(4),
            born_timestamp: self.clock.now_ms(),
            ..requests::send(TOPIC, 0, &text)
        };
        let header = requests::short(&header);
        self.ask(
            request::SEND_MESSAGE_V2,
            &header,
            body.as_bytes(),
            Asked::Half(body.clone()),
        );
    }

    fn end(&mut self, body: &str, place: (i64, i64), how: i32) {
        let header = EndTransactionRequestHeader {
            producer_group: Cow::Borrowed(GROUP),
            tran_state_table_offset: place.0,
            commit_log_offset: place.1,
            commit_or_rollback: how,
            from_transaction_check: None,
            msg_id: Some(Cow::Borrowed(body)),
            transaction_id: None,
        };
        let asked = match how {
            8 => Asked::Commit(body.to_owned()),
            _ => Asked::Other,
        };
        self.ask(request::END_TRANSACTION, &header, b"", asked);
    }

    /// Takes in answers and questions, and goes on with what follows from them.
    fn hear(&mut self) {
        for frame in self.peer.take() {
            if !frame.is_response() {
                self.answer(&frame);
                continue;
            }
            let success = frame.code == response::SUCCESS;
            match self.asked.remove(&frame.opaque) {
                Some(Asked::Half(body)) if success => {
                    let header: SendMessageResponseHeader<'_> = frame.header().expect("an answer to a send");
                    let id: OffsetMessageId = header.msg_id.parse().expect("a message id");
                    self.halves.insert(body.clone());
                    if let Some(how) = Wish::of(&body).end(false) {
                        self.end(&body, (header.queue_offset, id.physical_offset), how);
                    }
                }
                Some(Asked::Commit(body)) if success => drop(self.commits.insert(body)),
                _ => {}
            }
        }
    }

    fn answer(&mut self, frame: &Frame) {
        let header: CheckTransactionStateRequestHeader<'_> = frame.header().expect("a question");
        let Ok(Entry::Record(view)) = decode(&frame.body, Check::Body) else {
            self.fail("a question without its message");
        };
        self.assert(
            view.topic() == TOPIC,
            "the question names the message's own topic",
        );
        let body = String::from_utf8_lossy(view.body()).into_owned();
        if let Some(how) = Wish::of(&body).end(true) {
            self.end(
                &body,
                (header.tran_state_table_offset, header.commit_log_offset),
                how,
            );
        }
    }

    /// Time passes, and the check does what is due.
    fn round(&mut self) {
        self.parts().checks.pause_ms();
        self.clock.advance(ROUND_MS);
        self.disk.set_now(self.clock.now_ms());
        self.parts().expire_answers();
        for _ in 0..100 {
            if self.is_broken() || self.parts().checks.pause_ms() != Some(0) {
                return self.settle();
            }
            self.parts().checks.look();
            self.hear();
        }
        self.fail("a round of the check does not come to an end");
    }

    /// What happens until the cut.
    fn scene(&mut self) {
        for number in 0..HALVES {
            if self.is_broken() {
                return;
            }
            self.half(number);
            if number % 3 == 2 && !self.is_broken() {
                self.round();
            }
            if number % 4 == 3 {
                let store = &self.parts().log.store;
                let _latched = store.build_index();
                let _latched = store.flush_consumequeues(0, true);
            }
        }
    }

    /// Everything comes to its end.
    fn finish(&mut self) {
        for _ in 0..2 * CHECK_MAX + 6 {
            self.round();
        }
        let open = self.parts().checks.open();
        self.assert(open == 0, &format!("{open} half messages are checked for ever"));
        self.assert(
            self.parts().checks.pause_ms().is_none(),
            "the check finds no rest",
        );
    }

    fn check(&self) {
        let (orders, given_up) = (self.bodies(TOPIC), self.bodies(CHECK_MAX_TIME_TOPIC));
        for body in orders.keys() {
            self.assert(
                Wish::of(body).commits(),
                &format!("{body} was never committed and appears"),
            );
        }
        for body in &self.halves {
            let (seen, left) = (orders.contains_key(body), given_up.contains_key(body));
            match Wish::of(body) {
                Wish::Commit | Wish::CommitWhenAsked => self.assert(seen, &format!("{body} is lost")),
                Wish::Never => self.assert(left, &format!("{body} was not given up")),
                Wish::Rollback | Wish::RollbackWhenAsked => {}
            }
        }
        for body in &self.commits {
            self.assert(
                orders.contains_key(body),
                &format!("{body} was committed, SUCCESS, and is lost"),
            );
        }
    }

    /// How often each body is in the queues of a topic.
    fn bodies(&self, topic: &str) -> BTreeMap<String, usize> {
        let store = &self.parts().log.store;
        let mut bodies = BTreeMap::new();
        for queue_id in store.queue_ids(topic) {
            let (min, max) = store.queue_bounds(topic, queue_id);
            let mut next = min.0;
            while next < max.0 {
                let mut slices = Vec::new();
                let limits = ReadLimits {
                    max_messages: 32,
                    max_bytes: i64::MAX,
                };
                let read = store.read(
                    topic,
                    queue_id,
                    QueueOffset(next),
                    limits,
                    &TagFilter::All,
                    &mut slices,
                );
                let read =
                    read.unwrap_or_else(|error| self.fail(&format!("{topic} can not be read: {error}")));
                for view in store::records(&slices).flatten() {
                    let body = String::from_utf8_lossy(view.body()).into_owned();
                    *bodies.entry(body).or_insert(0) += 1;
                }
                next = read.next_begin_offset.0.max(next + 1);
            }
        }
        bodies
    }
}
