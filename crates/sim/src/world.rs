//! One run: the broker, its disk and clock, its clients, and what happens.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use broker::delay::QuietUntil;
use broker::lane::Workers;
use broker::run::{Parts, Surroundings};
use broker::settings::{FlushDiskType, Settings};
use broker::tables::save;
use disk::{Clock, Disk, SimClock, SimDisk, SimRandom};
use message::id::OffsetMessageId;
use protocol::code::{request, response};
use protocol::header::broker::SendMessageResponseHeader;
use protocol::{EncodeHeader, Frame};
use remoting::{MemoryPeer, Request};

use crate::promises::{Acknowledged, Promises};
use crate::requests::{self, Asked};

/// Where the clock starts, ms since 1970.
const START_MS: i64 = 1_700_000_000_000;
/// The delay levels of the simulation, and longer than all of them.
const LEVELS: &str = "1s 5s 10s";
const AFTER_ALL_LEVELS_MS: i64 = 20_000;
/// Largest body as long as nobody lowers it, bytes.
const MAX_MESSAGE_BYTES: i32 = 4096;

/// When an answer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// SYNC_FLUSH.
    Sync,
    /// ASYNC_FLUSH.
    Async,
}

/// How a broker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As by `mqshutdown`.
    Stop,
    /// As by `kill -9`: what was written stays.
    Kill,
    /// What was not synced may be lost.
    PowerCut,
}

/// One run.
pub struct World {
    pub(crate) seed: u64,
    pub(crate) mode: Mode,
    pub(crate) random: SimRandom,
    pub(crate) disk: SimDisk,
    clock: SimClock,
    parts: Option<Parts<SimDisk>>,
    quiet: QuietUntil,
    peer: Arc<MemoryPeer>,
    asked: HashMap<i32, Asked>,
    pub(crate) promises: Promises,
    /// A power cut may have left damage between sound records.
    pub(crate) had_power_cut: bool,
    next_id: usize,
    serial: usize,
    /// The last request that makes a topic, and the last that deletes it.
    made_at: HashMap<String, usize>,
    deleted_at: HashMap<String, usize>,
    committed_at: HashMap<String, usize>,
    steps: usize,
    log: Vec<String>,
}

impl World {
    /// A new broker on an empty disk.
    pub fn new(seed: u64) -> Self {
        let mut random = SimRandom::new(seed);
        let mode = if random.one_in(3) { Mode::Async } else { Mode::Sync };
        let mut world = Self {
            seed,
            mode,
            random,
            disk: SimDisk::new(),
            clock: SimClock::at(START_MS),
            parts: None,
            quiet: QuietUntil::default(),
            peer: MemoryPeer::new(([127, 0, 0, 1], 4000).into()),
            asked: HashMap::new(),
            promises: Promises::default(),
            had_power_cut: false,
            next_id: 0,
            serial: 0,
            made_at: HashMap::new(),
            deleted_at: HashMap::new(),
            committed_at: HashMap::new(),
            steps: 0,
            log: Vec::new(),
        };
        world.note(format!("{mode:?}"));
        world.open();
        world
    }

    pub(crate) fn note(&mut self, line: String) {
        self.log.push(format!("{:4} {line}", self.steps));
    }

    /// The steps so far.
    pub fn into_log(self) -> Vec<String> {
        self.log
    }

    /// Names the seed and the step of what did not hold.
    pub(crate) fn fail(&self, what: &str) -> ! {
        let shown = if std::env::var_os("SEED").is_some() {
            usize::MAX
        } else {
            12
        };
        let last: Vec<_> = self.log.iter().rev().take(shown).rev().cloned().collect();
        panic!(
            "seed {} step {} ({:?}): {what}\nthe last steps:\n{}",
            self.seed,
            self.steps,
            self.mode,
            last.join("\n")
        );
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        settings.broker.broker_name = "broker-a".to_owned();
        settings.broker.broker_ip1 = "127.0.0.1".to_owned();
        settings.broker.broker_config_path = Some("/broker.conf".to_owned());
        settings.store.store_path_root_dir = "/store".to_owned();
        settings.store.mapped_file_size_commit_log = 64 << 10;
        settings.store.mapped_file_size_consume_queue = 8 * 20;
        settings.store.max_hash_slot_num = 16;
        settings.store.max_index_num = 40;
        settings.store.max_message_size = MAX_MESSAGE_BYTES;
        settings.store.message_delay_level = LEVELS.to_owned();
        settings.store.flush_disk_type = match self.mode {
            Mode::Sync => FlushDiskType::SyncFlush,
            Mode::Async => FlushDiskType::AsyncFlush,
        };
        settings
    }

