//! Both servers as processes: what signals, surroundings and streams do to them.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests make files and runtimes")]

use cluster::{Process, Wire, free_port, our_program};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(30);

/// A server in a home of its own that logs into a file there.
struct Server {
    process: Process,
    port: u16,
    log: PathBuf,
}

/// A scratch home with settings for one server of each kind.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn logs(&self) -> PathBuf {
        self.path().join("logs/rocketmqlogs")
    }

    /// The file of settings of a server; for a broker, `name` is also its name.
    fn settings(&self, program: &str, name: &str, more: &str) -> (PathBuf, u16) {
        let port = free_port();
        let dir = self.path().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let own = match program {
            "broker" => format!(
                "brokerName={name}\nbrokerIP1=127.0.0.1\nbrokerIP2=127.0.0.1\nstorePathRootDir={}/store\n\
                 mappedFileSizeCommitLog=8388608\nmappedFileSizeConsumeQueue=60000\nmaxIndexNum=1000\nmaxHashSlotNum=1000\n",
                dir.display()
            ),
            _ => format!("kvConfigPath={}/kv.json\n", dir.display()),
        };
        let file = dir.join("settings.properties");
        std::fs::write(
            &file,
            format!("listenPort={port}\nbindAddress=127.0.0.1\n{own}{more}\n"),
        )
        .unwrap();
        (file, port)
    }

    /// `prefix` is what runs the program (`setsid`, `setsid nohup`); setsid takes the tests' own terminal away.
    fn command(&self, prefix: &[&str], program: &str, settings: &Path) -> Command {
        let mut command = Command::new(prefix[0]);
        command
            .args(&prefix[1..])
            .arg(our_program(program))
            .arg("-c")
            .arg(settings);
        self.surround(&mut command);
        command
    }

    fn surround(&self, command: &mut Command) {
        command.env("HOME", self.path());
        for name in [
            "ROCKETMQ_LOG",
            "ROCKETMQ_LOG_TO",
            "ROCKETMQ_LOG_ZONE",
            "NAMESRV_ADDR",
            "container",
            "KUBERNETES_SERVICE_HOST",
        ] {
            command.env_remove(name);
        }
        // The machine of the tests may be a container itself.
        command.arg("--log-to").arg(self.logs());
    }

    fn start_with(&self, prefix: &[&str], program: &'static str, name: &str) -> Server {
        let (settings, port) = self.settings(program, name, "");
        let process = Process::start(
            name,
            self.command(prefix, program, &settings),
            &self.path().join(format!("{name}.out")),
        );
        process.wait_for("the boot line", WITHIN, |line| {
            line.contains("boot success").then_some(())
        });
        Server {
            process,
            port,
            log: self.logs().join(format!("{program}.log")),
        }
    }

    fn start(&self, program: &'static str) -> Server {
        self.start_with(&["setsid"], program, program)
    }
}

impl Server {
    /// Waits for a line in the log file, and gives the text up to there.
    fn wait_for_log(&self, part: &str) -> String {
        wait_for_line(&self.log, part)
    }

    fn stop(&self) {
        self.process.signal("TERM");
        assert!(
            self.process.wait_exit(WITHIN).success(),
            "{}",
            self.process.tail()
        );
    }
}

/// Waits for a line in a file that another process writes, as `tail` tells of it, and gives the text up to there.
fn wait_for_line(file: &Path, part: &str) -> String {
    let scratch = tempfile::NamedTempFile::new().unwrap();
    let mut tail = Command::new("tail");
    tail.args(["-n", "+1", "-F"]).arg(file);
    let tail = Process::start("tail", tail, scratch.path());
    tail.wait_until(part, WITHIN, |lines| {
        let found = lines.iter().any(|line| line.contains(part));
        found.then(|| lines.join("\n"))
    })
}

const SERVERS: [&str; 2] = ["namesrv", "broker"];

