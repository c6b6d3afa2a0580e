//! When files go and when writes stop, changed while a broker is there: on a simulated disk, whose clock and level the test
//! sets, and without threads.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use broker::run::Parts;
use broker::settings::Settings;
use disk::{Clock, SimClock, SimDisk, Usage};
use protocol::code::{request, response};
use protocol::header::Short;
use protocol::{EncodeHeader, Frame};
use remoting::MemoryPeer;

use crate::fixture::*;
use crate::still::assembled;

const HOUR_MS: i64 = 3_600_000;

pub(crate) const RETENTION: [&str; 7] = [
    "deleteWhen",
    "fileReservedTime",
    "deleteFileBatchMax",
    "diskMaxUsedSpaceRatio",
    "diskSpaceCleanForciblyRatio",
    "cleanFileForciblyEnable",
    "diskSpaceWarningLevelRatio",
];

struct Still {
    parts: Parts<SimDisk>,
    disk: SimDisk,
    clock: SimClock,
    peer: Arc<MemoryPeer>,
    changes: Tested,
}

impl Still {
    /// With twenty log files and more, at noon of a day in November.
    fn new(keys: &'static [&'static str]) -> Still {
        let noon = 1_700_000_000_000 / (24 * HOUR_MS) * 24 * HOUR_MS + 12 * HOUR_MS;
        let (disk, clock) = (
            SimDisk::new(),
            SimClock::at(noon - settings::host::local_offset_ms(noon)),
        );
        disk.set_now(clock.now_ms());
        let mut settings = Settings::default();
        settings.broker.broker_ip1 = "127.0.0.1".to_owned();
        settings.broker.broker_config_path = Some("/broker.conf".to_owned());
        settings.store.store_path_root_dir = "/store".to_owned();
        settings.store.mapped_file_size_commit_log = 64 << 10;
        settings.store.mapped_file_size_consume_queue = 2000;
        settings.store.max_hash_slot_num = 16;
        settings.store.max_index_num = 40;
        let parts = assembled(settings, &disk, &clock);
        let peer = MemoryPeer::new(([127, 0, 0, 1], 1).into());
        let still = Still {
            parts,
            disk,
            clock,
            peer,
            changes: Tested::new(keys),
        };
        still.fill(50);
        for _ in 0..170 {
            assert_eq!(still.send(), response::SUCCESS);
        }
        still.parts.log.store.flush(0).unwrap();
        still.parts.log.reput.all();
        still
    }

    fn ask(&self, code: i32, header: &dyn EncodeHeader, body: Vec<u8>) -> Frame {
        let (request, opaque) = self.peer.request(code, header, body);
        self.parts
            .handlers
            .serve(&mut VecDeque::from([request]), true, &|| false);
        let mut answers = self.peer.take();
        answers.retain(|frame| frame.opaque == opaque);
        answers.pop().unwrap()
    }

    /// To a topic that needs no saving.
    fn send(&self) -> i32 {
        let header = to("BenchmarkTest", 0, "");
        self.ask(request::SEND_MESSAGE_V2, &Short(&header), vec![b'x'; 8000])
            .code
    }

    fn set(&self, text: &str) {
        self.changes.note(text);
        let answer = self.ask(request::UPDATE_BROKER_CONFIG, &(), text.as_bytes().to_vec());
        assert_eq!(answer.code, response::SUCCESS, "{text}: {:?}", answer.remark);
    }

    /// The disk's level is now so many percent.
    fn fill(&self, used: u64) {
        self.disk.set_usage(Usage {
            used,
            available: 100 - used,
        });
    }

    fn log_files(&self) -> usize {
        let is_of_log = |path: &&PathBuf| path.starts_with("/store/commitlog");
        self.disk.paths().iter().filter(is_of_log).count()
    }

    /// Log files that one run removes.
    fn removed(&self) -> usize {
        let removed = self.parts.log.store.tick_retention(self.clock.now_ms());
        removed.unwrap().log.len()
    }
}

#[test]
fn files_go_and_writes_stop_by_todays_rules() {
    let still = Still::new(&RETENTION);
    still.clock.advance(2 * HOUR_MS);
    assert_eq!(still.removed(), 0, "it is 14 o'clock");
    still.set("deleteWhen=03;14\n");
    assert_eq!(still.removed(), 0, "two hours old, of 72");
    still.set("fileReservedTime=1\n");
    assert_eq!(still.removed(), 10);
    still.set("deleteFileBatchMax=2\n");
    assert_eq!(still.removed(), 2);
    still.set("deleteWhen=04\n");
    assert_eq!(still.removed(), 0);

    still.fill(70);
    assert_eq!(still.removed(), 0, "of 75 percent");
    still.set("diskMaxUsedSpaceRatio=60\n");
    assert_eq!(still.removed(), 2);
    still.set("fileReservedTime=72\n");
    assert_eq!(still.removed(), 0);
    still.set("diskSpaceCleanForciblyRatio=65\n");
    assert_eq!(still.removed(), 2, "though not expired");
    still.set("cleanFileForciblyEnable=false\n");
    assert_eq!(still.removed(), 0);

    let send = || {
        still.parts.log.store.tick_disk(still.clock.now_ms());
        still.send()
    };
    assert_eq!(send(), response::SUCCESS);
    still.set("diskSpaceWarningLevelRatio=69\n");
    assert_eq!(send(), response::SERVICE_NOT_AVAILABLE);
    still.set("diskSpaceWarningLevelRatio=90\n");
    assert_eq!(
        send(),
        response::SERVICE_NOT_AVAILABLE,
        "until it is below the level of cleaning"
    );
    still.set("diskSpaceCleanForciblyRatio=70\n");
    assert_eq!(send(), response::SUCCESS);
}

/// Central Europe's: one hour before UTC, two from the last Sunday of March on.
const ZONE: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

/// What the broker's thread does each ten seconds finds the hour anew: the clock on the wall was changed since the start.
#[test]
fn the_hour_of_deletion_follows_the_zones_clock_changes() {
    if std::env::var("TZ").as_deref() != Ok(ZONE) {
        // A process has one zone.
        let test = "live_retention::the_hour_of_deletion_follows_the_zones_clock_changes";
        let mut there = Command::new(std::env::current_exe().unwrap());
        let ran = there.args(["--exact", test]).env("TZ", ZONE).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let still = Still::new(&["deleteWhen", "fileReservedTime"]);
    still.set("deleteWhen=14\nfileReservedTime=1\n");
    let retain = || {
        still.parts.log.maintenance.retain();
        still.log_files()
    };
    let all = still.log_files();
    // 12 o'clock UTC, here and in July.
    still.clock.advance(HOUR_MS);
    assert_eq!(retain(), all, "in November it is 13 o'clock");
    still.clock.advance(230 * 24 * HOUR_MS);
    assert!(retain() < all, "in July it is 14 o'clock");
}
