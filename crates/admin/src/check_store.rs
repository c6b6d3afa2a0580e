//! `mqadmin checkStore`: looks through a store directory that no broker has open, and changes nothing.

use crate::output;
use clap::{Arg, ArgAction, Command};
use disk::MmapDisk;
use message::record::View;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use store::check::{CheckSummary, check, settings_found};

fn command() -> Command {
    Command::new("checkStore")
        .about("verifies every record and every queue unit of a store directory; exit code 1 when there are faults")
        .no_binary_name(true)
        .arg(
            Arg::new("directory")
                .short('d')
                .long("directory")
                .value_name("DIR")
                .required(true)
                .help("The broker's storePathRootDir"),
        )
        .arg(
            Arg::new("commitlog")
                .short('l')
                .long("commitlog")
                .value_name("DIRS")
                .help("The broker's storePathCommitLog, directories separated by commas [default: DIR/commitlog]"),
        )
        .arg(
            Arg::new("dump")
                .long("dump")
                .action(ArgAction::SetTrue)
                .help("Prints a line for every record"),
        )
}

/// Runs the command and gives the process's exit code.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            // A closed terminal is no reason for another exit code.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 1 } else { 0 });
        }
    };
    let text_of = |name| matches.get_one::<String>(name);
    let root = text_of("directory").map(PathBuf::from).unwrap_or_default();
    let logs = match text_of("commitlog") {
        Some(dirs) => dirs.split(',').map(PathBuf::from).collect(),
        None => vec![root.join("commitlog")],
    };
    match look(&root, &logs, matches.get_flag("dump")) {
        Ok(summary) => {
            output::print(&summary.to_string());
            ExitCode::from(u8::from(summary.faults > 0))
        }
        Err(why) => {
            output::complain(&why);
            ExitCode::FAILURE
        }
    }
}

fn look(root: &Path, logs: &[PathBuf], dump: bool) -> Result<CheckSummary, String> {
    let disk = MmapDisk::default();
    if !root.is_dir() {
        return Err(format!("there is no directory {}", root.display()));
    }
    let settings = settings_found(&disk, root, logs).map_err(|error| error.to_string())?;
    check(&disk, &settings, |view| {
        if dump {
            output::print(&line(view));
        }
    })
    .map_err(|error| error.to_string())
}

fn line(view: &View<'_>) -> String {
    format!(
        "{} {} {} {} stored={} born={} flag={} sysFlag={:#x} body={} properties={}",
        view.physical_offset(),
        view.topic(),
        view.queue_id(),
        view.queue_offset(),
        view.store_timestamp(),
        view.born_timestamp(),
        view.flag(),
        view.sys_flag(),
        view.body().len(),
        String::from_utf8_lossy(view.properties())
            .replace('\u{1}', "=")
            .replace('\u{2}', ";")
            .escape_debug(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use store::{NewRecord, Store, StoreSettings};

    const NOW: i64 = 1_700_000_000_000;

    #[test]
    fn a_store_with_a_fault() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("store");
        let settings = StoreSettings {
            commitlog_file_size: 65_536,
            consumequeue_file_size: 2000,
            max_message_size: 8192,
            index: false,
            ..StoreSettings::below(&root)
        };
        let (store, _) = Store::open(MmapDisk::default(), settings, NOW).unwrap();
        for topic in ["A", "B", "A"] {
            let host = SocketAddr::from(([127, 0, 0, 1], 10911));
            let new = NewRecord {
                topic,
                queue_id: 0,
                flag: 0,
                sys_flag: 0,
                born_timestamp: NOW,
                born_host: host,
                store_host: host,
                reconsume_times: 0,
                prepared_transaction_offset: 0,
                body: b"hello",
                properties: b"TAGS\x01t\x02",
                joined: false,
            };
            store.append(&mut [store.prepare(&new).unwrap()], NOW);
        }
        store.reput(&mut |_| {}).unwrap();
        let log = [root.join("commitlog")];
        let told = look(&root, &log, false).unwrap().to_string();
        assert!(
            told.starts_with("A broker has this store open: the figures move"),
            "{told}"
        );
        store.shutdown().unwrap();
        drop(store);
        let summary = look(&root, &log, false).unwrap();
        assert_eq!(
            summary.to_string(),
            "last stop      clean\n\
             commitlog      1 files, 0 to 312, 3 records\n\
             stored         1700000000000 to 1700000000000 (ms since 1970)\n\
             consumequeues  2 with 3 units\n\
             topic          A: 2 records\n\
             topic          B: 1 records\n\
             faults         0"
        );
        let queue = root.join("consumequeue/A/0/00000000000000000000");
        let mut units = std::fs::read(&queue).unwrap();
        units[7] = 9;
        std::fs::write(&queue, units).unwrap();
        let summary = look(&root, &log, false).unwrap();
        assert_eq!(summary.faults, 2);
        assert!(
            summary
                .to_string()
                .ends_with("consumequeue A 0: unit 0 points at 9, where its message is not")
        );
        std::fs::remove_file(&queue).unwrap();
        let told = look(&root, &log, false).unwrap().to_string();
        let gone = format!(
            "consumequeue A 0: {} is missing; units up to 0 of 2 are there",
            queue.display()
        );
        assert!(told.contains(&gone), "{told}");
        // What a start would say.
        let summary = look(&root, &[root.join("nothing")], false).unwrap();
        let told = summary.to_string();
        assert!(told.contains("there is no commitlog file in "), "{told}");
        assert!(told.contains("; a start is refused"), "{told}");
        let missing = look(&root.join("nothing"), &log, false).unwrap_err();
        assert!(missing.starts_with("there is no directory "));
    }
}
