//! The command line, and what comes from the environment.

use clap::{Arg, ArgAction, Command};
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// How the program is to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Name servers, separated by `;`.
    pub(crate) namesrv: String,
    pub(crate) listen: IpAddr,
    pub(crate) port: u16,
    /// Names of this server besides those of its host.
    pub(crate) names: Vec<String>,
    /// Who knows it may change something.
    pub(crate) password: Option<String>,
}

/// The environment, which tests make up.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

fn command() -> Command {
    Command::new("mqconsole")
        .about("Shows name servers and brokers in a browser")
        .version(env!("CARGO_PKG_VERSION"))
        .arg(
            Arg::new("namesrvAddr")
                .short('n')
                .long("namesrvAddr")
                .value_name("LIST")
                .help("Name servers, for example '192.168.0.1:9876;192.168.0.2:9876' [default: $NAMESRV_ADDR, -Drocketmq.namesrv.addr in $JAVA_OPTS, or 127.0.0.1:9876]"),
        )
        .arg(
            Arg::new("port")
                .short('p')
                .long("port")
                .value_name("PORT")
                .value_parser(clap::value_parser!(u16))
                .help("Port [default: -Dserver.port in $JAVA_OPTS, or 8080]"),
        )
        .arg(
            Arg::new("listen")
                .short('l')
                .long("listen")
                .value_name("ADDRESS")
                .value_parser(clap::value_parser!(IpAddr))
                .help("Address to listen at; 0.0.0.0 for all of this host [default: 127.0.0.1]"),
        )
        .arg(
            Arg::new("name")
                .long("name")
                .value_name("HOST")
                .action(ArgAction::Append)
                .help("A name that browsers may ask it by, where it listens for its own host and a proxy stands before it"),
        )
        .arg(
            Arg::new("passwordFile")
                .long("password-file")
                .value_name("FILE")
                .help("The file's first line is the password that allows changes [default: $MQCONSOLE_PASSWORD; without one nothing can be changed]"),
        )
}

/// A system property of Java's among the options of a JVM.
fn property(java: &str, name: &str) -> Option<String> {
    let mut words = java.split_whitespace();
    let value = words.find_map(|word| word.strip_prefix("-D")?.strip_prefix(name)?.strip_prefix('='))?;
    let value = value.trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}

/// Reads a command line.
///
/// # Errors
/// It makes no sense, or the file of the password can not be read; also where help was asked for, which is no fault.
pub(crate) fn parse(
    args: impl IntoIterator<Item = OsString>,
    environment: Environment<'_>,
) -> Result<Options, clap::Error> {
    let mut command = command();
    let given = command.try_get_matches_from_mut(args)?;
    let mut wrong = |why: String| command.error(clap::error::ErrorKind::ValueValidation, why);
    let java = environment("JAVA_OPTS").unwrap_or_default();
    let namesrv = given
        .get_one::<String>("namesrvAddr")
        .cloned()
        .or_else(|| environment("NAMESRV_ADDR").filter(|text| !text.trim().is_empty()))
        .or_else(|| property(&java, "rocketmq.namesrv.addr"))
        .or_else(|| property(&java, "rocketmq.config.namesrvAddr"));
    let port = match (given.get_one::<u16>("port"), property(&java, "server.port")) {
        (Some(port), _) => *port,
        (None, Some(text)) => text
            .parse()
            .map_err(|_| wrong(format!("JAVA_OPTS: bad value of server.port: `{text}`")))?,
        (None, None) => 8080,
    };
    let password = match given.get_one::<String>("passwordFile") {
        Some(path) => Some(read_password(Path::new(path)).map_err(wrong)?),
        None => environment("MQCONSOLE_PASSWORD").filter(|password| !password.is_empty()),
    };
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Ok(Options {
        namesrv: namesrv.unwrap_or_else(|| "127.0.0.1:9876".to_owned()),
        listen: given.get_one::<IpAddr>("listen").copied().unwrap_or(loopback),
        port,
        names: given
            .get_many::<String>("name")
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
        password,
    })
}

fn read_password(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let first = text.lines().next().unwrap_or_default();
    match first.is_empty() {
        true => Err(format!(
            "{}: its first line, the password, is empty",
            path.display()
        )),
        false => Ok(first.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str], environment: &[(&str, &str)]) -> Result<Options, String> {
        let given = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let args = ["mqconsole"].iter().chain(args).map(OsString::from);
        parse(args, &given).map_err(|why| why.to_string())
    }

    #[test]
    fn where_each_setting_comes_from() {
        let bare = parsed(&[], &[]).unwrap();
        assert_eq!(
            (bare.namesrv.as_str(), bare.port, bare.password),
            ("127.0.0.1:9876", 8080, None)
        );
        assert!(bare.listen.is_loopback());
        let java = (
            "JAVA_OPTS",
            "-Xmx1g -Drocketmq.namesrv.addr=a:1;b:2 -Dserver.port=9000",
        );
        let of_image = parsed(&[], &[java]).unwrap();
        assert_eq!((of_image.namesrv.as_str(), of_image.port), ("a:1;b:2", 9000));
        let of_both = parsed(&[], &[java, ("NAMESRV_ADDR", "c:3")]).unwrap();
        assert_eq!(of_both.namesrv, "c:3");
        let given = parsed(
            &[
                "-n", "d:4", "-p", "81", "-l", "0.0.0.0", "--name", "x", "--name", "y",
            ],
            &[java],
        )
        .unwrap();
        assert_eq!((given.namesrv.as_str(), given.port), ("d:4", 81));
        assert_eq!(
            (given.listen.to_string(), given.names.len()),
            ("0.0.0.0".to_owned(), 2)
        );
    }

    #[test]
    fn the_password() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        std::fs::write(path, "s3cret\nmore\n").unwrap();
        let environment = [("MQCONSOLE_PASSWORD", "other")];
        let password = |args: &[&str]| parsed(args, &environment).map(|options| options.password);
        assert_eq!(password(&["--password-file", path]).unwrap().unwrap(), "s3cret");
        assert_eq!(password(&[]).unwrap().unwrap(), "other");
        std::fs::write(path, "\n").unwrap();
        assert!(
            password(&["--password-file", path])
                .unwrap_err()
                .contains("is empty")
        );
        assert!(
            password(&["--password-file", "/nowhere"])
                .unwrap_err()
                .contains("/nowhere")
        );
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (args, environment, part) in [
            (&["-p", "x"][..], &[][..], "'x'"),
            (&["-l", "everywhere"], &[], "everywhere"),
            (&["--nmae", "x"], &[], "--nmae"),
            (&[], &[("JAVA_OPTS", "-Dserver.port=many")], "server.port"),
        ] {
            let why = parsed(args, environment).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }
}
