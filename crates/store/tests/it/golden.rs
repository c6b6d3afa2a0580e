//! Directories that RocketMQ's own store wrote (tests/java/make-golden.sh says how): every message is there, and what
//! we make from the same log has the same bytes.
//!
//! 300 steps: plain messages, keys, tags, a retry topic, IPv6 hosts, a compressed flag, half messages, delayed messages
//! and batches, over three log files; once stopped, once killed. Some with extensions of the queues, some with messages
//! that are in light message queues, too.

use crate::harness::*;
use disk::MmapDisk;
use filter::TagFilter;
use flate2::read::GzDecoder;
use message::record::{Check, Entry, Fields, Place, decode};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use store::{FlushType, ReadLimits, Store, StoreSettings};

const MANY: ReadLimits = ReadLimits {
    max_messages: 1000,
    max_bytes: i64::MAX,
};

/// An archive by its file name, and what it is.
macro_rules! golden {
    ($($file:literal is $name:literal,)*) => {
        [$(($name, include_bytes!(concat!("../golden/java-", $file, ".tar.gz")) as &[u8])),*]
    };
}

const GOLDEN: [(&str, &[u8]); 10] = golden! {
    "4.9.7-stop" is "4.9.7 stopped",
    "4.9.7-kill" is "4.9.7 killed",
    "4.9.7-ext-stop" is "4.9.7 ext stopped",
    "4.9.7-ext-kill" is "4.9.7 ext killed",
    "4.9.7-lmq-stop" is "4.9.7 lmq stopped",
    "4.9.7-lmq-kill" is "4.9.7 lmq killed",
    "5.3.3-stop" is "5.3.3 stopped",
    "5.3.3-kill" is "5.3.3 killed",
    "5.3.3-ext-stop" is "5.3.3 ext stopped",
    "5.3.3-ext-kill" is "5.3.3 ext killed",
};

/// Unpacks a ustar archive of plain files.
fn unpack(archive: &[u8], to: &Path) {
    let mut tar = Vec::new();
    GzDecoder::new(archive).read_to_end(&mut tar).unwrap();
    let text =
        |bytes: &[u8]| String::from_utf8(bytes.split(|&byte| byte == 0).next().unwrap().to_vec()).unwrap();
    let mut at = 0;
    while tar[at] != 0 {
        let path = to.join(text(&tar[at..at + 100]));
        let len = usize::from_str_radix(text(&tar[at + 124..at + 136]).trim(), 8).unwrap();
        match tar[at + 156] {
            b'5' => fs::create_dir_all(&path).unwrap(),
            _ => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &tar[at + 512..at + 512 + len]).unwrap();
            }
        }
        at += 512 + len.next_multiple_of(512);
    }
}

fn settings(name: &str, dir: &Path) -> StoreSettings {
    StoreSettings {
        commitlog_file_size: 65536,
        consumequeue_file_size: 2000,
        ext: name.contains("ext"),
        ext_file_size: 500,
        multi_dispatch: name.contains("lmq"),
        lmq: name.contains("lmq"),
        index_slots: 100,
        index_entries: 400,
        max_message_size: 8192,
        max_transfer_count_in_memory: 1000,
        max_transfer_bytes_in_memory: 1 << 20,
        flush_type: FlushType::Sync,
        ..StoreSettings::below(dir.join("store"))
    }
}

/// What is in the list of messages: by topic and queue, in order of offset, "body tags keys".
fn expected(dir: &Path) -> BTreeMap<(String, i32), Vec<String>> {
    let mut queues: BTreeMap<(String, i32), Vec<(i64, String)>> = BTreeMap::new();
    for line in fs::read_to_string(dir.join("messages.txt")).unwrap().lines() {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap();
        let (topic, queue, offset, rest) = (word(), word(), word(), word());
        let queue = queues
            .entry((topic.to_string(), queue.parse().unwrap()))
            .or_default();
        queue.push((offset.parse().unwrap(), rest.to_string()));
    }
    let sorted = |mut messages: Vec<(i64, String)>| {
        messages.sort();
        assert!(
            messages
                .iter()
                .enumerate()
                .all(|(index, (offset, _))| index as i64 == *offset)
        );
        messages.into_iter().map(|(_, rest)| rest).collect()
    };
    queues
        .into_iter()
        .map(|(queue, messages)| (queue, sorted(messages)))
        .collect()
}

fn found(store: &Store<MmapDisk>) -> BTreeMap<(String, i32), Vec<String>> {
    let mut queues = BTreeMap::new();
    for topic in store.topics() {
        for queue in store.queue_ids(&topic) {
            let (_, max) = store.queue_bounds(&topic, queue);
            let mut messages = Vec::new();
            while (messages.len() as i64) < max.0 {
                let (_, slices) = read(store, &topic, queue, messages.len() as i64);
                for view in records(&slices) {
                    let word = |name| {
                        message::properties::get_str(view.properties(), name)
                            .unwrap_or("-")
                            .replace(' ', ",")
                    };
                    messages.push(format!(
                        "{} {} {}",
                        String::from_utf8_lossy(view.body()),
                        word("TAGS"),
                        word("KEYS")
                    ));
                }
            }
            queues.insert((topic.to_string(), queue), messages);
        }
    }
    queues
}

fn each(test: impl Fn(&str, &Path)) {
    for (name, archive) in GOLDEN {
        let dir = tempfile::tempdir().unwrap();
        unpack(archive, dir.path());
        test(name, dir.path());
    }
}

