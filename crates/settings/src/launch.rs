//! The command line of both servers: RocketMQ's options (ServerUtil, BrokerStartup, NamesrvStartup), and what they lead to.

use crate::load::{Hints, Report, Severity, load, shorten};
use crate::properties::Properties;
use crate::table::{Group, important_text, text};
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
    /// `--log-to`: a directory, or `stdout`.
    pub log_to: Option<String>,
    /// Arguments that are no options, such as `autoCreateTopicEnable=true`.
    pub stray: Vec<String>,
}

/// The server does not start: this text is all there is to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// For the user; ends with a line feed.
    pub text: String,
    /// Exit code of the process. 0 goes with text for stdout, anything else with text for stderr.
    pub code: u8,
}

impl Exit {
    /// Prints the text and gives the code.
    pub fn print(self) -> ExitCode {
        let written = match self.code {
            0 => std::io::stdout().write_all(self.text.as_bytes()),
            _ => std::io::stderr().write_all(self.text.as_bytes()),
        };
        // A reader that went away (`-p | head`) is no reason to say anything else.
        drop(written);
        ExitCode::from(self.code)
    }
}

/// Java ends with -1 where the command line is wrong, -2 where something is missing and -3 where a setting is wrong.
const WRONG_COMMAND_LINE: u8 = 255;
const WRONG_SETTING: u8 = 253;

/// Reads a command line.
///
/// # Errors
/// `-h`, or an option that is not known.
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
                .help("Report everything odd about the file and stop"),
        )
        .arg(
            Arg::new("log-to")
                .long("log-to")
                .value_name("WHERE")
                .help("'stdout', or a directory for log files [default: $HOME/logs/rocketmqlogs, in a container stdout]"),
        )
        .arg(Arg::new("stray").num_args(0..).hide(true));
    let matches = command.try_get_matches_from(args).map_err(|error| Exit {
        text: error.to_string(),
        code: if error.use_stderr() { WRONG_COMMAND_LINE } else { 0 },
    })?;
    let text = |id: &str| matches.get_one::<String>(id).cloned();
    let action = match () {
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
        stray: matches
            .get_many::<String>("stray")
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
    })
}

/// Reads the file that the command line names and reports about stray arguments.
///
/// # Errors
/// The file cannot be read; the text names it.
pub fn read(launch: &Launch, group: &mut dyn Group, hints: &Hints) -> Result<Report, Exit> {
    let mut report = Report::default();
    for stray in &launch.stray {
        let text = format!(
            "argument `{}` has no effect: settings are read from the file that -c names, not from the command line",
            shorten(stray)
        );
        report.add(Severity::Warning, text);
    }
    if let Some(path) = &launch.config_file {
        let bytes = std::fs::read(path).map_err(|error| Exit {
            text: format!("cannot read the configuration file {}: {error}\n", path.display()),
            code: WRONG_COMMAND_LINE,
        })?;
        report
            .findings
            .extend(load(group, &Properties::parse(&bytes), path, hints).findings);
    }
    Ok(report)
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
        return Err(Exit {
            text,
            code: WRONG_SETTING,
        });
    }
    match launch.action {
        Action::PrintAll => Err(Exit {
            text: text(group),
            code: 0,
        }),
        Action::PrintImportant => Err(Exit {
            text: important_text(group),
            code: 0,
        }),
        Action::Serve | Action::Check => Ok(()),
    }
}

fn checked(launch: &Launch, report: &Report) -> Exit {
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
    let summary = format!(
        "{file}: {} errors, {} warnings, {} notes\n",
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note)
    );
    Exit {
        text: format!("{report}{summary}"),
        code: if report.has_errors() { 1 } else { 0 },
    }
}

/// Checks a list of name servers, `host:port` separated by `;`. Names need not resolve now.
///
/// # Errors
/// The text names the part that is wrong and shows a right one, as Java does.
pub fn check_addresses(list: &str) -> Result<(), String> {
    for part in list.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let port = part
            .rsplit_once(':')
            .filter(|(host, _)| !host.is_empty())
            .map(|(_, port)| port);
        if !port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0)) {
            return Err(format!(
                "The Name Server Address[{}] illegal (`{part}` is no host:port), please set it as follows, \
                 \"127.0.0.1:9876;192.168.0.1:9876\"",
                shorten(list)
            ));
        }
    }
    Ok(())
}

/// What to say when a port cannot be listened on: above all the setting that chooses it.
///
/// `purpose` says what the port is for, `setting` which key moves it (`listenPort`, which also moves listenPort - 2).
pub fn bind_failure(purpose: &str, setting: &str, address: &str, error: &std::io::Error) -> String {
    let hint = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "a process listens there already (each broker takes listenPort, listenPort - 2 and listenPort + 1)"
        }
        std::io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege",
        std::io::ErrorKind::AddrNotAvailable => "bindAddress is no address of this host",
        _ => "the system refused it",
    };
    format!("cannot listen on {address} ({purpose}): {error}; {hint}; to move it, change {setting}")
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
    fn help_and_mistakes() {
        let help = parsed("mqbroker -h").unwrap_err();
        assert_eq!(help.code, 0);
        assert!(help.text.contains("--namesrvAddr"), "{}", help.text);
        let mistake = parsed("mqbroker --nope").unwrap_err();
        assert_eq!(mistake.code, WRONG_COMMAND_LINE);
        assert!(mistake.text.contains("--nope"), "{}", mistake.text);
        assert_eq!(parsed("mqbroker -c").unwrap_err().code, WRONG_COMMAND_LINE);
    }

    #[test]
    fn a_taken_port_names_its_setting() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = std::net::TcpListener::bind(address).unwrap_err();
        let text = bind_failure("clients", "listenPort", &address.to_string(), &error);
        assert!(
            text.contains(&address.to_string()) && text.ends_with("to move it, change listenPort"),
            "{text}"
        );
    }

    #[test]
    fn address_lists() {
        for good in ["a:9876", "127.0.0.1:9876;b:1;", "[::1]:9876", "*.*.*.*:9876"] {
            assert_eq!(check_addresses(good), Ok(()), "{good}");
        }
        for bad in ["a", "a:", ":9876", "a:1;b", "a:99999", "a:x", "a:0"] {
            assert!(check_addresses(bad).is_err(), "{bad}");
        }
    }
}
