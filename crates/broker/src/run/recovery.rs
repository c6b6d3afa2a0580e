//! What the log says of a store that was opened.

use store::RecoveryReport;

/// Logs what recovery found and did.
pub(super) fn log_recovery(report: &RecoveryReport, consumequeue_file_size: i64) {
    let stop = if report.clean {
        "a clean stop"
    } else {
        "an unclean stop"
    };
    tracing::info!(
        "store opened after {stop}: {} log files, {} queues, log read from {} to {} ({} records), {} units built",
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
    if report.units_cut > 0 {
        tracing::warn!(
            "{} queue units were cut: the log does not vouch for them",
            report.units_cut
        );
    }
    if let Some(cut) = &report.log_cut {
        tracing::warn!(
            "the log was cut at {}: {}; {} bytes behind it were dropped",
            cut.at,
            cut.reason,
            report.log_cut_bytes
        );
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
