//! Disks that fail, are full, or are slow: what clients, operators and name servers are told.

use std::path::Path;
use std::time::{Duration, Instant};

use broker::settings::{FlushDiskType, Settings};
use disk::MmapDisk as Disk;
use disk::{Faults, Usage};
use protocol::Frame;
use protocol::code::{request, response};
use protocol::header::broker::*;
use protocol::header::namesrv::GetRouteInfo;
use remoting::Body;
use serde_json::Value;
use tempfile::TempDir;

use crate::fixture::*;
use crate::log_lines;
use crate::registration::name_server;

/// How long the broker may take to notice that the disk is full, or no longer is.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);

const WRITE: i64 = 2;

fn percent(used: u64) -> Option<Usage> {
    Some(Usage {
        used,
        available: 100 - used,
    })
}

fn sync_flush(settings: &mut Settings) {
    settings.store.flush_disk_type = FlushDiskType::SyncFlush;
}

impl Fixture {
    /// Permission of the topic's queues as the name server tells it; none if it does not know the topic.
    pub(crate) async fn registered_permission(&self, namesrv: &str, topic: &str) -> Option<i64> {
        let header = GetRouteInfo {
            topic: topic.into(),
            accept_standard_json_only: None,
            zone_mode: None,
            zone_name: None,
        };
        let code = request::GET_ROUTEINFO_BY_TOPIC;
        let asked = self.client.invoke(namesrv, code, &header, Body::Empty, WITHIN);
        let answer = asked.await.unwrap();
        let route: Value = protocol::body::read(&answer.body).ok()?;
        Some(route["queueDatas"][0]["perm"].as_i64().unwrap())
    }

