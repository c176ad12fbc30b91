//! `POST /compliance/suppression-list/import`: a CSV file, plain or as a form; and how it fares.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::identity::Country;
use model::refusal::{Code, Refusal};
use serde::Serialize;
use serde_json::{Value, json};
use store::ImportRow;
use store::lane::{Admin, Compliance, ImportState, ImportStatus};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ImportSuppressions, ReadCompliance};
use super::super::body::{self, gather, storable};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};
use super::super::messages::id_of;
use super::super::page::Query;
use super::change::REASON_MAX;
use super::file::{self, BadFile};
use super::job::Job;

const FILE_MAX: usize = 25 * 1024 * 1024;
/// The file may take this many times as long as another body.
const PATIENCE_FACTOR: u64 = 4;
/// An import that says nothing for so long will say nothing more.
const SILENT_US: i64 = 5 * 60 * 1_000_000;

/// An import.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportOut {
    #[schema(example = "imp_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    /// `running`, `completed`, `failed`, or `interrupted` by a restart: what is stored stays, and
    /// the same file can be given again.
    #[schema(example = "completed")]
    status: &'static str,
    /// Nothing is stored; `added` is what is fit to be.
    dry_run: bool,
    total_rows: i64,
    processed_rows: i64,
    added: i64,
    already_listed: i64,
    rejected: i64,
    /// The first 100 rows that are refused: `row`, its line, with `code`, `message`, `field`,
    /// `value` and `expected`.
    #[schema(value_type = Vec<Object>)]
    errors: Value,
    created_at: String,
    updated_at: String,
    completed_at: Option<String>,
}

/// What came beside the file, and the file.
#[derive(Default)]
struct Upload {
    file: Bytes,
    options: HashMap<String, String>,
}

/// Puts the addresses of a CSV file on the suppression list, as a job.
#[utoipa::path(
    post, path = "/compliance/suppression-list/import", operation_id = "import_suppressions",
    tag = "compliance",
    params(
        ("default_country" = Option<String>, Query,
            description = "Two letters, as in `US`: of numbers without `+`"),
        ("default_reason" = Option<String>, Query, description = "`import` when left out"),
        ("dry_run" = Option<bool>, Query, description = "Look at the file and store nothing"),
    ),
    request_body(content(
        (String = "text/csv"),
        (Vec<u8> = "multipart/form-data"),
    ), description = "At most 25 MB and 100,000 rows: `address`, `scope`, `reason`, with a header \
        or in this order. As a form: the part `file`, and the parameters as parts."),
    responses(
        (status = 202, description = "It is read, and being stored", body = Envelope<ImportOut>),
        (status = 413, description = "The file is too large", body = ErrorOut),
        (status = 415, description = "Neither CSV nor a form", body = ErrorOut),
        (status = 422, description = "The file or a parameter is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<ImportSuppressions>,
    request: Request,
) -> Result<Response, ApiError> {
    let place = Arc::clone(&app.imports.places).try_acquire_owned().map_err(|_| {
        Refusal::unavailable("other imports are running; try again").retry_after(10)
    })?;
    let upload = upload(&app, request).await?;
    let (country, default_reason, dry_run) = upload.options()?;
    let rows = tokio::task::spawn_blocking(move || file::read(&upload.file));
    let rows = rows.await.map_err(|_| ApiError::internal())?.map_err(bad_file)?;
    let state = ImportState {
        id: PublicId::new(caller.call.at()),
        organization: caller.organization,
        process: app.imports.process,
        status: ImportStatus::Running,
        dry_run,
        total: i64::try_from(rows.len()).unwrap_or(i64::MAX),
        processed: 0,
        added: 0,
        known: 0,
        rejected: 0,
        errors: String::from("[]"),
    };
    app.writer.administer(Admin::Comply(Compliance::Import(state.clone()))).await?;
    let id = state.id;
    let (own, errors) = (app.clone(), Vec::new());
    tokio::spawn(Job { app: own, rows, country, default_reason, state, errors, place }.run());
    let out = find(&app, &caller, id).await?;
    caller.call.answer(StatusCode::ACCEPTED, out)
}

/// Shows how far an import is.
#[utoipa::path(
    get, path = "/compliance/suppression-list/imports/{id}",
    operation_id = "get_suppression_import", tag = "compliance",
    params(("id" = String, Path, example = "imp_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The import", body = Envelope<ImportOut>),
        (status = 404, description = "There is no such import of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadCompliance>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = PublicId::parse(Kind::Import, &id).ok_or_else(not_there)?;
    let out = find(&app, &caller, id).await?;
    caller.call.answer(StatusCode::OK, out)
}

async fn find<P>(app: &App, caller: &Caller<P>, id: PublicId) -> Result<ImportOut, ApiError> {
    let row = app.store.suppression_import(caller.organization, id).await?;
    let row = row.ok_or_else(not_there)?;
    Ok(ImportOut::new(row, app.imports.process, caller.call.at()))
}

fn not_there() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such import")
}

async fn upload(app: &App, request: Request) -> Result<Upload, ApiError> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    let media = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let query = Query::of(request.uri())?;
    let given = |name: &str| Some((name.to_owned(), query.get(name)?.to_owned()));
    let options = OPTIONS.iter().filter_map(|name| given(name)).collect();
    let form = media == "multipart/form-data";
    if !form && !matches!(media.as_str(), "text/csv" | "application/csv" | "text/plain") {
        let fault = Fault::new(Code::UnsupportedMedia, "the body must be CSV or a form")
            .field("Content-Type")
            .value(json!(kind))
            .expected("text/csv or multipart/form-data");
        return Err(fault.into());
    }
    let patience = Duration::from_secs(app.http.request_timeout_s * PATIENCE_FACTOR);
    let reading = gather(request.into_body(), FILE_MAX);
    let file = tokio::time::timeout(patience, reading).await.unwrap_or_else(|_| {
        Err(ApiError::new(Code::RequestTimeout, "the file did not arrive in time"))
    })?;
    let upload = Upload { file, options };
    if form { from_form(upload, &kind).await } else { Ok(upload) }
}

