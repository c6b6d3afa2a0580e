//! The scripts of `bin/`, in a folder laid out as a release, and the files of guides.

use crate::check::*;
use cluster::{Client, Flavour, NameServer, Process, free_port, our_program, repository};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(30);

/// A release folder, with a space in its name, and a home for what runs in it.
struct Release {
    dir: tempfile::TempDir,
    _turn: cluster::Turn,
}

impl Release {
    fn new() -> Release {
        let dir = tempfile::Builder::new()
            .prefix("rocketmq release-")
            .tempdir()
            .unwrap();
        let root = dir.path().join("rocketmq");
        for folder in ["bin", "lib", "conf"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for entry in fs::read_dir(repository().join("bin")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, root.join("bin").join(path.file_name().unwrap())).unwrap();
        }
        for program in ["namesrv", "broker"] {
            fs::copy(our_program(program), root.join("lib").join(program)).unwrap();
        }
        Release {
            dir,
            _turn: cluster::Turn::begin(),
        }
    }

    fn bin(&self) -> PathBuf {
        self.dir.path().join("rocketmq/bin")
    }

    fn command(&self, script: &Path) -> Command {
        let mut command = Command::new("sh");
        command
            .arg(script)
            .env("HOME", self.dir.path())
            .env_remove("NAMESRV_ADDR")
            .env_remove("ROCKETMQ_HOME");
        command.env("ROCKETMQ_LOG_TO", self.dir.path().join("logs"));
        command
    }

