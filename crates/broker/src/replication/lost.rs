//! What a master has lost of its tables, and its slave gives back.
//!
//! A master that finds messages at its start and no file of a table under `config/` says so in its runtime information until a slave has
//! given back what it has. A slave whose log is the master's does so before it copies those, which would leave both without them. What the
//! master has made by itself meanwhile, on a send or a heartbeat, becomes what it was; what somebody has asked it for stays.
//!
//! A table that comes from its backup lacks the last changes. The master says of which version it is, and a slave whose own is newer gives
//! back what differs. Consumer offsets have no version that counts: the greater is right. What was deleted last is there again.
//!
//! A slave that was started without the file of a table itself does not give that back: another may have it. What it copies in one run of the master it can
//! give back in the next.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use disk::Disk;
use protocol::body::auth::{AclInfo, UserInfo};
use protocol::body::broker::{
    ConsumerOffsetTable, SubscriptionGroupConfig, SubscriptionGroupList, SubscriptionGroupTable,
};
use protocol::body::topic::{DataVersion, TopicConfig, TopicConfigList};
use protocol::code::request;
use protocol::header::auth::{AclRequestHeader, UserRequestHeader};
use protocol::header::broker::{GivenBackRequestHeader, RuntimeInfoRequestHeader};

use super::compare::{self, answer_to, body, list, runtime_info};
use super::deletions::MasterTopics;
use super::metadata::{DELAYS, GROUPS, Metadata, OFFSETS, TOPICS, USERS};
use crate::tables::{ConfigFile, by_pair};

/// In a master's runtime information: names of the tables whose files were not there at its start.
pub const LOST: &str = "lost_tables";

/// In a master's runtime information: tables that are the backups of their files, with their versions ([`OldTable`]).
pub const OLD: &str = "old_tables";

/// Offsets of queues that go in one request.
const OFFSETS_MAX: usize = 10_000;

/// A table that is the backup of its file.
pub(super) struct OldTable<'t> {
    pub(super) name: &'t str,
    /// Of the backup, where the table has one that tells which of two is newer.
    pub(super) version: Option<DataVersion>,
}

impl fmt::Display for OldTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match self.version {
            Some(version) => write!(f, ":{}:{}", version.counter, version.timestamp),
            None => Ok(()),
        }
    }
}

impl<'t> OldTable<'t> {
    fn read(text: &'t str) -> Option<Self> {
        let Some((name, version)) = text.split_once(':') else {
            return Some(Self {
                name: text,
                version: None,
            });
        };
        let (counter, timestamp) = version.split_once(':')?;
        let version = DataVersion {
            counter: counter.parse().ok()?,
            timestamp: timestamp.parse().ok()?,
            ..DataVersion::default()
        };
        Some(Self {
            name,
            version: Some(version),
        })
    }

    /// How a slave's table of that version stands to it.
    fn compared(&self, own: DataVersion) -> Ordering {
        let age = |version: DataVersion| (version.timestamp, version.counter);
        match self.version {
            Some(version) => age(own).cmp(&age(version)),
            None => Ordering::Greater,
        }
    }
}

/// What a slave gives back is no wish of anybody.
const GIVEN_BACK: GivenBackRequestHeader = GivenBackRequestHeader {
    given_back: Some(true),
};

/// Topics or groups that go in one request.
const LIST_MAX: usize = 1000;

impl<D: Disk> Metadata<D> {
    /// Has the master, whose log is the own one, make what it has lost of these tables, and what the backups lack that others of its
    /// tables are. `has_all`: the tables here are of before the master's start, also those that had no file at this one's. Says whether
    /// this slave had all of these, and is no older than any: otherwise another one may have what they lack.
    pub(super) async fn give_back(
        &self,
        master: &str,
        lost: Option<&str>,
        old: Option<&str>,
        has_all: bool,
    ) -> Result<bool, compare::Error> {
        let (mut given, mut is_whole) = (Vec::new(), true);
        for table in words(lost) {
            match has_all || self.had_file(table) {
                true => given.extend(self.give_table_back(master, table, false).await?),
                false => is_whole = false,
            }
        }
        for old in words(old).filter_map(OldTable::read) {
            let own = match old.name {
                TOPICS => self.tables.topics.version(),
                GROUPS => self.tables.groups.version(),
                USERS => match &self.users {
                    Some(users) => users.version(),
                    None => continue,
                },
                _ => DataVersion::default(),
            };
            match old.compared(own) {
                Ordering::Greater => given.extend(self.give_table_back(master, old.name, true).await?),
                Ordering::Equal => {}
                Ordering::Less => is_whole = false,
            }
        }
        if !given.is_empty() {
            tracing::warn!(
                "replication: master {master} started without files under its config/, or with their backups; this slave has given back {}",
                given.join(", ")
            );
        }
        Ok(is_whole)
    }

