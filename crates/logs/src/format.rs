//! Lines as RocketMQ's logback pattern makes them: `%d{yyy-MM-dd HH:mm:ss,GMT+8} %p %t - %m%n`.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Formats events as `2024-05-01 12:00:00 INFO main - message`.
pub(crate) struct JavaLines {
    /// Seconds added to UTC.
    offset_secs: i64,
}

impl JavaLines {
    /// RocketMQ's log files are in GMT+8 wherever they are written; `ROCKETMQ_LOG_ZONE` (`+02:00`, `Z`) changes that.
    pub(crate) fn from_env() -> JavaLines {
        let zone = std::env::var("ROCKETMQ_LOG_ZONE").unwrap_or_default();
        JavaLines {
            offset_secs: parse_zone(&zone).unwrap_or(8 * 3600),
        }
    }
}

/// `Z`, `+8`, `+08:00`, `-0330`.
fn parse_zone(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "UTC" | "GMT") {
        return Some(0);
    }
    let (sign, rest) = match zone.as_bytes().first()? {
        b'+' => (1, &zone[1..]),
        b'-' => (-1, &zone[1..]),
        _ => return None,
    };
    let (hours, minutes) = match rest.split_once(':') {
        Some(parts) => parts,
        None if rest.len() == 4 && rest.is_ascii() => rest.split_at(2),
        None => (rest, "0"),
    };
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..=18).contains(&hours) && (0..60).contains(&minutes)).then_some(sign * (hours * 3600 + minutes * 60))
}

impl<S, N> FormatEvent<S, N> for JavaLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        write_date(&mut out, i64::try_from(now).unwrap_or(0) + self.offset_secs)?;
        let thread = std::thread::current();
        write!(
            out,
            " {} {} - ",
            event.metadata().level(),
            thread.name().unwrap_or("thread")
        )?;
        context.field_format().format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}

/// Writes `yyyy-MM-dd HH:mm:ss` of seconds since 1970. Civil date from days, by counting in 400-year eras that begin in March,
/// so that the leap day is the last of its year.
fn write_date(out: &mut impl fmt::Write, secs: i64) -> fmt::Result {
    let (days, second) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
    let from_era = days + 719_468;
    let (era, day_of_era) = (from_era.div_euclid(146_097), from_era.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    write!(
        out,
        "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02}",
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (secs, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_709_251_199, "2024-02-29 23:59:59"),
            (1_735_689_600, "2025-01-01 00:00:00"),
            (-1, "1969-12-31 23:59:59"),
        ] {
            let mut found = String::new();
            write_date(&mut found, secs).unwrap();
            assert_eq!(found, text);
        }
    }

    #[test]
    fn zones() {
        for (zone, secs) in [
            ("Z", Some(0)),
            ("+08:00", Some(28_800)),
            ("+8", Some(28_800)),
            ("-0330", Some(-12_600)),
            ("", None),
            ("CET", None),
            ("+99", None),
        ] {
            assert_eq!(parse_zone(zone), secs, "{zone}");
        }
    }
}
