//! Lines as RocketMQ's logback pattern makes them: `%d{yyy-MM-dd HH:mm:ss,GMT+8} %p %t - %m%n`; or a JSON object each.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use std::fmt::{self, Write as _};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// RocketMQ's log files are in GMT+8 wherever they are written.
const ROCKETMQS: Offset = Offset::constant(8);

/// Formats events as `2024-05-01 12:00:00 INFO broker-a/main - message`, or as JSON.
pub(crate) struct Lines {
    zone: TimeZone,
    /// What stands before the thread: the broker's name and a slash, or nothing.
    who: String,
    json: bool,
}

impl Lines {
    /// Lines in a zone; `who` writes them.
    pub(crate) fn new(zone: TimeZone, who: Option<&str>, json: bool) -> Lines {
        // One word: whoever reads these files splits them at blanks.
        let word = |name: &str| name.split_whitespace().collect::<Vec<_>>().join("_");
        Lines {
            zone,
            who: who.map_or_else(String::new, |name| format!("{}/", word(name))),
            json,
        }
    }

    /// Writes one object.
    fn write_json(&self, out: &mut impl fmt::Write, now: Timestamp, line: &Line<'_>) -> fmt::Result {
        let time = now
            .to_zoned_datetime(self.zone.clone())
            .strftime("%Y-%m-%dT%H:%M:%S%.3f%:z");
        write!(out, "{{\"time\":\"{time}\",\"level\":\"{}\"", line.level)?;
        if let Some(who) = self.who.strip_suffix('/') {
            write!(out, ",\"broker\":{}", json(who))?;
        }
        let (thread, module, message) = (json(line.thread), json(line.module), json(line.message));
        writeln!(
            out,
            ",\"thread\":{thread},\"module\":{module},\"message\":{message}}}"
        )
    }
}

/// What an event says.
struct Line<'a> {
    level: tracing::Level,
    thread: &'a str,
    module: &'a str,
    message: &'a str,
}

/// A text as JSON has it.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A zone as `ROCKETMQ_LOG_ZONE` names it: `+08:00`, `+8`, `-0330`, `Z`, `Europe/Berlin`. Nothing is RocketMQ's GMT+8.
///
/// # Errors
/// The text is no zone; the error says what would be one.
pub(crate) fn zone(text: &str) -> Result<TimeZone, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(TimeZone::fixed(ROCKETMQS));
    }
    if matches!(text, "Z" | "UTC" | "GMT") {
        return Ok(TimeZone::UTC);
    }
    let found = match text.as_bytes().first() {
        Some(b'+' | b'-') => offset_secs(text)
            .and_then(|secs| Offset::from_seconds(secs).ok())
            .map(TimeZone::fixed),
        _ => TimeZone::get(text).ok(),
    };
    found.ok_or_else(|| format!("`{text}` is no zone; zones are `+08:00`, `-0330`, `Z` or `Europe/Berlin`"))
}

fn offset_secs(text: &str) -> Option<i32> {
    let (sign, rest) = text.split_at_checked(1)?;
    let (hours, minutes) = match rest.split_once(':') {
        Some(parts) => parts,
        None if rest.len() == 4 && rest.is_ascii() => rest.split_at(2),
        None => (rest, "0"),
    };
    let digits = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse::<i32>().ok())?
    };
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    let secs = hours * 3600 + minutes * 60;
    (hours <= 18 && minutes < 60).then_some(if sign == "-" { -secs } else { secs })
}

impl<S, N> FormatEvent<S, N> for Lines
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
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("thread");
        let mut text = String::new();
        context
            .field_format()
            .format_fields(Writer::new(&mut text), event)?;
        let held_back = crate::flood::held_back_before();
        if held_back > 0 {
            write!(text, " (and {held_back} more from here before)")?;
        }
        if self.json {
            let line = Line {
                level: *event.metadata().level(),
                thread,
                module: event.metadata().target(),
                message: &text,
            };
            return self.write_json(&mut out, Timestamp::now(), &line);
        }
        write_date(&mut out, self.zone.to_datetime(Timestamp::now()))?;
        write!(out, " {} {}{} - ", event.metadata().level(), self.who, thread)?;
        write_one_line(&mut out, &text)?;
        writeln!(out)
    }
}

