//! How much groups may read of what has left memory: thresholds, answers, what operators set and see.

use std::borrow::Cow;
use std::cell::Cell;
use std::time::{Duration, Instant};

use protocol::Frame;
use protocol::code::{request, response};
use protocol::header::broker::PullMessageRequestHeader;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::*;

/// Settings that these tests change.
pub(crate) const LIVE: [&str; 3] = [
    "coldDataFlowControlEnable",
    "cgColdReadThreshold",
    "globalColdReadThreshold",
];

/// Messages, each of which fills a file of the log: what is read of one brings nothing of another into memory.
const FILES: i64 = 40;
const BODY_BYTES: usize = 700_000;
/// Files that a pull has read ahead where nothing is limited, at most.
const READ_AHEAD_FILES: i64 = 13;
/// Less than a window: what was read before it counts.
const SOON: Duration = Duration::from_secs(4);

/// A broker that was started on a log which is not in memory.
struct ColdLog {
    fixture: Fixture,
    next: Cell<i64>,
}

impl ColdLog {
    async fn new() -> ColdLog {
        // Not where temporary files are: those may have no device.
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let fixture = Fixture::in_folder(dir, |_| {}).await;
        let body = vec![b'x'; BODY_BYTES];
        for number in 0..FILES + 4 {
            // A log whose end is not in the index is read for it at the start.
            let key = format!("UNIQ_KEY\u{1}{number}\u{2}");
            let sent = fixture.send(&to("T", 0, &key), &body).await;
            assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
        }
        let dir = fixture.stop().await;
        forget_pages(dir.path());
        let fixture = Fixture::in_folder(dir, |_| {}).await;
        // What the kernel has read ahead where the start looked at files.
        disk::forget_pages(fixture.dir.path()).unwrap();
        ColdLog {
            fixture,
            next: Cell::new(0),
        }
    }

    /// Pulls a message that nobody has read.
    async fn pull(&self, group: &'static str) -> Frame {
        let offset = self.next.replace(self.next.get() + 1);
        assert!(offset < FILES, "all is in memory now");
        let header = PullMessageRequestHeader {
            consumer_group: Cow::Borrowed(group),
            max_msg_nums: 2,
            // Two would be given.
            ..from("T", 0, offset)
        };
        self.fixture.pull(&header).await
    }

    /// The answer to a pull of a group that has just read something.
    async fn pull_twice(&self, group: &'static str) -> (Frame, Duration) {
        loop {
            let began = Instant::now();
            let first = self.pull(group).await;
            assert!(
                [response::SUCCESS, response::SYSTEM_BUSY].contains(&first.code),
                "{:?}",
                first.remark
            );
            let asked = Instant::now();
            let second = self.pull(group).await;
            if asked - began < SOON {
                return (second, asked.elapsed());
            }
        }
    }

    /// The answer that shows that a group has read enough. The two pulls of a try may lie in two windows.
    async fn pull_until(
        &self,
        group: &'static str,
        is_limited: impl Fn(&Frame, Duration) -> bool,
    ) -> (Frame, Duration) {
        let mut times = Vec::new();
        for _ in 0..4 {
            let (answer, took) = self.pull_twice(group).await;
            if is_limited(&answer, took) {
                return (answer, took);
            }
            times.push(took);
        }
        panic!("{group} is not limited: {times:?}, {}", self.info().await);
    }

    async fn info(&self) -> Value {
        let answer = self
            .fixture
            .ask(request::GET_COLD_DATA_FLOW_CTR_INFO, &(), "")
            .await;
        assert_eq!(answer.code, response::SUCCESS);
        serde_json::from_slice(&answer.body).unwrap()
    }

    async fn change(&self, code: i32, body: &'static str) -> Frame {
        self.fixture.ask(code, &(), body).await
    }
}

const BUSY: (i32, &str) = (
    response::SYSTEM_BUSY,
    "This consumer group is reading cold data. It has been flow control",
);

