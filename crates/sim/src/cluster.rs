//! A master and its slaves on simulated disks, joined by a simulated wire that cuts, delays and keeps old connections alive.
//!
//! No thread, task or socket: the bytes of a connection lie in two queues, and the seed says how many arrive when. A host is killed,
//! loses its power, is stopped, comes back; a slave is made the master when the old one is gone, and the old one comes back as a slave.
//! `SEED=17 cargo test -p sim replay_replication -- --nocapture` runs one seed again and prints each step.
//!
//! What must hold, looked at in every step:
//!
//! - What a SYNC_MASTER acknowledged is in a slave's log when it does; under SYNC_FLUSH synced there and here.
//! - A slave that copies has the bytes of its master up to its end.
//! - What a consumer saw of a SYNC_FLUSH master is there when that starts again.
//! - No slave cuts what it acknowledged itself as a master, unless somebody has said so; nor what others did, unless its new master has lost
//!   it by a power cut. What it cuts is kept aside.
//! - In the end, when all are connected for long enough, all logs are equal, and what was acknowledged is readable in each.
//!
//! In half of the runs of a SYNC_MASTER operators are careful and the settings fit: then what was acknowledged is in the log of every
//! master that comes after. In the others, and with an ASYNC_MASTER, a slave may take over that has less, power cuts take what ASYNC_FLUSH
//! has not synced, and the old master, or one that comes back with less, must not make anybody drop what is the last copy.

mod operator;
mod promises;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use broker::lane::Workers;
use broker::replication::{CompareError, CopyError, LogCopy, MasterLog, NOTHING_THERE, Places, SlaveSession};
use broker::run::{Parts, Surroundings};
use broker::settings::{BrokerRole, FlushDiskType, Settings};
use broker::tables::save;
use bytes::Bytes;
use disk::{Clock, SimClock, SimDisk, SimRandom};
use ha::Extent;
use protocol::code::{request, response};
use protocol::header::broker::ViewMessageRequestHeader;
use remoting::MemoryPeer;

use crate::requests;
use promises::{Asked, Kept, Seen};

/// Where the clock starts, ms since 1970.
const START_MS: i64 = 1_700_000_000_000;
/// Each machine has an address of its own.
const ONE_PLACE: Places = Places {
    most: 1,
    registered: 1,
};
/// Size of a log file, bytes: a run crosses some of its ends.
const FILE_LEN: i32 = 16 << 10;

type Host = Parts<SimDisk>;

/// A machine with a broker.
struct Machine {
    disk: SimDisk,
    host: Option<Host>,
    is_master: bool,
    /// Which acknowledged messages it had when its broker ended.
    had: BTreeSet<usize>,
    /// Up to here nothing that ended its broker may take anything.
    safe_end: i64,
    /// What consumers saw of it, if it is a SYNC_FLUSH master.
    seen: Seen,
    /// What slaves had acknowledged when that was saved last.
    acknowledged: i64,
    /// haCutMaxBytes.
    most_cut: i64,
    /// What power cuts have damaged in its log.
    damaged: Vec<Range<i64>>,
    /// Its log was cut or has lost its end, and is no copy to rely on before it ends here again.
    heals_until: i64,
}

/// A connection: what is on its way in both directions, and its ends, as far as they live.
struct Wire {
    slave: usize,
    master: usize,
    session: Option<SlaveSession<SimDisk>>,
    copy: Option<LogCopy<SimDisk>>,
    to_slave: VecDeque<u8>,
    to_master: VecDeque<u8>,
}

/// How a broker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Stop,
    Kill,
    PowerCut,
}

/// One run.
pub struct Cluster {
    seed: u64,
    random: SimRandom,
    clock: SimClock,
    role: BrokerRole,
    is_sync_flush: bool,
    /// Operators look before they do something, and power cuts take nothing that the settings have promised.
    is_careful: bool,
    /// Whoever decides makes nobody the master any more.
    is_finishing: bool,
    machines: Vec<Machine>,
    wires: Vec<Wire>,
    peer: Arc<MemoryPeer>,
    asked: HashMap<i32, Asked>,
    kept: Vec<Kept>,
    /// How far each slave's log was found to be its master's.
    compared: BTreeMap<usize, i64>,
    next_id: usize,
    steps: usize,
    log: Vec<String>,
    /// How often what happened: a run that never cuts proves nothing about cuts.
    pub counts: BTreeMap<&'static str, usize>,
}

