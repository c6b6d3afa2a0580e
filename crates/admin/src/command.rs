//! The command line of `mqadmin`, which `bin/tools.sh` calls with `--class` and a Java class name.

use crate::failure::Failure;
use crate::job::Job;
use crate::net::Net;
use crate::output::{self, Out};
use crate::parse::{Given, parse};
use crate::table::{self, Command, JAVA_ONLY, Run};
use crate::{benchmark, help, quickstart};
use clap::{Arg, ArgMatches};
use settings::nearest;
use std::ffi::OsString;
use std::io::{BufRead, IsTerminal, Write};
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
    let overview = help::overview();
    format!("{overview}\nPrograms: mqadmin --class CLASS [ARGUMENTS]\n{known}")
}

/// Runs a command line and gives the process's exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter().skip(1);
    let Some(first) = args.next() else {
        output::print(&usage());
        return ExitCode::SUCCESS;
    };
    if first == "--class" {
        return run_class(args);
    }
    let words = |words: &mut dyn Iterator<Item = OsString>| -> Result<Vec<String>, Failure> {
        let text = |word: OsString| {
            word.into_string()
                .map_err(|word| Failure::wrong(format!("{} is not UTF-8", word.display())))
        };
        words.map(text).collect()
    };
    let first = first.to_string_lossy().into_owned();
    let ran = words(&mut args).and_then(|words| match first.as_str() {
        "-h" | "--help" | "help" => explain(&words),
        "--version" => {
            output::print(concat!("mqadmin ", env!("CARGO_PKG_VERSION")));
            Ok(0)
        }
        name => run_command(named(name)?, &words),
    });
    match ran {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            output::complain(&why.to_string());
            ExitCode::FAILURE
        }
    }
}

/// The command of that name.
fn named(name: &str) -> Result<&'static Command, Failure> {
    if let Some(command) = table::find(name) {
        return Ok(command);
    }
    if let Some(java) = JAVA_ONLY.iter().find(|java| java.eq_ignore_ascii_case(name)) {
        return Err(Failure::wrong(format!(
            "{java} is not here yet; the mqadmin of a RocketMQ release has it, and works with these servers"
        )));
    }
    let known = table::commands().map(|command| command.name);
    let hint = match nearest(name, known) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "mqadmin help lists them".to_owned(),
    };
    Err(Failure::wrong(format!(
        "There is no command {name}. Hint: {hint}"
    )))
}

fn explain(words: &[String]) -> Result<u8, Failure> {
    match words.first() {
        None => output::print(&usage()),
        Some(name) => output::print(help::of(named(name)?).trim_end()),
    }
    Ok(0)
}

/// Runs a command and gives the exit code.
#[expect(clippy::disallowed_methods, reason = "here the runtime begins")]
fn run_command(command: &'static Command, words: &[String]) -> Result<u8, Failure> {
    let given = parse(command, words)?;
    if given.has("help") {
        output::print(help::of(command).trim_end());
        return Ok(0);
    }
    if !given.has("yes") && !confirmed(command, &given)? {
        return Ok(1);
    }
    let mut out = Out::stdout(given.has("json"));
    let run = match command.run {
        Run::Online(run) => run,
        Run::Offline(run) => {
            run(&given, &mut out)?;
            return out.end();
        }
    };
    let namesrv = given.text("namesrvAddr").map(str::to_owned);
    let namesrv = namesrv.or_else(|| std::env::var("NAMESRV_ADDR").ok());
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|e| Failure::wrong(format!("the runtime cannot be started: {e}")))?;
    let done = runtime.block_on(async {
        let net = Net::new(&namesrv.unwrap_or_default())?;
        let job = Job { given, net };
        let done = run(&job, &mut out).await;
        job.net.close();
        done
    });
    // Who asks a mute name service waits as long as that is mute.
    runtime.shutdown_background();
    done?;
    out.end()
}

/// Asks whoever sits at a terminal before something is destroyed. Where nobody does, the command line is the answer.
fn confirmed(command: &Command, given: &Given) -> Result<bool, Failure> {
    let Some(question) = command.asks else {
        return Ok(true);
    };
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Ok(true);
    }
    let text = format!("{} [y/N] ", output::visible(&asked(question, given)));
    let failed = |e: std::io::Error| Failure::wrong(format!("the terminal does not answer: {e}"));
    std::io::stderr().write_all(text.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// A question with the values of options for their names.
fn asked(question: &str, given: &Given) -> String {
    let mut text = String::new();
    let mut rest = question;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, end) = after.split_once('}').unwrap_or((after, ""));
        text += before;
        text += given.text(name).unwrap_or_default();
        rest = end;
    }
    text + rest
}

fn run_class(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let class = args.next();
    let program = PROGRAMS
        .iter()
        .find(|program| class.as_ref().is_some_and(|class| class == program.class));
    let Some(program) = program else {
        let unknown = match class {
            Some(class) => format!("There is no program for the class {}.\n", class.display()),
            None => "--class needs the name of a class.\n".to_owned(),
        };
        let text = format!("{unknown}{}", usage());
        text.lines().for_each(output::complain);
        return ExitCode::FAILURE;
    };
    let command = clap::Command::new(program.class)
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

    fn refusal(name: &str) -> String {
        match named(name) {
            Ok(command) => command.name.to_owned(),
            Err(why) => why.to_string(),
        }
    }

    #[test]
    fn names_that_are_not_there() {
        for (name, expected) in [
            ("TopicRoute", "topicRoute"),
            (
                "topicRout",
                "There is no command topicRout. Hint: did you mean topicRoute?",
            ),
            (
                "nothingLikeIt",
                "There is no command nothingLikeIt. Hint: mqadmin help lists them",
            ),
            (
                "getbrokerepoch",
                "getBrokerEpoch is not here yet; the mqadmin of a RocketMQ release has it, and works with these servers",
            ),
        ] {
            assert_eq!(refusal(name), expected);
        }
    }

    #[test]
    fn a_question_names_what_is_destroyed() {
        let command = table::find("deleteTopic").unwrap();
        let given = parse(command, &["-t", "T", "-c", "C"].map(str::to_owned)).unwrap();
        assert_eq!(
            asked(command.asks.unwrap(), &given),
            "Delete topic T and its messages from cluster C?"
        );
    }
}
