#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| remoting::fuzz::proxy_header(input));
