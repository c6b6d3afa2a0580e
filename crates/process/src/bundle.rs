//! A support bundle: what others need who are to help with a server, in one archive, without its secrets.
//!
//! Start reading at [`Bundle`]. Each part is a text of bounded length; every secret that was found anywhere is taken out of all of
//! them when the archive is written.

mod archive;
mod files;
mod pages;
mod secrets;

pub use pages::Pages;
pub use secrets::{Secrets, masked_properties};

use archive::Archive;
use logs::Target;
use settings::launch::Exit;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The longest part, bytes. What is longer is cut, and says so.
const PART_MAX_BYTES: usize = 16 << 20;
/// The end of a log that is taken, bytes.
const LOG_MAX_BYTES: u64 = 2 << 20;
/// Files and folders that are listed.
const LISTED_MAX: usize = 50_000;
/// Folder in the archive.
const FOLDER: &str = "rocketmq-support";

/// What is gathered.
#[derive(Debug, Default)]
pub struct Bundle {
    /// What must not be in it.
    pub secrets: Secrets,
    parts: Vec<(String, String)>,
}

impl Bundle {
    /// Adds a text.
    pub fn add(&mut self, name: &str, text: impl Into<String>) {
        let mut text = text.into();
        if text.len() > PART_MAX_BYTES {
            // A whole last line: a secret that is cut in two would not be known.
            let first = &text.as_bytes()[..PART_MAX_BYTES];
            let cut = first
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            text.truncate(cut);
            text.push_str("(cut here)\n");
        }
        self.parts.push((name.to_owned(), text));
    }

    /// Adds what came of something, be it the reason why there is nothing.
    pub fn add_result(&mut self, name: &str, result: Result<String, String>) {
        let text = result.unwrap_or_else(|why| format!("There is nothing: {why}\n"));
        self.add(name, text);
    }

