//! The table of commands: what parsing, help, completions and the manual page are made from.

use crate::failure::Failure;
use crate::job::Job;
use crate::output::Out;
use crate::parse::Given;
use std::future::Future;
use std::pin::Pin;

/// Whether an option must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// It need not.
    Optional,
    /// It must.
    Required,
    /// One of those marked so must be, and no more.
    OneOf,
    /// At least one of those marked so must be.
    AnyOf,
}

/// An option of a command. Names are Java's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opt {
    pub(crate) short: Option<char>,
    pub(crate) long: &'static str,
    pub(crate) takes_value: bool,
    pub(crate) need: Need,
    pub(crate) help: &'static str,
}

impl Opt {
    const fn new(short: char, long: &'static str, takes_value: bool, need: Need, help: &'static str) -> Opt {
        Opt {
            short: Some(short),
            long,
            takes_value,
            need,
            help,
        }
    }

    /// The same without a short name.
    pub(crate) const fn long_only(self) -> Opt {
        Opt { short: None, ..self }
    }

    /// The same of an option that is taken for the sake of command lines, and does nothing.
    pub(crate) const fn of_no_effect(self) -> Opt {
        Opt {
            help: "of no effect, for 5.x's command line",
            ..self
        }
    }

    /// As messages name it: `-t/--topic`.
    pub(crate) fn names(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}/--{}", self.long),
            None => format!("--{}", self.long),
        }
    }
}

/// An option with a value that must be there.
pub(crate) const fn required(short: char, long: &'static str, help: &'static str) -> Opt {
    Opt::new(short, long, true, Need::Required, help)
}

/// An option with a value that need not be there.
pub(crate) const fn value(short: char, long: &'static str, help: &'static str) -> Opt {
    Opt::new(short, long, true, Need::Optional, help)
}

/// An option without a value.
pub(crate) const fn flag(short: char, long: &'static str, help: &'static str) -> Opt {
    Opt::new(short, long, false, Need::Optional, help)
}

/// One of several, of which one must be there.
pub(crate) const fn one_of(short: char, long: &'static str, help: &'static str) -> Opt {
    Opt::new(short, long, true, Need::OneOf, help)
}

/// One of several, of which at least one must be there.
pub(crate) const fn any_of(short: char, long: &'static str, help: &'static str) -> Opt {
    Opt::new(short, long, true, Need::AnyOf, help)
}

/// 5.x's option for the topic whose route is taken.
pub(crate) const ROUTE_OF: Opt = value(
    'c',
    "cluster",
    "a cluster, or the parent topic of a light message queue, whose brokers are asked, 5.x",
);

/// What every command takes.
pub(crate) const COMMON: &[Opt] = &[
    flag('h', "help", "prints the options of the command"),
    value(
        'n',
        "namesrvAddr",
        "name servers, for example '192.168.0.1:9876;192.168.0.2:9876' [default: $NAMESRV_ADDR]",
    ),
    flag('-', "json", "prints a JSON object a line instead of text").long_only(),
    flag('-', "yes", "does what destroys something without asking first").long_only(),
];

/// A command's work.
pub(crate) type Work<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// What a command does.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// Asks servers.
    Online(for<'a> fn(&'a Job, &'a mut Out) -> Work<'a>),
    /// Asks none: neither credentials nor TLS have to make sense.
    Offline(fn(&Given, &mut Out) -> Result<(), Failure>),
}

/// A command.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) alias: Option<&'static str>,
    pub(crate) about: &'static str,
    pub(crate) options: &'static [Opt],
    /// Of a command that destroys something: what a terminal is asked, with options' values for `{longName}`.
    pub(crate) asks: Option<&'static str>,
    pub(crate) run: Run,
}

impl Command {
    /// Its own options and those that every command takes. An own one counts before a common one of the same name.
    pub(crate) fn all_options(&self) -> impl Iterator<Item = &'static Opt> {
        let own = self.options;
        let common = COMMON
            .iter()
            .filter(|common| own.iter().all(|own| own.long != common.long));
        own.iter().chain(common)
    }
}

/// Every command, family by family.
pub(crate) fn commands() -> impl Iterator<Item = &'static Command> {
    crate::commands::FAMILIES.iter().flat_map(|family| family.iter())
}

/// A command by its name or alias; letter case does not count, as in Java's tool.
pub(crate) fn find(name: &str) -> Option<&'static Command> {
    commands().find(|command| {
        let names = [Some(command.name), command.alias];
        names
            .into_iter()
            .flatten()
            .any(|known| known.eq_ignore_ascii_case(name))
    })
}

/// Commands of Java's tools, 4.9.8 and 5.3.3, that are not here.
pub(crate) const JAVA_ONLY: &[&str] = &[
    "addBroker",
    "checkRocksdbCqWriteProgress",
    "cleanBrokerMetadata",
    "dumpCompactionLog",
    "electMaster",
    "exportMetadataInRocksDB",
    "exportPopRecord",
    "getBrokerEpoch",
    "getControllerConfig",
    "getControllerMetaData",
    "getSyncStateSet",
    "remappingStaticTopic",
    "removeBroker",
    "resetMasterFlushOffset",
    "rocksDBConfigToJson",
    "setConsumeMode",
    "updateControllerConfig",
    "updateStaticTopic",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_told_apart() {
        let mut names = BTreeSet::new();
        for command in commands() {
            for name in [Some(command.name), command.alias].into_iter().flatten() {
                let lower = name.to_lowercase();
                assert!(
                    names.insert(lower.clone()) || command.alias == Some(name),
                    "{name} is there twice"
                );
                assert!(
                    JAVA_ONLY.iter().all(|java| java.to_lowercase() != lower),
                    "{name}"
                );
            }
            let (mut shorts, mut longs) = (BTreeSet::new(), BTreeSet::new());
            for option in command.all_options() {
                let short = option.short.is_none_or(|short| shorts.insert(short));
                assert!(
                    short && longs.insert(option.long),
                    "{} {}",
                    command.name,
                    option.names()
                );
                assert!(!option.help.is_empty() && !option.long.contains(' '));
            }
        }
    }

    #[test]
    fn questions_name_options_that_are_there() {
        for command in commands() {
            let mut rest = command.asks.unwrap_or_default();
            while let Some((_, after)) = rest.split_once('{') {
                let (name, end) = after.split_once('}').unwrap();
                assert!(
                    command.options.iter().any(|option| option.long == name),
                    "{} {name}",
                    command.name
                );
                rest = end;
            }
        }
    }
}
