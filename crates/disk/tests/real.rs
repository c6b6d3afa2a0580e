//! The real disk, and that the simulated one keeps the same promises.
#![allow(missing_docs)]
// Helpers of tests may panic.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests make files")]

use disk::{Disk, MapOptions, MappedFile, MmapDisk, Operation, SimDisk, Usage, Writes};
use std::io::{ErrorKind, IoSlice};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

const OPTIONS: MapOptions = MapOptions {
    reserve_step_bytes: 65536,
    pinned: false,
    writes: Writes::Stores,
};
const PINNED: MapOptions = MapOptions {
    pinned: true,
    ..OPTIONS
};
const CALLS: MapOptions = MapOptions {
    writes: Writes::Calls,
    ..PINNED
};
const CALLS_AND_SYNCS: MapOptions = MapOptions {
    writes: Writes::CallsAndSyncs,
    ..PINNED
};

/// Runs a test on the real disk and on the simulated one, with every kind of file.
fn both(test: impl Fn(Check<'_>)) {
    let dir = tempfile::tempdir().unwrap();
    for (name, options) in [
        ("pinned", PINNED),
        ("unpinned", OPTIONS),
        ("calls", CALLS),
        ("calls and syncs", CALLS_AND_SYNCS),
    ] {
        let real = dir.path().join(name);
        let (mmap, sim) = (MmapDisk::new(2), SimDisk::new());
        mmap.create_dirs(&real).unwrap();
        test(Check::Real(&mmap, real, options));
        test(Check::Sim(&sim, PathBuf::from("/sim"), options));
    }
}

enum Check<'a> {
    Real(&'a MmapDisk, PathBuf, MapOptions),
    Sim(&'a SimDisk, PathBuf, MapOptions),
}

/// Calls a generic function with whichever disk it is.
macro_rules! with {
    ($check:expr, $test:ident) => {
        match $check {
            Check::Real(disk, dir, options) => $test(disk, &dir, options),
            Check::Sim(disk, dir, options) => $test(disk, &dir, options),
        }
    };
}

#[test]
fn published_bytes_can_be_sliced_and_others_written() {
    fn test<D: Disk>(disk: &D, dir: &Path, options: MapOptions) {
        let file = disk.create(&dir.join("a"), 100_000, options).unwrap();
        assert_eq!(file.len(), 100_000);
        assert!(file.slice(0..1).unwrap().is_none());
        file.write(10, b"hello").unwrap();
        file.publish(15);
        let slice = file.slice(8..15).unwrap().unwrap();
        assert_eq!(&slice[..], b"\0\0hello");
        assert!(file.slice(8..16).unwrap().is_none());
        let range = (12, 8);
        assert!(file.slice(range.0..range.1).unwrap().is_none(), "backwards");
        let below = catch_unwind(AssertUnwindSafe(|| file.write(14, b"x")));
        let beyond = catch_unwind(AssertUnwindSafe(|| file.write(99_999, b"xx")));
        assert!(below.is_err() && beyond.is_err());
        // The lock survived both, and the bytes.
        file.write(15, b"!").unwrap();
        file.publish(16);
        let mut joined = slice.part(2..7);
        assert!(joined.join(&file.slice(15..16).unwrap().unwrap()));
        assert_eq!(&joined[..], b"hello!");
        assert!(!joined.join(&file.slice(0..1).unwrap().unwrap()));
        let mut copy = [0; 6];
        file.read(10, &mut copy).unwrap();
        assert_eq!(&copy, b"hello!");
        assert!(file.read(99_999, &mut copy).is_err());
    }
    both(|check| with!(check, test));
}

#[test]
fn each_way_of_writing_leaves_the_same_bytes() {
    fn test<D: Disk>(disk: &D, dir: &Path, options: MapOptions) {
        let file = disk.create(&dir.join("ways"), 100_000, options).unwrap();
        // Mapped and faulted in before the calls, which must not go past it.
        file.write(9_000, b"before").unwrap();
        file.write_by_call(5_000, &[7; 10_000]).unwrap();
        file.write_and_publish(2, b"shown").unwrap();
        assert_eq!(file.published(), 7);
        let mut bytes = vec![0; 15_001];
        file.read(0, &mut bytes).unwrap();
        let mut expected = [&b"\0\0shown"[..], &[0; 4_993], &[7; 10_000], b"\0"].concat();
        assert!(bytes == expected);
        file.write(9_000, b"after").unwrap();
        file.publish(15_000);
        expected[9_000..9_005].copy_from_slice(b"after");
        assert!(file.slice(0..15_000).unwrap().unwrap()[..] == expected[..15_000]);
        let below = catch_unwind(AssertUnwindSafe(|| file.write_by_call(14_999, b"x")));
        let hidden = catch_unwind(AssertUnwindSafe(|| file.write_and_publish(14_999, b"x")));
        let beyond = catch_unwind(AssertUnwindSafe(|| file.write_by_call(99_999, b"xx")));
        assert!(below.is_err() && hidden.is_err() && beyond.is_err());
        assert_eq!(file.published(), 15_000);
    }
    both(|check| with!(check, test));
}

#[test]
fn parts_are_written_one_after_the_other() {
    fn test<D: Disk>(disk: &D, dir: &Path, options: MapOptions) {
        let file = disk.create(&dir.join("parts"), 50_000, options).unwrap();
        file.write_parts_and_publish(0, &mut []).unwrap();
        file.write(5, b"beside").unwrap();
        // More of them than one call takes, and some with nothing in them.
        let texts: Vec<_> = (0..3_000usize)
            .map(|number| number.to_string().repeat(number % 5))
            .collect();
        let mut parts: Vec<_> = texts.iter().map(|text| IoSlice::new(text.as_bytes())).collect();
        file.write_parts_and_publish(11, &mut parts).unwrap();
        let whole = texts.concat();
        let end = 11 + whole.len() as u64;
        assert_eq!(file.published(), end);
        assert_eq!(file.slice(5..11).unwrap().unwrap()[..], *b"beside");
        assert!(file.slice(11..end).unwrap().unwrap()[..] == *whole.as_bytes());
        let parts = || [IoSlice::new(b"x"), IoSlice::new(b"y")];
        let hidden = catch_unwind(AssertUnwindSafe(|| {
            file.write_parts_and_publish(end - 1, &mut parts())
        }));
        let beyond = catch_unwind(AssertUnwindSafe(|| {
            file.write_parts_and_publish(49_999, &mut parts())
        }));
        assert!(hidden.is_err() && beyond.is_err());
    }
    both(|check| with!(check, test));
}

#[test]
fn the_end_goes_back_only_without_readers() {
    fn test<D: Disk>(disk: &D, dir: &Path, options: MapOptions) {
        let path = dir.join("b");
        let file = disk.create(&path, 20_000, options).unwrap();
        file.write(0, &[7; 20_000]).unwrap();
        file.publish(20_000);
        let slice = file.slice(5000..6000).unwrap().unwrap();
        let error = file.unpublish(5500).unwrap_err();
        assert_eq!(
            (error.operation, error.source.kind()),
            (Operation::Unpublish, ErrorKind::WouldBlock)
        );
        assert_eq!(file.published(), 20_000);
        drop(slice);
        file.unpublish(5500).unwrap();
        file.zero_from(5500).unwrap();
        file.sync(0..20_000).unwrap();
        drop(file);
        let file = disk.open(&path, 20_000, options).unwrap();
        let all = file.slice(0..20_000).unwrap().unwrap();
        assert!(all[..5500] == [7; 5500] && all[5500..] == [0; 14_500]);
    }
    both(|check| with!(check, test));
}

#[test]
fn a_removed_file_lives_as_long_as_its_slices() {
    fn test<D: Disk>(disk: &D, dir: &Path, options: MapOptions) {
        let path = dir.join("c");
        let file = disk.create(&path, 10_000, options).unwrap();
        file.write(0, &[9; 10_000]).unwrap();
        file.publish(10_000);
        let slice = file.slice(0..10_000).unwrap().unwrap();
        disk.remove_file(&path).unwrap();
        file.forget();
        drop(file);
        assert_eq!(slice[..], [9; 10_000]);
        assert!(disk.open(&path, 10_000, options).is_err());
        disk.remove_file(&path).unwrap();
    }
    both(|check| with!(check, test));
}

#[test]
fn a_file_takes_the_name_of_another_whose_readers_keep_it() {
    fn test<D: Disk>(disk: &D, dir: &Path, options: MapOptions) {
        let (path, copy) = (dir.join("replaced"), dir.join("replaced.cut"));
        let old = disk.create(&path, 100_000, options).unwrap();
        old.write_and_publish(0, b"old bytes").unwrap();
        let held = old.slice(0..9).unwrap().unwrap();
        let new = disk.create(&copy, 100_000, options).unwrap();
        new.write_and_publish(0, b"old").unwrap();
        new.sync(0..3).unwrap();
        let new = disk.replace(new, &path).unwrap();
        old.forget();
        assert_eq!((new.path(), new.published()), (&*path, 3));
        new.write_and_publish(3, b" and new").unwrap();
        new.populate(4096..8192).unwrap();
        new.sync(0..11).unwrap();
        disk.sync_dir(dir).unwrap();
        assert_eq!(&*held, b"old bytes", "not what came to lie in its place");
        let again = disk.open(&path, 100_000, options).unwrap();
        assert_eq!(&*again.slice(0..12).unwrap().unwrap(), b"old and new\0");
        let names: Vec<_> = disk.list(dir).unwrap();
        assert!(
            names.iter().all(|entry| entry.name != "replaced.cut"),
            "{names:?}"
        );
    }
    both(|check| with!(check, test));
}

#[test]
fn wrong_lengths_and_existing_files_are_errors() {
    fn test<D: Disk>(disk: &D, dir: &Path, options: MapOptions) {
        let path = dir.join("d");
        disk.create(&path, 100, options).unwrap();
        assert_eq!(
            disk.create(&path, 100, options).err().unwrap().operation,
            Operation::Create
        );
        let error = disk.open(&path, 200, options).err().unwrap();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot open {}: it has 100 bytes, but files there have 200",
                path.display()
            )
        );
        disk.extend(&path, 200).unwrap();
        assert_eq!(disk.open(&path, 200, options).unwrap().published(), 200);
    }
    both(|check| with!(check, test));
}

