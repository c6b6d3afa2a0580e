//! Starts real name servers and brokers, ours and Java's, and real clients in Java, Go and Node.
//!
//! For tests and for trying things out. Everything listens on 127.0.0.1 or in a [`Network`] of its own, lives in a temporary folder, and is ended when its
//! handle is dropped; when a test panics, the last lines of each process are printed and the folder is kept. Nothing here
//! sleeps: waits are for a line of output or the end of a process.
//!
//! Start reading at [`Cluster`]. What the clients print is described in `tests/java/driver`.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test harness starts and waits for processes"
)]
#![allow(clippy::print_stderr, reason = "a test harness reports on stderr")]

mod absurd;
mod build;
mod clients;
mod network;
mod ports;
mod process;
mod proxy;
mod servers;
mod turns;
mod wire;

pub use absurd::{Asker, RequestCode, Watched, request_codes};
pub use build::{java_classes, java_servers, otlp_collector, our_program, prom_lint, repository};
pub use clients::{
    Client, Event, Language, java_mqadmin, java_mqadmin_session, java_mqadmin_with, java_program,
};
pub use network::{Network, Place};
pub use ports::free_port;
pub use process::Process;
pub use proxy::Proxy;
pub use servers::{Broker, Brokers, Cluster, Flavour, Jvm, NameServer, Tuning, java};
pub use turns::{Alone, Turn, alone};
pub use wire::{Answer, Wire, frame};
