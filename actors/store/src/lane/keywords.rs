//! Keywords in inbound messages: STOP, START and HELP, in the transaction that stores the message.
//!
//! What the person says is kept by `consent.rs`; the answer is written down here as due, and sent
//! by whoever sends such answers, once. Tables: keyword_sets, keyword_replies.

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::consent::{Origin, Scope};
use model::id::PublicId;
use model::keyword::{self, Action, WordSet};

use super::consent::NewConsent;
use super::{Gathered, Inbound, Lane};
use crate::bulk::{Bulk, Column, Line};
use crate::error::StoreError;

/// One confirmation of STOP per person in this time.
const STOP_ANSWER_EVERY_US: i64 = 24 * 3_600 * 1_000_000;
/// Other answers come at most this often, so that two machines do not talk for ever.
const ANSWER_EVERY_US: i64 = 60 * 1_000_000;

/// A message that was just stored.
pub(super) struct Heard<'a> {
    pub(super) owner: OrgId,
    pub(super) key: MessageKey,
    pub(super) id: PublicId,
    pub(super) item: &'a Inbound,
}

impl Lane {
    /// Does what a keyword asks for; any other text is left alone, and `false`.
    pub(super) async fn heed(
        &mut self,
        heard: &Heard<'_>,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<bool, StoreError> {
        let folded = keyword::fold(&heard.item.body);
        if folded.is_empty() || folded.chars().count() > keyword::WORD_MAX {
            return Ok(false);
        }
        let sets = self.word_sets(heard.owner).await?;
        let Some(found) = keyword::find(&sets, &folded) else {
            return Ok(false);
        };
        let (owner, from) = (heard.owner, heard.item.from.as_str());
        if found.only_when_opted_out && !self.has_opted_out(owner, from, Scope::Sms).await? {
            return Ok(false);
        }
        let mut wanted = true;
        if found.action != Action::Help {
            let told = gathered.events.len();
            let said = [said(heard, found.action, now)];
            self.consent(owner, &said, now, gathered).await?;
            // Who stays on the list for another reason is not told of being back.
            wanted = gathered.events.len() > told;
        }
        if wanted {
            let text = keyword::reply(&sets, found.action, found.language);
            self.answer(heard, found.action, text, now, gathered).await?;
        }
        Ok(true)
    }

    async fn word_sets(&mut self, organization: OrgId) -> Result<Vec<WordSet>, StoreError> {
        let lines = self.conn.fetch(&WORD_SETS, &[Column::Int(vec![organization.0])]).await?;
        lines.iter().map(word_set).collect()
    }

    /// Writes down that an answer is due, unless the person got one of late.
    async fn answer(
        &mut self,
        heard: &Heard<'_>,
        action: Action,
        text: &str,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let rest = if action == Action::Stop { STOP_ANSWER_EVERY_US } else { ANSWER_EVERY_US };
        let columns = [
            Column::Int(vec![heard.owner.0]),
            Column::Text(vec![&heard.item.from]),
            Column::Int(vec![action.code()]),
            Column::Int(vec![now.micros() - rest]),
        ];
        if !self.conn.fetch(&ANSWERED_OF_LATE, &columns).await?.is_empty() {
            return Ok(());
        }
        let columns = [
            Column::Int(vec![heard.key.0]),
            Column::Int(vec![heard.owner.0]),
            Column::Blob(vec![heard.id.as_bytes()]),
            Column::Text(vec![&heard.item.from]),
            Column::Text(vec![&heard.item.to]),
            Column::Int(vec![action.code()]),
            Column::Text(vec![text]),
            Column::Int(vec![now.micros()]),
        ];
        self.conn.run(&OWE_ANSWER, &columns).await?;
        gathered.replies_due = true;
        Ok(())
    }
}

fn said(heard: &Heard<'_>, action: Action, now: At) -> NewConsent {
    let word = heard.item.body.trim().chars().take(keyword::WORD_MAX).collect();
    NewConsent {
        id: PublicId::new(now),
        address: heard.item.from.clone(),
        channel: Scope::Sms,
        opt_in: action == Action::Start,
        origin: Origin::Keyword,
        source: String::from("keyword"),
        consent_type: String::from("messaging"),
        lawful_basis: None,
        purpose: None,
        text_version: None,
        proof_url: None,
        metadata: None,
        keyword: Some(word),
        message: Some((heard.key, heard.id)),
    }
}

fn word_set(line: &Line) -> Result<WordSet, StoreError> {
    let action = Action::from_code(line.int(1)?);
    Ok(WordSet {
        language: line.text(0)?,
        action: action.ok_or(StoreError::Impossible("words for no known action"))?,
        words: serde_json::from_str(&line.text(2)?).unwrap_or_default(),
        reply: line.maybe_text(3)?,
        default_language: line.int(4)? != 0,
    })
}

static WORD_SETS: Bulk = Bulk {
    sqlite: "select language, action, words, reply, default_language from keyword_sets
         where organization_id = ?1 order by language, action",
    postgres: "select language, action, words, reply, default_language from keyword_sets
         where organization_id = any($1::bigint[]) order by language, action",
};

static ANSWERED_OF_LATE: Bulk = Bulk {
    sqlite: "select message_key from keyword_replies where organization_id = ?1 and address = ?2
         and action = ?3 and created_at > ?4 and state <> 3 limit 1",
    postgres: "select r.message_key
         from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) v (o, a, c, s)
         join keyword_replies r on r.organization_id = v.o and r.address = v.a
         and r.action = v.c and r.created_at > v.s where r.state <> 3 limit 1",
};

static OWE_ANSWER: Bulk = Bulk {
    sqlite: "insert into keyword_replies (message_key, organization_id, message_id, address,
            number, action, body, state, created_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8)",
    postgres: "insert into keyword_replies (message_key, organization_id, message_id, address,
            number, action, body, state, created_at)
         select v.k, v.o, v.i, v.a, v.n, v.c, v.b, 1, v.t
         from unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::text[], $5::text[],
            $6::bigint[], $7::text[], $8::bigint[]) v (k, o, i, a, n, c, b, t)",
};
