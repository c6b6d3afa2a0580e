//! The command line of `mqadmin`, which `bin/tools.sh` calls with `--class` and a Java class name.

use crate::quickstart;
use clap::{Arg, Command};
use std::ffi::OsString;
use std::process::ExitCode;

/// The classes that tutorials start.
const PRODUCER: &str = "org.apache.rocketmq.example.quickstart.Producer";
const CONSUMER: &str = "org.apache.rocketmq.example.quickstart.Consumer";

/// Runs a command line and gives the process's exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = Command::new("mqadmin")
        .about("RocketMQ programs")
        .arg_required_else_help(true)
        .arg(
            Arg::new("class")
                .long("class")
                .value_name("CLASS")
                .required(true)
                .value_parser([PRODUCER, CONSUMER])
                .help("Program to run, by its Java class"),
        )
        .arg(
            Arg::new("namesrvAddr")
                .short('n')
                .long("namesrvAddr")
                .value_name("LIST")
                .help(
                    "Name servers, for example '192.168.0.1:9876;192.168.0.2:9876' [default: $NAMESRV_ADDR]",
                ),
        )
        // Tutorials and scripts add what the Java programs ignore as well.
        .arg(Arg::new("ignored").num_args(0..).hide(true));
    let matches = match command.try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            // A closed terminal is no reason for another exit code.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 1 } else { 0 });
        }
    };
    let given = matches.get_one::<String>("namesrvAddr").cloned();
    let namesrv = given
        .or_else(|| std::env::var("NAMESRV_ADDR").ok())
        .unwrap_or_default();
    let class = matches
        .get_one::<String>("class")
        .map_or(PRODUCER, String::as_str);
    match quickstart::run(class == CONSUMER, &namesrv) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            quickstart::complain(&why);
            ExitCode::FAILURE
        }
    }
}
