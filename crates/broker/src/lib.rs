//! The broker: takes messages in, keeps them in the store, hands them out.
//!
//! Owns: the request handlers, the tables of topics, groups, offsets and clients, the pulls that wait, registration at
//! the name servers, and the threads around the store. [`run`] wires it all; [`dispatch`] is where a request enters;
//! start reading at [`handlers::send`] or [`handlers::pull`].
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests make files and runtimes")
)]

pub mod arrivals;
pub mod attributes;
pub mod care;
pub mod cli;
pub mod clients;
pub mod config;
pub mod delay;
pub mod dispatch;
pub mod flush;
pub mod groups;
pub mod handlers;
pub mod hold;
pub mod in_flight;
pub mod kept;
pub mod locks;
pub mod offsets;
pub mod opening;
pub mod persist;
pub mod registration;
pub mod run;
pub mod settings;
pub mod stats;
pub mod store_settings;
pub mod topics;

/// The disk a broker runs on.
pub type Disk = disk::MmapDisk;
/// The store on it.
pub type Store = store::Store<Disk>;
/// A prepared record of that store.
pub type Pending<'a> = store::Pending<'a, <Disk as disk::Disk>::File>;
