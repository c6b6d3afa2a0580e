//! Cutting a running slave's log back: afterwards it is as if it had never had the rest.
//!
//! `SEED=17 cargo test -p store --test it cut_back` replays one seed of the random lives.

use crate::harness::*;
use crate::raw::{FILE, TOPICS, log_bytes, settings};
use disk::{MappedSlice, Operation, SimDisk, SimRandom};
use filter::{Filter, Verdict};
use message::record::{Check, Entry, Place, View, body_crc, decode};
use std::collections::BTreeMap;
use std::fmt::{Debug, Formatter};
use std::path::Path;
use std::sync::Mutex;
use store::{CutBack, CutBackError, FlushType, PhysicalOffset, Store, StoreSettings};

const SEEDS: u64 = 150;
const QUEUES: i32 = 3;

/// All that somebody sees of a store.
#[derive(Debug, PartialEq)]
struct Seen {
    log: Bytes,
    positions: [i64; 5],
    topics: Vec<String>,
    /// End and messages of each queue.
    queues: BTreeMap<(&'static str, i32), Messages>,
    /// By topic and key.
    keys: BTreeMap<(&'static str, &'static str), Vec<i64>>,
    index_end: (i64, PhysicalOffset),
}

/// End of a queue, its messages with their places.
type Messages = (i64, Vec<(i64, Bytes)>);

/// Bytes that are not shown one by one.
#[derive(PartialEq)]
struct Bytes(Vec<u8>);

impl Debug for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes {:08x}", self.0.len(), body_crc(&self.0))
    }
}

const ALL_TOPICS: [&str; 4] = [TOPICS[0], TOPICS[1], "%LMQ%x", "%LMQ%y"];

fn seen(store: &Store<SimDisk>) -> Seen {
    settle(store);
    store.build_index().unwrap();
    let places = || {
        ALL_TOPICS
            .iter()
            .flat_map(|topic| (0..QUEUES).map(move |id| (*topic, id)))
    };
    let mut topics: Vec<_> = store.topics().iter().map(|topic| topic.to_string()).collect();
    topics.sort();
    Seen {
        log: Bytes(log_bytes(store)),
        positions: [
            store.min_physical(),
            store.max_physical(),
            store.visible(),
            store.flushed(),
            store.reput_end(),
        ]
        .map(|position| position.0),
        topics,
        queues: places()
            .map(|place| {
                let end = store.queue_max_offset(place.0, place.1).0;
                let messages = drain_places(store, place.0, place.1).into_iter();
                let messages = messages.map(|(offset, body)| (offset, Bytes(body)));
                (place, (end, messages.collect()))
            })
            .collect(),
        index_end: store.index_end(),
        keys: TOPICS
            .iter()
            .flat_map(|topic| ["k1", "k2"].map(|key| (*topic, key)))
            .map(|place| {
                let found = store.query_by_key(place.0, place.1, 64, 0, i64::MAX).unwrap();
                (place, found.iter().map(|position| position.0).collect())
            })
            .collect(),
    }
}

/// Sends a random message.
fn send_some(store: &Store<SimDisk>, random: &mut SimRandom, mark: u8, now: i64) {
    let body = vec![mark; random.below(2500) as usize];
    let topic = TOPICS[random.below(2) as usize];
    let properties: [&[u8]; 5] = [
        b"",
        b"KEYS\x01k1 k2\x02",
        b"TAGS\x01t\x02KEYS\x01k2\x02",
        b"INNER_MULTI_DISPATCH\x01%LMQ%x\x02",
        b"INNER_MULTI_DISPATCH\x01%LMQ%x,%LMQ%y\x02KEYS\x01k1\x02",
    ];
    let properties = properties[random.below(5) as usize];
    let queue_id = random.below(QUEUES as u64) as i32;
    send_through(store, record(topic, queue_id, &body, properties), now);
}

/// Gives a slave what a master has, in random pieces, up to `until`.
fn copy(master: &Store<SimDisk>, slave: &Store<SimDisk>, random: &mut SimRandom, until: i64) {
    let mut at = slave.max_physical();
    while at.0 < until {
        let most = (until - at.0).min(1 + random.below(5000) as i64) as usize;
        let bytes = master.raw(at, most).unwrap().expect("the master has it");
        at = slave.append_raw(at, &bytes, NOW).unwrap().end;
        if random.one_in(2) {
            slave.reput(&mut |_| {}).unwrap();
        }
        if random.one_in(4) {
            slave.flush(0).unwrap();
        }
        if random.one_in(8) {
            slave.build_index().unwrap();
            slave.prepare_ahead(NOW, &mut || {});
        }
        if random.one_in(16) {
            slave.flush_consumequeues(0, true).unwrap();
        }
    }
}