/// Writes a text so that it stays one line: what a peer puts into a name must not look like a line of ours.
fn write_one_line(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_control() && c != '\t') {
        let (plain, from) = rest.split_at(at);
        out.write_str(plain)?;
        let control = from.chars().next().unwrap_or_default();
        write!(out, "{}", control.escape_default())?;
        rest = from.get(control.len_utf8()..).unwrap_or_default();
    }
    out.write_str(rest)
}

/// Writes `yyyy-MM-dd HH:mm:ss`.
fn write_date(out: &mut impl fmt::Write, date: DateTime) -> fmt::Result {
    write!(
        out,
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        date.year(),
        date.month(),
        date.day(),
        date.hour(),
        date.minute(),
        date.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_one_line() {
        let mut line = String::new();
        write_one_line(&mut line, "a\nb\r\u{1b}[31m\tc").unwrap();
        assert_eq!(line, "a\\nb\\r\\u{1b}[31m\tc");
    }

    #[test]
    fn a_line_of_json() {
        let lines = Lines::new(zone("+02:00").unwrap(), Some("broker-a"), true);
        let line = Line {
            level: tracing::Level::WARN,
            thread: "worker-1",
            module: "broker::run",
            message: "a \"name\"\nof two lines",
        };
        let mut text = String::new();
        let at = Timestamp::from_millisecond(1_711_843_199_007).unwrap();
        lines.write_json(&mut text, at, &line).unwrap();
        assert_eq!(text.lines().count(), 1);
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({
            "time": "2024-03-31T01:59:59.007+02:00", "level": "WARN", "broker": "broker-a",
            "thread": "worker-1", "module": "broker::run", "message": "a \"name\"\nof two lines",
        });
        assert_eq!(read, expected);
    }

    fn shown(zone_text: &str, secs: i64) -> String {
        let zone = zone(zone_text).unwrap();
        let mut found = String::new();
        write_date(
            &mut found,
            zone.to_datetime(Timestamp::from_second(secs).unwrap()),
        )
        .unwrap();
        found
    }

    #[test]
    fn dates() {
        for (zone, secs, text) in [
            ("Z", 0, "1970-01-01 00:00:00"),
            ("Z", 951_782_399, "2000-02-28 23:59:59"),
            ("Z", 951_782_400, "2000-02-29 00:00:00"),
            ("Z", -1, "1969-12-31 23:59:59"),
            ("", 0, "1970-01-01 08:00:00"),
            ("-0330", 0, "1969-12-31 20:30:00"),
            // An hour before and after Berlin's clocks go forward.
            ("Europe/Berlin", 1_711_843_199, "2024-03-31 00:59:59"),
            ("Europe/Berlin", 1_711_846_800, "2024-03-31 03:00:00"),
        ] {
            assert_eq!(shown(zone, secs), text, "{zone}");
        }
    }

    #[test]
    fn zones_are_read_or_refused() {
        for (text, secs) in [
            ("+08:00", 28_800),
            ("+8", 28_800),
            ("-0330", -12_600),
            ("+18", 64_800),
        ] {
            assert_eq!(offset_secs(text), Some(secs), "{text}");
        }
        for text in ["Berlin", "+99", "+", "+8:", "+08:60", "+0 8", "-ü"] {
            let refused = zone(text).unwrap_err();
            assert!(
                refused.contains(text) && refused.contains("Europe/Berlin"),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_name_is_one_word() {
        let who = |name| Lines::new(TimeZone::UTC, name, false).who;
        assert_eq!(who(None), "");
        assert_eq!(who(Some("broker-a")), "broker-a/");
        assert_eq!(who(Some(" my broker\n")), "my_broker/");
    }
}
