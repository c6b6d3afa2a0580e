//! The body of a batch send: a chain of small messages.
//!
//! | bytes | field |
//! |---|---|
//! | 4 | entry length, this field included |
//! | 4 | magic, 0 |
//! | 4 | body CRC, 0 |
//! | 4 | flag |
//! | 4 + n | body length and body |
//! | 2 + n | properties length and properties |

/// One message of a batch, borrowed from the batch's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The client's free flag.
    pub flag: i32,
    /// The message's body.
    pub body: &'a [u8],
    /// The message's own properties text.
    pub properties: &'a [u8],
}

/// A batch body that cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end inside the entry.
    #[error("the batch ends inside the message at byte {at}")]
    Truncated {
        /// Where the entry starts, in bytes from the start of the batch.
        at: usize,
    },
    /// A length field does not fit the entry.
    #[error("the message at byte {at} of the batch says its {what} has {len} bytes")]
    Length {
        /// Where the entry starts, in bytes from the start of the batch.
        at: usize,
        /// Which length: `body`, `properties` or `entry`.
        what: &'static str,
        /// What the field says.
        len: i64,
    },
}

/// Walks the entries of a batch body. After an error it ends.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The entries of the batch body `bytes`.
pub fn entries(bytes: &[u8]) -> Entries<'_> {
    Entries { bytes, at: 0 }
}

/// Bytes of an entry besides body and properties.
pub const OVERHEAD_BYTES: usize = 22;

impl<'a> Entries<'a> {
    fn entry(&mut self) -> Result<Entry<'a>, BatchError> {
        let at = self.at;
        let rest = &self.bytes[at..];
        let int = |from: usize| -> Result<i32, BatchError> {
            let four = rest.get(from..from + 4).ok_or(BatchError::Truncated { at })?;
            Ok(i32::from_be_bytes([four[0], four[1], four[2], four[3]]))
        };
        let length = |what, len: i64| BatchError::Length { at, what, len };
        let total = int(0)?;
        let flag = int(12)?;
        let body_len = int(16)?;
        let body_end = usize::try_from(body_len)
            .map_err(|_| length("body", body_len.into()))?
            .saturating_add(20);
        let body = rest
            .get(20..body_end)
            .ok_or_else(|| length("body", body_len.into()))?;
        let two = rest
            .get(body_end..body_end + 2)
            .ok_or(BatchError::Truncated { at })?;
        let properties_len = i16::from_be_bytes([two[0], two[1]]);
        let properties_end = usize::try_from(properties_len)
            .map_err(|_| length("properties", properties_len.into()))?
            + body_end
            + 2;
        let properties = rest
            .get(body_end + 2..properties_end)
            .ok_or_else(|| length("properties", properties_len.into()))?;
        // The entry's own length must agree: taking either one for the truth would hide a client's bug.
        if usize::try_from(total) != Ok(properties_end) {
            return Err(length("entry", total.into()));
        }
        self.at += properties_end;
        Ok(Entry {
            flag,
            body,
            properties,
        })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let entry = self.entry();
        if entry.is_err() {
            self.at = self.bytes.len();
        }
        Some(entry)
    }
}

/// Appends one entry to a batch body, as a client does. Properties over 32,767 bytes are an error of the caller.
pub fn push_entry(out: &mut Vec<u8>, flag: i32, body: &[u8], properties: &[u8]) {
    assert!(
        properties.len() <= crate::properties::MAX_LEN_BYTES,
        "properties too long for a batch entry"
    );
    let total = OVERHEAD_BYTES + body.len() + properties.len();
    out.extend_from_slice(&(total as i32).to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&flag.to_be_bytes());
    out.extend_from_slice(&(body.len() as i32).to_be_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(&(properties.len() as i16).to_be_bytes());
    out.extend_from_slice(properties);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn splits_what_a_client_joins() {
        let mut body = Vec::new();
        push_entry(&mut body, 7, b"one", b"TAGS\x01a\x02");
        push_entry(&mut body, 0, b"", b"");
        let found: Result<Vec<_>, _> = entries(&body).collect();
        let expected = vec![
            Entry {
                flag: 7,
                body: b"one",
                properties: b"TAGS\x01a\x02",
            },
            Entry {
                flag: 0,
                body: b"",
                properties: b"",
            },
        ];
        assert_eq!(found, Ok(expected));
        assert_eq!(
            entries(&body[..30]).last(),
            Some(Err(BatchError::Length {
                at: 0,
                what: "properties",
                len: 7
            }))
        );
        body[3] += 1;
        assert_eq!(
            entries(&body).collect::<Vec<_>>(),
            [Err(BatchError::Length {
                at: 0,
                what: "entry",
                len: 33
            })]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_split_or_refused(bytes in proptest::collection::vec(0u8..24, 0..200)) {
            let mut taken = 0;
            for entry in entries(&bytes).flatten() {
                taken += OVERHEAD_BYTES + entry.body.len() + entry.properties.len();
            }
            prop_assert!(taken <= bytes.len());
        }
    }
}
