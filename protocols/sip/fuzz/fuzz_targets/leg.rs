//! See `calls::leg`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    proto_sip_fuzz::calls::leg(data);
});
