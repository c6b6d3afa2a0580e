//! The offset message id ("offsetMsgId"): where a record lies, as text.
//!
//! Upper-case hex of store host address (4 or 16 bytes), port (i32) and physical offset (i64): 32 characters for
//! IPv4, 56 for IPv6 (RocketMQ 4.9.8, MessageDecoder.createMessageId).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// A message id that says where the record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetMessageId {
    /// Address of the broker that stored the record.
    pub store_host: SocketAddr,
    /// Physical offset of the record in that broker's commitlog.
    pub physical_offset: i64,
}

/// The text is no offset message id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Neither 32 nor 56 characters long.
    #[error("a message id has 32 or 56 characters, not {0}")]
    Length(usize),
    /// A character that is no hexadecimal digit.
    #[error("a message id is hexadecimal, but character {0} is not")]
    Digit(usize),
    /// The port is outside 0..=65535.
    #[error("the port {0} in the message id is out of range")]
    Port(i32),
}

/// Characters of the longest id.
pub const TEXT_MAX: usize = 56;

impl OffsetMessageId {
    /// The id as text, written into `buffer`.
    pub fn text<'b>(&self, buffer: &'b mut [u8; TEXT_MAX]) -> &'b str {
        let mut bytes = [0u8; TEXT_MAX / 2];
        let address_len = match self.store_host.ip() {
            IpAddr::V4(ip) => put(&mut bytes, 0, &ip.octets()),
            IpAddr::V6(ip) => put(&mut bytes, 0, &ip.octets()),
        };
        let port = i32::from(self.store_host.port()).to_be_bytes();
        let port_end = put(&mut bytes, address_len, &port);
        let len = put(&mut bytes, port_end, &self.physical_offset.to_be_bytes());
        let (pairs, _) = buffer.as_chunks_mut::<2>();
        for (pair, byte) in pairs.iter_mut().zip(&bytes[..len]) {
            *pair = HEX_PAIRS[usize::from(*byte)];
        }
        std::str::from_utf8(&buffer[..2 * len]).unwrap_or_default()
    }
}

/// Copies `from` to `at`; returns the place behind it.
fn put(bytes: &mut [u8; TEXT_MAX / 2], at: usize, from: &[u8]) -> usize {
    let end = at + from.len();
    bytes[at..end].copy_from_slice(from);
    end
}

impl fmt::Display for OffsetMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; TEXT_MAX]))
    }
}

/// The two digits of each byte.
const HEX_PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [HEX[byte >> 4], HEX[byte & 15]];
        byte += 1;
    }
    pairs
};

const HEX: &[u8; 16] = b"0123456789ABCDEF";

impl FromStr for OffsetMessageId {
    type Err = IdError;

    /// Parses either form; lower-case digits are taken too.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let text = text.as_bytes();
        if text.len() != 32 && text.len() != 56 {
            return Err(IdError::Length(text.len()));
        }
        let mut bytes = [0u8; 28];
        for (index, pair) in text.chunks_exact(2).enumerate() {
            bytes[index] = digit(pair[0], index * 2)? << 4 | digit(pair[1], index * 2 + 1)?;
        }
        let address_len = text.len() / 2 - 12;
        let (address, rest) = bytes[..text.len() / 2].split_at(address_len);
        let ip = match <[u8; 4]>::try_from(address) {
            Ok(octets) => IpAddr::V4(Ipv4Addr::from(octets)),
            Err(_) => {
                let mut octets = [0u8; 16];
                octets.copy_from_slice(address);
                IpAddr::V6(Ipv6Addr::from(octets))
            }
        };
        let port = i32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]);
        let mut offset = [0u8; 8];
        offset.copy_from_slice(&rest[4..12]);
        Ok(OffsetMessageId {
            store_host: SocketAddr::new(ip, u16::try_from(port).map_err(|_| IdError::Port(port))?),
            physical_offset: i64::from_be_bytes(offset),
        })
    }
}

fn digit(character: u8, index: usize) -> Result<u8, IdError> {
    (character as char)
        .to_digit(16)
        .map(|digit| digit as u8)
        .ok_or(IdError::Digit(index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_ids() {
        let id = OffsetMessageId {
            store_host: "127.0.0.1:10911".parse().unwrap(),
            physical_offset: 0x1234,
        };
        assert_eq!(id.to_string(), "7F00000100002A9F0000000000001234");
        assert_eq!("7F00000100002A9F0000000000001234".parse(), Ok(id));
        let v6 = OffsetMessageId {
            store_host: "[::1]:10911".parse().unwrap(),
            physical_offset: 1,
        };
        assert_eq!(
            v6.to_string(),
            "0000000000000000000000000000000100002A9F0000000000000001"
        );
        assert_eq!(v6.to_string().parse(), Ok(v6));
    }

    #[test]
    fn what_is_no_id() {
        assert_eq!("".parse::<OffsetMessageId>(), Err(IdError::Length(0)));
        assert_eq!(
            "7F00000100002A9F000000000000123G".parse::<OffsetMessageId>(),
            Err(IdError::Digit(31))
        );
        assert_eq!(
            "7F00000100012A9F0000000000001234".parse::<OffsetMessageId>(),
            Err(IdError::Port(76447))
        );
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,60}") {
            let _ = text.parse::<OffsetMessageId>();
        }

        #[test]
        fn round_trip(ip: u32, port: u16, physical_offset: i64) {
            let id = OffsetMessageId { store_host: SocketAddr::from((Ipv4Addr::from(ip), port)), physical_offset };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
    }
}