#[test]
fn signals_that_ask_for_no_stop_are_survived() {
    for program in SERVERS {
        let home = Home::new();
        let server = home.start(program);
        for signal in [
            "USR1", "USR2", "ALRM", "VTALRM", "PROF", "IO", "PWR", "XCPU", "TRAP", "STKFLT", "RTMIN",
            "RTMIN+3", "RTMIN+30",
        ] {
            server.process.signal(signal);
            server.wait_for_log(&format!("SIG{signal} received; it does nothing"));
        }
        server.process.signal("XFSZ");
        server.wait_for_log("SIGXFSZ received");
        server.process.signal("QUIT");
        let page = server.wait_for_log("state: thread ");
        for part in ["state: memory ", "state: open files ", "state: log levels info"] {
            assert!(page.contains(part), "{page}");
        }
        if program == "namesrv" {
            server.wait_for_log("state: routes: 0 topics, 0 broker names");
            server.wait_for_log("state: network: 0 connections");
        }
        server.stop();
    }
}

/// Threads that end meanwhile are left out.
fn thread_names(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).collect()
}

/// Names as `ps -T`, `top -H` and `/proc` show them.
#[test]
fn every_thread_has_a_name_of_its_own() {
    use cluster::Wire;
    use protocol::code::request;
    for program in SERVERS {
        let home = Home::new();
        let server = home.start(program);
        // A lane's thread comes with its first request, and stays for a while.
        let code = match program {
            "namesrv" => request::GET_NAMESRV_CONFIG,
            _ => request::GET_BROKER_CONFIG,
        };
        let mut wire = Wire::connect(&format!("127.0.0.1:{}", server.port)).unwrap();
        assert_eq!(wire.ask(code, &[], b"").unwrap().code(), 0);
        // A thread has its maker's name until it gives itself its own.
        let begin = std::time::Instant::now();
        let names = loop {
            let names = thread_names(server.process.pid());
            let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
            if distinct.len() == names.len() {
                break names;
            }
            assert!(begin.elapsed() < WITHIN, "{names:?}");
            std::thread::yield_now();
        };
        let mut wanted = vec![program, "worker-1", "lane-admin-1"];
        if program == "broker" {
            wanted.extend(["flush", "reput", "allocate", "maintenance"]);
        }
        for name in wanted {
            assert!(names.iter().any(|of| of == name), "{name}: {names:?}");
        }
        server.stop();
    }
}

#[test]
fn a_second_term_changes_nothing() {
    for program in SERVERS {
        let home = Home::new();
        let server = home.start(program);
        server.process.signal("TERM");
        server.process.signal("TERM");
        server.process.signal("INT");
        assert!(
            server.process.wait_exit(WITHIN).success(),
            "{}",
            server.process.tail()
        );
        server.wait_for_log("SIGTERM received, stopping");
        assert!(!home.path().join("broker/store/abort").exists(), "a clean stop");
    }
}

#[test]
fn hup_without_a_terminal_opens_the_log_anew() {
    for program in SERVERS {
        let home = Home::new();
        let server = home.start(program);
        let moved = home.logs().join("moved");
        std::fs::rename(&server.log, &moved).unwrap();
        server.process.signal("HUP");
        server.wait_for_log("SIGHUP received; the log file is opened anew");
        server.stop();
        let log = std::fs::read_to_string(&server.log).unwrap();
        assert!(log.contains("SIGTERM received"), "{log}");
        assert!(!std::fs::read_to_string(moved).unwrap().contains("SIGTERM"));
    }
}

/// As `nohup` leaves HUP, and `&` in a script INT.
#[test]
fn signals_that_were_ignored_at_the_start_stay_so() {
    let shell = ["setsid", "sh", "-c", "trap '' INT; exec nohup \"$@\"", "sh"];
    for program in SERVERS {
        let home = Home::new();
        let server = home.start_with(&shell, program, program);
        server.process.signal("HUP");
        server.process.signal("INT");
        // The page is written when the others would have been seen.
        server.process.signal("QUIT");
        let log = server.wait_for_log("state: thread ");
        assert!(!log.contains("SIGHUP") && !log.contains("SIGINT"), "{log}");
        server.stop();
    }
}

