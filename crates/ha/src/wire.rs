//! The bytes of the default protocol, the same in 4.9 and 5.x. All numbers are big endian.
//!
//! A slave sends reports and nothing else:
//!
//! | Bytes | Field |
//! |---|---|
//! | 0–7 | i64: the end of its log |
//!
//! A master sends transfers:
//!
//! | Bytes | Field |
//! |---|---|
//! | 0–7 | i64: where the body belongs; of a heartbeat: where the next body will |
//! | 8–11 | i32: bytes of the body; 0 is a heartbeat |
//! | 12… | bytes of the commitlog as they are: split records and blank tails included |

/// Length of a report, bytes.
pub const REPORT_LEN: usize = 8;
/// Length of what stands before a body, bytes.
pub const HEADER_LEN: usize = 12;
/// What a Java slave reads into, bytes. A longer transfer, header included, never gets through to it.
pub const JAVA_SLAVE_BUFFER_LEN: usize = 4 * 1024 * 1024;
/// The longest body that every slave takes, bytes.
pub const BODY_LEN_MAX: usize = JAVA_SLAVE_BUFFER_LEN - HEADER_LEN;

/// The bytes of a report.
pub fn report(end: i64) -> [u8; REPORT_LEN] {
    end.to_be_bytes()
}

/// What stands before a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Where the body belongs in the commitlog.
    pub offset: i64,
    /// Bytes of the body; 0 is a heartbeat. Below 0 it is nothing: whoever reads it refuses it.
    pub size: i32,
}

impl Header {
    /// Its bytes.
    pub fn encode(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&self.offset.to_be_bytes());
        bytes[8..].copy_from_slice(&self.size.to_be_bytes());
        bytes
    }

    /// What the bytes say, whether it makes sense or not.
    pub fn decode(bytes: [u8; HEADER_LEN]) -> Header {
        let [offset @ .., a, b, c, d] = bytes;
        Header {
            offset: i64::from_be_bytes(offset),
            size: i32::from_be_bytes([a, b, c, d]),
        }
    }
}

/// Cuts a stream that comes in pieces into units of `N` bytes. Keeps less than one unit.
#[derive(Clone, Debug)]
pub(crate) struct Cutter<const N: usize> {
    head: [u8; N],
    len: usize,
}

impl<const N: usize> Cutter<N> {
    pub(crate) fn new() -> Self {
        Self { head: [0; N], len: 0 }
    }

    /// Takes the next unit off the input; takes all of the input if that is not enough.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Option<[u8; N]> {
        let (piece, rest) = input.split_at(input.len().min(N - self.len));
        self.head[self.len..self.len + piece.len()].copy_from_slice(piece);
        self.len += piece.len();
        *input = rest;
        if self.len < N {
            return None;
        }
        self.len = 0;
        Some(self.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_reports_are_big_endian() {
        let header = Header {
            offset: 0x0102_0304_0506_0708,
            size: 0x090A_0B0C,
        };
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        assert_eq!(header.encode(), bytes);
        assert_eq!(Header::decode(bytes), header);
        assert_eq!(report(0x0102_0304_0506_0708), bytes[..8]);
        let negative = Header { offset: -1, size: -2 };
        assert_eq!(Header::decode(negative.encode()), negative);
    }

    #[test]
    fn units_are_the_same_however_the_stream_is_split() {
        let stream: Vec<u8> = (0..60).collect();
        for stride in 1..=stream.len() {
            let mut cutter = Cutter::<12>::new();
            let mut units = Vec::new();
            for mut piece in stream.chunks(stride) {
                while let Some(unit) = cutter.next(&mut piece) {
                    units.extend(unit);
                }
                assert!(piece.is_empty(), "it takes everything");
            }
            assert_eq!(units, stream, "pieces of {stride}");
        }
    }
}
