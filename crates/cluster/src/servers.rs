//! Name servers and brokers.

use crate::build::{java_servers, our_program};
use crate::network::Place;
use crate::ports::free_port;
use crate::process::Process;
use crate::wire::wait_for_route;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;
use tempfile::TempDir;

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Built from this tree.
    Ours,
    /// Built earlier: `namesrv` and `broker` in this folder.
    Earlier(&'static str),
    /// Java's, of this version.
    Java(&'static str),
}

impl Flavour {
    /// What the environment variable `name` asks for: `ours` (or nothing), `java-4.9.7` or `java-5.3.3`. Lets the tests be tried
    /// against the original.
    ///
    /// # Panics
    /// It says something else.
    pub fn from_env(name: &str) -> Flavour {
        match std::env::var(name).ok().as_deref() {
            None | Some("" | "ours") => Flavour::Ours,
            Some("java-4.9.7") => Flavour::Java("4.9.7"),
            Some("java-5.3.3") => Flavour::Java("5.3.3"),
            Some(other) => panic!("{name}={other}: it is ours, java-4.9.7 or java-5.3.3"),
        }
    }
}

/// What a Java broker runs in. `JAVA_SERVER_OPTIONS` replaces either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jvm {
    /// Starts soon and takes little.
    #[default]
    Small,
    /// A heap of 4 GiB and every compiler: for benchmarks.
    Large,
}

impl Jvm {
    fn options(self) -> Vec<&'static str> {
        match self {
            Jvm::Small => {
                let heap = ["-Xms256m", "-Xmx1g", "-XX:MaxDirectMemorySize=1g"];
                heap.into_iter().chain(SMALL_JVM).collect()
            }
            Jvm::Large => vec!["-Xms4g", "-Xmx4g", "-XX:MaxDirectMemorySize=2g"],
        }
    }
}

/// How a broker is started, also again.
#[derive(Clone, Debug)]
struct RunsAs {
    flavour: Flavour,
    jvm: Jvm,
    place: Place,
}

impl RunsAs {
    fn here(flavour: Flavour, jvm: Jvm) -> RunsAs {
        let place = Place::here();
        RunsAs { flavour, jvm, place }
    }
}

/// Settings that a test wants beyond the usual ones.
pub type Tuning<'a> = &'a [(&'a str, &'a str)];

/// How long a server may take to start on a busy machine; Java's take seconds.
const START: Duration = Duration::from_secs(60);
/// How long a server may take to stop.
const STOP: Duration = Duration::from_secs(60);

/// A folder with a name server and brokers in it.
#[derive(Debug)]
pub struct Cluster {
    /// The name server.
    pub namesrv: NameServer,
    /// The broker.
    pub broker: Broker,
    // Last, so that the folder goes when nothing runs in it any more.
    dir: Dir,
}

/// A temporary folder that stays when a test panics.
#[derive(Debug)]
struct Dir(Option<TempDir>);

impl Drop for Dir {
    fn drop(&mut self) {
        if let Some(dir) = self.0.take_if(|_| std::thread::panicking()) {
            eprintln!("---- files and logs are kept in {} ----", dir.keep().display());
        }
    }
}

impl Cluster {
    /// A name server and a broker that is registered with it, of the flavours that `E2E_NAMESRV` and `E2E_BROKER` say.
    pub fn start(tuning: Tuning<'_>) -> Cluster {
        Cluster::of(
            Flavour::from_env("E2E_NAMESRV"),
            Flavour::from_env("E2E_BROKER"),
            tuning,
        )
    }

    /// A name server and a broker of these flavours.
    ///
    /// # Panics
    /// One of them does not start.
    pub fn of(namesrv: Flavour, broker: Flavour, tuning: Tuning<'_>) -> Cluster {
        Cluster::with_jvm(namesrv, broker, Jvm::Small, tuning)
    }

