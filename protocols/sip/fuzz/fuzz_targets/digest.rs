//! See `targets::digest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    proto_sip_fuzz::targets::digest(data);
});
