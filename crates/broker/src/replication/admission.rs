//! Who may connect to the port of replication.
//!
//! The protocol has no names and no passwords. An address may connect if the name servers know a slave of this broker's name there,
//! or if `haAllowedSlaves` lists it. Unlike Java, where everybody may read the log and acknowledge.
//!
//! A slave may have registered with a name instead of an address, as Java's with `brokerIP1=broker-a-s`: it may connect from the addresses
//! that the name has.
//!
//! A master goes on without name servers. While none is there that knows this broker, slaves are those that were known last; after a
//! start, those that the history of roles has for the last reign with slaves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::RoleHistory;
use crate::registration::{Registration, join_all};
use crate::settings::Settings;

/// How long an answer of the name servers is taken for true.
const KNOWN_FOR: Duration = Duration::from_secs(1);
/// The same, where as many slaves are connected from an address as are known there: each registers before it connects.
const FULL_FOR: Duration = Duration::from_millis(100);
/// How long the addresses of a name are taken for true, and how long one that could not be resolved is not asked for again.
const RESOLVED_FOR: Duration = Duration::from_secs(10);
/// How long a name may take: the slave waits.
const RESOLVE_WITHIN: Duration = Duration::from_secs(1);
/// How many slaves may live at an address that only a setting or the history of roles allows.
const LISTED_PLACES: usize = 4;

/// Who knows the registered slaves: the addresses (`host:port`) of the registered brokers of this broker's name, by id, the masters' left out.
pub trait Registered: Send + Sync + 'static {
    /// Asks the name servers. `None` if none is there that knows this broker: such a one can not say who its slaves are.
    fn slaves(&self) -> Pin<Box<dyn Future<Output = Option<Vec<String>>> + Send + '_>>;

    /// The addresses of a host.
    fn resolve(&self, host: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + '_>> {
        // The system is asked on a thread that may wait.
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

impl Registered for Registration {
    fn slaves(&self) -> Pin<Box<dyn Future<Output = Option<Vec<String>>> + Send + '_>> {
        Box::pin(Registration::slaves(self))
    }
}

#[derive(Default)]
struct Known {
    /// How many slaves are registered at an address, once a name server has said so.
    places: Option<HashMap<IpAddr, usize>>,
    /// No name server said so when they were asked last.
    is_old: bool,
    asked: Option<Instant>,
    names: HashMap<String, Name>,
}

/// The name of a slave's host.
struct Name {
    addresses: Vec<IpAddr>,
    asked: Instant,
    /// Its addresses could not be had when they were asked for last.
    is_unknown: bool,
}

impl Known {
    /// Asks for the addresses of those among the hosts of `slaves` that are names. One that can not be resolved now has those it had.
    async fn resolve(&mut self, slaves: &[String], registered: &dyn Registered) {
        let names: BTreeSet<&str> = slaves
            .iter()
            .filter_map(|slave| host_of(slave))
            .filter(|host| address_of(host).is_none())
            .collect();
        self.names.retain(|name, _| names.contains(name.as_str()));
        let is_due = |name: &&&str| {
            let known = self.names.get(**name);
            known.is_none_or(|known| known.asked.elapsed() >= RESOLVED_FOR)
        };
        let due: Vec<String> = names
            .iter()
            .filter(is_due)
            .map(|name| (*name).to_owned())
            .collect();
        let answers = Mutex::new(Vec::new());
        join_all(due.into_iter().map(|name| async {
            let found = tokio::time::timeout(RESOLVE_WITHIN, registered.resolve(name.clone())).await;
            let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            answers.lock().push((name, found));
        }))
        .await;
        for (name, found) in answers.into_inner() {
            let known = self.names.entry(name.clone()).or_insert_with(|| Name {
                addresses: Vec::new(),
                asked: Instant::now(),
                is_unknown: false,
            });
            known.asked = Instant::now();
            let was_unknown = std::mem::replace(&mut known.is_unknown, found.is_err());
            match found {
                Ok(found) => known.addresses = found.into_iter().map(|ip| ip.to_canonical()).collect(),
                Err(e) if !was_unknown => tracing::warn!(
                    "replication: a slave has registered as {name}, and no address of that name can be had: {e}"
                ),
                Err(_) => {}
            }
        }
    }

