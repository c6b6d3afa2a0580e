//! The files of accounts: `conf/plain_acl.yml` and those below `conf/acl/` of ROCKETMQ_HOME.
//!
//! Read at the start, looked at each five seconds (RocketMQ 4.9.8, AclFileWatchService), changed by tools. What counts is always
//! what all files say together: unlike Java, where a file that changes is merged into what earlier versions of it left. Where one of
//! them is no file of accounts, everything stays as it was, and the log says which line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use acl::{Account, AccountUpdate, Accounts, AclFile, BadAccount, BadPattern, Document, Finding, Pattern};
use disk::{Clock, Disk, SystemClock};
use parking_lot::Mutex;
use protocol::body::topic::DataVersion;

use super::InForce;

/// Longest file, bytes: some ten thousand accounts.
const FILE_MAX_BYTES: u64 = 4 << 20;
/// How deep folders below `conf/acl/` are looked into.
const DEPTH_MAX: usize = 8;

/// How long a change waits for those of other brokers of the same folder, and how often it looks.
const LOCK_WITHIN: Duration = Duration::from_secs(2);
const LOCK_LOOK_EACH: Duration = Duration::from_millis(5);

/// Why there are no accounts.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file can not be read.
    #[error("{0}")]
    Disk(#[from] disk::Error),
    /// What is in one makes no sense.
    #[error("{0}")]
    File(#[from] Finding),
}

/// Why a change that a tool asked for was not made. Nothing is changed then.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It can not be an account.
    #[error("{0}")]
    Account(#[from] BadAccount),
    /// It can not be an address that needs no key.
    #[error("{0}")]
    White(#[from] BadPattern),
    /// There is no such account.
    #[error("there is no account {0}")]
    NoAccount(String),
    /// There is no such file, or it is none of accounts.
    #[error("{0} is no file of accounts of this broker")]
    NoFile(String),
    /// Somebody else changes files of the folder all the time.
    #[error("{0} is being changed by another broker; ask again")]
    Busy(String),
    /// The files can not be read, or can not be what they should become.
    #[error("{0}")]
    Load(#[from] LoadError),
}

/// A file and its bytes.
type Text = (PathBuf, Vec<u8>);

/// What the files said when they were last looked at.
#[derive(Default)]
struct Seen {
    texts: Vec<Text>,
    /// Of each file that says something.
    versions: BTreeMap<PathBuf, DataVersion>,
    /// How many accounts are in force of each file that has some.
    accounts: BTreeMap<PathBuf, usize>,
    /// What is wrong with them now, empty if nothing is.
    fault: String,
    /// Files with accounts that were not there at the last look: an editor may be about to put them back.
    missed: Vec<PathBuf>,
}

/// The files.
pub struct AccessFiles<D: Disk> {
    disk: D,
    home: PathBuf,
    clock: Arc<dyn Clock>,
    /// What they say is put here.
    pub in_force: Arc<InForce>,
    /// One look or change at a time.
    seen: Mutex<Seen>,
}

/// What files say together.
struct Built {
    accounts: Accounts,
    versions: BTreeMap<PathBuf, DataVersion>,
    odd: Vec<Finding>,
    /// How many accounts are in each file that has some.
    counts: BTreeMap<PathBuf, usize>,
    /// Files that neither have an account nor say `accounts: []`.
    silent: Vec<PathBuf>,
}

impl<D: Disk> AccessFiles<D> {
    /// Reads the files below this folder. The default file is made where it is not there, as in Java.
    ///
    /// # Errors
    /// One of them can not be read or makes no sense.
    pub fn load(disk: D, home: &Path, clock: Arc<dyn Clock>) -> Result<Self, LoadError> {
        let files = AccessFiles::below(disk, home, clock);
        let default = files.default_file();
        if files.disk.read_small(&default, FILE_MAX_BYTES)?.is_none() {
            files.disk.write_small(&default, b"", false)?;
        }
        let texts = files.read()?;
        let built = files.build(&texts)?;
        files.put_in_force(&mut files.seen.lock(), texts, built);
        Ok(files)
    }

    fn below(disk: D, home: &Path, clock: Arc<dyn Clock>) -> Self {
        AccessFiles {
            disk,
            home: home.to_owned(),
            clock,
            in_force: Arc::default(),
            seen: Mutex::default(),
        }
    }

    /// The file that new accounts are put into.
    pub fn default_file(&self) -> PathBuf {
        self.home.join("conf/plain_acl.yml")
    }

    /// Looks whether the files have changed, and puts in force what they say. Where that makes no sense, what was in force stays.
    pub fn look(&self) {
        let mut seen = self.seen.lock();
        let looked = self.read().map(|texts| match texts == seen.texts {
            true => None,
            false => Some((self.build_again(&mut seen, &texts), texts)),
        });
        let fault = match looked {
            Ok(None) => {
                seen.missed.clear();
                if !std::mem::take(&mut seen.fault).is_empty() {
                    tracing::info!("access control: the files say again what is in force");
                }
                return;
            }
            Ok(Some((Ok(built), texts))) => {
                for (path, count) in &seen.accounts {
                    if !texts.iter().any(|(there, _)| there == path) {
                        let name = self.name(path);
                        tracing::warn!(
                            "access control: {name} is gone, and {count} accounts of it are in force no more"
                        );
                    }
                }
                tracing::info!(
                    "access control: the files have changed, {} accounts are in force",
                    built.accounts.len()
                );
                return self.put_in_force(&mut seen, texts, built);
            }
            Ok(Some((Err(fault), _))) => fault.to_string(),
            Err(fault) => fault.to_string(),
        };
        if seen.fault != fault {
            tracing::error!("access control: what was in force stays: {fault}");
            seen.fault = fault;
        }
    }

    /// What is wrong with the files now, if anything is.
    pub fn fault(&self) -> Option<String> {
        let fault = &self.seen.lock().fault;
        (!fault.is_empty()).then(|| fault.clone())
    }

    /// Versions of the files, by their paths; and that of the default file.
    pub fn versions(&self) -> (BTreeMap<PathBuf, DataVersion>, DataVersion) {
        let versions = self.seen.lock().versions.clone();
        let default = versions.get(&self.default_file()).copied().unwrap_or_default();
        (versions, default)
    }

    /// All accounts, in the order of the files, and all texts of addresses that need no key.
    pub fn contents(&self) -> Result<(Vec<String>, Vec<Account>), LoadError> {
        self.contents_of(&self.seen.lock().texts)
    }

    fn contents_of(&self, texts: &[Text]) -> Result<(Vec<String>, Vec<Account>), LoadError> {
        let mut white = Vec::new();
        let mut accounts = Vec::new();
        for (path, text) in texts {
            let file = self.parse(path, text)?;
            white.extend(file.white.into_iter().map(|(_, text)| text));
            accounts.extend(file.accounts);
        }
        Ok((white, accounts))
    }

    /// Puts an account into its file, a new one into the default file.
    pub fn put_account(&self, update: &AccountUpdate) -> Result<(), ChangeError> {
        update.check_asked()?;
        self.change(
            |documents| {
                let has = |document: &Document| document.has_account(&update.access_key);
                let found = documents.iter().find(|(_, document)| has(document));
                Ok(found.map_or_else(|| self.default_file(), |(path, _)| path.clone()))
            },
            |document| Ok(document.put_account(update)?),
        )
    }

    /// Takes an account out of its file.
    pub fn delete_account(&self, access_key: &str) -> Result<(), ChangeError> {
        let unknown = || ChangeError::NoAccount(access_key.to_owned());
        self.change(
            |documents| {
                let found = documents
                    .iter()
                    .find(|(_, document)| document.has_account(access_key));
                found.map(|(path, _)| path.clone()).ok_or_else(unknown)
            },
            |document| {
                document
                    .delete_account(access_key)
                    .then_some(())
                    .ok_or_else(unknown)
            },
        )
    }

    /// Puts these addresses in the place of those of one file that need no key; without a path, of the default file.
    pub fn set_white(&self, patterns: &[String], file: Option<&str>) -> Result<(), ChangeError> {
        for pattern in patterns {
            Pattern::parse(pattern)?;
        }
        let path = file.map_or_else(|| self.default_file(), PathBuf::from);
        self.change(
            |documents| match documents.iter().any(|(known, _)| *known == path) {
                true => Ok(path.clone()),
                false => Err(ChangeError::NoFile(path.display().to_string())),
            },
            |document| {
                document.set_white(patterns);
                Ok(())
            },
        )
    }

    /// Changes one file. What it becomes is in force before this returns. Another broker of this folder, told by the same tool, may have
    /// changed it so already: then what it says is put in force, and nothing is written.
    fn change(
        &self,
        pick: impl FnOnce(&[(PathBuf, Document)]) -> Result<PathBuf, ChangeError>,
        edit: impl FnOnce(&mut Document) -> Result<(), ChangeError>,
    ) -> Result<(), ChangeError> {
        let mut seen = self.seen.lock();
        let _alone = self.lock_folder()?;
        let mut texts = self.read()?;
        let is_new = texts != seen.texts;
        let default = self.default_file();
        if !texts.iter().any(|(path, _)| *path == default) {
            texts.push((default, Vec::new()));
        }
        let mut documents = self.documents(&texts)?;
        let path = match pick(&documents) {
            Err(ChangeError::NoAccount(key)) if is_new && self.in_force.accounts().get(&key).is_some() => {
                return self.adopt(&mut seen, texts);
            }
            picked => picked?,
        };
        let no_file = || ChangeError::NoFile(path.display().to_string());
        let (_, document) = documents
            .iter_mut()
            .find(|(known, _)| *known == path)
            .ok_or_else(no_file)?;
        let (_, text) = texts
            .iter_mut()
            .find(|(known, _)| *known == path)
            .ok_or_else(no_file)?;
        let version = self.parse(&path, text).map_err(LoadError::File)?.version;
        let before = document.text();
        edit(document)?;
        if is_new && document.text() == before {
            return self.adopt(&mut seen, texts);
        }
        document.bump_version(version, self.clock.now_ms());
        *text = document.text().into_bytes();
        let written = text.clone();
        let built = self.build(&texts).map_err(LoadError::File)?;
        self.disk
            .write_small(&path, &written, true)
            .map_err(LoadError::Disk)?;
        tracing::info!("access control: {} changed as a tool asked", self.name(&path));
        self.put_in_force(&mut seen, texts, built);
        Ok(())
    }

    /// Nobody else changes a file below this home before this is dropped: brokers of a host may share it.
    fn lock_folder(&self) -> Result<D::Lock, ChangeError> {
        let folder = self.home.join("conf");
        let since = Instant::now();
        loop {
            match self.disk.lock_dir(&folder).map_err(LoadError::Disk)? {
                Some(lock) => return Ok(lock),
                None if since.elapsed() > LOCK_WITHIN => {
                    return Err(ChangeError::Busy(folder.display().to_string()));
                }
                #[expect(
                    clippy::disallowed_methods,
                    reason = "nothing tells when another process is done; this is on a lane"
                )]
                None => std::thread::sleep(LOCK_LOOK_EACH),
            }
        }
    }

    /// Puts in force what another broker has written.
    fn adopt(&self, seen: &mut Seen, texts: Vec<Text>) -> Result<(), ChangeError> {
        let built = self.build(&texts).map_err(LoadError::File)?;
        tracing::info!("access control: the files say already what a tool asked for");
        self.put_in_force(seen, texts, built);
        Ok(())
    }

    fn documents(&self, texts: &[Text]) -> Result<Vec<(PathBuf, Document)>, LoadError> {
        let mut documents = Vec::with_capacity(texts.len());
        for (path, text) in texts {
            let text = self.text(path, text)?;
            documents.push((path.clone(), Document::parse(&self.name(path), text)?));
        }
        Ok(documents)
    }

    fn put_in_force(&self, seen: &mut Seen, texts: Vec<Text>, built: Built) {
        for odd in &built.odd {
            tracing::warn!("access control: {odd}");
        }
        *seen = Seen {
            texts,
            versions: built.versions,
            accounts: built.counts,
            fault: String::new(),
            missed: Vec::new(),
        };
        self.in_force.put(built.accounts);
    }

    /// All files in the order in which they count.
    fn read(&self) -> Result<Vec<Text>, LoadError> {
        let mut texts = Vec::new();
        self.read_below(&self.home.join("conf/acl"), 0, &mut texts)?;
        let default = self.default_file();
        if let Some(text) = self.disk.read_small(&default, FILE_MAX_BYTES)? {
            texts.push((default, text));
        }
        Ok(texts)
    }

    fn read_below(&self, dir: &Path, depth: usize, texts: &mut Vec<Text>) -> Result<(), LoadError> {
        for entry in self.disk.list(dir)? {
            let path = dir.join(&entry.name);
            if entry.is_dir {
                // Links may lead round in circles.
                if depth < DEPTH_MAX {
                    self.read_below(&path, depth + 1, texts)?;
                }
            } else if entry.name.ends_with(".yml") || entry.name.ends_with(".yaml") {
                // One that went away meanwhile is not there.
                if let Some(text) = self.disk.read_small(&path, FILE_MAX_BYTES)? {
                    texts.push((path, text));
                }
            }
        }
        Ok(())
    }

    /// As [`AccessFiles::build`], but accounts do not go by accident. A file that had some and neither has one now nor says
    /// `accounts: []` is being written: as in Java it does not count yet. One that is not there counts until the next look.
    fn build_again(&self, seen: &mut Seen, texts: &[Text]) -> Result<Built, Finding> {
        let built = self.build(texts)?;
        let fault = |path: &Path, text: &str| Finding {
            file: self.name(path).into(),
            line: 1,
            text: text.to_owned(),
        };
        let had = |path: &PathBuf| {
            let is_empty_now = !built.versions.contains_key(path);
            seen.accounts.contains_key(path) || (is_empty_now && seen.versions.contains_key(path))
        };
        if let Some(path) = built.silent.iter().find(|path| had(path)) {
            return Err(fault(
                path,
                "the file has no accounts now; `accounts: []` takes all its accounts away",
            ));
        }
        let there = |path: &PathBuf| texts.iter().any(|(there, _)| there == path);
        let missed: Vec<PathBuf> = seen
            .accounts
            .keys()
            .filter(|path| !there(path))
            .cloned()
            .collect();
        let new = missed.iter().find(|path| !seen.missed.contains(path)).cloned();
        seen.missed = missed;
        match new {
            None => Ok(built),
            Some(path) => Err(fault(
                &path,
                "the file is not there; its accounts go if it is not back at the next look",
            )),
        }
    }

    fn build(&self, texts: &[Text]) -> Result<Built, Finding> {
        let mut files = Vec::new();
        let mut odd = Vec::new();
        let mut versions = BTreeMap::new();
        let mut counts = BTreeMap::new();
        let mut silent = Vec::new();
        for (path, text) in texts {
            let mut file = self.parse(path, text)?;
            odd.append(&mut file.odd);
            if !file.is_empty {
                versions.insert(path.clone(), file.version);
            }
            match file.accounts.len() {
                0 if file.clears_accounts => {}
                0 => silent.push(path.clone()),
                count => drop(counts.insert(path.clone(), count)),
            }
            files.push(file);
        }
        let (accounts, mut repeated) = Accounts::new(files);
        odd.append(&mut repeated);
        Ok(Built {
            accounts,
            versions,
            odd,
            counts,
            silent,
        })
    }

    fn parse(&self, path: &Path, text: &[u8]) -> Result<AclFile, Finding> {
        AclFile::read(&self.name(path), self.text(path, text)?)
    }

    fn text<'t>(&self, path: &Path, text: &'t [u8]) -> Result<&'t str, Finding> {
        std::str::from_utf8(text).map_err(|e| {
            let before = text.get(..e.valid_up_to()).unwrap_or_default();
            Finding {
                file: self.name(path).into(),
                line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
                text: "not UTF-8".to_owned(),
            }
        })
    }

    /// What messages call a file: its path below the home.
    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.home)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}

