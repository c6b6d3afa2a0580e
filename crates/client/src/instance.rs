//! What every producer and consumer has: a client id, connections, routes that are kept fresh, and heartbeats.

use crate::Error;
use crate::route::Route;
use crate::unique_id::{UniqueIds, now_ms};
use acl::Credentials;
use parking_lot::Mutex;
use protocol::body::broker::HeartbeatData;
use protocol::body::namesrv::TopicRouteData;
use protocol::code::{request, response};
use protocol::header::NoHeader;
use protocol::header::broker::UnregisterClientRequestHeader;
use protocol::header::namesrv::GetRouteInfo;
use protocol::{EncodeHeader, Frame};
use remoting::tls::ClientTls;
use remoting::{Body, Client, ClientSettings, Service, Sign};
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a call may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3);
/// How often routes are asked for again and heartbeats sent (pollNameServerInterval, heartbeatBrokerInterval).
const PERIOD: Duration = Duration::from_secs(30);
/// Template topic: brokers that have it make unknown topics.
const TEMPLATE_TOPIC: &str = "TBW102";
/// Queues asked for in a topic made by the way.
pub(crate) const DEFAULT_QUEUES: i32 = 4;

/// What a client says about itself in its heartbeats.
pub(crate) trait Role: Send + Sync {
    /// Producer and consumer groups; the client id is filled in.
    fn heartbeat(&self) -> HeartbeatData;
    /// Whether slaves hear of it too, as they do of consumers.
    fn reads(&self) -> bool;
}

/// One client.
pub(crate) struct Instance {
    namesrvs: Vec<String>,
    pub(crate) client_id: String,
    pub(crate) client: Client,
    pub(crate) ids: UniqueIds,
    routes: Mutex<HashMap<String, Arc<Route>>>,
    /// Topics that are wanted, so refreshed.
    topics: Mutex<BTreeSet<String>>,
    /// Whether a broker may be among the routes that has had no heartbeat.
    strangers: AtomicBool,
    /// Brokers that have had a heartbeat.
    greeted: Mutex<BTreeSet<String>>,
    /// The name server that answered last, by its place in the list.
    current: AtomicU64,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// A route changed.
    pub(crate) changed: Notify,
}

impl Instance {
    /// `namesrv`: `host:port`, several separated by `;`.
    pub(crate) fn new(
        namesrv: &str,
        credentials: Option<&Credentials>,
        tls: Option<ClientTls>,
        service: Option<Arc<dyn Service>>,
    ) -> Result<Arc<Instance>, Error> {
        let namesrvs: Vec<String> = namesrv
            .split([';', ','])
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        let first = namesrvs.first().ok_or(Error::NoNamesrv)?;
        let ip = local_ip(first);
        let sign = credentials
            .cloned()
            .map(|credentials| Sign::by(move |fields, body| credentials.sign(fields, body)));
        let settings = ClientSettings {
            sign,
            tls,
            ..ClientSettings::default()
        };
        let client = match service {
            Some(service) => Client::with_service(settings, service),
            None => Client::new(settings),
        };
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let client_id = format!("{ip}@{}#{}{number}", std::process::id(), now_ms());
        Ok(Arc::new(Instance {
            namesrvs,
            client_id,
            client,
            ids: UniqueIds::new(ip),
            routes: Mutex::default(),
            topics: Mutex::default(),
            strangers: AtomicBool::new(false),
            greeted: Mutex::default(),
            current: AtomicU64::new(0),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            changed: Notify::new(),
        }))
    }

