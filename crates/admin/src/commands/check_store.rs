//! `mqadmin checkStore`: looks through a store directory that no broker has open, and changes nothing.

use crate::failure::Failure;
use crate::output::Out;
use crate::parse::Given;
use crate::table::{Command, Run, flag, required, value};
use disk::MmapDisk;
use message::record::View;
use serde_json::json;
use std::path::{Path, PathBuf};
use store::check::{CheckSummary, check, settings_found};

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "checkStore",
    alias: None,
    about: "verifies every record and every queue unit of a store directory; exit code 1 when there are faults",
    options: &[
        required('d', "directory", "the broker's storePathRootDir"),
        value(
            'l',
            "commitlog",
            "the broker's storePathCommitLog, directories separated by commas [default: DIR/commitlog]",
        ),
        flag('-', "dump", "prints a line for every record").long_only(),
    ],
    asks: None,
    run: Run::Offline(run),
}];

fn run(given: &Given, out: &mut Out) -> Result<(), Failure> {
    let root = PathBuf::from(given.required("directory"));
    let is_given = given.text("commitlog").is_some();
    let logs = match given.text("commitlog") {
        Some(dirs) => dirs.split(',').map(PathBuf::from).collect(),
        None => vec![root.join("commitlog")],
    };
    let dump = given.has("dump");
    let summary = look(&root, (&logs, is_given), |view| {
        if dump {
            out.either(&format!("{}\n", line(view)), json!({"record": line(view)}));
        }
    });
    let summary = summary.map_err(Failure::Wrong)?;
    out.either(
        &format!("{summary}\n"),
        json!({
            "clean": summary.clean,
            "records": summary.records,
            "queues": summary.queues,
            "units": summary.units,
            "faults": summary.faults,
            "firstFaults": summary.first_faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
    );
    out.exit_code = u8::from(summary.faults > 0);
    Ok(())
}

/// `is_given`: the directories of the log were named.
fn look(
    root: &Path,
    (logs, is_given): (&[PathBuf], bool),
    seen: impl FnMut(&View<'_>),
) -> Result<CheckSummary, String> {
    let disk = MmapDisk::read_only();
    if !root.is_dir() {
        return Err(format!("there is no directory {}", root.display()));
    }
    // A store has these from its first start on, Java's as well. The log may be elsewhere, or lost, which the check tells of.
    if !["commitlog", "consumequeue", "checkpoint"]
        .iter()
        .any(|part| root.join(part).exists())
    {
        return Err(format!(
            "there is no store in {}: a broker's storePathRootDir has consumequeue/ and checkpoint",
            root.display()
        ));
    }
    if let Some(missing) = logs.iter().find(|dir| is_given && !dir.is_dir()) {
        return Err(format!("there is no directory {}", missing.display()));
    }
    let settings = settings_found(&disk, root, logs).map_err(|error| error.to_string())?;
    check(&disk, &settings, seen).map_err(|error| error.to_string())
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
        let told = look(&root, (&log, false), |_| {}).unwrap().to_string();
        assert!(
            told.starts_with("A broker has this store open: the figures move"),
            "{told}"
        );
        store.shutdown().unwrap();
        drop(store);
        let summary = look(&root, (&log, false), |_| {}).unwrap();
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
        let summary = look(&root, (&log, false), |_| {}).unwrap();
        assert_eq!(summary.faults, 2);
        assert!(
            summary
                .to_string()
                .ends_with("consumequeue A 0: unit 0 points at 9, where its message is not")
        );
        std::fs::remove_file(&queue).unwrap();
        let told = look(&root, (&log, false), |_| {}).unwrap().to_string();
        let gone = format!(
            "consumequeue A 0: {} is missing; units up to 0 of 2 are there",
            queue.display()
        );
        assert!(told.contains(&gone), "{told}");
        // What a start would say.
        let nothing = [root.join("nothing")];
        let summary = look(&root, (&nothing, false), |_| {}).unwrap();
        let told = summary.to_string();
        assert!(told.contains("there is no commitlog file in "), "{told}");
        assert!(told.contains("; a start is refused"), "{told}");
        let refused = |root: &Path, logs: &[PathBuf]| look(root, (logs, true), |_| {}).unwrap_err();
        assert!(refused(&root.join("nothing"), &log).starts_with("there is no directory "));
        // One that is there says nothing of one that is not.
        let some = [log[0].clone(), nothing[0].clone()];
        assert_eq!(
            refused(&root, &some),
            format!("there is no directory {}", nothing[0].display())
        );
        for no_store in [dir.path(), &log[0]] {
            let told = refused(no_store, &log);
            assert!(told.starts_with("there is no store in "), "{told}");
        }
    }
}
