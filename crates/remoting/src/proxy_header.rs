//! The header that a balancer sends before the bytes of its client: HAProxy's PROXY protocol, versions 1 and 2.
//!
//! | version | content |
//! |---|---|
//! | 1 | `PROXY TCP4 source destination sourcePort destinationPort`, a line of 107 bytes at most that ends in CR LF; `TCP6`, `UNKNOWN` |
//! | 2 | 12 bytes of signature; version and command; family and protocol; 2 bytes of length; addresses, ports, more |
//!
//! Its first byte is that of no frame, which would have more than 200 MiB, nor of TLS: what begins otherwise has no header.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1, its end included, bytes.
const LINE_MAX: usize = 107;
/// Longest rest of version 2, bytes: addresses and a few kilobytes of what balancers add.
const REST_MAX: usize = 4096;

/// A header that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a PROXY header that makes no sense: {0}")]
pub struct Damaged(&'static str);

impl From<Damaged> for io::Error {
    fn from(damaged: Damaged) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, damaged)
    }
}

/// Takes the header off the stream. `None`: there is none, or it names nobody, as a balancer's own checks do.
///
/// # Errors
/// It makes no sense, or the peer is gone.
pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match first[0] {
        b'P' => {
            let mut line = Vec::with_capacity(LINE_MAX);
            while !line.ends_with(b"\n") {
                if line.len() == LINE_MAX {
                    return Err(Damaged("a line without an end").into());
                }
                line.push(stream.read_u8().await?);
            }
            Ok(of_line(&line)?)
        }
        b'\r' => {
            let mut head = [0; 16];
            stream.read_exact(&mut head).await?;
            let mut rest = vec![0; rest_len(&head)?];
            stream.read_exact(&mut rest).await?;
            Ok(of_bytes(&head, &rest)?)
        }
        _ => Ok(None),
    }
}

/// The source of a line of version 1.
pub(crate) fn of_line(line: &[u8]) -> Result<Option<SocketAddr>, Damaged> {
    let line = line.strip_suffix(b"\r\n").ok_or(Damaged("no CR LF"))?;
    let text = std::str::from_utf8(line).map_err(|_| Damaged("no text"))?;
    let mut words = text.split(' ');
    if words.next() != Some("PROXY") {
        return Err(Damaged("not PROXY"));
    }
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(None);
    }
    let [Some(source), Some(destination), Some(port), Some(to_port), None] = [
        words.next(),
        words.next(),
        words.next(),
        words.next(),
        words.next(),
    ] else {
        return Err(Damaged("not two addresses and two ports"));
    };
    let ip = |text: &str| -> Result<IpAddr, Damaged> {
        let ip: IpAddr = text.parse().map_err(|_| Damaged("no address"))?;
        match (family, ip) {
            (Some("TCP4"), IpAddr::V4(_)) | (Some("TCP6"), IpAddr::V6(_)) => Ok(ip),
            _ => Err(Damaged("an address of another family")),
        }
    };
    let number = |text: &str| -> Result<u16, Damaged> {
        match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse().map_err(|_| Damaged("no port")),
            false => Err(Damaged("no port")),
        }
    };
    ip(destination)?;
    number(to_port)?;
    Ok(Some(SocketAddr::new(ip(source)?, number(port)?)))
}

/// How many bytes follow the first 16 of version 2.
pub(crate) fn rest_len(head: &[u8; 16]) -> Result<usize, Damaged> {
    let [signature @ .., version, _family, high, low] = head;
    if signature[..] != SIGNATURE {
        return Err(Damaged("not the signature"));
    }
    if version >> 4 != 2 {
        return Err(Damaged("neither version 1 nor 2"));
    }
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    match len <= REST_MAX {
        true => Ok(len),
        false => Err(Damaged("longer than 4096 bytes")),
    }
}

