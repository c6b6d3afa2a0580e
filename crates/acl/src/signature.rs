//! Signatures of requests: HMAC-SHA1 over the values of the header fields in the order of their names, then the body.
//!
//! No separator stands between the values. `Signature` itself is left out, everything else a client put into the fields
//! counts, `AccessKey` and `SecurityToken` too. Code, opaque, flag, remark and version are not covered
//! (RocketMQ 4.9.8 and 5.3.3, AclClientRPCHook and AclUtils).

use hmac::{Hmac, KeyInit, Mac};
use protocol::Frame;
use sha1::Sha1;
use std::cmp::Ordering;
use std::fmt;
use subtle::ConstantTimeEq;

/// The field with the name of the account.
pub const ACCESS_KEY: &str = "AccessKey";
/// The field with the signature.
pub const SIGNATURE: &str = "Signature";
/// The field with the token of a session, which nobody checks; signed where it is there.
pub const SECURITY_TOKEN: &str = "SecurityToken";
/// Clients up to 4.9.3 put it in after they signed.
const ADDED_UNSIGNED: &str = "_UNIQUE_KEY_QUERY";
/// Last version that does: 4.9.3.
const ADDS_UNSIGNED_UP_TO: i32 = 399;

/// Bytes of a signature as text: Base64 of twenty bytes.
pub const SIGNATURE_LEN: usize = 28;
/// Fields that are sorted in place; a request with more costs an allocation. No client sends half as many.
const FIELDS_IN_PLACE: usize = 32;

/// A secret key, ready to sign: the state of the hash behind the key is made once.
#[derive(Clone)]
pub struct SecretKey(Hmac<Sha1>);

/// A secret is in no log.
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// A signature as it stands in the field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; SIGNATURE_LEN]);

impl Signature {
    /// The text of the field.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl SecretKey {
    /// The key with this text.
    pub fn new(secret: &str) -> Self {
        let hmac = Hmac::new_from_slice(secret.as_bytes());
        Self(hmac.expect("HMAC takes keys of any length"))
    }

    /// Signs fields and a body in pieces. The last value counts where a name comes twice, as in the map that Java makes of them.
    pub fn sign<'a>(
        &self,
        fields: impl Iterator<Item = (&'a str, &'a str)>,
        body: impl IntoIterator<Item = &'a [u8]>,
    ) -> Signature {
        let mut hmac = self.0.clone();
        in_order(fields.filter(|(name, _)| *name != SIGNATURE), |value| {
            hmac.update(value.as_bytes());
        });
        body.into_iter().for_each(|piece| hmac.update(piece));
        Signature(base64(hmac.finalize().into_bytes().into()))
    }

    /// Whether a request of this client version was signed with this key.
    pub fn has_signed<'a>(
        &self,
        presented: &str,
        version: i32,
        fields: impl Iterator<Item = (&'a str, &'a str)>,
        body: &'a [u8],
    ) -> bool {
        // Unlike 4.9, whose server leaves the field out whoever sent it and so refuses its own clients since 4.9.4.
        let unsigned = version <= ADDS_UNSIGNED_UP_TO;
        let signed = fields.filter(|(name, _)| !(unsigned && *name == ADDED_UNSIGNED));
        let expected = self.sign(signed, [body]);
        expected.0.ct_eq(presented.as_bytes()).into()
    }
}

/// The account and the signature that a request names. The last ones, as in Java's map.
pub fn identity(frame: &Frame) -> (Option<&str>, Option<&str>) {
    let (mut key, mut signature) = (None, None);
    for (name, value) in frame.fields() {
        match name {
            ACCESS_KEY => key = Some(value),
            SIGNATURE => signature = Some(value),
            _ => {}
        }
    }
    (key.filter(|key| !key.trim().is_empty()), signature)
}

/// Calls `each` with the values in the order of their names.
fn in_order<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>, mut each: impl FnMut(&'a str)) {
    let mut place = [("", ""); FIELDS_IN_PLACE];
    let mut used = 0;
    let mut many = Vec::new();
    for field in fields {
        match place.get_mut(used) {
            Some(slot) if many.is_empty() => {
                *slot = field;
                used += 1;
            }
            _ => {
                if many.is_empty() {
                    many.extend_from_slice(&place);
                }
                many.push(field);
            }
        }
    }
    let all = match many.is_empty() {
        true => place.get_mut(..used).unwrap_or_default(),
        false => many.as_mut_slice(),
    };
    sort(all);
    for (at, (name, value)) in all.iter().enumerate() {
        // Equal names stand in the order they came: the last one counts.
        if all.get(at + 1).is_none_or(|(next, _)| next != name) {
            each(value);
        }
    }
}

/// Stable, and in place for what requests have: the library's stable sort allocates.
fn sort(fields: &mut [(&str, &str)]) {
    if fields.len() > FIELDS_IN_PLACE {
        return fields.sort_by(|(a, _), (b, _)| java_order(a, b));
    }
    for at in 1..fields.len() {
        let mut to = at;
        while to > 0 && java_order(fields[to].0, fields[to - 1].0) == Ordering::Less {
            fields.swap(to, to - 1);
            to -= 1;
        }
    }
}

