//! The broker's ports. They are bound before the store is opened: a port that is taken must not cost a recovery.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use disk::Disk;
use remoting::tls::ServerTls;
use remoting::{Bound, Server, Service};
use settings::launch;

use super::StartError;
use crate::dispatch::{Handlers, Port};
use crate::handlers::admin::limits::Traffic;
use crate::replication::{ReplicationPort, ask_for};
use crate::settings::Settings;
use crate::store_settings;

/// Sockets that are bound and served by nobody yet.
pub(super) struct Ports {
    main: Bound,
    /// The VIP port, `listenPort` - 2.
    vip: Bound,
    /// TLS of both.
    pub(super) tls: Option<Arc<ServerTls>>,
}

impl Ports {
    /// Binds both ports and that of replication, or one in its place.
    pub(super) fn bind(settings: &Settings) -> Result<(Ports, ForSlaves), StartError> {
        let port = settings.server.listen_port;
        let key = format!("listenPort={port}");
        let tls = settings
            .server_tls()
            .map_err(|e| StartError::Setting(e.to_string()))?;
        let main = bind("clients", settings, &tls, port, &key)?;
        let vip = bind("the VIP channel, listenPort - 2", settings, &tls, port - 2, &key)?;
        Ok((Ports { main, vip, tls }, ForSlaves::bind(settings)?))
    }

    /// What the connections of both will occupy.
    pub(super) fn traffic(&self) -> Traffic {
        let settings = self.main.settings();
        Traffic {
            room: Arc::clone(&settings.room),
            metrics: Arc::clone(&settings.metrics),
        }
    }

    /// Serves them; both stop together.
    pub(super) fn serve<D: Disk + Clone>(self, handlers: &Arc<Handlers<D>>) -> Server {
        let service = |pulls| -> Arc<dyn Service> {
            let handlers = Arc::clone(handlers);
            Arc::new(Port { handlers, pulls })
        };
        let server = self.main.serve(service(true));
        server.also(self.vip, service(false));
        server
    }
}

/// Takes a port for a purpose; `key` is the setting that moves it.
fn bind(
    purpose: &str,
    settings: &Settings,
    tls: &Option<Arc<ServerTls>>,
    port: i32,
    key: &str,
) -> Result<Bound, StartError> {
    let mut options = store_settings::server(settings, port as u16).map_err(StartError::Setting)?;
    options.tls.clone_from(tls);
    let address = options.bind;
    let bound = match Server::bind(options.clone()) {
        Err(cause) if cause.kind() == io::ErrorKind::AddrInUse && ask_for(address) => Server::bind(options),
        bound => bound,
    };
    let address = address.to_string();
    bound.map_err(|cause| StartError::Bind(launch::bind_failure(purpose, key, &address, &cause)))
}

/// The port of replication before it is served.
pub(super) enum ForSlaves {
    /// Its number was given.
    Given(ReplicationPort),
    /// It was not: the port is taken later, when the brokers of this host that want it for their clients have it. This one is there if
    /// it can not be had then.
    Usual(ReplicationPort),
}

impl ForSlaves {
    fn bind(settings: &Settings) -> Result<Self, StartError> {
        let address = replication_address(settings)?;
        let is_given = settings.store.ha_listen_port != settings.server.listen_port.saturating_add(1);
        let bound = match is_given {
            true => ReplicationPort::given(address).map(Self::Given),
            false => ReplicationPort::usual(SocketAddr::new(address.ip(), 0)).map(Self::Usual),
        };
        bound.map_err(|cause| refusal(settings, address, &cause))
    }

    /// The port to serve. The store is open: nothing here ends the start.
    pub(super) fn take(self, settings: &Settings) -> ReplicationPort {
        let spare = match self {
            Self::Given(port) => return port,
            Self::Usual(spare) => spare,
        };
        let usual = replication_address(settings).and_then(|address| {
            ReplicationPort::usual(address).map_err(|cause| refusal(settings, address, &cause))
        });
        usual.unwrap_or_else(|why| {
            let address = spare.listener.local_addr();
            tracing::warn!("{why}; replication listens on {address:?} in its place, where the name servers send the slaves");
            spare
        })
    }
}

fn replication_address(settings: &Settings) -> Result<SocketAddr, StartError> {
    let options = store_settings::server(settings, settings.store.ha_listen_port as u16);
    Ok(options.map_err(StartError::Setting)?.bind)
}

fn refusal(settings: &Settings, address: SocketAddr, cause: &io::Error) -> StartError {
    let key = format!("haListenPort={}", settings.store.ha_listen_port);
    StartError::Bind(launch::bind_failure(
        "replication",
        &key,
        &address.to_string(),
        cause,
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_of_replication_that_was_given_is_named_with_its_setting() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = other.local_addr().unwrap().port();
        let mut settings = Settings::default();
        settings.server.bind_address = "127.0.0.1".to_owned();
        settings.server.listen_port = i32::from(taken) - 5;
        settings.store.ha_listen_port = i32::from(taken);
        let problem = ForSlaves::bind(&settings).err().unwrap().to_string();
        let parts = [
            taken.to_string(),
            format!("haListenPort={taken}"),
            "replication".to_owned(),
        ];
        assert!(parts.iter().all(|part| problem.contains(part)), "{problem}");
        settings.server.listen_port = i32::from(taken) - 1;
        let usual = ForSlaves::bind(&settings).unwrap();
        assert!(matches!(&usual, ForSlaves::Usual(_)));
        let port = usual.take(&settings).listener.local_addr().unwrap().port();
        assert_ne!(port, taken);
    }

    /// What was had before the store was opened is served.
    #[tokio::test]
    async fn a_port_of_replication_that_can_not_be_had_ends_no_start() {
        let mut settings = Settings::default();
        settings.server.bind_address = "127.0.0.1".to_owned();
        settings.store.ha_listen_port = settings.server.listen_port + 1;
        let usual = ForSlaves::bind(&settings).unwrap();
        let ForSlaves::Usual(spare) = &usual else {
            panic!("its number was given");
        };
        let had = spare.listener.local_addr().unwrap();
        // The address went meanwhile.
        settings.server.bind_address = "203.0.113.7".to_owned();
        assert_eq!(usual.take(&settings).listener.local_addr().unwrap(), had);
    }
}
