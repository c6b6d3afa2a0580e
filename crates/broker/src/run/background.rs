//! The threads and tasks of a running broker: short loops around the parts.

use std::sync::Arc;
use std::time::Duration;

use disk::Disk;
use ha::Need;
use process::Pulse;
use remoting::tls::ServerTls;
use store::Fate;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::parts::{Parts, local_day};
use super::{Standing, StartError};
use crate::delay::QuietUntil;
use crate::replication::ReplicationPort;
use crate::supervisor::Supervisor;
use crate::tables::{ConfigFile, save};

/// How often the disk's level is looked at: writes go on within a second after space came back, even if a look or two
/// come late.
/// How long after the time of `shutdownDrainMillis` the stop may come that `/drain` was asked for.
const STOPS_AFTER_DRAIN: Duration = Duration::from_secs(60);
const HEALTH_EACH: Duration = Duration::from_millis(250);
/// How often the files of accounts are looked at: Java's cadence.
const ACCESS_EACH: Duration = Duration::from_secs(5);
/// Of these looks one in so many looks at the log's files, too.
const LOG_FILES_EACH: u64 = 4;
/// How often expired pulls are looked for.
const HOLD_EACH: Duration = Duration::from_millis(100);
/// How often answers that wait too long are looked for.
const ANSWERS_EACH: Duration = Duration::from_millis(50);
/// How often clients that fell silent are looked for, and tables cleaned.
const CLIENTS_EACH: Duration = Duration::from_secs(10);
/// How often statistics are sampled.
const SAMPLES_EACH: Duration = Duration::from_secs(10);
/// How often groups are looked at that read too far behind.
const SLOW_GROUPS_EACH: Duration = Duration::from_secs(180);
/// Least time between two writes of one file that a period asks for, ms.
const SAVE_EACH_LEAST_MS: i64 = 100;
/// When a file that could not be written is tried again.
const SAVE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The threads around the store.
pub(super) fn start_threads<D: Disk + Clone>(
    parts: &Arc<Parts<D>>,
    supervisor: &Supervisor,
) -> std::io::Result<()> {
    let start = |name, body: fn(&Parts<D>)| {
        let (parts, runtime) = (Arc::clone(parts), tokio::runtime::Handle::current());
        supervisor.thread(name, move || {
            // What is woken there may go on in the runtime.
            let _inside = runtime.enter();
            body(&parts);
        })
    };
    if parts.settings.load().is_slave() {
        let (follower, stop) = (
            Arc::clone(&parts.replication.follower),
            supervisor.stopping().clone(),
        );
        supervisor.thread("replication", move || follower.run(&stop))?;
    }
    start("flush", |parts| parts.log.flusher.run())?;
    start("reput", |parts| parts.log.reput.run(&parts.stopping))?;
    start("allocate", |parts| parts.log.maintenance.run_allocate())?;
    start("maintenance", |parts| parts.log.maintenance.run_maintenance())
}

/// One task a configuration file.
pub(super) fn start_savers<D: Disk + Clone>(parts: &Arc<Parts<D>>, supervisor: &Supervisor) {
    for (file, period) in &parts.files {
        let period = period.map(|ms| Duration::from_millis(ms.max(SAVE_EACH_LEAST_MS) as u64));
        let (parts, file) = (Arc::clone(parts), Arc::clone(file));
        supervisor.task("saver", move |stop| {
            keep_saved(Arc::clone(&parts), Arc::clone(&file), period, stop)
        });
    }
}

/// Writes a file whenever it changed: at once when a change asks for it, else each `period`. Ends after a last write.
async fn keep_saved<D: Disk + Clone>(
    parts: Arc<Parts<D>>,
    file: Arc<dyn ConfigFile>,
    period: Option<Duration>,
    stop: CancellationToken,
) {
    let mut wait = Duration::ZERO;
    loop {
        let pause = async {
            match period {
                Some(period) => tokio::time::sleep(period).await,
                None => std::future::pending().await,
            }
        };
        if wait.is_zero() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = file.saver().wait_for_change() => {}
                () = pause => {}
            }
        } else {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        wait = match write(&parts, &file).await {
            true => Duration::ZERO,
            false => SAVE_AGAIN_AFTER,
        };
        if stop.is_cancelled() {
            return;
        }
    }
}