#[test]
fn small_files_are_replaced_whole_and_the_old_one_kept() {
    fn test<D: Disk>(disk: &D, dir: &Path, _: MapOptions) {
        let path = dir.join("config/topics.json");
        assert_eq!(disk.read_small(&path, 10).unwrap(), None);
        for content in ["one", "two", "three"] {
            disk.write_small(&path, content.as_bytes(), true).unwrap();
        }
        assert_eq!(disk.read_small(&path, 10).unwrap().unwrap(), b"three");
        assert_eq!(
            disk.read_small(&dir.join("config/topics.json.bak"), 10)
                .unwrap()
                .unwrap(),
            b"two"
        );
        assert!(disk.read_small(&path, 4).is_err());
        let names: Vec<_> = disk
            .list(&dir.join("config"))
            .unwrap()
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        assert_eq!(names, ["topics.json", "topics.json.bak"]);
        disk.remove_dir_all(&dir.join("config")).unwrap();
        assert_eq!(disk.list(&dir.join("config")).unwrap(), []);
    }
    both(|check| with!(check, test));
}

/// What stands in a file's place is no reason to wait for somebody who never comes.
#[test]
fn a_small_file_that_is_a_fifo_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("topics.json");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let error = MmapDisk::default().read_small(&path, 10).unwrap_err().to_string();
    assert!(error.contains("topics.json: it is no regular file"), "{error}");
}

