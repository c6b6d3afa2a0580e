//! Producers are sent away before a stop.

use std::time::{Duration, Instant};

use protocol::code::{request, response};
use remoting::Body;
use tempfile::TempDir;

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