/// Where records of a log end, and where each starts.
pub(crate) fn borders(log: &[u8], min: i64) -> Vec<(i64, i64)> {
    let (mut at, mut borders) = (0, Vec::new());
    while at < log.len() {
        let left = FILE as usize - at % FILE as usize;
        match decode(&log[at..], Check::Lengths).unwrap() {
            Entry::Record(view) => {
                let start = at as i64 + min;
                at += view.total_len();
                borders.push((start, at as i64 + min));
            }
            Entry::Blank { .. } => at += left,
        }
    }
    borders
}

fn replica(settings: &StoreSettings) -> StoreSettings {
    StoreSettings {
        replica: true,
        ..settings.clone()
    }
}

/// A store with the first `until` bytes of a log that begins at `from`.
fn never_longer(
    master: &Store<SimDisk>,
    settings: &StoreSettings,
    (from, until): (i64, i64),
) -> (Store<SimDisk>, SimDisk) {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &replica(settings));
    if from < until {
        store.append_raw(PhysicalOffset(from), &[], NOW).unwrap();
    }
    copy(master, &store, &mut SimRandom::new(1), until);
    settle(&store);
    (store, disk)
}

struct Life {
    random: SimRandom,
    settings: StoreSettings,
    disk: SimDisk,
    slave: Store<SimDisk>,
    master: Store<SimDisk>,
    master_disk: SimDisk,
    /// Where the slave's log began.
    from: i64,
}

impl Life {
    fn new(seed: u64) -> Life {
        let mut random = SimRandom::new(seed);
        let flush_type = [FlushType::Async, FlushType::Sync][random.below(2) as usize];
        let settings = StoreSettings {
            consumequeue_file_size: [100, 320, 4000][random.below(3) as usize],
            ext: random.one_in(3),
            ext_file_size: [64, 200, 4000][random.below(3) as usize],
            multi_dispatch: random.one_in(2),
            lmq: true,
            index_entries: [5, 40][random.below(2) as usize],
            ..settings(flush_type)
        };
        let master_disk = SimDisk::new();
        let (master, _) = open(&master_disk, &settings);
        let disk = SimDisk::new();
        let (slave, _) = open(&disk, &replica(&settings));
        let mut life = Life {
            random,
            settings,
            disk,
            slave,
            master,
            master_disk,
            from: 0,
        };
        life.send(5 + life.random.clone().below(30));
        if life.random.one_in(4) {
            let files = life.master.max_physical().0 / FILE;
            life.from = life.random.below(files as u64 + 1) as i64 * FILE;
            life.slave
                .append_raw(PhysicalOffset(life.from), &[], NOW)
                .unwrap();
        }
        life
    }

    fn send(&mut self, count: u64) {
        for number in 0..count {
            let mark = self.random.next_u64() as u8;
            // Some within the same millisecond.
            send_some(&self.master, &mut self.random, mark, NOW + number as i64 / 2);
        }
    }

    /// The master goes on from `to` with other messages than it had.
    fn part(&mut self, to: i64) {
        let (other, disk) = never_longer(&self.master, &self.settings, (0, to));
        other.shutdown().unwrap();
        drop(other);
        self.master_disk = disk.kill();
        self.master = open(&self.master_disk, &self.settings).0;
        let count = 1 + self.random.below(12);
        self.send(count);
    }

    /// Where the slave's log is cut now: anywhere, often at its end.
    fn choose(&mut self) -> i64 {
        let borders = borders(&log_bytes(&self.slave)[..self.whole_len()], self.from);
        match self.random.below(8) {
            0 => 0,
            1 => borders.last().map_or(0, |(_, end)| *end),
            _ if borders.is_empty() => 0,
            2..5 => borders[borders.len() - 1 - self.random.below(borders.len().min(3) as u64) as usize].1,
            _ => borders[self.random.below(borders.len() as u64) as usize].1,
        }
    }

    /// Bytes of the slave's log without half a record at its end.
    fn whole_len(&self) -> usize {
        self.slave.flush(0).unwrap();
        (self.slave.visible().0 - self.from).max(0) as usize
    }

    fn restart(&mut self) {
        let way = self.random.below(3);
        if way == 0 {
            self.slave.shutdown().unwrap();
        } else if way == 2 {
            // Else the power cut leaves less, or a hole.
            self.slave.flush(0).unwrap();
        }
        self.disk = match way {
            2 => self.disk.crash(self.random.next_u64()),
            _ => self.disk.kill(),
        };
        let (slave, report) = open(&self.disk, &replica(&self.settings));
        assert_eq!(report.errors(), [] as [String; 0], "{report:?}");
        self.slave = slave;
    }
}