/// All texts of addresses that need no key, and all accounts, of the files below this folder as they are now.
///
/// # Errors
/// One of them can not be read or makes no sense.
pub(super) fn read_once<D: Disk + Clone>(
    disk: &D,
    home: &Path,
) -> Result<(Vec<String>, Vec<Account>), LoadError> {
    let files = AccessFiles::below(disk.clone(), home, Arc::new(SystemClock));
    files.contents_of(&files.read()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use disk::MmapDisk;

    const DEFAULT: &str = "accounts:\n- accessKey: RocketMQ\n  secretKey: 12345678\n";

    struct Home {
        dir: tempfile::TempDir,
        files: AccessFiles<MmapDisk>,
    }

    impl Home {
        fn new(files: &[(&str, &str)]) -> Result<Home, LoadError> {
            let dir = tempfile::tempdir().unwrap();
            for (name, text) in files {
                write(&dir, name, text);
            }
            let files = AccessFiles::load(MmapDisk::default(), dir.path(), Arc::new(SystemClock))?;
            Ok(Home { dir, files })
        }

        fn has(&self, key: &str) -> bool {
            self.files.in_force.accounts().get(key).is_some()
        }

        fn text(&self, name: &str) -> String {
            std::fs::read_to_string(self.dir.path().join(name)).unwrap()
        }
    }

    fn write(dir: &tempfile::TempDir, name: &str, text: &str) {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn account(key: &str) -> String {
        format!("accounts:\n- accessKey: {key}\n  secretKey: 12345678\n")
    }

    fn update(key: &str) -> AccountUpdate {
        AccountUpdate {
            access_key: key.to_owned(),
            secret_key: "secret99".to_owned(),
            ..AccountUpdate::default()
        }
    }

    #[test]
    fn all_files_count_and_the_default_one_is_made() {
        let home = Home::new(&[
            ("conf/acl/team/a.yml", &account("teamuser")),
            ("conf/acl/b.yaml", &account("yamluser")),
            ("conf/acl/note.txt", "no file of accounts: ["),
        ])
        .unwrap();
        assert!(home.has("teamuser") && home.has("yamluser"));
        assert_eq!(home.text("conf/plain_acl.yml"), "");
    }

    #[test]
    fn a_fault_at_the_start_is_named() {
        let fault = Home::new(&[("conf/plain_acl.yml", "accounts:\n- accessKey: x\n")])
            .err()
            .unwrap();
        assert!(fault.to_string().starts_with("conf/plain_acl.yml:2: "), "{fault}");
    }

    #[test]
    fn a_fault_later_leaves_in_force_what_was() {
        let home = Home::new(&[("conf/plain_acl.yml", DEFAULT)]).unwrap();
        for (text, line) in [
            ("accounts: [", ":"),
            ("accounts:\n- accessKey: x\n", ":2: "),
            ("", ":1: the file has no accounts now"),
            ("# accounts are to come\n", ":1: the file has no accounts now"),
            ("accounts:\n", ":1: the file has no accounts now"),
            (
                "accounts:\n#- accessKey: RocketMQ\n",
                ":1: the file has no accounts now",
            ),
            (
                "globalWhiteRemoteAddresses: [10.0.0.1]\n",
                ":1: the file has no accounts now",
            ),
        ] {
            write(&home.dir, "conf/plain_acl.yml", text);
            home.files.look();
            assert!(home.has("RocketMQ"));
            let fault = home.files.fault().unwrap();
            assert!(fault.contains(&format!("conf/plain_acl.yml{line}")), "{fault}");
        }
        write(&home.dir, "conf/plain_acl.yml", &account("otheruser"));
        home.files.look();
        assert!(home.has("otheruser") && !home.has("RocketMQ"));
        assert_eq!(home.files.fault(), None);
        write(&home.dir, "conf/plain_acl.yml", "accounts: []\n");
        home.files.look();
        assert!(!home.has("otheruser"));
    }

    #[test]
    fn a_fault_is_over_when_the_file_is_as_it_was() {
        let home = Home::new(&[("conf/plain_acl.yml", DEFAULT)]).unwrap();
        for _ in 0..2 {
            write(&home.dir, "conf/plain_acl.yml", "nonsense\n");
            home.files.look();
            assert!(home.files.fault().is_some());
            write(&home.dir, "conf/plain_acl.yml", DEFAULT);
            home.files.look();
            assert_eq!(home.files.fault(), None);
            assert!(home.has("RocketMQ"));
        }
    }

    #[test]
    fn the_accounts_of_a_file_that_is_gone_go_at_the_second_look() {
        let home = Home::new(&[
            ("conf/plain_acl.yml", DEFAULT),
            ("conf/acl/team.yml", &account("teamuser")),
            ("conf/acl/white.yml", "globalWhiteRemoteAddresses: [10.0.0.1]\n"),
        ])
        .unwrap();
        let remove = |name: &str| std::fs::remove_file(home.dir.path().join(name)).unwrap();
        // An editor replaces it.
        remove("conf/acl/team.yml");
        home.files.look();
        let fault = home.files.fault().unwrap();
        assert!(
            fault.starts_with("conf/acl/team.yml:1: the file is not there"),
            "{fault}"
        );
        assert!(home.has("teamuser"));
        write(&home.dir, "conf/acl/team.yml", &account("teamuser"));
        home.files.look();
        assert_eq!(home.files.fault(), None);
        // It had its second chance before, and has one again.
        remove("conf/acl/team.yml");
        home.files.look();
        assert!(home.has("teamuser"));
        remove("conf/plain_acl.yml");
        home.files.look();
        assert!(home.has("teamuser") && home.has("RocketMQ"));
        assert!(home.files.fault().unwrap().starts_with("conf/plain_acl.yml:1: "));
        home.files.look();
        assert!(!home.has("teamuser") && !home.has("RocketMQ"));
        assert_eq!(home.files.fault(), None);
    }

    #[test]
    fn a_file_of_addresses_alone_changes_and_goes_at_once() {
        let home = Home::new(&[
            ("conf/plain_acl.yml", DEFAULT),
            ("conf/acl/white.yml", "globalWhiteRemoteAddresses: [10.0.0.1]\n"),
        ])
        .unwrap();
        let is_white = |last| {
            let accounts = home.files.in_force.accounts();
            accounts.white_for([10, 0, 0, last].into()).is_some()
        };
        write(
            &home.dir,
            "conf/acl/white.yml",
            "globalWhiteRemoteAddresses: [10.0.0.2]\n",
        );
        home.files.look();
        assert!(!is_white(1) && is_white(2));
        std::fs::remove_file(home.dir.path().join("conf/acl/white.yml")).unwrap();
        home.files.look();
        assert!(!is_white(2) && home.has("RocketMQ"));
    }

    /// Shared folders, Kubernetes: Java writes into the file that the link leads to.
    #[test]
    fn a_file_that_is_a_link_stays_one() {
        let home = Home::new(&[("shared/accounts.yml", DEFAULT)]).unwrap();
        let (link, target) = (
            home.files.default_file(),
            home.dir.path().join("shared/accounts.yml"),
        );
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("../shared/accounts.yml", &link).unwrap();
        home.files.look();
        home.files.put_account(&update("newuser1")).unwrap();
        assert!(link.is_symlink());
        assert!(std::fs::read_to_string(&target).unwrap().contains("newuser1"));
        // And a later change of the target is seen.
        std::fs::write(&target, account("otheruser")).unwrap();
        home.files.look();
        assert!(home.has("otheruser") && !home.has("newuser1"));
    }

    /// Java keeps a global white address for ever if its file had none when it was first loaded.
    #[test]
    fn white_addresses_go_with_their_line() {
        let home = Home::new(&[("conf/plain_acl.yml", DEFAULT)]).unwrap();
        let is_white = || {
            home.files
                .in_force
                .accounts()
                .white_for([10, 0, 0, 1].into())
                .is_some()
        };
        write(
            &home.dir,
            "conf/plain_acl.yml",
            &format!("globalWhiteRemoteAddresses: [10.0.0.1]\n{DEFAULT}"),
        );
        home.files.look();
        assert!(is_white());
        write(&home.dir, "conf/plain_acl.yml", DEFAULT);
        home.files.look();
        assert!(!is_white());
    }

    #[test]
    fn tools_change_the_file_an_account_is_in() {
        let team = format!("note: kept\n{}", account("teamuser"));
        let home = Home::new(&[("conf/acl/team.yml", &team), ("conf/plain_acl.yml", DEFAULT)]).unwrap();
        home.files.put_account(&update("teamuser")).unwrap();
        home.files.put_account(&update("newuser1")).unwrap();
        let team = home.text("conf/acl/team.yml");
        assert!(
            team.contains("secretKey: secret99") && team.contains("note: kept"),
            "{team}"
        );
        assert!(home.text("conf/plain_acl.yml").contains("accessKey: newuser1"));
        assert!(home.has("newuser1"));
        let (versions, default) = home.files.versions();
        assert_eq!((versions.len(), default.counter), (2, 1));
        home.files.delete_account("teamuser").unwrap();
        assert!(!home.has("teamuser") && home.has("RocketMQ"));
        assert!(matches!(
            home.files.delete_account("teamuser"),
            Err(ChangeError::NoAccount(_))
        ));
        // A look finds nothing that is not in force.
        home.files.look();
        assert!(home.has("newuser1") && !home.has("teamuser"));
    }

    /// Brokers of one host that share ROCKETMQ_HOME, told by `updateAclConfig -c`, side by side.
    #[test]
    fn brokers_of_one_folder_change_it_together() {
        let home = Home::new(&[("conf/plain_acl.yml", DEFAULT)]).unwrap();
        let other =
            || AccessFiles::load(MmapDisk::default(), home.dir.path(), Arc::new(SystemClock)).unwrap();
        let brokers: Vec<AccessFiles<MmapDisk>> = (0..4).map(|_| other()).collect();
        let counter = || brokers[0].versions().1.counter;
        let side_by_side = |change: &(dyn Fn(&AccessFiles<MmapDisk>, usize) + Sync)| {
            std::thread::scope(|scope| {
                for (number, broker) in brokers.iter().enumerate() {
                    scope.spawn(move || change(broker, number));
                }
            });
        };
        for round in 1..=20i64 {
            let key = format!("account{round}");
            let before = home.text("conf/plain_acl.yml");
            side_by_side(&|broker, _| broker.put_account(&update(&key)).unwrap());
            let is_there = |broker: &AccessFiles<MmapDisk>| broker.in_force.accounts().get(&key).is_some();
            assert!(brokers.iter().all(is_there), "{key}");
            brokers.iter().for_each(AccessFiles::look);
            assert_eq!(counter(), round, "it is one change");
            assert_eq!(home.text("conf/plain_acl.yml.bak"), before, "as the file was");
        }
        // Each another one: none is lost.
        side_by_side(&|broker, number| broker.put_account(&update(&format!("ofbroker{number}"))).unwrap());
        brokers.iter().for_each(AccessFiles::look);
        for broker in &brokers {
            let accounts = broker.in_force.accounts();
            assert!((0..4).all(|number| accounts.get(&format!("ofbroker{number}")).is_some()));
        }
        side_by_side(&|broker, _| broker.delete_account("account1").unwrap());
        let white = ["10.9.8.7".to_owned()];
        side_by_side(&|broker, _| broker.set_white(&white, None).unwrap());
        assert_eq!(home.text("conf/plain_acl.yml").matches("10.9.8.7").count(), 1);
        for broker in &brokers {
            assert!(broker.in_force.accounts().get("account1").is_none());
            assert!(matches!(
                broker.delete_account("account1"),
                Err(ChangeError::NoAccount(_))
            ));
        }
    }

    #[test]
    fn a_folder_that_stays_locked_is_told() {
        let home = Home::new(&[("conf/plain_acl.yml", DEFAULT)]).unwrap();
        let disk = MmapDisk::default();
        let held = disk.lock_dir(&home.dir.path().join("conf")).unwrap();
        assert!(held.is_some());
        let refused = home.files.put_account(&update("newuser1"));
        assert!(matches!(refused, Err(ChangeError::Busy(_))), "{refused:?}");
        drop(held);
        home.files.put_account(&update("newuser1")).unwrap();
    }

    #[test]
    fn a_change_that_would_break_the_next_start_is_not_made() {
        let home = Home::new(&[("conf/plain_acl.yml", DEFAULT)]).unwrap();
        let outside = home.dir.path().join("outside.yml");
        std::fs::write(&outside, "").unwrap();
        let white = |patterns: &[&str], file: Option<&str>| {
            let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
            home.files.set_white(&patterns, file)
        };
        assert!(matches!(white(&["1.2.3"], None), Err(ChangeError::White(_))));
        for file in [outside.to_str().unwrap(), "/etc/passwd", "conf/../../x.yml"] {
            assert!(
                matches!(white(&["1.2.3.4"], Some(file)), Err(ChangeError::NoFile(_))),
                "{file}"
            );
        }
        assert_eq!(home.text("conf/plain_acl.yml"), DEFAULT);
        let path = home.files.default_file();
        white(&["1.2.3.4", "10.1.1.{2,3}"], path.to_str()).unwrap();
        assert!(
            home.files
                .in_force
                .accounts()
                .white_for([10, 1, 1, 3].into())
                .is_some()
        );
        // While a file makes no sense nothing is changed in any.
        write(&home.dir, "conf/acl/bad.yml", "accounts: x\n");
        let refused = home.files.put_account(&update("newuser1")).unwrap_err();
        assert!(
            refused.to_string().starts_with("conf/acl/bad.yml:1: "),
            "{refused}"
        );
    }

    #[test]
    fn who_may_read_the_file_stays_the_same() {
        use std::os::unix::fs::PermissionsExt;
        let home = Home::new(&[("conf/plain_acl.yml", DEFAULT)]).unwrap();
        let path = home.files.default_file();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        home.files.put_account(&update("newuser1")).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
