//! Replication's way into the log: a slave's store gets its master's bytes, cut anywhere.
//!
//! `SEED=17 cargo test -p store --test it raw` replays one seed of the random lives.

use crate::harness::*;
use disk::{SimDisk, SimRandom};
use std::path::Path;
use store::{FlushType, PhysicalOffset, RawError, Store, StoreSettings};

const SEEDS: u64 = 400;
pub(crate) const TOPICS: [&str; 2] = ["A", "B"];
pub(crate) const FILE: i64 = 8192;

pub(crate) fn settings(flush_type: FlushType) -> StoreSettings {
    StoreSettings {
        commitlog_file_size: FILE,
        max_message_size: 3000,
        ..small(flush_type)
    }
}

/// What lies in the log from its beginning to its end.
pub(crate) fn log_bytes(store: &Store<SimDisk>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut at = store.min_physical();
    while at < store.max_physical() {
        let slice = store.raw(at, usize::MAX).unwrap().expect("the log has no hole");
        bytes.extend_from_slice(&slice);
        at = PhysicalOffset(at.0 + slice.len() as i64);
    }
    bytes
}

fn queues() -> impl Iterator<Item = (&'static str, i32)> {
    TOPICS.iter().flat_map(|topic| [(*topic, 0), (*topic, 1)])
}

fn bodies(store: &Store<SimDisk>) -> Vec<Vec<Vec<u8>>> {
    queues().map(|(topic, id)| drain(store, topic, id)).collect()
}

/// A sync that runs while the rest of a record comes ends within the record: readers do not see it before the next one.
#[test]
fn a_record_is_seen_once_it_is_durable_as_a_whole() {
    let (master, _) = open(&SimDisk::new(), &settings(FlushType::Async));
    send(&master, record("A", 0, b"first", b""), 1);
    send(&master, record("A", 0, b"second", b""), 1);
    let bytes = log_bytes(&master);
    let (slave, _) = open(&SimDisk::new(), &settings(FlushType::Sync));
    let within = bytes.len() - 7;
    slave.append_raw(PhysicalOffset(0), &bytes[..within], 1).unwrap();
    slave.flush(0).unwrap();
    slave
        .append_raw(PhysicalOffset(within as i64), &bytes[within..], 1)
        .unwrap();
    for _ in 0..2 {
        assert_eq!(slave.reput(&mut |_| {}), Ok(false));
        assert_eq!(slave.reput_end(), slave.visible());
        assert!(
            slave.visible() < slave.flushed(),
            "the second record is not durable"
        );
        assert_eq!(drain(&slave, "A", 0), [b"first"]);
    }
    slave.flush(0).unwrap();
    assert_eq!(slave.reput(&mut |_| {}), Ok(false));
    assert_eq!(slave.reput_end(), slave.max_physical());
    assert_eq!(drain(&slave, "A", 0), [&b"first"[..], b"second"]);
}

struct Pair {
    random: SimRandom,
    master: Store<SimDisk>,
    disk: SimDisk,
    slave: Option<Store<SimDisk>>,
    settings: StoreSettings,
    sent: u64,
    /// How often the slave's log was cut at a hole.
    holes: u64,
}

impl Pair {
    fn new(seed: u64) -> Pair {
        let mut random = SimRandom::new(seed);
        let mut flush_type = || [FlushType::Async, FlushType::Sync][random.below(2) as usize];
        let of_master = settings(flush_type());
        let of_slave = StoreSettings {
            replica: true,
            ..settings(flush_type())
        };
        let disk = SimDisk::new();
        let (master, _) = open(&SimDisk::new(), &of_master);
        let (slave, _) = open(&disk, &of_slave);
        Pair {
            random,
            master,
            disk,
            slave: Some(slave),
            settings: of_slave,
            sent: 0,
            holes: 0,
        }
    }

