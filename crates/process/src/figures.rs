//! What the kernel counts of this process, under the names that every Prometheus client gives it.

use metrics::{Exposition, Source};
use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells it, and how many lines the log has dropped.
pub struct ProcessFigures {
    started_s: f64,
}

impl Default for ProcessFigures {
    /// Of a process that starts now.
    fn default() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started_s: now.as_secs_f64(),
        }
    }
}

impl Source for ProcessFigures {
    fn write(&self, to: &mut Exposition<'_>) {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        if let Some(cpu_s) = cpu_seconds(&stat, clock_ticks_per_second()) {
            to.counter(
                "process_cpu_seconds_total",
                "Processor time, of the user and the system.",
            )
            .value(&[], cpu_s);
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        for (name, help, field) in [
            ("process_resident_memory_bytes", "Memory in use.", "VmRSS"),
            ("process_virtual_memory_bytes", "Addresses in use.", "VmSize"),
        ] {
            if let Some(kib) = kib(&status, field) {
                to.gauge(name, help).value(&[], kib * 1024.0);
            }
        }
        let threads = crate::state::field(&status, "Threads").and_then(|count| count.parse::<f64>().ok());
        if let Some(threads) = threads {
            to.gauge("process_threads", "Threads.").value(&[], threads);
        }
        let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        to.gauge("process_open_fds", "Open files.")
            .value(&[], open as f64);
        if let Some(limit) = getrlimit(Resource::Nofile).current {
            to.gauge("process_max_fds", "Limit of open files.")
                .value(&[], limit as f64);
        }
        to.gauge(
            "process_start_time_seconds",
            "When the process was started, seconds since 1970.",
        )
        .value(&[], self.started_s);
        to.counter(
            "rocketmq_log_lines_dropped_total",
            "Lines of the log that were dropped because what they are written to does not keep up.",
        )
        .value(&[], logs::dropped() as f64);
        let counts = logs::counts();
        let mut family = to.counter(
            "rocketmq_log_lines_total",
            "Lines of the log that tell of something wrong, by level.",
        );
        family.value(&[("level", "error")], counts.errors as f64);
        family.value(&[("level", "warn")], counts.warnings as f64);
        to.counter(
            "rocketmq_log_lines_held_back_total",
            "Lines that were held back because the same was said within the second.",
        )
        .value(&[], counts.held_back as f64);
    }
}

fn kib(status: &str, name: &str) -> Option<f64> {
    let value = crate::state::field(status, name)?;
    value.strip_suffix(" kB")?.trim().parse().ok()
}

/// Seconds on a processor in a line of `/proc/PID/stat`; the name before them may hold blanks and brackets.
fn cpu_seconds(stat: &str, ticks_per_second: u64) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / ticks_per_second as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_and_memory_are_read() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 1 0 1";
        assert_eq!(cpu_seconds(stat, 100), Some(3.0));
        assert_eq!(cpu_seconds("", 100), None);
        assert_eq!(kib("VmRSS:\t  1024 kB\n", "VmRSS"), Some(1024.0));
    }

    #[test]
    fn a_process_tells_of_itself() {
        let mut registry = metrics::Registry::new(&[], 9);
        registry.add(ProcessFigures::default());
        let text = registry.text();
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "process_threads",
        ] {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            let value: f64 = line.and_then(|value| value.parse().ok()).expect(name);
            assert!(value >= 0.0, "{name} {value}");
        }
    }
}
