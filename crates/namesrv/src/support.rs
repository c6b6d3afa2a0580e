//! What `mqnamesrv --support-bundle` gathers.

use std::net::IpAddr;
use std::path::Path;

use disk::{Disk, MmapDisk};
use logs::Target;
use process::bundle::{Bundle, Pages, masked_properties};
use settings::launch::{self, Exit, Launch};
use settings::printed_text;

use crate::settings::{Loaded, Settings};

/// The longest file of settings that is read, bytes.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// Gathers everything into the file, and says what came of it. The name server may run or not.
pub(crate) fn bundle(launch: &Launch, loaded: &Loaded, file: &Path) -> Exit {
    let settings = &loaded.settings;
    let mut bundle = Bundle::default();
    let tls = Path::new(&settings.tls.config_file);
    let own = Path::new(&settings.namesrv.config_store_path);
    for file in [tls, own] {
        bundle.hide_secrets_of(file);
    }
    bundle.add_about("mqnamesrv", env!("CARGO_PKG_VERSION"));
    bundle.add("check-config.txt", launch::checked(launch, &loaded.report).text);
    for (name, file) in [("settings/file.txt", own), ("settings/tls.txt", tls)] {
        let text = match MmapDisk::default().read_small(file, FILE_MAX_BYTES) {
            Ok(Some(bytes)) => Ok(masked_properties(settings, &bytes, &mut bundle.secrets)),
            Ok(None) => Err(format!("there is no {}", file.display())),
            Err(error) => Err(error.to_string()),
        };
        bundle.add_result(name, text);
    }
    bundle.add("settings/in-force.txt", printed_text(settings));
    let target = Target::choose(launch.log_to.as_deref());
    bundle.add_logs(&target, "namesrv", &settings.own_folder());
    bundle.add_pages(pages(settings));
    bundle.end(file)
}

/// The listener of the name server of this port.
fn pages(settings: &Settings) -> Option<Pages> {
    let place = settings.metrics_place()?;
    let ip = match place.ip().ok()? {
        ip if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        given => given,
    };
    let label = format!(":{}\",node_type=\"namesrv\"", settings.server.listen_port);
    Pages::find(ip, &place.ports(), "/metrics", |text| text.contains(&label))
}
