//! A RocketMQ message: properties, flags, ids, and the stored record.
#![forbid(unsafe_code)]
