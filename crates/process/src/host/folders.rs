//! File systems below a server's folders: what kind they are, and what room they have.

use settings::{Report, Severity};
use std::path::Path;

/// What a kind of file system promises to those who sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What was synced is there after a power cut, and reserved blocks are there to be written.
    Local,
    /// The same, but a block that was reserved is not the one that is written.
    CopiesOnWrite,
    /// Nothing is there after a restart of the host.
    Memory,
    /// The writable layer of a container.
    Layer,
    /// Another host, or a program of this one, has the files.
    Elsewhere,
}

/// Kinds by the number that statfs(2) gives.
const KINDS: [(u32, &str, Kind); 17] = [
    (0xef53, "ext2/ext3/ext4", Kind::Local),
    (0x5846_5342, "xfs", Kind::Local),
    (0xf2f5_2010, "f2fs", Kind::Local),
    (0x3153_464a, "jfs", Kind::Local),
    (0x9123_683e, "btrfs", Kind::CopiesOnWrite),
    (0x2fc1_2fc1, "zfs", Kind::CopiesOnWrite),
    (0xca45_1a4e, "bcachefs", Kind::CopiesOnWrite),
    (0x0102_1994, "tmpfs", Kind::Memory),
    (0x8584_58f6, "ramfs", Kind::Memory),
    (0x794c_7630, "overlay", Kind::Layer),
    (0x6969, "nfs", Kind::Elsewhere),
    (0xff53_4d42, "cifs", Kind::Elsewhere),
    (0xfe53_4d42, "smb2", Kind::Elsewhere),
    (0x6573_5546, "fuse", Kind::Elsewhere),
    (0x0102_1997, "9p", Kind::Elsewhere),
    (0x00c3_6400, "ceph", Kind::Elsewhere),
    (0x0bd0_0bd0, "lustre", Kind::Elsewhere),
];

/// Looks at the file system of a folder, or of the nearest one above that is there.
pub fn folder(report: &mut Report, key: &str, path: &Path) {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = whole.ancestors().find(|path| path.exists()).unwrap_or(path);
    let name = format!("{key}={}", path.display());
    match rustix::fs::statfs(there) {
        // Unsigned and signed, long and short: the low half is the number.
        Ok(system) => {
            let (severity, said) = said(system.f_type as u32);
            report.about(severity, key, format!("{name}: {said}"));
        }
        Err(error) => {
            let error = std::io::Error::from(error);
            report.about(
                Severity::Warning,
                key,
                format!("{name}: the kernel does not say which file system that is: {error}"),
            );
        }
    }
}

fn said(number: u32) -> (Severity, String) {
    let Some((_, name, kind)) = KINDS.iter().find(|(known, ..)| *known == number) else {
        let text = format!(
            "file system {number:#x} is not known here; see that it keeps what was synced over a power cut, or take ext4 or xfs"
        );
        return (Severity::Warning, text);
    };
    match kind {
        Kind::Local => (
            Severity::Fine,
            format!("{name} keeps what was synced, and the blocks that are reserved"),
        ),
        Kind::CopiesOnWrite => (
            Severity::Warning,
            format!(
                "{name} takes new blocks for what is written, also where some were reserved; leave a part of it free, or take \
                 ext4 or xfs"
            ),
        ),
        Kind::Memory => (
            Severity::Warning,
            format!(
                "{name} is memory: everything is gone when this host restarts; choose a folder of a disk"
            ),
        ),
        Kind::Layer => (
            Severity::Warning,
            format!(
                "{name} is the layer of a container: everything goes with the container; mount a volume there"
            ),
        ),
        Kind::Elsewhere => (
            Severity::Warning,
            format!(
                "{name} has its files elsewhere: the server waits when they can not be reached, and what a sync means is \
                 decided there; take a disk of this host, with ext4 or xfs"
            ),
        ),
    }
}

/// Room on a file system, and what is to fit in.
#[derive(Clone, Copy, Debug)]
pub struct Space<'a> {
    /// The setting of the folder.
    pub key: &'a str,
    /// The folder.
    pub path: &'a Path,
    /// Bytes in use.
    pub used: u64,
    /// Bytes that may still be used.
    pub available: u64,
    /// Percent in use.
    pub percent: u32,
    /// `diskMaxUsedSpaceRatio`.
    pub clean_above: u32,
    /// `diskSpaceWarningLevelRatio`.
    pub refuse_above: u32,
    /// The setting that says how large files are.
    pub file_key: &'a str,
    /// How large they are, bytes.
    pub file_bytes: u64,
}

