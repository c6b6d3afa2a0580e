//! `--check-config` looks at the host, too: each test has something that is really wrong with it.

use crate::full_disk::SmallDisk;
use cluster::{Broker, Flavour, NameServer, free_port, our_program};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

/// What is said, and the exit code.
struct Checked {
    lines: Vec<String>,
    code: Option<i32>,
}

impl Checked {
    /// There is a line that starts like this and has each part.
    fn has(&self, start: &str, parts: &[&str]) {
        let found = self
            .lines
            .iter()
            .any(|line| line.starts_with(start) && parts.iter().all(|part| line.contains(part)));
        assert!(found, "no `{start}` with {parts:?} in {:#?}", self.lines);
    }

    /// The exit code goes with the errors.
    fn ends_with(&self, code: i32) {
        let errors = self
            .lines
            .iter()
            .filter(|line| line.starts_with("error: "))
            .count();
        assert_eq!(self.code, Some(code), "{:#?}", self.lines);
        assert_eq!(errors > 0, code != 0, "{:#?}", self.lines);
        let summary = self.lines.last().unwrap();
        assert!(summary.contains(&format!(": {errors} errors, ")), "{summary}");
    }
}

fn run(mut command: Command) -> Checked {
    let output = command.output().unwrap();
    // All that was found is on stdout, to be kept or searched; that there are errors is told beside it.
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    let has_errors = complaint.ends_with(" errors: the lines above that begin with `error: `\n");
    assert_eq!(has_errors, !output.status.success(), "{complaint}");
    assert_eq!(complaint.lines().count(), usize::from(has_errors), "{complaint}");
    Checked {
        lines: said.lines().map(str::to_owned).collect(),
        code: output.status.code(),
    }
}

/// A broker's settings with these lines, looked at by a program that `launcher` starts.
fn check(launcher: &[&str], dir: &Path, text: &str) -> Checked {
    let file = dir.join("broker.conf");
    fs::write(&file, text).unwrap();
    let program = our_program("broker");
    let program = program.to_str().unwrap();
    let words: Vec<&str> = launcher.iter().copied().chain([program]).collect();
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .args(["--check-config", "-c"])
        .arg(&file)
        .env("HOME", dir)
        .env_remove("NAMESRV_ADDR");
    run(command)
}

/// Settings with which nothing is wrong, on ports that are free.
fn good(dir: &Path, namesrv: &str) -> String {
    format!(
        "listenPort={}\nbindAddress=127.0.0.1\nnamesrvAddr={namesrv}\nstorePathRootDir={}/store\nmappedFileSizeCommitLog=4194304\n\
         mappedFileSizeConsumeQueue=20000\ndiskMaxUsedSpaceRatio=95\n",
        free_port(),
        dir.display()
    )
}

#[test]
fn nothing_is_wrong_where_nothing_is() {
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let checked = check(&["env"], dir.path(), &good(dir.path(), &namesrv.address()));
    checked.ends_with(0);
    checked.has("OK: ", &["broker.conf:3: name server ", "connected after"]);
    checked.has("OK: ", &["broker.conf:1: port ", "(clients)", " is free"]);
    checked.has(
        "OK: ",
        &["brokerIP1=127.0.0.1, which clients are told, is an address of this host"],
    );
    for part in ["open files: at most", "the clock says ", "storePathRootDir="] {
        assert!(
            checked.lines.iter().any(|line| line.contains(part)),
            "{part}: {:#?}",
            checked.lines
        );
    }
}

#[test]
fn the_host_is_looked_at_when_the_settings_are_right() {
    let dir = tempfile::tempdir().unwrap();
    let checked = check(&["env"], dir.path(), "listenPort=many\nnamesrvAddr=127.0.0.1:9\n");
    checked.ends_with(1);
    assert!(
        !checked
            .lines
            .iter()
            .any(|line| line.contains("name server 127.0.0.1:9"))
    );
}

