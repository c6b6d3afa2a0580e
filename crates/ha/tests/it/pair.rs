//! A master and a slave on a wire that splits, delays, cuts and swallows, both killed and cut from power.
//!
//! `SEED=17 cargo test -p ha pair -- --nocapture` replays one seed with what it does printed; `SEEDS=100000` runs more than the
//! usual number.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::logs::{FILE_LEN, Log};
use ha::wire::HEADER_LEN;
use ha::{
    ConnectionId, Ends, Master, MasterClose, MasterSettings, Need, NewSlave, Next, Outcome, Promise,
    Replicas, Rule, Slave, SlaveClose, SlaveSettings,
};

const SEEDS: u64 = 3000;
const STEPS: usize = 400;
const OUTBOX_LEN: usize = 500;
/// What both kernels hold of one direction, bytes.
const PIPE_LEN: usize = 400;
const SLAVE_TIMEOUT_MS: i64 = 3_000;
const SLAVE: &str = "10.0.0.2";
const RULE: Rule = Rule::OneSlave { behind_max: 1 << 28 };

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % end.max(1)
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }
}

/// Both ends of a connection, and what is on its way.
struct Wire {
    /// Which life of the master accepted it.
    life: u32,
    /// Gone when the master has closed it or is dead.
    master: Option<(Master, ConnectionId)>,
    /// Where the log of the slave began that reports on it.
    began: i64,
    /// Gone when the slave has closed it.
    slave: Option<Side>,
    /// Written by the socket layer of the master, not taken by its kernel.
    outbox: VecDeque<u8>,
    to_slave: VecDeque<u8>,
    to_master: VecDeque<u8>,
    /// Nothing arrives any more, not even that it is closed.
    dark: bool,
}

/// What a slave does on its connection.
enum Side {
    /// It compares the logs, and says nothing.
    Comparing,
    Speaking(Slave),
}

/// How often what is to be tested happened.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    acknowledged: u64,
    healed: u64,
    anew: u64,
    strangers: u64,
    replaced: u64,
    refused: u64,
    silent: u64,
    overtaken: u64,
    old_bytes: u64,
    old_reports: u64,
    repeats: u64,
}

impl Seen {
    fn all(self) -> [(&'static str, u64); 11] {
        [
            ("acknowledged sends", self.acknowledged),
            ("logs that were cut", self.healed),
            ("logs that began anew", self.anew),
            ("logs with nothing in common", self.strangers),
            ("connections replaced by newer ones", self.replaced),
            ("connections refused", self.refused),
            ("silent peers", self.silent),
            ("slaves overtaken by retention", self.overtaken),
            ("bytes of a master that is dead", self.old_bytes),
            (
                "reports on a connection that the slave has left",
                self.old_reports,
            ),
            ("starts acknowledged by repetition", self.repeats),
        ]
    }
}

struct World {
    seed: u64,
    random: Random,
    loud: bool,
    now_ms: i64,
    promise: Promise,
    settings: MasterSettings,
    master: Log,
    master_synced: i64,
    life: u32,
    replicas: Replicas,
    slave: Log,
    /// Where it began; retention moves only its oldest byte.
    slave_began: i64,
    /// Its own retention has deleted what is before.
    slave_deleted: i64,
    slave_synced: i64,
    wires: Vec<Wire>,
    /// Sends that wait: where each ends, and until when it waits.
    waits: Vec<(i64, i64)>,
    /// Ends of sends that were answered SUCCESS.
    acknowledged: Vec<i64>,
    serial: u64,
    seen: Seen,
}

impl World {
    fn new(seed: u64, loud: bool) -> World {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        // The first numbers of neighbouring seeds are alike.
        for _ in 0..4 {
            random.below(2);
        }
        let settings = MasterSettings {
            file_len: FILE_LEN,
            batch_len: [13, 90, 1000][random.below(3) as usize],
            outbox_len: OUTBOX_LEN,
            new_slave: if random.one_in(2) {
                NewSlave::NewestFile
            } else {
                NewSlave::WholeLog
            },
            bytes_per_second: [0, 0, 5000][random.below(3) as usize],
            ..MasterSettings::default()
        };
        let promise = if random.one_in(2) {
            Promise::Synced
        } else {
            Promise::Appended
        };
        let mut world = World {
            seed,
            random,
            loud,
            now_ms: 0,
            promise,
            settings,
            master: Log::default(),
            master_synced: 0,
            life: 0,
            replicas: Replicas::new(SLAVE_TIMEOUT_MS),
            slave: Log::default(),
            slave_began: 0,
            slave_deleted: 0,
            slave_synced: 0,
            wires: Vec::new(),
            waits: Vec::new(),
            acknowledged: Vec::new(),
            serial: 0,
            seen: Seen::default(),
        };
        for _ in 0..world.random.below(8) {
            world.append();
        }
        world
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.loud {
            let (master, slave) = (self.master.extent(), self.slave.extent());
            let both = format!("master {master:?} slave {slave:?} wires {}", self.wires.len());
            eprintln!("{:>7} ms  {:<40} {both}", self.now_ms, what());
        }
    }

