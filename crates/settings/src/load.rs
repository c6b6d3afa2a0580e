//! A file applied to a server's settings, and the report about it.

use crate::host;
use crate::nearest::nearest;
use crate::properties::{Entry, Properties};
use crate::table::{Applies, Group, Row};
use crate::value::BadValue;
use std::collections::HashMap;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Looked at, and as it should be.
    Fine,
    /// Worth knowing: a key that does nothing here, an old spelling.
    Note,
    /// Probably not what was meant: an unknown key, a repeated one.
    Warning,
    /// The server starts with it, as Java's does, and can not do what it asks for: `--check-config` refuses it.
    Unworkable,
    /// The server does not start with it.
    Error,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// File and line it is about; a command line has neither.
    pub place: Option<(PathBuf, u32)>,
    /// What was found, with the key, the value and what to do.
    pub text: String,
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Fine => "OK",
            Severity::Note => "note",
            Severity::Warning | Severity::Unworkable => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}: {}", self.said())
    }
}

impl Finding {
    /// The place and the text, for where the severity is told otherwise, as in a log.
    pub fn said(&self) -> String {
        match &self.place {
            Some((file, line)) => format!("{}:{line}: {}", file.display(), self.text),
            None => self.text.clone(),
        }
    }
}

/// Everything found while settings were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Findings in the order of the file.
    pub findings: Vec<Finding>,
    /// Where each key, by today's name, was set last.
    set_at: HashMap<String, (PathBuf, u32)>,
    /// Where keys have placeholders that nobody filled in.
    unfilled: HashMap<String, (PathBuf, u32)>,
}

impl Report {
    /// Adds a finding that no file is to blame for.
    pub fn add(&mut self, severity: Severity, text: impl Into<String>) {
        self.findings.push(Finding {
            severity,
            place: None,
            text: text.into(),
        });
    }

    /// Adds a finding about a line of a file.
    pub fn add_at(&mut self, severity: Severity, file: &Path, line: u32, text: impl Into<String>) {
        self.findings.push(Finding {
            severity,
            place: Some((file.to_owned(), line)),
            text: text.into(),
        });
    }

    /// Adds a finding about a key, with its line if a file sets it.
    pub fn about(&mut self, severity: Severity, key: &str, text: impl Into<String>) {
        self.findings.push(Finding {
            severity,
            place: self.set_at.get(key).or_else(|| self.unfilled.get(key)).cloned(),
            text: text.into(),
        });
    }

    /// Whether all that a file says of a key is a placeholder that nobody filled in.
    pub fn is_unfilled(&self, key: &str) -> bool {
        self.unfilled.contains_key(key) && !self.is_set(key)
    }

    /// Makes errors of what a server starts with and can not work with.
    pub fn refuse_unworkable(&mut self) {
        for finding in &mut self.findings {
            if finding.severity == Severity::Unworkable {
                finding.severity = Severity::Error;
            }
        }
    }

    /// Whether a file sets a key.
    pub fn is_set(&self, key: &str) -> bool {
        self.set_at.contains_key(key)
    }

    /// Takes over what another report found.
    pub fn append(&mut self, other: Report) {
        self.findings.extend(other.findings);
        self.set_at.extend(other.set_at);
        self.unfilled.extend(other.unfilled);
    }

    /// The errors as one text; none, and the server starts.
    ///
    /// # Errors
    /// There are some.
    pub fn no_errors(&self) -> Result<(), String> {
        let errors: Vec<String> = self.at_least(Severity::Error).map(Finding::said).collect();
        match errors.is_empty() {
            true => Ok(()),
            false => Err(errors.join("; ")),
        }
    }

    /// Whether the server must not start.
    pub fn has_errors(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }

    /// Tells the operator: everything in the log, and warnings by `complain` as well, a whole line each: on a terminal that has both,
    /// lines of the log come between its calls.
    pub fn announce(&self, mut complain: impl FnMut(&str)) {
        for finding in &self.findings {
            match finding.severity {
                Severity::Fine | Severity::Note => tracing::info!("{}", finding.said()),
                Severity::Warning | Severity::Unworkable => tracing::warn!("{}", finding.said()),
                Severity::Error => tracing::error!("{}", finding.said()),
            }
            if finding.severity >= Severity::Warning {
                complain(&finding.to_string());
            }
        }
    }

