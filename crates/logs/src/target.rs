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
}

/// What the choice depends on.
pub(crate) struct Surroundings<'a> {
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) exists: &'a dyn Fn(&Path) -> bool,
}

impl Target {
    /// Chooses: a flag on the command line, else the environment variable `ROCKETMQ_LOG_TO` (each `stdout`, `stderr` or a
    /// directory), else stdout in a container, else `$HOME/logs/rocketmqlogs` as RocketMQ has it.
    pub fn choose(flag: Option<&str>) -> Target {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Target::choose_in(
            flag,
            &Surroundings {
                variable: &variable,
                exists: &Path::exists,
            },
        )
    }

    pub(crate) fn choose_in(flag: Option<&str>, around: &Surroundings<'_>) -> Target {
        match flag
            .map(str::to_owned)
            .or_else(|| (around.variable)("ROCKETMQ_LOG_TO"))
            .as_deref()
        {
            Some("stdout" | "-") => Target::Stdout,
            Some("stderr") => Target::Stderr,
            Some(dir) => Target::Dir(PathBuf::from(dir)),
            None if in_container(around) => Target::Stdout,
            None => {
                let home = (around.variable)("HOME").unwrap_or_else(|| ".".to_owned());
                Target::Dir(Path::new(&home).join("logs/rocketmqlogs"))
            }
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

    fn chosen(flag: Option<&str>, variables: &[(&str, &str)], files: &[&str]) -> Target {
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
            },
        )
    }

    #[test]
    fn choices() {
        let home = ("HOME", "/home/mq");
        assert_eq!(
            chosen(None, &[home], &[]),
            Target::Dir("/home/mq/logs/rocketmqlogs".into())
        );
        assert_eq!(chosen(None, &[home], &["/.dockerenv"]), Target::Stdout);
        assert_eq!(
            chosen(None, &[home, ("KUBERNETES_SERVICE_HOST", "10.0.0.1")], &[]),
            Target::Stdout
        );
        assert_eq!(
            chosen(None, &[home, ("container", "podman")], &[]),
            Target::Stdout
        );
        assert_eq!(
            chosen(Some("/var/log/mq"), &[home], &["/.dockerenv"]),
            Target::Dir("/var/log/mq".into())
        );
        assert_eq!(
            chosen(None, &[home, ("ROCKETMQ_LOG_TO", "stdout")], &[]),
            Target::Stdout
        );
        assert_eq!(
            chosen(Some("stderr"), &[("ROCKETMQ_LOG_TO", "stdout")], &[]),
            Target::Stderr
        );
    }
}