#[test]
fn memory_for_a_disk_and_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let disk = SmallDisk::mount(dir.path(), &store);
    let launcher = disk.launcher();
    let launcher = launcher.each_ref().map(String::as_str);
    let text = good(dir.path(), "127.0.0.1:9");
    let checked = check(&launcher, dir.path(), &text);
    checked.ends_with(0);
    checked.has(
        "warning: ",
        &[
            "broker.conf:4: storePathRootDir=",
            "tmpfs is memory",
            "choose a folder of a disk",
        ],
    );
    checked.has(
        "OK: ",
        &["broker.conf:4: storePathRootDir=", "0 % full, 48 MiB free"],
    );

    let large = text.replace("4194304", "1073741824");
    let checked = check(&launcher, dir.path(), &large);
    checked.ends_with(0);
    checked.has(
        "warning: ",
        &["room for 43 MiB, and two files of mappedFileSizeCommitLog=1073741824 do not fit"],
    );

    disk.fill();
    let checked = check(&launcher, dir.path(), &text);
    checked.ends_with(1);
    checked.has(
        "error: ",
        &[
            "100 % full, 0 MiB free: sends are refused above diskSpaceWarningLevelRatio=90",
            "make room",
        ],
    );
}

/// What a container without a volume has for a disk.
#[test]
fn the_layer_of_a_container() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let script = "mount -t tmpfs tmpfs \"$0\" && mkdir \"$0/lower\" \"$0/upper\" \"$0/work\" \"$0/store\" && \
                  mount -t overlay -o \"lowerdir=$0/lower,upperdir=$0/upper,workdir=$0/work,userxattr\" overlay \"$0/store\" && \
                  exec \"$@\"";
    let launcher = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        script,
        root.to_str().unwrap(),
    ];
    let checked = check(&launcher, dir.path(), &good(&root, "127.0.0.1:9"));
    checked.ends_with(0);
    checked.has(
        "warning: ",
        &["overlay is the layer of a container", "mount a volume there"],
    );
}

#[test]
fn few_open_files() {
    let dir = tempfile::tempdir().unwrap();
    let limit = |limit: &str, extra: &str| {
        let script = format!("ulimit -n {limit}; exec \"$@\"");
        let launcher = ["sh", "-c", script.as_str(), "sh"];
        let text = good(dir.path(), "127.0.0.1:9") + extra;
        check(&launcher, dir.path(), &text)
    };
    let checked = limit("100", "");
    checked.ends_with(1);
    checked.has(
        "error: open files: at most 100, of these 50 connections",
        &["LimitNOFILE="],
    );
    let checked = limit("1024", "");
    checked.ends_with(0);
    checked.has(
        "warning: open files: at most 1024, of these 820 connections",
        &["ulimit -Hn"],
    );
    let checked = limit("5000", "serverConnectionsPerAddressMax=4500\n");
    checked.ends_with(0);
    checked.has(
        "warning: ",
        &[
            "broker.conf:8: open files: at most 5000",
            "lets one address have them all",
        ],
    );
}

#[test]
fn a_clock_that_is_behind_the_store() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("store")).unwrap();
    let checkpoint = fs::File::create(dir.path().join("store/checkpoint")).unwrap();
    let in_a_day = SystemTime::now() + Duration::from_secs(86_400);
    checkpoint.set_modified(in_a_day).unwrap();
    let checked = check(&["env"], dir.path(), &good(dir.path(), "127.0.0.1:9"));
    checked.ends_with(0);
    checked.has(
        "warning: the clock says ",
        &["store/checkpoint was written at ", "have a time service"],
    );
}

#[test]
fn addresses_that_are_of_no_use() {
    let dir = tempfile::tempdir().unwrap();
    let text = good(dir.path(), "127.0.0.1:9");
    // Of a network that nobody has: it is kept for documents.
    let checked = check(&["env"], dir.path(), &(text.clone() + "brokerIP1=203.0.113.7\n"));
    checked.ends_with(0);
    checked.has(
        "warning: ",
        &[
            "broker.conf:8: brokerIP1=203.0.113.7",
            "is no address of this host",
        ],
    );
    let checked = check(&["env"], dir.path(), &(text.clone() + "brokerIP1=127.0.0.3\n"));
    checked.has(
        "warning: ",
        &[
            "brokerIP1=127.0.0.3",
            "is not where the server listens: bindAddress=127.0.0.1",
        ],
    );
    let elsewhere = text.replace("127.0.0.1:9\n", "203.0.113.7:9876\n");
    let checked = check(&["env"], dir.path(), &elsewhere);
    checked.ends_with(0);
    checked.has(
        "warning: ",
        &[
            "brokerIP1=127.0.0.1",
            "is the loopback, and the name servers are on other hosts",
        ],
    );
    let checked = check(
        &["env"],
        dir.path(),
        &text.replace("bindAddress=127.0.0.1", "bindAddress=203.0.113.7"),
    );
    checked.ends_with(1);
    checked.has(
        "error: ",
        &["cannot listen on 203.0.113.7:", "change bindAddress"],
    );
}

