//! The commands, one file a family.

mod acl;
mod auth;
mod broker;
mod check_store;
mod cluster;
mod cold;
mod connection;
mod consumer;
mod doctor;
mod explain_acl;
mod export;
mod follow;
mod group;
mod ha;
mod half;
mod lists;
mod message;
mod message_text;
mod meta;
mod monitor;
mod namesrv;
mod offset;
mod print;
mod queue;
mod running_info;
mod search;
mod send;
mod stats;
mod topic;
mod trace;
mod track;

use crate::table::Command;

/// In the order in which help lists them.
pub(crate) const FAMILIES: &[&[Command]] = &[
    topic::COMMANDS,
    cluster::COMMANDS,
    broker::COMMANDS,
    ha::COMMANDS,
    cold::COMMANDS,
    group::COMMANDS,
    lists::COMMANDS,
    consumer::COMMANDS,
    connection::COMMANDS,
    monitor::COMMANDS,
    message::COMMANDS,
    half::COMMANDS,
    trace::COMMANDS,
    search::COMMANDS,
    print::COMMANDS,
    send::COMMANDS,
    offset::COMMANDS,
    queue::COMMANDS,
    stats::COMMANDS,
    namesrv::COMMANDS,
    export::COMMANDS,
    acl::COMMANDS,
    auth::COMMANDS,
    explain_acl::COMMANDS,
    doctor::COMMANDS,
    check_store::COMMANDS,
    meta::COMMANDS,
];
