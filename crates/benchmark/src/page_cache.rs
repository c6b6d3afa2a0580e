//! The memory that the logs find.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

const CHUNK_BYTES: usize = 4 << 20;
/// No file system has more; the start is read again after it.
const FILE_BYTES: u64 = 4 << 40;
/// The cache is full when the kernel has taken this many pages back for new ones.
const TAKEN_BACK: u64 = 25_600;

/// Fills the page cache with the pages of a file that is nothing but a hole.
///
/// A server that has run for a while has no free memory: what its log needs is taken from pages that were read or written
/// once. A virtual machine that has just been started, or that gives its free memory back to its host, gets every page
/// anew instead, at a cost that belongs to no broker and is larger than all else that a message costs.
pub(crate) struct PageCache {
    file: File,
    at: u64,
    chunk: Vec<u8>,
}

impl PageCache {
    /// Nothing is filled yet. The file is in the directory for temporary files, and has no name any more.
    pub(crate) fn new() -> io::Result<PageCache> {
        let path = std::env::temp_dir().join(format!("page-cache-{}", std::process::id()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        std::fs::remove_file(&path)?;
        file.set_len(FILE_BYTES)?;
        Ok(PageCache {
            file,
            at: 0,
            chunk: vec![0; CHUNK_BYTES],
        })
    }

    /// Reads on until the kernel takes pages back; returns the MiB it took.
    pub(crate) fn fill(&mut self) -> io::Result<u64> {
        let memory = disk::physical_memory_bytes().unwrap_or(u64::MAX);
        let before = taken_back()?;
        let mut filled = 0;
        while taken_back()? < before + TAKEN_BACK {
            if filled > memory {
                return Err(io::Error::other(
                    "all memory was filled and nothing was taken back: is the directory for temporary files in memory?",
                ));
            }
            if self.at + CHUNK_BYTES as u64 > FILE_BYTES {
                self.at = 0;
            }
            self.file.read_exact_at(&mut self.chunk, self.at)?;
            self.at += CHUNK_BYTES as u64;
            filled += CHUNK_BYTES as u64;
        }
        Ok(filled >> 20)
    }
}

/// Pages that the kernel's own thread took back.
fn taken_back() -> io::Result<u64> {
    const FILE: &str = "/proc/vmstat";
    const NAME: &str = "pgsteal_kswapd ";
    let text = std::fs::read_to_string(FILE)?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(NAME)?.parse().ok());
    value.ok_or_else(|| io::Error::other(format!("{FILE} has no {NAME}")))
}
