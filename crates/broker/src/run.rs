//! The only place that knows all the parts: makes them in order, gives each what it needs, and stops them in reverse.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use disk::{Clock, SystemClock};
use remoting::{Client, Server, Service};
use settings::Live;
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::arrivals::Arrivals;
use crate::care::Care;
use crate::clients::{Consumers, Producers};
use crate::config::ConfigStore;
use crate::delay::{DelayLevels, DelayOffsets, Delivery};
use crate::dispatch::{Handlers, Port};
use crate::flush::{FlushWaiters, Flusher};
use crate::groups::GroupTable;
use crate::handlers::admin::{group::Group, runtime::Runtime, settings::SettingsRequests, topic::Topic};
use crate::handlers::client::Client as ClientHandler;
use crate::handlers::consumer_offset::ConsumerOffset;
use crate::handlers::lock::Lock;
use crate::handlers::pull::{HeldPull, Pull};
use crate::handlers::query::{self, Query};
use crate::handlers::send::Send;
use crate::handlers::send_back::SendBack;
use crate::hold::{self, Hold};
use crate::in_flight::InFlight;
use crate::kept::filters::Bloom;
use crate::kept::{self, KeptFile, KeptFiles};
use crate::locks::QueueLocks;
use crate::offsets::{self, OffsetTable};
use crate::opening::{Threads, Watch};
use crate::persist::{self, Saver};
use crate::registration::{FIRST_WITHIN, Registration};
use crate::settings::Settings;
use crate::stats::Stats;
use crate::store_settings;
use crate::topics::{Identity, TopicTable};
use crate::{Disk, Store, flush};

/// How often the disk's level is looked at: writes go on within a second after space came back, even if a look or two
/// come late.
const HEALTH_EACH: Duration = Duration::from_millis(250);
/// Time the connections get to finish at stop.
const CONNECTIONS_STOP: Duration = Duration::from_secs(3);
/// Time the background tasks get to finish at stop.
const TASKS_STOP: Duration = Duration::from_secs(10);

/// Why the broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting that only shows its fault now.
    #[error("{0}")]
    Setting(String),
    /// The store.
    #[error("the store can not be opened: {0}")]
    Store(#[from] store::OpenError),
    /// A file under `config/`.
    #[error("{0}")]
    Config(#[from] persist::LoadError),
    /// A port.
    #[error("{what} can not listen on {address}: {cause}. {hint}")]
    Bind {
        /// Whose port.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        cause: std::io::Error,
        /// Which setting to change.
        hint: String,
    },
    /// A thread.
    #[error("a thread can not be started: {0}")]
    Thread(std::io::Error),
}

/// A running broker.
pub struct Broker {
    stop: CancellationToken,
    tasks: TaskTracker,
    servers: Vec<Server>,
    threads: Vec<JoinHandle<()>>,
    stopping: Arc<AtomicBool>,
    parts: Arc<Parts>,
}

/// What the background tasks work on.
struct Parts {
    settings: Arc<Live<Settings>>,
    disk: Disk,
    clock: Arc<dyn Clock>,
    store: Arc<Store>,
    topics: Arc<TopicTable>,
    groups: Arc<GroupTable>,
    offsets: Arc<OffsetTable>,
    delay_offsets: Arc<DelayOffsets>,
    kept: Arc<KeptFiles>,
    registration: Arc<Registration>,
    hold: Arc<Hold<HeldPull>>,
    waiters: Arc<FlushWaiters>,
    arrivals: Arc<Arrivals>,
    stats: Arc<Stats>,
    handlers: Arc<Handlers>,
}

/// Starts a broker with these settings. When this returns it serves.
pub async fn start(settings: Settings) -> Result<Broker, StartError> {
    start_on(settings, Disk::default()).await
}

/// As [`start`], on this disk.
pub async fn start_on(settings: Settings, disk: Disk) -> Result<Broker, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let parts = assemble(settings, disk, clock)?;
    let servers = listen(&parts).await?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let stopping = Arc::new(AtomicBool::new(false));
    let threads = spawn_threads(&parts, &stopping).map_err(StartError::Thread)?;
    // What recovery found and gave no units.
    parts.arrivals.reput_all();
    spawn_savers(&parts, &tasks, &stop);
    spawn_tickers(&parts, &tasks, &stop);
    let registration = Arc::clone(&parts.registration);
    let first = tokio::time::timeout(FIRST_WITHIN, registration.tell_all()).await;
    if first.is_err() {
        tracing::warn!("not every name server answered within {FIRST_WITHIN:?}; registration goes on");
    }
    let token = stop.clone();
    tasks.spawn(async move { registration.run(token).await });
    Ok(Broker {
        stop,
        tasks,
        servers,
        threads,
        stopping,
        parts,
    })
}

