//! A server as a process of its machine: signals, descriptors, and the page of state that SIGQUIT asks for.
//!
//! Owns: what each signal does, the limit of open files, what is gathered for support, the names of the threads, what the kernel says about this
//! process, about its host and about who connects from there. Refuses to know what the
//! process serves: the servers say what their page of state holds and how they stop.
//!
//! Start reading at [`Signals`].
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "it reads /proc")]

pub mod bundle;
mod descriptors;
mod figures;
pub mod host;
mod peer;
mod runtime;
mod signals;
mod state;
mod supervision;

pub use descriptors::{Descriptors, raise_descriptors};
pub use figures::ProcessFigures;
pub use peer::is_of_same_user;
pub use runtime::run;
pub use signals::{Signals, Stop};
pub use state::page;
pub use supervision::{Pulse, keep_telling, tell_ready, tell_stopping};
