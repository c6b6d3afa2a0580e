//! What is wrong, looked for once for all viewers: it takes seconds, and asks much.

use crate::held::{Answer, Held};
use admin::ask::{Finding, Look, Net, examine, look, now_ms};
use std::sync::Arc;
use std::time::Duration;

/// How long between the two looks.
const WATCHED: Duration = Duration::from_secs(3);
/// How long findings are held.
const LASTS: Duration = Duration::from_secs(30);
/// Messages that a group may be behind in a topic.
const LEVEL: i64 = 1_000;

/// What was found, and when.
pub(crate) struct Found {
    pub(crate) at: i64,
    pub(crate) findings: Vec<Finding>,
}

/// Who looks.
pub(crate) struct Doctor {
    net: Net,
    held: Arc<Held<Found>>,
}

impl Doctor {
    pub(crate) fn new(net: Net) -> Doctor {
        Doctor {
            net: net.quiet(),
            held: Arc::new(Held::new(LASTS)),
        }
    }

    /// What is wrong. It is looked for to the end, also where nobody waits for it any more: the next one has it.
    pub(crate) async fn look(&self) -> Answer<Found> {
        let (net, held) = (self.net.clone(), Arc::clone(&self.held));
        let looking = tokio::spawn(async move {
            let make = async {
                let how = Look {
                    cluster: None,
                    watched: WATCHED,
                    level: LEVEL,
                };
                let sight = look(&net, &how).await?;
                Ok::<_, admin::ask::Failure>(Found {
                    at: now_ms(),
                    findings: examine(&sight),
                })
            };
            held.get(make).await
        });
        match looking.await {
            Ok(answer) => answer,
            Err(why) => Err(admin::ask::Failure::wrong(format!("the look has failed: {why}")).into()),
        }
    }
}