impl Space<'_> {
    /// Looks whether sends are taken, and how many files fit until they are not.
    pub fn check(&self, report: &mut Report) {
        let (severity, said) = self.said();
        let name = format!("{}={}", self.key, self.path.display());
        report.about(severity, self.key, format!("{name}: {said}"));
    }

    fn said(&self) -> (Severity, String) {
        let (percent, refuse, clean) = (self.percent, self.refuse_above, self.clean_above);
        let full = format!("{percent} % full, {} MiB free", self.available >> 20);
        if percent > refuse {
            let text = format!(
                "{full}: sends are refused above diskSpaceWarningLevelRatio={refuse}; make room, or choose a larger disk"
            );
            return (Severity::Error, text);
        }
        if percent > clean {
            let text = format!(
                "{full}: above diskMaxUsedSpaceRatio={clean} the oldest messages are deleted before their time; make room, or \
                 choose a larger disk"
            );
            return (Severity::Warning, text);
        }
        let total = u128::from(self.used) + u128::from(self.available);
        let until = total * u128::from(refuse) / 100;
        let room = until.saturating_sub(u128::from(self.used));
        // One is written, and the next one is made ahead of it.
        if room < 2 * u128::from(self.file_bytes) {
            let text = format!(
                "{full}: until sends are refused (diskSpaceWarningLevelRatio={refuse}) there is room for {} MiB, and two files \
                 of {}={} do not fit; choose a larger disk or smaller files",
                room >> 20,
                self.file_key,
                self.file_bytes
            );
            return (Severity::Warning, text);
        }
        let text = format!(
            "{full}; messages are deleted before their time above diskMaxUsedSpaceRatio={clean}, sends refused above \
             diskSpaceWarningLevelRatio={refuse}"
        );
        (Severity::Fine, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_by_their_number() {
        for (number, severity, part) in [
            (0xef53, Severity::Fine, "ext4 keeps"),
            (0x9123_683e, Severity::Warning, "btrfs takes new blocks"),
            (0x0102_1994, Severity::Warning, "tmpfs is memory"),
            (0x794c_7630, Severity::Warning, "overlay is the layer"),
            (0x6969, Severity::Warning, "nfs has its files elsewhere"),
            (0x1234_5678, Severity::Warning, "0x12345678 is not known"),
        ] {
            let (found, text) = said(number);
            assert!(found == severity && text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_folder_that_is_to_be_made_is_on_the_file_system_above() {
        let mut report = Report::default();
        // Linux has files of processes in memory alone, of which no table of disks knows.
        folder(&mut report, "storePathRootDir", Path::new("/proc/no/such/folder"));
        let said = report.to_string();
        assert!(
            said.starts_with(
                "warning: storePathRootDir=/proc/no/such/folder: file system 0x9fa0 is not known"
            ),
            "{said}"
        );
    }

    /// A relative one, too: the folder it is taken from is there.
    #[test]
    fn a_folder_without_a_whole_path_is_on_the_file_system_of_the_working_directory() {
        let said = |path: &str| {
            let mut report = Report::default();
            folder(&mut report, "k", Path::new(path));
            report.to_string().replace(&format!("k={path}"), "k")
        };
        assert_eq!(said("not/there"), said("."));
        assert!(!said("not/there").contains("does not say"), "{}", said("."));
    }

    #[test]
    fn room() {
        const GIB: u64 = 1 << 30;
        let space = |used: u64, available: u64| Space {
            key: "storePathRootDir",
            path: Path::new("/store"),
            used: used * GIB,
            available: available * GIB,
            percent: ((used * 100).div_ceil(used + available)) as u32,
            clean_above: 75,
            refuse_above: 90,
            file_key: "mappedFileSizeCommitLog",
            file_bytes: GIB,
        };
        for (used, available, severity, part) in [
            (0, 100, Severity::Fine, "0 % full, 102400 MiB free; "),
            (75, 25, Severity::Fine, "75 % full"),
            (76, 24, Severity::Warning, "diskMaxUsedSpaceRatio=75 the oldest"),
            (90, 10, Severity::Warning, "before their time"),
            (
                91,
                9,
                Severity::Error,
                "sends are refused above diskSpaceWarningLevelRatio=90",
            ),
            (
                0,
                2,
                Severity::Warning,
                "room for 1843 MiB, and two files of mappedFileSizeCommitLog=",
            ),
            (0, 3, Severity::Fine, "0 % full"),
        ] {
            let (found, text) = space(used, available).said();
            assert!(
                found == severity && text.contains(part),
                "{used} {available}: {text}"
            );
        }
    }
}
