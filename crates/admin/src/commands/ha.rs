//! Replication: haStatus of 5.x.

use crate::failure::Failure;
use crate::job::Job;
use crate::output::{Cell, Out, Table, fixed};
use crate::table::{Command, Run, any_of, value};
use crate::time;
use protocol::code::request;
use protocol::header::NoHeader;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "haStatus",
    alias: None,
    about: "shows how far slaves are, or how far a slave is",
    options: &[
        any_of('c', "clusterName", "the cluster's masters"),
        any_of('b', "brokerAddr", "the broker, master or slave"),
        value('i', "interval", "again each so many seconds, until it is stopped"),
    ],
    asks: None,
    run: Run::Online(|job, out| Box::pin(status(job, out))),
}];

/// Answer to GET_BROKER_HA_STATUS (907).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct HaStatus {
    pub(super) ha_client_runtime_info: Option<OfSlave>,
    ha_connection_info: Vec<OfConnection>,
    in_sync_slave_nums: i64,
    master: bool,
    master_commit_log_max_offset: i64,
}

/// What a slave tells of its master.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct OfSlave {
    last_read_timestamp: i64,
    last_write_timestamp: i64,
    pub(super) master_addr: Option<String>,
    master_flush_offset: i64,
    max_offset: i64,
    transferred_byte_in_second: i64,
}

/// What a master tells of a slave.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OfConnection {
    addr: Option<String>,
    diff: i64,
    in_sync: bool,
    slave_ack_offset: i64,
    transfer_from_where: i64,
    transferred_byte_in_second: i64,
}

const SLAVES: Table = Table {
    titles: "%-32s  %-16s %16s %16s %16s %16s%n",
    row: "%-32s  %-16d %16d %16s %16s %16d%n",
    columns: &[
        ("#SlaveAddr", "slaveAddr"),
        ("#SlaveAckOffset", "slaveAckOffset"),
        ("#Diff", "diff"),
        ("#TransferSpeed(KB/s)", "bytesASecond"),
        ("#Status", "inSync"),
        ("#TransferFromWhere", "transferFromWhere"),
    ],
};

async fn status(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let interval: Option<u64> = job.given.number("interval")?;
    loop {
        let code = request::GET_BROKER_HA_STATUS;
        let masters = job.masters().await?;
        for (address, told) in job.net.read_each(out, masters, code, NoHeader).await? {
            show(out, &address, &told);
        }
        match interval {
            Some(seconds) if !out.is_closed() => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
            _ => return Ok(()),
        }
    }
}

fn show(out: &mut Out, address: &str, told: &HaStatus) {
    if let (false, Some(slave)) = (told.master, &told.ha_client_runtime_info) {
        return show_slave(out, address, slave);
    }
    let (end, in_sync) = (told.master_commit_log_max_offset, told.in_sync_slave_nums);
    let slaves = told.ha_connection_info.len();
    out.either(
        &format!(
            "\n#MasterAddr\t{address}\n#MasterCommitLogMaxOffset\t{end}\n#SlaveNum\t{slaves}\n#InSyncSlaveNum\t{in_sync}\n"
        ),
        json!({"masterAddr": address, "masterCommitLogMaxOffset": end, "slaveNum": slaves, "inSyncSlaveNum": in_sync}),
    );
    out.titles(&SLAVES);
    for slave in &told.ha_connection_info {
        let state = if slave.in_sync { "OK" } else { "Fall Behind" };
        out.row(
            &SLAVES,
            [
                slave.addr.clone().unwrap_or_default().into(),
                slave.slave_ack_offset.into(),
                slave.diff.into(),
                speed(slave.transferred_byte_in_second),
                Cell::shown(state, slave.in_sync),
                slave.transfer_from_where.into(),
            ],
        );
    }
}

/// Bytes a second, for people in KB.
fn speed(bytes: i64) -> Cell {
    Cell::shown(fixed(bytes as f64 / 1024.0, 2), bytes)
}

fn show_slave(out: &mut Out, address: &str, slave: &OfSlave) {
    out.either(
        &format!(
            "\n#MasterAddr\t{}\n#CommitLogMaxOffset\t{}\n#TransferSpeed(KB/s)\t{}\n#LastReadTime\t{}\n\
             #LastWriteTime\t{}\n#MasterFlushOffset\t{}\n",
            slave.master_addr.as_deref().unwrap_or("null"),
            slave.max_offset,
            fixed(slave.transferred_byte_in_second as f64 / 1024.0, 2),
            time::millis(slave.last_read_timestamp),
            time::millis(slave.last_write_timestamp),
            slave.master_flush_offset
        ),
        json!({"brokerAddr": address, "ofSlave": slave}),
    );
}
