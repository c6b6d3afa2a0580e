//! Where log lines go: rotating files or stdout.
#![forbid(unsafe_code)]
