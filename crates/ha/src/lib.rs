//! Replication: both sides of a connection between a master and a slave, as state machines.
//!
//! The default protocol of 4.9 and 5.x: see [`wire`]. Bytes, times in ms and positions in the log go in; bytes, ranges of the log
//! and reasons to close come out. Every position is a physical offset in the commitlog, in bytes. What it refuses: to know sockets,
//! the clock, tasks, the store, settings files.
//!
//! | Type | It is |
//! |---|---|
//! | [`Master`] | one connection of a slave, on the master: what to send, what is acknowledged |
//! | [`Slave`] | one connection to the master, on the slave: where bytes belong, what to report |
//! | [`Reconnection`] | how long a slave waits before it connects again |
//! | [`Comparison`] | finds where a slave's log parts from its master's, before they connect |
//! | [`Reigns`] | what a broker acknowledged when it was a master, which a slave does not cut |
//! | [`Replicas`] | all slaves of a master: what a send waits for |
//!
//! Start reading at [`Master::next`] and [`Slave::next`].
//!
//! ```
//! use ha::{Ends, Extent, Master, Next, Slave};
//!
//! let log = *b"what was appended";
//! let extent = Extent { min: 0, end: 17 };
//! let mut master = Master::new(ha::MasterSettings::default(), 0);
//! let mut slave = Slave::new(ha::SlaveSettings::default(), 0, 0);
//! let mut copy = Vec::new();
//!
//! let ends = |copy: &Vec<u8>| Ends { appended: copy.len() as i64, synced: 0 };
//! let first = slave.report(ends(&copy), 0)?.expect("a slave reports at once");
//! master.receive(&first, extent, 0)?;
//! while let Next::Send(transfer) = master.next(extent, 0)? {
//!     let from = transfer.from as usize;
//!     let bytes = [&transfer.header[..], &log[from..from + transfer.len]].concat();
//!     master.hand_over(bytes.len());
//!     let mut read = &bytes[..];
//!     while let Some(run) = slave.next(&mut read, 0)? {
//!         assert_eq!(run.at, copy.len() as i64);
//!         copy.extend_from_slice(run.bytes);
//!     }
//! }
//! let second = slave.report(ends(&copy), 0)?.expect("it has more");
//! master.receive(&second, extent, 0)?;
//! assert_eq!((master.standing().acknowledged, &copy[..]), (Some(17), &log[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod comparison;
mod flow;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod master;
mod reigns;
mod replicas;
mod slave;
pub mod wire;

pub use comparison::{Comparison, Outcome, Question, Stop};
pub use master::{
    Close as MasterClose, Extent, Master, NewSlave, Next, Settings as MasterSettings, Standing, Transfer,
};
pub use reigns::{Meaning, NotUnderstood, Reign, Reigns};
pub use replicas::{ConnectionId, InSync, Need, Progress, Replicas, Rule};
pub use slave::{Close as SlaveClose, Ends, Promise, Reconnection, Run, Settings as SlaveSettings, Slave};
