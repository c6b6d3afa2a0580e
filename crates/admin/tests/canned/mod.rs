//! Servers that know their answers by heart: a name server and three brokers (a master with a slave, and another master), on
//! 127.0.0.1, 127.0.0.2 and 127.0.0.3. Java's tools and ours are shown the same.

use message::record::{Fields, Place, Version, body_crc};
use protocol::code::request as code;
use protocol::encode::FieldWriter;
use protocol::{EncodeHeader, Frame};
use remoting::{Body, Connection, Request, Server, ServerSettings, Service};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// The answers, but for header fields and messages: `CODE [WORD]`, then a line of JSON. `WORD` is a header field's value or the broker's
/// host. `PORT` is the servers' port.
const ANSWERS: &str = include_str!("../golden/answers.txt");

/// Servers on one port of three addresses.
pub(crate) struct Canned {
    pub(crate) port: u16,
    servers: Vec<Server>,
}

impl Canned {
    /// Starts them; port 0 is any that is free on all three addresses. The answers `first` count before the others.
    pub(crate) fn start(port: u16, first: &'static str) -> std::io::Result<Canned> {
        let mut port = port;
        let mut servers = Vec::new();
        for last in 1..=3 {
            let host = format!("127.0.0.{last}");
            let bind = SocketAddr::from(([127, 0, 0, last], port));
            let server = Server::bind(ServerSettings::at(bind))?;
            port = server.local_addr().port();
            servers.push(server.serve(Arc::new(Heart { host, port, first })));
        }
        Ok(Canned { port, servers })
    }

    /// Ends them.
    pub(crate) async fn stop(self) {
        for server in self.servers {
            server.shutdown(std::time::Duration::from_secs(1)).await;
        }
    }
}

/// One of the servers.
struct Heart {
    host: String,
    port: u16,
    /// Answers that count before the others.
    first: &'static str,
}

