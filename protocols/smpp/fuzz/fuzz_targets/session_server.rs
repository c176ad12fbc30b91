//! See `targets::session_server`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    proto_smpp_fuzz::targets::session_server(data);
});
