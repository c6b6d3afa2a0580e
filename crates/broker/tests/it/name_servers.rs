//! Name servers that come, go, say nothing, or forget.

use std::sync::Arc;
use std::time::{Duration, Instant};

use namesrv::run::Namesrv;
use parking_lot::Mutex;
use protocol::code::{request, response};
use protocol::header::namesrv::{BrokerPermission, GetRouteInfo};
use remoting::{Body, Client, ClientSettings};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::fixture::*;
use crate::log_lines;
use crate::registration::name_server;
use crate::still::Still;

/// What a name server of a test does with a request.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Reply {
    Success,
    SuccessAndClose,
    Nothing,
}

/// A name server that answers as it is told, and notes what it was asked.
pub(crate) struct Scripted {
    pub(crate) address: String,
    /// The headers of the requests.
    asked: watch::Receiver<Vec<Value>>,
    connections: Arc<Mutex<Vec<tokio::task::JoinHandle<()>>>>,
}

impl Scripted {
    pub(crate) async fn start(reply: fn(i64) -> Reply) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, asked) = watch::channel(Vec::new());
        let (sender, connections) = (Arc::new(sender), Arc::new(Mutex::new(Vec::new())));
        let all = Arc::clone(&connections);
        let accepts = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = tokio::spawn(serve(stream, Arc::clone(&sender), reply));
                all.lock().push(serving);
            }
        });
        connections.lock().push(accepts);
        Scripted {
            address,
            asked,
            connections,
        }
    }

    async fn wait_for(&mut self, code: i32) {
        self.wait_until(|headers| headers.iter().any(|header| header["code"] == code))
            .await;
    }

    /// Waits until what it was asked is as it should be.
    pub(crate) async fn wait_until(&mut self, is_so: impl FnMut(&Vec<Value>) -> bool) {
        let asked = self.asked.wait_for(is_so);
        let in_time = tokio::time::timeout(WITHIN, asked)
            .await
            .is_ok_and(|asked| asked.is_ok());
        assert!(in_time, "{} was asked {:?} alone", self.address, self.codes());
    }

    /// How often it was asked this.
    pub(crate) fn count(&self, code: i32) -> usize {
        count(&self.asked.borrow(), code)
    }

    fn codes(&self) -> Vec<i64> {
        let code = |header: &Value| header["code"].as_i64().unwrap();
        self.asked.borrow().iter().map(code).collect()
    }
}

/// How many of these requests have this code.
pub(crate) fn count(headers: &[Value], code: i32) -> usize {
    headers.iter().filter(|header| header["code"] == code).count()
}

impl Drop for Scripted {
    fn drop(&mut self) {
        for task in self.connections.lock().drain(..) {
            task.abort();
        }
    }
}

async fn serve(mut stream: TcpStream, asked: Arc<watch::Sender<Vec<Value>>>, reply: fn(i64) -> Reply) {
    while let Ok(len) = stream.read_u32().await {
        let mut frame = vec![0; len as usize];
        if stream.read_exact(&mut frame).await.is_err() {
            return;
        }
        let header_len = u32::from_be_bytes([0, frame[1], frame[2], frame[3]]) as usize;
        let header: Value = serde_json::from_slice(&frame[4..4 + header_len]).unwrap();
        let code = header["code"].as_i64().unwrap();
        asked.send_modify(|headers| headers.push(header.clone()));
        let reply = reply(code);
        if reply == Reply::Nothing {
            continue;
        }
        let answer =
            json!({"code": 0, "flag": 1, "language": "JAVA", "opaque": header["opaque"], "version": 407});
        let answer = answer.to_string();
        let mut out = Vec::new();
        out.extend((4 + answer.len() as u32).to_be_bytes());
        out.extend((answer.len() as u32).to_be_bytes());
        out.extend(answer.as_bytes());
        if stream.write_all(&out).await.is_err() || reply == Reply::SuccessAndClose {
            return;
        }
    }
}

/// Whether a name server has a route of the topic.
async fn knows(client: &Client, namesrv: &str, topic: &str) -> bool {
    let header = GetRouteInfo {
        topic: topic.into(),
        accept_standard_json_only: None,
        zone_mode: None,
        zone_name: None,
    };
    let code = request::GET_ROUTEINFO_BY_TOPIC;
    let answer = client.invoke(namesrv, code, &header, Body::Empty, WITHIN).await;
    answer.is_ok_and(|answer| answer.code == response::SUCCESS)
}

