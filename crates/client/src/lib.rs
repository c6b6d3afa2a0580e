//! Producer and consumers over the remoting client.
#![forbid(unsafe_code)]
