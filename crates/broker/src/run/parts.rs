//! The parts of a broker, made in order; each is given what it needs. No thread, no task, no socket yet: what is here runs
//! when somebody calls it, which in a simulation is the simulation.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use disk::{Clock, Disk};
use filter::Bloom;
use parking_lot::Mutex;
use remoting::tls::ClientTls;
use remoting::{Client, ClientSettings, Sign};
use settings::Live;
use store::{Boundary, MissingLog, PhysicalOffset, RecoveryReport, Store};

mod handlers;

use self::handlers::Made;
use super::{ConfigFolder, StartError};
use crate::access::Access;
use crate::address;
use crate::clients::{Clients, RETURNS_WITHIN_MS};
use crate::commitlog::{
    Acknowledgements, Appender, ArrivalListener, FlushFigures, Flusher, HELD_MAX_BYTES, Hold, Maintenance,
    Reput, Wake,
};
use crate::delay::{DelayOffsetFile, DelayOffsets, Delivery, ParkedListener};
use crate::dispatch::Handlers;
use crate::handlers::admin::limits::{Limits, Traffic};
use crate::handlers::pull::{HeldPull, Pull, PullListener};
use crate::lane::{Lanes, Workers};
use crate::registration::Registration;
use crate::replication::{
    Admission, CopyParts, Follower, LastRun, Link, Metadata, RoleHistory, SlaveServer, SlaveServerParts,
    TableCopies, TopicDeletions, UnknownTopic,
};
use crate::settings::DelayLevels;
use crate::settings::Settings;
use crate::stats::{Stats, StatsItems};
use crate::store_settings;
use crate::tables::dormant::{self, DormantFiles};
use crate::tables::filters::{BitmapSource, FilterTable};
use crate::tables::{
    CommitsForMaster, ConfigFile, ConsumerConnectionFile, GroupTable, Identity, LoadError, OffsetTable,
    OpenHalves, QUEUES_MAX, Tables, TopicTable, save,
};
use crate::transaction::{Checks, HalfListener};
use remoting::budget::Budget;

/// The longest table that a slave takes from its master, bytes: sixteen times the frame that clients may send.
const TABLE_MAX_BYTES: usize = 256 << 20;

/// How often the history of roles is written while slaves acknowledge, ms.
const HISTORY_EACH_MS: i64 = 1000;
/// How often the counts of open half messages are written, ms, as in 5.x.
const OPEN_HALVES_EACH_MS: i64 = 10_000;

/// What the threads and tasks work on.
pub struct Parts<D: Disk> {
    /// Settings that may change at run time.
    pub settings: Arc<Live<Settings>>,
    /// The disk everything lies on.
    pub disk: D,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The commitlog, and who works on it.
    pub log: Log<D>,
    /// Topics, groups, offsets.
    pub tables: Tables,
    /// Counts of open half messages.
    pub open_halves: Arc<OpenHalves>,
    /// Files of features that are not here.
    pub dormant: Arc<DormantFiles>,
    /// What consumers want by expressions that are no tags.
    pub filters: Arc<FilterTable>,
    /// Delivery of delayed messages.
    pub delivery: Arc<Delivery<D>>,
    /// Wakes it.
    pub parked: Arc<ParkedListener>,
    /// The check of half messages that nobody ends.
    pub checks: Arc<Checks<D>>,
    /// Who is connected.
    pub clients: Clients,
    /// Pulls that wait.
    pub hold: Arc<Hold<HeldPull>>,
    /// What requests occupy.
    pub limits: Limits,
    /// Keeps the name servers informed.
    pub registration: Arc<Registration>,
    /// Replication.
    pub replication: Replication<D>,
    /// Access control.
    pub access: Access<D>,
    /// What serves requests.
    pub handlers: Arc<Handlers<D>>,
    /// Every file under `config/`, with how often it is written if no change asks for it, ms.
    pub files: Vec<(Arc<dyn ConfigFile>, Option<i64>)>,
    /// Keeps who is connected for the next start.
    pub connections: Arc<ConsumerConnectionFile>,
    /// The folder of most of them.
    pub config: ConfigFolder<D>,
    /// Set when the threads are to end.
    pub stopping: Arc<AtomicBool>,
}

