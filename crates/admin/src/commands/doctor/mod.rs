//! What is wrong with a cluster, as its name servers and brokers tell: doctor.
//!
//! `sight` asks, twice, with a time between; what it gives is plain data. `brokers`, `replicas`, `topics` and `groups` look at that and
//! ask nobody: a test makes any trouble by hand.

mod brokers;
mod groups;
mod replicas;
mod sight;
#[cfg(test)]
mod tests;
mod topics;

use crate::failure::Failure;
use crate::job::Job;
use crate::output::Out;
use crate::table::{Command, Run, value};
use serde::Serialize;
use serde_json::json;
pub use sight::{Look, Sight, look};
use std::time::Duration;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "doctor",
    alias: None,
    about: "says what is wrong with a cluster, the worst first, and what to do",
    options: &[
        value('c', "clusterName", "this cluster alone"),
        value(
            'w',
            "watch",
            "seconds between its two looks [default: 5]; brokers that take each other's place show within 35",
        ),
        value(
            'l',
            "level",
            "messages a group may be behind in a topic without a word [default: 1000]",
        ),
    ],
    asks: None,
    run: Run::Online(|job, out| Box::pin(doctor(job, out))),
}];

/// What `doctor` ends with where something is wrong.
const WRONG: u8 = 2;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Messages are lost, not taken or not delivered, or soon will be.
    Error,
    /// It goes wrong when something else does.
    Warning,
    /// Worth knowing.
    Notice,
}

impl Weight {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Weight::Error => "ERROR",
            Weight::Warning => "WARNING",
            Weight::Notice => "NOTICE",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad it is.
    pub weight: Weight,
    /// Stable, for programs.
    pub check: &'static str,
    /// Of what: a broker, a topic, a group.
    pub place: String,
    /// What is wrong.
    pub finding: String,
    /// What to do.
    pub advice: String,
}

impl Finding {
    fn new(
        weight: Weight,
        check: &'static str,
        place: impl Into<String>,
        finding: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding {
            weight,
            check,
            place: place.into(),
            finding: finding.into(),
            advice: advice.into(),
        }
    }
}

type Check = fn(&Sight) -> Vec<Finding>;

/// In the order in which findings of one weight are shown.
const CHECKS: &[Check] = &[
    brokers::name_servers,
    brokers::clashes,
    brokers::unreachable,
    brokers::loopback,
    // Before what is said of its log: with two masters of one name, which is the right one is to be decided first.
    replicas::other_master,
    replicas::other_log,
    replicas::behind,
    brokers::disks,
    groups::subscriptions,
    groups::unowned,
    groups::behind,
    groups::stuck,
    topics::dead_letters,
    topics::one_broker,
    replicas::settings,
    brokers::untold,
    brokers::clocks,
    brokers::auto_creation,
    brokers::versions,
];

/// Everything that is wrong, the worst first.
pub fn examine(sight: &Sight) -> Vec<Finding> {
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(sight)).collect();
    findings.sort_by_key(|finding| finding.weight);
    findings
}

async fn doctor(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let look = Look {
        cluster: job.given.text("clusterName"),
        watched: Duration::from_secs(job.given.number("watch")?.unwrap_or(5)),
        level: job.given.number("level")?.unwrap_or(1000),
    };
    let sight = sight::look(&job.net, &look).await?;
    let findings = examine(&sight);
    for finding in &findings {
        show(out, finding);
    }
    let count = |weight| findings.iter().filter(|finding| finding.weight == weight).count();
    let [errors, warnings, notices] = [Weight::Error, Weight::Warning, Weight::Notice].map(count);
    let (brokers, groups) = (sight.brokers.len(), sight.groups.len());
    let seconds = sight.watched.as_secs();
    out.either(
        &format!(
            "{brokers} brokers, {} topics and {groups} groups, watched for {seconds} s: {errors} errors, {warnings} warnings, \
             {notices} notices\n",
            sight.topics().len()
        ),
        json!({"brokers": brokers, "topics": sight.topics().len(), "groups": groups, "watchedSeconds": seconds,
               "errors": errors, "warnings": warnings, "notices": notices}),
    );
    if errors + warnings > 0 {
        out.exit_code = WRONG;
    }
    Ok(())
}

fn show(out: &mut Out, finding: &Finding) {
    out.either(
        &format!(
            "{:<8} {}: {}\n         -> {}\n",
            finding.weight.name(),
            finding.place,
            finding.finding,
            finding.advice
        ),
        json!(finding),
    );
}
