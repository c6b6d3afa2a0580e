//! The broker's ports. They are bound before the store is opened: a port that is taken must not cost a recovery.

use std::net::SocketAddr;
use std::sync::Arc;

use disk::Disk;
use remoting::{Bound, Server, Service};
use settings::launch;
use tokio::net::TcpSocket;

use super::StartError;
use crate::dispatch::{Handlers, Port};
use crate::handlers::admin::limits::Traffic;
use crate::settings::Settings;
use crate::store_settings;

/// Sockets that are bound and served by nobody yet.
pub(super) struct Ports {
    main: Bound,
    /// The VIP port, `listenPort` - 2.
    vip: Bound,
}

impl Ports {
    /// Binds both ports.
    pub(super) fn bind(settings: &Settings) -> Result<Ports, StartError> {
        let port = settings.server.listen_port;
        let key = format!("listenPort={port}");
        let main = bind("clients", settings, port, &key)?;
        let vip = bind("the VIP channel, listenPort - 2", settings, port - 2, &key)?;
        if let Some(problem) = ha_port_problem(settings) {
            tracing::warn!("{problem}");
        }
        Ok(Ports { main, vip })
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
    pub(super) fn serve<D: Disk>(self, handlers: &Arc<Handlers<D>>) -> Server {
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
fn bind(purpose: &str, settings: &Settings, port: i32, key: &str) -> Result<Bound, StartError> {
    let options = store_settings::server(settings, port as u16).map_err(StartError::Setting)?;
    let address = options.bind.to_string();
    Server::bind(options)
        .map_err(|cause| StartError::Bind(launch::bind_failure(purpose, key, &address, &cause)))
}

/// Says if the port of replication is somebody else's. Nothing listens there in this release, so it is no reason not to
/// start; several brokers of a guide on one host (10911 and 10912) would meet here.
fn ha_port_problem(settings: &Settings) -> Option<String> {
    let port = settings.store.ha_listen_port;
    let address: SocketAddr = store_settings::server(settings, u16::try_from(port).ok()?)
        .ok()?
        .bind;
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }
    .ok()?;
    // Bound and not listening, it takes the port from nobody.
    socket.set_reuseaddr(true).ok()?;
    let cause = socket.bind(address).err()?;
    Some(format!(
        "port {port} of replication can not be had: {cause}. It is haListenPort, listenPort + 1 unless it is given; \
         change listenPort={} or haListenPort.",
        settings.server.listen_port
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_replication_port_is_named_with_its_setting() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = other.local_addr().unwrap().port();
        let mut settings = Settings::default();
        settings.server.bind_address = "127.0.0.1".to_owned();
        settings.server.listen_port = i32::from(taken) - 1;
        settings.store.ha_listen_port = i32::from(taken);
        let problem = ha_port_problem(&settings).unwrap();
        let parts = [
            taken.to_string(),
            format!("listenPort={}", taken - 1),
            "haListenPort".to_owned(),
        ];
        assert!(parts.iter().all(|part| problem.contains(part)), "{problem}");
        drop(other);
        assert_eq!(ha_port_problem(&settings), None);
    }
}
