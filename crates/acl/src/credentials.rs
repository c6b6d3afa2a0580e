//! Who a client of ours says it is.

use std::fmt;

use crate::file::Finding;
use crate::signature::{ACCESS_KEY, SECURITY_TOKEN, SIGNATURE, SecretKey};
use crate::yaml::{self, Node};

/// An account's key and secret, for signing requests.
#[derive(Clone)]
pub struct Credentials {
    /// The account.
    pub access_key: String,
    secret: SecretKey,
    token: Option<String>,
}

/// A secret is in no log.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.access_key)
    }
}

impl Credentials {
    /// Of this account.
    pub fn new(access_key: &str, secret_key: &str) -> Self {
        Self {
            access_key: access_key.to_owned(),
            secret: SecretKey::new(secret_key),
            token: None,
        }
    }

    /// What `tools.yml` says, from which Java's tools take theirs. `None` where it names no account.
    ///
    /// # Errors
    /// It is no YAML.
    pub fn from_tools(name: &str, text: &str) -> Result<Option<Self>, Finding> {
        let root = yaml::parse(text).map_err(|e| Finding {
            file: name.into(),
            line: e.line,
            text: e.text,
        })?;
        let text = |key| root.get(key).and_then(Node::as_text);
        let (Some(access_key), Some(secret_key)) = (text("accessKey"), text("secretKey")) else {
            return Ok(None);
        };
        let token = text("securityToken").map(str::to_owned);
        Ok(Some(Self {
            token,
            ..Credentials::new(access_key, secret_key)
        }))
    }

    /// The fields to add to a request.
    pub fn sign(&self, fields: &[(&str, &str)], body: &[&[u8]]) -> Vec<(&'static str, String)> {
        let mut more = vec![(ACCESS_KEY, self.access_key.clone())];
        more.extend(self.token.iter().map(|token| (SECURITY_TOKEN, token.clone())));
        let own = more.iter().map(|(name, value)| (*name, value.as_str()));
        let signature = self
            .secret
            .sign(fields.iter().copied().chain(own), body.iter().copied());
        more.push((SIGNATURE, signature.as_str().to_owned()));
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_signed_as_java_signs_them() {
        let tools = "accessKey: rocketmq2\nsecretKey: 12345678\n";
        let credentials = Credentials::from_tools("tools.yml", tools)
            .expect("yaml")
            .expect("an account");
        let more = credentials.sign(&[], &[]);
        let expected = [
            (ACCESS_KEY, "rocketmq2"),
            (SIGNATURE, "Ou1T58RIcyZWaTIwzkhJZWn/Zvs="),
        ];
        assert_eq!(more, expected.map(|(name, value)| (name, value.to_owned())));
        assert_eq!(format!("{credentials:?}"), "Credentials(rocketmq2)");
        let with_token = Credentials::from_tools("t", &format!("{tools}securityToken: tok\n"));
        let mut other = with_token.expect("yaml").expect("an account");
        other.access_key = "RocketMQ".to_owned();
        let more = other.sign(&crate::requests::SEND, &[b"hel", b"lo"]);
        assert_eq!(
            more.last().map(|field| field.1.as_str()),
            Some("WophtTWxv017gqbCi5Tt/gFSAyw=")
        );
    }

    #[test]
    fn without_an_account_nothing_is_signed() {
        assert!(Credentials::from_tools("t", "").expect("nothing").is_none());
        assert!(
            Credentials::from_tools("t", "accessKey: rocketmq2\n")
                .expect("half")
                .is_none()
        );
        let fault = Credentials::from_tools("conf/tools.yml", "a: [\n").expect_err("no YAML");
        assert!(fault.to_string().starts_with("conf/tools.yml:"), "{fault}");
    }
}
