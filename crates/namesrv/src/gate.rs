//! The gate before the handlers: who may change what the name server knows.
//!
//! Java's name server lets everybody, and so does this one unless `updateAllowedNetworks` or `updateCredentials` is given. Then
//! what changes settings, KV configuration, routes and registrations has to come from one of the networks, or be signed as
//! brokers and tools sign what they ask of a broker with access control. What only reads is open to all, as clients need it.

use crate::settings::Settings;
use acl::{Failures, SecretKey, identity};
use ipnet::IpNet;
use protocol::Frame;
use protocol::code::request;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What a request is refused with.
pub const REFUSED: &str =
    "the name server takes changes only from updateAllowedNetworks, or signed with one of updateCredentials";

/// A name and what signs in it.
struct Signer {
    name: String,
    secret: SecretKey,
}

/// Looks at every request.
pub struct Gate {
    networks: Vec<IpNet>,
    signers: Vec<Signer>,
    /// Is nothing to be looked at?
    is_open: bool,
    refused: AtomicU64,
    failures: Failures,
    started: Instant,
}

/// Does it change what the name server knows? A broker's signs of life keep its registration, and belong to it.
pub fn is_update(code: i32) -> bool {
    matches!(
        code,
        request::UPDATE_NAMESRV_CONFIG
            | request::PUT_KV_CONFIG
            | request::DELETE_KV_CONFIG
            | request::REGISTER_BROKER
            | request::UNREGISTER_BROKER
            | request::BROKER_HEARTBEAT
            | request::QUERY_DATA_VERSION
            | request::WIPE_WRITE_PERM_OF_BROKER
            | request::ADD_WRITE_PERM_OF_BROKER
            | request::DELETE_TOPIC_IN_NAMESRV
            | request::REGISTER_TOPIC_IN_NAMESRV
    )
}

