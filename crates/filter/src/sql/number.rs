//! Numbers as Java reads them from text and writes them.
//!
//! Rules: Java SE 17, `Integer.valueOf`, `Long.valueOf`, `Double.valueOf`, `Double.toString`, `Double.compareTo`.

use std::cmp::Ordering;

/// The zeros of the scripts whose digits `Character.digit` knows, beside ASCII's.
#[rustfmt::skip]
const ZEROS: [u16; 36] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
    0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90,
    0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
];

/// The value of a decimal digit of any script.
pub(crate) fn digit(c: char) -> Option<u8> {
    if c.is_ascii() {
        return c.to_digit(10).map(|digit| digit as u8);
    }
    let unit = u16::try_from(u32::from(c)).ok()?;
    let zero = ZEROS[..ZEROS.partition_point(|zero| *zero <= unit)].last()?;
    u8::try_from(unit - zero).ok().filter(|digit| *digit < 10)
}

/// A whole number of 32 bits; no blanks, no suffix.
pub(super) fn int(text: &[u8]) -> Option<i32> {
    i32::try_from(long(text)?).ok()
}

/// A whole number of 64 bits.
pub(super) fn long(text: &[u8]) -> Option<i64> {
    if text.is_ascii() {
        // Rust's rules are Java's where all digits are ASCII.
        return std::str::from_utf8(text).ok()?.parse().ok();
    }
    let text = std::str::from_utf8(text).ok()?;
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = digits.chars().try_fold(0i128, |value, c| {
        let value = value * 10 + i128::from(digit(c)?);
        // Beyond this it is too big with any sign, and more digits do not make it smaller.
        (value <= 1 << 64).then_some(value)
    })?;
    i64::try_from(if is_negative { -value } else { value }).ok()
}

/// A number of Java's type double: with blanks around it, `1d`, `NaN`, `-Infinity`, `0x1p3`.
pub(super) fn double(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?.trim_matches(|c: char| c <= ' ');
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    match unsigned {
        "NaN" => return Some(f64::NAN),
        "Infinity" => return Some(sign * f64::INFINITY),
        _ => {}
    }
    let number = unsigned.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(unsigned);
    if let Some(digits) = number.strip_prefix("0x").or_else(|| number.strip_prefix("0X")) {
        // A hexadecimal number needs its exponent: a `d` or `f` that ends it was none of its digits.
        return hexadecimal(digits).map(|value| sign * value);
    }
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    let is_number = number.starts_with(|c: char| c.is_ascii_digit() || c == '.') && number.bytes().all(plain);
    number
        .parse()
        .ok()
        .filter(|_| is_number)
        .map(|value: f64| sign * value)
}

/// `1.8p3`, rounded to the nearest, of two equally near to the even one.
fn hexadecimal(text: &str) -> Option<f64> {
    let at = text.find(['p', 'P'])?;
    let (digits, exponent) = (&text[..at], &text[at + 1..]);
    let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let exponent = exponent
        .parse::<i64>()
        .unwrap_or(match exponent.starts_with('-') {
            true => i64::MIN / 4,
            false => i64::MAX / 4,
        });
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && part.is_empty() {
        return None;
    }
    // The first digits that are not zero; of the rest only whether they are.
    let (mut mantissa, mut shift, mut rest) = (0u64, 0i64, false);
    for (index, c) in whole.chars().chain(part.chars()).enumerate() {
        let digit = u64::from(c.to_digit(16)?);
        shift -= 4 * i64::from(index >= whole.len());
        if mantissa >> 59 == 0 {
            mantissa = mantissa << 4 | digit;
        } else {
            (rest, shift) = (rest | (digit != 0), shift + 4);
        }
    }
    let power = exponent.clamp(-(1 << 60), 1 << 60) + shift;
    Some(scaled(mantissa, rest, power))
}

/// `mantissa` (and a bit, where `rest`) times two to the power, rounded.
fn scaled(mantissa: u64, rest: bool, power: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let bits = 64 - i64::from(mantissa.leading_zeros());
    let highest = power + bits - 1;
    // Below 2^-1022 a number has fewer bits than 53.
    let kept = 53.min(53 + highest + 1022);
    let dropped = bits - kept;
    if highest > 1023 {
        return f64::INFINITY;
    }
    if kept < 0 {
        return 0.0;
    }
    if dropped <= 0 {
        return power_of_two(mantissa as f64, power);
    }
    let (quotient, left) = match dropped {
        64.. => (0, mantissa),
        _ => (mantissa >> dropped, mantissa & ((1 << dropped) - 1)),
    };
    let half = 1u64 << (dropped - 1);
    let up = left > half || (left == half && (rest || quotient & 1 == 1));
    power_of_two((quotient + u64::from(up)) as f64, power + dropped)
}