/// The commitlog, and who works on it.
pub struct Log<D: Disk> {
    /// The store.
    pub store: Arc<Store<D>>,
    /// Appends.
    pub appender: Arc<Appender<D>>,
    /// Builds queues.
    pub reput: Arc<Reput<D>>,
    /// Syncs.
    pub flusher: Arc<Flusher<D>>,
    /// Builds the index, deletes what has expired, prepares the log ahead.
    pub maintenance: Arc<Maintenance<D>>,
    /// Counters.
    pub stats: Arc<Stats>,
}

/// Replication, both sides of it; each works on a broker of its role.
pub struct Replication<D: Disk> {
    /// What this broker acknowledges as a master.
    pub history: Arc<RoleHistory>,
    /// How it stands to its master.
    pub link: Arc<Link>,
    /// Serves slaves.
    pub slaves: Arc<SlaveServer<D>>,
    /// Copies the master's log.
    pub follower: Arc<Follower<D>>,
    /// Copies the master's tables.
    pub metadata: Arc<Metadata<D>>,
    /// What the log said last of a SYNC_MASTER that lacks a slave.
    pub said: Mutex<&'static str>,
}

/// What the environment gives.
pub struct Surroundings<D: Disk> {
    /// The disk.
    pub disk: D,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where requests run that may wait.
    pub workers: Workers,
    /// What the connections occupy.
    pub traffic: Traffic,
}

impl<D: Disk + Clone> Parts<D> {
    /// Opens the store and the tables and makes everything around them.
    pub fn assemble(
        settings: Settings,
        surroundings: Surroundings<D>,
        helpers: &store::Helpers<'_>,
    ) -> Result<(Self, RecoveryReport), StartError> {
        let Surroundings {
            disk,
            clock,
            workers,
            traffic,
        } = surroundings;
        let now = clock.now_ms();
        let levels = DelayLevels::parse(&settings.store.message_delay_level)
            .map_err(|e| StartError::Setting(e.to_string()))?;
        let levels = Arc::new(levels);
        let store_settings = store_settings::of(&settings, levels.as_ms(), clock.as_ref());
        let (store, report) = Store::open_with(disk.clone(), store_settings, now, helpers)?;
        // A start on a full disk refuses from the first send on, and is registered so.
        store.tick_disk(now);
        let store = Arc::new(store);
        // Before it is read: what is read is what is looked after.
        let config = ConfigFolder::take(disk.clone(), settings.config_dir()).map_err(LoadError::from)?;
        let loaded = Loaded::load(&disk, &settings, &clock)?;
        let access = Access::load(&disk, &settings, &clock)?;
        let client = ClientSettings {
            sign: sign(&settings)?,
            tls: settings
                .client_tls()
                .map_err(|e| StartError::Setting(e.to_string()))?,
            ..ClientSettings::default()
        };
        let replication_tls = settings
            .replication_tls()
            .map_err(|e| StartError::Setting(e.to_string()))?;
        loaded.clamp(&store, &levels, now);
        loaded.settle_nameless(&store, settings.broker.default_topic_queue_nums, now);
        let history = begin_role(&disk, &settings, &store, &report, now)?;
        let store_host = address::store_host(&settings.broker.broker_ip1, settings.server.listen_port as u16);
        let settings = Arc::new(Live::new(settings));
        store.set_bitmaps(Arc::new(BitmapSource {
            settings: Arc::clone(&settings),
            filters: Arc::clone(&loaded.filters),
        }));
        let parts = Builder {
            settings,
            disk,
            config,
            clock,
            store,
            levels,
            loaded,
            history,
            store_host,
            lane_workers: workers,
            traffic,
            access,
            client,
            replication_tls,
        }
        .build(now);
        for (file, _) in &parts.files {
            file.saver().note_as_left(&parts.disk);
        }
        if let (Some(first), Some(last)) = (report.damage.first.first(), report.damage.first.last())
            && !parts.settings.load().is_slave()
        {
            // Only the first stretches are named.
            let is_all = report.damage.count <= report.damage.first.len() as u64;
            let last = if is_all { last.at } else { report.log_end };
            parts
                .checks
                .put_back_doubtful(PhysicalOffset(first.at), PhysicalOffset(last));
        }
        Ok((parts, report))
    }
}

