//! Consumer groups as brokers keep them: updateSubGroup, deleteSubGroup, getConsumerConfig.

use super::topic::delete_topic;
use crate::failure::Failure;
use crate::job::Job;
use crate::net;
use crate::output::Out;
use crate::parse::{Given, bad_value};
use crate::table::{Command, Run, any_of, required, value};
use bytes::Bytes;
use message::name::{dlq_topic, retry_topic};
use protocol::body::broker::{SubscriptionGroupConfig, SubscriptionGroupTable};
use protocol::code::request;
use protocol::header::NoHeader;
use protocol::header::broker::DeleteSubscriptionGroupRequestHeader;
use serde_json::{Map, Value, json};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "updateSubGroup",
        alias: None,
        about: "makes a consumer group or changes it; what is not given has its default",
        options: &[
            any_of('b', "brokerAddr", "the broker that gets the group"),
            any_of('c', "clusterName", "the cluster whose masters get the group"),
            required('g', "groupName", "the group"),
            value('s', "consumeEnable", "whether it may consume [default: true]"),
            value(
                'm',
                "consumeFromMinEnable",
                "whether it may start at the beginning [default: false]",
            ),
            value(
                'd',
                "consumeBroadcastEnable",
                "whether it may broadcast [default: false]",
            ),
            value(
                'o',
                "consumeMessageOrderly",
                "whether its members consume in order, 5.x [default: false]",
            ),
            value(
                'p',
                "groupRetryPolicy",
                "how long a message waits for its next delivery, as JSON, 5.x: {\"type\":\"EXPONENTIAL\",…}",
            ),
            value('-', "attributes", "changes of attributes, 5.x: +name=value,-name").long_only(),
            value('q', "retryQueueNums", "queues of its retry topic [default: 1]"),
            value(
                'r',
                "retryMaxTimes",
                "deliveries before the dead letter queue [default: 16]",
            ),
            value('i', "brokerId", "the broker id to read from [default: 0]"),
            value(
                'w',
                "whichBrokerWhenConsumeSlowly",
                "the broker id to read from when far behind [default: 1]",
            ),
            value(
                'a',
                "notifyConsumerIdsChanged",
                "whether members are told of each other [default: true]",
            ),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(update(job, out))),
    },
    Command {
        name: "deleteSubGroup",
        alias: None,
        about: "deletes a consumer group; with -c also its retry and dead letter topics",
        options: &[
            any_of('b', "brokerAddr", "the broker that loses it"),
            any_of('c', "clusterName", "the cluster whose masters lose it"),
            required('g', "groupName", "the group"),
            value('r', "removeOffset", "true: its offsets go, too"),
        ],
        asks: Some("Delete consumer group {groupName} from {brokerAddr}{clusterName}?"),
        run: Run::Online(|job, out| Box::pin(delete(job, out))),
    },
    Command {
        name: "getConsumerConfig",
        alias: None,
        about: "shows what every broker knows of a consumer group",
        options: &[required('g', "groupName", "the group")],
        asks: None,
        run: Run::Online(|job, out| Box::pin(config(job, out))),
    },
];

async fn update(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let group = SubscriptionGroupConfig {
        group_name: given.required("groupName").to_owned(),
        consume_enable: given.switch("consumeEnable")?.unwrap_or(true),
        consume_from_min_enable: given.switch("consumeFromMinEnable")?.unwrap_or(false),
        consume_broadcast_enable: given.switch("consumeBroadcastEnable")?.unwrap_or(false),
        retry_queue_nums: given.number("retryQueueNums")?.unwrap_or(1),
        retry_max_times: given.number("retryMaxTimes")?.unwrap_or(16),
        broker_id: given.number("brokerId")?.unwrap_or(0),
        which_broker_when_consume_slowly: given.number("whichBrokerWhenConsumeSlowly")?.unwrap_or(1),
        notify_consumer_ids_changed_enable: given.switch("notifyConsumerIdsChanged")?.unwrap_or(true),
        other: of_5(given)?,
    };
    let body = protocol::body::write(&group);
    let masters = job.masters().await?;
    let code = request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP;
    for address in job.net.tell(out, masters, code, NoHeader, body).await? {
        out.either(
            &format!("create subscription group to {address} success.\n"),
            json!({"brokerAddr": address, "group": &group}),
        );
    }
    out.text(&shown(&group));
    Ok(())
}

