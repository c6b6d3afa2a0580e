//! Addresses: those a server listens on, those it tells others, and those of the servers that it needs.

use super::Own;
use super::holder::gives_way;
use settings::{Report, Severity};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A port that a server is to listen on.
#[derive(Clone, Copy, Debug)]
pub struct Listens<'a> {
    /// What for.
    pub purpose: &'a str,
    /// The setting that moves it.
    pub key: &'a str,
    /// Where.
    pub address: SocketAddr,
    /// What marks the server with these settings, which has the port where it runs.
    pub own: Own<'a>,
}

impl Listens<'_> {
    /// Looks whether the port can be had. The server that these settings are of may have it: next to a running one they are as good.
    /// What another process has refuses the start. Says whether nobody has it.
    pub fn check(&self, report: &mut Report) -> bool {
        let Listens {
            purpose,
            key,
            address,
            ..
        } = self;
        let name = format!("port {} ({purpose})", address.port());
        let mut at = *key;
        let bound = TcpListener::bind(address);
        let is_free = bound.is_ok();
        let (severity, text) = match bound {
            Ok(_) => (Severity::Fine, format!("{name}: {address} is free")),
            Err(error) if error.kind() == ErrorKind::AddrInUse && self.own.listens_on(address.port()) => (
                Severity::Fine,
                format!("{name}: the server of these settings runs, and listens on {address}"),
            ),
            Err(error) if error.kind() == ErrorKind::AddrInUse && gives_way(address.port()) => (
                Severity::Fine,
                format!(
                    "{name}: a broker of this host has {address} for replication, and gives way when this one is started"
                ),
            ),
            Err(error) => {
                if error.kind() == ErrorKind::AddrNotAvailable {
                    at = "bindAddress";
                }
                (
                    Severity::Error,
                    settings::launch::bind_failure(purpose, key, &address.to_string(), &error),
                )
            }
        };
        report.about(severity, at, text);
        is_free
    }
}

/// An address that others are told.
#[derive(Clone, Copy, Debug)]
pub struct Announced<'a> {
    /// Its setting.
    pub key: &'a str,
    /// Who is told.
    pub whom: &'a str,
    /// The address.
    pub ip: IpAddr,
    /// Where the server listens.
    pub listens_on: IpAddr,
    /// Others are on other hosts.
    pub elsewhere: bool,
}

impl Announced<'_> {
    fn name(&self) -> String {
        let Announced { key, whom, ip, .. } = self;
        format!("{key}={ip}, which {whom} are told")
    }

    /// What is wrong if it is no address of this host.
    fn not_here(&self) -> String {
        format!(
            "{}, is no address of this host; unless something forwards it to here, nobody comes through: set {} to this host's \
             address",
            self.name(),
            self.key
        )
    }

    /// The one thing that a start looks at: whether this host has it.
    pub fn warn_if_not_here(&self, report: &mut Report) {
        let bound = TcpListener::bind((self.ip, 0));
        if bound.is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable) {
            report.about(Severity::Warning, self.key, self.not_here());
        }
    }

    /// Looks whether who is told it comes to this server.
    pub fn check(&self, report: &mut Report) {
        let Announced {
            key, ip, listens_on, ..
        } = self;
        let name = self.name();
        let everywhere = listens_on.to_canonical().is_unspecified();
        let (severity, text) = match TcpListener::bind((*ip, 0)) {
            Ok(_) if ip.is_loopback() && self.elsewhere => (
                Severity::Warning,
                format!(
                    "{name}, is the loopback, and the name servers are on other hosts: whoever is told it looks on its own host; \
                     set {key} to this host's address"
                ),
            ),
            Ok(_) if !everywhere && listens_on.to_canonical() != ip.to_canonical() => (
                Severity::Warning,
                format!(
                    "{name}, is not where the server listens: bindAddress={listens_on}; make them the same"
                ),
            ),
            Ok(_) => (Severity::Fine, format!("{name}, is an address of this host")),
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => (Severity::Warning, self.not_here()),
            Err(error) => (Severity::Warning, format!("{name}, can not be tried: {error}")),
        };
        report.about(severity, key, text);
    }
}

/// What came of looking for the name servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// One of them has an address that is not this host's loopback.
    pub elsewhere: bool,
}

/// Connects to each name server, to all at once. One that does not answer keeps no broker from starting.
pub fn name_servers(report: &mut Report, key: &str, list: &[String], within: Duration) -> Reached {
    let mut reached = Reached::default();
    let asked: Vec<_> = list
        .iter()
        .map(|server| (server, connect(server.clone(), within)))
        .collect();
    let deadline = Instant::now() + within;
    for (server, answer) in asked {
        // Names that nobody resolves take longer than anybody waits.
        let left = deadline.saturating_duration_since(Instant::now()) + within / 10;
        let answer = answer.recv_timeout(left).unwrap_or_else(|_| Tried {
            elsewhere: true,
            outcome: Err(format!("nothing came within {} ms", within.as_millis())),
        });
        reached.elsewhere |= answer.elsewhere;
        match answer.outcome {
            Ok(after) => report.about(
                Severity::Fine,
                key,
                format!("name server {server}: connected after {} ms", after.as_millis()),
            ),
            Err(why) => report.about(
                Severity::Warning,
                key,
                format!(
                    "name server {server}: not reached: {why}; start it, open the way to it, or mend the list: clients that ask it do \
                     not find this broker"
                ),
            ),
        }
    }
    reached
}

