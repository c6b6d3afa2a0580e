//! Frames and headers over both serializations: what Java, Go and Node write, what must not be taken, round trips.

use bytes::Bytes;
use proptest::prelude::*;
use protocol::encode::{Head, encode_frame};
use protocol::frame::{FIELDS_MAX, FLAG_ONEWAY, Frame, FrameError};
use protocol::header::{Header, HeaderError, Short};
use protocol::{Language, SerializeType};
use std::borrow::Cow;

#[derive(Debug, Clone, PartialEq, Header)]
struct Sample<'a> {
    #[header(short = "a")]
    producer_group: Cow<'a, str>,
    #[header(java = "maxMsgNums", short = "b")]
    max_messages: i32,
    #[header(short = "c")]
    offset: i64,
    #[header(default, short = "d")]
    flag: bool,
    #[header(optional, short = "e")]
    text: Option<String>,
    #[header(short = "f")]
    number: Option<i32>,
    #[header(default)]
    rate: f64,
}

fn json_frame(header: &str, body: &[u8]) -> Result<Frame, FrameError> {
    raw_frame(0, header.as_bytes(), body)
}

fn raw_frame(kind: u8, header: &[u8], body: &[u8]) -> Result<Frame, FrameError> {
    let mut bytes = ((u32::from(kind) << 24) | header.len() as u32)
        .to_be_bytes()
        .to_vec();
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(body);
    Frame::decode(Bytes::from(bytes))
}

fn head(serialize_type: SerializeType) -> Head<'static> {
    Head {
        code: 105,
        language: Language::Java,
        version: 409,
        opaque: 7,
        flag: 0,
        remark: None,
        serialize_type,
    }
}

#[test]
fn json_as_java_writes_it() {
    let java = r#"{"code":105,"extFields":{"topic":"T"},"flag":0,"language":"JAVA","opaque":7,"serializeTypeCurrentRPC":"JSON","version":409}"#;
    let frame = json_frame(java, b"body").expect("Java's frame");
    assert_eq!(
        (frame.code, frame.opaque, frame.version, frame.flag),
        (105, 7, 409, 0)
    );
    assert_eq!(frame.field("topic"), Some("T"));
    assert_eq!(&frame.body[..], b"body");
    let ours = encode_frame(&head(SerializeType::Json), &[("topic", "T")][..], b"").expect("fits");
    assert_eq!(&ours[8..], java.as_bytes());
    assert_eq!(ours[..4], (4 + java.len() as u32).to_be_bytes());
}

#[test]
fn without_a_header_ext_fields_are_left_out() {
    let ours = encode_frame(&head(SerializeType::Json), &(), b"").expect("fits");
    assert!(!String::from_utf8_lossy(&ours).contains("extFields"));
    let ours = encode_frame(&head(SerializeType::Json), &[][..], b"").expect("fits");
    assert!(String::from_utf8_lossy(&ours).contains("\"extFields\":{}"));
}