    fn addresses(&self, slave: &str) -> BTreeSet<IpAddr> {
        let Some(host) = host_of(slave) else {
            return BTreeSet::new();
        };
        let of_name = self.names.get(host).map(|name| name.addresses.as_slice());
        let of_name = of_name.unwrap_or_default().iter().copied();
        address_of(host).into_iter().chain(of_name).collect()
    }

    fn note(&mut self, slaves: Option<Vec<String>>) {
        let was_old = std::mem::replace(&mut self.is_old, slaves.is_none());
        if self.is_old && !was_old {
            tracing::warn!(
                "replication: no name server that knows this broker answers; slaves may connect from where they were last"
            );
        }
        let Some(slaves) = slaves else { return };
        let mut places = HashMap::new();
        for ip in slaves.iter().flat_map(|slave| self.addresses(slave)) {
            *places.entry(ip).or_default() += 1;
        }
        self.places = Some(places);
    }
}

/// How many slaves may be connected from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// At once; 0: nobody may connect from there.
    pub most: usize,
    /// As many as name servers know there.
    pub registered: usize,
}

/// Decides who may connect.
pub struct Admission {
    settings: Arc<settings::Live<Settings>>,
    registered: Arc<dyn Registered>,
    history: Arc<RoleHistory>,
    known: tokio::sync::Mutex<Known>,
}

impl Admission {
    /// Asks `registered` who is a slave, and `history` who was.
    pub fn new(
        settings: Arc<settings::Live<Settings>>,
        registered: Arc<dyn Registered>,
        history: Arc<RoleHistory>,
    ) -> Self {
        Self {
            settings,
            registered,
            history,
            known: tokio::sync::Mutex::default(),
        }
    }

    /// How many slaves may be connected from `address`, where `connected` are. Asks the name servers once a second at most, and ten times
    /// where it matters.
    pub async fn places(&self, address: IpAddr, connected: usize) -> Places {
        let arrived = Instant::now();
        let mut known = self.known.lock().await;
        let there = known.places.as_ref().and_then(|places| places.get(&address));
        // What was asked while this one waited for its turn is new enough.
        let is_older = known.asked.is_none_or(|asked| asked <= arrived);
        let is_full = is_older && there.is_some_and(|places| connected >= *places);
        if let Some(asked) = known.asked.filter(|_| is_full) {
            tokio::time::sleep_until(asked + FULL_FOR).await;
        }
        if is_full || known.asked.is_none_or(|asked| asked.elapsed() >= KNOWN_FOR) {
            let slaves = self.registered.slaves().await;
            known
                .resolve(slaves.as_deref().unwrap_or_default(), &*self.registered)
                .await;
            known.note(slaves);
            known.asked = Some(Instant::now());
        }
        let places = known.places.as_ref();
        let registered = places
            .and_then(|places| places.get(&address))
            .copied()
            .unwrap_or(0);
        let was_slave = places.is_none() && was_slave(&self.history.reigns(), address);
        drop(known);
        let networks = self.settings.load().store.ha_allowed_networks();
        let is_listed = networks.iter().any(|network| network.contains(&address));
        let most = match is_listed || was_slave {
            true => registered.max(LISTED_PLACES),
            false => registered,
        };
        Places { most, registered }
    }
}

/// Did a slave at this address report in the last reign that had slaves?
fn was_slave(reigns: &ha::Reigns, address: IpAddr) -> bool {
    let slaves = |reign: &ha::Reign| match &reign.meaning {
        ha::Meaning::WithSlaves { slaves, .. } if !slaves.is_empty() => Some(slaves.clone()),
        _ => None,
    };
    let last: Option<BTreeMap<String, usize>> = reigns.all().iter().rev().find_map(slaves);
    last.is_some_and(|slaves| slaves.contains_key(&address.to_string()))
}