/// Reads all that a start reads beside the store.
///
/// # Errors
/// What a start would say.
pub(crate) fn read_files<D: Disk + Clone>(
    disk: &D,
    settings: &Settings,
    clock: Arc<dyn Clock>,
) -> Result<(), StartError> {
    Loaded::load(disk, settings, &clock)?;
    Access::load(disk, settings, &clock)?;
    RoleHistory::load(disk, &PathBuf::from(&settings.store.store_path_root_dir), 0)?;
    Ok(())
}

/// What signs the broker's own requests, if it has credentials.
fn sign(settings: &Settings) -> Result<Option<Sign>, StartError> {
    let credentials = settings.credentials().map_err(StartError::Setting)?;
    Ok(credentials.map(|credentials| Sign::by(move |fields, body| credentials.sign(fields, body))))
}

/// The history of roles, in which this start is noted.
fn begin_role<D: Disk>(
    disk: &D,
    settings: &Settings,
    store: &Store<D>,
    report: &RecoveryReport,
    now: i64,
) -> Result<Arc<RoleHistory>, LoadError> {
    let root = PathBuf::from(&settings.store.store_path_root_dir);
    let end = store.max_physical().0;
    let history = RoleHistory::load(disk, &root, end)?;
    let last = LastRun {
        end,
        is_clean: report.clean,
        is_others: report.others_checkpoint,
    };
    if let Some(others) = history.note_others(last) {
        tracing::info!(
            "the log was written from {} to {} by another broker, Java's for example, since this one ran: it may have acknowledged that",
            others.start,
            others.end
        );
    }
    for damage in &report.damage.first {
        history.note_hole(&(damage.at..damage.at + damage.bytes));
    }
    for missing in &report.missing {
        if let MissingLog::Between { range, .. } = missing {
            history.note_hole(range);
        }
    }
    match settings.is_slave() {
        true => history.begin_as_slave(end),
        false => {
            // A slave must not be told that this broker had what a power cut could still take from it.
            if let Err(latched) = store.flush(0) {
                tracing::error!("the log could not be synced at the start: {latched}");
            }
            history.begin(end, !settings.waits_for_slaves());
        }
    }
    // A disk that is full takes no messages either; the file is written when it has space.
    let _logged = save(&history, disk, now);
    Ok(Arc::new(history))
}

/// What was read from `config/`.
struct Loaded {
    tables: Tables,
    commits: Arc<CommitsForMaster>,
    delay_offsets: Arc<DelayOffsets>,
    open_halves: Arc<OpenHalves>,
    dormant: Arc<DormantFiles>,
    filters: Arc<FilterTable>,
    connections: Arc<ConsumerConnectionFile>,
}

/// Topics that are named in one line.
const NAMED_MAX: usize = 20;

impl Loaded {
    /// Makes the topics that have queues where topics.json is missing, or is its backup, which lacks the last ones: nobody could read
    /// their messages. Where it is there, tells of those that are not in it. (A topic that Java's broker has deleted keeps its queues for a while.)
    fn settle_nameless<D: Disk>(&self, store: &Store<D>, default_queues: i32, now: i64) {
        let has_entry =
            |topic: &str| message::name::is_system_topic(topic) || self.tables.topics.get(topic).is_some();
        let is_light = |topic: &str| topic.starts_with("%LMQ%");
        let mut nameless: Vec<_> = store
            .topics()
            .into_iter()
            .filter(|topic| !has_entry(topic) && !is_light(topic))
            .collect();
        if nameless.is_empty() {
            return;
        }
        // The store has them in no order, and a start on the same store does the same.
        nameless.sort_unstable();
        let first: Vec<_> = nameless.iter().take(NAMED_MAX).map(|topic| &**topic).collect();
        let (count, first) = (nameless.len(), first.join(", "));
        let saver = self.tables.topics.saver();
        if !saver.was_missing() && !saver.was_backup() {
            return tracing::error!(
                "{count} topics have messages and no entry in topics.json, so that nobody can read them: {first}; was config/ lost, or is \
                 another one meant? A slave that connects gives the entries back; a backup may have the file"
            );
        }
        for topic in &nameless {
            let last = store.queue_ids(topic).last().copied().unwrap_or_default();
            let queues = last.saturating_add(1).min(QUEUES_MAX);
            let is_of_group = message::name::is_retry_topic(topic) || message::name::is_dlq_topic(topic);
            let known = if is_of_group { 0 } else { default_queues };
            if let Err(e) = self.tables.topics.make_of_queues(topic, queues, known, now) {
                tracing::error!("topic {topic} has messages and is not made: {e}");
            }
        }
        let what = match saver.was_missing() {
            true => "is missing",
            false => "is its backup, which lacks the last changes",
        };
        tracing::error!(
            "topics.json {what}: {count} topics are made again, with the queues that have messages and with permission to read and \
             write: {first}; was config/ lost, or is another one meant? A slave that connects gives their settings back; a backup may have \
             the file"
        );
        if saver.was_missing() {
            self.tell_of_lost_groups();
        }
    }