/// The source of version 2.
pub(crate) fn of_bytes(head: &[u8; 16], rest: &[u8]) -> Result<Option<SocketAddr>, Damaged> {
    let [.., version, family, _high, _low] = head;
    match version & 0x0F {
        0 => return Ok(None),
        1 => {}
        _ => return Err(Damaged("an unknown command")),
    }
    let short = || Damaged("shorter than its addresses");
    let port = |at: usize| -> Result<u16, Damaged> {
        let bytes = rest.get(at..).and_then(|rest| rest.first_chunk::<2>());
        bytes.copied().map(u16::from_be_bytes).ok_or_else(short)
    };
    let source = match family >> 4 {
        1 => {
            let ip = rest.first_chunk::<4>().copied().ok_or_else(short)?;
            port(10)?;
            SocketAddr::new(Ipv4Addr::from(ip).into(), port(8)?)
        }
        2 => {
            let ip = rest.first_chunk::<16>().copied().ok_or_else(short)?;
            port(34)?;
            SocketAddr::new(Ipv6Addr::from(ip).into(), port(32)?)
        }
        // Sockets of a host, or nothing: nobody on the net.
        _ => return Ok(None),
    };
    Ok(Some(source))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (line, source) in [
            (
                "PROXY TCP4 10.9.8.7 127.0.0.1 5555 10911\r\n",
                Some("10.9.8.7:5555"),
            ),
            (
                "PROXY TCP6 2001:db8::7 ::1 65535 10911\r\n",
                Some("[2001:db8::7]:65535"),
            ),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN whatever it says\r\n", None),
        ] {
            assert_eq!(
                of_line(line.as_bytes()),
                Ok(source.map(|source| source.parse().unwrap())),
                "{line}"
            );
        }
        for bad in [
            "",
            "PROXY TCP4 10.9.8.7 127.0.0.1 5555 10911",
            "PROXY TCP4 10.9.8.7 127.0.0.1 5555 10911\n",
            "PROXYTCP4 10.9.8.7 127.0.0.1 5555 10911\r\n",
            "PROXY TCP4 10.9.8.7 127.0.0.1 5555\r\n",
            "PROXY TCP4 10.9.8.7 127.0.0.1 5555 10911 1\r\n",
            "PROXY TCP4 ::1 ::1 5555 10911\r\n",
            "PROXY TCP6 10.9.8.7 ::1 5555 10911\r\n",
            "PROXY TCP4 10.9.8.7 ::1 5555 10911\r\n",
            "PROXY TCP4 10.9.8 127.0.0.1 5555 10911\r\n",
            "PROXY TCP4 10.9.8.7 127.0.0.1 +555 10911\r\n",
            "PROXY TCP4 10.9.8.7 127.0.0.1 65536 10911\r\n",
            "PROXY TCP4  10.9.8.7 127.0.0.1 5555 10911\r\n",
            "PROXY SCTP 10.9.8.7 127.0.0.1 5555 10911\r\n",
        ] {
            assert!(of_line(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    fn head(version: u8, family: u8, len: u16) -> [u8; 16] {
        let [high, low] = len.to_be_bytes();
        let mut head = [0; 16];
        head[..12].copy_from_slice(&SIGNATURE);
        head[12..].copy_from_slice(&[version, family, high, low]);
        head
    }

    #[test]
    fn bytes() {
        let v4 = [10, 9, 8, 7, 127, 0, 0, 1, 0x15, 0xB3, 0x2A, 0x9F, 4, 0, 1, 0];
        let known = head(0x21, 0x11, 16);
        assert_eq!(rest_len(&known), Ok(16));
        assert_eq!(of_bytes(&known, &v4), Ok(Some("10.9.8.7:5555".parse().unwrap())));
        let mut v6 = [0; 36];
        v6[..2].copy_from_slice(&[0x20, 0x01]);
        v6[15] = 7;
        v6[32..34].copy_from_slice(&[0, 80]);
        let known = head(0x21, 0x21, 36);
        assert_eq!(of_bytes(&known, &v6), Ok(Some("[2001::7]:80".parse().unwrap())));
        // A balancer looks whether the server is there; sockets of a host.
        assert_eq!(of_bytes(&head(0x20, 0, 0), &[]), Ok(None));
        assert_eq!(of_bytes(&head(0x21, 0x31, 216), &[0; 216]), Ok(None));
        assert!(of_bytes(&head(0x21, 0x11, 11), &v4[..11]).is_err());
        assert!(of_bytes(&head(0x21, 0x21, 35), &v6[..35]).is_err());
        assert!(of_bytes(&head(0x22, 0x11, 12), &v4).is_err());
        assert!(rest_len(&head(0x11, 0x11, 12)).is_err());
        assert!(rest_len(&head(0x21, 0x11, 4097)).is_err());
        assert!(rest_len(&[b'\r'; 16]).is_err());
    }
}