/// The process whose parent this is.
fn child_of(parent: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    children.split_whitespace().next().unwrap().parse().unwrap()
}

/// A server in a terminal, which `script` gives its child; and the child.
fn in_a_terminal(home: &Home, program: &'static str, settings: &Path) -> (Process, u32) {
    let line = format!(
        "exec {} -c {} --log-to {}",
        our_program(program).display(),
        settings.display(),
        home.logs().display()
    );
    let mut command = Command::new("setsid");
    command
        .args(["script", "-qec", &line, "/dev/null"])
        .env("HOME", home.path());
    let process = Process::start(program, command, &home.path().join("out"));
    process.wait_for("the boot line", WITHIN, |line| {
        line.contains("boot success").then_some(())
    });
    let server = child_of(process.pid());
    (process, server)
}

/// The terminal is closed, and the server ends.
fn hang_up(process: &Process, server: u32) {
    let mut kill = Command::new("kill");
    let status = kill.arg("-HUP").arg(server.to_string()).status().unwrap();
    assert!(status.success());
    assert!(process.wait_exit(WITHIN).success(), "{}", process.tail());
}

#[test]
fn hup_with_a_terminal_is_a_clean_stop() {
    for program in SERVERS {
        let home = Home::new();
        let (settings, _) = home.settings(program, program, "");
        let (process, server) = in_a_terminal(&home, program, &settings);
        hang_up(&process, server);
        wait_for_line(
            &home.logs().join(format!("{program}.log")),
            "SIGHUP received, stopping",
        );
        assert!(!home.path().join("broker/store/abort").exists());
    }
}

/// What was consumed just before the terminal was closed does not come again: offsets are written at the stop.
#[test]
fn hup_with_a_terminal_keeps_how_far_consumers_are() {
    const SEND: i32 = 10;
    const QUERY_OFFSET: i32 = 14;
    const COMMIT_OFFSET: i32 = 15;
    let home = Home::new();
    let (settings, port) = home.settings("broker", "broker", "");
    let address = format!("127.0.0.1:{port}");
    let queue = [
        ("consumerGroup", "readers"),
        ("topic", "TopicTest"),
        ("queueId", "0"),
    ];
    let message = [
        ("producerGroup", "p"),
        ("topic", "TopicTest"),
        ("defaultTopic", "TBW102"),
        ("defaultTopicQueueNums", "4"),
        ("queueId", "0"),
        ("sysFlag", "0"),
        ("bornTimestamp", "0"),
        ("flag", "0"),
    ];
    for round in 1..=2 {
        let (process, server) = in_a_terminal(&home, "broker", &settings);
        let mut wire = Wire::connect(&address).unwrap();
        if round > 1 {
            let answer = wire.ask(QUERY_OFFSET, &queue, b"").unwrap();
            assert_eq!(answer.field("offset"), Some("3"), "{}", answer.remark());
        }
        for _ in 0..3 {
            assert_eq!(wire.ask(SEND, &message, b"x").unwrap().code(), 0);
        }
        let offset = (3 * round).to_string();
        let commit = [&queue[..], &[("commitOffset", offset.as_str())]].concat();
        assert_eq!(wire.ask(COMMIT_OFFSET, &commit, b"").unwrap().code(), 0);
        hang_up(&process, server);
    }
}

#[test]
fn streams_that_take_nothing_do_not_end_a_server() {
    for program in SERVERS {
        let home = Home::new();
        let (settings, _) = home.settings(program, program, "");
        let shell = ["setsid", "sh", "-c", "exec \"$@\" >/dev/full 2>/dev/full", "sh"];
        let process = Process::start(
            program,
            home.command(&shell, program, &settings),
            &home.path().join("out"),
        );
        let log = home.logs().join(format!("{program}.log"));
        wait_for_line(&log, "boot success");
        wait_for_line(&log, "stdout cannot take");
        process.signal("TERM");
        assert!(process.wait_exit(WITHIN).success(), "{}", process.tail());
    }
}

