//! Help, completions and the manual page, all from the table.

use crate::failure::Failure;
use crate::parse::bad_value;
use crate::table::{Command, Need, Opt, commands};
use clap::{Arg, ArgAction};
use clap_complete::Shell;

/// How wide text may be.
const WIDTH: usize = 110;

/// The list of commands, as Java's tool has it.
pub(crate) fn overview() -> String {
    let mut text = "Usage: mqadmin COMMAND [OPTIONS]\n\nThe commands are:\n".to_owned();
    for command in commands() {
        text += &format!("   {:<24} {}\n", command.name, command.about);
    }
    text + "\nSee 'mqadmin help COMMAND' for the options of a command.\n"
}

/// The options of a command.
pub(crate) fn of(command: &'static Command) -> String {
    let mut text = usage(command);
    text += &format!("\n{}\n", command.about);
    let options = sorted(command);
    let left = |option: &Opt| {
        let short = option
            .short
            .map_or("   ".to_owned(), |short| format!("-{short},"));
        let value = if option.takes_value { " <arg>" } else { "" };
        format!(" {short}--{}{value}", option.long)
    };
    let width = options.iter().map(|option| left(option).len()).max().unwrap_or(0) + 3;
    for option in &options {
        let mut line = format!("{:<width$}", left(option));
        for word in option.help.split(' ') {
            if line.len() + word.len() > WIDTH {
                text += &format!("{}\n", line.trim_end());
                line = " ".repeat(width);
            }
            line += word;
            line.push(' ');
        }
        text += &format!("{}\n", line.trim_end());
    }
    if let Some(alias) = command.alias {
        text += &format!("\nIts other name is {alias}.\n");
    }
    text
}

/// By their short names, in the order of commons-cli; those without one behind the others.
fn sorted(command: &'static Command) -> Vec<&'static Opt> {
    let mut options: Vec<&Opt> = command.all_options().collect();
    options.sort_by_key(|option| (option.short.is_none(), option.short, option.long));
    options
}

fn usage(command: &'static Command) -> String {
    let mut line = format!("usage: mqadmin {}", command.name);
    let mut text = String::new();
    let mut words = Vec::new();
    for option in sorted(command) {
        let name = match option.short {
            Some(short) => format!("-{short}"),
            None => format!("--{}", option.long),
        };
        let value = if option.takes_value { " <arg>" } else { "" };
        words.push(match option.need {
            Need::Optional => format!("[{name}{value}]"),
            Need::Required => format!("{name}{value}"),
            Need::OneOf | Need::AnyOf => continue,
        });
    }
    for (need, mark) in [(Need::OneOf, " | "), (Need::AnyOf, " and/or ")] {
        let group = command.options.iter().filter(|option| option.need == need);
        let names: Vec<String> = group
            .filter_map(|option| Some(format!("-{} <arg>", option.short?)))
            .collect();
        if !names.is_empty() {
            words.insert(0, names.join(mark));
        }
    }
    for word in words {
        if line.len() + word.len() >= WIDTH {
            text += &format!("{line}\n");
            line = "      ".to_owned();
        }
        line.push(' ');
        line += &word;
    }
    text + &line + "\n"
}

/// The table as clap knows command lines.
fn as_clap() -> clap::Command {
    let of_option = |option: &'static Opt| {
        let arg = Arg::new(option.long)
            .long(option.long)
            .help(option.help)
            .required(option.need == Need::Required);
        let arg = match option.short {
            Some(short) => arg.short(short),
            None => arg,
        };
        match option.takes_value {
            true => arg.value_name("VALUE"),
            false => arg.action(ArgAction::SetTrue),
        }
    };
    let of_command = |command: &'static Command| {
        let sub = clap::Command::new(command.name)
            .about(command.about)
            .disable_help_flag(true)
            .args(command.all_options().map(of_option));
        match command.alias {
            Some(alias) => sub.visible_alias(alias),
            None => sub,
        }
    };
    clap::Command::new("mqadmin")
        .about("Administers RocketMQ name servers and brokers")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommands(commands().map(of_command))
}

/// What a shell needs to complete command lines.
///
/// # Errors
/// No such shell.
pub(crate) fn completion(shell: &str) -> Result<String, Failure> {
    let known: Shell = shell
        .parse()
        .map_err(|_| bad_value("shell", shell, "bash, zsh, fish or elvish"))?;
    let mut text = Vec::new();
    clap_complete::generate(known, &mut as_clap(), "mqadmin", &mut text);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The manual page: the program, then each command.
pub(crate) fn manual() -> String {
    let mut page = Vec::new();
    let program = clap_mangen::Man::new(as_clap());
    // Writing to memory does not fail.
    let _ = program.render_title(&mut page);
    let _ = program.render_name_section(&mut page);
    let _ = program.render_synopsis_section(&mut page);
    let mut text = String::from_utf8_lossy(&page).into_owned();
    text += ".SH COMMANDS\n";
    for command in commands() {
        text += &format!(".SS {}\n{}\n", roff(command.name), roff(command.about));
        for option in command.options {
            let value = if option.takes_value { " \\fIVALUE\\fR" } else { "" };
            let needed = match option.need {
                Need::Optional => "",
                Need::Required => " (required)",
                Need::OneOf | Need::AnyOf => " (one of these is required)",
            };
            let (names, help) = (roff(&option.names()), roff(option.help));
            text += &format!(".TP\n\\fB{names}\\fR{value}\n{help}{needed}\n");
        }
    }
    text += ".SH OPTIONS OF EVERY COMMAND\n";
    for option in crate::table::COMMON {
        text += &format!(".TP\n\\fB{}\\fR\n{}\n", roff(&option.names()), roff(option.help));
    }
    text
}

/// Text as roff takes it: no line begins with a dot or a quote, a hyphen is one.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    match escaped.starts_with(['.', '\'']) {
        true => format!("\\&{escaped}"),
        false => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::find;

    #[test]
    fn every_command_is_everywhere() {
        as_clap().debug_assert();
        let (overview, manual) = (overview(), manual());
        let bash = completion("bash").unwrap();
        for command in commands() {
            let name = command.name;
            assert!(overview.contains(&format!("   {name} ")), "{name}");
            assert!(manual.contains(&format!(".SS {name}\n")), "{name}");
            assert!(bash.contains(name), "{name}");
            let help = of(command);
            for option in command.all_options() {
                assert!(
                    help.contains(&format!("--{}", option.long)),
                    "{name} {}",
                    option.long
                );
            }
            assert!(help.lines().all(|line| line.chars().count() <= WIDTH), "{help}");
        }
        for shell in ["zsh", "fish", "elvish"] {
            assert!(completion(shell).unwrap().contains("topicRoute"), "{shell}");
        }
        let why = completion("csh").unwrap_err().to_string();
        assert!(why.contains("`csh`"), "{why}");
    }

    #[test]
    fn help_of_a_command() {
        assert_eq!(
            of(find("topicRoute").unwrap()),
            "usage: mqadmin topicRoute [-h] [-l] [-n <arg>] -t <arg> [--json] [--yes]\n\
             \n\
             shows which brokers have a topic, and how many queues\n \
             -h,--help                prints the options of the command\n \
             -l,--list                as a table\n \
             -n,--namesrvAddr <arg>   name servers, for example '192.168.0.1:9876;192.168.0.2:9876' [default:\n                          \
             $NAMESRV_ADDR]\n \
             -t,--topic <arg>         the topic\n    \
             --json                prints a JSON object a line instead of text\n    \
             --yes                 does what destroys something without asking first\n"
        );
    }
}
