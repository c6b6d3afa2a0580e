//! Tag filter expressions.
#![forbid(unsafe_code)]
