//! A broker with very many topics, and a name server that comes and goes.

use crate::fixture::PROCESSORS;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use broker::settings::Settings;
use cluster::{Flavour, NameServer};
use protocol::code::{request, response};
use protocol::header::namesrv::GetRouteInfo;
use remoting::{Body, Client, ClientSettings};
use tempfile::TempDir;

const WITHIN: Duration = Duration::from_secs(60);
/// As many topics as make a registration longer than a frame of Java's may be, and then some.
const TOPICS: usize = 100_000;

pub(crate) async fn name_server(dir: &TempDir, port: u16) -> namesrv::run::Namesrv {
    let mut settings = namesrv::settings::Settings::default();
    settings.namesrv.kv_config_path = dir.path().join("kv.json").display().to_string();
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    namesrv::run::start_at(settings, address).await.unwrap()
}

fn settings(dir: &TempDir, port: u16, namesrv: &str) -> Settings {
    let mut settings = Settings::default();
    settings.broker.broker_name = "broker-a".to_owned();
    settings.broker.broker_ip1 = "127.0.0.1".to_owned();
    settings.broker.broker_ip2 = "127.0.0.1".to_owned();
    settings.broker.namesrv_addr = Some(namesrv.to_owned());
    settings.server.bind_address = "127.0.0.1".to_owned();
    settings.server.listen_port = i32::from(port);
    settings.store.store_path_root_dir = dir.path().join("store").display().to_string();
    settings.store.mapped_file_size_commit_log = 1 << 20;
    settings
}

/// A name with enough letters that 100,000 of them are more than 16 MiB.
fn name(i: usize) -> String {
    format!("topic_{i:06}_{}", "x".repeat(80))
}

pub(crate) fn list(from: usize, to: usize) -> String {
    let topics: Vec<String> = (from..to)
        .map(|i| {
            format!(
                r#"{{"topicName":"{}","readQueueNums":1,"writeQueueNums":1}}"#,
                name(i)
            )
        })
        .collect();
    format!(r#"{{"topicConfigList":[{}]}}"#, topics.join(","))
}

/// Asks until the name server has the route, which it must have within `limit`.
async fn wait_for_route(client: &Client, namesrv: &str, topic: &str, limit: Duration) {
    let started = Instant::now();
    let header = GetRouteInfo {
        topic: topic.into(),
        accept_standard_json_only: None,
        zone_mode: None,
        zone_name: None,
    };
    loop {
        let asked = client
            .invoke(
                namesrv,
                request::GET_ROUTEINFO_BY_TOPIC,
                &header,
                Body::Empty,
                WITHIN,
            )
            .await;
        if asked.is_ok_and(|frame| frame.code == response::SUCCESS) {
            return;
        }
        assert!(started.elapsed() < limit, "no route of {topic} within {limit:?}");
        tokio::task::yield_now().await;
    }
}

/// On the one worker that there is, nothing takes long while a hundred thousand topics are told.
#[tokio::test(flavor = "current_thread")]
async fn a_registration_holds_no_worker_up() {
    let _alone = PROCESSORS.lock().await;
    let dir = TempDir::new().unwrap();
    let server = NameServer::start(Flavour::Ours, dir.path());
    let config = dir.path().join("store/config");
    std::fs::create_dir_all(&config).unwrap();
    let topics: Vec<String> = (0..TOPICS)
        .map(|i| format!("\"{0}\":{{\"topicName\":\"{0}\"}}", name(i)))
        .collect();
    let text = format!("{{\"topicConfigTable\":{{{}}}}}", topics.join(","));
    std::fs::write(config.join("topics.json"), text).unwrap();
    let longest = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&longest);
    let watch = tokio::spawn(async move {
        loop {
            let before = Instant::now();
            tokio::time::sleep(Duration::from_millis(1)).await;
            seen.fetch_max(before.elapsed().as_millis() as u64, Ordering::Relaxed);
        }
    });
    let settings = settings(&dir, cluster::free_port(), &server.address());
    let broker = broker::run::start(settings).await.unwrap();
    let client = Client::new(ClientSettings::default());
    wait_for_route(&client, &server.address(), &name(TOPICS - 1), WITHIN).await;
    watch.abort();
    let longest = longest.load(Ordering::Relaxed);
    // To encode them takes seconds in a debug build.
    assert!(longest < 500, "{longest} ms");
    broker.stop().await;
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_topics_are_registered_and_again_after_the_name_server_is_back() {
    let _alone = PROCESSORS.lock().await;
    let dir = TempDir::new().unwrap();
    let namesrv_port = cluster::free_port();
    let namesrv = format!("127.0.0.1:{namesrv_port}");
    let first = name_server(&dir, namesrv_port).await;
    let port = cluster::free_port();
    let broker = broker::run::start(settings(&dir, port, &namesrv)).await.unwrap();
    let client = Client::new(ClientSettings::default());
    let address = format!("127.0.0.1:{port}");
    for from in (0..TOPICS).step_by(10_000) {
        let body = Body::Bytes(list(from, from + 10_000).into());
        let made = client
            .invoke(&address, request::UPDATE_AND_CREATE_TOPIC_LIST, &(), body, WITHIN)
            .await
            .unwrap();
        assert_eq!(made.code, response::SUCCESS, "{:?}", made.remark);
    }
    wait_for_route(&client, &namesrv, &name(0), Duration::from_secs(20)).await;
    wait_for_route(&client, &namesrv, &name(TOPICS - 1), Duration::from_secs(20)).await;
    first.shutdown().await;
    let second = name_server(&dir, namesrv_port).await;
    // Far sooner than the next period of 30 s.
    wait_for_route(&client, &namesrv, &name(TOPICS / 2), Duration::from_secs(20)).await;
    broker.stop().await;
    let header = GetRouteInfo {
        topic: name(1).into(),
        accept_standard_json_only: None,
        zone_mode: None,
        zone_name: None,
    };
    let gone = client
        .invoke(
            &namesrv,
            request::GET_ROUTEINFO_BY_TOPIC,
            &header,
            Body::Empty,
            WITHIN,
        )
        .await
        .unwrap();
    assert_eq!(
        gone.code,
        response::TOPIC_NOT_EXIST,
        "a broker that stops says so"
    );
    second.shutdown().await;
}