/// A pipe that nobody reads: `mqnamesrv | something that hangs`, a terminal that was stopped by Ctrl-S.
#[test]
fn stdout_that_nobody_reads_holds_nobody_up() {
    use cluster::{Wire, frame};
    use protocol::code::request;
    use std::io::{BufRead, BufReader};
    for program in SERVERS {
        let home = Home::new();
        let (settings, port) = home.settings(program, program, "logLevels=debug");
        let mut command = Command::new(our_program(program));
        command.arg("-c").arg(settings).args(["--log-to", "stdout"]);
        command.env("HOME", home.path()).env_remove("NAMESRV_ADDR");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let address = format!("127.0.0.1:{port}");
        let mut wire = loop {
            match Wire::connect(&address) {
                Ok(wire) => break wire,
                Err(_) => std::thread::yield_now(),
            }
        };
        // A line each, of some hundred bytes: more than the pipe and all that may wait for it.
        let (rounds, together) = (100, 500);
        let asked = frame(request::GET_ROUTEINFO_BY_TOPIC, 1, &[("topic", "Nowhere")], b"").repeat(together);
        for _ in 0..rounds {
            wire.write(&asked).unwrap();
            for _ in 0..together {
                wire.read().unwrap();
            }
        }
        // Read at last, it says what is missing.
        let (line, lines) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            for text in out.lines() {
                line.send(text.unwrap()).unwrap();
            }
        });
        let dropped: usize = loop {
            let line = lines.recv_timeout(WITHIN).expect("a line says so");
            if let Some((count, _)) = line.split_once(" log lines before this one were dropped") {
                break count.parse().unwrap();
            }
        };
        assert!(dropped > 0);
        assert!(
            Command::new("kill")
                .arg(child.id().to_string())
                .status()
                .unwrap()
                .success()
        );
        assert!(child.wait().unwrap().success());
        reader.join().unwrap();
        assert!(
            lines
                .iter()
                .any(|line| line.contains("SIGTERM received, stopping"))
        );
    }
}

#[test]
fn last_words_on_a_full_stderr_are_no_panic() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (settings, _) = home.settings(
        "namesrv",
        "namesrv",
        &format!("listenPort={}", taken.local_addr().unwrap().port()),
    );
    let shell = ["sh", "-c", "exec \"$@\" >/dev/full 2>/dev/full", "sh"];
    let process = Process::start(
        "namesrv",
        home.command(&shell, "namesrv", &settings),
        &home.path().join("out"),
    );
    assert_eq!(process.wait_exit(WITHIN).code(), Some(1));
    let log = std::fs::read_to_string(home.logs().join("namesrv.log")).unwrap();
    assert!(log.contains("another process listens there"), "{log}");
}

#[test]
fn a_mistyped_level_is_reported_and_info_counts() {
    let home = Home::new();
    for (levels, said) in [
        ("debgu", Some("`debug` is meant?")),
        ("", None),
        ("nmaesrv=debug", Some("`namesrv` is meant?")),
    ] {
        let (settings, _) = home.settings("namesrv", "namesrv", "");
        let mut command = home.command(&["setsid"], "namesrv", &settings);
        command.env("ROCKETMQ_LOG", levels);
        let process = Process::start("namesrv", command, &home.path().join("out"));
        let log = home.logs().join("namesrv.log");
        process.wait_for("the boot line", WITHIN, |line| {
            line.contains("boot success").then_some(())
        });
        let text = wait_for_line(&log, "boot success");
        if let Some(said) = said {
            assert!(text.contains(said), "{levels}: {text}");
        }
        process.signal("TERM");
        let status = process.wait_exit(WITHIN);
        assert!(status.success(), "{status}: {}", process.tail());
        std::fs::remove_file(log).unwrap();
    }
}

