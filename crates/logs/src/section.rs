//! The settings of the log, which both servers have.

use crate::Levels;
use settings::{BadValue, settings};

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
