//! See `targets::split_join`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    proto_smpp_fuzz::targets::split_join(data);
});
