//! Recordings of calls, and what organizations want of them, as read. Tables: recordings,
//! recording_settings.

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::id::PublicId;

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// A recording as its organization sees it.
    pub struct RecordingRow {
        pub seq: i64,
        pub public_id: Vec<u8>,
        pub call_id: Vec<u8>,
        pub test_mode: i64,
        pub status: i64,
        pub started_at: i64,
        pub ended_at: Option<i64>,
        pub duration_ms: Option<i64>,
        pub size_bytes: Option<i64>,
        pub lost_ms: Option<i64>,
        pub consent_mode: String,
        pub announced_at: Option<i64>,
        pub fault: Option<String>,
        pub expires_at: i64,
    }
}

row! {
    /// Where a recording lies.
    pub struct RecordingFileRow {
        pub seq: i64,
        pub public_id: Vec<u8>,
        pub file: String,
        pub expires_at: i64,
    }
}

row! {
    /// What an organization wants.
    pub struct RecordingSettingsRow {
        pub organization_id: i64,
        /// JSON.
        pub settings: String,
    }
}

row! {
    struct FileRow {
        file: String,
    }
}

/// The columns of [`RecordingRow`].
macro_rules! select_recordings {
    ($rest:literal) => {
        concat!(
            "select seq, public_id, call_id, test_mode, status, started_at, ended_at, duration_ms,
                size_bytes, lost_ms, consent_mode, announced_at, fault, expires_at
            from recordings ",
            $rest
        )
    };
}

impl Store {
    /// Newest first, below `before`; those that are deleted are not shown.
    pub async fn recordings(
        &self,
        organization: OrgId,
        (call, status): (Option<MessageKey>, Option<i64>),
        before: i64,
        limit: i64,
    ) -> Result<Vec<RecordingRow>, StoreError> {
        // Those of one call are found by it, not among all of the organization's: the plus says so.
        let of_all = select_recordings!(
            "where organization_id = $1 and seq < $2 and status < 5
                and ($3 is null or call_key = $4)
                and ($5 is null or status = $6)
            order by seq desc limit $7"
        );
        let of_one = select_recordings!(
            "where +organization_id = $1 and seq < $2 and status < 5
                and $3 is not null and call_key = $4
                and ($5 is null or status = $6)
            order by seq desc limit $7"
        );
        let sql = if call.is_some() { of_one } else { of_all };
        // Each optional bind comes twice: once as a flag, since PostgreSQL cannot type a lone null.
        let flag = |given: bool| given.then_some(1_i64);
        let query = sqlx::query_as(sql)
            .bind(organization.0)
            .bind(before)
            .bind(flag(call.is_some()))
            .bind(call.map_or(0, |call| call.0))
            .bind(flag(status.is_some()))
            .bind(status.unwrap_or(0))
            .bind(limit);
        self.all_of(organization, query).await
    }

    pub async fn recording(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<RecordingRow>, StoreError> {
        let sql =
            select_recordings!("where organization_id = $1 and public_id = $2 and status < 5");
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }

    /// Where a recording of this organization lies.
    pub async fn recording_file(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<String>, StoreError> {
        let sql = "select file from recordings
            where organization_id = $1 and public_id = $2 and status < 5";
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        let row: Option<FileRow> = query.fetch_optional(self.engine()).await?;
        Ok(row.map(|row| row.file))
    }

    /// Those below a number that are still under way.
    pub async fn open_recordings(
        &self,
        below: i64,
        limit: i64,
    ) -> Result<Vec<RecordingFileRow>, StoreError> {
        let sql = "select seq, public_id, file, expires_at from recordings
            where status = 1 and seq < $1 order by seq limit $2";
        Ok(sqlx::query_as(sql).bind(below).bind(limit).fetch_all(self.engine()).await?)
    }

    /// Those after a number whose files may go because they were deleted.
    pub async fn deleted_recordings(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<RecordingFileRow>, StoreError> {
        let sql = "select seq, public_id, file, expires_at from recordings
            where status = 5 and seq > $1 order by seq limit $2";
        Ok(sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.engine()).await?)
    }

    /// Those whose files may go because they were kept long enough: behind this one, by when that was and
    /// by number.
    pub async fn expired_recordings(
        &self,
        now: At,
        (expired_at, seq): (i64, i64),
        limit: i64,
    ) -> Result<Vec<RecordingFileRow>, StoreError> {
        let sql = "select seq, public_id, file, expires_at from recordings
            where expires_at <= $1 and status > 1 and status < 5
                and expires_at >= $2 and (expires_at > $2 or seq > $3)
            order by expires_at, seq limit $4";
        let query = sqlx::query_as(sql).bind(now.0).bind(expired_at).bind(seq).bind(limit);
        Ok(query.fetch_all(self.engine()).await?)
    }

    /// What every organization wants that has said so.
    pub async fn recording_settings(&self) -> Result<Vec<RecordingSettingsRow>, StoreError> {
        let sql = "select organization_id, settings from recording_settings";
        Ok(sqlx::query_as(sql).fetch_all(self.engine()).await?)
    }
}