/// Slices of all of the log and of some queues, and what was in them.
fn hold(store: &Store<SimDisk>) -> Vec<(MappedSlice, Vec<u8>)> {
    let mut held = Vec::new();
    let mut at = store.min_physical();
    while at < store.max_physical() {
        let slice = store.raw(at, 700).unwrap().unwrap();
        at = PhysicalOffset(at.0 + slice.len() as i64);
        held.push(slice);
    }
    for topic in TOPICS {
        let min = store.queue_min_offset(topic, 0).0;
        held.extend(read(store, topic, 0, min).1);
    }
    held.into_iter()
        .map(|slice| {
            let bytes = slice.to_vec();
            (slice, bytes)
        })
        .collect()
}

/// The store as it is expected after a cut at `to`.
fn expected(life: &Life, master: &Store<SimDisk>, to: i64) -> Seen {
    let from = if to == 0 { 0 } else { life.from };
    seen(&never_longer(master, &life.settings, (from, to)).0)
}

/// A queue of which nothing is left keeps its end, and thereby its topic.
fn without_empty(mut seen: Seen) -> Seen {
    seen.queues.retain(|_, (_, messages)| !messages.is_empty());
    let queues = &seen.queues;
    seen.topics
        .retain(|name| queues.keys().any(|(topic, _)| topic == name));
    seen
}

fn live(seed: u64) {
    let mut life = Life::new(seed);
    let of_master = life.master.max_physical().0;
    let random = &mut life.random.clone();
    let until = match random.one_in(3) {
        true => life.from + random.below((of_master - life.from) as u64 + 1) as i64,
        false => of_master,
    };
    copy(&life.master, &life.slave, random, until);
    if random.one_in(2) {
        settle(&life.slave);
        life.slave.build_index().unwrap();
        if random.one_in(2) {
            life.slave.flush_consumequeues(0, true).unwrap();
        }
    }
    if random.one_in(4) {
        life.restart();
    }
    for _ in 0..3 {
        let to = life.choose();
        let end = life.slave.max_physical().0;
        let held = hold(&life.slave);
        let cut = life.slave.cut_back(PhysicalOffset(to), NOW).unwrap();
        check_report(&life, &cut, (to, end), &held);
        let wanted = expected(&life, &life.master, to);
        assert_eq!(
            without_empty(seen(&life.slave)),
            without_empty(wanted),
            "cut at {to} of {end}"
        );
        for (slice, bytes) in &held {
            assert!(slice[..] == bytes[..], "a slice that was held changed");
        }
        if life.random.one_in(3) {
            life.restart();
            let wanted = expected(&life, &life.master, to);
            assert_eq!(
                without_empty(seen(&life.slave)),
                without_empty(wanted),
                "after a restart"
            );
        }
        life.part(to);
        if to == 0 {
            life.from = 0;
        }
        let end = life.master.max_physical().0;
        copy(&life.master, &life.slave, &mut life.random, end);
        let wanted = expected(&life, &life.master, end);
        assert_eq!(
            without_empty(seen(&life.slave)),
            without_empty(wanted),
            "gone on from {to}"
        );
        for (slice, bytes) in &held {
            assert!(slice[..] == bytes[..], "a slice that was held changed");
        }
    }
    life.restart();
    let end = life.master.max_physical().0;
    let wanted = expected(&life, &life.master, end);
    assert_eq!(
        without_empty(seen(&life.slave)),
        without_empty(wanted),
        "at the end"
    );
}

/// What a cut says of itself is what it did.
fn check_report(life: &Life, cut: &CutBack, (to, end): (i64, i64), held: &[(MappedSlice, Vec<u8>)]) {
    let before: Vec<u8> = held
        .iter()
        .scan(life.from, |at, (_, bytes)| {
            let start = *at;
            *at += bytes.len() as i64;
            (start < end).then_some(bytes.clone())
        })
        .flatten()
        .collect();
    let from = if to == 0 { life.from.min(end) } else { to };
    assert_eq!((cut.from.0, cut.until.0, cut.counted_until.0), (from, end, end));
    let gone = &before[(from - life.from).max(0) as usize..(end - life.from).max(0) as usize];
    assert_eq!(cut.bytes(), gone.len() as u64);
    assert!(cut.is_kept_whole(), "{cut}");
    assert_eq!(cut.kept.is_some(), !gone.is_empty());
    if let Some(kept) = &cut.kept {
        assert_eq!(life.disk.content(&kept.path).unwrap(), gone);
        assert!(cut.to_string().contains(&format!("with {} records", cut.records)));
    }
}

#[test]
fn a_slave_that_was_cut_back_is_as_one_that_never_had_the_rest() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let run = std::panic::catch_unwind(|| live(seed));
        assert!(run.is_ok(), "SEED={seed} fails");
    }
}