fn assemble(settings: Settings, disk: Disk, clock: Arc<dyn Clock>) -> Result<Arc<Parts>, StartError> {
    let now = clock.now_ms();
    let levels = DelayLevels::parse(&settings.store.message_delay_level)
        .map_err(|e| StartError::Setting(e.to_string()))?;
    let store_host = store_host(&settings);
    let store_settings = store_settings::of(&settings, &levels, clock.as_ref());
    let consumequeue_file_size = store_settings.consumequeue_file_size;
    let watch = Watch::new(Instant::now());
    let helpers = store::Helpers {
        parallel: &Threads,
        progress: &|progress| watch.note(progress),
    };
    let (store, report) = Store::open_with(disk.clone(), store_settings, now, &helpers)?;
    log_recovery(&report, consumequeue_file_size);
    // A start on a full disk refuses from the first send on, and is registered so.
    store.tick_disk(now);
    let config_dir = settings.config_dir();
    let file = |name: &str| -> PathBuf { config_dir.join(name) };
    kept::rocksdb::check(&disk, &config_dir)?;
    let topics = Arc::new(TopicTable::load(
        &disk,
        file("topics.json"),
        &identity(&settings),
        now,
    )?);
    let lmq = settings.store.enable_lmq;
    let groups = GroupTable::load(&disk, file("subscriptionGroup.json"), now)?;
    let groups = Arc::new(groups.with_light_queues(lmq));
    let offsets = Arc::new(OffsetTable::load(&disk, file(offsets::file_name(lmq)), lmq)?);
    let delay_offsets = Arc::new(DelayOffsets::load(&disk, file("delayOffset.json"))?);
    let bloom = Bloom::of(
        settings.broker.expect_consumer_num_use_filter,
        settings.broker.max_error_rate_of_bloom_filter,
    );
    let kept_files = Arc::new(KeptFiles::load(&disk, &config_dir, bloom, now)?);
    let region: Arc<str> = Arc::from(settings.broker.region_id.as_str());
    let (store, levels) = (Arc::new(store), Arc::new(levels));
    let settings = Arc::new(Live::new(settings));
    let stats = Arc::new(Stats::new(now, local_day(now)));
    let (consumers, producers) = (Arc::new(Consumers::default()), Arc::new(Producers::default()));
    let (hold, waiters) = (Arc::new(Hold::default()), Arc::new(FlushWaiters::default()));
    let client = Client::new(remoting::ClientSettings::default());
    let registration = Arc::new(Registration::new(
        Arc::clone(&settings),
        Arc::clone(&topics),
        Arc::clone(&store),
        client,
    ));
    let (pulls, queries) = (InFlight::default(), InFlight::default());
    let pull = Arc::new(Pull {
        settings: Arc::clone(&settings),
        topics: Arc::clone(&topics),
        groups: Arc::clone(&groups),
        consumers: Arc::clone(&consumers),
        offsets: Arc::clone(&offsets),
        store: Arc::clone(&store),
        hold: Arc::clone(&hold),
        stats: Arc::clone(&stats),
        in_flight: pulls.clone(),
        clock: Arc::clone(&clock),
    });
    let arrivals = Arc::new(Arrivals {
        store: Arc::clone(&store),
        hold: Arc::clone(&hold),
        pull: Arc::clone(&pull),
        care: Arc::default(),
        allocate: Arc::default(),
        rest: Arc::default(),
        parked: Arc::default(),
    });
    let send = Send {
        settings: Arc::clone(&settings),
        topics: Arc::clone(&topics),
        groups: Arc::clone(&groups),
        store: Arc::clone(&store),
        arrivals: Arc::clone(&arrivals),
        waiters: Arc::clone(&waiters),
        stats: Arc::clone(&stats),
        clock: Arc::clone(&clock),
        store_host,
        region,
        delay_levels: Arc::clone(&levels),
        next_queue: AtomicU32::new(0),
    };
    let send_back = SendBack {
        settings: Arc::clone(&settings),
        topics: Arc::clone(&topics),
        groups: Arc::clone(&groups),
        store: Arc::clone(&store),
        arrivals: Arc::clone(&arrivals),
        waiters: Arc::clone(&waiters),
        delay_levels: Arc::clone(&levels),
        clock: Arc::clone(&clock),
        store_host,
        next_queue: AtomicU32::new(0),
    };
    let handlers = Arc::new(Handlers {
        send,
        send_back,
        pull,
        query: Query {
            settings: Arc::clone(&settings),
            store: Arc::clone(&store),
            in_flight: queries.clone(),
            turns: Arc::new(Semaphore::new(query::TURNS)),
            clock: Arc::clone(&clock),
        },
        client: ClientHandler {
            settings: Arc::clone(&settings),
            consumers: Arc::clone(&consumers),
            producers: Arc::clone(&producers),
            groups: Arc::clone(&groups),
            topics: Arc::clone(&topics),
            clock: Arc::clone(&clock),
        },
        offset: ConsumerOffset {
            offsets: Arc::clone(&offsets),
            store: Arc::clone(&store),
        },
        lock: Lock {
            locks: Arc::new(QueueLocks::default()),
            clock: Arc::clone(&clock),
        },
        topic: Topic {
            settings: Arc::clone(&settings),
            topics: Arc::clone(&topics),
            store: Arc::clone(&store),
            consumers: Arc::clone(&consumers),
            offsets: Arc::clone(&offsets),
            kept: Arc::clone(&kept_files),
            clock: Arc::clone(&clock),
        },
        group: Group {
            settings: Arc::clone(&settings),
            groups: Arc::clone(&groups),
            topics: Arc::clone(&topics),
            consumers,
            producers,
            offsets: Arc::clone(&offsets),
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
        },
        settings: SettingsRequests {
            config: Arc::new(ConfigStore::new(
                Arc::clone(&settings),
                Arc::clone(&store),
                disk.clone(),
                Arc::clone(&clock),
            )),
            registration: Arc::clone(&registration),
            clock: Arc::clone(&clock),
        },
        runtime: Runtime {
            settings: Arc::clone(&settings),
            store: Arc::clone(&store),
            stats: Arc::clone(&stats),
            waiters: Arc::clone(&waiters),
            hold: Arc::clone(&hold),
            pulls,
            queries,
            delay_offsets: Arc::clone(&delay_offsets),
            delay_levels: levels,
            clock: Arc::clone(&clock),
        },
    });
    Ok(Arc::new(Parts {
        settings,
        disk,
        clock,
        store,
        topics,
        groups,
        offsets,
        delay_offsets,
        kept: kept_files,
        registration,
        hold,
        waiters,
        arrivals,
        stats,
        handlers,
    }))
}

