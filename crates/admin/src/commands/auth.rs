//! Users and policies of 5.x: createUser, updateUser, deleteUser, getUser, listUser, copyUser, createAcl, updateAcl, deleteAcl,
//! getAcl, listAcl, copyAcl.

use crate::failure::Failure;
use crate::job::Job;
use crate::net::{Net, read_body};
use crate::output::{Cell, Out, Table};
use crate::parse::bad_value;
use crate::table::{Command, Opt, Run, one_of, required, value};
use protocol::EncodeHeader;
use protocol::body::auth::{AclInfo, PolicyEntryInfo, PolicyInfo, UserInfo};
use protocol::code::request;
use protocol::header::auth::{
    AclRequestHeader, ListAclsRequestHeader, ListUsersRequestHeader, UserRequestHeader,
};
use remoting::Body;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

const BROKER: Opt = one_of('b', "brokerAddr", "the broker");
const CLUSTER: Opt = one_of('c', "clusterName", "the cluster");

/// What createAcl and updateAcl take.
const ACL: &[Opt] = &[
    CLUSTER,
    BROKER,
    required('s', "subject", "User:NAME"),
    required('r', "resources", "Topic:NAME,Group:PRE*,…"),
    required('a', "actions", "Pub,Sub,Create,Update,Delete,Get,List,All"),
    value('i', "sourceIp", "addresses and networks [default: all]"),
    required('d', "decision", "Allow or Deny"),
    POLICY_TYPE,
];