/// Settings that 4.9 does not know.
fn of_5(given: &Given) -> Result<Map<String, Value>, Failure> {
    let mut other = Map::new();
    if let Some(orderly) = given.switch("consumeMessageOrderly")? {
        other.insert("consumeMessageOrderly".to_owned(), orderly.into());
    }
    if let Some(text) = given.text("groupRetryPolicy") {
        let policy: Value = serde_json::from_str(text)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| bad_value("groupRetryPolicy", text, "an object in JSON"))?;
        other.insert("groupRetryPolicy".to_owned(), policy);
    }
    if let Some(text) = given.text("attributes") {
        let mut changes = Map::new();
        for change in text.split(',').map(str::trim) {
            let (name, value) = change.split_once('=').unwrap_or((change, ""));
            let is_known = name.starts_with('-') || name.starts_with('+') && change.contains('=');
            if !is_known {
                return Err(bad_value("attributes", text, "like +name=value,-name"));
            }
            changes.insert(name.to_owned(), value.into());
        }
        other.insert("attributes".to_owned(), changes.into());
    }
    Ok(other)
}

/// The settings of a group in the order of Java's class.
fn fields(group: &SubscriptionGroupConfig) -> [(&'static str, String); 9] {
    [
        ("groupName", group.group_name.clone()),
        ("consumeEnable", group.consume_enable.to_string()),
        ("consumeFromMinEnable", group.consume_from_min_enable.to_string()),
        (
            "consumeBroadcastEnable",
            group.consume_broadcast_enable.to_string(),
        ),
        ("retryQueueNums", group.retry_queue_nums.to_string()),
        ("retryMaxTimes", group.retry_max_times.to_string()),
        ("brokerId", group.broker_id.to_string()),
        (
            "whichBrokerWhenConsumeSlowly",
            group.which_broker_when_consume_slowly.to_string(),
        ),
        (
            "notifyConsumerIdsChangedEnable",
            group.notify_consumer_ids_changed_enable.to_string(),
        ),
    ]
}

/// A group as Java shows it.
fn shown(group: &SubscriptionGroupConfig) -> String {
    let fields = fields(group).map(|(name, value)| format!("{name}={value}"));
    format!("SubscriptionGroupConfig [{}]", fields.join(", "))
}

async fn delete(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let group = job.given.required("groupName");
    let remove = job.given.switch("removeOffset")?.unwrap_or_default();
    let masters = job.masters().await?;
    let header = DeleteSubscriptionGroupRequestHeader {
        group_name: group.to_owned().into(),
        // Either spelling, for brokers of 4.9 and of 5.x.
        clean_offset: Some(remove),
        remove_offset: Some(remove),
    };
    let cluster = job
        .given
        .text("clusterName")
        .filter(|_| !job.given.has("brokerAddr"));
    let within = cluster
        .map(|cluster| format!(" in cluster [{cluster}]"))
        .unwrap_or_default();
    let code = request::DELETE_SUBSCRIPTIONGROUP;
    for address in job.net.tell(out, masters, code, header, Bytes::new()).await? {
        out.either(
            &format!("delete subscription group [{group}] from broker [{address}]{within} success.\n"),
            json!({"brokerAddr": address, "groupName": group}),
        );
    }
    let Some(cluster) = cluster else {
        return Ok(());
    };
    for topic in [retry_topic(group), dlq_topic(group)] {
        delete_topic(&job.net, out, &topic, cluster).await?;
    }
    Ok(())
}

async fn config(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let name = job.given.required("groupName");
    let info = job.net.clusters().await?;
    let groups = info.broker_addr_table.values();
    let places: Vec<_> = groups
        .filter_map(|group| Some((net::one_of(group)?.clone(), group)))
        .collect();
    let addresses = places.iter().map(|(address, _)| address.clone()).collect();
    let code = request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG;
    let told: Vec<(String, SubscriptionGroupTable)> =
        job.net.read_each(out, addresses, code, NoHeader).await?;
    for (address, table) in told {
        let Some(config) = table.subscription_group_table.get(name) else {
            continue;
        };
        let place = places.iter().find(|(known, _)| *known == address);
        let Some((_, broker)) = place else {
            continue;
        };
        let (cluster, broker) = (&broker.cluster, &broker.broker_name);
        let edge = "=".repeat(29);
        out.line(&format!("{edge}{cluster}:{broker}{edge}"));
        for (field, value) in fields(config) {
            out.line(&format!("{field:<40}=  {value}"));
        }
        out.json(&json!({"clusterName": cluster, "brokerName": broker, "config": config}));
    }
    Ok(())
}
