//! The broker's binary: command line, log, runtime, signals. Everything else is in the library.

use broker::supervisor;
use process::{Signals, Stop};
use std::process::ExitCode;

fn main() -> ExitCode {
    let settings = match broker::cli::start(std::env::args_os()) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    process::raise_descriptors();
    let served = match process::run(serve(settings)) {
        Ok(served) => served,
        Err(e) => Err(format!("the runtime can not be started: {e}")),
    };
    let code = match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            tracing::error!("{text}");
            logs::complain(&text);
            ExitCode::FAILURE
        }
    };
    logs::flush();
    code
}

async fn serve(settings: broker::settings::Settings) -> Result<(), String> {
    let mut signals = Signals::watch().map_err(|e| format!("signals can not be watched: {e}"))?;
    let line = settings.boot_success();
    let running = broker::run::start(settings)
        .await
        .map_err(|e| format!("the broker does not start: {e}"))?;
    tracing::info!("{line}");
    if let Some(news) = running.news() {
        logs::complain(news);
    }
    logs::announce(&line);
    let state = running.state();
    let page = || state.page();
    process::tell_ready();
    let status = || match running.missing() {
        missing if missing.is_empty() => "serving".to_owned(),
        missing => format!("not ready: {}", missing.join("; ")),
    };
    let Stop(name) = tokio::select! {
        stop = signals.stop(&page) => stop,
        lost = running.lost_folder() => supervisor::end(&lost),
        never = process::keep_telling(status) => match never {},
    };
    tracing::info!("{name} received, stopping");
    process::tell_stopping();
    let stop = async {
        tokio::select! {
            () = running.drain() => {}
            lost = running.lost_folder() => supervisor::end(&lost),
        }
        running.stop().await
    };
    let unsaved = tokio::select! {
        unsaved = stop => unsaved,
        never = signals.while_stopping(&page) => match never {},
        never = process::keep_telling(|| "stopping".to_owned()) => match never {},
    };
    tracing::info!("stopped");
    unsaved.map_or(Ok(()), Err)
}
