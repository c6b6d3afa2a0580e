//! Cutting the byte stream into frames.
//!
//! | bytes | content |
//! |---|---|
//! | 4 | number of bytes that follow |
//! | 4 | serialization (high byte) and header length |
//! | n | header |
//! | rest | body |
//!
//! A frame is a part of the read buffer, not a copy. The buffer grows with what has come, never with what a frame
//! announces. A frame for which there is no room is read over: its bytes are let go as they come.

use bytes::{Buf, BytesMut};
use protocol::{Frame, FrameError};

use crate::settings::Limits;

/// Why the stream cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damaged {
    #[error("a frame of {0} bytes, the limit is {1}")]
    TooLong(u64, usize),
    #[error("a frame that announces {0} bytes")]
    TooShort(i32),
    #[error("{0}")]
    Frame(#[from] FrameError),
}

/// What the buffer starts with.
pub(crate) enum Cut {
    /// A whole frame.
    Frame(Frame),
    /// Not yet a whole frame.
    Partial,
}

/// Cuts frames, one after the other, from the front of a buffer.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    /// The frame at the front is above the limit and may be: its header was looked at once, not at every read.
    allowed: bool,
    /// The frame at the front is read over.
    over: Option<Over>,
}

/// A frame whose bytes are let go as they come.
#[derive(Debug)]
struct Over {
    /// Bytes that have come.
    came: usize,
    /// Bytes in all, length field included.
    total: usize,
}

impl Cutter {
    /// Takes one frame from the front of `buffer`.
    pub(crate) fn cut(&mut self, buffer: &mut BytesMut, limits: &Limits) -> Result<Cut, Damaged> {
        if let Some(over) = &mut self.over {
            let more = buffer.len().min(over.total - over.came);
            buffer.advance(more);
            over.came += more;
            if over.came < over.total {
                return Ok(Cut::Partial);
            }
            self.over = None;
        }
        let Some(head) = buffer.first_chunk::<4>() else {
            return Ok(Cut::Partial);
        };
        let announced = i32::from_be_bytes(*head);
        let Ok(total) = usize::try_from(announced) else {
            return Err(Damaged::TooShort(announced));
        };
        if total < 4 {
            return Err(Damaged::TooShort(announced));
        }
        if total + 4 > limits.frame_max_bytes && !self.allowed {
            self.allowed = is_allowed_large(buffer, total, limits)?;
            if !self.allowed {
                return Ok(Cut::Partial);
            }
        }
        if buffer.len() < total + 4 {
            return Ok(Cut::Partial);
        }
        self.allowed = false;
        buffer.advance(4);
        Ok(Cut::Frame(Frame::decode(buffer.split_to(total).freeze())?))
    }