#[test]
fn brokers_of_one_host_have_logs_of_their_own() {
    let home = Home::new();
    let first = home.start_with(&["setsid"], "broker", "broker-a");
    let second = home.start_with(&["setsid"], "broker", "broker-b");
    let own = home.logs().join("broker-b_0/broker.log");
    let told = format!("this one's log is {}", own.display());
    second.process.wait_for("where the log is", WITHIN, |line| {
        line.contains(&told).then_some(())
    });
    for (log, name, other) in [
        (&first.log, "broker-a", "broker-b"),
        (&own, "broker-b", "broker-a"),
    ] {
        wait_for_line(log, "boot success");
        let text = std::fs::read_to_string(log).unwrap();
        let whose = format!(" {name}/");
        assert!(text.lines().all(|line| line.contains(&whose)), "{text}");
        assert!(!text.contains(&format!("The broker[{other}")), "{text}");
    }
    first.stop();
    second.stop();
}

/// As Java's `isolateLogEnable` has it.
#[test]
fn a_broker_has_a_log_folder_of_its_own_where_it_is_asked_for() {
    let home = Home::new();
    let (settings, _) = home.settings("broker", "broker-a", "isolateLogEnable=true");
    let process = Process::start(
        "broker",
        home.command(&["setsid"], "broker", &settings),
        &home.path().join("out"),
    );
    let log = wait_for_line(&home.logs().join("broker-a_0/broker.log"), "boot success");
    assert!(log.contains("store opened, which is empty"), "{log}");
    process.signal("TERM");
    assert!(process.wait_exit(WITHIN).success(), "{}", process.tail());
    assert!(!home.logs().join("broker.log").exists());
}

/// Java keeps what updateBrokerConfig changed in a file that no start reads.
#[test]
fn a_change_without_a_file_of_settings_is_there_after_a_restart() {
    use cluster::Wire;
    use protocol::code::request;
    for (program, folder, update, get) in [
        (
            "broker",
            "store/config",
            request::UPDATE_BROKER_CONFIG,
            request::GET_BROKER_CONFIG,
        ),
        (
            "namesrv",
            "namesrv",
            request::UPDATE_NAMESRV_CONFIG,
            request::GET_NAMESRV_CONFIG,
        ),
    ] {
        let home = Home::new();
        let kept = home.path().join(folder).join("changedSettings.properties");
        std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
        // Not on the ports that every server has by default.
        let port = free_port();
        let own = format!("listenPort={port}\nbindAddress=127.0.0.1\n");
        let sizes = "mappedFileSizeCommitLog=8388608\nbrokerIP1=127.0.0.1\nbrokerIP2=127.0.0.1\n";
        let sizes = if program == "broker" { sizes } else { "" };
        std::fs::write(&kept, format!("{own}{sizes}")).unwrap();
        for run in 0..2 {
            let mut command = Command::new(our_program(program));
            home.surround(&mut command);
            let process = Process::start(program, command, &home.path().join("out"));
            process.wait_for("the boot line", WITHIN, |line| {
                line.contains("boot success").then_some(())
            });
            let log = home.logs().join(format!("{program}.log"));
            wait_for_line(&log, &format!("is read from {}", kept.display()));
            let mut wire = Wire::connect(&format!("127.0.0.1:{port}")).unwrap();
            let changed = |wire: &mut Wire| {
                let text = wire.ask(get, &[], b"").unwrap().body;
                String::from_utf8(text)
                    .unwrap()
                    .contains("\nserverSocketBacklog=77\n")
            };
            // It counts at the next start.
            assert_eq!(changed(&mut wire), run == 1, "{program}");
            if run == 0 {
                let answer = wire.ask(update, &[], b"serverSocketBacklog=77").unwrap();
                assert_eq!(answer.code(), 0, "{}", answer.remark());
            }
            process.signal("TERM");
            assert!(process.wait_exit(WITHIN).success(), "{}", process.tail());
        }
    }
}

#[test]
fn a_container_with_a_folder_of_logs_writes_both() {
    for mounted in [false, true] {
        let home = Home::new();
        if mounted {
            std::fs::create_dir(home.path().join("logs")).unwrap();
        }
        let (settings, _) = home.settings("namesrv", "namesrv", "");
        let mut command = Command::new(our_program("namesrv"));
        command
            .arg("-c")
            .arg(settings)
            .env("HOME", home.path())
            .env("container", "podman");
        command.env_remove("ROCKETMQ_LOG_TO").env_remove("ROCKETMQ_LOG");
        let process = Process::start("namesrv", command, &home.path().join("out"));
        process.wait_for("a line of the log", WITHIN, |line| {
            (line.contains(" INFO ") && line.contains("boot success")).then_some(())
        });
        process.signal("TERM");
        let status = process.wait_exit(WITHIN);
        assert!(status.success(), "{status}: {}", process.tail());
        let log = home.logs().join("namesrv.log");
        assert_eq!(log.exists(), mounted);
        if mounted {
            wait_for_line(&log, "SIGTERM received");
        }
    }
}

