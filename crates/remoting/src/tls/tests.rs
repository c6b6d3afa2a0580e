//! Servers and clients with TLS, over sockets of this host.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::key::tests::openssl;
use super::*;
use crate::{Body, Client, ClientSettings, Connection, Request, Server, ServerSettings, Service};

const WITHIN: Duration = Duration::from_secs(20);

/// Answers with the body, and counts.
#[derive(Default)]
struct Echo(AtomicU64);

impl Service for Echo {
    fn serve(&self, _conn: &Arc<Connection>, requests: &mut VecDeque<Request>) {
        for Request { frame, responder } in requests.drain(..) {
            self.0.fetch_add(1, Ordering::Relaxed);
            responder.reply(0, None, &(), Body::Bytes(frame.body));
        }
    }

    fn closed(&self, _conn: &Arc<Connection>) {}
}

struct Served {
    server: Server,
    echo: Arc<Echo>,
    settings: ServerSettings,
}

impl Served {
    fn new(tls: ServerTlsSettings) -> Served {
        let mut settings = ServerSettings::at(([127, 0, 0, 1], 0).into());
        settings.tls = ServerTls::load(tls).unwrap();
        let echo = Arc::new(Echo::default());
        let server = Server::bind(settings.clone())
            .unwrap()
            .serve(Arc::clone(&echo) as _);
        Served {
            server,
            echo,
            settings,
        }
    }

    fn address(&self) -> String {
        self.server.local_addr().to_string()
    }

    /// What a client of these settings gets for its body.
    async fn ask(&self, tls: Option<&ClientTlsSettings>, body: &Bytes) -> Result<Bytes, crate::InvokeError> {
        let client = Client::new(ClientSettings {
            tls: tls.map(|tls| ClientTls::load(tls).unwrap()),
            ..ClientSettings::default()
        });
        let answer = client
            .invoke(&self.address(), 1, &(), Body::Bytes(body.clone()), WITHIN)
            .await;
        client.close();
        Ok(answer?.body)
    }

    async fn serves(&self, tls: Option<&ClientTlsSettings>) -> bool {
        self.ask(tls, &Bytes::from_static(b"hello"))
            .await
            .is_ok_and(|body| body == "hello")
    }
}

fn test_mode(mode: TlsMode) -> ServerTlsSettings {
    ServerTlsSettings {
        mode,
        test_mode: true,
        ..ServerTlsSettings::default()
    }
}

fn any_server() -> ClientTlsSettings {
    ClientTlsSettings {
        test_mode: true,
        ..ClientTlsSettings::default()
    }
}

/// A folder with a CA and certificates that it has signed.
fn authority(names: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    std::fs::write(at.join("ext"), "basicConstraints=CA:FALSE\n").unwrap();
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(
        at,
        &format!("req -x509 {new} -keyout ca.key -out ca.pem -days 3650 -subj /CN=ca"),
    );
    for name in names {
        openssl(
            at,
            &format!("req {new} -keyout {name}.key -out {name}.csr -subj /CN={name}"),
        );
        openssl(
            at,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 3650 -extfile ext"
            ),
        );
    }
    dir
}

fn identity(dir: &Path, name: &str) -> Identity {
    Identity {
        cert_path: Some(dir.join(format!("{name}.pem"))),
        key_path: Some(dir.join(format!("{name}.key"))),
        key_password: None,
    }
}

