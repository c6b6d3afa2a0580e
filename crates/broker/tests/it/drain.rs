//! Producers are sent away before a stop.

use std::time::{Duration, Instant};

use broker::settings::Settings;
use protocol::code::{request, response};
use remoting::Body;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::*;
use crate::name_servers::wait_until;
use crate::registration::name_server;

/// Settings that these tests change.
pub(crate) const DRAIN: [&str; 1] = ["shutdownDrainMillis"];

const PRODUCER: &str = r#"{"clientID":"c","producerDataSet":[{"groupName":"p"}],"consumerDataSet":[]}"#;
/// Longer than anything else here takes.
const TIME: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn producers_have_the_time_that_is_set_by_then() {
    let dir = TempDir::new().unwrap();
    let port = cluster::free_port();
    let address = format!("127.0.0.1:{port}");
    let namesrv = name_server(&dir, port).await;
    let fixture = Fixture::new(|settings| settings.broker.namesrv_addr = Some(address.clone())).await;
    let other = Fixture::new(|settings| {
        settings.broker.namesrv_addr = Some(address.clone());
        settings.broker.broker_name = "broker-b".to_owned();
    })
    .await;
    let knows_both = async || {
        let code = request::GET_BROKER_CLUSTER_INFO;
        let asked = fixture.client.invoke(&address, code, &(), Body::Empty, WITHIN);
        let answer = asked.await.unwrap();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        text.contains("broker-a") && text.contains("broker-b")
    };
    wait_until("both brokers are known", WITHIN, knows_both).await;
    let beat = fixture.ask(request::HEART_BEAT, &(), PRODUCER).await;
    assert_eq!(beat.code, response::SUCCESS);

    let changes = Tested::new(&DRAIN);
    let drained = async || {
        let began = Instant::now();
        fixture.broker.as_ref().unwrap().drain().await;
        began.elapsed()
    };
    changes.set(&fixture, "shutdownDrainMillis=0").await;
    let took = drained().await;
    assert!(took < TIME, "{took:?}");
    changes.set(&fixture, "shutdownDrainMillis=3000").await;
    let took = drained().await;
    assert!(took >= TIME, "{took:?}");
    drop(other);
    namesrv.shutdown().await;
}

/// As by `POST /drain`: a broker that is alone keeps its producers.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_a_lonely_master_for_a_drain_takes_nothing_away() {
    let dir = TempDir::new().unwrap();
    let port = cluster::free_port();
    let address = format!("127.0.0.1:{port}");
    let namesrv = name_server(&dir, port).await;
    let of_name = |name: &'static str, address: String| {
        move |settings: &mut Settings| {
            settings.broker.namesrv_addr = Some(address);
            settings.broker.broker_name = name.to_owned();
            settings.broker.drain_by_http_enable = true;
            settings.exporter_port_given = true;
            settings.metrics.metrics_prom_exporter_port = i32::from(cluster::free_port());
        }
    };
    let mut metrics_port = 0;
    let fixture = Fixture::new(|settings| {
        of_name("broker-a", address.clone())(settings);
        metrics_port = settings.metrics.metrics_prom_exporter_port as u16;
    })
    .await;
    let missing = || fixture.broker.as_ref().unwrap().missing().join(" ");
    let ask = async || {
        let asked = http(
            metrics_port,
            "POST /drain HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
        assert!(asked.starts_with("HTTP/1.1 202"), "{asked}");
    };
    wait_until("it is registered", WITHIN, async || missing().is_empty()).await;
    ask().await;
    let other = Fixture::new(of_name("broker-b", address.clone())).await;
    let other_is_ready = async || other.broker.as_ref().unwrap().missing().is_empty();
    wait_until("the other is registered", WITHIN, other_is_ready).await;
    // What was asked while it was alone is not done later.
    assert_eq!(missing(), "");
    ask().await;
    wait_until("producers are sent away", WITHIN, async || {
        missing().contains("sent away")
    })
    .await;
    // The other one is the last that takes any, and has nowhere to send them.
    let knows = async || !other.broker.as_ref().unwrap().has_other_master().await;
    wait_until("the name server knows", WITHIN, knows).await;
    other.broker.as_ref().unwrap().drain().await;
    assert_eq!(other.broker.as_ref().unwrap().missing(), Vec::<String>::new());
    namesrv.shutdown().await;
}

async fn http(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1024];
    let len = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..len]).into_owned()
}
