//! Metrics that are pushed, to a collector by OTLP over gRPC or into the log: on the listener's thread, at a set interval.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::Registry;
use crate::otlp::Pushes;

/// Where to, how often, and how.
#[derive(Debug, Clone)]
pub struct PushSettings {
    /// A collector, or the log.
    pub target: PushTarget,
    /// From one push to the next.
    pub each: Duration,
    /// Counters tell what came since the last push.
    pub in_delta: bool,
}

/// Where metrics are pushed to.
#[derive(Debug, Clone)]
pub enum PushTarget {
    /// A collector.
    Collector(Box<Collector>),
    /// The log, as OTLP's JSON.
    Log,
}

/// A collector, with what is sent along to it.
#[derive(Debug, Clone)]
pub struct Collector {
    endpoint: Endpoint,
    headers: Vec<(AsciiMetadataKey, AsciiMetadataValue)>,
}

impl Collector {
    /// One at an address as `metricsGrpcExporterTarget` has it: without a scheme it is `https`. `headers` are `name:value`, separated
    /// by commas.
    ///
    /// # Errors
    /// The text says what is wrong.
    pub fn new(target: &str, headers: &str, within: Duration) -> Result<Self, String> {
        let uri = match target.starts_with("http") {
            true => target.to_owned(),
            false => format!("https://{target}"),
        };
        let bad = |cause: &dyn std::fmt::Display| format!("{target} is no address of a collector: {cause}");
        let mut endpoint = Endpoint::from_shared(uri.clone())
            .map_err(|e| bad(&e))?
            .connect_timeout(within)
            .timeout(within);
        if endpoint.uri().host().is_none_or(str::is_empty) {
            return Err(bad(&"it has no host"));
        }
        if uri.starts_with("https") {
            let tls = ClientTlsConfig::new().with_native_roots();
            endpoint = endpoint.tls_config(tls).map_err(|e| bad(&e))?;
        }
        let items = headers.split(',').map(str::trim).filter(|item| !item.is_empty());
        let headers = items.map(header).collect::<Result<_, _>>()?;
        Ok(Self { endpoint, headers })
    }
}

/// What is wrong with a header is said without its value, which may be a secret.
fn header(item: &str) -> Result<(AsciiMetadataKey, AsciiMetadataValue), String> {
    let (name, value) = item
        .split_once(':')
        .ok_or("a header is name:value, and one has no `:`")?;
    let name = name.trim().to_ascii_lowercase();
    let key = AsciiMetadataKey::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{name}` is no name of a header"))?;
    let value = value
        .trim()
        .parse()
        .map_err(|_| format!("the value of `{name}` has other characters than ASCII"))?;
    Ok((key, value))
}

/// Pushes until the end, and then once more.
pub(crate) struct Push {
    registry: Arc<Registry>,
    each: Duration,
    pushes: Pushes,
    to: Sender,
}

impl Push {
    /// Counting begins now.
    pub(crate) fn new(settings: &PushSettings, registry: Arc<Registry>) -> Self {
        Self {
            each: settings.each,
            pushes: Pushes::new(&registry.labels, settings.in_delta, now_ns()),
            to: Sender::new(&settings.target),
            registry,
        }
    }

    /// Pushes; what was counted since the last push is told when `end` comes.
    pub(crate) async fn run(mut self, mut end: oneshot::Receiver<()>) {
        let mut ticks = tokio::time::interval(self.each);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first is now.
        ticks.tick().await;
        loop {
            let is_over = tokio::select! {
                _ = &mut end => true,
                _ = ticks.tick() => false,
            };
            self.push().await;
            if is_over {
                return;
            }
        }
    }

    async fn push(&mut self) {
        let told = Arc::clone(&self.registry);
        // It may wait for locks and the disk.
        let Ok(families) = tokio::task::spawn_blocking(move || told.data()).await else {
            return;
        };
        let mut failed = None;
        for push in self.pushes.next(families, now_ns()) {
            match self.to.send(push).await {
                Ok(()) => self.registry.pushed[0].fetch_add(1, Relaxed),
                Err(why) => {
                    failed = Some(why);
                    self.registry.pushed[1].fetch_add(1, Relaxed)
                }
            };
        }
        self.to.say(failed);
    }
}

/// What a collector is asked by, and what is sent along.
struct Grpc {
    client: MetricsServiceClient<Channel>,
    headers: Vec<(AsciiMetadataKey, AsciiMetadataValue)>,
}

enum Way {
    Collector(Box<Grpc>),
    Log,
}

/// Where pushes go, and whether the last one came there.
struct Sender {
    way: Way,
    fails: bool,
}

impl Sender {
    fn new(target: &PushTarget) -> Self {
        let way = match target {
            PushTarget::Log => Way::Log,
            PushTarget::Collector(collector) => {
                let channel = collector.endpoint.connect_lazy();
                Way::Collector(Box::new(Grpc {
                    client: MetricsServiceClient::new(channel),
                    headers: collector.headers.clone(),
                }))
            }
        };
        Self { way, fails: false }
    }

    async fn send(&mut self, push: ResourceMetrics) -> Result<(), String> {
        match &mut self.way {
            Way::Log => {
                let text = serde_json::to_string(&push).map_err(|e| e.to_string())?;
                tracing::info!("{text}");
                Ok(())
            }
            Way::Collector(grpc) => {
                let mut request = tonic::Request::new(ExportMetricsServiceRequest {
                    resource_metrics: vec![push],
                });
                for (name, value) in &grpc.headers {
                    request.metadata_mut().append(name.clone(), value.clone());
                }
                let answer = grpc
                    .client
                    .export(request)
                    .await
                    .map_err(|status| status.to_string())?;
                match answer.into_inner().partial_success {
                    Some(partial) if partial.rejected_data_points > 0 => Err(format!(
                        "{} series refused: {}",
                        partial.rejected_data_points, partial.error_message
                    )),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Tells of a change; `rocketmq_metrics_pushes_total` counts the rest.
    fn say(&mut self, failed: Option<String>) {
        let fails = failed.is_some();
        if fails == self.fails {
            return;
        }
        self.fails = fails;
        match failed {
            Some(why) => tracing::warn!("metrics can not be pushed: {why}"),
            None => tracing::info!("metrics are pushed again"),
        }
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_headers_are_read_or_refused() {
        let read = |target: &str, headers: &str| Collector::new(target, headers, Duration::from_secs(1));
        let with_scheme = |target: &str| read(target, "").expect("an address").endpoint.uri().to_string();
        assert_eq!(with_scheme("collector:4317"), "https://collector:4317/");
        assert_eq!(with_scheme("http://127.0.0.1:4317"), "http://127.0.0.1:4317/");
        let headers = read("http://a:1", "Authorization: Bearer x, b:c,")
            .expect("headers")
            .headers;
        let shown: Vec<(&str, &[u8])> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        assert_eq!(shown, [("authorization", &b"Bearer x"[..]), ("b", b"c")]);
        for (target, headers, part) in [
            ("http://a b", "", "no address"),
            ("http://", "", "no address"),
            ("http://a:1", "secret", "no `:`"),
            ("http://a:1", "a b:secret", "`a b` is no name"),
            ("http://a:1", "a:secret\u{7}", "value of `a`"),
        ] {
            let why = read(target, headers).expect_err(part);
            assert!(why.contains(part) && !why.contains("secret"), "{why}");
        }
    }
}
