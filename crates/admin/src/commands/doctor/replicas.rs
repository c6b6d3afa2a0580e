//! Slaves beside their masters.

use super::sight::{Broker, Proof, Sight};
use super::{Finding, Weight};

/// How much of the log a slave may lack, bytes.
const BEHIND: i64 = 1 << 20;

fn log_end(broker: &Broker, look: usize) -> Option<i64> {
    broker.status.get(look)?.get("commitLogMaxOffset")?.parse().ok()
}

/// Where a slave says that its master replicates, and where that is by the settings of the master of its name, if that is elsewhere.
fn elsewhere(slave: &Broker, master: &Broker) -> Option<(String, String)> {
    let ha = slave.ha.as_ref()?.ha_client_runtime_info.as_ref()?;
    let followed = ha.master_addr.as_deref()?.trim_start_matches('/');
    let (host, port) = (master.setting("brokerIP2"), master.setting("haListenPort"));
    if followed.is_empty() || host.is_empty() || port.is_empty() || port == "0" {
        return None;
    }
    let known = format!("{host}:{port}");
    (followed != known).then(|| (followed.to_owned(), known))
}

/// Slaves whose log is not the master's. Which of the two logs is the right one nobody can see from here: a master may have lost what its
/// slave has, or be a second one that somebody has started beside the right one.
pub(super) fn other_log(sight: &Sight) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (slave, master) in sight.pairs() {
        let what = match (&slave.proof, log_end(slave, 0), log_end(master, 1)) {
            (Some(Proof::Other(place)), ..) => {
                format!(
                    "has another message at {place} of its log than its master {}",
                    master.address
                )
            }
            // The slave was asked first: a master only grows.
            (_, Some(own), Some(masters)) if own > masters => format!(
                "its log ends at {own}, and that of its master {} at {masters}",
                master.address
            ),
            _ => continue,
        };
        let advice = match elsewhere(slave, master) {
            Some((followed, _)) => format!(
                "do nothing to its store: it is a copy of the log of the broker that replicates at {followed}. Of two masters of this name stop \
                 the one that is not the right one first, and look again"
            ),
            None => "throw nothing away: it may have what the master has lost. If the master's log is not the right one (it came back from a \
                     backup or with an empty disk, or is a second master of this name), stop the master and make this broker the master; if it \
                     is, stop this one, move its store aside and let it copy the master's log from the beginning"
                .to_owned(),
        };
        findings.push(Finding::new(
            Weight::Error,
            "slaveOfAnotherLog",
            slave.place(),
            what,
            advice,
        ));
    }
    findings
}

/// Slaves that follow somebody else than the master of their name.
pub(super) fn other_master(sight: &Sight) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (slave, master) in sight.pairs() {
        let Some((followed, known)) = elsewhere(slave, master) else {
            continue;
        };
        findings.push(Finding::new(
            Weight::Error,
            "slaveOfAnotherMaster",
            slave.place(),
            format!(
                "follows {followed}, and its master {} listens for slaves at {known}",
                master.address
            ),
            format!(
                "if the brokers at {followed} and {} are two masters of this name, find out which has the messages and stop the other one; else \
                 look at haMasterAddress and brokerIP2",
                master.address
            ),
        ));
    }
    findings
}

/// Slaves that lack more of the log than is on its way.
pub(super) fn behind(sight: &Sight) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (slave, master) in sight.pairs() {
        let ends = [
            log_end(slave, 0),
            log_end(slave, 1),
            log_end(master, 0),
            log_end(master, 1),
        ];
        let [Some(first), Some(last), Some(master_first), Some(master_last)] = ends else {
            continue;
        };
        let (behind, was_behind) = (master_last - last, master_first - first);
        let stands = last == first && behind > 0 && was_behind > 0;
        if !stands && (behind <= BEHIND || was_behind <= BEHIND) {
            continue;
        }
        let rest = match stands {
            true => "and does not move",
            false if behind > was_behind => "and falls further behind",
            false => "and catches up",
        };
        let weight = match behind > was_behind || stands {
            true => Weight::Error,
            false => Weight::Warning,
        };
        findings.push(Finding::new(
            weight,
            "slaveBehind",
            slave.place(),
            format!(
                "lacks {behind} bytes of the log of its master {} {rest}",
                master.address
            ),
            "look at its log for why it does not copy, at its disk and at the network between the two",
        ));
    }
    findings
}

/// Settings that are of one broker: of its host, its role, its place in the cluster.
const OWN: &[&str] = &[
    "brokerIP1",
    "brokerIP2",
    "brokerId",
    "brokerRole",
    "haListenPort",
    "haMasterAddress",
    "listenPort",
    "bindAddress",
    "bindingAddress",
    "rmqHome",
    // Less on a slave by default.
    "accessMessageInMemoryMaxRatio",
    "rocketmqHome",
    "namesrvAddr",
    "metricsPromExporterHost",
    "metricsPromExporterPort",
    "metricsListenAddress",
    "offsetCheckInSlave",
    "slaveReadEnable",
    "brokerControllerId",
    // Brakes of one broker: a slave that waits for somebody because of one is not to be told to let it go.
    "acceptMissingCommitLog",
    "haCutMaxBytes",
];

/// Whether a setting may be another on a slave.
fn is_own(key: &str) -> bool {
    OWN.contains(&key) || key.to_ascii_lowercase().contains("path")
}

/// Settings that differ between a master and its slave.
pub(super) fn settings(sight: &Sight) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (slave, master) in sight.pairs() {
        let differ: Vec<String> = master
            .settings
            .iter()
            .filter(|(key, _)| !is_own(key))
            .filter_map(|(key, of_master)| {
                let of_slave = slave.settings.get(key)?;
                (of_slave != of_master).then(|| format!("{key} is {of_slave} and not {of_master}"))
            })
            .collect();
        if !differ.is_empty() {
            findings.push(Finding::new(
                Weight::Warning,
                "settingsDiffer",
                slave.place(),
                format!(
                    "differs from its master {}: {}",
                    master.address,
                    differ.join(", ")
                ),
                "make them the same (updateBrokerConfig -b): whoever takes over should do as the other did",
            ));
        }
    }
    findings
}
