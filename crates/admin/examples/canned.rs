//! Servers that know their answers by heart, on port 10911 of 127.0.0.1 to 127.0.0.3, until they are stopped: what Java's tools printed
//! of them is in `tests/golden`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a program for who makes golden files"
)]

#[path = "../tests/canned/mod.rs"]
mod canned;

#[tokio::main]
async fn main() {
    let servers = canned::Canned::start(10_911, "").unwrap();
    eprintln!("127.0.0.1:{}", servers.port);
    tokio::signal::ctrl_c().await.unwrap();
    servers.stop().await;
}
