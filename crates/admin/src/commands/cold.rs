//! Reads of what has left memory: getColdDataFlowCtrInfo, updateColdDataFlowCtrGroupConfig, removeColdDataFlowCtrGroupConfig,
//! setCommitLogReadAheadMode of 5.x.

use super::broker::{placed, setting};
use crate::failure::Failure;
use crate::job::Job;
use crate::net::{Net, some};
use crate::output::{Out, pretty};
use crate::parse::bad_value;
use crate::table::{Command, Run, any_of, required};
use crate::time;
use bytes::Bytes;
use protocol::code::request;
use protocol::header::NoHeader;
use protocol::header::broker::SetCommitLogReadModeRequestHeader;
use remoting::Body;
use serde_json::{Value, json};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "getColdDataFlowCtrInfo",
        alias: None,
        about: "shows how much groups read of what has left memory, and how much they may",
        options: &[
            any_of('b', "brokerAddr", "the broker"),
            any_of('c', "clusterName", "the cluster, masters and slaves"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(info(job, out))),
    },
    Command {
        name: "updateColdDataFlowCtrGroupConfig",
        alias: None,
        about: "sets how much a group may read of what has left memory",
        options: &[
            any_of('b', "brokerAddr", "the broker"),
            any_of('c', "clusterName", "the cluster's masters"),
            required('g', "consumerGroup", "the group"),
            required('v', "threshold", "bytes a second"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(update(job, out))),
    },
    Command {
        name: "removeColdDataFlowCtrGroupConfig",
        alias: None,
        about: "lets a group read of what has left memory as much as others",
        options: &[
            any_of('b', "brokerAddr", "the broker"),
            any_of('c', "clusterName", "the cluster's masters"),
            required('g', "consumerGroup", "the group"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(remove(job, out))),
    },
    Command {
        name: "setCommitLogReadAheadMode",
        alias: None,
        about: "sets whether the kernel reads ahead in the commitlog",
        options: &[
            any_of('b', "brokerAddr", "the broker"),
            any_of('c', "clusterName", "the cluster, masters and slaves"),
            required(
                'm',
                "commitLogReadAheadMode",
                "0 as the kernel likes, 1 only what is touched",
            ),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(read_ahead(job, out))),
    },
];

async fn info(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let places = placed(job).await?;
    let work = |net: Net, address: String| async move {
        let code = request::GET_COLD_DATA_FLOW_CTR_INFO;
        net.read::<Value>(&address, code, &NoHeader).await
    };
    let told = job.net.each(places.addresses(), work).await;
    for (address, mut told) in some(out, told)? {
        out.line(&format!(" ============{}============", places.head(&address)));
        let groups = told.get_mut("runtimeTable").and_then(Value::as_object_mut);
        for group in groups.into_iter().flat_map(|groups| groups.values_mut()) {
            for (known, shown) in [
                ("lastColdReadTimeMills", "lastColdReadTimeFormat"),
                ("createTimeMills", "createTimeFormat"),
            ] {
                let Some(group) = group.as_object_mut() else {
                    continue;
                };
                let Some(at) = group.remove(known).and_then(|at| at.as_i64()) else {
                    continue;
                };
                group.insert(shown.to_owned(), time::seconds(at).into());
            }
        }
        out.either(
            &format!("{}\n", pretty(&told)),
            json!({"brokerAddr": address, "coldData": told}),
        );
    }
    Ok(())
}

async fn update(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let threshold: i64 = job.given.number("threshold")?.unwrap_or_default();
    let group = job.given.required("consumerGroup");
    let body = setting(group, &threshold.to_string())?;
    let code = request::UPDATE_COLD_DATA_FLOW_CTR_CONFIG;
    put(job, out, code, body, "updateColdDataFlowCtrGroupConfig success").await
}

async fn remove(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let group = job.given.required("consumerGroup").to_owned();
    let code = request::REMOVE_COLD_DATA_FLOW_CTR_CONFIG;
    put(
        job,
        out,
        code,
        group.into(),
        "remove broker cold read threshold success",
    )
    .await
}

async fn put(job: &Job, out: &mut Out, code: i32, body: Bytes, done: &str) -> Result<(), Failure> {
    let group = job.given.required("consumerGroup");
    let masters = job.masters().await?;
    for address in job.net.tell(out, masters, code, NoHeader, body).await? {
        out.either(
            &format!("{done}, {address}\n"),
            json!({"brokerAddr": address, "group": group}),
        );
    }
    Ok(())
}

async fn read_ahead(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let mode = job.given.required("commitLogReadAheadMode");
    if !matches!(mode, "0" | "1") {
        return Err(bad_value("commitLogReadAheadMode", mode, "0 or 1"));
    }
    let places = placed(job).await?;
    let work = |net: Net, address: String| {
        let mode = mode.to_owned();
        async move {
            let header = SetCommitLogReadModeRequestHeader {
                read_ahead_mode: Some(mode.into()),
            };
            let code = request::SET_COMMITLOG_READ_MODE;
            let answer = net.ask(&address, code, &header, Body::Empty).await?;
            Ok(answer.remark.unwrap_or_else(|| "null".to_owned()))
        }
    };
    let told = job.net.each(places.addresses(), work).await;
    for (address, remark) in some(out, told)? {
        out.line(&format!(" ============{}============", places.head(&address)));
        out.either(
            &format!("commitLog set readAhead mode rstStr{remark}\n"),
            json!({"brokerAddr": address, "mode": mode, "result": remark}),
        );
    }
    Ok(())
}
