//! The store against a simulated and a real disk.
#![allow(missing_docs)]

mod basics;
mod crash;
mod damage;
mod harness;
