//! Who may connect to the port of replication.
//!
//! The protocol has no names and no passwords. An address may connect if the name servers know a slave of this broker's name there,
//! or if `haAllowedSlaves` lists it. Unlike Java, where everybody may read the log and acknowledge.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::registration::Registration;
use crate::settings::Settings;

/// How long an answer of the name servers is taken for true.
const KNOWN_FOR: Duration = Duration::from_secs(1);
/// How many slaves may live at an address that only a setting allows.
const LISTED_PLACES: usize = 4;

/// Who knows the registered slaves: the addresses (`host:port`) of the registered brokers of this broker's name, by id, the masters' left out.
pub trait Registered: Send + Sync + 'static {
    /// Asks the name servers.
    fn slaves(&self) -> Pin<Box<dyn Future<Output = Vec<String>> + Send + '_>>;
}

impl Registered for Registration {
    fn slaves(&self) -> Pin<Box<dyn Future<Output = Vec<String>> + Send + '_>> {
        Box::pin(Registration::slaves(self))
    }
}

#[derive(Default)]
struct Known {
    /// How many slaves are registered at an address.
    places: HashMap<IpAddr, usize>,
    asked: Option<Instant>,
}

/// Decides who may connect.
pub struct Admission {
    settings: Arc<settings::Live<Settings>>,
    registered: Arc<dyn Registered>,
    known: tokio::sync::Mutex<Known>,
}

impl Admission {
    /// Asks `registered` who is a slave.
    pub fn new(settings: Arc<settings::Live<Settings>>, registered: Arc<dyn Registered>) -> Self {
        Self {
            settings,
            registered,
            known: tokio::sync::Mutex::default(),
        }
    }

    /// How many slaves may be connected from `address`; 0: nobody may connect from there. Asks the name servers once a second at most.
    pub async fn places(&self, address: IpAddr) -> usize {
        let mut known = self.known.lock().await;
        if known.asked.is_none_or(|asked| asked.elapsed() >= KNOWN_FOR) {
            known.places.clear();
            for slave in self.registered.slaves().await {
                if let Some(ip) = host_of(&slave) {
                    *known.places.entry(ip).or_default() += 1;
                }
            }
            known.asked = Some(Instant::now());
        }
        let registered = known.places.get(&address).copied().unwrap_or(0);
        drop(known);
        let networks = self.settings.load().store.ha_allowed_networks();
        let is_listed = networks.iter().any(|network| network.contains(&address));
        match is_listed {
            true => registered.max(LISTED_PLACES),
            false => registered,
        }
    }
}

/// The address of `host:port`; a host that is a name is none.
fn host_of(address: &str) -> Option<IpAddr> {
    let (host, _) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some(host.parse::<IpAddr>().ok()?.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Slaves(&'static [&'static str], AtomicUsize);

    impl Registered for Slaves {
        fn slaves(&self) -> Pin<Box<dyn Future<Output = Vec<String>> + Send + '_>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { self.0.iter().map(|slave| (*slave).to_owned()).collect() })
        }
    }

    fn admission(allowed: Option<&str>, slaves: &Arc<Slaves>) -> Admission {
        let mut settings = Settings::default();
        settings.store.ha_allowed_slaves = allowed.map(str::to_owned);
        Admission::new(Arc::new(settings::Live::new(settings)), Arc::clone(slaves) as _)
    }

    async fn places(admission: &Admission, address: &str) -> usize {
        admission.places(address.parse().expect("an address")).await
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_registered_or_listed_may_connect_and_nobody_else() {
        let registered = [
            "10.0.0.2:10911",
            "10.0.0.2:20911",
            "[fe80::1]:10911",
            "name:10911",
        ];
        let slaves = Arc::new(Slaves(Box::leak(Box::new(registered)), AtomicUsize::new(0)));
        let admission = admission(Some("10.1.0.0/16, 10.2.0.1"), &slaves);
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
        assert_eq!(slaves.1.load(Ordering::Relaxed), 1, "asked once a second");
        tokio::time::advance(KNOWN_FOR).await;
        assert_eq!(places(&admission, "10.0.0.2").await, 2);
        assert_eq!(slaves.1.load(Ordering::Relaxed), 2);
    }
}