fn identity(settings: &Settings) -> Identity {
    let broker = &settings.broker;
    Identity {
        cluster: broker.broker_cluster_name.clone(),
        broker: broker.broker_name.clone(),
        auto_create: broker.auto_create_topic_enable,
        default_queues: broker.default_topic_queue_nums,
        cluster_topic: broker.cluster_topic_enable,
        broker_topic: broker.broker_topic_enable,
        lmq: settings.store.enable_lmq,
        trace_topic: broker
            .trace_topic_enable
            .then(|| broker.msg_trace_topic_name.clone()),
    }
}

/// The address written into records. A placeholder such as `*.*.*.*` (tutorials have it) is no address: 127.0.0.1 then.
fn store_host(settings: &Settings) -> SocketAddr {
    let text = settings.broker.broker_ip1.as_str();
    let ip = text.parse::<IpAddr>().unwrap_or_else(|_| {
        tracing::warn!("brokerIP1={text} is no IP address; message ids name 127.0.0.1");
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    });
    SocketAddr::new(ip, settings.server.listen_port as u16)
}

/// Opens both ports.
async fn listen(parts: &Arc<Parts>) -> Result<Vec<Server>, StartError> {
    let settings = parts.settings.snapshot();
    let port = settings.server.listen_port;
    let ports = [
        (
            "the broker",
            port,
            true,
            format!("Is another broker running here? Change listenPort={port} in its file."),
        ),
        (
            "the VIP listener",
            port - 2,
            false,
            format!("It is listenPort - 2; change listenPort={port} so that listenPort - 2 is free too."),
        ),
    ];
    let mut servers = Vec::new();
    for (what, port, pulls, hint) in ports {
        let service: Arc<dyn Service> = Arc::new(Port {
            handlers: Arc::clone(&parts.handlers),
            pulls,
        });
        let options = store_settings::server(&settings, port as u16).map_err(StartError::Setting)?;
        let address = options.bind;
        let bound = Server::bind(options, service).await;
        servers.push(bound.map_err(|cause| StartError::Bind {
            what,
            address,
            cause,
            hint,
        })?);
    }
    if let Some(problem) = ha_port_problem(&settings) {
        tracing::warn!("{problem}");
    }
    Ok(servers)
}

