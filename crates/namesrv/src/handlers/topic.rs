//! GET_ROUTEINFO_BY_TOPIC 105, the topic lists 206, 224, 304 and 311 to 313, and topics entered or deleted by themselves
//! 216, 217.

use super::{header, refuse, with_body};
use crate::kv::{KvConfig, ORDER_TOPICS};
use crate::limits;
use crate::routes::RouteTable;
use crate::settings::Settings;
use ::settings::Live;
use protocol::body::namesrv::TopicRouteData;
use protocol::body::{self, TopicList};
use protocol::code::response;
use protocol::header::namesrv::{DeleteTopic, GetRouteInfo, RegisterTopic, TopicsByCluster};
use remoting::Request;
use remoting::lane::MayWait;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What the handler needs.
pub struct Topics {
    /// Topics and brokers.
    pub routes: Arc<RouteTable>,
    /// For order topics.
    pub kv: KvConfig,
    /// Settings.
    pub settings: Arc<Live<Settings>>,
    /// When the server started: with `needWaitForService` it answers no route for a while.
    pub started: Instant,
    /// Whether that while is over.
    pub ready: AtomicBool,
}

impl Topics {
    /// GET_ROUTEINFO_BY_TOPIC.
    pub fn route(&self, request: Request) {
        let Request { frame, responder } = request;
        let header = header!(frame, responder, GetRouteInfo<'_>);
        if !self.is_ready() {
            return responder.error(response::SYSTEM_ERROR, "name server not ready");
        }
        let settings = self.settings.load();
        let Some(mut route) = self
            .routes
            .route(&header.topic, settings.namesrv.support_acting_master)
        else {
            let remark = format!(
                "No topic route info in name server for the topic: {}\nSee \
                 https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.",
                header.topic
            );
            return responder.error(response::TOPIC_NOT_EXIST, &remark);
        };
        if settings.namesrv.order_message_enable {
            route.order_topic_conf = self.kv.get(ORDER_TOPICS, &header.topic);
        }
        if let (Some(true), Some(zone)) = (header.zone_mode, header.zone_name.as_deref())
            && !zone.trim().is_empty()
        {
            keep_zone(&mut route, zone);
        }
        let strict =
            frame.version >= protocol::version::V4_9_4 || header.accept_standard_json_only == Some(true);
        let body = if strict {
            body::write_browser(&route)
        } else {
            body::write_fastjson(&route)
        };
        with_body(responder, body);
    }

    fn is_ready(&self) -> bool {
        if self.ready.load(Ordering::Relaxed) {
            return true;
        }
        let settings = self.settings.load();
        let wait = Duration::from_secs(u64::try_from(settings.namesrv.wait_seconds_for_service).unwrap_or(0));
        let ready = !settings.namesrv.need_wait_for_service || self.started.elapsed() >= wait;
        self.ready.store(ready, Ordering::Relaxed);
        ready
    }

    /// GET_ALL_TOPIC_LIST_FROM_NAMESERVER.
    pub fn all(&self, request: Request, may: MayWait) {
        let enabled = self.settings.load().namesrv.enable_all_topic_list;
        answer_list(request, enabled, || self.routes.all_topics(may));
    }

    /// GET_TOPICS_BY_CLUSTER.
    pub fn by_cluster(&self, request: Request, may: MayWait) {
        let Request { frame, responder } = request;
        let cluster = header!(frame, responder, TopicsByCluster<'_>)
            .cluster
            .into_owned();
        self.list(Request { frame, responder }, || {
            self.routes.topics_of_cluster(&cluster, may)
        });
    }

    /// GET_SYSTEM_TOPIC_LIST_FROM_NS.
    pub fn system(&self, request: Request, _: MayWait) {
        answer_list(request, true, || self.routes.system_topics());
    }

    /// GET_UNIT_TOPIC_LIST.
    pub fn unit(&self, request: Request, may: MayWait) {
        self.list(request, || self.routes.unit_topics(may));
    }

    /// GET_HAS_UNIT_SUB_TOPIC_LIST.
    pub fn unit_subscription(&self, request: Request, may: MayWait) {
        self.list(request, || self.routes.unit_subscription_topics(may));
    }

    /// GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST.
    pub fn unit_subscription_without_unit(&self, request: Request, may: MayWait) {
        self.list(request, || self.routes.unit_subscription_without_unit_topics(may));
    }

    fn list(&self, request: Request, topics: impl FnOnce() -> TopicList) {
        let enabled = self.settings.load().namesrv.enable_topic_list;
        answer_list(request, enabled, topics);
    }

    /// DELETE_TOPIC_IN_NAMESRV.
    pub fn delete(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let header = header!(frame, responder, DeleteTopic<'_>);
        self.routes
            .delete_topic(&header.topic, header.cluster_name.as_deref());
        responder.ok();
    }

    /// REGISTER_TOPIC_IN_NAMESRV.
    pub fn register(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let header = header!(frame, responder, RegisterTopic<'_>);
        let max_bytes = self.settings.load().namesrv.registration_max_bytes();
        let route = match body::read_within::<TopicRouteData>(&frame.body, max_bytes) {
            Ok(route) => route,
            Err(body::BodyError::Missing) => TopicRouteData::default(),
            Err(e) => return refuse(responder, &e),
        };
        if let Err(long) = limits::check_queues(&route.queue_datas) {
            return refuse(responder, &long);
        }
        match self.routes.register_topic(&header.topic, route.queue_datas) {
            Ok(()) => responder.ok(),
            Err(e) => refuse(responder, &e),
        }
    }
}

fn answer_list(request: Request, enabled: bool, topics: impl FnOnce() -> TopicList) {
    if !enabled {
        return request.responder.error(response::SYSTEM_ERROR, "disable");
    }
    with_body(request.responder, body::write(&topics()));
}

/// Keeps the brokers of one zone, and those whose master is away: then their slaves serve every zone.
fn keep_zone(route: &mut TopicRouteData, zone: &str) {
    let (kept, removed): (Vec<_>, Vec<_>) =
        std::mem::take(&mut route.broker_datas)
            .into_iter()
            .partition(|data| {
                let in_zone = data
                    .zone_name
                    .as_deref()
                    .is_some_and(|name| name.eq_ignore_ascii_case(zone));
                in_zone || !data.broker_addrs.contains_key(&0)
            });
    route.broker_datas = kept;
    route
        .queue_datas
        .retain(|queue| !removed.iter().any(|data| data.broker_name == queue.broker_name));
    for address in removed.iter().flat_map(|data| data.broker_addrs.values()) {
        route.filter_server_table.remove(address);
    }
}
