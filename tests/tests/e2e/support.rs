//! `--support-bundle`: what is in it, of servers that run and do not, and that no secret is.

use crate::replication::eventually;
use cluster::{Broker, Flavour, NameServer, Wire, our_program};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// One for each place that has some.
const SECRETS: [&str; 13] = [
    "secret-init-user",
    "secret-inner-client",
    "secret-server-key",
    "secret-client-key",
    "secret-misspelt",
    "secret-comment",
    "secret-before",
    "secret-of-tls-file",
    "secret-of-account",
    "secret-of-second-file",
    "secret-of-tools",
    "secret-twice",
    "secret, with blanks",
];

fn gather(program: &str, home: &Path, args: &[&str]) -> Output {
    Command::new(our_program(program))
        .args(args)
        .env("HOME", home)
        .env("ROCKETMQ_HOME", home)
        .env_remove("NAMESRV_ADDR")
        .env_remove("ROCKETMQ_LOG_TO")
        .output()
        .unwrap()
}

/// Files of a bundle by name, unpacked by tar.
fn unpacked(file: &Path) -> BTreeMap<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let tar = Command::new("tar")
        .arg("-xzf")
        .arg(file)
        .arg("-C")
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(tar.status.success(), "{tar:?}");
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.path().join("rocketmq-support")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(dir.path().join("rocketmq-support")).unwrap();
            found.insert(name.display().to_string(), fs::read_to_string(&path).unwrap());
        }
    }
    found
}

fn has(files: &BTreeMap<String, String>, name: &str, parts: &[&str]) {
    let text = files
        .get(name)
        .unwrap_or_else(|| panic!("no {name} in {:?}", files.keys()));
    for part in parts {
        assert!(text.contains(part), "{name} has no `{part}`: {text}");
    }
}

/// Everything that has secrets, below the broker's home.
fn write_secrets(home: &Path) {
    let conf = home.join("conf");
    fs::create_dir_all(conf.join("acl/deep")).unwrap();
    for (file, text) in [
        (
            "plain_acl.yml",
            "accounts:\n- accessKey: account1\n  secretKey: secret-of-account\n",
        ),
        (
            "acl/deep/more.yml",
            "accounts: [{accessKey: account2, secretKey: 'secret-of-second-file'}]\n",
        ),
        (
            "tools.yml",
            "accessKey: tools123\nsecretKey: \"secret-of-tools\"\n",
        ),
        ("tls.properties", "tls.client.keyPassword=secret-of-tls-file\n"),
        ("broker.properties.bak", "tls.server.keyPassword=secret-before\n"),
    ] {
        fs::write(conf.join(file), text).unwrap();
    }
}

/// A line of log with each of them: no server writes that, but somebody may have put it there.
fn log() -> String {
    let lines: Vec<String> = SECRETS
        .iter()
        .map(|secret| format!("INFO it says {secret} here\n"))
        .collect();
    format!("{}the last line\n", lines.concat())
}