/// Says if the port of replication is somebody else's. Nothing listens there in this release, so it is no reason not to
/// start; several brokers of a guide on one host (10911 and 10912) would meet here.
fn ha_port_problem(settings: &Settings) -> Option<String> {
    let port = settings.store.ha_listen_port;
    let address = store_settings::server(settings, u16::try_from(port).ok()?)
        .ok()?
        .bind;
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }
    .ok()?;
    // Bound and not listening, it takes the port from nobody.
    socket.set_reuseaddr(true).ok()?;
    let cause = socket.bind(address).err()?;
    Some(format!(
        "port {port} of replication can not be had: {cause}. It is haListenPort, listenPort + 1 unless it is given; \
         change listenPort={} or haListenPort.",
        settings.server.listen_port
    ))
}

/// The threads around the store.
fn spawn_threads(parts: &Arc<Parts>, stopping: &Arc<AtomicBool>) -> std::io::Result<Vec<JoinHandle<()>>> {
    let flusher = Flusher {
        store: Arc::clone(&parts.store),
        waiters: Arc::clone(&parts.waiters),
        arrivals: Arc::clone(&parts.arrivals),
        settings: Arc::clone(&parts.settings),
        stopping: Arc::clone(stopping),
        runtime: tokio::runtime::Handle::current(),
    };
    let care = Arc::new(Care {
        store: Arc::clone(&parts.store),
        settings: Arc::clone(&parts.settings),
        care: Arc::clone(&parts.arrivals.care),
        allocate: Arc::clone(&parts.arrivals.allocate),
        stopping: Arc::clone(stopping),
        clock: Arc::clone(&parts.clock),
    });
    let allocate = Arc::clone(&care);
    let (arrivals, ends) = (Arc::clone(&parts.arrivals), Arc::clone(stopping));
    let runtime = tokio::runtime::Handle::current();
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    Ok(vec![
        thread("flush").spawn(move || flusher.run())?,
        thread("reput").spawn(move || {
            // A pull that is woken there may go on in the runtime.
            let _inside = runtime.enter();
            arrivals.run(&ends);
        })?,
        thread("allocate").spawn(move || allocate.run_allocate())?,
        thread("care").spawn(move || care.run_care())?,
    ])
}

