//! `namesrv`: the name server's program, started by `bin/mqnamesrv`.
#![forbid(unsafe_code)]

use namesrv::settings::{BOOT_SUCCESS, Settings};
use namesrv::{cli, run};
use std::io::Write;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let settings = match cli::start(std::env::args_os()) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime
        .map_err(no_runtime)
        .and_then(|runtime| runtime.block_on(serve(settings)))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!("{why}");
            let line = format!("mqnamesrv: {why}\n");
            // Where stderr is gone there is nobody to tell; the log has it.
            let _ = std::io::stderr().write_all(line.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn no_runtime(error: std::io::Error) -> String {
    format!("the runtime cannot be started: {error}")
}

async fn serve(settings: Settings) -> Result<(), String> {
    // Before the line that tells scripts it is up, so that no signal after it is missed.
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
    let namesrv = run::start(settings).await.map_err(|e| e.to_string())?;
    tracing::info!("{BOOT_SUCCESS}");
    // A closed stdout does not stop a server.
    let _ = std::io::stdout().write_all(format!("{BOOT_SUCCESS}\n").as_bytes());
    let which = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!("{which} received, stopping");
    namesrv.shutdown().await;
    Ok(())
}
