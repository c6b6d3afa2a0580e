//! What a master has lost of its tables, and its slave gives back.
//!
//! A master that finds messages at its start and no file of a table under `config/` says so in its runtime information until a slave has
//! given back what it has. A slave whose log is the master's does so before it copies those, which would leave both without them. What the
//! master has made by itself meanwhile, on a send or a heartbeat, becomes what it was; what somebody has asked it for stays.
//!
//! A slave that was started without files itself gives nothing back: another may have them. What it copies in one run of the master it can
//! give back in the next.

use std::borrow::Cow;
use std::collections::BTreeMap;

use disk::Disk;
use protocol::body::auth::{AclInfo, UserInfo};
use protocol::body::broker::{
    ConsumerOffsetTable, SubscriptionGroupConfig, SubscriptionGroupList, SubscriptionGroupTable,
};
use protocol::body::topic::{TopicConfig, TopicConfigList};
use protocol::code::request;
use protocol::header::auth::{AclRequestHeader, UserRequestHeader};
use protocol::header::broker::{
    GivenBackRequestHeader, RuntimeInfoRequestHeader, UpdateConsumerOffsetRequestHeader,
};

use super::compare::{self, answer, answer_to, body, list, runtime_info};
use super::deletions::MasterTopics;
use super::metadata::{DELAYS, GROUPS, Metadata, OFFSETS, TOPICS, USERS};

/// In a master's runtime information: names of the tables whose files were not there at its start.
pub const LOST: &str = "lost_tables";

/// What a slave gives back is no wish of anybody.
const GIVEN_BACK: GivenBackRequestHeader = GivenBackRequestHeader {
    given_back: Some(true),
};

/// Topics or groups that go in one request.
const LIST_MAX: usize = 1000;

impl<D: Disk> Metadata<D> {
    /// Has the master, whose log is the own one, make what it has lost of these tables.
    pub(super) async fn give_back(&self, master: &str, lost: &str) -> Result<(), compare::Error> {
        let mut given = Vec::new();
        for table in lost.split(' ') {
            let (count, things) = match table {
                TOPICS => (self.give_topics_back(master).await?, "topics"),
                GROUPS => (self.give_groups_back(master).await?, "groups"),
                OFFSETS => (self.give_offsets_back(master).await?, "offsets"),
                DELAYS => (self.give_delays_back(master).await?, "levels of delayed messages"),
                USERS => match self.give_users_back(master).await {
                    // Credentials that may not do that do not keep the rest from being copied.
                    Err(e @ compare::Error::Answer { .. }) => {
                        tracing::warn!("replication: users and policies are not given back: {e}");
                        continue;
                    }
                    given => (given?, "users and policies"),
                },
                _ => continue,
            };
            given.push(format!("{count} {things}"));
        }
        tracing::warn!(
            "replication: master {master} started without files under its config/; this slave has given back {}",
            given.join(", ")
        );
        Ok(())
    }

    async fn give_topics_back(&self, master: &str) -> Result<usize, compare::Error> {
        let theirs = MasterTopics::of(&self.client, master, None).await?;
        let deleted = theirs.deleted_topics.unwrap_or_default();
        let (_, own) = self.tables.topics.snapshot();
        let lacks = |config: &TopicConfig| {
            let topic = config.topic_name.as_str();
            // One that was deleted may have been made anew since.
            theirs.topic_config_table.get(topic) != Some(config)
                && !message::name::is_system_topic(topic)
                && !self.tables.topics.is_system(topic)
                && (!deleted.contains_key(topic) || !self.store.queue_ids(topic).is_empty())
        };
        let lacking = own.iter().filter(|topic| lacks(topic));
        let lacking: Vec<TopicConfig> = lacking
            .map(|topic| {
                let mut topic = TopicConfig::clone(topic);
                topic.attributes = added(topic.attributes);
                topic
            })
            .collect();
        for part in lacking.chunks(LIST_MAX) {
            let list = protocol::body::write(&TopicConfigList {
                topic_config_list: Cow::Borrowed(part),
            });
            let code = request::UPDATE_AND_CREATE_TOPIC_LIST;
            answer_to(&self.client, master, code, &GIVEN_BACK, list).await?;
        }
        Ok(lacking.len())
    }

