//! What must be built or fetched before it can be started; each thing once in a test run.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The root of the source tree.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the tree that this was built from")
}

/// Runs `make` once for each key, in this process.
fn once(key: &str, make: impl FnOnce() -> PathBuf) -> PathBuf {
    static MADE: OnceLock<Mutex<HashMap<String, PathBuf>>> = OnceLock::new();
    let mut made = MADE
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = made.get(key) {
        return path.clone();
    }
    let path = make();
    made.insert(key.to_owned(), path.clone());
    path
}

/// In the environment of a test that runs where nothing can be fetched: all that it needs was built before.
pub(crate) const NOTHING_TO_BUILD: &str = "E2E_NOTHING_TO_BUILD";

/// Builds our servers and the clients of all languages.
pub(crate) fn all_clients_and_servers() {
    our_program("broker");
    for version in ["4.9.8", "5.3.3"] {
        java_classes(version);
    }
    go_driver();
    node_driver();
}

/// Runs a program that builds something to its end.
///
/// # Panics
/// It cannot be started or fails; the message says what was wanted and shows what it printed.
fn run(wanted: &str, command: &mut Command) {
    if std::env::var_os(NOTHING_TO_BUILD).is_some() {
        return;
    }
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{wanted}: cannot run {command:?}: {error}"),
    };
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    };
    assert!(
        output.status.success(),
        "{wanted}: {command:?} failed with {}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
}

/// One of our programs (`namesrv`, `broker`, `mqadmin`, `mqconsole`), built as the running test was (debug or release).
pub fn our_program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the running test");
    // target/PROFILE/deps/TEST, target/PROFILE/examples/EXAMPLE or target/PROFILE/PROGRAM.
    let folder = test.parent().expect("a program lies in a folder");
    let below = folder.ends_with("deps") || folder.ends_with("examples");
    let built = if below {
        folder.parent().expect("target/PROFILE")
    } else {
        folder
    }
    .to_owned();
    once("our programs", || {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(repository()).args([
            "build", "--bins", "-p", "namesrv", "-p", "broker", "-p", "admin", "-p", "console",
        ]);
        cargo.arg("--target-dir").arg(built.parent().expect("target"));
        if built.ends_with("release") {
            cargo.arg("--release");
        }
        run("building our servers", &mut cargo);
        built.clone()
    });
    built.join(name)
}

/// Class path of the Java driver with this version of RocketMQ's client.
pub fn java_classes(version: &str) -> String {
    classes("driver", version)
}

/// Class path of the Spring Boot application with the starter.
pub(crate) fn spring_classes() -> String {
    classes("spring", "2.3.3")
}

fn classes(project: &str, version: &str) -> String {
    let target = maven(project, version, "process-classes");
    format!(
        "{}:{}/*",
        target.join("classes").display(),
        target.join("lib").display()
    )
}

/// Class path of Java's name server and broker of this version.
pub fn java_servers(version: &str) -> String {
    let target = maven("servers", version, "process-resources");
    format!("{}/*", target.join("lib").display())
}

fn maven(project: &str, version: &str, phase: &str) -> PathBuf {
    once(&format!("{project} {version}"), || {
        let folder = repository().join("tests/java").join(project);
        let mut maven = Command::new("mvn");
        maven
            .current_dir(&folder)
            .args(["-q", "-B", &format!("-Drocketmq.version={version}"), phase]);
        run(
            &format!("fetching RocketMQ {version} ({project}) with Maven"),
            &mut maven,
        );
        folder.join("target").join(version)
    })
}

/// The Go driver.
pub(crate) fn go_driver() -> PathBuf {
    go_program("go", "driver")
}

/// A collector of metrics that are pushed by OTLP.
pub fn otlp_collector() -> PathBuf {
    go_program("otlp", "otlp")
}

/// A program in Go of this folder of the tests.
fn go_program(folder: &str, name: &str) -> PathBuf {
    once(&format!("{folder} in Go"), || {
        let folder = repository().join("tests").join(folder);
        let program = Path::new("target").join(name);
        let mut go = Command::new("go");
        go.current_dir(&folder)
            .args(["build", "-o"])
            .arg(&program)
            .arg(".");
        run(&format!("building {name} in Go"), &mut go);
        folder.join(program)
    })
}

/// What Prometheus's own parser and linter say of metrics: a line each; nothing where all is well. `promtool check metrics` does
/// the same.
///
/// # Panics
/// It can not be built, or the text is not what Prometheus reads.
pub fn prom_lint(text: &str) -> Vec<String> {
    let mut lint = Command::new(go_program("promlint", "promlint"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it was built a moment ago");
    let mut stdin = lint.stdin.take().expect("piped");
    stdin.write_all(text.as_bytes()).expect("it reads all");
    drop(stdin);
    let output = lint.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "Prometheus does not read it: {said}");
    said.lines().map(str::to_owned).collect()
}

/// The Node driver, with its packages installed.
pub(crate) fn node_driver() -> PathBuf {
    once("node driver", || {
        let folder = repository().join("tests/node");
        let mut npm = Command::new("npm");
        npm.current_dir(&folder)
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
        run("installing the Node client", &mut npm);
        folder.join("driver.js")
    })
}