/// Writes a file if it changed; false if it could not be written.
async fn write<D: Disk + Clone>(parts: &Arc<Parts<D>>, file: &Arc<dyn ConfigFile>) -> bool {
    if !file.saver().is_behind() {
        return true;
    }
    let (parts, file) = (Arc::clone(parts), Arc::clone(file));
    // The text grows with the table, and the disk may be slow.
    let saved = tokio::task::spawn_blocking(move || {
        let is_in_config = file.saver().path().starts_with(parts.config.path());
        if is_in_config && parts.look_at_config() == Standing::Other {
            return false;
        }
        let now = parts.clock.now_ms();
        save(file.as_ref(), &parts.disk, now).is_ok()
    });
    match saved.await {
        Ok(saved) => saved,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Everything that happens in its own time.
pub(super) fn start_tasks<D: Disk + Clone>(parts: &Arc<Parts<D>>, supervisor: &Supervisor) {
    let start = |name: &'static str, period: Duration, tick: fn(&Parts<D>)| {
        let parts = Arc::clone(parts);
        supervisor.task(name, move |stop| each(Arc::clone(&parts), period, tick, stop));
    };
    start("stats", Duration::from_secs(1), |parts| {
        let now = parts.clock.now_ms();
        parts.log.stats.tick(now, local_day(now));
    });
    start("clients", CLIENTS_EACH, |parts| {
        let now = parts.clock.now_ms();
        parts.expire_clients();
        parts.clients.locks.expire(now);
        let span = parts.settings.load().broker.filter_data_clean_time_span;
        parts.filters.clean(span);
        parts.dormant.age(now, &parts.tables.topics, &parts.tables.groups);
        let topics = &parts.tables.topics;
        parts.open_halves.retain(|topic| topics.get(topic).is_some());
    });
    let p = Arc::clone(parts);
    supervisor.task("statistics", move |stop| sample_stats(Arc::clone(&p), stop));
    start("slow groups", SLOW_GROUPS_EACH, Parts::stop_slow_groups);
    let p = Arc::clone(parts);
    supervisor.task("held pulls", move |stop| expire_pulls(Arc::clone(&p), stop));
    let p = Arc::clone(parts);
    supervisor.task("late answers", move |stop| expire_answers(Arc::clone(&p), stop));
    start("replication", Duration::from_secs(1), Parts::tick_replication);
    if parts.settings.load().broker.drain_by_http_enable {
        let p = Arc::clone(parts);
        supervisor.task("drain", move |stop| drain_when_asked(Arc::clone(&p), stop));
    }
    if parts.access.files.is_some() {
        let p = Arc::clone(parts);
        supervisor.task("access control", move |stop| watch_access(Arc::clone(&p), stop));
    }
    let p = Arc::clone(parts);
    if parts.settings.load().is_slave() {
        supervisor.task("tables of the master", move |stop| {
            let metadata = Arc::clone(&p.replication.metadata);
            async move { metadata.run(stop).await }
        });
    } else {
        supervisor.task("delayed messages", move |stop| deliver(Arc::clone(&p), stop));
        let p = Arc::clone(parts);
        supervisor.task("tables for slaves", move |stop| tell_slaves(Arc::clone(&p), stop));
        let p = Arc::clone(parts);
        supervisor.task("transaction checks", move |stop| {
            check_halves(Arc::clone(&p), stop)
        });
    }
}

/// Sends producers away when somebody asks for that, and takes them back where no stop follows.
async fn drain_when_asked<D: Disk>(parts: Arc<Parts<D>>, stop: CancellationToken) {
    let registration = &parts.registration;
    let asked = async {
        loop {
            registration.asked_for_drain().await;
            let most_ms = parts.settings.load().broker.shutdown_drain_millis;
            if !registration.has_other_master().await {
                tracing::info!("/drain was asked for: no other master is known, producers are not sent away");
                continue;
            }
            registration.drain(parts.clock.now_ms());
            tracing::info!("/drain was asked for: name servers send producers to other masters");
            let stops_within = Duration::from_millis(most_ms.max(0).unsigned_abs()) + STOPS_AFTER_DRAIN;
            tokio::time::sleep(stops_within).await;
            registration.end_drain(parts.clock.now_ms());
            tracing::warn!("no stop came within {stops_within:?} of /drain: producers are taken again");
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = asked => {}
    }
}

/// Says each second that the workers work.
pub(super) fn start_pulse(pulse: &Pulse, supervisor: &Supervisor) {
    let pulse = pulse.clone();
    supervisor.task("pulse", move |stop| {
        let pulse = pulse.clone();
        async move {
            tokio::select! {
                () = stop.cancelled() => {}
                never = pulse.beat() => match never {},
            }
        }
    });
}

/// Reads certificates again when their files change.
pub(super) fn follow_certificates(tls: Option<Arc<ServerTls>>, supervisor: &Supervisor) {
    let Some(tls) = tls.filter(|tls| tls.has_files()) else {
        return;
    };
    supervisor.task("certificates", move |stop| {
        let tls = Arc::clone(&tls);
        async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tls.watch() => {}
            }
        }
    });
}

