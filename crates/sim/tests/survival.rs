//! The table of docs/replication.md: what is left of messages that were answered SEND_OK, for each pair of settings and each
//! accident. A message is answered with as little done as the settings allow, and then the accident happens.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use broker::lane::Workers;
use broker::replication::{CompareError, CopyParts, LogCopy, MasterLog, Places, SlaveSession};
use broker::run::{Parts, Surroundings};
use broker::settings::{BrokerRole, FlushDiskType, Settings};
use disk::{Clock, SimClock, SimDisk};
use ha::{Extent, Meaning};
use message::record::{Check, Entry, decode};
use protocol::code::{request, response};
use protocol::header::Short;
use protocol::header::broker::SendMessageRequestHeader;
use remoting::MemoryPeer;
use store::PhysicalOffset;

type Host = Parts<SimDisk>;

const START_MS: i64 = 1_700_000_000_000;
const MESSAGES: usize = 12;
/// Ways in which a power cut may go.
const CRASHES: u64 = 30;

/// What each accident leaves of what was answered: all of it?
#[derive(Debug, PartialEq, Eq)]
struct Left {
    /// The master's process dies and starts again.
    killed_master: bool,
    /// The slave's process dies and starts again; the master is lost.
    killed_slave: bool,
    /// The master's machine loses its power and starts again.
    unpowered_master: bool,
    /// Both machines lose their power, and only the slave's comes back.
    unpowered_slave: bool,
    /// The master's machine is lost, and the slave takes over.
    taken_over: bool,
}

/// Each slave has an address of its own.
const PLACES: Places = Places {
    most: 1,
    registered: 1,
};

#[derive(Clone, Copy)]
struct Pair {
    role: BrokerRole,
    master: FlushDiskType,
    slave: FlushDiskType,
}

struct Machine {
    disk: SimDisk,
    clock: SimClock,
    host: Host,
}

fn settings(role: BrokerRole, flush: FlushDiskType) -> Settings {
    let mut settings = Settings::default();
    settings.broker.broker_name = "broker-a".to_owned();
    settings.broker.broker_ip1 = "10.0.0.1".to_owned();
    settings.broker.broker_id = i64::from(role == BrokerRole::Slave);
    settings.broker.broker_config_path = Some("/broker.conf".to_owned());
    settings.store.store_path_root_dir = "/store".to_owned();
    settings.store.mapped_file_size_commit_log = 16 << 10;
    settings.store.mapped_file_size_consume_queue = 8 * 20;
    settings.store.max_hash_slot_num = 16;
    settings.store.max_index_num = 40;
    settings.store.max_message_size = 4096;
    settings.store.broker_role = role;
    settings.store.flush_disk_type = flush;
    settings
}

fn open(disk: SimDisk, settings: Settings) -> Machine {
    open_at(disk, settings, START_MS)
}

fn open_at(disk: SimDisk, settings: Settings, now: i64) -> Machine {
    let clock = SimClock::at(now);
    disk.set_now(clock.now_ms());
    let surroundings = Surroundings {
        disk: disk.clone(),
        clock: Arc::new(clock.clone()),
        workers: Workers::Caller,
        traffic: Default::default(),
    };
    let helpers = store::Helpers {
        parallel: &store::Inline,
        progress: &|_| {},
    };
    let (host, _) = Parts::assemble(settings, surroundings, &helpers).expect("it starts");
    host.tables.topics.set_told(u64::MAX);
    host.log.reput.all();
    Machine { disk, clock, host }
}

/// Bodies of all records of a broker's log.
fn bodies(host: &Host) -> Vec<String> {
    let store = &host.log.store;
    let (mut at, mut bodies) = (store.min_physical(), Vec::new());
    while at < store.max_physical() {
        let raw = store
            .raw(at, usize::MAX)
            .expect("a disk that works")
            .expect("it is there");
        match decode(&raw, Check::Body) {
            Ok(Entry::Record(view)) => {
                bodies.push(String::from_utf8_lossy(view.body()).into_owned());
                at = PhysicalOffset(at.0 + view.total_len() as i64);
            }
            Ok(Entry::Blank { .. }) => at = PhysicalOffset(at.0 + raw.len() as i64),
            // Damage that a power cut has left.
            Err(_) => break,
        }
    }
    bodies
}

/// A master and its slave, with a connection between them.
struct Machines {
    master: Machine,
    slave: Machine,
    session: SlaveSession<SimDisk>,
    copy: LogCopy<SimDisk>,
    peer: Arc<MemoryPeer>,
}

