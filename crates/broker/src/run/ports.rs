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
    /// Binds both ports, and that of replication if it was given.
    pub(super) fn bind(settings: &Settings) -> Result<(Ports, Option<ReplicationPort>), StartError> {
        let port = settings.server.listen_port;
        let key = format!("listenPort={port}");
        let tls = settings
            .server_tls()
            .map_err(|e| StartError::Setting(e.to_string()))?;
        let main = bind("clients", settings, &tls, port, &key)?;
        let vip = bind("the VIP channel, listenPort - 2", settings, &tls, port - 2, &key)?;
        Ok((Ports { main, vip, tls }, bind_given(settings)?))
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

/// The port of replication, if its number was given: one that was not is taken later, when the brokers of this host that want it for
/// their clients have it.
fn bind_given(settings: &Settings) -> Result<Option<ReplicationPort>, StartError> {
    let port = settings.store.ha_listen_port;
    if port == settings.server.listen_port.saturating_add(1) {
        return Ok(None);
    }
    let address = replication_address(settings)?;
    let bound = ReplicationPort::given(address);
    Ok(Some(bound.map_err(|cause| refusal(settings, address, &cause))?))
}

/// The port of replication, whatever its number.
pub(super) fn bind_usual(settings: &Settings) -> Result<ReplicationPort, StartError> {
    let address = replication_address(settings)?;
    ReplicationPort::usual(address).map_err(|cause| refusal(settings, address, &cause))
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
        let problem = bind_given(&settings).err().unwrap().to_string();
        let parts = [
            taken.to_string(),
            format!("haListenPort={taken}"),
            "replication".to_owned(),
        ];
        assert!(parts.iter().all(|part| problem.contains(part)), "{problem}");
        settings.server.listen_port = i32::from(taken) - 1;
        assert!(bind_given(&settings).unwrap().is_none());
        assert!(bind_usual(&settings).is_ok());
    }
}
