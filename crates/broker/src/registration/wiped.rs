//! A name server at which somebody has taken this broker's write permission (`wipeWritePerm`), and forgotten to give it back.
//!
//! The broker is not told, and registers on: producers find no route, while the broker itself is in order and says so. It looks at the
//! topic of its own name, which nobody else registers.

use std::time::Duration;

use tokio::time::Instant;

use super::Registration;
use crate::tables::perm;

/// How often the log says it while it lasts.
const SAY_EACH: Duration = Duration::from_secs(60);

/// What the log has said of one name server.
#[derive(Default)]
pub(super) struct Wiped {
    said: Option<Instant>,
}

impl Wiped {
    /// Looks at the name server, and leaves a line.
    pub(super) async fn look(&mut self, registration: &Registration, namesrv: &str) {
        match registration.is_wiped(namesrv).await {
            Some(true) if self.is_due() => {
                let name = &registration.settings.load().broker.broker_name;
                tracing::warn!(
                    "name server {namesrv} sends no producers here: somebody has taken the write permission of {name} there \
                     (wipeWritePerm); `mqadmin addWritePerm -b {name}` gives it back"
                );
            }
            Some(false) if self.said.take().is_some() => {
                tracing::info!("name server {namesrv} sends producers here again");
            }
            _ => {}
        }
    }

    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.said.is_none_or(|said| now.duration_since(said) >= SAY_EACH);
        if is_due {
            self.said = Some(now);
        }
        is_due
    }
}

impl Registration {
    /// Whether the topic of this broker's name lacks the write permission there that it has here. `None`: nobody can say.
    async fn is_wiped(&self, namesrv: &str) -> Option<bool> {
        let settings = self.settings.snapshot();
        let name = &settings.broker.broker_name;
        let here = self.topics.get(name)?.perm & self.rights(&settings).permission;
        if settings.is_slave() || here & perm::WRITE == 0 {
            return None;
        }
        let route = self.route(namesrv, name).await.ok()?;
        let own = route
            .queue_datas
            .iter()
            .find(|queues| queues.broker_name == *name)?;
        Some(own.perm & perm::WRITE == 0)
    }
}
