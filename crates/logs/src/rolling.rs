//! A log file that starts anew when it has grown enough.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// `DIR/STEM.log`, with older ones as `DIR/otherdays/STEM.N.log`. Lines are written whole.
///
/// The file is held by a lock (flock), so that two servers never write, and rotate, the same one.
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
    /// Lines that could not be written since the last that could.
    lost: u64,
}

impl State {
    fn new((file, len): (File, u64), rotation: Rotation) -> State {
        State {
            file,
            len,
            rotate_at: rotation.max_len_bytes,
            lost: 0,
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)?;
        self.len = self.len.saturating_add(line.len() as u64);
        Ok(())
    }
}

impl Rolling {
    /// Opens the file for appending, making its directory. Where another server holds `DIR/STEM.log`, this one's file is
    /// `DIR/OWN/STEM.log`, or `DIR/OWN-PID/STEM.log` if that is held as well (RocketMQ 5.x has a folder a broker, too).
    ///
    /// # Errors
    /// The directory cannot be made or the file cannot be opened.
    pub fn open(dir: &Path, stem: &'static str, own: &str, rotation: Rotation) -> io::Result<Rolling> {
        let own = folder_name(own);
        let with_pid = format!("{own}-{}", std::process::id());
        let mut last = None;
        for dir in [dir.to_owned(), dir.join(own), dir.join(with_pid)] {
            fs::create_dir_all(&dir)?;
            let (file, len) = open(&dir.join(format!("{stem}.log")))?;
            let free = is_free(&file);
            last = Some((dir, (file, len)));
            if free {
                break;
            }
        }
        let (dir, opened) = last.expect("there are three directories to try");
        Ok(Rolling {
            dir,
            stem,
            rotation,
            state: Mutex::new(State::new(opened, rotation)),
        })
    }