    /// Adds the end of a log, if there is one.
    pub fn add_log(&mut self, name: &str, path: &Path) {
        match files::tail(path, LOG_MAX_BYTES) {
            Ok(text) => self.add(name, text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.add_result(name, Err(format!("{}: {error}", path.display()))),
        }
    }

    /// Adds the ends of the logs of a server whose log is `STEM.log` in `target`, or in a folder `own` below it.
    pub fn add_logs(&mut self, target: &Target, stem: &str, own: &str) {
        let (Target::Dir(dir) | Target::StdoutAndDir(dir)) = target else {
            let text = "The log goes to the terminal: docker logs, kubectl logs or journalctl have it.\n";
            return self.add("logs/where.txt", text);
        };
        let mut folders = vec![dir.clone()];
        if let Target::Dir(below) = Target::Dir(dir.clone()).in_folder(own) {
            folders.push(below);
        }
        for (number, folder) in folders.iter().enumerate() {
            self.add_log(
                &format!("logs/{number}-{stem}.log"),
                &folder.join(format!("{stem}.log")),
            );
            let before = folder.join("otherdays").join(format!("{stem}.1.log"));
            self.add_log(&format!("logs/{number}-{stem}.1.log"), &before);
        }
        self.add("logs/where.txt", format!("{folders:?}\n"));
    }

    /// Adds what the host is.
    pub fn add_about(&mut self, program: &str, version: &str) {
        let kernel = rustix::system::uname();
        let info = rustix::system::sysinfo();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let descriptors = crate::Descriptors::attainable();
        self.add(
            "about.txt",
            format!(
                "{program} {version}\nmade at {}\nhost {}\nkernel {} {}\ncores {cores}\nmemory {} MiB\nhost up for {} s\nopen files at \
                 most {}\n",
                jiff::Timestamp::now(),
                kernel.nodename().to_string_lossy(),
                kernel.release().to_string_lossy(),
                kernel.machine().to_string_lossy(),
                (u128::from(info.totalram) * u128::from(info.mem_unit)) >> 20,
                info.uptime,
                descriptors.limit
            ),
        );
    }

    /// Adds all pages that the listener has, if there is one.
    pub fn add_pages(&mut self, pages: Option<Pages>) {
        let Some(pages) = pages else {
            return self.add(
                "live/where.txt",
                "No listener of metrics of this server answers.\n",
            );
        };
        self.add("live/where.txt", format!("http://{}\n", pages.address()));
        for path in pages.paths() {
            let name = format!("live{}.txt", path.replace('/', "-").replacen('-', "/", 1));
            self.add_result(&name, pages.page(&path));
        }
    }

    /// Writes the archive and says what came of it.
    pub fn end(self, path: &Path) -> Exit {
        match self.write(path) {
            Ok(parts) => Exit::fine(format!(
                "{} has {parts} files; look through them before you give them away\n",
                path.display()
            )),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Exit::wrong(
                format!(
                    "{} is there already, and stays as it is: give another name to --support-bundle, or remove it\n",
                    path.display()
                ),
                1,
            ),
            Err(error) => Exit::wrong(
                format!(
                    "the support bundle can not be written: {}: {error}\n",
                    path.display()
                ),
                1,
            ),
        }
    }

    /// Adds names and sizes of everything below a folder.
    pub fn add_listing(&mut self, name: &str, folder: &Path) {
        self.add_result(name, files::listing(folder, LISTED_MAX));
    }

    /// Takes the secrets of a file and of what it was before a change (`.bak`), as far as they are there; nothing else of them.
    pub fn hide_secrets_of(&mut self, path: &Path) {
        let mut before = path.as_os_str().to_owned();
        before.push(".bak");
        for path in [path, Path::new(&before)] {
            if let Ok(bytes) = std::fs::read(path) {
                self.secrets.scan(&String::from_utf8_lossy(&bytes));
            }
        }
    }

    /// Takes the secrets of all files of a folder, and of folders below it, `depth` of them deep.
    pub fn hide_secrets_below(&mut self, folder: &Path, depth: usize) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_file() {
                self.hide_secrets_of(&path);
            } else if depth > 0 && path.is_dir() {
                self.hide_secrets_below(&path, depth - 1);
            }
        }
    }

    /// Writes the archive; only its owner can read it. Gives how many parts are in it.
    ///
    /// # Errors
    /// The file is there already, or can not be written.
    pub fn write(self, path: &Path) -> io::Result<usize> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let mut archive = Archive::new(file);
        for (name, text) in &self.parts {
            archive.add(&format!("{FOLDER}/{name}"), self.secrets.mask(text).as_bytes())?;
        }
        archive.finish()?.sync_all()?;
        Ok(self.parts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_archive_that_tar_reads_without_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("support.tar.gz");
        std::fs::write(dir.path().join("tools.yml"), "secretKey: hunter22\n").unwrap();
        std::fs::write(dir.path().join("broker.log"), "one\nwith hunter22 in it\n").unwrap();
        let mut bundle = Bundle::default();
        bundle.hide_secrets_below(dir.path(), 0);
        bundle.add("about.txt", "hello\n");
        bundle.add_log("logs/broker.log", &dir.path().join("broker.log"));
        bundle.add_log("logs/none.log", &dir.path().join("none.log"));
        bundle.add_result("check.txt", Err("too large".to_owned()));
        bundle.add("long.txt", "123456789\n".repeat(PART_MAX_BYTES / 10 + 1));
        assert_eq!(bundle.write(&file).unwrap(), 4);
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let unpacked = std::process::Command::new("tar")
            .arg("-xzf")
            .arg(&file)
            .arg("-C")
            .arg(dir.path())
            .output()
            .unwrap();
        assert!(unpacked.status.success(), "{unpacked:?}");
        let read = |name: &str| std::fs::read_to_string(dir.path().join(FOLDER).join(name)).unwrap();
        assert_eq!(read("about.txt"), "hello\n");
        assert_eq!(read("logs/broker.log"), "one\nwith ****** in it\n");
        assert_eq!(read("check.txt"), "There is nothing: too large\n");
        let long = read("long.txt");
        assert!(long.len() <= PART_MAX_BYTES + 20 && long.ends_with("123456789\n(cut here)\n"));
        // Another one does not take its place.
        let mut before = Vec::new();
        std::fs::File::open(&file)
            .unwrap()
            .read_to_end(&mut before)
            .unwrap();
        assert!(Bundle::default().write(&file).is_err());
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }
}