#[test]
fn without_home_the_user_database_says_where_the_store_is() {
    let printed = Command::new(our_program("broker"))
        .arg("-p")
        .env_remove("HOME")
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(printed.stdout).unwrap();
    let root = text
        .lines()
        .find_map(|line| line.strip_prefix("storePathRootDir="))
        .unwrap();
    let uid = Command::new("id").arg("-u").output().unwrap().stdout;
    let entry = Command::new("getent")
        .arg("passwd")
        .arg(String::from_utf8(uid).unwrap().trim())
        .output()
        .unwrap();
    let entry = String::from_utf8(entry.stdout).unwrap();
    let home = entry.split(':').nth(5).unwrap();
    assert_eq!(root, format!("{home}/store"));
}

/// A thousand clients that do nothing take no descriptor that the store needs, whatever the shell's soft limit is.
#[tokio::test]
async fn idle_clients_leave_the_store_its_files() {
    use protocol::code::response;
    use protocol::header::broker::SendMessageRequestHeader;
    // The clients are this process.
    process::raise_descriptors();
    for (limit, all_served) in [("ulimit -Sn 1024", true), ("ulimit -n 1024", false)] {
        let home = Home::new();
        let (settings, port) = home.settings("broker", "broker", "");
        let shell = format!("{limit}; exec \"$@\"");
        let command = home.command(&["sh", "-c", &shell, "sh"], "broker", &settings);
        let process = Process::start("broker", command, &home.path().join("out"));
        process.wait_for("the boot line", WITHIN, |line| {
            line.contains("boot success").then_some(())
        });
        let address = format!("127.0.0.1:{port}");
        let client = remoting::Client::new(remoting::ClientSettings::default());
        client.connection(&address).await.unwrap();
        let mut idle = Vec::new();
        for _ in 0..1100 {
            idle.push(tokio::net::TcpStream::connect(&address).await.unwrap());
        }
        for topic in ["one", "two", "three"] {
            let header = SendMessageRequestHeader {
                producer_group: Some("p".into()),
                topic: topic.into(),
                default_topic: Some("TBW102".into()),
                default_topic_queue_nums: Some(4),
                queue_id: 0,
                sys_flag: Some(0),
                born_timestamp: 1,
                flag: Some(0),
                properties: None,
                reconsume_times: None,
                unit_mode: None,
                batch: None,
                max_reconsume_times: None,
            };
            let body = remoting::Body::Bytes(bytes::Bytes::from_static(b"x"));
            let answer = client
                .invoke(
                    &address,
                    protocol::code::request::SEND_MESSAGE,
                    &header,
                    body,
                    WITHIN,
                )
                .await
                .unwrap();
            assert_eq!(answer.code, response::SUCCESS, "{limit}: {:?}", answer.remark);
        }
        let log = wait_for_line(&home.logs().join("broker.log"), "open files: at most");
        assert_eq!(
            log.contains("at most 1024 (the soft limit was 1024)"),
            !all_served,
            "{log}"
        );
        if !all_served {
            wait_for_line(&home.logs().join("broker.log"), "refused, 820 are open");
        }
        drop(idle);
        process.signal("TERM");
        assert!(process.wait_exit(WITHIN).success(), "{}", process.tail());
    }
}

