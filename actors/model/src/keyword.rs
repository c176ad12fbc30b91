//! Words by which a person says stop, start or help: what counts as one, and what is answered.
//!
//! The built-in English words always hold. An organization adds words and texts per language; it
//! cannot give a built-in word another meaning. A message is a keyword when it is nothing else:
//! blanks and punctuation at its ends and the case of its letters do not count.

use crate::message::coded;

coded! {
    /// What a keyword asks for.
    Action {
        Stop = 1 "stop",
        Start = 2 "start",
        Help = 3 "help",
    }
}

/// The language of the built-in words.
pub const BUILT_IN_LANGUAGE: &str = "en";
/// A longer text is no keyword.
pub const WORD_MAX: usize = 32;

const STOP: &[&str] =
    &["stop", "stopall", "cancel", "unsubscribe", "end", "quit", "revoke", "optout"];
const START: &[&str] = &["start", "unstop", "yes"];
const HELP: &[&str] = &["help", "info"];
/// Too common to mean more than an answer, unless the person had opted out.
const ONLY_WHEN_OPTED_OUT: &[&str] = &["yes"];

/// An organization's words and text for one action in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordSet {
    pub language: String,
    pub action: Action,
    /// Folded.
    pub words: Vec<String>,
    pub reply: Option<String>,
    /// The language of whoever uses a built-in word.
    pub default_language: bool,
}

/// What a text asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    pub action: Action,
    pub language: &'a str,
    pub only_when_opted_out: bool,
}

impl Action {
    /// The words that hold everywhere.
    #[must_use]
    pub fn built_in(self) -> &'static [&'static str] {
        match self {
            Self::Stop => STOP,
            Self::Start => START,
            Self::Help => HELP,
        }
    }

    /// What is answered where nothing else is set.
    #[must_use]
    pub fn built_in_reply(self) -> &'static str {
        match self {
            Self::Stop => {
                "You are unsubscribed and will get no more messages. Reply START to resubscribe."
            }
            Self::Start => {
                "You are subscribed again. Reply STOP to unsubscribe, HELP for information."
            }
            Self::Help => "Reply STOP to unsubscribe, START to resubscribe.",
        }
    }
}

/// A text as it is compared: without blanks and punctuation at its ends, its letters folded.
#[must_use]
pub fn fold(text: &str) -> String {
    // Upper case first: the German ß and the Greek final sigma fold as their twins do.
    text.trim_matches(is_edge).to_uppercase().to_lowercase()
}

fn is_edge(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || c.is_ascii_punctuation()
        || matches!(c,
            '\u{a1}' | '\u{ab}' | '\u{b7}' | '\u{bb}' | '\u{bf}'
            | '\u{37e}' | '\u{387}' | '\u{589}' | '\u{5be}' | '\u{5f3}' | '\u{5f4}'
            | '\u{60c}' | '\u{61b}' | '\u{61f}' | '\u{6d4}' | '\u{964}' | '\u{965}'
            | '\u{200b}'..='\u{200f}' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}'
            | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{feff}'
            | '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' | '\u{ff3b}'..='\u{ff40}'
            | '\u{ff5b}'..='\u{ff65}')
}

/// What a folded text asks for, if it is a keyword.
#[must_use]
pub fn find<'a>(sets: &'a [WordSet], folded: &str) -> Option<Found<'a>> {
    let built_in = Action::ALL.iter().find(|action| action.built_in().contains(&folded));
    if let Some(action) = built_in {
        let default = sets.iter().find(|set| set.default_language);
        return Some(Found {
            action: *action,
            language: default.map_or(BUILT_IN_LANGUAGE, |set| &set.language),
            only_when_opted_out: ONLY_WHEN_OPTED_OUT.contains(&folded),
        });
    }
    let set = sets.iter().find(|set| set.words.iter().any(|word| word == folded))?;
    Some(Found { action: set.action, language: &set.language, only_when_opted_out: false })
}

