//! What a command prints: Java's columns, or a JSON object a line.

use crate::failure::Failure;
use serde_json::{Map, Value};
use std::future::Future;
use std::io::{ErrorKind, Write};
use tokio::signal::unix::{SignalKind, signal};

/// A line to stderr; without a terminal it is lost.
pub(crate) fn complain(why: &str) {
    let line = visible(why.trim_end());
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Text in which what would move a terminal's cursor is shown as a number: it may repeat what somebody sent.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_control() && letter != '\t' {
            true => out.extend(letter.escape_unicode()),
            false => out.push(letter),
        }
    }
    out
}

/// A line to stdout in one piece, so that lines of several threads do not mix.
pub(crate) fn print(line: &str) {
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
}

/// Runs to the end on a runtime of its own.
pub(crate) fn block_on(work: impl Future<Output = Result<(), client::Error>>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("the runtime cannot be started: {e}"))?;
    let done = runtime.block_on(work).map_err(|e| e.to_string());
    // Who asks a mute name service waits as long as that is mute.
    runtime.shutdown_background();
    done
}

/// Waits for SIGTERM or SIGINT.
pub(crate) async fn stopped() {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    match signals {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        // Without handlers the signals end the process as they do by default.
        _ => std::future::pending().await,
    }
}

/// A table: formats as Java's `printf` has them, of which only widths, `-` and `0` count here.
pub(crate) struct Table {
    /// Of the line with the titles; empty: there is none.
    pub(crate) titles: &'static str,
    /// Of the other lines.
    pub(crate) row: &'static str,
    /// Title and JSON name of each column.
    pub(crate) columns: &'static [(&'static str, &'static str)],
}

/// One value of a line.
pub(crate) struct Cell {
    text: String,
    json: Value,
}

impl Cell {
    /// A number as `%.2f` and the like print it.
    pub(crate) fn fixed(value: f64, digits: usize) -> Cell {
        Cell {
            text: fixed(value, digits),
            json: value.into(),
        }
    }

    /// A text of which so many characters fit into the column.
    pub(crate) fn cut(text: &str, most: usize) -> Cell {
        Cell {
            text: text.chars().take(most).collect(),
            json: text.into(),
        }
    }