    /// Findings of at least this severity.
    pub fn at_least(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(move |finding| finding.severity >= severity)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings
            .iter()
            .try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

/// A spelling that some release honoured.
#[derive(Clone, Copy, Debug)]
pub struct Alias {
    /// The old spelling.
    pub key: &'static str,
    /// Today's key, or `None` when releases dropped it.
    pub now: Option<&'static str>,
    /// Where it was known.
    pub known_in: &'static str,
}

/// A key that people write and no release reads.
#[derive(Clone, Copy, Debug)]
pub struct NotAKey {
    /// As people write it.
    pub key: &'static str,
    /// What to do instead.
    pub instead: &'static str,
}

/// What a server knows about keys beyond its table.
#[derive(Clone, Copy, Debug)]
pub struct Hints {
    /// Old spellings.
    pub aliases: &'static [Alias],
    /// Keys of tutorials that no release reads.
    pub not_keys: &'static [NotAKey],
}

impl Hints {
    /// No hints.
    pub const NONE: Hints = Hints {
        aliases: &[],
        not_keys: &[],
    };
}

/// Applies a file to settings. The last of repeated keys counts, as in Java. Errors are only in the report: the other keys of
/// the file are applied so that one run reports everything.
///
/// Unlike Java: unknown keys, values that do not parse, repeated keys and old spellings are reported.
pub fn load(group: &mut dyn Group, properties: &Properties, file: &Path, hints: &Hints) -> Report {
    let mut report = Report::default();
    // Where each key (by today's name) was set last, to report what a later line overrides.
    let mut set_at: HashMap<String, (u32, String)> = HashMap::new();
    for entry in &properties.entries {
        if entry.bad_escape {
            let text = format!(
                "`{}`: a `\\u` needs four hexadecimal digits (write a single backslash as `\\\\`); Java refuses this file",
                shorten(&entry.key)
            );
            report.add_at(Severity::Error, file, entry.line, text);
            continue;
        }
        let Some(row) = row_of(group, entry, file, hints, &mut report) else {
            continue;
        };
        let key = row.key;
        if entry.value.is_empty() && !row.takes_nothing() {
            let text = format!("`{key}` has no value; the default counts");
            report.add_at(Severity::Note, file, entry.line, text);
            continue;
        }
        if let Some((line, value)) = set_at.insert(key.to_owned(), (entry.line, entry.value.clone())) {
            // Said twice, as Java's -p says what two of its classes have, it is said all the same.
            let severity = match value == entry.value {
                true => Severity::Note,
                false => Severity::Warning,
            };
            let text = format!(
                "`{key}` was already set to `{}` in line {line}; this line counts",
                shorten(row.told(&value))
            );
            report.add_at(severity, file, entry.line, text);
        }
        report
            .set_at
            .insert(key.to_owned(), (file.to_owned(), entry.line));
        match fill_in(&entry.value, &variable) {
            Some(value) => set(group, row, entry, &value, file, &mut report),
            // Its own reader says what is missing: a default in its place would lie elsewhere.
            None if row.strict => set(group, row, entry, &entry.value, file, &mut report),
            None => {
                let place = report.set_at.remove(key);
                report.unfilled.extend(place.map(|place| (key.to_owned(), place)));
                let text = format!(
                    "`{}={}` looks like a placeholder that was never filled in; the line is not used",
                    entry.key,
                    shorten(row.told(&entry.value))
                );
                report.add_at(Severity::Warning, file, entry.line, text);
            }
        }
    }
    report
}

/// The row that a line is about, by today's key; what is odd about the key is reported.
fn row_of(
    group: &dyn Group,
    entry: &Entry,
    file: &Path,
    hints: &Hints,
    report: &mut Report,
) -> Option<&'static Row> {
    let mut note = |text| report.add_at(Severity::Note, file, entry.line, text);
    let alias = hints.aliases.iter().find(|alias| alias.key == entry.key);
    let key = match alias {
        Some(alias) => {
            note(alias_text(alias));
            alias.now?
        }
        None => entry.key.as_str(),
    };
    let Some(row) = find_row(group, key) else {
        let text = unknown_text(group, hints, entry);
        report.add_at(Severity::Warning, file, entry.line, text);
        return None;
    };
    if row.key != key {
        note(format!(
            "`{key}` is what listings call `{}`; it is read as that",
            row.key
        ));
    }
    Some(row)
}

/// The row that decides how a key is treated: of two sections with the same key, the one that uses it. A name that only
/// listings have (`-p`, getBrokerConfig) finds its row, too: what a server prints, it can read.
pub(crate) fn find_row(group: &dyn Group, key: &str) -> Option<&'static Row> {
    let sections = group.sections();
    let by_key = sections.iter().filter_map(|section| section.row(key));
    let mut rows: Vec<&'static Row> = by_key.collect();
    rows.sort_by_key(|row| !row.is_used());
    let all = sections.iter().flat_map(|section| section.rows());
    let shown = || all.into_iter().find(|row| row.shown == key);
    rows.first().copied().or_else(shown)
}

