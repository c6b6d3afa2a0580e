//! Properties files and the settings table.
#![forbid(unsafe_code)]
