//! See `targets::from_smsc`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    proto_smpp_fuzz::targets::from_smsc(data);
});