impl Gate {
    /// As the settings say; their texts were checked when they were read.
    ///
    /// # Errors
    /// One of them is not what it should be.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let signers = settings.update_signers()?;
        let networks = settings.update_networks()?;
        Ok(Self {
            is_open: signers.is_none() && networks.is_none(),
            networks: networks.unwrap_or_default(),
            signers: signers
                .unwrap_or_default()
                .into_iter()
                .map(|(name, secret)| Signer {
                    secret: SecretKey::new(&secret),
                    name,
                })
                .collect(),
            refused: AtomicU64::new(0),
            failures: Failures::new(
                settings.server.signature_failures_max.max(0) as u32,
                settings.server.signature_failures_seconds.max(0) as u32,
            ),
            started: Instant::now(),
        })
    }

    /// May everybody change everything?
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// How many requests were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether a request from there is served.
    pub fn lets_in(&self, frame: &Frame, peer: IpAddr) -> bool {
        if self.is_open || !is_update(frame.code) {
            return true;
        }
        let peer = peer.to_canonical();
        if self.networks.iter().any(|network| network.contains(&peer)) || self.is_signed(frame, peer) {
            return true;
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        let code = frame.code;
        logs::limited!(warn, "request {code} of {peer} refused: {REFUSED}");
        false
    }

    fn is_signed(&self, frame: &Frame, peer: IpAddr) -> bool {
        let (Some(name), Some(signature)) = identity(frame) else {
            return false;
        };
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if self.failures.shut_for_ms(peer, name, now_ms).is_some() {
            return false;
        }
        let mut signers = self
            .signers
            .iter()
            .filter(|signer| signer.name == name)
            .peekable();
        if signers.peek().is_none() {
            return false;
        }
        let is_signed = signers.any(|signer| {
            signer
                .secret
                .has_signed(signature, frame.version, frame.fields(), &frame.body)
        });
        if !is_signed {
            self.failures.note(peer, name, now_ms);
        }
        is_signed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::settings::Section;
    use bytes::Bytes;
    use protocol::encode::encode_frame;
    use protocol::{Head, Language, SerializeType};

    fn gate(pairs: &[(&str, &str)]) -> Gate {
        let mut settings = Settings::default();
        for (key, value) in pairs {
            settings.namesrv.set(key, value).expect(key);
        }
        Gate::new(&settings).expect("settings")
    }

    fn frame(code: i32, who: Option<(&str, &str)>, body: &str) -> Frame {
        let mut fields = vec![("topic", "T")];
        let more = who.map(|(name, secret)| acl::Credentials::new(name, secret).sign(&fields, &[b"body"]));
        let more = more.unwrap_or_default();
        fields.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
        let head = Head {
            code,
            language: Language::Java,
            version: 453,
            opaque: 1,
            flag: 0,
            remark: None,
            serialize_type: SerializeType::Json,
        };
        let encoded = encode_frame(&head, fields.as_slice(), body.as_bytes()).expect("small");
        Frame::decode(Bytes::copy_from_slice(&encoded[4..])).expect("a frame")
    }

    #[test]
    fn everybody_may_unless_somebody_is_named() {
        let gate = gate(&[]);
        assert!(gate.is_open() && gate.lets_in(&frame(318, None, "a=b"), [8, 8, 8, 8].into()));
    }

    #[test]
    fn who_signs_wrongly_again_and_again_is_not_looked_at() {
        let mut settings = Settings::default();
        let credentials = r#"{"accessKey":"broker","secretKey":"s1"}"#;
        settings
            .namesrv
            .set("updateCredentials", credentials)
            .expect("a key");
        settings.server.signature_failures_max = 2;
        let gate = Gate::new(&settings).expect("settings");
        let (here, there) = ([8, 8, 8, 8].into(), [8, 8, 4, 4].into());
        let (right, wrong) = (
            frame(103, Some(("broker", "s1")), "body"),
            frame(103, Some(("broker", "s2")), "body"),
        );
        assert!(!gate.lets_in(&wrong, here) && gate.lets_in(&right, here));
        assert!(!gate.lets_in(&wrong, here) && !gate.lets_in(&right, here));
        assert!(gate.lets_in(&right, there));
    }

    #[test]
    fn changes_come_from_networks_or_signed() {
        let both = gate(&[
            ("updateAllowedNetworks", "10.1.0.0/16, 127.0.0.1,fe80::/10"),
            (
                "updateCredentials",
                r#"[{"accessKey":"broker","secretKey":"s1"},{"accessKey":"tools","secretKey":"s2"}]"#,
            ),
        ]);
        for (peer, allowed) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.2.3", false),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("fe80::7", true),
            ("::1", false),
        ] {
            let peer = peer.parse().expect(peer);
            assert_eq!(both.lets_in(&frame(103, None, "body"), peer), allowed, "{peer}");
            assert!(
                both.lets_in(&frame(105, None, "body"), peer),
                "who reads is let in"
            );
        }
        let stranger = [8, 8, 8, 8].into();
        let before = both.refused();
        for (who, body, allowed) in [
            (Some(("broker", "s1")), "body", true),
            (Some(("tools", "s2")), "body", true),
            (Some(("tools", "s1")), "body", false),
            (Some(("other", "s1")), "body", false),
            (Some(("broker", "s1")), "another", false),
            (None, "body", false),
        ] {
            assert_eq!(
                both.lets_in(&frame(103, who, body), stranger),
                allowed,
                "{who:?} {body}"
            );
        }
        assert_eq!(both.refused() - before, 4);
        // Credentials alone let nobody in by the address, and the other way round.
        let signed = gate(&[("updateCredentials", r#"{"accessKey":"broker","secretKey":"s1"}"#)]);
        assert!(!signed.lets_in(&frame(100, None, ""), [127, 0, 0, 1].into()));
        assert!(signed.lets_in(&frame(100, Some(("broker", "s1")), "body"), stranger));
    }
}