fn guarded(dir: &Path, client_auth: ClientAuth, auth_client: bool) -> ServerTlsSettings {
    ServerTlsSettings {
        mode: TlsMode::Enforcing,
        test_mode: false,
        identity: identity(dir, "server"),
        client_auth,
        auth_client,
        trust_cert_path: Some(dir.join("ca.pem")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn modes() {
    for (mode, plain, tls) in [
        (TlsMode::Disabled, true, false),
        (TlsMode::Permissive, true, true),
        (TlsMode::Enforcing, false, true),
    ] {
        let served = Served::new(test_mode(mode));
        assert_eq!(served.serves(None).await, plain, "{mode:?}");
        assert_eq!(served.serves(Some(&any_server())).await, tls, "{mode:?}");
        let expected = u64::from(plain) + u64::from(tls);
        assert_eq!(served.echo.0.load(Ordering::Relaxed), expected, "{mode:?}");
        served.server.shutdown(WITHIN).await;
    }
}

/// Java executes the first plain frame before it closes.
#[tokio::test]
async fn enforcing_executes_no_plain_frame() {
    let served = Served::new(test_mode(TlsMode::Enforcing));
    let mut stream = TcpStream::connect(served.address()).await.unwrap();
    let head = crate::connection::request_head(1, 7, 0);
    let frame = protocol::encode::encode_frame(&head, &(), b"x").unwrap();
    // It may be reset under the writer already.
    let _ = stream.write_all(&frame).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!((answer.len(), served.echo.0.load(Ordering::Relaxed)), (0, 0));
    assert_eq!(served.settings.metrics.closed_plain.load(Ordering::Relaxed), 1);
    served.server.shutdown(WITHIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_frames_come_whole_in_both_directions() {
    let served = Served::new(test_mode(TlsMode::Permissive));
    let body: Bytes = (0..4 << 20).map(|at: u32| (at ^ at >> 8) as u8).collect();
    assert!(served.ask(Some(&any_server()), &body).await.unwrap() == body);
    served.server.shutdown(WITHIN).await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_come_on_is_closed() {
    let served = Served::new(test_mode(TlsMode::Permissive));
    let mut slow = TcpStream::connect(served.address()).await.unwrap();
    slow.write_all(&[0x16, 3, 1]).await.unwrap();
    let mut nothing = Vec::new();
    let _ = slow.read_to_end(&mut nothing).await;
    assert!(nothing.is_empty());
    assert_eq!(served.settings.metrics.tls_failed.load(Ordering::Relaxed), 1);
    // One that says nothing at all.
    let mut mute = TcpStream::connect(served.address()).await.unwrap();
    assert_eq!(mute.read_to_end(&mut nothing).await.unwrap_or(0), 0);
    served.server.shutdown(WITHIN).await;
}

/// Whatever a connection begins with, and whatever noise follows: only 0x16 begins a handshake, nothing is executed, and the next one is
/// served.
#[tokio::test(flavor = "multi_thread")]
async fn any_first_byte_and_noise_behind_it() {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut noise = |most: usize| -> Vec<u8> {
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        let len = usize::from(next()) % most;
        (0..len).map(|_| next()).collect()
    };
    for mode in [TlsMode::Enforcing, TlsMode::Permissive] {
        let served = Served::new(test_mode(mode));
        let (mut plain, mut shaken) = (0, 0);
        let records = (0..64u8).map(|minor| vec![0x16, 3, minor % 5]);
        for mut bytes in (0..=255).map(|byte| vec![byte]).chain(records) {
            match bytes[0] {
                0x16 => shaken += 1,
                _ => plain += 1,
            }
            bytes.extend(noise(200));
            let mut stream = TcpStream::connect(served.address()).await.unwrap();
            // It may be closed meanwhile.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            let mut answer = Vec::new();
            let closed = tokio::time::timeout(WITHIN, stream.read_to_end(&mut answer)).await;
            assert!(closed.is_ok(), "{mode:?}: {bytes:02x?} is left open");
        }
        let metrics = &served.settings.metrics;
        let closed_plain = metrics.closed_plain.load(Ordering::Relaxed);
        assert_eq!(closed_plain, if mode == TlsMode::Enforcing { plain } else { 0 });
        // What ends in the middle of a handshake is no failed one.
        let failed = metrics.tls_failed.load(Ordering::Relaxed);
        assert!((1..=shaken).contains(&failed), "{mode:?}: {failed} of {shaken}");
        assert_eq!(served.echo.0.load(Ordering::Relaxed), 0, "{mode:?}");
        assert!(served.serves(Some(&any_server())).await, "{mode:?}");
        served.server.shutdown(WITHIN).await;
    }
}

#[tokio::test]
async fn a_server_that_stops_waits_for_no_first_byte() {
    let served = Served::new(test_mode(TlsMode::Permissive));
    let mut mute = TcpStream::connect(served.address()).await.unwrap();
    while served.server.connections() == 0 {
        tokio::task::yield_now().await;
    }
    let stopped = tokio::time::Instant::now();
    served.server.shutdown(WITHIN).await;
    assert!(stopped.elapsed() < WITHIN / 2);
    assert_eq!(mute.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_clients() {
    let dir = authority(&["server", "client"]);
    let stranger = authority(&["client"]);
    let own = |dir: &Path| ClientTlsSettings {
        identity: identity(dir, "client"),
        ..ClientTlsSettings::default()
    };
    let (none, known, unknown) = (any_server(), own(dir.path()), own(stranger.path()));
    for (auth, checked, expected) in [
        (ClientAuth::None, true, [true, true, true]),
        (ClientAuth::Optional, false, [true, true, true]),
        (ClientAuth::Optional, true, [true, true, false]),
        (ClientAuth::Require, false, [false, true, true]),
        (ClientAuth::Require, true, [false, true, false]),
    ] {
        let served = Served::new(guarded(dir.path(), auth, checked));
        let mut found = Vec::new();
        for client in [&none, &known, &unknown] {
            found.push(served.serves(Some(client)).await);
        }
        assert_eq!(found, expected, "{auth:?} {checked}");
        served.server.shutdown(WITHIN).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_servers() {
    let dir = authority(&["server"]);
    let stranger = authority(&[]);
    let served = Served::new(guarded(dir.path(), ClientAuth::None, false));
    let trusting = |dir: &Path| ClientTlsSettings {
        auth_server: true,
        trust_cert_path: Some(dir.join("ca.pem")),
        ..ClientTlsSettings::default()
    };
    // CN=server at 127.0.0.1: the name is not compared, as in Java.
    assert!(served.serves(Some(&trusting(dir.path()))).await);
    assert!(!served.serves(Some(&trusting(stranger.path()))).await);
    served.server.shutdown(WITHIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_again() {
    let dir = authority(&["server"]);
    let other = authority(&["server"]);
    let served = Served::new(guarded(dir.path(), ClientAuth::None, false));
    let tls = served.settings.tls.as_ref().unwrap();
    assert!(matches!(tls.look(), Looked::Same));
    let trusting = |dir: &Path| ClientTlsSettings {
        auth_server: true,
        trust_cert_path: Some(dir.join("ca.pem")),
        ..ClientTlsSettings::default()
    };
    let trusted = trusting(other.path());
    let copy = |name| std::fs::copy(other.path().join(name), dir.path().join(name)).unwrap();
    let before = Client::new(ClientSettings {
        tls: Some(ClientTls::load(&trusting(dir.path())).unwrap()),
        ..ClientSettings::default()
    });
    let open = before.connection(&served.address()).await.unwrap();
    // A certificate without its key.
    copy("server.pem");
    assert!(matches!(tls.look(), Looked::Kept(_)));
    assert!(!served.serves(Some(&trusted)).await);
    assert!(matches!(tls.look(), Looked::Same), "a fault is told once");
    copy("server.key");
    assert!(matches!(tls.look(), Looked::Renewed));
    assert!(served.serves(Some(&trusted)).await);
    // What was open goes on.
    let answer = open
        .invoke(1, &(), Body::Bytes(Bytes::from_static(b"x")), WITHIN)
        .await;
    assert_eq!(&answer.unwrap().body[..], b"x");
    before.close();
    served.server.shutdown(WITHIN).await;
}

#[test]
fn what_is_missing_is_named() {
    let dir = authority(&["server"]);
    let load = |change: fn(&mut ServerTlsSettings)| {
        let mut settings = guarded(dir.path(), ClientAuth::Require, true);
        change(&mut settings);
        ServerTls::load(settings)
            .err()
            .map_or_else(String::new, |e| e.to_string())
    };
    assert_eq!(load(|_| ()), "");
    for (refused, part) in [
        (
            load(|s| s.identity = Identity::default()),
            "tls.server.certPath and tls.server.keyPath",
        ),
        (load(|s| s.identity.key_path = None), "no key (keyPath)"),
        (load(|s| s.trust_cert_path = None), "tls.server.trustCertPath"),
        (
            load(|s| s.identity.cert_path = Some("/nowhere.pem".into())),
            "/nowhere.pem: ",
        ),
        (
            load(|s| s.identity.cert_path.clone_from(&s.identity.key_path)),
            "there is no certificate in it",
        ),
        (
            load(|s| s.identity.key_path.clone_from(&s.identity.cert_path)),
            "there is no private key in it",
        ),
    ] {
        assert!(refused.contains(part), "{refused} lacks {part}");
    }
}

/// Behind a balancer too, which sends its header before the handshake; and handshakes that nobody ends are bounded.
#[tokio::test]
async fn handshakes_behind_a_balancer_and_too_many_of_them() {
    let mut settings = ServerSettings::at(([127, 0, 0, 1], 0).into());
    settings.tls = ServerTls::load(test_mode(TlsMode::Enforcing)).unwrap();
    settings.proxies = vec!["127.0.0.1/32".parse().unwrap()];
    settings.address.handshakes_max = 4;
    let metrics = Arc::clone(&settings.metrics);
    let server = Server::bind(settings).unwrap().serve(Arc::new(Echo::default()));
    let address = server.local_addr();
    let begun = |client: &'static str| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let header = format!("PROXY TCP4 {client} 127.0.0.1 5555 10911\r\n");
        stream.write_all(header.as_bytes()).await.unwrap();
        stream
    };
    let tls = ClientTls::load(&any_server()).unwrap();
    tls.connect(begun("10.0.0.1").await).await.unwrap();
    // The first byte of a handshake, and no more.
    let mut stuck = Vec::new();
    for _ in 0..2 {
        let mut stream = begun("10.0.0.1").await;
        stream.write_all(&[0x16]).await.unwrap();
        stuck.push(stream);
    }
    let crowded = || metrics.tls_crowded.load(Ordering::Relaxed);
    let waiting = async {
        while crowded() == 0 {
            // Until both of the stuck ones count.
            let shaken = tls.connect(begun("10.0.0.1").await).await;
            assert!(shaken.is_ok() || crowded() > 0);
        }
    };
    tokio::time::timeout(WITHIN, waiting).await.unwrap();
    tls.connect(begun("10.0.0.2").await).await.unwrap();
    drop(stuck);
    let waiting = async { while tls.connect(begun("10.0.0.1").await).await.is_err() {} };
    tokio::time::timeout(WITHIN, waiting).await.unwrap();
    server.shutdown(Duration::from_secs(5)).await;
}