/// 48 KB of requests for the largest answer once made 890 MB of them, and others waited for seconds.
#[tokio::test]
async fn a_peer_that_does_not_read_costs_little() {
    use protocol::code::{request, response};
    use tokio::io::AsyncWriteExt;
    let home = Home::new();
    let (settings, port) = home.settings("broker", "broker", "");
    let config = home.path().join("broker/store/config");
    std::fs::create_dir_all(&config).unwrap();
    let topics = (0..20_000).map(|i| format!("\"topic-{i}\":{{\"topicName\":\"topic-{i}\"}}"));
    let topics = topics.collect::<Vec<_>>().join(",");
    std::fs::write(
        config.join("topics.json"),
        format!("{{\"topicConfigTable\":{{{topics}}}}}"),
    )
    .unwrap();
    let process = Process::start(
        "broker",
        home.command(&["setsid"], "broker", &settings),
        &home.path().join("out"),
    );
    process.wait_for("the boot line", WITHIN, |line| {
        line.contains("boot success").then_some(())
    });
    let before = process.resident_kib().unwrap();

    let mut deaf = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = protocol::Head {
        code: request::GET_ALL_TOPIC_CONFIG,
        language: protocol::Language::Java,
        version: 0,
        opaque: 1,
        flag: 0,
        remark: None,
        serialize_type: protocol::SerializeType::Json,
    };
    let asked = protocol::encode::encode_frame(&head, &(), b"").unwrap();
    deaf.write_all(&asked.repeat(48_000 / asked.len())).await.unwrap();

    let client = remoting::Client::new(remoting::ClientSettings::default());
    let address = format!("127.0.0.1:{port}");
    for _ in 0..20 {
        let answer = client
            .invoke(
                &address,
                request::GET_BROKER_CONFIG,
                &(),
                remoting::Body::Empty,
                WITHIN,
            )
            .await
            .unwrap();
        assert_eq!(answer.code, response::SUCCESS);
    }
    // What is to come of the requests has come: the deaf one's are not served on.
    process.signal("QUIT");
    wait_for_line(&home.logs().join("broker.log"), "state: thread ");
    let more = process.resident_kib().unwrap().saturating_sub(before);
    assert!(more < 100 * 1024, "{more} KiB more");
    drop(deaf);
    process.signal("TERM");
    let status = process.wait_exit(WITHIN);
    assert!(status.success(), "{status}: {}", process.tail());
}

/// By SIGQUIT's page, which holds the levels: `logLevels` of the file, and what an update makes of it.
#[tokio::test]
async fn levels_change_by_a_request() {
    use protocol::code::{request, response};
    let home = Home::new();
    let (settings, port) = home.settings("namesrv", "namesrv", "logLevels=warn,process=info");
    let process = Process::start(
        "namesrv",
        home.command(&["setsid"], "namesrv", &settings),
        &home.path().join("out"),
    );
    process.wait_for("the boot line", WITHIN, |line| {
        line.contains("boot success").then_some(())
    });
    let log = home.logs().join("namesrv.log");
    process.signal("QUIT");
    let text = wait_for_line(&log, "state: log levels warn,process=info");
    assert!(!text.contains("boot success"), "that is a line at info: {text}");
    let client = remoting::Client::new(remoting::ClientSettings::default());
    for (levels, code) in [
        ("info,remoting=debug", response::SUCCESS),
        ("loud", response::SYSTEM_ERROR),
    ] {
        let body = bytes::Bytes::from(format!("logLevels={levels}"));
        let address = format!("127.0.0.1:{port}");
        let answer = client
            .invoke(
                &address,
                request::UPDATE_NAMESRV_CONFIG,
                &(),
                remoting::Body::Bytes(body),
                WITHIN,
            )
            .await
            .unwrap();
        assert_eq!(answer.code, code, "{:?}", answer.remark);
    }
    wait_for_line(&log, "log levels are info,remoting=debug");
    // The second request, as a line at debug.
    wait_for_line(
        &log,
        &format!("request {} of 127.0.0.1", request::UPDATE_NAMESRV_CONFIG),
    );
    let kept = std::fs::read_to_string(&settings).unwrap();
    assert!(kept.contains("logLevels=info,remoting=debug"), "{kept}");
    process.signal("TERM");
    assert!(process.wait_exit(WITHIN).success());
}
