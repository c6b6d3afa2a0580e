//! `mqadmin`: programs on the command line.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    admin::command::run(std::env::args_os())
}
