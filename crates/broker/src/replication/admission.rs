//! Who may connect to the port of replication.
//!
//! The protocol has no names and no passwords. An address may connect if the name servers know a slave of this broker's name there,
//! or if `haAllowedSlaves` lists it. Unlike Java, where everybody may read the log and acknowledge.
//!
//! A master goes on without name servers. While none is there that knows this broker, slaves are those that were known last; after a
//! start, those that the history of roles has for the last reign with slaves.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::RoleHistory;
use crate::registration::Registration;
use crate::settings::Settings;

/// How long an answer of the name servers is taken for true.
const KNOWN_FOR: Duration = Duration::from_secs(1);
/// How many slaves may live at an address that only a setting or the history of roles allows.
const LISTED_PLACES: usize = 4;

/// Who knows the registered slaves: the addresses (`host:port`) of the registered brokers of this broker's name, by id, the masters' left out.
pub trait Registered: Send + Sync + 'static {
    /// Asks the name servers. `None` if none is there that knows this broker: such a one can not say who its slaves are.
    fn slaves(&self) -> Pin<Box<dyn Future<Output = Option<Vec<String>>> + Send + '_>>;
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
}

impl Known {
    fn note(&mut self, slaves: Option<Vec<String>>) {
        let was_old = std::mem::replace(&mut self.is_old, slaves.is_none());
        if self.is_old && !was_old {
            tracing::warn!(
                "replication: no name server that knows this broker answers; slaves may connect from where they were last"
            );
        }
        let Some(slaves) = slaves else { return };
        let mut places = HashMap::new();
        for ip in slaves.iter().filter_map(|slave| host_of(slave)) {
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

    /// How many slaves may be connected from `address`. Asks the name servers once a second at most.
    pub async fn places(&self, address: IpAddr) -> Places {
        let mut known = self.known.lock().await;
        if known.asked.is_none_or(|asked| asked.elapsed() >= KNOWN_FOR) {
            known.note(self.registered.slaves().await);
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

/// The address of `host:port`; a host that is a name is none.
fn host_of(address: &str) -> Option<IpAddr> {
    let (host, _) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some(host.parse::<IpAddr>().ok()?.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct Slaves {
        /// What name servers say.
        said: Mutex<Option<Vec<&'static str>>>,
        asked: AtomicUsize,
    }

    impl Registered for Slaves {
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
        let places = admission.places(address.parse().expect("an address")).await;
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