#[test]
fn a_small_file_keeps_its_owner_and_mode() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broker.conf");
    std::fs::write(&path, "old").unwrap();
    let own = std::fs::metadata(&path).unwrap();
    // Only root has files of others to write.
    let owner = match own.uid() {
        0 => (65_534, 65_533),
        _ => (own.uid(), own.gid()),
    };
    chown(&path, Some(owner.0), Some(owner.1)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    MmapDisk::default().write_small(&path, b"new", true).unwrap();
    let kept = std::fs::metadata(&path).unwrap();
    assert_eq!((kept.uid(), kept.gid()), owner);
    assert_eq!(kept.mode() & 0o777, 0o640);
}

/// As a container has a single file of its host.
#[test]
fn a_small_file_that_is_mounted_is_written_where_it_is() {
    const INSIDE: &str = "MOUNTED_SMALL_FILE";
    if let Some(path) = std::env::var_os(INSIDE) {
        let path = PathBuf::from(path);
        let disk = MmapDisk::default();
        disk.write_small(&path, b"a longer one", true).unwrap();
        assert_eq!(disk.read_small(&path, 20).unwrap().unwrap(), b"a longer one");
        disk.write_small(&path, b"new", true).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().join("of-the-host");
    let path = dir.path().join("conf/broker.conf");
    std::fs::write(&host, "old").unwrap();
    std::fs::create_dir(dir.path().join("conf")).unwrap();
    std::fs::write(&path, "").unwrap();
    let ran = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
        .arg(r#"mount --bind "$1" "$2" && exec "$3" --exact a_small_file_that_is_mounted_is_written_where_it_is"#)
        .arg("sh")
        .args([&host, &path, &std::env::current_exe().unwrap()])
        .env(INSIDE, &path)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(std::fs::read(&host).unwrap(), b"new");
    let backup = dir.path().join("conf/broker.conf.bak");
    assert_eq!(std::fs::read(backup).unwrap(), b"a longer one");
    assert!(!dir.path().join("conf/broker.conf.tmp").exists());
}

#[test]
fn a_lock_is_held_once() {
    fn test<D: Disk>(disk: &D, dir: &Path, _: MapOptions) {
        let path = dir.join("lock");
        assert!(!disk.is_locked(&path).unwrap());
        let held = disk.lock(&path).unwrap();
        assert!(held.is_some());
        assert!(disk.lock(&path).unwrap().is_none());
        assert!(disk.is_locked(&path).unwrap());
        drop(held);
        // To ask takes nothing away.
        assert!(!disk.is_locked(&path).unwrap());
        assert!(disk.lock(&path).unwrap().is_some());
    }
    both(|check| with!(check, test));
}

#[test]
fn more_files_than_may_be_mapped() {
    let dir = tempfile::tempdir().unwrap();
    let disk = MmapDisk::new(2);
    let files: Vec<_> = (0..20u8)
        .map(|number| {
            let file = disk
                .create(&dir.path().join(number.to_string()), 8192, OPTIONS)
                .unwrap();
            file.write(0, &[number; 4096]).unwrap();
            file.publish(4096);
            file
        })
        .collect();
    let mapped = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines()
            .filter(|line| line.contains(dir.path().to_str().unwrap()))
            .count()
    };
    assert!(mapped() <= 2, "{}", mapped());
    let held: Vec<_> = files
        .iter()
        .map(|file| file.slice(0..4096).unwrap().unwrap())
        .collect();
    assert_eq!(mapped(), 20, "what is being read stays");
    assert!(
        held.iter()
            .enumerate()
            .all(|(number, slice)| slice[..] == [number as u8; 4096])
    );
    drop(held);
    for (number, file) in files.iter().enumerate() {
        let mut copy = [0; 2];
        file.read(4095, &mut copy).unwrap();
        assert_eq!(copy, [number as u8, 0]);
        file.write(4096, b"x").unwrap();
        file.sync(4096..4097).unwrap();
    }
    drop(
        disk.create(&dir.path().join("last"), 8192, OPTIONS)
            .map(|file| file.write(0, b"x"))
            .unwrap(),
    );
    assert!(mapped() <= 20);
}

#[test]
fn a_write_by_call_needs_no_descriptor() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mapped");
    let file = MmapDisk::new(2).create(&path, 100_000, OPTIONS).unwrap();
    file.reserve(0..50_000).unwrap();
    file.write(0, b"mapped").unwrap();
    // It cannot be opened any more, as if the process had no descriptor left.
    std::fs::remove_file(&path).unwrap();
    file.write_by_call(10, &[7; 9_000]).unwrap();
    let mut bytes = [0; 9_011];
    file.read(0, &mut bytes).unwrap();
    assert!(bytes == [&b"mapped\0\0\0\0"[..], &[7; 9_000], b"\0"].concat()[..]);
    file.publish(50_000);
    let error = file.write_by_call(60_000, b"x").unwrap_err();
    assert_eq!(error.operation, Operation::Open);
}