    pub(crate) fn parts(&self) -> &Parts<SimDisk> {
        self.parts.as_ref().expect("a broker runs between steps")
    }

    fn open(&mut self) {
        self.disk.set_now(self.clock.now_ms());
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
        match Parts::assemble(self.settings(), surroundings, &helpers) {
            Ok((parts, report)) => {
                for line in report.errors().into_iter().chain(report.warnings()) {
                    self.note(format!("  {line}"));
                }
                // No name server is there to be told.
                parts.tables.topics.set_told(u64::MAX);
                parts.log.reput.all();
                self.parts = Some(parts);
                self.quiet = QuietUntil::default();
            }
            Err(e) => self.fail(&format!("the broker does not start: {e}")),
        }
    }

    /// Something happens.
    pub fn step(&mut self) {
        self.steps += 1;
        match self.random.below(100) {
            0..=39 => self.send(),
            40..=44 => self.pull(),
            45..=49 => self.send_back(),
            50..=53 => self.commit(),
            54..=56 => self.change_topic(),
            57..=58 => self.change_limit(),
            59..=70 => self.flush(),
            71..=77 => self.save_one(),
            78..=84 => self.pass_time(),
            85..=88 => self.deliver(),
            89..=92 => self.maintain(),
            93 => self.fill_disk(),
            94 => self.use_up_descriptors(),
            95..=96 => self.break_disk(),
            _ => self.end(),
        }
        self.hear();
    }

    /// Everything that was promised is looked for: after a last restart, with all the time it needs.
    pub fn finish(&mut self) {
        self.end();
        for _ in 0..4 {
            self.clock.advance(AFTER_ALL_LEVELS_MS);
            self.deliver_all();
        }
        self.hear();
        self.check_delivered();
        self.shut_down(End::Stop);
        let (finished, asked) = (self.peer.finished(), self.log.len());
        if !self.asked.is_empty() {
            let open: Vec<_> = self.asked.values().collect();
            self.fail(&format!(
                "without an answer ({finished} of about {asked}): {open:?}"
            ));
        }
    }

    fn ask(&mut self, code: i32, header: &dyn EncodeHeader, body: &[u8], asked: Asked) -> Request {
        let (request, opaque) = self.peer.request(code, header, body.to_vec());
        self.asked.insert(opaque, asked);
        request
    }

    fn serve(&mut self, requests: Vec<Request>) {
        let mut requests = VecDeque::from(requests);
        self.parts().handlers.serve(&mut requests, true, &|| false);
        self.parts().log.reput.wake();
    }

    fn topic(&mut self) -> String {
        // Some are never deleted, some are all the time.
        let name = if self.random.one_in(5) { "Passing" } else { "Topic" };
        format!("{name}{}", self.random.below(6))
    }

    fn send(&mut self) {
        let count = 1 + self.random.below(4);
        let mut requests = Vec::new();
        for _ in 0..count {
            let (topic, queue_id) = (self.topic(), self.random.below(2) as i32);
            let is_delayed = self.random.one_in(4);
            let waits = !self.random.one_in(6);
            let mut properties = String::from("KEYS\u{1}k\u{2}");
            if is_delayed {
                properties.push_str(&format!("DELAY\u{1}{}\u{2}", 1 + self.random.below(3)));
            }
            if !waits {
                properties.push_str("WAIT\u{1}false\u{2}");
            }
            self.next_id += 1;
            let padding = "x".repeat(self.random.below(600) as usize);
            let id = format!("{}-{padding}", self.next_id);
            self.promises.sent.insert(id.clone());
            self.makes(&topic);
            let asked = Asked::Send {
                id: id.clone(),
                topic: topic.clone(),
                is_delayed,
                waits,
            };
            let header = requests::send(&topic, queue_id, &properties);
            let header = requests::short(&header);
            requests.push(self.ask(request::SEND_MESSAGE_V2, &header, id.as_bytes(), asked));
        }
        self.note(format!("send {count}"));
        self.serve(requests);
    }

    fn pull(&mut self) {
        let (topic, queue_id) = (self.topic(), self.random.below(2) as i32);
        let end = self.parts().log.store.queue_max_offset(&topic, queue_id).0;
        let offset = self.random.below(end.max(0) as u64 + 1) as i64;
        let suspend = self.random.one_in(2);
        let asked = Asked::Pull {
            topic: topic.clone(),
            queue_id,
        };
        let header = requests::pull(&topic, queue_id, offset, suspend);
        let request = self.ask(request::PULL_MESSAGE, &header, b"", asked);
        self.note(format!(
            "pull {topic} {queue_id} from {offset}, may wait: {suspend}"
        ));
        self.serve(vec![request]);
    }

