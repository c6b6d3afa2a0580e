//! The remoting protocol: frames, headers, codes and bodies.
#![forbid(unsafe_code)]
pub mod code;
