//! Fuzz targets as ordinary tests: the kept inputs of `fuzz/corpus`, and mutations of them from a fixed seed.
//!
//! A fuzz target is a plain function that takes any bytes and panics where they break a promise. It lies in a module `fuzz` of
//! the crate that it is about. `fuzz/fuzz_targets` gives it to libFuzzer, which needs a nightly compiler; [`run`] gives it the
//! kept inputs and a bounded number of mutations, and needs none.
//!
//! A new target: the function; a file in `fuzz/fuzz_targets` and its `[[bin]]` in `fuzz/Cargo.toml`; a folder of its name with
//! a few inputs in `fuzz/corpus`; a test that calls [`run`]. Inputs that libFuzzer finds are put into that folder.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "kept inputs are files")]

use std::fs;
use std::path::{Path, PathBuf};

/// Mutations of all kept inputs together.
const MUTATIONS: u32 = 20_000;
/// A mutated input is at most so long, bytes.
const LONGEST: usize = 64 * 1024;

/// Runs a target on every kept input and on mutations of them; twice the same in every run.
///
/// # Panics
/// The target does, after the input was written to stderr; or there are no inputs.
pub fn run(target: &str, promise: impl Fn(&[u8])) {
    let kept = inputs(target);
    for input in &kept {
        check(input, &promise);
    }
    // Of any seed other than zero the generator never comes to zero.
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..MUTATIONS {
        let mut input = kept[random.below(kept.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut input, &kept, &mut random);
        }
        input.truncate(LONGEST);
        check(&input, &promise);
    }
}

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().filter_map(|file| fs::read(file).ok()).collect();
    assert!(!inputs.is_empty(), "{} has no inputs", dir.display());
    inputs
}

fn check(input: &[u8], promise: &impl Fn(&[u8])) {
    /// Says which input it was if the promise is broken.
    struct Broken<'a>(&'a [u8]);
    impl Drop for Broken<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                use std::io::Write;
                let _ = writeln!(std::io::stderr(), "input: b\"{}\"", self.0.escape_ascii());
            }
        }
    }
    let broken = Broken(input);
    promise(input);
    drop(broken);
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Numbers at which lengths and counters go wrong.
const ODD: [u64; 10] = [
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    u64::MAX,
];

fn mutate(input: &mut Vec<u8>, kept: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let end = at + random.below((input.len() - at).min(64) + 1);
    match random.below(8) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = random.next() as u8;
            }
        }
        2 => drop(input.drain(at..end)),
        3 => {
            let again = input[at..end].to_vec();
            input.splice(at..at, again);
        }
        4 => input.truncate(at),
        5 => {
            let odd = ODD[random.below(ODD.len())].to_be_bytes();
            let width = [1, 2, 4, 8][random.below(4)];
            let until = input.len().min(at + width);
            input.splice(at..until, odd[8 - width..].iter().copied());
        }
        6 => {
            let other = &kept[random.below(kept.len())];
            let from = random.below(other.len() + 1);
            input.splice(at..end, other[from..].iter().copied());
        }
        _ => {
            let letters = b"{}[]\"':,\\/*\0 \n=#!-0123456789eEtfn\xFF\xC3";
            input.insert(at, letters[random.below(letters.len())]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn mutations_differ_and_are_the_same_in_every_run() {
        let seen = || {
            let seen = RefCell::new(Vec::new());
            run("properties", |input| seen.borrow_mut().push(input.to_vec()));
            seen.into_inner()
        };
        let (first, second) = (seen(), seen());
        assert!(first == second);
        let mut distinct = first.clone();
        distinct.sort();
        distinct.dedup();
        assert!(
            distinct.len() > first.len() / 2,
            "{} of {}",
            distinct.len(),
            first.len()
        );
        assert!(first.iter().all(|input| input.len() <= LONGEST));
    }

    #[test]
    #[should_panic(expected = "found")]
    fn a_broken_promise_is_found() {
        // One byte of the kept inputs, changed.
        run("properties", |input| assert!(!input.contains(&0x07), "found"));
    }
}
