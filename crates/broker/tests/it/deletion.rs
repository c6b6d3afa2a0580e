//! A topic's deletion that does not get to its end: on a simulated disk, without threads.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::Path;

use broker::run::Parts;
use broker::settings::Settings;
use disk::{SimClock, SimDisk};
use protocol::EncodeHeader;
use protocol::code::request;
use protocol::header::Short;
use protocol::header::broker::TopicRequestHeader;
use remoting::MemoryPeer;

use crate::fixture::*;
use crate::still::assembled;

const NOW: i64 = 1_700_000_000_000;

fn open(disk: &SimDisk) -> Parts<SimDisk> {
    let mut settings = Settings::default();
    settings.broker.broker_ip1 = "127.0.0.1".to_owned();
    settings.store.store_path_root_dir = "/store".to_owned();
    settings.store.mapped_file_size_commit_log = 64 << 10;
    settings.store.mapped_file_size_consume_queue = 2000;
    settings.store.max_hash_slot_num = 16;
    settings.store.max_index_num = 40;
    assembled(settings, disk, &SimClock::at(NOW))
}

fn ask(parts: &Parts<SimDisk>, code: i32, header: &dyn EncodeHeader) {
    let peer = MemoryPeer::new(([127, 0, 0, 1], 1).into());
    let (request, _) = peer.request(code, header, b"x".to_vec());
    let mut requests = VecDeque::from([request]);
    parts.handlers.serve(&mut requests, true, &|| false);
}

fn save_all(parts: &Parts<SimDisk>, disk: &SimDisk) {
    for (file, _) in &parts.files {
        broker::tables::save(&**file, disk, NOW).unwrap();
    }
}

/// A broker with a topic of ten messages, all on disk.
fn with_topic() -> SimDisk {
    let disk = SimDisk::new();
    let parts = open(&disk);
    for _ in 0..10 {
        ask(&parts, request::SEND_MESSAGE_V2, &Short(&to("Topic", 0, "")));
    }
    parts.log.store.flush(0).unwrap();
    parts.log.reput.all();
    save_all(&parts, &disk);
    drop(parts);
    disk.kill()
}

#[test]
fn a_topic_that_a_cut_short_deletion_took_out_has_no_messages_left() {
    let whole = with_topic();
    let mut cut_short = 0;
    for nth in 1.. {
        let disk = whole.kill();
        let parts = open(&disk);
        assert_eq!(parts.log.store.queue_max_offset("Topic", 0).0, 10);
        disk.fail_nth(nth);
        let gone = TopicRequestHeader {
            topic: Cow::Borrowed("Topic"),
        };
        ask(&parts, request::DELETE_TOPIC_IN_BROKER, &gone);
        if disk.failed().is_none() {
            break;
        }
        cut_short += 1;
        save_all(&parts, &disk);
        drop(parts);
        // The rebuild is where they would come back.
        let disk = disk.kill();
        for path in disk.paths() {
            if path.starts_with(Path::new("/store/consumequeue")) {
                disk.take(&path);
            }
        }
        let parts = open(&disk);
        let is_known = parts.tables.topics.get("Topic").is_some();
        let end = parts.log.store.queue_max_offset("Topic", 0).0;
        assert!(
            is_known || end == 0,
            "cut short at {nth}: {end} messages of an unknown topic"
        );
    }
    assert!(cut_short >= 2, "{cut_short}");
}
