//! The bitmaps of consumers' filters in the extensions of consumequeues.
//!
//! Each consumer of a topic has a few bits of the bitmap, by the hash of `group#topic`. As a message is stored, the bits of those
//! are set whose expression lets it through. Later a consumer whose bits are not all set need not look at the record.
//!
//! Bit *i* is bit *i* mod 8, from the lowest, of byte *i* / 8. Rules: RocketMQ 4.9.8 and 5.3.3, BloomFilter and BitsArray, which
//! hash with Guava's `murmur3_128`.

use std::f64::consts::{E, LN_2};

/// Size of a bitmap: entries made for another one are of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bloom {
    /// Bits of the whole; a multiple of 8.
    pub bits: i32,
    /// Bits of one consumer.
    pub hashes: usize,
}

impl Bloom {
    /// For `expectConsumerNumUseFilter` consumers (1 or more) and an error rate of `maxErrorRateOfBloomFilter` percent
    /// (1 to 99).
    pub fn of(consumers: i32, error_percent: i32) -> Self {
        let error = f64::from(error_percent) / 100.0;
        let least = f64::from(consumers) * ((1.0 / error).ln() / LN_2) * (E.ln() / LN_2);
        let bytes = (least.ceil() / 8.0).ceil();
        Self {
            bits: bytes as i32 * 8,
            hashes: (error.ln() / 0.5f64.ln()).ceil() as usize,
        }
    }

    /// Bytes of a bitmap.
    pub fn bytes(self) -> usize {
        self.bits as usize / 8
    }

    /// The bits of a consumer: of the group's subscription to the topic.
    pub fn positions(self, group: &str, topic: &str) -> Vec<i32> {
        let hash = murmur3(format!("{group}#{topic}").as_bytes());
        let (low, high) = (hash as i32, (hash >> 32) as i32);
        (1..=self.hashes as i32)
            .map(|nth| {
                let combined = low.wrapping_add(nth.wrapping_mul(high));
                let positive = if combined < 0 { !combined } else { combined };
                positive % self.bits
            })
            .collect()
    }

    /// Sets a consumer's bits; positions beyond the bitmap are left out.
    pub fn set(positions: &[i32], bitmap: &mut [u8]) {
        for (byte, bit) in positions.iter().filter_map(|position| place(*position)) {
            if let Some(byte) = bitmap.get_mut(byte) {
                *byte |= bit;
            }
        }
    }

    /// Are all of a consumer's bits set?
    pub fn is_hit(positions: &[i32], bitmap: &[u8]) -> bool {
        positions.iter().all(|position| {
            let found = place(*position).and_then(|(byte, bit)| Some(bitmap.get(byte)? & bit));
            found.is_some_and(|found| found != 0)
        })
    }
}

/// The byte of a position, and its bit there.
fn place(position: i32) -> Option<(usize, u8)> {
    let position = usize::try_from(position).ok()?;
    Some((position / 8, 1 << (position % 8)))
}

const C1: u64 = 0x87C3_7B91_1142_53D5;
const C2: u64 = 0x4CF5_AD43_2745_937F;

/// The first half of MurmurHash3's 128 bits for x64, seed 0.
fn murmur3(bytes: &[u8]) -> u64 {
    let half = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0, |half, byte| half << 8 | u64::from(*byte))
    };
    let first = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let second = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let (mut h1, mut h2) = (0u64, 0u64);
    let blocks = bytes.chunks_exact(16);
    let tail = blocks.remainder();
    for block in blocks {
        let (low, high) = block.split_at(8);
        h1 = (h1 ^ first(half(low))).rotate_left(27).wrapping_add(h2);
        h1 = h1.wrapping_mul(5).wrapping_add(0x52DC_E729);
        h2 = (h2 ^ second(half(high))).rotate_left(31).wrapping_add(h1);
        h2 = h2.wrapping_mul(5).wrapping_add(0x3849_5AB5);
    }
    let (low, high) = tail.split_at(tail.len().min(8));
    h2 ^= second(half(high)) ^ bytes.len() as u64;
    h1 ^= first(half(low)) ^ bytes.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    mixed(h1).wrapping_add(mixed(h2))
}

fn mixed(mut k: u64) -> u64 {
    k = (k ^ k >> 33).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    k = (k ^ k >> 33).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    k ^ k >> 33
}
