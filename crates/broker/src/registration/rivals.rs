//! Another broker that registers with this one's name and `brokerId`.
//!
//! A second broker was started with `brokerId=0`, a slave was promoted while its master lives, or the file of a slave was copied for another
//! one. A name server knows one address for an id of a name, whose registration came last, and says nothing about the other: clients go to
//! either of two masters in turn, and the two logs part; of two slaves the master may refuse the one that is not known at the moment. A
//! broker looks before it registers again: whoever stands in its place then has registered since.

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
    /// before, or one whose place it takes.
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
    /// How many other brokers register as the master of this one's name, and how many with this slave's `brokerId`.
    pub fn rivals(&self) -> [usize; 2] {
        let count = self.rivals.seen.lock().len();
        match self.settings.load().broker.broker_id {
            0 => [count, 0],
            _ => [0, count],
        }
    }

    /// Notes who stands in this broker's place, for [`Registration::judge_former`]: whether that one lives takes a while to find out, and a
    /// start does not wait for it.
    pub(super) async fn note_former(&self, namesrv: &str) {
        if let Some(address) = self.other_in_place(namesrv).await {
            let mut former = self.rivals.former.lock();
            former.push((namesrv.to_owned(), address));
        }
    }

    /// Says which of those who stood in this broker's place live.
    pub(super) async fn judge_former(&self) {
        let former = std::mem::take(&mut *self.rivals.former.lock());
        for (namesrv, address) in former {
            if self.is_server(Some(&address)).await {
                self.meet(&namesrv, &address);
            }
        }
    }

    /// Looks at one name server, before this broker registers there again.
    pub(super) async fn look_for_rival(&self, namesrv: &str) {
        if let Some(address) = self.other_in_place(namesrv).await {
            self.meet(namesrv, &address);
        }
        let settings = self.settings.load();
        let (name, id) = (&settings.broker.broker_name, settings.broker.broker_id);
        for address in self.rivals.take_gone(Instant::now()) {
            tracing::info!("{address} does not register as brokerId={id} of {name} any more");
        }
    }

    /// Who has this broker's name and id there, if it is another. A name server that does not answer knows nobody.
    async fn other_in_place(&self, namesrv: &str) -> Option<String> {
        let settings = self.settings.snapshot();
        let mut brokers = self.brokers(namesrv, &settings.broker.broker_name).await.ok()?;
        let known = brokers.remove(&settings.broker.broker_id)?;
        (known != settings.broker_addr()).then_some(known)
    }

    fn meet(&self, namesrv: &str, address: &str) {
        if !self.rivals.note(address, Instant::now()) {
            return;
        }
        let settings = self.settings.load();
        let (name, own) = (&settings.broker.broker_name, settings.broker_addr());
        match settings.broker.broker_id {
            0 => tracing::error!(
                "two masters of {name}: {address} has registered as brokerId=0 at name server {namesrv}, and so does this broker, {own}. Clients \
                 go to whichever registered last, and the logs of the two part. Stop one of them; it may come back as a slave (brokerId=1, \
                 brokerRole=SLAVE), or with another brokerName"
            ),
            id => tracing::error!(
                "two slaves of {name} with brokerId={id}: {address} has registered at name server {namesrv}, and so does this broker, {own}. Name \
                 servers know whichever registered last, and the master may refuse the other. Give one of them a brokerId of its own, and \
                 restart it"
            ),
        }
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
