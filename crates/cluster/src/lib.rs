//! Starts real name servers and brokers for tests.
#![forbid(unsafe_code)]