    fn append(&mut self) {
        self.serial += 1;
        // Often the same: what a master writes after it lost its tail then has the place and length of what it lost.
        let len = if self.random.one_in(2) {
            60
        } else {
            self.random.between(24, 200) as usize
        };
        let end = self.master.append(self.serial, len);
        self.say(|| format!("append to {end}"));
        match self.replicas.need(RULE, end) {
            Need::Slaves(1) => self.waits.push((end, self.now_ms + SLAVE_TIMEOUT_MS)),
            Need::NotAvailable => {}
            need => panic!("{need:?} of 4.9's rule"),
        }
    }

    /// The wire that the slave uses.
    fn current(&self) -> Option<usize> {
        self.wires.iter().position(|wire| wire.slave.is_some())
    }

    fn connect(&mut self) {
        if self.current().is_some() {
            return;
        }
        let Some(id) = self.replicas.connect(SLAVE, 1, self.now_ms) else {
            self.seen.refused += 1;
            return;
        };
        self.say(|| format!("connect, {id:?}"));
        self.wires.push(Wire {
            life: self.life,
            master: Some((Master::new(self.settings.clone(), self.now_ms), id)),
            began: 0,
            slave: Some(Side::Comparing),
            outbox: VecDeque::new(),
            to_slave: VecDeque::new(),
            to_master: VecDeque::new(),
            dark: false,
        });
    }

    /// A slave that is connected compares before it reports: so it cannot be that the master is killed and loses records between
    /// the comparison and the first report, for then the connection is dead.
    fn compare(&mut self) {
        let Some(index) = self.current() else { return };
        if matches!(self.wires[index].slave, Some(Side::Comparing)) {
            self.align();
            let settings = SlaveSettings {
                file_len: FILE_LEN,
                promise: self.promise,
                ..SlaveSettings::default()
            };
            let slave = Slave::new(settings, self.slave.end(), self.now_ms);
            self.wires[index].began = self.slave_began;
            self.wires[index].slave = Some(Side::Speaking(slave));
        }
    }

    fn align(&mut self) {
        let (outcome, _) = self.slave.compare(&self.master);
        self.say(|| format!("{outcome:?}"));
        match outcome {
            Outcome::Keep { until } => {
                if until < self.slave.end() {
                    self.seen.healed += 1;
                }
                self.slave.cut(until);
                self.slave_synced = self.slave_synced.min(self.slave.end());
            }
            Outcome::BeginAnew => {
                self.seen.anew += 1;
                self.slave = Log::default();
                self.slave_began = 0;
                self.slave_synced = 0;
            }
            Outcome::NothingInCommon => {
                self.seen.strangers += 1;
                let min = self.master.min.max(self.slave_deleted);
                assert!(
                    self.acknowledged.iter().all(|end| *end <= min),
                    "what is acknowledged is common"
                );
                // The operator throws it away.
                self.slave = Log::default();
                self.slave_began = 0;
                self.slave_synced = 0;
            }
        }
    }

