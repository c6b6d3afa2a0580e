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
    for ((name, doing), count) in threads() {
        let _ = writeln!(page, "thread {name}: {count} {doing}");
    }
    page
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.map(str::trim)
}

/// How many threads of a name do what.
fn threads() -> BTreeMap<(String, &'static str), usize> {
    let mut threads = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        // A thread may end meanwhile.
        let Ok(stat) = fs::read_to_string(task.path().join("stat")) else {
            continue;
        };
        if let Some(thread) = thread_of(&stat) {
            *threads.entry(thread).or_default() += 1;
        }
    }
    threads
}

fn thread_of(stat: &str) -> Option<(String, &'static str)> {
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let doing = match after.split_whitespace().next()? {
        "R" => "running",
        "S" => "waiting",
        "D" => "waiting for the disk",
        "T" | "t" => "stopped",
        _ => "ending",
    };
    Some((name.to_owned(), doing))
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
            thread_of("7 (flush) D 1 7"),
            Some(("flush".to_owned(), "waiting for the disk"))
        );
        assert_eq!(thread_of("7 (a) b) S 1 7"), Some(("a) b".to_owned(), "waiting")));
        assert_eq!(thread_of("nonsense"), None);
    }
}