/// Another machine's log, asked as a slave asks: by requests.
struct AskedMachine<'a> {
    host: &'a Host,
    peer: &'a Arc<MemoryPeer>,
}

impl MasterLog for AskedMachine<'_> {
    async fn is_of_slave(&self) -> Result<bool, CompareError> {
        Ok(self.host.settings.load().is_slave())
    }

    async fn extent(&self) -> Result<Extent, CompareError> {
        let store = &self.host.log.store;
        Ok(Extent {
            min: store.min_physical().0,
            end: store.max_physical().0,
        })
    }

    async fn record(&self, offset: i64) -> Result<Option<Bytes>, CompareError> {
        let header = ViewMessageRequestHeader { offset };
        let (request, _) = self.peer.request(request::VIEW_MESSAGE_BY_ID, &header, "");
        self.host
            .handlers
            .serve(&mut VecDeque::from([request]), true, &|| false);
        let answer = self.peer.take().pop().expect("answered at once");
        let remark = answer.remark.as_deref().unwrap_or_default();
        match answer.code {
            response::SUCCESS => Ok(Some(answer.body)),
            _ if remark.starts_with(NOTHING_THERE) => Ok(None),
            other => Err(CompareError::Answer {
                code: request::VIEW_MESSAGE_BY_ID,
                answer: other,
                remark: remark.to_owned(),
            }),
        }
    }
}

fn address(machine: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1 + machine as u8], 40_000))
}

fn ip(machine: usize) -> IpAddr {
    address(machine).ip()
}

/// A future that waits for nothing.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

impl Cluster {
    /// A master and one or two slaves on empty disks.
    pub fn new(seed: u64) -> Self {
        let mut random = SimRandom::new(seed);
        let is_sync_flush = !random.one_in(3);
        let role = match random.one_in(3) {
            true => BrokerRole::AsyncMaster,
            false => BrokerRole::SyncMaster,
        };
        let is_careful = role == BrokerRole::SyncMaster && random.one_in(2);
        let most_cut = if !is_careful && random.one_in(4) {
            1_500
        } else {
            1 << 24
        };
        let count = 2 + random.below(2) as usize;
        let machines = (0..count).map(|number| Machine {
            disk: SimDisk::new(),
            host: None,
            is_master: number == 0,
            had: BTreeSet::new(),
            safe_end: i64::MAX,
            seen: Seen::new(),
            acknowledged: 0,
            most_cut,
            damaged: Vec::new(),
            heals_until: 0,
        });
        let mut cluster = Self {
            seed,
            random,
            clock: SimClock::at(START_MS),
            role,
            is_sync_flush,
            is_careful,
            is_finishing: false,
            machines: machines.collect(),
            wires: Vec::new(),
            peer: MemoryPeer::new(([127, 0, 0, 1], 4000).into()),
            asked: HashMap::new(),
            kept: Vec::new(),
            compared: BTreeMap::new(),
            next_id: 0,
            steps: 0,
            log: Vec::new(),
            counts: BTreeMap::new(),
        };
        cluster.note(format!(
            "{count} machines, {role:?}, SYNC_FLUSH {is_sync_flush}, careful {is_careful}"
        ));
        (0..count).for_each(|number| cluster.open(number));
        cluster
    }