/// Not of Java's tool, whose requests have a place for it.
const POLICY_TYPE: Opt = value(
    'p',
    "policyType",
    "Custom, or Default for what Custom says nothing of [default: Custom]",
);

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "createUser",
        alias: None,
        about: "makes a user",
        options: &[
            CLUSTER,
            BROKER,
            required('u', "username", "the user"),
            required('p', "password", "what signs the user's requests"),
            value('t', "userType", "Super or Normal [default: Normal]"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(create_user(job, out))),
    },
    Command {
        name: "updateUser",
        alias: None,
        about: "changes a user",
        options: &[
            CLUSTER,
            BROKER,
            required('u', "username", "the user"),
            value('p', "password", "another password"),
            value('t', "userType", "Super or Normal"),
            value('s', "userStatus", "enable or disable"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(update_user(job, out))),
    },
    Command {
        name: "deleteUser",
        alias: None,
        about: "deletes a user",
        options: &[CLUSTER, BROKER, required('u', "username", "the user")],
        asks: Some("Delete user {username} from {brokerAddr}{clusterName}?"),
        run: Run::Online(|job, out| Box::pin(delete_user(job, out))),
    },
    Command {
        name: "getUser",
        alias: None,
        about: "shows a user",
        options: &[BROKER, CLUSTER, required('u', "username", "the user")],
        asks: None,
        run: Run::Online(|job, out| Box::pin(get_user(job, out))),
    },
    Command {
        name: "listUser",
        alias: None,
        about: "lists users",
        options: &[BROKER, CLUSTER, value('f', "filter", "a part of their names")],
        asks: None,
        run: Run::Online(|job, out| Box::pin(list_users(job, out))),
    },
    Command {
        name: "copyUser",
        alias: None,
        about: "copies users from a broker to another",
        options: &[
            required('f', "fromBroker", "the broker that has them"),
            required('t', "toBroker", "the broker that gets them"),
            value('u', "usernames", "these, separated by commas [default: all]"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(copy_users(job, out))),
    },
    Command {
        name: "createAcl",
        alias: None,
        about: "lets a user do something, or forbids it",
        options: ACL,
        asks: None,
        run: Run::Online(|job, out| Box::pin(put_acl(job, out, request::AUTH_CREATE_ACL, "create"))),
    },
    Command {
        name: "updateAcl",
        alias: None,
        about: "changes what a user may do",
        options: ACL,
        asks: None,
        run: Run::Online(|job, out| Box::pin(put_acl(job, out, request::AUTH_UPDATE_ACL, "update"))),
    },
    Command {
        name: "deleteAcl",
        alias: None,
        about: "deletes what a user may do, or one entry of it",
        options: &[
            CLUSTER,
            BROKER,
            required('s', "subject", "User:NAME"),
            value('r', "resources", "the entry's resource [default: all entries]"),
            POLICY_TYPE,
        ],
        asks: Some("Delete what {subject} may do on {brokerAddr}{clusterName}?"),
        run: Run::Online(|job, out| Box::pin(delete_acl(job, out))),
    },
    Command {
        name: "getAcl",
        alias: None,
        about: "shows what a user may do",
        options: &[BROKER, CLUSTER, required('s', "subject", "User:NAME")],
        asks: None,
        run: Run::Online(|job, out| Box::pin(get_acl(job, out))),
    },
    Command {
        name: "listAcl",
        alias: None,
        about: "lists what users may do",
        options: &[
            BROKER,
            CLUSTER,
            value('s', "subject", "a part of subjects"),
            value('r', "resource", "a part of resources"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(list_acls(job, out))),
    },
    Command {
        name: "copyAcl",
        alias: None,
        about: "copies what users may do from a broker to another",
        options: &[
            required('f', "fromBroker", "the broker that has it"),
            required('t', "toBroker", "the broker that gets it"),
            value('s', "subjects", "these, separated by commas [default: all]"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(copy_acls(job, out))),
    },
];

/// Tells every broker that is meant, and says which have done it.
async fn tell<H, B>(
    job: &Job,
    out: &mut Out,
    code: i32,
    done: &str,
    header: H,
    body: Option<&B>,
) -> Result<(), Failure>
where
    H: EncodeHeader + Send + Sync + 'static,
    B: Serialize,
{
    let body = body.map(protocol::body::write).unwrap_or_default();
    let brokers = job.brokers().await?;
    for address in job.net.tell(out, brokers, code, header, body).await? {
        out.either(
            &format!("{done} to {address} success.\n"),
            json!({"brokerAddr": address, "done": done}),
        );
    }
    Ok(())
}

/// Asks one broker; an answer without a body is none.
async fn get<T: DeserializeOwned>(
    net: &Net,
    address: &str,
    code: i32,
    header: &(dyn EncodeHeader + Sync),
) -> Result<Option<T>, Failure> {
    let answer = net.ask(address, code, header, Body::Empty).await?;
    match answer.body.is_empty() || &answer.body[..] == b"null" {
        true => Ok(None),
        false => read_body(address, &answer).map(Some),
    }
}

fn user_header(name: &str) -> UserRequestHeader<'static> {
    UserRequestHeader {
        username: Some(name.to_owned().into()),
    }
}

async fn create_user(job: &Job, out: &mut Out) -> Result<(), Failure> {
    put_user(job, out, request::AUTH_CREATE_USER, "create user").await
}

async fn update_user(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let changes = ["password", "userType", "userStatus"];
    if !changes.iter().any(|change| job.given.has(change)) {
        return Err(Failure::wrong(
            "updateUser needs -p/--password, -t/--userType or -s/--userStatus",
        ));
    }
    put_user(job, out, request::AUTH_UPDATE_USER, "update user").await
}

async fn put_user(job: &Job, out: &mut Out, code: i32, done: &str) -> Result<(), Failure> {
    let text = |name: &str| job.given.text(name).map(str::to_owned);
    let user = UserInfo {
        username: text("username"),
        password: text("password"),
        user_type: text("userType"),
        user_status: text("userStatus"),
    };
    let name = job.given.required("username");
    tell(job, out, code, done, user_header(name), Some(&user)).await
}

async fn delete_user(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let name = job.given.required("username");
    let code = request::AUTH_DELETE_USER;
    tell(job, out, code, "delete user", user_header(name), None::<&()>).await
}

const USERS: Table = Table {
    titles: "%-16s  %-22s  %-22s  %-22s%n",
    row: "%-16s  %-22s  %-22s  %-22s%n",
    columns: &[
        ("#UserName", "username"),
        ("#Password", "password"),
        ("#UserType", "userType"),
        ("#UserStatus", "userStatus"),
    ],
};

/// A text that may be missing, as Java prints it.
fn cell(text: &Option<String>) -> Cell {
    Cell::shown(text.as_deref().unwrap_or("null"), text.clone())
}

fn show_users(out: &mut Out, users: &[UserInfo]) {
    out.titles(&USERS);
    for user in users {
        let texts = [&user.username, &user.password, &user.user_type, &user.user_status];
        out.row(&USERS, texts.map(cell));
    }
}

async fn get_user(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let name = job.given.required("username");
    for address in job.masters().await? {
        let code = request::AUTH_GET_USER;
        if let Some(user) = get::<UserInfo>(&job.net, &address, code, &user_header(name)).await? {
            show_users(out, &[user]);
            return Ok(());
        }
    }
    Err(Failure::wrong(format!("there is no user {name}")))
}

async fn users_of(net: &Net, address: &str, filter: Option<&str>) -> Result<Vec<UserInfo>, Failure> {
    let header = ListUsersRequestHeader {
        filter: filter.map(Into::into),
    };
    let code = request::AUTH_LIST_USER;
    Ok(get(net, address, code, &header).await?.unwrap_or_default())
}

async fn list_users(job: &Job, out: &mut Out) -> Result<(), Failure> {
    for address in job.masters().await? {
        let users = users_of(&job.net, &address, job.given.text("filter")).await?;
        if !users.is_empty() {
            show_users(out, &users);
            if !job.given.has("brokerAddr") {
                out.line(&format!("get user from {address} success."));
            }
            break;
        }
    }
    Ok(())
}

async fn copy_users(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let (from, to) = (job.given.required("fromBroker"), job.given.required("toBroker"));
    let code = request::AUTH_GET_USER;
    let users = match job.given.text("usernames").filter(|names| !names.is_empty()) {
        None => users_of(&job.net, from, None).await?,
        Some(names) => {
            let mut users = Vec::new();
            for name in names.split(',').map(str::trim) {
                let user = get(&job.net, from, code, &user_header(name)).await?;
                users.push(user.ok_or_else(|| Failure::wrong(format!("{from} has no user {name}")))?);
            }
            users
        }
    };
    for user in users {
        let name = user.username.clone().unwrap_or_default();
        let header = user_header(&name);
        let known: Option<UserInfo> = get(&job.net, to, code, &header).await?;
        let put = match known {
            None => request::AUTH_CREATE_USER,
            Some(_) => request::AUTH_UPDATE_USER,
        };
        let body = Body::Bytes(protocol::body::write(&user));
        job.net.ask(to, put, &header, body).await?;
        out.either(
            &format!("copy user of {name} from {from} to {to} success.\n"),
            json!({"username": name, "fromBroker": from, "toBroker": to}),
        );
    }
    Ok(())
}

fn acl_header(subject: &str, resource: Option<&str>) -> AclRequestHeader<'static> {
    AclRequestHeader {
        subject: Some(subject.to_owned().into()),
        policy_type: None,
        resource: resource.map(|resource| resource.to_owned().into()),
    }
}

/// Custom or Default, in the spelling of requests.
fn policy_type(job: &Job) -> Result<Option<String>, Failure> {
    let Some(text) = job.given.text("policyType") else {
        return Ok(None);
    };
    let known = ["Custom", "Default"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(text));
    match known {
        Some(known) => Ok(Some(known.to_owned())),
        None => Err(bad_value("policyType", text, "Custom or Default")),
    }
}

async fn put_acl(job: &Job, out: &mut Out, code: i32, verb: &str) -> Result<(), Failure> {
    let given = &job.given;
    let list = |name: &str| -> Vec<String> {
        let parts = given.text(name).unwrap_or_default().split(',').map(str::trim);
        parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let entries = list("resources").into_iter().map(|resource| PolicyEntryInfo {
        resource: Some(resource),
        actions: list("actions"),
        source_ips: list("sourceIp"),
        decision: given.text("decision").map(str::to_owned),
    });
    let subject = given.required("subject");
    let acl = AclInfo {
        subject: Some(subject.to_owned()),
        policies: vec![PolicyInfo {
            entries: entries.collect(),
            policy_type: policy_type(job)?,
        }],
    };
    let done = format!("{verb} acl");
    tell(job, out, code, &done, acl_header(subject, None), Some(&acl)).await
}

async fn delete_acl(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let (subject, resource) = (job.given.required("subject"), job.given.text("resources"));
    let code = request::AUTH_DELETE_ACL;
    let header = AclRequestHeader {
        policy_type: policy_type(job)?.map(Into::into),
        ..acl_header(subject, resource)
    };
    tell(job, out, code, "delete acl", header, None::<&()>).await
}

const ACLS: Table = Table {
    titles: "%-16s  %-10s  %-22s  %-20s  %-24s  %-10s%n",
    row: "%-16s  %-10s  %-22s  %-20s  %-24s  %-10s%n",
    columns: &[
        ("#Subject", "subject"),
        ("#PolicyType", "policyType"),
        ("#Resource", "resource"),
        ("#Actions", "actions"),
        ("#SourceIp", "sourceIps"),
        ("#Decision", "decision"),
    ],
};

/// A list as Java prints it.
fn list_cell(list: &[String]) -> Cell {
    Cell::shown(format!("[{}]", list.join(", ")), json!(list))
}

fn show_acls(out: &mut Out, acls: &[AclInfo]) {
    out.titles(&ACLS);
    for acl in acls {
        if acl.policies.is_empty() {
            let nothing = (0..5).map(|_| Cell::from(""));
            out.row(&ACLS, std::iter::once(cell(&acl.subject)).chain(nothing));
        }
        for policy in &acl.policies {
            for entry in &policy.entries {
                // Java leaves a list that is empty out of its JSON, and then prints null.
                let sources = match entry.source_ips.is_empty() {
                    true => cell(&None),
                    false => list_cell(&entry.source_ips),
                };
                out.row(
                    &ACLS,
                    [
                        cell(&acl.subject),
                        cell(&policy.policy_type),
                        cell(&entry.resource),
                        list_cell(&entry.actions),
                        sources,
                        cell(&entry.decision),
                    ],
                );
            }
        }
    }
}

async fn get_acl(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let subject = job.given.required("subject");
    let mut found = Vec::new();
    for address in job.masters().await? {
        let code = request::AUTH_GET_ACL;
        found.extend(get::<AclInfo>(&job.net, &address, code, &acl_header(subject, None)).await?);
    }
    if found.is_empty() {
        return Err(Failure::wrong(format!("nothing is said of {subject}")));
    }
    for acl in found {
        show_acls(out, &[acl]);
    }
    Ok(())
}

async fn acls_of(
    net: &Net,
    address: &str,
    subject: Option<&str>,
    resource: Option<&str>,
) -> Result<Vec<AclInfo>, Failure> {
    let header = ListAclsRequestHeader {
        subject_filter: subject.map(Into::into),
        resource_filter: resource.map(Into::into),
    };
    let code = request::AUTH_LIST_ACL;
    Ok(get(net, address, code, &header).await?.unwrap_or_default())
}

async fn list_acls(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let (subject, resource) = (job.given.text("subject"), job.given.text("resource"));
    for address in job.masters().await? {
        let acls = acls_of(&job.net, &address, subject, resource).await?;
        if !acls.is_empty() {
            show_acls(out, &acls);
        }
    }
    Ok(())
}

async fn copy_acls(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let (from, to) = (job.given.required("fromBroker"), job.given.required("toBroker"));
    let code = request::AUTH_GET_ACL;
    let acls = match job.given.text("subjects").filter(|subjects| !subjects.is_empty()) {
        None => acls_of(&job.net, from, None, None).await?,
        Some(subjects) => {
            let mut acls = Vec::new();
            for subject in subjects.split(',').map(str::trim) {
                let acl = get(&job.net, from, code, &acl_header(subject, None)).await?;
                acls.push(acl.ok_or_else(|| Failure::wrong(format!("{from} says nothing of {subject}")))?);
            }
            acls
        }
    };
    for acl in acls {
        let subject = acl.subject.clone().unwrap_or_default();
        let header = acl_header(&subject, None);
        let known: Option<AclInfo> = get(&job.net, to, code, &header).await?;
        let put = match known {
            None => request::AUTH_CREATE_ACL,
            Some(_) => request::AUTH_UPDATE_ACL,
        };
        let body = Body::Bytes(protocol::body::write(&acl));
        job.net.ask(to, put, &header, body).await?;
        out.either(
            &format!("copy acl of {subject} from {from} to {to} success.\n"),
            json!({"subject": subject, "fromBroker": from, "toBroker": to}),
        );
    }
    Ok(())
}
