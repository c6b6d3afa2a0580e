//! A whole broker in this process, and how a test asks it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::run::{Broker, start, start_on};
use broker::settings::Settings;
use bytes::Bytes;
use disk::MmapDisk as Disk;
use message::record::{Check, Entry, View, decode};
use parking_lot::Mutex;
use protocol::body::KvTable;
use protocol::code::{request, response};
use protocol::header::Short;
use protocol::header::broker::*;
use protocol::{EncodeHeader, Frame};
use remoting::{Body, Client, ClientSettings, Connection, Request, Service};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::log_lines::{self, ShownIfFailed};

/// Held by tests that use up all processors for a minute, and by those about answers that the broker gives up waiting for
/// after two seconds: beside one another the second kind would test the machine.
pub(crate) static PROCESSORS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// How long anything may take on a busy machine.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);

/// Not before its time. The broker counts whole milliseconds: one may be nearly over when it begins to count.
pub(crate) fn not_before(took: Duration, time: Duration) {
    assert!(took + Duration::from_millis(1) >= time, "{took:?} of {time:?}");
}

/// A running broker, a folder with its files, and a client.
pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) port: u16,
    pub(crate) broker: Option<Broker>,
    pub(crate) client: Client,
    _log: ShownIfFailed,
}

/// A heartbeat of one producer group `p` and one consumer group that reads one topic.
pub(crate) fn heartbeat(client_id: &str, group: &str, topic: &str) -> String {
    format!(
        r#"{{"clientID":"{client_id}","producerDataSet":[{{"groupName":"p"}}],"consumerDataSet":[{{"groupName":"{group}",
        "consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET",
        "subscriptionDataSet":[{{"topic":"{topic}","subString":"*","subVersion":5,"tagsSet":[],"codeSet":[]}}]}}]}}"#
    )
}

/// Hands the broker's own requests to the test.
struct Notices(mpsc::UnboundedSender<Frame>);

impl Service for Notices {
    fn serve(&self, _conn: &Arc<Connection>, requests: &mut VecDeque<Request>) {
        for request in requests.drain(..) {
            let _nobody_listens = self.0.send(request.frame);
            drop(request.responder);
        }
    }

    fn closed(&self, _conn: &Arc<Connection>) {}
}

pub(crate) fn settings(dir: &TempDir, port: u16) -> Settings {
    let mut settings = Settings::default();
    settings.broker.broker_name = "broker-a".to_owned();
    settings.broker.broker_ip1 = "127.0.0.1".to_owned();
    settings.broker.broker_ip2 = "127.0.0.1".to_owned();
    settings.broker.namesrv_addr = None;
    settings.broker.broker_config_path = Some(dir.path().join("broker.conf").display().to_string());
    settings.server.bind_address = "127.0.0.1".to_owned();
    settings.server.listen_port = i32::from(port);
    settings.store.store_path_root_dir = dir.path().join("store").display().to_string();
    settings.store.mapped_file_size_commit_log = 1 << 20;
    settings.store.mapped_file_size_consume_queue = 2000;
    settings
}

/// Nothing of a folder's files is in memory afterwards. Nobody may have mapped them.
pub(crate) fn forget_pages(dir: &Path) {
    let started = Instant::now();
    loop {
        // A file system may hold on to pages for as long as it commits what was written.
        match disk::forget_pages(dir).unwrap() {
            0 => return,
            stays => assert!(started.elapsed() < WITHIN, "{stays} bytes stay in memory"),
        }
    }
}

impl Fixture {
    pub(crate) async fn new(change: impl FnOnce(&mut Settings)) -> Fixture {
        Fixture::in_folder(TempDir::new().unwrap(), change).await
    }

    /// On a store that may be there already.
    pub(crate) async fn in_folder(dir: TempDir, change: impl FnOnce(&mut Settings)) -> Fixture {
        Fixture::on_disk(Disk::default(), dir, change).await
    }

    /// On a disk that may be told to misbehave.
    pub(crate) async fn on_disk(disk: Disk, dir: TempDir, change: impl FnOnce(&mut Settings)) -> Fixture {
        log_lines::keep();
        let begun = Instant::now();
        let port = cluster::free_port();
        let mut settings = settings(&dir, port);
        change(&mut settings);
        let broker = start_on(settings, disk).await.unwrap();
        Fixture {
            dir,
            port,
            broker: Some(broker),
            client: Client::new(ClientSettings::default()),
            _log: ShownIfFailed(begun),
        }
    }

    /// Stops the broker and leaves its files.
    pub(crate) async fn stop(mut self) -> TempDir {
        self.broker.take().unwrap().stop().await;
        self.dir
    }

    /// Stops the broker and starts it again on the same store.
    pub(crate) async fn restart(&mut self) {
        self.broker.take().unwrap().stop().await;
        self.broker = Some(start(settings(&self.dir, self.port)).await.unwrap());
    }

    pub(crate) async fn ask(
        &self,
        code: i32,
        header: &(dyn EncodeHeader + Sync),
        body: impl Into<Bytes>,
    ) -> Frame {
        let address = format!("127.0.0.1:{}", self.port);
        self.client
            .invoke(&address, code, header, Body::Bytes(body.into()), WITHIN)
            .await
            .unwrap()
    }

