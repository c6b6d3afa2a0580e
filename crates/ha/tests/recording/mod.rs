//! What went between a Java master and a Java slave, as a file: entries of a letter, an i64, a u32 length and so many bytes.

use std::io::{Read, Write};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The slave connected.
    Connected,
    /// Bytes of the slave, and the ms since the recording began.
    Slave(i64, Vec<u8>),
    /// Bytes of the master, and the ms since the recording began.
    Master(i64, Vec<u8>),
    /// A file of the slave's commitlog at the end, and its first offset.
    File(i64, Vec<u8>),
    /// What the master gave for an offset at the end, by VIEW_MESSAGE_BY_ID; nothing where it answered with an error.
    View(i64, Option<Vec<u8>>),
    /// The start of the master's log at the end, by GET_BROKER_RUNTIME_INFO.
    Min(i64),
    /// Its end.
    End(i64),
}

#[allow(dead_code, reason = "only the recorder writes")]
pub(crate) fn write(events: &[Event]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    for event in events {
        let (letter, number, bytes): (u8, i64, &[u8]) = match event {
            Event::Connected => (b'C', 0, &[]),
            Event::Slave(ms, bytes) => (b'S', *ms, bytes),
            Event::Master(ms, bytes) => (b'M', *ms, bytes),
            Event::File(offset, bytes) => (b'F', *offset, bytes),
            Event::View(offset, Some(bytes)) => (b'V', *offset, bytes),
            Event::View(offset, None) => (b'N', *offset, &[]),
            Event::Min(offset) => (b'B', *offset, &[]),
            Event::End(offset) => (b'E', *offset, &[]),
        };
        let len = u32::try_from(bytes.len()).expect("short");
        for part in [&[letter][..], &number.to_be_bytes(), &len.to_be_bytes(), bytes] {
            gzip.write_all(part).expect("memory takes it");
        }
    }
    gzip.finish().expect("memory takes it")
}

#[allow(dead_code, reason = "the recorder does not read")]
pub(crate) fn read(file: &[u8]) -> Vec<Event> {
    let mut all = Vec::new();
    GzDecoder::new(file).read_to_end(&mut all).expect("gzip");
    let mut rest = &all[..];
    let mut take = |len: usize| {
        let (head, tail) = rest.split_at_checked(len)?;
        rest = tail;
        Some(head)
    };
    let mut events = Vec::new();
    while let Some(letter) = take(1) {
        let number = i64::from_be_bytes(take(8).expect("whole").try_into().expect("8 bytes"));
        let len = u32::from_be_bytes(take(4).expect("whole").try_into().expect("4 bytes"));
        let bytes = take(len as usize).expect("whole").to_vec();
        events.push(match letter[0] {
            b'C' => Event::Connected,
            b'S' => Event::Slave(number, bytes),
            b'M' => Event::Master(number, bytes),
            b'F' => Event::File(number, bytes),
            b'V' => Event::View(number, Some(bytes)),
            b'N' => Event::View(number, None),
            b'B' => Event::Min(number),
            b'E' => Event::End(number),
            other => panic!("no such entry: {other}"),
        });
    }
    events
}
