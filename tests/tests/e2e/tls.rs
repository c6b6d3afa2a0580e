//! TLS: real clients in each mode, openssl, certificates that are replaced under load.

use crate::check::*;
use cluster::{
    Broker, Client, Cluster, Flavour, Language, NameServer, Wire, free_port, java_mqadmin_with, our_program,
};
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

/// A name server with these settings, and a broker.
struct Secured {
    namesrv: NameServer,
    broker: Broker,
    dir: TempDir,
}

impl Secured {
    fn new(flavour: Flavour, tuning: &[(&'static str, String)]) -> Secured {
        let dir = tempfile::Builder::new()
            .prefix("rocketmq-e2e-")
            .tempdir()
            .unwrap();
        let tuning: Vec<(&str, &str)> = tuning.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let namesrv = NameServer::start_with(Flavour::Ours, dir.path(), free_port(), &tuning);
        let (launcher, tuning): (&[&str], _) = match flavour {
            Flavour::Ours | Flavour::Earlier(_) => (&[], tuning.as_slice()),
            Flavour::Java(_) => (&["env", "JAVA_TOOL_OPTIONS=-Dtls.enable=true"], &[][..]),
        };
        let at = (dir.path(), "broker-a");
        let broker = Broker::start_under(launcher, flavour, at, "broker-a", &namesrv.address(), tuning);
        Secured { namesrv, broker, dir }
    }

    fn sends(&self, language: Language, topic: &str, options: &[(&str, &str)]) -> (usize, usize) {
        let namesrv = self.namesrv.address();
        let all = [
            &[
                ("ns", namesrv.as_str()),
                ("topic", topic),
                ("count", "5"),
                ("timeout", "5000"),
            ],
            options,
        ]
        .concat();
        let events = Client::start(language, self.dir.path(), "send", &all).finish(LONG);
        (of(&events, "sent").len(), of(&events, "failed").len())
    }
}

/// Clients and brokers that speak TLS, ours and Java's, have what they have with a plain one; a plain frame is not executed.
#[test]
fn a_name_server_that_takes_tls_alone() {
    let enforcing = [("tls.server.mode", "enforcing".to_owned())];
    let ours = Secured::new(Flavour::Ours, &enforcing);
    assert_eq!(ours.sends(JAVA_4, "Encrypted", &[TLS]), (5, 0));
    assert_eq!(ours.sends(JAVA_5, "Encrypted", &[TLS]), (5, 0));
    assert_eq!(ours.sends(JAVA_4, "Encrypted", &[]).0, 0);
    // Java executes what came before it closes.
    let put = [("namespace", "n"), ("key", "plain"), ("value", "v")];
    let mut wire = Wire::connect(&ours.namesrv.address()).unwrap();
    assert!(wire.ask(100, &put, b"").is_err());
    let (path, namesrv) = (ours.dir.path(), ours.namesrv.address());
    let command = ["updateKvConfig", "-s", "n", "-k", "encrypted", "-v", "v"];
    let told = java_mqadmin_with("4.9.8", &["-Dtls.enable=true"], path, &namesrv, &command);
    assert!(told.contains("success"), "{told}");
    let kept = fs::read_to_string(path.join("namesrv/kvConfig.json")).unwrap();
    assert!(kept.contains("encrypted") && !kept.contains("plain"), "{kept}");
}

#[test]
fn javas_broker_at_a_name_server_that_takes_tls_alone() {
    let java = Secured::new(
        Flavour::Java("4.9.7"),
        &[("tls.server.mode", "enforcing".to_owned())],
    );
    let deadline = Instant::now() + LONG;
    // It registers some time after it says that it has started. A client takes as long as a JVM to start.
    while java.sends(JAVA_4, "Encrypted", &[TLS]) != (5, 0) {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn a_name_server_that_takes_both() {
    let both = Secured::new(
        Flavour::Ours,
        &[
            ("tls.server.mode", "permissive".to_owned()),
            ("tls.enable", "true".to_owned()),
        ],
    );
    assert_eq!(both.sends(JAVA_4, "Both", &[TLS]), (5, 0));
    assert_eq!(both.sends(JAVA_4, "Both", &[]), (5, 0));
    assert_eq!(both.sends(Language::Go, "Both", &[]), (5, 0));
}

/// Our programs speak it as Java's tools do: by the system properties in JAVA_OPT.
#[test]
fn our_programs_speak_tls() {
    let dir = authority();
    let strict = [
        ("tls.server.mode", "enforcing"),
        ("tls.server.need.client.auth", "require"),
        ("tls.server.authClient", "true"),
        ("tls.client.authServer", "true"),
    ];
    let mut tuning = tuning(dir.path(), &strict);
    let path = |name: &str| dir.path().join(name).display().to_string();
    // The broker shows its own to the name server.
    tuning.extend([
        ("tls.client.certPath", path("server.pem")),
        ("tls.client.keyPath", path("server.key")),
        ("tls.client.trustCertPath", path("ca.pem")),
    ]);
    let cluster = Secured::new(Flavour::Ours, &tuning);
    let file = dir.path().join("tls.properties");
    let lines = [
        "tls.test.mode.enable=false".to_owned(),
        "tls.client.authServer=true".to_owned(),
        format!("tls.client.trustCertPath={}", path("ca.pem")),
        format!("tls.client.certPath={}", path("client.pem")),
        format!("tls.client.keyPath={}", path("client.key")),
    ];
    fs::write(&file, lines.join("\n")).unwrap();
    let run = |java_opt: &str| {
        let output = Command::new(our_program("mqadmin"))
            .env("JAVA_OPT", java_opt)
            .args(["--class", "org.apache.rocketmq.example.quickstart.Producer", "-n"])
            .arg(cluster.namesrv.address())
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).matches("SEND_OK").count(),
        )
    };
    let with_file = format!("-Dtls.enable=true -Dtls.config.file={}", file.display());
    assert_eq!(run(&with_file), (true, 1000));
    // Without a certificate, and without TLS.
    assert_eq!(run("-Dtls.enable=true").1, 0);
    assert_eq!(run("").1, 0);
    let explained = Command::new(our_program("mqadmin"))
        .env("JAVA_OPT", &with_file)
        .args([
            "explainAcl",
            "-b",
            &cluster.broker.address(),
            "-u",
            "a",
            "-a",
            "10.0.0.1",
        ])
        .args(["-r", "Topic:T", "-o", "Pub"])
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&explained.stderr).into_owned() + &String::from_utf8_lossy(&explained.stdout);
    assert!(!said.contains("closed") && !said.contains("connect"), "{said}");
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