    /// Whether a table had a file at this slave's start. Of offsets and delays nothing is told by that: there may have been none.
    fn had_file(&self, table: &str) -> bool {
        match table {
            TOPICS => !self.tables.topics.saver().was_missing(),
            GROUPS => !self.tables.groups.saver().was_missing(),
            USERS => self
                .users
                .as_ref()
                .is_some_and(|users| !users.saver().was_missing()),
            _ => [self.tables.topics.saver(), self.tables.groups.saver()]
                .iter()
                .any(|saver| !saver.was_missing()),
        }
    }

    /// Gives back one table; `is_newer` than the master's, which is there. Says what was given; nothing of a table that is unknown here,
    /// or that these credentials may not change.
    async fn give_table_back(
        &self,
        master: &str,
        table: &str,
        is_newer: bool,
    ) -> Result<Option<String>, compare::Error> {
        let (count, things) = match table {
            TOPICS => (self.give_topics_back(master).await?, "topics"),
            GROUPS => (self.give_groups_back(master).await?, "groups"),
            OFFSETS => (self.give_offsets_back(master).await?, "offsets"),
            DELAYS => (self.give_delays_back(master).await?, "levels of delayed messages"),
            USERS => match self.give_users_back(master, is_newer).await {
                // Credentials that may not do that do not keep the rest from being copied.
                Err(e @ compare::Error::Answer { .. }) => {
                    tracing::warn!("replication: users and policies are not given back: {e}");
                    return Ok(None);
                }
                given => (given?, "users and policies"),
            },
            _ => return Ok(None),
        };
        Ok(Some(format!("{count} {things}")))
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

    /// Users that are there keep what is said of them, unless the own table `is_newer`.
    async fn give_users_back(&self, master: &str, is_newer: bool) -> Result<usize, compare::Error> {
        let Some(own) = &self.users else { return Ok(0) };
        let (client, own) = (&self.client, own.users());
        let users: Vec<UserInfo> = list(client, master, request::AUTH_LIST_USER).await?;
        let acls: Vec<AclInfo> = list(client, master, request::AUTH_LIST_ACL).await?;
        let mut given = 0;
        for user in own.list("") {
            let code = match users.iter().find(|theirs| theirs.username == user.username) {
                None => request::AUTH_CREATE_USER,
                Some(theirs) if is_newer && *theirs != user => request::AUTH_UPDATE_USER,
                Some(_) => continue,
            };
            let header = UserRequestHeader {
                username: user.username.as_deref().map(Cow::Borrowed),
            };
            let text = protocol::body::write(&user);
            answer_to(client, master, code, &header, text).await?;
            given += 1;
        }
        for acl in own.list_acls("", "") {
            let theirs = acls.iter().find(|theirs| theirs.subject == acl.subject);
            if theirs.is_some_and(|theirs| !is_newer || *theirs == acl) {
                continue;
            }
            let header = AclRequestHeader {
                subject: acl.subject.as_deref().map(Cow::Borrowed),
                ..AclRequestHeader::default()
            };
            if theirs.is_some() {
                // Entries are only added otherwise.
                let none = bytes::Bytes::new();
                answer_to(client, master, request::AUTH_DELETE_ACL, &header, none).await?;
            }
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

    /// With looks, as well: the master knows which of them it has lost.
    async fn give_offsets_back(&self, master: &str) -> Result<usize, compare::Error> {
        let theirs: ConsumerOffsetTable =
            body(&self.client, master, request::GET_ALL_CONSUMER_OFFSET).await?;
        let theirs: BTreeMap<_, _> = by_pair(theirs).collect();
        let header = RuntimeInfoRequestHeader {
            has_topics: Some(Cow::Borrowed("0 0")),
            slave_id: Some(self.broker_id),
            given_offsets: Some(true),
            ..RuntimeInfoRequestHeader::default()
        };
        let mut part = ConsumerOffsetTable::default();
        let (mut in_part, mut given) = (0, 0);
        for (key, mut queues) in by_pair(self.tables.offsets.file()) {
            if let Some(known) = theirs.get(&key) {
                queues.retain(|queue, own| known.get(queue).is_none_or(|known| *own > *known));
            }
            if queues.is_empty() {
                continue;
            }
            given += queues.len();
            in_part += queues.len();
            part.offset_table.insert(key, queues);
            if in_part >= OFFSETS_MAX {
                self.give_part_back(master, &header, &part).await?;
                (part, in_part) = (ConsumerOffsetTable::default(), 0);
            }
        }
        if in_part > 0 {
            self.give_part_back(master, &header, &part).await?;
        }
        Ok(given)
    }

    async fn give_part_back(
        &self,
        master: &str,
        header: &RuntimeInfoRequestHeader<'_>,
        part: &ConsumerOffsetTable,
    ) -> Result<(), compare::Error> {
        let text = protocol::body::write(part);
        let code = request::GET_BROKER_RUNTIME_INFO;
        answer_to(&self.client, master, code, header, text).await?;
        Ok(())
    }
}

/// The names in a list of the runtime information.
fn words(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.into_iter().flat_map(|list| list.split(' '))
}

/// Attributes as a request adds them.
fn added(attributes: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let added = attributes.into_iter();
    added.map(|(key, value)| (format!("+{key}"), value)).collect()
}
