//! Requests as tests make them.

use bytes::Bytes;
use protocol::encode::encode_frame;
use protocol::{Frame, Head, Language, SerializeType};

use crate::signature::{ACCESS_KEY, SIGNATURE, SecretKey};

/// The fields of a send, in no order, whose signatures Java's classes have computed.
pub(crate) const SEND: [(&str, &str); 12] = [
    ("m", "false"),
    ("k", "false"),
    ("a", "pg"),
    ("b", "topicB"),
    ("c", "TBW102"),
    ("d", "4"),
    ("e", "0"),
    ("f", "0"),
    ("g", "1700000000000"),
    ("h", "0"),
    ("i", "KEYS\u{1}k1\u{2}TAGS\u{1}tagA\u{2}"),
    ("j", "0"),
];

/// A request that nobody has signed.
pub(crate) fn bare(form: SerializeType, code: i32, fields: &[(&str, &str)], body: &[u8]) -> Frame {
    let head = Head {
        code,
        language: Language::Java,
        version: 453,
        opaque: 1,
        flag: 0,
        remark: None,
        serialize_type: form,
    };
    let encoded = encode_frame(&head, fields, body).expect("small");
    Frame::decode(Bytes::copy_from_slice(&encoded[4..])).expect("a frame")
}

/// One that this account has signed.
pub(crate) fn signed(
    form: SerializeType,
    (key, secret): (&str, &str),
    code: i32,
    fields: &[(&str, &str)],
    body: &[u8],
) -> Frame {
    let mut fields = fields.to_vec();
    fields.push((ACCESS_KEY, key));
    let signature = SecretKey::new(secret).sign(fields.iter().copied(), [body]);
    fields.push((SIGNATURE, signature.as_str()));
    bare(form, code, &fields, body)
}
