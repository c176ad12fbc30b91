-- What an organization lets its own sends through: its policy, its lists, its registered senders.

-- One policy per organization, as JSON; without a row everything is off.
create table policies (
    organization_id bigint not null primary key,
    body text not null,
    updated_at bigint not null
);

-- The organization's own list of those who are not to be written to.
create table dnc_entries (
    organization_id bigint not null,
    phone text not null,
    seq bigint not null,
    reason text not null,
    created_at bigint not null,
    primary key (organization_id, phone)
);
create unique index dnc_entries_order on dnc_entries (organization_id, seq);

-- Numbers that were given back, as imported: the last day, as in 2026-01-31.
create table rnd_entries (
    organization_id bigint not null,
    phone text not null,
    disconnected_on text not null,
    primary key (organization_id, phone)
);

create table sender_registrations (
    number bigint not null primary key,
    organization_id bigint not null,
    id bytea not null unique,
    sender_id text not null,
    use_case text,
    created_at bigint not null
);
create index sender_registrations_order on sender_registrations (organization_id, number);

-- A sender and a country are registered once; the states are in model::policy.
create table sender_countries (
    organization_id bigint not null,
    sender_id text not null,
    country text not null,
    registration bigint not null,
    state bigint not null,
    document_refs text not null,
    notes text,
    reason text,
    decided_at bigint,
    primary key (organization_id, sender_id, country)
);
create index sender_countries_registration on sender_countries (registration, country);
create index sender_countries_pending on sender_countries (registration) where state = 1;

grant select, insert, update, delete on policies, dnc_entries, rnd_entries, sender_registrations,
    sender_countries to orbit_engine;
grant select on policies, dnc_entries, rnd_entries, sender_registrations, sender_countries
    to orbit_api;

do $$
declare
    tenant text;
begin
    foreach tenant in array array['policies', 'dnc_entries', 'rnd_entries', 'sender_registrations',
        'sender_countries']
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