    /// The commitlog's folder.
    pub(crate) fn log_dir(&self) -> PathBuf {
        self.dir.path().join("store/commitlog")
    }

    /// GET_BROKER_RUNTIME_INFO.
    pub(crate) async fn runtime(&self) -> BTreeMap<String, String> {
        let answer = self.ask(request::GET_BROKER_RUNTIME_INFO, &(), "").await;
        protocol::body::read::<KvTable>(&answer.body).unwrap().table
    }

    /// UPDATE_BROKER_CONFIG.
    pub(crate) async fn set(&self, text: &str) {
        let answer = self
            .ask(request::UPDATE_BROKER_CONFIG, &(), text.to_owned())
            .await;
        assert_eq!(answer.code, response::SUCCESS, "{text}: {:?}", answer.remark);
    }

    pub(crate) async fn send(&self, header: &SendMessageRequestHeader<'_>, body: &[u8]) -> Frame {
        self.ask(request::SEND_MESSAGE_V2, &Short(header), body.to_vec())
            .await
    }

    pub(crate) async fn pull(&self, header: &PullMessageRequestHeader<'_>) -> Frame {
        self.ask(request::PULL_MESSAGE, header, Bytes::new()).await
    }

    /// Asks through a connection of its own, over which the broker's notices come back as well.
    pub(crate) async fn own_connection(&self) -> (Arc<Connection>, mpsc::UnboundedReceiver<Frame>, Client) {
        self.connection_as(ClientSettings::default()).await
    }

    /// The same for a client of these settings.
    pub(crate) async fn connection_as(
        &self,
        settings: ClientSettings,
    ) -> (Arc<Connection>, mpsc::UnboundedReceiver<Frame>, Client) {
        let (sender, notices) = mpsc::unbounded_channel();
        let client = Client::with_service(settings, Arc::new(Notices(sender)));
        let conn = client
            .connection(&format!("127.0.0.1:{}", self.port))
            .await
            .unwrap();
        (conn, notices, client)
    }
}

/// Live settings that one test changes.
pub(crate) struct Tested {
    keys: &'static [&'static str],
    changed: Mutex<BTreeSet<String>>,
}

impl Tested {
    pub(crate) fn new(keys: &'static [&'static str]) -> Tested {
        Tested {
            keys,
            changed: Mutex::default(),
        }
    }

    /// UPDATE_BROKER_CONFIG.
    pub(crate) async fn set(&self, fixture: &Fixture, text: &str) {
        self.note(text);
        fixture.set(text).await;
    }

    /// These are changed in another way.
    pub(crate) fn note(&self, text: &str) {
        for line in text.lines() {
            let (key, _) = line.split_once('=').unwrap();
            assert!(self.keys.contains(&key), "{key} is not among those of the test");
            self.changed.lock().insert(key.to_owned());
        }
    }
}

impl Drop for Tested {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let keys: BTreeSet<String> = self.keys.iter().map(|key| (*key).to_owned()).collect();
            assert_eq!(
                *self.changed.lock(),
                keys,
                "the test changes what it says it does"
            );
        }
    }
}

pub(crate) fn to<'a>(topic: &'a str, queue_id: i32, text: &'a str) -> SendMessageRequestHeader<'a> {
    SendMessageRequestHeader {
        producer_group: Some(Cow::Borrowed("p")),
        topic: Cow::Borrowed(topic),
        default_topic: Some(Cow::Borrowed("TBW102")),
        default_topic_queue_nums: Some(4),
        queue_id,
        sys_flag: Some(0),
        born_timestamp: 1_700_000_000_000,
        flag: Some(0),
        properties: Some(text),
        reconsume_times: Some(0),
        unit_mode: Some(false),
        batch: None,
        max_reconsume_times: None,
    }
}

pub(crate) fn from<'a>(topic: &'a str, queue_id: i32, offset: i64) -> PullMessageRequestHeader<'a> {
    PullMessageRequestHeader {
        consumer_group: Cow::Borrowed("g"),
        topic: Cow::Borrowed(topic),
        queue_id,
        queue_offset: offset,
        max_msg_nums: 32,
        sys_flag: 4,
        commit_offset: Some(0),
        suspend_timeout_millis: Some(15_000),
        subscription: Some(Cow::Borrowed("*")),
        sub_version: Some(0),
        expression_type: Some(Cow::Borrowed("TAG")),
        max_msg_bytes: None,
    }
}

pub(crate) fn records(body: &[u8]) -> Vec<View<'_>> {
    let (mut rest, mut all) = (body, Vec::new());
    while let Ok(Entry::Record(view)) = decode(rest, Check::Body) {
        rest = &rest[view.total_len()..];
        all.push(view);
        if rest.is_empty() {
            break;
        }
    }
    assert!(rest.is_empty(), "the body is a chain of whole records");
    all
}

pub(crate) fn refused(frame: &Frame) -> (i32, &str) {
    (frame.code, frame.remark.as_deref().unwrap_or(""))
}
