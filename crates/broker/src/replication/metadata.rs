//! What a slave copies besides the log: topics, groups, consumer offsets, how far delayed messages are delivered; and of a master of
//! 5.x what this broker keeps a file for, who consumes by POP and how many timed messages wait.
//!
//! Java asks for all of it each ten seconds (RocketMQ 4.9.8, SlaveSynchronize). A master of ours tells in its runtime information when
//! a table has changed, and the slave, which looks there each second to know how far it is behind, asks for that table at once. It says
//! with each look what it has ([`super::TableCopies`]), and the master holds the look until topics or groups change.
//!
//! With the topics the master tells which were deleted, and where in the log ([`super::deletions`]).
//!
//! Offsets are not put in force before the log they belong to is here: a slave that becomes the master must have what its consumers
//! have read, and what was delivered late.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use disk::{Clock, Disk};
use protocol::body::auth::{AclInfo, UserInfo};
use protocol::body::broker::{ConsumerOffsetTable, SubscriptionGroupTable};
use protocol::code::{request, response};
use protocol::header::broker::{RuntimeInfoRequestHeader, UpdateConsumerOffsetRequestHeader};
use remoting::Client;
use store::{PhysicalOffset, Store};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::compare::{self, body, list, runtime_info};
use super::deletions::{MasterTopics, TopicDeletions};
use super::{LOST, Link, OLD};
use crate::access::UserTable;
use crate::commitlog::ArrivalListener;
use crate::delay::{DelayOffsetContent, DelayOffsets};
use crate::registration::MasterAddress;
use crate::tables::dormant::DormantFiles;
use crate::tables::{ConfigFile, OffsetKey, Tables, TopicFile, TopicTable};

/// How often the master is asked how far it is, and what has changed.
const LOOK_EACH: Duration = Duration::from_secs(1);
/// How often it is looked while the master stops, and waits for this slave.
const HURRIED: Duration = Duration::from_millis(20);
/// How often everything is asked for: Java's cadence.
const ALL_EACH: Duration = Duration::from_secs(10);
/// How often at most a message of an unknown topic has the master asked: one that was deleted may fill much of the log.
const UNKNOWN_EACH: Duration = Duration::from_millis(100);
/// Of the time, no more than this part is spent on one table.
const SHARE: u32 = 20;
/// A table that takes no longer may take half of the time: somebody waits for what is new in it.
const CHEAP: Duration = Duration::from_millis(50);
/// How long a table may take to be on disk here, ms.
const SAVED_WITHIN_MS: i64 = 2_000;
/// When a master is asked again that refuses its users.
const REFUSED_AGAIN: Duration = Duration::from_secs(10);

/// Tables of offsets that may name a topic whose deletion is known: those that waited for the log, and the one that was asked for while
/// the master was deleting it.
const NAMED_BY: usize = 3;

/// Names of the tables in a master's runtime information, each with the number of its last change.
pub const TOPICS: &str = "change_topics";
/// Groups.
pub const GROUPS: &str = "change_groups";
/// Consumer offsets.
pub const OFFSETS: &str = "change_offsets";
/// Delayed messages.
pub const DELAYS: &str = "change_delays";

/// Who consumes by POP.
pub const REQUEST_MODES: &str = "change_request_modes";
/// How many timed messages wait.
pub const TIMER_METRICS: &str = "change_timer_metrics";

/// In a master's runtime information: it stops, and gives its slaves the rest.
pub const STOPS: &str = "stops";

/// Users and policies. A master that does not tell of them, Java's for one, is not asked.
pub const USERS: &str = "change_users";

const ALL: [&str; 7] = [
    TOPICS,
    GROUPS,
    OFFSETS,
    DELAYS,
    REQUEST_MODES,
    TIMER_METRICS,
    USERS,
];
/// What a master of 4.9 does not know.
const OF_5: [&str; 2] = [REQUEST_MODES, TIMER_METRICS];

/// Hears of a message of a topic that the slave does not know.
pub struct UnknownTopic {
    topics: Arc<TopicTable>,
    found: Notify,
}

impl UnknownTopic {
    /// Looks into this table.
    pub fn new(topics: Arc<TopicTable>) -> Self {
        Self {
            topics,
            found: Notify::new(),
        }
    }
}

impl ArrivalListener for UnknownTopic {
    fn arrived(&self, arrival: &store::Arrival<'_>) {
        if !message::name::is_system_topic(arrival.topic) && self.topics.get(arrival.topic).is_none() {
            self.found.notify_one();
        }
    }

    fn wake(&self) {}
}

