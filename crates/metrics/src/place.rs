//! Where a server's listener is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::ops::RangeInclusive;

use crate::Bound;

/// What the settings say of it, and which of them were given.
#[derive(Debug, Clone)]
pub struct Place {
    /// `metricsExporterType`, if it was given.
    pub exporter: Option<String>,
    /// `metricsPromExporterHost`, empty: not given.
    pub host: String,
    /// `metricsPromExporterPort`, if it was given.
    pub port: Option<u16>,
    /// Where 5.x listens unless a host is given.
    pub own_address: String,
    /// Ports that are tried where none was given.
    pub usual: RangeInclusive<u16>,
}

/// 5.x's port, where `metricsExporterType=PROM` is given.
const PROM_PORT: u16 = 5557;

/// Kinds of exporters, by name and number.
const EXPORTERS: [&str; 4] = ["DISABLE", "OTLP_GRPC", "PROM", "LOG"];

/// The exporter that a text means, by its name or number.
pub fn exporter(text: &str) -> Option<&'static str> {
    let by_number = text
        .parse::<usize>()
        .ok()
        .and_then(|number| EXPORTERS.get(number));
    let by_name = || EXPORTERS.iter().find(|name| name.eq_ignore_ascii_case(text));
    by_number.or_else(by_name).copied()
}

/// A label as metricsLabel has it, `name:value`; none if it is none.
pub fn label_of(item: &str) -> Option<(&str, &str)> {
    let (name, value) = item.split_once(':')?;
    let is_name = name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    (is_name && !value.contains(':')).then_some((name, value))
}

impl Place {
    /// Is there to be none?
    pub fn is_off(&self) -> bool {
        self.exporter.as_deref().and_then(exporter) == Some("DISABLE")
    }

    fn is_of_5_x(&self) -> bool {
        self.exporter.as_deref().and_then(exporter) == Some("PROM")
    }

    /// The address to listen on: loopback, where nothing says otherwise.
    ///
    /// # Errors
    /// The host has no address.
    pub fn ip(&self) -> Result<IpAddr, String> {
        let host = match self.host.as_str() {
            "" if self.is_of_5_x() => self.own_address.as_str(),
            "" => return Ok(Ipv4Addr::LOCALHOST.into()),
            given => given,
        };
        let found = (host, 0).to_socket_addrs().map_err(|e| format!("{host}: {e}"))?;
        let first = found.map(|address| address.ip()).next();
        first.ok_or_else(|| format!("{host} has no address"))
    }

    /// The ports in the order in which they are tried.
    pub fn ports(&self) -> Vec<u16> {
        let given = self.port.or(self.is_of_5_x().then_some(PROM_PORT));
        given.into_iter().chain(self.usual.clone()).collect()
    }

    /// Binds the first that is free. A line in the log says where that is: a warning where it is not what was given.
    ///
    /// # Errors
    /// Nothing can be had at the address.
    pub fn bind(&self) -> io::Result<Bound> {
        let ip = self.ip().map_err(io::Error::other)?;
        let ports = self.ports();
        let bound = Bound::first_free(ip, ports.iter().copied())?;
        let address = bound.address()?;
        let given = self.port.or(self.is_of_5_x().then_some(PROM_PORT));
        match given {
            Some(port) if port != address.port() => tracing::warn!(
                "metricsPromExporterPort={port} is taken: metrics and health are at http://{address}/metrics"
            ),
            _ => tracing::info!("metrics and health are at http://{address}/metrics"),
        }
        Ok(bound)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            exporter: None,
            host: String::new(),
            port: None,
            own_address: "127.0.0.7".to_owned(),
            usual: 100..=101,
        }
    }

    #[test]
    fn loopback_and_a_usual_port_unless_something_says_otherwise() {
        let usual = place();
        assert_eq!(usual.ip().unwrap().to_string(), "127.0.0.1");
        assert_eq!(usual.ports(), [100, 101]);
        let of_5_x = Place {
            exporter: Some("prom".to_owned()),
            ..place()
        };
        assert_eq!(of_5_x.ip().unwrap().to_string(), "127.0.0.7");
        assert_eq!(of_5_x.ports(), [5557, 100, 101]);
        let given = Place {
            exporter: Some("2".to_owned()),
            host: "127.0.0.8".to_owned(),
            port: Some(7),
            ..place()
        };
        assert_eq!(given.ip().unwrap().to_string(), "127.0.0.8");
        assert_eq!(given.ports(), [7, 100, 101]);
        assert!(!usual.is_off() && !of_5_x.is_off());
    }

    #[test]
    fn exporters_by_name_and_number() {
        for (text, found) in [
            ("DISABLE", Some("DISABLE")),
            ("0", Some("DISABLE")),
            ("1", Some("OTLP_GRPC")),
            ("Log", Some("LOG")),
            ("4", None),
            ("yes", None),
        ] {
            assert_eq!(exporter(text), found, "{text}");
        }
        let off = Place {
            exporter: Some("0".to_owned()),
            ..place()
        };
        assert!(off.is_off());
    }

    #[test]
    fn labels_are_names_and_values() {
        for (item, found) in [
            ("zone:z1", Some(("zone", "z1"))),
            ("_a9:", Some(("_a9", ""))),
            ("zone", None),
            ("a:b:c", None),
            (":b", None),
            ("9a:b", None),
            ("a-b:c", None),
        ] {
            assert_eq!(label_of(item), found, "{item}");
        }
    }

    #[test]
    fn a_host_that_is_none_is_an_error() {
        let place = Place {
            host: "no such host".to_owned(),
            ..place()
        };
        assert!(place.bind().is_err());
    }
}
