//! A line of requests that wait for the disk: how long it may be, and who is not held up by it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![allow(clippy::disallowed_methods, reason = "tests make files")]

use cluster::{Flavour, NameServer, Wire, frame};
use protocol::code::{request, response};
use std::process::Command;
use std::time::Duration;

const MIB: usize = 1 << 20;
/// Requests of 1 MiB that are asked for.
const ASKED: usize = 100;
/// How many of them find room in the line of 64 MiB, beside what each takes more.
const FIT: usize = 63;

#[test]
fn a_line_behind_a_slow_disk_is_bounded_and_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    // The file that becomes the one of settings is one that nobody reads: to write it takes until somebody does.
    let file = dir.path().join("namesrv/conf/namesrv.properties.tmp");
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    let mut operator = Wire::connect(&namesrv.address()).unwrap();
    // Two for the threads of the lane, then the line.
    let update = frame(request::UPDATE_NAMESRV_CONFIG, 1, &[], b"orderMessageEnable=true");
    operator.write(&update.repeat(2)).unwrap();
    let long = frame(request::GET_NAMESRV_CONFIG, 2, &[], &vec![b' '; MIB]);
    for _ in 0..ASKED {
        operator.write(&long).unwrap();
    }
    for _ in FIT..ASKED {
        let refused = operator.read().unwrap();
        assert_eq!(
            (refused.opaque(), refused.code()),
            (2, i64::from(response::SYSTEM_BUSY))
        );
        assert!(
            refused.remark().contains("ADMIN_REQUESTS"),
            "{}",
            refused.remark()
        );
    }
    let mut client = Wire::connect(&namesrv.address()).unwrap();
    let route = client.ask(request::GET_ROUTEINFO_BY_TOPIC, &[("topic", "Nowhere")], b"");
    assert_eq!(route.unwrap().code(), i64::from(response::TOPIC_NOT_EXIST));
    namesrv.process.signal("QUIT");
    let counted = format!(" of 67108864 bytes, {} refused", ASKED - FIT);
    namesrv
        .process
        .wait_for("the limit", Duration::from_secs(20), |line| {
            let (_, limit) = line.split_once("limit ADMIN_REQUESTS: ")?;
            assert!(limit.ends_with(&counted), "{line}");
            Some(())
        });
    // A reader that comes, and an ordinary file takes the place. What was written to the reader is not on a disk.
    let reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&file)
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    let mut answered = Vec::new();
    for _ in 0..2 + FIT {
        let answer = operator.read().unwrap();
        let is_done = answer.code() == i64::from(response::SUCCESS);
        let is_unkept = answer.opaque() == 1 && answer.remark().contains("could not be written");
        assert!(is_done || is_unkept, "{} {}", answer.opaque(), answer.remark());
        answered.push(answer.opaque());
    }
    drop(reader);
    answered.sort_unstable();
    assert_eq!(answered, [vec![1; 2], vec![2; FIT]].concat());
}