/// The host of `host:port`.
fn host_of(address: &str) -> Option<&str> {
    let (host, _) = address.rsplit_once(':')?;
    Some(host.trim_start_matches('[').trim_end_matches(']')).filter(|host| !host.is_empty())
}

/// The address of a host; one that is a name has none of its own.
fn address_of(host: &str) -> Option<IpAddr> {
    Some(host.parse::<IpAddr>().ok()?.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Slaves {
        /// What name servers say.
        said: Mutex<Option<Vec<&'static str>>>,
        asked: AtomicUsize,
        /// What the system says of a name; it never answers for `mute`.
        names: Mutex<BTreeMap<&'static str, Vec<&'static str>>>,
        resolved: AtomicUsize,
    }

    impl Registered for Slaves {
        fn resolve(
            &self,
            host: String,
        ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + '_>> {
            self.resolved.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                if host == "mute" {
                    std::future::pending::<()>().await;
                }
                let names = self.names.lock();
                let found = names.get(host.as_str()).ok_or(io::ErrorKind::NotFound)?;
                Ok(found.iter().map(|ip| ip.parse().expect("an address")).collect())
            })
        }

        fn slaves(&self) -> Pin<Box<dyn Future<Output = Option<Vec<String>>> + Send + '_>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let said = self.said.lock().clone();
            Box::pin(async { said.map(|slaves| slaves.into_iter().map(str::to_owned).collect()) })
        }
    }

    fn admission(allowed: Option<&str>, slaves: &Arc<Slaves>, history: &str) -> Admission {
        let mut settings = Settings::default();
        settings.store.ha_allowed_slaves = allowed.map(str::to_owned);
        let disk = disk::SimDisk::new();
        disk.put(Path::new("/store/roleHistory"), history.as_bytes());
        let history = RoleHistory::load(&disk, Path::new("/store"), 0).expect("a history");
        Admission::new(
            Arc::new(settings::Live::new(settings)),
            Arc::clone(slaves) as _,
            Arc::new(history),
        )
    }

    async fn places(admission: &Admission, address: &str) -> usize {
        let places = admission.places(address.parse().expect("an address"), 0).await;
        assert!(places.registered <= places.most);
        places.most
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_registered_or_listed_may_connect_and_nobody_else() {
        let registered = [
            "10.0.0.2:10911",
            "10.0.0.2:20911",
            "[fe80::1]:10911",
            "name:10911",
        ];
        let slaves = Arc::new(Slaves::default());
        *slaves.said.lock() = Some(registered.to_vec());
        let admission = admission(Some("10.1.0.0/16, 10.2.0.1"), &slaves, "");
        for (address, expected) in [
            ("10.0.0.2", 2),
            ("fe80::1", 1),
            ("10.0.0.3", 0),
            ("10.1.200.3", LISTED_PLACES),
            ("10.2.0.1", LISTED_PLACES),
            ("10.2.0.2", 0),
        ] {
            assert_eq!(places(&admission, address).await, expected, "{address}");
        }
        assert_eq!(slaves.asked.load(Ordering::Relaxed), 1, "asked once a second");
        tokio::time::advance(KNOWN_FOR).await;
        assert_eq!(places(&admission, "10.0.0.2").await, 2);
        assert_eq!(slaves.asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_slave_of_a_host_is_asked_for_at_once() {
        let slaves = Arc::new(Slaves::default());
        *slaves.said.lock() = Some(vec!["10.0.0.2:10911"]);
        let admission = admission(None, &slaves, "");
        assert_eq!(places(&admission, "10.0.0.2").await, 1);
        *slaves.said.lock() = Some(vec!["10.0.0.2:10911", "10.0.0.2:20911"]);
        let address = "10.0.0.2".parse().expect("an address");
        let begun = Instant::now();
        assert_eq!(admission.places(address, 1).await.most, 2);
        assert_eq!(begun.elapsed(), FULL_FOR, "and no more than ten times a second");
        assert_eq!(slaves.asked.load(Ordering::Relaxed), 2);
        let stranger = "10.0.0.3".parse().expect("an address");
        assert_eq!(admission.places(stranger, 5).await.most, 0);
        assert_eq!(
            slaves.asked.load(Ordering::Relaxed),
            2,
            "strangers are not asked for"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slave_may_have_registered_with_a_name() {
        let slaves = Arc::new(Slaves::default());
        *slaves.said.lock() = Some(vec![
            "mute:10911",
            "broker-s:10911",
            "broker-s:10921",
            "10.0.0.3:10911",
        ]);
        let say = |addresses: &[&'static str]| {
            slaves.names.lock().insert("broker-s", addresses.to_vec());
        };
        let admission = admission(None, &slaves, "");
        for (addresses, expected) in [
            // Not known yet; and no more is asked for each connection.
            (&[][..], [0, 0, 1]),
            (&["10.0.0.2", "::ffff:10.0.0.3"], [2, 0, 3]),
            (&["10.0.0.4"], [0, 2, 1]),
        ] {
            if !addresses.is_empty() {
                say(addresses);
            }
            let before = slaves.resolved.load(Ordering::Relaxed);
            for (address, expected) in ["10.0.0.2", "10.0.0.4", "10.0.0.3"].into_iter().zip(expected) {
                assert_eq!(
                    places(&admission, address).await,
                    expected,
                    "{addresses:?} {address}"
                );
            }
            tokio::time::advance(KNOWN_FOR).await;
            places(&admission, "10.0.0.2").await;
            assert_eq!(slaves.resolved.load(Ordering::Relaxed) - before, 2);
            tokio::time::advance(RESOLVED_FOR).await;
        }
        // A name that is not resolved any more has the addresses it had.
        slaves.names.lock().clear();
        assert_eq!(places(&admission, "10.0.0.4").await, 2);
        tokio::time::advance(RESOLVED_FOR).await;
        *slaves.said.lock() = Some(vec![]);
        assert_eq!(places(&admission, "10.0.0.4").await, 0);
    }

    #[tokio::test]
    async fn the_system_is_asked_for_names() {
        let slaves = Arc::new(RealNames);
        let admission = Admission::new(
            Arc::new(settings::Live::new(Settings::default())),
            slaves,
            Arc::new(RoleHistory::load(&disk::SimDisk::new(), Path::new("/store"), 0).expect("a history")),
        );
        assert_eq!(places(&admission, "127.0.0.1").await, 1);
    }

    struct RealNames;

    impl Registered for RealNames {
        fn slaves(&self) -> Pin<Box<dyn Future<Output = Option<Vec<String>>> + Send + '_>> {
            Box::pin(async { Some(vec!["localhost:10911".to_owned()]) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_name_servers_a_slave_may_connect_from_where_it_was() {
        let slaves = Arc::new(Slaves::default());
        let history = "from=0 until=10 acknowledged=10 doubtful=0 slaves=10.0.0.8\n\
                       from=10 until=20 acknowledged=20 doubtful=0 slaves=10.0.0.9\n\
                       from=20 alone\n";
        let admission = admission(None, &slaves, history);
        // Since the start none was there.
        assert_eq!(places(&admission, "10.0.0.9").await, LISTED_PLACES);
        assert_eq!(
            places(&admission, "10.0.0.8").await,
            0,
            "not in the last reign with slaves"
        );
        for (said, expected) in [
            (Some(vec!["10.0.0.2:10911", "10.0.0.2:10921"]), [2, 0]),
            (None, [2, 0]),
            (Some(vec![]), [0, 0]),
            (None, [0, 0]),
        ] {
            tokio::time::advance(KNOWN_FOR).await;
            *slaves.said.lock() = said.clone();
            for (address, expected) in ["10.0.0.2", "10.0.0.9"].into_iter().zip(expected) {
                assert_eq!(places(&admission, address).await, expected, "{said:?} {address}");
            }
        }
    }
}