/// `value` times two to the power, which has to be a double.
fn power_of_two(value: f64, power: i64) -> f64 {
    // In steps, for 2^-1074 is no power that `powi` can give at once.
    let step = |power: i64| 2f64.powi(power.clamp(-1000, 1000) as i32);
    let first = power.clamp(-1000, 1000);
    value * step(first) * step(power - first)
}

/// The order of Java's doubles: minus zero below zero, NaN above everything and equal to itself.
pub(super) fn compare(left: f64, right: f64) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (false, false) => left.total_cmp(&right),
        (left, right) => left.cmp(&right),
    }
}

/// A double as Java writes it.
pub(super) fn show(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{point}E{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_read_as_java_reads_them() {
        let same = |text: &str, expected: f64| {
            let found = double(text.as_bytes()).expect(text);
            assert_eq!(found.to_bits(), expected.to_bits(), "{text}: {found:e}");
        };
        same(" 1 ", 1.0);
        same("\t+1.5e3\n", 1500.0);
        same("-.5f", -0.5);
        same("1.d", 1.0);
        same("-0", -0.0);
        same("-Infinity", f64::NEG_INFINITY);
        same("1e400", f64::INFINITY);
        same("0x1p3", 8.0);
        same("0X.8P1", 1.0);
        same("-0x1.8p1d", -3.0);
        same("0x0p0", 0.0);
        same("0x1.fffffffffffff8p0", 2.0);
        same("0x1.fffffffffffff7p0", 2.0 - f64::EPSILON);
        same("0x1.00000000000008p0", 1.0);
        same("0x1.000000000000080000000001p0", 1.0 + f64::EPSILON);
        same("0x1p-1074", f64::from_bits(1));
        same("0x1p-1075", 0.0);
        same("0x1.8p-1075", f64::from_bits(1));
        same("0x1.8p-1074", f64::from_bits(2));
        same("0x1.fffffffffffffp1023", f64::MAX);
        same("0x1.fffffffffffff8p1023", f64::INFINITY);
        same("0x1p1024", f64::INFINITY);
        same("0x1p99999999999999999999", f64::INFINITY);
        same("0x1p-99999999999999999999", 0.0);
        assert!(double(b"NaN").is_some_and(f64::is_nan) && double(b"-NaN").is_some_and(f64::is_nan));
        for text in [
            "", " ", "nan", "inf", "infinity", "INF", "1_0", ".", "e5", "1e", "--1", "+-1", "0x10", "0x",
            "0xp1", "0x1p", "1dd", "1 2", "1L", "0x1.p", "d", "\u{a0}1", "１",
        ] {
            assert_eq!(double(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn whole_numbers_may_have_digits_of_any_script() {
        assert_eq!(int("１２".as_bytes()), Some(12));
        assert_eq!(int("-٣".as_bytes()), Some(-3));
        assert_eq!(
            long("+９２２３３７２０３６８５４７７５８０７".as_bytes()),
            Some(i64::MAX)
        );
        assert_eq!(
            long("-９２２３３７２０３６８５４７７５８０８".as_bytes()),
            Some(i64::MIN)
        );
        assert_eq!(long("９２２３３７２０３６８５４７７５８０８".as_bytes()), None);
        assert_eq!(int(b"2147483648"), None);
        assert_eq!(int(b"+7"), Some(7));
        for text in ["", "+", "-", " 1", "1 ", "1L", "1.0", "+-1", "½", "１x"] {
            assert_eq!(long(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(long(b"\xFF1"), None);
        assert_eq!(long("１".repeat(100).as_bytes()), None);
    }

    #[test]
    fn doubles_are_shown_as_java_shows_them() {
        for (value, text) in [
            (1.0, "1.0"),
            (0.001, "0.001"),
            (0.000_99, "9.9E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1.25e-10, "1.25E-10"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(show(value), text);
        }
    }
}
