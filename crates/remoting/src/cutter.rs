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
//! announces.

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

/// Takes one frame from the front of `buffer`.
pub(crate) fn cut(buffer: &mut BytesMut, limits: &Limits) -> Result<Cut, Damaged> {
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
    if total + 4 > limits.frame_max_bytes && !is_allowed_large(buffer, total, limits)? {
        return Ok(Cut::Partial);
    }
    if buffer.len() < total + 4 {
        return Ok(Cut::Partial);
    }
    buffer.advance(4);
    Ok(Cut::Frame(Frame::decode(buffer.split_to(total).freeze())?))
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