#[test]
fn name_servers_that_do_not_answer() {
    let _alone = cluster::alone();
    let dir = tempfile::tempdir().unwrap();
    let there = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = there.local_addr().unwrap();
    let list = format!("{there};127.0.0.1:9");
    let checked = check(&["env"], dir.path(), &good(dir.path(), &list));
    checked.ends_with(0);
    checked.has("OK: ", &[&format!("name server {there}: connected")]);
    checked.has(
        "warning: ",
        &["broker.conf:3: name server 127.0.0.1:9: not reached: "],
    );

    // A network whose other end is silent.
    let script = "ip link set lo up && ip link add v0 type veth peer name v1 && ip address add 203.0.113.1/24 dev v0 && \
                  ip link set v0 up && ip link set v1 up && exec \"$@\"";
    let launcher = [
        "unshare",
        "--user",
        "--map-root-user",
        "--net",
        "sh",
        "-c",
        script,
        "sh",
    ];
    let mut servers: Vec<String> = (7..13).map(|host| format!("203.0.113.{host}:9876")).collect();
    servers.push("no.such.host.invalid:9876".to_owned());
    let started = Instant::now();
    let checked = check(&launcher, dir.path(), &good(dir.path(), &servers.join(";")));
    // All were asked at once, and for no more than a second.
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    checked.ends_with(0);
    for server in servers {
        checked.has(
            "warning: ",
            &[&format!("broker.conf:3: name server {server}: not reached: ")],
        );
    }
}

#[test]
fn ports_of_others_and_of_the_broker_that_runs() {
    let dir = tempfile::tempdir().unwrap();
    let text = good(dir.path(), "127.0.0.1:9");
    let port: u16 = text.lines().next().unwrap()["listenPort=".len()..]
        .parse()
        .unwrap();
    let other = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let checked = check(&["env"], dir.path(), &text);
    checked.ends_with(1);
    checked.has(
        "error: ",
        &[
            "broker.conf:1: ",
            &format!("cannot listen on 127.0.0.1:{port}"),
            "another process listens there",
            "change listenPort",
        ],
    );
    drop(other);

    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let broker = Broker::start(Flavour::Ours, dir.path(), "broker-a", &namesrv.address(), &[]);
    let file = dir.path().join("broker-a/conf/broker.properties");
    let text = fs::read_to_string(file).unwrap();
    let checked = check(&["env"], dir.path(), &text);
    checked.ends_with(0);
    let own = format!(
        "the server of these settings runs, and listens on {}",
        broker.address()
    );
    checked.has("OK: ", &[&own]);
    // Its store makes no other port its own.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let checked = check(
        &["env"],
        dir.path(),
        &format!("{text}listenPort={}\n", taken.port()),
    );
    checked.ends_with(1);
    checked.has("error: ", &[&format!("cannot listen on {taken}")]);
    // A free port does not make its store another's.
    let checked = check(
        &["env"],
        dir.path(),
        &format!("{text}listenPort={}\n", free_port()),
    );
    checked.ends_with(1);
    checked.has(
        "error: ",
        &["store/lock is locked: another broker runs on this store"],
    );
    // A broker with a store of its own and the same port.
    let checked = check(
        &["env"],
        dir.path(),
        &format!(
            "{text}storePathRootDir={0}/other\nstorePathCommitLog={0}/other/commitlog\n",
            dir.path().display()
        ),
    );
    checked.ends_with(1);
    checked.has("error: ", &[&format!("cannot listen on {}", broker.address())]);
    assert!(!broker.process.has_ended());
}

