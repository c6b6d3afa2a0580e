//! The commands, one file a family.

mod acl;
mod auth;
pub(crate) mod broker;
mod check_store;
mod cluster;
mod cold;
pub(crate) mod connection;
pub(crate) mod consumer;
pub(crate) mod doctor;
mod explain_acl;
mod export;
mod follow;
mod group;
mod ha;
mod half;
mod lists;
pub(crate) mod message;
mod message_text;
mod meta;
mod monitor;
mod namesrv;
pub(crate) mod offset;
mod print;
mod queue;
pub(crate) mod running_info;
pub(crate) mod search;
mod send;
mod stats;
pub(crate) mod topic;
pub(crate) mod trace;
pub(crate) mod track;

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
