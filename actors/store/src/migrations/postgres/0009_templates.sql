-- Texts with variables, kept by name.
create table templates (
    key bigint not null primary key,
    id bytea not null,
    organization_id bigint not null,
    channel text not null,
    name text not null,
    language text not null,
    body text not null,
    components text,
    status bigint not null,
    created_at bigint not null,
    updated_at bigint not null
);
create unique index templates_id on templates (id);
create unique index templates_name on templates (organization_id, channel, name);
create index templates_organization on templates (organization_id, key);

-- What was said to a batch: which of its recipients were refused, and why. The rest are messages,
-- whose keys are in the order of the request.
create table batches (
    id bytea not null primary key,
    organization_id bigint not null,
    created_at bigint not null,
    accepted bigint not null,
    rejected bigint not null,
    -- JSON: a list of {"index", "error"}.
    refused text not null,
    template_id bytea
);

grant select, insert, update, delete on templates, batches to orbit_engine;
grant select on templates, batches to orbit_api;

do $$
declare
    tenant text;
begin
    foreach tenant in array array['templates', 'batches']
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