#[test]
fn only_a_slave_is_cut_and_only_where_a_record_ends() {
    let (master, disk) = crate::raw::master(8);
    let refused = master.cut_back(PhysicalOffset(0), NOW).unwrap_err();
    assert!(matches!(refused, CutBackError::NoReplica), "{refused}");
    let end = master.max_physical().0;
    let borders = borders(&log_bytes(&master), 0);
    drop(master);
    let (slave, _) = open(&disk.kill(), &replica(&settings(FlushType::Async)));
    let first = borders[0].1;
    // The blank tail of the first file begins where its last record ends.
    let blank = borders
        .iter()
        .find(|(start, _)| *start == FILE)
        .map(|_| FILE - 100);
    for to in [
        1,
        first - 1,
        first + 1,
        end - 1,
        end + 1,
        i64::MAX,
        -1,
        blank.unwrap(),
    ] {
        let refused = slave.cut_back(PhysicalOffset(to), NOW).unwrap_err();
        assert!(
            matches!(refused, CutBackError::NoBorder(at) if at.0 == to),
            "{to}: {refused}"
        );
    }
    assert_eq!(slave.max_physical().0, end);
    let nothing = slave.cut_back(PhysicalOffset(end), NOW).unwrap();
    assert_eq!(
        (nothing.bytes(), nothing.records, nothing.units, &nothing.kept),
        (0, 0, 0, &None)
    );
    assert!(
        nothing.is_kept_whole() && nothing.to_string().contains("nothing was cut off"),
        "{nothing}"
    );
    // The start of a file is a border, too.
    let cut = slave.cut_back(PhysicalOffset(FILE), NOW).unwrap();
    assert_eq!(
        (slave.max_physical().0, cut.from.0, cut.until.0),
        (FILE, FILE, end)
    );
    slave.shutdown().unwrap();
    let refused = slave.cut_back(PhysicalOffset(0), NOW).unwrap_err();
    assert!(matches!(refused, CutBackError::ShutDown), "{refused}");
}

#[test]
fn half_a_record_at_the_end_is_no_border_and_goes_with_a_cut_before_it() {
    let (master, _) = crate::raw::master(3);
    let disk = SimDisk::new();
    let (slave, _) = open(&disk, &replica(&settings(FlushType::Async)));
    let borders = borders(&log_bytes(&master), 0);
    copy(&master, &slave, &mut SimRandom::new(3), borders[1].1 + 50);
    let refused = slave
        .cut_back(PhysicalOffset(borders[1].1 + 50), NOW)
        .unwrap_err();
    assert!(matches!(refused, CutBackError::NoBorder(_)), "{refused}");
    let cut = slave.cut_back(PhysicalOffset(borders[1].1), NOW).unwrap();
    assert_eq!((cut.bytes(), cut.records, cut.units), (50, 0, 0));
    assert_eq!(slave.max_physical().0, borders[1].1);
    copy(&master, &slave, &mut SimRandom::new(3), master.max_physical().0);
    assert_eq!(seen(&slave), seen(&master));
}

/// A slave with all of a master's log, killed; where its log is cut.
fn to_be_cut(settings: &StoreSettings) -> (Store<SimDisk>, SimDisk) {
    let (master, _) = open(&SimDisk::new(), settings);
    let mut random = SimRandom::new(11);
    for number in 0..24 {
        send_some(&master, &mut random, number, NOW + i64::from(number));
    }
    let (slave, disk) = never_longer(&master, settings, (0, master.max_physical().0));
    slave.build_index().unwrap();
    slave.flush_consumequeues(0, true).unwrap();
    drop(slave);
    (master, disk.kill())
}

