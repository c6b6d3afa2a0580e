//! The log of a process: levels that change, a file that is moved away. One test: a process has one log.

#![allow(clippy::disallowed_methods, reason = "tests make files")]

use logs::{Rotation, Setup, Target};
use std::path::Path;

fn written(path: &Path) -> Vec<String> {
    assert!(logs::flush());
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // Without the date, which nobody can foresee.
    text.lines()
        .map(|line| line.chars().skip("2024-05-01 12:00:00 ".len()).collect())
        .collect()
}

#[test]
fn a_log_is_changed_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    logs::init(&Setup {
        stem: "broker",
        who: Some("broker-a"),
        own_folder: "broker-a",
        rotation: Rotation::BROKER,
        target: Target::Dir(dir.path().to_owned()),
        levels: "info,log=warn",
        json: false,
        modules: &["log", "logs"],
    });
    let thread = "broker-a/a_log_is_changed_while_it_is_written";
    let file = dir.path().join("broker.log");
    assert_eq!(logs::levels(), "info,log=warn");
    tracing::info!("not this");
    tracing::warn!("this");
    assert_eq!(written(&file), [format!("WARN {thread} - this")]);

    logs::set_levels("warn, log=debug").unwrap();
    tracing::debug!("and this");
    let bad = logs::set_levels("log=loud").unwrap_err().to_string();
    assert!(bad.contains("`log=loud` is no level"), "{bad}");
    assert_eq!(logs::levels(), "warn,log=debug", "a bad text changes nothing");
    logs::set_levels("debug,lgo=info").unwrap();
    assert_eq!(
        written(&file)[1..],
        [
            // The test's own module is `log`, and a name counts for all that begin with it: `logs` too.
            format!("INFO {thread} - log levels are warn,log=debug"),
            format!("DEBUG {thread} - and this"),
            format!("INFO {thread} - log levels are debug,lgo=info"),
            format!("WARN {thread} - nothing is logged by a module `lgo`; `log` is meant?"),
        ]
    );

    assert!(logs::flush());
    let panicked = std::thread::Builder::new()
        .name("worker-7".to_owned())
        .spawn(|| panic!("on purpose"))
        .unwrap()
        .join();
    assert!(panicked.is_err());
    let told = written(&file).remove(5);
    assert!(
        told.starts_with("ERROR broker-a/worker-7 - thread worker-7: panicked at ")
            && told.contains("on purpose"),
        "{told}"
    );

    let moved = dir.path().join("broker.log-20240501");
    std::fs::rename(&file, &moved).unwrap();
    logs::reopen().unwrap();
    tracing::info!("in the new one");
    assert_eq!(written(&file), [format!("INFO {thread} - in the new one")]);
    assert!(written(&moved).len() >= 6);

    let flood = |lines: u32| {
        for number in 0..lines {
            tracing::warn!("the {number}th");
            tracing::info!("not a warning");
        }
    };
    let before = logs::counts();
    flood(5000);
    let after = logs::counts();
    let (said, held_back) = (
        after.warnings - before.warnings,
        after.held_back - before.held_back,
    );
    assert_eq!(said + held_back, 5000);
    assert!((100..=5000 / 4).contains(&said), "{said}");
    let lines = written(&file);
    let warnings = lines.iter().filter(|line| line.starts_with("WARN"));
    assert_eq!(warnings.count() as u64, said);
    let others = lines.iter().filter(|line| line.ends_with("not a warning"));
    assert_eq!(others.count(), 5000, "only warnings and errors are held back");
    // Until the next second the place is silent; then it says what it could not.
    let begun = std::time::Instant::now();
    while !written(&file)
        .iter()
        .any(|line| line.starts_with("WARN") && line.contains(" more from here before)"))
    {
        assert!(begun.elapsed().as_secs() < 10);
        flood(1);
    }
    // Another place has its own.
    tracing::warn!("elsewhere");
    assert!(written(&file).iter().any(|line| line.ends_with("elsewhere")));
}