/// Takes slaves' connections.
pub(super) fn serve_slaves<D: Disk + Clone>(
    parts: &Arc<Parts<D>>,
    port: ReplicationPort,
    supervisor: &Supervisor,
) -> Result<(), StartError> {
    let number = port.number().map_err(|e| StartError::Bind(e.to_string()))?;
    parts.registration.replication_moved(number, parts.clock.now_ms());
    let (slaves, port) = (Arc::clone(&parts.replication.slaves), Arc::new(Mutex::new(port)));
    supervisor.task("slaves", move |stop| {
        let (slaves, port) = (Arc::clone(&slaves), Arc::clone(&port));
        async move { slaves.run(&mut *port.lock().await, stop).await }
    });
    Ok(())
}

/// Keeps the name servers informed.
pub(super) fn start_registration<D: Disk + Clone>(parts: &Arc<Parts<D>>, supervisor: &Supervisor) {
    let parts = Arc::clone(parts);
    supervisor.task("registration", move |stop| {
        let registration = Arc::clone(&parts.registration);
        async move { registration.run(stop).await }
    });
}

/// Calls `tick` each `period` until the broker stops.
async fn each<D: Disk>(parts: Arc<Parts<D>>, period: Duration, tick: fn(&Parts<D>), stop: CancellationToken) {
    let mut timer = tokio::time::interval(period);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = timer.tick() => tick(&parts),
        }
    }
}

/// Takes the samples of topics' and groups' statistics.
async fn sample_stats<D: Disk>(parts: Arc<Parts<D>>, stop: CancellationToken) {
    let mut timer = tokio::time::interval(SAMPLES_EACH);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = timer.tick() => {}
        }
        let (stats, now) = (Arc::clone(&parts.log.stats), parts.clock.now_ms());
        // It grows with the topics and groups.
        if let Err(panic) = tokio::task::spawn_blocking(move || stats.items.sample(now)).await {
            std::panic::resume_unwind(panic.into_panic());
        }
    }
}

/// Answers slaves that wait for a change of the tables.
async fn tell_slaves<D: Disk + Clone>(parts: Arc<Parts<D>>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            due = parts.replication.slaves.copies().due() => {
                due.into_iter().for_each(|request| parts.handlers.answer_look(request));
            }
        }
    }
}

/// Answers pulls that have waited long enough. An idle broker sleeps here.
async fn expire_pulls<D: Disk + Clone>(parts: Arc<Parts<D>>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = parts.hold.wait_for_any() => {}
        }
        tokio::time::sleep(HOLD_EACH).await;
        for pull in parts.hold.take_expired(parts.clock.now_ms()) {
            parts.handlers.pull_again(pull);
        }
    }
}

