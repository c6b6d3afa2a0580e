#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ha::fuzz::master_bytes(input));
