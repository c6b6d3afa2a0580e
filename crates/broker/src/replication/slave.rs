//! A slave's side: the one thread that copies the master's log.
//!
//! It connects, compares the logs, cuts what the master does not have, and then appends what comes, in strides as large as the
//! socket gives. What it reports is what a crash leaves: the bytes are appended, or, under SYNC_FLUSH, synced.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use disk::Disk;
use ha::Reconnection;
use remoting::Client;
use remoting::tls::{ClientTls, Wire};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::compare::{AskedMaster, MasterLog};
use super::copy::{CopyError, CopyParts};
use super::deletions::{MasterTopics, TopicDeletions};
use super::run_alone;
use crate::commitlog::Growth;
use crate::registration::{MasterAddress, Registration};

/// The longest attempt to connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;
/// How long a slave waits whose master is not known, or that needs somebody, unless the master's address changes.
const WAIT: Duration = Duration::from_secs(5);

const NO_MASTER: &str = "no name server has named a master of this broker's name yet, and haMasterAddress is not given; the slave \
                         goes on asking";

/// Why nothing is copied from this connection any more.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Socket(#[from] io::Error),
    #[error("{0}")]
    Copy(#[from] CopyError),
    #[error(
        "the files of the master's log have {theirs} bytes and those here {own}: the copy of a log has its master's files, so this broker \
         needs mappedFileSizeCommitLog={theirs} and, if there are files, an empty store"
    )]
    FileLen { own: i64, theirs: i64 },
    #[error("the master closed the connection")]
    Closed,
    #[error("the master is elsewhere now")]
    Moved,
    #[error("the broker stops")]
    Stops,
}

impl Ended {
    fn needs_somebody(&self) -> bool {
        match self {
            Ended::FileLen { .. } => true,
            Ended::Copy(error) => error.needs_somebody(),
            _ => false,
        }
    }
}

/// Copies the master's log.
pub struct Follower<D: Disk> {
    /// What copying needs.
    pub copy: Arc<CopyParts<D>>,
    /// What the master has deleted.
    pub deletions: Arc<TopicDeletions<D>>,
    /// Wakes the thread when more is synced.
    pub synced: Arc<Growth>,
    /// Where the master is.
    pub master: watch::Receiver<MasterAddress>,
    /// Who is asked where the master is.
    pub registration: Arc<Registration>,
    /// How the master is asked.
    pub client: remoting::ClientSettings,
    /// How its port of replication is connected to, where that is TLS.
    pub tls: Option<ClientTls>,
}

/// A connection that ends sooner was of no use, though something came: the next one is not tried at once.
const LASTS: Duration = Duration::from_secs(1);

/// One connection, as far as it came.
#[derive(Default)]
struct Served {
    /// When something came first.
    since: Option<Instant>,
}

impl Served {
    fn lasted(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= LASTS)
    }
}

impl<D: Disk + Clone> Follower<D> {
    /// The thread's body: ends when the broker stops.
    pub fn run(&self, stop: &CancellationToken) {
        if let Err(e) = run_alone(self.follow(stop)) {
            tracing::error!("replication: nothing is copied, the thread has no runtime: {e}");
        }
    }

