//! Compares our servers with Java's: starts both with the same settings, loads them in turns with the same bytes, and writes
//! the table of `docs/benchmarks.md`.
//!
//! To load one broker, whichever it is, there is `mqadmin --class org.apache.rocketmq.example.benchmark.Producer`.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a program that measures")]
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod broker;
mod compare;
mod device;
mod frames;
mod guarded;
mod idle;
mod load;
mod page_cache;
mod replication;
mod rows;
mod scrape;
mod slow;
mod starts;
mod steady;
mod table;

use std::io;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use cluster::Flavour;
use compare::Plan;
use table::Table;

fn command() -> Command {
    let number = |id: &'static str, short: char, default: &'static str, help: &'static str| {
        let arg = Arg::new(id)
            .long(id)
            .short(short)
            .default_value(default)
            .help(help);
        arg.value_parser(value_parser!(u64))
    };
    let java = Arg::new("java")
        .long("java")
        .action(ArgAction::Append)
        .value_parser(["4.9.7", "5.3.3"]);
    let only = Arg::new("only").long("only").action(ArgAction::Append);
    Command::new("benchmark")
        .about("Ours beside Java's, in turns, with the same settings")
        .arg(java.help("Version of Java's servers, 4.9.7 unless given; may be given twice"))
        .arg(number("rounds", 'k', "2", "Rounds of each"))
        .arg(number("seconds", 'd', "4", "Seconds of each measurement"))
        .arg(
            Arg::new("as-found")
                .long("as-found")
                .action(ArgAction::SetTrue)
                .help("Do not fill the page cache before the loads that write"),
        )
        .arg(
            Arg::new("earlier")
                .long("earlier")
                .value_name("FOLDER")
                .help("Compare with the namesrv and broker there; without --java, only with them"),
        )
        .arg(only.help("Only rows whose name contains this; may be given more than once"))
        .arg(
            Arg::new("write")
                .long("write")
                .action(ArgAction::SetTrue)
                .help("Write the rows into docs/benchmarks.md, in the place of what it has of them"),
        )
}

fn plan(matches: &ArgMatches) -> Plan {
    let number = |id: &str| matches.get_one::<u64>(id).copied().unwrap_or_default().max(1);
    let texts = |id: &str| -> Vec<String> {
        matches
            .get_many::<String>(id)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    };
    let mut java: Vec<&'static str> = texts("java")
        .iter()
        .map(|version| if version == "5.3.3" { "5.3.3" } else { "4.9.7" })
        .collect();
    let earlier = matches.get_one::<String>("earlier");
    if java.is_empty() && earlier.is_none() {
        java.push("4.9.7");
    }
    let java = java
        .iter()
        .map(|version| (format!("Java {version}"), Flavour::Java(version)));
    // The servers run in folders of their own.
    let earlier = earlier.map(|folder| {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.into());
        let folder = folder.display().to_string();
        ("earlier".to_owned(), Flavour::Earlier(folder.leak()))
    });
    Plan {
        others: java.chain(earlier).collect(),
        rounds: number("rounds"),
        seconds: number("seconds"),
        as_found: matches.get_flag("as-found"),
        only: texts("only"),
    }
}

/// Measures the rows of one kind that are wanted.
type Part = fn(&Plan, &mut Table) -> io::Result<()>;

fn run(plan: &Plan, write: bool) -> io::Result<()> {
    let names: Vec<String> = plan.sides().into_iter().map(|(name, _)| name).collect();
    // The goals are about Java.
    let has_goals = matches!(plan.others.first(), Some((_, Flavour::Java(_))));
    let mut table = Table::new(&names, has_goals);
    let parts: [(&str, Part); 8] = [
        ("loads", compare::run),
        ("signatures and TLS", guarded::run),
        ("starts", starts::run),
        ("requests that take long", slow::run),
        ("steady loads", steady::run),
        ("replication", replication::run),
        ("idle connections", idle::run),
        ("a scrape", scrape::run),
    ];
    // What one of them could not measure keeps none of the others from it.
    let mut failed = Vec::new();
    for (name, part) in parts {
        if let Err(e) = part(plan, &mut table) {
            println!("{name} ended early: {e}");
            failed.push(name);
        }
    }
    if write {
        let arguments: Vec<String> = std::env::args().skip(1).map(quoted).collect();
        table.write(&format!(
            "cargo run --release -p benchmark -- {}",
            arguments.join(" ")
        ))?;
    }
    match failed[..] {
        [] => Ok(()),
        _ => Err(io::Error::other(format!("not whole: {}", failed.join(", ")))),
    }
}

fn quoted(argument: String) -> String {
    if argument.contains(' ') {
        format!("\"{argument}\"")
    } else {
        argument
    }
}

fn main() -> ExitCode {
    let matches = command().get_matches();
    match run(&plan(&matches), matches.get_flag("write")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            println!("the comparison: {e}");
            ExitCode::FAILURE
        }
    }
}