    /// Beside a lost topics.json: what else is forgotten of a store that has messages.
    fn tell_of_lost_groups(&self) {
        let Tables { groups, offsets, .. } = &self.tables;
        for (saver, what) in [
            (
                groups.saver(),
                "the settings of consumer groups are forgotten, and those made again at their first use have the usual ones",
            ),
            (
                offsets.saver(),
                "how far groups have consumed is forgotten, and each begins where its clients say that one without an offset does, usually \
                 at the end: what it has not consumed until now it passes over (mqadmin resetOffsetByTime goes back)",
            ),
        ] {
            if saver.was_missing() {
                let file = saver.path().display();
                tracing::error!(
                    "{file} is missing, too: {what}. A slave that connects gives it back; a backup may have the file"
                );
            }
        }
    }

    fn load<D: Disk>(disk: &D, settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Self, LoadError> {
        let now = clock.now_ms();
        let config_dir = settings.config_dir();
        let file = |name: &str| -> PathBuf { config_dir.join(name) };
        dormant::rocksdb::check(disk, &config_dir)?;
        let lmq = settings.store.enable_lmq;
        let topics = TopicTable::load(disk, file("topics.json"), &Identity::of(settings), now)?;
        let groups = GroupTable::load(disk, file("subscriptionGroup.json"), now)?;
        let offsets = OffsetTable::load(disk, &config_dir, lmq)?;
        let commits = Arc::new(CommitsForMaster::load(disk, &config_dir, settings.is_slave())?);
        let offsets = match settings.is_slave() {
            true => offsets.for_master(Arc::clone(&commits)),
            false => offsets,
        };
        let bloom = Bloom::of(
            settings.broker.expect_consumer_num_use_filter,
            settings.broker.max_error_rate_of_bloom_filter,
        );
        Ok(Self {
            tables: Tables {
                topics: Arc::new(topics),
                groups: Arc::new(groups.with_light_queues(lmq)),
                offsets: Arc::new(offsets),
            },
            commits,
            delay_offsets: Arc::new(DelayOffsets::load(disk, file("delayOffset.json"))?),
            open_halves: Arc::new(OpenHalves::load(disk, file("transactionMetrics"))?),
            dormant: Arc::new(DormantFiles::load(disk, &config_dir)?),
            connections: Arc::new(ConsumerConnectionFile::load(
                disk,
                file("consumerConnection.json"),
            )?),
            filters: Arc::new(FilterTable::load(
                disk,
                file("consumerFilter.json"),
                bloom,
                Arc::clone(clock),
            )?),
        })
    }

    /// Brings saved positions into what they point at.
    fn clamp<D: Disk>(&self, store: &Store<D>, levels: &DelayLevels, now: i64) {
        let bounds = |level: i32| {
            let (min, max) = store.queue_bounds(message::name::SCHEDULE_TOPIC, level - 1);
            (min.0, max.0)
        };
        let not_due = |level: i32| {
            let stored_after = now - levels.delay_ms(level) + 1;
            let topic = message::name::SCHEDULE_TOPIC;
            let found = store.offset_by_time(topic, level - 1, stored_after, Boundary::Lower);
            found.map_or_else(|_unreadable| bounds(level).1, |offset| offset.0)
        };
        let changed = self.delay_offsets.clamp(bounds, not_due);
        for (level, was, is) in changed {
            tracing::warn!(
                "delayOffset.json said that level {level} is delivered up to {was}, where its queue has no such \
                 message: it goes on at {is}"
            );
        }
        let parked = store.queue_ids(message::name::SCHEDULE_TOPIC);
        let is_parked = |queue: &i32| store.queue_max_offset(message::name::SCHEDULE_TOPIC, *queue).0 > 0;
        self.delay_offsets.note_parked(parked.iter().any(is_parked));
    }
}

/// Number of the day at this place, which the totals of `clusterList -m` change with.
pub(super) fn local_day(now_ms: i64) -> i64 {
    (now_ms + settings::host::local_offset_ms(now_ms)).div_euclid(86_400_000)
}

/// What the rest is made of.
struct Builder<D: Disk> {
    settings: Arc<Live<Settings>>,
    disk: D,
    config: ConfigFolder<D>,
    clock: Arc<dyn Clock>,
    store: Arc<Store<D>>,
    levels: Arc<DelayLevels>,
    loaded: Loaded,
    history: Arc<RoleHistory>,
    store_host: SocketAddr,
    lane_workers: Workers,
    traffic: Traffic,
    access: Access<D>,
    /// Of requests of the broker's own.
    client: ClientSettings,
    /// To the master's port of replication.
    replication_tls: Option<ClientTls>,
}

impl<D: Disk + Clone> Builder<D> {
    /// A client for requests of the broker's own.
    fn own_client(&self) -> Client {
        Client::new(self.client.clone())
    }