pub(crate) async fn wait_until(what: &str, limit: Duration, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn forgetful_name_server(dir: &TempDir, port: u16) -> Namesrv {
    let mut settings = namesrv::settings::Settings::default();
    settings.namesrv.kv_config_path = dir.path().join("kv.json").display().to_string();
    settings.namesrv.delete_topic_with_broker_registration = true;
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    namesrv::run::start_at(settings, address).await.unwrap()
}

/// A name server that takes each registration for the whole table keeps the other topics when one is made.
async fn topics_stay(singly: bool, topics: usize) {
    let _alone = PROCESSORS.lock().await;
    let dir = TempDir::new().unwrap();
    let port = cluster::free_port();
    let namesrv = forgetful_name_server(&dir, port).await;
    let address = format!("127.0.0.1:{port}");
    let fixture = Fixture::in_folder(dir, |s| {
        s.broker.namesrv_addr = Some(address.clone());
        s.broker.enable_single_topic_register = singly;
    })
    .await;
    let name = |number: usize| format!("Topic{number}");
    let list: Vec<String> = (0..topics)
        .map(|number| {
            format!(
                r#"{{"topicName":"{}","readQueueNums":1,"writeQueueNums":1}}"#,
                name(number)
            )
        })
        .collect();
    fixture.send(&to("First", 0, ""), b"x").await;
    assert!(
        knows(&fixture.client, &address, "First").await,
        "who made a topic may ask for it"
    );
    let body = format!(r#"{{"topicConfigList":[{}]}}"#, list.join(","));
    fixture
        .ask(request::UPDATE_AND_CREATE_TOPIC_LIST, &(), body)
        .await;
    wait_until("the last topic of a list is known", WITHIN, async || {
        knows(&fixture.client, &address, &name(topics - 1)).await
    })
    .await;
    fixture.send(&to("Last", 0, ""), b"x").await;
    for topic in [
        "First".to_owned(),
        "broker-a".to_owned(),
        "Last".to_owned(),
        name(0),
        name(topics - 1),
    ] {
        assert!(knows(&fixture.client, &address, &topic).await, "{topic} is lost");
    }
    fixture.stop().await;
    assert!(!knows(&Client::new(ClientSettings::default()), &address, "First").await);
    namesrv.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_stay_where_registrations_replace_the_table() {
    topics_stay(false, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_stay_where_they_are_registered_one_by_one() {
    topics_stay(true, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_stay_where_more_change_than_are_told_one_by_one() {
    topics_stay(true, 500).await;
}

/// A name server of 4.9 answers nothing to what it does not know.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_name_server_is_told_of_single_topics_all_the_same() {
    let mut namesrv = Scripted::start(|code| {
        if code == i64::from(request::REGISTER_TOPIC_IN_NAMESRV) {
            Reply::Nothing
        } else {
            Reply::Success
        }
    })
    .await;
    let address = namesrv.address.clone();
    let fixture = Fixture::new(|s| {
        s.broker.namesrv_addr = Some(address);
        s.broker.enable_single_topic_register = true;
    })
    .await;
    fixture.send(&to("Topic", 0, ""), b"x").await;
    namesrv.wait_for(request::REGISTER_TOPIC_IN_NAMESRV).await;
    wait_until("the whole table is told instead", WITHIN, async || {
        let codes = namesrv.codes();
        let single = codes
            .iter()
            .position(|c| *c == i64::from(request::REGISTER_TOPIC_IN_NAMESRV));
        codes[single.unwrap()..].contains(&i64::from(request::REGISTER_BROKER))
    })
    .await;
    fixture.stop().await;
}

pub(crate) const NAME_SERVERS: [&str; 1] = ["namesrvAddr"];

#[tokio::test(flavor = "multi_thread")]
async fn name_servers_change_while_the_broker_runs() {
    const SOON: Duration = Duration::from_secs(5);
    let dir = TempDir::new().unwrap();
    let ports = [cluster::free_port(), cluster::free_port()];
    let namesrvs = [
        name_server(&dir, ports[0]).await,
        name_server(&dir, ports[1]).await,
    ];
    let [one, two] = ports.map(|port| format!("127.0.0.1:{port}"));
    let fixture = Fixture::in_folder(dir, |_| {}).await;
    fixture.send(&to("Topic", 0, ""), b"x").await;
    let changes = Tested::new(&NAME_SERVERS);
    let known = async |address: &str, is_known: bool, within: Duration| {
        wait_until(address, within, async || {
            knows(&fixture.client, address, "Topic").await == is_known
        })
        .await;
    };
    changes.set(&fixture, &format!("namesrvAddr={one}\n")).await;
    known(&one, true, SOON).await;
    assert!(!knows(&fixture.client, &two, "Topic").await);
    fixture.set(&format!("namesrvAddr={one};{two}\n")).await;
    known(&two, true, SOON).await;
    // Both are told of a new topic before its maker hears that it is there.
    fixture.send(&to("Next", 0, ""), b"x").await;
    for address in [&one, &two] {
        assert!(knows(&fixture.client, address, "Next").await, "{address}");
    }
    fixture.set(&format!("namesrvAddr={two}\n")).await;
    known(&one, false, SOON).await;
    known(&two, true, Duration::ZERO).await;
    // Gone and back.
    fixture.set(&format!("namesrvAddr={two};{one}\n")).await;
    known(&one, true, SOON).await;
    known(&two, true, Duration::ZERO).await;
    fixture.stop().await;
    for namesrv in namesrvs {
        namesrv.shutdown().await;
    }
}

/// A good-bye closes the connection here, which the broker takes for a lost name server; and a client that does not close its
/// connection makes the stop last.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_registered_behind_the_good_bye() {
    let mut namesrv = Scripted::start(|code| {
        if code == i64::from(request::UNREGISTER_BROKER) {
            Reply::SuccessAndClose
        } else {
            Reply::Success
        }
    })
    .await;
    let address = namesrv.address.clone();
    let fixture = Fixture::new(|s| s.broker.namesrv_addr = Some(address)).await;
    namesrv.wait_for(request::REGISTER_BROKER).await;
    let slow_client = TcpStream::connect(("127.0.0.1", fixture.port)).await.unwrap();
    fixture.stop().await;
    drop(slow_client);
    let codes = namesrv.codes();
    assert_eq!(
        codes.last(),
        Some(&i64::from(request::UNREGISTER_BROKER)),
        "{codes:?}"
    );
    let good_byes = codes
        .iter()
        .filter(|c| **c == i64::from(request::UNREGISTER_BROKER));
    assert_eq!(good_byes.count(), 1, "{codes:?}");
}

/// How long a stop takes beside name servers that do not answer.
async fn stop_beside(reply: fn(i64) -> Reply, servers: usize) -> Duration {
    let mut all = Vec::new();
    for _ in 0..servers {
        all.push(Scripted::start(reply).await);
    }
    let list: Vec<String> = all.iter().map(|server| server.address.clone()).collect();
    let fixture = Fixture::new(|s| s.broker.namesrv_addr = Some(list.join(";"))).await;
    for server in &mut all {
        server.wait_for(request::REGISTER_BROKER).await;
    }
    let Fixture {
        broker, dir: _dir, ..
    } = fixture;
    let started = Instant::now();
    broker.unwrap().stop().await;
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_name_server_holds_up_a_stop_for_a_second_at_most() {
    let quick = stop_beside(|_| Reply::Success, 3).await;
    let mute = stop_beside(|_| Reply::Nothing, 3).await;
    let mute_at_the_end = stop_beside(
        |code| {
            if code == i64::from(request::UNREGISTER_BROKER) {
                Reply::Nothing
            } else {
                Reply::Success
            }
        },
        3,
    )
    .await;
    for slow in [mute, mute_at_the_end] {
        assert!(
            slow < quick + Duration::from_millis(1900),
            "{slow:?}, {quick:?} where all answer"
        );
    }
}

/// Four minutes of a broker's registration, on a clock that jumps to whatever is waited for.
#[tokio::test(start_paused = true)]
async fn a_name_server_that_stays_away_is_in_the_log_once_a_minute() {
    log_lines::keep();
    let address = format!("127.0.0.1:{}", cluster::free_port());
    let still = Still::new(|s| s.broker.namesrv_addr = Some(address.clone()));
    let registration = Arc::clone(&still.parts.registration);
    registration.tell_all().await;
    let stop = CancellationToken::new();
    let task = tokio::spawn(Arc::clone(&registration).run(stop.clone()));
    tokio::time::sleep(Duration::from_secs(245)).await;
    stop.cancel();
    task.await.unwrap();
    let [succeeded, failed] = registration.counts();
    assert!(
        succeeded == 0 && failed > 50,
        "told {succeeded} times, not {failed} times"
    );
    let said = log_lines::count(&format!("name server {address} does not know this broker"));
    assert!((4..=5).contains(&said), "said {said} times");
}

/// A write permission that an operator has taken at a name server, and forgotten: the broker itself is in order, and says what is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_wipe_of_the_write_permission_is_in_the_log() {
    let dir = TempDir::new().unwrap();
    let port = cluster::free_port();
    let namesrv = name_server(&dir, port).await;
    let address = format!("127.0.0.1:{port}");
    let fixture = Fixture::in_folder(dir, |s| {
        s.broker.namesrv_addr = Some(address.clone());
        s.broker.register_name_server_period = 10_000;
    })
    .await;
    let wiped = format!("name server {address} sends no producers here");
    let given_back = format!("name server {address} sends producers here again");
    let header = BrokerPermission {
        broker_name: "broker-a".into(),
    };
    for (code, line) in [
        (request::WIPE_WRITE_PERM_OF_BROKER, &wiped),
        (request::ADD_WRITE_PERM_OF_BROKER, &given_back),
    ] {
        let asked = fixture
            .client
            .invoke(&address, code, &header, Body::Empty, WITHIN);
        assert_eq!(asked.await.unwrap().code, response::SUCCESS);
        wait_until("a line about it", WITHIN, async || log_lines::has(line)).await;
    }
    assert_eq!((log_lines::count(&wiped), log_lines::count(&given_back)), (1, 1));
    fixture.stop().await;
    namesrv.shutdown().await;
}
