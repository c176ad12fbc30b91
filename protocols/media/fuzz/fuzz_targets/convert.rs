//! See `targets::convert`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    proto_media_fuzz::targets::convert(data);
});
