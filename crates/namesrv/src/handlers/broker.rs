//! REGISTER_BROKER 103, UNREGISTER_BROKER 104, QUERY_DATA_VERSION 322, BROKER_HEARTBEAT 904, cluster and member group,
//! and the write permission of a broker's topics.

use super::{header, refuse, with_body};
use crate::kv::{KvConfig, ORDER_TOPICS};
use crate::limits::{self, TooLong};
use crate::routes::{Notice, Permission, RegisterError, Registered, Registration, RouteTable};
use crate::settings::Settings;
use ::settings::Live;
use protocol::Frame;
use protocol::body::namesrv::{MemberGroupBody, RegisterBrokerBody};
use protocol::body::{self, BodyError, DataVersion};
use protocol::code::{request, response};
use protocol::header::namesrv::{
    AddedWritePermission, BrokerHeartbeat, BrokerIdentity, BrokerPermission, MemberGroup,
    QueryDataVersionResponseHeader, RegisterBrokerRequestHeader, RegisterBrokerResponseHeader,
    WipedWritePermission,
};
use remoting::lane::MayWait;
use remoting::{Body, Client, Peer, Request, Responder};
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Registrations above this many bytes are read in a lane: a table of 60,000 topics takes a while.
const SHORT_MAX: usize = 16 * 1024;