impl Machines {
    fn new(pair: Pair) -> Machines {
        let master = open(SimDisk::new(), settings(pair.role, pair.master));
        let slave = open(SimDisk::new(), settings(BrokerRole::Slave, pair.slave));
        let address = SocketAddr::from(([10, 0, 0, 2], 40_000));
        let session = master.host.replication.slaves.session(address, PLACES);
        let copy = slave.host.replication.follower.copy.begin();
        let mut machines = Machines {
            session: session.expect("there is room"),
            copy,
            master,
            slave,
            peer: MemoryPeer::new(([127, 0, 0, 1], 4000).into()),
        };
        // The first report is a wish, and the topic is on disk before anything is counted.
        machines.carry();
        machines.send("first");
        let all = SimClock::at(START_MS).now_ms();
        broker::tables::save(&*machines.master.host.tables.topics, &machines.master.disk, all)
            .expect("a disk that works");
        for _ in 0..4 {
            machines.carry();
            machines.master.host.log.flusher.flush(0);
            machines.slave.host.log.flusher.flush(0);
        }
        assert_eq!(machines.answers(), [response::SUCCESS]);
        machines
    }

    fn send(&self, body: &str) {
        self.send_with(body, "");
    }

    fn send_with(&self, body: &str, properties: &str) {
        let header = SendMessageRequestHeader {
            producer_group: Some("p".into()),
            topic: "T".into(),
            default_topic: Some("TBW102".into()),
            default_topic_queue_nums: Some(1),
            queue_id: 0,
            sys_flag: Some(0),
            born_timestamp: START_MS,
            flag: Some(0),
            properties: Some(properties),
            reconsume_times: Some(0),
            unit_mode: Some(false),
            batch: None,
            max_reconsume_times: None,
        };
        let header = Short(&header);
        let body = body.as_bytes().to_vec();
        let (request, _) = self.peer.request(request::SEND_MESSAGE_V2, &header, body);
        self.master
            .host
            .handlers
            .serve(&mut VecDeque::from([request]), true, &|| false);
        self.master.host.log.reput.wake();
    }

    fn answers(&self) -> Vec<i32> {
        self.peer.take().iter().map(|answer| answer.code).collect()
    }

    /// What the master has goes to the slave, and the slave's word back.
    fn carry(&mut self) {
        for _ in 0..2 {
            self.session.fill().expect("the connection stands");
            while self.session.has_more() {
                let mut slices = [IoSlice::new(&[]); 8];
                let count = self.session.next(&mut slices);
                let all: Vec<u8> = slices[..count].iter().flat_map(|s| s.iter().copied()).collect();
                self.session.wrote(all.len());
                self.copy.append(&all).expect("the slave takes it");
            }
            let (report, _) = self.copy.report().expect("a disk that works");
            let report = report.to_vec();
            self.copy.wrote(report.len());
            self.copy.build();
            self.session.receive(&report).expect("the master takes it");
        }
    }

    /// Sends, and does no more than what the settings ask for.
    fn send_until_answered(&mut self, body: &str, pair: Pair) {
        self.send(body);
        let mut answers = self.answers();
        if pair.role == SyncMaster {
            self.carry();
            if pair.slave == SyncFlush {
                answers.extend(self.answers());
                assert_eq!(answers, [0; 0], "{body}: the slave's disk does not have it");
                self.slave.host.log.flusher.flush(0);
                self.carry();
            }
        }
        answers.extend(self.answers());
        if pair.master == SyncFlush {
            assert_eq!(answers, [0; 0], "{body}: the master's disk does not have it");
            self.master.host.log.flusher.flush(0);
        }
        answers.extend(self.answers());
        assert_eq!(answers, [response::SUCCESS], "{body}");
    }
}

/// Whether all that was answered is left on a disk, whose broker starts again in this role.
fn has_all(disk: SimDisk, settings: Settings) -> bool {
    let machine = open(disk, settings);
    let found = bodies(&machine.host);
    (0..MESSAGES).all(|number| found.contains(&format!("answered {number}")))
}

fn left(pair: Pair) -> Left {
    let mut machines = Machines::new(pair);
    for number in 0..MESSAGES {
        machines.send_until_answered(&format!("answered {number}"), pair);
    }
    let master = || settings(pair.role, pair.master);
    // It is made the master, as docs/replication.md says.
    let successor = || settings(AsyncMaster, pair.slave);
    let (of_master, of_slave) = (&machines.master.disk, &machines.slave.disk);
    let after_cuts = |disk: &SimDisk, settings: &dyn Fn() -> Settings| {
        (0..CRASHES).all(|way| has_all(disk.crash(way), settings()))
    };
    Left {
        killed_master: has_all(of_master.kill(), master()),
        killed_slave: has_all(of_slave.kill(), successor()),
        unpowered_master: after_cuts(of_master, &master),
        unpowered_slave: after_cuts(of_slave, &successor),
        taken_over: has_all(of_slave.kill(), successor()),
    }
}

