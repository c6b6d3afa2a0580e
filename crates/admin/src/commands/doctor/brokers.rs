//! Addresses, places, disks, clocks, releases.

use super::sight::{Broker, Sight, is_loopback};
use super::{Finding, Weight};
use std::collections::{BTreeMap, BTreeSet};

/// Name servers that are away, or know other brokers than the first.
pub(super) fn name_servers(sight: &Sight) -> Vec<Finding> {
    let mut findings = Vec::new();
    let known = sight
        .namesrvs
        .iter()
        .filter_map(|(address, told)| Some((address, told.as_ref().ok()?)));
    let seats: Vec<(&String, BTreeSet<String>)> = known
        .map(|(address, info)| {
            let groups = info.broker_addr_table.values();
            let seats = groups.flat_map(|group| {
                let name = &group.broker_name;
                group
                    .broker_addrs
                    .iter()
                    .map(move |(id, at)| format!("{name} (id {id}) at {at}"))
            });
            (address, seats.collect())
        })
        .collect();
    for (address, told) in &sight.namesrvs {
        if let Err(why) = told {
            findings.push(Finding::new(
                Weight::Error,
                "nameServerAway",
                format!("name server {address}"),
                why,
                "start it, or take it out of every namesrvAddr: a client that asks it waits",
            ));
        }
    }
    let all: BTreeSet<&String> = seats.iter().flat_map(|(_, seats)| seats).collect();
    for (address, own) in &seats {
        let missing: Vec<&str> = all
            .iter()
            .filter(|seat| !own.contains(**seat))
            .map(|seat| seat.as_str())
            .collect();
        if !missing.is_empty() {
            findings.push(Finding::new(
                Weight::Error,
                "nameServersDiffer",
                format!("name server {address}"),
                format!("does not know {}, as another does", missing.join(", ")),
                "give every broker the same namesrvAddr, with every name server in it",
            ));
        }
    }
    findings
}

/// Two masters of one name, or two slaves of one id.
pub(super) fn clashes(sight: &Sight) -> Vec<Finding> {
    let mut findings: Vec<Finding> = sight
        .clashes
        .iter()
        .map(|clash| {
            let (name, id, addresses) = (&clash.name, clash.id, clash.addresses.join(" and "));
            let (check, what, advice) = match id {
                0 => (
                    "twoMasters",
                    format!("{addresses} take turns as master of this name: clients send now to one, now to the other"),
                    "give one of them a brokerName of its own, or brokerRole=SLAVE and a brokerId above 0",
                ),
                _ => (
                    "sameBrokerId",
                    format!("{addresses} take turns as slave {id} of this name"),
                    "give each slave a brokerId of its own",
                ),
            };
            Finding::new(Weight::Error, check, format!("{name} (id {id})"), what, advice)
        })
        .collect();
    for broker in sight.brokers.iter().filter(|broker| broker.away.is_none()) {
        let (name, id) = (broker.setting("brokerName"), broker.setting("brokerId"));
        if !name.is_empty() && (name, id) != (broker.name.as_str(), &broker.id.to_string()) {
            findings.push(Finding::new(
                Weight::Error,
                "otherBroker",
                broker.place(),
                format!("says that it is {name} (id {id})"),
                "two brokers announce one address: look at brokerIP1 and listenPort of both",
            ));
        }
    }
    findings
}

/// Brokers that this host does not reach at the address they announce.
pub(super) fn unreachable(sight: &Sight) -> Vec<Finding> {
    let away = sight
        .brokers
        .iter()
        .filter_map(|broker| Some((broker, broker.away.as_ref()?)));
    away.map(|(broker, why)| match broker.refuses {
        true => Finding::new(
            Weight::Error,
            "brokerRefuses",
            broker.place(),
            format!("does not tell of itself: {why}"),
            "give conf/tools.yml an account that may ask everything; what is wrong with this broker is not known",
        ),
        false => Finding::new(
            Weight::Error,
            "addressUnreachable",
            broker.place(),
            format!("is registered with this address, and does not answer there: {why}"),
            "start the broker; if it runs, set brokerIP1 to an address that clients reach, and open its port",
        ),
    })
    .collect()
}

/// What brokers do not tell: what is wrong there is not known.
pub(super) fn untold(sight: &Sight) -> Vec<Finding> {
    let untold = sight.brokers.iter().filter(|broker| !broker.untold.is_empty());
    untold
        .map(|broker| {
            Finding::new(
                Weight::Warning,
                "notTold",
                broker.place(),
                format!("does not tell {}", broker.untold.join("; ")),
                "what this says of it is not everything: ask again, with an account that may",
            )
        })
        .collect()
}

/// Brokers that announce an address of their own host, where name servers are elsewhere.
pub(super) fn loopback(sight: &Sight) -> Vec<Finding> {
    if !sight.is_remote() {
        return Vec::new();
    }
    let own = sight.brokers.iter().filter(|broker| is_loopback(&broker.address));
    own.map(|broker| {
        Finding::new(
            Weight::Error,
            "addressLoopback",
            broker.place(),
            "announces an address that every host takes for itself",
            "set brokerIP1 to an address that clients reach",
        )
    })
    .collect()
}

