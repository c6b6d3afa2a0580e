//! Consumequeues: queryCq.

use crate::failure::Failure;
use crate::job::Job;
use crate::net;
use crate::output::{Out, pretty};
use crate::table::{Command, Run, required, value};
use protocol::body::operator::{ConsumeQueueContent, ConsumeQueueUnit};
use protocol::code::request;
use protocol::header::broker::QueryConsumeQueueRequestHeader;
use serde_json::json;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "queryCq",
    alias: None,
    about: "shows units of a consumequeue",
    options: &[
        required('t', "topic", "the topic"),
        required('q', "queue", "the queue's number"),
        required('i', "index", "the first unit"),
        value('c', "count", "how many [default: 10]"),
        value(
            'b',
            "broker",
            "the broker's address [default: the first of the topic's route]",
        ),
        value(
            'g',
            "consumer",
            "a group, through whose filter they are looked at",
        ),
    ],
    asks: None,
    run: Run::Online(|job, out| Box::pin(query(job, out))),
}];

async fn query(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let topic = given.required("topic");
    let first: i64 = given.number("index")?.unwrap_or_default();
    let header = QueryConsumeQueueRequestHeader {
        topic: Some(topic.into()),
        queue_id: given.number("queue")?,
        index: Some(first),
        count: Some(given.number("count")?.unwrap_or(10)),
        consumer_group: given.text("consumer").map(Into::into),
    };
    let address = match given.text("broker").filter(|broker| !broker.is_empty()) {
        Some(address) => address.to_owned(),
        None => {
            let route = job.net.route(topic).await?;
            let master = net::masters_of(&route).into_iter().next();
            master.ok_or_else(|| Failure::wrong(format!("no master has the topic {topic}")))?
        }
    };
    let code = request::QUERY_CONSUME_QUEUE;
    let told: ConsumeQueueContent = job.net.read(&address, code, &header).await?;
    let edge = "======================================";
    if let Some(wanted) = &told.subscription_data {
        let pretty = pretty(&json!(wanted));
        out.line(&format!("Subscription data: \n{pretty}\n{edge}"));
    }
    if let Some(filter) = &told.filter_data {
        out.line(&format!("Filter data: \n{filter}\n{edge}"));
    }
    let (max, min) = (told.max_queue_index, told.min_queue_index);
    out.line(&format!("Queue data: \nmax: {max}, min: {min}\n{edge}"));
    for (index, unit) in (first..).zip(&told.queue_data) {
        out.line(&format!("idx: {index}\n{}\n{edge}", shown(unit)));
    }
    out.json(&json!(told));
    Ok(())
}

/// A unit as Java shows it.
fn shown(unit: &ConsumeQueueUnit) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "null".to_owned());
    format!(
        "ConsumeQueueData{{physicOffset={}, physicSize={}, tagsCode={}, extendDataJson='{}', bitMap='{}', eval={}, \
         msg='{}'}}",
        unit.physic_offset,
        unit.physic_size,
        unit.tags_code,
        text(&unit.extend_data_json),
        text(&unit.bit_map),
        unit.eval,
        text(&unit.msg)
    )
}
