-- Recordings of calls: a row is there before its file is. What is deleted keeps its row until its file
-- is gone.
create table recordings (
    seq bigint not null primary key,
    public_id bytea not null unique,
    organization_id bigint not null,
    call_key bigint not null,
    call_id bytea not null,
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

grant select, insert, update, delete on recordings, recording_settings to orbit_engine;
-- Where the files lie is nobody's business but the engine's.
grant select (seq, public_id, organization_id, call_key, call_id, test_mode, status, started_at, ended_at,
    duration_ms, size_bytes, lost_ms, consent_mode, announced_at, fault, expires_at)
    on recordings to orbit_api;
grant select on recording_settings to orbit_api;

do $$
declare
    tenant text;
begin
    foreach tenant in array array['recordings', 'recording_settings']
    loop
        execute format('alter table %I enable row level security', tenant);
        execute format('alter table %I force row level security', tenant);
        execute format('create policy engine on %I to orbit_engine using (true) with check (true)',
            tenant);
        execute format('create policy tenant on %I for select to orbit_api
            using (organization_id = current_setting(''orbit.org'')::bigint)', tenant);
    end loop;
end
$$;
