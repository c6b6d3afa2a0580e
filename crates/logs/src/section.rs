//! The settings of the log, which both servers have.

use crate::Levels;
use settings::{BadValue, Report, Severity, settings};

settings! {
    /// What is logged. RocketMQ's logs are set up by logback files instead.
    pub struct LogSection, class "Log", important [];
    /// Levels of the log: `info`, `debug`, `warn,store=debug`; empty: what the environment variable ROCKETMQ_LOG says.
    log_levels: String = String::new(), java "logLevels", since "here", applies Live, check levels;
    /// Form of the log's lines: `text`, as RocketMQ's, or `json`, an object each.
    log_format: String = "text".to_owned(), java "logFormat", since "here", applies AtStart, check form;
}

fn form(text: &str) -> Result<(), BadValue> {
    match text {
        "text" | "json" => Ok(()),
        _ => Err(BadValue::new("text or json")),
    }
}

fn levels(text: &str) -> Result<(), BadValue> {
    match Levels::parse(text) {
        Ok(_) => Ok(()),
        Err(bad) => Err(BadValue::new(bad.to_string())),
    }
}

impl LogSection {
    /// Reports levels of modules that are none of `modules`.
    pub fn check(&self, modules: &[&'static str], report: &mut Report) {
        let Ok(levels) = Levels::parse(&self.log_levels) else {
            return;
        };
        for text in levels.doubts(modules) {
            report.about(Severity::Warning, "logLevels", format!("logLevels: {text}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_modules_that_log_nothing_are_reported() {
        let section = LogSection {
            log_levels: "info,stroe=debug,store=debug,zzz=warn".to_owned(),
            ..LogSection::default()
        };
        let mut report = Report::default();
        section.check(&["broker", "store"], &mut report);
        assert_eq!(
            report.to_string(),
            "warning: logLevels: nothing is logged by a module `stroe`; `store` is meant?\n\
             warning: logLevels: nothing is logged by a module `zzz`; modules are broker, store\n"
        );
    }
}
