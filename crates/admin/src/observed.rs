//! What a process on this host has used, from `/proc`.

use std::time::Duration;

/// Ticks of `/proc/PID/stat` in a second: USER_HZ, which Linux fixes at 100.
const TICKS_A_SECOND: u64 = 100;

/// Use of a process so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// Time on a CPU, in user and kernel mode.
    pub cpu: Duration,
    /// Most memory it ever had resident, bytes.
    pub peak_bytes: u64,
}

/// Looks at a process; the error says what is missing.
pub fn used(pid: u32) -> Result<Used, String> {
    let read = |file: &str| {
        let path = format!("/proc/{pid}/{file}");
        std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))
    };
    parse(&read("stat")?, &read("status")?)
        .ok_or_else(|| format!("/proc/{pid}/stat or status is not as expected"))
}

fn parse(stat: &str, status: &str) -> Option<Used> {
    // The second field is the program's name in brackets and may hold blanks; utime and stime are the 14th and 15th.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let all = ticks()? + ticks()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let cpu = Duration::from_millis(all * 1000 / TICKS_A_SECOND);
    Some(Used {
        cpu,
        peak_bytes: kib * 1024,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 120 30 0 0 20";
        let status = "Name:\tx\nVmHWM:\t    2048 kB\n";
        let expected = Used {
            cpu: Duration::from_millis(1500),
            peak_bytes: 2 << 20,
        };
        assert_eq!(parse(stat, status), Some(expected));
        assert_eq!(parse("", status), None);
        assert!(used(std::process::id()).is_ok());
    }
}
