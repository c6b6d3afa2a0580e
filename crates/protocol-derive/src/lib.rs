//! Derives the header codec.
#![forbid(unsafe_code)]
