//! A request that is let in costs no allocation: neither its signature, nor its account, nor its policies.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::net::IpAddr;

use acl::{Accounts, AclFile, Credentials, Rules, Users};
use bytes::Bytes;
use protocol::encode::encode_frame;
use protocol::{Frame, Head, Language, SerializeType};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

const SEND: [(&str, &str); 12] = [
    ("a", "producers"),
    ("b", "Orders"),
    ("c", "TBW102"),
    ("d", "4"),
    ("e", "0"),
    ("f", "0"),
    ("g", "1700000000000"),
    ("h", "0"),
    ("i", "KEYS\u{1}k1\u{2}TAGS\u{1}tagA\u{2}"),
    ("j", "0"),
    ("k", "false"),
    ("m", "false"),
];

const PULL: [(&str, &str); 10] = [
    ("consumerGroup", "readers"),
    ("topic", "Orders"),
    ("queueId", "0"),
    ("queueOffset", "7"),
    ("maxMsgNums", "32"),
    ("sysFlag", "2"),
    ("commitOffset", "0"),
    ("suspendTimeoutMillis", "15000"),
    ("subscription", "*"),
    ("subVersion", "0"),
];

fn signed(form: SerializeType, code: i32, fields: &[(&str, &str)], secret: &str) -> Frame {
    let body = [7; 1024];
    let more = Credentials::new("orderservice", secret).sign(fields, &[&body]);
    let mut fields = fields.to_vec();
    fields.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
    let head = Head {
        code,
        language: Language::Java,
        version: 453,
        opaque: 1,
        flag: 0,
        remark: None,
        serialize_type: form,
    };
    let encoded = encode_frame(&head, fields.as_slice(), &body).unwrap();
    Frame::decode(Bytes::copy_from_slice(&encoded[4..])).unwrap()
}

fn accounts() -> Accounts {
    let text = "accounts:\n- {accessKey: orderservice, secretKey: 12345678, topicPerms: [Orders=PUB|SUB], groupPerms: [readers=SUB]}\n";
    Accounts::new(vec![AclFile::read("f.yml", text).unwrap()]).0
}

fn users() -> Users {
    let user = protocol::body::read(br#"{"username":"orderservice","password":"12345678"}"#).unwrap();
    let acl = protocol::body::read(
        br#"{"subject":"User:orderservice","policies":[{"entries":[
            {"resource":"Topic:Ord*","actions":["Pub","Sub"],"decision":"Allow","sourceIps":["127.0.0.0/8"]},
            {"resource":"Group:readers","actions":["Sub"],"decision":"Allow"}]}]}"#,
    );
    Users::read(&[user], &[acl.unwrap()]).unwrap()
}

#[test]
fn who_is_let_in_costs_no_allocation() {
    let (accounts, users) = (accounts(), users());
    let rules = Rules {
        authentication: true,
        authorization: true,
        ..Rules::default()
    };
    for form in [SerializeType::Json, SerializeType::RocketMq] {
        for (code, fields) in [(310, &SEND[..]), (11, &PULL)] {
            let frame = signed(form, code, fields, "12345678");
            let counted = allocation_counter::measure(|| {
                accounts.judge(&frame, PEER).unwrap();
                users.judge(&rules, &frame, PEER).unwrap();
            });
            assert_eq!(counted.count_total, 0, "{form:?} {code}");
            // The counter counts: a refusal writes its text.
            let wrong = signed(form, code, fields, "87654321");
            let counted = allocation_counter::measure(|| {
                accounts.judge(&wrong, PEER).unwrap_err();
                users.judge(&rules, &wrong, PEER).unwrap_err();
            });
            assert!(counted.count_total > 0);
        }
    }
}
