//! About the commands themselves: completion, manual.

use crate::failure::Failure;
use crate::help;
use crate::job::Job;
use crate::output::Out;
use crate::table::{Command, required};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "completion",
        alias: None,
        about: "prints what a shell needs to complete command lines",
        options: &[required('s', "shell", "bash, zsh, fish or elvish")],
        asks: None,
        run: |job, out| Box::pin(async { completion(job, out) }),
    },
    Command {
        name: "manual",
        alias: None,
        about: "prints the manual page, for man -l",
        options: &[],
        asks: None,
        run: |_, out| Box::pin(async { manual(out) }),
    },
];

fn completion(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let text = help::completion(job.given.required("shell"))?;
    out.text(&text);
    Ok(())
}

fn manual(out: &mut Out) -> Result<(), Failure> {
    out.text(&help::manual());
    Ok(())
}
