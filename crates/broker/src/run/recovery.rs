//! What the log says of a store that was opened.

use std::path::Path;

use disk::Disk;
use store::RecoveryReport;

/// Whether a broker has had its store here: ours and Java's leave a file `lock`.
pub(crate) fn was_used<D: Disk>(disk: &D, root: &Path) -> bool {
    // A folder that cannot be listed refuses the start.
    let entries = disk.list(root).unwrap_or_default();
    entries.iter().any(|entry| entry.name == "lock")
}

/// Logs what recovery found and did. Gives what should be read on the terminal, too; `root` is the store's, with whether it was used before.
pub(super) fn log_recovery(
    report: &RecoveryReport,
    consumequeue_file_size: i64,
    (root, was_used): (&Path, bool),
) -> Option<String> {
    let before = match (report.clean, report.log_files, report.queues) {
        (true, 0, 0) => ", which is empty",
        (true, ..) => " after a clean stop",
        (false, ..) => " after an unclean stop",
    };
    tracing::info!(
        "store opened{before}: {} log files, {} queues, log read from {} to {} ({} records), {} units built",
        report.log_files,
        report.queues,
        report.scan_start,
        report.log_end,
        report.records,
        report.units_built,
    );
    for (size, queues) in &report.other_sizes {
        tracing::info!(
            "{queues} consumequeues have files of {size} bytes where mappedFileSizeConsumeQueue says \
             {consumequeue_file_size}; they go on with {size}"
        );
    }
    if let Some(size) = report.other_log_file_size {
        tracing::info!(
            "commitlog files have {size} bytes, which is not what mappedFileSizeCommitLog says; the log goes on with {size}"
        );
    }
    for line in report.errors() {
        tracing::error!("{line}");
    }
    for line in report.warnings() {
        tracing::warn!("{line}");
    }
    for (what, paths) in [
        ("removed", &report.removed),
        ("made whole", &report.extended),
        ("left alone", &report.ignored),
    ] {
        for path in paths {
            tracing::warn!("{what} at start: {}", path.display());
        }
    }
    let news = (!was_used && report.log_files == 0).then(|| {
        format!(
            "a new store begins in {}: no broker has run on this folder yet. If there should be messages, stop the broker before it takes \
             any, and see whether the disk is mounted and storePathRootDir is right",
            root.display()
        )
    });
    if let Some(news) = &news {
        tracing::warn!("{news}");
    }
    news
}
