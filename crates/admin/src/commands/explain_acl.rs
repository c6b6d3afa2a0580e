//! `mqadmin explainAcl`: asks a broker what its access control would say of a request, and by which rule.

use crate::failure::Failure;
use crate::job::Job;
use crate::output::Out;
use crate::table::{Command, Run, required};
use protocol::body::auth::Explanation;
use protocol::code::{request, response};
use protocol::header::auth::ExplainAclRequestHeader;
use serde_json::json;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "explainAcl",
    alias: None,
    about: "says whether a broker would serve a request, and by which rule; exit code 0 if it would, 2 if it would not",
    options: &[
        required('b', "brokerAddr", "the broker"),
        required('u', "user", "the user, or the access key of an account"),
        required('a', "address", "where the request comes from, an IP address"),
        required(
            'r',
            "resource",
            "what it is about: Topic:NAME, Group:NAME, Cluster:NAME",
        ),
        required(
            'o',
            "action",
            "Pub, Sub, Create, Update, Delete, Get, List; several, separated by commas, are one of them",
        ),
    ],
    asks: None,
    run: Run::Online(|job, out| Box::pin(run(job, out))),
}];

async fn run(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let text_of = |name| job.given.required(name);
    let header = ExplainAclRequestHeader {
        username: text_of("user").into(),
        address: text_of("address").into(),
        resource: text_of("resource").into(),
        action: text_of("action").into(),
    };
    let broker = text_of("brokerAddr");
    let asked = job.net.read(broker, request::EXPLAIN_ACL, &header).await;
    let explanation: Explanation = asked.map_err(|why| match why.code() {
        Some(response::REQUEST_CODE_NOT_SUPPORTED) => {
            Failure::wrong(format!("{broker} does not explain its access control"))
        }
        _ => why,
    })?;
    out.either(&format!("{}\n", text(&explanation)), json!(explanation));
    out.exit_code = if explanation.allowed { 0 } else { 2 };
    Ok(())
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
    }
}
