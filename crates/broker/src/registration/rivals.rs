//! Another broker that registers as the master of this one's name.
//!
//! A second broker was started with `brokerId=0`, or a slave was promoted while its master lives. A name server knows one address for the
//! id 0 of a name, whose registration came last, and says nothing about the other: clients go to either in turn, and the two logs part. A
//! master looks before it registers again: whoever stands in its place then has registered since.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Registration;

/// How often the log says it again while it lasts.
const SAY_EACH: Duration = Duration::from_secs(300);
/// A rival that was not seen for this long is gone: one that lives registers each minute at least, and this broker looks as often.
const GONE_AFTER: Duration = Duration::from_secs(150);

struct Rival {
    seen: Instant,
    said: Instant,
}

/// Those who are there now, by address.
#[derive(Default)]
pub(super) struct Rivals {
    seen: Mutex<BTreeMap<String, Rival>>,
    /// Who stood in this broker's place before it registered at all, and the name server that said so. That may be where this broker was
    /// before, or a master whose place it takes.
    former: Mutex<Vec<(String, String)>>,
}

impl Rivals {
    /// A rival was seen. Is the log to say so?
    fn note(&self, address: &str, now: Instant) -> bool {
        let mut seen = self.seen.lock();
        let Some(rival) = seen.get_mut(address) else {
            seen.insert(address.to_owned(), Rival { seen: now, said: now });
            return true;
        };
        rival.seen = now;
        let is_due = now.duration_since(rival.said) >= SAY_EACH;
        if is_due {
            rival.said = now;
        }
        is_due
    }

    /// Forgets those who were not seen for long, and gives them.
    fn take_gone(&self, now: Instant) -> Vec<String> {
        let mut seen = self.seen.lock();
        let is_gone = |rival: &Rival| now.duration_since(rival.seen) >= GONE_AFTER;
        let gone: Vec<String> = seen
            .iter()
            .filter(|(_, rival)| is_gone(rival))
            .map(|(address, _)| address.clone())
            .collect();
        seen.retain(|_, rival| !is_gone(rival));
        gone
    }
}

impl Registration {
    /// How many other brokers register as the master of this one's name.
    pub fn rival_masters(&self) -> usize {
        self.rivals.seen.lock().len()
    }

    /// Notes who stands in this master's place, for [`Registration::judge_former_masters`]: whether that one lives takes a while to find
    /// out, and a start does not wait for it.
    pub(super) async fn note_former_master(&self, namesrv: &str) {
        if let Some(address) = self.other_master(namesrv).await {
            let mut former = self.rivals.former.lock();
            former.push((namesrv.to_owned(), address));
        }
    }

    /// Says which of those who stood in this broker's place live.
    pub(super) async fn judge_former_masters(&self) {
        let former = std::mem::take(&mut *self.rivals.former.lock());
        for (namesrv, address) in former {
            if self.is_server(Some(&address)).await {
                self.meet(&namesrv, &address);
            }
        }
    }

    /// Looks at one name server, before this broker registers there again.
    pub(super) async fn look_for_rival(&self, namesrv: &str) {
        if let Some(address) = self.other_master(namesrv).await {
            self.meet(namesrv, &address);
        }
        let name = &self.settings.load().broker.broker_name;
        for address in self.rivals.take_gone(Instant::now()) {
            tracing::info!("{address} does not register as the master of {name} any more");
        }
    }

    /// Who is the master of this master's name there, if it is another. A name server that does not answer knows nobody.
    async fn other_master(&self, namesrv: &str) -> Option<String> {
        let settings = self.settings.snapshot();
        if settings.broker.broker_id != 0 {
            return None;
        }
        let mut brokers = self.brokers(namesrv, &settings.broker.broker_name).await.ok()?;
        let master = brokers.remove(&0)?;
        (master != settings.broker_addr()).then_some(master)
    }

    fn meet(&self, namesrv: &str, address: &str) {
        if !self.rivals.note(address, Instant::now()) {
            return;
        }
        let settings = self.settings.load();
        let name = &settings.broker.broker_name;
        tracing::warn!(
            "two masters of {name}: {address} has registered as brokerId=0 at name server {namesrv}, and so does this broker, {}. Clients go to \
             whichever registered last, and the logs of the two part. Stop one of them; it may come back as a slave (brokerId=1, \
             brokerRole=SLAVE), or with another brokerName",
            settings.broker_addr()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rival_is_said_at_once_and_now_and_then_while_it_lasts() {
        let rivals = Rivals::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let said: Vec<u64> = (0..=900)
            .step_by(30)
            .filter(|second| rivals.note("a:1", at(*second)))
            .collect();
        assert_eq!(said, [0, 300, 600, 900]);
        assert!(rivals.note("b:1", at(900)), "another one");
        assert!(!rivals.note("b:1", at(1_000)));
        assert_eq!(rivals.take_gone(at(1_049)), [""; 0]);
        assert_eq!(rivals.take_gone(at(1_050)), ["a:1"]);
        assert_eq!(rivals.take_gone(at(1_060)), [""; 0], "once");
        assert!(rivals.note("a:1", at(1_070)), "it is back");
    }
}
