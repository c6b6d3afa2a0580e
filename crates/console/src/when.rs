//! Times as people write them.

use crate::asked::Refusal;
use admin::ask::{parse_time, seconds};

/// Milliseconds since 1970, `2026-11-29 17:08:20`, `2026-11-29T17:08`, or how long ago: `10m`.
pub(crate) fn read_time(name: &str, text: &str) -> Result<i64, Refusal> {
    let text = text.trim();
    let date = text.split_once(['T', ' ', '#']);
    let javas = match date {
        Some((day, clock)) => {
            let clock = match clock.matches(':').count() {
                1 => format!("{clock}:00:000"),
                2 => format!("{clock}:000"),
                _ => clock.to_owned(),
            };
            format!("{day}#{clock}")
        }
        None if text.len() == 10 && text.contains('-') => format!("{text}#00:00:00:000"),
        None => text.to_owned(),
    };
    parse_time(name, &javas).ok().filter(|at| *at >= 0).ok_or_else(|| {
        let why = format!("`{name}` is a time like 2026-11-29 17:08:20, how long ago like 10m, 2h or 3d, or milliseconds since 1970; not `{text}`");
        Refusal::new(400, why)
    })
}

/// As it is read again.
pub(crate) fn shown_time(at: i64) -> String {
    seconds(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_write_them() {
        let at = read_time("t", "2026-11-29 17:08:20").unwrap();
        for same in [
            "2026-11-29T17:08:20",
            " 2026-11-29#17:08:20:000 ",
            &at.to_string(),
            &shown_time(at),
        ] {
            assert_eq!(read_time("t", same).unwrap(), at, "{same}");
        }
        assert_eq!(read_time("t", "2026-11-29T17:08").unwrap(), at - 20_000);
        assert_eq!(
            read_time("t", "2026-11-29").unwrap(),
            read_time("t", "2026-11-29 00:00:00").unwrap()
        );
        assert!(read_time("t", "10m").unwrap() > at - 100_000_000_000);
        for bad in ["", "-5", "yesterday", "2026-13-29 17:08:20", "<script>"] {
            assert_eq!(read_time("t", bad).unwrap_err().status, 400, "{bad}");
        }
    }
}