    /// A text for people beside the value for programs.
    pub(crate) fn shown(text: impl Into<String>, json: impl Into<Value>) -> Cell {
        Cell {
            text: text.into(),
            json: json.into(),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::shown(text, text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::shown(text.clone(), text)
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Cell {
        text.as_str().into()
    }
}

macro_rules! cell_of {
    ($($number:ty)*) => {$(
        impl From<$number> for Cell {
            fn from(value: $number) -> Cell {
                Cell::shown(value.to_string(), value)
            }
        }
    )*};
}

cell_of!(i32 i64 usize bool);

/// Where lines go.
enum Sink {
    Stdout,
    #[cfg(test)]
    Kept(Vec<u8>),
}

/// A command's output and its exit code.
pub(crate) struct Out {
    json: bool,
    sink: Sink,
    closed: bool,
    /// What the process exits with when the command has succeeded.
    pub(crate) exit_code: u8,
    /// Why something could not be written.
    lost: Option<std::io::Error>,
}

impl Out {
    /// To stdout.
    pub(crate) fn stdout(json: bool) -> Out {
        Out {
            json,
            sink: Sink::Stdout,
            closed: false,
            exit_code: 0,
            lost: None,
        }
    }

    /// To memory.
    #[cfg(test)]
    pub(crate) fn kept(json: bool) -> Out {
        Out {
            sink: Sink::Kept(Vec::new()),
            ..Out::stdout(json)
        }
    }

    /// What a kept one has.
    #[cfg(test)]
    pub(crate) fn into_text(self) -> String {
        match self.sink {
            Sink::Kept(bytes) => String::from_utf8(bytes).unwrap(),
            Sink::Stdout => String::new(),
        }
    }

    /// Whether it is JSON that is wanted.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether nobody reads it any more: a command that prints for ever ends then.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The exit code of the whole.
    ///
    /// # Errors
    /// Some of it could not be written, as on a full disk.
    pub(crate) fn end(self) -> Result<u8, Failure> {
        match self.lost {
            Some(error) => Err(Failure::wrong(format!("the output cannot be written: {error}"))),
            None => Ok(self.exit_code),
        }
    }

    fn write(&mut self, text: &str) {
        match &mut self.sink {
            Sink::Stdout => {
                let mut stdout = std::io::stdout().lock();
                let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
                self.closed |= written.is_err();
                // Who reads no further, as `head`, has what was wanted.
                let lost = written
                    .err()
                    .filter(|error| error.kind() != ErrorKind::BrokenPipe);
                if self.lost.is_none() {
                    self.lost = lost;
                }
            }
            #[cfg(test)]
            Sink::Kept(bytes) => bytes.extend_from_slice(text.as_bytes()),
        }
    }

    /// Text for people, as it is.
    pub(crate) fn text(&mut self, text: &str) {
        if !self.json {
            self.write(text);
        }
    }

    /// A line for people.
    pub(crate) fn line(&mut self, line: &str) {
        self.text(&format!("{line}\n"));
    }

    /// An object for programs.
    pub(crate) fn json(&mut self, value: &Value) {
        if self.json {
            self.write(&format!("{value}\n"));
        }
    }

    /// Text for people, or the same as an object for programs.
    pub(crate) fn either(&mut self, text: &str, value: Value) {
        self.text(text);
        self.json(&value);
    }

    /// A table's titles.
    pub(crate) fn titles(&mut self, table: &Table) {
        let titles: Vec<&str> = table.columns.iter().map(|(title, _)| *title).collect();
        self.text(&printf(table.titles, &titles));
    }

    /// A table's line.
    pub(crate) fn row(&mut self, table: &Table, cells: impl IntoIterator<Item = Cell>) {
        self.row_and(table, cells, Value::Null);
    }

    /// The same, with what 4.9's columns have no place for: it is for programs.
    pub(crate) fn row_and(&mut self, table: &Table, cells: impl IntoIterator<Item = Cell>, more: Value) {
        let cells: Vec<Cell> = cells.into_iter().collect();
        let texts: Vec<&str> = cells.iter().map(|cell| cell.text.as_str()).collect();
        self.text(&printf(table.row, &texts));
        if self.json {
            let names = table.columns.iter().map(|(_, name)| (*name).to_owned());
            let values = cells.into_iter().map(|cell| cell.json);
            let mut line: Map<String, Value> = names.zip(values).collect();
            if let Value::Object(more) = more {
                line.extend(more);
            }
            self.json(&Value::Object(line));
        }
    }

    /// A server that did not answer, or refused, while others did: it is named, and the exit code says so.
    pub(crate) fn away(&mut self, why: &dyn std::fmt::Display) {
        complain(&why.to_string());
        self.exit_code = 1;
    }
}

/// Texts in the widths that a format has: `%-20s`, `%4d`, `%03d`. What stands between stays, `%n` is the line's end.
pub(crate) fn printf(format: &str, texts: &[&str]) -> String {
    let mut out = String::new();
    let mut texts = texts.iter();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let end = after
            .find(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (spec, letter) = after.split_at(end);
        rest = letter.get(1..).unwrap_or_default();
        if letter.starts_with('n') {
            out.push('\n');
            continue;
        }
        let text = texts.next().copied().unwrap_or_default();
        let width: usize = spec.trim_start_matches(['-', '0']).parse().unwrap_or(0);
        let padded = match spec.chars().next() {
            Some('-') => format!("{text:<width$}"),
            Some('0') => format!("{text:0>width$}"),
            _ => format!("{text:>width$}"),
        };
        out.push_str(&padded);
    }
    out + rest
}

/// JSON indented as fastjson does it for files, which leaves lists of numbers and of texts in one line where Java has sets: all that
/// tools print are.
pub(crate) fn pretty(value: &Value) -> String {
    let text = protocol::body::write_pretty(value);
    let text = String::from_utf8_lossy(&text);
    let mut out = String::new();
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        if !out.is_empty() {
            out.push('\n');
        }
        out += line;
        let is_plain = |line: &&str| !line.trim_start().starts_with(['{', '[']);
        if line.ends_with('[') && lines.peek().is_some_and(is_plain) {
            for element in lines.by_ref() {
                out += element.trim_start();
                if element.trim_start().starts_with(']') {
                    break;
                }
            }
        }
    }
    out
}

/// A number with so many digits behind the point. Java rounds the shortest decimal text half up, not the binary value half even.
pub(crate) fn fixed(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return protocol::header::java_double(value);
    }
    let shortest = format!("{}", value.abs());
    let (whole, fraction) = shortest.split_once('.').unwrap_or((&shortest, ""));
    let mut kept: Vec<u8> = whole
        .bytes()
        .chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(digits))
        .collect();
    if fraction.as_bytes().get(digits).is_some_and(|next| *next >= b'5') {
        increment(&mut kept);
    }
    let sign = if value < 0.0 && kept.iter().any(|digit| *digit != b'0') {
        "-"
    } else {
        ""
    };
    let text: String = kept.iter().map(|digit| char::from(*digit)).collect();
    let (whole, fraction) = text.split_at(text.len() - digits);
    match digits {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction}"),
    }
}

