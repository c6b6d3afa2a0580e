//! Records what a Java broker stores and says about transactions; the lines are those of tests/golden/java-4.9.7/transactions.txt:
//! `cargo run -p broker --example record_transactions`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of the tests")]
#![allow(clippy::disallowed_methods, reason = "it reads a Java broker's files")]

#[path = "../tests/it/transaction_scenario.rs"]
mod transaction_scenario;

use cluster::{Cluster, Flavour};
use transaction_scenario::{Recording, records};

fn main() {
    let tuning = [
        ("transactionCheckInterval", "2500"),
        ("transactionTimeOut", "1000"),
        ("transactionCheckMax", "2"),
        ("waitTimeMillsInSendQueue", "20000"),
    ];
    let mut cluster = Cluster::of(Flavour::Ours, Flavour::Java("4.9.7"), &tuning);
    let said = Recording::make(&cluster.broker.address());
    cluster.broker.stop();
    let records = records(&cluster.broker.store().join("commitlog"));
    for line in said.iter().chain(&records) {
        println!("{line}");
    }
}
