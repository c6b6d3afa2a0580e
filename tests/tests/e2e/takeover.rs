//! A store directory changes hands: written by ours, read by RocketMQ's own store, and given back.
//!
//! (The other way, directories written by Java's store, is the `golden` test of the crate `store`.)

use disk::MmapDisk;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use store::{FlushType, NewRecord, QueueOffset, ReadLimits, Store, StoreSettings};

const NOW: i64 = 1_700_000_000_000;
const TOPICS: [&str; 4] = ["Plain", "Keys", "Tags", "%RETRY%group"];

/// What a directory has besides the usual: StoreTool's word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    /// Queues have extensions.
    Ext,
    /// Messages are in light message queues, too.
    Lmq,
}

/// As tests in crates/store/tests/java/StoreTool.java has them.
fn settings(kind: Kind, root: &Path) -> StoreSettings {
    StoreSettings {
        commitlog_file_size: 65536,
        consumequeue_file_size: 2000,
        index_slots: 100,
        index_entries: 400,
        max_message_size: 8192,
        flush_type: FlushType::Sync,
        ext: kind == Kind::Ext,
        ext_file_size: 500,
        multi_dispatch: kind == Kind::Lmq,
        lmq: kind == Kind::Lmq,
        ..StoreSettings::below(root)
    }
}

/// Sends `count` messages and returns the line that StoreTool prints for each.
fn write(store: &Store<MmapDisk>, kind: Kind, count: i64) -> Vec<String> {
    let mut lines = Vec::new();
    for number in 0..count {
        let topic = TOPICS[number as usize % 4];
        let queue_id = (number / 4 % 2) as i32;
        let mut body = format!("body-{number}");
        while (body.len() as i64) < number * 37 % 900 {
            body.push('y');
        }
        let (properties, tags, keys) = match number % 4 {
            1 => (
                format!("KEYS\u{1}k{number} shared\u{2}UNIQ_KEY\u{1}U{number}"),
                "-".into(),
                format!("k{number},shared"),
            ),
            2 => (
                format!("TAGS\u{1}Tag{}", number % 3),
                format!("Tag{}", number % 3),
                "-".into(),
            ),
            _ => (String::new(), "-".into(), "-".to_string()),
        };
        let named: &[&str] = match (kind, topic) {
            (Kind::Lmq, "Plain") => {
                [&["%LMQ%a"][..], &["%LMQ%a", "%LMQ%b"], &["Other", "%LMQ%b"]][number as usize % 3]
            }
            _ => &[],
        };
        let properties = match named {
            [] => properties,
            named => format!("INNER_MULTI_DISPATCH\u{1}{}", named.join(",")),
        };
        let host: SocketAddr = if number % 7 == 3 {
            "[fe80::1:2:3:4]:10911"
        } else {
            "127.0.0.1:10911"
        }
        .parse()
        .unwrap();
        let new = NewRecord {
            topic,
            queue_id,
            flag: number as i32,
            sys_flag: if number % 13 == 6 { 4 } else { 0 },
            born_timestamp: NOW,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: body.as_bytes(),
            properties: properties.as_bytes(),
            joined: false,
        };
        let mut pending = [store.prepare(&new).unwrap()];
        store.append(&mut pending, NOW + number * 10);
        let appended = pending[0].result.take().unwrap().unwrap();
        store.flush(0).unwrap();
        store.reput(&mut |_| {}).unwrap();
        if number % 13 != 6 {
            lines.push(format!(
                "MSG {topic} {queue_id} {} {body} {tags} {keys}",
                appended.queue_offset
            ));
            for name in named {
                let queue_id = if *name == "Other" { queue_id } else { 0 };
                let offset = store.queue_max_offset(name, queue_id).plus(-1);
                lines.push(format!("MSG {name} {queue_id} {offset} {body} {tags} {keys}"));
            }
            if topic == "Tags" {
                lines.push(format!("TAG {tags} {queue_id} {}", appended.queue_offset));
            }
        }
    }
    store.build_index().unwrap();
    lines
}

fn java_reads(version: &str, kind: Kind, root: &Path, end: &str) -> Vec<String> {
    let tool = cluster::repository().join("crates/store/tests/java/StoreTool.java");
    let mut command = cluster::java(&cluster::java_servers(version), root);
    command.arg(tool).arg("read").arg(root);
    command.arg(format!("{kind:?}").to_lowercase()).arg(end);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<String> = text
        .lines()
        .filter(|line| {
            ["MSG ", "TAG ", "HITS "]
                .iter()
                .any(|word| line.starts_with(word))
        })
        .map(str::to_string)
        .collect();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    lines
}

fn our_ends(store: &Store<MmapDisk>) -> BTreeMap<(String, i32), QueueOffset> {
    let mut ends = BTreeMap::new();
    for topic in store.topics() {
        for queue in store.queue_ids(&topic) {
            ends.insert((topic.to_string(), queue), store.queue_max_offset(&topic, queue));
        }
    }
    ends
}

fn change_hands(version: &str, kind: Kind, we_stop: bool, java_ends: &str) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let (store, _) = Store::open(MmapDisk::default(), settings(kind, &root), NOW).unwrap();
    let mut expected = write(&store, kind, 300);
    let ends = our_ends(&store);
    if we_stop {
        store.shutdown().unwrap();
    }
    drop(store);

    let mut read = java_reads(version, kind, &root, java_ends);
    assert_eq!(read.pop().as_deref(), Some("HITS 1"), "{version}: key k1");
    expected.sort();
    read.sort();
    assert_eq!(read, expected, "{version} {kind:?}, stopped {we_stop}");

    // Back again, and on.
    let (store, report) = Store::open(MmapDisk::default(), settings(kind, &root), NOW).unwrap();
    assert_eq!(report.clean, java_ends == "stop");
    assert_eq!(our_ends(&store), ends, "{version} {kind:?} {report:?}");
    let mut out = Vec::new();
    let limits = ReadLimits {
        max_messages: 1,
        max_bytes: i64::MAX,
    };
    let last = ends[&("Plain".to_string(), 0)].plus(-1);
    let result = store
        .read("Plain", 0, last, limits, &filter::TagFilter::All, &mut out)
        .unwrap();
    assert_eq!((result.count, result.next_begin_offset), (1, last.plus(1)));
    write(&store, kind, 8);
    assert_eq!(store.queue_max_offset("Plain", 0), last.plus(2));
}

#[test]
fn java_4_9_opens_what_we_stopped() {
    change_hands("4.9.7", Kind::Plain, true, "stop");
}

#[test]
fn java_4_9_opens_what_was_killed() {
    change_hands("4.9.7", Kind::Plain, false, "kill");
}

#[test]
fn java_5_3_opens_what_we_stopped() {
    change_hands("5.3.3", Kind::Plain, true, "stop");
}

#[test]
fn java_5_3_opens_what_was_killed() {
    change_hands("5.3.3", Kind::Plain, false, "kill");
}

#[test]
fn java_reads_tags_from_extensions_that_we_wrote() {
    change_hands("4.9.7", Kind::Ext, true, "stop");
    change_hands("4.9.7", Kind::Ext, false, "kill");
    change_hands("5.3.3", Kind::Ext, true, "kill");
}

#[test]
fn java_reads_light_message_queues_that_we_wrote() {
    change_hands("4.9.7", Kind::Lmq, true, "kill");
    change_hands("4.9.7", Kind::Lmq, false, "stop");
}
