//! Files or stdout.

use std::path::{Path, PathBuf};

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A rotating file in this directory.
    Dir(PathBuf),
    /// Standard output, and a rotating file in this directory.
    StdoutAndDir(PathBuf),
    /// Standard error, for this reason.
    Homeless,
}

/// What the choice depends on.
pub(crate) struct Surroundings<'a> {
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) exists: &'a dyn Fn(&Path) -> bool,
    pub(crate) home: Option<PathBuf>,
}

impl Target {
    /// Chooses: a flag on the command line, else the environment variable `ROCKETMQ_LOG_TO` (each `stdout`, `stderr` or a
    /// directory), else `$HOME/logs/rocketmqlogs` as RocketMQ has it. In a container stdout; and that directory, too, if
    /// `$HOME/logs` is there: somebody mounted it for the log.
    pub fn choose(flag: Option<&str>) -> Target {
        Target::choose_in(
            flag,
            &Surroundings {
                variable: &settings::host::variable,
                exists: &Path::exists,
                home: settings::host::home(),
            },
        )
    }

    /// The same, with the file in a folder of this name below the directory.
    pub fn in_folder(self, name: &str) -> Target {
        let name = crate::rolling::folder_name(name);
        match self {
            Target::Dir(dir) => Target::Dir(dir.join(name)),
            Target::StdoutAndDir(dir) => Target::StdoutAndDir(dir.join(name)),
            Target::Stdout | Target::Stderr | Target::Homeless => self,
        }
    }

    pub(crate) fn choose_in(flag: Option<&str>, around: &Surroundings<'_>) -> Target {
        let given = flag
            .filter(|given| !given.trim().is_empty())
            .map(str::to_owned)
            .or_else(|| (around.variable)("ROCKETMQ_LOG_TO"));
        let logs = around.home.as_ref().map(|home| home.join("logs"));
        match (given.as_deref(), logs) {
            (Some("stdout" | "-"), _) => Target::Stdout,
            (Some("stderr"), _) => Target::Stderr,
            (Some(dir), _) => Target::Dir(PathBuf::from(dir)),
            (None, Some(logs)) if in_container(around) => {
                if (around.exists)(&logs) {
                    Target::StdoutAndDir(logs.join("rocketmqlogs"))
                } else {
                    Target::Stdout
                }
            }
            (None, Some(logs)) => Target::Dir(logs.join("rocketmqlogs")),
            (None, None) if in_container(around) => Target::Stdout,
            (None, None) => Target::Homeless,
        }
    }
}

/// Docker, Podman, systemd-nspawn and Kubernetes leave these marks.
fn in_container(around: &Surroundings<'_>) -> bool {
    ["/.dockerenv", "/run/.containerenv"]
        .iter()
        .any(|mark| (around.exists)(Path::new(mark)))
        || ["KUBERNETES_SERVICE_HOST", "container"]
            .iter()
            .any(|name| (around.variable)(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(flag: Option<&str>, home: Option<&str>, variables: &[(&str, &str)], files: &[&str]) -> Target {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        let exists = |path: &Path| files.iter().any(|file| Path::new(file) == path);
        Target::choose_in(
            flag,
            &Surroundings {
                variable: &variable,
                exists: &exists,
                home: home.map(PathBuf::from),
            },
        )
    }

    #[test]
    fn choices() {
        let home = Some("/home/mq");
        let logs = || PathBuf::from("/home/mq/logs/rocketmqlogs");
        assert_eq!(chosen(None, home, &[], &[]), Target::Dir(logs()));
        assert_eq!(chosen(None, home, &[], &["/.dockerenv"]), Target::Stdout);
        for mark in [("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("container", "podman")] {
            assert_eq!(chosen(None, home, &[mark], &[]), Target::Stdout);
            assert_eq!(
                chosen(None, home, &[mark], &["/home/mq/logs"]),
                Target::StdoutAndDir(logs())
            );
        }
        assert_eq!(
            chosen(Some("/var/log/mq"), home, &[], &["/.dockerenv"]),
            Target::Dir("/var/log/mq".into())
        );
        let variable = ("ROCKETMQ_LOG_TO", "stdout");
        assert_eq!(chosen(None, home, &[variable], &[]), Target::Stdout);
        assert_eq!(chosen(Some(""), home, &[variable], &[]), Target::Stdout);
        assert_eq!(chosen(Some("stderr"), home, &[variable], &[]), Target::Stderr);
    }

    #[test]
    fn a_folder_of_its_own_is_below_the_directory() {
        let dir = Target::Dir("/logs".into());
        assert_eq!(dir.in_folder("a/b_0"), Target::Dir("/logs/a_b_0".into()));
        assert_eq!(Target::Stdout.in_folder("a"), Target::Stdout);
    }

    #[test]
    fn without_a_home_nothing_is_written_into_the_working_directory() {
        assert_eq!(chosen(None, None, &[], &[]), Target::Homeless);
        assert_eq!(chosen(None, None, &[], &["/.dockerenv"]), Target::Stdout);
    }
}
