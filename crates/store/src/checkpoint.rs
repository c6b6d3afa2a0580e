//! The checkpoint: up to when everything is known to be durable.
//!
//! | bytes | field |
//! |---|---|
//! | 0–7 | store time of the last flushed commitlog record, ms |
//! | 8–15 | store time of the last record with a flushed consumequeue unit, ms |
//! | 16–23 | end time of the last full index file, ms |
//! | 24–31 | masterFlushedOffset (5.x) |
//! | 32–39 | confirmPhyOffset (5.x) |
//! | 4064–4067 | `RVCH` (ours) |
//! | 4068–4075 | vouched position (ours) |
//! | 4076–4079 | CRC-32 of bytes 4064–4075 (ours) |
//!
//! 4,096 bytes in all, the rest zero (RocketMQ 4.9.8 and 5.3.3, StoreCheckpoint). Java keeps to its own bytes and
//! leaves ours as they are.
//!
//! The *vouched* position says more exactly what the first two times say to within seconds: all of the log below it,
//! and the consumequeue units of all records below it, are durable. It lies at the start of a record.

use disk::{Disk, MapOptions, MappedFile, Writes};
use std::path::Path;

pub(crate) const LEN: usize = 4096;
const OURS: usize = 4064;
const MAGIC: &[u8; 4] = b"RVCH";

/// What a checkpoint says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) physic_timestamp: i64,
    pub(crate) logics_timestamp: i64,
    pub(crate) index_timestamp: i64,
    pub(crate) master_flushed: i64,
    pub(crate) confirmed: i64,
    pub(crate) vouched: Option<i64>,
}

impl Checkpoint {
    /// Java's `minTimestamp`: what was stored up to then is durable, three seconds taken off for safety.
    pub(crate) fn min_timestamp(&self) -> i64 {
        (self.physic_timestamp.min(self.logics_timestamp) - 3000).max(0)
    }

    /// What the checkpoint of a store says that is not opened; nothing where there is none of the right length.
    pub(crate) fn read<D: Disk>(disk: &D, root: &Path) -> disk::Result<Checkpoint> {
        let content = disk.read_small(&root.join("checkpoint"), LEN as u64 + 1)?;
        let bytes = content.and_then(|content| <[u8; LEN]>::try_from(content).ok());
        Ok(bytes.map_or_else(Checkpoint::default, |bytes| Checkpoint::decode(&bytes)))
    }

    fn decode(bytes: &[u8; LEN]) -> Checkpoint {
        let long = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            i64::from_be_bytes(eight)
        };
        let crc = crc32fast::hash(&bytes[OURS..OURS + 12]).to_be_bytes();
        let ours = bytes[OURS..OURS + 4] == *MAGIC && bytes[OURS + 12..OURS + 16] == crc;
        Checkpoint {
            physic_timestamp: long(0),
            logics_timestamp: long(8),
            index_timestamp: long(16),
            master_flushed: long(24),
            confirmed: long(32),
            vouched: ours.then(|| long(OURS + 4)),
        }
    }

    fn encode(&self, bytes: &mut [u8]) {
        let longs = [
            self.physic_timestamp,
            self.logics_timestamp,
            self.index_timestamp,
            self.master_flushed,
            self.confirmed,
        ];
        for (at, value) in longs.into_iter().enumerate() {
            bytes[at * 8..at * 8 + 8].copy_from_slice(&value.to_be_bytes());
        }
        let ours = &mut bytes[OURS..];
        ours.fill(0);
        if let Some(vouched) = self.vouched {
            ours[..4].copy_from_slice(MAGIC);
            ours[4..12].copy_from_slice(&vouched.to_be_bytes());
            let crc = crc32fast::hash(&ours[..12]);
            ours[12..16].copy_from_slice(&crc.to_be_bytes());
        }
    }
}

/// The checkpoint file, open.
pub(crate) struct CheckpointFile<F>(F);

impl<F: MappedFile> CheckpointFile<F> {
    /// Opens or makes the file. One of a wrong length is made anew: recovery then reads more, but loses nothing.
    pub(crate) fn open<D: Disk<File = F>>(disk: &D, root: &Path) -> disk::Result<(Self, Checkpoint)> {
        let path = root.join("checkpoint");
        let options = MapOptions {
            reserve_step_bytes: LEN as u64,
            pinned: true,
            writes: Writes::Stores,
        };
        let found = disk
            .list(root)?
            .into_iter()
            .find(|entry| entry.name == "checkpoint");
        if found.is_some_and(|entry| entry.len == LEN as u64) {
            let file = disk.open(&path, LEN as u64, options)?;
            file.unpublish(0)?;
            let mut bytes = [0; LEN];
            file.read(0, &mut bytes)?;
            return Ok((CheckpointFile(file), Checkpoint::decode(&bytes)));
        }
        disk.remove_file(&path)?;
        let file = disk.create(&path, LEN as u64, options)?;
        Ok((CheckpointFile(file), Checkpoint::default()))
    }

    /// Writes and syncs. Each half is within one sector, so a crash leaves the old or the new of each.
    pub(crate) fn save(&self, checkpoint: &Checkpoint) -> disk::Result<()> {
        self.0
            .write_with(0, LEN as u64, |bytes| checkpoint.encode(bytes))?;
        self.0.sync(0..LEN as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_damage() {
        let checkpoint = Checkpoint {
            physic_timestamp: 9000,
            logics_timestamp: 8000,
            index_timestamp: 3,
            master_flushed: 4,
            confirmed: 5,
            vouched: Some(6),
        };
        let mut bytes = [0; LEN];
        checkpoint.encode(&mut bytes);
        assert_eq!(Checkpoint::decode(&bytes), checkpoint);
        assert_eq!(checkpoint.min_timestamp(), 5000);
        assert_eq!(
            bytes[..16],
            [0, 0, 0, 0, 0, 0, 0x23, 0x28, 0, 0, 0, 0, 0, 0, 0x1F, 0x40]
        );
        bytes[OURS + 11] ^= 1;
        assert_eq!(Checkpoint::decode(&bytes).vouched, None);
        assert_eq!(Checkpoint::decode(&[0; LEN]), Checkpoint::default());
    }
}
