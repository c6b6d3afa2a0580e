//! A file system that is really full, under a broker: a tmpfs in a mount namespace of its own, which no privilege is
//! needed for where the kernel allows user namespaces.

use cluster::{Answer, Broker, Flavour, NameServer, Process, Wire};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SEND: i32 = 10;
const PULL: i32 = 11;
const QUERY_CONSUMER_OFFSET: i32 = 14;
const UPDATE_CONSUMER_OFFSET: i32 = 15;
const RUNTIME_INFO: i32 = 28;
const HEART_BEAT: i32 = 34;
const SYSTEM_ERROR: i64 = 1;
const SERVICE_NOT_AVAILABLE: i64 = 14;
const TOPIC: &str = "Full";
/// How long the broker may take to notice that space is gone, or has come back.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);
const START: Duration = Duration::from_secs(20);

/// A small file system at a folder, seen by those who join its namespace.
pub(crate) struct SmallDisk {
    holder: Process,
    at: PathBuf,
}

impl SmallDisk {
    pub(crate) fn mount(dir: &Path, at: &Path) -> SmallDisk {
        std::fs::create_dir_all(at).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
        command.args([
            "mount -t tmpfs -o size=48m tmpfs \"$1\" && echo mounted && exec cat",
            "sh",
        ]);
        command.arg(at);
        let holder = Process::start("a small file system", command, &dir.join("disk.out"));
        // What is missing where this fails: unshare (util-linux), or a kernel that lets this user make namespaces. The
        // message has what unshare and mount said.
        holder.wait_for("mounted", START, |line| (line == "mounted").then_some(()));
        SmallDisk {
            holder,
            at: at.to_owned(),
        }
    }

    /// What a broker is started by that has it.
    pub(crate) fn launcher(&self) -> [String; 7] {
        let pid = self.holder.pid().to_string();
        [
            "nsenter",
            "--preserve-credentials",
            "--user",
            "--mount",
            "--target",
            &pid,
            "--",
        ]
        .map(str::to_owned)
    }

    /// Its files as this process sees them.
    pub(crate) fn path(&self) -> PathBuf {
        let inside = self.at.strip_prefix("/").unwrap();
        Path::new("/proc")
            .join(self.holder.pid().to_string())
            .join("root")
            .join(inside)
    }