/// What is answered.
struct Answer {
    code: i32,
    fields: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn ok(fields: Vec<(&'static str, String)>, body: Vec<u8>) -> Answer {
        Answer {
            code: 0,
            fields,
            body,
        }
    }
}

struct Pairs(Vec<(&'static str, String)>);

impl EncodeHeader for Pairs {
    fn encode(&self, writer: &mut FieldWriter<'_>) {
        for (name, value) in &self.0 {
            writer.foreign(name, value);
        }
    }
}

impl Service for Heart {
    fn serve(&self, _conn: &Arc<Connection>, requests: &mut VecDeque<Request>) {
        for Request { frame, responder } in requests.drain(..) {
            let answer = self.answer(&frame);
            let remark = (answer.code != 0).then_some("not by heart");
            responder.reply(
                answer.code,
                remark,
                &Pairs(answer.fields),
                Body::from(answer.body),
            );
        }
    }

    fn closed(&self, _conn: &Arc<Connection>) {}
}

impl Heart {
    fn answer(&self, frame: &Frame) -> Answer {
        let one = |name, value: &str| Answer::ok(vec![(name, value.to_owned())], Vec::new());
        match frame.code {
            code::WIPE_WRITE_PERM_OF_BROKER => one("wipeTopicCount", "13"),
            code::ADD_WRITE_PERM_OF_BROKER => one("addTopicCount", "14"),
            code::GET_KV_CONFIG => one("value", "broker-x:3;broker-a:4"),
            code::GET_MAX_OFFSET => one("offset", "40"),
            code::GET_MIN_OFFSET => one("offset", "5"),
            code::SEARCH_OFFSET_BY_TIMESTAMP => one("offset", "7"),
            code::GET_BROKER_CLUSTER_ACL_INFO => self.accounts(),
            code::QUERY_MESSAGE if self.host == "127.0.0.1" => Answer::ok(
                vec![
                    ("indexLastUpdateTimestamp", "1700000000000".to_owned()),
                    ("indexLastUpdatePhyoffset", "5266".to_owned()),
                ],
                message(6, b"twenty-six"),
            ),
            code::PULL_MESSAGE => self.pulled(frame),
            _ => self.by_heart(frame),
        }
    }

    fn accounts(&self) -> Answer {
        let version = r#"{"counter":5,"timestamp":1700000000000}"#;
        Answer::ok(
            vec![
                ("version", version.to_owned()),
                (
                    "allAclFileVersion",
                    format!(r#"{{"/home/conf/plain_acl.yml":{version}}}"#),
                ),
                ("brokerAddr", format!("{}:{}", self.host, self.port)),
                ("brokerName", "broker-a".to_owned()),
                ("clusterName", "DefaultCluster".to_owned()),
            ],
            Vec::new(),
        )
    }

    /// Two messages below offset 7, then none.
    fn pulled(&self, frame: &Frame) -> Answer {
        let from: i64 = field(frame, "queueOffset")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let fields = |next: i64| {
            vec![
                ("suggestWhichBrokerId", "0".to_owned()),
                ("nextBeginOffset", next.to_string()),
                ("minOffset", "5".to_owned()),
                ("maxOffset", "40".to_owned()),
            ]
        };
        if from > 6 {
            // PULL_NOT_FOUND
            return Answer {
                code: 19,
                ..Answer::ok(fields(from), Vec::new())
            };
        }
        let mut body = message(5, "caf\u{e9}".as_bytes());
        body.extend(message(6, b"twenty-six"));
        Answer::ok(fields(7), body)
    }

    fn by_heart(&self, frame: &Frame) -> Answer {
        let mut lines = self.first.lines().chain(ANSWERS.lines());
        while let Some(head) = lines.next() {
            let mut words = head.split(' ');
            if words.next() != Some(&frame.code.to_string()) {
                continue;
            }
            let body = lines.next().unwrap_or_default();
            let fits = words
                .next()
                .is_none_or(|word| word == self.host || frame.fields().any(|(_, value)| value == word));
            if fits {
                let body = body.replace("PORT", &self.port.to_string()).replace("\\n", "\n");
                return Answer::ok(Vec::new(), body.into_bytes());
            }
        }
        // TOPIC_NOT_EXIST, to whom asks for a route that is not here; SUCCESS to whom tells something.
        let code = match frame.code {
            code::GET_ROUTEINFO_BY_TOPIC => 17,
            code::GET_BROKER_RUNTIME_INFO | code::VIEW_BROKER_STATS_DATA | code::GET_CONSUME_STATS => 1,
            code::QUERY_MESSAGE => 22,
            code::INVOKE_BROKER_TO_RESET_OFFSET => 206,
            _ => 0,
        };
        Answer {
            code,
            ..Answer::ok(Vec::new(), Vec::new())
        }
    }
}

fn field<'a>(frame: &'a Frame, wanted: &str) -> Option<&'a str> {
    frame
        .fields()
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value)
}

/// A message of the topic Stock.
fn message(queue_offset: i64, body: &[u8]) -> Vec<u8> {
    let properties = format!(
        "KEYS\u{1}order26 other\u{2}UNIQ_KEY\u{1}FD00000000000000000000000000000{queue_offset}\u{2}TAGS\u{1}Paid\u{2}CLUSTER\u{1}DefaultCluster\u{2}"
    );
    let fields = Fields {
        version: Version::V1,
        topic: "Stock",
        queue_id: 1,
        flag: 3,
        sys_flag: 0,
        born_timestamp: 1_700_000_000_000,
        born_host: SocketAddr::from(([127, 0, 0, 9], 53_456)),
        store_host: SocketAddr::from(([127, 0, 0, 1], 10_911)),
        reconsume_times: 2,
        prepared_transaction_offset: 0,
        body,
        body_crc: body_crc(body),
        properties: properties.as_bytes(),
        append_crc: false,
    };
    let mut bytes = vec![0; fields.encoded_len()];
    fields.encode(
        Place {
            queue_offset,
            physical_offset: 5266,
            store_timestamp: 1_700_000_000_123,
        },
        &mut bytes,
    );
    bytes
}
