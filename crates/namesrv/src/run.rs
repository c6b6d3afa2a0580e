//! The only place that knows all the parts: makes them in order, gives each what it needs, stops them in reverse.

use crate::dispatch::{Dispatch, Handlers};
use crate::gate::Gate;
use crate::handlers::{broker::Brokers, kv::Kv, settings::SettingsRequests, topic::Topics};
use crate::kv::{self, KvConfig};
use crate::lanes::Lanes;
use crate::observe;
use crate::routes::{Figures, RouteTable};
use crate::settings::Settings;
use ::settings::{Live, launch};
use process::Pulse;
use protocol::code::request;
use remoting::lane::Workers;
use remoting::tls::TlsError;
use remoting::{AddressLimits, Client, ClientSettings, LargeFrames, Metrics, Room, Server, ServerSettings};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time the connections get to finish at stop.
const CONNECTIONS_STOP: Duration = Duration::from_secs(3);
/// Time that requests in lanes get to finish at stop, when nobody waits for their answers any more.
const LANES_STOP: Duration = Duration::from_secs(10);
/// Longest REGISTER_BROKER frame. 60,000 topics are some 10 MB; Java stops reading at 16 MiB.
const REGISTRATION_MAX: usize = 128 << 20;

/// Why the name server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `bindAddress` is no address.
    #[error("{0}")]
    Address(String),
    /// `listenPort` is no port.
    #[error("listenPort: {0} is no port")]
    Port(i32),
    /// The port cannot be had; the text says which setting moves it.
    #[error("{0}")]
    Bind(String),
    /// The KV configuration.
    #[error("{0}")]
    Kv(#[from] kv::Error),
    /// TLS.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// Who may change what.
    #[error("{0}")]
    Gate(String),
}

/// A running name server.
pub struct Namesrv {
    server: Server,
    lanes: Lanes,
    state: State,
    client: Client,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Metrics and health.
    listener: Option<metrics::Listener>,
}

/// Gives the page of state of a running name server. Cheap to clone.
#[derive(Clone)]
pub struct State {
    started: Instant,
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) lanes: Lanes,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) room: Arc<Room>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) too_large: Arc<AtomicU64>,
}

impl State {
    /// How much the routes are.
    pub fn routes(&self) -> Figures {
        self.routes.figures()
    }

    /// The page: what the kernel says of the process, and what the name server holds.
    pub fn page(&self) -> String {
        format!(
            "{}routes: {}; {} registrations were too large\n{}network: {}, {} bytes of requests held\nchanges: {}, {} refused\n",
            process::page(self.started),
            self.routes.figures(),
            self.too_large.load(Ordering::Relaxed),
            self.lanes.figures(),
            self.metrics,
            self.room.held(),
            if self.gate.is_open() {
                "everybody may"
            } else {
                "not everybody may"
            },
            self.gate.refused()
        )
    }
}

/// Starts a name server. When this returns it serves. Needs a tokio runtime.
pub async fn start(settings: Settings) -> Result<Namesrv, StartError> {
    let address = listen_address(&settings)?;
    start_at(settings, address).await
}

/// The same at another address than the settings say; port 0 takes a free one.
pub async fn start_at(settings: Settings, address: SocketAddr) -> Result<Namesrv, StartError> {
    let gate = Arc::new(Gate::new(&settings).map_err(StartError::Gate)?);
    let (place, told) = (settings.metrics_place(), settings.metrics.clone());
    let kv = KvConfig::load(PathBuf::from(&settings.namesrv.kv_config_path))?;
    let client = Client::new(client_settings(&settings)?);
    let server_settings = server_settings(&settings, address)?;
    let tls = server_settings.tls.clone();
    let (metrics, room) = (
        Arc::clone(&server_settings.metrics),
        Arc::clone(&server_settings.room),
    );
    let scan = Duration::from_millis(
        u64::try_from(settings.namesrv.scan_not_active_broker_interval).unwrap_or(5000),
    );
    let (settings, routes) = (Arc::new(Live::new(settings)), Arc::new(RouteTable::default()));
    let lanes = Lanes::new(&Workers::Threads(tokio::runtime::Handle::current()));
    let brokers = Brokers {
        routes: Arc::clone(&routes),
        kv: kv.clone(),
        settings: Arc::clone(&settings),
        client: client.clone(),
        too_large: Arc::default(),
    };
    let state = State {
        started: Instant::now(),
        routes: Arc::clone(&routes),
        lanes: lanes.clone(),
        metrics,
        room,
        gate: Arc::clone(&gate),
        too_large: Arc::clone(&brokers.too_large),
    };
    let topics = Topics {
        routes,
        kv: kv.clone(),
        settings: Arc::clone(&settings),
        started: Instant::now(),
        ready: AtomicBool::new(false),
    };
    let requests = SettingsRequests {
        settings,
        updating: parking_lot::Mutex::default(),
    };
    let sweeper = brokers.clone();
    let handlers = Handlers {
        gate: Arc::clone(&gate),
        lanes: lanes.clone(),
        brokers,
        topics,
        kv: Kv { config: kv },
        settings: requests,
    };
    let bound = Server::bind(server_settings).map_err(|e| {
        StartError::Bind(launch::bind_failure(
            "brokers and clients",
            "listenPort",
            &address.to_string(),
            &e,
        ))
    })?;
    let server = bound.serve(Arc::new(Dispatch(Arc::new(handlers))));
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    tasks.spawn(clean(Arc::clone(&sweeper.routes), stop.clone()));
    tasks.spawn(sweep(sweeper, scan, stop.clone()));
    if let Some(tls) = tls.filter(|tls| tls.has_files()) {
        let stop = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tls.watch() => {}
            }
        });
    }
    let local = server.local_addr();
    let pulse = Pulse::default();
    let (beating, stopped) = (pulse.clone(), stop.clone());
    tasks.spawn(async move {
        tokio::select! {
            () = stopped.cancelled() => {}
            never = beating.beat() => match never {},
        }
    });
    let listener = place.and_then(|place| observe::serve(&place, &told, local, &state, &pulse));
    tracing::info!("The Name Server serves on {local}");
    if gate.is_open() && !local.ip().is_loopback() {
        tracing::warn!(
            "everybody who reaches {local} may change settings, routes and registrations, as with Java's name server: \
             updateAllowedNetworks or updateCredentials says who may (docs/security.md)"
        );
    }
    Ok(Namesrv {
        server,
        lanes,
        state,
        client,
        stop,
        tasks,
        listener,
    })
}

