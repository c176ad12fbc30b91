-- Frequency caps: how many messages one address may be sent within a rolling window.
create table cap_rules (
    id integer primary key,
    public_id blob not null unique,
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
) without rowid;
create index cap_hits_message on cap_hits (message_key);
create index cap_hits_age on cap_hits (rule_id, accepted_at);
