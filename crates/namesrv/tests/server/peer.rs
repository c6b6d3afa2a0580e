//! A name server of its own for each test, and a peer that can be any client or broker.

use bytes::Bytes;
use namesrv::run::{Namesrv, start_at};
use namesrv::settings::Settings;
use protocol::body::namesrv::{RegisterBrokerBody, TopicRouteData};
use protocol::body::{self, DataVersion, TopicConfig, TopicList};
use protocol::code::{request, response};
use protocol::encode::{Head, encode_frame};
use protocol::header::EncodeHeader;
use protocol::header::namesrv::{BrokerIdentity, RegisterBrokerRequestHeader};
use protocol::{Frame, Language, SerializeType};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Fixture {
    pub(crate) namesrv: Namesrv,
    pub(crate) folder: TempDir,
}

pub(crate) async fn start(change: impl FnOnce(&mut Settings)) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.namesrv.kv_config_path = folder.path().join("kvConfig.json").display().to_string();
    settings.namesrv.config_store_path = folder.path().join("namesrv.properties").display().to_string();
    settings.namesrv.scan_not_active_broker_interval = 20;
    change(&mut settings);
    let namesrv = start_at(settings, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    Fixture { namesrv, folder }
}

/// A peer that can say it is any version.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    pub(crate) version: i32,
    pub(crate) opaque: i32,
}

impl Fixture {
    pub(crate) async fn peer(&self, version: i32) -> Peer {
        let stream = TcpStream::connect(self.namesrv.local_addr()).await.unwrap();
        Peer {
            stream,
            version,
            opaque: 0,
        }
    }
}

impl Peer {
    pub(crate) async fn send(&mut self, code: i32, flag: i32, header: &dyn EncodeHeader, body: &[u8]) {
        self.opaque += 1;
        let head = Head {
            code,
            language: Language::Java,
            version: self.version,
            opaque: self.opaque,
            flag,
            remark: None,
            serialize_type: SerializeType::Json,
        };
        let frame = encode_frame(&head, header, body).unwrap();
        self.stream.write_all(&frame).await.unwrap();
    }

    pub(crate) async fn receive(&mut self) -> Frame {
        let total = self.stream.read_u32().await.unwrap() as usize;
        let mut bytes = vec![0; total];
        self.stream.read_exact(&mut bytes).await.unwrap();
        Frame::decode(Bytes::from(bytes)).unwrap()
    }

    pub(crate) async fn ask_with(&mut self, code: i32, header: &dyn EncodeHeader, body: &[u8]) -> Frame {
        self.send(code, 0, header, body).await;
        let frame = tokio::time::timeout(Duration::from_secs(20), self.receive())
            .await
            .unwrap();
        assert!(frame.is_response());
        assert_eq!(frame.opaque, self.opaque);
        frame
    }

    pub(crate) async fn ask(&mut self, code: i32, fields: &[(&str, &str)]) -> Frame {
        self.ask_with(code, &fields, &[]).await
    }

    pub(crate) async fn ok(&mut self, code: i32, fields: &[(&str, &str)]) -> Frame {
        let frame = self.ask(code, fields).await;
        assert_eq!((frame.code, frame.remark.as_deref()), (response::SUCCESS, None));
        frame
    }

    pub(crate) async fn topics(&mut self, code: i32, fields: &[(&str, &str)]) -> Vec<String> {
        let frame = self.ok(code, fields).await;
        let mut list = body::read::<TopicList>(&frame.body).unwrap().topic_list;
        list.sort();
        list
    }

    pub(crate) async fn route(&mut self, topic: &str) -> Option<TopicRouteData> {
        let frame = self
            .ask(request::GET_ROUTEINFO_BY_TOPIC, &[("topic", topic)])
            .await;
        match frame.code {
            response::SUCCESS => Some(body::read(&frame.body).unwrap()),
            response::TOPIC_NOT_EXIST => None,
            other => panic!("{other}: {:?}", frame.remark),
        }
    }

    pub(crate) async fn register(
        &mut self,
        header: &RegisterBrokerRequestHeader,
        table: &RegisterBrokerBody,
    ) -> Frame {
        let body = table.to_json();
        let header = RegisterBrokerRequestHeader {
            body_crc32: Some(protocol::body_crc32(&body)),
            ..header.clone()
        };
        self.ask_with(request::REGISTER_BROKER, &header, &body).await
    }

    /// Asks until the topic's route is as wanted: what happens after a connection closes is not answered to anybody.
    pub(crate) async fn until(&mut self, topic: &str, wanted: impl Fn(Option<&TopicRouteData>) -> bool) {
        let waiting = async {
            while !wanted(self.route(topic).await.as_ref()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .unwrap();
    }

    pub(crate) async fn set(&mut self, key: &str, value: &str) {
        let text = format!("{key}={value}\n");
        let answer = self
            .ask_with(request::UPDATE_NAMESRV_CONFIG, &(), text.as_bytes())
            .await;
        assert_eq!(answer.code, response::SUCCESS, "{key}: {:?}", answer.remark);
    }
}

pub(crate) fn broker(name: &str, id: i64) -> RegisterBrokerRequestHeader {
    RegisterBrokerRequestHeader {
        broker_name: name.to_owned(),
        broker_addr: format!("10.0.0.{}:10911", id + 1),
        cluster_name: "DefaultCluster".to_owned(),
        ha_server_addr: format!("10.0.0.{}:10912", id + 1),
        broker_id: id,
        ..RegisterBrokerRequestHeader::default()
    }
}

pub(crate) fn table(counter: i64, topics: &[(&str, i32)]) -> RegisterBrokerBody {
    let mut body = RegisterBrokerBody::default();
    let wrapper = &mut body.topic_config_serialize_wrapper;
    wrapper.data_version = DataVersion {
        counter,
        state_version: 0,
        timestamp: 1,
    };
    for (name, flag) in topics {
        let config = TopicConfig {
            topic_name: (*name).to_owned(),
            topic_sys_flag: *flag,
            read_queue_nums: 8,
            write_queue_nums: 4,
            ..TopicConfig::default()
        };
        wrapper.topic_config_table.insert((*name).to_owned(), config);
    }
    body
}

pub(crate) fn identity(header: &RegisterBrokerRequestHeader) -> BrokerIdentity {
    BrokerIdentity {
        broker_name: header.broker_name.clone(),
        broker_addr: header.broker_addr.clone(),
        cluster_name: header.cluster_name.clone(),
        broker_id: header.broker_id,
    }
}

pub(crate) fn identity_of<'a>(
    cluster: &'a str,
    name: &'a str,
    id: i64,
    address: &'a str,
) -> Vec<(&'a str, &'a str)> {
    assert_eq!(id, 0, "a master");
    vec![
        ("clusterName", cluster),
        ("brokerName", name),
        ("brokerId", "0"),
        ("brokerAddr", address),
        ("haServerAddr", address),
    ]
}