    fn send_back(&mut self) {
        let count = self.promises.acknowledged.len() as u64;
        if count == 0 {
            return;
        }
        let of = self.promises.acknowledged[self.random.below(count) as usize].clone();
        let level = self.random.below(4) as i32 - 1;
        let asked = Asked::SendBack { id: of.id.clone() };
        let header = requests::send_back(of.physical, level);
        let request = self.ask(request::CONSUMER_SEND_MSG_BACK, &header, b"", asked);
        self.note(format!(
            "send back {} at {}, level {level}",
            short(&of.id),
            of.physical
        ));
        self.serve(vec![request]);
    }

    fn commit(&mut self) {
        let (topic, queue_id) = (self.topic(), self.random.below(2) as i32);
        let offset = self.random.below(50) as i64;
        let key = (topic.clone(), queue_id);
        self.serial += 1;
        self.committed_at.insert(topic.clone(), self.serial);
        self.promises.forgotten.remove(&topic);
        self.promises.committed.entry(key).or_default().insert(offset);
        let header = requests::commit(&topic, queue_id, offset);
        let request = self.ask(request::UPDATE_CONSUMER_OFFSET, &header, b"", Asked::Commit);
        self.serve(vec![request]);
    }

    fn change_topic(&mut self) {
        let topic = format!("Passing{}", self.random.below(6));
        let request = if self.random.one_in(2) {
            let asked = Asked::Create(topic.clone(), self.makes(&topic));
            self.note(format!("create {topic}"));
            self.ask(
                request::UPDATE_AND_CREATE_TOPIC,
                &requests::create(&topic),
                b"",
                asked,
            )
        } else {
            let end = self.parts().log.store.max_physical().0;
            let asked = Asked::Delete(topic.clone(), self.deletes(&topic, end), end);
            self.note(format!("delete {topic}"));
            self.ask(
                request::DELETE_TOPIC_IN_BROKER,
                &requests::delete(&topic),
                b"",
                asked,
            )
        };
        self.serve(vec![request]);
    }

    /// An operator lowers the limit of messages below what is parked, or lifts it again.
    fn change_limit(&mut self) {
        let limit = if self.random.one_in(2) {
            100
        } else {
            MAX_MESSAGE_BYTES
        };
        let text = format!("maxMessageSize={limit}\n");
        self.note(text.trim().to_owned());
        let request = self.ask(
            request::UPDATE_BROKER_CONFIG,
            &(),
            text.as_bytes(),
            Asked::Settings,
        );
        self.serve(vec![request]);
    }

    fn flush(&mut self) {
        self.note("flush".to_owned());
        self.parts().log.flusher.flush(0);
    }

    fn save_one(&mut self) {
        let count = self.parts().files.len() as u64;
        let number = self.random.below(count) as usize;
        self.save(number);
    }

    fn save(&mut self, number: usize) {
        let parts = self.parts();
        let (file, _) = &parts.files[number];
        let path = file.saver().path().display().to_string();
        let saved = save(file.as_ref(), &self.disk, self.clock.now_ms());
        self.note(format!(
            "save {path}: {}",
            if saved.is_ok() { "done" } else { "failed" }
        ));
    }

    fn pass_time(&mut self) {
        let ms = self.random.below(4_000) as i64;
        self.clock.advance(ms);
        self.disk.set_now(self.clock.now_ms());
        self.note(format!("{ms} ms pass"));
        let parts = self.parts();
        parts.expire_answers();
        for pull in parts.hold.take_expired(self.clock.now_ms()) {
            parts.handlers.pull_again(pull);
        }
    }

    fn deliver(&mut self) {
        let mut quiet = std::mem::take(&mut self.quiet);
        self.parts().delivery.look(&mut quiet);
        self.quiet = quiet;
        self.note("deliver".to_owned());
    }

    fn deliver_all(&mut self) {
        loop {
            self.parts().log.flusher.flush(0);
            if self.parts().delivery.pause_ms(&self.quiet) > 0 {
                return;
            }
            self.deliver();
        }
    }

    fn maintain(&mut self) {
        self.note("index, queues, checkpoint".to_owned());
        let store = &self.parts().log.store;
        // A failure is latched; the next end heals it.
        let _latched = store.build_index();
        let _latched = store.flush_consumequeues(0, true);
    }

