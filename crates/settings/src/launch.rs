//! The command line of both servers: RocketMQ's options (ServerUtil, BrokerStartup, NamesrvStartup), and what they lead to.

use crate::host;
use crate::load::{Hints, Report, Severity, load, shorten};
use crate::properties::Properties;
use crate::table::{Group, important_text, printed_text};
use clap::{Arg, ArgAction, Command};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to do after reading the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Start the server.
    #[default]
    Serve,
    /// `-p`: print every setting.
    PrintAll,
    /// `-m`: print the important settings.
    PrintImportant,
    /// `--check-config`: report about the file.
    Check,
    /// `--support-bundle`: gather what others need who are to help.
    Bundle,
}

/// A parsed command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// `-c`: the properties file.
    pub config_file: Option<PathBuf>,
    /// `-n`: name servers, `host:port` separated by `;`. Counts more than the file.
    pub namesrv_addr: Option<String>,
    /// What to do.
    pub action: Action,
    /// `--log-to`: a directory, `stdout` or `stderr`.
    pub log_to: Option<String>,
    /// `--support-bundle`: the file to write.
    pub support_bundle: Option<PathBuf>,
    /// Arguments that are no options of this server, such as `autoCreateTopicEnable=true` or `--enable-proxy`.
    pub stray: Vec<String>,
}

/// The server does not start: this text is all there is to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// What was asked for, for stdout; whole lines.
    pub text: String,
    /// What went wrong, for stderr; whole lines.
    pub complaint: String,
    /// Exit code of the process.
    pub code: u8,
}

impl Exit {
    /// Nothing went wrong.
    pub fn fine(text: String) -> Self {
        Self {
            text,
            complaint: String::new(),
            code: 0,
        }
    }

    /// All there is to print is what went wrong.
    pub fn wrong(complaint: String, code: u8) -> Self {
        Self {
            text: String::new(),
            complaint,
            code,
        }
    }

    /// Prints the texts and gives the code.
    pub fn print(self) -> ExitCode {
        let printed = std::io::stdout().write_all(self.text.as_bytes());
        let complained = std::io::stderr().write_all(self.complaint.as_bytes());
        // A reader that went away (`-p | head`) is no reason to say anything else.
        drop((printed, complained));
        ExitCode::from(self.code)
    }
}

/// Java ends with -1 where the command line is wrong, -2 where something is missing and -3 where a setting is wrong.
const WRONG_COMMAND_LINE: u8 = 255;
const WRONG_SETTING: u8 = 253;

