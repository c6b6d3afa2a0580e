//! Makes `tests/golden/java-VERSION.gz`: what a Java master and a Java slave say to each other, recorded between them.
//!
//! `cargo run -p ha --example record -- 4.9.7 5.3.3`
//!
//! The master has two files when the slave comes, which has none. Then there are sends over file ends, silence until both
//! have sent heartbeats, a cut connection, sends without the slave, and the slave again.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a tool of its own"
)]

#[path = "../tests/recording/mod.rs"]
mod recording;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use cluster::{Broker, Flavour, NameServer, Wire};
use recording::Event;

const WITHIN: Duration = Duration::from_secs(90);
const FILE_LEN: &str = "16384";
/// Less than a message of the larger kind: records are split.
const BATCH_LEN: &str = "3000";

/// Stands between a slave and its master, and writes down what passes.
struct Tap {
    began: Instant,
    events: Mutex<Vec<Event>>,
    changed: Condvar,
    current: Mutex<Option<TcpStream>>,
}

impl Tap {
    /// Listens on the port that it gives back.
    fn start(master_port: u16) -> (Arc<Tap>, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let tap = Arc::new(Tap {
            began: Instant::now(),
            events: Mutex::new(Vec::new()),
            changed: Condvar::new(),
            current: Mutex::new(None),
        });
        let taps = Arc::clone(&tap);
        std::thread::spawn(move || {
            for slave in listener.incoming().flatten() {
                let master = TcpStream::connect((Ipv4Addr::LOCALHOST, master_port));
                let master = master.expect("the master listens for slaves");
                taps.note(Event::Connected);
                *taps.current.lock().expect("no panic") = slave.try_clone().ok();
                let (from, to, tap) = (slave.try_clone(), master.try_clone(), Arc::clone(&taps));
                let (Ok(from), Ok(to)) = (from, to) else { continue };
                std::thread::spawn(move || tap.pass(from, to, Event::Slave));
                taps.pass(master, slave, Event::Master);
            }
        });
        (tap, port)
    }

    /// Writes down before it passes on: an answer is never written before what it answers.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream, kind: fn(i64, Vec<u8>) -> Event) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            let ms = i64::try_from(self.began.elapsed().as_millis()).expect("short");
            self.note(kind(ms, buffer[..len].to_vec()));
            if to.write_all(&buffer[..len]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }

    fn note(&self, event: Event) {
        self.events.lock().expect("no panic").push(event);
        self.changed.notify_all();
    }

    fn cut(&self) {
        if let Some(slave) = self.current.lock().expect("no panic").take() {
            let _ = slave.shutdown(Shutdown::Both);
        }
    }

    fn wait(&self, what: &str, is_so: impl Fn(&[Event]) -> bool) {
        let events = self.events.lock().expect("no panic");
        let (events, timeout) = self
            .changed
            .wait_timeout_while(events, WITHIN, |events| !is_so(events))
            .expect("no panic");
        assert!(
            !timeout.timed_out(),
            "no {what} in time after {:?}",
            events.last()
        );
    }
}

/// The last report.
fn reported(events: &[Event]) -> Option<i64> {
    let last = events.iter().rev().find_map(|event| match event {
        Event::Slave(_, bytes) => Some(bytes),
        _ => None,
    })?;
    last.last_chunk().map(|bytes| i64::from_be_bytes(*bytes))
}

/// Single units without a body, from the last event of another kind on.
fn silence(events: &[Event]) -> (usize, usize) {
    let tail = events.iter().rev().map(|event| match event {
        Event::Master(_, bytes) if bytes.len() == 12 => Some((1, 0)),
        Event::Slave(_, bytes) if bytes.len() == 8 => Some((0, 1)),
        _ => None,
    });
    tail.map_while(|one| one)
        .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
}

/// Stands between a slave and its name server, and changes what that says of an address into another of the same length. (A 5.3.3
/// slave with `haMasterAddress` in its file never connects.) Gives back its port.
fn change_address(namesrv_port: u16, from: String, to: String) -> u16 {
    assert_eq!(from.len(), to.len(), "frames keep their length");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for mut slave in listener.incoming().flatten() {
            let namesrv = TcpStream::connect((Ipv4Addr::LOCALHOST, namesrv_port));
            let mut namesrv = namesrv.expect("the name server listens");
            let asks = (slave.try_clone(), namesrv.try_clone());
            let (Ok(mut asks), Ok(mut asked)) = asks else {
                continue;
            };
            std::thread::spawn(move || std::io::copy(&mut asks, &mut asked));
            let (from, to) = (from.clone(), to.clone());
            std::thread::spawn(move || {
                let mut buffer = vec![0; 1 << 20];
                while let Ok(len @ 1..) = namesrv.read(&mut buffer) {
                    let answer = &mut buffer[..len];
                    for at in 0..len.saturating_sub(from.len()) {
                        if answer[at..].starts_with(from.as_bytes()) {
                            answer[at..at + to.len()].copy_from_slice(to.as_bytes());
                        }
                    }
                    if slave.write_all(answer).is_err() {
                        break;
                    }
                }
                let _ = slave.shutdown(Shutdown::Both);
            });
        }
    });
    port
}