    /// Asks the master, whose tables may be larger than what clients ask for.
    fn slave_client(&self) -> ClientSettings {
        let mut client = self.client.clone();
        client.limits.frame_max_bytes = TABLE_MAX_BYTES;
        client
    }

    fn build(self, now: i64) -> Parts<D> {
        let stopping = Arc::new(AtomicBool::new(false));
        self.traffic.follow(&self.settings.load());
        let stats = self.stats(now);
        let clients = Clients::default();
        let returning = self.loaded.connections.take(now);
        clients.consumers.expect(returning, now + RETURNS_WITHIN_MS);
        let lanes = Lanes::new(&self.lane_workers);
        let hold = Arc::new(Hold::new(Budget::new("HELD_PULLS", HELD_MAX_BYTES)));
        let pull = self.pull(&clients, &hold, &lanes, &stats);
        let pulls = Arc::new(PullListener::new(Arc::clone(&pull)));
        let parked = Arc::new(ParkedListener::default());
        let halves = Arc::new(HalfListener::default());
        let unknown = Arc::new(UnknownTopic::new(Arc::clone(&self.loaded.tables.topics)));
        let mut listeners: Vec<Arc<dyn ArrivalListener>> = vec![
            Arc::clone(&pulls) as _,
            Arc::clone(&parked) as _,
            Arc::clone(&halves) as _,
        ];
        if self.settings.load().is_slave() {
            listeners.push(Arc::clone(&unknown) as _);
        }
        let log = self.log(listeners, &stats, &stopping);
        let checks = self.checks(&clients, &log, halves);
        let delivery = self.delivery(&log);
        let registration = self.registration();
        let replication = self.replication(&log, &registration, unknown, &pulls, now);
        let limits = Limits {
            clients: clients.clone(),
            lanes: lanes.clone(),
            hold: Arc::clone(&hold),
            filters: Arc::clone(&self.loaded.filters),
            acknowledgements: Arc::clone(&log.appender.acknowledgements),
            stats: Arc::clone(&log.stats),
            transaction_copies: Arc::clone(&checks.copies_budget),
            traffic: self.traffic.clone(),
        };
        let made = Made {
            clients,
            lanes,
            pull,
            pulls,
            log,
            checks,
            delivery,
            registration,
            replication,
            limits,
            now,
        };
        let handlers = Arc::new(self.handlers(&made));
        let Made {
            clients,
            log,
            checks,
            delivery,
            registration,
            replication,
            limits,
            ..
        } = made;
        Parts {
            files: self.files(&log),
            config: self.config,
            settings: self.settings,
            disk: self.disk,
            clock: self.clock,
            log,
            tables: self.loaded.tables,
            open_halves: self.loaded.open_halves,
            dormant: self.loaded.dormant,
            connections: self.loaded.connections,
            filters: self.loaded.filters,
            delivery,
            parked,
            checks,
            clients,
            hold,
            limits,
            registration,
            replication,
            access: self.access,
            handlers,
            stopping,
        }
    }

