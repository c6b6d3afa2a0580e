//! Who is connected: producerConnection, consumerConnection, producer.

use crate::failure::Failure;
use crate::job::Job;
use crate::net::{self, Net};
use crate::output::{Cell, Out, Table};
use crate::table::{Command, Run, required, value};
use message::name::retry_topic;
use protocol::body::broker::{ClientConnection, ConsumerConnection, ProducerConnection};
use protocol::body::operator::ProducerTable;
use protocol::code::request;
use protocol::header::NoHeader;
use protocol::header::broker::{ConsumerGroupRequestHeader, ProducerGroupRequestHeader};
use serde_json::json;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "producerConnection",
        alias: None,
        about: "lists the members of a producer group",
        options: &[
            required('g', "producerGroup", "the group"),
            required('t', "topic", "a topic that it sends to"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(producers(job, out))),
    },
    Command {
        name: "consumerConnection",
        alias: None,
        about: "lists the members of a consumer group and what they subscribe to",
        options: &[
            required('g', "consumerGroup", "the group"),
            value('b', "brokerAddr", "the broker that is asked"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(consumers(job, out))),
    },
    Command {
        name: "producer",
        alias: None,
        about: "lists all producers that are connected to a broker",
        options: &[required('b', "broker", "the broker")],
        asks: None,
        run: Run::Online(|job, out| Box::pin(all_producers(job, out))),
    },
];

/// A version number's name. Versions before 4.0 have none here.
pub fn version_name(version: i32) -> String {
    protocol::version::name(version).unwrap_or_else(|| version.to_string())
}

fn client_cells(client: &ClientConnection) -> [Cell; 4] {
    [
        (&client.client_id).into(),
        (&client.client_addr).into(),
        (&client.language).into(),
        version_name(client.version).into(),
    ]
}

const PRODUCERS: Table = Table {
    titles: "",
    row: "%04d  %-32s %-22s %-8s %s%n",
    columns: &[
        ("", "number"),
        ("", "clientId"),
        ("", "clientAddr"),
        ("", "language"),
        ("", "version"),
    ],
};

async fn producers(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let group = job.given.required("producerGroup");
    let topic = job.given.required("topic");
    let route = job.net.route(topic).await?;
    let header = ProducerGroupRequestHeader {
        producer_group: group.to_owned().into(),
    };
    let code = request::GET_PRODUCER_CONNECTION_LIST;
    // A producer is connected to every broker of its topics: one that answers is enough.
    let mut refused = None;
    for address in net::addresses(&route) {
        match job.net.read::<ProducerConnection>(&address, code, &header).await {
            Ok(told) if !told.connection_set.is_empty() => {
                for (index, client) in told.connection_set.iter().enumerate() {
                    let number: Cell = (index + 1).into();
                    out.row(&PRODUCERS, [number].into_iter().chain(client_cells(client)));
                }
                return Ok(());
            }
            Ok(_) => {}
            Err(why) => refused = Some(why),
        }
    }
    Err(refused
        .unwrap_or_else(|| Failure::wrong(format!("no member of the producer group {group} is connected"))))
}

/// The members of a consumer group, as one broker tells: of its retry topic, or this one.
pub async fn members(net: &Net, group: &str, address: Option<&str>) -> Result<ConsumerConnection, Failure> {
    let addresses = match address {
        Some(address) => vec![address.to_owned()],
        None => net::addresses(&net.route(&retry_topic(group)).await?),
    };
    let header = ConsumerGroupRequestHeader {
        consumer_group: group.into(),
    };
    let code = request::GET_CONSUMER_CONNECTION_LIST;
    let mut refused = None;
    for address in addresses {
        match net.read::<ConsumerConnection>(&address, code, &header).await {
            Ok(told) if !told.connection_set.is_empty() => return Ok(told),
            Ok(_) => {}
            Err(why) => refused = Some(why),
        }
    }
    Err(refused
        .unwrap_or_else(|| Failure::wrong(format!("no member of the consumer group {group} is connected"))))
}

const CONSUMERS: Table = Table {
    titles: "%-36s %-22s %-10s %s%n",
    row: "%-36s %-22s %-10s %s%n",
    columns: &[
        ("#ClientId", "clientId"),
        ("#ClientAddr", "clientAddr"),
        ("#Language", "language"),
        ("#Version", "version"),
    ],
};

async fn consumers(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let group = job.given.required("consumerGroup");
    let told = members(&job.net, group, job.given.text("brokerAddr")).await?;
    out.titles(&CONSUMERS);
    for client in &told.connection_set {
        out.row(&CONSUMERS, client_cells(client));
    }
    out.text("\nBelow is subscription:\n");
    out.line(&format!("{:<20} #SubExpression", "#Topic"));
    for subscription in told.subscription_table.values() {
        out.either(
            &format!("{:<20} {}\n", subscription.topic, subscription.sub_string),
            json!({"topic": subscription.topic, "subExpression": subscription.sub_string}),
        );
    }
    let (kind, model, from) = (
        told.consume_type.name(),
        told.message_model.name(),
        told.consume_from_where.name(),
    );
    out.either(
        &format!("\nConsumeType: {kind}\nMessageModel: {model}\nConsumeFromWhere: {from}\n"),
        json!({"consumeType": kind, "messageModel": model, "consumeFromWhere": from}),
    );
    Ok(())
}

async fn all_producers(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let address = job.given.required("broker");
    let code = request::GET_ALL_PRODUCER_INFO;
    let told: ProducerTable = job.net.read(address, code, &NoHeader).await?;
    for (group, members) in &told.data {
        if members.is_empty() {
            out.line(&format!("producer group ({group}) instances are empty"));
        }
        for member in members {
            let text = format!(
                "producer group ({group}) instance : clientId={},remoteIP={}, language={}, version={}, \
                 lastUpdateTimestamp={}\n",
                member.client_id,
                member.remote_ip,
                member.language,
                member.version,
                member.last_update_timestamp
            );
            out.either(&text, json!({"group": group, "producer": member}));
        }
    }
    Ok(())
}