#[test]
fn a_big_file_takes_only_the_blocks_it_needs() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big");
    let file = MmapDisk::default().create(&path, 1 << 30, PINNED).unwrap();
    let kept = || std::fs::metadata(&path).unwrap().blocks() * 512;
    assert_eq!(kept(), 0);
    file.write(0, b"x").unwrap();
    assert!((65536..1 << 20).contains(&kept()), "{}", kept());
    file.populate(0..1 << 20).unwrap();
    assert!((1 << 20..2 << 20).contains(&kept()), "{}", kept());
    file.zero_from(4096).unwrap();
    assert!(kept() <= 65536, "{}", kept());
}

/// One thread writes records in sequence, as the log's writer does, another makes the file ready where the first one
/// is: nothing that was written becomes zero, and all that was not is zero.
#[test]
fn zeros_written_ahead_spare_what_the_writer_wrote() {
    const LEN: u64 = 8 << 20;
    const WRITTEN: u64 = LEN - 300_000;
    for options in [CALLS, CALLS_AND_SYNCS] {
        let dir = tempfile::tempdir().unwrap();
        let file = MmapDisk::default()
            .create(&dir.path().join("log"), LEN, options)
            .unwrap();
        let is_done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(std::sync::atomic::Ordering::Acquire) {
                    let at = file.published();
                    file.populate(at..(at + 500_000).min(LEN)).unwrap();
                }
            });
            let mut at = 0;
            for number in 0u64.. {
                let len = (1 + number * 7919 % 20_000).min(WRITTEN - at);
                if len == 0 {
                    break;
                }
                file.write(at, &vec![1 + (number % 255) as u8; len as usize])
                    .unwrap();
                at += len;
                // Not every write is published at once.
                if number % 3 == 0 || at == WRITTEN {
                    file.publish(at);
                }
            }
            is_done.store(true, std::sync::atomic::Ordering::Release);
        });
        let mut found = vec![0; LEN as usize];
        file.read(0, &mut found).unwrap();
        assert_eq!(found[..WRITTEN as usize].iter().position(|&byte| byte == 0), None);
        assert_eq!(found[WRITTEN as usize..].iter().position(|&byte| byte != 0), None);
        assert_eq!(
            file.slice(0..WRITTEN).unwrap().unwrap()[..],
            found[..WRITTEN as usize]
        );
    }
}