    /// The same with a JVM of choice for a Java broker.
    ///
    /// # Panics
    /// One of them does not start.
    pub fn with_jvm(namesrv: Flavour, broker: Flavour, jvm: Jvm, tuning: Tuning<'_>) -> Cluster {
        let dir = tempfile::Builder::new()
            .prefix("rocketmq-e2e-")
            .tempdir()
            .expect("a temporary folder");
        let namesrv = NameServer::start(namesrv, dir.path());
        let address = namesrv.address();
        let runs_as = RunsAs::here(broker, jvm);
        let broker = Broker::start_as(runs_as, dir.path(), "broker-a", "broker-a", &address, tuning);
        Cluster {
            namesrv,
            broker,
            dir: Dir(Some(dir)),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.dir.0.as_ref().expect("kept until dropped").path()
    }
}

/// A folder with a name server in it, and the brokers of a folder of properties files.
#[derive(Debug)]
pub struct Brokers {
    /// The name server.
    pub namesrv: NameServer,
    /// Each by its file's name without the ending.
    pub brokers: BTreeMap<String, Broker>,
    // Last, as in a cluster.
    dir: Dir,
}

impl Brokers {
    /// Starts ours by every file of `conf`, masters first, with ports and folders of their own and these settings besides.
    ///
    /// # Panics
    /// One of them does not start.
    pub fn of_files(conf: &Path, tuning: Tuning<'_>) -> Brokers {
        let dir = tempfile::Builder::new()
            .prefix("rocketmq-e2e-")
            .tempdir()
            .expect("a temporary folder");
        let namesrv = NameServer::start(Flavour::Ours, dir.path());
        let mut brokers = BTreeMap::new();
        let mut files: Vec<PathBuf> = fs::read_dir(conf)
            .expect("a folder of properties files")
            .map(|entry| entry.expect("its entries can be read").path())
            .collect();
        files.sort();
        let texts = files.into_iter().map(|file| {
            let text = fs::read_to_string(&file).expect("a properties file");
            (file, text)
        });
        // A name server takes no topics from slaves.
        let (masters, slaves): (Vec<_>, Vec<_>) =
            texts.partition(|(_, text)| text.lines().any(|line| line == "brokerId=0"));
        for (file, text) in masters.into_iter().chain(slaves) {
            let mut settings: BTreeMap<&str, &str> = text
                .lines()
                .filter(|line| !line.starts_with('#'))
                .filter_map(|line| line.split_once('='))
                .collect();
            let name = settings.remove("brokerName").expect("every broker has a name");
            // Each broker of a test has its own.
            for own in ["brokerClusterName", "listenPort", "storePathRootDir"] {
                settings.remove(own);
            }
            settings.extend(tuning.iter().copied());
            let settings: Vec<(&str, &str)> = settings.into_iter().collect();
            let stem = file.file_stem().expect("a file has a name").to_string_lossy();
            let runs_as = RunsAs::here(Flavour::Ours, Jvm::Small);
            let address = namesrv.address();
            let broker = Broker::start_as(runs_as, dir.path(), &stem, name, &address, &settings);
            brokers.insert(stem.into_owned(), broker);
        }
        Brokers {
            namesrv,
            brokers,
            dir: Dir(Some(dir)),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.dir.0.as_ref().expect("kept until dropped").path()
    }
}

/// A running name server.
#[derive(Debug)]
pub struct NameServer {
    /// Its port.
    pub port: u16,
    /// The process.
    pub process: Process,
    host: String,
}

impl NameServer {
    /// Starts one in `dir/namesrv`.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(flavour: Flavour, dir: &Path) -> NameServer {
        NameServer::start_at(flavour, dir, free_port())
    }

    /// Starts one on a port, for example again where another was.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_at(flavour: Flavour, dir: &Path, port: u16) -> NameServer {
        NameServer::start_with(flavour, dir, port, &[])
    }

    /// The same with settings of its own.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_with(flavour: Flavour, dir: &Path, port: u16, tuning: Tuning<'_>) -> NameServer {
        NameServer::start_there(&Place::here(), flavour, dir, port, tuning)
    }

    /// The same in this place.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_there(
        place: &Place,
        flavour: Flavour,
        dir: &Path,
        port: u16,
        tuning: Tuning<'_>,
    ) -> NameServer {
        let home = make_home(dir, "namesrv");
        let mut settings = format!(
            "listenPort={port}\nbindAddress={1}\nkvConfigPath={0}/kvConfig.json\nconfigStorePath={0}/namesrv.properties\n",
            home.display(),
            place.address
        );
        for (key, value) in tuning {
            settings.push_str(&format!("{key}={value}\n"));
        }
        let file = home.join("conf/namesrv.properties");
        fs::write(&file, settings).expect("the temporary folder is writable");
        let mut command = program(
            (flavour, Jvm::Small),
            &home,
            "namesrv",
            "org.apache.rocketmq.namesrv.NamesrvStartup",
        );
        command.arg("-c").arg(&file);
        let command = launched(&place.launcher, command);
        let process = Process::start("namesrv", command, &dir.join("namesrv.out"));
        process.wait_for("boot success", START, |line| {
            line.contains("The Name Server boot success.").then_some(())
        });
        let host = place.address.clone();
        NameServer { port, process, host }
    }

    /// `ADDRESS:PORT`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// A running broker; it can be stopped and started again on the same store.
#[derive(Debug)]
pub struct Broker {
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: u16,
    /// The process.
    pub process: Process,
    runs_as: RunsAs,
    folder: String,
    namesrv: String,
    dir: PathBuf,
    home: PathBuf,
    starts: u32,
}

