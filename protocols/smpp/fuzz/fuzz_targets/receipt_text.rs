//! See `targets::receipt_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    proto_smpp_fuzz::targets::receipt_text(data);
});
