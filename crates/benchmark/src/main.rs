//! Compares our broker with Java's: starts both with the same settings and loads them in turns with our own client.
//!
//! To load one broker, whichever it is, there is `mqadmin --class org.apache.rocketmq.example.benchmark.Producer`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod compare;
mod load;

use std::process::ExitCode;

use clap::{Arg, Command, value_parser};

fn main() -> ExitCode {
    let number = |id: &'static str, short: char, default: &'static str, help: &'static str| {
        let arg = Arg::new(id)
            .long(id)
            .short(short)
            .default_value(default)
            .help(help);
        arg.value_parser(value_parser!(u64))
    };
    let matches = Command::new("benchmark")
        .about("Ours beside Java's, in turns, with the same settings")
        .arg(
            Arg::new("java")
                .long("java")
                .default_value("4.9.7")
                .help("Version of the Java broker"),
        )
        .arg(number("rounds", 'k', "2", "Rounds of each"))
        .arg(number("seconds", 'd', "10", "Seconds of each measurement"))
        .arg(
            Arg::new("only")
                .long("only")
                .default_value("")
                .help("Only rows whose name contains this"),
        )
        .get_matches();
    compare::run(&matches)
}