    /// The disk becomes full, or has room again.
    fn fill_disk(&mut self) {
        let free = (!self.random.one_in(3)).then(|| self.random.below(200_000));
        self.note(format!("free bytes: {free:?}"));
        self.disk.set_free(free);
    }

    /// Clients use up the descriptors, or give them back. A request that needs a file is refused meanwhile; nothing more.
    fn use_up_descriptors(&mut self) {
        let left = self.random.one_in(2);
        self.note(format!("descriptors are left: {left}"));
        self.disk.set_descriptors(left);
        let latched = self.parts().log.store.latched();
        self.send();
        self.flush();
        if latched.is_none()
            && let Some(latched) = self.parts().log.store.latched()
            && !left
        {
            self.fail(&format!("want of descriptors latches writes off: {latched}"));
        }
    }

    /// One of the next operations fails; after it the broker is no good any more and ends.
    fn break_disk(&mut self) {
        let nth = 1 + self.random.below(12);
        self.note(format!("operation {nth} from now on fails"));
        self.disk.fail_nth(nth);
        for _ in 0..3 {
            match self.random.below(4) {
                0 => self.send(),
                1 => self.flush(),
                2 => self.save_one(),
                _ => self.deliver(),
            }
        }
        self.hear();
        self.end();
    }

    /// The broker ends in one of the ways there are, and starts again.
    fn end(&mut self) {
        let end = match self.random.below(4) {
            0 => End::Stop,
            1 => End::Kill,
            _ => End::PowerCut,
        };
        self.disk.set_free(None);
        self.disk.set_descriptors(true);
        let torn = self.random.one_in(2);
        self.disk.set_torn_renames(torn);
        let loses_queue = end != End::PowerCut && self.random.one_in(4) && self.is_vouched(end);
        self.shut_down(end);
        if loses_queue {
            self.lose_queue_files();
        } else if self.random.one_in(6) {
            self.forget_derived_files();
        }
        self.open();
        let log_end = self.parts().log.store.max_physical().0;
        self.promises.cut(log_end);
        self.check(end);
    }

    /// Whether a start can know afterwards what the queues were: at a clean stop it does, and at a kill as far as the last
    /// checkpoint reached.
    fn is_vouched(&mut self, end: End) -> bool {
        if end == End::Kill {
            self.maintain();
        }
        self.disk.failed().is_none() && self.parts().log.store.latched().is_none()
    }

    /// Somebody removes a queue's file, or all files of a queue or of a topic.
    fn lose_queue_files(&mut self) {
        let mut paths = self.disk.paths();
        paths.retain(|path| path.starts_with("/store/consumequeue"));
        if paths.is_empty() {
            return;
        }
        let lost = paths[self.random.below(paths.len() as u64) as usize].clone();
        let above = self.random.below(3) as usize;
        let lost = lost
            .ancestors()
            .nth(above)
            .expect("a queue has a topic")
            .to_owned();
        self.note(format!("{} is lost", lost.display()));
        for path in paths.iter().filter(|path| path.starts_with(&lost)) {
            self.disk.take(path);
        }
        if above > 0 {
            self.disk
                .remove_dir_all(&lost)
                .expect("nothing fails before the start");
        }
    }

    /// An operator removes what can be built again from the log.
    fn forget_derived_files(&mut self) {
        let derived = ["/store/consumequeue", "/store/index", "/store/checkpoint"];
        let what = derived[self.random.below(3) as usize];
        self.note(format!("{what} is removed"));
        let paths = self.disk.paths();
        for path in paths.iter().filter(|path| path.starts_with(what)) {
            self.disk.take(path);
        }
    }

    fn shut_down(&mut self, end: End) {
        self.hear();
        let flushed = self.parts().log.store.flushed().0;
        self.note(format!("{end:?}, flushed up to {flushed}"));
        let parts = self.parts.take().expect("a broker runs between steps");
        match end {
            End::Stop => {
                for pull in parts.hold.take_all() {
                    parts.handlers.pull_again(pull);
                }
                let closed = parts.close();
                drop(parts);
                self.hear_after_end(end);
                if closed.is_err() && self.disk.failed().is_none() {
                    self.fail("a sound store can not be closed");
                }
                self.disk = self.disk.kill();
            }
            End::Kill => {
                self.disk = self.disk.kill();
                drop(parts);
                self.hear_after_end(end);
            }
            End::PowerCut => {
                self.disk = self.disk.crash(self.random.next_u64());
                self.had_power_cut = true;
                drop(parts);
                self.hear_after_end(end);
                self.lose_unflushed(flushed);
            }
        }
    }