    async fn give_groups_back(&self, master: &str) -> Result<usize, compare::Error> {
        let code = request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG;
        let theirs: SubscriptionGroupTable = body(&self.client, master, code).await?;
        let own = self.tables.groups.file().subscription_group_table;
        let theirs = theirs.subscription_group_table;
        let lacking = own
            .into_iter()
            .filter(|(name, group)| theirs.get(name) != Some(group) && !message::name::is_system_group(name));
        let lacking: Vec<SubscriptionGroupConfig> = lacking.map(|(_, group)| group).collect();
        for part in lacking.chunks(LIST_MAX) {
            let list = protocol::body::write(&SubscriptionGroupList {
                group_config_list: Cow::Borrowed(part),
            });
            let code = request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST;
            answer_to(&self.client, master, code, &GIVEN_BACK, list).await?;
        }
        Ok(lacking.len())
    }

    /// Users that are there, since the master's settings ask for them, keep what these say.
    async fn give_users_back(&self, master: &str) -> Result<usize, compare::Error> {
        let Some(own) = &self.users else { return Ok(0) };
        let (client, own) = (&self.client, own.users());
        let users: Vec<UserInfo> = list(client, master, request::AUTH_LIST_USER).await?;
        let acls: Vec<AclInfo> = list(client, master, request::AUTH_LIST_ACL).await?;
        let mut given = 0;
        for user in own.list("") {
            if users.iter().any(|theirs| theirs.username == user.username) {
                continue;
            }
            let header = UserRequestHeader {
                username: user.username.as_deref().map(Cow::Borrowed),
            };
            let text = protocol::body::write(&user);
            answer_to(client, master, request::AUTH_CREATE_USER, &header, text).await?;
            given += 1;
        }
        for acl in own.list_acls("", "") {
            if acls.iter().any(|theirs| theirs.subject == acl.subject) {
                continue;
            }
            let header = AclRequestHeader {
                subject: acl.subject.as_deref().map(Cow::Borrowed),
                ..AclRequestHeader::default()
            };
            let text = protocol::body::write(&acl);
            answer_to(client, master, request::AUTH_CREATE_ACL, &header, text).await?;
            given += 1;
        }
        Ok(given)
    }

    /// With a look, which the master takes from slaves alone.
    async fn give_delays_back(&self, master: &str) -> Result<usize, compare::Error> {
        let own = self.delays.to_give_back(self.link.state().cuts);
        let levels = own.iter().map(|(level, offset)| format!("{level}:{offset}"));
        let header = RuntimeInfoRequestHeader {
            has_topics: Some(Cow::Borrowed("0 0")),
            slave_id: Some(self.broker_id),
            given_delays: Some(levels.collect::<Vec<_>>().join(",").into()),
            ..RuntimeInfoRequestHeader::default()
        };
        runtime_info(&self.client, master, &header).await?;
        Ok(own.len())
    }

    async fn give_offsets_back(&self, master: &str) -> Result<usize, compare::Error> {
        let theirs: ConsumerOffsetTable =
            body(&self.client, master, request::GET_ALL_CONSUMER_OFFSET).await?;
        let theirs = queues(theirs);
        let mut given = 0;
        for (key, queues) in queues(self.tables.offsets.file()) {
            let Some((topic, group)) = key.split_once('@') else {
                continue;
            };
            let known = theirs.get(&key);
            for (queue, offset) in queues {
                if known.is_some_and(|known| known.contains_key(&queue)) {
                    continue;
                }
                let header = UpdateConsumerOffsetRequestHeader {
                    consumer_group: Cow::Borrowed(group),
                    topic: Cow::Borrowed(topic),
                    queue_id: queue,
                    commit_offset: offset,
                };
                answer(&self.client, master, request::UPDATE_CONSUMER_OFFSET, &header).await?;
                given += 1;
            }
        }
        Ok(given)
    }
}

/// Attributes as a request adds them.
fn added(attributes: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let added = attributes.into_iter();
    added.map(|(key, value)| (format!("+{key}"), value)).collect()
}

/// All offsets, those of light queues as well.
fn queues(table: ConsumerOffsetTable) -> BTreeMap<String, BTreeMap<i32, i64>> {
    let mut all = table.offset_table;
    let light = table.lmq_offset_table.unwrap_or_default();
    all.extend(
        light
            .into_iter()
            .map(|(key, offset)| (key, BTreeMap::from([(0, offset)]))),
    );
    all
}