async fn sweep(brokers: Brokers, every: Duration, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => brokers.sweep(Instant::now()),
        }
    }
}

/// Takes out what brokers that are gone have left.
async fn clean(routes: Arc<RouteTable>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = routes.wait_for_stale() => {}
        }
        let routes = Arc::clone(&routes);
        // It grows with the number of topics.
        if let Err(error) = tokio::task::spawn_blocking(move || routes.clean()).await {
            tracing::error!("what brokers that are gone have left is not all taken out: {error}");
        }
    }
}

impl Namesrv {
    /// What SIGQUIT asks for.
    pub fn state(&self) -> State {
        self.state.clone()
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Stops: what was taken is answered, then the connections are closed.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        self.tasks.close();
        self.server.shutdown(CONNECTIONS_STOP).await;
        self.client.close();
        self.tasks.wait().await;
        let (lanes, listener) = (self.lanes, self.listener.take());
        let ended = tokio::task::spawn_blocking(move || {
            drop(listener);
            lanes.stop(LANES_STOP)
        })
        .await;
        if !ended.unwrap_or(false) {
            tracing::warn!("some requests in lanes did not end within {LANES_STOP:?}");
        }
        tracing::info!("The Name Server has stopped");
    }
}

fn listen_address(settings: &Settings) -> Result<SocketAddr, StartError> {
    let server = &settings.server;
    let ip = server.listens_on().map_err(StartError::Address)?;
    let port = u16::try_from(server.listen_port).map_err(|_| StartError::Port(server.listen_port))?;
    Ok(SocketAddr::new(ip, port))
}

fn server_settings(settings: &Settings, address: SocketAddr) -> Result<ServerSettings, TlsError> {
    let given = &settings.server;
    let mut server = ServerSettings::at(address);
    server.connections_max = process::Descriptors::current().connections_max();
    server.backlog = u32::try_from(given.server_socket_backlog).unwrap_or(server.backlog);
    server.send_buffer_bytes = u32::try_from(given.server_socket_snd_buf_size).unwrap_or(0);
    server.receive_buffer_bytes = u32::try_from(given.server_socket_rcv_buf_size).unwrap_or(0);
    server.address = AddressLimits {
        connections_max: given.server_connections_per_address_max.max(0) as usize,
        bytes_held_max: usize::try_from(given.server_bytes_held_per_address_max).unwrap_or(0),
        handshakes_max: given.server_handshakes_max.max(0) as usize,
    };
    server.proxies = given.proxies();
    server.limits.frame_bytes_per_second = given.server_frame_bytes_per_second.max(0) as usize;
    server.limits.requests_per_second = given.server_requests_per_second_per_connection.max(0) as u32;
    server.limits.address_requests_per_second = given.server_requests_per_second_per_address.max(0) as u32;
    server.limits.idle = seconds(given.server_channel_max_idle_time_seconds);
    server.limits.large_frames = Some(LargeFrames {
        code: request::REGISTER_BROKER,
        max_bytes: REGISTRATION_MAX,
    });
    server.tls = settings.server_tls()?;
    Ok(server)
}

fn client_settings(settings: &Settings) -> Result<ClientSettings, TlsError> {
    let mut client = ClientSettings::default();
    let timeout = u64::try_from(settings.client.connect_timeout_millis).unwrap_or(3000);
    client.connect_timeout = Duration::from_millis(timeout);
    client.limits.idle = seconds(settings.client.client_channel_max_idle_time_seconds);
    client.tls = settings.client_tls()?;
    Ok(client)
}

fn seconds(given: i32) -> Duration {
    Duration::from_secs(u64::try_from(given).unwrap_or(120))
}
