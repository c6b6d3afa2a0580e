//! The listener of metrics and health: what it tells, made of the parts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use disk::Disk;
use metrics::{Bound, Exposition, Listener, Page, Registry, Reply, Site, Source};
use process::Pulse;
use remoting::ServedRequests;

use super::{Parts, State};
use crate::observe::{
    ClientsTold, LagTold, LimitsTold, LogTold, Readiness, Recovered, RegistrationTold, ReplicationTold,
    TrafficTold, pulls_page,
};
use crate::settings::Settings;
use crate::stats::StatsTold;

/// The socket, taken before the store is opened, which takes its time. A broker starts without it, too.
pub(super) fn bind(settings: &Settings) -> Option<Bound> {
    let place = settings.metrics_place()?;
    match place.bind() {
        Ok(bound) => Some(bound),
        Err(e) => {
            tracing::warn!("metrics and health are not served: metricsPromExporterHost: {e}");
            None
        }
    }
}

/// What the listener tells beside the parts.
pub(super) struct Told<D: Disk> {
    pub(super) recovered: Recovered,
    pub(super) pulse: Pulse,
    pub(super) state: State<D>,
}

/// Serves metrics and health.
pub(super) fn serve<D: Disk + Clone>(
    bound: Bound,
    parts: &Arc<Parts<D>>,
    told: Told<D>,
) -> std::io::Result<Listener> {
    let registry = Arc::new(registry(parts, &told));
    let push = parts.settings.load().metrics.push();
    let push = push.map(|push| (push, Arc::clone(&registry)));
    let readiness = Arc::new(readiness(parts));
    let (pulse, live, state) = (told.pulse.clone(), told.pulse, told.state);
    let slow = Arc::clone(&parts.limits.traffic.metrics);
    let (hold, clock) = (Arc::clone(&parts.hold), Arc::clone(&parts.clock));
    let mut pages = vec![
        Page::get("/metrics", move || Reply::metrics(registry.text())),
        // What 5.x's exporter answers.
        Page::get("/-/healthy", || Reply::text(200, "Exporter is Healthy.\n")),
        Page::get("/livez", move || match live.stuck() {
            None => Reply::text(200, "live\n"),
            Some(why) => Reply::text(503, why + "\n"),
        }),
        Page::get("/readyz", move || {
            let mut missing = readiness.missing();
            missing.extend(pulse.stuck());
            match missing.is_empty() {
                true => Reply::text(200, "ready\n"),
                false => Reply::text(503, missing.join("\n") + "\n"),
            }
        }),
        Page::get_local("/debug/state", move || Reply::text(200, state.page())),
        Page::get_local("/debug/slow", move || Reply::text(200, slow.slow.page())),
        Page::get_local("/debug/pulls", move || {
            Reply::text(200, pulls_page(&hold, clock.now_ms()))
        }),
    ];
    if parts.settings.load().broker.drain_by_http_enable {
        let registration = Arc::clone(&parts.registration);
        pages.push(Page::post_local("/drain", move || {
            registration.ask_for_drain();
            Reply::text(202, "asked; /readyz and the broker's log say what comes of it\n")
        }));
    }
    bound.serve(Site::new(pages), push)
}

fn registry<D: Disk + Clone>(parts: &Arc<Parts<D>>, told: &Told<D>) -> Registry {
    let settings = parts.settings.snapshot();
    let mut common = vec![
        ("otel_scope_name", "broker-meter"),
        ("cluster", settings.broker.broker_cluster_name.as_str()),
        ("node_id", settings.broker.broker_name.as_str()),
        ("node_type", "broker"),
    ];
    common.extend(settings.metrics.labels());
    let series_max = usize::try_from(settings.broker.metrics_otel_cardinality_limit).unwrap_or(usize::MAX);
    let mut registry = Registry::new(&common, series_max);
    registry.add(ClientsTold {
        settings: Arc::clone(&parts.settings),
        tables: parts.tables.clone(),
        clients: parts.clients.clone(),
    });
    registry.add(StatsTold {
        stats: Arc::clone(&parts.log.stats),
        topics: Arc::clone(&parts.tables.topics),
        open_halves: Arc::clone(&parts.open_halves),
    });
    registry.add(LagTold {
        tables: parts.tables.clone(),
        consumers: Arc::clone(&parts.clients.consumers),
        stats: Arc::clone(&parts.log.stats),
        store: Arc::clone(&parts.log.store),
        clock: Arc::clone(&parts.clock),
    });
    registry.add(ServedRequests(Arc::clone(&parts.limits.traffic.metrics)));
    registry.add(LogTold {
        settings: Arc::clone(&parts.settings),
        store: Arc::clone(&parts.log.store),
        flusher: Arc::clone(&parts.log.flusher),
        acknowledgements: Arc::clone(&parts.log.appender.acknowledgements),
        lanes: parts.handlers.lanes.clone(),
        recovered: told.recovered,
        clock: Arc::clone(&parts.clock),
    });
    registry.add(ReplicationTold {
        store: Arc::clone(&parts.log.store),
        slaves: Arc::clone(&parts.replication.slaves),
        link: Arc::clone(&parts.replication.link),
        clock: Arc::clone(&parts.clock),
    });
    registry.add(TrafficTold(parts.limits.traffic.clone()));
    registry.add(LimitsTold {
        limits: parts.limits.clone(),
        access: parts.access.clone(),
    });
    registry.add(RegistrationTold(Arc::clone(&parts.registration)));
    registry.add(process::ProcessFigures::default());
    registry.add(TaskPanics(Arc::clone(&told.state.task_panics)));
    registry
}

pub(super) fn readiness<D: Disk>(parts: &Parts<D>) -> Readiness<D> {
    Readiness {
        settings: Arc::clone(&parts.settings),
        store: Arc::clone(&parts.log.store),
        registration: Arc::clone(&parts.registration),
        link: Arc::clone(&parts.replication.link),
    }
}

struct TaskPanics(Arc<AtomicU64>);

impl Source for TaskPanics {
    fn write(&self, to: &mut Exposition<'_>) {
        to.counter(
            "rocketmq_task_panics_total",
            "Panics of tasks, which were started again.",
        )
        .value(&[], self.0.load(Ordering::Relaxed) as f64);
    }
}
