//! The commitlog, consumequeue, index and checkpoint.
#![forbid(unsafe_code)]