/// Why a registration is not in the tables.
#[derive(Debug, thiserror::Error)]
enum NotEntered {
    /// Its body.
    #[error("{0}")]
    Body(#[from] BodyError),
    /// A name in it.
    #[error("{0}")]
    Long(#[from] TooLong),
    /// The tables do not take it.
    #[error("{0}")]
    Refused(#[from] RegisterError),
}

impl NotEntered {
    /// The code and the text that the broker logs.
    fn answer(&self) -> (i32, String) {
        match self {
            NotEntered::Body(BodyError::TooLarge { .. }) => (
                response::INVALID_PARAMETER,
                format!("{self}; registrationMaxBytes of the name server is the limit"),
            ),
            NotEntered::Body(_) | NotEntered::Long(_) | NotEntered::Refused(_) => {
                (response::SYSTEM_ERROR, self.to_string())
            }
        }
    }
}

/// What the handler needs. Cheap to clone.
#[derive(Clone)]
pub struct Brokers {
    /// Topics and brokers.
    pub routes: Arc<RouteTable>,
    /// For the order topics that a registration is answered with.
    pub kv: KvConfig,
    /// Settings.
    pub settings: Arc<Live<Settings>>,
    /// Tells brokers that their group's lowest id changed.
    pub client: Client,
    /// How many registrations would have taken too much memory.
    pub too_large: Arc<AtomicU64>,
}

impl Brokers {
    /// REGISTER_BROKER, if that takes no time; else it comes back, for [`Brokers::register`].
    pub fn register_short(&self, request: Request) -> Option<Request> {
        if request.frame.body.len() > SHORT_MAX {
            return Some(request);
        }
        self.register_if(request, None)
    }

    /// REGISTER_BROKER.
    pub fn register(&self, request: Request, may: MayWait) {
        let left = self.register_if(request, Some(may));
        debug_assert!(left.is_none(), "with leave to wait nothing is too long");
    }

    fn register_if(&self, request: Request, may: Option<MayWait>) -> Option<Request> {
        let header = match request.frame.header::<RegisterBrokerRequestHeader>() {
            Ok(header) => header,
            Err(e) => {
                refuse(request.responder, &e);
                return None;
            }
        };
        let crc = header.body_crc32.unwrap_or(0);
        if crc != 0 && crc != protocol::body_crc32(&request.frame.body) {
            refuse(request.responder, &"crc32 not match");
            return None;
        }
        match self.enter(&header, &request.frame, request.responder.peer(), may) {
            None => return Some(request),
            Some(entered) => self.answer_registration(request.responder, entered),
        }
        None
    }

    fn answer_registration(&self, responder: Responder, entered: Result<Registered, NotEntered>) {
        match entered {
            Ok(registered) => {
                let Registered {
                    ha_server_addr,
                    master_addr,
                    notice,
                } = registered;
                self.tell(notice);
                let reply = RegisterBrokerResponseHeader {
                    ha_server_addr,
                    master_addr,
                };
                responder.reply(response::SUCCESS, None, &reply, self.order_topics());
            }
            Err(why) => {
                let (code, remark) = why.answer();
                if code == response::INVALID_PARAMETER {
                    self.too_large.fetch_add(1, Ordering::Relaxed);
                    let peer = responder.peer().address();
                    logs::limited!(warn, "a registration of {peer} refused: {remark}");
                }
                responder.error(code, &remark);
            }
        }
    }

    /// Enters a registration in the tables; nothing, if that takes leave to wait and there is none.
    fn enter(
        &self,
        header: &RegisterBrokerRequestHeader,
        frame: &Frame,
        connection: &Arc<dyn Peer>,
        may: Option<MayWait>,
    ) -> Option<Result<Registered, NotEntered>> {
        let (now, fingerprint) = (Instant::now(), fingerprint(frame, header));
        if let Some(registered) = self.routes.refresh(header, fingerprint, connection, now) {
            return Some(Ok(registered));
        }
        let compressed = header.compressed.unwrap_or(false);
        if compressed && may.is_none() {
            // A few bytes may unpack to very many.
            return None;
        }
        let settings = self.settings.load();
        let max_bytes = settings.namesrv.registration_max_bytes();
        let body = match RegisterBrokerBody::read(&frame.body, compressed, frame.version, max_bytes) {
            Ok(body) => body,
            Err(why) => return Some(Err(why.into())),
        };
        if let Err(long) = limits::check_registration(&body) {
            return Some(Err(long.into()));
        }
        let delete_missing_topics = settings.namesrv.delete_topic_with_broker_registration;
        let version = frame.version;
        let registration = Registration {
            header,
            body,
            version,
            fingerprint,
            connection,
            now,
            delete_missing_topics,
        };
        let registered = match may {
            Some(may) => self.routes.register(&registration, may),
            None => self.routes.register_short(&registration)?,
        };
        if !connection.is_open() {
            // It closed before it was entered: nobody will come to take it away any more.
            self.closed(connection.as_ref());
        }
        Some(registered.map_err(NotEntered::from))
    }

    fn order_topics(&self) -> Body {
        if !self.settings.load().namesrv.return_order_topic_config_to_broker {
            return Body::Empty;
        }
        self.kv.namespace(ORDER_TOPICS).map_or(Body::Empty, Body::Bytes)
    }

    /// UNREGISTER_BROKER.
    pub fn unregister(&self, request: Request) {
        let Request { frame, responder } = request;
        let broker = header!(frame, responder, BrokerIdentity);
        self.remove(&[broker]);
        responder.ok();
    }

    /// A connection closed: its brokers are gone at once.
    pub fn closed(&self, connection: &dyn Peer) {
        let brokers = self.routes.brokers_of(connection);
        if !brokers.is_empty() {
            tracing::info!("the broker's channel destroyed, {}", connection.address());
            self.remove(&brokers);
        }
    }

    /// Takes away the brokers that have not been heard of for too long.
    pub fn sweep(&self, now: Instant) {
        let expired = self.routes.expired(now);
        if expired.is_empty() {
            return;
        }
        let brokers: Vec<BrokerIdentity> = expired.iter().map(|(broker, _)| broker.clone()).collect();
        self.remove(&brokers);
        for (broker, connection) in expired {
            tracing::warn!(
                "The broker channel expired, {} at {}",
                broker.broker_name,
                broker.broker_addr
            );
            connection.close("its broker has not registered for too long");
        }
    }

    fn remove(&self, brokers: &[BrokerIdentity]) {
        for notice in self.routes.unregister(brokers) {
            self.tell(Some(notice));
        }
    }

    /// Since 5.x: NOTIFY_MIN_BROKER_ID_CHANGE, oneway.
    fn tell(&self, notice: Option<Notice>) {
        let Some(notice) = notice else { return };
        if !self.settings.load().namesrv.notify_min_broker_id_changed {
            return;
        }
        tracing::info!(
            "min broker id changed to {}, notify {:?}",
            notice.min_broker_id,
            notice.to
        );
        let client = self.client.clone();
        tokio::spawn(async move {
            for address in &notice.to {
                let sent = match client.connection(address).await {
                    Ok(conn) => conn
                        .oneway(
                            request::NOTIFY_MIN_BROKER_ID_CHANGE,
                            &notice.header(),
                            Body::Empty,
                        )
                        .map_err(|e| e.to_string()),
                    Err(e) => Err(e.to_string()),
                };
                if let Err(e) = sent {
                    tracing::warn!("broker at {address} was not told of its group's lowest id: {e}");
                }
            }
        });
    }

    /// QUERY_DATA_VERSION, which is a sign of life as well.
    pub fn query_data_version(&self, request: Request) {
        let Request { frame, responder } = request;
        let broker = header!(frame, responder, BrokerIdentity);
        let asked: DataVersion = match body::read_request(&frame.body) {
            Ok(version) => version,
            Err(e) => return refuse(responder, &e),
        };
        let held = self
            .routes
            .data_version(&broker.cluster_name, &broker.broker_addr);
        self.routes
            .seen(&broker.cluster_name, &broker.broker_addr, Instant::now());
        let reply = QueryDataVersionResponseHeader {
            changed: held != Some(asked),
        };
        let body = held.map_or(Body::Empty, |version| Body::Bytes(body::write(&version)));
        responder.reply(response::SUCCESS, None, &reply, body);
    }

    /// BROKER_HEARTBEAT.
    pub fn heartbeat(&self, request: Request) {
        let Request { frame, responder } = request;
        let broker = header!(frame, responder, BrokerHeartbeat<'_>);
        self.routes
            .seen(&broker.cluster_name, &broker.broker_addr, Instant::now());
        responder.ok();
    }

    /// GET_BROKER_CLUSTER_INFO.
    pub fn cluster_info(&self, request: Request, _: MayWait) {
        let info = self.routes.cluster_info();
        with_body(request.responder, body::write_fastjson(&info));
    }

    /// GET_BROKER_MEMBER_GROUP.
    pub fn member_group(&self, request: Request) {
        let Request { frame, responder } = request;
        let header = header!(frame, responder, MemberGroup<'_>);
        let broker_member_group = self
            .routes
            .member_group(&header.cluster_name, &header.broker_name);
        with_body(
            responder,
            body::write_fastjson(&MemberGroupBody { broker_member_group }),
        );
    }

    /// WIPE_WRITE_PERM_OF_BROKER.
    pub fn wipe_write_permission(&self, request: Request, may: MayWait) {
        let Request { frame, responder } = request;
        let header = header!(frame, responder, BrokerPermission<'_>);
        let wipe_topic_count = self
            .routes
            .set_permission(&header.broker_name, Permission::WipeWrite, may);
        let (name, peer) = (&header.broker_name, responder.peer().address());
        tracing::info!("wipe write perm of broker[{name}], client: {peer}, {wipe_topic_count}");
        responder.reply(
            response::SUCCESS,
            None,
            &WipedWritePermission { wipe_topic_count },
            Body::Empty,
        );
    }

    /// ADD_WRITE_PERM_OF_BROKER.
    pub fn add_write_permission(&self, request: Request, may: MayWait) {
        let Request { frame, responder } = request;
        let header = header!(frame, responder, BrokerPermission<'_>);
        let add_topic_count = self
            .routes
            .set_permission(&header.broker_name, Permission::Add, may);
        let (name, peer) = (&header.broker_name, responder.peer().address());
        tracing::info!("add write perm of broker[{name}], client: {peer}, {add_topic_count}");
        responder.reply(
            response::SUCCESS,
            None,
            &AddedWritePermission { add_topic_count },
            Body::Empty,
        );
    }
}

/// Tells two registrations' bodies apart; how a body is to be read is part of it.
fn fingerprint(frame: &Frame, header: &RegisterBrokerRequestHeader) -> (usize, u64) {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write_u8(u8::from(header.compressed.unwrap_or(false)));
    hasher.write_i32(frame.version);
    hasher.write(&frame.body);
    (frame.body.len(), hasher.finish())
}