    /// Reads the unfinished frame at the front of `buffer` over, and returns its head. `None`, and nothing changed, while
    /// its header has not come.
    pub(crate) fn read_over(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, Damaged> {
        let Some(total) = buffer
            .first_chunk::<4>()
            .map(|head| u32::from_be_bytes(*head) as usize)
        else {
            return Ok(None);
        };
        let head = Frame::peek(buffer.get(4..).unwrap_or_default(), total)?;
        if head.is_some() {
            self.allowed = false;
            self.over = Some(Over {
                came: buffer.len(),
                total: total + 4,
            });
            // Not cleared: what has come of it may be large.
            *buffer = BytesMut::new();
        }
        Ok(head)
    }

    /// Bytes that the frame at the front of `buffer` has in all, if it says so yet.
    pub(crate) fn announced(&self, buffer: &BytesMut) -> usize {
        match &self.over {
            Some(over) => over.total,
            None => buffer
                .first_chunk::<4>()
                .map_or(0, |head| (u32::from_be_bytes(*head) as usize).saturating_add(4)),
        }
    }

    /// Bytes that have come of the frame at the front of `buffer`, if it is not whole.
    pub(crate) fn came(&self, buffer: &BytesMut) -> usize {
        self.over.as_ref().map_or(buffer.len(), |over| over.came)
    }
}

/// Whether a frame above the limit may go on; false while its header has not come yet.
fn is_allowed_large(buffer: &BytesMut, total: usize, limits: &Limits) -> Result<bool, Damaged> {
    let too_long = |max| Damaged::TooLong(total as u64 + 4, max);
    let Some(large) = limits.large_frames else {
        return Err(too_long(limits.frame_max_bytes));
    };
    if total + 4 > large.max_bytes {
        return Err(too_long(large.max_bytes));
    }
    match Frame::peek(buffer.get(4..).unwrap_or_default(), total)? {
        Some(frame) if frame.code == large.code => Ok(true),
        Some(_) => Err(too_long(limits.frame_max_bytes)),
        // Its header is still coming; no header is longer than an ordinary frame.
        None if buffer.len() > limits.frame_max_bytes => Err(too_long(limits.frame_max_bytes)),
        None => Ok(false),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::settings::LargeFrames;
    use protocol::encode::encode_frame;
    use protocol::{Head, Language, SerializeType};

    fn frame(code: i32, body_len: usize) -> Vec<u8> {
        let head = Head {
            code,
            language: Language::Java,
            version: 0,
            opaque: 1,
            flag: 0,
            remark: None,
            serialize_type: SerializeType::Json,
        };
        encode_frame(&head, &(), &vec![7; body_len]).unwrap().to_vec()
    }

    fn limits() -> Limits {
        Limits {
            frame_max_bytes: 1000,
            large_frames: Some(LargeFrames {
                code: 103,
                max_bytes: 100_000,
            }),
            ..Limits::default()
        }
    }

    #[test]
    fn the_header_of_a_large_frame_is_looked_at_once() {
        let (large, small) = (frame(103, 5000), frame(10, 10));
        let mut cutter = Cutter::default();
        let mut buffer = BytesMut::from(&large[..500]);
        assert!(matches!(cutter.cut(&mut buffer, &limits()), Ok(Cut::Partial)));
        // Nothing is left of the header that a second look could read.
        buffer[8..100].fill(0);
        buffer.extend_from_slice(&large[500..600]);
        assert!(matches!(cutter.cut(&mut buffer, &limits()), Ok(Cut::Partial)));
        buffer.clear();
        buffer.extend_from_slice(&large);
        buffer.extend_from_slice(&small);
        buffer.extend_from_slice(&frame(10, 5000));
        assert!(matches!(cutter.cut(&mut buffer, &limits()), Ok(Cut::Frame(f)) if f.code == 103));
        assert!(matches!(cutter.cut(&mut buffer, &limits()), Ok(Cut::Frame(f)) if f.code == 10));
        // What one frame was allowed is not the next one's.
        assert!(matches!(
            cutter.cut(&mut buffer, &limits()),
            Err(Damaged::TooLong(_, 1000))
        ));
    }

    #[test]
    fn a_frame_is_read_over_byte_by_byte_and_the_next_one_is_cut() {
        let (large, next) = (frame(103, 5000), frame(10, 10));
        let mut cutter = Cutter::default();
        let mut buffer = BytesMut::from(&large[..6]);
        assert!(cutter.read_over(&mut buffer).unwrap().is_none());
        assert_eq!(
            (buffer.len(), cutter.came(&buffer)),
            (6, 6),
            "its header is still coming"
        );
        buffer.extend_from_slice(&large[6..500]);
        let head = cutter.read_over(&mut buffer).unwrap().unwrap();
        assert_eq!((head.code, head.opaque), (103, 1));
        assert_eq!((buffer.capacity(), cutter.came(&buffer)), (0, 500));
        assert_eq!(cutter.announced(&buffer), large.len());
        let rest = [&large[500..], &next[..]].concat();
        let (last, bytes) = rest.split_last().unwrap();
        for byte in bytes {
            buffer.extend_from_slice(&[*byte]);
            assert!(matches!(cutter.cut(&mut buffer, &limits()), Ok(Cut::Partial)));
            assert!(buffer.len() < next.len());
        }
        buffer.extend_from_slice(&[*last]);
        assert!(matches!(cutter.cut(&mut buffer, &limits()), Ok(Cut::Frame(f)) if f.code == 10));
        assert_eq!(cutter.came(&buffer), 0);
    }
}
