//! What a server finds out about its machine when its settings do not say.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};

/// The machine's name; `DEFAULT_BROKER` where it has none, as in RocketMQ 5.x.
pub fn name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kernel.or_else(|| variable("HOSTNAME")).unwrap_or_default();
    match name.trim() {
        "" | "(none)" => "DEFAULT_BROKER".to_owned(),
        name => name.to_owned(),
    }
}

/// The IPv4 address others reach this machine at, 127.0.0.1 if it has no other.
///
/// Unlike Java, which takes the first interface's: the address of the default route comes first, so that a container bridge
/// is not announced. Without such a route, Java's rule: the first that is not in 127.0/16 or 192.168/16, else the last.
pub fn address() -> String {
    let address = route_address().or_else(|| {
        let table = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
        pick(&local_addresses(&table))
    });
    address.unwrap_or(Ipv4Addr::LOCALHOST).to_string()
}

/// Connecting a datagram socket sends nothing; it only makes the kernel choose the address it would send from.
fn route_address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(198, 51, 100, 1), 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) if !address.is_loopback() && !address.is_unspecified() => Some(address),
        _ => None,
    }
}

/// Addresses that the kernel's routing table calls its own: a `|-- a.b.c.d` line followed by `/32 host LOCAL`.
fn local_addresses(table: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last = None;
    for line in table.lines() {
        if let Some(address) = line.trim_start().strip_prefix("|-- ") {
            last = address.trim().parse::<Ipv4Addr>().ok();
        } else if line.contains("/32 host LOCAL") {
            found.extend(last.filter(|address| !address.is_loopback() && !found.contains(address)));
        }
    }
    found
}

fn pick(addresses: &[Ipv4Addr]) -> Option<Ipv4Addr> {
    let preferred = addresses
        .iter()
        .find(|address| address.octets()[..2] != [192, 168]);
    preferred.or(addresses.last()).copied()
}

/// An environment variable; an empty one counts as not set.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The user's home directory (`user.home` in Java's defaults); the current directory where HOME is not set.
pub fn home() -> PathBuf {
    variable("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// A path below [`home`], as text for a setting.
pub fn home_path(below: &str) -> String {
    home().join(Path::new(below)).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_routing_table() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 127.0.0.0/8 2 0 2\n\
                     \x20          |-- 127.0.0.1\n              /32 host LOCAL\n     |-- 192.168.1.7\n        /32 host LOCAL\n\
                     \x20    |-- 10.0.0.4\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n\
                     Local:\n     |-- 10.0.0.4\n        /32 host LOCAL\n";
        let found = local_addresses(table);
        assert_eq!(found, [Ipv4Addr::new(192, 168, 1, 7), Ipv4Addr::new(10, 0, 0, 4)]);
        assert_eq!(pick(&found), Some(Ipv4Addr::new(10, 0, 0, 4)));
        assert_eq!(pick(&found[..1]), Some(Ipv4Addr::new(192, 168, 1, 7)));
        assert_eq!(pick(&[]), None);
    }

    #[test]
    fn this_machine() {
        assert!(!name().is_empty());
        assert!(address().parse::<Ipv4Addr>().is_ok());
    }
}
