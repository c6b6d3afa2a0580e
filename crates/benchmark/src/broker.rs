//! What a load asks a broker, or the machine, besides the load itself.

use std::io;

use acl::Credentials;
use cluster::Wire;

use crate::load::QUEUES;

/// GET_MAX_OFFSET and UPDATE_AND_CREATE_TOPIC.
const MAX_OFFSET: i32 = 30;
const CREATE_TOPIC: i32 = 17;

/// Makes a topic of eight queues.
pub(crate) fn create_topic(address: &str, topic: &str) -> io::Result<()> {
    create_topic_of(address, topic, QUEUES)
}

/// Makes a topic.
pub(crate) fn create_topic_of(address: &str, topic: &str, queues: usize) -> io::Result<()> {
    create_topic_as(None, address, topic, queues)
}

/// Makes a topic in the name of an account.
pub(crate) fn create_topic_as(
    account: Option<&Credentials>,
    address: &str,
    topic: &str,
    queues: usize,
) -> io::Result<()> {
    let queues = queues.to_string();
    let fields = [
        ("topic", topic),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", &queues),
        ("writeQueueNums", &queues),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("topicSysFlag", "0"),
        ("order", "false"),
    ];
    let signature = account.map_or_else(Vec::new, |account| account.sign(&fields, &[]));
    let signature = signature.iter().map(|(name, value)| (*name, value.as_str()));
    let fields: Vec<(&str, &str)> = fields.into_iter().chain(signature).collect();
    let answer = Wire::connect(address)?.ask(CREATE_TOPIC, &fields, &[])?;
    match answer.code() {
        0 => Ok(()),
        code => Err(io::Error::other(format!(
            "{topic} is not made: {code} {}",
            answer.remark()
        ))),
    }
}

/// The end of each queue of a topic.
pub(crate) fn queue_ends(address: &str, topic: &str) -> io::Result<Vec<i64>> {
    let mut wire = Wire::connect(address)?;
    let mut ask = |queue: usize| {
        let queue = queue.to_string();
        let answer = wire.ask(MAX_OFFSET, &[("topic", topic), ("queueId", &queue)], &[])?;
        let offset = answer.field("offset").and_then(|offset| offset.parse().ok());
        offset.ok_or_else(|| {
            io::Error::other(format!("no end of queue {queue} of {topic}: {}", answer.remark()))
        })
    };
    (0..QUEUES).map(&mut ask).collect()
}

/// Messages stored in a topic.
pub(crate) fn stored(address: &str, topic: &str) -> io::Result<i64> {
    Ok(queue_ends(address, topic)?.iter().sum())
}

/// Flush requests that the block devices have served since the machine started; 0 where the kernel does not count them
/// (Linux, block/stat: the sixteenth number).
pub(crate) fn device_flushes() -> f64 {
    let Ok(devices) = std::fs::read_dir("/sys/block") else {
        return 0.0;
    };
    let count = |device: std::fs::DirEntry| {
        let text = std::fs::read_to_string(device.path().join("stat")).ok()?;
        text.split_whitespace().nth(15)?.parse::<f64>().ok()
    };
    devices.flatten().filter_map(count).sum()
}

/// MiB that a process has read from disks so far (`read_bytes` of /proc/PID/io).
pub(crate) fn disk_mib(pid: u32) -> io::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("read_bytes:"));
    let bytes: Option<f64> = line.and_then(|bytes| bytes.trim().parse().ok());
    let bytes = bytes.ok_or_else(|| io::Error::other(format!("/proc/{pid}/io has no read_bytes")))?;
    Ok(bytes / f64::from(1 << 20))
}