fn check(role: BrokerRole, master: FlushDiskType, slave: FlushDiskType, expected: [bool; 5]) {
    let [
        killed_master,
        killed_slave,
        unpowered_master,
        unpowered_slave,
        taken_over,
    ] = expected;
    let expected = Left {
        killed_master,
        killed_slave,
        unpowered_master,
        unpowered_slave,
        taken_over,
    };
    assert_eq!(
        left(Pair { role, master, slave }),
        expected,
        "{role:?} {master:?} {slave:?}"
    );
}

/// What SUCCESS means is changed while slaves are connected: each reign knows them before their reports count, and how many there are
/// at an address.
#[test]
fn each_reign_knows_the_slaves_that_are_connected() {
    let mut machines = Machines::new(Pair {
        role: SyncMaster,
        master: AsyncFlush,
        slave: AsyncFlush,
    });
    let history = Arc::clone(&machines.master.host.replication.history);
    let slaves_of_last = || match &history.reigns().all().last().expect("a reign").meaning {
        Meaning::WithSlaves { slaves, .. } => slaves.clone().into_iter().collect(),
        Meaning::Alone => Vec::new(),
    };
    assert_eq!(slaves_of_last(), [("10.0.0.2".to_owned(), 1)]);
    for alone in [true, false] {
        let end = machines.master.host.log.store.max_physical().0;
        history.change(end, alone);
        if alone {
            machines.send("between");
            machines.carry();
        }
    }
    assert_eq!(slaves_of_last(), []);
    machines.send("after the change");
    machines.carry();
    assert_eq!(machines.answers(), [response::SUCCESS; 2]);
    assert_eq!(slaves_of_last(), [("10.0.0.2".to_owned(), 1)]);

    // Another one, of the same address.
    let slaves = &machines.master.host.replication.slaves;
    let places = Places {
        most: 4,
        registered: 0,
    };
    let address = SocketAddr::from(([10, 0, 0, 2], 40_001));
    let mut session = slaves.session(address, places).expect("there is room");
    session
        .receive(&0_i64.to_be_bytes())
        .expect("the master takes it");
    assert_eq!(slaves_of_last(), [("10.0.0.2".to_owned(), 2)]);
    // It is on disk.
    let path = Path::new("/store/roleHistory");
    let text = machines.master.disk.content(path).expect("a file");
    assert!(String::from_utf8_lossy(&text).ends_with("slaves=10.0.0.2*2\n"));
}

use BrokerRole::{AsyncMaster, SyncMaster};
use FlushDiskType::{AsyncFlush, SyncFlush};

#[test]
fn an_async_master_with_async_flush_keeps_what_its_process_had() {
    for slave in [AsyncFlush, SyncFlush] {
        check(AsyncMaster, AsyncFlush, slave, [true, false, false, false, false]);
    }
}

#[test]
fn an_async_master_with_sync_flush_keeps_what_its_disk_has() {
    for slave in [AsyncFlush, SyncFlush] {
        check(AsyncMaster, SyncFlush, slave, [true, false, true, false, false]);
    }
}

#[test]
fn a_sync_master_with_async_flush_and_its_slave_have_it_in_memory() {
    check(
        SyncMaster,
        AsyncFlush,
        AsyncFlush,
        [true, true, false, false, true],
    );
}

#[test]
fn a_sync_master_with_async_flush_has_it_on_the_disk_of_a_slave_with_sync_flush() {
    check(SyncMaster, AsyncFlush, SyncFlush, [true, true, false, true, true]);
}

#[test]
fn a_sync_master_with_sync_flush_has_it_on_its_disk_and_in_its_slaves_memory() {
    check(SyncMaster, SyncFlush, AsyncFlush, [true, true, true, false, true]);
}

#[test]
fn a_sync_master_with_sync_flush_and_its_slave_with_sync_flush_have_it_on_both_disks() {
    check(SyncMaster, SyncFlush, SyncFlush, [true, true, true, true, true]);
}

/// A log file that is gone is a hole like any other: the next master has it copied anew.
#[test]
fn a_missing_file_is_noted_for_the_next_master() {
    let mut machines = Machines::new(Pair {
        role: AsyncMaster,
        master: AsyncFlush,
        slave: AsyncFlush,
    });
    for number in 0..30 {
        machines.send(&format!("{number} {}", "x".repeat(2000)));
        machines.carry();
    }
    let disk = machines.slave.disk.kill();
    disk.take(Path::new("/store/commitlog/00000000000000016384"));
    let mut settings = settings(BrokerRole::Slave, AsyncFlush);
    settings.store.accept_missing_commit_log = true;
    let slave = open(disk, settings);
    assert_eq!(
        slave.host.replication.history.damage().holes.first(),
        Some(&16_384)
    );
}

