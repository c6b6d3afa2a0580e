//! What `mqbroker --support-bundle` gathers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use disk::{Disk, MmapDisk};
use logs::Target;
use process::bundle::{Bundle, Pages, Secrets, masked_properties};
use serde_json::Value;
use settings::launch::{self, Exit, Launch};
use settings::printed_text;
use store::check::{check, checkpoint_told, settings_found};

use crate::settings::{Loaded, Settings};

/// A commitlog of more bytes is not looked through: that takes longer than anybody waits.
const LOOKED_THROUGH_MAX_BYTES: u64 = 4 << 30;
/// The longest file of users, bytes.
const USERS_MAX_BYTES: u64 = 64 << 20;
/// How deep folders of accounts are looked into for secrets.
const DEPTH_MAX: usize = 8;

/// Gathers everything into the file, and says what came of it. The broker may run or not.
pub(crate) fn bundle(launch: &Launch, loaded: &Loaded, file: &Path) -> Exit {
    let settings = &loaded.settings;
    let mut bundle = Bundle::default();
    hide_secrets(settings, &mut bundle);
    bundle.add_about("mqbroker", env!("CARGO_PKG_VERSION"));
    bundle.add("check-config.txt", launch::checked(launch, &loaded.report).text);
    add_settings(settings, &mut bundle);
    add_store(settings, &mut bundle);
    let own = settings.own_name();
    let target = Target::choose(launch.log_to.as_deref());
    bundle.add_logs(&target, "broker", &own);
    bundle.add_pages(pages(settings));
    bundle.end(file)
}

/// Every file that has some.
fn hide_secrets(settings: &Settings, bundle: &mut Bundle) {
    for file in settings_files(settings) {
        bundle.hide_secrets_of(&file);
    }
    let config = settings.config_dir();
    for name in ["auth.json", "auth.json.tmp"] {
        let file = config.join(name);
        bundle.hide_secrets_of(&file);
        let text = MmapDisk::default()
            .read_small(&file, USERS_MAX_BYTES)
            .ok()
            .flatten();
        let users = text.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        hide_passwords(&users.unwrap_or_default(), &mut bundle.secrets);
    }
    if let Some(home) = &settings.broker.rocketmq_home {
        bundle.hide_secrets_below(&Path::new(home).join("conf"), DEPTH_MAX);
    }
    for (_, user) in settings.wanted_users() {
        bundle.secrets.add(user.password.as_deref().unwrap_or_default());
    }
}

/// As they are meant, without what JSON puts before quotes.
fn hide_passwords(json: &Value, secrets: &mut Secrets) {
    match json {
        Value::Array(items) => items.iter().for_each(|item| hide_passwords(item, secrets)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == "password" => secrets.add(text),
                    _ => hide_passwords(value, secrets),
                }
            }
        }
        _ => {}
    }
}

fn settings_files(settings: &Settings) -> [PathBuf; 2] {
    [settings.config_file(), PathBuf::from(&settings.tls.config_file)]
}

fn add_settings(settings: &Settings, bundle: &mut Bundle) {
    for (name, file) in ["settings/file.txt", "settings/tls.txt"]
        .into_iter()
        .zip(settings_files(settings))
    {
        let text = match MmapDisk::default().read_small(&file, crate::config::FILE_MAX_BYTES) {
            Ok(Some(bytes)) => Ok(masked_properties(settings, &bytes, &mut bundle.secrets)),
            Ok(None) => Err(format!("there is no {}", file.display())),
            Err(error) => Err(error.to_string()),
        };
        bundle.add_result(name, text);
    }
    bundle.add("settings/in-force.txt", printed_text(settings));
}

fn add_store(settings: &Settings, bundle: &mut Bundle) {
    let root = Path::new(&settings.store.store_path_root_dir);
    bundle.add_listing("store/files.txt", root);
    let logs = settings.store.commit_log_dirs();
    for (number, log) in logs.iter().filter(|log| !log.starts_with(root)).enumerate() {
        bundle.add_listing(&format!("store/commitlog-{number}.txt"), log);
    }
    let disk = MmapDisk::read_only();
    let checkpoint = checkpoint_told(&disk, root).map_err(|error| error.to_string());
    bundle.add_result("store/checkpoint.txt", checkpoint);
    bundle.add_result("store/check.txt", checked(&disk, root, &logs));
}

/// What `mqadmin checkStore` says.
fn checked(disk: &MmapDisk, root: &Path, logs: &[PathBuf]) -> Result<String, String> {
    let mut bytes = 0;
    for log in logs {
        let entries = disk.list(log).map_err(|error| error.to_string())?;
        bytes += entries.iter().map(|entry| entry.allocated).sum::<u64>();
    }
    if bytes > LOOKED_THROUGH_MAX_BYTES {
        return Err(format!(
            "the commitlog has {} MiB, more than is looked through here; `mqadmin checkStore -d {}` does",
            bytes >> 20,
            root.display()
        ));
    }
    if !root.is_dir() {
        return Err(format!("there is no directory {}", root.display()));
    }
    let settings = settings_found(disk, root, logs).map_err(|error| error.to_string())?;
    let summary = check(disk, &settings, |_| {}).map_err(|error| error.to_string())?;
    Ok(format!("{summary}\n"))
}

/// The listener of the broker that has this store open.
fn pages(settings: &Settings) -> Option<Pages> {
    let place = settings.metrics_place()?;
    let ip = match place.ip().ok()? {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        given => given,
    };
    let ports = place.ports();
    let line = format!(
        "broker {}, store {}\n",
        settings.own_name(),
        settings.store.store_path_root_dir
    );
    let label = format!("node_id=\"{}\"", settings.broker.broker_name);
    Pages::find(ip, &ports, "/debug/state", |text| text.contains(&line))
        // Where it does not listen on the loopback it tells nobody its state.
        .or_else(|| match ip.is_loopback() {
            true => None,
            false => Pages::find(ip, &ports, "/metrics", |text| text.contains(&label)),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_users_are_hidden_as_they_are_meant() {
        let users = serde_json::json!({"users": [{"username": "alice", "password": "a \"word\" of hers"}]});
        let mut secrets = Secrets::default();
        hide_passwords(&users, &mut secrets);
        assert_eq!(secrets.mask("alice: a \"word\" of hers"), "alice: ******");
    }
}
