//! What a supervisor is told (systemd's `Type=notify`): READY, STATUS, WATCHDOG and STOPPING. Without `NOTIFY_SOCKET` nothing is
//! told to anybody.

use sd_notify::NotifyState;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the status is told anew.
const STATUS_EACH: Duration = Duration::from_secs(5);
/// Shortest pause between two signs of life, whatever `WatchdogSec` says.
const WATCHDOG_LEAST: Duration = Duration::from_millis(10);
/// After so long without a beat the workers are taken to be stuck.
const PULSE_WITHIN: Duration = Duration::from_secs(30);
/// How often a pulse beats.
const PULSE_EACH: Duration = Duration::from_secs(1);

/// When the workers of a runtime last said that they work.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Mutex<Instant>>);

impl Default for Pulse {
    /// They have just said so.
    fn default() -> Self {
        Pulse(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Pulse {
    /// A task that says so each second for as long as it is polled.
    pub async fn beat(&self) -> Infallible {
        loop {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            tokio::time::sleep(PULSE_EACH).await;
        }
    }

    /// Why the server is taken to be stuck, if it is.
    pub fn stuck(&self) -> Option<String> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = last.elapsed();
        (silent > PULSE_WITHIN).then(|| format!("the workers have said nothing for {} s", silent.as_secs()))
    }
}

/// Tells that the server serves. Of several calls the first counts.
pub fn tell_ready() {
    tell(&[NotifyState::Ready]);
}

/// Tells that the server stops.
pub fn tell_stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Tells the status again and again, and that the server lives where somebody watches that. It runs on the workers: where they are
/// stuck, nobody is told that they live.
pub async fn keep_telling(status: impl Fn() -> String) -> Infallible {
    let watchdog = sd_notify::watchdog_enabled().map(|within| (within / 2).max(WATCHDOG_LEAST));
    let each = watchdog.map_or(STATUS_EACH, |each| each.min(STATUS_EACH));
    let mut said = String::new();
    loop {
        let now = status();
        if now != said {
            // A line is what the protocol takes.
            tell(&[NotifyState::Status(&now.replace('\n', "; "))]);
            said = now;
        }
        if watchdog.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
        tokio::time::sleep(each).await;
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(state) {
        tracing::debug!("the supervisor is not told {state:?}: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_that_stops_is_noticed() {
        let pulse = Pulse::default();
        assert_eq!(pulse.stuck(), None);
        let before = Instant::now().checked_sub(PULSE_WITHIN + Duration::from_secs(2));
        *pulse.0.lock().expect("nobody panicked") = before.expect("the machine runs longer than that");
        let said = pulse.stuck().unwrap_or_default();
        assert!(said.contains("nothing for 32 s"), "{said}");
    }
}