/// Reads a command line. What it does not know has no effect and becomes [`Launch::stray`]: start lines of 5.x have options of
/// the proxy.
///
/// # Errors
/// `-h`, or an option without its value.
pub fn parse(
    program: &'static str,
    about: &'static str,
    args: impl IntoIterator<Item = OsString>,
) -> Result<Launch, Exit> {
    let flag = |id: &'static str, short: char, help: &'static str| {
        Arg::new(id)
            .long(id)
            .short(short)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    let command = Command::new(program)
        .about(about)
        .version(concat!(env!("CARGO_PKG_VERSION"), ", serves as RocketMQ 4.9.8"))
        .disable_version_flag(true)
        .arg(
            Arg::new("version")
                .long("version")
                .action(ArgAction::Version)
                .help("Print the version and stop"),
        )
        .override_usage(format!("{program} [OPTIONS]"))
        .arg(Arg::new("configFile").short('c').long("configFile").value_name("FILE").help("Properties file to read"))
        .arg(
            Arg::new("namesrvAddr")
                .short('n')
                .long("namesrvAddr")
                .value_name("LIST")
                .help("Name servers, for example '192.168.0.1:9876;192.168.0.2:9876'"),
        )
        .arg(flag("printConfigItem", 'p', "Print every setting and stop"))
        .arg(flag("printImportantConfig", 'm', "Print the important settings and stop"))
        .arg(
            Arg::new("check-config")
                .long("check-config")
                .action(ArgAction::SetTrue)
                .help("Report everything odd about the file and this host and stop"),
        )
        .arg(
            Arg::new("support-bundle")
                .long("support-bundle")
                .value_name("FILE")
                .help("Write settings without secrets, figures and the ends of logs into FILE (.tar.gz) and stop"),
        )
        .arg(
            Arg::new("log-to")
                .long("log-to")
                .value_name("WHERE")
                .help("'stdout', 'stderr', or a directory for log files [default: $HOME/logs/rocketmqlogs, in a container stdout]"),
        );
    let (known, stray) = sort_out(&command, args);
    let matches = command.try_get_matches_from(known).map_err(|error| {
        let text = error.to_string();
        match error.use_stderr() {
            true => Exit::wrong(text, WRONG_COMMAND_LINE),
            false => Exit::fine(text),
        }
    })?;
    // An empty value, as of a variable that is not set, is none.
    let text = |id: &str| {
        let given = matches.get_one::<String>(id).map(|text| text.trim().to_owned());
        given.filter(|text| !text.is_empty())
    };
    let action = match () {
        () if text("support-bundle").is_some() => Action::Bundle,
        () if matches.get_flag("check-config") => Action::Check,
        () if matches.get_flag("printConfigItem") => Action::PrintAll,
        () if matches.get_flag("printImportantConfig") => Action::PrintImportant,
        () => Action::Serve,
    };
    Ok(Launch {
        config_file: text("configFile").map(PathBuf::from),
        namesrv_addr: text("namesrvAddr"),
        action,
        log_to: text("log-to"),
        support_bundle: text("support-bundle").map(PathBuf::from),
        stray,
    })
}

/// Parts the arguments that `command` knows from the others. `-configFile FILE` is known, too, as in Java.
///
/// In a start line with `--enable-proxy`, `-bc` names the broker's file, and `-pc` and `-pm` are the proxy's own. Without it
/// `-pc FILE` is `-p` and `-c`, as in Java.
fn sort_out(command: &Command, args: impl IntoIterator<Item = OsString>) -> (Vec<OsString>, Vec<String>) {
    let args: Vec<OsString> = args.into_iter().collect();
    let proxy = args.iter().any(|arg| arg == "--enable-proxy");
    let mut args = args.into_iter();
    let mut known: Vec<OsString> = args.next().into_iter().collect();
    let mut stray = Vec::new();
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy().into_owned();
        match (text.as_str(), option(command, &text)) {
            ("-bc", _) if proxy => known.extend([OsString::from("-c")].into_iter().chain(args.next())),
            ("-pc" | "-pm", _) if proxy => {
                let value = args.next().unwrap_or_default();
                stray.push(format!("{text} {}", value.to_string_lossy()));
            }
            (_, Some((option, takes_another))) => {
                known.push(option.into());
                known.extend(takes_another.then(|| args.next()).flatten());
            }
            (_, None) => stray.push(text),
        }
    }
    (known, stray)
}

/// The option as `command` reads it, and whether the next argument is its value.
fn option(command: &Command, text: &str) -> Option<(String, bool)> {
    let takes_value = |arg: &Arg| arg.get_action().takes_values();
    let long = |name: &str| {
        let (name, value) = name
            .split_once('=')
            .map_or((name, None), |(name, value)| (name, Some(value)));
        let arg = command.get_arguments().find(|arg| arg.get_long() == Some(name));
        match (arg, name, value) {
            (Some(arg), name, None) => Some((format!("--{name}"), takes_value(arg))),
            (Some(arg), name, Some(value)) if takes_value(arg) => Some((format!("--{name}={value}"), false)),
            (None, "help", None) => Some(("--help".to_owned(), false)),
            _ => None,
        }
    };
    if let Some(name) = text.strip_prefix("--") {
        return long(name);
    }
    let letters = text.strip_prefix('-').filter(|letters| !letters.is_empty())?;
    let short = |letter: char| {
        command
            .get_arguments()
            .find(|arg| arg.get_short() == Some(letter))
    };
    let alone = |letter| letter == 'h' || short(letter).is_some_and(|arg| !takes_value(arg));
    long(letters).or_else(|| {
        // `-pm` is `-p -m`; a letter that takes a value has what follows it for one, or the next argument.
        let rest = letters.trim_start_matches(alone);
        let Some(last) = rest.chars().next() else {
            return Some((text.to_owned(), false));
        };
        short(last).map(|_| (text.to_owned(), rest.len() == last.len_utf8()))
    })
}

