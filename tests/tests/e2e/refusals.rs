//! Whatever a start refuses `--check-config` refuses, with a line that names the same thing, and changes nothing: one list of bad cases
//! goes through both.

use crate::asks::{pull_all, send};
use cluster::{Broker, Flavour, NameServer, Wire, our_program};
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The exit code and everything that was said. A start that is not refused is ended after a minute.
fn run(program: &str, home: &Path, file: &Path, options: &[&str]) -> (Option<i32>, String) {
    let output = Command::new("timeout")
        .arg("60")
        .arg(our_program(program))
        .args(options)
        .arg("-c")
        .arg(file)
        .env("HOME", home)
        .env_remove("NAMESRV_ADDR")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// Both refuse, and a line of each has all the parts.
fn both_refuse(program: &str, home: &Path, file: &Path, case: &str, parts: &[&str]) {
    // A start that is refused for a setting ends with 253.
    for (options, codes) in [(&["--check-config"][..], &[1][..]), (&[], &[1, 253])] {
        let (code, said) = run(program, home, file, options);
        assert!(
            code.is_some_and(|code| codes.contains(&code)),
            "{case} {options:?} ended with {code:?}: {said}"
        );
        let named = said
            .lines()
            .any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(named, "{case} {options:?}: no line with {parts:?} in {said}");
    }
}

/// Every file and directory below, and what is in it.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
            found.insert(path, None);
        } else {
            let content = fs::read(&path).unwrap();
            found.insert(path, Some(content));
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    let _absent = fs::remove_dir_all(to);
    let status = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(status.success());
}

fn cut(path: &Path, len: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(len).unwrap();
}

/// In place of a file a folder.
fn folder(path: &Path) {
    let _absent = fs::remove_file(path);
    fs::create_dir(path).unwrap();
}

/// In place of a folder a file.
fn file(path: &Path) {
    let _absent = fs::remove_dir_all(path);
    fs::write(path, "a file").unwrap();
}

/// A broker that was stopped: its file, and its store with two log files.
fn stopped(dir: &Path) -> (PathBuf, PathBuf) {
    let namesrv = NameServer::start(Flavour::Ours, dir);
    let small = [
        ("mappedFileSizeCommitLog", "1048576"),
        ("haListenPort", &cluster::free_port().to_string()),
    ];
    let mut broker = Broker::start(Flavour::Ours, dir, "broker-a", &namesrv.address(), &small);
    let mut wire = Wire::connect(&broker.address()).unwrap();
    for _ in 0..40 {
        assert_eq!(send(&mut wire, "Sound", "0", "", &[b'x'; 40_000]).code(), 0);
    }
    assert!(broker.stop().success());
    (broker.config_file(), broker.store())
}

type Damage = Box<dyn Fn(&Path)>;

