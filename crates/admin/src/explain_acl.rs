//! `mqadmin explainAcl`: asks a broker what its access control would say of a request, and by which rule.

use crate::{credentials, output, tls};
use clap::{Arg, ArgMatches, Command};
use protocol::body::auth::Explanation;
use protocol::code::{request, response};
use protocol::header::auth::ExplainAclRequestHeader;
use remoting::{Body, Client, ClientSettings, Sign};
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

/// How long the broker may take.
const WITHIN: Duration = Duration::from_secs(10);

fn command() -> Command {
    let option = |name: &'static str, short: char, value: &'static str, help: &'static str| {
        Arg::new(name)
            .short(short)
            .long(name)
            .value_name(value)
            .required(true)
            .help(help)
    };
    Command::new("explainAcl")
        .about(
            "says whether a broker would serve a request, and by which rule; exit code 0 if it would, 2 if it would not. \
             Nothing is done. It signs as conf/tools.yml says",
        )
        .no_binary_name(true)
        .arg(option("brokerAddr", 'b', "HOST:PORT", "The broker"))
        .arg(option("user", 'u', "NAME", "The user, or the access key of an account"))
        .arg(option("address", 'a', "IP", "Where the request comes from"))
        .arg(option(
            "resource",
            'r',
            "RESOURCE",
            "What it is about: Topic:NAME, Group:NAME, Cluster:NAME",
        ))
        .arg(option(
            "action",
            'o',
            "ACTION",
            "Pub, Sub, Create, Update, Delete, Get, List; several, separated by commas, are one of them",
        ))
}

/// Runs the command and gives the process's exit code.
#[expect(clippy::disallowed_methods, reason = "here the runtime begins")]
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            // A closed terminal is no reason for another exit code.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 1 } else { 0 });
        }
    };
    let asked = tokio::runtime::Runtime::new()
        .map_err(|e| e.to_string())
        .and_then(|runtime| runtime.block_on(ask(&matches)));
    match asked {
        Ok(explanation) => {
            output::print(&text(&explanation));
            ExitCode::from(if explanation.allowed { 0 } else { 2 })
        }
        Err(why) => {
            output::complain(&why);
            ExitCode::FAILURE
        }
    }
}

async fn ask(matches: &ArgMatches) -> Result<Explanation, String> {
    let given = |name| {
        matches
            .get_one::<String>(name)
            .map(String::as_str)
            .unwrap_or_default()
    };
    let credentials = credentials::of_home().map_err(|e| e.to_string())?;
    let client = Client::new(ClientSettings {
        tls: tls::given().map_err(|e| e.to_string())?,
        sign: credentials.map(|own| Sign::by(move |fields, body| own.sign(fields, body))),
        ..ClientSettings::default()
    });
    let header = ExplainAclRequestHeader {
        username: given("user").into(),
        address: given("address").into(),
        resource: given("resource").into(),
        action: given("action").into(),
    };
    let broker = given("brokerAddr");
    let answer = client
        .invoke(broker, request::EXPLAIN_ACL, &header, Body::Empty, WITHIN)
        .await
        .map_err(|e| e.to_string())?;
    match answer.code {
        response::SUCCESS => protocol::body::read(&answer.body).map_err(|e| e.to_string()),
        response::REQUEST_CODE_NOT_SUPPORTED => Err(format!("{broker} does not explain its access control")),
        code => Err(format!(
            "{broker} answers with code {code}: {}",
            answer.remark.as_deref().unwrap_or_default()
        )),
    }
}

fn text(explanation: &Explanation) -> String {
    let word = |allowed| if allowed { "allowed" } else { "refused" };
    let mut text = word(explanation.allowed).to_owned();
    for verdict in &explanation.verdicts {
        text.push_str(&format!(
            "\n{} {}: {}",
            verdict.by,
            word(verdict.allowed),
            verdict.rule
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::body::auth::Explained;

    #[test]
    fn an_explanation_as_it_is_printed() {
        let explanation = Explanation {
            allowed: false,
            verdicts: vec![Explained {
                allowed: false,
                by: "users".to_owned(),
                rule: "User:alice is disabled.".to_owned(),
            }],
        };
        assert_eq!(
            text(&explanation),
            "refused\nusers refused: User:alice is disabled."
        );
        command().debug_assert();
    }
}
