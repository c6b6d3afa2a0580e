//! Where log lines go: rotating files or stdout.
//!
//! Owns: the files `broker.log` and `namesrv.log` with RocketMQ's names, line form and rotation, the choice between files and
//! stdout, and [`limited!`] for warnings that could flood. Refuses to know what is logged.
//!
//! Start reading at [`init`].
#![forbid(unsafe_code)]

mod format;
mod limit;
mod rolling;
mod target;

pub use limit::Limit;
pub use rolling::{Rolling, Rotation};
pub use target::Target;

#[doc(hidden)]
pub use tracing;

use std::io::Write as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;

/// Starts logging for a whole process. Level `info`, or what the environment variable `ROCKETMQ_LOG` says
/// (`debug`, `warn,store=debug`, …).
///
/// A log that cannot be written does not stop a server: lines go to stderr then, after one line that says why.
pub fn init(file_stem: &'static str, rotation: Rotation, target: &Target) {
    let fallback;
    let target = match target {
        Target::Dir(dir) => match Rolling::open(dir, file_stem, rotation) {
            Ok(rolling) => {
                install(rolling);
                return;
            }
            Err(error) => {
                let line = format!(
                    "warning: cannot write {}: {error}; logging to stderr instead",
                    dir.join(format!("{file_stem}.log")).display()
                );
                // There is nobody left to tell if this fails too.
                let _ = writeln!(std::io::stderr(), "{line}");
                fallback = Target::Stderr;
                &fallback
            }
        },
        other => other,
    };
    match target {
        Target::Stdout => install(std::io::stdout),
        Target::Stderr | Target::Dir(_) => install(std::io::stderr),
    }
}

fn install<W>(writer: W)
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_from_env("ROCKETMQ_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer()
        .event_format(format::JavaLines::from_env())
        .with_ansi(false)
        .with_writer(writer);
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        let _ = writeln!(
            std::io::stderr(),
            "warning: logging was started twice; the first one stays"
        );
    }
}
