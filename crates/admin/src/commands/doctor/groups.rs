//! Consumer groups: what their members want, have and leave behind.

use super::super::message_text::queue_text;
use super::super::running_info::judge;
use super::sight::{Group, Sight};
use super::{Finding, Weight};
use crate::time;
use message::name::{is_retry_topic, is_system_group};
use protocol::body::MessageQueue;
use std::collections::{BTreeMap, BTreeSet};

/// Groups whose members subscribe differently.
pub(super) fn subscriptions(sight: &Sight) -> Vec<Finding> {
    let mut findings = Vec::new();
    for group in &sight.groups {
        let mut wants: BTreeMap<Vec<String>, Vec<&str>> = BTreeMap::new();
        for (id, info) in &group.members {
            let of_member = info.subscription_set.iter();
            let mut of_member: Vec<String> = of_member
                .filter(|wanted| !is_retry_topic(&wanted.topic))
                .map(|wanted| format!("{}:{}", wanted.topic, wanted.sub_string))
                .collect();
            of_member.sort();
            wants.entry(of_member).or_default().push(id);
        }
        if wants.len() < 2 {
            continue;
        }
        let parts: Vec<String> = wants
            .iter()
            .map(|(wants, members)| format!("{} want {}", members.join(", "), wants.join(" ")))
            .collect();
        findings.push(Finding::new(
            Weight::Error,
            "subscriptionsDiffer",
            format!("group {}", group.name),
            format!(
                "its members subscribe differently, and miss messages: {}",
                parts.join("; ")
            ),
            "give members that want something else a group of their own",
        ));
    }
    findings
}

/// Queues of a group's topics that none of its members has. Where a member does not tell what it has, nothing is known.
pub(super) fn unowned(sight: &Sight) -> Vec<Finding> {
    let is_told = |group: &&Group| {
        group.is_push && !group.is_broadcast && group.silent.is_empty() && !group.members.is_empty()
    };
    let mut findings = Vec::new();
    for group in sight.groups.iter().filter(is_told) {
        let owned: BTreeSet<&MessageQueue> = group
            .members
            .values()
            .flat_map(|info| info.mq_table.keys())
            .collect();
        let free: Vec<String> = group
            .queues
            .iter()
            .filter(|queue| !owned.contains(queue))
            .map(queue_text)
            .collect();
        if !free.is_empty() {
            findings.push(Finding::new(
                Weight::Error,
                "queueWithoutOwner",
                format!("group {}", group.name),
                format!("none of its {} members has {}", group.members.len(), free.join(", ")),
                "within 20 s of a start or stop that is so; else see consumerStatus -g, and give all members the same subscriptions \
                 and way of sharing queues, and each an id of its own",
            ));
        }
    }
    findings
}

/// What waits for a group in a topic on all masters.
fn waiting(sight: &Sight) -> BTreeMap<(&str, &str), [i64; 2]> {
    let mut sums: BTreeMap<(&str, &str), [i64; 2]> = BTreeMap::new();
    for master in sight.masters() {
        for (look, waiting) in master.waiting.iter().enumerate() {
            for ((group, topic), messages) in waiting {
                if let Some(sum) = sums.entry((group, topic)).or_default().get_mut(look) {
                    *sum += messages;
                }
            }
        }
    }
    sums
}

/// Groups that are behind.
pub(super) fn behind(sight: &Sight) -> Vec<Finding> {
    let mut findings = Vec::new();
    for ((group, topic), [first, last]) in waiting(sight) {
        if last < sight.level.max(1) || is_system_group(group) {
            continue;
        }
        let count = sight.groups.iter().find(|known| known.name == group);
        let count = count.map_or(0, |group| group.members.len() + group.silent.len());
        let (place, more) = (format!("group {group}"), last - first);
        let finding = match (count, more) {
            (0, _) => Finding::new(
                Weight::Warning,
                "consumersGone",
                place,
                format!("{last} messages of {topic} wait, and no member is connected"),
                format!("start its members, or forget it: deleteSubGroup -g {group}"),
            ),
            (_, 1..) => Finding::new(
                Weight::Error,
                "consumersBehind",
                place,
                format!(
                    "{last} messages of {topic} wait for its {count} members, {more} more than {} s before",
                    sight.watched.as_secs()
                ),
                format!(
                    "see what its members do (consumerStatus -g {group} -s), add some, and queues for them"
                ),
            ),
            _ => Finding::new(
                Weight::Notice,
                "consumersBehind",
                place,
                format!("{last} messages of {topic} wait for its {count} members, no more than before"),
                format!("see whether it becomes less: consumerProgress -g {group}"),
            ),
        };
        findings.push(finding);
    }
    findings
}

/// Members that have messages and do not consume them, or have lost the lock of an ordered queue.
pub(super) fn stuck(sight: &Sight) -> Vec<Finding> {
    let now = time::now_ms();
    let mut findings = Vec::new();
    for group in &sight.groups {
        for warning in judge(&group.members, now).warnings {
            findings.push(Finding::new(
                Weight::Warning,
                "consumerStuck",
                format!("group {}", group.name),
                warning,
                format!(
                    "see what that member's threads do: consumerStatus -g {} -s",
                    group.name
                ),
            ));
        }
    }
    findings
}
