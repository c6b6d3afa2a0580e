//! What an operator asks from outside: metrics, whether the broker lives and is ready, and what it is at.
//!
//! Everything here reads; it runs on the listener's own threads, and holds a lock of the tables for one group or one copy of names
//! at a time. Names, labels and values of the metrics: RocketMQ 5.3.3, and in its style what that lacks (docs/metrics.md).

mod clients;
mod connections;
mod lag;
mod log;
mod pulls;
mod readiness;

pub use clients::ClientsTold;
pub use connections::{LimitsTold, RegistrationTold, TrafficTold};
pub use lag::LagTold;
pub use log::{LogTold, Recovered, ReplicationTold};
pub use pulls::pulls_page;
pub use readiness::Readiness;

fn flag(is: bool) -> &'static str {
    if is { "true" } else { "false" }
}
