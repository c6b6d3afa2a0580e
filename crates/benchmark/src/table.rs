//! The table: printed line by line as it comes, and written into `docs/benchmarks.md` between its two marks. What was measured again
//! there goes, the rest stays under the command that measured it.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use crate::rows::Goal;

const BEGIN: &str = "<!-- comparison: written by the command in it, do not edit -->";
const END: &str = "<!-- comparison: end -->";

/// A figure of a row.
pub(crate) struct Line {
    pub(crate) row: String,
    pub(crate) figure: &'static str,
    /// Java's of each version, then ours.
    pub(crate) values: Vec<f64>,
    /// Ours / the first Java's.
    pub(crate) ratio: f64,
    /// What a bare loop on the same device reaches.
    pub(crate) device: Option<f64>,
    pub(crate) goal: Option<Goal>,
}

impl Line {
    /// A line whose ratio is that of its values.
    pub(crate) fn of(
        row: impl Into<String>,
        figure: &'static str,
        values: Vec<f64>,
        goal: Option<Goal>,
    ) -> Line {
        let ratio = match (values.first(), values.last()) {
            (Some(java), Some(ours)) if java.is_finite() => ours / java,
            _ => f64::NAN,
        };
        Line {
            row: row.into(),
            figure,
            values,
            ratio,
            device: None,
            goal,
        }
    }

    fn text(&self) -> String {
        let values: Vec<String> = self.values.iter().map(|value| number(*value)).collect();
        let ours = self.values.last().copied().unwrap_or(f64::NAN);
        let (goal, reached) = match self.goal {
            Some(goal) if goal.is_reached(ours, self.ratio, self.device) => (goal.text(), "yes"),
            Some(goal) => (goal.text(), "no"),
            None => (String::new(), ""),
        };
        let device = self.device.map_or_else(String::new, number);
        let ratio = if self.values.len() > 1 {
            number(self.ratio)
        } else {
            String::new()
        };
        format!(
            "| {} | {} | {} | {ratio} | {device} | {goal} | {reached} |",
            self.row,
            self.figure,
            values.join(" | ")
        )
    }
}

/// Three digits that mean something, and every digit before the point.
fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "–".to_owned();
    }
    if size >= 100.0 {
        return format!("{value:.0}");
    }
    if size >= 10.0 {
        return format!("{value:.1}");
    }
    if size >= 1.0 {
        return format!("{value:.2}");
    }
    format!("{value:.3}")
}

/// Lines so far.
pub(crate) struct Table {
    head: String,
    has_goals: bool,
    lines: Vec<String>,
    /// The machine's load average before anything was started: what else it was doing.
    load_before: String,
}

impl Table {
    /// `sides`: whose columns they are; without `has_goals` that column stays empty.
    pub(crate) fn new(sides: &[String], has_goals: bool) -> Table {
        let head = format!(
            "| load | figure | {} | ours / {} | machine alone | goal | reached |\n|{}\n",
            sides.join(" | "),
            sides.first().map_or("", String::as_str),
            "---|".repeat(sides.len() + 6)
        );
        print!("{head}");
        Table {
            head,
            has_goals,
            lines: Vec::new(),
            load_before: read("/proc/loadavg")
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned(),
        }
    }

    pub(crate) fn add(&mut self, lines: Vec<Line>) {
        for mut line in lines {
            if !self.has_goals {
                line.goal = None;
            }
            let line = line.text();
            println!("{line}");
            self.lines.push(line);
        }
    }

    /// Writes it into the page, in the place of what the page has of the same rows.
    pub(crate) fn write(&self, command: &str) -> io::Result<()> {
        let path = page();
        let text = std::fs::read_to_string(&path)?;
        let table = format!(
            "{}\n\n{}{}\n",
            self.made(command),
            self.head,
            self.lines.join("\n")
        );
        let text = replaced(&text, &table)
            .ok_or_else(|| io::Error::other(format!("{} has no lines {BEGIN} and {END}", path.display())))?;
        std::fs::write(&path, text)?;
        println!("written to {}", path.display());
        Ok(())
    }

