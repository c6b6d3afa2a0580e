//! Extensions of consumequeues: the tagsCode a consumer filters by is always that of the message.

use crate::harness::*;
use disk::{Disk, SimDisk};
use filter::{Filter, TagFilter, Verdict};
use message::record::View;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::{Bitmaps, FlushType, ReadStatus, Store, StoreSettings};

fn settings() -> StoreSettings {
    StoreSettings {
        ext: true,
        ext_file_size: 128,
        ..small(FlushType::Async)
    }
}

fn files(disk: &SimDisk) -> Vec<PathBuf> {
    let paths = disk.paths().into_iter();
    paths
        .filter(|path| path.starts_with("/store/consumequeue_ext"))
        .collect()
}

fn send_tagged(store: &Store<SimDisk>, from: usize, count: usize) {
    for number in from..from + count {
        let properties = format!("TAGS\x01tag{}", number % 3);
        send_through(
            store,
            record("T", 0, number.to_string().as_bytes(), properties.as_bytes()),
            NOW,
        );
    }
}

/// Bodies of the messages with a tag.
fn tagged(store: &Store<SimDisk>, tag: &str) -> Vec<String> {
    let filter = TagFilter::parse(tag).unwrap();
    let (min, max) = store.queue_bounds("T", 0);
    let (mut offset, mut bodies) = (min.0, Vec::new());
    while offset < max.0 {
        let (result, slices) = read_with(store, "T", 0, offset, ALL, &filter);
        assert!(
            matches!(result.status, ReadStatus::Found | ReadStatus::NoMatchedMessage),
            "{:?}",
            result.status
        );
        bodies.extend(
            records(&slices)
                .iter()
                .map(|view| String::from_utf8(view.body().to_vec()).unwrap()),
        );
        offset = result.next_begin_offset.0;
    }
    bodies
}

fn expected(count: usize, tag: usize) -> Vec<String> {
    (0..count)
        .filter(|number| number % 3 == tag)
        .map(|number| number.to_string())
        .collect()
}

fn check(store: &Store<SimDisk>, count: usize) {
    for tag in 0..3 {
        assert_eq!(
            tagged(store, &format!("tag{tag}")),
            expected(count, tag),
            "tag{tag}"
        );
    }
}

#[test]
fn a_filter_finds_the_tags_behind_the_addresses() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    send_tagged(&store, 0, 40);
    check(&store, 40);
    // Six units of 20 bytes and the four that stay free go into a file of 128.
    assert_eq!(files(&disk).len(), 40usize.div_ceil(6));
    let unit = &disk
        .content(Path::new("/store/consumequeue/T/0/00000000000000000000"))
        .unwrap()[12..20];
    assert_eq!(unit, i64::MIN.to_be_bytes(), "the first address");
}

#[test]
fn after_a_stop_a_kill_and_a_power_cut_the_tags_are_there() {
    for end in ["stop", "kill", "cut"] {
        let disk = SimDisk::new();
        let (store, _) = open(&disk, &settings());
        send_tagged(&store, 0, 20);
        store.flush_consumequeues(0, true).unwrap();
        send_tagged(&store, 20, 13);
        store.flush(0).unwrap();
        let disk = match end {
            "stop" => {
                store.shutdown().unwrap();
                drop(store);
                disk.kill()
            }
            "kill" => disk.kill(),
            _ => disk.crash(7),
        };
        let (store, report) = open(&disk, &settings());
        check(&store, 33);
        assert_eq!(report.units_built, if end == "stop" { 0 } else { 13 }, "{end}");
        send_tagged(&store, 33, 10);
        check(&store, 43);
        assert_eq!(
            files(&disk).len(),
            43usize.div_ceil(6),
            "{end}: nothing is there twice"
        );
    }
}

#[test]
fn an_extension_that_is_lost_is_made_again_and_no_address_is_given_twice() {
    // Files of six units each: 0, 128, 256, 384.
    for lost in ["first", "middle", "last", "all", "queue", "topic", "everything"] {
        let disk = SimDisk::new();
        let (store, _) = open(&disk, &settings());
        send_tagged(&store, 0, 20);
        store.shutdown().unwrap();
        drop(store);
        let disk = disk.kill();
        let before: Vec<_> = files(&disk).iter().map(|path| disk.content(path)).collect();
        let gone = match lost {
            "first" => files(&disk)[..1].to_vec(),
            "middle" => files(&disk)[1..3].to_vec(),
            "last" => files(&disk)[3..].to_vec(),
            _ => files(&disk),
        };
        gone.iter().for_each(|path| disk.take(path));
        let dir = match lost {
            "queue" => "/store/consumequeue_ext/T/0",
            "topic" => "/store/consumequeue_ext/T",
            "everything" => "/store/consumequeue_ext",
            _ => "/nothing",
        };
        disk.remove_dir_all(Path::new(dir)).unwrap();
        let (store, report) = open(&disk, &settings());
        check(&store, 20);
        let line = format!("consumequeue_ext T 0: {} files are missing; ", gone.len());
        assert!(
            report.errors().iter().any(|error| error.starts_with(&line)),
            "{lost}: {report:?}"
        );
        let after: Vec<_> = files(&disk).iter().map(|path| disk.content(path)).collect();
        assert!(after == before, "{lost}: byte by byte");
        send_tagged(&store, 20, 20);
        check(&store, 40);
        // Made again for good.
        drop(store);
        let (store, report) = open(&disk.crash(1), &settings());
        let left = store.queue_max_offset("T", 0).0 as usize;
        assert!(left >= 20 && report.errors().is_empty(), "{lost}: {report:?}");
        check(&store, left);
    }
}

