//! Name servers: their settings, their KV configuration, and what they say of a broker's permission.

use super::broker::{as_object, setting, settings_in, show_settings};
use crate::failure::Failure;
use crate::job::Job;
use crate::net::{Net, read_header, some};
use crate::output::Out;
use crate::table::{Command, Run, required};
use bytes::Bytes;
use protocol::code::request;
use protocol::header::NoHeader;
use protocol::header::namesrv::{
    AddedWritePermission, BrokerPermission, KvKey, PutKvConfig, WipedWritePermission,
};
use remoting::Body;
use serde_json::json;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "getNamesrvConfig",
        alias: None,
        about: "shows the settings of every name server",
        options: &[],
        asks: None,
        run: Run::Online(|job, out| Box::pin(config(job, out))),
    },
    Command {
        name: "updateNamesrvConfig",
        alias: None,
        about: "changes a setting of every name server",
        options: &[
            required('k', "key", "the setting"),
            required('v', "value", "its value"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(update_config(job, out))),
    },
    Command {
        name: "updateKvConfig",
        alias: None,
        about: "sets a value of the KV configuration on every name server",
        options: &[
            required('s', "namespace", "its namespace"),
            required('k', "key", "its key"),
            required('v', "value", "the value"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(update_kv(job, out))),
    },
    Command {
        name: "deleteKvConfig",
        alias: None,
        about: "deletes a value of the KV configuration from every name server",
        options: &[
            required('s', "namespace", "its namespace"),
            required('k', "key", "its key"),
        ],
        asks: Some("Delete {key} of {namespace} from every name server?"),
        run: Run::Online(|job, out| Box::pin(delete_kv(job, out))),
    },
    Command {
        name: "wipeWritePerm",
        alias: None,
        about: "takes the permission to write from a broker's topics, on every name server",
        options: &[required('b', "brokerName", "the broker's name")],
        asks: Some("Keep producers from every topic of {brokerName}?"),
        run: Run::Online(|job, out| Box::pin(write_perm(job, out, false))),
    },
    Command {
        name: "addWritePerm",
        alias: None,
        about: "gives it back",
        options: &[required('b', "brokerName", "the broker's name")],
        asks: None,
        run: Run::Online(|job, out| Box::pin(write_perm(job, out, true))),
    },
];

async fn config(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let work = |net: Net, address: String| async move {
        let code = request::GET_NAMESRV_CONFIG;
        let answer = net.ask(&address, code, &NoHeader, Body::Empty).await?;
        Ok(settings_in(&answer.body))
    };
    let told = job.net.each(job.net.namesrvs()?, work).await;
    for (address, settings) in some(out, told)? {
        out.line(&format!("============{address}============"));
        show_settings(out, &settings);
        out.json(&json!({"namesrvAddr": address, "config": as_object(&settings)}));
    }
    Ok(())
}

async fn update_config(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let (key, value) = (job.given.required("key"), job.given.required("value"));
    let body = setting(key, value)?;
    job.net
        .tell_namesrvs(request::UPDATE_NAMESRV_CONFIG, NoHeader, body)
        .await?;
    let given = match job.given.text("namesrvAddr") {
        Some(list) => format!("[{}]", list.split(';').collect::<Vec<_>>().join(", ")),
        None => String::new(),
    };
    out.either(
        &format!("update name server config success!{given}\n{key} : {value}\n"),
        json!({"key": key, "value": value, "namesrvAddr": job.net.namesrvs()?}),
    );
    Ok(())
}

async fn update_kv(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let text = |name| job.given.required(name).to_owned();
    let header = PutKvConfig {
        namespace: text("namespace").into(),
        key: text("key").into(),
        value: text("value").into(),
    };
    let code = request::PUT_KV_CONFIG;
    job.net.tell_namesrvs(code, header, Bytes::new()).await?;
    out.either(
        "create or update kv config to namespace success.\n",
        json!({"namespace": text("namespace"), "key": text("key"), "value": text("value")}),
    );
    Ok(())
}

async fn delete_kv(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let text = |name| job.given.required(name).to_owned();
    let header = KvKey {
        namespace: text("namespace").into(),
        key: text("key").into(),
    };
    let code = request::DELETE_KV_CONFIG;
    job.net.tell_namesrvs(code, header, Bytes::new()).await?;
    out.either(
        "delete kv config from namespace success.\n",
        json!({"namespace": text("namespace"), "key": text("key")}),
    );
    Ok(())
}

async fn write_perm(job: &Job, out: &mut Out, add: bool) -> Result<(), Failure> {
    let broker = job.given.required("brokerName");
    let verb = if add { "add" } else { "wipe" };
    let work = |net: Net, address: String| {
        let broker = broker.to_owned();
        async move { change_perm(&net, &address, &broker, add).await }
    };
    let mut failed = Vec::new();
    let done = job.net.each(job.net.namesrvs()?, work).await;
    let all = done.len();
    for (address, result) in done {
        let head = format!("{verb} write perm of broker[{broker}] in name server[{address}]");
        match result {
            Ok(topics) => out.either(
                &format!("{head} OK, {topics}\n"),
                json!({"namesrvAddr": address, "brokerName": broker, "topics": topics}),
            ),
            Err(why) => {
                out.line(&format!("{head} Failed"));
                failed.push(why);
            }
        }
    }
    if failed.len() == all && !failed.is_empty() {
        return Err(failed.swap_remove(0));
    }
    for why in failed {
        out.away(&why);
    }
    Ok(())
}

/// Changes the permission and gives the number of topics that changed.
async fn change_perm(net: &Net, address: &str, broker: &str, add: bool) -> Result<i32, Failure> {
    let header = BrokerPermission {
        broker_name: broker.into(),
    };
    if add {
        let code = request::ADD_WRITE_PERM_OF_BROKER;
        let answer = net.ask(address, code, &header, Body::Empty).await?;
        return Ok(read_header::<AddedWritePermission>(address, &answer)?.add_topic_count);
    }
    let code = request::WIPE_WRITE_PERM_OF_BROKER;
    let answer = net.ask(address, code, &header, Body::Empty).await?;
    Ok(read_header::<WipedWritePermission>(address, &answer)?.wipe_topic_count)
}
