//! `/compliance/keywords`: an organization's own words for stop, start and help, and its answers.

use std::collections::{BTreeMap, HashMap};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use model::keyword::{self, Action, WordSet};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::lane::{Admin, Compliance};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Caller, ChangeCompliance, ReadCompliance};
use super::body::{self, Field, Kind, Raw, storable, wrong};
use super::call::Envelope;
use super::error::{ApiError, ErrorOut, Fault};

const LANGUAGES_MAX: usize = 50;
const WORDS_MAX: usize = 50;
const REPLY_MAX: usize = 1_600;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, replace))
}

/// The words of one action in one language.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub(crate) struct WordsInOut {
    /// Beside the built-in ones; at most 50, of 32 characters. Shown as they are compared.
    #[serde(default)]
    words: Vec<String>,
    /// What is answered; null: the text of the built-in language.
    #[serde(default)]
    reply: Option<String>,
}

/// The words of one language.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub(crate) struct LanguageInOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<WordsInOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<WordsInOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<WordsInOut>,
}

/// All words and texts of an organization; what is not named is gone.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"default_language": "de", "languages": {"de": {"stop": {
    "words": ["STOPP"], "reply": "Sie sind abgemeldet. START meldet Sie wieder an."}}}}))]
pub(crate) struct KeywordsIn {
    /// Of whoever uses a built-in word; one of `languages`. `en` when left out.
    default_language: Option<String>,
    /// By language tag, as in `de` or `pt-BR`; at most 50.
    #[schema(value_type = HashMap<String, LanguageInOut>)]
    languages: Map<String, Value>,
}

/// Words and texts in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeywordsOut {
    default_language: String,
    languages: BTreeMap<String, LanguageInOut>,
    /// What holds in any case, and is answered where no text is set.
    built_in: LanguageInOut,
}

const FIELDS: &[Field] =
    &[Field::optional("default_language", Kind::Text), Field::required("languages", Kind::Object)];

