//! The clock: messages are stored with its time, delayed and deleted by it.

use jiff::Timestamp;
use settings::{Report, Severity};
use std::path::Path;

/// No host that runs this program has an earlier time: 2025-01-01 UTC.
const EARLIEST_MS: i64 = 1_735_689_600_000;
/// Files of other hosts and slow clocks may be so far ahead, ms.
const AHEAD_MAX_MS: i64 = 60_000;

/// Looks at the time `now_ms`: against what is possible, against the newest file that the server has written, and at what the
/// kernel says of it.
pub fn clock(report: &mut Report, now_ms: i64, newest: Option<(&Path, i64)>, synchronised: Option<bool>) {
    const SET: &str = "set it, and have a time service keep it right (chrony, timedatectl set-ntp true)";
    let clock = format!("the clock says {}", date(now_ms));
    let behind = newest.filter(|(_, written)| *written > now_ms.saturating_add(AHEAD_MAX_MS));
    let (severity, text) = match (behind, synchronised) {
        _ if now_ms < EARLIEST_MS => (
            Severity::Error,
            format!("{clock}, which is long past: messages would be timed and deleted by it; {SET}"),
        ),
        (Some((path, written)), _) => (
            Severity::Warning,
            format!(
                "{clock}, but {} was written at {}: messages would be deleted late and delivered late; {SET}",
                path.display(),
                date(written)
            ),
        ),
        (None, Some(false)) => (
            Severity::Warning,
            format!("{clock}, and the kernel says that nothing keeps it right; {SET}"),
        ),
        (None, Some(true)) => (
            Severity::Fine,
            format!("{clock}, and a time service keeps it right"),
        ),
        (None, None) => (Severity::Fine, clock),
    };
    report.add(severity, text);
}

fn date(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms since 1970"), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn said(now_ms: i64, newest: Option<i64>, synchronised: Option<bool>) -> String {
        let mut report = Report::default();
        let path = Path::new("/store/checkpoint");
        clock(
            &mut report,
            now_ms,
            newest.map(|written| (path, written)),
            synchronised,
        );
        report.to_string()
    }

    #[test]
    fn clocks() {
        for (now, newest, synchronised, start, part) in [
            (
                NOW,
                None,
                Some(true),
                "OK: ",
                "2027-01-15T08:00:00Z, and a time service",
            ),
            (NOW, Some(NOW + 60_000), None, "OK: ", "2027"),
            (
                NOW,
                None,
                Some(false),
                "warning: ",
                "nothing keeps it right; set it",
            ),
            (
                NOW,
                Some(NOW + 60_001),
                Some(true),
                "warning: ",
                "/store/checkpoint was written at 2027-01-15T08:01:00.001Z",
            ),
            (
                0,
                None,
                Some(true),
                "error: ",
                "1970-01-01T00:00:00Z, which is long past",
            ),
            (
                i64::MIN,
                None,
                None,
                "error: ",
                "ms since 1970, which is long past",
            ),
        ] {
            let said = said(now, newest, synchronised);
            assert!(said.starts_with(start) && said.contains(part), "{said}");
        }
    }
}
