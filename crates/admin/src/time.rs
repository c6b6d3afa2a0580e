//! Times as Java's tools print and read them, in the time zone of this host.

use crate::failure::Failure;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, ms since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The date and time of a zone. What no calendar has is shown as its beginning.
fn local(ms: i64, zone: &TimeZone) -> DateTime {
    let at = Timestamp::from_millisecond(ms).unwrap_or_default();
    zone.to_datetime(at)
}

fn shown(time: DateTime, format: &str) -> String {
    time.strftime(format).to_string()
}

/// `2026-11-29 17:08:20`.
pub fn seconds(ms: i64) -> String {
    shown(local(ms, &TimeZone::system()), "%Y-%m-%d %H:%M:%S")
}

/// `2026-11-29 17:08:20`, eight hours east of Greenwich: clusterRT's log has it so everywhere.
pub(crate) fn seconds_in_china(ms: i64) -> String {
    shown(
        local(ms, &TimeZone::fixed(jiff::tz::offset(8))),
        "%Y-%m-%d %H:%M:%S",
    )
}

/// `2026-11-29 17:08:20,123`.
pub fn millis(ms: i64) -> String {
    format!("{},{:03}", seconds(ms), ms.rem_euclid(1000))
}

/// `20261129170820123`.
pub(crate) fn compact(ms: i64) -> String {
    let text = shown(local(ms, &TimeZone::system()), "%Y%m%d%H%M%S");
    format!("{text}{:03}", ms.rem_euclid(1000))
}

/// Milliseconds of `30s`, `10m`, `2h` and `3d`.
fn span_ms(text: &str) -> Option<i64> {
    let unit_at = text.len().checked_sub(1)?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let number: u32 = number.parse().ok()?;
    Some(i64::from(number) * unit_ms)
}

/// Milliseconds since 1970, `2026-11-29#17:08:20:123`, or how long ago: `10m`.
pub fn parse(long: &str, text: &str) -> Result<i64, Failure> {
    if let Ok(ms) = text.parse() {
        return Ok(ms);
    }
    if let Some(ago_ms) = span_ms(text) {
        return Ok(now_ms() - ago_ms);
    }
    let bad = || {
        crate::parse::bad_value(
            long,
            text,
            "milliseconds since 1970, a time like 2026-11-29#17:08:20:123, or how long ago like 10m",
        )
    };
    let (seconds, millis) = text.rsplit_once(':').ok_or_else(bad)?;
    let millis: i64 = millis.parse().map_err(|_| bad())?;
    let time = DateTime::strptime("%Y-%m-%d#%H:%M:%S", seconds).map_err(|_| bad())?;
    let at = TimeZone::system().to_timestamp(time).map_err(|_| bad())?;
    Ok(at.as_millisecond() + millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let ms = 1_700_000_000_123;
        let text = millis(ms).replace(' ', "#").replace(',', ":");
        assert_eq!(parse("t", &text).unwrap(), ms);
        assert_eq!(parse("t", "-1").unwrap(), -1);
        assert_eq!(seconds_in_china(ms), "2023-11-15 06:13:20");
        let ago = now_ms() - parse("t", "2h").unwrap();
        assert!((7_200_000..7_260_000).contains(&ago), "{ago}");
        for bad in [
            "m",
            "1.5h",
            "-3d",
            "7é",
            "",
            "yesterday",
            "2026-11-29",
            "2026-11-29#25:08:20:123",
        ] {
            let why = parse("beginTimestamp", bad).unwrap_err().to_string();
            assert!(why.contains("--beginTimestamp") && why.contains(bad), "{why}");
        }
    }
}