    fn slave(&self) -> &Store<SimDisk> {
        self.slave.as_ref().unwrap()
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..7 => self.send(),
            7..16 => self.copy(),
            16 => settle(self.slave()),
            17 => self.slave().reput(&mut |_| {}).map(|_| ()).unwrap(),
            18 => self.restart(),
            _ => {
                let taken = self.slave().max_physical();
                self.slave().flush(0).unwrap();
                assert_eq!(self.slave().flushed(), taken);
            }
        }
        self.check();
    }

    fn send(&mut self) {
        let body = vec![self.sent as u8; self.random.below(2500) as usize];
        let topic = TOPICS[self.random.below(2) as usize];
        let queue_id = self.random.below(2) as i32;
        let properties: [&[u8]; 3] = [b"", b"KEYS\x01k1 k2\x02", b"TAGS\x01t\x02a\x01\x02"];
        let properties = properties[self.random.below(3) as usize];
        let new = record(topic, queue_id, &body, properties);
        send_through(&self.master, new, NOW + self.sent as i64);
        self.sent += 1;
    }

    /// Some bytes go over; the stream is cut where it happens to be cut.
    fn copy(&mut self) {
        let at = self.slave().max_physical();
        let most = [1, 7, 300, 5000, 100_000][self.random.below(5) as usize];
        let most = 1 + self.random.below(most) as usize;
        match self.master.raw(at, most).unwrap() {
            Some(bytes) => {
                assert!(bytes.len() <= most && at.0 / FILE == (at.0 + bytes.len() as i64 - 1) / FILE);
                let end = self.slave().append_raw(at, &bytes, NOW).unwrap().end;
                assert_eq!(end.0, at.0 + bytes.len() as i64);
            }
            None => assert_eq!(at, self.master.max_physical()),
        }
    }

    fn restart(&mut self) {
        let slave = self.slave.take().unwrap();
        let durable = slave.flushed();
        let way = self.random.below(3);
        let is_power_cut = way == 2;
        if way == 0 {
            slave.shutdown().unwrap();
        }
        drop(slave);
        self.disk = match is_power_cut {
            true => self.disk.crash(self.random.next_u64()),
            false => self.disk.kill(),
        };
        let (slave, report) = open(&self.disk, &self.settings);
        // A record that was not whole is taken back, and comes again.
        let longest = 3200;
        assert!(
            slave.max_physical().0 > durable.0 - longest,
            "what was synced is lost"
        );
        // What lay in a hole is missing in its queues, too.
        assert!(
            report.damage.count > 0 || report.errors().is_empty(),
            "{report:?}"
        );
        assert!(is_power_cut || report.damage.count == 0, "{report:?}");
        // A power cut may spare a later part and not what lay before it. The master has what is missing.
        if let Some(damage) = report.damage.first.first() {
            slave.cut_back(PhysicalOffset(damage.at), NOW).unwrap();
            self.holes += 1;
        }
        self.slave = Some(slave);
    }

    /// The slave's log is a prefix of the master's, and so is what its readers see.
    fn check(&self) {
        let (of_master, of_slave) = (log_bytes(&self.master), log_bytes(self.slave()));
        assert!(of_master.starts_with(&of_slave));
        for (topic, id) in queues() {
            let [of_master, of_slave] =
                [&self.master, self.slave()].map(|store| drain_places(store, topic, id));
            assert!(of_master.starts_with(&of_slave), "{topic} {id}");
        }
    }

    fn finish(&mut self) {
        while self.slave().max_physical() < self.master.max_physical() {
            self.copy();
        }
        settle(self.slave());
        assert_eq!(self.slave().visible(), self.master.visible());
        assert_eq!(log_bytes(self.slave()), log_bytes(&self.master));
        assert_eq!(bodies(self.slave()), bodies(&self.master));
    }
}

#[test]
fn a_slaves_log_is_a_prefix_of_its_masters_through_cuts_kills_and_power_failures() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(SEEDS),
    };
    let (mut holes, all) = (0, seeds.end - seeds.start == SEEDS);
    for seed in seeds {
        let run = std::panic::catch_unwind(|| {
            let mut pair = Pair::new(seed);
            (0..60).for_each(|_| pair.step());
            pair.finish();
            pair.holes
        });
        holes += run.unwrap_or_else(|_| panic!("SEED={seed} fails"));
    }
    assert!(!all || holes > 5, "{holes} holes in so many lives");
}

/// A master with `count` messages of 1,000 bytes.
pub(crate) fn master(count: u8) -> (Store<SimDisk>, SimDisk) {
    let disk = SimDisk::new();
    let (master, _) = open(&disk, &settings(FlushType::Async));
    for number in 0..count {
        send_through(&master, record("A", 0, &[number; 1000], b""), NOW);
    }
    (master, disk)
}

fn copy_all(master: &Store<SimDisk>, slave: &Store<SimDisk>, step: usize) {
    let mut at = slave.max_physical();
    while let Some(bytes) = master.raw(at, step).unwrap() {
        at = slave.append_raw(at, &bytes, NOW).unwrap().end;
        slave.reput(&mut |_| {}).unwrap();
    }
}