const OPTIONS: &[&str] = &["default_country", "default_reason", "dry_run"];

/// The parts of a form: the file, and what else is given.
async fn from_form(upload: Upload, kind: &str) -> Result<Upload, ApiError> {
    let broken = |error: multer::Error| ApiError::unreadable(format!("the form: {error}"));
    let boundary = multer::parse_boundary(kind).map_err(broken)?;
    let stream = Body::from(upload.file).into_data_stream();
    let mut form = multer::Multipart::new(stream, boundary);
    let (mut file, mut options) = (None, upload.options);
    while let Some(part) = form.next_field().await.map_err(broken)? {
        let name = part.name().unwrap_or_default().to_owned();
        if name == "file" || part.file_name().is_some() {
            file = Some(part.bytes().await.map_err(broken)?);
        } else if OPTIONS.contains(&name.as_str()) {
            options.insert(name, part.text().await.map_err(broken)?);
        }
    }
    let file = file.ok_or_else(|| body::missing("file"))?;
    Ok(Upload { file, options })
}

impl Upload {
    fn options(&self) -> Result<(Option<Country>, String, bool), ApiError> {
        let given = |name: &str| self.options.get(name).map(|text| text.trim());
        let mut faults = Vec::new();
        let country = given("default_country").filter(|text| !text.is_empty());
        let known = country.and_then(Country::parse);
        if let Some(text) = country
            && known.is_none()
        {
            let fault = body::wrong("default_country", json!(text));
            faults.push(fault.expected("a country of two letters, as in US"));
        }
        let reason = given("default_reason").filter(|text| !text.is_empty()).unwrap_or("import");
        storable("default_reason", reason, REASON_MAX, &mut faults);
        let dry_run = match given("dry_run").unwrap_or("false") {
            "true" | "1" => true,
            "false" | "0" | "" => false,
            text => {
                faults.push(body::wrong("dry_run", json!(text)).expected("true or false"));
                false
            }
        };
        if faults.is_empty() {
            return Ok((known, reason.to_owned(), dry_run));
        }
        Err(ApiError::faults(faults))
    }
}

fn bad_file(bad: BadFile) -> ApiError {
    let fault = match bad {
        BadFile::TooManyRows => {
            let message = "the file has too many rows";
            Fault::new(Code::ValidationError, message).expected("at most 100000 rows")
        }
        BadFile::Empty => {
            Fault::new(Code::ValidationError, "the file has no rows").expected("1 to 100000 rows")
        }
        BadFile::Unreadable(error) => {
            Fault::new(Code::ValidationError, format!("the file is not CSV: {error}"))
        }
    };
    fault.field("file").into()
}

impl ImportOut {
    fn new(row: ImportRow, process: i64, now: At) -> Self {
        let running = row.status == ImportStatus::Running as i64;
        let lost = row.process != process || row.updated_at < now.micros() - SILENT_US;
        let status = match row.status {
            _ if running && lost => "interrupted",
            _ if running => "running",
            status if status == ImportStatus::Completed as i64 => "completed",
            _ => "failed",
        };
        Self {
            id: id_of(Kind::Import, &row.id),
            status,
            dry_run: row.dry_run != 0,
            total_rows: row.total,
            processed_rows: row.processed,
            added: row.added,
            already_listed: row.known,
            rejected: row.rejected,
            errors: serde_json::from_str(&row.errors).unwrap_or_else(|_| json!([])),
            created_at: At(row.created_at).iso(),
            updated_at: At(row.updated_at).iso(),
            completed_at: row.done_at.map(|at| At(at).iso()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(process: i64, updated_at: i64) -> ImportRow {
        ImportRow {
            id: vec![1; 16],
            process,
            status: ImportStatus::Running as i64,
            dry_run: 0,
            total: 9,
            processed: 1,
            added: 1,
            known: 0,
            rejected: 0,
            errors: String::from("[]"),
            created_at: 0,
            updated_at,
            done_at: None,
        }
    }

    #[test]
    fn an_import_of_another_process_or_a_silent_one_is_interrupted() {
        let now = At(10 * SILENT_US);
        let status = |row| ImportOut::new(row, 7, now).status;
        assert_eq!(status(row(7, now.micros())), "running");
        assert_eq!(status(row(6, now.micros())), "interrupted");
        assert_eq!(status(row(7, now.micros() - SILENT_US - 1)), "interrupted");
        let done = ImportRow { status: ImportStatus::Completed as i64, ..row(6, 0) };
        assert_eq!(status(done), "completed");
    }
}
