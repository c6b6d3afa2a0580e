//! The remoting protocol: frames, headers, codes and bodies.
//!
//! Owns the bytes of RocketMQ 4.9.8 and 5.3.3 on the wire. Knows no socket and no server. Start at [`frame::Frame`] for what
//! comes in, [`encode::encode_head`] for what goes out, [`header`] for typed headers and [`body`] for JSON bodies.
#![forbid(unsafe_code)]

// The derive names this crate `::protocol`, also in here.
extern crate self as protocol;

pub mod body;
pub mod code;
pub mod encode;
pub mod frame;
#[doc(hidden)]
pub mod fuzz;
pub mod header;
pub mod json;
pub mod language;
mod scan;
pub mod version;

pub use body::namesrv::body_crc32;
pub use encode::{Head, encode_request, encode_response};
pub use frame::{Frame, FrameError, SerializeType};
pub use header::{EncodeHeader, Header, HeaderError};
pub use language::Language;
pub use scan::JsonError;

/// The version our servers and clients say they are: 4.9.8.
pub const VERSION: i32 = version::V4_9_8;