    /// What was said by dropping responders is no promise, whatever it says; who was not answered never will be.
    fn hear_after_end(&mut self, end: End) {
        if end == End::Stop {
            self.hear();
        } else {
            self.peer.take();
            self.asked.clear();
        }
    }

    /// A power cut takes what nobody was promised: what is not flushed, where the answer did not wait for that.
    fn lose_unflushed(&mut self, flushed: i64) {
        let mode = self.mode;
        let promises = &mut self.promises;
        promises
            .acknowledged
            .retain(|message| (mode == Mode::Sync && message.waited) || message.physical < flushed);
        if mode == Mode::Async {
            promises.seen.clear();
            promises.sent_back.clear();
        }
    }

    /// Takes in the answers.
    pub(crate) fn hear(&mut self) {
        for frame in self.peer.take() {
            let Some(asked) = self.asked.remove(&frame.opaque) else {
                self.fail(&format!("a second answer, or one to nobody: {frame:?}"));
            };
            self.heard(asked, &frame);
        }
    }

    fn heard(&mut self, asked: Asked, frame: &Frame) {
        let success = frame.code == response::SUCCESS;
        let remark = frame.remark.as_deref().unwrap_or_default();
        match asked {
            Asked::Send {
                id,
                topic,
                is_delayed,
                waits,
            } => {
                self.note(format!("  {} to {topic}: {} {remark}", short(&id), frame.code));
                if success {
                    self.acknowledged(id, topic, is_delayed, waits, frame);
                }
            }
            Asked::SendBack { id } => {
                self.note(format!("  {} sent back: {} {remark}", short(&id), frame.code));
                if success {
                    self.promises.sent_back.insert(id);
                }
            }
            Asked::Create(topic, serial) => {
                self.note(format!("  {topic} made: {} {remark}", frame.code));
                // A deletion that was asked for meanwhile undoes it.
                if success && self.deleted_at.get(&topic).is_none_or(|at| *at < serial) {
                    self.promises.made.insert(topic);
                }
            }
            Asked::Delete(topic, serial, end) => {
                self.note(format!("  {topic} deleted: {} {remark}", frame.code));
                if success {
                    self.promises.emptied.insert(topic.clone(), end);
                }
                if success && self.committed_at.get(&topic).is_none_or(|at| *at < serial) {
                    self.promises.forgotten.insert(topic.clone());
                }
                if success && self.made_at.get(&topic).is_none_or(|at| *at < serial) {
                    self.promises.gone.insert(topic);
                }
            }
            Asked::Pull { topic, queue_id } if success => self.saw(&topic, queue_id, &frame.body),
            Asked::Pull { .. } | Asked::Commit | Asked::Settings => {}
        }
    }

    /// Notes that a request is about to make a topic.
    fn makes(&mut self, topic: &str) -> usize {
        self.serial += 1;
        self.promises.gone.remove(topic);
        self.made_at.insert(topic.to_owned(), self.serial);
        self.serial
    }

    /// Notes that a request is about to delete a topic, while the log ends at `end`.
    fn deletes(&mut self, topic: &str, end: i64) -> usize {
        self.serial += 1;
        self.promises.deleted.insert(topic.to_owned(), end);
        // Another topic of the name has other messages at these places.
        self.promises.seen.retain(|(of, ..), _| of != topic);
        self.promises.made.remove(topic);
        self.deleted_at.insert(topic.to_owned(), self.serial);
        self.serial
    }

    fn acknowledged(&mut self, id: String, topic: String, is_delayed: bool, waits: bool, frame: &Frame) {
        let header: SendMessageResponseHeader<'_> = match frame.header() {
            Ok(header) => header,
            Err(e) => self.fail(&format!("an answer without its fields: {e}")),
        };
        let Ok(place) = header.msg_id.parse::<OffsetMessageId>() else {
            self.fail(&format!("no message id: {}", header.msg_id));
        };
        let (queue_id, queue_offset) = (header.queue_id, header.queue_offset);
        let physical = place.physical_offset;
        self.note(format!(
            "    at {topic} {queue_id} {queue_offset}, physical {physical}"
        ));
        self.promises.acknowledged.push(Acknowledged {
            id,
            topic,
            queue_id,
            queue_offset,
            physical: place.physical_offset,
            is_delayed,
            waited: waits,
        });
    }
}

/// A body without its padding.
pub(crate) fn short(id: &str) -> &str {
    id.split('-').next().unwrap_or_default()
}
