//! Delayed messages of the benchmark programs: the producer writes on each when it is due, the consumer counts how much
//! later it came.
//!
//! What a broker delivers does not say any more which level it had, hence the property. Both clocks must agree, as for the
//! latency of what is not delayed.

use client::Message;
use std::ops::RangeInclusive;
use std::time::Duration;
use store::DELAY_LEVELS_S;

/// µs since 1970.
const DUE: &str = "benchmark_due";
/// Levels there are.
pub(crate) const LEVELS: RangeInclusive<u64> = 1..=DELAY_LEVELS_S.len() as u64;

/// The message with a level, and with the time at which it is due; `now`: since 1970.
pub(crate) fn delayed(message: Message, level: u64, now: Duration) -> Message {
    let level = level.clamp(*LEVELS.start(), *LEVELS.end());
    let due = now + Duration::from_secs(DELAY_LEVELS_S[level as usize - 1].unsigned_abs());
    message
        .delay_level(level as u32)
        .property(DUE, &due.as_micros().to_string())
}

/// How much later than due a message came; `None`: it was not delayed. `property` gives the value of one of its properties.
///
/// A broker counts whole milliseconds, so one may come less than that too early: not late.
pub(crate) fn lateness<'a>(property: impl Fn(&str) -> Option<&'a str>, now: Duration) -> Option<Duration> {
    let due = property(DUE)?.parse().ok()?;
    Some(now.saturating_sub(Duration::from_micros(due)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lateness_of(message: &Message, now: Duration) -> Option<Duration> {
        let property = |name: &str| {
            let mut pairs = message.properties.iter();
            pairs.find(|(n, _)| n == name).map(|(_, value)| value.as_str())
        };
        lateness(property, now)
    }

    #[test]
    fn what_comes_after_its_level_is_late() {
        let sent = Duration::from_micros(1_700_000_000_123_456);
        for (level, delay_s) in [(1, 1), (3, 10), (18, 7200)] {
            let message = delayed(Message::new("T", "x"), level, sent);
            let has_level = ("DELAY".to_owned(), level.to_string());
            assert!(message.properties.contains(&has_level), "{message:?}");
            let due = sent + Duration::from_secs(delay_s);
            let late = Duration::from_millis(250);
            assert_eq!(lateness_of(&message, due + late), Some(late));
            let early = Duration::from_micros(900);
            assert_eq!(lateness_of(&message, due - early), Some(Duration::ZERO));
        }
        assert_eq!(lateness_of(&Message::new("T", "x"), sent), None);
    }
}
