//! Many topics or groups at once, from a file: updateTopicList, updateSubGroupList of 5.x.

use crate::failure::Failure;
use crate::job::Job;
use crate::output::Out;
use crate::parse::bad_value;
use crate::table::{Command, Run, one_of, required};
use protocol::body::broker::{SubscriptionGroupConfig, SubscriptionGroupList};
use protocol::body::{TopicConfig, TopicConfigList};
use protocol::code::request;
use protocol::header::NoHeader;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "updateTopicList",
        alias: None,
        about: "makes topics or changes them, as a file says",
        options: &[
            one_of('b', "brokerAddr", "the broker that gets them"),
            one_of('c', "clusterName", "the cluster whose masters get them"),
            required(
                'f',
                "filename",
                "a list of topics in JSON, as exportMetadata writes each",
            ),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(topics(job, out))),
    },
    Command {
        name: "updateSubGroupList",
        alias: None,
        about: "makes consumer groups or changes them, as a file says",
        options: &[
            one_of('b', "brokerAddr", "the broker that gets them"),
            one_of('c', "clusterName", "the cluster whose masters get them"),
            required(
                'f',
                "filename",
                "a list of groups in JSON, as exportMetadata writes each",
            ),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(groups(job, out))),
    },
];

/// The list in the file.
///
/// # Errors
/// There is none, or it is empty.
fn read<T: DeserializeOwned>(job: &Job) -> Result<Vec<T>, Failure> {
    let path = job.given.required("filename");
    let bytes = std::fs::read(path).map_err(|cause| Failure::File {
        path: path.to_owned(),
        cause,
    })?;
    let list: Vec<T> = protocol::body::read(&bytes)
        .map_err(|e| Failure::wrong(format!("{path} is no list of them in JSON: {e}")))?;
    match list.is_empty() {
        true => Err(bad_value("filename", path, "a file with one of them at least")),
        false => Ok(list),
    }
}

async fn topics(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let list: Vec<TopicConfig> = read(job)?;
    if let Some(topic) = list.iter().find(|topic| topic.topic_name.is_empty()) {
        return Err(Failure::wrong(format!(
            "a topic has no topicName: {}",
            json!(topic)
        )));
    }
    let body = TopicConfigList {
        topic_config_list: list.into(),
    };
    let code = request::UPDATE_AND_CREATE_TOPIC_LIST;
    put(job, out, code, &body, "topic config").await
}

async fn groups(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let list: Vec<SubscriptionGroupConfig> = read(job)?;
    if let Some(group) = list.iter().find(|group| group.group_name.is_empty()) {
        return Err(Failure::wrong(format!(
            "a group has no groupName: {}",
            json!(group)
        )));
    }
    let body = SubscriptionGroupList {
        group_config_list: list.into(),
    };
    let code = request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST;
    // As Java's: the words differ.
    let what = match job.given.has("brokerAddr") {
        true => "group config",
        false => "subscription group config",
    };
    put(job, out, code, &body, what).await
}

async fn put(job: &Job, out: &mut Out, code: i32, body: &impl Serialize, what: &str) -> Result<(), Failure> {
    let body = protocol::body::write(body);
    let masters = job.masters().await?;
    for address in job.net.tell(out, masters, code, NoHeader, body).await? {
        out.either(
            &format!("submit batch of {what} to {address} success, please check the result later.\n"),
            json!({"brokerAddr": address}),
        );
    }
    Ok(())
}