/// Cuts at every operation of a cut, by `way`: the next start opens a log that ends at the cut or behind it, and the same cut then
/// leaves the same as if nothing had happened.
fn cut_short(nth_to: usize, way: impl Fn(&SimDisk, u64) -> SimDisk) {
    for multi in [false, true] {
        let settings = StoreSettings {
            ext: multi,
            ext_file_size: 64,
            multi_dispatch: multi,
            lmq: true,
            consumequeue_file_size: 100,
            index_entries: 5,
            ..settings(FlushType::Async)
        };
        let (master, disk) = to_be_cut(&settings);
        let borders = borders(&log_bytes(&master), 0);
        let (to, end) = match nth_to {
            0 => (0, master.max_physical().0),
            nth => (borders[nth - 1].1, master.max_physical().0),
        };
        // What a store with so much of the log shows.
        let mut wanted: BTreeMap<i64, Seen> = BTreeMap::new();
        let mut is_as_wanted = |slave: &Store<SimDisk>, nth| {
            let end = slave.max_physical().0;
            let wanted = wanted
                .entry(end)
                .or_insert_with(|| without_empty(seen(&never_longer(&master, &settings, (0, end)).0)));
            assert_eq!(without_empty(seen(slave)), *wanted, "operation {nth}");
        };
        for nth in 1.. {
            let disk = disk.kill();
            let (slave, _) = open(&disk, &replica(&settings));
            slave.prepare_ahead(NOW, &mut || {});
            disk.fail_nth(nth);
            let result = slave.cut_back(PhysicalOffset(to), NOW);
            let is_done = disk.failed().is_none();
            assert!(
                !is_done || result.is_ok() && nth > 20,
                "{nth} operations: {result:?}"
            );
            drop(slave);
            let disk = way(&disk, nth);
            let (slave, report) = open(&disk, &replica(&settings));
            let left = slave.max_physical().0;
            assert!((to..=end).contains(&left), "operation {nth}: {left}");
            assert_eq!(report.damage.count, 0, "operation {nth}: {report:?}");
            assert_eq!(report.missing_units.queues, 0, "operation {nth}: {report:?}");
            let names = disk.paths();
            let copy = names.iter().find(|path| path.to_string_lossy().ends_with(".cut"));
            assert_eq!(copy, None, "operation {nth}");
            is_as_wanted(&slave, nth);
            slave.cut_back(PhysicalOffset(to), NOW).unwrap();
            assert_eq!(slave.max_physical().0, to);
            is_as_wanted(&slave, nth);
            if is_done {
                assert_eq!(left, to, "a cut that was answered is durable");
                break;
            }
        }
    }
}

#[test]
fn a_cut_that_a_kill_ends_is_done_or_not_and_made_good_by_the_next() {
    for nth_to in [0, 2, 17] {
        cut_short(nth_to, |disk, _| disk.kill());
    }
}

#[test]
fn a_cut_that_a_power_failure_ends_is_done_or_not_and_made_good_by_the_next() {
    for nth_to in [0, 2, 17] {
        for seed in 0..3 {
            cut_short(nth_to, |disk, nth| disk.crash(nth * 100 + seed));
        }
    }
}

#[test]
fn a_cut_that_fails_leaves_a_store_that_goes_on() {
    let settings = StoreSettings {
        consumequeue_file_size: 100,
        ..settings(FlushType::Async)
    };
    let (master, disk) = to_be_cut(&settings);
    for nth_to in [0, 2, 17] {
        let borders = borders(&log_bytes(&master), 0);
        let to = if nth_to == 0 { 0 } else { borders[nth_to - 1].1 };
        for nth in 1.. {
            let disk = disk.kill();
            let (slave, _) = open(&disk, &replica(&settings));
            slave.prepare_ahead(NOW, &mut || {});
            disk.fail_nth(nth);
            let result = slave.cut_back(PhysicalOffset(to), NOW);
            let Some(failed) = disk.failed() else {
                break;
            };
            if slave.latched().is_some() {
                assert!(
                    matches!(failed, Operation::Sync | Operation::Write | Operation::Zero),
                    "{failed:?}"
                );
                continue;
            }
            let left = slave.max_physical().0;
            let whole = never_longer(&master, &settings, (0, left)).0;
            assert_eq!(
                without_empty(seen(&slave)),
                without_empty(seen(&whole)),
                "{nth}: {result:?}"
            );
            slave.cut_back(PhysicalOffset(to), NOW + 1).unwrap();
            copy(&master, &slave, &mut SimRandom::new(nth), master.max_physical().0);
            assert_eq!(seen(&slave), seen(&master), "{nth}: {result:?}");
        }
    }
}

#[test]
fn a_full_disk_cuts_nothing() {
    let settings = settings(FlushType::Async);
    let (master, disk) = to_be_cut(&settings);
    let (slave, _) = open(&disk, &replica(&settings));
    // The last record goes, and much of its file stays.
    let borders = borders(&log_bytes(&master), 0);
    let (to, end) = *borders.iter().rfind(|(start, _)| start % FILE > 4096).unwrap();
    slave.cut_back(PhysicalOffset(end), NOW).unwrap();
    // No space for the copy that is kept; or for that, and not for the file's.
    for free in [0, end - to + 100] {
        disk.set_free(Some(free as u64));
        let refused = slave.cut_back(PhysicalOffset(to), NOW).unwrap_err();
        let error = match &refused {
            CutBackError::NotKept(error) if free == 0 => error,
            CutBackError::Disk(error) if free > 0 => error,
            _ => panic!("{free}: {refused}"),
        };
        assert!(error.is_full(), "{refused}");
    }
    assert_eq!(slave.latched(), None);
    disk.set_free(None);
    let whole = never_longer(&master, &settings, (0, end)).0;
    assert_eq!(seen(&slave), seen(&whole));
    slave.cut_back(PhysicalOffset(to), NOW).unwrap();
    assert_eq!(slave.max_physical().0, to);
}