/// Reads the file that the command line names and reports about stray arguments. Where it names none, `kept` is read if it is
/// there: what was changed while a server ran that had no file.
///
/// Unlike Java, which keeps such changes in a file that no start reads.
///
/// # Errors
/// The file cannot be read; the text names it.
pub fn read(
    launch: &Launch,
    group: &mut dyn Group,
    hints: &Hints,
    kept: Option<&Path>,
) -> Result<Report, Exit> {
    let mut report = Report::default();
    for stray in &launch.stray {
        report.add(Severity::Warning, stray_text(stray));
    }
    let kept = kept.filter(|path| path.exists());
    if let Some(path) = kept {
        let file = path.display();
        let text = match launch.config_file {
            None => format!("what was changed while a server ran without -c is read from {file}"),
            Some(_) => format!(
                "{file}, with what was changed while a server ran without -c, is not read: -c is given"
            ),
        };
        report.add(Severity::Note, text);
    }
    if let Some(path) = launch.config_file.as_deref().or(kept) {
        let bytes = host::read_file(path).map_err(|error| {
            let text = format!("cannot read the configuration file {}: {error}\n", path.display());
            Exit::wrong(text, WRONG_COMMAND_LINE)
        })?;
        report.append(read_bytes(&bytes, path, group, hints));
    }
    Ok(report)
}

/// Reads what stands in a file, or what an update is to write there.
pub fn read_bytes(bytes: &[u8], path: &Path, group: &mut dyn Group, hints: &Hints) -> Report {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let mut report = Report::default();
        let text = "the file is written as UTF-16, of which Java reads nothing either; save it as UTF-8";
        report.add_at(Severity::Error, path, 1, text);
        return report;
    }
    load(group, &Properties::parse(bytes), path, hints)
}

fn stray_text(stray: &str) -> String {
    let name = shorten(stray);
    match stray.split([' ', '=']).next().unwrap_or_default() {
        "--enable-proxy" => format!(
            "`{name}` has no effect: the proxy, which gRPC clients need, is not part of this release; clients of the \
             remoting protocol are served"
        ),
        "-pc" | "-pm" => {
            format!("`{name}` has no effect: the proxy is not part of this release")
        }
        option if option.starts_with('-') => {
            format!("option `{name}` is not known and has no effect; -h lists the options")
        }
        _ => format!(
            "argument `{name}` has no effect: settings are read from the file that -c names, not from the command line"
        ),
    }
}

/// For `--check-config` and `--support-bundle`: refuses what can not work, and has `look` add what it finds out about the host. Settings with an error may mean another folder or
/// another address; then only they are told of.
pub fn look_at_host(launch: &Launch, report: &mut Report, look: impl FnOnce(&mut Report)) {
    let looks = matches!(launch.action, Action::Check | Action::Bundle);
    if looks && !report.has_errors() {
        look(report);
    }
    if looks {
        report.refuse_unworkable();
    }
}

