//! The matcher's table, a test for each line.

use super::*;

fn blocked(dialled: &str) -> bool {
    Emergency::default().blocks(dialled)
}

macro_rules! facts {
    ($($name:ident: $dialled:literal is $is:ident;)+) => {
        $(#[test]
        fn $name() {
            assert_eq!(blocked($dialled), facts!($is), "{}", $dialled);
        })+
    };
    (blocked) => { true };
    (allowed) => { false };
}

facts! {
    nine_one_one_is_blocked: "911" is blocked;
    one_one_two_is_blocked: "112" is blocked;
    nine_nine_nine_is_blocked: "999" is blocked;
    three_zeros_are_blocked: "000" is blocked;
    a_plus_before_911_hides_nothing: "+911" is blocked;
    a_plus_before_112_hides_nothing: "+112" is blocked;
    a_plus_before_999_hides_nothing: "+999" is blocked;
    a_plus_before_000_hides_nothing: "+000" is blocked;
    a_trunk_zero_is_taken_off: "0112" is blocked;
    a_trunk_zero_before_999_is_taken_off: "0999" is blocked;
    an_international_00_is_taken_off: "00112" is blocked;
    an_international_011_is_taken_off: "011911" is blocked;
    north_americas_code_is_taken_off: "1911" is blocked;
    north_americas_code_with_a_plus_is_taken_off: "+1911" is blocked;
    north_americas_code_with_a_dash_is_taken_off: "1-911" is blocked;
    north_americas_code_before_112_is_taken_off: "1112" is blocked;
    prefixes_are_taken_off_one_after_the_other: "0111911" is blocked;
    many_zeros_hide_nothing: "0000000000000000000000000000000000000000000000000000000000000000911"
        is blocked;
    parentheses_hide_nothing: "(911)" is blocked;
    dashes_hide_nothing: "9-1-1" is blocked;
    spaces_hide_nothing: "9 1 1" is blocked;
    points_hide_nothing: "9.1.1" is blocked;
    spaces_around_it_hide_nothing: "  911\t" is blocked;
    signs_without_width_hide_nothing: "9\u{200b}1\u{2060}1" is blocked;
    typographic_dashes_hide_nothing: "9\u{2013}1\u{2013}1" is blocked;
    wide_digits_hide_nothing: "\u{ff19}\u{ff11}\u{ff11}" is blocked;
    arabic_digits_hide_nothing: "\u{661}\u{661}\u{662}" is blocked;
    a_key_after_it_hides_nothing: "911#" is blocked;
    a_pause_after_it_hides_nothing: "911,,1" is blocked;
    a_sip_address_is_read: "sip:911@example.com" is blocked;
    a_sip_address_with_a_port_and_parameters_is_read:
        "sip:911@example.com:5061;transport=tcp?Subject=x" is blocked;
    a_sip_address_with_a_user_parameter_is_read: "sip:911;phone-context=+1@example.com" is blocked;
    a_sip_address_with_a_password_is_read: "sip:112:secret@example.com" is blocked;
    a_sips_address_is_read_in_any_case: "SIPS:+1911@EXAMPLE.COM" is blocked;
    a_sip_address_with_escapes_is_read: "sip:%39%31%31@example.com" is blocked;
    a_sip_address_without_a_host_is_read: "sip:911" is blocked;
    a_name_and_brackets_around_it_hide_nothing: "\"Help\" <sip:911@example.com>;tag=1" is blocked;
    an_address_without_a_scheme_is_read: "911@example.com" is blocked;
    a_tel_address_is_read: "tel:911" is blocked;
    a_tel_address_with_a_context_is_read: "tel:911;phone-context=example.com" is blocked;
    a_global_tel_address_is_read: "TEL:+1-911" is blocked;
    the_service_is_read: "urn:service:sos" is blocked;
    a_service_below_it_is_read: "URN:service:SOS.fire" is blocked;
    a_long_number_that_begins_so_is_allowed: "+19115551234" is allowed;
    the_same_without_its_plus_is_allowed: "19115551234" is allowed;
    a_number_that_ends_so_is_allowed: "+14155550911" is allowed;
    a_number_in_britain_is_allowed: "+442079460999" is allowed;
    a_number_that_begins_with_112_is_allowed: "1125550123" is allowed;
    directory_enquiries_are_allowed: "411" is allowed;
    the_crisis_line_is_allowed: "988" is allowed;
    an_extension_is_allowed: "100" is allowed;
    a_name_with_its_digits_is_allowed: "sip:agent911@example.com" is allowed;
    a_host_with_its_digits_is_allowed: "sip:alice@911.example.com" is allowed;
    another_service_is_allowed: "urn:service:counseling" is allowed;
    a_service_that_sounds_so_is_allowed: "urn:service:sosx" is allowed;
    nothing_is_allowed: "" is allowed;
    a_plus_alone_is_allowed: "+" is allowed;
}

#[test]
fn an_operators_codes_count_as_the_usual_ones_do() {
    let own = ["110", "17", "x", "1", "123456789"].map(String::from);
    let emergency = Emergency::new(&own);
    for dialled in ["110", "0110", "+110", "17", "tel:17", "sip:017@a", "911"] {
        assert!(emergency.blocks(dialled), "{dialled}");
    }
    for dialled in ["1", "123456789", "x", "1100", "118"] {
        assert!(!emergency.blocks(dialled), "{dialled}");
    }
    assert!(!blocked("110"));
}

#[test]
fn what_is_kept_of_an_address_names_nobody() {
    assert_eq!(redacted("+1911"), "+1911****");
    assert_eq!(redacted("sip:+1911@example.com"), "+1911****");
    assert_eq!(redacted("9-1-1"), "911****");
    assert_eq!(redacted("+14155550123"), "+1415****");
    assert_eq!(redacted("urn:service:sos"), "urn:s****");
}

#[test]
fn whatever_is_dialled_is_read_without_a_fall() {
    let signs =
        ["9", "1", "0", "<", ">", "@", "%", "%3", ":", ";", "é", "sip:", "urn:service:", "+"];
    for one in signs {
        for two in signs {
            for three in signs {
                let dialled = format!("{one}{two}{three}");
                let _ = (blocked(&dialled), redacted(&dialled));
            }
        }
    }
}
