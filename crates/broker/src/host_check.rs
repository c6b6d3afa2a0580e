//! What `--check-config` finds out about the host, for a broker with these settings.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use disk::{Clock, Disk, MmapDisk, SystemClock, clock_is_synchronised};
use process::host::{self, Announced, Listens, Own, Space};
use settings::{Report, Severity};
use store::{OpenError, StoreSettings};

mod looking;

use self::looking::Looking;
use crate::access;
use crate::address::{ip_of, literal};
use crate::run::{StartError, read_files, was_used};
use crate::settings::{DelayLevels, Settings};
use crate::store_settings;

/// What the first port is for.
const CLIENTS: &str = "clients";

/// How long a name server may take to answer.
const NAME_SERVERS_WITHIN: Duration = Duration::from_secs(1);

/// A folder of the store, its setting, and the files that are made in it.
struct Folder {
    key: &'static str,
    path: PathBuf,
    /// The setting of their size, and their size in bytes; none where no files are made.
    files: Option<(&'static str, i32)>,
}

/// Looks at everything that a start needs of the host and that its settings can not say. Settings that were read and completed
/// without an error are wanted.
pub(crate) fn check(settings: &Settings, report: &mut Report) {
    let disk = MmapDisk::default();
    let root = Path::new(&settings.store.store_path_root_dir);
    for folder in folders(settings) {
        host::folder(report, folder.key, &folder.path);
        space(settings, &disk, &folder, report);
    }
    host::descriptors(report, settings.server.server_connections_per_address_max);
    let newest = newest(&disk, root);
    host::clock(
        report,
        SystemClock.now_ms(),
        newest.as_ref().map(|(path, written)| (path.as_path(), *written)),
        clock_is_synchronised(),
    );
    let lock = root.join("lock");
    let runs = disk.is_locked(&lock).unwrap_or(false);
    files(settings, &disk, runs, report);
    let own = Own::Lock {
        path: &lock,
        is_held: runs,
    };
    addresses(settings, own, report);
}

/// Reads what a start reads, as far as it could refuse it, and changes nothing. `runs`: a broker has this store open, and needs no
/// start.
fn files(settings: &Settings, disk: &MmapDisk, runs: bool, report: &mut Report) {
    let levels = DelayLevels::parse(&settings.store.message_delay_level);
    // Without an error the settings have levels.
    let levels = levels.as_ref().map_or(&[][..], DelayLevels::as_ms);
    let store = store_settings::of(settings, levels, &SystemClock);
    if !runs && let Err(error) = store::check::would_open(disk, &store) {
        let key = match error {
            OpenError::FileSize { .. } | OpenError::FileName { .. } | OpenError::MissingLog(_)
                if settings.store.store_path_commit_log.is_some() =>
            {
                "storePathCommitLog"
            }
            _ => "storePathRootDir",
        };
        report.about(Severity::Error, key, StartError::from(error).to_string());
    }
    let root = Path::new(&settings.store.store_path_root_dir);
    if !was_used(disk, root) {
        let text = format!(
            "no broker has run on storePathRootDir={} yet: a start begins a new store there; is its disk mounted?",
            root.display()
        );
        report.about(Severity::Note, "storePathRootDir", text);
    }
    let looking = Looking(disk.clone());
    let (read, said) = logs::heard(|| read_files(&looking, settings, Arc::new(SystemClock)));
    for line in said {
        report.about(Severity::Warning, "storePathRootDir", line);
    }
    if let Err(error) = read {
        let key = match &error {
            StartError::Access(access::StartError::Accounts(_)) => "aclEnable",
            StartError::Access(access::StartError::Made { key, .. }) => key,
            _ => "storePathRootDir",
        };
        report.about(Severity::Error, key, error.to_string());
    }
}

fn folders(settings: &Settings) -> Vec<Folder> {
    let store = &settings.store;
    let log = store.commit_log_dirs().into_iter().map(|path| Folder {
        key: "storePathCommitLog",
        path,
        files: Some(("mappedFileSizeCommitLog", store.mapped_file_size_commit_log)),
    });
    let old = store.read_only_commit_log_dirs().into_iter().map(|path| Folder {
        key: "readOnlyCommitLogStorePaths",
        path,
        files: None,
    });
    let root = Folder {
        key: "storePathRootDir",
        path: PathBuf::from(&store.store_path_root_dir),
        files: Some(("mappedFileSizeConsumeQueue", store.mapped_file_size_consume_queue)),
    };
    let given = store.store_path_commit_log.is_some();
    let log = log.map(|folder| match given {
        true => folder,
        // It is named by the setting that decides where it is.
        false => Folder {
            key: "storePathRootDir",
            ..folder
        },
    });
    [root].into_iter().chain(log).chain(old).collect()
}

fn space(settings: &Settings, disk: &MmapDisk, folder: &Folder, report: &mut Report) {
    let Some((file_key, file_bytes)) = folder.files else {
        return;
    };
    let levels = store_settings::tuned(settings, StoreSettings::default());
    match disk.usage(&folder.path) {
        Ok(usage) => Space {
            key: folder.key,
            path: &folder.path,
            used: usage.used,
            available: usage.available,
            percent: usage.percent(),
            clean_above: levels.disk_max_used_percent,
            refuse_above: levels.disk_warning_percent,
            file_key,
            file_bytes: u64::from(file_bytes.unsigned_abs()),
        }
        .check(report),
        Err(error) => report.about(Severity::Warning, folder.key, format!("{}: {error}", folder.key)),
    }
}

/// What the broker has written last into the root of its store, and when, ms since 1970.
fn newest(disk: &MmapDisk, root: &Path) -> Option<(PathBuf, i64)> {
    let entries = disk.list(root).ok()?;
    let newest = entries.into_iter().max_by_key(|entry| entry.modified_ms)?;
    Some((root.join(newest.name), newest.modified_ms))
}

/// `own` is what marks the broker of this store, where it runs.
fn addresses(settings: &Settings, own: Own<'_>, report: &mut Report) {
    let server = match store_settings::server(settings, 0) {
        Ok(server) => server,
        Err(text) => return report.about(Severity::Error, "bindAddress", text),
    };
    let listens_on = server.bind.ip();
    let port = settings.server.listen_port;
    let replication = settings.store.ha_listen_port;
    let mut ports = vec![
        (CLIENTS, "listenPort", port),
        ("VIP channel of clients", "listenPort", port - 2),
    ];
    // One that is not given gives way to others.
    if replication != port + 1 {
        ports.push(("replication", "haListenPort", replication));
    }
    for (purpose, key, port) in ports {
        let Ok(port) = u16::try_from(port) else { continue };
        let address = SocketAddr::new(listens_on, port);
        let listens = Listens {
            purpose,
            key,
            address,
            own,
        };
        let is_free = listens.check(report);
        // A broker of these settings would listen there.
        if let Own::Lock { path, is_held: true } = own
            && is_free
            && purpose == CLIENTS
        {
            let locked = OpenError::Locked(path.to_path_buf()).to_string();
            report.about(Severity::Error, "storePathRootDir", locked);
        }
    }
    let list = settings.broker.namesrv_addrs();
    let reached = host::name_servers(report, "namesrvAddr", &list, NAME_SERVERS_WITHIN);
    let broker = &settings.broker;
    announced(
        report,
        ("brokerIP1", "clients"),
        &broker.broker_ip1,
        listens_on,
        reached.elsewhere,
    );
    if broker.broker_ip2 != broker.broker_ip1 {
        announced(
            report,
            ("brokerIP2", "slaves"),
            &broker.broker_ip2,
            listens_on,
            reached.elsewhere,
        );
    }
}

/// For a start: what it can see at once of the addresses that others are told, without a name service and without a connection.
pub(crate) fn warn_of_addresses(settings: &Settings, report: &mut Report) {
    settings.warn_of_loopback(report);
    let Ok(listens_on) = settings.server.listens_on() else {
        return;
    };
    let broker = &settings.broker;
    let told = [
        ("brokerIP1", "clients", &broker.broker_ip1),
        ("brokerIP2", "slaves", &broker.broker_ip2),
    ];
    let is_second = broker.broker_ip2 != broker.broker_ip1;
    for (key, whom, text) in told.into_iter().take(1 + usize::from(is_second)) {
        if let Some(ip) = literal(text) {
            let told = Announced {
                key,
                whom,
                ip,
                listens_on,
                elsewhere: false,
            };
            told.warn_if_not_here(report);
        }
    }
}

fn announced(
    report: &mut Report,
    (key, whom): (&str, &str),
    text: &str,
    listens_on: IpAddr,
    elsewhere: bool,
) {
    match ip_of(text) {
        Ok(ip) => Announced {
            key,
            whom,
            ip,
            listens_on,
            elsewhere,
        }
        .check(report),
        Err(unknown) => report.about(
            Severity::Warning,
            key,
            format!("{key}: {unknown}; {whom} are told it as it is: set an address of this host"),
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn each_folder_is_looked_at_under_the_setting_that_decides_it() {
        let mut settings = Settings::default();
        settings.store.store_path_root_dir = "/data/store".to_owned();
        let named = |settings: &Settings| -> Vec<(&str, String)> {
            let folders = folders(settings).into_iter();
            folders
                .map(|folder| (folder.key, folder.path.display().to_string()))
                .collect()
        };
        assert_eq!(
            named(&settings),
            [
                ("storePathRootDir", "/data/store".to_owned()),
                ("storePathRootDir", "/data/store/commitlog".to_owned()),
            ]
        );
        settings.store.store_path_commit_log = Some("/a/log,/b/log".to_owned());
        settings.store.read_only_commit_log_store_paths = Some("/c/log".to_owned());
        assert_eq!(
            named(&settings),
            [
                ("storePathRootDir", "/data/store".to_owned()),
                ("storePathCommitLog", "/a/log".to_owned()),
                ("storePathCommitLog", "/b/log".to_owned()),
                ("readOnlyCommitLogStorePaths", "/c/log".to_owned()),
            ]
        );
    }

    #[test]
    fn what_was_written_last_is_found() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(newest(&MmapDisk::default(), dir.path()), None);
        for (name, second) in [("lock", 1000), ("checkpoint", 3000), ("abort", 2000)] {
            let file = std::fs::File::create(dir.path().join(name)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(second))
                .unwrap();
        }
        let found = newest(&MmapDisk::default(), dir.path());
        assert_eq!(found, Some((dir.path().join("checkpoint"), 3_000_000)));
    }
}