    async fn follow(&self, stop: &CancellationToken) {
        let client = Client::new(self.client.clone());
        let mut reconnection = Reconnection::default();
        let mut master = self.master.clone();
        let mut said = String::new();
        while !stop.is_cancelled() {
            let address = master.borrow_and_update().clone();
            let mut served = Served::default();
            let ended = match &address.ha {
                None => None,
                Some(ha) => Some(
                    self.copy(ha, &address, &client, &mut served, &mut master, stop)
                        .await,
                ),
            };
            self.copy.link.note(|link| link.since_ms = None);
            // Another may be the master by now.
            if ended.is_some() && served.since.is_none() {
                self.registration.doubt_master();
            }
            let wait = match &ended {
                Some(Ended::Stops) => return,
                None => WAIT,
                Some(ended) if ended.needs_somebody() => WAIT,
                Some(_) => Duration::from_millis(reconnection.wait_ms(served.lasted()).unsigned_abs()),
            };
            let text = match &ended {
                None => NO_MASTER.to_owned(),
                Some(ended) => ended.to_string(),
            };
            // Before the first registration nobody can know a master.
            if ended.is_some() || address.is_asked {
                self.say(
                    &mut said,
                    ended.as_ref(),
                    address.ha.as_deref(),
                    text,
                    served.lasted(),
                );
            }
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
        let needs_somebody = ended.is_some_and(Ended::needs_somebody);
        self.copy
            .link
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

    async fn copy(
        &self,
        ha: &str,
        address: &MasterAddress,
        client: &Client,
        served: &mut Served,
        master: &mut watch::Receiver<MasterAddress>,
        stop: &CancellationToken,
    ) -> Ended {
        self.copy.link.note(|link| link.master = Some(ha.to_owned()));
        let copied = async {
            let wire = connect(ha, self.tls.as_ref()).await?;
            let peer = wire.socket().peer_addr()?.ip().to_canonical();
            if let Some(broker) = &address.broker {
                let master = AskedMaster {
                    client,
                    address: broker,
                };
                // Before anything is cut: the files' ends would be taken for damage.
                self.has_files_of(&master).await?;
                self.copy.agree(&master, peer).await?;
                let topics = MasterTopics::of(client, broker, None)
                    .await
                    .map_err(CopyError::from)?;
                self.deletions.follow(&topics).await.map_err(CopyError::from)?;
            }
            self.stream(wire, served).await
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Ended::Stops,
            () = moved(master, address) => Ended::Moved,
            Err(ended) = copied => ended,
        }
    }

    /// Where a file ends a record may not lie: the logs can be the same only if their files are.
    async fn has_files_of(&self, master: &impl MasterLog) -> Result<(), Ended> {
        let own = self.copy.store.settings().commitlog_file_size;
        match master.file_len().await.map_err(CopyError::from)? {
            Some(theirs) if theirs != own => Err(Ended::FileLen { own, theirs }),
            _ => Ok(()),
        }
    }

    async fn stream(&self, mut wire: Wire, served: &mut Served) -> Result<std::convert::Infallible, Ended> {
        let (master, own) = (wire.socket().peer_addr()?, wire.socket().local_addr()?);
        let mut copy = self.copy.begin();
        let mut read = vec![0; READ_BYTES];
        let connected = Instant::now();
        let mut stands = false;
        loop {
            // A master of ours answers the first report at once, and knows this slave by then; Java's may have nothing to say.
            if !stands && (served.since.is_some() || connected.elapsed() >= LASTS) {
                stands = true;
                self.copy.link.stands(self.copy.clock.now_ms());
            }
            let has_come = match wire.try_read(&mut read) {
                Ok(0) => return Err(Ended::Closed),
                Ok(len) => {
                    // A master that refuses this slave takes the connection, too, and says nothing.
                    if served.since.is_none() {
                        served.since = Some(Instant::now());
                        let end = self.copy.store.max_physical();
                        tracing::info!(
                            "replication: connected to master {master} from {own}, the log is copied from {end} on"
                        );
                    }
                    copy.append(read.get(..len).unwrap_or_default())?;
                    true
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => false,
                Err(e) => return Err(e.into()),
            };
            let (report, synced) = copy.report()?;
            let is_due = !report.is_empty();
            if is_due {
                match wire.try_write(&[IoSlice::new(report)]) {
                    Ok(written) => copy.wrote(written),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    Err(e) => return Err(e.into()),
                }
            }
            copy.build();
            if has_come {
                continue;
            }
            let wait_ms = (copy.wait_until_ms() - self.copy.clock.now_ms())
                .max(0)
                .unsigned_abs();
            let wait = match stands {
                true => Duration::from_millis(wait_ms),
                false => Duration::from_millis(wait_ms).min(LASTS),
            };
            let is_full = !copy.report()?.0.is_empty();
            let synced_more = async {
                match copy.is_sync {
                    true => self.synced.sleep(|| self.copy.store.flushed() > synced).await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                ready = wire.ready(is_full) => ready?,
                () = synced_more => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

async fn connect(address: &str, tls: Option<&ClientTls>) -> io::Result<Wire> {
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        match tls {
            Some(tls) => Wire::connect(tls, stream).await,
            None => Ok(Wire::plain(stream)),
        }
    };
    let connected = tokio::time::timeout(CONNECT_WITHIN, connecting).await;
    connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Ends when the master's address is another.
async fn moved(master: &mut watch::Receiver<MasterAddress>, from: &MasterAddress) {
    loop {
        if master.changed().await.is_err() {
            return std::future::pending().await;
        }
        if !master.borrow_and_update().is_same_place(from) {
            return;
        }
    }
}
