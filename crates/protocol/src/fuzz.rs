//! What any bytes of a peer must not break; see the crate `mutate`.

use crate::body::{broker, namesrv, normalise, read, topic};
use crate::encode::encode_frame;
use crate::header::broker as headers;
use crate::header::namesrv as ns_headers;
use crate::{Frame, Head, SerializeType};
use bytes::Bytes;
use serde::de::DeserializeOwned;

/// Bytes behind the length field: what is read is written and read again as the same.
pub fn frame(input: &[u8]) {
    let _ = Frame::peek(input, input.len());
    let Ok(frame) = Frame::decode(Bytes::copy_from_slice(input)) else {
        return;
    };
    typed_headers(&frame);
    let head = Head {
        code: frame.code,
        language: frame.language,
        version: frame.version,
        opaque: frame.opaque,
        flag: frame.flag,
        remark: frame.remark.as_deref(),
        serialize_type: frame.serialize_type,
    };
    // A header may hold what the other form has no room for.
    let Ok(bytes) = encode_frame(&head, &frame, &frame.body) else {
        return;
    };
    let again = Frame::decode(bytes.slice(4..)).expect("what is written can be read");
    assert_eq!(
        (again.code, again.opaque, again.flag),
        (frame.code, frame.opaque, frame.flag)
    );
    assert_eq!(again.remark, frame.remark);
    assert_eq!(again.body, frame.body);
    let peeked = Frame::peek(&bytes[4..bytes.len() - frame.body.len()], bytes.len() - 4);
    assert_eq!(peeked.expect("sound").map(|peeked| peeked.code), Some(frame.code));
}

/// A JSON header.
pub fn json_header(input: &[u8]) {
    header(SerializeType::Json, input);
}

/// A ROCKETMQ header.
pub fn rocketmq_header(input: &[u8]) {
    header(SerializeType::RocketMq, input);
}

fn header(kind: SerializeType, input: &[u8]) {
    let kind = u32::from(kind == SerializeType::RocketMq) << 24;
    let len = u32::try_from(input.len().min(0xFF_FFFF)).unwrap_or(0);
    let mut bytes = (kind | len).to_be_bytes().to_vec();
    bytes.extend_from_slice(input);
    frame(&bytes);
}

fn typed_headers(frame: &Frame) {
    let _ = frame.header::<headers::SendMessageRequestHeader<'_>>();
    let _ = frame.header::<headers::PullMessageRequestHeader<'_>>();
    let _ = frame.header::<headers::UpdateConsumerOffsetRequestHeader<'_>>();
    let _ = frame.header::<headers::QueryMessageRequestHeader<'_>>();
    let _ = frame.header::<headers::CreateTopicRequestHeader<'_>>();
    let _ = frame.header::<headers::AllTopicsRequestHeader>();
    let _ = frame.header::<headers::RuntimeInfoRequestHeader<'_>>();
    let _ = frame.header::<headers::ConsumerSendMsgBackRequestHeader<'_>>();
    let _ = frame.header::<ns_headers::RegisterBrokerRequestHeader>();
    let _ = frame.header::<ns_headers::GetRouteInfo<'_>>();
}

/// A JSON body, strict or in fastjson's dialect: made strict it stays as it is, and every kind of body is read or refused.
pub fn body(input: &[u8]) {
    if let Ok(strict) = normalise(input) {
        let parsed = serde_json::from_str::<serde_json::Value>(&strict);
        assert!(parsed.is_ok(), "{strict}: {parsed:?}");
        let again = normalise(strict.as_bytes());
        assert_eq!(again.as_deref(), Ok(strict.as_str()));
    }
    refused_or_read::<broker::HeartbeatData>(input);
    refused_or_read::<broker::LockBatchRequestBody>(input);
    refused_or_read::<broker::SubscriptionGroupTable>(input);
    refused_or_read::<broker::ConsumerOffsetTable>(input);
    refused_or_read::<topic::TopicConfig>(input);
    refused_or_read::<topic::DataVersion>(input);
    refused_or_read::<namesrv::TopicRouteData>(input);
    for (compressed, version) in [(false, 0), (false, i32::MAX), (true, 0), (true, i32::MAX)] {
        let _ = namesrv::RegisterBrokerBody::read(input, compressed, version, 1 << 20);
    }
}

/// What is read can be written, and read again.
fn refused_or_read<T: DeserializeOwned + serde::Serialize>(input: &[u8]) {
    if let Ok(value) = read::<T>(input) {
        let written = crate::body::write(&value);
        let again = read::<T>(&written).expect("what is written can be read");
        assert_eq!(crate::body::write(&again), written);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn frame() {
        mutate::run("frame", super::frame);
    }

    #[test]
    fn json_header() {
        mutate::run("json_header", super::json_header);
    }

    #[test]
    fn rocketmq_header() {
        mutate::run("rocketmq_header", super::rocketmq_header);
    }

    #[test]
    fn body() {
        mutate::run("body", super::body);
    }
}
