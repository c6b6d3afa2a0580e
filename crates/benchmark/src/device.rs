//! What the machine under a store can do by itself: a loop of one write and one fdatasync, and new pages of memory.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use admin::observed::used;

/// Bytes of a record of 1 KiB as it stands in the log.
pub(crate) const RECORD_BYTES: usize = 1190;
/// The loop goes round in a file of this size that has been written before, so that no sync waits for metadata.
const FILE_BYTES: u64 = 128 << 20;
const FRESH_BYTES: u64 = 1 << 30;

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

/// CPU seconds that the kernel takes for a million records because the pages they are written to are new to it: what the
/// first writing of a file costs more than the second. A virtual machine that gives free memory back to its host pays much
/// more than the zeroing, and no broker that writes through the page cache can be cheaper.
pub(crate) fn fresh_pages_cpu_per_million(dir: &Path) -> io::Result<f64> {
    let path = dir.join("fresh-pages");
    let mut file = File::create(&path)?;
    let block = vec![b'x'; 1 << 20];
    let mut pass = || -> io::Result<f64> {
        let own = || used(std::process::id()).map_err(io::Error::other);
        let before = own()?;
        file.seek(SeekFrom::Start(0))?;
        for _ in 0..FRESH_BYTES >> 20 {
            file.write_all(&block)?;
        }
        Ok((own()?.cpu - before.cpu).as_secs_f64())
    };
    let (first, second) = (pass()?, pass()?);
    std::fs::remove_file(&path)?;
    Ok((first - second).max(0.0) / FRESH_BYTES as f64 * RECORD_BYTES as f64 * 1e6)
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
