//! Command line programs: quickstart and tools.
#![forbid(unsafe_code)]
