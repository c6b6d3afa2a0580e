//! The command line of `mqadmin`, which `bin/tools.sh` calls with `--class` and a Java class name.

use crate::{benchmark, check_store, explain_acl, output, quickstart};
use clap::{Arg, ArgMatches, Command};
use std::ffi::OsString;
use std::process::ExitCode;

/// A program by the name of the Java class that tutorials start.
struct Program {
    class: &'static str,
    about: &'static str,
    arguments: fn() -> Vec<Arg>,
    run: fn(&ArgMatches, &str) -> Result<(), String>,
}

const PROGRAMS: [Program; 5] = [
    Program {
        class: "org.apache.rocketmq.example.quickstart.Producer",
        about: "sends 1000 messages to TopicTest",
        arguments: Vec::new,
        run: |_, namesrv| quickstart::run(false, namesrv),
    },
    Program {
        class: "org.apache.rocketmq.example.quickstart.Consumer",
        about: "prints the messages of TopicTest until it is stopped",
        arguments: Vec::new,
        run: |_, namesrv| quickstart::run(true, namesrv),
    },
    Program {
        class: "org.apache.rocketmq.example.benchmark.Producer",
        about: "measures sending",
        arguments: benchmark::producer_arguments,
        run: benchmark::produce,
    },
    Program {
        class: "org.apache.rocketmq.example.benchmark.BatchProducer",
        about: "measures sending in batches",
        arguments: benchmark::batch_producer_arguments,
        run: benchmark::produce,
    },
    Program {
        class: "org.apache.rocketmq.example.benchmark.Consumer",
        about: "measures consuming",
        arguments: benchmark::consumer_arguments,
        run: benchmark::consume,
    },
];

fn usage() -> String {
    let known: String = PROGRAMS
        .iter()
        .map(|program| format!("  {}\n      {}\n", program.class, program.about))
        .collect();
    format!(
        "Usage: mqadmin checkStore -d DIR [-l COMMITLOG_DIRS] [--dump]\n       mqadmin explainAcl -b BROKER -u USER -a IP -r RESOURCE -o ACTION\n       mqadmin --class CLASS [ARGUMENTS]\n\nClasses:\n{known}"
    )
}

/// Runs a command line and gives the process's exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter().skip(1);
    let first = args.next();
    if first.as_ref().is_some_and(|command| command == "checkStore") {
        return check_store::run(args);
    }
    if first.as_ref().is_some_and(|command| command == "explainAcl") {
        return explain_acl::run(args);
    }
    let class = first.as_ref().filter(|option| *option == "--class");
    let class = class.and_then(|_| args.next());
    let program = PROGRAMS
        .iter()
        .find(|program| class.as_ref().is_some_and(|class| class == program.class));
    let Some(program) = program else {
        if first
            .as_ref()
            .is_some_and(|word| word == "-h" || word == "--help" || word == "help")
        {
            output::print(&usage());
            return ExitCode::SUCCESS;
        }
        if first.as_ref().is_some_and(|word| word == "--version") {
            output::print(concat!("mqadmin ", env!("CARGO_PKG_VERSION")));
            return ExitCode::SUCCESS;
        }
        let unknown = match (&first, &class) {
            (_, Some(class)) => format!("There is no program for the class {}.\n", class.display()),
            (Some(word), None) if word != "--class" => format!(
                "There is no command {}.\nAdministration commands are in the mqadmin of a RocketMQ release, which works with these servers.\n",
                word.display()
            ),
            _ => String::new(),
        };
        output::complain(&format!("{unknown}{}", usage()));
        return ExitCode::FAILURE;
    };
    let command = Command::new(program.class)
        .about(program.about)
        .no_binary_name(true)
        .arg(
            Arg::new("namesrvAddr")
                .short('n')
                .long("namesrvAddr")
                .value_name("LIST")
                .help(
                    "Name servers, for example '192.168.0.1:9876;192.168.0.2:9876' [default: $NAMESRV_ADDR]",
                ),
        )
        .args((program.arguments)())
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
    match (program.run)(&matches, &namesrv) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            output::complain(&why);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_names_every_option_of_the_store_check() {
        let first = usage();
        let line = first.lines().next().unwrap();
        for option in ["-d", "-l", "--dump"] {
            assert!(line.contains(option), "{option} is not in {line}");
        }
    }
}
