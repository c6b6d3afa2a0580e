//! What the kernel says about this process, for the page of state.

use rustix::process::{Resource, getrlimit};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::time::Instant;

/// The page's lines that every server has: time since `started`, memory, descriptors, log levels, and threads by name with
/// what they do.
pub fn page(started: Instant) -> String {
    let mut page = String::new();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = |name: &str| field(&status, name).unwrap_or("unknown");
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or_else(|| "any number".to_owned(), |limit| limit.to_string());
    // Writing to a String cannot fail.
    let _ = writeln!(
        page,
        "pid {}, up {} s",
        std::process::id(),
        started.elapsed().as_secs()
    );
    let _ = writeln!(
        page,
        "memory {} (at most {} so far)",
        value("VmRSS"),
        value("VmHWM")
    );
    let _ = writeln!(page, "open files {open} of {limit}");
    let _ = writeln!(page, "log levels {}", logs::levels());
    let _ = writeln!(page, "log lines dropped {}", logs::dropped());
    for ((name, doing), count) in threads() {
        let _ = writeln!(page, "thread {name}: {count} {doing}");
    }
    page
}

pub(crate) fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.map(str::trim)
}

/// How many threads of a kind do what.
fn threads() -> BTreeMap<(String, &'static str), usize> {
    let mut threads = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        // A thread may end meanwhile.
        let Ok(stat) = fs::read_to_string(task.path().join("stat")) else {
            continue;
        };
        if let Some(thread) = kind_of(&stat) {
            *threads.entry(thread).or_default() += 1;
        }
    }
    threads
}

/// A thread's name without its number, and what it does.
fn kind_of(stat: &str) -> Option<(String, &'static str)> {
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let doing = match after.split_whitespace().next()? {
        "R" => "running",
        "S" => "waiting",
        "D" => "waiting for the disk",
        "T" | "t" => "stopped",
        _ => "ending",
    };
    let numbered = |(kind, number): &(&str, &str)| {
        !kind.is_empty() && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let (kind, _) = name.rsplit_once('-').filter(numbered).unwrap_or((name, ""));
    Some((kind.to_owned(), doing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_of_memory_files_and_threads() {
        let page = page(Instant::now());
        for part in ["memory ", " kB", "open files ", "log levels info", "thread "] {
            assert!(page.contains(part), "{page}");
        }
    }

    #[test]
    fn threads_by_what_they_do() {
        assert_eq!(
            kind_of("7 (flush) D 1 7"),
            Some(("flush".to_owned(), "waiting for the disk"))
        );
        for (name, kind) in [
            ("a) b", "a) b"),
            ("lane-pull-32", "lane-pull"),
            ("worker-1", "worker"),
            ("mq-", "mq-"),
            ("-1", "-1"),
            ("rocket-mq", "rocket-mq"),
        ] {
            let found = kind_of(&format!("7 ({name}) S 1 7"));
            assert_eq!(found, Some((kind.to_owned(), "waiting")));
        }
        assert_eq!(kind_of("nonsense"), None);
    }
}
