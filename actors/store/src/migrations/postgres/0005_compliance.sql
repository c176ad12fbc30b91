-- Who may be sent what: the suppression list, what people said, keywords and their answers; and
-- the parts of inbound messages that wait for their siblings.

-- One entry per address and scope. The codes of scope and origin are in model::consent.
create table suppression_list (
    organization_id bigint not null,
    address text not null,
    scope bigint not null,
    seq bigint not null,
    id bytea not null,
    origin bigint not null,
    reason text not null,
    source text not null,
    created_at bigint not null,
    primary key (organization_id, address, scope)
);
create unique index suppression_list_id on suppression_list (id);
create unique index suppression_list_order on suppression_list (organization_id, seq);

-- What a person said, and how it is known. Rows are added and never changed.
create table consent_records (
    seq bigint not null primary key,
    organization_id bigint not null,
    id bytea not null,
    address text not null,
    channel bigint not null,
    opt_in bigint not null,
    source text not null,
    consent_type text not null,
    lawful_basis text,
    purpose text,
    text_version text,
    proof_url text,
    metadata text,
    keyword text,
    message_key bigint,
    at bigint not null
);
create unique index consent_records_id on consent_records (id);
create index consent_records_address on consent_records (organization_id, address, seq);

-- Where each person stands with each channel now: the last of the above.
create table channel_preferences (
    organization_id bigint not null,
    address text not null,
    channel bigint not null,
    state bigint not null,
    source text not null,
    updated_at bigint not null,
    primary key (organization_id, address, channel)
);

-- An organization's own words and texts, by language and action.
create table keyword_sets (
    organization_id bigint not null,
    language text not null,
    action bigint not null,
    words text not null,
    reply text,
    default_language bigint not null,
    primary key (organization_id, language, action)
);

-- The answer to an inbound keyword: 1 due, 2 sent, 3 left out. One per inbound message.
create table keyword_replies (
    message_key bigint not null primary key,
    organization_id bigint not null,
    message_id bytea not null,
    address text not null,
    number text not null,
    action bigint not null,
    body text not null,
    state bigint not null,
    note text,
    created_at bigint not null
);
create index keyword_replies_person on keyword_replies (organization_id, address, action, created_at);
create index keyword_replies_due on keyword_replies (created_at) where state = 1;
create index keyword_replies_age on keyword_replies (created_at);

-- A list that came as a file. What was running in another process is interrupted.
create table suppression_imports (
    id bytea not null primary key,
    organization_id bigint not null,
    process bigint not null,
    status bigint not null,
    dry_run bigint not null,
    total bigint not null,
    processed bigint not null,
    added bigint not null,
    known bigint not null,
    rejected bigint not null,
    errors text not null,
    created_at bigint not null,
    updated_at bigint not null,
    done_at bigint
);

-- Parts of a long inbound message.
create table inbound_parts (
    carrier_id bigint not null,
    from_addr text not null,
    to_addr text not null,
    reference bigint not null,
    total bigint not null,
    part bigint not null,
    carrier_organization bigint,
    encoding bigint not null,
    from_ton bigint not null,
    at bigint not null,
    body text not null,
    raw bytea not null,
    primary key (carrier_id, from_addr, to_addr, reference, total, part)
);
create index inbound_parts_age on inbound_parts (at);

-- Set on answers to keywords: they reach a person who has opted out.
alter table messages add column bypass_opt_out bigint;

grant select, insert, update, delete on suppression_list, channel_preferences, keyword_sets,
    keyword_replies, suppression_imports, inbound_parts to orbit_engine;
grant select, insert on consent_records to orbit_engine;
grant select on suppression_list, consent_records, channel_preferences, keyword_sets,
    suppression_imports to orbit_api;

do $$
declare
    tenant text;
begin
    foreach tenant in array array['suppression_list', 'consent_records', 'channel_preferences',
        'keyword_sets', 'keyword_replies', 'suppression_imports']
    loop
        execute format('alter table %I enable row level security', tenant);
        execute format('alter table %I force row level security', tenant);
        execute format('create policy engine on %I to orbit_engine using (true) with check (true)',
            tenant);
        execute format('create policy tenant on %I for select to orbit_api
            using (organization_id = current_setting(''orbit.org'')::bigint)', tenant);
    end loop;
    alter table inbound_parts enable row level security;
    alter table inbound_parts force row level security;
    create policy engine on inbound_parts to orbit_engine using (true) with check (true);
end
$$;