/// One task a configuration file.
fn spawn_savers(parts: &Arc<Parts>, tasks: &TaskTracker, stop: &CancellationToken) {
    let settings = parts.settings.load();
    let period = |ms: i64| Some(Duration::from_millis(ms.max(100) as u64));
    let offsets_each = period(i64::from(settings.broker.flush_consumer_offset_interval));
    let delays_each = period(settings.store.flush_delay_offset_interval);
    let save = |saver: fn(&Parts) -> &Saver, render: fn(&Parts) -> Vec<u8>, each| {
        let (parts, stop) = (Arc::clone(parts), stop.clone());
        tasks.spawn(async move {
            saver(&parts)
                .run(parts.disk.clone(), || render(&parts), each, stop)
                .await;
        });
    };
    save(|p| p.topics.saver(), |p| persist::pretty(&p.topics.file()), None);
    save(|p| p.groups.saver(), |p| persist::pretty(&p.groups.file()), None);
    save(
        |p| p.offsets.saver(),
        |p| p.offsets.text(p.clock.now_ms()),
        offsets_each,
    );
    save(
        |p| p.delay_offsets.saver(),
        |p| p.delay_offsets.text(p.clock.now_ms()),
        delays_each,
    );
    for number in 0..KeptFiles::COUNT {
        let (parts, stop) = (Arc::clone(parts), stop.clone());
        tasks.spawn(async move {
            let file: &dyn KeptFile = parts.kept.files()[number];
            file.saver()
                .run(parts.disk.clone(), || file.text(), None, stop)
                .await;
        });
    }
}

/// Calls `tick` each `period` until the broker stops.
fn each(
    parts: &Arc<Parts>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
    period: Duration,
    tick: impl Fn(&Parts) + std::marker::Send + 'static,
) {
    let (parts, stop) = (Arc::clone(parts), stop.clone());
    tasks.spawn(async move {
        let mut timer = tokio::time::interval(period);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = timer.tick() => tick(&parts),
            }
        }
    });
}

fn spawn_tickers(parts: &Arc<Parts>, tasks: &TaskTracker, stop: &CancellationToken) {
    spawn_expiry(parts, tasks, stop);
    each(parts, tasks, stop, Duration::from_secs(1), |p| {
        let now = p.clock.now_ms();
        p.stats.tick(now, local_day(now));
    });
    spawn_health(parts, tasks, stop);
    each(parts, tasks, stop, Duration::from_secs(10), |p| {
        p.handlers.client.expire();
        let span = p.settings.load().broker.filter_data_clean_time_span;
        p.kept.age(p.clock.now_ms(), span, &p.topics, &p.groups);
    });
    let delivery = Arc::new(Delivery {
        store: Arc::clone(&parts.store),
        arrivals: Arc::clone(&parts.arrivals),
        offsets: Arc::clone(&parts.delay_offsets),
        levels: Arc::clone(&parts.handlers.runtime.delay_levels),
        clock: Arc::clone(&parts.clock),
        waiters: Arc::clone(&parts.waiters),
    });
    if !parts.settings.load().is_slave() {
        tasks.spawn(delivery.run(stop.clone()));
    }
}

/// Looks whether the store takes messages, and tells the log and the name servers when that changes.
fn spawn_health(parts: &Arc<Parts>, tasks: &TaskTracker, stop: &CancellationToken) {
    let (p, stop) = (Arc::clone(parts), stop.clone());
    let mut writable = p.store.health().is_writable();
    tasks.spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(HEALTH_EACH) => {}
            }
            let (store, now) = (Arc::clone(&p.store), p.clock.now_ms());
            // A file system that hangs must not hold up a worker.
            let looked = tokio::task::spawn_blocking(move || {
                store.tick_disk(now);
                store.health()
            });
            let Ok(health) = looked.await else { continue };
            if std::mem::replace(&mut writable, health.is_writable()) == writable {
                continue;
            }
            match health.problem() {
                Some(problem) => tracing::error!("sends are refused, name servers are told: {problem}"),
                None => tracing::info!("sends are taken again, name servers are told"),
            }
            p.registration.announce(p.clock.now_ms());
        }
    });
}

/// Number of the day at this place, which the totals of `clusterList -m` change with.
fn local_day(now_ms: i64) -> i64 {
    (now_ms + disk::local_offset_ms(now_ms)).div_euclid(86_400_000)
}