#[test]
fn lenient_as_fastjson() {
    let header = r#"{ 'version':"409", language:9, "code" : "11", nonsense:{"a":[1,{"b":"}"}]},
        // a comment
        "extFields":{"producerGroup":"g\"\u4e2d","maxMsgNums":32,"offset":"-1","flag":true,"text":null,"extra":{"x":[1]},},
        "opaque":5.0,"remark":"r\n",}"#;
    let frame = json_frame(header, b"").expect("lenient");
    assert_eq!((frame.code, frame.opaque, frame.version), (11, 5, 409));
    assert_eq!(frame.language, Language::Go);
    assert_eq!(frame.remark.as_deref(), Some("r\n"));
    assert_eq!(frame.field("extra"), Some(r#"{"x":[1]}"#));
    let sample: Sample<'_> = frame.header().expect("header");
    assert_eq!(
        sample,
        Sample {
            producer_group: "g\"中".into(),
            max_messages: 32,
            offset: -1,
            flag: true,
            text: None,
            number: None,
            rate: 0.0
        }
    );
    for (language, expected) in [
        ("\"NODE_JS\"", Language::NodeJs),
        ("\"KLINGON\"", Language::Unknown),
        ("null", Language::Java),
        ("99", Language::Unknown),
    ] {
        let frame = json_frame(&format!("{{\"language\":{language}}}"), b"").expect("frame");
        assert_eq!(frame.language, expected, "{language}");
    }
    assert_eq!(json_frame("{}", b"").expect("all optional").code, 0);
}

#[test]
fn one_error_names_the_field() {
    let read = |fields: &str| {
        let frame = json_frame(&format!("{{\"extFields\":{fields}}}"), b"").expect("frame");
        frame.header::<Sample<'_>>().map(drop)
    };
    assert_eq!(
        read("{}"),
        Err(HeaderError::Missing {
            field: "producerGroup"
        })
    );
    assert_eq!(
        read("{'producerGroup':'g','maxMsgNums':1}"),
        Err(HeaderError::Missing { field: "offset" })
    );
    let error = read("{'producerGroup':'g','maxMsgNums':'1x','offset':1}")
        .expect_err("ill typed")
        .to_string();
    assert!(error.contains("<maxMsgNums>") && error.contains("1x"), "{error}");
    assert!(
        read("{'a':'g','b':1,'c':1,'f':'x'}").is_err(),
        "an optional field must still be of its type"
    );
    assert_eq!(
        read("{'a':'g','b':1,'c':1,'f':''}"),
        Ok(()),
        "empty where a number may be missing"
    );
}

#[test]
fn short_names() {
    let sample = Sample {
        producer_group: "g".into(),
        max_messages: 1,
        offset: 2,
        flag: true,
        text: Some("t".into()),
        number: None,
        rate: 0.5,
    };
    let bytes = encode_frame(&head(SerializeType::Json), &Short(&sample), b"").expect("fits");
    let text = String::from_utf8_lossy(&bytes[8..]).into_owned();
    assert!(
        text.contains(r#""extFields":{"a":"g","b":"1","c":"2","d":"true","e":"t","rate":"0.5"}"#),
        "{text}"
    );
    let frame = Frame::decode(bytes.slice(4..)).expect("ours");
    assert_eq!(frame.header::<Sample<'_>>().expect("reads back"), sample);
}

#[test]
fn damaged_frames_are_errors() {
    let decode = |bytes: &[u8]| Frame::decode(Bytes::copy_from_slice(bytes)).map(drop);
    assert_eq!(decode(&[]), Err(FrameError::Short { len: 0 }));
    assert_eq!(
        decode(&[0, 0, 0, 9, b'{']),
        Err(FrameError::HeaderLength { header: 9, frame: 5 })
    );
    assert_eq!(decode(&[7, 0, 0, 0]), Err(FrameError::SerializeType(7)));
    for bad in [
        "",
        "[]",
        "{",
        "{\"code\"}",
        "{\"code\":}",
        "{\"a\":\"b}",
        "{} x",
        "{\"a\":[}",
    ] {
        assert!(json_frame(bad, b"").is_err(), "{bad}");
    }
    let deep = format!("{{\"a\":{}", "[".repeat(1000));
    assert!(json_frame(&deep, b"").is_err());
    let many: String = (0..=FIELDS_MAX).map(|i| format!("\"k{i}\":1,")).collect();
    assert!(matches!(
        json_frame(&format!("{{\"extFields\":{{{many}}}}}"), b""),
        Err(FrameError::Fields)
    ));
    let mut negative = vec![0; 13];
    negative.extend_from_slice(&(-1i32).to_be_bytes());
    negative.extend_from_slice(&[0; 4]);
    assert!(matches!(raw_frame(1, &negative, b""), Err(FrameError::Binary(_))));
}

#[test]
fn binary_as_java_writes_it() {
    let mut header = vec![0, 105, 0, 1, 0x99, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0, 0];
    header.extend_from_slice(&[0, 0, 0, 0, 0, 5]);
    header.extend_from_slice(b"topic\0\0\0\x01T\0\x05empty\0\0\0\0");
    let len = (header.len() - 21) as u8;
    header[20] = len;
    let frame = raw_frame(1, &header, b"x").expect("binary");
    assert_eq!(
        (frame.code, frame.version, frame.opaque, frame.flag),
        (105, 409, 7, FLAG_ONEWAY)
    );
    assert!(frame.is_oneway());
    assert_eq!(frame.field("topic"), Some("T"));
    assert_eq!(frame.field("empty"), None, "no bytes are null");
}

#[test]
fn a_code_beyond_16_bits_goes_out_as_json() {
    let head = Head {
        code: 200_050,
        ..head(SerializeType::RocketMq)
    };
    let bytes = encode_frame(&head, &(), b"").expect("fits");
    let frame = Frame::decode(bytes.slice(4..)).expect("ours");
    assert_eq!((frame.code, frame.serialize_type), (200_050, SerializeType::Json));
}

#[test]
fn peek_needs_the_header_only() {
    let bytes = encode_frame(&head(SerializeType::Json), &(), &[1; 100]).expect("fits");
    let rest = &bytes[4..];
    let header_end = rest.len() - 100;
    for end in 0..header_end {
        assert!(matches!(Frame::peek(&rest[..end], rest.len()), Ok(None)), "{end}");
    }
    let frame = Frame::peek(&rest[..header_end], rest.len())
        .expect("sound")
        .expect("complete");
    assert_eq!(frame.code, 105);
}

proptest! {
    #[test]
    fn round_trip(
        code in 0i32..30_000, opaque: i32, version in 0i32..32_000, oneway: bool, binary: bool,
        remark in proptest::option::of(".{1,40}"), group in ".{1,40}", text in proptest::option::of(".{1,80}"),
        numbers: (i32, i64), flag: bool, body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let sample = Sample {
            producer_group: Cow::Owned(group), max_messages: numbers.0, offset: numbers.1, flag, text,
            number: Some(numbers.0.wrapping_neg()), rate: 1.5,
        };
        let head = Head {
            code, language: Language::Go, version, opaque, flag: if oneway { FLAG_ONEWAY } else { 0 },
            remark: remark.as_deref(),
            serialize_type: if binary { SerializeType::RocketMq } else { SerializeType::Json },
        };
        let bytes = encode_frame(&head, &sample, &body).expect("fits");
        let frame = Frame::decode(bytes.slice(4..)).expect("ours");
        prop_assert_eq!((frame.code, frame.opaque, frame.version, frame.flag), (code, opaque, version, head.flag));
        prop_assert_eq!(frame.language, Language::Go);
        prop_assert_eq!(frame.serialize_type, head.serialize_type);
        prop_assert_eq!(frame.remark.as_deref(), head.remark);
        prop_assert_eq!(&frame.body[..], &body[..]);
        prop_assert_eq!(frame.header::<Sample<'_>>().expect("header"), sample);
        // Relayed as it is, it is the same.
        prop_assert_eq!(encode_frame(&head, &frame, &body).expect("fits"), bytes);
    }

    #[test]
    fn any_bytes_are_survived(kind in 0u8..3, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(frame) = raw_frame(kind, &bytes, b"") {
            let _ = frame.header::<Sample<'_>>();
        }
        let _ = Frame::decode(Bytes::from(bytes.clone()));
        let _ = Frame::peek(&bytes, bytes.len());
        let _ = protocol::body::normalise(&bytes);
        let _ = protocol::body::namesrv::RegisterBrokerBody::read(&bytes, true, 479, 1 << 20);
    }

    #[test]
    fn nearly_json_is_survived(text in "[\\{\\}\\[\\]:,\"'\\\\/*a-c0-9 ntu$.]{0,60}") {
        let _ = json_frame(&text, b"");
        if let Ok(strict) = protocol::body::normalise(text.as_bytes()) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&strict).is_ok(), "{} -> {}", text, strict);
            let _ = protocol::body::read::<serde_json::Value>(text.as_bytes());
        }
    }
}