fn set(group: &mut dyn Group, row: &Row, entry: &Entry, value: &str, file: &Path, report: &mut Report) {
    if row.is_used() && row.java == "String" && entry.comment_behind {
        let text = format!(
            "`{}={}`: {COMMENT_BEHIND}",
            entry.key,
            shorten(row.told(&entry.value))
        );
        report.add_at(Severity::Error, file, entry.line, text);
        return;
    }
    // One key may stand in several of Java's classes; a file sets all of them. Of several refusals that of the section which
    // uses the key tells what is allowed.
    let refusals = group.sections_mut().into_iter().filter_map(|section| {
        let bad = section.set(row.key, value).err()?;
        Some((section.row(row.key).is_some_and(Row::is_used), bad))
    });
    if let Some((_, bad)) = refusals.max_by_key(|(used, _)| *used) {
        let bad = group.allowed(row.key).map_or(bad, BadValue::new);
        let comment = if entry.comment_behind {
            " (a # behind a value starts no comment)"
        } else {
            ""
        };
        let text = format!(
            "bad value of `{}`: `{}`{comment}; {bad}",
            entry.key,
            shorten(row.told(&entry.value))
        );
        report.add_at(Severity::Error, file, entry.line, text);
        return;
    }
    if let Applies::Inert(reason) = row.applies {
        report.add_at(
            Severity::Note,
            file,
            entry.line,
            format!("`{}` has no effect here: {reason}", entry.key),
        );
    }
}

/// What is said of a text with a comment behind it.
pub(crate) const COMMENT_BEHIND: &str = "a # behind a value starts no comment, it belongs to the value; give the comment a line \
                                         of its own, or write \\# where it is no comment";

fn alias_text(alias: &Alias) -> String {
    match alias.now {
        Some(now) => format!(
            "`{}` is an old spelling ({}); it is read as `{now}`, write that from now on",
            alias.key, alias.known_in
        ),
        None => format!(
            "`{}` has no effect: it was known in {}",
            alias.key, alias.known_in
        ),
    }
}

fn unknown_text(group: &dyn Group, hints: &Hints, entry: &Entry) -> String {
    let key = shorten(&entry.key);
    if !entry.key.is_ascii() {
        return format!("`{key}` is no key; a comment starts with #");
    }
    let sections = group.sections();
    let known = sections
        .iter()
        .flat_map(|section| section.rows())
        .map(|row| row.key);
    let aliases = hints.aliases.iter().map(|alias| alias.key);
    let not_keys = hints.not_keys.iter().map(|not_key| not_key.key);
    let head = format!("unknown key `{key}` has no effect");
    let Some(meant) = nearest(&entry.key, known.chain(not_keys).chain(aliases)) else {
        return head;
    };
    match hints.not_keys.iter().find(|not_key| not_key.key == meant) {
        Some(not_key) if not_key.key == entry.key => format!("{head}: {}", not_key.instead),
        Some(not_key) => format!(
            "{head}; it may stand for `{meant}`, which is no key either: {}",
            not_key.instead
        ),
        None => format!("{head}; did you mean {}?", crate::value::OneOf(&[meant])),
    }
}