    /// The file that is written.
    pub fn path(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.stem))
    }

    /// Opens the file anew by its name, for whoever has moved it away (logrotate).
    ///
    /// # Errors
    /// The file cannot be opened; the old one is written on.
    pub fn reopen(&self) -> io::Result<()> {
        let mut state = self.lock();
        fs::create_dir_all(&self.dir)?;
        // What may be the same file is let go before it is taken.
        let _ = rustix::fs::flock(&state.file, rustix::fs::FlockOperation::Unlock);
        let opened = open(&self.path())?;
        is_free(&opened.0);
        let lost = state.lost;
        *state = State::new(opened, self.rotation);
        state.lost = lost;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while a line was written leaves nothing half-done that matters to the next line.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes whole lines, so many of them.
    pub(crate) fn append(&self, lines: &[u8], count: u64) -> io::Result<()> {
        let mut state = self.lock();
        if state.len >= state.rotate_at {
            match self.rotate() {
                Ok(opened) => {
                    // A server that took the new file in this instant keeps it as well: one file a while for both.
                    is_free(&opened.0);
                    let lost = state.lost;
                    *state = State::new(opened, self.rotation);
                    state.lost = lost;
                }
                Err(_) => state.rotate_at = state.len.saturating_mul(2).max(1),
            }
        }
        if state.lost > 0 {
            let note = format!("{} log lines before this one could not be written\n", state.lost);
            if state.write(note.as_bytes()).is_ok() {
                state.lost = 0;
            }
        }
        let written = state.write(lines);
        if written.is_err() {
            state.lost += count;
        }
        written
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

/// Takes the file's lock. False if another server has it; a file system without locks has no other server to fear.
fn is_free(file: &File) -> bool {
    let taken = rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive);
    taken != Err(rustix::io::Errno::WOULDBLOCK)
}

/// A name as a folder below the log's: a single one, and not hidden.
pub(crate) fn folder_name(name: &str) -> String {
    let name = name.trim().trim_start_matches('.').replace(['/', '\0'], "_");
    if name.is_empty() { "other".to_owned() } else { name }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let len = file.metadata()?.len();
    Ok((file, len))
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
            "own",
            Rotation {
                max_len_bytes: 10,
                kept: 2,
            },
        )
        .unwrap();
        for line in ["first....\n", "second...\n", "third....\n", "fourth...\n"] {
            rolling.append(line.as_bytes(), 1).unwrap();
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
        Rolling::open(dir.path(), "broker", "own", rotation)
            .unwrap()
            .append(b"abc\n", 1)
            .unwrap();
        Rolling::open(dir.path(), "broker", "own", rotation)
            .unwrap()
            .append(b"def\n", 1)
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
            "own",
            Rotation {
                max_len_bytes: 1,
                kept: 1,
            },
        )
        .unwrap();
        fs::write(dir.path().join("otherdays"), "a file where a directory should be").unwrap();
        for line in ["a\n", "b\n", "c\n"] {
            rolling.append(line.as_bytes(), 1).unwrap();
        }
        assert_eq!(read(dir.path().join("broker.log")), "a\nb\nc\n");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Rolling::open(&file.path().join("logs"), "broker", "own", Rotation::BROKER).is_err());
    }

    #[test]
    fn two_servers_never_share_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let open = |own: &str| Rolling::open(dir.path(), "broker", own, Rotation::BROKER).unwrap();
        let (a, b, b_again) = (open("broker-a"), open("broker-b"), open("broker-b"));
        let pid = std::process::id();
        assert_eq!(a.path(), dir.path().join("broker.log"));
        assert_eq!(b.path(), dir.path().join("broker-b/broker.log"));
        assert_eq!(
            b_again.path(),
            dir.path().join(format!("broker-b-{pid}/broker.log"))
        );
        drop(a);
        assert_eq!(open("broker-c").path(), dir.path().join("broker.log"));
    }

    #[test]
    fn a_rotated_file_is_still_held() {
        let dir = tempfile::tempdir().unwrap();
        let rotation = Rotation {
            max_len_bytes: 1,
            kept: 1,
        };
        let first = Rolling::open(dir.path(), "broker", "a", rotation).unwrap();
        first.append(b"one\n", 1).unwrap();
        first.append(b"two\n", 1).unwrap();
        let second = Rolling::open(dir.path(), "broker", "b", rotation).unwrap();
        assert_eq!(second.path(), dir.path().join("b/broker.log"));
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let dir = tempfile::tempdir().unwrap();
        let rolling = Rolling::open(dir.path(), "broker", "a", Rotation::BROKER).unwrap();
        rolling.append(b"before\n", 1).unwrap();
        fs::rename(dir.path().join("broker.log"), dir.path().join("moved")).unwrap();
        rolling.append(b"still the old one\n", 1).unwrap();
        rolling.reopen().unwrap();
        rolling.append(b"after\n", 1).unwrap();
        assert_eq!(read(dir.path().join("broker.log")), "after\n");
        assert_eq!(read(dir.path().join("moved")), "before\nstill the old one\n");
        let other = Rolling::open(dir.path(), "broker", "b", Rotation::BROKER).unwrap();
        assert_ne!(other.path(), rolling.path(), "the new file is held, too");
    }

    #[test]
    fn lines_that_could_not_be_written_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let rolling = Rolling::open(dir.path(), "broker", "a", Rotation::BROKER).unwrap();
        let good = std::mem::replace(
            &mut rolling.lock().file,
            OpenOptions::new().write(true).open("/dev/full").unwrap(),
        );
        for _ in 0..3 {
            assert!(rolling.append(b"lost\n", 1).is_err());
        }
        rolling.lock().file = good;
        rolling.append(b"kept\n", 1).unwrap();
        assert_eq!(
            read(rolling.path()),
            "3 log lines before this one could not be written\nkept\n"
        );
    }

    #[test]
    fn a_name_cannot_leave_the_log_folder() {
        for (name, folder) in [
            ("../../etc", "_.._etc"),
            ("", "other"),
            (".", "other"),
            ("a/b", "a_b"),
            ("a b", "a b"),
        ] {
            assert_eq!(folder_name(name), folder, "{name}");
        }
    }
}