    fn stats(&self, now: i64) -> Arc<Stats> {
        let settings = self.settings.load();
        let items = StatsItems::new(
            settings.broker.broker_cluster_name.clone(),
            settings.broker.enable_detail_stat,
        );
        Arc::new(Stats::new(now, local_day(now), items))
    }

    fn delivery(&self, log: &Log<D>) -> Arc<Delivery<D>> {
        Arc::new(Delivery::new(
            Arc::clone(&log.appender),
            Arc::clone(&self.loaded.delay_offsets),
            Arc::clone(&self.levels),
            Arc::clone(&self.loaded.tables.topics),
            Arc::clone(&self.clock),
        ))
    }

    fn registration(&self) -> Arc<Registration> {
        let store = Arc::clone(&self.store);
        Arc::new(Registration::new(
            Arc::clone(&self.settings),
            Arc::clone(&self.loaded.tables.topics),
            Box::new(move || store.health().is_writable()),
            self.own_client(),
        ))
    }

    fn replication(
        &self,
        log: &Log<D>,
        registration: &Arc<Registration>,
        unknown: Arc<UnknownTopic>,
        pulls: &Arc<PullListener<D>>,
        now: i64,
    ) -> Replication<D> {
        let pulls = Arc::clone(pulls);
        let link = Arc::new(Link::default());
        let slaves = SlaveServer::new(SlaveServerParts {
            store: Arc::clone(&self.store),
            disk: self.disk.clone(),
            acknowledgements: Arc::clone(&log.appender.acknowledgements),
            settings: Arc::clone(&self.settings),
            admission: Admission::new(
                Arc::clone(&self.settings),
                Arc::clone(registration) as _,
                Arc::clone(&self.history),
            ),
            copies: TableCopies::new(
                self.loaded.tables.clone(),
                Arc::clone(&self.loaded.delay_offsets),
                self.access.users.clone(),
                now,
            ),
            registration: Arc::clone(registration),
            history: Arc::clone(&self.history),
            growth: Arc::clone(&log.appender.growth),
            clock: Arc::clone(&self.clock),
        });
        let deletions = Arc::new(TopicDeletions {
            store: Arc::clone(&self.store),
            offsets: Arc::clone(&self.loaded.tables.offsets),
            dormant: Arc::clone(&self.loaded.dormant),
            answer_waiting: Box::new(move |topic| pulls.topic_changed(topic)),
            clock: Arc::clone(&self.clock),
        });
        let follower = Follower {
            deletions: Arc::clone(&deletions),
            copy: Arc::new(CopyParts {
                store: Arc::clone(&self.store),
                disk: self.disk.clone(),
                reput: Arc::clone(&log.reput),
                acknowledgements: Arc::clone(&log.appender.acknowledgements),
                settings: Arc::clone(&self.settings),
                history: Arc::clone(&self.history),
                link: Arc::clone(&link),
                clock: Arc::clone(&self.clock),
            }),
            synced: Arc::clone(&log.flusher.synced),
            master: registration.master(),
            registration: Arc::clone(registration),
            client: self.slave_client(),
            tls: self.replication_tls.clone(),
        };
        let metadata = Metadata {
            tables: self.loaded.tables.clone(),
            delays: Arc::clone(&self.loaded.delay_offsets),
            dormant: Arc::clone(&self.loaded.dormant),
            users: self.access.users.clone(),
            store: Arc::clone(&self.store),
            broker_id: self.settings.load().broker.broker_id,
            link: Arc::clone(&link),
            deletions,
            master: registration.master(),
            unknown,
            client: Client::new(self.slave_client()),
            clock: Arc::clone(&self.clock),
        };
        Replication {
            history: Arc::clone(&self.history),
            link,
            slaves: Arc::new(slaves),
            follower: Arc::new(follower),
            metadata: Arc::new(metadata),
            said: Mutex::new(""),
        }
    }

    fn pull(
        &self,
        clients: &Clients,
        hold: &Arc<Hold<HeldPull>>,
        lanes: &Lanes,
        stats: &Arc<Stats>,
    ) -> Arc<Pull<D>> {
        let tables = &self.loaded.tables;
        Arc::new(Pull {
            settings: Arc::clone(&self.settings),
            topics: Arc::clone(&tables.topics),
            groups: Arc::clone(&tables.groups),
            consumers: Arc::clone(&clients.consumers),
            slow: Arc::clone(&clients.slow),
            cold: Arc::clone(&clients.cold),
            filters: Arc::clone(&self.loaded.filters),
            offsets: Arc::clone(&tables.offsets),
            store: Arc::clone(&self.store),
            hold: Arc::clone(hold),
            stats: Arc::clone(stats),
            lane: Arc::clone(&lanes.pull),
            access: self.guard(),
            clock: Arc::clone(&self.clock),
        })
    }