    /// Starts refreshing routes and sending heartbeats.
    pub(crate) fn start(self: &Arc<Self>, role: Arc<dyn Role>) {
        let this = Arc::clone(self);
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = this.stop.cancelled() => return,
                    () = tokio::time::sleep(PERIOD) => {}
                }
                this.refresh().await;
                this.heartbeat_all(&*role).await;
            }
        });
    }

    /// Asks every name server in turn until one answers: which, and what.
    pub(crate) async fn ask_namesrv(
        &self,
        code: i32,
        header: &(dyn EncodeHeader + Sync),
    ) -> Result<(&str, Frame), Error> {
        let start = self.current.load(Ordering::Relaxed) as usize;
        let mut failed = None;
        for step in 0..self.namesrvs.len() {
            let index = (start + step) % self.namesrvs.len();
            match self
                .client
                .invoke(&self.namesrvs[index], code, header, Body::Empty, TIMEOUT)
                .await
            {
                Ok(frame) => {
                    self.current.store(index as u64, Ordering::Relaxed);
                    return Ok((&self.namesrvs[index], frame));
                }
                Err(e) => failed = Some(e),
            }
        }
        let addresses = self.namesrvs.join(";");
        Err(failed.map_or(Error::NoNamesrv, |cause| Error::NamesrvAway { addresses, cause }))
    }

    async fn fetch(&self, topic: &str) -> Result<TopicRouteData, Error> {
        let header = GetRouteInfo {
            topic: topic.into(),
            accept_standard_json_only: None,
            zone_mode: None,
            zone_name: None,
        };
        let (address, frame) = self.ask_namesrv(request::GET_ROUTEINFO_BY_TOPIC, &header).await?;
        match frame.code {
            response::SUCCESS => read_body(&frame, address),
            response::TOPIC_NOT_EXIST => Err(Error::NoRoute(topic.to_owned())),
            _ => Err(refused(&frame)),
        }
    }

    /// The topic's route, asked for when it is not known.
    pub(crate) async fn route(&self, topic: &str) -> Result<Arc<Route>, Error> {
        if let Some(route) = self.routes.lock().get(topic) {
            return Ok(Arc::clone(route));
        }
        self.topics.lock().insert(topic.to_owned());
        let route = Route::of(topic, self.fetch(topic).await?);
        Ok(self.keep(topic, route))
    }

    /// The same for a producer: a topic that nobody has is looked for where topics are made by the way.
    pub(crate) async fn route_to_send(&self, topic: &str) -> Result<Arc<Route>, Error> {
        match self.route(topic).await {
            Err(Error::NoRoute(_)) => {}
            other => return other,
        }
        let mut template = match self.fetch(TEMPLATE_TOPIC).await {
            Err(Error::NoRoute(_)) => return Err(Error::NoRoute(topic.to_owned())),
            other => other?,
        };
        for queues in &mut template.queue_datas {
            let count = DEFAULT_QUEUES.min(queues.read_queue_nums);
            (queues.read_queue_nums, queues.write_queue_nums) = (count, count);
        }
        Ok(self.keep(topic, Route::of(topic, template)))
    }

    /// The route of a topic that has none but another's: of a light message queue its parent's.
    pub(crate) async fn route_by(&self, topic: &str, parent: &str) -> Result<Arc<Route>, Error> {
        let route = Route::of(topic, self.fetch(parent).await?);
        Ok(self.keep(topic, route))
    }

    fn keep(&self, topic: &str, route: Route) -> Arc<Route> {
        let route = Arc::new(route);
        let old = self.routes.lock().insert(topic.to_owned(), Arc::clone(&route));
        if old.is_none_or(|old| *old != *route) {
            self.strangers.store(true, Ordering::Release);
            self.changed.notify_one();
        }
        route
    }

    /// Forgets a route, so that the next use asks.
    pub(crate) fn forget(&self, topic: &str) {
        self.routes.lock().remove(topic);
    }

    /// Asks again for every route in use. One that cannot be had stays as it was.
    pub(crate) async fn refresh(&self) {
        let topics: Vec<String> = self.topics.lock().iter().cloned().collect();
        for topic in topics {
            match self.fetch(&topic).await {
                Ok(data) => {
                    self.keep(&topic, Route::of(&topic, data));
                }
                Err(Error::NoRoute(_)) => {}
                Err(e) => return tracing::warn!("routes are not refreshed: {e}"),
            }
        }
    }

    /// Tells every broker of the known routes about this client.
    pub(crate) async fn heartbeat_all(&self, role: &dyn Role) {
        let addresses = self.addresses(role.reads());
        self.greeted.lock().retain(|address| addresses.contains(address));
        for address in addresses {
            self.heartbeat(&address, role).await;
        }
    }

    /// Tells those that have not heard of it yet.
    pub(crate) async fn greet(&self, role: &dyn Role) {
        // Asked before every send, so the usual answer is one load.
        if !self.strangers.load(Ordering::Relaxed) || !self.strangers.swap(false, Ordering::AcqRel) {
            return;
        }
        for address in self.addresses(role.reads()) {
            if !self.greeted.lock().contains(&address) {
                self.heartbeat(&address, role).await;
            }
        }
    }

    async fn heartbeat(&self, address: &str, role: &dyn Role) {
        let data = HeartbeatData {
            client_id: self.client_id.clone(),
            ..role.heartbeat()
        };
        let body = Body::Bytes(protocol::body::write(&data));
        match self
            .client
            .invoke(address, request::HEART_BEAT, &NoHeader, body, TIMEOUT)
            .await
        {
            Ok(frame) if frame.code == response::SUCCESS => {
                self.greeted.lock().insert(address.to_owned());
            }
            Ok(frame) => tracing::warn!("heartbeat to {address}: {}", refused(&frame)),
            Err(e) => {
                self.greeted.lock().remove(address);
                self.strangers.store(true, Ordering::Release);
                tracing::warn!("heartbeat to {address}: {e}");
            }
        }
    }

    fn addresses(&self, with_slaves: bool) -> BTreeSet<String> {
        let routes: Vec<Arc<Route>> = self.routes.lock().values().cloned().collect();
        let replicas = routes.iter().flat_map(|route| route.brokers.values().flatten());
        replicas
            .filter(|(id, _)| with_slaves || **id == 0)
            .map(|(_, address)| address.clone())
            .collect()
    }

    /// Leaves its groups on every broker that knows it, stops its tasks and closes its connections.
    pub(crate) async fn shutdown(&self, producer_group: Option<&str>, consumer_group: Option<&str>) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let header = UnregisterClientRequestHeader {
            client_id: Some(self.client_id.as_str().into()),
            producer_group: producer_group.map(Into::into),
            consumer_group: consumer_group.map(Into::into),
        };
        let greeted: Vec<String> = self.greeted.lock().iter().cloned().collect();
        for address in greeted {
            let asked = self
                .client
                .invoke(
                    &address,
                    request::UNREGISTER_CLIENT,
                    &header,
                    Body::Empty,
                    TIMEOUT,
                )
                .await;
            if let Err(e) = asked {
                tracing::debug!("not unregistered at {address}: {e}");
            }
        }
        self.client.close();
    }
}