/// What is answered to an action in a language.
#[must_use]
pub fn reply<'a>(sets: &'a [WordSet], action: Action, language: &str) -> &'a str {
    let own = |language: &str| {
        let set = sets.iter().find(|set| set.action == action && set.language == language)?;
        set.reply.as_deref()
    };
    own(language).or_else(|| own(BUILT_IN_LANGUAGE)).unwrap_or(action.built_in_reply())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(language: &str, action: Action, words: &[&str], reply: Option<&str>) -> WordSet {
        WordSet {
            language: language.to_owned(),
            action,
            words: words.iter().map(|word| fold(word)).collect(),
            reply: reply.map(str::to_owned),
            default_language: false,
        }
    }

    fn asks(text: &str) -> Option<Action> {
        find(&[], &fold(text)).map(|found| found.action)
    }

    #[test]
    fn a_keyword_is_the_whole_text_whatever_its_case_and_its_ends() {
        for stop in ["STOP", "stop", " Stop. ", "STOP!!", "\"STOP\"", "stop\u{3002}", "STOP\r\n"] {
            assert_eq!(asks(stop), Some(Action::Stop), "{stop:?}");
        }
        for word in ["stopall", "Cancel", "UNSUBSCRIBE", "end", "quit", "revoke", "optout"] {
            assert_eq!(asks(word), Some(Action::Stop), "{word}");
        }
        assert_eq!((asks("Unstop"), asks("INFO?")), (Some(Action::Start), Some(Action::Help)));
        for none in ["", "stop it", "please stop", "st op", "...", "stopp", "no", "ＳＴ"] {
            assert_eq!(asks(none), None, "{none:?}");
        }
    }

    #[test]
    fn yes_asks_only_of_those_who_opted_out() {
        let found = find(&[], "yes").map(|found| (found.action, found.only_when_opted_out));
        assert_eq!(found, Some((Action::Start, true)));
        assert!(!find(&[], "start").is_some_and(|found| found.only_when_opted_out));
    }

    #[test]
    fn words_of_other_languages_are_folded_as_their_speakers_do() {
        let sets = [
            set("de", Action::Stop, &["Schluß", "STOPP"], Some("Abgemeldet.")),
            set("el", Action::Stop, &["ΤΕΛΟΣ"], None),
            set("hi", Action::Help, &["मदद"], None),
        ];
        let found = |text: &str| find(&sets, &fold(text)).map(|f| (f.action, f.language));
        assert_eq!(found("SCHLUSS!"), Some((Action::Stop, "de")));
        assert_eq!(found("schluß"), Some((Action::Stop, "de")));
        assert_eq!(found("τέλος"), None, "an accent is another letter");
        assert_eq!(found("τελος"), Some((Action::Stop, "el")));
        assert_eq!(found("मदद।"), Some((Action::Help, "hi")));
    }

    #[test]
    fn the_reply_is_in_the_words_language_and_falls_back() {
        let sets = [
            set("de", Action::Stop, &["stopp"], Some("Abgemeldet.")),
            set("fr", Action::Stop, &["arret"], None),
            set("en", Action::Stop, &[], Some("Bye.")),
        ];
        assert_eq!(reply(&sets, Action::Stop, "de"), "Abgemeldet.");
        assert_eq!(reply(&sets, Action::Stop, "fr"), "Bye.");
        assert_eq!(reply(&sets, Action::Help, "de"), Action::Help.built_in_reply());
        assert!(Action::Stop.built_in_reply().contains("START"));
    }

    #[test]
    fn a_built_in_word_keeps_its_meaning_and_takes_the_default_language() {
        let mut german = set("de", Action::Start, &["stop"], None);
        german.default_language = true;
        let sets = [german];
        let found = find(&sets, "stop");
        assert_eq!(found.map(|f| (f.action, f.language)), Some((Action::Stop, "de")));
    }
}