    /// The socket layer of the master takes what is to be sent.
    fn master_turn(&mut self, index: usize) {
        let wire = &mut self.wires[index];
        let Some((master, id)) = &mut wire.master else {
            return;
        };
        let id = *id;
        for _ in 0..=self.random.below(8) {
            match master.next(self.master.extent(), self.now_ms) {
                Ok(Next::Send(transfer)) => {
                    wire.outbox.extend(transfer.header);
                    wire.outbox.extend(self.master.slice(transfer.from, transfer.len));
                    assert_eq!(wire.outbox.len(), master.waiting_len());
                    assert!(master.waiting_len() <= OUTBOX_LEN.max(HEADER_LEN + transfer.len));
                }
                Ok(Next::Wait { until_ms }) => {
                    assert!(until_ms > self.now_ms, "it waits for something");
                    break;
                }
                Err(close) => return self.master_closes(index, id, close),
            }
        }
    }

    fn master_closes(&mut self, index: usize, id: ConnectionId, close: MasterClose) {
        self.say(|| format!("{id:?} {close}"));
        match close {
            MasterClose::Silent(_) => self.seen.silent += 1,
            MasterClose::Overtaken { .. } | MasterClose::Gone { .. } => self.seen.overtaken += 1,
            other => panic!("an honest slave is told: {other}"),
        }
        self.wires[index].master = None;
        self.replicas.disconnect(id);
    }

    /// The kernel of the master takes some of what was written.
    fn kernel_turn(&mut self, index: usize) {
        let wire = &mut self.wires[index];
        let Some((master, _)) = &mut wire.master else {
            return;
        };
        let room = PIPE_LEN
            .saturating_sub(wire.to_slave.len())
            .min(wire.outbox.len());
        let taken = if self.random.one_in(2) {
            room
        } else {
            self.random.below(room as u64 + 1) as usize
        };
        wire.to_slave.extend(wire.outbox.drain(..taken));
        master.hand_over(taken);
    }

    /// The slave reads some of what has arrived, or that there is no more.
    fn slave_turn(&mut self) {
        let Some(index) = self.current() else { return };
        let now_ms = self.now_ms;
        let wire = &mut self.wires[index];
        if wire.dark {
            return;
        }
        let Some(Side::Speaking(slave)) = &mut wire.slave else {
            if wire.master.is_none() {
                wire.slave = None;
            }
            return;
        };
        let all = wire.to_slave.len();
        let len = if self.random.one_in(2) {
            all
        } else {
            self.random.below(all as u64 + 1) as usize
        };
        let bytes: Vec<u8> = wire.to_slave.drain(..len).collect();
        if wire.life != self.life && len > 0 {
            self.seen.old_bytes += 1;
        }
        let mut input = &bytes[..];
        while let Some(run) = slave.next(&mut input, now_ms).expect("an honest master") {
            if run.bytes.is_empty() {
                assert!(self.slave.bytes.is_empty(), "only an empty log begins");
                self.slave.min = run.at;
                self.slave_began = run.at;
                wire.began = run.at;
                self.slave_synced = run.at;
            }
            assert_eq!(run.at, self.slave.end());
            self.slave.bytes.extend_from_slice(run.bytes);
        }
        assert!(input.is_empty());
        let is_closed = wire.master.is_none() && wire.to_slave.is_empty();
        if is_closed {
            wire.slave = None;
        } else if wire.life == self.life {
            self.check_prefix();
        }
    }

    /// The slave reports, if that is due.
    fn report_turn(&mut self) {
        let Some(index) = self.current() else { return };
        let ends = Ends {
            appended: self.slave.end(),
            synced: self.slave_synced,
        };
        let wire = &mut self.wires[index];
        let Some(Side::Speaking(slave)) = &mut wire.slave else {
            return;
        };
        match slave.report(ends, self.now_ms) {
            Ok(Some(report)) => wire.to_master.extend(report),
            Ok(None) => assert!(slave.wait_until_ms() > self.now_ms, "it waits for something"),
            Err(SlaveClose::Silent(_)) => {
                wire.slave = None;
                self.seen.silent += 1;
                self.say(|| "the slave hears nothing".to_owned());
            }
            Err(other) => panic!("an honest master is told: {other}"),
        }
    }