#[test]
fn a_broker_that_runs_and_one_that_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("broker-a");
    write_secrets(&home);
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let tls = home.join("conf/tls.properties").display().to_string();
    let mut broker = Broker::start(
        Flavour::Ours,
        dir.path(),
        "broker-a",
        &namesrv.address(),
        &[
            ("authenticationEnabled", "true"),
            (
                "initAuthenticationUser",
                r#"{"username":"root1","password":"secret-init-user"}"#,
            ),
            (
                "innerClientAuthenticationCredentials",
                r#"{"accessKey":"inner1","secretKey":"secret-inner-client"}"#,
            ),
            ("tls.server.keyPassword", "secret-server-key"),
            ("tls.client.keyPassword", "secret-twice"),
            ("tls.client.keyPassword", "secret, with blanks"),
            ("tls.client.keyPassword", "secret-client-key"),
            ("tls.config.file", &tls),
            ("tls.server.keyPasword", "secret-misspelt"),
            ("#tls.server.keyPassword", "secret-comment"),
        ],
    );
    // The users' file, which the broker has made, has them too.
    eventually("the users are saved", || {
        let users = fs::read_to_string(home.join("store/config/auth.json")).unwrap_or_default();
        users.contains("secret-init-user") && users.contains("secret-inner-client")
    });
    let logs = dir.path().join("logs");
    fs::create_dir_all(logs.join("broker-a_0/otherdays")).unwrap();
    fs::write(logs.join("broker.log"), log()).unwrap();
    fs::write(logs.join("broker-a_0/otherdays/broker.1.log"), log()).unwrap();

    let config = home.join("conf/broker.properties").display().to_string();
    let logs = logs.display().to_string();
    let bundle = |name: &str| {
        let file = dir.path().join(name);
        let text = file.display().to_string();
        let output = gather(
            "broker",
            &home,
            &["-c", &config, "--log-to", &logs, "--support-bundle", &text],
        );
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("look through them before"), "{said}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let files = unpacked(&file);
        for (name, text) in &files {
            for secret in SECRETS {
                assert!(!text.contains(secret), "{secret} is in {name}: {text}");
            }
        }
        files
    };
    let files = bundle("running.tar.gz");
    has(&files, "about.txt", &["mqbroker ", "kernel ", "memory "]);
    has(
        &files,
        "check-config.txt",
        &["tls.server.keyPasword", " errors, ", "open files: at most"],
    );
    has(
        &files,
        "settings/file.txt",
        &[
            "brokerName=broker-a\n",
            "initAuthenticationUser=******\n",
            "keyPasword=******\n",
        ],
    );
    has(
        &files,
        "settings/tls.txt",
        &["1: tls.client.keyPassword=******\n"],
    );
    has(
        &files,
        "settings/in-force.txt",
        &["brokerName=broker-a\n", "tls.server.keyPassword=******\n"],
    );
    has(
        &files,
        "store/files.txt",
        &["/store/commitlog/", "/store/config/topics.json"],
    );
    has(&files, "store/checkpoint.txt", &["commitlog flushed until"]);
    has(
        &files,
        "store/check.txt",
        &["A broker has this store open", "faults         0"],
    );
    for log in ["logs/0-broker.log", "logs/1-broker.1.log"] {
        has(&files, log, &["INFO it says ****** here\n", "the last line\n"]);
    }
    has(
        &files,
        "live/metrics.txt",
        &["rocketmq_broker_permission", "node_id=\"broker-a\""],
    );
    has(&files, "live/readyz.txt", &["ready\n"]);
    has(
        &files,
        "live/debug-state.txt",
        &["broker broker-a_0, store ", "open files "],
    );
    has(&files, "live/debug-slow.txt", &[]);
    has(&files, "live/debug-pulls.txt", &[]);

    // It goes on, and stops as ever.
    assert!(Wire::connect(&broker.address()).is_ok());
    assert!(broker.stop().success());
    let files = bundle("stopped.tar.gz");
    has(&files, "live/where.txt", &["No listener"]);
    has(
        &files,
        "store/check.txt",
        &["last stop      clean", "faults         0"],
    );
    has(&files, "logs/0-broker.log", &["the last line\n"]);
    assert!(!files.keys().any(|name| name == "live/metrics.txt"));

    // A second one does not take the place of the first.
    let first = dir.path().join("stopped.tar.gz").display().to_string();
    let refused = gather("broker", &home, &["-c", &config, "--support-bundle", &first]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}

#[test]
fn settings_that_do_not_start_are_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("broker.conf");
    fs::write(
        &config,
        "listenPort=many\ntls.server.keyPassword=secret # of mine\n",
    )
    .unwrap();
    let file = dir.path().join("support.tar.gz");
    let (config, text) = (config.display().to_string(), file.display().to_string());
    let output = gather("broker", dir.path(), &["-c", &config, "--support-bundle", &text]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let files = unpacked(&file);
    has(&files, "check-config.txt", &["bad value of `listenPort`: `many`"]);
    has(&files, "store/check.txt", &["There is nothing: "]);
    for (name, text) in &files {
        assert!(!text.contains("of mine"), "{name}: {text}");
    }
}

#[test]
fn a_name_server() {
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let port = namesrv.address();
    let port = port.rsplit_once(':').unwrap().1;
    let config = dir.path().join("namesrv.properties");
    let text = format!(
        "bindAddress=127.0.0.1\nlistenPort={port}\nupdateCredentials={{\"accessKey\":\"a\",\"secretKey\":\"secret-update\"}}\n"
    );
    fs::write(&config, text).unwrap();
    let file = dir.path().join("support.tar.gz");
    let (config, text) = (config.display().to_string(), file.display().to_string());
    let logs = dir.path().join("logs");
    fs::create_dir_all(&logs).unwrap();
    fs::write(logs.join("namesrv.log"), "it says secret-update here\n").unwrap();
    let logs = logs.display().to_string();
    let output = gather(
        "namesrv",
        dir.path(),
        &["-c", &config, "--log-to", &logs, "--support-bundle", &text],
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let files = unpacked(&file);
    has(&files, "about.txt", &["mqnamesrv "]);
    has(&files, "settings/file.txt", &["updateCredentials=******\n"]);
    has(
        &files,
        "live/metrics.txt",
        &["rocketmq_namesrv_brokers", &format!(":{port}\"")],
    );
    has(&files, "logs/0-namesrv.log", &["it says ****** here\n"]);
    for (name, text) in &files {
        assert!(!text.contains("secret-update"), "{name}: {text}");
    }
}