/// As Java compares strings: by UTF-16 units. UTF-8 gives the same order but for letters beyond the first plane.
fn java_order(a: &str, b: &str) -> Ordering {
    let is_same = |text: &str| text.bytes().all(|byte| byte < 0xEE);
    match a.as_bytes().cmp(b.as_bytes()) {
        Ordering::Equal => Ordering::Equal,
        order if is_same(a) && is_same(b) => order,
        _ => a.encode_utf16().cmp(b.encode_utf16()),
    }
}

fn base64(bytes: [u8; 20]) -> [u8; SIGNATURE_LEN] {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = [b'='; SIGNATURE_LEN];
    for (group, letters) in bytes.chunks(3).zip(text.chunks_mut(4)) {
        let word = (0..3).fold(0u32, |word, at| {
            word << 8 | u32::from(group.get(at).copied().unwrap_or(0))
        });
        for (at, letter) in letters.iter_mut().enumerate().take(group.len() + 1) {
            *letter = LETTERS[(word >> (18 - 6 * at) & 63) as usize];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::SEND;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn sign(secret: &str, fields: &[(&str, &str)], body: &str) -> String {
        let signature = SecretKey::new(secret).sign(fields.iter().copied(), [body.as_bytes()]);
        signature.as_str().to_owned()
    }

    fn send() -> Vec<(&'static str, &'static str)> {
        [&SEND[..], &[(ACCESS_KEY, "RocketMQ")]].concat()
    }

    /// What the classes of 4.9.7 and 5.3.3 compute, both the same.
    #[test]
    fn signatures_of_javas() {
        assert_eq!(sign("12345678", &send(), "hello"), "5/taF1f97HH6IqGcZHlU38lsVoE=");
        let with_token = [&send()[..], &[(SECURITY_TOKEN, "tok"), (SIGNATURE, "not signed")]].concat();
        assert_eq!(
            sign("12345678", &with_token, "hello"),
            "WophtTWxv017gqbCi5Tt/gFSAyw="
        );
        for (fields, body, secret, signature) in [
            (
                &[(ACCESS_KEY, "rocketmq2")][..],
                "",
                "12345678",
                "Ou1T58RIcyZWaTIwzkhJZWn/Zvs=",
            ),
            (
                &[
                    (ACCESS_KEY, "rocketmq2"),
                    ("topic", "中文"),
                    ("zed", "2"),
                    ("Zed", "1"),
                ],
                "",
                "密码密码12",
                "pNIhsAl5wcMbeykJNG1meOnz+lk=",
            ),
            (&[], "abc", "12345678", "BOigG5+Fiv0354g5bQuwOUOPMp0="),
        ] {
            assert_eq!(sign(secret, fields, body), signature);
        }
    }

    #[test]
    fn a_query_by_an_old_client_is_signed_without_the_mark_it_adds() {
        let key = SecretKey::new("12345678");
        let query = [(ACCESS_KEY, "rocketmq2"), ("topic", "T")];
        let marked = [query[0], query[1], (ADDED_UNSIGNED, "true")];
        let short = sign("12345678", &query, "");
        let long = sign("12345678", &marked, "");
        let signed =
            |presented: &str, version| key.has_signed(presented, version, marked.iter().copied(), b"");
        assert!(signed(&short, 399) && !signed(&long, 399));
        assert!(signed(&long, 401) && !signed(&short, 401));
    }

    #[test]
    fn every_part_of_a_request_counts() {
        let key = SecretKey::new("12345678");
        let signature = sign("12345678", &send(), "hello");
        let signed = |fields: &[(&str, &str)], body: &str, presented: &str| {
            key.has_signed(presented, 407, fields.iter().copied(), body.as_bytes())
        };
        assert!(signed(&send(), "hello", &signature));
        assert!(!signed(&send(), "hello!", &signature));
        assert!(!signed(&send()[1..], "hello", &signature));
        for presented in ["", "5", "5/taF1f97HH6IqGcZHlU38lsVoE", &signature.to_lowercase()] {
            assert!(!signed(&send(), "hello", presented), "{presented}");
        }
        assert!(!SecretKey::new("12345679").has_signed(&signature, 407, send().iter().copied(), b"hello"));
        assert_eq!(format!("{key:?}"), "SecretKey(..)");
    }

    /// The way Java does it: a map.
    fn by_map(fields: &[(String, String)]) -> String {
        let units = |text: &String| text.encode_utf16().collect::<Vec<_>>();
        let map: BTreeMap<_, _> = fields.iter().map(|(name, value)| (units(name), value)).collect();
        map.into_values().map(String::as_str).collect()
    }

    proptest! {
        #[test]
        fn values_come_in_the_order_of_names(
            fields in proptest::collection::vec(("[a-cA-C\u{e000}\u{ffff}\u{10000}é]{0,2}", "[a-z]{0,3}"), 0..80)
        ) {
            let mut content = String::new();
            in_order(fields.iter().map(|(n, v)| (n.as_str(), v.as_str())), |value| content.push_str(value));
            prop_assert_eq!(content, by_map(&fields));
        }
    }
}