/// Decides what comes of settings that were read and completed: `Ok` means serve. Warnings go to stderr here in any case,
/// because a log may not exist yet.
///
/// # Errors
/// The process ends: something was to be printed only, or the settings are wrong.
pub fn decide(launch: &Launch, group: &dyn Group, report: &Report) -> Result<(), Exit> {
    if launch.action == Action::Check {
        return Err(checked(launch, report));
    }
    if report.has_errors() {
        let mut text: String = report
            .at_least(Severity::Warning)
            .map(|finding| format!("{finding}\n"))
            .collect();
        text.push_str("not started: the settings above marked `error` must be mended first\n");
        return Err(Exit::wrong(text, WRONG_SETTING));
    }
    match launch.action {
        Action::PrintAll => Err(Exit::fine(printed_text(group))),
        Action::PrintImportant => Err(Exit::fine(important_text(group))),
        Action::Serve | Action::Check | Action::Bundle => Ok(()),
    }
}

/// What `--check-config` prints, and its exit code. The report is what was asked for, and goes to stdout whole; that there are errors
/// is told on stderr, too.
pub fn checked(launch: &Launch, report: &Report) -> Exit {
    let count = |severity| {
        report
            .findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let file = launch
        .config_file
        .as_deref()
        .unwrap_or(Path::new("(no file)"))
        .display();
    let errors = count(Severity::Error);
    let summary = format!(
        "{file}: {errors} errors, {} warnings, {} notes\n",
        count(Severity::Warning),
        count(Severity::Note)
    );
    let text = format!("{report}{summary}");
    match report.has_errors() {
        false => Exit::fine(text),
        true => Exit {
            text,
            complaint: format!("{file} has {errors} errors: the lines above that begin with `error: `\n"),
            code: 1,
        },
    }
}

/// What to say when a port cannot be listened on: above all the setting that chooses it.
///
/// `purpose` says what the port is for, `setting` which key moves it (`listenPort`, which also moves listenPort - 2).
pub fn bind_failure(purpose: &str, setting: &str, address: &str, error: &std::io::Error) -> String {
    let hint = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!("another process listens there; to move it, change {setting}")
        }
        std::io::ErrorKind::PermissionDenied => format!(
            "ports below 1024 need root or CAP_NET_BIND_SERVICE; to take another one, change {setting}"
        ),
        std::io::ErrorKind::AddrNotAvailable => {
            "this host does not have that address; change bindAddress".to_owned()
        }
        _ => format!("the setting is {setting}"),
    };
    format!("cannot listen on {address} ({purpose}): {error}; {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Launch, Exit> {
        parse(
            "mqbroker",
            "A broker",
            line.split_whitespace().map(OsString::from),
        )
    }

    #[test]
    fn options_of_tutorials() {
        let launch =
            parsed("mqbroker -n localhost:9876 -c ../conf/broker.conf autoCreateTopicEnable=true").unwrap();
        assert_eq!(launch.namesrv_addr.as_deref(), Some("localhost:9876"));
        assert_eq!(
            launch.config_file.as_deref(),
            Some(Path::new("../conf/broker.conf"))
        );
        assert_eq!(launch.stray, ["autoCreateTopicEnable=true"]);
        let launch = parsed("mqbroker autoCreateTopicEnable=true -n a:1;b:2 start --configFile x").unwrap();
        assert_eq!(
            (launch.namesrv_addr.as_deref(), launch.stray.len()),
            (Some("a:1;b:2"), 2)
        );
        assert_eq!(parsed("mqbroker -p").unwrap().action, Action::PrintAll);
        assert_eq!(
            parsed("mqbroker --printImportantConfig").unwrap().action,
            Action::PrintImportant
        );
        assert_eq!(
            parsed("mqbroker --check-config -c f").unwrap().action,
            Action::Check
        );
    }

    #[test]
    fn an_empty_value_is_none() {
        let args = ["mqbroker", "-n", "", "-c", " ", "--log-to", ""].map(OsString::from);
        assert_eq!(parse("mqbroker", "A broker", args), Ok(Launch::default()));
    }

    #[test]
    fn forms_of_options() {
        for line in [
            "mqbroker -c f -n a:1",
            "mqbroker -cf -na:1",
            "mqbroker --configFile=f --namesrvAddr=a:1",
            "mqbroker -configFile f -namesrvAddr a:1",
            "mqbroker -configFile=f -namesrvAddr=a:1",
        ] {
            let launch = parsed(line).unwrap();
            assert_eq!(launch.config_file.as_deref(), Some(Path::new("f")), "{line}");
            assert_eq!(launch.namesrv_addr.as_deref(), Some("a:1"), "{line}");
            assert_eq!(launch.stray, [""; 0], "{line}");
        }
        assert_eq!(parsed("mqbroker -pc f").unwrap().action, Action::PrintAll);
    }

    #[test]
    fn start_lines_of_5_x() {
        let launch = parsed("mqbroker -n a:1 -c b.conf --enable-proxy -pm local").unwrap();
        assert_eq!(launch.config_file.as_deref(), Some(Path::new("b.conf")));
        assert_eq!(launch.stray, ["--enable-proxy", "-pm local"]);
        assert!(stray_text("--enable-proxy").contains("gRPC"));
        let launch = parsed("mqbroker --enable-proxy -bc b.conf").unwrap();
        assert_eq!(launch.config_file.as_deref(), Some(Path::new("b.conf")));
        let launch = parsed("mqbroker --nope=1 -Dx=y -z start -n a:1").unwrap();
        assert_eq!(launch.stray, ["--nope=1", "-Dx=y", "-z", "start"]);
        assert_eq!(launch.namesrv_addr.as_deref(), Some("a:1"));
        assert!(stray_text("--nope=1").contains("`--nope=1` is not known"));
    }

    #[test]
    fn help_and_mistakes() {
        let version = parsed("mqbroker --version").unwrap_err();
        assert_eq!(version.code, 0);
        assert!(
            version.text.contains("serves as RocketMQ 4.9.8"),
            "{}",
            version.text
        );
        for help in ["mqbroker -h", "mqbroker --help"] {
            let help = parsed(help).unwrap_err();
            assert_eq!(help.code, 0);
            assert!(help.text.contains("--namesrvAddr"), "{}", help.text);
        }
        assert_eq!(parsed("mqbroker -c").unwrap_err().code, WRONG_COMMAND_LINE);
    }

    #[test]
    fn a_port_that_cannot_be_had_names_what_to_change() {
        use std::io::{Error, ErrorKind};
        for (kind, parts) in [
            (ErrorKind::AddrInUse, ["another process", "change listenPort"]),
            (
                ErrorKind::PermissionDenied,
                ["CAP_NET_BIND_SERVICE", "change listenPort"],
            ),
            (
                ErrorKind::AddrNotAvailable,
                ["does not have that address", "change bindAddress"],
            ),
            (ErrorKind::Other, ["(clients)", "listenPort"]),
        ] {
            let text = bind_failure("clients", "listenPort", "10.9.9.9:80", &Error::from(kind));
            let all = parts
                .iter()
                .chain(&["10.9.9.9:80"])
                .all(|part| text.contains(part));
            assert!(all && !text.contains("another broker"), "{text}");
        }
    }

    #[test]
    fn a_file_in_utf_16_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let launch = Launch {
            config_file: Some(dir.path().join("b.conf")),
            ..Launch::default()
        };
        crate::settings! {
            /// Nothing.
            struct Nothing, class "Nothing", important [];
        }
        for (bytes, refused) in [
            (&b"\xff\xfea\0=\x001\0"[..], true),
            (b"\xfe\xff\0a", true),
            (b"\xef\xbb\xbfa=1\r\n", false),
        ] {
            std::fs::write(dir.path().join("b.conf"), bytes).unwrap();
            let report = read(&launch, &mut Nothing::default(), &Hints::NONE, None).unwrap();
            assert_eq!(report.has_errors(), refused, "{report}");
        }
    }
}
