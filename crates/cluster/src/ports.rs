//! Free ports below the range from which the system takes ports of outgoing connections.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// A port such that it, the two below it and the one above it are free: what a broker needs. Not given out twice by one
/// process; another process may still take it before it is used.
///
/// # Panics
/// No such port is left.
pub fn free_port() -> u16 {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 5_000;
    const STEP: u32 = 4;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        // Different processes begin at different places.
        let index = NEXT
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(std::process::id().wrapping_mul(37));
        let port = u16::try_from(FIRST + index % COUNT * STEP).expect("below 32,000");
        if (port - 2..=port + 1).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()) {
            return port;
        }
    }
    panic!("no free ports between {FIRST} and {}", FIRST + COUNT * STEP);
}
