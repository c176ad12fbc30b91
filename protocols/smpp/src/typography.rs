//! Typographic characters that have a plain likeness in GSM-7: quotes, dashes, spaces, the ellipsis.
//!
//! One curly quote makes a text UCS-2, which more than halves what a part holds. Only signs are
//! replaced, never letters: `á` is not `a`. Nothing is replaced unless the whole text fits GSM-7
//! afterwards, since half of it would change the text and save nothing.

use std::borrow::Cow;

use crate::gsm7;

/// The plain likeness of a sign outside the GSM-7 alphabet.
pub fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{2018}' | '\u{2019}' | '\u{201B}' | '\u{2032}' | '\u{2035}' | '\u{02B9}'
        | '\u{02BB}' | '\u{02BC}' | '\u{02C8}' | '`' | '\u{00B4}' => "'",
        '\u{201C}' | '\u{201D}' | '\u{201E}' | '\u{201F}' | '\u{2033}' | '\u{2036}' | '«' | '»' => {
            "\""
        }
        '\u{201A}' => ",",
        '\u{2039}' => "<",
        '\u{203A}' => ">",
        '\u{2010}'..='\u{2015}'
        | '\u{2212}'
        | '\u{2043}'
        | '\u{FE58}'
        | '\u{FE63}'
        | '\u{FF0D}' => "-",
        '\u{2026}' => "...",
        '\u{2022}' | '\u{2219}' | '\u{00B7}' | '\u{2217}' => "*",
        '\u{00D7}' => "x",
        '\u{2044}' | '\u{2215}' | '\u{00F7}' => "/",
        '\u{02C6}' => "^",
        '\u{02DC}' | '\u{223C}' => "~",
        '¼' => "1/4",
        '½' => "1/2",
        '¾' => "3/4",
        '\u{FB00}' => "ff",
        '\u{FB01}' => "fi",
        '\u{FB02}' => "fl",
        '\t' | '\u{00A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => " ",
        '\u{2028}' | '\u{2029}' => "\n",
        // Signs without a width: soft hyphen, zero-width space, word joiner, byte order mark.
        '\u{00AD}' | '\u{200B}' | '\u{2060}' | '\u{FEFF}' => "",
        _ => return None,
    })
}

/// The text with plain signs, if that makes all of it GSM-7.
pub fn to_gsm7(text: &str) -> Option<Cow<'_, str>> {
    if gsm7::septets(text).is_some() {
        return Some(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match gsm7::code(c) {
            Some(_) => out.push(c),
            None => out.push_str(plain(c)?),
        }
    }
    Some(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_become_plain_and_letters_stay() {
        for (text, expected) in [
            ("it\u{2019}s \u{201C}fine\u{201D}\u{2026}", Some("it's \"fine\"...")),
            ("1\u{2013}2\u{00A0}km \u{2014} ½", Some("1-2 km - 1/2")),
            ("zero\u{200B}width", Some("zerowidth")),
            ("plain €[]", Some("plain €[]")),
            ("", Some("")),
            ("\u{2019}á", None),
            ("\u{2026}привет", None),
            ("ok \u{1F600}", None),
        ] {
            assert_eq!(to_gsm7(text).as_deref(), expected, "{text}");
        }
        assert!(matches!(to_gsm7("abc"), Some(Cow::Borrowed("abc"))));
    }

    #[test]
    fn every_replacement_is_gsm7_and_replaces_what_is_not() {
        let mut count = 0;
        for c in '\0'..=char::MAX {
            let Some(text) = plain(c) else {
                continue;
            };
            count += 1;
            assert!(gsm7::code(c).is_none(), "{c:?} needs no likeness");
            assert!(gsm7::septets(text).is_some(), "{c:?} becomes {text:?}");
        }
        assert!(count > 50);
    }
}
