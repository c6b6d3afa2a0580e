//! What the device under a store can do by itself: a loop of one write and one fdatasync.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of a record of 1 KiB as it stands in the log.
pub(crate) const RECORD_BYTES: usize = 1190;
/// The loop goes round in a file of this size that has been written before, so that no sync waits for metadata.
const FILE_BYTES: u64 = 128 << 20;

/// Records a second when every sync covers `group` of them.
pub(crate) fn records_a_second(dir: &Path, group: usize, time: Duration) -> io::Result<f64> {
    let path = dir.join("bare-loop");
    let file = prepared(&path)?;
    let bytes = vec![b'x'; group.max(1) * RECORD_BYTES];
    let (started, mut at, mut syncs) = (Instant::now(), 0, 0u32);
    while started.elapsed() < time {
        if at + bytes.len() as u64 > FILE_BYTES {
            at = 0;
        }
        file.write_all_at(&bytes, at)?;
        file.sync_data()?;
        at += bytes.len() as u64;
        syncs += 1;
    }
    let rate = f64::from(syncs) * group.max(1) as f64 / started.elapsed().as_secs_f64();
    drop(file);
    std::fs::remove_file(&path)?;
    Ok(rate)
}

fn prepared(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(path)?;
    let zeros = vec![0; 1 << 20];
    for _ in 0..FILE_BYTES >> 20 {
        file.write_all(&zeros)?;
    }
    file.sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_groups_bring_more_records_a_second() {
        let dir = std::env::temp_dir().join(format!("bare-loop-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let [one, many] =
            [1, 256].map(|group| records_a_second(&dir, group, Duration::from_millis(200)).unwrap());
        std::fs::remove_dir(&dir).unwrap();
        assert!(one > 0.0 && many > one, "{one} {many}");
    }
}
