//! TLS: real clients in each mode, openssl, certificates that are replaced under load.

use crate::check::*;
use cluster::{Cluster, Language, Wire};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const TLS: (&str, &str) = ("tls", "true");

fn openssl(dir: &Path, arguments: &str) -> String {
    let ran = Command::new("openssl")
        .current_dir(dir)
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .expect("openssl is there");
    format!(
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    )
}

/// A folder with a CA and a certificate of the server and of a client.
fn authority() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    fs::write(at.join("ext"), "basicConstraints=CA:FALSE\n").unwrap();
    let new = "-newkey rsa:2048 -nodes";
    openssl(
        at,
        &format!("req -x509 {new} -keyout ca.key -out ca.pem -days 3650 -subj /CN=testca"),
    );
    for name in ["server", "client"] {
        openssl(
            at,
            &format!("req {new} -keyout {name}.key -out {name}.csr -subj /CN={name}"),
        );
        let sign = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile ext";
        openssl(at, &format!("x509 -req -in {name}.csr -out {name}.pem {sign}"));
    }
    dir
}

fn tuning(dir: &Path, more: &[(&'static str, &'static str)]) -> Vec<(&'static str, String)> {
    let path = |name: &str| dir.join(name).display().to_string();
    let mut tuning = vec![
        ("tls.test.mode.enable", "false".to_owned()),
        ("tls.server.certPath", path("server.pem")),
        ("tls.server.keyPath", path("server.key")),
        ("tls.server.trustCertPath", path("ca.pem")),
    ];
    tuning.extend(more.iter().map(|(key, value)| (*key, (*value).to_owned())));
    tuning
}

fn cluster(tuning: &[(&'static str, String)]) -> Cluster {
    let tuning: Vec<(&str, &str)> = tuning.iter().map(|(key, value)| (*key, value.as_str())).collect();
    Cluster::start(&tuning)
}

fn sends(cluster: &Cluster, language: Language, topic: &str, options: &[(&str, &str)]) -> (usize, usize) {
    let options = [&[("topic", topic), ("count", "5"), ("timeout", "5000")], options].concat();
    let events = client(language, cluster, "send", &options).finish(LONG);
    (of(&events, "sent").len(), of(&events, "failed").len())
}

#[test]
fn permissive_takes_both() {
    let cluster = cluster(&[]);
    assert_eq!(sends(&cluster, JAVA_4, "Both", &[TLS]), (5, 0));
    assert_eq!(sends(&cluster, JAVA_5, "Both", &[TLS]), (5, 0));
    assert_eq!(sends(&cluster, Language::Go, "Both", &[]), (5, 0));
    let options = [("topic", "Both"), ("group", "readers"), TLS];
    let consumer = client(JAVA_4, &cluster, "consume", &options);
    consumer.wait_count("received", 15, LONG);
    consumer.stop();
    for (version, said) in [("-tls1_2", "ECDHE-ECDSA-AES"), ("-tls1_3", "TLS_AES")] {
        let shown = openssl(
            cluster.path(),
            &format!("s_client -connect {} {version}", cluster.broker.address()),
        );
        assert!(
            shown.contains(said) && shown.contains("CN = localhost") || shown.contains("CN=localhost"),
            "{shown}"
        );
    }
    let old = openssl(
        cluster.path(),
        &format!("s_client -connect {} -tls1_1", cluster.broker.address()),
    );
    assert!(!old.contains("BEGIN CERTIFICATE"), "{old}");
}

/// The broker speaks TLS to its name server here, too.
#[test]
fn enforcing_takes_tls_alone() {
    let cluster = cluster(&[("tls.server.mode", "enforcing".to_owned())]);
    assert_eq!(sends(&cluster, JAVA_4, "Encrypted", &[TLS]), (5, 0));
    assert_eq!(sends(&cluster, JAVA_4, "Encrypted", &[]), (0, 5));
    assert_eq!(sends(&cluster, JAVA_5, "Encrypted", &[TLS]), (5, 0));
    let mut wire = Wire::connect(&cluster.broker.address()).unwrap();
    assert!(wire.ask(28, &[], b"").is_err());
}

#[test]
fn disabled_takes_plain_frames_alone() {
    let cluster = cluster(&[("tls.server.mode", "disabled".to_owned())]);
    assert_eq!(sends(&cluster, JAVA_4, "Plain", &[]), (5, 0));
    assert_eq!(sends(&cluster, JAVA_4, "Plain", &[TLS]), (0, 5));
}

#[test]
fn clients_that_must_show_a_certificate() {
    let dir = authority();
    let strict = [
        ("tls.server.mode", "enforcing"),
        ("tls.server.need.client.auth", "require"),
        ("tls.server.authClient", "true"),
    ];
    let cluster = cluster(&tuning(dir.path(), &strict));
    let connect = format!("s_client -connect {} -CAfile ca.pem", cluster.broker.address());
    let known = openssl(
        dir.path(),
        &format!("{connect} -tls1_2 -cert client.pem -key client.key"),
    );
    assert!(known.contains("Verify return code: 0"), "{known}");
    let unknown = openssl(dir.path(), &format!("{connect} -tls1_2"));
    assert!(unknown.contains("alert"), "{unknown}");
    // Java's client shows none in its test mode.
    assert_eq!(sends(&cluster, JAVA_4, "Strict", &[TLS]), (0, 5));
}

/// New connections get the new certificate; what is sent meanwhile is answered.
#[test]
fn certificates_are_replaced_under_load() {
    let (dir, other) = (authority(), authority());
    let cluster = cluster(&tuning(dir.path(), &[("tls.server.mode", "enforcing")]));
    let options = [("topic", "Renewed"), ("until", "stdin"), TLS];
    let producer = client(JAVA_4, &cluster, "send", &options);
    producer.wait_count("sent", 100, LONG);
    let connect = format!("s_client -connect {} -CAfile ca.pem", cluster.broker.address());
    let shows_new = || openssl(other.path(), &connect).contains("Verify return code: 0");
    assert!(!shows_new());
    for name in ["server.pem", "server.key"] {
        let beside = dir.path().join("beside");
        fs::copy(other.path().join(name), &beside).unwrap();
        fs::rename(&beside, dir.path().join(name)).unwrap();
    }
    let deadline = Instant::now() + LONG;
    // Nothing tells a client when a certificate is in force: it connects again.
    while !shows_new() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(100));
    }
    let events = producer.stop();
    assert_eq!(of(&events, "failed").len(), 0);
}
