//! A log file that starts anew when it has grown enough.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing_subscriber::fmt::MakeWriter;

/// When a log file is set aside, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A file at least this long is set aside before the next line.
    pub max_len_bytes: u64,
    /// Files kept in `otherdays`: `STEM.1.log` is the newest.
    pub kept: u32,
}

impl Rotation {
    /// As RocketMQ's logback_broker.xml has it.
    pub const BROKER: Rotation = Rotation {
        max_len_bytes: 128 << 20,
        kept: 20,
    };
    /// As RocketMQ's logback_namesrv.xml has it.
    pub const NAMESRV: Rotation = Rotation {
        max_len_bytes: 100 << 20,
        kept: 5,
    };
}

/// `DIR/STEM.log`, with older ones as `DIR/otherdays/STEM.N.log`. Each line is one write to the file.
#[derive(Debug)]
pub struct Rolling {
    dir: PathBuf,
    stem: &'static str,
    rotation: Rotation,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    len: u64,
    /// After a rotation that failed, the next one is tried only when the file has doubled.
    rotate_at: u64,
}

impl Rolling {
    /// Opens the file for appending, making its directory.
    ///
    /// # Errors
    /// The directory cannot be made or the file cannot be opened.
    pub fn open(dir: &Path, stem: &'static str, rotation: Rotation) -> io::Result<Rolling> {
        fs::create_dir_all(dir)?;
        let (file, len) = open(&dir.join(format!("{stem}.log")))?;
        let state = State {
            file,
            len,
            rotate_at: rotation.max_len_bytes,
        };
        Ok(Rolling {
            dir: dir.to_owned(),
            stem,
            rotation,
            state: Mutex::new(state),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while a line was written leaves nothing half-done that matters to the next line.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        if state.len >= state.rotate_at {
            match self.rotate() {
                Ok((file, len)) => {
                    *state = State {
                        file,
                        len,
                        rotate_at: self.rotation.max_len_bytes,
                    }
                }
                Err(_) => state.rotate_at = state.len.saturating_mul(2).max(1),
            }
        }
        state.file.write_all(line)?;
        state.len = state.len.saturating_add(line.len() as u64);
        Ok(())
    }

    /// Moves every kept file one number up, the current one to number 1, and opens a new one.
    fn rotate(&self) -> io::Result<(File, u64)> {
        let current = self.dir.join(format!("{}.log", self.stem));
        let other_days = self.dir.join("otherdays");
        fs::create_dir_all(&other_days)?;
        let numbered = |number: u32| other_days.join(format!("{}.{number}.log", self.stem));
        for number in (1..self.rotation.kept).rev() {
            match fs::rename(numbered(number), numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&current, numbered(1))?;
        open(&current)
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let len = file.metadata()?.len();
    Ok((file, len))
}

/// One event's writer. `tracing` gives a whole line in one call.
#[derive(Debug)]
pub struct Line<'a>(&'a Rolling);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.append(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Rolling {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: PathBuf) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn rotates_by_size_and_keeps_so_many() {
        let dir = tempfile::tempdir().unwrap();
        let rolling = Rolling::open(
            dir.path(),
            "broker",
            Rotation {
                max_len_bytes: 10,
                kept: 2,
            },
        )
        .unwrap();
        for line in ["first....\n", "second...\n", "third....\n", "fourth...\n"] {
            rolling.append(line.as_bytes()).unwrap();
        }
        let old = dir.path().join("otherdays");
        assert_eq!(read(dir.path().join("broker.log")), "fourth...\n");
        assert_eq!(read(old.join("broker.1.log")), "third....\n");
        assert_eq!(read(old.join("broker.2.log")), "second...\n");
        assert_eq!(fs::read_dir(old).unwrap().count(), 2);
    }

    #[test]
    fn goes_on_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let rotation = Rotation {
            max_len_bytes: 4,
            kept: 1,
        };
        Rolling::open(dir.path(), "broker", rotation)
            .unwrap()
            .append(b"abc\n")
            .unwrap();
        Rolling::open(dir.path(), "broker", rotation)
            .unwrap()
            .append(b"def\n")
            .unwrap();
        assert_eq!(read(dir.path().join("broker.log")), "def\n");
        assert_eq!(read(dir.path().join("otherdays/broker.1.log")), "abc\n");
    }

    #[test]
    fn a_rotation_that_fails_loses_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let rolling = Rolling::open(
            dir.path(),
            "broker",
            Rotation {
                max_len_bytes: 1,
                kept: 1,
            },
        )
        .unwrap();
        fs::write(dir.path().join("otherdays"), "a file where a directory should be").unwrap();
        for line in ["a\n", "b\n", "c\n"] {
            rolling.append(line.as_bytes()).unwrap();
        }
        assert_eq!(read(dir.path().join("broker.log")), "a\nb\nc\n");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Rolling::open(&file.path().join("logs"), "broker", Rotation::BROKER).is_err());
    }
}
