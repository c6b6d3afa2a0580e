//! The settings of the log, which both servers have.

use crate::Levels;
use settings::{BadValue, settings};

settings! {
    /// What is logged. RocketMQ's logs are set up by logback files instead.
    pub struct LogSection, class "Log", important [];
    /// Levels of the log: `info`, `debug`, `warn,store=debug`; empty: what the environment variable ROCKETMQ_LOG says.
    log_levels: String = String::new(), java "logLevels", since "here", applies Live, check levels;
}

fn levels(text: &str) -> Result<(), BadValue> {
    match Levels::parse(text) {
        Ok(_) => Ok(()),
        Err(bad) => Err(BadValue::new(bad.to_string())),
    }
}