fn send(master: &Broker, count: usize, len: usize) {
    let mut wire = Wire::connect(&master.address()).expect("it listens");
    for index in 0..count {
        let body: Vec<u8> = (0..len).map(|at| b'a' + ((at + index) % 23) as u8).collect();
        let queue = (index % 4).to_string();
        let fields = [
            ("producerGroup", "recorder"),
            ("topic", "Recorded"),
            ("defaultTopic", "TBW102"),
            ("defaultTopicQueueNums", "4"),
            ("queueId", &queue),
            ("sysFlag", "0"),
            ("bornTimestamp", "1700000000000"),
            ("flag", "0"),
            ("properties", "KEYS\u{1}k\u{2}"),
            ("reconsumeTimes", "0"),
            ("unitMode", "false"),
            ("batch", "false"),
        ];
        let answer = wire.ask(10, &fields, &body).expect("an answer");
        assert_eq!(answer.code(), 0, "{}", answer.remark());
    }
}

fn log_end(master: &Broker) -> i64 {
    runtime(master, "commitLogMaxOffset")
}

fn runtime(master: &Broker, key: &str) -> i64 {
    let mut wire = Wire::connect(&master.address()).expect("it listens");
    let answer = wire.ask(28, &[], &[]).expect("an answer");
    let text = String::from_utf8(answer.body).expect("JSON");
    let (_, value) = text.split_once(&format!("\"{key}\":\"")).expect("it is there");
    value
        .split('"')
        .next()
        .expect("a value")
        .parse()
        .expect("a number")
}

/// Asks the master for what begins at offsets of the log: records, the middle of one, a blank tail, nothing.
fn views(master: &Broker, first: i64, log: &[u8], end: i64) -> Vec<Event> {
    let mut offsets = vec![first + 100, end - 1, end, end + 100_000, -1, i64::MAX];
    let mut at = 0;
    while let Some(head) = log[at..].first_chunk::<4>()
        && first + (at as i64) < end
    {
        offsets.push(first + at as i64);
        at += u32::from_be_bytes(*head) as usize;
    }
    let mut views = Vec::new();
    for offset in offsets {
        let mut wire = Wire::connect(&master.address()).expect("it listens");
        let answer = wire
            .ask(33, &[("offset", &offset.to_string())], &[])
            .expect("an answer");
        views.push(Event::View(offset, (answer.code() == 0).then_some(answer.body)));
    }
    views
}

fn record(version: &'static str) -> Vec<Event> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let java = Flavour::Java(version);
    let namesrv = NameServer::start(java, dir.path());
    let both = [
        ("mappedFileSizeCommitLog", FILE_LEN),
        ("haTransferBatchSize", BATCH_LEN),
    ];
    let mut master = Broker::start(java, &dir.path().join("m"), "pair", &namesrv.address(), &both);
    send(&master, 90, 200);
    let (tap, port) = Tap::start(master.port + 1);
    let addresses = [master.port + 1, port].map(|port| format!("127.0.0.1:{port}"));
    let [true_address, taps_address] = addresses;
    let namesrv_port = change_address(namesrv.port, true_address, taps_address);
    let of_slave = [("brokerId", "1"), ("brokerRole", "SLAVE")];
    let tuning = [&both[..], &of_slave].concat();
    let namesrv_address = format!("127.0.0.1:{namesrv_port}");
    let mut slave = Broker::start(java, &dir.path().join("s"), "pair", &namesrv_address, &tuning);
    let caught_up = |what: &str| {
        let end = log_end(&master);
        tap.wait(what, |events| reported(events) == Some(end));
    };
    caught_up("slave");
    send(&master, 60, 300);
    send(&master, 3, 5000);
    caught_up("copy");
    tap.wait("heartbeats", |events| {
        silence(events).0 >= 2 && silence(events).1 >= 2
    });
    tap.cut();
    send(&master, 20, 300);
    caught_up("slave after the cut");
    send(&master, 1, 300);
    caught_up("last copy");
    let mut events = tap.events.lock().expect("no panic").clone();
    let end = log_end(&master);
    events.push(Event::Min(runtime(&master, "commitLogMinOffset")));
    events.push(Event::End(end));
    let files = slave.store().join("commitlog");
    slave.stop();
    let mut names: Vec<_> = fs::read_dir(&files)
        .expect("a log")
        .flatten()
        .map(|file| file.path())
        .collect();
    names.sort();
    let mut log = Vec::new();
    let mut first = None;
    for file in names {
        let offset = file.file_name().and_then(|name| name.to_str()?.parse().ok());
        let offset: i64 = offset.expect("an offset");
        let bytes = fs::read(&file).expect("a file");
        first.get_or_insert(offset);
        log.extend_from_slice(&bytes);
        events.push(Event::File(offset, bytes));
    }
    events.extend(views(&master, first.expect("a file"), &log, end));
    master.stop();
    events
}

fn main() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for version in std::env::args().skip(1) {
        let version: &'static str = version.leak();
        let events = record(version);
        let file = golden.join(format!("java-{version}.gz"));
        fs::write(&file, recording::write(&events)).expect("a writable folder");
        eprintln!("{}: {} entries", file.display(), events.len());
    }
}
