//! `mqconsole`: name servers and brokers in a browser, these and Java's.
//!
//! Owns: the pages, who may change something, what was changed. Speaks the admin protocol by [`admin::ask`], and knows no server.
//! Start at [`run`]; `app` says which page answers what, `cluster` what servers are asked, `grid` what a table can do.
//!
//! Every page is made here, as HTML that needs no script; the one script only asks for a page again. A name that comes from a server or a
//! client is text wherever it stands: the templates escape it, and the headers let no script run but this program's own.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    allow(
        clippy::disallowed_methods,
        reason = "a program of its own, which reads a file and the clock"
    )
)]
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::unwrap_used,
        reason = "tests make files and fail by panicking"
    )
)]

mod address;
mod app;
mod asked;
mod assets;
mod changes;
mod chart;
mod cluster;
mod doctor;
mod grid;
mod held;
mod history;
mod journal;
mod lang;
mod options;
mod page;
mod pages;
mod read;
mod reply;
mod run;
mod server;
mod session;
mod when;

pub use run::run;