/// Fills in `${NAME}`. `None`: something was left for the reader of a guide to fill in (`${ip}`, `*.*.*.*`) and nobody has.
///
/// Unlike Java, which takes such texts as they stand: a server that calls itself `${ip}` is reached by nobody.
fn fill_in(value: &str, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    if has_wildcards(value) {
        return None;
    }
    let mut filled = String::new();
    let mut rest = value;
    while let Some((before, name, after)) = rest
        .split_once("${")
        .and_then(|(before, tail)| tail.split_once('}').map(|(name, after)| (before, name, after)))
    {
        filled.push_str(before);
        filled.push_str(&variable(name)?);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

/// Whether two parts of an address are nothing but `*` or `x`: `*.*.*.*`, `192.168.x.x`, `xxx.xxx.xxx.xxx:9876`.
fn has_wildcards(value: &str) -> bool {
    let wild = |part: &&str| !part.is_empty() && part.chars().all(|c| matches!(c, '*' | 'x' | 'X'));
    value
        .split([';', ':', '/'])
        .any(|address| address.split('.').filter(wild).count() >= 2)
}

/// What `${name}` stands for: Java's user.home, or a variable of the environment.
fn variable(name: &str) -> Option<String> {
    match name {
        "user.home" => Some(host::home()?.to_string_lossy().into_owned()),
        name => host::variable(name),
    }
}

/// Long values are cut in messages.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 120;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(LONGEST).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{not_blank, path};

    crate::settings! {
        /// For the test of secrets.
        struct Hidden, class "HiddenConfig", important [];
        /// Secret.
        password: crate::Secret = crate::Secret::default(), java "password", since "4.9", applies AtStart;
    }

    #[test]
    fn a_secret_is_in_no_report() {
        let text = b"password=hunter21\npassword=hunter22\npassword=${hunter23}\npassword=hunter24 # his\n";
        let report = load(
            &mut Hidden::default(),
            &Properties::parse(text),
            Path::new("f"),
            &Hints::NONE,
        );
        let said = report.to_string();
        assert_eq!(report.findings.len(), 5, "{said}");
        assert!(
            said.contains("`password=******`") && !said.contains("hunter"),
            "{said}"
        );
    }

    #[test]
    fn warnings_are_told_in_whole_lines_and_notes_are_not() {
        let mut report = Report::default();
        report.add(Severity::Note, "a note");
        report.add_at(Severity::Warning, Path::new("broker.conf"), 5, "odd");
        report.add(Severity::Error, "wrong");
        let mut told = Vec::new();
        report.announce(|line| told.push(line.to_owned()));
        assert_eq!(told, ["warning: broker.conf:5: odd", "error: wrong"]);
    }

    crate::settings! {
        /// For the tests.
        struct Sample, class "SampleConfig", important ["brokerName"];
        /// Id.
        broker_id: i64 = 0, java "brokerId", since "4.9", applies AtStart, range 0..=i64::MAX;
        /// Name.
        broker_name: String = "host".to_owned(), java "brokerName", since "4.9", applies AtStart, check not_blank;
        /// Batches.
        batch: bool = false, java "batch", since "4.9", applies Live, shown "isBatch";
        /// Size.
        max_message_size: i32 = 4_194_304, java "maxMessageSize", since "4.9", applies Live;
        /// Root.
        root: String = "/default".to_owned(), java "storePathRootDir", since "4.9", applies AtStart, read path;
        /// File size.
        mapped_file_size_commit_log: i32 = 1, java "mappedFileSizeCommitLog", since "4.9", applies AtStart;
        inert {
            "sendMessageThreadPoolNums": i32 = "4", since "4.9", "no pools";
            "dLegerGroup": Option<String> = "null", since "4.9", "no DLedger";
        }
        fixed {
            "aclEnable": bool = "false", since "4.9", "access control is not built yet";
        }
    }

    const HINTS: Hints = Hints {
        aliases: &[Alias {
            key: "mapedFileSizeCommitLog",
            now: Some("mappedFileSizeCommitLog"),
            known_in: "4.0 to 4.5.1",
        }],
        not_keys: &[NotAKey {
            key: "storePathConsumeQueue",
            instead: "it lies under storePathRootDir",
        }],
    };

    fn loaded(text: &str) -> (Sample, String) {
        let mut sample = Sample::default();
        let report = load(
            &mut sample,
            &Properties::parse(text.as_bytes()),
            Path::new("b.conf"),
            &HINTS,
        );
        (sample, report.to_string())
    }

    #[test]
    fn every_kind_of_finding() {
        for (text, expected) in [
            ("brokerId=0", ""),
            (
                "brokerld=0",
                "warning: b.conf:1: unknown key `brokerld` has no effect; did you mean `brokerId`?\n",
            ),
            (
                "\n\nzzz=1",
                "warning: b.conf:3: unknown key `zzz` has no effect\n",
            ),
            (
                "maxMessageBiz=1",
                "warning: b.conf:1: unknown key `maxMessageBiz` has no effect; did you mean `maxMessageSize`?\n",
            ),
            (
                "storrPathConsumeQueue=/x",
                "warning: b.conf:1: unknown key `storrPathConsumeQueue` has no effect; it may stand for \
                 `storePathConsumeQueue`, which is no key either: it lies under storePathRootDir\n",
            ),
            (
                "storePathConsumeQueue=/x",
                "warning: b.conf:1: unknown key `storePathConsumeQueue` has no effect: it lies under storePathRootDir\n",
            ),
            (
                "brokerId=abc",
                "error: b.conf:1: bad value of `brokerId`: `abc`; allowed: 0 to 9223372036854775807\n",
            ),
            (
                "brokerId=-1",
                "error: b.conf:1: bad value of `brokerId`: `-1`; allowed: 0 to 9223372036854775807\n",
            ),
            (
                "brokerId=1\nbrokerId=2",
                "warning: b.conf:2: `brokerId` was already set to `1` in line 1; this line counts\n",
            ),
            (
                "brokerId=1\nbrokerId=1",
                "note: b.conf:2: `brokerId` was already set to `1` in line 1; this line counts\n",
            ),
            (
                "sendMessageThreadPoolNums=8",
                "note: b.conf:1: `sendMessageThreadPoolNums` has no effect here: no pools\n",
            ),
            (
                "文件保留时间",
                "warning: b.conf:1: `文件保留时间` is no key; a comment starts with #\n",
            ),
            (
                "brokerName=${name}",
                "warning: b.conf:1: `brokerName=${name}` looks like a placeholder that was never filled in; the line is \
                 not used\n",
            ),
            (
                "mapedFileSizeCommitLog=7",
                "note: b.conf:1: `mapedFileSizeCommitLog` is an old spelling (4.0 to 4.5.1); it is read as \
                 `mappedFileSizeCommitLog`, write that from now on\n",
            ),
            (
                "aclEnable=true",
                "error: b.conf:1: bad value of `aclEnable`: `true`; allowed: only `false`: access control is not built yet\n",
            ),
            ("aclEnable=false", ""),
            (
                "brokerName=broker-a # the first",
                "error: b.conf:1: `brokerName=broker-a # the first`: a # behind a value starts no comment, it belongs to the \
                 value; give the comment a line of its own, or write \\# where it is no comment\n",
            ),
            ("brokerName=broker-a#1", ""),
            (
                "maxMessageSize=\ndLegerGroup=\nroot=",
                "note: b.conf:1: `maxMessageSize` has no value; the default counts\n\
                 note: b.conf:2: `dLegerGroup` has no value; the default counts\n\
                 warning: b.conf:3: unknown key `root` has no effect\n",
            ),
            (
                "brokerName=",
                "error: b.conf:1: bad value of `brokerName`: ``; allowed: any text but nothing\n",
            ),
            (
                "isBatch=true",
                "note: b.conf:1: `isBatch` is what listings call `batch`; it is read as that\n",
            ),
            (
                "brokerId=1 // first",
                "error: b.conf:1: bad value of `brokerId`: `1 // first` (a # behind a value starts no comment); allowed: 0 to \
                 9223372036854775807\n",
            ),
            (
                "storePathRootDir=${surely.not.set}/store",
                "error: b.conf:1: bad value of `storePathRootDir`: `${surely.not.set}/store`; allowed: a path (the \
                 environment has no `surely.not.set`)\n",
            ),
            (
                "storePathRootDir=\"/data",
                "error: b.conf:1: bad value of `storePathRootDir`: `\"/data`; allowed: a path without quotes\n",
            ),
            ("storePathRootDir=\"/data\"\r\n", ""),
        ] {
            assert_eq!(loaded(text).1, expected, "{text}");
        }
    }

    #[test]
    fn placeholders() {
        let variable = |name: &str| (name == "user.home").then(|| "/home/mq".to_owned());
        for (value, filled) in [
            ("plain", Some("plain")),
            ("${user.home}/store", Some("/home/mq/store")),
            ("a${user.home}b${user.home}", Some("a/home/mqb/home/mq")),
            ("${ip}:9876", None),
            ("*.*.*.*:9876", None),
            ("a:9876;192.168.x.x:9876", None),
            ("xxx.xxx.xxx.xxx", None),
            ("x.example.com:9876", Some("x.example.com:9876")),
            ("*", Some("*")),
            ("$x {y} ${", Some("$x {y} ${")),
        ] {
            assert_eq!(fill_in(value, &variable).as_deref(), filled, "{value}");
        }
    }

    #[test]
    fn values_arrive() {
        let (sample, _) = loaded("brokerId = 3 \nbrokerName=a\nbrokerName=b\nmapedFileSizeCommitLog=7\n");
        assert_eq!((sample.broker_id, sample.broker_name.as_str()), (3, "b"));
        assert_eq!(sample.mapped_file_size_commit_log, 7);
    }

    #[test]
    fn a_finding_about_a_key_has_its_line() {
        let mut sample = Sample::default();
        let file = Properties::parse(b"\nmapedFileSizeCommitLog=7\n");
        let mut report = load(&mut sample, &file, Path::new("b.conf"), &HINTS);
        report.findings.clear();
        report.about(Severity::Error, "mappedFileSizeCommitLog", "too small");
        report.about(Severity::Error, "brokerId", "not set");
        assert_eq!(report.to_string(), "error: b.conf:2: too small\nerror: not set\n");
        assert!(report.is_set("mappedFileSizeCommitLog") && !report.is_set("brokerId"));
    }

    #[test]
    fn printed_forms() {
        let (sample, _) = loaded("sendMessageThreadPoolNums=8\nbrokerName=b\n");
        assert_eq!(
            crate::text(&sample),
            "aclEnable=false\nbrokerId=0\nbrokerName=b\nisBatch=false\nmappedFileSizeCommitLog=1\nmaxMessageSize=4194304\n\
             sendMessageThreadPoolNums=8\nstorePathRootDir=/default\n"
        );
        let printed = crate::printed_text(&sample);
        assert!(
            printed.contains("\ndLegerGroup=\n"),
            "as Java prints null: {printed}"
        );
        assert_eq!(crate::important_text(&sample), "brokerName=b\n");
        // What is printed can be read, and says the same.
        for text in [printed, crate::important_text(&sample)] {
            let (again, report) = loaded(&text);
            assert!(report.lines().all(|line| line.starts_with("note: ")), "{report}");
            assert_eq!(again.broker_name, "b");
        }
    }
}
