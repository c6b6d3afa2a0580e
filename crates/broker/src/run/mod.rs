//! Starts a broker and stops it: parts in order, then the threads and tasks around them, and the same in reverse.

mod background;
mod config_folder;
mod observe;
mod parts;
mod ports;
mod recovery;
mod state;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use disk::{Disk, MmapDisk, SystemClock};
use remoting::Server;
use tokio::sync::watch;

pub use config_folder::{ConfigFolder, Standing};
pub(crate) use parts::read_files;
pub use parts::{Log, Parts, Replication, Surroundings};
use ports::Ports;
pub(crate) use recovery::was_used;
pub use state::State;

use crate::commitlog::{OpenProgress, OpenThreads};
use crate::handlers::admin::limits::Traffic;
use crate::lane::Workers;
use crate::observe::Recovered;
use crate::registration::FIRST_WITHIN;
use crate::settings::Settings;
use crate::supervisor::{self, Supervisor};
use crate::tables::{ConfigFile, LoadError, save_at_the_end};

/// Time the connections get to finish at stop.
const CONNECTIONS_STOP: Duration = Duration::from_secs(3);
/// Time that requests in lanes get to finish at stop, when nobody waits for their answers any more.
const LANES_STOP: Duration = Duration::from_secs(10);
/// Time the slaves get for the last changes of the tables at stop.
const TABLES_STOP: Duration = Duration::from_secs(2);
/// Time the slaves get for what is left of the log at stop.
const SLAVES_STOP: Duration = Duration::from_secs(3);
/// Time that pulls get to arrive and be refused at stop: whoever has just had an answer asks once more.
const PULLS_STOP: Duration = Duration::from_millis(100);
/// How often a drain looks whether there are producers yet.
const DRAIN_LOOK_EACH: Duration = Duration::from_millis(100);
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
    Config(#[from] LoadError),
    /// Access control.
    #[error("{0}")]
    Access(#[from] crate::access::StartError),
    /// A port.
    #[error("{0}")]
    Bind(String),
    /// A thread.
    #[error("a thread can not be started: {0}")]
    Thread(std::io::Error),
}

/// Why a stop is not a clean one.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// Writes had ended before.
    #[error("the store is closed, but the next start will recover: {0}")]
    Latched(#[from] store::Latched),
    /// Files under `config/`.
    #[error(
        "not everything is on the disk, and the next start does not know it: {0} could not be written and is as old as its last write"
    )]
    Unsaved(String),
}

/// A running broker.
pub struct Broker<D: Disk = MmapDisk> {
    started: Instant,
    supervisor: Supervisor,
    server: Server,
    parts: Arc<Parts<D>>,
    /// Ends the threads of a broker that is dropped and not stopped.
    threads: Threads<D>,
    /// Metrics and health.
    listener: Option<metrics::Listener>,
    pulse: process::Pulse,
    /// A folder of the store that has gone from under the broker.
    lost: watch::Receiver<Option<String>>,
    /// What whoever started it should read beside the line that it has started.
    news: Option<String>,
}

/// Starts a broker with these settings. When this returns it serves.
pub async fn start(settings: Settings) -> Result<Broker, StartError> {
    start_on(settings, MmapDisk::default()).await
}

