//! Making, changing and deleting topics.

use super::{outcome, refused};
use crate::app::App;
use crate::asked::{Asked, Refusal};
use crate::reply::Reply;
use admin::ask::{drop_topic, forget_topic, keep_topic};
use message::name::{check_any_topic, is_system_topic};
use protocol::body::TopicConfig;

/// A number of a form.
fn number(asked: &Asked, name: &str, range: std::ops::RangeInclusive<i32>) -> Result<i32, Refusal> {
    let text = asked.given(name)?;
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (least, most) = range.into_inner();
        Refusal::new(
            400,
            format!("`{name}` is a number from {least} to {most}, not `{text}`"),
        )
    })
}

/// A topic that people may touch.
fn named(asked: &Asked) -> Result<&str, Refusal> {
    let name = asked.given("name")?;
    check_any_topic(name).map_err(|why| Refusal::new(400, why.to_string()))?;
    match is_system_topic(name) {
        true => Err(Refusal::new(400, format!("{name} is a topic of the system"))),
        false => Ok(name),
    }
}

/// Attributes of 5.x as brokers read them.
fn attributes(asked: &Asked) -> Result<Option<String>, Refusal> {
    let Some(text) = asked.form.get("attributes") else {
        return Ok(None);
    };
    let is_known = |change: &str| match change.trim() {
        change if change.starts_with('+') => change.contains('='),
        change => change.starts_with('-') && change.len() > 1,
    };
    match text.split(',').all(is_known) {
        true => Ok(Some(text.to_owned())),
        false => Err(Refusal::new(
            400,
            format!("`attributes` is like +name=value,-name, not `{text}`"),
        )),
    }
}

pub(crate) async fn save(app: &App, asked: &Asked) -> Result<Reply, Refusal> {
    let (name, cluster) = (named(asked)?, asked.given("cluster")?);
    let topic = TopicConfig {
        topic_name: name.to_owned(),
        read_queue_nums: number(asked, "read", 1..=65_536)?,
        write_queue_nums: number(asked, "write", 1..=65_536)?,
        perm: number(asked, "perm", 0..=7)?,
        order: asked.form.get("order") == Some("true"),
        ..TopicConfig::default()
    };
    let attributes = attributes(asked)?;
    let net = &app.cluster.net;
    let what = format!(
        "topic {name} in cluster {cluster}: {} read queues, {} write queues, permission {}, ordered {}{}",
        topic.read_queue_nums,
        topic.write_queue_nums,
        topic.perm,
        topic.order,
        attributes
            .as_deref()
            .map(|text| format!(", {text}"))
            .unwrap_or_default()
    );
    let said = match net.masters(cluster).await {
        Ok(masters) => outcome(keep_topic(net, masters, &topic, attributes).await),
        Err(why) => refused(&why),
    };
    app.changed(asked, what, said).await
}

pub(crate) async fn delete(app: &App, asked: &Asked) -> Result<Reply, Refusal> {
    let (name, cluster) = (named(asked)?, asked.given("cluster")?);
    if asked.given("again")? != name {
        return Err(Refusal::new(
            400,
            format!("nothing is deleted: the name was not written once more as {name}"),
        ));
    }
    let net = &app.cluster.net;
    let what = format!("delete topic {name} from cluster {cluster}");
    let mut said = match drop_topic(net, name, cluster).await {
        Ok(told) => outcome(told),
        Err(why) => refused(&why),
    };
    if said.iter().all(|(_, why)| why.is_none()) {
        let why = forget_topic(net, name, cluster).await.err();
        said.push(("name servers".to_owned(), why.map(|why| why.to_string())));
    }
    app.changed(asked, what, said).await
}