/// Shows the words for stop, start and help, and what is answered.
#[utoipa::path(
    get, path = "/compliance/keywords", operation_id = "get_keywords", tag = "compliance",
    responses(
        (status = 200, description = "Words and texts", body = Envelope<KeywordsOut>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadCompliance>,
) -> Result<Response, ApiError> {
    let sets = app.store.word_sets(caller.organization).await?;
    caller.call.answer(StatusCode::OK, KeywordsOut::of(sets))
}

/// Replaces all words and texts. Built-in words keep their meaning.
#[utoipa::path(
    put, path = "/compliance/keywords", operation_id = "set_keywords", tag = "compliance",
    request_body = KeywordsIn,
    responses(
        (status = 200, description = "In force", body = Envelope<KeywordsOut>),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn replace(
    State(app): State<App>,
    caller: Caller<ChangeCompliance>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let input: KeywordsIn = body::parse(&raw, FIELDS)?;
    let sets = input.check().map_err(ApiError::faults)?;
    let organization = caller.organization;
    let change = Compliance::SetKeywords { organization, sets: sets.clone() };
    app.writer.administer(Admin::Comply(change)).await?;
    caller.call.answer(StatusCode::OK, KeywordsOut::of(sets))
}

impl KeywordsIn {
    fn check(self) -> Result<Vec<WordSet>, Vec<Fault>> {
        let mut faults = Vec::new();
        if self.languages.len() > LANGUAGES_MAX {
            let count = json!(self.languages.len());
            return Err(vec![wrong("languages", count).expected("at most 50 languages")]);
        }
        let mut sets = Vec::new();
        for (language, value) in self.languages {
            if !is_tag(&language) {
                let fault = wrong("languages", json!(language));
                faults.push(fault.expected("language tags, as de or pt-BR"));
                continue;
            }
            match serde_json::from_value::<LanguageInOut>(value) {
                Ok(words) => words.add_to(&language, &mut sets, &mut faults),
                Err(error) => faults.push(wrong("languages", json!(error.to_string()))),
            }
        }
        check_meanings(&sets, &mut faults);
        let default = self.default_language.as_deref();
        if let Some(default) = default.filter(|tag| *tag != keyword::BUILT_IN_LANGUAGE) {
            let known = sets.iter().any(|set| set.language == default);
            if !known {
                let fault = wrong("default_language", json!(default));
                faults.push(fault.expected("one of the languages"));
            }
            for set in &mut sets {
                set.default_language = set.language == default;
            }
        }
        if faults.is_empty() { Ok(sets) } else { Err(faults) }
    }
}

impl LanguageInOut {
    fn add_to(self, language: &str, sets: &mut Vec<WordSet>, faults: &mut Vec<Fault>) {
        let all =
            [(Action::Stop, self.stop), (Action::Start, self.start), (Action::Help, self.help)];
        for (action, words) in all {
            let Some(WordsInOut { words, reply }) = words else { continue };
            let mut folded: Vec<String> = words.iter().map(|word| keyword::fold(word)).collect();
            folded.sort_unstable();
            folded.dedup();
            let fits = |word: &String| {
                !word.is_empty()
                    && word.chars().count() <= keyword::WORD_MAX
                    && !word.contains('\0')
            };
            if words.len() > WORDS_MAX || !folded.iter().all(fits) {
                let expected = "at most 50 words of 1 to 32 characters";
                faults.push(wrong("words", json!(words.len())).expected(expected));
            }
            if let Some(reply) = &reply {
                storable("reply", reply, REPLY_MAX, faults);
            }
            let reply = reply.filter(|reply| !reply.trim().is_empty());
            let language = language.to_owned();
            let default_language = false;
            sets.push(WordSet { language, action, words: folded, reply, default_language });
        }
    }
}

/// One word has one meaning, in whatever language.
fn check_meanings(sets: &[WordSet], faults: &mut Vec<Fault>) {
    let mut meanings: HashMap<&str, Action> = HashMap::new();
    for action in Action::ALL {
        meanings.extend(action.built_in().iter().map(|word| (*word, *action)));
    }
    for set in sets {
        for word in &set.words {
            if *meanings.entry(word).or_insert(set.action) != set.action {
                let fault = wrong("words", json!(word));
                faults.push(fault.expected("words that do not mean something else already"));
            }
        }
    }
}

/// Letters and digits in groups of up to eight, the first of two or three letters.
fn is_tag(text: &str) -> bool {
    let mut groups = text.split('-');
    let first = groups.next().unwrap_or_default();
    (2..=3).contains(&first.len())
        && first.bytes().all(|b| b.is_ascii_lowercase())
        && text.len() <= 35
        && groups.all(|group| {
            (1..=8).contains(&group.len()) && group.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

impl KeywordsOut {
    fn of(sets: Vec<WordSet>) -> Self {
        let default = sets.iter().find(|set| set.default_language);
        let default_language =
            default.map_or(keyword::BUILT_IN_LANGUAGE, |set| &set.language).to_owned();
        let mut languages: BTreeMap<String, LanguageInOut> = BTreeMap::new();
        for set in sets {
            let words = WordsInOut { words: set.words, reply: set.reply };
            languages.entry(set.language).or_default().put(set.action, words);
        }
        let mut built_in = LanguageInOut::default();
        for action in Action::ALL {
            let words = action.built_in().iter().map(|word| (*word).to_owned()).collect();
            let reply = Some(action.built_in_reply().to_owned());
            built_in.put(*action, WordsInOut { words, reply });
        }
        Self { default_language, languages, built_in }
    }
}

impl LanguageInOut {
    fn put(&mut self, action: Action, words: WordsInOut) {
        match action {
            Action::Stop => self.stop = Some(words),
            Action::Start => self.start = Some(words),
            Action::Help => self.help = Some(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: Value) -> Result<Vec<WordSet>, Vec<Fault>> {
        serde_json::from_value::<KeywordsIn>(body).unwrap().check()
    }

    #[test]
    fn words_are_folded_and_marked_with_their_language() {
        let sets = check(json!({"default_language": "de", "languages": {
            "de": {"stop": {"words": ["STOPP!", "stopp"], "reply": "Ade."}},
            "fr": {"help": {"words": ["AIDE"]}},
        }}))
        .unwrap_or_else(|faults| panic!("{faults:?}"));
        assert_eq!((sets.len(), sets[0].words.as_slice()), (2, &[String::from("stopp")][..]));
        assert!(sets[0].default_language && !sets[1].default_language);
        assert_eq!(KeywordsOut::of(sets).default_language, "de");
    }

    #[test]
    fn what_would_be_ambiguous_or_endless_is_refused() {
        let with = |words: Value| json!({"languages": {"de": {"help": {"words": words}}}});
        let many: Vec<String> = (0..51).map(|n| format!("w{n}")).collect();
        for bad in [
            with(json!(["STOP"])),
            with(json!(["..."])),
            with(json!(["x".repeat(33)])),
            with(json!(many)),
            with(json!("x")),
            json!({"languages": {"german!": {}}}),
            json!({"languages": {}, "default_language": "de"}),
            json!({"languages": {"de": {"stop": {"words": ["a"]}, "help": {"words": ["a"]}}}}),
            json!({"languages": {"de": {"stop": {"reply": "x".repeat(1_601)}}}}),
        ] {
            assert!(check(bad.clone()).is_err(), "{bad}");
        }
        assert!(check(with(json!(["HELP", "hilfe"]))).is_ok());
        assert!(is_tag("pt-BR") && is_tag("zh-Hant-TW") && !is_tag("PT") && !is_tag("de-"));
    }
}
