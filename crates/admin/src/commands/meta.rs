//! About the commands themselves: completion, manual.

use crate::failure::Failure;
use crate::help;
use crate::output::Out;
use crate::parse::Given;
use crate::table::{Command, Run, required};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "completion",
        alias: None,
        about: "prints what a shell needs to complete command lines",
        options: &[required('s', "shell", "bash, zsh, fish or elvish")],
        asks: None,
        run: Run::Offline(completion),
    },
    Command {
        name: "manual",
        alias: None,
        about: "prints the manual page, for man -l",
        options: &[],
        asks: None,
        run: Run::Offline(manual),
    },
];

fn completion(given: &Given, out: &mut Out) -> Result<(), Failure> {
    let text = help::completion(given.required("shell"))?;
    out.text(&text);
    Ok(())
}

fn manual(_given: &Given, out: &mut Out) -> Result<(), Failure> {
    out.text(&help::manual());
    Ok(())
}
