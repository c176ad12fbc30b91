-- Rules of an organization on its messages, asked in order of their places.
create table interceptors (
    id bigint not null primary key,
    public_id bytea not null unique,
    organization_id bigint not null references organizations (id),
    position bigint not null,
    -- JSON, as it is shown.
    rule text not null,
    created_at bigint not null,
    updated_at bigint not null
);
create index interceptors_organization on interceptors (organization_id, position, id);

grant select, insert, update, delete on interceptors to orbit_engine;
grant select on interceptors to orbit_api;
alter table interceptors enable row level security;
alter table interceptors force row level security;
create policy engine on interceptors to orbit_engine using (true) with check (true);
create policy tenant on interceptors for select to orbit_api
    using (organization_id = current_setting('orbit.org')::bigint);
