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
pub mod header;
pub mod language;
mod scan;
pub mod version;

pub use encode::Head;
pub use frame::{Frame, FrameError, SerializeType};
pub use header::{EncodeHeader, Header, HeaderError};
pub use language::Language;
pub use scan::JsonError;
