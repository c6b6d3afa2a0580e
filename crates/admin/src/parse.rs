//! Command lines as commons-cli's PosixParser reads them: `-t T`, `-tT`, `-lm`, `--topic T`, `--topic=T`, `-topic T`.

use crate::failure::Failure;
use crate::table::{Command, Need, Opt};
use settings::nearest;
use std::fmt::Display;
use std::str::FromStr;

/// What was given, by the options' long names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    values: Vec<(&'static str, String)>,
}

impl Given {
    /// The value of an option; the first where it was given twice, as in Java.
    pub(crate) fn text(&self, long: &str) -> Option<&str> {
        let given = self.values.iter().find(|(name, _)| *name == long);
        given.map(|(_, value)| value.trim())
    }

    /// The value of an option that the table says is required.
    pub(crate) fn required(&self, long: &str) -> &str {
        self.text(long).unwrap_or_default()
    }

    /// Whether it is there.
    pub(crate) fn has(&self, long: &str) -> bool {
        self.text(long).is_some()
    }

    /// A number.
    pub(crate) fn number<T: FromStr>(&self, long: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(long) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(bad_value(long, text, "a number that fits")),
        }
    }

    /// A time, ms since 1970.
    pub(crate) fn time(&self, long: &str) -> Result<Option<i64>, Failure> {
        self.text(long)
            .map(|text| crate::time::parse(long, text))
            .transpose()
    }

    /// `true` or `false`. Unlike Java, where everything but `true` is false.
    pub(crate) fn switch(&self, long: &str) -> Result<Option<bool>, Failure> {
        match self.text(long) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(text) => Err(bad_value(long, text, "true or false")),
        }
    }
}

/// The sentence for a value that makes no sense.
pub(crate) fn bad_value(long: &str, text: &str, wanted: impl Display) -> Failure {
    Failure::wrong(format!("--{long} is `{text}`, but it has to be {wanted}"))
}

/// Reads the words after the command's name.
///
/// # Errors
/// A sentence that names the option.
pub(crate) fn parse(command: &'static Command, words: &[String]) -> Result<Given, Failure> {
    let mut given = Given::default();
    let mut words = words.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        for (option, attached) in options_of(command, word)? {
            let value = match (option.takes_value, attached) {
                (true, Some(value)) => value.to_owned(),
                (true, None) => words
                    .next_if(|next| !is_option(command, next))
                    .ok_or_else(|| Failure::wrong(format!("{} needs a value", option.names())))?
                    .to_owned(),
                (false, Some(_)) => {
                    return Err(Failure::wrong(format!("{} takes no value", option.names())));
                }
                (false, None) => String::new(),
            };
            given.values.push((option.long, value));
        }
    }
    if !given.has("help") {
        check_needs(command, &given)?;
    }
    Ok(given)
}

/// The options that a word stands for, the last with the value that is part of the word.
fn options_of<'w>(
    command: &'static Command,
    word: &'w str,
) -> Result<Vec<(&'static Opt, Option<&'w str>)>, Failure> {
    let Some(name) = word.strip_prefix('-').filter(|name| !name.is_empty()) else {
        return Err(Failure::wrong(format!(
            "`{word}` belongs to no option; a value with blanks needs quotes"
        )));
    };
    if let Some(option) = named(command, word) {
        return Ok(vec![(option, None)]);
    }
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        return match named(command, &format!("--{name}")) {
            Some(option) => Ok(vec![(option, value)]),
            None => Err(unknown(command, &format!("--{name}"))),
        };
    }
    let mut found = Vec::new();
    for (at, letter) in name.char_indices() {
        let Some(option) = command.all_options().find(|option| option.short == Some(letter)) else {
            return Err(unknown(command, word));
        };
        let rest = &name[at + letter.len_utf8()..];
        if option.takes_value && !rest.is_empty() {
            found.push((option, Some(rest)));
            break;
        }
        found.push((option, None));
    }
    Ok(found)
}

