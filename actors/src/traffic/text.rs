//! What can be said of a text before it is sent: how it travels, what it takes, and what makes it
//! dear. Pure functions over the arithmetic of `proto-smpp`; nothing is kept.

use model::message::Encoding;
use proto_smpp::split::{self, Concat};
use proto_smpp::{gsm7, typography};

/// How a text travels and what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    pub encoding: Encoding,
    /// As people count them.
    pub characters: usize,
    /// As the air interface counts them: septets, or 16-bit units.
    pub units: usize,
    pub segments: usize,
    /// Units that the last part has left.
    pub room: usize,
    /// Units that a text alone may take.
    pub single: usize,
    /// Units that each part of a long text may take.
    pub per_part: usize,
}

/// A character that is not in the GSM-7 alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outsider {
    pub character: char,
    /// Its place in the text, in characters from 0.
    pub position: usize,
    /// A likeness that is in the alphabet.
    pub plain: Option<&'static str>,
}

/// Weighs a text as the sender of one way of concatenation would. `None`: it is not GSM-7, as was
/// asked for.
#[must_use]
pub fn weigh(text: &str, asked: Option<Encoding>, concat: Concat) -> Option<Weight> {
    let asked = asked.map(|encoding| match encoding {
        Encoding::Gsm7 => split::Encoding::Gsm7,
        Encoding::Ucs2 => split::Encoding::Ucs2,
    });
    let measured = split::measure_as(text, asked, concat).ok()?;
    Some(Weight {
        encoding: match measured.encoding {
            split::Encoding::Gsm7 => Encoding::Gsm7,
            split::Encoding::Ucs2 => Encoding::Ucs2,
        },
        characters: text.chars().count(),
        units: measured.units,
        segments: measured.parts,
        room: measured.room,
        single: measured.encoding.single(),
        per_part: measured.encoding.per_part(concat),
    })
}

/// Weighs a text whose carrier is not known.
#[must_use]
pub fn weigh_plainly(text: &str) -> Weight {
    let concat = Concat::default();
    let nothing = || Weight {
        encoding: Encoding::Ucs2,
        characters: 0,
        units: 0,
        segments: 0,
        room: 0,
        single: split::Encoding::Ucs2.single(),
        per_part: split::Encoding::Ucs2.per_part(concat),
    };
    weigh(text, None, concat).unwrap_or_else(nothing)
}

/// The characters that keep a text from GSM-7, in their order.
pub fn outsiders(text: &str) -> impl Iterator<Item = Outsider> + '_ {
    let outside = |c: char| gsm7::septets(c.encode_utf8(&mut [0; 4])).is_none();
    text.chars().enumerate().filter(move |(_, c)| outside(*c)).map(|(position, character)| {
        Outsider { character, position, plain: typography::plain(character) }
    })
}

/// The text with plain signs in the place of typographic ones, where that makes it GSM-7 and UCS-2
/// was not asked for; else the text itself.
#[must_use]
pub fn smart(text: String, asked: Option<Encoding>) -> String {
    if asked == Some(Encoding::Ucs2) {
        return text;
    }
    match typography::to_gsm7(&text) {
        Some(plain) if plain != text => plain.into_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outsiders_are_named_with_their_place() {
        let found: Vec<Outsider> = outsiders("a€\u{2019}bя😀").collect();
        let place = |o: &Outsider| (o.character, o.position, o.plain);
        let found: Vec<_> = found.iter().map(place).collect();
        assert_eq!(found, [('\u{2019}', 2, Some("'")), ('я', 4, None), ('😀', 5, None)]);
    }

    #[test]
    fn smart_texts_are_changed_only_where_it_pays() {
        let smart = |text: &str, asked| smart(text.to_owned(), asked);
        assert_eq!(smart("it\u{2019}s", None), "it's");
        assert_eq!(smart("it\u{2019}s", Some(Encoding::Gsm7)), "it's");
        assert_eq!(smart("it\u{2019}s", Some(Encoding::Ucs2)), "it\u{2019}s");
        assert_eq!(smart("it\u{2019}s я", None), "it\u{2019}s я");
    }

    #[test]
    fn a_weight_counts_people_s_characters_and_the_air_s_units() {
        let weight = weigh("a€😀", None, Concat::Udh8).unwrap();
        assert_eq!((weight.characters, weight.units, weight.segments), (3, 4, 1));
        assert_eq!((weight.encoding, weight.room, weight.per_part), (Encoding::Ucs2, 66, 67));
        assert_eq!(weigh("я", Some(Encoding::Gsm7), Concat::Udh8), None);
    }
}
