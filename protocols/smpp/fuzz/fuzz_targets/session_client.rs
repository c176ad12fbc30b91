//! See `targets::session_client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    proto_smpp_fuzz::targets::session_client(data);
});
