//! From what a setting says to an address: names are resolved, brackets taken off.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

/// Why a text is no address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is neither an IP address nor a name that is known here ({cause})")]
pub struct Unknown {
    text: String,
    cause: String,
}

/// An address without the brackets of IPv6.
fn bare(text: &str) -> &str {
    let inner = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    inner.unwrap_or(text)
}

/// The IP address that a text is, with brackets or without; `None` of a name.
pub(crate) fn literal(text: &str) -> Option<IpAddr> {
    bare(text.trim()).parse().ok()
}

/// The IP address that `brokerIP1` stands for: `10.0.0.1`, `::1`, `[::1]`, or a host's name. Of a name's addresses the
/// first of IPv4 counts, as in Java: message ids of 4.x clients have room for no other. May wait for a name service.
///
/// # Errors
/// It is no address, and no name that can be resolved now.
pub fn ip_of(text: &str) -> Result<IpAddr, Unknown> {
    if let Some(ip) = literal(text) {
        return Ok(ip);
    }
    let text = text.trim();
    let bare = bare(text);
    let unknown = |cause: String| Unknown {
        text: text.to_owned(),
        cause,
    };
    // The port is of no account: resolving wants one.
    let found: Vec<SocketAddr> = (bare, 0)
        .to_socket_addrs()
        .map_err(|e| unknown(e.to_string()))?
        .collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    let first = first.ok_or_else(|| unknown("it has no address".to_owned()))?;
    Ok(first.ip())
}

/// The address that records and message ids name. Where `brokerIP1` is no address (guides leave `*.*.*.*` in it) that is
/// 127.0.0.1, and the log says so.
pub fn store_host(broker_ip1: &str, port: u16) -> SocketAddr {
    let ip = ip_of(broker_ip1).unwrap_or_else(|unknown| {
        tracing::warn!("brokerIP1: {unknown}; message ids name 127.0.0.1");
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    });
    SocketAddr::new(ip, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_settings_have_them() {
        for (text, ip) in [
            ("10.1.2.3", "10.1.2.3"),
            (" 10.1.2.3 ", "10.1.2.3"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[2001:db8::7]", "2001:db8::7"),
        ] {
            assert_eq!(ip_of(text), Ok(ip.parse().expect("an address")), "{text}");
        }
    }

    #[test]
    fn a_name_is_resolved_to_ipv4_first() {
        // Whatever order /etc/hosts has 127.0.0.1 and ::1 in.
        assert_eq!(ip_of("localhost"), Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(
            store_host("localhost", 10_911),
            "127.0.0.1:10911".parse().expect("an address")
        );
        assert_eq!(
            store_host("[::1]", 10_911),
            "[::1]:10911".parse().expect("an address")
        );
    }

    #[test]
    fn what_is_no_address_is_named() {
        for text in ["", "*.*.*.*", "[::1", "no.such.host.invalid", "10.1.2.3.4.5"] {
            let unknown = ip_of(text).expect_err(text);
            assert!(
                unknown.to_string().starts_with(&format!("`{text}` is neither")),
                "{unknown}"
            );
            assert_eq!(store_host(text, 1), "127.0.0.1:1".parse().expect("an address"));
        }
    }
}
