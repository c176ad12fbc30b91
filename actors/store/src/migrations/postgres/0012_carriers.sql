-- What we bind to carriers as, and the carriers themselves. Without an organization they are the
-- platform's. A password is sealed: the key lies in the data folder, so that the database alone
-- tells nothing.
create table smpp_credentials (
    id bigint not null primary key,
    public_id bytea not null unique,
    organization_id bigint references organizations (id),
    name text not null,
    -- JSON: where it is and how it is bound.
    settings text not null,
    password bytea not null,
    -- When the password was shown, which happens once.
    revealed_at bigint,
    created_at bigint not null,
    updated_at bigint not null
);
create index smpp_credentials_organization on smpp_credentials (organization_id, id);

create table smpp_carriers (
    id bigint not null primary key,
    public_id bytea not null unique,
    organization_id bigint references organizations (id),
    -- One account at the carrier is bound by one carrier here: its pace is kept in one place.
    credential_id bigint not null unique references smpp_credentials (id),
    -- Whose messages wait in the outbox under this number.
    carrier_id bigint not null unique references carriers (id),
    name text not null,
    -- JSON: what it is chosen for, and its habits.
    settings text not null,
    created_at bigint not null,
    updated_at bigint not null,
    disabled_at bigint
);
create index smpp_carriers_organization on smpp_carriers (organization_id, id);

grant select, insert, update, delete on smpp_credentials, smpp_carriers to orbit_engine;
grant select (id, public_id, organization_id, name, settings, revealed_at, created_at, updated_at)
    on smpp_credentials to orbit_api;
grant select on smpp_carriers to orbit_api;
alter table smpp_credentials enable row level security;
alter table smpp_credentials force row level security;
create policy engine on smpp_credentials to orbit_engine using (true) with check (true);
create policy tenant on smpp_credentials for select to orbit_api
    using (organization_id = current_setting('orbit.org')::bigint);
alter table smpp_carriers enable row level security;
alter table smpp_carriers force row level security;
create policy engine on smpp_carriers to orbit_engine using (true) with check (true);
create policy tenant on smpp_carriers for select to orbit_api
    using (organization_id = current_setting('orbit.org')::bigint);
