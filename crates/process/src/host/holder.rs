//! Who listens on a port of this host.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// `st` of a socket that listens, in the kernel's tables.
const LISTENS: &str = "0A";

/// What marks the server that these settings are of, where it runs already.
#[derive(Clone, Copy, Debug)]
pub enum Own<'a> {
    /// It has this file locked.
    Lock {
        /// The file.
        path: &'a Path,
        /// Somebody has it locked.
        is_held: bool,
    },
    /// It is this program, started with this file of settings, or with none.
    Settings(Option<&'a Path>),
}

impl Own<'_> {
    /// Whether it is the one that listens on a port. Processes of other users show neither their sockets nor their files: then a lock
    /// that is held has to tell.
    pub(super) fn listens_on(&self, port: u16) -> bool {
        let holders = holders(port);
        match self {
            Own::Lock { is_held: false, .. } => false,
            Own::Lock { path, .. } => {
                let lock = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
                holders.is_empty()
                    || holders
                        .iter()
                        .any(|holder| files(holder).any(|file| file == lock))
            }
            Own::Settings(file) => holders.iter().any(|holder| is_started_with(holder, *file)),
        }
    }
}

/// Whether whoever listens on a port is a broker that has it for replication, next to its port for clients, and gives way to one that
/// is started and wants it. Only a process of the same user does, and only those are seen.
pub(super) fn gives_way(port: u16) -> bool {
    let clients = port.checked_sub(1).map(holders).unwrap_or_default();
    holders(port).iter().any(|holder| {
        clients.contains(holder) && program(holder).is_some_and(|name| Some(name) == own_program())
    })
}

/// The directories in `/proc` of the processes that listen on a port, as far as this user is shown them.
fn holders(port: u16) -> Vec<PathBuf> {
    let sockets: Vec<PathBuf> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| inodes(&table, port))
        .map(|inode| PathBuf::from(format!("socket:[{inode}]")))
        .collect();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .map(|entry| entry.path())
        .filter(|path| files(path).any(|file| sockets.contains(&file)))
        .collect()
}

/// Inodes of the sockets that listen on a port, from lines of
/// `sl: local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`.
fn inodes(table: &str, port: u16) -> Vec<u64> {
    let wanted = format!("{port:04X}");
    let of_line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (_, of) = words.get(1)?.rsplit_once(':')?;
        let listens = of == wanted && *words.get(3)? == LISTENS;
        listens.then(|| words.get(9)?.parse().ok()).flatten()
    };
    table.lines().skip(1).filter_map(of_line).collect()
}

/// What a process has open.
fn files(process: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok())
}

/// The name of a process' program.
fn program(process: &Path) -> Option<Vec<u8>> {
    let exe = fs::read_link(process.join("exe")).ok()?;
    let name = exe.file_name()?.as_bytes();
    // So the kernel calls one that was replaced while it runs.
    Some(name.strip_suffix(b" (deleted)").unwrap_or(name).to_vec())
}

fn own_program() -> Option<Vec<u8>> {
    program(Path::new("/proc/self"))
}

fn is_started_with(process: &Path, file: Option<&Path>) -> bool {
    if program(process).is_none_or(|name| Some(name) != own_program()) {
        return false;
    }
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let is_option = |word: &&[u8]| [&b"-c"[..], b"--configFile"].contains(word);
    let given = words.iter().position(is_option).and_then(|at| words.get(at + 1));
    let given = given.map(|file| process.join("cwd").join(OsStr::from_bytes(file)));
    match (given, file) {
        (None, None) => true,
        (Some(given), Some(file)) => {
            let (given, file) = (fs::canonicalize(given), fs::canonicalize(file));
            given.is_ok_and(|given| file.is_ok_and(|file| file == given))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn who_listens_is_known_by_what_else_it_has_open() {
        let dir = tempfile::tempdir().unwrap();
        let (lock, other) = (dir.path().join("lock"), dir.path().join("other"));
        fs::write(&other, "").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let file = fs::File::create(&lock).unwrap();
        let holds = |path: &Path, is_held| Own::Lock { path, is_held }.listens_on(port);
        assert!(holds(&lock, true));
        assert!(!holds(&lock, false) && !holds(&other, true));
        drop(file);
        assert!(!holds(&lock, true));
        // The test's program, started without a file.
        assert!(Own::Settings(None).listens_on(port));
        assert!(!Own::Settings(Some(&other)).listens_on(port));
        // Whoever has the port before, too, has this one for replication.
        assert!(!gives_way(port));
        let before = TcpListener::bind(("127.0.0.1", port - 1));
        assert_eq!(gives_way(port), before.is_ok());
        drop(listener);
        assert!(!Own::Settings(None).listens_on(port) && !gives_way(port));
    }

    #[test]
    fn sockets_that_listen_are_told_from_those_that_are_connected() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:7922 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 55 1 0 20\n\
             1: 0100007F:7922 0100007F:8AE4 01 00000000:00000000 00:00000000 00000000  1000        0 56 1 0 20\n\
             2: 0100007F:7923 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 57 1 0 20\n\
             3: damaged\n";
        assert_eq!(inodes(table, 31010), [55]);
        assert!(inodes(table, 1).is_empty());
    }
}