/// As [`start`], on this disk.
pub async fn start_on<D: Disk + Clone>(settings: Settings, disk: D) -> Result<Broker<D>, StartError> {
    let started = Instant::now();
    let (ports, replication) = Ports::bind(&settings)?;
    let told_at = observe::bind(&settings);
    let runtime = tokio::runtime::Handle::current();
    // Recovery takes its time.
    let (traffic, tls) = (ports.traffic(), ports.tls.clone());
    let opened =
        tokio::task::spawn_blocking(move || open(settings, disk, Workers::Threads(runtime), traffic));
    let (parts, recovered, news) = match opened.await {
        Ok(opened) => opened?,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    let parts = Arc::new(parts);
    let supervisor = Supervisor::new(Arc::new(supervisor::abort));
    background::start_threads(&parts, &supervisor).map_err(StartError::Thread)?;
    let server = ports.serve(&parts.handlers);
    // What recovery found and built no units for.
    parts.log.reput.all();
    background::start_savers(&parts, &supervisor);
    let pulse = process::Pulse::default();
    background::start_tasks(&parts, &supervisor);
    let lost = background::look_after_the_disk(&parts, &supervisor);
    background::start_pulse(&pulse, &supervisor);
    background::follow_certificates(tls.clone(), &supervisor);
    let replication = replication.take(&parts.settings.snapshot());
    background::serve_slaves(&parts, replication.with_tls(tls), &supervisor)?;
    let first = tokio::time::timeout(FIRST_WITHIN, parts.registration.tell_all()).await;
    if first.is_err() {
        tracing::warn!("not every name server answered within {FIRST_WITHIN:?}; registration goes on");
    }
    background::start_registration(&parts, &supervisor);
    let mut broker = Broker {
        started,
        supervisor,
        server,
        threads: Threads(Arc::clone(&parts)),
        parts,
        listener: None,
        pulse,
        lost,
        news,
    };
    if let Some(bound) = told_at {
        broker.listen(bound, recovered).map_err(StartError::Thread)?;
    }
    Ok(broker)
}

fn open<D: Disk + Clone>(
    settings: Settings,
    disk: D,
    workers: Workers,
    traffic: Traffic,
) -> Result<(Parts<D>, Recovered, Option<String>), StartError> {
    let begun = Instant::now();
    let queue_file_size = i64::from(settings.store.mapped_file_size_consume_queue);
    let progress = OpenProgress::new(Instant::now());
    let helpers = store::Helpers {
        parallel: &OpenThreads,
        progress: &|done| progress.note(done),
    };
    let surroundings = Surroundings {
        disk,
        clock: Arc::new(SystemClock),
        workers,
        traffic,
    };
    let root = PathBuf::from(&settings.store.store_path_root_dir);
    let was_used = was_used(&surroundings.disk, &root);
    let (parts, report) = Parts::assemble(settings, surroundings, &helpers)?;
    let news = recovery::log_recovery(&report, queue_file_size, (&root, was_used));
    Ok((parts, Recovered::of(&report, begun.elapsed()), news))
}

impl<D: Disk + Clone> Broker<D> {
    /// What its page of state is made of.
    pub fn state(&self) -> State<D> {
        State {
            started: self.started,
            parts: Arc::clone(&self.parts),
            task_panics: self.supervisor.panics(),
        }
    }

    fn listen(&mut self, bound: metrics::Bound, recovered: Recovered) -> std::io::Result<()> {
        let told = observe::Told {
            recovered,
            pulse: self.pulse.clone(),
            state: self.state(),
        };
        self.listener = Some(observe::serve(bound, &self.parts, told)?);
        Ok(())
    }

    /// What whoever started it should read beside the line that it has started; the log has it, too.
    pub fn news(&self) -> Option<&str> {
        self.news.as_deref()
    }

    /// What is missing before the broker is ready; empty: it is.
    pub fn missing(&self) -> Vec<String> {
        observe::readiness(&self.parts).missing()
    }

    /// Waits until a folder of the store has gone from under the broker, and says which. The process has to end then, and at once: a
    /// stop would write into what lies there now.
    pub async fn lost_folder(&self) -> String {
        let mut lost = self.lost.clone();
        match lost.wait_for(Option::is_some).await.map(|text| text.clone()) {
            Ok(Some(text)) => text,
            // Nobody looks any more.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Does a name server know another master that takes producers?
    pub async fn has_other_master(&self) -> bool {
        self.parts.registration.has_other_master().await
    }

    /// Sends producers to other brokers and gives them the time of `shutdownDrainMillis` to go there. Sends are served all the while.
    /// Who has nobody to send away, or nowhere to send them, does not wait.
    pub async fn drain(&self) {
        let parts = &self.parts;
        let settings = parts.settings.snapshot();
        let most_ms = settings.broker.shutdown_drain_millis;
        let has_producers = || !parts.clients.producers.clients().is_empty();
        if most_ms == 0 || settings.is_slave() || !has_producers() {
            return;
        }
        if !parts.registration.has_other_master().await {
            tracing::info!("no other master is known: producers are not sent away");
            return;
        }
        let until = parts.registration.drain(parts.clock.now_ms()) + most_ms;
        tracing::info!("name servers send producers to other masters; they have {most_ms} ms for that");
        while has_producers() && parts.clock.now_ms() < until {
            tokio::time::sleep(DRAIN_LOOK_EACH).await;
        }
    }

    /// Stops in reverse order: no new clients, no waiting answers, everything with the slaves and on disk, tables saved. Gives what whoever
    /// stops it has to know: tables that could not be written.
    pub async fn stop(self) -> Option<String> {
        let Broker {
            started: _,
            supervisor,
            server,
            parts,
            threads,
            mut listener,
            pulse: _,
            lost: _,
            news: _,
        } = self;
        let connected = parts.clients.consumers.connections();
        let pulls_until = match connected.is_empty() {
            true => Instant::now(),
            false => Instant::now() + PULLS_STOP,
        };
        parts.connections.note(connected, parts.clock.now_ms());
        for pull in parts.hold.close() {
            parts.handlers.pull_again(pull);
        }
        parts.registration.unregister().await;
        // What the broker does by itself; it may be in the middle of it.
        let own = Arc::clone(&parts);
        let ended = tokio::task::spawn_blocking(move || {
            own.delivery.end();
            own.checks.end();
        });
        if let Err(e) = ended.await {
            tracing::warn!("delayed messages and transaction checks were not ended: {e}");
        }
        tokio::time::sleep_until(pulls_until.into()).await;
        server.close_clients(CONNECTIONS_STOP).await;
        // Nobody commits or makes anything any more, and slaves can still ask.
        let own = Arc::clone(&parts);
        let settled = tokio::task::spawn_blocking(move || {
            own.log.flusher.flush(0);
            own.checks.settle();
        });
        if let Err(e) = settled.await {
            tracing::warn!("how far transactions were checked is not settled: {e}");
        }
        parts.replication.slaves.copies().drain(TABLES_STOP).await;
        server.shutdown(CONNECTIONS_STOP).await;
        if !supervisor.stop_tasks(TASKS_STOP).await {
            tracing::warn!("some tasks did not stop within {TASKS_STOP:?}");
        }
        let handlers = Arc::clone(&parts.handlers);
        // They still use the store, and what the threads do for it.
        let ended = tokio::task::spawn_blocking(move || handlers.lanes.stop(LANES_STOP));
        if !ended.await.unwrap_or(false) {
            tracing::warn!("some requests in lanes did not end within {LANES_STOP:?}");
        }
        // Nobody appends any more.
        parts.replication.slaves.leave(SLAVES_STOP).await;
        let closed = tokio::task::spawn_blocking(move || {
            drop(threads);
            supervisor.join_threads();
            let closed = parts.close();
            // To the end, so that who asks hears that the broker stops.
            listener.iter_mut().for_each(metrics::Listener::stop);
            closed
        });
        match closed.await {
            Ok(Ok(())) => {
                tracing::info!("the store is closed");
                None
            }
            Ok(Err(e @ CloseError::Latched(_))) => {
                tracing::error!("{e}");
                None
            }
            Ok(Err(e)) => Some(e.to_string()),
            Err(e) => Some(format!("the store's shutdown failed: {e}")),
        }
    }
}

/// What there is to say when another folder lies where `config/` was.
fn other_config(path: &Path) -> String {
    format!(
        "{} is not the folder any more that this broker has opened: another one was put there, or another file system is mounted over it",
        path.display()
    )
}

/// The threads around the store; they end when this is dropped.
struct Threads<D: Disk>(Arc<Parts<D>>);

impl<D: Disk> Drop for Threads<D> {
    fn drop(&mut self) {
        self.0.stopping.store(true, Ordering::Release);
        self.0.wake_threads();
    }
}

impl<D: Disk> Parts<D> {
    /// Lets sleeping threads see that they are to end.
    fn wake_threads(&self) {
        self.log.appender.acknowledgements.request_flush();
        let reput = &self.log.reput;
        for wake in [&reput.maintenance, &reput.allocate, &reput.rest] {
            wake.nudge();
        }
    }
}

impl<D: Disk + Clone> Parts<D> {
    /// The last steps, when no thread works any more: the log is flushed, then come the files that must not be ahead of it.
    ///
    /// # Errors
    /// The store took no more writes, or a file could not be written, not even when the log file made ahead was gone from a full disk.
    pub fn close(&self) -> Result<(), CloseError> {
        self.log.flusher.flush(0);
        self.checks.settle();
        let now = self.clock.now_ms();
        // What slaves have acknowledged since it was noted last, too: whoever takes over may lack it.
        let acknowledged = self.log.appender.acknowledgements.replicated_to(1);
        let history = &self.replication.history;
        history.note(acknowledged, self.log.store.min_physical().0);
        history.stop(self.log.store.max_physical().0);
        let is_unsaved = |file: &&dyn ConfigFile| save_at_the_end(*file, &self.disk, now).is_err();
        let unsaved: Vec<_> = self.own_files().filter(is_unsaved).collect();
        self.log.store.shutdown()?;
        let unsaved: Vec<String> = unsaved
            .into_iter()
            .filter(is_unsaved)
            .map(|file| file.saver().path().display().to_string())
            .collect();
        match unsaved.is_empty() {
            true => Ok(()),
            false => Err(CloseError::Unsaved(unsaved.join(", "))),
        }
    }

    /// What the last write is for: nothing below a `config/` that is another's.
    fn own_files(&self) -> impl Iterator<Item = &dyn ConfigFile> {
        let is_others = self.config.look() == Standing::Other;
        if is_others {
            tracing::error!("{}: nothing is written there", other_config(self.config.path()));
        }
        let files = self.files.iter().map(|(file, _)| file.as_ref());
        files.filter(move |file| !is_others || !file.saver().path().starts_with(self.config.path()))
    }
}
