//! See `wire::value`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    proto_sip_fuzz::wire::value(data);
});
