//! What stopping, editing and repeating a message have in common: finding it, and saying no.

use model::id::{Kind, PublicId};
use model::message::{Direction, Status};
use model::refusal::{Code, Detail, Refusal};
use store::ChangeRow;

use super::super::App;
use super::super::auth::Caller;
use super::super::error::ApiError;

/// An outbound message of the caller's, of the mode of the caller's key.
pub(crate) async fn find<P>(
    app: &App,
    caller: &Caller<P>,
    id: &str,
) -> Result<ChangeRow, ApiError> {
    let unknown = || ApiError::new(Code::NotFound, "there is no such message");
    let id = PublicId::parse(Kind::Message, id).ok_or_else(unknown)?;
    let row = app.store.changeable(caller.organization, id).await?.ok_or_else(unknown)?;
    check_mode(caller, row.test_mode)?;
    Ok(row)
}

/// A test key changes nothing that costs money, nor a live key what plays.
pub(crate) fn check_mode<P>(caller: &Caller<P>, test_mode: i64) -> Result<(), Refusal> {
    if caller.test == (test_mode != 0) {
        return Ok(());
    }
    let message = if caller.test {
        "this message was sent with a live key, and is changed with one"
    } else {
        "this message was sent with a test key, and is changed with one"
    };
    Err(Refusal::new(Code::WrongKeyMode, message))
}

/// The stored status; an inbound message is `received` whatever else it says.
pub(crate) fn status_of(row: &ChangeRow) -> Status {
    if row.direction == Direction::Inbound.code() {
        return Status::Received;
    }
    Status::from_code(row.status).unwrap_or(Status::Queued)
}

/// No, because of how the message stands.
pub(crate) fn refused(code: Code, message: &'static str, status: Status) -> Refusal {
    Refusal::new(code, message).detail("status", Detail::Text(status.as_str().to_owned()))
}
