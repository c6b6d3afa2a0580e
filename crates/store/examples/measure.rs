//! How fast the store is by itself, without the network.
//!
//! ```text
//! cargo run --release -p store --example measure -- append DIR   # ASYNC_FLUSH: append, reput; one and two threads
//! cargo run --release -p store --example measure -- sync DIR     # SYNC_FLUSH beside bare write + fdatasync
//! cargo run --release -p store --example measure -- read DIR     # pulls of 32 from a hot store
//! cargo run --release -p store --example measure -- queues DIR   # 12,500 topics with 8 queues: send, stop, kill, start
//! cargo run --release -p store --example measure -- make DIR queues|deep-queues|records COUNT   # as a killed broker leaves them
//! cargo run --release -p store --example measure -- open DIR [stop]                 # how long that takes
//! ```
//!
//! DIR is made and removed, but by `make` and `open`: those are for starts beside Java's (beside-java.sh). Prints one line a figure; compare only figures of one machine and one run.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // A program to be looked at.
#![allow(clippy::disallowed_methods, reason = "a program that measures")]

use disk::{Disk, MmapDisk};
use filter::TagFilter;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::{
    FlushType, Helpers, NewRecord, Parallel, Progress, QueueOffset, ReadLimits, Store, StoreSettings,
};

const NOW: i64 = 1_700_000_000_000;

fn new<'a>(topic: &'a str, queue_id: i32, body: &'a [u8]) -> NewRecord<'a> {
    NewRecord {
        topic,
        queue_id,
        flag: 0,
        sys_flag: 0,
        born_timestamp: NOW,
        born_host: SocketAddr::from(([127, 0, 0, 1], 4000)),
        store_host: SocketAddr::from(([127, 0, 0, 1], 10911)),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties:
            b"UNIQ_KEY\x017F0000010C7818B4AAC2159A5B1B0000\x02CLUSTER\x01DefaultCluster\x02TAGS\x01TagA",
        joined: false,
    }
}

fn open(dir: &Path, flush_type: FlushType) -> Store<MmapDisk> {
    let settings = StoreSettings {
        flush_type,
        ..StoreSettings::below(dir)
    };
    Store::open(MmapDisk::default(), settings, NOW).unwrap().0
}

/// CPU seconds of this process.
/// How long each loop runs.
const MEASURED: Duration = Duration::from_secs(2);

fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let words: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (words[11].parse::<f64>().unwrap() + words[12].parse::<f64>().unwrap()) / 100.0
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// What the broker's allocate thread does.
fn prepare_until(store: &Store<MmapDisk>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        if store.needs_preparation() {
            store.prepare_ahead(NOW, &mut || {});
        } else {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

fn append(dir: &Path) {
    let body = vec![7; 1024];
    for (threads, group) in [(1, 1), (1, 16), (2, 1), (2, 16)] {
        let _ = std::fs::remove_dir_all(dir);
        let store = open(dir, FlushType::Async);
        let stop = AtomicBool::new(false);
        let sent = AtomicU64::new(0);
        let (started, cpu_before) = (Instant::now(), cpu());
        std::thread::scope(|scope| {
            scope.spawn(|| prepare_until(&store, &stop));
            for thread in 0..threads {
                let (store, stop, sent, body) = (&store, &stop, &sent, &body);
                scope.spawn(move || {
                    let mut number = thread;
                    while !stop.load(Ordering::Relaxed) {
                        let mut pending: Vec<_> = (0..group)
                            .map(|index| {
                                store
                                    .prepare(&new("BenchmarkTest", (number + index) % 8, body))
                                    .unwrap()
                            })
                            .collect();
                        number += group;
                        store.append(&mut pending, NOW);
                        store.reput(&mut |_| {}).unwrap();
                        sent.fetch_add(group as u64, Ordering::Relaxed);
                    }
                });
            }
            std::thread::sleep(Duration::from_secs(3));
            stop.store(true, Ordering::Relaxed);
        });
        let count = sent.load(Ordering::Relaxed) as f64;
        println!(
            "append {threads} threads x {group}: {:.0}/s, {:.2} CPU s per million",
            count / started.elapsed().as_secs_f64(),
            (cpu() - cpu_before) / count * 1e6
        );
    }
}

/// One thread appends, as connections do, as long as no more than so many messages wait; another syncs, and while it does
/// the next group gathers. Beside it the bare loop: a write and a sync of as many bytes as our groups had.
fn sync(dir: &Path) {
    let body = vec![7; 1024];
    for in_flight in [1u64, 64, 1024] {
        let _ = std::fs::remove_dir_all(dir);
        let store = open(dir, FlushType::Sync);
        let (stop, appended, flushed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        let mut groups = 0u64;
        let group = in_flight.min(16) as i32;
        let started = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| prepare_until(&store, &stop));
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let waiting = appended.load(Ordering::Relaxed) - flushed.load(Ordering::Acquire);
                    if waiting + group as u64 > in_flight {
                        std::thread::yield_now();
                        continue;
                    }
                    let mut pending: Vec<_> = (0..group)
                        .map(|index| store.prepare(&new("BenchmarkTest", index % 8, &body)).unwrap())
                        .collect();
                    store.append(&mut pending, NOW);
                    appended.fetch_add(group as u64, Ordering::Release);
                }
            });
            while started.elapsed() < MEASURED {
                let reached = appended.load(Ordering::Acquire);
                if reached > flushed.load(Ordering::Relaxed) {
                    store.flush(0).unwrap();
                    store.reput(&mut |_| {}).unwrap();
                    flushed.store(reached, Ordering::Release);
                    groups += 1;
                } else {
                    std::thread::yield_now();
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        let count = flushed.load(Ordering::Relaxed);
        let ours = count as f64 / started.elapsed().as_secs_f64();
        let group = count / groups;
        let group_bytes = (store.flushed().0 as u64 / groups) as usize;
        drop(store);
        println!("sync {in_flight} in flight: {ours:.0}/s in groups of {group}");
        for written in [false, true] {
            let rate = bare(&dir.join("bare"), group_bytes, written) * group as f64;
            println!(
                "  bare write + fdatasync of such groups {}: {rate:.0}/s, ours is {:.0} %",
                if written {
                    "over written blocks"
                } else {
                    "into new files"
                },
                ours / rate * 100.0
            );
        }
    }
}

/// Writes and syncs of `bytes` a second, through files of 1 GiB.
fn bare(path: &Path, bytes: usize, written: bool) -> f64 {
    const FILE: u64 = 1 << 30;
    let bytes = vec![7; bytes];
    let fresh = || {
        let _ = std::fs::remove_file(path);
        let file = File::create(path).unwrap();
        file.set_len(FILE).unwrap();
        if written {
            let zeros = vec![0; 1 << 20];
            (0..FILE >> 20).for_each(|at| file.write_all_at(&zeros, at << 20).unwrap());
        }
        file.sync_all().unwrap();
        file
    };
    let (mut file, mut at, mut count) = (fresh(), 0, 0);
    let mut spent = Duration::ZERO;
    while spent < MEASURED {
        if at + bytes.len() as u64 > FILE {
            (file, at) = (fresh(), 0);
        }
        let started = Instant::now();
        file.write_all_at(&bytes, at).unwrap();
        file.sync_data().unwrap();
        spent += started.elapsed();
        at += bytes.len() as u64;
        count += 1;
    }
    let _ = std::fs::remove_file(path);
    f64::from(count) / spent.as_secs_f64()
}

fn read(dir: &Path) {
    let _ = std::fs::remove_dir_all(dir);
    let store = open(dir, FlushType::Async);
    let body = vec![7; 1024];
    for number in 0..200_000 {
        let mut pending = [store.prepare(&new("BenchmarkTest", number % 8, &body)).unwrap()];
        store.append(&mut pending, NOW);
        store.reput(&mut |_| {}).unwrap();
    }
    let (started, cpu_before) = (Instant::now(), cpu());
    let limits = ReadLimits {
        max_messages: 32,
        max_bytes: i64::MAX,
    };
    let (mut count, mut sum) = (0u64, 0u64);
    let mut out = Vec::new();
    for round in 0..100 {
        let (queue, mut offset) = (round % 8, QueueOffset(0));
        loop {
            out.clear();
            let result = store
                .read("BenchmarkTest", queue, offset, limits, &TagFilter::All, &mut out)
                .unwrap();
            if result.count == 0 {
                break;
            }
            sum += out.iter().map(|slice| slice.len() as u64).sum::<u64>();
            count += u64::from(result.count);
            offset = result.next_begin_offset;
        }
    }
    println!(
        "read 32 a pull: {:.0}/s, {:.3} CPU s per million, {} MiB",
        count as f64 / started.elapsed().as_secs_f64(),
        (cpu() - cpu_before) / count as f64 * 1e6,
        sum >> 20
    );
}

fn queues(dir: &Path, count: usize) {
    let _ = std::fs::remove_dir_all(dir);
    let store = open(dir, FlushType::Async);
    println!("empty store: {} MiB resident", resident_mib());
    let topics: Vec<String> = (0..count / 8).map(|number| format!("Topic_{number}")).collect();
    let send_to_all = |store: &Store<MmapDisk>| {
        let started = Instant::now();
        for queue in 0..8 {
            for topic in &topics {
                let mut pending = [store.prepare(&new(topic, queue, b"hello")).unwrap()];
                store.append(&mut pending, NOW);
                pending[0].result.take().unwrap().unwrap();
                store.reput(&mut |_| {}).unwrap();
            }
        }
        println!(
            "one message to each queue: {:.2?}, {} MiB resident",
            started.elapsed(),
            resident_mib()
        );
    };
    send_to_all(&store);
    send_to_all(&store);
    let used = store.disk().list(&dir.join("consumequeue")).unwrap().len();
    println!("{used} topic directories");
    let started = Instant::now();
    store.flush(0).unwrap();
    store.flush_consumequeues(0, true).unwrap();
    println!("flush of all queues: {:.2?}", started.elapsed());
    send_to_all(&store);
    drop(store);
    for what in ["kill", "stop"] {
        let started = Instant::now();
        let settings = StoreSettings::below(dir);
        let (store, report) = Store::open(MmapDisk::default(), settings, NOW).unwrap();
        println!(
            "start after {what}: {:.2?}, {} records read, {} units built, {} MiB resident",
            started.elapsed(),
            report.records,
            report.units_built,
            resident_mib()
        );
        let started = Instant::now();
        store.shutdown().unwrap();
        println!("stop: {:.2?}", started.elapsed());
    }
}

/// Leaves a directory as a killed broker does: one message for each of COUNT queues, or forty, or COUNT messages of 1 KiB
/// in 8 queues.
fn make(dir: &Path, what: &str, count: usize) {
    let _ = std::fs::remove_dir_all(dir);
    let store = open(dir, FlushType::Async);
    let body = vec![7; 1024];
    let rounds = if what == "deep-queues" { 40 } else { 1 };
    for number in (0..rounds).flat_map(|_| 0..count) {
        let topic = match what {
            "queues" | "deep-queues" => format!("Topic_{}", number / 8),
            _ => "BenchmarkTest".to_string(),
        };
        let body = if what == "records" { &body[..] } else { &body[..5] };
        let mut pending = [store.prepare(&new(&topic, (number % 8) as i32, body)).unwrap()];
        store.append(&mut pending, NOW);
        store.reput(&mut |_| {}).unwrap();
        if store.needs_preparation() {
            store.prepare_ahead(NOW, &mut || {});
        }
    }
    store.flush(0).unwrap();
    println!("{} MiB of log", store.max_physical().0 >> 20);
}

/// A thread a task.
struct Threads;

impl Parallel for Threads {
    fn width(&self) -> usize {
        std::thread::available_parallelism().unwrap().get()
    }

    fn run<'a>(&self, tasks: Vec<Box<dyn FnOnce() + Send + 'a>>) {
        std::thread::scope(|scope| tasks.into_iter().for_each(|task| drop(scope.spawn(task))));
    }
}