/// Answers requests that wait too long for the disk or the name servers. An idle broker sleeps here.
async fn expire_answers<D: Disk>(parts: Arc<Parts<D>>, stop: CancellationToken) {
    let (answers, tables) = (&parts.log.appender.acknowledgements, &parts.tables);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = answers.wait_for_any() => {}
            () = tables.topics.wait_for_any() => {}
            () = tables.groups.saver().wait_for_any() => {}
            () = tables.offsets.saver().wait_for_any() => {}
        }
        tokio::time::sleep(ANSWERS_EACH).await;
        parts.expire_answers();
    }
}

impl<D: Disk> Parts<D> {
    /// Closes the connections of clients that have sent no heartbeat for too long.
    pub fn expire_clients(&self) {
        self.handlers.client.expire();
    }

    /// Stops the groups that have read too far behind since the last call, where the settings want that.
    pub fn stop_slow_groups(&self) {
        self.handlers.admin.group.stop_slow();
    }
}

impl<D: Disk + Clone> Parts<D> {
    /// What replication does each second: counts, keeps the history of roles, and says when sends begin or cease to have a slave.
    pub fn tick_replication(&self) {
        let (store, replication) = (&self.log.store, &self.replication);
        let acknowledgements = &self.log.appender.acknowledgements;
        replication.slaves.tick();
        replication.link.tick();
        let acknowledged = acknowledgements.replicated_to(1);
        replication.history.note(acknowledged, store.min_physical().0);
        let settings = self.settings.load();
        let Some(rule) = settings.replication_rule() else {
            return;
        };
        let code = match acknowledgements.need(rule, store.max_physical()) {
            Need::Nothing | Need::Slaves(_) => "",
            Need::NotAvailable => {
                "answered SLAVE_NOT_AVAILABLE: no slave is connected that has nearly all of the log"
            }
            Need::NotEnough => "refused: fewer brokers than minInSyncReplicas have nearly all of the log",
        };
        let said = std::mem::replace(&mut *replication.said.lock(), code);
        match (said, code) {
            (said, code) if said == code => {}
            (_, "") => tracing::info!("a slave has nearly all of the log: sends wait for it"),
            (_, code) => tracing::warn!("this is a SYNC_MASTER, and sends are {code}"),
        }
    }
}

impl<D: Disk> Parts<D> {
    /// Answers requests that have waited too long for the disk or the name servers.
    pub fn expire_answers(&self) {
        let now = self.clock.now_ms();
        self.log.appender.acknowledgements.expire(now);
        self.tables.topics.expire(now);
        self.tables.groups.saver().expire(now);
        self.tables.offsets.saver().expire(now);
    }
}

impl<D: Disk> Parts<D> {
    /// Looks at `config/`. Where it is made again, all its files are written.
    fn look_at_config(&self) -> Standing {
        let standing = self.config.look();
        if standing == Standing::MadeAgain {
            for (file, _) in &self.files {
                file.saver().touch();
            }
        }
        standing
    }
}

/// What there is to say when a folder of the store has gone from under the broker: what the broker acknowledges nobody would find,
/// and it would write over what lies there now. The next start opens what is there.
fn lost_folder<D: Disk>(parts: &Parts<D>) -> Option<String> {
    if parts.look_at_config() == Standing::Other {
        let lost = super::other_config(parts.config.path());
        return Some(format!(
            "{lost}. The broker ends, for what it wrote now would take the place of what lies there"
        ));
    }
    let path = parts.log.store.lost_dir()?;
    Some(format!(
        "{} is not the folder any more that this broker has opened: it was moved or removed, or another file system is mounted over \
         it. The broker ends, for what it stored now would be lost",
        path.display()
    ))
}

/// Looks after the disk. What is handed out says that a folder of the store is lost, and why.
pub(super) fn look_after_the_disk<D: Disk + Clone>(
    parts: &Arc<Parts<D>>,
    supervisor: &Supervisor,
) -> watch::Receiver<Option<String>> {
    let (lost, told) = watch::channel(None);
    let (p, lost) = (Arc::clone(parts), Arc::new(lost));
    supervisor.task("disk health", move |stop| {
        watch_health(Arc::clone(&p), Arc::clone(&lost), stop)
    });
    told
}