/// A broker as its slave asks it.
struct Asked {
    is_slave: bool,
    /// Its log, from 0 on.
    log: Vec<u8>,
}

impl MasterLog for Asked {
    async fn is_of_slave(&self) -> Result<bool, CompareError> {
        Ok(self.is_slave)
    }

    async fn extent(&self) -> Result<Extent, CompareError> {
        let end = self.log.len() as i64;
        Ok(Extent { min: 0, end })
    }

    async fn record(&self, offset: i64) -> Result<Option<bytes::Bytes>, CompareError> {
        let record = self.log.get(offset as usize..).and_then(|rest| {
            let len = i32::from_be_bytes(*rest.first_chunk()?);
            rest.get(..len as usize)
        });
        Ok(record.map(bytes::Bytes::copy_from_slice))
    }
}

/// How a slave's comparison with a master goes, and where its log ends then.
fn agreed(copy: &CopyParts<SimDisk>, master: &Asked) -> (Result<(), String>, i64) {
    let Poll::Ready(agreed) =
        pin!(copy.agree(master, [10, 0, 0, 1].into())).poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("nothing is waited for");
    };
    (
        agreed.map_err(|error| error.to_string()),
        copy.store.max_physical().0,
    )
}

/// A slave with some messages, and its log.
fn slave_with_log() -> (Machines, Vec<u8>) {
    let mut machines = Machines::new(Pair {
        role: SyncMaster,
        master: AsyncFlush,
        slave: AsyncFlush,
    });
    for number in 0..40 {
        machines.send(&format!("body of {number}"));
        machines.carry();
    }
    let store = &machines.slave.host.log.store;
    let log = store
        .raw(PhysicalOffset(0), usize::MAX)
        .expect("a disk that works");
    let log = log.expect("a log").to_vec();
    assert_eq!(log.len() as i64, store.max_physical().0);
    (machines, log)
}

/// A bad disk has changed messages that the master has. They are sound here, and nothing is another history.
#[test]
fn damage_of_the_master_cuts_nothing() {
    let (machines, log) = slave_with_log();
    let copy = &machines.slave.host.replication.follower.copy;
    let place = |body: &str| {
        let mut windows = log.windows(body.len());
        windows
            .position(|bytes| bytes == body.as_bytes())
            .expect("it is there")
    };
    for damaged in [&["body of 39"][..], &["body of 39", "body of 20"], &["body of 3"]] {
        let mut master = Asked {
            is_slave: false,
            log: log.clone(),
        };
        for body in damaged {
            master.log[place(body) + 2] ^= 1;
        }
        assert_eq!(agreed(copy, &master), (Ok(()), log.len() as i64), "{damaged:?}");
    }
}

/// What a bad disk has made of records need not look like any.
#[test]
fn lost_blocks_of_the_master_cut_nothing() {
    let (machines, log) = slave_with_log();
    let copy = &machines.slave.host.replication.follower.copy;
    let all = PhysicalOffset(log.len() as i64);
    let starts = copy
        .store
        .record_starts(PhysicalOffset(0), all, 100)
        .expect("a disk that works");
    let starts: Vec<usize> = starts.into_iter().map(|at| at.0 as usize).collect();
    let last = starts.len() - 1;
    for fill in [0, 0xA7] {
        for (from, until) in [
            (starts[last], log.len()),
            (starts[last] + 8, log.len()),
            (starts[last - 3] - 20, log.len()),
            (starts[last - 2] + 30, starts[last] - 5),
            (starts[1], starts[20]),
        ] {
            let mut master = Asked {
                is_slave: false,
                log: log.clone(),
            };
            master.log[from..until].fill(fill);
            let case = format!("{fill} from {from} to {until}");
            assert_eq!(agreed(copy, &master), (Ok(()), log.len() as i64), "{case}");
        }
    }
}

