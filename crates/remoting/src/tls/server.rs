//! TLS of connections that we take.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::files::Contents;
use super::verify::AnyClient;
use super::{ClientAuth, ServerTlsSettings, TlsError, TlsMode, certificate, files, provider};

/// The first byte of a TLS connection: a record of a handshake. No frame has it, which would have 350 MiB.
const HANDSHAKE: u8 = 0x16;
/// How often the files are looked at: Java's cadence.
const LOOK_EACH: Duration = Duration::from_millis(500);
/// How long a handshake may take, as in Netty.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// What a server needs to speak TLS.
pub struct ServerTls {
    settings: ServerTlsSettings,
    state: Mutex<State>,
}

struct State {
    config: Arc<ServerConfig>,
    seen: Contents,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerTls({:?})", self.settings)
    }
}

/// What became of a look at the files.
#[derive(Debug)]
pub enum Looked {
    /// They are as they were.
    Same,
    /// New connections get what they say now.
    Renewed,
    /// They have changed and make no sense: perhaps the key is still to come. What was in force stays.
    Kept(TlsError),
}

/// A connection after its first byte.
pub(crate) enum Accepted {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl ServerTls {
    /// As what is given under the names of Java's system properties says.
    ///
    /// # Errors
    /// Its files can not be read, or make no sense.
    pub fn of(property: &dyn Fn(&str) -> Option<String>) -> Result<Option<Arc<Self>>, TlsError> {
        Self::load(ServerTlsSettings::of(property))
    }

    /// Reads the files. `None`: TLS is not spoken (`disabled`).
    ///
    /// # Errors
    /// They can not be read, or make no sense.
    pub fn load(settings: ServerTlsSettings) -> Result<Option<Arc<Self>>, TlsError> {
        if settings.mode == TlsMode::Disabled {
            return Ok(None);
        }
        // Before they are read: what changes meanwhile is seen by the next look.
        let seen = contents(&settings);
        let config = build(&settings)?;
        let state = Mutex::new(State { config, seen });
        Ok(Some(Arc::new(Self { settings, state })))
    }

    /// Does what it shows come from files?
    pub fn has_files(&self) -> bool {
        !self.settings.test_mode
    }

    /// Looks whether the files have changed. May wait for the disk.
    pub fn look(&self) -> Looked {
        if !self.has_files() {
            return Looked::Same;
        }
        let now = contents(&self.settings);
        if self.state.lock().seen == now {
            return Looked::Same;
        }
        let built = build(&self.settings);
        let mut state = self.state.lock();
        state.seen = now;
        match built {
            Ok(config) => {
                state.config = config;
                Looked::Renewed
            }
            Err(why) => Looked::Kept(why),
        }
    }

    /// Follows the files as long as it runs; what happens is in the log.
    pub async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EACH).await;
            let this = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || this.look()).await {
                Ok(Looked::Same) => {}
                Ok(Looked::Renewed) => tracing::info!("TLS: new connections get what the files say now"),
                Ok(Looked::Kept(why)) => {
                    tracing::warn!("TLS: the files have changed, and what was in force stays: {why}")
                }
                Err(panic) => tracing::error!("TLS: the files are not looked at: {panic}"),
            }
        }
    }

    /// Whether a connection's first byte begins a handshake; it is plain otherwise.
    ///
    /// # Errors
    /// The peer is gone, or is to be closed: it is plain where that is not taken (`PermissionDenied`). Of what a plain one sent nothing
    /// was read.
    pub(crate) async fn wants_handshake(&self, stream: &TcpStream) -> io::Result<bool> {
        match (self.begins_handshake(stream).await?, self.settings.mode) {
            (true, _) => Ok(true),
            // Unlike Java, which executes what has come before it closes.
            (false, TlsMode::Enforcing) => Err(io::ErrorKind::PermissionDenied.into()),
            (false, TlsMode::Disabled | TlsMode::Permissive) => Ok(false),
        }
    }

    /// Whether a connection's first byte begins a handshake. Nothing is read.
    ///
    /// # Errors
    /// The peer is gone.
    pub(super) async fn begins_handshake(&self, stream: &TcpStream) -> io::Result<bool> {
        let mut first = [0];
        match stream.peek(&mut first).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(first == [HANDSHAKE]),
        }
    }

    /// The handshake.
    ///
    /// # Errors
    /// It failed, or took too long.
    pub(crate) async fn shake(&self, stream: TcpStream) -> io::Result<Accepted> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.state.lock().config));
        let shaken = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await;
        let stream = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(Accepted::Tls(Box::new(stream)))
    }
}

fn contents(settings: &ServerTlsSettings) -> Contents {
    let identity = &settings.identity;
    let paths = [&identity.cert_path, &identity.key_path, &settings.trust_cert_path];
    files::contents(&paths.map(Option::as_ref))
}

fn build(settings: &ServerTlsSettings) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = provider();
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    if settings.test_mode {
        let (certificate, key) = certificate::make()?;
        let builder = builder.with_no_client_auth();
        return Ok(Arc::new(builder.with_single_cert(vec![certificate], key)?));
    }
    let mandatory = settings.client_auth == ClientAuth::Require;
    let builder = match (
        settings.client_auth,
        settings.auth_client,
        &settings.trust_cert_path,
    ) {
        (ClientAuth::None, ..) => builder.with_no_client_auth(),
        (_, false, _) => builder.with_client_cert_verifier(Arc::new(AnyClient { provider, mandatory })),
        (_, true, Some(path)) => {
            let roots = Arc::new(files::trusted(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier = match mandatory {
                true => verifier,
                false => verifier.allow_unauthenticated(),
            };
            builder.with_client_cert_verifier(verifier.build()?)
        }
        (_, true, None) => {
            return Err(TlsError::Setting(
                "tls.server.authClient=true needs tls.server.trustCertPath: there is no trust store of a JVM here",
            ));
        }
    };
    let (chain, key) = files::identity(&settings.identity)?.ok_or(TlsError::Setting(
        "tls.test.mode.enable=false needs tls.server.certPath and tls.server.keyPath",
    ))?;
    Ok(Arc::new(builder.with_single_cert(chain, key)?))
}
