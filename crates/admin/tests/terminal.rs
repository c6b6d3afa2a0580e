//! What whoever sits at a terminal is asked. `script` makes one.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests start programs and fail by panicking"
)]

mod canned;

use std::io::Write;
use std::process::{Command, Stdio};

/// What the terminal shows of a command whose questions are answered so, and the exit code.
fn at_terminal(line: &str, port: u16, answer: &str) -> (Option<i32>, String) {
    let program = env!("CARGO_BIN_EXE_mqadmin");
    let mut script = Command::new("script")
        .args([
            "-qec",
            &format!("{program} {line} -n 127.0.0.1:{port}"),
            "/dev/null",
        ])
        .env_remove("ROCKETMQ_HOME")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    script.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    let output = script.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_destroys_asks_first() {
    let servers = canned::Canned::start(0, "").unwrap();
    let port = servers.port;
    tokio::task::spawn_blocking(move || {
        for (line, question, done) in [
            (
                "deleteTopic -t Stock -c DefaultCluster",
                "Delete topic Stock and its messages from cluster DefaultCluster? [y/N]",
                "delete topic [Stock] from cluster [DefaultCluster] success.",
            ),
            (
                "wipeWritePerm -b broker-a",
                "Keep producers from every topic of broker-a? [y/N]",
                "wipe write perm of broker[broker-a]",
            ),
            (
                "deleteExpiredCommitLog -c DefaultCluster",
                "Delete commitlog files that are kept long enough, of DefaultCluster",
                "success",
            ),
            (
                "cloneGroupOffset -s readers -d others -t Stock",
                "Set the offsets of group others to those of readers? [y/N]",
                "clone group offset success.",
            ),
        ] {
            for no in ["n\n", "\n", "perhaps\n"] {
                let (code, shown) = at_terminal(line, port, no);
                assert!(
                    shown.contains(question) && !shown.contains(done),
                    "{line}: {shown}"
                );
                assert_eq!(code, Some(1), "{line}: {shown}");
            }
            let (code, shown) = at_terminal(line, port, "yes\n");
            assert!(
                shown.contains(question) && shown.contains(done),
                "{line}: {shown}"
            );
            assert_eq!(code, Some(0), "{line}: {shown}");
            let (code, shown) = at_terminal(&format!("{line} --yes"), port, "");
            assert!(
                !shown.contains("[y/N]") && shown.contains(done),
                "{line}: {shown}"
            );
            assert_eq!(code, Some(0), "{line}: {shown}");
        }
        // What destroys nothing does not ask.
        let (code, shown) = at_terminal("topicClusterList -t Stock", port, "");
        assert_eq!((code, shown.trim_end()), (Some(0), "DefaultCluster"));
    })
    .await
    .unwrap();
    servers.stop().await;
}

/// Half of what was asked for is not what was asked for.
#[test]
fn output_that_cannot_be_written_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for part in ["commitlog", "consumequeue"] {
        std::fs::create_dir(dir.path().join(part)).unwrap();
    }
    let run = |stdout: std::process::Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqadmin"));
        command.args(["checkStore", "-d"]).arg(dir.path()).stdout(stdout);
        command.output().unwrap()
    };
    let taken = run(std::process::Stdio::piped());
    assert_eq!(taken.status.code(), Some(0), "{taken:?}");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let lost = run(full.into());
    let said = String::from_utf8_lossy(&lost.stderr);
    assert_eq!(lost.status.code(), Some(1), "{said}");
    assert!(
        said.contains("the output cannot be written: No space left"),
        "{said}"
    );
}