    fn log(
        &self,
        listeners: Vec<Arc<dyn ArrivalListener>>,
        stats: &Arc<Stats>,
        stopping: &Arc<AtomicBool>,
    ) -> Log<D> {
        let reput = Arc::new(Reput {
            store: Arc::clone(&self.store),
            listeners,
            rest: Arc::new(Wake::default()),
            maintenance: Arc::new(Wake::default()),
            allocate: Arc::new(Wake::default()),
        });
        let acknowledgements = Acknowledgements::new(
            Arc::clone(&self.loaded.tables.topics),
            Arc::clone(&self.settings),
            Arc::clone(&self.clock),
            self.store.flushed(),
        );
        Log {
            store: Arc::clone(&self.store),
            appender: Arc::new(Appender {
                store: Arc::clone(&self.store),
                reput: Arc::clone(&reput),
                acknowledgements: Arc::clone(&acknowledgements),
                growth: Arc::default(),
                settings: Arc::clone(&self.settings),
                stats: Arc::clone(stats),
                clock: Arc::clone(&self.clock),
                store_host: self.store_host,
            }),
            flusher: Arc::new(Flusher {
                store: Arc::clone(&self.store),
                acknowledgements,
                synced: Arc::default(),
                reput: Arc::clone(&reput),
                settings: Arc::clone(&self.settings),
                stopping: Arc::clone(stopping),
                figures: FlushFigures::default(),
            }),
            maintenance: Arc::new(Maintenance {
                store: Arc::clone(&self.store),
                settings: Arc::clone(&self.settings),
                maintenance: Arc::clone(&reput.maintenance),
                allocate: Arc::clone(&reput.allocate),
                stopping: Arc::clone(stopping),
                clock: Arc::clone(&self.clock),
            }),
            reput,
            stats: Arc::clone(stats),
        }
    }

    fn checks(&self, clients: &Clients, log: &Log<D>, halves: Arc<HalfListener>) -> Arc<Checks<D>> {
        let checks = Checks::new(
            Arc::clone(&log.appender),
            self.loaded.tables.clone(),
            Arc::clone(&self.loaded.open_halves),
            Arc::clone(&clients.producers),
            Arc::clone(&self.settings),
            Arc::clone(&self.clock),
            halves,
        );
        let access = self.access.guard.clone();
        Arc::new(checks.with_access(access))
    }

    fn files(&self, log: &Log<D>) -> Vec<(Arc<dyn ConfigFile>, Option<i64>)> {
        let settings = self.settings.load();
        let tables = &self.loaded.tables;
        let delay_offsets = Arc::new(DelayOffsetFile {
            offsets: Arc::clone(&self.loaded.delay_offsets),
            appender: Arc::clone(&log.appender),
            settings: Arc::clone(&self.settings),
        });
        let offsets_each = i64::from(settings.broker.flush_consumer_offset_interval);
        let delays_each = settings.store.flush_delay_offset_interval;
        let mut files: Vec<(Arc<dyn ConfigFile>, Option<i64>)> = vec![
            (Arc::clone(&tables.topics) as _, None),
            (Arc::clone(&tables.groups) as _, None),
            (Arc::clone(&tables.offsets) as _, Some(offsets_each)),
            (Arc::clone(&self.loaded.commits) as _, Some(offsets_each)),
            (delay_offsets as _, Some(delays_each)),
            (
                Arc::clone(&self.loaded.open_halves) as _,
                Some(OPEN_HALVES_EACH_MS),
            ),
            (Arc::clone(&self.history) as _, Some(HISTORY_EACH_MS)),
            (Arc::clone(&self.loaded.filters) as _, None),
            (Arc::clone(&self.loaded.connections) as _, None),
        ];
        files.extend(
            self.access
                .users
                .iter()
                .map(|users| (Arc::clone(users) as _, None)),
        );
        files.extend(self.loaded.dormant.files().into_iter().map(|file| (file, None)));
        files
    }
}