/// Copies the master's tables.
pub struct Metadata<D: Disk> {
    /// The own tables.
    pub tables: Tables,
    /// How far delayed messages are delivered.
    pub delays: Arc<DelayOffsets>,
    /// Files of features that are not here.
    pub dormant: Arc<DormantFiles>,
    /// Users and policies, where this broker has them.
    pub users: Option<Arc<UserTable>>,
    /// What the master has deleted.
    pub deletions: Arc<TopicDeletions<D>>,
    /// The copy of the log.
    pub store: Arc<Store<D>>,
    /// This slave's brokerId.
    pub broker_id: i64,
    /// How it stands.
    pub link: Arc<Link>,
    /// Where the master is.
    pub master: watch::Receiver<MasterAddress>,
    /// Wakes at once.
    pub unknown: Arc<UnknownTopic>,
    /// To the master.
    pub client: Client,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Offsets that wait for the log.
enum Waiting {
    Offsets(ConsumerOffsetTable),
    Delays(DelayOffsetContent),
}

/// What was asked of one master.
#[derive(Default)]
struct Asked {
    master: String,
    /// The number of a table's change that was asked for.
    changes: HashMap<&'static str, String>,
    /// Not again before.
    again: HashMap<&'static str, Instant>,
    /// How long it took the last time.
    took: HashMap<&'static str, Duration>,
    all: Option<Instant>,
    /// The connection over which the log came when it was asked.
    since_ms: Option<i64>,
    /// It was asked where queues end since, when the log had begun.
    has_ends: bool,
    /// Each with the end of the master's log after it was given, once that is known.
    waiting: Vec<(Waiting, Option<i64>)>,
    /// Topics that were deleted, and how many more tables of offsets may still name them.
    gone: BTreeMap<String, usize>,
    /// When it was started, ms since 1970.
    run: i64,
    /// The run in which it was given back what this slave has of what it had lost.
    looked_through: i64,
    /// The same, where no other slave may have more.
    given_back: i64,
    /// The run whose topics and groups are copied.
    copied_run: i64,
    /// What consumers have committed here and the master is to hear of.
    for_master: Vec<(OffsetKey, i64)>,
    /// It knows what this slave has, and may hold the next look.
    may_wait: bool,
}

impl<D: Disk> Metadata<D> {
    /// The task's body: ends when the broker stops.
    pub async fn run(&self, stop: CancellationToken) {
        let mut asked = Asked::default();
        let mut said = String::new();
        let mut unknown_again = Instant::now();
        while !stop.is_cancelled() {
            let mut next = Instant::now() + LOOK_EACH;
            let master = self.master.borrow().broker.clone();
            if let Some(master) = master {
                if asked.master != master {
                    asked = Asked {
                        master,
                        copied_run: asked.copied_run,
                        ..Asked::default()
                    };
                }
                let looked = tokio::select! {
                    () = stop.cancelled() => return,
                    looked = self.look(&mut asked) => looked,
                };
                match looked {
                    Ok(due) => {
                        said.clear();
                        next = due;
                    }
                    Err(e) => {
                        let text = e.to_string();
                        if text != said {
                            tracing::warn!(
                                "replication: the tables of master {} are not copied: {e}",
                                asked.master
                            );
                            said = text;
                        }
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                // The master may have held the look for as long.
                () = tokio::time::sleep_until(next) => {}
                // What this slave has is to be known before anybody waits for it.
                () = self.link.made() => {}
                () = self.unknown.found.notified() => {
                    tokio::time::sleep_until(unknown_again).await;
                    unknown_again = Instant::now() + UNKNOWN_EACH;
                    asked.changes.remove(TOPICS);
                }
            }
        }
    }

    /// Asks what has changed, and for that. Says when the next look is due.
    async fn look(&self, asked: &mut Asked) -> Result<Instant, compare::Error> {
        let begun = Instant::now();
        let header = RuntimeInfoRequestHeader {
            slave_id: Some(self.broker_id),
            ..asked.header()
        };
        let info = runtime_info(&self.client, &asked.master, &header).await?.table;
        let end = info
            .get("commitLogMaxOffset")
            .and_then(|end| end.parse::<i64>().ok());
        let run = info.get("bootTimestamp").and_then(|run| run.parse().ok());
        asked.run = run.unwrap_or(asked.run);
        let since_ms = self.link.state().since_ms;
        if let Some(end) = end {
            let now = self.clock.now_ms();
            let left = info.get("remainHowManyDataToFlush");
            let left = left.and_then(|left| left.strip_suffix(" B")?.parse::<i64>().ok());
            self.link.note(|link| {
                link.master_end = Some((end, now));
                link.master_flushed = left.map_or(0, |left| end - left);
            });
        }
        if since_ms.is_none() {
            // Whose log is not copied, its tables are not: it may have lost both, or be another's master.
            asked.since_ms = None;
            asked.may_wait = false;
            return Ok(begun + LOOK_EACH);
        }
        if std::mem::replace(&mut asked.since_ms, since_ms) != since_ms {
            // The log may have been cut before where a topic was deleted; and what waits for the log may be of one that went since.
            for table in [TOPICS, OFFSETS, DELAYS] {
                asked.changes.remove(table);
            }
            asked.waiting.clear();
            asked.has_ends = false;
            self.cut_offsets().await;
        }
        if !asked.has_ends && self.log_begin().is_some() {
            asked.changes.remove(TOPICS);
        }
        if let Some(end) = end {
            self.put_in_force(asked, end);
            self.hand_up(asked).await;
        }
        if self.tables.offsets.has_more_for_master() {
            asked.changes.remove(OFFSETS);
        }
        let (lost, old) = (info.get(LOST), info.get(OLD));
        let is_lost = lost.is_some() || old.is_some();
        if is_lost && asked.looked_through != asked.run {
            let (lost, old) = (lost.map(String::as_str), old.map(String::as_str));
            // What an earlier run had is copied, whatever files there were.
            let has_all = asked.copied_run != 0 && asked.copied_run != asked.run;
            let is_whole = self.give_back(&asked.master, lost, old, has_all).await?;
            asked.looked_through = asked.run;
            if is_whole {
                asked.given_back = asked.run;
            }
        }
        let now = Instant::now();
        let is_time = asked.all.is_none_or(|last| now.duration_since(last) >= ALL_EACH);
        if is_time {
            asked.all = Some(now);
        }
        let (mut failed, mut is_news, mut next) = (None, false, begun + LOOK_EACH);
        for table in ALL {
            let change = info.get(table);
            let is_new = match change {
                _ if table == USERS && self.users.is_none() => false,
                Some(change) => asked.changes.get(table) != Some(change),
                None if table == USERS => false,
                // Java's master does not say.
                None => is_time || (table == TOPICS && !asked.changes.contains_key(TOPICS)),
            };
            if !is_new {
                continue;
            }
            if let Some(again) = asked.again.get(table).filter(|again| now < **again) {
                next = next.min(*again);
                continue;
            }
            let started = Instant::now();
            let copied = self.copy(table, asked).await;
            let took = started.elapsed();
            let kept = match copied {
                Ok(()) => self.kept(table).await,
                failed => failed,
            };
            match kept {
                Ok(()) => {
                    asked.changes.insert(table, change.cloned().unwrap_or_default());
                    is_news |= change.is_some() && [TOPICS, GROUPS].contains(&table);
                }
                Err(e) if OF_5.contains(&table) && is_not_there(&e) => {}
                // One that the master does not have keeps no other from being copied.
                Err(e) => failed = Some(e),
            }
            let rest = match () {
                () if table == USERS && failed.is_some() => REFUSED_AGAIN,
                () => asked.rest(table, took),
            };
            asked.again.insert(table, Instant::now() + rest);
        }
        if [TOPICS, GROUPS]
            .iter()
            .all(|table| asked.changes.contains_key(table))
        {
            asked.copied_run = asked.run;
        }
        asked.may_wait = !is_news;
        match failed {
            Some(e) => Err(e),
            // The master is told at once.
            None if is_news => Ok(begun),
            None if info.contains_key(STOPS) => Ok(begun + HURRIED),
            // One that the master may hold.
            None if header.wait_ms.is_none()
                && asked.header().wait_ms.is_some()
                && info.contains_key(TOPICS) =>
            {
                Ok(begun)
            }
            None => Ok(next),
        }
    }

    /// Waits until topics or groups are on disk here: the master is told that this slave has them.
    async fn kept(&self, table: &'static str) -> Result<(), compare::Error> {
        let saver = match table {
            TOPICS => self.tables.topics.saver(),
            GROUPS => self.tables.groups.saver(),
            _ => return Ok(()),
        };
        let (then, saved) = tokio::sync::oneshot::channel();
        let now = self.clock.now_ms();
        let then = Box::new(move |saved| {
            // Nobody waits where the broker stops.
            let _gone = then.send(saved);
        });
        saver.when_saved(saver.latest(), now, now + SAVED_WITHIN_MS, then);
        match saved.await {
            Ok(saved) => Ok(saved?),
            Err(_) => Ok(()),
        }
    }

    /// The log may have been cut before the connection, and with it what consumers have read here.
    async fn cut_offsets(&self) {
        let (store, offsets) = (Arc::clone(&self.store), Arc::clone(&self.tables.offsets));
        let cutting = tokio::task::spawn_blocking(move || {
            offsets.cut_to(|topic, queue| store.queue_bounds(topic, queue).1.0)
        });
        match cutting.await {
            Ok(0) => {}
            Ok(cut) => tracing::warn!(
                "replication: {cut} offsets lay behind the ends of their queues and are set to these: what was read there is no more"
            ),
            Err(e) => {
                tracing::error!("replication: offsets behind the ends of queues are not looked for: {e}")
            }
        }
    }

    /// Where the log begins, if anything is in it.
    fn log_begin(&self) -> Option<PhysicalOffset> {
        let begin = self.store.min_physical();
        (self.store.max_physical() > begin).then_some(begin)
    }

    async fn copy(&self, table: &'static str, asked: &mut Asked) -> Result<(), compare::Error> {
        let (client, master) = (&self.client, &asked.master);
        let now = self.clock.now_ms();
        match table {
            TOPICS => {
                let log_begin = self.log_begin();
                let topics = MasterTopics::of(client, master, log_begin).await?;
                // Without the log, or with another one by now, the positions may be none of this log's.
                if self.link.state().since_ms == asked.since_ms {
                    let deleted = self.deletions.follow(&topics).await?;
                    asked.forget_offsets(&deleted);
                    let deleted = deleted.into_iter();
                    asked.gone.extend(deleted.map(|topic| (topic, NAMED_BY)));
                    self.deletions.keep_ends(&topics).await?;
                    asked.has_ends = log_begin.is_some();
                }
                let file = TopicFile {
                    data_version: topics.data_version,
                    topic_config_table: topics.topic_config_table,
                };
                self.tables.topics.replace(file, now);
            }
            GROUPS => {
                let code = request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG;
                let file: SubscriptionGroupTable = body(client, master, code).await?;
                self.tables.groups.replace(file);
            }
            OFFSETS => {
                let offsets = body(client, master, request::GET_ALL_CONSUMER_OFFSET).await?;
                asked.wait(Waiting::Offsets(offsets));
            }
            REQUEST_MODES => {
                let modes = body(client, master, request::GET_ALL_MESSAGE_REQUEST_MODE).await?;
                self.dormant.replace_request_modes(modes);
            }
            TIMER_METRICS => {
                let metrics = body(client, master, request::GET_TIMER_METRICS).await?;
                self.dormant.replace_timer_metrics(metrics);
            }
            USERS => self.copy_users(master).await?,
            _ => {
                let delays = body(client, master, request::GET_ALL_DELAY_OFFSET).await?;
                asked.wait(Waiting::Delays(delays));
            }
        }
        Ok(())
    }

    /// The requests are those of Java's tools: the credentials have to be a Super user's, since passwords are in the answers.
    async fn copy_users(&self, master: &str) -> Result<(), compare::Error> {
        let Some(own) = &self.users else { return Ok(()) };
        let (client, now) = (&self.client, self.clock.now_ms());
        let users: Vec<UserInfo> = list(client, master, request::AUTH_LIST_USER).await?;
        let acls: Vec<AclInfo> = list(client, master, request::AUTH_LIST_ACL).await?;
        own.replace(now, &users, &acls).map_err(compare::Error::Users)
    }

    /// Tells the master what consumers have committed here, because it was away or they did not know it.
    async fn hand_up(&self, asked: &mut Asked) {
        for ((group, topic, queue), offset) in std::mem::take(&mut asked.for_master) {
            let header = UpdateConsumerOffsetRequestHeader {
                consumer_group: Cow::Borrowed(&group),
                topic: Cow::Borrowed(&topic),
                queue_id: queue,
                commit_offset: offset,
            };
            let told = compare::answer(
                &self.client,
                &asked.master,
                request::UPDATE_CONSUMER_OFFSET,
                &header,
            );
            match told.await {
                Ok(_) => tracing::debug!(
                    "replication: the master hears that {group} has {topic} {queue} up to {offset}"
                ),
                Err(compare::Error::Answer { remark, .. }) => {
                    tracing::warn!(
                        "replication: the master does not take that {group} has {topic} {queue} up to {offset}: {remark}"
                    );
                }
                // Once more at the next look.
                Err(_) => continue,
            }
            self.tables.offsets.told_master(&(group, topic, queue), offset);
        }
    }

    /// Puts the offsets in force whose log is here. The master's log ends at `end` now.
    fn put_in_force(&self, asked: &mut Asked, end: i64) {
        let own = self.store.max_physical().0;
        for (waiting, needed) in std::mem::take(&mut asked.waiting) {
            let needed = needed.unwrap_or(end);
            if own < needed {
                asked.waiting.push((waiting, Some(needed)));
                continue;
            }
            match waiting {
                Waiting::Offsets(offsets) => {
                    asked.for_master = self.tables.offsets.follow(offsets, asked.run);
                    for topic in asked.gone.keys() {
                        if self.tables.topics.get(topic).is_none() {
                            self.tables.offsets.remove_topic(topic);
                        }
                    }
                    asked.gone.retain(|_, tables| {
                        *tables -= 1;
                        *tables > 0
                    });
                }
                Waiting::Delays(delays) => self.delays.replace(delays, self.link.state().cuts),
            }
        }
    }
}

/// A master without that feature: 4.9 does not know the request, and 5.x has no table where its timer is switched off.
fn is_not_there(error: &compare::Error) -> bool {
    matches!(
        error,
        compare::Error::Answer {
            answer: response::REQUEST_CODE_NOT_SUPPORTED | response::SYSTEM_ERROR,
            ..
        }
    )
}

impl Asked {
    /// How long a table is left alone that has taken so long. What a table costs it takes twice in a row; what took long once was a
    /// machine that stood still.
    fn rest(&mut self, table: &'static str, took: Duration) -> Duration {
        let before = self.took.insert(table, took).unwrap_or_default();
        let costs = took.min(before);
        match costs < CHEAP {
            true => costs,
            false => (costs * SHARE).min(ALL_EACH),
        }
    }

    /// What this slave has, for the next look. Offsets that wait for the log are not here yet.
    fn header(&self) -> RuntimeInfoRequestHeader<'static> {
        let has = |table: &str| {
            let change = self.changes.get(table).filter(|change| !change.is_empty());
            change.map(|change| Cow::Owned(change.clone()))
        };
        let waits = |kind: fn(&Waiting) -> bool| self.waiting.iter().any(|(waiting, _)| kind(waiting));
        let offsets = waits(|waiting| matches!(waiting, Waiting::Offsets(_)));
        let delays = waits(|waiting| matches!(waiting, Waiting::Delays(_)));
        RuntimeInfoRequestHeader {
            has_topics: has(TOPICS),
            has_groups: has(GROUPS),
            has_offsets: has(OFFSETS).filter(|_| !offsets),
            has_delays: has(DELAYS).filter(|_| !delays),
            slave_id: None,
            given_back: (self.given_back != 0).then_some(self.given_back),
            given_delays: None,
            given_offsets: None,
            wait_ms: (self.may_wait && self.waiting.is_empty()).then_some(LOOK_EACH.as_millis() as i64),
        }
    }

    /// Offsets of these topics were asked for before they were deleted.
    fn forget_offsets(&mut self, deleted: &[String]) {
        let is_there = |key: &str| {
            let topic = key.split_once('@').map_or(key, |(topic, _)| topic);
            !deleted.iter().any(|deleted| deleted == topic)
        };
        for (waiting, _) in &mut self.waiting {
            if let Waiting::Offsets(offsets) = waiting {
                offsets.offset_table.retain(|key, _| is_there(key));
                if let Some(light) = &mut offsets.lmq_offset_table {
                    light.retain(|key, _| is_there(key));
                }
            }
        }
    }

    /// What waits already has a chance to be put in force before newer offsets take its place: two of a kind wait at most.
    fn wait(&mut self, new: Waiting) {
        let kind = std::mem::discriminant(&new);
        let of_kind = |(waiting, _): &(Waiting, Option<i64>)| std::mem::discriminant(waiting) == kind;
        if self.waiting.iter().filter(|waiting| of_kind(waiting)).count() > 1
            && let Some(newest) = self.waiting.iter().rposition(of_kind)
        {
            self.waiting.remove(newest);
        }
        self.waiting.push((new, None));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_costs_much_is_asked_for_seldom() {
        let ms = Duration::from_millis;
        let mut asked = Asked::default();
        assert_eq!(asked.rest(TOPICS, ms(3000)), ms(0), "the machine stood still");
        assert_eq!(asked.rest(TOPICS, ms(20)), ms(20));
        assert_eq!(asked.rest(TOPICS, ms(100)), ms(20));
        assert_eq!(asked.rest(TOPICS, ms(120)), ms(2000));
        assert_eq!(asked.rest(GROUPS, ms(120)), ms(0), "another table");
        assert_eq!(asked.rest(TOPICS, ms(4000)), ms(2400));
        assert_eq!(asked.rest(TOPICS, ms(4000)), ALL_EACH);
    }
}
