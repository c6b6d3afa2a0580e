//! Metrics as Prometheus reads them, and the listener that gives them.
//!
//! Owns: histograms that cost a count nothing but additions, the text format with its limit of series, a small HTTP server on a
//! thread of its own. Refuses to know what is counted: a server gives [`Source`]s, which write their families when they are asked, and
//! the pages of its [`Site`].
//!
//! The same families can be pushed, by OTLP ([`PushSettings`]).
//!
//! The text is written here: Prometheus's own library for Rust writes OpenMetrics only, where a counter has another name than the
//! one that RocketMQ 5.x gives it.
//!
//! Start reading at [`Registry`].
//!
//! ```
//! use metrics::{Exposition, Registry, Source};
//! struct Permission;
//! impl Source for Permission {
//!     fn write(&self, to: &mut Exposition<'_>) {
//!         to.gauge("rocketmq_broker_permission", "Permission of the broker.").value(&[], 6.0);
//!     }
//! }
//! let mut registry = Registry::new(&[("node_id", "broker-a")], 50_000);
//! registry.add(Permission);
//! assert!(registry.text().contains("rocketmq_broker_permission{node_id=\"broker-a\"} 6\n"));
//! ```
#![forbid(unsafe_code)]

mod exposition;
mod histogram;
mod listener;
mod otlp;
mod place;
mod push;
mod registry;
mod section;
mod site;

pub use exposition::{Exposition, Family};
pub use histogram::{Histogram, HistogramView};
pub use listener::{Bound, Listener};
pub use place::{Place, exporter, label_of};
pub use push::{Collector, PushSettings, PushTarget};
pub use registry::{Registry, Source};
pub use section::MetricsSection;
pub use site::{Page, Reply, Site};
