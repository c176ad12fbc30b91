//! What the first message to a person should say, and does not: a reading of the text by its
//! words. It advises; nobody is refused for it. English and the words for leaving of some other
//! languages are known.

/// Something that the first message of marketing should say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// How to stop it.
    OptOut,
    /// Who is writing.
    Business,
    /// How often to expect it.
    Frequency,
    /// That the person's own operator may charge.
    Rates,
}

const OPT_OUT: &[&str] = &[
    "stop",
    "stopall",
    "unsubscribe",
    "opt out",
    "opt-out",
    "optout",
    "cancel",
    "quit",
    "leave",
    // German, French, Spanish, Portuguese, Italian, Dutch, Turkish, Russian.
    "abmelden",
    "abbestellen",
    "désabonner",
    "désinscription",
    "baja",
    "sair",
    "cancelar",
    "disiscriviti",
    "annulla",
    "afmelden",
    "iptal",
    "стоп",
    "отписаться",
];

const FREQUENCY: &[&str] = &[
    "per day",
    "per week",
    "per month",
    "a day",
    "a week",
    "a month",
    "/day",
    "/week",
    "/month",
    "/mo",
    "daily",
    "weekly",
    "monthly",
    "recurring",
    "frequency",
    "frequency varies",
    "msgs/mo",
];

const RATES: &[&str] =
    &["rates may apply", "data rates", "msg rates", "message rates", "free to end user"];

/// What a text lacks. `business`: the names under which the sender is known.
#[must_use]
pub fn first_message(text: &str, business: &[&str]) -> Vec<Lacking> {
    let text = text.to_lowercase();
    let named = business.iter().any(|name| {
        let name = name.trim().to_lowercase();
        !name.is_empty() && says(&text, &name)
    });
    let mut lacking = Vec::new();
    let mut unless = |said: bool, what| {
        if !said {
            lacking.push(what);
        }
    };
    unless(any(&text, OPT_OUT), Lacking::OptOut);
    unless(named, Lacking::Business);
    unless(any(&text, FREQUENCY), Lacking::Frequency);
    unless(any(&text, RATES), Lacking::Rates);
    lacking
}

fn any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| says(text, word))
}

/// True when the words stand in the text as words of their own.
fn says(text: &str, words: &str) -> bool {
    let part_of_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(words).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        let begins = words.starts_with(char::is_alphanumeric);
        (!begins || !part_of_word(before)) && !part_of_word(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_first_message_lacks_nothing() {
        let text = "Acme: 20% off! Up to 4 msgs/month. Msg & data rates may apply. \
            Reply STOP to opt out.";
        assert_eq!(first_message(text, &["ACME"]), []);
    }

    #[test]
    fn what_is_missing_is_named() {
        use Lacking::{Business, Frequency, OptOut, Rates};
        let all = [OptOut, Business, Frequency, Rates];
        assert_eq!(first_message("20% off today", &["Acme"]), all);
        assert_eq!(first_message("", &[""]), all);
        let acme = first_message("Acme says hi, text STOP", &["Acme"]);
        assert_eq!(acme, [Frequency, Rates]);
    }

    #[test]
    fn words_count_as_words() {
        let lacks = |text: &str| first_message(text, &["Io"]).contains(&Lacking::OptOut);
        assert!(lacks("nonstop stopping bus stops"));
        for text in ["(stop)", "STOP.", "Abmelden: STOP", "Ответьте СТОП", "to opt-out, reply 1"]
        {
            assert!(!lacks(text), "{text}");
        }
        assert!(first_message("radio", &["Io"]).contains(&Lacking::Business));
    }
}
