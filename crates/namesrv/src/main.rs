//! `namesrv`: the name server's program, started by `bin/mqnamesrv`.
#![forbid(unsafe_code)]

use namesrv::settings::{BOOT_SUCCESS, Settings};
use namesrv::{cli, run};
use process::{Signals, Stop};
use std::process::ExitCode;

fn main() -> ExitCode {
    let settings = match cli::start(std::env::args_os()) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    process::raise_descriptors();
    let served = process::run(serve(settings)).unwrap_or_else(|error| Err(no_runtime(error)));
    let code = match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!("{why}");
            logs::complain(&format!("mqnamesrv: {why}"));
            ExitCode::FAILURE
        }
    };
    logs::flush();
    code
}

fn no_runtime(error: std::io::Error) -> String {
    format!("the runtime cannot be started: {error}")
}

async fn serve(settings: Settings) -> Result<(), String> {
    // Before the line that tells scripts it is up, so that no signal after it is missed.
    let mut signals = Signals::watch().map_err(|e| format!("signals cannot be watched: {e}"))?;
    let namesrv = run::start(settings).await.map_err(|e| e.to_string())?;
    tracing::info!("{BOOT_SUCCESS}");
    logs::announce(BOOT_SUCCESS);
    let state = namesrv.state();
    let page = || state.page();
    process::tell_ready();
    let status = || format!("serving {}", state.routes());
    let Stop(name) = tokio::select! {
        stop = signals.stop(page) => stop,
        never = process::keep_telling(status) => match never {},
    };
    tracing::info!("{name} received, stopping");
    process::tell_stopping();
    tokio::select! {
        () = namesrv.shutdown() => {}
        never = signals.while_stopping(page) => match never {},
    }
    Ok(())
}
