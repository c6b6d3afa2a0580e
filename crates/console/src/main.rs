//! `mqconsole`: name servers and brokers in a browser.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    console::run(std::env::args_os())
}
