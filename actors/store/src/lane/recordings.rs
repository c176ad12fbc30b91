//! Changes of recordings, asked for as [`super::Admin::Recording`], and what the log says of them.
//!
//! A recording begins with its row, before anything of it is on disk, and ends once: only one that is
//! under way can end. Tables: recordings, recording_settings; calls are read; events are gathered.

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::id::{Kind, PublicId};
use model::message::Direction;
use model::voice::{ConsentMode, RecordingFault, RecordingStatus};

use super::{EventRow, Gathered, Lane};
use crate::bulk::{Bulk, Column, Line};
use crate::error::StoreError;
use crate::json::Object;

const DAY_US: i64 = 86_400_000_000;

/// A recording that is about to begin.
#[derive(Clone, Debug)]
pub struct NewRecording {
    pub id: PublicId,
    pub organization: OrgId,
    pub call: MessageKey,
    /// What was announced, and when.
    pub mode: ConsentMode,
    pub announced_at: Option<At>,
    /// Below the folder of recordings.
    pub file: String,
    pub retention_days: i64,
}

/// How a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordingEnd {
    /// `None`: it is whole.
    pub fault: Option<RecordingFault>,
    pub duration_ms: i64,
    /// 0: there is no file.
    pub size_bytes: i64,
    /// What the disk was too slow for.
    pub lost_ms: i64,
}

#[derive(Clone, Debug)]
pub enum RecordingChange {
    Begin(NewRecording),
    End {
        id: PublicId,
        end: RecordingEnd,
    },
    /// A call that was to be recorded is not.
    Refuse {
        organization: OrgId,
        call: MessageKey,
        fault: RecordingFault,
    },
    Delete {
        organization: OrgId,
        id: PublicId,
    },
    /// Their files are gone.
    Drop(Vec<i64>),
    /// What an organization wants, as JSON.
    Settings {
        organization: OrgId,
        settings: String,
    },
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingDone {
    Stored,
    Unknown,
    /// It is under way.
    Busy,
}

/// The call of a recording, as its events tell of it.
struct Of {
    id: Vec<u8>,
    direction: i64,
    from: Option<String>,
    to: String,
    test: i64,
    metadata: Option<String>,
}

impl Of {
    fn read(line: &Line) -> Result<Self, StoreError> {
        Ok(Self {
            id: line.blob(0)?,
            direction: line.int(1)?,
            from: line.maybe_text(2)?,
            to: line.text(3)?,
            test: line.int(4)?,
            metadata: line.maybe_text(5)?,
        })
    }