#[tokio::test]
async fn a_group_that_has_read_enough_waits() {
    let log = ColdLog::new().await;
    let settings = Tested::new(&LIVE);
    log.pull("g").await;
    let off = json!({
        "cgColdReadThreshold": 3_145_728, "globalColdReadThreshold": 104_857_600, "globalAcc": 0, "configTable": {},
        "runtimeTable": {},
    });
    assert_eq!(log.info().await, off, "it is off");
    // What was read ahead meanwhile is in memory.
    log.next.set(log.next.get() + READ_AHEAD_FILES);

    settings
        .set(
            &log.fixture,
            "coldDataFlowControlEnable=true\ncgColdReadThreshold=700000",
        )
        .await;
    let waits = |_: &Frame, took| took >= Duration::from_secs(1);
    let (answer, _) = log.pull_until("g", waits).await;
    assert_eq!(answer.code, response::SUCCESS);
    assert_eq!(records(&answer.body).len(), 1);
    let info = log.info().await;
    let read = info["runtimeTable"]["g"]["lastColdReadTimeMills"]
        .as_i64()
        .unwrap();
    assert!(read > info["runtimeTable"]["g"]["createTimeMills"].as_i64().unwrap());
    assert_eq!(info["cgColdReadThreshold"], 700_000);

    // What is in memory is given at once.
    let warm = log.fixture.pull(&from("T", 0, log.next.get() - 1)).await;
    assert_eq!(warm.code, response::SUCCESS);

    // Tools are not limited.
    let (answer, _) = log.pull_twice("TOOLS_CONSUMER").await;
    assert_eq!(answer.code, response::SUCCESS);
    assert_eq!(log.info().await["runtimeTable"]["TOOLS_CONSUMER"], Value::Null);

    let large = "cgColdReadThreshold=100000000\nglobalColdReadThreshold=700000";
    settings.set(&log.fixture, large).await;
    // All together have read enough.
    let (answer, _) = log.pull_until("h", waits).await;
    assert_eq!(records(&answer.body).len(), 1);
}

#[tokio::test]
async fn pushed_messages_are_refused_for_a_while() {
    let log = ColdLog::new().await;
    log.fixture
        .set("coldDataFlowControlEnable=true\ncgColdReadThreshold=1")
        .await;
    let beat = log
        .fixture
        .ask(request::HEART_BEAT, &(), heartbeat("c", "pushed", "T"))
        .await;
    assert_eq!(beat.code, response::SUCCESS);
    let is_refused = |answer: &Frame, _| answer.code == response::SYSTEM_BUSY;
    let (answer, _) = log.pull_until("pushed", is_refused).await;
    assert_eq!(refused(&answer), BUSY);

    let set = request::UPDATE_COLD_DATA_FLOW_CTR_CONFIG;
    assert_eq!(log.change(set, "pushed=100000000").await.code, response::SUCCESS);
    assert_eq!(log.info().await["configTable"], json!({"pushed": 100_000_000}));
    let (answer, _) = log.pull_twice("pushed").await;
    assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);

    for wrong in ["other=5\npushed=many", "other=5\na/b=7"] {
        let answer = log.change(set, wrong).await;
        assert_eq!(
            answer.code,
            response::SYSTEM_ERROR,
            "{wrong}: {:?}",
            answer.remark
        );
    }
    assert_eq!(log.info().await["configTable"], json!({"pushed": 100_000_000}));

    let remove = request::REMOVE_COLD_DATA_FLOW_CTR_CONFIG;
    assert_eq!(log.change(remove, "pushed").await.code, response::SUCCESS);
    let is_refused = |answer: &Frame, _| answer.code == response::SYSTEM_BUSY;
    let (answer, _) = log.pull_until("pushed", is_refused).await;
    assert_eq!(refused(&answer), BUSY);
}

#[tokio::test]
async fn the_log_is_read_ahead() {
    let fixture = Fixture::new(|_| {}).await;
    let cases = [
        (
            Some("0"),
            response::SUCCESS,
            "set commitlog readahead mode success, mode: 0",
        ),
        (
            Some("1"),
            response::SYSTEM_ERROR,
            "set commitlog readahead mode failed",
        ),
        (
            Some("2"),
            response::SYSTEM_ERROR,
            "set commitlog readahead mode param value error",
        ),
        (
            Some("x"),
            response::SYSTEM_ERROR,
            "set commitlog readahead mode param value error",
        ),
        (
            None,
            response::SYSTEM_ERROR,
            "set commitlog readahead mode param error",
        ),
    ];
    for (mode, code, remark) in cases {
        let header = protocol::header::broker::SetCommitLogReadModeRequestHeader {
            read_ahead_mode: mode.map(Cow::Borrowed),
        };
        let answer = fixture.ask(request::SET_COMMITLOG_READ_MODE, &header, "").await;
        assert_eq!(answer.code, code, "{mode:?}");
        assert!(answer.remark.unwrap_or_default().starts_with(remark), "{mode:?}");
    }
}
