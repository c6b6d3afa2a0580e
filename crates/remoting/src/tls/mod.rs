//! TLS on the same port as plain frames: the first byte of a connection says which it is (RocketMQ, TlsSystemConfig).
//!
//! Certificates are read again while the server runs. Where what is read makes no sense, what was in force stays; connections that
//! are open go on as they are.

mod certificate;
mod client;
mod files;
mod key;
mod server;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests;
mod verify;
mod wire;

use std::path::PathBuf;

pub use client::ClientTls;
pub(crate) use server::Accepted;
pub use server::{Looked, ServerTls};
pub use wire::Wire;

/// Which connections a server takes (`tls.server.mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// Plain ones.
    Disabled,
    /// Both.
    #[default]
    Permissive,
    /// Those with TLS.
    Enforcing,
}

/// Whether clients show a certificate (`tls.server.need.client.auth`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They may.
    Optional,
    /// They must.
    Require,
}

/// A certificate with its chain, and its key: PEM files.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The certificate first.
    pub cert_path: Option<PathBuf>,
    /// PKCS#8, plain or encrypted, PKCS#1 or SEC1.
    pub key_path: Option<PathBuf>,
    /// For an encrypted key.
    pub key_password: Option<String>,
}

/// A password is in no log.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({:?}, {:?})", self.cert_path, self.key_path)
    }
}

/// What a server is told of TLS.
#[derive(Debug, Clone, Default)]
pub struct ServerTlsSettings {
    /// Which connections it takes.
    pub mode: TlsMode,
    /// It makes itself a certificate at every start, and everything below is passed over.
    pub test_mode: bool,
    /// Its certificate.
    pub identity: Identity,
    /// Whether clients show theirs.
    pub client_auth: ClientAuth,
    /// Whether these are checked; any will do otherwise.
    pub auth_client: bool,
    /// By these certificates.
    pub trust_cert_path: Option<PathBuf>,
}

/// What a client is told of TLS.
#[derive(Debug, Clone, Default)]
pub struct ClientTlsSettings {
    /// Everything below is passed over.
    pub test_mode: bool,
    /// Its certificate, if it has one.
    pub identity: Identity,
    /// Whether the server's is checked; any will do otherwise. Names are not compared, as in Java.
    pub auth_server: bool,
    /// By these certificates.
    pub trust_cert_path: Option<PathBuf>,
}

/// Why TLS can not be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file.
    #[error("{}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why it can not be read.
        cause: std::io::Error,
    },
    /// A file's contents.
    #[error("{}: {what}", path.display())]
    Contents {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A setting that is not given.
    #[error("TLS: {0}")]
    Setting(&'static str),
    /// What the files say does not fit together.
    #[error("TLS: {0}{hint}", hint = hint(.0))]
    Config(#[from] rustls::Error),
    /// Trusted certificates.
    #[error("TLS: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// A certificate could not be made.
    #[error("TLS: no certificate can be made for the test mode (tls.test.mode.enable)")]
    Made,
}

/// What helps where the library's words say little.
fn hint(error: &rustls::Error) -> &'static str {
    match error.to_string().contains("UnsupportedCertVersion") {
        true => {
            ": a certificate is of version 1; openssl x509 -req makes one of version 3 with -extfile and an extension, such as subjectAltName"
        }
        false => "",
    }
}

/// The algorithms of `ring`: what every client since Java 8 has.
fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    std::sync::Arc::new(rustls::crypto::ring::default_provider())
}

/// The names of Java's system properties; the value of one, if it is given.
type Property<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Is it given, and true?
fn is_true(property: Property<'_>, key: &str) -> bool {
    property(key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

impl Identity {
    fn of(property: Property<'_>, side: &str) -> Self {
        let path = |name| property(&format!("tls.{side}.{name}")).map(PathBuf::from);
        Self {
            cert_path: path("certPath"),
            key_path: path("keyPath"),
            key_password: property(&format!("tls.{side}.keyPassword")),
        }
    }
}

impl ServerTlsSettings {
    /// From what is given under the names of Java's system properties. A mode that is none is permissive, a wish for certificates of
    /// clients that is none is none, as in Java.
    pub fn of(property: Property<'_>) -> Self {
        Self {
            mode: match property("tls.server.mode").as_deref() {
                Some("disabled") => TlsMode::Disabled,
                Some("enforcing") => TlsMode::Enforcing,
                _ => TlsMode::Permissive,
            },
            test_mode: is_true(property, "tls.test.mode.enable"),
            identity: Identity::of(property, "server"),
            client_auth: match property("tls.server.need.client.auth")
                .map(|auth| auth.to_ascii_lowercase())
                .as_deref()
            {
                Some("optional") => ClientAuth::Optional,
                Some("require") => ClientAuth::Require,
                _ => ClientAuth::None,
            },
            auth_client: is_true(property, "tls.server.authClient"),
            trust_cert_path: property("tls.server.trustCertPath").map(PathBuf::from),
        }
    }
}

impl ClientTlsSettings {
    /// From what is given under the names of Java's system properties. `None`: connections are plain. Where `tls.enable` is not given
    /// they have TLS exactly when the server's own take nothing else.
    pub fn of(property: Property<'_>) -> Option<Self> {
        let enforcing = || property("tls.server.mode").as_deref() == Some("enforcing");
        let speaks = match property("tls.enable") {
            Some(enable) => enable.eq_ignore_ascii_case("true"),
            None => enforcing(),
        };
        speaks.then(|| Self {
            test_mode: is_true(property, "tls.test.mode.enable"),
            identity: Identity::of(property, "client"),
            auth_server: is_true(property, "tls.client.authServer"),
            trust_cert_path: property("tls.client.trustCertPath").map(PathBuf::from),
        })
    }
}