/// What can happen to a store, and what both have to name.
fn damages() -> Vec<(&'static str, Damage, Vec<&'static str>)> {
    let first = "commitlog/00000000000000000000";
    let second = "commitlog/00000000000001048576";
    vec![
        (
            "the log is gone",
            Box::new(|store| fs::remove_dir_all(store.join("commitlog")).unwrap()),
            vec![
                "there is no commitlog file in",
                "store/commitlog",
                "acceptMissingCommitLog",
            ],
        ),
        (
            "the first log file is cut",
            Box::new(move |store| cut(&store.join(first), 100_000)),
            vec![first, "has 100000 bytes"],
        ),
        (
            "the last log file is cut",
            Box::new(move |store| cut(&store.join(second), 100_000)),
            vec![second, "has 100000 bytes", "was cut short"],
        ),
        (
            "the last log file is gone",
            Box::new(move |store| fs::remove_file(store.join(second)).unwrap()),
            vec!["00000000000001048576 and what follows is missing"],
        ),
        (
            "a strange file among log files",
            Box::new(|store| fs::write(store.join("commitlog/00000000000000000002"), "ab").unwrap()),
            vec!["commitlog/00000000000000000002"],
        ),
        (
            "topics.json and its backup",
            Box::new(|store| {
                fs::write(store.join("config/topics.json"), "{").unwrap();
                fs::write(store.join("config/topics.json.bak"), "{").unwrap();
            }),
            vec!["config/topics.json can not be read", "topics.json.bak"],
        ),
        (
            "a folder where offsets belong",
            Box::new(|store| folder(&store.join("config/consumerOffset.json"))),
            vec!["config/consumerOffset.json"],
        ),
        (
            "a folder where a delay's offsets belong",
            Box::new(|store| folder(&store.join("config/delayOffset.json"))),
            vec!["config/delayOffset.json"],
        ),
        (
            "a folder where the history belongs",
            Box::new(|store| folder(&store.join("roleHistory"))),
            vec!["store/roleHistory"],
        ),
        (
            "a folder where the lock belongs",
            Box::new(|store| folder(&store.join("lock"))),
            vec!["store/lock"],
        ),
        (
            "a file where queues belong",
            Box::new(|store| file(&store.join("consumequeue"))),
            vec!["store/consumequeue"],
        ),
        (
            "a file where the index belongs",
            Box::new(|store| file(&store.join("index"))),
            vec!["store/index"],
        ),
        (
            "a file where config belongs",
            Box::new(|store| file(&store.join("config"))),
            vec!["store/config"],
        ),
    ]
}

#[test]
fn a_store_that_a_start_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, store) = stopped(dir.path());
    let sound = dir.path().join("sound");
    copy(&store, &sound);
    let (code, said) = run("broker", dir.path(), &settings, &["--check-config"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(tree(&store).len(), tree(&sound).len());
    for (case, damage, parts) in damages() {
        copy(&sound, &store);
        damage(&store);
        let before = tree(&store);
        let (code, _) = run("broker", dir.path(), &settings, &["--check-config"]);
        assert!(
            code == Some(1) && tree(&store) == before,
            "{case}: the check changes nothing"
        );
        both_refuse("broker", dir.path(), &settings, case, &parts);
    }
}

/// What is missing of a log is named, and done without where the settings say so.
#[test]
fn a_log_that_lost_its_end_is_served_where_the_settings_accept_it() {
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let small = [("mappedFileSizeCommitLog", "1048576")];
    let mut broker = Broker::start(Flavour::Ours, dir.path(), "broker-a", &namesrv.address(), &small);
    let mut wire = Wire::connect(&broker.address()).unwrap();
    for number in 0..40 {
        let body = [number; 40_000];
        assert_eq!(send(&mut wire, "Cut", "0", "", &body).code(), 0);
    }
    assert!(broker.stop().success());
    cut(&broker.store().join("commitlog/00000000000001048576"), 100_000);
    let settings = broker.config_file();
    let why =
        "00000000000001048576 has 100000 bytes, but the checkpoint says that the log in it reached byte";
    both_refuse(
        "broker",
        dir.path(),
        &settings,
        "cut",
        &[why, "acceptMissingCommitLog=true"],
    );
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text + "acceptMissingCommitLog=true\n").unwrap();
    let (code, said) = run("broker", dir.path(), &settings, &["--check-config"]);
    assert_eq!(code, Some(0), "{said}");
    broker.restart();
    broker
        .process
        .wait_for("a line about it", Duration::from_secs(20), |line| {
            line.contains(why).then_some(())
        });
    let mut wire = Wire::connect(&broker.address()).unwrap();
    let bodies = pull_all(&mut wire, "Cut", "0");
    // Twenty-six records are in the first file, and two whole ones in what is left of the second.
    let expected: Vec<_> = (0..28).map(|number| vec![number; 40_000]).collect();
    assert_eq!(bodies.len(), 28);
    assert!(bodies == expected);
    assert_eq!(send(&mut wire, "Cut", "0", "", b"next").code(), 0);
}

