//! Ends of logs, and what is in a folder.

use jiff::Timestamp;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The last whole lines of a file, `max` bytes at most.
pub(super) fn tail(path: &Path, max: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let from = len.saturating_sub(max);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    file.take(max).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if from == 0 {
        return Ok(text);
    }
    let whole = text.find('\n').map_or("", |end| &text[end + 1..]);
    Ok(format!("(the last of {len} bytes)\n{whole}"))
}

/// A line for each file below a folder: length, bytes of blocks, time of the last change, name. Folders that are deeper come later,
/// so that a cut takes the least of them.
pub(super) fn listing(folder: &Path, max: usize) -> Result<String, String> {
    let mut text = "length allocated changed name\n".to_owned();
    let mut folders = std::collections::VecDeque::from([folder.to_owned()]);
    let mut listed = 0;
    while let Some(dir) = folders.pop_front() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if dir == folder => return Err(format!("{}: {error}", dir.display())),
            // It went meanwhile, or is not for this user.
            Err(error) => {
                let _ = writeln!(text, "{}: {error}", dir.display());
                continue;
            }
        };
        let mut entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            if listed == max {
                let _ = writeln!(text, "(there is more)");
                return Ok(text);
            }
            listed += 1;
            let Ok(metadata) = path.symlink_metadata() else {
                continue;
            };
            let changed = Timestamp::from_second(metadata.mtime()).unwrap_or_default();
            let mark = match metadata.is_dir() {
                true => "/",
                false => "",
            };
            let _ = writeln!(
                text,
                "{} {} {changed} {}{mark}",
                metadata.len(),
                metadata.blocks() * 512,
                path.display()
            );
            if metadata.is_dir() {
                folders.push_back(path);
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_of_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "first\nsecond\nthird\n").unwrap();
        assert_eq!(tail(&path, 100).unwrap(), "first\nsecond\nthird\n");
        assert_eq!(tail(&path, 8).unwrap(), "(the last of 19 bytes)\nthird\n");
        assert_eq!(tail(&path, 3).unwrap(), "(the last of 19 bytes)\n");
    }

    #[test]
    fn files_of_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("commitlog")).unwrap();
        fs::write(dir.path().join("commitlog/00"), "12345").unwrap();
        fs::write(dir.path().join("lock"), "lock").unwrap();
        let text = listing(dir.path(), 10).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[1].ends_with("/commitlog/"), "{text}");
        assert!(
            lines[2].starts_with("4 ") && lines[2].ends_with("/lock"),
            "{text}"
        );
        assert!(
            lines[3].starts_with("5 ") && lines[3].ends_with("/commitlog/00"),
            "{text}"
        );
        assert!(listing(dir.path(), 2).unwrap().ends_with("(there is more)\n"));
        assert!(listing(&dir.path().join("none"), 2).is_err());
    }
}
