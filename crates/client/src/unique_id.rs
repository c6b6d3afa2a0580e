//! Ids that a client gives its messages (UNIQ_KEY).
//!
//! Upper-case hex of address (4 bytes), process id (2), a number of this run (4), milliseconds since the month began (4) and
//! a counter (2): the form of RocketMQ's MessageClientIDSetter.

use std::fmt::Write;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Makes ids.
pub(crate) struct UniqueIds {
    /// Address, process and run, as text.
    prefix: String,
    counter: AtomicU16,
}

impl UniqueIds {
    pub(crate) fn new(ip: IpAddr) -> UniqueIds {
        let address = match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        // Java's class loader hash tells two clients in one process apart; a random number does as well.
        let run = RandomState::new().build_hasher().finish() as u32;
        let mut prefix = String::with_capacity(48);
        for byte in address {
            push_hex(&mut prefix, u32::from(byte), 2);
        }
        push_hex(&mut prefix, std::process::id() & 0xFFFF, 4);
        push_hex(&mut prefix, run, 8);
        UniqueIds {
            prefix,
            counter: AtomicU16::new(0),
        }
    }

    pub(crate) fn next(&self) -> String {
        let mut id = String::with_capacity(56);
        id.push_str(&self.prefix);
        push_hex(&mut id, millis_of_month(now_ms()), 8);
        push_hex(
            &mut id,
            u32::from(self.counter.fetch_add(1, Ordering::Relaxed)),
            4,
        );
        id
    }
}

fn push_hex(out: &mut String, value: u32, digits: usize) {
    // Writing to a String does not fail.
    let _ = write!(out, "{value:0digits$X}");
}

/// Milliseconds since the (UTC) month began; a reader only wants them to differ.
fn millis_of_month(now_ms: i64) -> u32 {
    let days = now_ms.div_euclid(86_400_000);
    // Day of the month by the civil calendar (days since 1970-01-01, eras of 400 years).
    let shifted = days + 719_468;
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5;
    (day * 86_400_000 + now_ms.rem_euclid(86_400_000)) as u32
}

/// Now, milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_apart() {
        let ids = UniqueIds::new("10.0.0.9".parse().unwrap());
        let (one, two) = (ids.next(), ids.next());
        assert_ne!(one, two);
        assert_eq!(one.len(), 32);
        assert!(one.starts_with("0A000009"));
    }

    #[test]
    fn months_begin_at_zero() {
        // 2024-03-01T00:00:00Z and 2024-02-29T23:59:59.999Z
        assert_eq!(millis_of_month(1_709_251_200_000), 0);
        assert_eq!(millis_of_month(1_709_251_199_999), 29 * 86_400_000 - 1);
    }
}