/// A start that fails at a port has not opened the store: the next one is one after a clean stop.
#[test]
fn a_port_that_is_taken_costs_no_recovery() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, store) = stopped(dir.path());
    let before = tree(&store);
    let text = fs::read_to_string(&settings).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for line in [format!("listenPort={port}"), format!("haListenPort={port}")] {
        fs::write(&settings, format!("{text}{line}\n")).unwrap();
        both_refuse(
            "broker",
            dir.path(),
            &settings,
            &line,
            &[&format!("127.0.0.1:{port}")],
        );
        assert!(!store.join("abort").exists() && tree(&store) == before, "{line}");
    }
}

/// Settings that are read last count, and are named by their line.
#[test]
fn settings_and_ports_that_a_start_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let conf = dir.path().join("conf");
    fs::create_dir(&conf).unwrap();
    fs::write(conf.join("plain_acl.yml"), "- a list\n").unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let root = dir.path().display();
    let free = cluster::free_port();
    let good = format!("bindAddress=127.0.0.1\nlistenPort={free}\nstorePathRootDir={root}/store\n");
    let file = dir.path().join("broker.conf");
    for (line, part) in [
        ("listenPort=many".to_owned(), "3 to 65534".to_owned()),
        ("namesrvAddr=a:1,b:2".to_owned(), "`;` separates".to_owned()),
        (
            "mappedFileSizeCommitLog=100".to_owned(),
            "mappedFileSizeCommitLog".to_owned(),
        ),
        (format!("storePathRootDir={root}/file"), format!("{root}/file")),
        (format!("listenPort={port}"), format!("127.0.0.1:{port}")),
        (format!("listenPort={}", port + 2), format!("127.0.0.1:{port}")),
        (format!("haListenPort={port}"), format!("127.0.0.1:{port}")),
        ("bindAddress=203.0.113.7".to_owned(), "203.0.113.7".to_owned()),
        (
            format!("rocketmqHome={root}\naclEnable=true"),
            "plain_acl.yml".to_owned(),
        ),
    ] {
        // No start so far has opened a store: accounts are read when it is open.
        assert!(!dir.path().join("store").exists(), "before {line}");
        fs::write(&file, format!("{good}{line}\n")).unwrap();
        both_refuse("broker", dir.path(), &file, &line, &[&part]);
        let number = good.lines().count() + line.lines().count();
        let (_, said) = run("broker", dir.path(), &file, &["--check-config"]);
        let place = format!("error: {}:{number}: ", file.display());
        assert!(
            said.lines().any(|said| said.starts_with(&place)),
            "{line}: {said}"
        );
    }
}

#[test]
fn what_a_name_server_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let root = dir.path().display();
    let free = cluster::free_port();
    let good = format!("bindAddress=127.0.0.1\nlistenPort={free}\n");
    fs::write(dir.path().join("damaged.json"), "{").unwrap();
    fs::create_dir(dir.path().join("folder.json")).unwrap();
    let file = dir.path().join("namesrv.conf");
    for (line, part) in [
        (
            format!("kvConfigPath={root}/damaged.json"),
            "damaged.json is damaged",
        ),
        (format!("kvConfigPath={root}/folder.json"), "folder.json"),
        (format!("listenPort={port}"), "listenPort"),
        ("listenPort=many".to_owned(), "1 to 65535"),
        ("bindAddress=203.0.113.7".to_owned(), "203.0.113.7"),
    ] {
        fs::write(&file, format!("{good}{line}\n")).unwrap();
        both_refuse("namesrv", dir.path(), &file, &line, &[part]);
        let (_, said) = run("namesrv", dir.path(), &file, &["--check-config"]);
        let place = format!("error: {}:3: ", file.display());
        assert!(
            said.lines().any(|said| said.starts_with(&place)),
            "{line}: {said}"
        );
    }
}
