//! The functions of `store::fuzz` on files that stores made and on mutations of them, some thousand of each.
//!
//! `ROUNDS=100000 cargo test -p store fuzz` runs more.

use disk::SimRandom;
use std::path::Path;
use store::fuzz;

/// Changes a few bytes, cuts, repeats, or puts in numbers that formats trip over.
fn mutate(input: &[u8], random: &mut SimRandom) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..1 + random.below(4) {
        let len = bytes.len() as u64;
        if len == 0 {
            return vec![random.next_u64() as u8];
        }
        let at = random.below(len) as usize;
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next_u64() as u8,
            2 => bytes.truncate(at),
            3 => {
                let odd = [0i32, 1, -1, i32::MAX, i32::MIN, 20, 91, 32767, -32768];
                let number = odd[random.below(odd.len() as u64) as usize].to_be_bytes();
                let end = (at + 4).min(bytes.len());
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
            4 => {
                let from = random.below(len) as usize;
                let count = (random.below(200) as usize)
                    .min(bytes.len() - at)
                    .min(bytes.len() - from);
                bytes.copy_within(from..from + count, at);
            }
            5 => {
                let end = (at + random.below(600) as usize).min(bytes.len());
                bytes[at..end].fill(0);
            }
            _ => {
                let count = (random.below(40) as usize).min(bytes.len() - at);
                let part = bytes[at..at + count].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

fn run(rounds: u64, corpus: &[Vec<u8>], target: impl Fn(&[u8])) {
    let rounds = std::env::var("ROUNDS").map_or(rounds, |rounds| rounds.parse().unwrap());
    corpus.iter().for_each(|input| target(input));
    let mut random = SimRandom::new(7);
    for round in 0..rounds {
        let input = mutate(&corpus[(round % corpus.len() as u64) as usize], &mut random);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&input)));
        if let Err(panic) = panic {
            eprintln!("round {round}: {:02x?}", &input[..input.len().min(4096)]);
            std::panic::resume_unwind(panic);
        }
    }
}

fn file(part: &str) -> Vec<u8> {
    let disk = fuzz::filled();
    let path = disk
        .paths()
        .into_iter()
        .find(|path| path.starts_with(Path::new("/store").join(part)));
    disk.content(&path.unwrap()).unwrap()
}

#[test]
fn records() {
    let log = file("commitlog");
    run(
        20_000,
        &[log[..219].to_vec(), log[219..1000].to_vec()],
        fuzz::record,
    );
}

#[test]
fn commitlog_files() {
    let log = file("commitlog");
    run(
        300,
        &[log[..4700].to_vec(), log[..1500].to_vec(), Vec::new()],
        fuzz::commitlog,
    );
}

#[test]
fn consumequeue_files() {
    run(200, &[file("consumequeue"), Vec::new()], fuzz::consumequeue);
}

#[test]
fn index_files() {
    run(200, &[file("index"), Vec::new()], fuzz::index);
}

#[test]
fn properties_texts() {
    let texts: [&[u8]; 5] = [
        b"KEYS\x01a b\x02TAGS\x01t\x02WAIT\x01false\x02UNIQ_KEY\x017F00\x02",
        b"a\x01b\x02a\x01c",
        b"\x01\x02\x02\x01a\x01\x01b\x02",
        b"INNER_MULTI_DISPATCH\x01%LMQ%a,%LMQ%b\x02INNER_MULTI_QUEUE_OFFSET\x010,1",
        b"",
    ];
    run(20_000, &texts.map(<[u8]>::to_vec), fuzz::properties_text);
}