/// Damage where two logs part does not make one of them.
#[test]
fn damage_does_not_hide_that_the_master_has_another_log() {
    let (machines, log) = slave_with_log();
    let copy = &machines.slave.host.replication.follower.copy;
    let all = PhysicalOffset(log.len() as i64);
    let starts = copy
        .store
        .record_starts(PhysicalOffset(0), all, 100)
        .expect("a disk that works");
    let starts: Vec<usize> = starts.into_iter().map(|at| at.0 as usize).collect();
    let last = starts.len() - 1;
    let mut master = Asked {
        is_slave: false,
        log: log.clone(),
    };
    // Damage, then a record that this log does not have: its store time is another.
    master.log[starts[last - 2]..starts[last - 1]].fill(0);
    for at in [starts[last - 1], starts[last]] {
        master.log[at + 56..at + 64].copy_from_slice(&7_i64.to_be_bytes());
    }
    assert_eq!(agreed(copy, &master), (Ok(()), starts[last - 2] as i64));
}

/// A master that was brought back from a backup has lost more than a power cut takes.
#[test]
fn a_long_cut_is_somebodys_decision() {
    let (machines, log) = slave_with_log();
    let copy = &machines.slave.host.replication.follower.copy;
    let all = copy.store.max_physical();
    let starts = copy.store.record_starts(PhysicalOffset(0), all, 100);
    let end = starts.expect("a disk that works")[20].0 as usize;
    let change = |most| {
        let mut settings = (**copy.settings.load()).clone();
        settings.store.ha_cut_max_bytes = most;
        copy.settings.store(settings);
    };
    let master = Asked {
        is_slave: false,
        log: log[..end].to_vec(),
    };
    let too_much = (log.len() - end) as i64;
    change(too_much - 1);
    let (refused, left) = agreed(copy, &master);
    let refused = refused.expect_err("more would go");
    assert!(
        refused.contains("haCutMaxBytes") && left == log.len() as i64,
        "{refused}"
    );
    change(too_much);
    assert_eq!(agreed(copy, &master), (Ok(()), end as i64));
}

/// An old master that comes back with less, as a slave: who still takes it for the master does not cut after it.
#[test]
fn nobody_cuts_after_a_slave() {
    let (machines, log) = slave_with_log();
    let copy = &machines.slave.host.replication.follower.copy;
    let half = log[..log.len() / 2].to_vec();
    let mut other = Asked {
        is_slave: true,
        log: half,
    };
    let refused = "the broker there is a slave itself".to_owned();
    assert_eq!(agreed(copy, &other), (Err(refused), log.len() as i64));
    other.is_slave = false;
    let (agreed, end) = agreed(copy, &other);
    assert!(agreed.is_ok() && end < log.len() as i64, "a master is followed");
}

/// A host may boot with its clock hours ahead. What is delayed is due when its delay is over by the clock that is right.
#[test]
fn a_clock_that_is_set_back_holds_up_no_delayed_message() {
    let machines = Machines::new(Pair {
        role: AsyncMaster,
        master: AsyncFlush,
        slave: AsyncFlush,
    });
    let (delivery, clock) = (&machines.master.host.delivery, &machines.master.clock);
    let mut quiet = broker::delay::QuietUntil::default();
    let delivered = || machines.master.host.log.store.queue_max_offset("T", 0).0 - 1;
    machines.send_with("before", "DELAY\u{1}2\u{2}");
    delivery.look(&mut quiet);
    assert!(delivered() == 0 && delivery.pause_ms(&quiet) > 0);
    clock.advance(-3_600_000);
    assert_eq!(delivery.pause_ms(&quiet), 0, "it looks at once");
    delivery.look(&mut quiet);
    assert_eq!(delivered(), 1, "its delay is not longer by the step");
    machines.send_with("after", "DELAY\u{1}2\u{2}");
    delivery.look(&mut quiet);
    assert_eq!(delivered(), 1);
    clock.advance(5_000);
    assert_eq!(delivery.pause_ms(&quiet), 0);
    delivery.look(&mut quiet);
    assert_eq!(delivered(), 2);
}

/// A file of another log says that all is delivered. What is not due yet was not.
#[test]
fn delayed_messages_that_are_to_come_are_not_passed_over() {
    let machines = Machines::new(Pair {
        role: AsyncMaster,
        master: AsyncFlush,
        slave: AsyncFlush,
    });
    let (host, clock) = (&machines.master.host, &machines.master.clock);
    for _ in 0..3 {
        machines.send_with("due", "DELAY\u{1}2\u{2}");
    }
    clock.advance(4_000);
    for _ in 0..2 {
        machines.send_with("to come", "DELAY\u{1}2\u{2}");
    }
    host.log.flusher.flush(0);
    let disk = machines.master.disk.kill();
    disk.put(
        Path::new("/store/config/delayOffset.json"),
        b"{\"offsetTable\":{2:99999}}",
    );
    let after = START_MS + 6_000;
    let again = open_at(disk, settings(AsyncMaster, AsyncFlush), after);
    assert_eq!(again.host.delivery.offsets.get(2), 3);
}