#[test]
fn slices_know_whether_they_are_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let file = MmapDisk::default()
        .create(&dir.path().join("f"), 1 << 20, PINNED)
        .unwrap();
    file.write(0, &[1; 1 << 20]).unwrap();
    file.publish(1 << 20);
    let slice = file.slice(0..1 << 20).unwrap().unwrap();
    slice.fetch().unwrap();
    assert!(slice.is_resident());
}

#[test]
fn usage_is_rounded_up_as_java_does() {
    for (used, available, percent) in [
        (0, 0, 0),
        (0, 10, 0),
        (1, 999, 1),
        (90, 10, 90),
        (901, 99, 91),
        (10, 0, 100),
    ] {
        assert_eq!(Usage { used, available }.percent(), percent);
    }
    let usage = MmapDisk::default()
        .usage(Path::new("/tmp/not/there/yet"))
        .unwrap();
    assert!(usage.used + usage.available > 0);
}

#[test]
fn the_simulated_disk_loses_what_was_not_synced() {
    let disk = SimDisk::new();
    let path = Path::new("/d/file");
    disk.create_dirs(Path::new("/d")).unwrap();
    let file = disk.create(path, 8192, PINNED).unwrap();
    file.write(0, &[1; 4096]).unwrap();
    file.sync(0..8192).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    file.write(4096, &[2; 4096]).unwrap();
    let mut kept = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let content = disk.crash(seed).content(path).unwrap();
        assert_eq!(content[..4096], [1; 4096]);
        kept.insert(content[4096..].iter().filter(|&&byte| byte == 2).count());
        assert_eq!(
            disk.crash(seed).content(path).unwrap(),
            content,
            "the same seed, the same crash"
        );
    }
    assert!(
        kept.contains(&0) && kept.contains(&4096) && kept.len() > 4,
        "{kept:?}"
    );
    assert_eq!(disk.kill().content(path).unwrap()[4096..], [2; 4096]);
    disk.fail_nth(1);
    assert!(file.sync(0..1).is_err());
    assert_eq!(disk.failed(), Some(Operation::Sync));
}