    /// Writes a properties file.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join("rocketmq/conf").join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn namesrv(&self) -> (Process, String) {
        let port = free_port();
        let file = self.file(
            "namesrv.properties",
            &format!("listenPort={port}\nbindAddress=127.0.0.1\n"),
        );
        // As guides do it: from inside bin/.
        let mut command = self.command(Path::new("mqnamesrv"));
        command.current_dir(self.bin()).arg("-c").arg(file);
        let process = Process::start("mqnamesrv", command, &self.dir.path().join("namesrv.out"));
        process.wait_for("boot success", WAIT, |line| {
            (line == "The Name Server boot success. serializeType=JSON").then_some(())
        });
        (process, format!("127.0.0.1:{port}"))
    }

    fn broker(&self, name: &str, namesrv: &str, extra: &[&str]) -> Process {
        self.broker_of((name, name), namesrv, extra)
    }

    /// A broker that is started with a file of another name than its own.
    fn broker_of(&self, (file, name): (&str, &str), namesrv: &str, extra: &[&str]) -> Process {
        let port = free_port();
        let store = self.dir.path().join(format!("store-{file}"));
        let text = format!(
            "brokerName={name}\nlistenPort={port}\nbindAddress=127.0.0.1\nbrokerIP1=127.0.0.1\nstorePathRootDir={}\n\
             mappedFileSizeCommitLog=16777216\n",
            store.display()
        );
        let file = self.file(&format!("{file}.properties"), &text);
        let mut command = self.command(&self.bin().join("mqbroker"));
        command
            .current_dir(self.dir.path())
            .arg("-n")
            .arg(namesrv)
            .arg("-c")
            .arg(file)
            .args(extra);
        let process = Process::start(name, command, &self.dir.path().join(format!("{name}.out")));
        let expected = format!(
            "The broker[{name}, 127.0.0.1:{port}] boot success. serializeType=JSON and name server is {namesrv}"
        );
        process.wait_for(&expected, WAIT, |line| (line == expected).then_some(()));
        process
    }

    fn shutdown(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = self
            .command(&self.bin().join("mqshutdown"))
            .args(args)
            .output()
            .unwrap();
        (output.status.code(), text(&output))
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn start_and_shut_down() {
    let release = Release::new();
    // What else runs on this host follows.
    for (server, said) in [
        ("broker", "No mqbroker running.\n"),
        ("namesrv", "No mqnamesrv running.\n"),
    ] {
        let (code, text) = release.shutdown(&[server]);
        assert!(code == Some(255) && text.starts_with(said), "{code:?} {text}");
    }

    let (namesrv, address) = release.namesrv();
    let (one, two, three) = (
        release.broker("broker-a", &address, &[]),
        release.broker("broker-b", &address, &["autoCreateTopicEnable=true"]),
        release.broker("broker-c", &address, &[]),
    );
    // The script has become the server: a supervisor sees one process and signals reach it.
    let exe = fs::read_link(format!("/proc/{}/exe", one.pid())).unwrap();
    assert_eq!(
        exe,
        release
            .dir
            .path()
            .canonicalize()
            .unwrap()
            .join("rocketmq/lib/broker")
    );
    assert!(
        two.lines()
            .iter()
            .any(|line| line.contains("argument `autoCreateTopicEnable=true` has no effect"))
    );
    let log = fs::read_to_string(release.dir.path().join("logs/broker.log")).unwrap();
    assert!(log.contains(" INFO ") && log.contains("boot success"), "{log}");

    let (code, said) = release.shutdown(&["broker", "nobody"]);
    assert_eq!(code, Some(255), "{said}");
    assert!(
        said.starts_with("No mqbroker named \"nobody\" running. From "),
        "{said}"
    );
    for (name, process) in [("broker-a", &one), ("broker-b", &two), ("broker-c", &three)] {
        let line = format!("  {}: {name}, port ", process.pid());
        let line = said
            .lines()
            .find(|said| said.starts_with(&line))
            .unwrap_or_else(|| panic!("{said}"));
        assert!(
            line.ends_with(&format!("rocketmq/conf/{name}.properties")),
            "{line}"
        );
    }
    let (code, said) = release.shutdown(&["broker", "broker-b"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with(&format!(
        "The mqbroker({0}) is running...\nSend shutdown request to mqbroker({0}) OK\n",
        two.pid()
    )));
    assert!(
        said.ends_with(&format!("The mqbroker({}) has stopped.\n", two.pid())),
        "{said}"
    );
    assert_eq!(two.wait_exit(WAIT).code(), Some(0));
    assert!(!one.has_ended() && !three.has_ended() && !namesrv.has_ended());

    assert_eq!(release.shutdown(&["broker"]).0, Some(0));
    assert_eq!(
        (one.wait_exit(WAIT).code(), three.wait_exit(WAIT).code()),
        (Some(0), Some(0))
    );
    assert!(!namesrv.has_ended());
    assert_eq!(release.shutdown(&["namesrv"]).0, Some(0));
    assert_eq!(namesrv.wait_exit(WAIT).code(), Some(0));
}

/// It may be the only master by now: who stops the old one first must not stop it.
#[test]
fn a_broker_with_a_slaves_file_is_not_stopped_for_its_masters_name() {
    let release = Release::new();
    let (namesrv, address) = release.namesrv();
    let promoted = release.broker_of(("broker-a-s", "broker-a"), &address, &[]);
    let (code, said) = release.shutdown(&["broker", "broker-a"]);
    assert_eq!(code, Some(255), "{said}");
    assert!(
        said.starts_with("No mqbroker named \"broker-a\" running.") && said.contains("broker-a-s.properties"),
        "{said}"
    );
    assert!(!promoted.has_ended());
    assert_eq!(release.shutdown(&["broker", "broker-a-s"]).0, Some(0));
    assert_eq!(promoted.wait_exit(WAIT).code(), Some(0));
    // Any other file says nothing of a role.
    let other = release.broker_of(("mine", "broker-a"), &address, &[]);
    assert_eq!(release.shutdown(&["broker", "broker-a"]).0, Some(0));
    assert_eq!(other.wait_exit(WAIT).code(), Some(0));
    assert_eq!(release.shutdown(&["namesrv"]).0, Some(0));
    assert_eq!(namesrv.wait_exit(WAIT).code(), Some(0));
}

/// What `mqshutdown` says of a broker that it does not stop.
fn told_of_others(said: &str, pid: u32) -> String {
    let head = format!("  {pid}");
    let line = said.lines().find(|line| line.starts_with(&head));
    assert!(said.starts_with("No mqbroker running.\nNone from "), "{said}");
    line.unwrap_or_else(|| panic!("{pid} is not named: {said}"))
        .to_owned()
}

/// An upgrade by a link: the broker runs from the folder that the link pointed to before.
#[test]
fn shut_down_after_the_link_was_switched() {
    let release = Release::new();
    let (_namesrv, address) = release.namesrv();
    let broker = release.broker("broker-a", &address, &[]);
    let new = Release::new();
    let (code, said) = new.shutdown(&["broker"]);
    assert_eq!(code, Some(255));
    let line = told_of_others(&said, broker.pid());
    let (_, command) = line.split_once("to stop it: ").unwrap();
    let old = release.dir.path().canonicalize().unwrap().join("rocketmq");
    assert_eq!(command, format!("sh '{}/bin/mqshutdown' broker", old.display()));
    assert!(!broker.has_ended());
    let ran = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(ran.status.success(), "{}", text(&ran));
    assert_eq!(broker.wait_exit(WAIT).code(), Some(0));

    let broker = release.broker("broker-b", &address, &[]);
    fs::remove_dir_all(old).unwrap();
    let line = told_of_others(&new.shutdown(&["broker", "broker-b"]).1, broker.pid());
    assert!(
        line.ends_with(&format!("if it is a mqbroker, kill {}", broker.pid())),
        "{line}"
    );
}

/// A broker whose program the caller cannot see: of another user where the tests run as root, else of the user outside a name
/// space.
#[test]
fn shut_down_by_another_user() {
    let release = Release::new();
    let (_namesrv, address) = release.namesrv();
    let broker = release.broker("broker-a", &address, &[]);
    fs::set_permissions(release.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let root = fs::metadata(format!("/proc/{}", broker.pid())).unwrap().uid() == 0;
    let (launcher, owner): (&[&str], _) = if root {
        (
            &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
            (" of user root runs ", "as root: sh '"),
        )
    } else {
        (&["unshare", "--user", "--map-root-user"], (" runs ", "sh '"))
    };
    let mut command = Command::new(launcher[0]);
    command.args(&launcher[1..]).arg("sh");
    command.arg(release.bin().join("mqshutdown")).arg("broker");
    let output = command.output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(255), "{said}");
    let line = told_of_others(&said, broker.pid());
    let bin = release.bin();
    let expected = format!(
        "  {}{}{}/lib/broker; to stop it: {}{}/mqshutdown' broker",
        broker.pid(),
        owner.0,
        bin.parent().unwrap().display(),
        owner.1,
        bin.display()
    );
    assert_eq!(line, expected);
    assert!(!broker.has_ended());
}

/// A container may have another release at the path that this one has on the host.
#[test]
fn a_broker_with_a_root_of_its_own_is_not_stopped() {
    let (release, image) = (Release::new(), Release::new());
    let (namesrv, address) = release.namesrv();
    let port = free_port();
    let file = release.file(
        "inside.properties",
        &format!(
            "brokerName=inside\nlistenPort={port}\nbindAddress=127.0.0.1\nbrokerIP1=127.0.0.1\nnamesrvAddr={address}\n\
             storePathRootDir={}\nmappedFileSizeCommitLog=16777216\n",
            release.dir.path().join("store-inside").display()
        ),
    );
    fs::copy(&file, image.dir.path().join("rocketmq/conf/inside.properties")).unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
        .arg(r#"mount --bind "$1" "$2" && exec sh "$2/bin/mqbroker" -c "$2/conf/inside.properties""#)
        .arg("sh")
        .arg(image.dir.path().join("rocketmq"))
        .arg(release.dir.path().join("rocketmq"))
        .env("HOME", image.dir.path())
        .env("ROCKETMQ_LOG_TO", image.dir.path().join("logs"))
        .env_remove("ROCKETMQ_HOME");
    let inside = Process::start("inside", command, &release.dir.path().join("inside.out"));
    inside.wait_for("boot success", WAIT, |line| {
        line.contains("boot success").then_some(())
    });
    let (code, said) = release.shutdown(&["broker"]);
    assert_eq!(code, Some(255), "{said}");
    let line = told_of_others(&said, inside.pid());
    assert!(line.contains("a root of its own"), "{line}");
    assert!(!inside.has_ended());
    // The host's own is stopped, and it alone.
    let outside = release.broker("outside", &address, &[]);
    let (code, said) = release.shutdown(&["broker"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(outside.wait_exit(WAIT).code(), Some(0));
    assert!(!inside.has_ended());
    assert_eq!(release.shutdown(&["namesrv"]).0, Some(0));
    assert_eq!(namesrv.wait_exit(WAIT).code(), Some(0));
}

/// Settings are read from the file as it is now; a process is what it was started as.
#[test]
fn a_file_that_is_gone_or_changed_stops_no_other_broker() {
    let release = Release::new();
    let (namesrv, address) = release.namesrv();
    let broker = release.broker("broker-a", &address, &[]);
    let file = release.bin().with_file_name("conf").join("broker-a.properties");
    let text = fs::read_to_string(&file).unwrap();
    let port_of = |text: &str| -> u16 {
        let line = text.lines().find_map(|line| line.strip_prefix("listenPort="));
        line.unwrap().parse().unwrap()
    };
    let port = port_of(&text);
    fs::rename(&file, file.with_extension("moved")).unwrap();
    let (code, said) = release.shutdown(&["broker", ""]);
    assert_eq!(code, Some(255), "{said}");
    assert!(!broker.has_ended());
    let other = free_port();
    fs::write(
        &file,
        text.replace(&format!("listenPort={port}"), &format!("listenPort={other}")),
    )
    .unwrap();
    let (code, said) = release.shutdown(&["broker", &other.to_string()]);
    assert_eq!(code, Some(255), "{said}");
    assert!(said.contains(&format!("broker-a, port {port}, ")), "{said}");
    assert!(!broker.has_ended());
    let (code, said) = release.shutdown(&["broker", &port.to_string()]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(broker.wait_exit(WAIT).code(), Some(0));
    assert_eq!(release.shutdown(&["namesrv"]).0, Some(0));
    assert_eq!(namesrv.wait_exit(WAIT).code(), Some(0));
}

/// Java's servers have scripts of their own.
#[test]
fn shut_down_where_java_runs() {
    let cluster = cluster::Cluster::of(Flavour::Ours, Flavour::Java("5.3.3"), &[]);
    let line = told_of_others(
        &Release::new().shutdown(&["broker"]).1,
        cluster.broker.process.pid(),
    );
    assert!(
        line.contains("it is Java's; its own mqshutdown, or kill "),
        "{line}"
    );
}

#[test]
fn scripts_find_their_programs_through_links() {
    let release = Release::new();
    let link = release.dir.path().join("link to mqbroker");
    std::os::unix::fs::symlink("rocketmq/bin/mqbroker", &link).unwrap();
    for (script, dir) in [
        (link, release.dir.path().to_owned()),
        (PathBuf::from("mqbroker"), release.bin()),
        (
            PathBuf::from("../bin/mqbroker"),
            release.dir.path().join("rocketmq/conf"),
        ),
    ] {
        let output = release
            .command(&script)
            .current_dir(dir)
            .arg("-m")
            .output()
            .unwrap();
        assert!(
            text(&output).contains("brokerClusterName=DefaultCluster"),
            "{}: {}",
            script.display(),
            text(&output)
        );
    }
    fs::remove_dir_all(release.dir.path().join("rocketmq/lib")).unwrap();
    let output = release.command(&release.bin().join("mqbroker")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("cargo build --release"),
        "{}",
        text(&output)
    );
}

#[test]
fn a_home_that_is_not_there_is_told_of_and_the_own_one_taken() {
    let release = Release::new();
    let misspelt = release.dir.path().join("rocketMq");
    let output = release
        .command(&release.bin().join("mqbroker"))
        .env("ROCKETMQ_HOME", &misspelt)
        .arg("-p")
        .output()
        .unwrap();
    let home = release.dir.path().join("rocketmq");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said,
        format!(
            "warning: ROCKETMQ_HOME={} is no folder; {} is taken\n",
            misspelt.display(),
            home.display()
        )
    );
    let printed = String::from_utf8(output.stdout).unwrap();
    let line = format!("rocketmqHome={}", home.display());
    assert!(printed.lines().any(|printed| printed == line), "{printed}");
}

#[test]
fn the_release_script_tells_of_its_options_and_refuses_others() {
    let run = |option: &str| {
        let release = Command::new(repository().join("release")).arg(option).output();
        let output = release.unwrap();
        (output.status.code(), text(&output))
    };
    let (code, help) = run("--help");
    assert_eq!(code, Some(0), "{help}");
    assert!(
        help.contains("--texts FOLDER") && help.contains("--deb FOLDER FILE"),
        "{help}"
    );
    let (code, said) = run("--text");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.starts_with("release: there is no option \"--text\"\n"),
        "{said}"
    );
}

#[test]
fn every_program_tells_its_version() {
    for program in ["broker", "namesrv", "mqadmin", "mqconsole"] {
        let output = Command::new(our_program(program))
            .arg("--version")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let name = match program {
            "broker" | "namesrv" => format!("mq{program}"),
            tool => tool.to_owned(),
        };
        let version = text(&output);
        assert!(version.starts_with(&format!("{name} 0.")), "{version}");
        assert_eq!(version.lines().count(), 1, "{version}");
    }
}

#[test]
fn ports_that_are_taken() {
    let release = Release::new();
    let (_namesrv, address) = release.namesrv();
    let taken = address.split(':').nth(1).unwrap();
    let file = release.file(
        "taken.properties",
        &format!("listenPort={taken}\nbindAddress=127.0.0.1\n"),
    );
    let output = release
        .command(&release.bin().join("mqnamesrv"))
        .arg("-c")
        .arg(&file)
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(text(&output).contains("change listenPort"), "{}", text(&output));
    // The broker's fast port, two below, is the one that is taken.
    let port: u16 = taken.parse::<u16>().unwrap() + 2;
    let file = release.file(
        "fast.properties",
        &format!("listenPort={port}\nbindAddress=127.0.0.1\nbrokerIP1=127.0.0.1\n"),
    );
    let output = release
        .command(&release.bin().join("mqbroker"))
        .arg("-c")
        .arg(&file)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = text(&output);
    assert!(said.contains("listenPort") && said.contains(taken), "{said}");
}

/// The files that guides tell people to write start a broker as they stand, but for folders and addresses of this machine.
#[test]
fn files_of_guides_start_a_broker() {
    let release = Release::new();
    let (_namesrv, address) = release.namesrv();
    let files = repository().join("crates/broker/tests/files");
    for entry in fs::read_dir(files).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let store = release.dir.path().join(&name);
        let mut text = fs::read_to_string(&path).unwrap();
        for root in ["/usr/local/rocketmq", "./../data", "/data/rocketmq"] {
            text = text.replace(root, &store.to_string_lossy());
        }
        let port = free_port();
        text.push_str(&format!(
            "listenPort={port}\nbindAddress=127.0.0.1\nbrokerIP1=127.0.0.1\n"
        ));
        if !text.contains("storePathRootDir") {
            text.push_str(&format!("storePathRootDir={}\n", store.display()));
        }
        let file = release.file(&name, &text);
        let mut command = release.command(&release.bin().join("mqbroker"));
        command.arg("-n").arg(&address).arg("-c").arg(&file);
        let broker = Process::start(&name, command, &release.dir.path().join(format!("{name}.out")));
        broker.wait_for("boot success", WAIT, |line| {
            line.contains("boot success. serializeType=JSON").then_some(())
        });
        let warnings = broker
            .lines()
            .iter()
            .filter(|line| line.starts_with("warning: "))
            .count();
        assert!(warnings >= 2, "{:?}", broker.lines());
        broker.signal("TERM");
        assert_eq!(broker.wait_exit(WAIT).code(), Some(0), "{name}");
    }
}

#[test]
fn bad_settings_do_not_start() {
    let release = Release::new();
    for (text, part) in [
        ("listenPort=many\n", ":1: bad value of `listenPort`: `many`"),
        (
            "\nflushDiskType=SYNC_MASTER\n",
            ":2: bad value of `flushDiskType`",
        ),
    ] {
        let file = release.file("bad.properties", text);
        for check in [&["--check-config"][..], &[]] {
            let output = release
                .command(&release.bin().join("mqbroker"))
                .arg("-c")
                .arg(&file)
                .args(check)
                .output()
                .unwrap();
            assert!(!output.status.success());
            let said = self::text(&output);
            assert!(said.contains(part), "{said}");
        }
    }
    let good = release.file("good.properties", "brokerName=a\nnamesrvAddr=127.0.0.1:9876\n");
    let output = release
        .command(&release.bin().join("mqbroker"))
        .arg("-c")
        .arg(&good)
        .arg("--check-config")
        .output();
    let output = output.unwrap();
    assert!(
        output.status.success() && text(&output).contains("good.properties: 0 errors, "),
        "{}",
        text(&output)
    );
}

/// `tools.sh` runs the quickstart programs, which print what RocketMQ's print.
#[test]
fn quickstart_programs() {
    let release = Release::new();
    fs::copy(
        our_program("mqadmin"),
        release.dir.path().join("rocketmq/lib/mqadmin"),
    )
    .unwrap();
    let (_namesrv, address) = release.namesrv();
    let _broker = release.broker("broker-a", &address, &[]);
    let tools = |class: &str| {
        let mut command = release.command(&release.bin().join("tools.sh"));
        command
            .env("NAMESRV_ADDR", &address)
            .arg(format!("org.apache.rocketmq.example.quickstart.{class}"));
        Process::start(class, command, &release.dir.path().join(format!("{class}.out")))
    };
    let producer = tools("Producer");
    assert_eq!(producer.wait_exit(LONG).code(), Some(0), "{}", producer.tail());
    let head = "SendResult [sendStatus=SEND_OK, msgId=";
    let sent: Vec<String> = producer
        .lines()
        .into_iter()
        .filter(|line| line.starts_with(head))
        .collect();
    assert_eq!(sent.len(), 1000);
    for line in &sent {
        for part in [
            ", offsetMsgId=7F000001",
            ", messageQueue=MessageQueue [topic=TopicTest, brokerName=broker-a, queueId=",
        ] {
            assert!(line.contains(part), "{line}");
        }
    }
    let consumer = tools("Consumer");
    consumer.wait_until("a thousand messages", LONG, |lines| {
        let got = lines
            .iter()
            .filter(|line| line.contains("Receive New Messages: [MessageExt ["))
            .count();
        (got >= 1000).then_some(())
    });
    consumer.signal("TERM");
    consumer.wait_exit(WAIT);
    // What our programs sent, Java's read too.
    let pulled = Client::start(
        JAVA_4,
        release.dir.path(),
        "pull",
        &[("ns", &address), ("topic", "TopicTest")],
    );
    let pulled = of(&pulled.finish(LONG), "received");
    assert_all_bodies(
        (0..1000).map(|number| format!("Hello RocketMQ {number}")),
        &pulled,
    );
    assert!(pulled.iter().all(|event| event.tag == "TagA"));
}

/// A name server has its own folder here, as everything in these tests.
#[test]
fn name_server_settings_are_printed() {
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let output = Command::new(our_program("namesrv"))
        .arg("-p")
        .env("HOME", dir.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    let said = text(&output);
    assert!(said.contains("listenPort=9876\n"), "{said}");
    assert!(
        said.contains(&format!(
            "kvConfigPath={}/namesrv/kvConfig.json\n",
            dir.path().display()
        )),
        "{said}"
    );
    drop(namesrv);
}
