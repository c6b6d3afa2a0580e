//! What `--check-config` finds out about the host: folders, open files, the clock, addresses, other servers.
//!
//! Each function adds a line for each thing that it looks at: that it is well, or what is wrong and what to do. An error is what
//! keeps a server from starting or from its work; nothing is changed by looking.

mod addresses;
mod clock;
mod folders;
mod holder;

pub use addresses::{Announced, Listens, Reached, name_servers};
pub use clock::clock;
pub use folders::{Space, folder};
pub use holder::Own;

use crate::Descriptors;
use settings::{Report, Severity};

/// Fewer open files than this are told of: guides for production begin there.
const OPEN_FILES_USUAL: u64 = 4096;

/// Looks at the limit of open files. `per_address_max` is how many connections one address may have, 0 for any number.
pub fn descriptors(report: &mut Report, per_address_max: i32) {
    of_descriptors(report, Descriptors::attainable(), per_address_max);
}

fn of_descriptors(report: &mut Report, descriptors: Descriptors, per_address_max: i32) {
    const RAISE: &str =
        "raise the hard limit (LimitNOFILE= of systemd, --ulimit nofile= of containers, ulimit -Hn)";
    let connections = descriptors.connections_max();
    let text = format!(
        "open files: at most {}, of these {connections} connections",
        descriptors.limit
    );
    let one = usize::try_from(per_address_max).unwrap_or_default();
    match () {
        () if !descriptors.are_enough_for_the_store() => {
            report.add(
                Severity::Error,
                format!("{text}; what is left is too little for the server's own files: {RAISE}"),
            );
        }
        () if one > connections => report.about(
            Severity::Warning,
            "serverConnectionsPerAddressMax",
            format!("{text}; serverConnectionsPerAddressMax={one} lets one address have them all: {RAISE}, or lower it"),
        ),
        () if descriptors.limit < OPEN_FILES_USUAL => report.add(
            Severity::Warning,
            format!("{text}; a client has two and more of them: {RAISE}"),
        ),
        () => report.add(Severity::Fine, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files() {
        for (limit, per_address, severity, part) in [
            (
                64,
                0,
                Severity::Error,
                "at most 64, of these 32 connections; what is left",
            ),
            (255, 0, Severity::Error, "too little"),
            (256, 0, Severity::Warning, "a client has two"),
            (4095, 0, Severity::Warning, "LimitNOFILE="),
            (4096, 0, Severity::Fine, "at most 4096, of these 3277 connections"),
            (
                4096,
                5000,
                Severity::Warning,
                "serverConnectionsPerAddressMax=5000 lets one",
            ),
            (1 << 20, 5000, Severity::Fine, "open files"),
        ] {
            let mut report = Report::default();
            of_descriptors(&mut report, Descriptors { limit, was: limit }, per_address);
            let [finding] = &report.findings[..] else {
                panic!("{report}");
            };
            assert!(
                finding.severity == severity && finding.text.contains(part),
                "{limit}: {finding}"
            );
        }
    }
}