    /// Waits until the name server knows whether the topic may be written.
    async fn wait_for_registered(&self, namesrv: &str, topic: &str, writable: bool) {
        let started = Instant::now();
        loop {
            let permission = self.registered_permission(namesrv, topic).await;
            if permission.is_some_and(|p| (p & WRITE != 0) == writable) {
                return;
            }
            assert!(started.elapsed() < WITHIN, "perm is still {permission:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends until an answer has this code; fails if that takes longer than the broker may.
    async fn wait_for_code(&self, code: i32) -> Frame {
        let started = Instant::now();
        loop {
            let answer = self.send(&to("Topic", 0, ""), b"again").await;
            if answer.code == code {
                return answer;
            }
            let waited = started.elapsed();
            assert!(waited < NOTICED_WITHIN, "{:?} after {waited:?}", refused(&answer));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What goes on while nothing can be stored.
    async fn assert_all_else_works(&self, first_body: &[u8]) {
        let found = self.pull(&from("Topic", 0, 0)).await;
        assert_eq!(found.code, response::SUCCESS);
        assert_eq!(records(&found.body)[0].body(), first_body);
        let beat = self
            .ask(request::HEART_BEAT, &(), heartbeat("c", "g", "Topic"))
            .await;
        assert_eq!(beat.code, response::SUCCESS, "{:?}", beat.remark);
        let commit = UpdateConsumerOffsetRequestHeader {
            consumer_group: "g".into(),
            topic: "Topic".into(),
            queue_id: 0,
            commit_offset: 1,
        };
        let committed = self.ask(request::UPDATE_CONSUMER_OFFSET, &commit, "").await;
        assert_eq!(committed.code, response::SUCCESS);
        let group = r#"{"groupName":"made_meanwhile"}"#;
        let made = self
            .ask(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &(), group)
            .await;
        assert_eq!(made.code, response::SUCCESS, "{:?}", made.remark);
        self.set("longPollingEnable=true\n").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_ends_writes_for_good_and_everybody_is_told_why() {
    writes_end_for_good("sync", Faults::fail_syncs, Faults::mend_syncs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_ends_writes_for_good_and_everybody_is_told_why() {
    let fail = |faults: &Faults, dir: &Path| faults.fail_writes(Some(dir));
    writes_end_for_good("write", fail, |faults| faults.fail_writes(None)).await;
}

async fn writes_end_for_good(what: &str, fail: fn(&Faults, &Path), mend: fn(&Faults)) {
    let (dir, disk) = (TempDir::new().unwrap(), Disk::default());
    let port = cluster::free_port();
    let namesrv = name_server(&dir, port).await;
    let address = format!("127.0.0.1:{port}");
    let fixture = Fixture::on_disk(disk.clone(), dir, |s| {
        sync_flush(s);
        s.broker.namesrv_addr = Some(address.clone());
    })
    .await;
    let sent = fixture.send(&to("Topic", 0, ""), b"safe").await;
    assert_eq!(sent.code, response::SUCCESS);
    fixture.wait_for_registered(&address, "Topic", true).await;
    assert_eq!(fixture.runtime().await["storeHealth"], "OK");

    fail(&disk.faults(), &fixture.log_dir());
    let lost = fixture.send(&to("Topic", 0, ""), b"lost").await;
    mend(&disk.faults());
    // What works again proves nothing: what the failed one had may be gone.
    let later = fixture.send(&to("Topic", 0, ""), b"later").await;
    let file = fixture.log_dir().join("00000000000000000000");
    for answer in [lost, later] {
        let (code, remark) = refused(&answer);
        assert_eq!(code, response::SERVICE_NOT_AVAILABLE, "{remark}");
        for part in [file.to_str().unwrap(), "writes are off", what, "error 5"] {
            assert!(remark.contains(part), "{part:?} is not in {remark:?}");
        }
    }
    let health = fixture.runtime().await["storeHealth"].clone();
    assert!(
        health.contains(file.to_str().unwrap()) && health.contains("error 5"),
        "{health}"
    );
    fixture.wait_for_registered(&address, "Topic", false).await;
    fixture.assert_all_else_works(b"safe").await;
    let end = fixture.pull(&from("Topic", 0, 1)).await;
    assert_eq!(
        end.code,
        response::PULL_NOT_FOUND,
        "what is not on disk is not seen"
    );
    let dir = fixture.stop().await;
    namesrv.shutdown().await;

    let fixture = Fixture::in_folder(dir, sync_flush).await;
    let sent = fixture.send(&to("Topic", 0, ""), b"after").await;
    assert_eq!(sent.code, response::SUCCESS, "a start begins anew");
    let found = fixture.pull(&from("Topic", 0, 0)).await;
    assert_eq!(records(&found.body)[0].body(), b"safe");
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_warning_level_sends_are_refused_until_space_comes_back() {
    let (dir, disk) = (TempDir::new().unwrap(), Disk::default());
    let ports = [cluster::free_port(), cluster::free_port()];
    let namesrvs = [
        name_server(&dir, ports[0]).await,
        name_server(&dir, ports[1]).await,
    ];
    let addresses = ports.map(|port| format!("127.0.0.1:{port}"));
    disk.faults().set_usage(percent(90));
    let fixture = Fixture::on_disk(disk.clone(), dir, |s| {
        s.broker.namesrv_addr = Some(addresses.join(";"));
    })
    .await;
    let sent = fixture.send(&to("Topic", 0, ""), b"first").await;
    assert_eq!(sent.code, response::SUCCESS, "at the level is not above it");
    for address in &addresses {
        fixture.wait_for_registered(address, "Topic", true).await;
    }

    disk.faults().set_usage(percent(91));
    let answer = fixture.wait_for_code(response::SERVICE_NOT_AVAILABLE).await;
    let place = format!(
        "the disk of {} is 91 % full, writes stop above 90 %",
        fixture.log_dir().display()
    );
    assert!(
        answer.remark.as_deref().unwrap().contains(&place),
        "{:?}",
        answer.remark
    );
    assert_eq!(fixture.runtime().await["storeHealth"], place);
    for address in &addresses {
        fixture.wait_for_registered(address, "Topic", false).await;
    }
    fixture.assert_all_else_works(b"first").await;

    // Another level counts at once.
    fixture.set("diskSpaceWarningLevelRatio=50\n").await;
    let started = Instant::now();
    while !fixture.runtime().await["storeHealth"].ends_with("writes stop above 50 %") {
        assert!(started.elapsed() < NOTICED_WITHIN);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fixture.set("diskSpaceWarningLevelRatio=90\n").await;

    disk.faults().set_usage(percent(86));
    // Between the levels nothing changes: many looks later it is still refused.
    let started = Instant::now();
    while started.elapsed() < NOTICED_WITHIN {
        let answer = fixture.send(&to("Topic", 0, ""), b"x").await;
        assert_eq!(answer.code, response::SERVICE_NOT_AVAILABLE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    disk.faults().set_usage(percent(85));
    fixture.wait_for_code(response::SUCCESS).await;
    assert_eq!(fixture.runtime().await["storeHealth"], "OK");
    for address in &addresses {
        fixture.wait_for_registered(address, "Topic", true).await;
    }
    fixture.stop().await;
    for namesrv in namesrvs {
        namesrv.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_permission_of_the_broker_reaches_the_name_server() {
    let dir = TempDir::new().unwrap();
    let port = cluster::free_port();
    let namesrv = name_server(&dir, port).await;
    let address = format!("127.0.0.1:{port}");
    let fixture = Fixture::in_folder(dir, |s| s.broker.namesrv_addr = Some(address.clone())).await;
    fixture.send(&to("Topic", 0, ""), b"x").await;
    fixture.wait_for_registered(&address, "Topic", true).await;
    fixture.set("brokerPermission=4\n").await;
    fixture.wait_for_registered(&address, "Topic", false).await;
    fixture.set("brokerPermission=6\n").await;
    fixture.wait_for_registered(&address, "Topic", true).await;
    fixture.stop().await;
    namesrv.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_full_disk_refuses_the_first_send() {
    let disk = Disk::default();
    disk.faults().set_usage(percent(95));
    let fixture = Fixture::on_disk(disk.clone(), TempDir::new().unwrap(), |_| {}).await;
    let answer = fixture.send(&to("Topic", 0, ""), b"x").await;
    assert_eq!(
        answer.code,
        response::SERVICE_NOT_AVAILABLE,
        "{:?}",
        answer.remark
    );
    disk.faults().set_usage(None);
}

/// Takes the bytes of files away from under the broker, as a copy onto them or a lost layer of the file system does.
fn empty(files: impl IntoIterator<Item = std::path::PathBuf>) {
    for path in files {
        let file = std::fs::OpenOptions::new().write(true).open(&path);
        file.unwrap().set_len(0).unwrap();
    }
}

fn files_of(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_can_not_be_read_any_more_cost_those_who_read_them_an_error_and_nobody_else() {
    let fixture = Fixture::new(|s| s.store.mapped_file_size_consume_queue = 2000).await;
    let body = vec![b'x'; 400_000];
    for queue in [0, 1] {
        for _ in 0..4 {
            let sent = fixture.send(&to("Topic", queue, ""), &body).await;
            assert_eq!(sent.code, response::SUCCESS);
        }
    }
    let log = files_of(&fixture.log_dir());
    assert!(log.len() > 3, "{log:?}");
    let queue = fixture.dir.path().join("store/consumequeue/Topic/1");
    empty([log[0].clone()]);
    empty(files_of(&queue));

    for (read, named) in [(0, &log[0]), (1, &files_of(&queue)[0])] {
        // Twice: it ends neither the broker nor what it says.
        for _ in 0..2 {
            let answer = fixture.pull(&from("Topic", read, 0)).await;
            let (code, remark) = refused(&answer);
            assert_eq!(code, response::SYSTEM_ERROR, "{remark}");
            for part in [named.to_str().unwrap(), "lost"] {
                assert!(remark.contains(part), "{part:?} is not in {remark:?}");
            }
        }
    }
    let found = fixture.pull(&from("Topic", 0, 3)).await;
    assert_eq!(found.code, response::SUCCESS, "{:?}", found.remark);
    let sent = fixture.send(&to("Topic", 2, ""), b"goes on").await;
    assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    let found = fixture.pull(&from("Topic", 2, 0)).await;
    assert_eq!(records(&found.body)[0].body(), b"goes on");
    let store = fixture.dir.path().join("store");
    empty(files_of(&store).into_iter().filter(|path| path.is_file()));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_damaged_is_passed_over_and_told_of() {
    let fixture = Fixture::new(|_| {}).await;
    for body in [&b"first"[..], b"second", b"third"] {
        let sent = fixture.send(&to("Damaged", 0, ""), body).await;
        assert_eq!(sent.code, response::SUCCESS);
    }
    let queue = fixture
        .dir
        .path()
        .join("store/consumequeue/Damaged/0/00000000000000000000");
    let file = std::fs::OpenOptions::new().write(true).open(queue).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 20], 20).unwrap();
    let found = fixture.pull(&from("Damaged", 0, 0)).await;
    let bodies: Vec<_> = records(&found.body).iter().map(|r| r.body().to_vec()).collect();
    assert_eq!(bodies, [&b"first"[..], b"third"]);
    assert!(log_lines::has(
        "queue Damaged 0: consumers pass over offset 1, whose unit in the consumequeue is damaged; the next start builds the queue again"
    ));
    let beyond = fixture.pull(&from("Damaged", 0, 9)).await;
    assert_eq!(beyond.code, response::PULL_OFFSET_MOVED);
    assert!(log_lines::has(
        "reads queue Damaged 0 at offset 9, behind its end at 3, as after a restore: it is sent to 3"
    ));
    let again = Fixture::in_folder(fixture.stop().await, |_| {}).await;
    assert_eq!(
        crate::pairs::bodies(&again, "Damaged").await,
        [&b"first"[..], b"second", b"third"]
    );
}

/// Who runs the broker ends the process then; the broker itself does not, for it may not be alone in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_goes_from_under_the_broker_is_told_to_who_runs_it() {
    let fixture = Fixture::new(|_| {}).await;
    let log = fixture.log_dir();
    let broker = fixture.broker.as_ref().unwrap();
    std::fs::rename(&log, log.with_extension("aside")).unwrap();
    let told = tokio::time::timeout(WITHIN, broker.lost_folder()).await.unwrap();
    assert!(
        told.starts_with(&format!("{} is not the folder any more", log.display())),
        "{told}"
    );
}

/// A backup that is put in the place of `config/`, or a file system that is mounted there.
#[tokio::test(flavor = "multi_thread")]
async fn another_config_folder_is_not_written_over() {
    let dir = tempfile::TempDir::new().unwrap();
    let (config, new) = (dir.path().join("store/config"), dir.path().join("new"));
    for folder in ["store", "own", "other"] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
    }
    std::fs::write(dir.path().join("other/topics.json"), "{\"of\":\"another\"}").unwrap();
    // A link is replaced in one step: there is no moment at which nothing is there.
    std::os::unix::fs::symlink(dir.path().join("own"), &config).unwrap();
    std::os::unix::fs::symlink(dir.path().join("other"), &new).unwrap();
    let fixture = Fixture::in_folder(dir, |_| {}).await;
    assert_eq!(
        fixture.send(&to("Topic", 0, ""), b"body").await.code,
        response::SUCCESS
    );
    std::fs::rename(&new, &config).unwrap();
    let broker = fixture.broker.as_ref().unwrap();
    let told = tokio::time::timeout(WITHIN, broker.lost_folder()).await.unwrap();
    assert!(
        told.starts_with(&format!("{} is not the folder any more", config.display())),
        "{told}"
    );
    let dir = fixture.stop().await;
    let names: Vec<_> = std::fs::read_dir(dir.path().join("store/config"))
        .unwrap()
        .collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let topics = std::fs::read(dir.path().join("store/config/topics.json")).unwrap();
    assert_eq!(topics, b"{\"of\":\"another\"}");
}

/// Nothing is in anybody's way then.
#[tokio::test(flavor = "multi_thread")]
async fn a_config_folder_that_is_removed_is_made_again() {
    let fixture = Fixture::new(|_| {}).await;
    assert_eq!(
        fixture.send(&to("Topic", 0, ""), b"body").await.code,
        response::SUCCESS
    );
    let topics = fixture.dir.path().join("store/config/topics.json");
    std::fs::remove_dir_all(topics.parent().unwrap()).unwrap();
    let started = std::time::Instant::now();
    let is_there = || std::fs::read_to_string(&topics).is_ok_and(|text| text.contains("\"Topic\""));
    while !is_there() {
        assert!(started.elapsed() < WITHIN, "it is not written again");
        tokio::task::yield_now().await;
    }
    fixture.stop().await;
}

/// Whoever stops a broker because its disk is full hears what that costs.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_can_not_write_the_tables_says_so() {
    let mut fixture = Fixture::new(|_| {}).await;
    assert_eq!(
        fixture.send(&to("Topic", 0, ""), b"body").await.code,
        response::SUCCESS
    );
    let offsets = fixture.dir.path().join("store/config/consumerOffset.json");
    // Nothing can be written beside it.
    std::fs::create_dir(offsets.with_extension("json.tmp")).unwrap();
    crate::pairs::commit(&fixture, "group", "Topic", 1).await;
    let broker = fixture.broker.take().unwrap();
    let said = broker.stop().await.unwrap();
    assert!(
        said.contains(&format!("{} could not be written", offsets.display())),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_has_written_everything_has_nothing_to_say() {
    let mut fixture = Fixture::new(|_| {}).await;
    assert_eq!(
        fixture.send(&to("Topic", 0, ""), b"body").await.code,
        response::SUCCESS
    );
    assert_eq!(fixture.broker.take().unwrap().stop().await, None);
}
