//! A master and the slaves that connect to it, among them some that are none. They come from addresses of this host, so that a test can
//! say which of them may.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use broker::settings::{BrokerRole, Settings};
use bytes::BytesMut;
use protocol::code::response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::fixture::*;

/// What every live setting of replication is tested by.
pub(crate) const SLAVES: [&str; 10] = [
    "haAllowedSlaves",
    "slaveTimeout",
    "haMaxGapNotInSync",
    "inSyncReplicas",
    "minInSyncReplicas",
    "allAckInSyncStateSet",
    "enableAutoInSyncReplicas",
    "haFlowControlEnable",
    "maxHaTransferByteInSecond",
    "syncFromLastFile",
];

const WAITS: &str = "WAIT\u{1}true\u{2}";
const FILE: i64 = 1 << 20;

fn sync_master(settings: &mut Settings) {
    settings.store.broker_role = BrokerRole::SyncMaster;
    settings.store.ha_listen_port = settings.server.listen_port + 1;
    settings.store.ha_allowed_slaves = Some("127.0.0.2, 127.0.0.3".to_owned());
    settings.store.slave_timeout = 20_000;
}

/// A slave that does what the test says.
struct Slave {
    stream: TcpStream,
    /// What was read and is no whole transfer yet: a test may give up waiting for the rest.
    read: BytesMut,
    /// The end of what it was sent.
    end: i64,
}

impl Slave {
    /// Connects from 127.0.0.`host` and says where its log ends.
    async fn connect(fixture: &Fixture, host: u8, end: i64) -> Slave {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
        let master = SocketAddr::from(([127, 0, 0, 1], fixture.port + 1));
        let stream = socket.connect(master).await.unwrap();
        let read = BytesMut::new();
        let mut slave = Slave { stream, read, end };
        slave.report(end).await;
        slave
    }

    async fn report(&mut self, end: i64) {
        // Whoever is closed may notice it here or at the next read.
        let _closed = self.stream.write_all(&end.to_be_bytes()).await;
    }

    /// The next transfer: where it begins, and its bytes. `None`: the master has closed the connection.
    async fn transfer(&mut self) -> Option<(i64, Vec<u8>)> {
        let read = async {
            loop {
                if let Some((at, len)) = self.announced()
                    && self.read.len() >= 12 + len
                {
                    let body = self.read.split_to(12 + len).split_off(12);
                    return Some((at, body.to_vec()));
                }
                if !matches!(self.stream.read_buf(&mut self.read).await, Ok(1..)) {
                    return None;
                }
            }
        };
        let transfer = tokio::time::timeout(WITHIN, read).await.expect("in time");
        if let Some((at, body)) = &transfer {
            self.end = at + body.len() as i64;
        }
        transfer
    }

    /// Where the body that comes next begins, and its length.
    fn announced(&self) -> Option<(i64, usize)> {
        let (at, rest) = self.read.split_first_chunk()?;
        let len = i32::from_be_bytes(*rest.first_chunk()?);
        Some((i64::from_be_bytes(*at), usize::try_from(len).unwrap()))
    }

    /// Reads until it has the log up to `end`.
    async fn read_to(&mut self, end: i64) {
        while self.end < end {
            self.transfer().await.expect("the connection stands");
        }
    }

    async fn is_closed(&mut self) -> bool {
        while let Some((_, body)) = self.transfer().await {
            assert!(body.is_empty() || self.end > 0);
        }
        true
    }
}

async fn end(fixture: &Fixture) -> i64 {
    fixture.runtime().await["commitLogMaxOffset"].parse().unwrap()
}

async fn send(fixture: &Fixture) -> i32 {
    fixture.send(&to("Topic", 0, WAITS), b"body").await.code
}

/// A slave that has all and acknowledges it.
async fn follow(fixture: &Fixture, host: u8) -> Slave {
    let mut slave = Slave::connect(fixture, host, 0).await;
    let all = end(fixture).await;
    slave
        .transfer()
        .await
        .expect("a heartbeat says where the log begins");
    slave.read_to(all).await;
    slave.report(all).await;
    // The master has read it when it counts.
    let started = Instant::now();
    loop {
        let info = fixture.runtime().await;
        let own = format!("slave_127.0.0.{host}:");
        if info
            .iter()
            .any(|(key, value)| key.starts_with(&own) && value == "0 B behind")
        {
            return slave;
        }
        assert!(started.elapsed() < WITHIN, "{info:?}");
    }
}

/// Sends what nobody acknowledges, with a timeout that is soon over.
async fn send_in_vain(fixture: &Fixture) -> i32 {
    fixture.set("slaveTimeout=300\n").await;
    let code = send(fixture).await;
    fixture.set("slaveTimeout=20000\n").await;
    code
}

/// Sends what one slave acknowledges, which is not enough, with a timeout that is soon over.
async fn send_acknowledged_in_vain(fixture: &Fixture, slave: &mut Slave) -> i32 {
    fixture.set("slaveTimeout=300\n").await;
    let code = send_acknowledged(fixture, slave).await;
    fixture.set("slaveTimeout=20000\n").await;
    code
}