#[test]
fn of_a_long_tail_the_first_bytes_are_kept_and_the_rest_is_told() {
    let settings = StoreSettings {
        commitlog_file_size: 4 << 20,
        max_message_size: 3 << 20,
        ..settings(FlushType::Async)
    };
    let (master, _) = open(&SimDisk::new(), &settings);
    for number in 0..14u8 {
        send_through(&master, record("A", 0, &vec![number; 1_900_000], b""), NOW);
    }
    let until = master.max_physical().0;
    let (slave, disk) = never_longer(&master, &settings, (0, until));
    let first = 1_900_000 + 92;
    let cut = slave.cut_back(PhysicalOffset(first), NOW).unwrap();
    assert_eq!(
        (cut.from.0, cut.until.0, cut.records, cut.units),
        (first, until, 13, 13)
    );
    let kept = cut.kept.as_ref().unwrap();
    assert_eq!((kept.bytes, cut.is_kept_whole()), (16 << 20, false));
    let content = disk.content(&kept.path).unwrap();
    assert_eq!(content.len(), 16 << 20);
    assert_eq!(
        content[..1000],
        log_bytes(&master)[first as usize..first as usize + 1000]
    );
    let text = cut.to_string();
    assert!(text.contains("only the first 16777216 bytes are kept"), "{text}");
    assert!(kept.path.starts_with(Path::new("/store/cut_off")));
}

#[test]
fn a_queue_whose_messages_all_go_keeps_the_next_offset() {
    let (master, _) = crate::raw::master(20);
    let settings = settings(FlushType::Async);
    let disk = SimDisk::new();
    let (slave, _) = open(&disk, &replica(&settings));
    // Its first message there is the queue's eighth.
    slave.append_raw(PhysicalOffset(FILE), &[], NOW).unwrap();
    let other = record("B", 0, b"only there", b"");
    send_through(&master, other, NOW);
    let borders = borders(&log_bytes(&master), 0);
    copy(&master, &slave, &mut SimRandom::new(1), master.max_physical().0);
    settle(&slave);
    assert_eq!(
        (slave.queue_min_offset("A", 0).0, slave.queue_max_offset("A", 0).0),
        (7, 20)
    );
    let first = borders.iter().find(|(start, _)| *start == FILE).unwrap();
    let cut = slave.cut_back(PhysicalOffset(first.1), NOW).unwrap();
    assert_eq!((cut.records, cut.units), (13, 13));
    assert_eq!(
        (slave.queue_min_offset("A", 0).0, slave.queue_max_offset("A", 0).0),
        (7, 8)
    );
    // This one's first message went.
    assert_eq!(slave.queue_bounds("B", 0), Default::default());
    assert_eq!(slave.topics(), ["A".into()]);
    // Once more, and now nothing is left of it.
    let cut = slave.cut_back(PhysicalOffset(FILE), NOW).unwrap();
    assert_eq!((cut.from.0, cut.records, slave.max_physical().0), (FILE, 1, 0));
}

/// A log of messages of one queue that say that they have these places in it.
fn log_of(places: &[i64]) -> Vec<u8> {
    let (mut log, of) = (Vec::new(), fields("A", 0, b"KEYS\x01k1\x02"));
    for (number, &queue_offset) in places.iter().enumerate() {
        let at = log.len();
        log.resize(at + of.encoded_len(), 0);
        let place = Place {
            queue_offset,
            physical_offset: at as i64,
            store_timestamp: NOW + number as i64,
        };
        of.encode(place, &mut log[at..]);
    }
    log
}

#[test]
fn places_that_records_took_from_others_go_back_to_those() {
    // Two brokers' numberings, one in the other.
    let places = [0, 1, 2, 3, 4, 0, 1, 5, 2, 6, 3, 7, 4, 8];
    let log = log_of(&places);
    let settings = StoreSettings {
        consumequeue_file_size: 100,
        ..settings(FlushType::Async)
    };
    let with = |len: usize| {
        let (slave, _) = open(&SimDisk::new(), &replica(&settings));
        slave.append_raw(PhysicalOffset(0), &log[..len], NOW).unwrap();
        settle(&slave);
        slave
    };
    for count in 0..=places.len() {
        let to = count * log.len() / places.len();
        let slave = with(log.len());
        slave.cut_back(PhysicalOffset(to as i64), NOW).unwrap();
        assert_eq!(seen(&slave), seen(&with(to)), "{count} stay");
        slave
            .append_raw(PhysicalOffset(to as i64), &log[to..], NOW)
            .unwrap();
        assert_eq!(seen(&slave), seen(&with(log.len())), "{count} stayed");
    }
}

