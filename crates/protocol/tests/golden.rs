//! Bytes that Java 4.9.8 and 5.3.3 wrote (`golden/Golden.java`): read, compared, written again.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests make files and runtimes")]

use bytes::Bytes;
use protocol::body::broker::ConsumerConnection;
use protocol::body::namesrv::{ClusterInfo, RegisterBrokerBody, TopicRouteData};
use protocol::body::{self, MessageQueue};
use protocol::encode::{Head, encode_head};
use protocol::header::broker::{PullMessageRequestHeader, SendMessageRequestHeader};
use protocol::header::{EncodeHeader, NoHeader, Short};
use protocol::{Frame, Language, SerializeType};
use serde::Deserialize;
use std::collections::BTreeMap;

const FILES: [(&str, &str); 2] = [
    ("4.9.8", include_str!("golden/4.9.8.txt")),
    ("5.3.3", include_str!("golden/5.3.3.txt")),
];

fn golden(file: &str, name: &str) -> Bytes {
    let hex = file
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .unwrap();
    let digit = |b: u8| char::from(b).to_digit(16).unwrap() as u8;
    hex.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

fn each(check: impl Fn(&str, &str)) {
    FILES.iter().for_each(|(version, file)| check(version, file));
}

/// Each frame in both serializations, decoded.
fn each_frame(name: &str, check: impl Fn(&Frame, &Bytes)) {
    each(|_, file| {
        for (suffix, kind) in [
            ("JSON", SerializeType::Json),
            ("ROCKETMQ", SerializeType::RocketMq),
        ] {
            let bytes = golden(file, &format!("{name}.{suffix}"));
            assert_eq!(bytes[..4], (bytes.len() as u32 - 4).to_be_bytes());
            let frame = Frame::decode(bytes.slice(4..)).unwrap();
            assert_eq!(
                (frame.serialize_type, frame.language, frame.version),
                (kind, Language::Java, 409)
            );
            check(&frame, &bytes);
        }
    });
}

/// The frame's head, fields and body written again.
fn again(frame: &Frame, header: &dyn EncodeHeader) -> Bytes {
    let head = Head {
        code: frame.code,
        language: frame.language,
        version: frame.version,
        opaque: frame.opaque,
        flag: frame.flag,
        remark: frame.remark.as_deref(),
        serialize_type: frame.serialize_type,
    };
    let mut out = Vec::new();
    encode_head(&mut out, &head, header, frame.body.len()).unwrap();
    out.extend_from_slice(&frame.body);
    out.into()
}

#[test]
fn pull_request() {
    each_frame("pull", |frame, bytes| {
        let header: PullMessageRequestHeader<'_> = frame.header().unwrap();
        assert_eq!((frame.code, frame.opaque), (11, 7));
        assert_eq!(
            (&*header.consumer_group, &*header.topic),
            ("group \"1\"", "TopicTest")
        );
        assert_eq!(
            (header.queue_id, header.queue_offset, header.max_msg_nums),
            (3, 1_234_567_890_123, 32)
        );
        assert_eq!((header.sys_flag, header.commit_offset), (6, Some(-1)));
        assert_eq!(header.subscription.as_deref(), Some("TagA || TagB"));
        assert_eq!(again(frame, frame), bytes);
    });
}

#[test]
fn send_request_by_letters() {
    each_frame("send", |frame, bytes| {
        let header: SendMessageRequestHeader<'_> = frame.header().unwrap();
        assert!(frame.is_oneway());
        assert_eq!(&frame.body[..], b"Hello");
        assert_eq!(
            header.properties,
            Some("UNIQ_KEY\u{1}ABC\u{2}WAIT\u{1}true\u{2}TAGS\u{1}中文")
        );
        assert_eq!(
            (header.batch, header.born_timestamp),
            (Some(false), 1_700_000_000_001)
        );
        // Java happens to order the letters by the alphabet; so do we, but for those it did not send.
        assert_eq!(again(frame, frame), bytes);
        let ours = again(frame, &Short(&header));
        assert_eq!(ours.len(), bytes.len());
    });
}

#[test]
fn replies_and_requests_without_a_header() {
    each_frame("reply", |frame, bytes| {
        assert!(frame.is_response());
        assert_eq!(frame.remark.as_deref(), Some("topic[中/\n] not exist\t\u{1}"));
        assert_eq!(again(frame, &NoHeader), bytes);
    });
    each_frame("bare", |frame, bytes| assert_eq!(again(frame, &NoHeader), bytes));
}

#[test]
fn registration() {
    each(|version, file| {
        let number = if version == "4.9.8" { 409 } else { 479 };
        let plain =
            RegisterBrokerBody::read(&golden(file, "register.plain"), false, number, 1 << 20).unwrap();
        let packed =
            RegisterBrokerBody::read(&golden(file, "register.packed"), true, number, 1 << 20).unwrap();
        let table = &plain.topic_config_serialize_wrapper;
        assert_eq!(plain.filter_server_list, ["10.0.0.7:1"]);
        assert_eq!(
            (table.data_version.counter, table.data_version.timestamp),
            (5, 1_700_000_000_000)
        );
        let topic = &table.topic_config_table["TopicTest"];
        assert_eq!(
            (topic.read_queue_nums, topic.write_queue_nums, topic.perm),
            (8, 4, 6)
        );
        assert_eq!(packed, plain);
        assert_eq!(
            RegisterBrokerBody::read(&plain.to_compressed_for(number), true, number, 1 << 20).unwrap(),
            plain
        );
        if number == 409 {
            let ours = String::from_utf8(plain.to_json())
                .unwrap()
                .replace("\"stateVersion\":0,", "");
            assert_eq!(ours.as_bytes(), golden(file, "register.plain"));
        }
    });
}

#[test]
fn routes_and_clusters() {
    each(|version, file| {
        let plain: TopicRouteData = body::read(&golden(file, "route.plain")).unwrap();
        let strict: TopicRouteData = body::read(&golden(file, "route.strict")).unwrap();
        assert_eq!(plain, strict);
        assert_eq!(plain.broker_datas[0].broker_addrs[&1], "10.0.0.2:10911");
        let cluster: ClusterInfo = body::read(&golden(file, "cluster")).unwrap();
        assert_eq!(cluster.cluster_addr_table["Cluster/中"], ["broker-a"]);
        if version == "5.3.3" {
            assert_eq!(body::write_fastjson(&plain), golden(file, "route.plain"));
            assert_eq!(body::write_browser(&plain), golden(file, "route.strict"));
            assert_eq!(body::write_fastjson(&cluster), golden(file, "cluster"));
        }
    });
}

#[test]
fn objects_as_keys_and_references() {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Offsets {
        broker_offset: i64,
        consumer_offset: i64,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ConsumeStats {
        consume_tps: f64,
        #[serde(with = "body::object_keys")]
        offset_table: BTreeMap<MessageQueue, Offsets>,
    }
    each(|_, file| {
        let stats: ConsumeStats = body::read(&golden(file, "consumeStats")).unwrap();
        let queue = MessageQueue {
            topic: "T".into(),
            broker_name: "broker-a".into(),
            queue_id: 3,
        };
        let offsets = &stats.offset_table[&queue];
        assert_eq!((offsets.broker_offset, offsets.consumer_offset), (100, 90));
        assert_eq!(protocol::header::java_double(stats.consume_tps), "1.23456789E7");
        let connection: ConsumerConnection = body::read(&golden(file, "consumerConnection")).unwrap();
        assert_eq!(
            connection.subscription_table["U"],
            connection.subscription_table["T"]
        );
        assert_eq!(connection.subscription_table["T"].code_set, [2_598_919]);
    });
}
