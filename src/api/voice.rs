//! `/voice`: calls, the records of their legs, and what was seen of them on the wire.
//!
//! calls ─ list, one, its events   cdrs ─ list, file   ladder ─ as JSON, as text, as a picture
//! orders ─ hang up, hold, mute, digits: the call's actor does it   transfer ─ the same, who is sent on
//! sounding ─ the same, what is played and recorded   recordings ─ rows and files   taping ─ what is to be
//! recorded

mod calls;
mod cdrs;
mod ladder;
mod orders;
mod output;
mod recordings;
mod sounding;
mod taping;
mod transfer;

use model::carrier::MessageKey;
use model::id::{Kind, PublicId};
use model::message::Direction;
use model::refusal::Code;
use store::{CallFilter, CallRow};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Caller;
use super::error::ApiError;
use super::page::Query;
use output::CallDetailOut;

/// Legs of one call that are shown.
const LEGS_MAX: i64 = 100;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(calls::list))
        .routes(routes!(calls::show))
        .routes(routes!(calls::events))
        .routes(routes!(ladder::show))
        .routes(routes!(orders::hang_up))
        .routes(routes!(orders::decline))
        .routes(routes!(orders::hold))
        .routes(routes!(orders::unhold))
        .routes(routes!(orders::mute))
        .routes(routes!(orders::unmute))
        .routes(routes!(orders::press))
        .routes(routes!(transfer::transfer))
        .routes(routes!(sounding::record))
        .routes(routes!(sounding::play, sounding::stop_playing))
        .routes(routes!(taping::show, taping::replace))
        .routes(routes!(recordings::list))
        .routes(routes!(recordings::of_call))
        .routes(routes!(recordings::show, recordings::delete))
        .routes(routes!(recordings::media))
        .routes(routes!(cdrs::list))
        .routes(routes!(cdrs::export))
}

async fn find<P>(app: &App, caller: &Caller<P>, id: &str) -> Result<CallRow, ApiError> {
    let unknown = || ApiError::new(Code::NotFound, "there is no such call");
    let id = PublicId::parse(Kind::Call, id).ok_or_else(unknown)?;
    app.store.call(caller.organization, id).await?.ok_or_else(unknown)
}

/// A call with its legs.
async fn detail<P>(app: &App, caller: &Caller<P>, row: CallRow) -> Result<CallDetailOut, ApiError> {
    let key = MessageKey(row.key);
    let records = app.store.legs_of(caller.organization, key, LEGS_MAX).await?;
    let recordings = app.store.recordings(caller.organization, (Some(key), None), i64::MAX, 1);
    let recording = recordings.await?.first().map(recordings::RecordingOut::of);
    Ok(CallDetailOut::of(row, &records, caller.call.at()).recorded(recording.as_ref()))
}

/// What lists of calls and of records have in common.
fn filter_of(query: &Query) -> Result<CallFilter, ApiError> {
    let direction = query.get("direction").map(|text| {
        let known = Direction::parse(text).map(Direction::code);
        known.ok_or_else(|| ApiError::query("direction", text, "outbound or inbound"))
    });
    Ok(CallFilter {
        direction: direction.transpose()?,
        to: query.get("to").map(str::to_owned),
        from: query.get("from").map(str::to_owned),
        ..CallFilter::default()
    })
}
