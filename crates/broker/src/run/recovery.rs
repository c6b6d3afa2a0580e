//! What the log says of a store that was opened.

use store::RecoveryReport;

/// Logs what recovery found and did.
pub(super) fn log_recovery(report: &RecoveryReport, consumequeue_file_size: i64) {
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
}
