//! Drives a RocketMQ-compatible broker with our own client, measures it, and compares it with another.
//!
//! `benchmark producer -n 127.0.0.1:9876 -t TopicTest -w 16 -i 16 -s 1024` loads any broker; with `--pid` it tells the CPU
//! time and memory of that process as well. `benchmark compare` starts the Java broker and ours with the same settings
//! and loads them in turns.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod compare;
mod histogram;
mod load;
mod process;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};
use load::{Kind, Load};

fn number(id: &'static str, short: char, default: &'static str, help: &'static str) -> Arg {
    Arg::new(id)
        .long(id)
        .short(short)
        .default_value(default)
        .value_parser(value_parser!(u64))
        .help(help)
}

fn command() -> Command {
    let load = |name: &'static str, about: &'static str| {
        Command::new(name)
            .about(about)
            .arg(
                Arg::new("namesrv")
                    .short('n')
                    .long("namesrv")
                    .default_value("127.0.0.1:9876")
                    .help("Name servers"),
            )
            .arg(
                Arg::new("topic")
                    .short('t')
                    .long("topic")
                    .default_value("BenchmarkTest")
                    .help("Topic"),
            )
            .arg(number("connections", 'w', "16", "Connections"))
            .arg(number(
                "in-flight",
                'i',
                "16",
                "Requests in flight on each connection",
            ))
            .arg(number("size", 's', "1024", "Bytes of a body"))
            .arg(number("batch", 'b', "1", "Messages of one request"))
            .arg(number("rate", 'r', "0", "Messages a second; 0: as many as go"))
            .arg(number("seconds", 'd', "10", "Seconds that are measured"))
            .arg(number("warm-up", 'u', "3", "Seconds before"))
            .arg(number(
                "pid",
                'p',
                "0",
                "Process to tell the CPU time and memory of",
            ))
    };
    Command::new("benchmark")
        .subcommand_required(true)
        .subcommand(load("producer", "Sends"))
        .subcommand(load("consumer", "Pulls what is in the topic, over and over"))
        .subcommand(load(
            "latency",
            "Sends at a rate and measures until a long-polling consumer has the message",
        ))
        .subcommand(
            Command::new("compare")
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
                ),
        )
}

fn load_of(matches: &ArgMatches, kind: Kind) -> Load {
    let number = |id: &str| matches.get_one::<u64>(id).copied().unwrap_or_default();
    let text = |id: &str| matches.get_one::<String>(id).cloned().unwrap_or_default();
    Load {
        kind,
        namesrv: text("namesrv"),
        topic: text("topic"),
        connections: number("connections").max(1) as usize,
        in_flight: number("in-flight").max(1) as usize,
        size: number("size") as usize,
        batch: number("batch").max(1) as usize,
        rate: number("rate"),
        warm_up: Duration::from_secs(number("warm-up")),
        measured: Duration::from_secs(number("seconds").max(1)),
        pid: u32::try_from(number("pid")).ok().filter(|pid| *pid > 0),
    }
}

fn main() -> ExitCode {
    let matches = command().get_matches();
    let Some((name, arguments)) = matches.subcommand() else {
        return ExitCode::FAILURE;
    };
    let kind = match name {
        "producer" => Kind::Send,
        "consumer" => Kind::Pull,
        "latency" => Kind::EndToEnd,
        _ => return compare::run(arguments),
    };
    match load_of(arguments, kind).run() {
        Ok(result) => {
            println!("{}", result.text());
            ExitCode::SUCCESS
        }
        Err(e) => {
            println!("{e}");
            ExitCode::FAILURE
        }
    }
}
