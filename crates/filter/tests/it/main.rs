//! SQL92 expressions and bitmaps against RocketMQ's own filter module.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests read files and start programs")]

mod bitmaps;
mod java;
mod limits;
mod verdicts;

/// A line of the golden files with its escapes undone: `\n`, `\r`, `\t`, `\f`, `\\` and `\uXXXX`.
fn unescape(line: &str) -> String {
    let mut units = Vec::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => match chars.next().unwrap() {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'f' => '\x0C',
                'u' => {
                    let code: String = chars.by_ref().take(4).collect();
                    units.push(u16::from_str_radix(&code, 16).unwrap());
                    continue;
                }
                other => other,
            },
            other => other,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).unwrap()
}

/// The lines of a file under `tests/` that are neither blank nor comments.
fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}
