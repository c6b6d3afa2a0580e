//! TLS of connections that we make.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::verify::AnyName;
use super::{ClientTlsSettings, TlsError, files, provider};

/// What a client needs to speak TLS.
#[derive(Clone)]
pub struct ClientTls(TlsConnector);

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientTls(..)")
    }
}

impl ClientTls {
    /// That of a server's own requests, where it is spoken: `property` gives the texts of `tls.*` keys, and with `use_tls`
    /// (`useTLS`) TLS is on whatever `tls.enable` says.
    ///
    /// # Errors
    /// Its files can not be read, or make no sense.
    pub fn of_server(
        use_tls: bool,
        property: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, TlsError> {
        let property = |key: &str| match key {
            "tls.enable" if use_tls => Some("true".to_owned()),
            _ => property(key),
        };
        ClientTlsSettings::of(&property)
            .map(|settings| Self::load(&settings))
            .transpose()
    }

    /// Reads the files.
    ///
    /// # Errors
    /// They can not be read, or make no sense.
    pub fn load(settings: &ClientTlsSettings) -> Result<Self, TlsError> {
        let provider = provider();
        let checks = settings.auth_server && !settings.test_mode;
        let roots = match (checks, &settings.trust_cert_path) {
            (false, _) => None,
            (true, Some(path)) => Some(files::trusted(path)?),
            (true, None) => {
                return Err(TlsError::Setting(
                    "tls.client.authServer=true needs tls.client.trustCertPath: there is no trust store of a JVM here",
                ));
            }
        };
        let verifier = AnyName {
            provider: Arc::clone(&provider),
            roots,
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let identity = match settings.test_mode {
            true => None,
            false => files::identity(&settings.identity)?,
        };
        let mut config = match identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
            None => builder.with_no_client_auth(),
        };
        // Java's clients name no server either, and some proxies look at it.
        config.enable_sni = false;
        Ok(ClientTls(TlsConnector::from(Arc::new(config))))
    }

    /// The handshake.
    pub(crate) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        // Nothing is compared with it.
        let name = ServerName::from(stream.peer_addr()?.ip());
        self.0.connect(name, stream).await
    }
}
