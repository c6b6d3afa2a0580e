//! Short names for reading and writing JSON bodies; the work is done in [`crate::body`].

pub use crate::body::{
    BodyError, read as from_slice, write as to_bytes, write_fastjson as to_fastjson_bytes,
};