    /// The master reads some of what has arrived, or that there is no more.
    fn master_read(&mut self, index: usize) {
        let wire = &mut self.wires[index];
        let Some((master, id)) = &mut wire.master else {
            return;
        };
        let id = *id;
        if wire.dark {
            return;
        }
        let len = self.random.below(wire.to_master.len() as u64 + 1) as usize;
        let bytes: Vec<u8> = wire.to_master.drain(..len).collect();
        if wire.slave.is_none() && len >= 8 {
            self.seen.old_reports += 1;
        }
        let before = master.standing();
        if let Err(close) = master.receive(&bytes, self.master.extent(), self.now_ms) {
            return self.master_closes(index, id, close);
        }
        let standing = master.standing();
        if before.acknowledged.is_none() && standing.acknowledged == before.claim && before.claim > Some(0) {
            self.seen.repeats += 1;
        }
        if wire.slave.is_none() && wire.to_master.is_empty() {
            wire.master = None;
            self.replicas.disconnect(id);
            return;
        }
        let progress = self.replicas.report(id, standing, self.now_ms);
        if let Some(replaced) = progress.replaced {
            self.seen.replaced += 1;
            let is_it = |wire: &&mut Wire| wire.master.as_ref().is_some_and(|(_, id)| *id == replaced);
            let wire = self.wires.iter_mut().find(is_it).expect("it was open");
            wire.master = None;
        }
        let reached = self.replicas.reached(1).unwrap_or(0);
        let began = self.wires[index].began;
        let (done, left) = self.waits.iter().partition(|wait| wait.0 <= reached);
        self.waits = left;
        self.seen.acknowledged += Vec::len(&done) as u64;
        for (end, _) in &done {
            let has = *end > began || *end <= self.master.min;
            assert!(
                has,
                "seed {}: the slave's log begins at {began}, behind {end}",
                self.seed
            );
        }
        self.acknowledged.extend(done.iter().map(|wait| wait.0));
    }

    fn slave_dies(&mut self) {
        if self.promise == Promise::Synced && self.random.one_in(2) {
            let at = self.random.between(self.slave_synced, self.slave.end());
            self.say(|| format!("the slave loses power, keeps up to {at}"));
            self.slave.cut(at);
        } else {
            self.say(|| "the slave is killed".to_owned());
        }
        self.slave.recover();
        self.slave_synced = self.slave.end();
        if let Some(index) = self.current() {
            self.wires[index].slave = None;
        }
    }

    fn master_dies(&mut self) {
        if self.random.one_in(2) {
            let at = self.random.between(self.master_synced, self.master.end());
            self.say(|| format!("the master loses power, keeps up to {at}"));
            self.master.cut(at);
            self.master.recover();
        } else {
            self.say(|| "the master is killed".to_owned());
        }
        let end = self.master.end();
        self.master_synced = end;
        self.life += 1;
        self.replicas = Replicas::new(SLAVE_TIMEOUT_MS);
        self.wires.iter_mut().for_each(|wire| wire.master = None);
        self.waits.clear();
        // Its settings let it lose these, whoever else has them.
        self.acknowledged.retain(|acknowledged| *acknowledged <= end);
    }

    fn step(&mut self) {
        let some = self.random.below(self.wires.len() as u64) as usize;
        let has_wires = !self.wires.is_empty();
        match self.random.below(100) {
            0..6 => self.append(),
            6 => self.master_synced = self.master.end(),
            7..14 => self.connect(),
            14..20 => self.compare(),
            20..36 if has_wires => self.master_turn(some),
            36..52 if has_wires => self.kernel_turn(some),
            52..65 => self.slave_turn(),
            65..74 => self.report_turn(),
            74..85 if has_wires => self.master_read(some),
            85..88 => self.slave_synced = self.slave.end(),
            88..91 => {
                self.now_ms += self.random.between(0, 4000);
                self.waits.retain(|wait| wait.1 > self.now_ms);
            }
            91 => {
                if let Some(index) = self.current() {
                    self.say(|| "the slave drops its connection".to_owned());
                    self.wires[index].slave = None;
                }
            }
            92 if has_wires => {
                self.say(|| "a wire goes dark".to_owned());
                self.wires[some].dark = true;
            }
            93 => self.slave_dies(),
            94..96 => self.master_dies(),
            96 => {
                self.master.delete_oldest();
                self.say(|| "the master deletes".to_owned());
            }
            97 => {
                self.slave.delete_oldest();
                self.slave_deleted = self.slave.min.max(self.slave_deleted);
            }
            _ => {}
        }
        self.drop_closed();
        self.check();
    }