    /// What its events have in common.
    fn data(&self, at: At) -> Object {
        let direction = Direction::from_code(self.direction).map_or("outbound", Direction::as_str);
        let id = <[u8; 16]>::try_from(self.id.as_slice()).unwrap_or_default();
        let mut data = Object::new();
        data.text("call_id", &PublicId::from_bytes(id).show(Kind::Call))
            .text("direction", direction)
            .maybe_text("from", self.from.as_deref())
            .text("to", &self.to)
            .text("at", &at.iso())
            .flag("test_mode", self.test != 0)
            .raw("metadata", self.metadata.as_deref().unwrap_or("{}"));
        data
    }
}

/// Which recording an event is of, and what is known of it.
fn event(
    of: &Of,
    (organization, call): (OrgId, MessageKey),
    (kind, id): (EventKind, Option<PublicId>),
    end: Option<RecordingEnd>,
    now: At,
) -> EventRow {
    let shown = id.map(|id| id.show(Kind::Recording));
    let url = shown.as_ref().map(|id| format!("/api/v1/voice/recordings/{id}/media"));
    let url = url.filter(|_| end.is_some_and(|end| end.size_bytes > 0));
    let fault = end.and_then(|end| end.fault).map(RecordingFault::as_str);
    let mut data = of.data(now);
    data.maybe_text("recording_id", shown.as_deref())
        .maybe_text("url", url.as_deref())
        .maybe_int("duration_seconds", end.map(|end| end.duration_ms / 1_000))
        .int("channels", 2)
        .text("format", "wav")
        .maybe_text("reason", fault);
    EventRow::of_call(organization, call, kind, data.end())
}

impl Lane {
    pub(super) async fn change_recording(
        &mut self,
        change: &RecordingChange,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<RecordingDone, StoreError> {
        match change {
            RecordingChange::Begin(new) => self.begin_recording(new, now, gathered).await,
            RecordingChange::End { id, end } => self.end_recording(*id, *end, now, gathered).await,
            RecordingChange::Refuse { organization, call, fault } => {
                let Some(of) = self.call_of(*organization, *call).await? else {
                    return Ok(RecordingDone::Unknown);
                };
                let (fault, size_bytes) = (Some(*fault), 0);
                let end = RecordingEnd { fault, duration_ms: 0, size_bytes, lost_ms: 0 };
                let kind = (EventKind::RecordingFailed, None);
                gathered.events.push(event(&of, (*organization, *call), kind, Some(end), now));
                Ok(RecordingDone::Stored)
            }
            RecordingChange::Delete { organization, id } => {
                let columns =
                    [Column::Int(vec![organization.0]), Column::Blob(vec![id.as_bytes()])];
                let lines = self.conn.fetch(&FIND, &columns).await?;
                let status = lines.first().map(|line| line.int(1)).transpose()?;
                match status.and_then(RecordingStatus::from_code) {
                    None | Some(RecordingStatus::Deleted) => Ok(RecordingDone::Unknown),
                    Some(RecordingStatus::InProgress) => Ok(RecordingDone::Busy),
                    Some(_) => {
                        self.conn.run(&DELETE, &columns).await?;
                        Ok(RecordingDone::Stored)
                    }
                }
            }
            RecordingChange::Drop(rows) => {
                self.conn.run(&DROP, &[Column::Int(rows.clone())]).await?;
                Ok(RecordingDone::Stored)
            }
            RecordingChange::Settings { organization, settings } => {
                let columns = [
                    Column::Int(vec![organization.0]),
                    Column::Text(vec![settings]),
                    Column::Int(vec![now.micros()]),
                ];
                self.conn.run(&SET, &columns).await?;
                Ok(RecordingDone::Stored)
            }
        }
    }

    async fn call_of(
        &mut self,
        organization: OrgId,
        call: MessageKey,
    ) -> Result<Option<Of>, StoreError> {
        let columns = [Column::Int(vec![call.0]), Column::Int(vec![organization.0])];
        let lines = self.conn.fetch(&CALL, &columns).await?;
        lines.first().map(Of::read).transpose()
    }

    async fn begin_recording(
        &mut self,
        new: &NewRecording,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<RecordingDone, StoreError> {
        let Some(of) = self.call_of(new.organization, new.call).await? else {
            return Ok(RecordingDone::Unknown);
        };
        let columns = [
            Column::Int(vec![self.number()]),
            Column::Blob(vec![new.id.as_bytes()]),
            Column::Int(vec![new.organization.0]),
            Column::Int(vec![new.call.0]),
            Column::Blob(vec![&of.id]),
            Column::Int(vec![of.test]),
            Column::Int(vec![now.micros()]),
            Column::Text(vec![new.mode.as_str()]),
            Column::MaybeInt(vec![new.announced_at.map(At::micros)]),
            Column::Text(vec![&new.file]),
            Column::Int(vec![now.0.saturating_add(new.retention_days.saturating_mul(DAY_US))]),
        ];
        self.conn.run(&INSERT, &columns).await?;
        let kind = (EventKind::RecordingStarted, Some(new.id));
        gathered.events.push(event(&of, (new.organization, new.call), kind, None, now));
        Ok(RecordingDone::Stored)
    }

    async fn end_recording(
        &mut self,
        id: PublicId,
        end: RecordingEnd,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<RecordingDone, StoreError> {
        let lines = self.conn.fetch(&OPEN, &[Column::Blob(vec![id.as_bytes()])]).await?;
        let Some(line) = lines.first() else { return Ok(RecordingDone::Unknown) };
        let (organization, call) = (OrgId(line.int(0)?), MessageKey(line.int(1)?));
        let (status, kind) = match end.fault {
            None => (RecordingStatus::Available, EventKind::RecordingCompleted),
            Some(_) => (RecordingStatus::Failed, EventKind::RecordingFailed),
        };
        let columns = [
            Column::Blob(vec![id.as_bytes()]),
            Column::Int(vec![status.code()]),
            Column::Int(vec![now.micros()]),
            Column::Int(vec![end.duration_ms]),
            Column::Int(vec![end.size_bytes]),
            Column::Int(vec![end.lost_ms]),
            Column::MaybeText(vec![end.fault.map(RecordingFault::as_str)]),
        ];
        self.conn.run(&END, &columns).await?;
        // The call's row may be gone; the recording's end is stored all the same.
        if let Some(of) = self.call_of(organization, call).await? {
            let row = event(&of, (organization, call), (kind, Some(id)), Some(end), now);
            gathered.events.push(row);
        }
        Ok(RecordingDone::Stored)
    }
}

static CALL: Bulk = Bulk {
    sqlite: "select id, direction, from_addr, to_addr, test_mode, metadata from calls
         where key = ?1 and organization_id = ?2",
    postgres: "select c.id, c.direction, c.from_addr, c.to_addr, c.test_mode, c.metadata
         from unnest($1::bigint[], $2::bigint[]) v (k, o)
         join calls c on c.key = v.k and c.organization_id = v.o",
};

static INSERT: Bulk = Bulk {
    sqlite: "insert into recordings (seq, public_id, organization_id, call_key, call_id, test_mode,
            status, started_at, consent_mode, announced_at, file, expires_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?9, ?10, ?11)",
    postgres:
        "insert into recordings (seq, public_id, organization_id, call_key, call_id, test_mode,
            status, started_at, consent_mode, announced_at, file, expires_at)
         select s, p, o, k, c, t, 1, a, m, n, f, e from unnest($1::bigint[], $2::bytea[],
            $3::bigint[], $4::bigint[], $5::bytea[], $6::bigint[], $7::bigint[], $8::text[],
            $9::bigint[], $10::text[], $11::bigint[]) v (s, p, o, k, c, t, a, m, n, f, e)",
};

static OPEN: Bulk = Bulk {
    sqlite: "select organization_id, call_key from recordings where public_id = ?1 and status = 1",
    postgres: "select r.organization_id, r.call_key from unnest($1::bytea[]) v (p)
         join recordings r on r.public_id = v.p where r.status = 1",
};

static END: Bulk = Bulk {
    sqlite: "update recordings set status = ?2, ended_at = ?3, duration_ms = ?4, size_bytes = ?5,
            lost_ms = ?6, fault = ?7 where public_id = ?1",
    postgres: "update recordings set status = v.s, ended_at = v.e, duration_ms = v.d,
            size_bytes = v.b, lost_ms = v.l, fault = v.f
         from unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::text[]) v (p, s, e, d, b, l, f)
         where public_id = v.p",
};

static FIND: Bulk = Bulk {
    sqlite: "select seq, status from recordings where organization_id = ?1 and public_id = ?2",
    postgres: "select r.seq, r.status from unnest($1::bigint[], $2::bytea[]) v (o, p)
         join recordings r on r.organization_id = v.o and r.public_id = v.p",
};

static DELETE: Bulk = Bulk {
    sqlite: "update recordings set status = 5 where organization_id = ?1 and public_id = ?2",
    postgres: "update recordings set status = 5
         from unnest($1::bigint[], $2::bytea[]) v (o, p)
         where organization_id = v.o and public_id = v.p",
};

static DROP: Bulk = Bulk {
    sqlite: "delete from recordings where seq = ?1 and status > 1",
    postgres: "delete from recordings where seq = any ($1::bigint[]) and status > 1",
};

static SET: Bulk = Bulk {
    sqlite: "insert into recording_settings (organization_id, settings, updated_at)
         values (?1, ?2, ?3)
         on conflict (organization_id) do update set settings = excluded.settings,
            updated_at = excluded.updated_at",
    postgres: "insert into recording_settings (organization_id, settings, updated_at)
         select o, s, u from unnest($1::bigint[], $2::text[], $3::bigint[]) v (o, s, u)
         on conflict (organization_id) do update set settings = excluded.settings,
            updated_at = excluded.updated_at",
};
