//! Real clients, as programs that print what they send and receive.

use crate::build::{go_driver, java_classes, node_driver, spring_classes};
use crate::network::Place;
use crate::process::Process;
use crate::servers::{QUIET_LOGBACK, SMALL_JVM, java, launched};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Whose client it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Java's, of this version.
    Java(&'static str),
    /// The same with ROCKETMQ headers instead of JSON ones.
    JavaBinary(&'static str),
    /// rocketmq-client-go v2.
    Go,
    /// ali-ons.
    Node,
    /// A Spring Boot application with rocketmq-spring-boot-starter: `send` and `consume`, until they are told to stop.
    Spring,
}

/// One line of a client.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// `ready`, `sent`, `failed`, `received`, `done`.
    pub event: String,
    /// Body of the message.
    #[serde(default)]
    pub body: String,
    /// `SEND_OK` or what else a send ended with.
    #[serde(default)]
    pub status: String,
    /// Message id.
    #[serde(default)]
    pub id: String,
    /// Offset message id: names the broker and the place in its log.
    #[serde(default)]
    pub offset_id: String,
    /// Queue id.
    #[serde(default)]
    pub queue: i32,
    /// Queue offset.
    #[serde(default)]
    pub offset: i64,
    /// Tag.
    #[serde(default)]
    pub tag: String,
    /// Keys.
    #[serde(default)]
    pub keys: String,
    /// How often a received message was consumed in vain before.
    #[serde(default)]
    pub reconsume: i32,
    /// Why a send failed.
    #[serde(default)]
    pub error: String,
}

/// A running client.
#[derive(Debug)]
pub struct Client {
    process: Process,
}

impl Client {
    /// Starts `COMMAND key=value ...`. The name server must be among the options, as `ns`.
    ///
    /// # Panics
    /// It cannot be built or started.
    pub fn start(language: Language, dir: &Path, command: &str, options: &[(&str, &str)]) -> Client {
        Client::start_there(&Place::here(), language, dir, command, options)
    }

    /// The same in this place.
    ///
    /// # Panics
    /// It cannot be built or started.
    pub fn start_there(
        place: &Place,
        language: Language,
        dir: &Path,
        command: &str,
        options: &[(&str, &str)],
    ) -> Client {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut program = match language {
            Language::Java(version) | Language::JavaBinary(version) => {
                let mut program = java(&java_classes(version), dir);
                program.args(SMALL_JVM);
                program.args([
                    "-Xmx512m",
                    "-Drocketmq.client.logLevel=ERROR",
                    "-Drocketmq.client.logUseSlf4j=false",
                ]);
                if matches!(language, Language::JavaBinary(_)) {
                    program.arg("-Drocketmq.serialize.type=ROCKETMQ");
                }
                program.arg("Driver");
                program
            }
            Language::Spring => {
                let mut program = java(&spring_classes(), dir);
                program.args(SMALL_JVM).args(["-Xmx512m", "Spring"]);
                program
            }
            Language::Go => Command::new(go_driver()),
            Language::Node => {
                let mut program = Command::new("node");
                program.arg(node_driver());
                program
            }
        };
        program
            .current_dir(dir)
            .env("HOME", dir)
            .env_remove("NAMESRV_ADDR")
            .arg(command);
        program.args(options.iter().map(|(key, value)| format!("{key}={value}")));
        let program = launched(&place.launcher, program);
        let name = format!("{language:?} {command} #{number}");
        let client = Client {
            process: Process::start(&name, program, &dir.join(format!("client-{number}.out"))),
        };
        client.process.wait_for("ready", Duration::from_secs(60), |line| {
            parse(line).filter(|event| event.event == "ready")
        });
        client
    }

    /// Everything it has told so far.
    pub fn events(&self) -> Vec<Event> {
        self.process
            .lines()
            .iter()
            .filter_map(|line| parse(line))
            .collect()
    }

    /// Waits for its end and gives everything it has told.
    ///
    /// # Panics
    /// It does not end in time, or not with `done`.
    pub fn finish(self, within: Duration) -> Vec<Event> {
        self.process.wait_for("done", within, |line| {
            parse(line).filter(|event| event.event == "done")
        });
        self.process.wait_exit(Duration::from_secs(20));
        self.events()
    }

    /// Tells it to stop, then as [`Client::finish`].
    pub fn stop(mut self) -> Vec<Event> {
        self.process.close_stdin();
        self.finish(Duration::from_secs(60))
    }

    /// Waits until it has told `count` events of this kind.
    ///
    /// # Panics
    /// It does not in time.
    pub fn wait_count(&self, event: &str, count: usize, within: Duration) {
        let mut seen = 0;
        let mut found = 0;
        self.process
            .wait_until(&format!("{count} x {event}"), within, |lines| {
                found += count_events(event, &lines[seen..]);
                seen = lines.len();
                (found >= count).then_some(())
            });
    }