#[test]
fn switched_off_it_is_still_read_and_switched_on_again_goes_on() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    send_tagged(&store, 0, 9);
    store.shutdown().unwrap();
    drop(store);
    let off = StoreSettings {
        ext: false,
        ..settings()
    };
    let disk = disk.kill();
    let (store, _) = open(&disk, &off);
    let before = files(&disk);
    send_tagged(&store, 9, 9);
    check(&store, 18);
    assert_eq!(files(&disk), before);
    store.shutdown().unwrap();
    drop(store);
    let disk = disk.kill();
    let (store, _) = open(&disk, &settings());
    send_tagged(&store, 18, 9);
    check(&store, 27);
}

#[test]
fn it_goes_with_the_log_and_with_the_topic() {
    let disk = SimDisk::new();
    disk.set_now(NOW);
    let (store, _) = open(&disk, &settings());
    // Over three log files and several queue files.
    for number in 0..90 {
        let properties = format!("TAGS\x01tag{}", number % 3);
        send_through(&store, record("T", 0, &[7; 500], properties.as_bytes()), NOW);
    }
    store.flush_consumequeues(0, true).unwrap();
    let before = files(&disk).len();
    store.delete_expired_soon();
    let removed = store.tick_retention(NOW + 100 * 3_600_000).unwrap();
    assert!(!removed.log.is_empty());
    let left = files(&disk).len();
    assert!(left < before, "{left} of {before}");
    let min = store.queue_min_offset("T", 0);
    let (result, _) = read_with(
        &store,
        "T",
        0,
        min.0,
        ALL,
        &TagFilter::parse(&format!("tag{}", min.0 % 3)).unwrap(),
    );
    assert_eq!(result.status, ReadStatus::Found);
    store.delete_topic("T").unwrap();
    assert_eq!(files(&disk), Vec::<PathBuf>::new());
}

#[test]
fn a_full_disk_leaves_the_tag_in_the_unit() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    send_tagged(&store, 0, 6);
    // A new extension file finds no space; the queue file has its blocks.
    disk.set_free(Some(0));
    send_tagged(&store, 6, 2);
    disk.set_free(None);
    check(&store, 8);
}

/// A bitmap of one byte for each message of T: its tag's last letter.
struct LastLetters;

impl Bitmaps for LastLetters {
    fn has_any(&self, topic: &str) -> bool {
        topic == "T"
    }

    fn write(&self, _topic: &str, properties: &[u8], out: &mut Vec<u8>) {
        assert!(out.is_empty());
        out.extend(message::properties::get(properties, "TAGS").and_then(|tag| tag.last()));
    }
}

/// Wants the messages with this letter, by their bitmaps where they have one, else by their records.
#[derive(Debug)]
struct ByLetter {
    letter: u8,
    asked: AtomicUsize,
}

impl ByLetter {
    fn of(letter: u8) -> ByLetter {
        let asked = AtomicUsize::new(0);
        ByLetter { letter, asked }
    }
}

impl Filter for ByLetter {
    fn by_unit(&self, _tags_code: i64) -> Verdict {
        Verdict::AskRecord
    }

    fn by_extension(&self, tags_code: i64, store_timestamp: i64, bitmap: &[u8]) -> Verdict {
        assert_eq!(store_timestamp, NOW);
        match bitmap {
            [letter] if *letter == self.letter => {
                assert_eq!(
                    tags_code,
                    message::hash::tags_code(&[b"tag", &[*letter][..]].concat())
                );
                Verdict::Wanted
            }
            [_] => Verdict::Unwanted,
            _ => Verdict::AskRecord,
        }
    }

    fn by_record(&self, record: &View<'_>) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let tag = message::properties::get(record.properties(), "TAGS");
        tag.is_some_and(|tag| tag.ends_with(&[self.letter]))
    }

    fn bytes(&self) -> usize {
        0
    }
}

/// Messages that a filter lets through, and how many records it had to look at.
fn let_through(store: &Store<SimDisk>, topic: &str, filter: &ByLetter) -> (usize, usize) {
    let (mut offset, mut count) = (0, 0);
    while offset < store.queue_max_offset(topic, 0).0 {
        let (result, slices) = read_with(store, topic, 0, offset, ALL, filter);
        count += records(&slices).len();
        offset = result.next_begin_offset.0;
    }
    (count, filter.asked.load(Ordering::Relaxed))
}

#[test]
fn bitmaps_spare_reads_of_records() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &settings());
    send_tagged(&store, 0, 3);
    store.set_bitmaps(Arc::new(LastLetters));
    send_tagged(&store, 3, 27);
    send_through(&store, record("U", 0, b"", b"TAGS\x01tag1"), NOW);
    // Behind three units of 20 bytes one of 21: length, tagsCode, store time, length of the bitmap, the bitmap.
    let file = disk.content(&files(&disk)[0]).unwrap();
    assert_eq!((&file[60..62], &file[78..81]), (&[0, 21][..], &[0, 1, b'0'][..]));
    assert_eq!(
        let_through(&store, "T", &ByLetter::of(b'1')),
        (10, 3),
        "three came before"
    );
    assert_eq!(
        let_through(&store, "U", &ByLetter::of(b'1')),
        (1, 1),
        "another topic has none"
    );
    store.shutdown().unwrap();
    drop(store);

    let (store, _) = open(&disk, &settings());
    assert_eq!(
        let_through(&store, "T", &ByLetter::of(b'2')),
        (10, 3),
        "they are there after a start"
    );
    drop(store);

    // What is built of the log while the store is opened has none.
    disk.remove_dir_all(Path::new("/store/consumequeue")).unwrap();
    disk.remove_dir_all(Path::new("/store/consumequeue_ext")).unwrap();
    let (store, _) = open(&disk, &settings());
    assert_eq!(let_through(&store, "T", &ByLetter::of(b'2')), (10, 30));
}