/// Looks after the files of the log that somebody removes.
fn tell_of_lost_files<D: Disk>(store: &store::Store<D>) {
    for lost in store.look_after_log_files() {
        match lost.fate {
            Fate::Expires => tracing::warn!("{lost}"),
            Fate::Saved | Fate::NotSaved(_) => tracing::error!("{lost}"),
        }
    }
}

/// Looks whether the store takes messages, and tells the log and the name servers when that changes.
async fn watch_health<D: Disk>(
    parts: Arc<Parts<D>>,
    lost: Arc<watch::Sender<Option<String>>>,
    stop: CancellationToken,
) {
    let (mut writable, mut looks) = (parts.log.store.health().is_writable(), 0_u64);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(HEALTH_EACH) => {}
        }
        looks += 1;
        let (p, looks_at_files) = (Arc::clone(&parts), looks % LOG_FILES_EACH == 0);
        // A file system that hangs must not hold up a worker.
        let looked = tokio::task::spawn_blocking(move || {
            let (store, lost) = (&p.log.store, lost_folder(&p));
            if lost.is_none() {
                store.tick_disk(p.clock.now_ms());
                if looks_at_files {
                    tell_of_lost_files(store);
                    if let Err(error) = store.save_damaged_units() {
                        tracing::warn!(
                            "consumequeues that the next start is to build again are not noted: {error}"
                        );
                    }
                }
            }
            (lost, store.health())
        });
        let Ok((gone, health)) = looked.await else {
            continue;
        };
        if gone.is_some() {
            lost.send_replace(gone);
        }
        if std::mem::replace(&mut writable, health.is_writable()) == writable {
            continue;
        }
        match health.problem() {
            Some(problem) => tracing::error!("sends are refused, name servers are told: {problem}"),
            None => tracing::info!("sends are taken again, name servers are told"),
        }
        parts.registration.announce(parts.clock.now_ms());
    }
}

/// Puts changed files of accounts in force.
async fn watch_access<D: Disk + Clone>(parts: Arc<Parts<D>>, stop: CancellationToken) {
    let Some(access) = &parts.access.files else { return };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ACCESS_EACH) => {}
        }
        let access = Arc::clone(access);
        // Files may have to come from the disk.
        if let Err(panic) = tokio::task::spawn_blocking(move || access.look()).await {
            std::panic::resume_unwind(panic.into_panic());
        }
    }
}

/// Delivers delayed messages: sleeps until the next one is due or a new one is parked.
async fn deliver<D: Disk>(parts: Arc<Parts<D>>, stop: CancellationToken) {
    let mut quiet = QuietUntil::default();
    while !stop.is_cancelled() {
        let pause = parts.delivery.pause_ms(&quiet);
        if pause > 0 {
            tokio::select! {
                () = stop.cancelled() => return,
                () = parts.parked.wait() => {}
                () = tokio::time::sleep(Duration::from_millis(pause as u64)) => {}
            }
            continue;
        }
        let delivery = Arc::clone(&parts.delivery);
        let mut times = quiet.clone();
        // Reading old records may wait for the disk.
        let looked = tokio::task::spawn_blocking(move || {
            delivery.look(&mut times);
            times
        });
        quiet = match looked.await {
            Ok(times) => times,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
    }
}

/// Asks for half messages that nobody ends. A broker without open transactions sleeps here.
async fn check_halves<D: Disk>(parts: Arc<Parts<D>>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let pause = parts.checks.pause_ms();
        if pause != Some(0) {
            let pause = async {
                match pause {
                    Some(ms) => tokio::time::sleep(Duration::from_millis(ms as u64)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = parts.checks.listener.wait() => {}
                () = pause => {}
            }
            continue;
        }
        let checks = Arc::clone(&parts.checks);
        // Reading old records may wait for the disk.
        if let Err(panic) = tokio::task::spawn_blocking(move || checks.look()).await {
            std::panic::resume_unwind(panic.into_panic());
        }
    }
}