fn open_and_tell(dir: &Path, stop: bool) {
    let before = resident_mib();
    let (started, cpu_before) = (Instant::now(), cpu());
    let last = Mutex::new((started, None));
    let progress = |progress: Progress| {
        let mut last = last.lock().unwrap();
        if last.1 != Some(progress.phase) || last.0.elapsed() > Duration::from_secs(1) {
            *last = (Instant::now(), Some(progress.phase));
            println!(
                "{:.2?}: {:?} {} of {}",
                started.elapsed(),
                progress.phase,
                progress.done,
                progress.total
            );
        }
    };
    let helpers = Helpers {
        parallel: &Threads,
        progress: &progress,
    };
    let settings = StoreSettings::below(dir);
    let (store, report) = Store::open_with(MmapDisk::default(), settings, NOW, &helpers).unwrap();
    println!(
        "open after {}: {:.2?}, {:.2} CPU s, {} queues, {} MiB of log read, {} records, {} units built, {} MiB more resident",
        if report.clean { "a stop" } else { "a kill" },
        started.elapsed(),
        cpu() - cpu_before,
        report.queues,
        (report.log_end - report.scan_start) >> 20,
        report.records,
        report.units_built,
        resident_mib() - before,
    );
    if stop {
        store.shutdown().unwrap();
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (what, dir) = match &arguments[..] {
        [_, what, dir] => (what, Path::new(dir)),
        [_, what, dir, kind, count] if what == "make" => {
            return make(Path::new(dir), kind, count.parse().unwrap());
        }
        [_, what, dir, stop] if what == "open" => return open_and_tell(Path::new(dir), stop == "stop"),
        _ => return println!("measure append|sync|read|queues|few-queues|make|open DIR"),
    };
    match what.as_str() {
        "open" => return open_and_tell(dir, false),
        "append" => append(dir),
        "sync" => sync(dir),
        "read" => read(dir),
        "queues" => queues(dir, 100_000),
        "few-queues" => queues(dir, 8_000),
        other => println!("{other}?"),
    }
    let _ = std::fs::remove_dir_all(dir);
}
