//! Letting a group go on elsewhere.

use super::{Outcome, refused};
use crate::app::App;
use crate::asked::{Asked, Refusal};
use crate::pages::groups::Reset;
use crate::reply::Reply;
use crate::when::shown_time;
use admin::ask::{Failure, Moved, move_group};

pub(crate) async fn reset(app: &App, asked: &Asked) -> Result<Reply, Refusal> {
    let reset = Reset::of(&asked.form)?;
    let to = match reset.at {
        -1 => "the end".to_owned(),
        at => shown_time(at),
    };
    let what = format!("group {} goes on in topic {} at {to}", reset.group, reset.topic);
    let said = match moved(app, &reset).await {
        Ok(moved) => told(moved),
        Err(why) => refused(&why),
    };
    app.changed(asked, what, said).await
}

async fn moved(app: &App, reset: &Reset) -> Result<Moved, Failure> {
    let net = &app.cluster.net;
    let route = net.route(&reset.topic).await?;
    move_group(net, &route, &reset.wanted()).await
}

/// Members go on elsewhere when they have heard of it; 5.x sets the offset besides.
fn told(moved: Moved) -> Outcome {
    let (how, queues): (_, Vec<(String, i32, i64)>) = match moved {
        Moved::ByMembers(queues) => {
            let told = |(queue, to): (client::MessageQueue, i64)| (queue.broker_name, queue.queue_id, to);
            (
                "broker and members are told",
                queues.into_iter().map(told).collect(),
            )
        }
        Moved::ByBrokers(moves) => {
            let set = moves.into_iter();
            (
                "set at the broker",
                set.map(|moved| (moved.queue.broker_name, moved.queue.queue_id, moved.to))
                    .collect(),
            )
        }
    };
    let said = |(broker, queue, to)| (format!("{broker} {queue} → {to}, {how}"), None);
    queues.into_iter().map(said).collect()
}