#[test]
fn only_the_bytes_that_follow_are_taken() {
    let (master, _) = master(3);
    let (slave, _) = open(&SimDisk::new(), &settings(FlushType::Async));
    let bytes = master.raw(PhysicalOffset(0), 100).unwrap().unwrap();
    assert_eq!(
        slave.append_raw(PhysicalOffset(100), &bytes, NOW),
        Err(RawError::Within(PhysicalOffset(100)))
    );
    slave.append_raw(PhysicalOffset(0), &bytes, NOW).unwrap();
    for at in [0, 99, 101, FILE] {
        let refused = RawError::Elsewhere {
            at: PhysicalOffset(at),
            end: PhysicalOffset(100),
        };
        assert_eq!(slave.append_raw(PhysicalOffset(at), &bytes, NOW), Err(refused));
    }
    assert_eq!(slave.max_physical(), PhysicalOffset(100));
    assert_eq!(slave.visible(), PhysicalOffset(0), "no record is whole");
    slave.shutdown().unwrap();
    let refused = slave.append_raw(PhysicalOffset(100), &bytes, NOW);
    assert_eq!(refused, Err(RawError::Append(store::AppendError::ShutDown)));
}

#[test]
fn a_new_slave_begins_at_the_start_of_any_file() {
    let (master, _) = master(20);
    let disk = SimDisk::new();
    let (slave, _) = open(&disk, &settings(FlushType::Async));
    let start = PhysicalOffset(2 * FILE);
    assert_eq!(slave.append_raw(start, &[], NOW).unwrap().end, start);
    assert_eq!((slave.min_physical(), slave.max_physical()), (start, start));
    copy_all(&master, &slave, 777);
    let (min, max) = slave.queue_bounds("A", 0);
    assert_eq!((min.0, max.0), (14, 20));
    assert_eq!(drain(&slave, "A", 0), drain(&master, "A", 0)[14..]);
    // And goes on there after a kill.
    settle(&slave);
    drop(slave);
    let (slave, _) = open(&disk.kill(), &settings(FlushType::Async));
    assert_eq!(
        (slave.min_physical(), slave.max_physical()),
        (start, master.max_physical())
    );
    assert_eq!(drain(&slave, "A", 0), drain(&master, "A", 0)[14..]);
}

#[test]
fn a_checkpoint_vouches_up_to_a_record_wherever_the_durable_bytes_end() {
    let (master, _) = open(&SimDisk::new(), &settings(FlushType::Async));
    for _ in 0..12 {
        // Zeros within a record look like the end of a log.
        send_through(&master, record("A", 0, &[0; 1000], b""), NOW);
    }
    let log = log_bytes(&master);
    for durable in (1..log.len()).step_by(211).chain([FILE as usize - 300]) {
        let disk = SimDisk::new();
        let replica = StoreSettings {
            replica: true,
            ..settings(FlushType::Async)
        };
        let (slave, _) = open(&disk, &replica);
        slave.append_raw(PhysicalOffset(0), &log[..durable], NOW).unwrap();
        slave.flush(0).unwrap();
        slave
            .append_raw(PhysicalOffset(durable as i64), &log[durable..], NOW)
            .unwrap();
        slave.reput(&mut |_| {}).unwrap();
        slave.flush_consumequeues(0, true).unwrap();
        drop(slave);
        let (slave, report) = open(&disk.kill(), &replica);
        assert_eq!(
            slave.max_physical(),
            master.max_physical(),
            "{durable}: {report:?}"
        );
        assert_eq!((report.damage.count, report.log_cut), (0, None), "{durable}");
        assert_eq!(drain(&slave, "A", 0).len(), 12);
    }
}

#[test]
fn damage_that_the_master_stepped_over_is_copied_and_stepped_over() {
    let (sound, disk) = master(24);
    sound.shutdown().unwrap();
    let disk = disk.kill();
    let file = Path::new("/store/commitlog/00000000000000008192");
    let mut content = disk.content(file).unwrap();
    // The length of the second record of the second file.
    let len = i32::from_be_bytes(content[..4].try_into().unwrap()) as usize;
    content[len..len + 4].copy_from_slice(&7_i32.to_be_bytes());
    disk.put(file, &content);
    disk.take(Path::new("/store/checkpoint"));
    for path in disk.paths() {
        if path.starts_with("/store/consumequeue") {
            disk.take(&path);
        }
    }
    let (master, report) = open(&disk, &settings(FlushType::Async));
    assert_eq!(report.damage.count, 1);
    let (slave, _) = open(&SimDisk::new(), &settings(FlushType::Async));
    copy_all(&master, &slave, 333);
    assert_eq!(log_bytes(&slave), log_bytes(&master));
    assert_eq!(slave.visible(), master.visible());
    let places = drain_places(&slave, "A", 0);
    assert_eq!(places.len(), 23);
    assert_eq!(places, drain_places(&master, "A", 0));
}
