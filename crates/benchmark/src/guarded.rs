//! What it costs to sign sends, and to encrypt them: both beside the same sends as they are, on the same brokers.

use std::io;
use std::time::Duration;

use acl::Credentials;
use cluster::{Broker, Flavour, Jvm, NameServer};
use protocol::SerializeType;
use remoting::tls::{ClientTls, ClientTlsSettings};

use crate::broker;
use crate::compare::{self, BODY_BYTES, Plan, WARM_UP, median};
use crate::load::{Kind, Load, Outcome, QUEUES, Way};
use crate::rows::{Figure, Goal};
use crate::table::{Line, Table};

const TOPIC: &str = "Guarded";
const ACCESS_KEY: &str = "benchmark";
const SECRET_KEY: &str = "benchmark-secret";
/// The account has to be an admin's: it makes the topic.
const ACCOUNTS: &str = "accounts:\n- accessKey: benchmark\n  secretKey: benchmark-secret\n  admin: true\n";
const CONNECTIONS: usize = 16;
const IN_FLIGHT: usize = 16;
/// The first load of each way is not counted: a JVM compiles its code under it.
const FIRST_WARM_UP: Duration = Duration::from_secs(6);

const UNSIGNED: &str = "send 16 x 16, neither signed nor by TLS";
const SIGNED: &str = "signed send 16 x 16";
const BY_TLS: &str = "TLS send 16 x 16";
const SIGNATURE: &str = "a signature, of the send that it is for";

/// A broker that asks for signatures, and one that does not.
struct Side {
    open: Broker,
    guarded: Broker,
    /// The brokers register there, and their files lie there.
    _namesrv: NameServer,
    _folder: tempfile::TempDir,
}

impl Side {
    fn start(flavour: Flavour) -> io::Result<Side> {
        let folder = tempfile::Builder::new().prefix("rocketmq-benchmark-").tempdir()?;
        let namesrv = NameServer::start(Flavour::Ours, folder.path());
        let tuning = [
            ("mappedFileSizeCommitLog", "1073741824"),
            ("osPageCacheBusyTimeOutMills", "5000"),
            ("waitTimeMillsInSendQueue", "5000"),
        ];
        let start = |name: &str, more: &[(&str, &str)]| {
            let (kind, tuning) = ((flavour, Jvm::Large), [&tuning[..], more].concat());
            Broker::start_in(name, kind, folder.path(), name, &namesrv.address(), &tuning)
        };
        let conf = folder.path().join("guarded/conf");
        std::fs::create_dir_all(&conf)?;
        std::fs::write(conf.join("plain_acl.yml"), ACCOUNTS)?;
        let (open, guarded) = (start("open", &[]), start("guarded", &[("aclEnable", "true")]));
        // One that asks for no signature looks at none.
        let account = Credentials::new(ACCESS_KEY, SECRET_KEY);
        for broker in [&open, &guarded] {
            broker::create_topic_as(Some(&account), &broker.address(), TOPIC, QUEUES)?;
        }
        Ok(Side {
            open,
            guarded,
            _namesrv: namesrv,
            _folder: folder,
        })
    }

    fn run(&self, way: &Way, warm_up: Duration, seconds: u64) -> io::Result<Outcome> {
        let broker = match way {
            Way::Signed(..) => &self.guarded,
            Way::Plain | Way::Tls(_) => &self.open,
        };
        let load = Load {
            kind: Kind::Send,
            address: broker.address(),
            topic: TOPIC,
            connections: CONNECTIONS,
            in_flight: IN_FLIGHT,
            size: BODY_BYTES,
            batch: 1,
            serialize_type: SerializeType::Json,
            has_parts: false,
            rate: 0,
            warm_up,
            measured: Duration::from_secs(seconds),
            once: false,
            pid: broker.process.pid(),
            way: way.clone(),
        };
        let outcome = load.run()?;
        match outcome.refused > 0.0 {
            true => Err(io::Error::other("the broker refuses what it is sent")),
            false => Ok(outcome),
        }
    }
}

/// Measures what is wanted of it; one way after the other, each on all sides in turns.
pub(crate) fn run(plan: &Plan, table: &mut Table) -> io::Result<()> {
    if ![UNSIGNED, SIGNED, BY_TLS, SIGNATURE]
        .iter()
        .any(|name| plan.wants(name))
    {
        return Ok(());
    }
    // The servers' certificates are made up at their starts, and nobody's.
    let trusting = ClientTlsSettings {
        auth_server: false,
        ..ClientTlsSettings::default()
    };
    let tls = ClientTls::load(&trusting).map_err(io::Error::other)?;
    let ways = [
        (UNSIGNED, Way::Plain),
        (SIGNED, Way::Signed(ACCESS_KEY, SECRET_KEY)),
        (BY_TLS, Way::Tls(tls)),
    ];
    let sides: io::Result<Vec<Side>> = plan
        .sides()
        .iter()
        .map(|(_, flavour)| Side::start(*flavour))
        .collect();
    let sides = sides?;
    for side in &sides {
        for (_, way) in &ways {
            side.run(way, FIRST_WARM_UP, 1)?;
        }
    }
    let mut measured = vec![vec![Vec::new(); sides.len()]; ways.len()];
    for _ in 0..plan.rounds {
        for ((name, way), of_way) in ways.iter().zip(&mut measured) {
            for (side, outcomes) in sides.iter().zip(of_way.iter_mut()) {
                let named = |e| io::Error::other(format!("{name}: {e}"));
                outcomes.push(side.run(way, WARM_UP, plan.seconds).map_err(named)?);
            }
        }
    }
    let [unsigned, signed, by_tls] = &measured[..] else {
        return Ok(());
    };
    let fast = Some(Goal::RatioAtLeast(3.0));
    for (name, measured, goal) in [
        (UNSIGNED, unsigned, None),
        (SIGNED, signed, None),
        (BY_TLS, by_tls, fast),
    ] {
        table.add(vec![
            compare::line(name, (Figure::Rate, goal), measured),
            compare::line(name, (Figure::CpuPerMillion, None), measured),
            compare::line(name, (Figure::OwnCpuPerMillion, None), measured),
        ]);
    }
    table.add(vec![cost_of_signatures(unsigned, signed)]);
    Ok(())
}

/// What a signed send takes of the broker's CPU more than an unsigned one, round by round.
fn cost_of_signatures(unsigned: &[Vec<Outcome>], signed: &[Vec<Outcome>]) -> Line {
    let cost = |(unsigned, signed): (&Vec<Outcome>, &Vec<Outcome>)| {
        let pairs = unsigned.iter().zip(signed);
        let more = pairs.map(|(unsigned, signed)| signed.cpu_per_million() - unsigned.cpu_per_million());
        median(more.collect())
    };
    let values: Vec<f64> = unsigned.iter().zip(signed).map(cost).collect();
    Line::of(SIGNATURE, "broker CPU µs more", values, Some(Goal::AtMost(3.0)))
}