impl Broker {
    /// Starts one in `dir/NAME`, with files small enough that a test crosses their ends.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(flavour: Flavour, dir: &Path, name: &str, namesrv: &str, tuning: Tuning<'_>) -> Broker {
        let runs_as = RunsAs::here(flavour, Jvm::Small);
        Broker::start_as(runs_as, dir, name, name, namesrv, tuning)
    }

    /// As [`Broker::start`], in a folder that is not named like the broker: a slave has the name of its master.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_in(
        folder: &str,
        (flavour, jvm): (Flavour, Jvm),
        dir: &Path,
        name: &str,
        namesrv: &str,
        tuning: Tuning<'_>,
    ) -> Broker {
        let runs_as = RunsAs::here(flavour, jvm);
        Broker::start_as(runs_as, dir, folder, name, namesrv, tuning)
    }

    /// As [`Broker::start`], by a program that becomes the one whose command line follows its own: `nsenter`, `prlimit`. In a folder that
    /// may be named otherwise than the broker.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_under(
        launcher: &[&str],
        flavour: Flavour,
        (dir, folder): (&Path, &str),
        name: &str,
        namesrv: &str,
        tuning: Tuning<'_>,
    ) -> Broker {
        let place = Place {
            launcher: launcher.iter().map(|word| (*word).to_owned()).collect(),
            ..Place::here()
        };
        Broker::start_there(&place, flavour, (dir, folder), name, namesrv, tuning)
    }

    /// As [`Broker::start`], in this place and folder.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_there(
        place: &Place,
        flavour: Flavour,
        (dir, folder): (&Path, &str),
        name: &str,
        namesrv: &str,
        tuning: Tuning<'_>,
    ) -> Broker {
        let runs_as = RunsAs {
            place: place.clone(),
            ..RunsAs::here(flavour, Jvm::Small)
        };
        Broker::start_as(runs_as, dir, folder, name, namesrv, tuning)
    }

    fn start_as(
        runs_as: RunsAs,
        dir: &Path,
        folder: &str,
        name: &str,
        namesrv: &str,
        tuning: Tuning<'_>,
    ) -> Broker {
        let home = make_home(dir, folder);
        let port = free_port();
        let mut settings = format!(
            "brokerClusterName=DefaultCluster\nbrokerName={name}\nbrokerIP1={1}\nbrokerIP2={1}\n\
             bindAddress={1}\nlistenPort={port}\nnamesrvAddr={namesrv}\nstorePathRootDir={0}/store\n\
             storePathCommitLog={0}/store/commitlog\ndiskMaxUsedSpaceRatio=95\n",
            home.display(),
            runs_as.place.address
        );
        let usual = [
            ("brokerId", "0"),
            ("mappedFileSizeCommitLog", "16777216"),
            ("mappedFileSizeConsumeQueue", "20000"),
        ];
        for (key, value) in usual
            .iter()
            .filter(|usual| tuning.iter().all(|tuned| tuned.0 != usual.0))
            .chain(tuning)
        {
            settings.push_str(&format!("{key}={value}\n"));
        }
        fs::write(home.join("conf/broker.properties"), settings).expect("the temporary folder is writable");
        let process = Broker::spawn(&runs_as, dir, &home, folder, 0);
        let broker = Broker {
            name: name.to_owned(),
            folder: folder.to_owned(),
            port,
            process,
            runs_as,
            namesrv: namesrv.to_owned(),
            dir: dir.to_owned(),
            home,
            starts: 1,
        };
        broker.wait_for_boot();
        broker
    }

    fn spawn(runs_as: &RunsAs, dir: &Path, home: &Path, folder: &str, start: u32) -> Process {
        let mut command = program(
            (runs_as.flavour, runs_as.jvm),
            home,
            "broker",
            "org.apache.rocketmq.broker.BrokerStartup",
        );
        command.arg("-c").arg(home.join("conf/broker.properties"));
        let command = launched(&runs_as.place.launcher, command);
        Process::start(folder, command, &dir.join(format!("{folder}.{start}.out")))
    }

    /// Waits for the line and for the name server to know the broker, which in Java comes seconds later.
    fn wait_for_boot(&self) {
        let head = format!(
            "The broker[{}, {}] boot success. serializeType=",
            self.name,
            self.address()
        );
        self.process.wait_for("boot success", START, |line| {
            line.starts_with(&head).then_some(())
        });
        self.wait_for_topic("TBW102");
    }

    /// Waits until every name server knows that this broker serves a topic.
    pub fn wait_for_topic(&self, topic: &str) {
        for namesrv in self.namesrv.split(';') {
            // One with TLS alone is not asked here; ours says that it has registered, Java's says it to nobody.
            if !wait_for_route(namesrv, topic, &self.address(), START)
                && self.runs_as.flavour == Flavour::Ours
            {
                let said = format!("registered at name server {namesrv}");
                self.process
                    .wait_for("registration", START, |line| line.contains(&said).then_some(()));
            }
        }
    }

    /// `ADDRESS:PORT`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.runs_as.place.address, self.port)
    }

    /// The folder of its store.
    pub fn store(&self) -> PathBuf {
        self.home.join("store")
    }

    /// Its properties file.
    pub fn config_file(&self) -> PathBuf {
        self.home.join("conf/broker.properties")
    }

    /// Ends it with SIGKILL, as a crash of the process does.
    pub fn kill(&mut self) {
        self.process.signal("KILL");
        self.process.wait_exit(STOP);
    }

    /// Ends it with SIGTERM and waits.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.signal("TERM");
        self.process.wait_exit(STOP)
    }

    /// Starts it again after [`Broker::kill`] or [`Broker::stop`].
    ///
    /// # Panics
    /// It does not start.
    pub fn restart(&mut self) {
        self.process = Broker::spawn(&self.runs_as, &self.dir, &self.home, &self.folder, self.starts);
        self.starts += 1;
        self.wait_for_boot();
    }
}