struct Tried {
    elsewhere: bool,
    outcome: Result<Duration, String>,
}

/// On a thread of its own, since names are resolved for as long as it takes.
fn connect(server: String, within: Duration) -> mpsc::Receiver<Tried> {
    let (tell, answer) = mpsc::channel();
    let look = move || {
        let started = Instant::now();
        let tried = match server.to_socket_addrs() {
            Err(error) => Tried {
                elsewhere: true,
                outcome: Err(error.to_string()),
            },
            Ok(found) => {
                let found: Vec<SocketAddr> = found.collect();
                Tried {
                    elsewhere: found
                        .iter()
                        .any(|address| !address.ip().to_canonical().is_loopback()),
                    outcome: first_that_answers(&found, started, within),
                }
            }
        };
        // Nobody waits any more where that took too long.
        let _ = tell.send(tried);
    };
    // Where no thread can be had the other end hears that nobody tells anything.
    let _ = std::thread::Builder::new()
        .name("name-server".to_owned())
        .spawn(look);
    answer
}

fn first_that_answers(found: &[SocketAddr], started: Instant, within: Duration) -> Result<Duration, String> {
    let mut why = "it has no address".to_owned();
    for address in found {
        let left = within.saturating_sub(started.elapsed());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(address, left) {
            Ok(_) => return Ok(started.elapsed()),
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const SECOND: Duration = Duration::from_secs(1);

    fn said(look: impl FnOnce(&mut Report)) -> String {
        let mut report = Report::default();
        look(&mut report);
        report.to_string()
    }

    #[test]
    fn ports_that_are_free_and_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = |is_held| Own::Lock {
            path: Path::new("/proc/self/exe"),
            is_held,
        };
        let mut listens = Listens {
            purpose: "clients",
            key: "listenPort",
            address: listener.local_addr().unwrap(),
            own: own(false),
        };
        for is_held in [false, true] {
            // Nobody who listens there has that file open.
            listens.own = own(is_held);
            let taken = said(|report| _ = listens.check(report));
            assert!(
                taken.starts_with("error: cannot listen on ") && taken.contains("change listenPort"),
                "{taken}"
            );
        }
        // The test's program, started with no file of settings.
        listens.own = Own::Settings(None);
        let own = said(|report| _ = listens.check(report));
        assert!(
            own.starts_with("OK: ") && own.contains("the server of these settings runs"),
            "{own}"
        );
        drop(listener);
        let free = said(|report| _ = listens.check(report));
        assert!(free.starts_with("OK: ") && free.ends_with("is free\n"), "{free}");
        listens.address = "203.0.113.1:80".parse().unwrap();
        let not_here = said(|report| _ = listens.check(report));
        assert!(
            not_here.starts_with("error: ") && not_here.contains("change bindAddress"),
            "{not_here}"
        );
    }

    #[test]
    fn addresses_that_are_told() {
        for (ip, listens_on, elsewhere, start, part) in [
            (
                "127.0.0.1",
                "0.0.0.0",
                false,
                "OK: ",
                "is an address of this host",
            ),
            ("127.0.0.1", "0.0.0.0", true, "warning: ", "is the loopback"),
            (
                "127.0.0.1",
                "127.0.0.2",
                false,
                "warning: ",
                "bindAddress=127.0.0.2",
            ),
            ("127.0.0.1", "127.0.0.1", false, "OK: ", "brokerIP1=127.0.0.1"),
            // Of a network that is for documents alone.
            (
                "192.0.2.1",
                "0.0.0.0",
                true,
                "warning: ",
                "is no address of this host",
            ),
        ] {
            let announced = Announced {
                key: "brokerIP1",
                whom: "clients",
                ip: ip.parse().unwrap(),
                listens_on: listens_on.parse().unwrap(),
                elsewhere,
            };
            let said = said(|report| announced.check(report));
            assert!(said.starts_with(start) && said.contains(part), "{said}");
        }
    }

    #[test]
    fn name_servers_that_are_there_and_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap().to_string();
        let closed = {
            let other = TcpListener::bind("127.0.0.1:0").unwrap();
            other.local_addr().unwrap().to_string()
        };
        let mut reached = Reached::default();
        let list = [there.clone(), closed.clone()];
        let told = said(|report| reached = name_servers(report, "namesrvAddr", &list, SECOND));
        assert!(!reached.elsewhere);
        assert!(
            told.contains(&format!("OK: name server {there}: connected")),
            "{told}"
        );
        assert!(
            told.contains(&format!("warning: name server {closed}: not reached: ")),
            "{told}"
        );
        let unknown = ["no.such.host.invalid:9876".to_owned()];
        let told = said(|report| reached = name_servers(report, "namesrvAddr", &unknown, SECOND));
        assert!(reached.elsewhere && told.starts_with("warning: "), "{told}");
    }
}
