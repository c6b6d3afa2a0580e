#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ha::fuzz::slave_bytes(input));
