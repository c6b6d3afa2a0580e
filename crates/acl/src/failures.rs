//! Who signs wrongly again and again: nobody computes signatures for him for a while.
//!
//! Counted for each account and address together. Who guesses can not keep others of his address out of their accounts, nor the
//! account's owner elsewhere.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Accounts and addresses that are counted at once; of further ones every signature is looked at.
const COUNTED_MAX: usize = 10_000;
/// Bytes of a name that is counted: longer ones are of no account.
const NAME_MAX: usize = 1024;

/// Wrong signatures of the time that counts.
#[derive(Debug, Default)]
pub struct Failures {
    /// So many are looked at; 0: all.
    max: u32,
    /// Within this time, ms.
    within_ms: u64,
    windows: Mutex<HashMap<IpAddr, HashMap<String, Window>>>,
    /// Windows that there are: nothing else is looked at while there are none.
    counted: AtomicUsize,
}

/// Wrong signatures from one address for one account.
#[derive(Debug)]
struct Window {
    count: u32,
    ends_ms: u64,
}

impl Failures {
    /// After `max` within `seconds` no more are looked at until these are over.
    pub fn new(max: u32, seconds: u32) -> Self {
        Self {
            max,
            within_ms: u64::from(seconds) * 1000,
            ..Self::default()
        }
    }

    /// Is nothing counted?
    pub fn is_quiet(&self) -> bool {
        self.counted.load(Ordering::Relaxed) == 0
    }

    /// How long no signature of this account from there is looked at, ms, if so.
    pub fn shut_for_ms(&self, peer: IpAddr, account: &str, now_ms: u64) -> Option<u64> {
        if self.is_quiet() {
            return None;
        }
        let windows = self.windows();
        let window = windows.get(&peer.to_canonical())?.get(account)?;
        (window.count >= self.max)
            .then(|| window.ends_ms.checked_sub(now_ms))
            .flatten()
            .filter(|left| *left > 0)
    }

    /// Counts a signature that was wrong.
    pub fn note(&self, peer: IpAddr, account: &str, now_ms: u64) {
        if self.max == 0 || account.len() > NAME_MAX {
            return;
        }
        let peer = peer.to_canonical();
        let mut windows = self.windows();
        let mut counted = self.counted.load(Ordering::Relaxed);
        if counted >= COUNTED_MAX {
            windows.retain(|_, accounts| {
                accounts.retain(|_, window| window.ends_ms > now_ms);
                !accounts.is_empty()
            });
            counted = windows.values().map(HashMap::len).sum();
        }
        let is_new = windows
            .get(&peer)
            .is_none_or(|accounts| !accounts.contains_key(account));
        if is_new && counted >= COUNTED_MAX {
            self.counted.store(counted, Ordering::Relaxed);
            return;
        }
        let window = windows
            .entry(peer)
            .or_default()
            .entry(account.to_owned())
            .or_insert(Window { count: 0, ends_ms: 0 });
        if window.ends_ms <= now_ms {
            *window = Window {
                count: 0,
                ends_ms: now_ms + self.within_ms,
            };
        }
        window.count = window.count.saturating_add(1);
        self.counted
            .store(counted + usize::from(is_new), Ordering::Relaxed);
    }

    fn windows(&self) -> MutexGuard<'_, HashMap<IpAddr, HashMap<String, Window>>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_so_many_nothing_is_looked_at_for_a_while() {
        let failures = Failures::new(3, 60);
        let (here, there) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for now in [1000, 2000, 3000] {
            assert_eq!(failures.shut_for_ms(here, "a", now), None);
            failures.note(here, "a", now);
        }
        assert_eq!(failures.shut_for_ms(here, "a", 3000), Some(58_000));
        let mapped = "::ffff:10.0.0.1".parse().expect("an address");
        assert_eq!(failures.shut_for_ms(mapped, "a", 60_999), Some(1));
        assert_eq!(failures.shut_for_ms(here, "b", 3000), None, "another account");
        assert_eq!(failures.shut_for_ms(there, "a", 3000), None, "another address");
        // From when the first of them was made.
        assert_eq!(failures.shut_for_ms(here, "a", 61_000), None);
        failures.note(here, "a", 61_000);
        assert_eq!(failures.shut_for_ms(here, "a", 61_000), None);
    }

    #[test]
    fn what_is_counted_is_bounded_and_what_is_over_makes_room() {
        let failures = Failures::new(1, 60);
        let peer = IpAddr::from([10, 0, 0, 1]);
        for i in 0..=COUNTED_MAX {
            failures.note(peer, &format!("a{i}"), 0);
        }
        assert_eq!(failures.counted.load(Ordering::Relaxed), COUNTED_MAX);
        let last = format!("a{COUNTED_MAX}");
        assert_eq!(failures.shut_for_ms(peer, &last, 1), None);
        assert!(failures.shut_for_ms(peer, "a0", 1).is_some());
        failures.note(peer, &last, 60_000);
        assert!(failures.shut_for_ms(peer, &last, 60_001).is_some());
        assert_eq!(failures.counted.load(Ordering::Relaxed), 1);
        failures.note(peer, &"x".repeat(NAME_MAX + 1), 0);
        assert_eq!(failures.counted.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let failures = Failures::new(0, 60);
        failures.note([1, 1, 1, 1].into(), "a", 0);
        assert_eq!(failures.counted.load(Ordering::Relaxed), 0);
    }
}
