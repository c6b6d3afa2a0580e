//! Half messages that were given up: resumeCheckHalfMessage. Java has the request in its library alone.

use super::search;
use crate::failure::Failure;
use crate::job::Job;
use crate::output::Out;
use crate::parse::bad_value;
use crate::table::{Command, Run, required};
use ::message::name::CHECK_MAX_TIME_TOPIC;
use client::Received;
use protocol::code::request;
use protocol::header::broker::ResumeCheckHalfMessageRequestHeader;
use remoting::Body;
use serde_json::json;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "resumeCheckHalfMessage",
    alias: None,
    about: "has producers asked anew for half messages that were given up: those in TRANS_CHECK_MAX_TIME_TOPIC",
    options: &[required(
        'i',
        "msgId",
        "ids of messages there, their producers' or the brokers', separated by commas",
    )],
    asks: None,
    run: Run::Online(|job, out| Box::pin(resume(job, out))),
}];

async fn resume(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let ids = job.given.required("msgId").split(',').map(str::trim);
    // All are looked for before the first is resumed.
    let mut found = Vec::new();
    for id in ids.filter(|id| !id.is_empty()) {
        let given_up = search::by_id(job, out, CHECK_MAX_TIME_TOPIC, id).await?;
        // It may have been resumed before.
        let last = given_up.into_iter().max_by_key(|message| message.store_timestamp);
        let none = || Failure::wrong(format!("{CHECK_MAX_TIME_TOPIC} has no message {id}"));
        found.push((id, last.ok_or_else(none)?));
    }
    if found.is_empty() {
        return Err(bad_value("msgId", "", "an id at least"));
    }
    for (id, message) in found {
        resume_one(job, out, id, &message).await?;
    }
    Ok(())
}

async fn resume_one(job: &Job, out: &mut Out, id: &str, message: &Received) -> Result<(), Failure> {
    let address = message.store_host.to_string();
    let header = ResumeCheckHalfMessageRequestHeader {
        msg_id: Some(message.offset_msg_id().into()),
    };
    let code = request::RESUME_CHECK_HALF_MESSAGE;
    job.net.ask(&address, code, &header, Body::Empty).await?;
    out.either(
        &format!("resume check of half message {id} in {address} success.\n"),
        json!({"msgId": id, "brokerAddr": address}),
    );
    Ok(())
}