/// Sends while a slave reads and acknowledges.
async fn send_acknowledged(fixture: &Fixture, slave: &mut Slave) -> i32 {
    let sent = send(fixture);
    tokio::pin!(sent);
    loop {
        tokio::select! {
            code = &mut sent => return code,
            transfer = slave.transfer() => {
                transfer.expect("the connection stands");
                slave.report(slave.end).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_slaves_connect_and_what_they_were_not_sent_they_do_not_acknowledge() {
    let changes = Tested::new(&["haAllowedSlaves", "slaveTimeout"]);
    let fixture = Fixture::new(sync_master).await;
    assert_eq!(send(&fixture).await, response::SLAVE_NOT_AVAILABLE);
    let mut stranger = Slave::connect(&fixture, 4, 0).await;
    assert!(stranger.is_closed().await);
    changes.set(&fixture, "haAllowedSlaves=127.0.0.4/32\n").await;
    let mut slave = follow(&fixture, 4).await;
    assert_eq!(send_acknowledged(&fixture, &mut slave).await, response::SUCCESS);
    // It has been sent nothing of the next one when it says that it has it.
    let all = end(&fixture).await;
    for lie in [all + 100_000, i64::MAX, -1, all - 1] {
        let mut liar = Slave::connect(&fixture, 4, all).await;
        liar.report(lie).await;
        assert!(liar.is_closed().await, "{lie}");
    }
    for first in [all + 1, i64::MAX, -5] {
        let mut liar = Slave::connect(&fixture, 4, first).await;
        assert!(liar.is_closed().await, "{first}");
    }
    // One that reads and says nothing keeps a sender for as long as is set.
    let mut mute = follow(&fixture, 4).await;
    let started = Instant::now();
    assert_eq!(send_in_vain(&fixture).await, response::FLUSH_SLAVE_TIMEOUT);
    not_before(started.elapsed(), Duration::from_millis(300));
    changes.set(&fixture, "slaveTimeout=900\n").await;
    let started = Instant::now();
    assert_eq!(send(&fixture).await, response::FLUSH_SLAVE_TIMEOUT);
    not_before(started.elapsed(), Duration::from_millis(900));
    assert!(!mute.transfer().await.unwrap().1.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn how_many_brokers_have_a_message_that_is_acknowledged() {
    let keys = &[
        "inSyncReplicas",
        "minInSyncReplicas",
        "allAckInSyncStateSet",
        "enableAutoInSyncReplicas",
        "haMaxGapNotInSync",
    ];
    let changes = Tested::new(keys);
    let fixture = Fixture::new(sync_master).await;
    changes.set(&fixture, "inSyncReplicas=2\n").await;
    assert_eq!(
        send_in_vain(&fixture).await,
        response::FLUSH_SLAVE_TIMEOUT,
        "nobody is there"
    );
    changes.set(&fixture, "minInSyncReplicas=2\n").await;
    let before = end(&fixture).await;
    assert_eq!(send(&fixture).await, response::SYSTEM_ERROR);
    assert_eq!(end(&fixture).await, before, "it is not stored");
    let mut one = follow(&fixture, 2).await;
    assert_eq!(send_acknowledged(&fixture, &mut one).await, response::SUCCESS);
    fixture.set("inSyncReplicas=3\nminInSyncReplicas=1\n").await;
    assert_eq!(
        send_acknowledged_in_vain(&fixture, &mut one).await,
        response::FLUSH_SLAVE_TIMEOUT,
        "two slaves are to have it"
    );
    changes.set(&fixture, "enableAutoInSyncReplicas=true\n").await;
    assert_eq!(
        send_acknowledged(&fixture, &mut one).await,
        response::SUCCESS,
        "one is there"
    );
    let _two = follow(&fixture, 3).await;
    changes
        .set(
            &fixture,
            "enableAutoInSyncReplicas=false\nallAckInSyncStateSet=true\ninSyncReplicas=1\n",
        )
        .await;
    assert_eq!(
        send_acknowledged_in_vain(&fixture, &mut one).await,
        response::FLUSH_SLAVE_TIMEOUT,
        "both that are there are to have it"
    );
    // The second one is behind now, and is not waited for.
    changes.set(&fixture, "haMaxGapNotInSync=1\n").await;
    assert_eq!(send_acknowledged(&fixture, &mut one).await, response::SUCCESS);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_slave_is_given_and_how_fast() {
    let keys = &[
        "syncFromLastFile",
        "haFlowControlEnable",
        "maxHaTransferByteInSecond",
    ];
    let changes = Tested::new(keys);
    let fixture = Fixture::new(sync_master).await;
    while end(&fixture).await < FILE + 300_000 {
        fixture
            .send(&to("Topic", 0, "WAIT\u{1}false\u{2}"), &[b'x'; 100_000])
            .await;
    }
    let begins = async || Slave::connect(&fixture, 2, 0).await.transfer().await.unwrap().0;
    assert_eq!(begins().await, 0);
    changes.set(&fixture, "syncFromLastFile=true\n").await;
    assert_eq!(begins().await, FILE);
    changes
        .set(
            &fixture,
            "haFlowControlEnable=true\nmaxHaTransferByteInSecond=100000\n",
        )
        .await;
    let mut slave = Slave::connect(&fixture, 2, FILE).await;
    let started = Instant::now();
    slave.read_to(FILE + 150_000).await;
    // A tenth of a second's worth may go at once.
    assert!(
        started.elapsed() >= Duration::from_millis(1300),
        "{:?}",
        started.elapsed()
    );
    fixture.set("haFlowControlEnable=false\n").await;
    let all = end(&fixture).await;
    slave.read_to(all).await;
}
