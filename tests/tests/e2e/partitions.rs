//! Partitions: hosts in network namespaces of their own, between two of which everything is lost while Java's, Go's and Node's clients are
//! at work. Nothing is closed; who is cut off has to find that out.

use crate::asks::create_topic;
use crate::check::*;
use crate::replicated_clusters::{AtWork, TOPIC};
use crate::replication::{assert_same_log, end, eventually, send_one};
use cluster::{Broker, Client, Flavour, NameServer, Network, Wire, free_port};
use std::path::Path;

/// How soon both sides of a connection find out that the other is gone.
const QUICK: [(&str, &str); 3] = [
    ("haHousekeepingInterval", "2000"),
    ("haSendHeartbeatInterval", "500"),
    ("registerNameServerPeriod", "10000"),
];

/// Each on a host of its own; clients are on a fourth.
struct Parted {
    network: Network,
    namesrv: NameServer,
    master: Broker,
    slave: Broker,
}

impl Parted {
    fn start(dir: &Path) -> Parted {
        let network = Network::of(dir, &["namesrv", "master", "slave", "clients"]);
        let namesrv = NameServer::start_there(network.place("namesrv"), Flavour::Ours, dir, free_port(), &[]);
        let broker = |name: &str, tuning: &[(&str, &str)]| {
            let tuning = [&QUICK[..], tuning].concat();
            let address = namesrv.address();
            Broker::start_there(
                network.place(name),
                Flavour::Ours,
                (dir, name),
                "broker-a",
                &address,
                &tuning,
            )
        };
        let master = broker(
            "master",
            &[("brokerRole", "SYNC_MASTER"), ("slaveTimeout", "500")],
        );
        let slave = broker("slave", &[("brokerRole", "SLAVE"), ("brokerId", "1")]);
        Parted {
            network,
            namesrv,
            master,
            slave,
        }
    }

    /// A send from the switch, which is cut off from nobody.
    fn send(&self) -> i64 {
        send_one(&mut Wire::connect(&self.master.address()).unwrap(), "Warm")
    }

    /// The slave follows again.
    fn wait_in_sync(&self) {
        eventually("a slave is in sync", || self.send() == 0);
        let sent = end(&self.master);
        eventually("the slave follows", || end(&self.slave) >= sent);
    }
}

fn has_status(sender: &Client, status: &str) -> bool {
    sender.events().iter().any(|event| event.status == status)
}

/// Between the master and its slave, between clients and the master, between the master and the name server: acknowledged messages stay,
/// consumers get all of them, offsets keep, and the logs are the same in the end.
#[test]
fn clients_live_through_partitions() {
    if !Network::inside("partitions::clients_live_through_partitions") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let parted = Parted::start(dir.path());
    let Parted {
        network,
        namesrv,
        master,
        slave,
    } = &parted;
    parted.wait_in_sync();
    create_topic(&mut Wire::connect(&master.address()).unwrap(), TOPIC, "4");
    master.wait_for_topic(TOPIC);
    let start = |language, command: &str, options: &[(&str, &str)]| {
        let address = namesrv.address();
        let all = [&[("ns", address.as_str()), ("topic", TOPIC)], options].concat();
        Client::start_there(network.place("clients"), language, dir.path(), command, &all)
    };
    let work = AtWork::start(start);

    // Of the slave alone. What is stored meanwhile is said to be on one broker; nobody waits for longer than slaveTimeout.
    for _ in 0..2 {
        let reached = end(slave);
        network.part("master", "slave");
        eventually("the master finds out that it has no slave", || {
            parted.send() == 11
        });
        work.wait_more(50);
        work.wait_received();
        eventually("producers are told", || {
            has_status(&work.senders[0], "SLAVE_NOT_AVAILABLE")
        });
        assert!(end(slave) < end(master) && end(slave) >= reached);
        network.join("master", "slave");
        parted.wait_in_sync();
    }
    assert!(has_status(&work.senders[0], "FLUSH_SLAVE_TIMEOUT"));

    // Of the clients from the master, which goes on with its slave.
    network.part("clients", "master");
    let failed = work.senders[0].count("failed");
    work.senders[0].wait_count("failed", failed + 1, LONG);
    assert_eq!(parted.send(), 0, "the master has its slave");
    network.join("clients", "master");
    work.wait_more(50);
    work.wait_received();

    // Of the master from the name server. Clients know where it is; what is made meanwhile is told when that is possible again.
    network.part("master", "namesrv");
    let said = format!("name server {} does not know this broker", namesrv.address());
    master
        .process
        .wait_for(&said, LONG, |line| line.contains(&said).then_some(()));
    work.wait_more(50);
    work.wait_received();
    create_topic(&mut Wire::connect(&master.address()).unwrap(), "Meanwhile", "4");
    network.join("master", "namesrv");
    master.wait_for_topic("Meanwhile");

    parted.wait_in_sync();
    work.finish(master, slave);
    assert_same_log(master, slave);
}
