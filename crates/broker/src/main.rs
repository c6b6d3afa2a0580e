//! The broker's binary: command line, log, runtime, signals. Everything else is in the library.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let settings = match broker::cli::start(std::env::args_os()) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("broker")
        .build();
    let served = match runtime {
        Ok(runtime) => runtime.block_on(serve(settings)),
        Err(e) => Err(format!("the runtime can not be started: {e}")),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            tracing::error!("{text}");
            complain(&text);
            ExitCode::FAILURE
        }
    }
}

async fn serve(settings: broker::settings::Settings) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("signals can not be watched: {e}");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let line = settings.boot_success();
    let running = broker::run::start(settings)
        .await
        .map_err(|e| format!("the broker does not start: {e}"))?;
    tracing::info!("{line}");
    announce(&line);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("asked to stop");
    running.stop().await;
    tracing::info!("stopped");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "tutorials and scripts wait for this line")]
fn announce(line: &str) {
    println!("{line}");
}

#[expect(
    clippy::print_stderr,
    reason = "the last words of a start that failed belong on the terminal"
)]
fn complain(text: &str) {
    eprintln!("{text}");
}