    /// How many events of this kind it has told so far.
    pub fn count(&self, event: &str) -> usize {
        count_events(event, &self.process.lines())
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// Drivers write JSON without blanks, so that counting needs no parsing.
fn count_events(event: &str, lines: &[String]) -> usize {
    let mark = format!("\"event\":\"{event}\"");
    lines
        .iter()
        .filter(|line| line.starts_with('{') && line.contains(&mark))
        .count()
}

/// Runs one command of Java's mqadmin of this version and gives everything it printed.
///
/// # Panics
/// It does not end in a minute.
pub fn java_mqadmin(version: &str, dir: &Path, namesrv: &str, arguments: &[&str]) -> String {
    java_mqadmin_with(version, &[], dir, namesrv, arguments)
}

/// The same with these options of its JVM.
///
/// # Panics
/// It does not end in a minute.
pub fn java_mqadmin_with(
    version: &str,
    options: &[&str],
    dir: &Path,
    namesrv: &str,
    arguments: &[&str],
) -> String {
    let (mut program, log) = mqadmin_program(version, dir);
    program
        .args(options)
        .arg("org.apache.rocketmq.tools.command.MQAdminStartup")
        .args(arguments)
        .args(["-n", namesrv]);
    let process = Process::start(&format!("mqadmin {version} {arguments:?}"), program, &log);
    process.wait_exit(Duration::from_secs(60));
    process.lines().join("\n")
}

/// The same for many commands, in one process: what each printed, line by line. One without words lists all commands.
///
/// # Panics
/// It does not end in five minutes, or not after the last command.
pub fn java_mqadmin_session(
    version: &str,
    dir: &Path,
    namesrv: &str,
    commands: &[Vec<String>],
) -> Vec<Vec<String>> {
    let (mut program, log) = mqadmin_program(version, dir);
    let line = |words: &Vec<String>| match words.is_empty() {
        true => "\n".to_owned(),
        false => format!("{}\t-n\t{namesrv}\n", words.join("\t")),
    };
    let lines = commands.iter().map(line);
    let file = log.with_extension("commands");
    fs::write(&file, lines.collect::<String>()).expect("the temporary folder is writable");
    program.arg("Admin").arg(&file);
    let process = Process::start(
        &format!("mqadmin {version}, {} commands", commands.len()),
        program,
        &log,
    );
    process.wait_exit(Duration::from_secs(300));
    let mut said: Vec<Vec<String>> = Vec::new();
    for line in process.lines() {
        match line.as_str() {
            "@@ begin" => said.push(Vec::new()),
            "@@ end" => {}
            _ => said.last_mut().expect("a command begins first").push(line),
        }
    }
    assert_eq!(
        said.len(),
        commands.len(),
        "it ended after {:?}",
        commands.get(said.len().max(1) - 1)
    );
    said
}

/// Runs a program of the Java driver that ends by itself, with this version of the tools, and gives the lines that it printed.
///
/// # Panics
/// It does not end in five minutes.
pub fn java_program(version: &str, dir: &Path, class: &str, arguments: &[&str]) -> Vec<String> {
    let (mut program, log) = mqadmin_program(version, dir);
    program.arg(class).args(arguments);
    let process = Process::start(&format!("{class} {version}"), program, &log);
    process.wait_exit(Duration::from_secs(300));
    process.lines()
}

/// Java's tools, to be told what to do, and a file for what they print.
fn mqadmin_program(version: &str, dir: &Path) -> (Command, PathBuf) {
    // They do not run without a file for their log.
    let conf = dir.join("conf");
    fs::create_dir_all(&conf).expect("the temporary folder is writable");
    fs::write(conf.join("logback_tools.xml"), QUIET_LOGBACK).expect("the temporary folder is writable");
    let mut program = java(&java_classes(version), dir);
    program.args([
        "-Xmx512m",
        "-Drocketmq.client.logLevel=ERROR",
        "-Drocketmq.client.logUseSlf4j=false",
    ]);
    program.arg(format!("-Drocketmq.home.dir={}", dir.display()));
    program
        .current_dir(dir)
        .env("HOME", dir)
        .env("ROCKETMQ_HOME", dir);
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let log = dir.join(format!("mqadmin-{}.out", COUNT.fetch_add(1, Ordering::Relaxed)));
    (program, log)
}

/// A line of JSON; anything else that a client prints is its own business.
fn parse(line: &str) -> Option<Event> {
    if !line.starts_with('{') || !line.contains("\"event\":") {
        return None;
    }
    Some(
        serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("a driver printed what is no event ({error}): {line}")),
    )
}
