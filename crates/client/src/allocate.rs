//! Which queues a member of a group takes: the averaging rule (RocketMQ's AllocateMessageQueueAveragely).

use protocol::body::MessageQueue;

/// `queues` and `members` are put in order here; every member that sees the same lists takes its own part.
pub(crate) fn averagely(me: &str, members: &mut [String], queues: &mut [MessageQueue]) -> Vec<MessageQueue> {
    members.sort();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    // Java's order of queues: topic, broker, number; the derived order is broker, number, topic, and the topic is one.
    queues
        .sort_by(|a, b| (&a.topic, &a.broker_name, a.queue_id).cmp(&(&b.topic, &b.broker_name, b.queue_id)));
    allocate(me, &members, queues)
}

/// The part of a member, with members and queues in the order that they have here.
pub fn allocate(me: &str, members: &[&str], queues: &[MessageQueue]) -> Vec<MessageQueue> {
    let Some(index) = members.iter().position(|member| *member == me) else {
        return Vec::new();
    };
    let (share, rest) = (queues.len() / members.len(), queues.len() % members.len());
    let count = share + usize::from(index < rest);
    let start = index * share + index.min(rest);
    queues[start..start + count].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(me: &str, members: &[&str], queues: i32) -> Vec<i32> {
        let queue = |queue_id| MessageQueue {
            topic: "T".into(),
            broker_name: "b".into(),
            queue_id,
        };
        let mut queues: Vec<_> = (0..queues).rev().map(queue).collect();
        let mut members: Vec<_> = members.iter().map(|m| (*m).to_owned()).collect();
        averagely(me, &mut members, &mut queues)
            .iter()
            .map(|q| q.queue_id)
            .collect()
    }

    #[test]
    fn shares() {
        assert_eq!(numbers("a", &["b", "a"], 4), [0, 1]);
        assert_eq!(numbers("b", &["b", "a"], 4), [2, 3]);
        assert_eq!(numbers("a", &["c", "b", "a"], 8), [0, 1, 2]);
        assert_eq!(numbers("b", &["c", "b", "a"], 8), [3, 4, 5]);
        assert_eq!(numbers("c", &["c", "b", "a"], 8), [6, 7]);
        assert_eq!(numbers("c", &["c", "b", "a"], 2), [0; 0]);
        assert_eq!(numbers("x", &["c", "b", "a"], 2), [0; 0]);
    }
}
