//! End-to-end tests: real servers, real clients. Everything is in `tests/e2e`; this library is empty.
#![forbid(unsafe_code)]