#[test]
fn extensions_end_where_the_queues_do() {
    for ext_file_size in [64, 200, 4000] {
        let settings = StoreSettings {
            ext: true,
            ext_file_size,
            ..settings(FlushType::Async)
        };
        let (master, disk) = to_be_cut(&settings);
        let ext = |disk: &SimDisk| -> BTreeMap<_, _> {
            let mut paths = disk.paths();
            paths.retain(|path| path.starts_with("/store/consumequeue_ext"));
            paths
                .into_iter()
                .map(|path| (path.clone(), disk.content(&path)))
                .collect()
        };
        let borders = borders(&log_bytes(&master), 0);
        for (_, to) in borders.iter().rev().step_by(3) {
            let disk = disk.kill();
            let (slave, _) = open(&disk, &replica(&settings));
            slave.cut_back(PhysicalOffset(*to), NOW).unwrap();
            settle(&slave);
            let (_, other) = never_longer(&master, &settings, (0, *to));
            assert!(ext(&disk) == ext(&other), "{ext_file_size} {to}");
            // Also behind the end nothing is left that looks like a unit.
            copy(&master, &slave, &mut SimRandom::new(5), master.max_physical().0);
            assert_eq!(seen(&slave), seen(&master));
        }
    }
}

#[test]
fn what_a_former_master_appended_is_cut_with_all_that_is_known_of_it() {
    let disk = SimDisk::new();
    let (old, _) = open(&disk, &settings(FlushType::Async));
    let first = send_through(&old, record("A", 0, b"stays", b"KEYS\x01k1\x02"), NOW);
    for key in ["KEYS\x01k1\x02", "KEYS\x01k2\x02"] {
        send_through(&old, record("A", 0, b"goes", key.as_bytes()), NOW + 5);
        send_through(&old, record("B", 0, b"goes", key.as_bytes()), NOW + 6);
    }
    old.build_index().unwrap();
    drop(old);
    let (slave, _) = open(&disk.kill(), &replica(&settings(FlushType::Async)));
    let cut = slave.cut_back(first.end, NOW).unwrap();
    assert_eq!((cut.records, cut.units), (4, 4));
    // Its successor has the first message and goes on from there.
    let (new, _) = open(&SimDisk::new(), &settings(FlushType::Async));
    send_through(&new, record("A", 0, b"stays", b"KEYS\x01k1\x02"), NOW);
    let next = send_through(&new, record("A", 0, b"comes", b"KEYS\x01k2\x02"), NOW + 1);
    assert_eq!((next.queue_offset.0, next.physical_offset), (1, first.end));
    send_through(&new, record("B", 0, b"comes", b""), NOW + 1);
    slave
        .append_raw(first.end, &log_bytes(&new)[first.end.0 as usize..], NOW + 1)
        .unwrap();
    settle(&slave);
    slave.build_index().unwrap();
    let found = |key| slave.query_by_key("A", key, 64, 0, i64::MAX).unwrap();
    assert_eq!(found("k1"), [first.physical_offset]);
    assert_eq!(found("k2"), [next.physical_offset]);
    assert_eq!(slave.index_end(), (NOW + 1, next.physical_offset));
    assert_eq!(drain(&slave, "A", 0), [b"stays".to_vec(), b"comes".to_vec()]);
    assert_eq!(drain(&slave, "B", 0), [b"comes".to_vec()]);
}

#[test]
fn the_deletion_of_a_topic_does_not_reach_behind_the_cut() {
    let (master, _) = crate::raw::master(12);
    let disk = SimDisk::new();
    let settings = replica(&settings(FlushType::Async));
    let (slave, _) = open(&disk, &settings);
    copy(&master, &slave, &mut SimRandom::new(1), master.max_physical().0);
    slave.delete_topic("A").unwrap();
    let to = borders(&log_bytes(&master), 0)[4].1;
    slave.cut_back(PhysicalOffset(to), NOW).unwrap();
    copy(&master, &slave, &mut SimRandom::new(1), master.max_physical().0);
    settle(&slave);
    let there = |slave: &Store<SimDisk>| {
        drain_places(slave, "A", 0)
            .iter()
            .map(|(place, _)| *place)
            .collect::<Vec<_>>()
    };
    assert_eq!(there(&slave), (5..12).collect::<Vec<_>>());
    // And with nothing but the log.
    drop(slave);
    let disk = disk.kill();
    disk.take(Path::new("/store/checkpoint"));
    let (slave, _) = open(&disk, &settings);
    assert_eq!(there(&slave), (5..12).collect::<Vec<_>>());
}

