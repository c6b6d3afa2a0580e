//! What is very much, too much, or no request.

use crate::peer::{broker, start, table};
use protocol::code::{request, response};
use protocol::encode::{Head, encode_frame};
use protocol::header::NoHeader;
use protocol::header::namesrv::RegisterBrokerRequestHeader;
use protocol::{Language, SerializeType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn unknown_codes_and_missing_fields_are_answered() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(409).await;
    let unknown = peer.ask(4711, &[]).await;
    assert_eq!(
        (unknown.code, unknown.remark.as_deref()),
        (3, Some(" request type 4711 not supported"))
    );
    for code in [
        100, 101, 102, 103, 104, 105, 205, 216, 217, 219, 224, 322, 327, 901, 904,
    ] {
        let frame = peer.ask(code, &[]).await;
        assert_eq!(frame.code, 1, "{code}");
        assert!(frame.remark.unwrap().contains("is null"), "{code}");
    }
    // A oneway request is served and not answered: the next answer is the next request's.
    peer.send(request::GET_BROKER_CLUSTER_INFO, 2, &NoHeader, &[])
        .await;
    peer.ok(request::GET_BROKER_CLUSTER_INFO, &[]).await;
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn sixty_thousand_topics() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(409).await;
    let names: Vec<String> = (0..60_000)
        .map(|i| format!("{:0>100}", format!("topic{i}")))
        .collect();
    let topics: Vec<(&str, i32)> = names.iter().map(|n| (n.as_str(), 0)).collect();
    let body = table(1, &topics);
    assert!(
        body.to_json().len() > 16 << 20,
        "larger than any other frame may be"
    );
    assert_eq!(peer.register(&broker("a", 0), &body).await.code, 0);
    assert!(peer.route(&names[59_999]).await.is_some());
    assert_eq!(peer.register(&broker("a", 0), &body).await.code, 0);
    // What may not be that large closes its connection, and only that.
    let mut other = fixture.peer(409).await;
    let large = vec![b' '; 17 << 20];
    let head = Head {
        code: request::PUT_KV_CONFIG,
        language: Language::Java,
        version: 409,
        opaque: 1,
        flag: 0,
        remark: None,
        serialize_type: SerializeType::Json,
    };
    let frame = encode_frame(&head, &(), &large).unwrap();
    // The write may fail already: the server reads no further than the header.
    let _ = other.stream.write_all(&frame).await;
    assert!(matches!(other.stream.read(&mut [0]).await, Ok(0) | Err(_)));
    assert!(peer.route(&names[0]).await.is_some());
    fixture.namesrv.shutdown().await;
}

/// A few bytes that unpack to very many topics are not built: four of them took 1.7 GB once.
#[tokio::test]
async fn a_registration_takes_no_more_memory_than_it_may() {
    let fixture = start(|settings| settings.namesrv.registration_max_bytes = 1 << 20).await;
    let mut peer = fixture.peer(479).await;
    let names: Vec<String> = (0..4000).map(|i| format!("t{i}")).collect();
    let topics: Vec<(&str, i32)> = names.iter().map(|n| (n.as_str(), 0)).collect();
    let few = table(1, &topics[..1000]).to_compressed_for(479);
    let many = table(2, &topics).to_compressed_for(479);
    assert!(many.len() < 32 * 1024);
    let header = |body: &[u8]| RegisterBrokerRequestHeader {
        compressed: Some(true),
        body_crc32: Some(protocol::body_crc32(body)),
        ..broker("a", 0)
    };
    let taken = peer.ask_with(request::REGISTER_BROKER, &header(&few), &few).await;
    assert_eq!((taken.code, taken.remark), (0, None));
    let refused = [
        peer.ask_with(request::REGISTER_BROKER, &header(&many), &many)
            .await,
        peer.register(&broker("a", 0), &table(2, &topics)).await,
    ];
    for answer in refused {
        let remark = answer.remark.as_deref().unwrap();
        assert_eq!(answer.code, response::INVALID_PARAMETER, "{remark}");
        assert!(
            remark.contains("1048576 bytes") && remark.contains("registrationMaxBytes"),
            "{remark}"
        );
    }
    assert!(peer.route("t999").await.is_some() && peer.route("t3999").await.is_none());
    let page = fixture.namesrv.state().page();
    assert!(page.contains("2 registrations were too large"), "{page}");
    // A topic by itself, of queues that are next to nothing each.
    let queues = format!(r#"{{"queueDatas":[{}{{}}]}}"#, "{},".repeat(4000));
    let alone: &[(&str, &str)] = &[("topic", "alone")];
    let answer = peer
        .ask_with(request::REGISTER_TOPIC_IN_NAMESRV, &alone, queues.as_bytes())
        .await;
    assert_eq!(answer.code, response::SYSTEM_ERROR);
    assert!(answer.remark.unwrap().contains("1048576 bytes"));
    fixture.namesrv.shutdown().await;
}

#[tokio::test]
async fn what_is_too_long_is_refused_with_its_length() {
    let fixture = start(|_| {}).await;
    let mut peer = fixture.peer(401).await;
    let long = "x".repeat(2000);
    let mega = "x".repeat(8 << 20);
    for (code, fields) in [
        (request::GET_ROUTEINFO_BY_TOPIC, vec![("topic", mega.as_str())]),
        (request::GET_TOPICS_BY_CLUSTER, vec![("cluster", &long)]),
        (request::WIPE_WRITE_PERM_OF_BROKER, vec![("brokerName", &long)]),
        (
            request::PUT_KV_CONFIG,
            vec![("namespace", "n"), ("key", &long), ("value", "v")],
        ),
        (
            request::PUT_KV_CONFIG,
            vec![("namespace", "n"), ("key", "k"), ("value", &mega)],
        ),
        (request::GET_NAMESRV_CONFIG, vec![("never-asked-for", &long)]),
    ] {
        let refused = peer.ask(code, &fields).await;
        let remark = refused.remark.as_deref().unwrap();
        assert_eq!(refused.code, response::SYSTEM_ERROR, "{code}: {remark}");
        assert!(
            remark.contains("bytes, more than") && remark.len() < 200,
            "{code}: {remark}"
        );
    }
    let refused = peer.register(&broker(&long, 0), &table(1, &[("T", 0)])).await;
    assert!(
        refused
            .remark
            .as_deref()
            .unwrap()
            .contains("brokerName has 2000 bytes"),
        "{:?}",
        refused.remark
    );
    let refused = peer.register(&broker("a", 0), &table(1, &[(&long, 0)])).await;
    assert_eq!(refused.code, response::SYSTEM_ERROR);
    assert!(
        refused
            .remark
            .as_deref()
            .unwrap()
            .contains("a topic has 2000 bytes"),
        "{:?}",
        refused.remark
    );
    let update = format!("productEnvName={}\n", "x".repeat(100_000));
    let refused = peer
        .ask_with(request::UPDATE_NAMESRV_CONFIG, &(), update.as_bytes())
        .await;
    assert!(
        refused.remark.as_deref().unwrap().contains("at most 65536 bytes"),
        "{:?}",
        refused.remark
    );
    assert_eq!(
        peer.register(&broker("a", 0), &table(1, &[("T", 0)])).await.code,
        response::SUCCESS
    );
}