/// An answer that refuses, as an error.
pub(crate) fn refused(frame: &Frame) -> Error {
    Error::Refused {
        code: frame.code,
        remark: frame.remark.clone().unwrap_or_default(),
    }
}

/// A JSON body.
pub(crate) fn read_body<T: serde::de::DeserializeOwned>(frame: &Frame, peer: &str) -> Result<T, Error> {
    protocol::body::read(&frame.body).map_err(|cause| Error::BadAnswer {
        peer: peer.to_owned(),
        cause: cause.to_string(),
    })
}

/// How long a name service may take to say where a name server is.
const LOOKED_UP_WITHIN: Duration = Duration::from_secs(1);

/// What a text stands for. A name service may be mute for long, and its answer is waited for in its own thread alone.
fn looked_up(text: &str) -> Option<SocketAddr> {
    let (sender, found) = mpsc::channel();
    let text = text.to_owned();
    let look = move || {
        let first = text.to_socket_addrs().ok().and_then(|mut all| all.next());
        // Nobody waits any more.
        let _late = sender.send(first);
    };
    let thread = std::thread::Builder::new().name("look-up".to_owned());
    thread.spawn(look).ok()?;
    found.recv_timeout(LOOKED_UP_WITHIN).ok()?
}

/// The address this host has towards the name server: it is the client id's first part.
fn local_ip(namesrv: &str) -> IpAddr {
    let towards = || {
        let address = looked_up(namesrv)?;
        let any: IpAddr = if address.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            "::".parse().ok()?
        };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        // Nothing is sent: connecting a UDP socket only chooses a way.
        socket.connect(address).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    towards().unwrap_or(Ipv4Addr::LOCALHOST.into())
}