    /// Takes all space there is.
    pub(crate) fn fill(&self) {
        let mut ballast = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path().join("ballast"))
            .unwrap();
        let mut block = 1 << 20;
        while block > 0 {
            match ballast.write(&vec![0; block]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => block /= 2,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Gives it back.
    pub(crate) fn clear(&self) {
        std::fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

/// Sends one message of `len` bytes; its body starts with `number`.
fn send(wire: &mut Wire, number: usize, len: usize) -> Answer {
    let fields = [
        ("producerGroup", "g"),
        ("topic", TOPIC),
        ("defaultTopic", "TBW102"),
        ("defaultTopicQueueNums", "1"),
        ("queueId", "0"),
        ("sysFlag", "0"),
        ("bornTimestamp", "1700000000000"),
        ("flag", "0"),
        ("properties", "KEYS\u{1}k\u{2}"),
        ("reconsumeTimes", "0"),
        ("unitMode", "false"),
    ];
    let mut body = format!("{number} ").into_bytes();
    body.resize(len, b'.');
    wire.ask(SEND, &fields, &body).unwrap()
}

/// Numbers of all messages in the queue, in order.
fn pull_all(wire: &mut Wire) -> Vec<usize> {
    let mut numbers = Vec::new();
    let mut offset = 0i64;
    loop {
        let text = offset.to_string();
        let fields = [
            ("consumerGroup", "g"),
            ("topic", TOPIC),
            ("queueId", "0"),
            ("queueOffset", text.as_str()),
            ("maxMsgNums", "32"),
            ("sysFlag", "4"),
            ("commitOffset", "0"),
            ("suspendTimeoutMillis", "0"),
            ("subscription", "*"),
            ("subVersion", "0"),
        ];
        let answer = wire.ask(PULL, &fields, b"").unwrap();
        if answer.code() != 0 {
            return numbers;
        }
        let mut rest = &answer.body[..];
        while !rest.is_empty() {
            let total = i32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            // Body length at 84 and body behind it, with an IPv4 born and store host.
            let body = &rest[88..];
            let word = body.split(|byte| *byte == b' ').next().unwrap();
            numbers.push(std::str::from_utf8(word).unwrap().parse().unwrap());
            rest = &rest[total..];
        }
        offset = answer.field("nextBeginOffset").unwrap().parse().unwrap();
    }
}

/// Sends until an answer has this code, which must be soon; numbers that were stored meanwhile go to `stored`.
fn send_until(wire: &mut Wire, code: i64, next: &mut usize, stored: &mut Vec<usize>) -> Answer {
    let started = Instant::now();
    loop {
        let answer = send(wire, *next, 1000);
        if answer.code() == 0 {
            stored.push(*next);
        }
        *next += 1;
        if answer.code() == code {
            return answer;
        }
        let waited = started.elapsed();
        assert!(
            waited < NOTICED_WITHIN,
            "{} {} after {waited:?}",
            answer.code(),
            answer.remark()
        );
    }
}

fn fill_and_recover(flush: &str) {
    let _alone = cluster::alone();
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(dir.path(), &dir.path().join("broker-a/store"));
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let launcher = disk.launcher();
    let tuning = [
        ("flushDiskType", flush),
        ("mappedFileSizeCommitLog", "4194304"),
        ("maxHashSlotNum", "1000"),
        ("maxIndexNum", "4000"),
    ];
    let mut broker = Broker::start_under(
        &launcher.each_ref().map(String::as_str),
        Flavour::Ours,
        (dir.path(), "broker-a"),
        "broker-a",
        &namesrv.address(),
        &tuning,
    );
    let mut wire = Wire::connect(&broker.address()).unwrap();
    let (mut next, mut stored) = (0, Vec::new());
    for _ in 0..100 {
        assert_eq!(send(&mut wire, next, 20_000).code(), 0);
        stored.push(next);
        next += 1;
    }

    disk.fill();
    // Until the level is noticed, sends run into the file system's own end: refused one by one, and nothing dies.
    let started = Instant::now();
    let refusal = loop {
        let answer = send(&mut wire, next, 60_000);
        match answer.code() {
            0 => stored.push(next),
            SERVICE_NOT_AVAILABLE => break answer,
            SYSTEM_ERROR => assert!(
                answer.remark().contains("create mapped file failed"),
                "{}",
                answer.remark()
            ),
            other => panic!("{other} {}", answer.remark()),
        }
        next += 1;
        assert!(
            started.elapsed() < NOTICED_WITHIN,
            "{} {}",
            answer.code(),
            answer.remark()
        );
    };
    let place = format!("the disk of {}", dir.path().join("broker-a/store").display());
    assert!(refusal.remark().contains(&place), "{}", refusal.remark());
    assert!(
        refusal.remark().contains("100 % full, writes stop above 90 %"),
        "{}",
        refusal.remark()
    );
    let info = wire.ask(RUNTIME_INFO, &[], b"").unwrap();
    assert!(String::from_utf8_lossy(&info.body).contains("100 % full"));
    let beat = wire
        .ask(
            HEART_BEAT,
            &[],
            br#"{"clientID":"c","producerDataSet":[{"groupName":"g"}]}"#,
        )
        .unwrap();
    assert_eq!(beat.code(), 0, "{}", beat.remark());
    let seen: BTreeSet<usize> = pull_all(&mut wire).into_iter().collect();
    let lost: Vec<_> = stored[..100]
        .iter()
        .filter(|number| !seen.contains(number))
        .collect();
    assert_eq!(
        lost, [&0usize; 0],
        "what was there before is read while the disk is full"
    );

    broker.process.wait_for("the log to say so", START, |line| {
        (line.contains("sends are refused") && line.contains(&place)).then_some(())
    });

    disk.clear();
    send_until(&mut wire, 0, &mut next, &mut stored);
    broker.process.wait_for("the log to say so", START, |line| {
        line.contains("sends are taken again").then_some(())
    });
    for _ in 0..50 {
        assert_eq!(send(&mut wire, next, 20_000).code(), 0);
        stored.push(next);
        next += 1;
    }
    assert_eq!(
        pull_all(&mut wire),
        stored,
        "all that was acknowledged, and nothing else"
    );

    // Killed while it is full.
    disk.fill();
    send_until(&mut wire, SERVICE_NOT_AVAILABLE, &mut next, &mut stored);
    broker.kill();
    disk.clear();
    broker.restart();
    let mut wire = Wire::connect(&broker.address()).unwrap();
    assert_eq!(pull_all(&mut wire), stored);
    assert_eq!(send(&mut wire, next, 100).code(), 0);
    stored.push(next);
    next += 1;

    // Stopped while it is full.
    disk.fill();
    send_until(&mut wire, SERVICE_NOT_AVAILABLE, &mut next, &mut stored);
    let group = [("consumerGroup", "g"), ("topic", TOPIC), ("queueId", "0")];
    let commit = [&group[..], &[("commitOffset", "7")]].concat();
    assert_eq!(wire.ask(UPDATE_CONSUMER_OFFSET, &commit, b"").unwrap().code(), 0);
    // The offset is on the disk, in the room of the log file made ahead, or whoever stops the broker hears that it is not.
    let is_saved = broker.stop().success();
    let lines = broker.process.lines();
    let offsets = |line: &String| {
        line.starts_with("not everything is on the disk") && line.contains("consumerOffset.json")
    };
    assert!(is_saved != lines.iter().any(offsets), "{lines:#?}");
    // Messages whose queue units found no space wait for the next start to build them.
    disk.clear();
    broker.restart();
    let mut wire = Wire::connect(&broker.address()).unwrap();
    assert_eq!(pull_all(&mut wire), stored);
    let asked = wire.ask(QUERY_CONSUMER_OFFSET, &group, b"").unwrap();
    let known = asked.field("offset");
    assert!(!is_saved || known == Some("7"), "{known:?} {}", asked.remark());

    // With space, a stop is a clean one again.
    assert!(broker.stop().success());
    broker.restart();
    let clean = "store opened after a clean stop";
    broker
        .process
        .wait_for(clean, START, |line| line.contains(clean).then_some(()));
    let mut wire = Wire::connect(&broker.address()).unwrap();
    assert_eq!(pull_all(&mut wire), stored);
    assert_eq!(send(&mut wire, next, 100).code(), 0);
    assert!(broker.stop().success());
}

#[test]
fn a_full_disk_refuses_sends_and_loses_nothing() {
    fill_and_recover("ASYNC_FLUSH");
}

#[test]
fn a_full_disk_refuses_sends_and_loses_nothing_under_sync_flush() {
    fill_and_recover("SYNC_FLUSH");
}

/// A tmpfs gives a page to what was never written when that is read. It has none left for the rest of a log file that is larger than all of
/// it: a broker that was killed finds the end of its log all the same.
#[test]
fn a_start_finds_the_end_of_the_log_where_holes_get_no_page() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(dir.path(), &dir.path().join("broker-a/store"));
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let launcher = disk.launcher();
    let mut broker = Broker::start_under(
        &launcher.each_ref().map(String::as_str),
        Flavour::Ours,
        (dir.path(), "broker-a"),
        "broker-a",
        &namesrv.address(),
        // The usual size.
        &[("mappedFileSizeCommitLog", "1073741824")],
    );
    let mut wire = Wire::connect(&broker.address()).unwrap();
    let (mut next, mut stored) = (0, Vec::new());
    for _ in 0..10 {
        assert_eq!(send(&mut wire, next, 1000).code(), 0);
        stored.push(next);
        next += 1;
    }
    for _ in 0..3 {
        broker.kill();
        disk.fill();
        broker.restart();
        let mut wire = Wire::connect(&broker.address()).unwrap();
        assert_eq!(pull_all(&mut wire), stored);
        disk.clear();
        send_until(&mut wire, 0, &mut next, &mut stored);
        assert_eq!(pull_all(&mut wire), stored);
    }
}