#[test]
fn every_message_of_java_is_there() {
    each(|name, dir| {
        let (store, report) = Store::open(MmapDisk::default(), settings(name, dir), NOW).unwrap();
        assert_eq!(report.clean, name.ends_with("stopped"), "{name}");
        assert_eq!((report.units_cut, &report.log_cut), (0, &None), "{name}");
        assert_eq!(found(&store), expected(dir), "{name}");
        store.build_index().unwrap();
        for (key, hits) in [("k1", 1), ("k49-2", 0), ("shared", 64)] {
            assert_eq!(
                store.query_by_key("Keys", key, 64, 0, i64::MAX).unwrap().len(),
                hits,
                "{name} {key}"
            );
        }
        assert_eq!(
            store
                .query_by_key("Plain", "k49-2", 64, 0, i64::MAX)
                .unwrap()
                .len(),
            1,
            "{name}"
        );
        // And it goes on from there, through a kill and a stop.
        let end = store.queue_max_offset("Plain", 0);
        assert_eq!(
            send_through(&store, record("Plain", 0, b"ours", b""), NOW).queue_offset,
            end
        );
        drop(store);
        let (store, _) = Store::open(MmapDisk::default(), settings(name, dir), NOW).unwrap();
        assert_eq!(store.queue_max_offset("Plain", 0), end.plus(1), "{name}");
        store.shutdown().unwrap();
    });
}

#[test]
fn a_filter_finds_the_tags_that_java_wrote() {
    each(|name, dir| {
        let (store, _) = Store::open(MmapDisk::default(), settings(name, dir), NOW).unwrap();
        let expected = expected(dir);
        for tag in ["Tag0", "Tag1", "Tag2"] {
            for queue in 0..2 {
                let bodies: Vec<&str> = expected[&("Tags".to_string(), queue)]
                    .iter()
                    .filter_map(|message| message.strip_suffix(&format!(" {tag} -")))
                    .collect();
                let filter = TagFilter::parse(tag).unwrap();
                let (result, slices) = read_with(&store, "Tags", queue, 0, MANY, &filter);
                let found: Vec<_> = records(&slices)
                    .iter()
                    .map(|view| String::from_utf8_lossy(view.body()).into_owned())
                    .collect();
                assert!(!found.is_empty(), "{name} {tag}");
                assert_eq!(found, bodies, "{name} {tag} {result:?}");
            }
        }
    });
}

#[test]
fn records_encode_to_the_bytes_java_wrote() {
    each(|name, dir| {
        let (store, _) = Store::open(MmapDisk::default(), settings(name, dir), NOW).unwrap();
        let mut at = 0;
        let mut count = 0;
        while at < store.max_physical().0 {
            let Ok(slice) = store.record_at(store::PhysicalOffset(at)) else {
                at = (at / 65536 + 1) * 65536;
                continue;
            };
            let Ok(Entry::Record(view)) = decode(&slice, Check::Body) else {
                panic!("{name} at {at}")
            };
            let fields = Fields {
                version: view.version(),
                topic: view.topic(),
                queue_id: view.queue_id(),
                flag: view.flag(),
                sys_flag: view.sys_flag(),
                born_timestamp: view.born_timestamp(),
                born_host: view.born_host(),
                store_host: view.store_host(),
                reconsume_times: view.reconsume_times(),
                prepared_transaction_offset: view.prepared_transaction_offset(),
                body: view.body(),
                body_crc: message::record::body_crc(view.body()),
                properties: view.properties(),
                append_crc: false,
            };
            let place = Place {
                queue_offset: view.queue_offset(),
                physical_offset: at,
                store_timestamp: view.store_timestamp(),
            };
            let mut bytes = vec![0; fields.encoded_len()];
            fields.encode(place, &mut bytes);
            assert!(bytes == slice[..], "{name} at {at}");
            at += bytes.len() as i64;
            count += 1;
        }
        assert_eq!(count, 312, "{name}");
    });
}

/// All files below `dir` by their path; index files, which are named by a time, by their order.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(next) = dirs.pop() {
        let mut entries: Vec<_> = fs::read_dir(&next)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        for (index, path) in entries.into_iter().enumerate() {
            if path.is_dir() {
                dirs.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
                let name = if next.ends_with("index") {
                    format!("index {index}")
                } else {
                    name
                };
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

#[test]
fn queues_and_index_are_built_to_the_bytes_java_wrote() {
    each(|name, dir| {
        let root = dir.join("store");
        let dirs: &[&str] = match name.contains("ext") {
            true => &["consumequeue", "consumequeue_ext", "index"],
            false => &["consumequeue", "index"],
        };
        let of_java: Vec<_> = dirs.iter().map(|dir| contents(&root.join(dir))).collect();
        for dir in dirs {
            fs::remove_dir_all(root.join(dir)).unwrap();
        }
        let (store, _) = Store::open(MmapDisk::default(), settings(name, dir), NOW).unwrap();
        store.build_index().unwrap();
        drop(store);
        for (dir, of_java) in dirs.iter().zip(of_java) {
            let ours = contents(&root.join(dir));
            assert_eq!(
                ours.keys().collect::<Vec<_>>(),
                of_java.keys().collect::<Vec<_>>(),
                "{name}"
            );
            for (file, bytes) in &ours {
                let first = bytes
                    .iter()
                    .zip(&of_java[file])
                    .position(|(ours, java)| ours != java);
                assert_eq!(first, None, "{name} {file}");
            }
        }
    });
}