/// Two logs with the same first 50 messages, and where those end. Then what is the one's topic A is the other's topic B, byte for
/// byte as long.
fn parted(file_size: i64) -> ([Vec<u8>; 2], usize) {
    let settings = StoreSettings {
        commitlog_file_size: file_size,
        ..settings(FlushType::Async)
    };
    let mut until = 0;
    let logs = ["A", "B"].map(|last| {
        let (master, _) = open(&SimDisk::new(), &settings);
        for number in 0..150u32 {
            let topic = if number < 50 {
                ["A", "B"][number as usize % 2]
            } else {
                last
            };
            let now = NOW + i64::from(number);
            let sent = send_through(&master, record(topic, 0, &[7; 900], b"KEYS\x01k1\x02"), now);
            until = if number < 50 { sent.end.0 as usize } else { until };
        }
        log_bytes(&master)
    });
    (logs, until)
}

/// Wants all, and does something once when it is asked first: between a look at the units and one at the log.
struct Meanwhile<F>(Mutex<Option<F>>);

impl<F> Debug for Meanwhile<F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl<F: FnOnce() + Send> Filter for Meanwhile<F> {
    fn by_unit(&self, _tags_code: i64) -> Verdict {
        let act = self.0.lock().unwrap().take();
        if let Some(act) = act {
            act();
        }
        Verdict::Wanted
    }

    fn by_record(&self, _record: &View<'_>) -> bool {
        true
    }

    fn bytes(&self) -> usize {
        0
    }
}

#[test]
fn who_reads_while_the_log_is_cut_reads_again() {
    let (logs, until) = parted(FILE);
    let (store, _) = open(&SimDisk::new(), &replica(&settings(FlushType::Async)));
    let append = |bytes: &[u8]| {
        store.append_raw(store.max_physical(), bytes, NOW).unwrap();
        store.reput(&mut |_| {}).unwrap();
    };
    append(&logs[0]);
    let cut = || {
        store.cut_back(PhysicalOffset(until as i64), NOW).unwrap();
        append(&logs[1][until..]);
    };
    let filter = Meanwhile(Mutex::new(Some(cut)));
    let (result, slices) = read_with(&store, "A", 0, 20, ALL, &filter);
    let found: Vec<_> = records(&slices)
        .iter()
        .map(|view| (view.topic().to_owned(), view.queue_offset()))
        .collect();
    let of_a: Vec<_> = (20..25).map(|offset| ("A".to_owned(), offset)).collect();
    assert_eq!(found, of_a, "{result:?}");
    assert_eq!((result.next_begin_offset.0, result.max_offset.0), (25, 25));
    assert_eq!(drain(&store, "B", 0).len(), 125);
}

#[test]
fn readers_see_messages_of_their_queue_while_the_log_is_cut_and_goes_on_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings {
        commitlog_file_size: 64 * 1024,
        consumequeue_file_size: 400,
        ..replica(&StoreSettings {
            root_dir: dir.path().to_path_buf(),
            commitlog_dirs: vec![dir.path().join("commitlog")],
            ..settings(FlushType::Async)
        })
    };
    let (logs, until) = parted(settings.commitlog_file_size);
    let (store, _) = Store::open(disk::MmapDisk::new(4), settings, NOW).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let rounds = 60;
    std::thread::scope(|scope| {
        for topic in ["A", "B"] {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                let mut reads = 0u64;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let end = store.queue_max_offset(topic, 0).0;
                    for offset in (0..end).rev().take(40) {
                        let (_, slices) = read(store, topic, 0, offset);
                        for (nth, view) in records(&slices).iter().enumerate() {
                            assert_eq!((view.topic(), view.queue_offset()), (topic, offset + nth as i64));
                        }
                        reads += 1;
                    }
                    // Positions go back, but what is found is there and has the key.
                    assert!(store.query_by_key(topic, "k1", 5, 0, i64::MAX).is_ok());
                }
                assert!(reads > 0);
            });
        }
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                store.prepare_ahead(NOW, &mut || {});
                store.flush(0).unwrap();
                store.build_index().unwrap();
                store.flush_consumequeues(0, true).unwrap();
                store.tick_retention(NOW).unwrap();
            }
        });
        for round in 0..rounds {
            let log = &logs[round % 2];
            let mut at = store.max_physical().0 as usize;
            while at < log.len() {
                let end = (at + 7000).min(log.len());
                store
                    .append_raw(PhysicalOffset(at as i64), &log[at..end], NOW)
                    .unwrap();
                while store.reput(&mut |_| {}).unwrap() {}
                at = end;
            }
            let held = store
                .raw(PhysicalOffset(until as i64), usize::MAX)
                .unwrap()
                .unwrap();
            let cut = store.cut_back(PhysicalOffset(until as i64), NOW).unwrap();
            assert_eq!((cut.records, cut.until.0), (100, log.len() as i64));
            assert!(held[..] == log[until..until + held.len()]);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    store.shutdown().unwrap();
}