    fn note(&mut self, line: String) {
        self.log.push(format!("{:4} {line}", self.steps));
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// The steps so far.
    pub fn into_log(self) -> Vec<String> {
        self.log
    }

    fn fail(&self, what: &str) -> ! {
        let shown = if std::env::var_os("SEED").is_some() {
            usize::MAX
        } else {
            30
        };
        let last: Vec<_> = self.log.iter().rev().take(shown).rev().cloned().collect();
        panic!(
            "replication seed {} step {}: {what}\nthe last steps:\n{}",
            self.seed,
            self.steps,
            last.join("\n")
        );
    }

    fn settings(&self, number: usize) -> Settings {
        let mut settings = Settings::default();
        let machine = &self.machines[number];
        settings.broker.broker_name = "broker-a".to_owned();
        settings.broker.broker_ip1 = ip(number).to_string();
        settings.broker.broker_id = i64::from(!machine.is_master) * (1 + number as i64);
        settings.broker.broker_config_path = Some("/broker.conf".to_owned());
        settings.store.store_path_root_dir = "/store".to_owned();
        settings.store.mapped_file_size_commit_log = FILE_LEN;
        settings.store.mapped_file_size_consume_queue = 8 * 20;
        settings.store.max_hash_slot_num = 16;
        settings.store.max_index_num = 40;
        settings.store.max_message_size = 4096;
        settings.store.ha_cut_max_bytes = machine.most_cut;
        settings.store.broker_role = match machine.is_master {
            true => self.role,
            false => BrokerRole::Slave,
        };
        settings.store.flush_disk_type = match self.is_sync_flush {
            true => FlushDiskType::SyncFlush,
            false => FlushDiskType::AsyncFlush,
        };
        settings
    }

    fn open(&mut self, number: usize) {
        let settings = self.settings(number);
        let machine = &self.machines[number];
        machine.disk.set_now(self.clock.now_ms());
        let surroundings = Surroundings {
            disk: machine.disk.clone(),
            clock: Arc::new(self.clock.clone()),
            workers: Workers::Caller,
            traffic: Default::default(),
        };
        let helpers = store::Helpers {
            parallel: &store::Inline,
            progress: &|_| {},
        };
        match Parts::assemble(settings, surroundings, &helpers) {
            Ok((host, report)) => {
                for line in report.errors().into_iter().chain(report.warnings()) {
                    self.note(format!("  {number}: {line}"));
                }
                host.tables.topics.set_told(u64::MAX);
                host.log.reput.all();
                let damage = report.damage.first.iter();
                let damaged = damage.map(|damage| damage.at..damage.at + damage.bytes);
                self.machines[number].damaged.extend(damaged);
                let role = if self.machines[number].is_master {
                    "master"
                } else {
                    "slave"
                };
                let end = host.log.store.max_physical().0;
                self.machines[number].host = Some(host);
                self.compared.remove(&number);
                self.note(format!("{number} serves as {role}, its log ends at {end}"));
                self.check_start(number);
            }
            Err(e) => self.fail(&format!("{number} does not start: {e}")),
        }
    }

    /// Does SUCCESS need no slave?
    fn acknowledges_alone(&self) -> bool {
        self.role == BrokerRole::AsyncMaster
    }

    fn host(&self, number: usize) -> Option<&Host> {
        self.machines[number].host.as_ref()
    }

    fn master(&self) -> Option<usize> {
        let is_it = |machine: &Machine| machine.is_master && machine.host.is_some();
        self.machines.iter().position(is_it)
    }

    /// Up to where one slave has acknowledged the master's log.
    fn reached(&self) -> i64 {
        let master = self.master().and_then(|number| self.host(number));
        master.map_or(0, |host| host.log.appender.acknowledgements.replicated_to(1))
    }

    fn end(&self, number: usize) -> i64 {
        self.host(number)
            .map_or(0, |host| host.log.store.max_physical().0)
    }

    /// Something happens.
    pub fn step(&mut self) {
        self.steps += 1;
        match self.random.below(100) {
            0..=22 => self.send(),
            23..=25 => self.pull(),
            26..=69 => self.carry(),
            70..=77 => self.flush(),
            78..=81 => self.save(),
            82..=86 => self.connect(),
            87..=89 => self.cut_wire(),
            90..=95 => self.pass_time(),
            _ => self.end_one(),
        }
        self.hear();
        self.check_copies();
    }

    fn send(&mut self) {
        let Some(master) = self.master() else { return };
        let count = 1 + self.random.below(3);
        let mut all = VecDeque::new();
        for _ in 0..count {
            self.next_id += 1;
            let padding = "x".repeat(self.random.below(900) as usize);
            let body = format!("{}-{padding}", self.next_id).into_bytes();
            let topic = format!("Topic{}", self.random.below(3));
            let header = requests::send(&topic, self.random.below(2) as i32, "KEYS\u{1}k\u{2}");
            let header = requests::short(&header);
            let (request, opaque) = self.peer.request(request::SEND_MESSAGE_V2, &header, body.clone());
            let topic = topic.clone();
            self.asked.insert(opaque, Asked::Send { topic, body });
            all.push_back(request);
        }
        if let Some(host) = self.host(master) {
            host.handlers.serve(&mut all, true, &|| false);
            host.log.reput.wake();
        }
        self.note(format!(
            "send {count} to {master}, its log ends at {}",
            self.end(master)
        ));
    }

    fn pull(&mut self) {
        let Some(of) = self.master() else { return };
        let queue = (
            format!("Topic{}", self.random.below(3)),
            self.random.below(2) as i32,
        );
        let end = self
            .host(of)
            .map_or(0, |host| host.log.store.queue_max_offset(&queue.0, queue.1).0);
        let offset = self.random.below(end.max(0) as u64 + 1) as i64;
        let header = requests::pull(&queue.0, queue.1, offset, false);
        let (request, opaque) = self.peer.request(request::PULL_MESSAGE, &header, "");
        self.note(format!("pull {queue:?} of {of} from {offset}"));
        self.asked.insert(opaque, Asked::Pull { queue, of });
        if let Some(host) = self.host(of) {
            host.handlers
                .serve(&mut VecDeque::from([request]), true, &|| false);
        }
    }

    /// Some bytes of a connection arrive, and both ends act.
    fn carry(&mut self) {
        if self.wires.is_empty() {
            return self.connect();
        }
        let number = self.random.below(self.wires.len() as u64) as usize;
        let most = [1, 8, 100, 3000, 100_000][self.random.below(5) as usize];
        let most = 1 + self.random.below(most) as usize;
        let mut wire = self.wires.swap_remove(number);
        let before = self.reached();
        let outcome = self.carry_on(&mut wire, most);
        let after = self.reached();
        if before != after {
            self.note(format!(
                "{} has acknowledged up to {after}, its log ends at {}",
                wire.slave,
                self.end(wire.slave)
            ));
        }
        let is_old = wire.copy.is_none() && wire.to_master.is_empty();
        match outcome {
            Ok(()) if is_old => {}
            Ok(()) => self.wires.push(wire),
            Err(why) => self.note(format!(
                "the wire of {} and {} ends: {why}",
                wire.slave, wire.master
            )),
        }
    }

    fn carry_on(&mut self, wire: &mut Wire, most: usize) -> Result<(), String> {
        if let Some(session) = &mut wire.session {
            let bytes: Vec<u8> = wire.to_master.drain(..most.min(wire.to_master.len())).collect();
            session.receive(&bytes).map_err(|e| e.to_string())?;
            session.fill().map_err(|e| e.to_string())?;
            if session.has_more() && wire.copy.is_some() {
                let mut slices = [IoSlice::new(&[]); 8];
                let count = session.next(&mut slices);
                let all: Vec<u8> = slices[..count]
                    .iter()
                    .flat_map(|slice| slice.iter().copied())
                    .collect();
                // The kernel takes what it likes.
                let taken = all.len().min(most);
                wire.to_slave.extend(&all[..taken]);
                session.wrote(taken);
            }
        }
        if let Some(copy) = &mut wire.copy {
            let bytes: Vec<u8> = wire.to_slave.drain(..most.min(wire.to_slave.len())).collect();
            if !bytes.is_empty() {
                copy.append(&bytes).map_err(|e| e.to_string())?;
            }
            let (report, _) = copy.report().map_err(|e| e.to_string())?;
            let report = report.to_vec();
            wire.to_master.extend(&report);
            copy.wrote(report.len());
            copy.build();
        }
        Ok(())
    }

    /// A slave that has no connection makes one, and compares the logs first.
    fn connect(&mut self) {
        let Some(master) = self.master() else {
            return self.take_over();
        };
        for slave in 0..self.machines.len() {
            let is_slave = !self.machines[slave].is_master && self.machines[slave].host.is_some();
            // The master may be another by now.
            let is_there = self.machines[master].is_master && self.machines[master].host.is_some();
            if is_slave && is_there && !self.is_connected(slave) {
                self.connect_to(slave, master);
            }
        }
    }

    fn is_connected(&self, slave: usize) -> bool {
        let mut wires = self.wires.iter();
        wires.any(|wire| wire.slave == slave && wire.copy.is_some())
    }

    fn connect_to(&mut self, slave: usize, master: usize) {
        let (Some(host), Some(other)) = (self.host(slave), self.host(master)) else {
            return;
        };
        let Some(session) = other.replication.slaves.session(address(slave), ONE_PLACE) else {
            return self.note(format!("{master} refuses {slave}"));
        };
        let copy = Arc::clone(&host.replication.follower.copy);
        let before = self.end(slave);
        // The simulated clients' answers must not be mixed with those to the slave.
        self.hear();
        let (Some(other), peer) = (self.host(master), &self.peer) else {
            return;
        };
        let asked = AskedMachine { host: other, peer };
        let had = self.holds(slave);
        match at_once(copy.agree(&asked, ip(master))) {
            Ok(()) => {}
            Err(CopyError::Compare(e)) => return self.note(format!("{slave} can not compare yet: {e}")),
            Err(CopyError::Stop(stop)) => {
                self.note(format!("{slave} stops: {stop}"));
                self.count("stops");
                return self.decide(slave, master, &stop);
            }
            Err(e) => self.fail(&format!("{slave} can not agree with {master}: {e}")),
        }
        let after = self.end(slave);
        if after < before {
            self.count("cuts");
            self.machines[slave].heals_until = before;
            self.note(format!("{slave} cuts its log from {before} to {after}"));
            self.compared.remove(&slave);
            self.check_cut(slave, master, &had, after);
        }
        self.wires.push(Wire {
            slave,
            master,
            session: Some(session),
            copy: Some(copy.begin()),
            to_slave: VecDeque::new(),
            to_master: VecDeque::new(),
        });
        self.count("connections");
        self.note(format!("{slave} copies {master} from {after} on"));
    }

    /// The connection is lost for the slave; the master may hear of it later, and has reports on their way meanwhile.
    fn cut_wire(&mut self) {
        if self.wires.is_empty() {
            return;
        }
        let number = self.random.below(self.wires.len() as u64) as usize;
        let wire = &mut self.wires[number];
        wire.copy = None;
        wire.to_slave.clear();
        let line = format!("the wire of {} to {} is cut", wire.slave, wire.master);
        if self.random.one_in(2) {
            self.wires.swap_remove(number);
        }
        self.note(line);
    }

    fn flush(&mut self) {
        let number = self.random.below(self.machines.len() as u64) as usize;
        if let Some(host) = self.host(number) {
            host.log.flusher.flush(0);
        }
    }

    fn save(&mut self) {
        let number = self.random.below(self.machines.len() as u64) as usize;
        if let Some(host) = self.host(number) {
            host.tick_replication();
            self.save_all(number);
        }
    }

    fn save_all(&mut self, number: usize) {
        let now = self.clock.now_ms();
        if let Some(host) = self.host(number) {
            for (file, _) in &host.files {
                let _full = save(file.as_ref(), &host.disk, now);
            }
        }
        self.note_acknowledged(number);
    }

    /// What a master knows that its slaves have acknowledged is on its disk.
    fn note_acknowledged(&mut self, number: usize) {
        if self.machines[number].is_master
            && let Some(host) = self.host(number)
        {
            let acknowledged = host.log.appender.acknowledgements.replicated_to(1);
            let noted = &mut self.machines[number].acknowledged;
            *noted = acknowledged.max(*noted);
        }
    }

    fn pass_time(&mut self) {
        self.clock.advance(self.random.below(1500) as i64);
        for number in 0..self.machines.len() {
            // As each second in a server.
            if let Some(host) = self.host(number) {
                host.tick_replication();
                self.save_all(number);
            }
            if let Some(host) = self.host(number) {
                host.expire_answers();
            }
        }
    }

    /// A machine ends: stopped, killed, or without power; some come back at once.
    fn end_one(&mut self) {
        let number = self.random.below(self.machines.len() as u64) as usize;
        if self.machines[number].host.is_none() {
            return self.come_back(number);
        }
        // Those that answer nobody may still be asked; one machine is away at a time, so that what two have is not lost.
        if self.machines.iter().any(|machine| machine.host.is_none()) {
            return;
        }
        let way = match self.random.below(3) {
            0 => Way::Stop,
            // Without SYNC_FLUSH a power cut takes what was promised, which the table in the docs says.
            2 if self.is_sync_flush || !self.is_careful => Way::PowerCut,
            _ => Way::Kill,
        };
        self.shut_down(number, way);
        self.count("ends");
        if self.random.one_in(2) {
            self.come_back(number);
        }
    }

    fn shut_down(&mut self, number: usize, way: Way) {
        self.hear();
        let (had, before) = (self.holds(number), self.end(number));
        if way == Way::Stop {
            self.note_acknowledged(number);
        }
        let Some(host) = self.machines[number].host.take() else {
            return;
        };
        self.wires
            .retain(|wire| wire.slave != number && wire.master != number);
        if way == Way::Stop
            && let Err(e) = host.close()
        {
            self.fail(&format!("{number} does not close: {e}"));
        }
        let flushed = host.log.store.flushed().0;
        drop(host);
        let machine = &mut self.machines[number];
        machine.had = had;
        machine.safe_end = i64::MAX;
        machine.disk = match way {
            Way::PowerCut => machine.disk.crash(self.random.next_u64()),
            _ => machine.disk.kill(),
        };
        if way == Way::PowerCut {
            machine.safe_end = flushed;
            if !self.is_sync_flush {
                machine.heals_until = before;
            }
        }
        let how = match way {
            Way::Stop => "is stopped",
            Way::PowerCut => "loses its power",
            Way::Kill => "is killed",
        };
        self.note(format!("{number} {how}"));
        // Who waited for it waits no more; what it had of what others answer later nobody can look at.
        self.peer.take();
        self.asked.clear();
    }

    fn come_back(&mut self, number: usize) {
        // Another one may be the master by now.
        if self.master().is_some() {
            self.machines[number].is_master = false;
        }
        self.open(number);
    }

    /// All come back, are connected for as long as they need, and have the same.
    pub fn finish(&mut self) {
        self.is_finishing = true;
        for number in 0..self.machines.len() {
            if self.host(number).is_none() {
                self.come_back(number);
            }
        }
        if self.master().is_none() {
            while self.master().is_none() {
                self.take_over();
            }
        }
        let Some(master) = self.master() else { return };
        self.wires.clear();
        for _ in 0..4 * self.machines.len() {
            self.connect();
        }
        for _ in 0..20_000 {
            (0..self.machines.len()).for_each(|number| {
                if let Some(host) = self.host(number) {
                    host.log.flusher.flush(0);
                }
            });
            let end = self.end(master);
            let has_all =
                |number: usize| self.end(number) == end && (number == master || self.is_connected(number));
            if (0..self.machines.len()).all(has_all) {
                break;
            }
            self.clock.advance(1);
            self.carry();
            self.connect();
        }
        self.hear();
        self.check_copies();
        for number in 0..self.machines.len() {
            if self.end(number) != self.end(master) {
                self.fail(&format!(
                    "{number} ends at {} and its master {master} at {} after all the time it needs",
                    self.end(number),
                    self.end(master)
                ));
            }
            self.check_end(number, master);
            self.check_queues(number, master);
        }
    }
}
