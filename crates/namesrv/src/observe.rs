//! Metrics and health of the name server. Java's has none; the names are in the style of 5.x's brokers (docs/metrics.md).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use metrics::{Exposition, Listener, MetricsSection, Page, Place, Registry, Reply, Site, Source};
use process::{ProcessFigures, Pulse};
use remoting::ServedRequests;

use crate::run::State;

/// Series that a metric may have; the name server has none that grow with topics.
const SERIES_MAX: usize = 50_000;

/// Serves them. A name server that can not have them starts all the same.
pub(crate) fn serve(
    place: &Place,
    settings: &MetricsSection,
    own: SocketAddr,
    state: &State,
    pulse: &Pulse,
) -> Option<Listener> {
    let registry = Arc::new(registry(settings, own, state));
    let push = settings.push().map(|push| (push, Arc::clone(&registry)));
    let site = site(registry, state, pulse);
    let listener = place.bind().and_then(|bound| bound.serve(site, push));
    match listener {
        Ok(listener) => Some(listener),
        Err(e) => {
            tracing::warn!("metrics and health are not served: metricsPromExporterHost: {e}");
            None
        }
    }
}

fn registry(settings: &MetricsSection, own: SocketAddr, state: &State) -> Registry {
    let own = own.to_string();
    let mut common = vec![
        ("otel_scope_name", "namesrv-meter"),
        ("node_id", own.as_str()),
        ("node_type", "namesrv"),
    ];
    common.extend(settings.labels());
    let mut registry = Registry::new(&common, SERIES_MAX);
    registry.add(state.clone());
    registry.add(ServedRequests(Arc::clone(&state.metrics)));
    registry.add(ProcessFigures::default());
    registry
}

fn site(registry: Arc<Registry>, state: &State, pulse: &Pulse) -> Site {
    let (live, ready, shown) = (pulse.clone(), pulse.clone(), state.clone());
    let slow = Arc::clone(&state.metrics);
    let alive = |pulse: &Pulse, word: &str| match pulse.stuck() {
        None => Reply::text(200, format!("{word}\n")),
        Some(why) => Reply::text(503, why + "\n"),
    };
    Site::new(vec![
        Page::get("/metrics", move || Reply::metrics(registry.text())),
        Page::get("/livez", move || alive(&live, "live")),
        // It serves from its first moment on: what brokers have told it is what it knows.
        Page::get("/readyz", move || alive(&ready, "ready")),
        Page::get_local("/debug/state", move || Reply::text(200, shown.page())),
        Page::get_local("/debug/slow", move || Reply::text(200, slow.slow.page())),
    ])
}

impl Source for State {
    fn write(&self, to: &mut Exposition<'_>) {
        let figures = self.routes.figures();
        for (name, help, value) in [
            ("rocketmq_namesrv_topics", "Topics with a route.", figures.topics),
            (
                "rocketmq_namesrv_broker_names",
                "Names of brokers.",
                figures.names,
            ),
            (
                "rocketmq_namesrv_brokers",
                "Brokers that are alive.",
                figures.live,
            ),
            ("rocketmq_namesrv_clusters", "Clusters.", figures.clusters),
            (
                "rocketmq_namesrv_routes_bytes",
                "About the memory of all routes.",
                figures.bytes,
            ),
        ] {
            to.gauge(name, help).value(&[], value as f64);
        }
        remoting::traffic(&self.metrics, &self.room, to);
        let mut family = to.counter("rocketmq_refused_requests_total", "Requests refused, by reason.");
        family.value(&[("reason", "NOT_ALLOWED")], self.gate.refused() as f64);
        let too_large = self.too_large.load(Ordering::Relaxed);
        family.value(&[("reason", "REGISTRATION_TOO_LARGE")], too_large as f64);
        for lane in self.lanes.all() {
            let budget = lane.budget();
            family.value(&[("reason", budget.name())], budget.refused() as f64);
        }
        let mut family = to.gauge("rocketmq_processor_watermark", "Requests that wait to be served.");
        for lane in self.lanes.all() {
            let name = lane.budget().name().to_ascii_lowercase();
            family.value(&[("processor", name.as_str())], lane.look().0 as f64);
        }
    }
}