#[test]
fn data_is_found_behind_holes() {
    fn test<D: Disk>(disk: &D, dir: &Path, options: MapOptions) {
        let file = disk.create(&dir.join("f"), 1 << 20, options).unwrap();
        assert_eq!(file.next_data(0).unwrap(), None);
        file.write(600_000, b"x").unwrap();
        let found = file.next_data(0).unwrap().unwrap();
        assert!((300_000..=600_000).contains(&found), "{found}");
        assert_eq!(file.next_data(600_000).unwrap(), Some(600_000));
        assert_eq!(file.next_data((1 << 20) - 1).unwrap(), None);
        assert_eq!(file.next_data(1 << 20).unwrap(), None);
        file.zero_from(100).unwrap();
        assert_eq!(file.next_data(0).unwrap(), None);
    }
    both(|check| with!(check, test));
}

#[test]
fn a_directory_goes_over_to_another_name_with_all_in_it() {
    fn test<D: Disk>(disk: &D, dir: &Path, options: MapOptions) {
        let (from, to) = (dir.join("topic"), dir.join("gone"));
        disk.rename(&from, &to).unwrap();
        disk.create_dirs(&from.join("0")).unwrap();
        let file = disk.create(&from.join("0/f"), 4096, options).unwrap();
        file.write_and_publish(0, b"abc").unwrap();
        let slice = file.slice(0..3).unwrap().unwrap();
        file.forget();
        disk.rename(&from, &to).unwrap();
        assert_eq!(disk.list(&from).unwrap(), []);
        assert_eq!(disk.list(&to.join("0")).unwrap()[0].name, "f");
        assert_eq!(
            disk.read_small(&to.join("0/f"), 4096).unwrap().unwrap()[..3],
            *b"abc"
        );
        assert_eq!(&slice[..], b"abc", "who reads goes on");
        // The old name is free.
        disk.create_dirs(&from.join("0")).unwrap();
        disk.create(&from.join("0/f"), 4096, options).unwrap();
        disk.remove_dir_all(&to).unwrap();
        assert_eq!(disk.list(&from.join("0")).unwrap().len(), 1);
    }
    both(|check| with!(check, test));
}

#[test]
fn a_directory_that_was_removed_is_gone_with_the_sync_of_the_one_above() {
    let disk = SimDisk::new();
    let (above, dir) = (Path::new("/a"), Path::new("/a/b"));
    let make = |name: &str| {
        let file = disk.create(&dir.join(name), 4096, OPTIONS).unwrap();
        file.sync(0..4096).unwrap();
        disk.sync_dir(dir).unwrap();
    };
    disk.create_dirs(dir).unwrap();
    make("first");
    make("second");
    // One that was not durable does not come back either.
    disk.create(&dir.join("third"), 4096, OPTIONS).unwrap();
    // One that was removed before goes with it, too.
    disk.remove_file(&dir.join("first")).unwrap();
    disk.remove_dir_all(dir).unwrap();
    let left = |disk: &SimDisk, seed| {
        let crashed = disk.crash(seed);
        let is_dir = crashed.list(above).unwrap().iter().any(|entry| entry.is_dir);
        assert_eq!(is_dir, !crashed.paths().is_empty(), "files lie in a directory");
        crashed.paths().len()
    };
    let before: Vec<_> = (0..30).map(|seed| left(&disk, seed)).collect();
    assert!(before.contains(&0) && before.contains(&2), "{before:?}");
    // What is made in its place stays.
    disk.create_dirs(dir).unwrap();
    make("second");
    disk.sync_dir(above).unwrap();
    for seed in 0..10 {
        assert_eq!(left(&disk, seed), 1);
    }
}