/// The option of that whole name, with one or two hyphens before it.
fn named(command: &'static Command, word: &str) -> Option<&'static Opt> {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    let mut letters = name.chars();
    let letter = letters.next().filter(|_| letters.next().is_none());
    command
        .all_options()
        .find(|option| option.long == name || letter.is_some() && option.short == letter)
}

/// Whether a word is an option, and so no value. Other words with a hyphen are values: `-s -1`.
fn is_option(command: &'static Command, word: &str) -> bool {
    word.starts_with('-') && named(command, word).is_some()
}

fn unknown(command: &'static Command, word: &str) -> Failure {
    let name = word.trim_start_matches('-');
    let meant = nearest(name, command.all_options().map(|option| option.long));
    let hint = match meant {
        Some(long) => format!("did you mean --{long}?"),
        None => format!("see mqadmin help {}", command.name),
    };
    Failure::wrong(format!("{} has no option {word}; {hint}", command.name))
}

fn check_needs(command: &'static Command, given: &Given) -> Result<(), Failure> {
    for option in command.options {
        if option.need == Need::Required && !given.has(option.long) {
            return Err(Failure::wrong(format!(
                "{} needs {} ({})",
                command.name,
                option.names(),
                option.help
            )));
        }
    }
    for need in [Need::OneOf, Need::AnyOf] {
        let marked: Vec<&Opt> = command
            .options
            .iter()
            .filter(|option| option.need == need)
            .collect();
        let count = marked.iter().filter(|option| given.has(option.long)).count();
        let names: Vec<String> = marked.iter().map(|option| option.names()).collect();
        let names = names.join(" or ");
        if !marked.is_empty() && count == 0 {
            return Err(Failure::wrong(format!("{} needs {names}", command.name)));
        }
        if need == Need::OneOf && count > 1 {
            return Err(Failure::wrong(format!(
                "{} takes {names}, not both",
                command.name
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::find;

    fn check(line: &str, expected: &str) {
        let mut words = line.split_whitespace();
        let command = find(words.next().unwrap()).unwrap();
        let words: Vec<String> = words.map(str::to_owned).collect();
        let said = match parse(command, &words) {
            Ok(given) => {
                let pairs = given.values.iter().map(|(name, value)| match value.is_empty() {
                    true => (*name).to_owned(),
                    false => format!("{name}={value}"),
                });
                pairs.collect::<Vec<_>>().join(" ")
            }
            Err(why) => why.to_string(),
        };
        assert_eq!(said, expected, "{line}");
    }

    #[test]
    fn lines_as_java_reads_them() {
        for (line, expected) in [
            ("topicRoute -t T -l", "topic=T list"),
            ("topicRoute -tT", "topic=T"),
            ("topicRoute -ltT", "list topic=T"),
            ("topicRoute --topic T", "topic=T"),
            ("topicRoute --topic=a=b", "topic=a=b"),
            ("topicRoute -topic T", "topic=T"),
            ("topicRoute --t T", "topic=T"),
            ("TOPICROUTE -t T", "topic=T"),
            (
                "topicRoute -t T -n 127.0.0.1:9876;127.0.0.1:9877",
                "topic=T namesrvAddr=127.0.0.1:9876;127.0.0.1:9877",
            ),
            ("topicRoute -t T --json", "topic=T json"),
            ("topicRoute -h", "help"),
            (
                "resetOffsetByTime -g G -t T -s -1",
                "group=G topic=T timestamp=-1",
            ),
            ("QUERYMSGTRACEBYID -i 1", "msgId=1"),
            ("deleteAccessConfig -b B -a A", "brokerAddr=B accessKey=A"),
            ("updateTopic -b B -t T", "brokerAddr=B topic=T"),
        ] {
            check(line, expected);
        }
    }

    #[test]
    fn lines_that_make_no_sense() {
        for (line, expected) in [
            ("topicRoute", "topicRoute needs -t/--topic (the topic)"),
            ("topicRoute -t", "-t/--topic needs a value"),
            ("topicRoute -t -l", "-t/--topic needs a value"),
            ("topicRoute -t T --list=x", "-l/--list takes no value"),
            (
                "topicRoute -t T --lisst",
                "topicRoute has no option --lisst; did you mean --list?",
            ),
            (
                "topicRoute -t T -x",
                "topicRoute has no option -x; see mqadmin help topicRoute",
            ),
            (
                "topicRoute -t T more",
                "`more` belongs to no option; a value with blanks needs quotes",
            ),
            (
                "updateTopic -t T",
                "updateTopic needs -b/--brokerAddr or -c/--clusterName",
            ),
            (
                "updateTopic -t T -b B -c C",
                "updateTopic takes -b/--brokerAddr or -c/--clusterName, not both",
            ),
            (
                "updateSubGroup -g G",
                "updateSubGroup needs -b/--brokerAddr or -c/--clusterName",
            ),
        ] {
            check(line, expected);
        }
    }

    #[test]
    fn values_of_their_types() {
        let command = find("updateTopic").unwrap();
        let words = ["-b", "B", "-t", " T ", "-r", "x", "-o", "yes", "-w", "3"].map(str::to_owned);
        let given = parse(command, &words).unwrap();
        assert_eq!(given.required("topic"), "T");
        assert_eq!(given.number::<i32>("writeQueueNums").unwrap(), Some(3));
        assert_eq!(given.number::<i32>("perm").unwrap(), None);
        assert_eq!(
            given.number::<i32>("readQueueNums").unwrap_err().to_string(),
            "--readQueueNums is `x`, but it has to be a number that fits"
        );
        assert_eq!(
            given.switch("order").unwrap_err().to_string(),
            "--order is `yes`, but it has to be true or false"
        );
    }
}
