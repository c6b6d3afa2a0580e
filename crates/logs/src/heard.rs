//! What some work says, for whoever does it to look and not to run.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Does work on this thread and gives the lines of WARN and ERROR that it says, in order, in place of logging them.
pub fn heard<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let listener = Registry::default().with(Listener(Arc::clone(&lines)));
    let done = tracing::subscriber::with_default(listener, work);
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    (done, std::mem::take(&mut *lines))
}

struct Listener(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() > Level::WARN {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(line.message + &line.fields);
    }
}

/// The message, and the fields behind it.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Neither can fail: they are texts.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_and_errors_are_heard_and_nothing_else() {
        let (done, lines) = heard(|| {
            tracing::info!("not this");
            tracing::warn!(error = %"no such file", "it waits");
            tracing::error!("{} is damaged", "topics.json");
            7
        });
        assert_eq!(done, 7);
        assert_eq!(lines, ["it waits error=no such file", "topics.json is damaged"]);
    }
}
