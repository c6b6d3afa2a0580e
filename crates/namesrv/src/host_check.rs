//! What `--check-config` finds out about the host, for a name server with these settings.

use std::net::SocketAddr;
use std::path::Path;

use disk::{Clock, SystemClock, clock_is_synchronised};
use process::host::{self, Listens, Own};
use settings::{Report, Severity};

use crate::gate::Gate;
use crate::kv::KvConfig;
use crate::settings::Settings;

/// Looks at everything that a start needs of the host and that its settings can not say. Settings that were read without an error
/// are wanted, and the file they were in.
pub(crate) fn check(settings: &Settings, file: Option<&Path>, report: &mut Report) {
    let kv = Path::new(&settings.namesrv.kv_config_path);
    if let Some(folder) = kv.parent() {
        host::folder(report, "kvConfigPath", folder);
    }
    if let Err(error) = KvConfig::load(kv.to_owned()) {
        report.about(Severity::Error, "kvConfigPath", error.to_string());
    }
    if let Err(error) = Gate::new(settings) {
        report.add(Severity::Error, error);
    }
    host::descriptors(report, settings.server.server_connections_per_address_max);
    host::clock(report, SystemClock.now_ms(), None, clock_is_synchronised());
    let port = u16::try_from(settings.server.listen_port);
    let (Ok(ip), Ok(port)) = (settings.server.listens_on(), port) else {
        return;
    };
    Listens {
        purpose: "brokers and clients",
        key: "listenPort",
        address: SocketAddr::new(ip, port),
        own: Own::Settings(file),
    }
    .check(report);
}