#[test]
fn a_name_server() {
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let port = namesrv.address();
    let port = port.rsplit_once(':').unwrap().1;
    let file = dir.path().join("namesrv.properties");
    let look = |text: &str, launcher: &[&str]| {
        fs::write(&file, text).unwrap();
        let program = our_program("namesrv");
        let words: Vec<&str> = launcher.iter().copied().chain(program.to_str()).collect();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(["--check-config", "-c"])
            .arg(&file)
            .env("HOME", dir.path());
        run(command)
    };
    let text = format!("bindAddress=127.0.0.1\nlistenPort={}\n", free_port());
    let checked = look(&text, &["env"]);
    checked.ends_with(0);
    checked.has(
        "OK: ",
        &["namesrv.properties:2: port ", "(brokers and clients)", " is free"],
    );
    checked.has("", &["kvConfigPath="]);
    let taken = format!("bindAddress=127.0.0.1\nlistenPort={port}\n");
    let checked = look(&taken, &["env"]);
    checked.ends_with(1);
    checked.has(
        "error: ",
        &["namesrv.properties:2: ", "another process listens there"],
    );
    // The one that runs was started with another file; next to it its own is as good.
    let mut command = Command::new(our_program("namesrv"));
    command
        .args(["--check-config", "-c"])
        .arg(dir.path().join("namesrv/conf/namesrv.properties"))
        .env("HOME", dir.path());
    let checked = run(command);
    checked.ends_with(0);
    checked.has("OK: ", &["the server of these settings runs"]);
    let checked = look("bindAddress=203.0.113.7\n", &["env"]);
    checked.ends_with(1);
    let checked = look(&text, &["sh", "-c", "ulimit -n 100; exec \"$@\"", "sh"]);
    checked.ends_with(1);
    checked.has("error: open files: at most 100", &[]);
}

/// Accounts that the start refuses are refused here, and nothing is made.
#[test]
fn accounts_that_make_no_sense() {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("conf");
    fs::create_dir_all(&conf).unwrap();
    let settings = format!(
        "rocketmqHome={0}\nstorePathRootDir={0}/store\nbrokerIP1=127.0.0.1\nbindAddress=127.0.0.1\nlistenPort={1}\naclEnable=true\n",
        dir.path().display(),
        free_port()
    );
    check(&[], dir.path(), &settings).ends_with(0);
    assert_eq!(fs::read_dir(&conf).unwrap().count(), 0);
    fs::write(conf.join("plain_acl.yml"), "- a list\n").unwrap();
    let checked = check(&[], dir.path(), &settings);
    checked.has("error: ", &["broker.conf:6", "plain_acl.yml:1"]);
    checked.ends_with(1);
}

#[test]
fn what_a_start_would_say_of_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("store/config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("topics.json"), "{ cut off").unwrap();
    fs::write(config.join("topics.json.bak"), r#"{"topicConfigTable":{}}"#).unwrap();
    fs::write(config.join("consumerOffset.json"), "{ cut off").unwrap();
    let checked = check(&["env"], dir.path(), &good(dir.path(), "127.0.0.1:9"));
    checked.ends_with(0);
    checked.has(
        "warning: ",
        &["config/topics.json is damaged", "its backup is used"],
    );
    checked.has(
        "warning: ",
        &["config/consumerOffset.json is damaged", "has no backup"],
    );
    assert_eq!(
        fs::read(config.join("consumerOffset.json")).unwrap(),
        b"{ cut off"
    );
}

/// A store that was copied by root, or started by root once.
#[test]
fn files_of_another_user() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let files = [
        ("commitlog/00000000000000000000", 4_194_304),
        ("consumequeue/T/0/00000000000000000000", 20_000),
    ];
    for (name, len) in files {
        let path = store.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(&path).unwrap().set_len(len).unwrap();
    }
    let text = good(dir.path(), "127.0.0.1:9");
    check(&["env"], dir.path(), &text).ends_with(0);
    let launcher: &[&str] = match fs::metadata(&store).unwrap().uid() {
        // Nothing keeps root from writing.
        0 => {
            let mut own = Command::new("chown");
            let owned = own.args(["-R", "65534:65534"]).arg(dir.path()).status();
            assert!(owned.unwrap().success());
            &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        }
        _ => &["env"],
    };
    check(launcher, dir.path(), &text).ends_with(0);
    for (name, _) in files {
        let mode = |mode| fs::set_permissions(store.join(name), fs::Permissions::from_mode(mode)).unwrap();
        mode(0o444);
        let checked = check(launcher, dir.path(), &text);
        checked.ends_with(1);
        checked.has("error: ", &[name, "Permission denied"]);
        mode(0o644);
    }
}
