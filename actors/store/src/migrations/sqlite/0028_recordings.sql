-- Recordings of calls: a row is there before its file is. What is deleted keeps its row until its file
-- is gone.
create table recordings (
    seq bigint not null primary key,
    public_id blob not null unique,
    organization_id bigint not null,
    call_key bigint not null,
    call_id blob not null,
    test_mode bigint not null,
    -- 1 in progress, 3 available, 4 failed, 5 deleted.
    status bigint not null,
    started_at bigint not null,
    ended_at bigint,
    duration_ms bigint,
    size_bytes bigint,
    -- What the disk was too slow for: it is silence.
    lost_ms bigint,
    consent_mode text not null,
    announced_at bigint,
    -- Below the folder of recordings.
    file text not null,
    -- Why it is not whole.
    fault text,
    expires_at bigint not null
);
create index recordings_organization on recordings (organization_id, seq);
create index recordings_call on recordings (call_key, seq);
create index recordings_expire on recordings (expires_at);
create index recordings_open on recordings (seq) where status = 1;
create index recordings_deleted on recordings (seq) where status = 5;

-- What an organization wants of recordings, as JSON: see model::voice::RecordingSettings.
create table recording_settings (
    organization_id bigint not null primary key references organizations (id),
    settings text not null,
    updated_at bigint not null
);