    /// Machine, date and command.
    fn made(&self, command: &str) -> String {
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':'))
                .map_or_else(String::new, |(_, v)| v.trim().to_owned())
        };
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let memory_kib: f64 = field(&read("/proc/meminfo"), "MemTotal")
            .trim_end_matches(" kB")
            .parse()
            .unwrap_or(f64::NAN);
        let date = said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]);
        let commit = said("git", &["rev-parse", "--short", "HEAD"]);
        format!(
            "`{command}` on {cores} cores ({}), {:.0} GiB of memory, Linux {}, {}; {date}, commit {commit}; load average before it {}.",
            field(&read("/proc/cpuinfo"), "model name"),
            memory_kib / f64::from(1 << 20),
            read("/proc/sys/kernel/osrelease")
                .split(['-', '\n'])
                .next()
                .unwrap_or_default(),
            said("java", &["--version"]),
            self.load_before,
        )
    }
}

fn page() -> PathBuf {
    cluster::repository().join("docs/benchmarks.md")
}

/// `text` with `table` between the marks, behind what is there of other rows.
fn replaced(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (kept, after) = rest.split_once(END)?;
    let measured: BTreeSet<&str> = table.lines().filter_map(row_of).collect();
    let mut tables: Vec<String> = kept
        .split("\n`")
        .filter_map(|table| without(table.trim(), &measured))
        .collect();
    tables.push(table.trim().trim_start_matches('`').to_owned());
    let tables = tables.join("\n\n`");
    Some(format!("{before}{BEGIN}\n`{tables}\n\n{END}{after}"))
}

/// A table without its lines of these rows; none if nothing is left.
fn without(table: &str, rows: &BTreeSet<&str>) -> Option<String> {
    let is_left = |line: &&str| row_of(line).is_none_or(|row| !rows.contains(row));
    let left: Vec<&str> = table.lines().filter(is_left).collect();
    left.iter()
        .any(|line| row_of(line).is_some())
        .then(|| left.join("\n"))
}

/// The row that a line of a table is about; none for its head.
fn row_of(line: &str) -> Option<&str> {
    let (row, _) = line.strip_prefix("| ")?.split_once(" |")?;
    (row != "load").then_some(row)
}

/// The first line a program prints.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(program)
        .args(arguments)
        .current_dir(cluster::repository())
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(command: &str, rows: &[&str]) -> String {
        let rows: Vec<String> = rows.iter().map(|row| format!("| {row} | 1 |")).collect();
        format!(
            "`{command}` on 2 cores.\n\n| load | ours |\n|---|---|\n{}\n",
            rows.join("\n")
        )
    }

    #[test]
    fn rows_that_were_measured_again_are_replaced_and_others_stay() {
        let page = |tables: &[String]| format!("a\n{BEGIN}\n{}\n{END}\nb\n", tables.join("\n"));
        let first = replaced(&page(&["old\n".to_owned()]), &table("one", &["send", "pull"])).unwrap();
        assert_eq!(first, page(&[table("one", &["send", "pull"])]));
        let second = replaced(&first, &table("two", &["pull", "start"])).unwrap();
        assert_eq!(
            second,
            page(&[table("one", &["send"]), table("two", &["pull", "start"])])
        );
        let third = replaced(&second, &table("three", &["send", "pull", "start"])).unwrap();
        assert_eq!(third, page(&[table("three", &["send", "pull", "start"])]));
        assert_eq!(replaced("a\nb\n", &table("one", &["send"])), None);
    }

    #[test]
    fn a_goal_that_needs_the_device_is_not_reached_without_it() {
        let mut line = Line::of("r", "f", vec![10.0, 95.0], Some(Goal::OfDevice(0.9)));
        assert_eq!(
            line.text(),
            "| r | f | 10.0 | 95.0 | 9.50 |  | ≥ 90 % of the device | no |"
        );
        line.device = Some(100.0);
        assert_eq!(
            line.text(),
            "| r | f | 10.0 | 95.0 | 9.50 | 100 | ≥ 90 % of the device | yes |"
        );
    }
}