fn log_recovery(report: &store::RecoveryReport, consumequeue_file_size: i64) {
    let stop = if report.clean {
        "a clean stop"
    } else {
        "an unclean stop"
    };
    tracing::info!(
        "store opened after {stop}: {} log files, {} queues, log read from {} to {} ({} records), {} units built",
        report.log_files,
        report.queues,
        report.scan_start,
        report.log_end,
        report.records,
        report.units_built,
    );
    for (size, queues) in &report.other_sizes {
        tracing::info!(
            "{queues} consumequeues have files of {size} bytes where mappedFileSizeConsumeQueue says \
             {consumequeue_file_size}; they go on with {size}"
        );
    }
    if let Some(size) = report.other_log_file_size {
        tracing::info!(
            "commitlog files have {size} bytes, which is not what mappedFileSizeCommitLog says; the log goes on with {size}"
        );
    }
    for line in report.warnings() {
        tracing::warn!("{line}");
    }
    for (what, paths) in [
        ("removed", &report.removed),
        ("made whole", &report.extended),
        ("left alone", &report.ignored),
    ] {
        for path in paths {
            tracing::warn!("{what} at start: {}", path.display());
        }
    }
}

/// Ends what has waited too long. An idle broker sleeps here.
fn spawn_expiry(parts: &Arc<Parts>, tasks: &TaskTracker, stop: &CancellationToken) {
    let (p, token) = (Arc::clone(parts), stop.clone());
    tasks.spawn(async move {
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                () = p.hold.wait_for_any() => {}
            }
            tokio::time::sleep(Duration::from_millis(hold::TICK_MS)).await;
            for pull in p.hold.take_expired(p.clock.now_ms()) {
                p.handlers.pull.again(pull);
            }
        }
    });
    let (p, token) = (Arc::clone(parts), stop.clone());
    tasks.spawn(async move {
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                () = p.waiters.wait_for_any() => {}
            }
            tokio::time::sleep(Duration::from_millis(flush::TICK_MS)).await;
            let limit = i64::from(p.settings.load().store.sync_flush_timeout);
            p.waiters.expire(p.clock.now_ms(), limit);
        }
    });
}

impl Broker {
    /// Stops in reverse order: no new clients, no waiting answers, everything on disk, tables saved.
    pub async fn stop(self) {
        self.parts.registration.unregister().await;
        for pull in self.parts.hold.take_all() {
            self.parts.handlers.pull.again(pull);
        }
        for server in self.servers {
            server.shutdown(CONNECTIONS_STOP).await;
        }
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(TASKS_STOP, self.tasks.wait()).await.is_err() {
            tracing::warn!("some tasks did not stop within {TASKS_STOP:?}");
        }
        self.stopping.store(true, Ordering::Release);
        self.parts.waiters.nudge();
        self.parts.arrivals.care.nudge();
        self.parts.arrivals.allocate.nudge();
        self.parts.arrivals.rest.nudge();
        let (threads, parts) = (self.threads, self.parts);
        let closed = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let name = thread.thread().name().unwrap_or_default().to_owned();
                if thread.join().is_err() {
                    tracing::error!("thread {name} had panicked");
                }
            }
            parts.store.shutdown()
        });
        match closed.await {
            Ok(Ok(())) => tracing::info!("the store is closed"),
            Ok(Err(e)) => tracing::error!("the store is closed, but the next start will recover: {e}"),
            Err(e) => tracing::error!("the store's shutdown failed: {e}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_replication_port_is_named_with_its_setting() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let taken = other.local_addr().expect("bound").port();
        let mut settings = Settings::default();
        settings.server.bind_address = "127.0.0.1".to_owned();
        settings.server.listen_port = i32::from(taken) - 1;
        settings.store.ha_listen_port = i32::from(taken);
        let problem = ha_port_problem(&settings).expect("the port is taken");
        let parts = [
            taken.to_string(),
            format!("listenPort={}", taken - 1),
            "haListenPort".to_owned(),
        ];
        assert!(parts.iter().all(|part| problem.contains(part)), "{problem}");
        drop(other);
        assert_eq!(ha_port_problem(&settings), None);
    }
}