    /// The slave's log is a prefix of the master's: asked where bytes of today's master came.
    fn check_prefix(&self) {
        let from = self.slave.min.max(self.master.min);
        let end = self.slave.end();
        assert!(
            end <= self.master.end(),
            "seed {}: not more than the master has",
            self.seed
        );
        if end > from {
            let len = (end - from) as usize;
            let same = self.slave.slice(from, len) == self.master.slice(from, len);
            assert!(same, "seed {}: the logs differ before {end}", self.seed);
        }
    }

    fn check(&self) {
        let Some(&end) = self.acknowledged.iter().max() else {
            return;
        };
        let from = self.slave.min.max(self.master.min).max(self.slave_deleted);
        if end > from {
            let promised = match self.promise {
                Promise::Appended => self.slave.end(),
                Promise::Synced => self.slave_synced,
            };
            assert!(
                promised >= end,
                "seed {}: the slave has up to {promised}, not {end}",
                self.seed
            );
            let len = (end - from) as usize;
            let same = self.slave.slice(from, len) == self.master.slice(from, len);
            assert!(
                same,
                "seed {}: acknowledged before {end}, and not the same",
                self.seed
            );
        }
    }

    /// While the wire works the logs become equal, and then nobody waits for ever.
    fn settle(&mut self) {
        self.say(|| "from here on all is well".to_owned());
        // Who waits meanwhile is told so in time.
        self.work_until("the logs are equal", |world| {
            world.waits.retain(|wait| wait.1 > world.now_ms);
            let end = world.master.end();
            world.slave.end() == end && world.replicas.reached(1) == Some(end) && world.current().is_some()
        });
        self.check_prefix();
        for _ in 0..3 {
            self.append();
            let end = self.master.end();
            assert_eq!(
                self.waits.last().map(|wait| wait.0),
                Some(end),
                "seed {}",
                self.seed
            );
        }
        self.work_until("sends are answered", |world| world.waits.is_empty());
    }

    fn work_until(&mut self, what: &str, is_so: impl Fn(&mut World) -> bool) {
        for _ in 0..10_000 {
            if is_so(self) {
                return;
            }
            self.connect();
            self.compare();
            self.slave_synced = self.slave.end();
            for index in 0..self.wires.len() {
                self.master_turn(index);
                self.kernel_turn(index);
                self.master_read(index);
            }
            self.slave_turn();
            self.report_turn();
            self.drop_closed();
            self.now_ms += 200;
            self.check();
        }
        let (master, slave) = (self.master.extent(), self.slave.extent());
        let waits = &self.waits;
        panic!("seed {}: never {what}: {master:?} {slave:?} {waits:?}", self.seed);
    }

    fn drop_closed(&mut self) {
        self.wires
            .retain(|wire| wire.master.is_some() || wire.slave.is_some());
    }
}

fn live(seed: u64, loud: bool) -> World {
    let mut world = World::new(seed, loud);
    for _ in 0..STEPS {
        world.step();
    }
    world.settle();
    world
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

#[test]
fn nothing_acknowledged_is_missing_and_logs_become_equal() {
    if let Some(seed) = number("SEED") {
        live(seed, true);
        return;
    }
    let (seeds, next) = (number("SEEDS").unwrap_or(SEEDS), AtomicU64::new(0));
    let total = Mutex::new(Seen::default().all());
    let some = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            match std::panic::catch_unwind(|| live(seed, false).seen) {
                Ok(seen) => {
                    let mut total = total.lock().expect("no panic");
                    for (sum, one) in total.iter_mut().zip(seen.all()) {
                        sum.1 += one.1;
                    }
                }
                Err(panic) => {
                    eprintln!("replay with: SEED={seed} cargo test -p ha pair -- --nocapture");
                    next.store(seeds, Ordering::Relaxed);
                    std::panic::resume_unwind(panic);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(some))));
    for (what, count) in total.into_inner().expect("no panic") {
        assert!(seeds < SEEDS || count > 0, "no {what} in {seeds} seeds");
    }
}

#[test]
fn the_same_seed_lives_the_same_life() {
    for seed in 0..20 {
        let ends = || {
            let world = live(seed, false);
            (world.master, world.slave, world.now_ms, world.seen.all())
        };
        assert_eq!(ends(), ends());
    }
}
