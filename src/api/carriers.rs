//! `/messaging/smpp`: an organization's own carriers, and what is bound to them as.
//!
//! A change holds before its answer leaves. A password goes in, and comes out once, by `reveal`.
//! Carriers of the settings file that serve the organization are listed too, and changed there.

mod credentials;
mod docs;
mod routes;

use model::id::{Kind, PublicId};
use model::refusal::{Code, Refusal};
use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Caller, ChangeSmpp};
use super::body;
use super::error::{ApiError, Fault};
use crate::carriers::form::Fields;
use crate::carriers::{Filed, Refused};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(credentials::list, credentials::create))
        .routes(routes!(credentials::show, credentials::update, credentials::delete))
        .routes(routes!(credentials::reveal))
        .routes(routes!(credentials::rotate))
        .routes(routes!(credentials::status))
        .routes(routes!(routes::list, routes::create))
        .routes(routes!(routes::show, routes::update, routes::delete))
        .routes(routes!(routes::test))
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let Refused(mut refusals) = refused;
        if refusals.len() == 1 {
            return refusals.remove(0).into();
        }
        Self::faults(refusals.into_iter().map(Fault::from).collect())
    }
}

/// A body as an object, read field by field.
fn fields(raw: &[u8]) -> Result<Fields, ApiError> {
    body::parse::<Map<String, Value>>(raw, &[])
}

/// What is bound with a live key's money: a test key changes none of it.
fn live(caller: &Caller<ChangeSmpp>) -> Result<(), ApiError> {
    if caller.test {
        let message = "carriers are changed with a live key";
        return Err(ApiError::new(Code::WrongKeyMode, message));
    }
    Ok(())
}

fn managed_by_settings() -> ApiError {
    let message = "it stands in the settings file of the switch; the operator changes it there";
    Refusal::new(Code::ManagedBySettings, message).into()
}

/// The settings' carriers of an organization, each with a number below all stored ones.
fn filed_of<'a, P>(app: &'a App, caller: &Caller<P>) -> Vec<(i64, &'a Filed)> {
    let own = |filed: &&Filed| filed.organization == Some(caller.organization);
    let own = app.carriers.filed().iter().filter(own);
    (1_i64..).map(|at| -at).zip(own).collect()
}

/// Who asks, as the log names it.
async fn key_of<P>(app: &App, caller: &Caller<P>) -> Result<String, ApiError> {
    let id = app.store.key_id(caller.key).await?;
    Ok(id.map_or_else(String::new, |id| id.show(Kind::ApiKey)))
}

fn id(kind: Kind, text: &str, unknown: fn() -> Refusal) -> Result<PublicId, ApiError> {
    PublicId::parse(kind, text).ok_or_else(|| unknown().into())
}
