-- Frequency caps: how many messages one address may be sent within a rolling window.
create table cap_rules (
    id bigint not null primary key,
    public_id bytea not null unique,
    organization_id bigint not null,
    name text not null,
    -- Null: every channel.
    channel text,
    -- Null: marketing and service.
    category bigint,
    max_count bigint not null,
    window_s bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    disabled_at bigint,
    -- Its hits are being dropped; the row goes after the last of them.
    deleted_at bigint
);
create index cap_rules_organization on cap_rules (organization_id, id);
create index cap_rules_deleted on cap_rules (id) where deleted_at is not null;

-- One row per rule and message let in. The key's order is that in which hits are counted.
create table cap_hits (
    rule_id bigint not null,
    test_mode bigint not null,
    address text not null,
    accepted_at bigint not null,
    message_key bigint not null,
    organization_id bigint not null,
    primary key (rule_id, test_mode, address, accepted_at, message_key)
);
create index cap_hits_message on cap_hits (message_key);
-- For the sweep alone. Of the bare column it could serve the counting too, and a plan made while the
-- table was empty would then read a whole rule for each message.
create index cap_hits_age on cap_hits (rule_id, (accepted_at + 0));

grant select, insert, update, delete on cap_rules, cap_hits to orbit_engine;
grant select on cap_rules, cap_hits to orbit_api;

do $$
declare
    tenant text;
begin
    foreach tenant in array array['cap_rules', 'cap_hits']
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
