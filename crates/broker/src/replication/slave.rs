//! A slave's side: the one thread that copies the master's log.
//!
//! It connects, compares the logs, cuts what the master does not have, and then appends what comes, in strides as large as the
//! socket gives. What it reports is what a crash leaves: the bytes are appended, or, under SYNC_FLUSH, synced.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use disk::{Clock, Disk};
use ha::{Ends, Outcome, Promise, Reconnection, Slave, SlaveClose, SlaveSettings, Stop};
use remoting::Client;
use store::{PhysicalOffset, Store};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::compare::{self, Comparer};
use super::{Link, RoleHistory, run_alone};
use crate::commitlog::{Acknowledgements, Growth, Reput};
use crate::registration::MasterAddress;
use crate::settings::Settings;
use crate::tables::save;

/// The longest attempt to connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;
/// How long a slave waits whose master is not known, or that needs somebody, unless the master's address changes.
const WAIT: Duration = Duration::from_secs(5);

/// Why nothing is copied from this connection any more.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Socket(#[from] io::Error),
    #[error("the logs can not be compared: {0}")]
    Compare(#[from] compare::Error),
    #[error("{0}")]
    Stop(#[from] Stop),
    #[error("the log can not be cut: {0}")]
    Cut(#[from] store::CutBackError),
    #[error("{0}")]
    History(#[from] crate::tables::SaveError),
    #[error("{0}")]
    Protocol(#[from] SlaveClose),
    #[error("what came can not be appended: {0}")]
    Append(#[from] store::RawError),
    #[error("the master closed the connection")]
    Closed,
    #[error("the master is elsewhere now")]
    Moved,
    #[error("the broker stops")]
    Stops,
}

/// Copies the master's log.
pub struct Follower<D: Disk> {
    /// The copy.
    pub store: Arc<Store<D>>,
    /// The disk that the history of roles lies on.
    pub disk: D,
    /// Builds queues of what came.
    pub reput: Arc<Reput<D>>,
    /// Has the log synced.
    pub acknowledgements: Arc<Acknowledgements>,
    /// Wakes the thread when more is synced.
    pub synced: Arc<Growth>,
    /// Settings.
    pub settings: Arc<settings::Live<Settings>>,
    /// What this broker acknowledged as a master.
    pub history: Arc<RoleHistory>,
    /// How it stands.
    pub link: Arc<Link>,
    /// Where the name servers say that the master is.
    pub master: watch::Receiver<MasterAddress>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// One connection, as far as it came.
#[derive(Default)]
struct Served {
    /// Something came.
    any: bool,
}

impl<D: Disk + Clone> Follower<D> {
    /// The thread's body: ends when the broker stops.
    pub fn run(&self, stop: &CancellationToken) {
        if let Err(e) = run_alone(self.follow(stop)) {
            tracing::error!("replication: nothing is copied, the thread has no runtime: {e}");
        }
    }

    async fn follow(&self, stop: &CancellationToken) {
        let client = Client::new(remoting::ClientSettings::default());
        let mut reconnection = Reconnection::default();
        let mut master = self.master.clone();
        let mut said = String::new();
        while !stop.is_cancelled() {
            let address = self.address(&master.borrow_and_update());
            let mut served = Served::default();
            let ended = match &address.ha {
                None => None,
                Some(ha) => Some(
                    self.copy(ha, &address, &client, &mut served, &mut master, stop)
                        .await,
                ),
            };
            self.link.note(|link| link.since_ms = None);
            let wait = match &ended {
                Some(Ended::Stops) => return,
                None | Some(Ended::Stop(_) | Ended::Cut(_) | Ended::History(_) | Ended::Append(_)) => WAIT,
                Some(_) => Duration::from_millis(reconnection.wait_ms(served.any).unsigned_abs()),
            };
            let text = match &ended {
                None => {
                    "no name server knows a master of this broker's name, and haMasterAddress is not given"
                        .to_owned()
                }
                Some(ended) => ended.to_string(),
            };
            self.say(&mut said, ended.as_ref(), address.ha.as_deref(), text, served.any);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                changed = master.changed() => if changed.is_err() {
                    tokio::time::sleep(wait).await;
                },
            }
        }
    }

    /// Tells of what happened, once.
    fn say(
        &self,
        said: &mut String,
        ended: Option<&Ended>,
        master: Option<&str>,
        text: String,
        served: bool,
    ) {
        let needs_somebody = matches!(
            ended,
            Some(Ended::Stop(_) | Ended::Cut(_) | Ended::History(_) | Ended::Append(_))
        );
        self.link
            .note(|link| link.stopped = needs_somebody.then(|| text.clone()));
        if *said == text && !served {
            return tracing::debug!("replication: {text}");
        }
        let from = master.map_or_else(String::new, |master| format!(" from {master}"));
        match needs_somebody {
            true => tracing::error!("replication: nothing is copied{from}: {text}"),
            false => tracing::warn!("replication: nothing is copied{from} for now: {text}"),
        }
        *said = text;
    }

    /// The name servers' word, unless the setting says where the master is. A master whose port of replication alone is known
    /// answers one port below it, as 4.9's does always.
    fn address(&self, told: &MasterAddress) -> MasterAddress {
        let settings = self.settings.load();
        let given = settings.store.ha_master_address.clone();
        // Java takes no notice of an address that is too short to be one.
        let ha = given
            .filter(|address| address.len() >= 6)
            .or_else(|| told.ha.clone());
        let broker = told.broker.clone().or_else(|| one_port_below(ha.as_deref()?));
        MasterAddress { ha, broker }
    }

    async fn copy(
        &self,
        ha: &str,
        address: &MasterAddress,
        client: &Client,
        served: &mut Served,
        master: &mut watch::Receiver<MasterAddress>,
        stop: &CancellationToken,
    ) -> Ended {
        self.link.note(|link| link.master = Some(ha.to_owned()));
        let copied = async {
            let stream = connect(ha).await?;
            let peer = stream.peer_addr()?.ip().to_canonical();
            let own = stream.local_addr()?;
            if let Some(broker) = &address.broker {
                self.agree(broker, peer, client).await?;
            }
            let end = self.store.max_physical().0;
            let now = self.clock.now_ms();
            self.link.note(|link| link.since_ms = Some(now));
            tracing::info!(
                "replication: connected to master {ha} from {own}, the log is copied from {end} on"
            );
            self.stream(stream, end, served).await
        };
        let is_same = |told: &MasterAddress| self.address(told) == *address;
        tokio::select! {
            biased;
            () = stop.cancelled() => Ended::Stops,
            () = moved(master, &is_same) => Ended::Moved,
            Err(ended) = copied => ended,
        }
    }

    /// Compares the logs, and cuts from this one what the master has not.
    async fn agree(&self, broker: &str, peer: IpAddr, client: &Client) -> Result<(), Ended> {
        if self.store.max_physical().0 == 0 {
            return Ok(());
        }
        let comparer = Comparer {
            store: &self.store,
            client,
            master: broker,
        };
        let compared = comparer.compare().await?;
        let now = self.clock.now_ms();
        self.link
            .note(|link| link.master_end = Some((compared.master.end, now)));
        let end = self.store.max_physical().0;
        let until = match compared.outcome {
            Outcome::Keep { until } => until,
            Outcome::BeginAnew | Outcome::NothingInCommon => 0,
        };
        if compared.outcome == (Outcome::Keep { until: end }) {
            return Ok(());
        }
        // The connection was lost within a record.
        if until == compared.last_end && until > 0 && comparer.has_part_of(until).await? {
            return Ok(());
        }
        let reigns = self.history.reigns();
        compared
            .outcome
            .allowed(compared.last_end, &reigns, &peer.to_string())?;
        if until < compared.last_end {
            tracing::warn!(
                "replication: the master {broker} has another log from {until} on; what this broker has from there to {end} is cut"
            );
        }
        let cut = self.store.cut_back(PhysicalOffset(until), now)?;
        if until < compared.last_end {
            tracing::warn!("replication: {cut}");
        }
        self.history.cut(until);
        save(self.history.as_ref(), &self.disk, now)?;
        Ok(())
    }

    async fn stream(
        &self,
        stream: TcpStream,
        end: i64,
        served: &mut Served,
    ) -> Result<std::convert::Infallible, Ended> {
        let settings = self.settings.snapshot();
        let is_sync = settings.is_sync_flush();
        let mut slave = Slave::new(slave_settings(&settings), end, self.clock.now_ms());
        let mut read = vec![0; READ_BYTES];
        // A report goes whole before the next one is made.
        let mut report: &[u8] = &[];
        let mut bytes;
        loop {
            let has_come = match stream.try_read(&mut read) {
                Ok(0) => return Err(Ended::Closed),
                Ok(len) => {
                    served.any = true;
                    self.append(&mut slave, read.get(..len).unwrap_or_default(), is_sync)?;
                    true
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => false,
                Err(e) => return Err(e.into()),
            };
            let now = self.clock.now_ms();
            let synced = self.store.flushed().0;
            if report.is_empty() {
                let ends = Ends {
                    appended: self.store.max_physical().0,
                    synced,
                };
                if let Some(due) = slave.report(ends, now)? {
                    bytes = due;
                    report = &bytes;
                }
            }
            if !report.is_empty() {
                match stream.try_write(report) {
                    Ok(written) => report = report.get(written..).unwrap_or_default(),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    Err(e) => return Err(e.into()),
                }
                self.link.note(|link| link.write_ms = now);
            }
            if has_come {
                continue;
            }
            let wait_ms = (slave.wait_until_ms() - now).max(0).unsigned_abs();
            let interest = match report.is_empty() {
                true => Interest::READABLE,
                false => Interest::READABLE | Interest::WRITABLE,
            };
            let synced_more = async {
                match is_sync {
                    true => self.synced.sleep(|| self.store.flushed().0 > synced).await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                ready = stream.ready(interest) => drop(ready?),
                () = synced_more => {}
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
            }
        }
    }

    /// Appends what came, and has queues built for it.
    fn append(&self, slave: &mut Slave, mut read: &[u8], is_sync: bool) -> Result<(), Ended> {
        let now = self.clock.now_ms();
        let len = read.len() as u64;
        let mut appended = false;
        while let Some(run) = slave.next(&mut read, now)? {
            self.store.append_raw(PhysicalOffset(run.at), run.bytes, now)?;
            appended = true;
        }
        if appended {
            // Under SYNC_FLUSH the flush thread makes it visible, when it is synced.
            match is_sync {
                true => self.acknowledgements.request_flush(),
                false => {
                    self.reput.all();
                    self.reput.wake();
                }
            }
        }
        self.link.note(|link| {
            link.read_ms = now;
            link.read_bytes += len;
        });
        Ok(())
    }
}

fn slave_settings(settings: &Settings) -> SlaveSettings {
    let s = &settings.store;
    SlaveSettings {
        file_len: i64::from(s.mapped_file_size_commit_log),
        promise: match settings.is_sync_flush() {
            true => Promise::Synced,
            false => Promise::Appended,
        },
        heartbeat_ms: i64::from(s.ha_send_heartbeat_interval),
        housekeeping_ms: i64::from(s.ha_housekeeping_interval),
    }
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let connecting = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address));
    let stream = connecting
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Ends when the master's address is another.
async fn moved(master: &mut watch::Receiver<MasterAddress>, is_same: &dyn Fn(&MasterAddress) -> bool) {
    loop {
        if master.changed().await.is_err() {
            return std::future::pending().await;
        }
        if !is_same(&master.borrow_and_update()) {
            return;
        }
    }
}

fn one_port_below(address: &str) -> Option<String> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse::<u16>().ok()?.checked_sub(1)?;
    Some(format!("{host}:{port}"))
}