#[test]
fn a_crash_takes_back_a_rename_whole_and_with_what_was_not_durable() {
    for seed in 0..50 {
        let disk = SimDisk::new();
        disk.create_dirs(Path::new("/a/t")).unwrap();
        disk.create(Path::new("/a/t/durable"), 10, OPTIONS).unwrap();
        disk.sync_dir(Path::new("/a/t")).unwrap();
        disk.create(Path::new("/a/t/new"), 10, OPTIONS).unwrap();
        disk.rename(Path::new("/a/t"), Path::new("/a/u")).unwrap();
        let paths = disk.crash(seed).paths();
        let inside = |dir: &str| paths.iter().filter(|path| path.starts_with(dir)).count();
        assert!(paths.iter().any(|path| path.ends_with("durable")), "{paths:?}");
        assert!(
            paths.len() < 3 && (inside("/a/t/durable") == 0 || inside("/a/u/durable") == 0),
            "{paths:?}"
        );
    }
}

#[test]
fn the_simulated_disk_fails_as_it_is_told() {
    let disk = SimDisk::new();
    let pinned = disk.create(Path::new("/d/log"), 8192, PINNED).unwrap();
    let unpinned = disk.create(Path::new("/d/queue"), 8192, OPTIONS).unwrap();
    disk.set_descriptors(false);
    let error = disk.create(Path::new("/d/more"), 10, OPTIONS).unwrap_err();
    assert_eq!(
        (error.operation, error.source.raw_os_error()),
        (Operation::Open, Some(24))
    );
    assert!(!error.may_lose_data());
    assert!(unpinned.write(0, b"x").is_err() && unpinned.sync(0..1).is_err());
    assert!(disk.sync_dir(Path::new("/d")).is_err() && disk.list(Path::new("/d")).is_err());
    pinned.write(0, b"x").unwrap();
    pinned.sync(0..1).unwrap();
    disk.set_descriptors(true);
    unpinned.write(0, b"x").unwrap();
    disk.inject(disk::Injection {
        operations: vec![Operation::Sync],
        below: "/d/log".into(),
        errno: 5,
    });
    assert!(pinned.sync(0..1).unwrap_err().may_lose_data());
    unpinned.sync(0..1).unwrap();
    disk.clear_injections();
    pinned.sync(0..1).unwrap();
    disk.set_cost(Operation::Sync, 30);
    pinned.sync(0..1).unwrap();
    pinned.write(1, b"x").unwrap();
    assert_eq!(disk.spent_ms(), 30);
}

#[test]
fn a_torn_rename_leaves_both_names_or_one() {
    let mut both_names = 0;
    for seed in 0..60 {
        let disk = SimDisk::new();
        disk.set_torn_renames(true);
        disk.write_small(Path::new("/d/f"), b"old", false).unwrap();
        // The last operation of a write is the sync of the directory.
        disk.inject(disk::Injection {
            operations: vec![Operation::Sync],
            below: "/d".into(),
            errno: 5,
        });
        let _failed = disk.write_small(Path::new("/d/f"), b"new", false);
        disk.clear_injections();
        disk.rename(Path::new("/d/f.tmp"), Path::new("/d/f")).unwrap();
        let after = disk.crash(seed);
        let content = after.content(Path::new("/d/f"));
        assert!(content.is_some(), "never neither");
        let temporary = after.content(Path::new("/d/f.tmp"));
        both_names += u32::from(temporary.is_some() && temporary == content);
    }
    assert!(both_names > 0);
}