/// The next number in decimal digits.
fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths() {
        for (format, texts, expected) in [
            ("%-4s|%4s|%03d%n", &["a", "b", "7"][..], "a   |   b|007\n"),
            ("%s %s%n", &["long", "x"], "long x\n"),
            ("%-2s.%n", &["longer"], "longer.\n"),
            ("Total: %d", &["7"], "Total: 7"),
        ] {
            assert_eq!(printf(format, texts), expected);
        }
    }

    #[test]
    fn numbers_are_rounded_as_java_rounds_them() {
        for (value, digits, expected) in [
            (0.0, 2, "0.00"),
            (0.125, 2, "0.13"),
            (1.005, 2, "1.01"),
            (9.999, 2, "10.00"),
            (-0.001, 2, "0.00"),
            (-1.5, 0, "-2"),
            (12.0, 4, "12.0000"),
            (1e21, 1, "1000000000000000000000.0"),
            (f64::NAN, 2, "NaN"),
        ] {
            assert_eq!(fixed(value, digits), expected);
        }
    }

    #[test]
    fn sets_are_in_one_line() {
        let value = serde_json::json!({"a": [1, 2], "b": [{"c": []}], "d": ["x"]});
        assert_eq!(
            pretty(&value),
            "{\n\t\"a\":[1,2],\n\t\"b\":[\n\t\t{\n\t\t\t\"c\":[]\n\t\t}\n\t],\n\t\"d\":[\"x\"]\n}"
        );
    }

    #[test]
    fn a_table_for_people_and_for_programs() {
        const TABLE: Table = Table {
            titles: "%-6s %4s%n",
            row: "%-6s %4d%n",
            columns: &[("#Name", "name"), ("#N", "number")],
        };
        let mut out = Out::kept(false);
        out.titles(&TABLE);
        out.row(&TABLE, [Cell::cut("a name", 4), 7.into()]);
        assert_eq!(out.into_text(), "#Name    #N\na na      7\n");
        let mut out = Out::kept(true);
        out.titles(&TABLE);
        out.row(&TABLE, [Cell::cut("a name", 4), 7.into()]);
        assert_eq!(out.into_text(), "{\"name\":\"a name\",\"number\":7}\n");
    }
}
