//! Addresses in settings: of name servers, and the one a broker is reached at.

use crate::load::shorten;
use crate::value::BadValue;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Checks a list of name servers, `host:port` separated by `;`. Names need not resolve now.
///
/// # Errors
/// The text names the part that is wrong, says why, and shows a right one, as Java does.
pub fn check_addresses(list: &str) -> Result<(), String> {
    match wrong_part(list) {
        None => Ok(()),
        Some((part, why)) => Err(format!(
            "The Name Server Address[{}] illegal (`{}` {why}), please set it as follows, \
             \"127.0.0.1:9876;192.168.0.1:9876\"",
            shorten(list),
            shorten(part)
        )),
    }
}

/// The same for a row of a settings table.
///
/// # Errors
/// See [`check_addresses`].
pub fn addresses(list: &Option<String>) -> Result<(), BadValue> {
    match list.as_deref().and_then(wrong_part) {
        None => Ok(()),
        Some((part, why)) => Err(BadValue::new(format!(
            "name servers as host:port, separated by `;`, such as 127.0.0.1:9876;192.168.0.1:9876 (`{}` {why})",
            shorten(part)
        ))),
    }
}

/// Checks the address of one server, `host:port`, for a row of a settings table.
///
/// # Errors
/// The text says what is wrong with it.
pub fn host_and_port(address: &Option<String>) -> Result<(), BadValue> {
    match address.as_deref().and_then(wrong_address) {
        None => Ok(()),
        Some(why) => Err(BadValue::new(format!(
            "host:port, such as 10.0.0.1:10912 (it {why})"
        ))),
    }
}

/// Checks an address that is announced to others (brokerIP1): an IP address or a host's name, without a port.
///
/// # Errors
/// Anything else.
pub fn announced(address: &str) -> Result<(), BadValue> {
    let bare = bare_v6(address).unwrap_or(address);
    if bare.parse::<Ipv6Addr>().is_ok() {
        return Ok(());
    }
    match wrong_host(address) {
        None => Ok(()),
        Some(why) => Err(BadValue::new(format!(
            "an IP address or a host's name, without a port (`{}` {why})",
            shorten(address)
        ))),
    }
}

/// Checks a list of IP addresses and networks (`10.0.0.0/8`), separated by `,`, for a row of a settings table.
///
/// # Errors
/// Anything else.
pub fn networks(list: &Option<String>) -> Result<(), BadValue> {
    let good = list.as_deref().is_none_or(|list| networks_of(list).is_some());
    match good {
        true => Ok(()),
        false => Err(BadValue::new(
            "IP addresses and networks like 10.0.0.0/8, separated by `,`",
        )),
    }
}

/// Those networks, an address as one of itself alone. An empty item is none: it must not open what the rest closes.
pub fn networks_of(list: &str) -> Option<Vec<IpNet>> {
    let one = |text: &str| {
        let address = text
            .parse::<IpAddr>()
            .map(|address| IpNet::from(address.to_canonical()));
        address.or_else(|_| text.parse::<IpNet>()).ok()
    };
    list.split(',').map(|text| one(text.trim())).collect()
}

/// The first part of a list that is no address, and why it is none.
fn wrong_part(list: &str) -> Option<(&str, &'static str)> {
    let parts = list.split(';').map(str::trim).filter(|part| !part.is_empty());
    parts
        .into_iter()
        .find_map(|part| Some((part, wrong_address(part)?)))
}

fn wrong_address(address: &str) -> Option<&'static str> {
    if address.contains("://") {
        return Some("has a scheme before the host");
    }
    if address.contains([',', '；', '，']) {
        return Some("has a comma, where `;` separates addresses");
    }
    let Some((host, port)) = address.rsplit_once(':') else {
        return Some("has no port");
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Some("has no port from 1 to 65535 behind the last `:`");
    }
    if bare_v6(host).is_some_and(|bare| bare.parse::<Ipv6Addr>().is_ok()) {
        return None;
    }
    wrong_host(host)
}

fn bare_v6(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}

/// Why a text is no IPv4 address and no host's name.
fn wrong_host(host: &str) -> Option<&'static str> {
    if host.is_empty() {
        return Some("has no host");
    }
    if host.contains("://") {
        return Some("has a scheme before the host");
    }
    if host.contains(':') {
        return Some("has a `:` in its host; an IPv6 address with a port stands in brackets");
    }
    if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return host.parse::<Ipv4Addr>().is_err().then_some("is no IPv4 address");
    }
    let label = |label: &str| {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(letters)
    };
    let good = host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label);
    (!good).then_some("is no host's name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_name_servers() {
        for good in [
            "a:9876",
            "127.0.0.1:9876;b:1;",
            "[::1]:9876",
            "rocketmq-name_server1:9876",
            "mq.example.com.:9876 ; localhost:1",
            "",
        ] {
            assert_eq!(check_addresses(good), Ok(()), "{good}");
            assert_eq!(addresses(&Some(good.to_owned())), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("a", "has no port"),
            ("a:", "no port from 1"),
            (":9876", "has no host"),
            ("a:1;b", "`b` has no port"),
            ("a:99999", "no port from 1"),
            ("a:+80", "no port from 1"),
            ("a:x", "no port from 1"),
            ("a:0", "no port from 1"),
            ("a:1,b:2", "`;` separates"),
            ("a:1；b:2", "`;` separates"),
            ("http://a:9876", "a scheme"),
            ("*.*.*.*:9876", "no host's name"),
            ("<ip>:9876", "no host's name"),
            ("你的ip:9876", "no host's name"),
            ("\"a:9876\"", "no port from 1"),
            ("300.1.1.1:9876", "no IPv4 address"),
            ("10.0.0:9876", "no IPv4 address"),
            ("::1:9876", "brackets"),
            ("[::g]:9876", "brackets"),
            ("a b:9876", "no host's name"),
        ] {
            let text = check_addresses(bad).expect_err(bad);
            assert!(text.contains(why) && text.contains("192.168.0.1:9876"), "{text}");
            assert!(addresses(&Some(bad.to_owned())).is_err(), "{bad}");
        }
        assert_eq!(addresses(&None), Ok(()));
    }

    #[test]
    fn an_address_that_is_announced() {
        for good in ["10.0.0.1", "::1", "[fe80::1]", "mq.example.com", "broker_1"] {
            assert_eq!(announced(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "10.0.0.1:10911",
            "http://a",
            "10.0.0",
            "256.1.1.1",
            "<ip>",
            "\"10.0.0.1\"",
            "a b",
            "a,b",
        ] {
            assert!(announced(bad).is_err(), "{bad}");
        }
    }
}
