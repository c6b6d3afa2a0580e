//! Hosts in network namespaces of their own, on one switch: between any two of them everything can be lost, in silence.
//!
//! No privilege is needed where the kernel allows user namespaces. A test runs once more in a network that has no way out
//! ([`Network::inside`]), and is the switch there: its own address is on it, and it reaches every host at all times. What the test needs is
//! built before, since nothing can be fetched there.
//!
//! ```no_run
//! use cluster::Network;
//!
//! if Network::inside("partitions::a_test") {
//!     let network = Network::of(std::path::Path::new("/tmp"), &["master", "slave"]);
//!     network.part("master", "slave");
//!     network.join("master", "slave");
//! }
//! ```

use crate::build::{self, NOTHING_TO_BUILD};
use crate::process::Process;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The first bytes of every address.
const NET: &str = "10.77.0";
/// How long a namespace may take to be there.
const START: Duration = Duration::from_secs(20);

/// Where a server or client runs: its address, and the program that puts it there.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its address.
    pub address: String,
    /// A program that becomes the one whose command line follows its own, and its arguments; empty: none.
    pub launcher: Vec<String>,
}

impl Place {
    /// This process's own network.
    pub fn here() -> Place {
        Place {
            address: "127.0.0.1".to_owned(),
            launcher: Vec::new(),
        }
    }
}

struct Host {
    place: Place,
    /// Its port of the switch.
    port: String,
    /// Keeps its namespace.
    _holder: Process,
}

/// Hosts on a switch.
pub struct Network {
    hosts: BTreeMap<String, Host>,
}

impl Network {
    /// Runs the test of this name (`module::function`) once more, alone, in a network of its own. True there; false when that has passed.
    ///
    /// # Panics
    /// It did not pass; the message has what it printed.
    pub fn inside(test: &str) -> bool {
        if std::env::var_os(NOTHING_TO_BUILD).is_some() {
            return true;
        }
        build::all_clients_and_servers();
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork"])
            // What is left running ends with it.
            .args(["--kill-child", "--mount-proc"])
            .arg(std::env::current_exe().expect("the running test"))
            .args(["--exact", test, "--nocapture"])
            .env(NOTHING_TO_BUILD, "1");
        let ran = command.output().expect("unshare (util-linux) is there");
        let [out, err] = [&ran.stdout, &ran.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        assert!(
            ran.status.success() && out.contains("1 passed"),
            "{test} in a network of its own: {}\n{out}\n{err}",
            ran.status
        );
        false
    }

    /// A switch with these hosts.
    ///
    /// # Panics
    /// The kernel, or this user's rights, do not allow it; the message has what `ip` said.
    pub fn of(dir: &Path, names: &[&str]) -> Network {
        for words in [
            "link set lo up".to_owned(),
            "link add switch type bridge".to_owned(),
            format!("addr add {NET}.1/24 dev switch"),
            "link set switch up".to_owned(),
        ] {
            ip(&[], &words);
        }
        let hosts = names.iter().zip(2..).map(|(name, number)| {
            let mut holder = Command::new("unshare");
            holder.args(["--net", "sh", "-c", "echo there && exec cat"]);
            let holder = Process::start(&format!("host {name}"), holder, &dir.join(format!("{name}.host")));
            holder.wait_for("there", START, |line| (line == "there").then_some(()));
            let (pid, address) = (holder.pid(), format!("{NET}.{number}"));
            let launcher = ["nsenter", &format!("--net=/proc/{pid}/ns/net"), "--"].map(str::to_owned);
            let port = format!("port{number}");
            for words in [
                format!("link add {port} type veth peer name eth0 netns {pid}"),
                format!("link set {port} master switch"),
                format!("link set {port} up"),
            ] {
                ip(&[], &words);
            }
            for words in [
                "link set lo up".to_owned(),
                format!("addr add {address}/24 dev eth0"),
                "link set eth0 up".to_owned(),
            ] {
                ip(&launcher, &words);
            }
            let launcher = launcher.to_vec();
            let host = Host {
                place: Place { address, launcher },
                port,
                _holder: holder,
            };
            ((*name).to_owned(), host)
        });
        Network {
            hosts: hosts.collect(),
        }
    }

    /// Where this host is.
    pub fn place(&self, name: &str) -> &Place {
        &self.hosts[name].place
    }

    /// From here on everything between the two is lost. One pair at a time.
    pub fn part(&self, one: &str, other: &str) {
        self.isolate([one, other], "on");
    }

    /// Nothing is lost any more.
    pub fn join(&self, one: &str, other: &str) {
        self.isolate([one, other], "off");
    }

    /// Two isolated ports of a switch exchange nothing; what comes from others passes.
    fn isolate(&self, names: [&str; 2], whether: &str) {
        for name in names {
            let port = &self.hosts[name].port;
            ip(
                &[],
                &format!("link set {port} type bridge_slave isolated {whether}"),
            );
        }
    }
}

fn ip(launcher: &[String], words: &str) {
    let all: Vec<&str> = launcher
        .iter()
        .map(String::as_str)
        .chain(["ip"])
        .chain(words.split(' '))
        .collect();
    let done = Command::new(all[0]).args(&all[1..]).output();
    let done = done.unwrap_or_else(|error| panic!("{all:?}: {error}"));
    assert!(
        done.status.success(),
        "{all:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}
