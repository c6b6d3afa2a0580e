//! Topics: where they are, and dead letters.

use super::sight::{Dead, Sight};
use super::{Finding, Weight};
use message::name::DLQ_PREFIX;
use std::collections::{BTreeMap, BTreeSet};

/// Topics that are on one broker of a cluster that has several.
pub(super) fn one_broker(sight: &Sight) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (topic, masters) in sight.topics() {
        let [only] = masters.as_slice() else {
            continue;
        };
        let names: BTreeSet<&str> = sight
            .masters()
            .filter(|master| master.cluster == only.cluster)
            .map(|master| master.name.as_str())
            .collect();
        if names.len() > 1 {
            findings.push(Finding::new(
                Weight::Warning,
                "topicOnOneBroker",
                format!("topic {topic}"),
                format!(
                    "is on {} alone, one of {} in {}: nobody sends when that is away",
                    only.name,
                    names.len(),
                    only.cluster
                ),
                format!("updateTopic -t {topic} -c {}", only.cluster),
            ));
        }
    }
    findings
}

/// Dead letters: those that grow, and those that lie there.
pub(super) fn dead_letters(sight: &Sight) -> Vec<Finding> {
    let mut sums: BTreeMap<&str, [Dead; 2]> = BTreeMap::new();
    for master in sight.masters() {
        for (look, dead) in master.dead.iter().enumerate() {
            for (topic, of_broker) in dead {
                let of_topic = sums.entry(topic).or_default();
                if let Some(sum) = of_topic.get_mut(look) {
                    sum.ever += of_broker.ever;
                    sum.now += of_broker.now;
                }
            }
        }
    }
    let mut findings = Vec::new();
    for (topic, [first, last]) in sums {
        let group = topic.trim_start_matches(DLQ_PREFIX);
        let advice = format!("see what the members of {group} make of them: searchMsg -t {topic}");
        let more = last.ever - first.ever;
        let (weight, check, what) = match (more, last.now) {
            (1.., now) => (
                Weight::Error,
                "deadLettersGrow",
                format!("{more} more messages were given up while this looked; {now} lie in {topic}"),
            ),
            (_, 1..) => (
                Weight::Notice,
                "deadLetters",
                format!("{} messages that were given up lie in {topic}", last.now),
            ),
            _ => continue,
        };
        findings.push(Finding::new(
            weight,
            check,
            format!("group {group}"),
            what,
            advice,
        ));
    }
    findings
}