/// A file of which somebody else has taken the end away from under the mapping.
fn shortened(dir: &Path, pages: u64, left: u64, options: MapOptions) -> disk::MmapFile {
    let path = dir.join("shortened");
    let file = MmapDisk::default().create(&path, pages * 4096, options).unwrap();
    for page in 0..pages {
        file.write(page * 4096, &[1; 4096]).unwrap();
    }
    file.publish((pages - 1) * 4096);
    let other = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    other.set_len(left * 4096).unwrap();
    file
}

#[test]
fn a_page_that_can_not_be_read_costs_its_readers_an_error_and_nobody_else() {
    for options in [PINNED, OPTIONS] {
        let dir = tempfile::tempdir().unwrap();
        let file = shortened(dir.path(), 5, 2, options);
        let slice = file.slice(0..16_384).unwrap().unwrap();
        let (sound, lost) = (slice.part(0..8_192), slice.part(8_192..12_288));
        assert!(sound.iter().all(|byte| *byte == 1));
        sound.check().unwrap();
        // It is touched here, and once more: nothing ends, and it stays said.
        for _ in 0..2 {
            assert!(lost.iter().all(|byte| *byte == 0));
            assert!(lost.check().unwrap_err().to_string().contains("lost"));
        }
        slice.check_part(0..8_192).unwrap();
        slice.check_part(8_191..8_193).unwrap_err();
        let fetched = lost.fetch().unwrap_err();
        assert!(fetched.to_string().contains("lost"), "{fetched}");
        let mut copy = [7; 10];
        let read = file.read(12_288, &mut copy).unwrap_err();
        assert_eq!((read.operation, copy), (Operation::Read, [0; 10]));
        file.read(0, &mut copy).unwrap();
        assert_eq!(copy, [1; 10]);
        // What readers could not have is no reason to give up writing.
        file.sync(0..20_480).unwrap();
        // What is stored there reaches no disk, the first time as well as later.
        for _ in 0..2 {
            let stored = file.write(16_384, b"x").unwrap_err();
            assert_eq!(stored.operation, Operation::Write);
            assert!(stored.may_lose_data(), "{stored}");
        }
        file.sync(0..8_192).unwrap();
    }
}

#[test]
fn many_mappings_come_and_go_and_each_knows_its_own_losses() {
    let dir = tempfile::tempdir().unwrap();
    let make = |number: usize| {
        let dir = dir.path().join(number.to_string());
        std::fs::create_dir(&dir).unwrap();
        shortened(&dir, 20, if number.is_multiple_of(2) { 20 } else { 1 }, PINNED)
    };
    // More than one chunk of entries holds, and some of them taken for the second time.
    let mut files: Vec<_> = (0..300).map(make).collect();
    files.drain(100..200);
    files.extend((300..420).map(make));
    let look = |file: &disk::MmapFile| {
        let slice = file.slice(0..19 * 4096).unwrap().unwrap();
        (
            slice.iter().filter(|byte| **byte == 1).count(),
            slice.check().is_ok(),
            slice.check_part(0..4096).is_ok(),
        )
    };
    for file in &files {
        let is_whole = file.path().metadata().unwrap().len() == 20 * 4096;
        // More pages are lost than are noted one by one: then the whole mapping counts.
        let expected = if is_whole {
            (19 * 4096, true, true)
        } else {
            (4096, false, false)
        };
        assert_eq!(look(file), expected, "{}", file.path().display());
    }
}

#[test]
fn a_disk_to_read_from_opens_what_nobody_may_write_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for (name, options) in [("pinned", PINNED), ("unpinned", OPTIONS), ("calls", CALLS)] {
        let path = dir.path().join(name);
        std::fs::write(&path, vec![7; 8192]).unwrap();
        let file = MmapDisk::read_only().open(&path, 8192, options).unwrap();
        assert_eq!(file.slice(0..8192).unwrap().unwrap()[..], [7; 8192]);
        let mut bytes = [0; 16];
        file.read(4096, &mut bytes).unwrap();
        assert_eq!(bytes, [7; 16]);
        let refused = file.unpublish(100).and_then(|()| file.write(200, b"x"));
        let refused = refused.unwrap_err();
        assert_eq!(refused.source.kind(), ErrorKind::ReadOnlyFilesystem, "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), vec![7; 8192]);
    }
}
