//! Makes the parts, and runs them until the program is told to stop.

use crate::app::App;
use crate::journal::tell;
use crate::options::{self, Options};
use crate::server::{Door, serve};
use admin::ask::Net;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Threads of the program: pages are short, and servers answer on their own.
const THREADS: usize = 2;

/// Runs `mqconsole` with these arguments.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match options::parse(args, &|name| std::env::var(name).ok()) {
        Ok(options) => options,
        Err(error) => {
            // A closed terminal is no reason for another exit code.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(until_stopped(options));
            // Who asks a mute name service waits as long as that is mute.
            runtime.shutdown_background();
            done
        }
        Err(why) => Err(format!("the runtime can not be started: {why}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = std::io::stderr().write_all(format!("mqconsole: {why}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

async fn until_stopped(options: Options) -> Result<(), String> {
    let net = Net::new(&options.namesrv).map_err(|why| why.to_string())?;
    net.namesrvs().map_err(|why| why.to_string())?;
    let place = (options.listen, options.port);
    let socket = TcpListener::bind(place).await.map_err(|why| {
        format!(
            "{}:{} can not be listened at: {why}",
            options.listen, options.port
        )
    })?;
    let address = socket.local_addr().map_err(|why| why.to_string())?;
    let app = App::new(&net, options.password.as_deref());
    let cluster = Arc::clone(&app.cluster);
    let door = Door {
        names: options.names,
        is_loopback: address.ip().is_loopback(),
    };
    let changes = match options.password {
        Some(_) => "changes need the password",
        None => "read-only",
    };
    tell(&format!(
        "The console is at http://{address}/, name server {}, {changes}.",
        options.namesrv
    ));
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        return Err("the system takes no handler of signals".to_owned());
    };
    tokio::select! {
        () = serve(socket, app, door) => {}
        () = cluster.watch() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    net.close();
    tell("The console has stopped.");
    Ok(())
}
