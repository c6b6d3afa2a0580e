//! Which lines are written: a level for everything, and others for single modules.

use settings::nearest;
use std::fmt::{self, Display};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// The levels by name, from the quietest on.
const NAMES: [(&str, LevelFilter); 7] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
    // Java's word for it.
    ("all", LevelFilter::TRACE),
];

/// Levels as `info`, `warn,store=debug` or `info,broker::handlers::pull=trace` say them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    rest: LevelFilter,
    modules: Vec<(String, LevelFilter)>,
}

/// A part of a text that is no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{part}` is no level{meant}; levels are off, error, warn, info, debug and trace, for example `info,store=debug`"
)]
pub struct BadLevel {
    /// What stands there.
    pub part: String,
    meant: String,
}

impl Default for Levels {
    /// `info`.
    fn default() -> Self {
        Levels {
            rest: LevelFilter::INFO,
            modules: Vec::new(),
        }
    }
}

impl Levels {
    /// Reads a text. Parts are separated by `,` or `;`; the last word on the same module counts. An empty text is `info`.
    ///
    /// # Errors
    /// A part whose level is none. A bare word that is no level is not taken for a module, as other programs do: a mistyped
    /// `debgu` would turn everything else off.
    pub fn parse(text: &str) -> Result<Levels, BadLevel> {
        let mut levels = Levels::default();
        for part in text
            .split([',', ';'])
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (module, level) = match part.split_once('=') {
                Some((module, level)) => (Some(module.trim()), level.trim()),
                None => (None, part),
            };
            let level = level_of(level).ok_or_else(|| bad(part, level))?;
            match module {
                None => levels.rest = level,
                Some("") => return Err(bad(part, "")),
                Some(module) => {
                    levels.modules.retain(|(known, _)| known != module);
                    levels.modules.push((module.to_owned(), level));
                }
            }
        }
        Ok(levels)
    }

    /// Names of modules that are none of `known`, each with the one that was meant if one is near.
    pub(crate) fn unknown_modules<'a>(
        &'a self,
        known: &'a [&'static str],
    ) -> impl Iterator<Item = (&'a str, Option<&'static str>)> {
        self.modules.iter().filter_map(move |(module, _)| {
            let root = module.split("::").next().unwrap_or(module);
            (!known.contains(&root)).then(|| (module.as_str(), nearest(root, known.iter().copied())))
        })
    }

    /// What is odd about them where these modules are all that there are.
    pub(crate) fn doubts(&self, known: &[&'static str]) -> Vec<String> {
        self.unknown_modules(known)
            .map(|(module, meant)| match meant {
                Some(meant) => format!("nothing is logged by a module `{module}`; `{meant}` is meant?"),
                None => format!(
                    "nothing is logged by a module `{module}`; modules are {}",
                    known.join(", ")
                ),
            })
            .collect()
    }

    pub(crate) fn filter(&self) -> Targets {
        let modules = self.modules.iter().cloned();
        Targets::new().with_default(self.rest).with_targets(modules)
    }
}

impl Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(self.rest))?;
        self.modules
            .iter()
            .try_for_each(|(module, level)| write!(f, ",{module}={}", name_of(*level)))
    }
}

fn level_of(text: &str) -> Option<LevelFilter> {
    let found = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, level)| *level)
}

fn name_of(level: LevelFilter) -> &'static str {
    let found = NAMES.iter().find(|(_, known)| *known == level);
    found.map_or("info", |(name, _)| name)
}

fn bad(part: &str, level: &str) -> BadLevel {
    let names = NAMES.iter().map(|(name, _)| *name);
    BadLevel {
        part: part.chars().take(120).collect(),
        meant: nearest(level, names).map_or_else(String::new, |name| format!(" (`{name}` is meant?)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_said() {
        for (text, read) in [
            ("", "info"),
            ("  ", "info"),
            ("debug", "debug"),
            ("WARN", "warn"),
            ("ALL", "trace"),
            ("off", "off"),
            ("warn,store=debug", "warn,store=debug"),
            ("store=debug; warn ,", "warn,store=debug"),
            ("store = debug,store=error", "info,store=error"),
            (
                "broker::handlers::pull=trace",
                "info,broker::handlers::pull=trace",
            ),
        ] {
            assert_eq!(
                Levels::parse(text).map(|levels| levels.to_string()),
                Ok(read.to_owned()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_cannot() {
        for (text, part) in [
            ("debgu", "debgu"),
            ("info,stor", "stor"),
            ("store=loud", "store=loud"),
            ("=debug", "=debug"),
            ("3", "3"),
        ] {
            let bad = Levels::parse(text).expect_err(text);
            assert_eq!(bad.part, part);
        }
        let bad = Levels::parse("debgu").expect_err("no level").to_string();
        assert!(bad.contains("`debug` is meant?"), "{bad}");
    }

    #[test]
    fn modules_that_do_not_exist_are_found() {
        let levels = Levels::parse("stroe=debug,broker::handlers=trace,zzz=warn").expect("levels");
        let unknown: Vec<_> = levels.unknown_modules(&["broker", "store"]).collect();
        assert_eq!(unknown, [("stroe", Some("store")), ("zzz", None)]);
    }

    #[test]
    fn the_filter_is_what_was_said() {
        let filter = Levels::parse("warn,store=debug").expect("levels").filter();
        let level = |target, level| filter.would_enable(target, &level);
        assert!(level("store::append", tracing::Level::DEBUG));
        assert!(!level("broker", tracing::Level::INFO));
        assert!(level("broker", tracing::Level::WARN));
    }
}
