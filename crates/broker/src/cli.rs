//! From the command line to settings and a log: everything before the server itself.

use crate::host_check;
use crate::settings::{Loaded, MODULES, Settings, read};
use crate::support;
use ::settings::launch::{self, Exit, Launch};
use logs::{Rotation, Setup, Target};
use std::ffi::OsString;
use std::process::ExitCode;

/// Reads the command line and the settings, starts the log, and reports what is odd: warnings to stderr, everything to the log.
///
/// # Errors
/// The process is to end with this code; what there was to say has been printed.
pub fn start(args: impl IntoIterator<Item = OsString>) -> Result<Settings, ExitCode> {
    let launch = launch::parse("mqbroker", "RocketMQ broker", args).map_err(Exit::print)?;
    let loaded = settings_of(&launch).map_err(Exit::print)?;
    let broker = &loaded.settings.broker;
    let name = loaded.settings.own_name();
    let target = Target::choose(launch.log_to.as_deref());
    logs::init(&Setup {
        stem: "broker",
        // A master's lines are told by its name alone; a slave has the same.
        who: Some(if broker.broker_id == 0 {
            &broker.broker_name
        } else {
            &name
        }),
        own_folder: &name,
        rotation: Rotation::BROKER,
        target: match broker.isolate_log_enable {
            true => target.in_folder(&name),
            false => target,
        },
        levels: &loaded.settings.log.log_levels,
        json: loaded.settings.log.log_format == "json",
        modules: MODULES,
    });
    loaded.report.announce(logs::complain);
    Ok(loaded.settings)
}

fn settings_of(launch: &Launch) -> Result<Loaded, Exit> {
    let mut loaded = read(launch)?;
    launch::look_at_host(launch, &mut loaded.report, |report| {
        host_check::check(&loaded.settings, report);
    });
    if let Some(file) = &launch.support_bundle {
        return Err(support::bundle(launch, &loaded, file));
    }
    launch::decide(launch, &loaded.settings, &loaded.report)?;
    host_check::warn_of_addresses(&loaded.settings, &mut loaded.report);
    Ok(loaded)
}