/// A configuration of Java's log that logs nothing.
pub(crate) const QUIET_LOGBACK: &str = "<configuration><root level=\"WARN\"/></configuration>\n";

/// A folder that serves as ROCKETMQ_HOME and as the user's home. Java's servers want files for their logs there.
fn make_home(dir: &Path, name: &str) -> PathBuf {
    let home = dir.join(name);
    let conf = home.join("conf");
    fs::create_dir_all(&conf).expect("the temporary folder is writable");
    for file in [
        "logback_namesrv.xml",
        "logback_broker.xml",
        "rmq.namesrv.logback.xml",
        "rmq.broker.logback.xml",
        "rmq.controller.logback.xml",
    ] {
        fs::write(conf.join(file), QUIET_LOGBACK).expect("the temporary folder is writable");
    }
    let accounts = conf.join("plain_acl.yml");
    // A test may have put its own there.
    if !accounts.exists() {
        fs::write(accounts, "accounts: []\n").expect("the temporary folder is writable");
    }
    home
}

fn program((flavour, jvm): (Flavour, Jvm), home: &Path, ours: &str, java_class: &str) -> Command {
    let mut command = match flavour {
        Flavour::Ours | Flavour::Earlier(_) => {
            let path = match flavour {
                Flavour::Earlier(folder) => Path::new(folder).join(ours),
                _ => our_program(ours),
            };
            let mut command = Command::new(path);
            command.args(["--log-to", "stdout"]);
            command
        }
        Flavour::Java(version) => {
            let mut command = java(&java_servers(version), home);
            match std::env::var("JAVA_SERVER_OPTIONS") {
                Ok(options) => command.args(options.split_whitespace()),
                Err(_) => command.args(jvm.options()),
            };
            // The Java broker takes these levels from nowhere else; a test must not depend on how full the disk is.
            command.arg("-Drocketmq.broker.diskSpaceWarningLevelRatio=0.98");
            command.arg("-Drocketmq.broker.diskSpaceCleanForciblyRatio=0.97");
            command.arg(format!("-Drocketmq.home.dir={}", home.display()));
            command.arg(java_class);
            command
        }
    };
    command
        .current_dir(home)
        .env("HOME", home)
        .env("ROCKETMQ_HOME", home)
        .env_remove("NAMESRV_ADDR");
    command
}

/// The command, started by another program.
pub(crate) fn launched(launcher: &[String], command: Command) -> Command {
    let Some((program, words)) = launcher.split_first() else {
        return command;
    };
    let mut outer = Command::new(program);
    outer
        .args(words)
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        outer.current_dir(dir);
    }
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(key, value),
            None => outer.env_remove(key),
        };
    }
    outer
}

/// Options for a JVM that starts soon and takes little.
pub(crate) const SMALL_JVM: [&str; 2] = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// A JVM that RocketMQ 4.9 and 5.x run on.
pub fn java(class_path: &str, home: &Path) -> Command {
    let mut command = Command::new("java");
    for (module, packages) in [
        ("exports", ["jdk.internal.ref", "sun.nio.ch"]),
        ("opens", ["jdk.internal.ref", "sun.nio.ch"]),
    ] {
        for package in packages {
            command.arg(format!("--add-{module}=java.base/{package}=ALL-UNNAMED"));
        }
    }
    for package in ["java.nio", "java.lang", "java.util"] {
        command.arg(format!("--add-opens=java.base/{package}=ALL-UNNAMED"));
    }
    command.arg(format!("-Duser.home={}", home.display()));
    command.args(["-cp", class_path]);
    command
}
