//! A tar archive (ustar), compressed.
//!
//! | bytes of a header | field |
//! |---|---|
//! | 0–99 | name |
//! | 100–107 | mode, octal |
//! | 108–123 | owner and group, octal |
//! | 124–135 | length, octal |
//! | 136–147 | modified, seconds since 1970, octal |
//! | 148–155 | sum of all bytes of the header, of these as blanks |
//! | 156 | kind, `0` a file |
//! | 257–264 | `ustar\0` and version `00` |
//!
//! A header and its file are filled up to 512 bytes; two empty blocks end the archive.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

const BLOCK: usize = 512;

pub(super) struct Archive<W: Write> {
    to: GzEncoder<W>,
    modified: u64,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(to: W) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Archive {
            to: GzEncoder::new(to, Compression::default()),
            modified: since.map_or(0, |since| since.as_secs()),
        }
    }

    pub(super) fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.to.write_all(&self.header(name, content.len())?)?;
        self.to.write_all(content)?;
        let rest = content.len().next_multiple_of(BLOCK) - content.len();
        self.to.write_all(&[0; BLOCK][..rest])
    }

    fn header(&self, name: &str, len: usize) -> io::Result<[u8; BLOCK]> {
        let mut header = [0; BLOCK];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        if name.len() > 100 {
            return Err(io::Error::other(format!(
                "{name} is too long a name for an archive"
            )));
        }
        put(0, name);
        put(100, "0000600");
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{len:011o}"));
        put(136, &format!("{:011o}", self.modified));
        put(148, "        ");
        put(156, "0");
        put(257, "ustar");
        put(263, "00");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        Ok(header)
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.to.write_all(&[0; 2 * BLOCK])?;
        self.to.finish()
    }
}