/// Shares of a disk from which a broker of Java's takes no message, and from which it deletes files before their time.
const FULL: f64 = 0.90;
const CLEANS: f64 = 0.75;

/// Disks that are nearly full.
pub(super) fn disks(sight: &Sight) -> Vec<Finding> {
    let mut findings = Vec::new();
    for broker in &sight.brokers {
        let ratios = ["commitLogDiskRatio", "consumeQueueDiskRatio"];
        let ratio = ratios
            .into_iter()
            .filter_map(|key| broker.number::<f64>(key))
            .fold(0.0, f64::max);
        let limit = broker
            .setting("diskMaxUsedSpaceRatio")
            .parse()
            .map_or(CLEANS, |percent: f64| percent / 100.0);
        let (percent, advice) = (
            (ratio * 100.0).round(),
            "give it a larger disk, or keep messages for a shorter time (fileReservedTime, in hours)",
        );
        let mut put = |weight, what: &str| {
            let what = format!("its disk is {percent} % full: {what}");
            findings.push(Finding::new(weight, "diskFull", broker.place(), what, advice));
        };
        match ratio {
            ratio if ratio >= FULL.max(limit) => put(Weight::Error, "it takes no messages, or soon will not"),
            ratio if ratio >= limit.min(FULL) => put(Weight::Warning, "files are deleted before their time"),
            _ => {}
        }
    }
    findings
}

/// How far clocks may be from each other: what is told has whole seconds.
const APART_MS: i64 = 3_000;

/// Clocks that are apart. Where all brokers agree, it is this host's.
pub(super) fn clocks(sight: &Sight) -> Vec<Finding> {
    let clocks: Vec<(&Broker, i64)> = sight
        .brokers
        .iter()
        .filter_map(|broker| Some((broker, broker.clock_ms?)))
        .collect();
    let mut sorted: Vec<i64> = clocks.iter().map(|(_, apart)| *apart).collect();
    sorted.sort_unstable();
    let (Some(first), Some(last), Some(middle)) =
        (sorted.first(), sorted.last(), sorted.get(sorted.len() / 2))
    else {
        return Vec::new();
    };
    let advice = "let every host follow the same time server: delayed messages, queries by time and retention go by the clock";
    let shown = |apart: i64| match apart {
        0.. => format!("{} s ahead", (apart + 500) / 1000),
        _ => format!("{} s behind", (500 - apart) / 1000),
    };
    if last - first <= APART_MS {
        if middle.abs() <= APART_MS {
            return Vec::new();
        }
        let what = format!("its clock is {} of that of every broker", shown(-middle));
        return vec![Finding::new(
            Weight::Notice,
            "clockApart",
            "this host",
            what,
            advice,
        )];
    }
    // Those that are not with the middle one.
    let apart = clocks
        .into_iter()
        .filter(|(_, apart)| (apart - middle).abs() > APART_MS || sorted.len() == 2);
    apart
        .filter(|(_, apart)| apart.abs() > APART_MS)
        .map(|(broker, apart)| {
            let what = format!("its clock is {} of this host's", shown(apart));
            Finding::new(Weight::Warning, "clockApart", broker.place(), what, advice)
        })
        .collect()
}

/// Brokers that make whatever topic or group somebody names.
pub(super) fn auto_creation(sight: &Sight) -> Vec<Finding> {
    let mut findings = Vec::new();
    for broker in sight.masters() {
        let [topics, groups] =
            ["autoCreateTopicEnable", "autoCreateSubscriptionGroup"].map(|key| broker.setting(key) == "true");
        if topics {
            findings.push(Finding::new(
                Weight::Warning,
                "autoCreateTopic",
                broker.place(),
                "makes every topic that a producer names: a typing mistake is a topic, and the first broker asked is the only one",
                "set autoCreateTopicEnable=false, and make topics with updateTopic -c",
            ));
        }
        if groups {
            findings.push(Finding::new(
                Weight::Notice,
                "autoCreateGroup",
                broker.place(),
                "makes every consumer group that a client names",
                "set autoCreateSubscriptionGroup=false, and make groups with updateSubGroup -c",
            ));
        }
    }
    findings
}

/// Releases that are mixed.
pub(super) fn versions(sight: &Sight) -> Vec<Finding> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for broker in &sight.brokers {
        if let Some(version) = broker.status[0].get("brokerVersionDesc") {
            versions.entry(version).or_default().push(&broker.address);
        }
    }
    if versions.len() < 2 {
        return Vec::new();
    }
    let parts: Vec<String> = versions
        .into_iter()
        .map(|(version, addresses)| format!("{version} at {}", addresses.join(", ")))
        .collect();
    vec![Finding::new(
        Weight::Notice,
        "versionsMixed",
        "brokers",
        parts.join("; "),
        "end the upgrade: what only some brokers can do fails now and then",
    )]
}
