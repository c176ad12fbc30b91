-- The spine: accounts, messages on their way, money, and the log. Times are UTC microseconds,
-- money is millionths of a dollar, JSON is text.

create table organizations (
    id bigint not null primary key,
    public_id blob not null unique,
    name text not null,
    is_sandbox bigint not null default 0,
    suspended_at bigint,
    created_at bigint not null
);

create table api_keys (
    id bigint not null primary key,
    public_id blob not null unique,
    organization_id bigint not null references organizations (id),
    hash blob not null unique,
    mode text not null,
    scopes text not null,
    name text not null,
    last4 text not null,
    created_at bigint not null,
    revoked_at bigint
);

create table wallets (
    organization_id bigint not null primary key references organizations (id),
    available bigint not null check (available >= 0),
    held bigint not null check (held >= 0)
);

-- One row per transfer. Unique on (message, kind): a message is held, settled and released once.
create table ledger (
    organization_id bigint not null,
    seq bigint not null,
    message_key bigint,
    kind bigint not null,
    debit bigint not null,
    credit bigint not null,
    amount bigint not null check (amount >= 0),
    at bigint not null,
    note text,
    primary key (organization_id, seq)
) without rowid;
create unique index ledger_once on ledger (message_key, kind) where message_key is not null;

create table idempotency (
    organization_id bigint not null,
    key text not null,
    route text not null,
    fingerprint blob not null,
    reference blob not null,
    created_at bigint not null,
    primary key (organization_id, key, route)
) without rowid;
create index idempotency_age on idempotency (created_at);

-- One row per writer's life: the high bits of every key it hands out.
create table lanes (
    id integer primary key,
    started_at bigint not null,
    swept_at bigint
);

create table carriers (
    id integer primary key,
    name text not null unique,
    epoch bigint not null,
    paused_at bigint,
    id_rule bigint
);

create table messages (
    key integer primary key,
    id blob not null,
    organization_id bigint not null,
    direction bigint not null,
    status bigint not null,
    category bigint not null,
    encoding bigint not null,
    segments bigint not null,
    test_mode bigint not null,
    carrier_id bigint not null,
    unit_price bigint not null,
    from_ton bigint not null,
    delivered_parts bigint not null default 0,
    created_at bigint not null,
    sent_at bigint,
    done_at bigint,
    to_addr text not null,
    from_addr text not null,
    from_delivered text,
    body text not null,
    mccmnc text,
    metadata text,
    batch_id blob,
    external_id text,
    status_reason text,
    error_code text,
    carrier_error text,
    raw blob
);
create unique index messages_id on messages (id);
create index messages_organization on messages (organization_id, key);
create index messages_batch on messages (batch_id, key) where batch_id is not null;
-- Who last wrote to this person from this number: finds the owner of an inbound message.
create index messages_replyable on messages (to_addr, from_addr, key)
    where direction = 1 and from_ton <> 5;

create table outbox (
    carrier_id bigint not null,
    class bigint not null,
    organization_id bigint not null,
    key bigint not null,
    due_at bigint not null,
    attempts bigint not null,
    intent bigint,
    intent_at bigint,
    primary key (carrier_id, class, organization_id, key)
) without rowid;

-- Which part of which message a carrier's id stands for.
create table parts (
    carrier_id bigint not null,
    external_id text not null,
    message_key bigint not null,
    part bigint not null,
    primary key (carrier_id, external_id, message_key, part)
) without rowid;

-- Receipts that found no message yet. After their wait they are the orphan list.
create table parked (
    seq integer primary key,
    carrier_id bigint not null,
    external_id text not null,
    raw_id text not null,
    state bigint not null,
    error text,
    source text not null,
    destination text not null,
    at bigint not null
);
create index parked_id on parked (carrier_id, external_id);
create index parked_age on parked (at);

create table events (
    seq integer primary key,
    organization_id bigint not null,
    message_key bigint not null,
    kind bigint not null,
    status bigint not null,
    at bigint not null,
    detail text
);
create index events_message on events (message_key, seq);

-- How far the search for receipts that never came has read the log, by lane and carrier.
create table sweeps (
    lane_id bigint not null,
    carrier_id bigint not null,
    seq bigint not null,
    primary key (lane_id, carrier_id)
) without rowid;

-- Work that killed its actor twice, or that no transaction would take.
create table quarantine (
    seq integer primary key,
    carrier_id bigint,
    message_key bigint,
    reason text not null,
    item text not null,
    at bigint not null
);

-- Inbound messages taken of late, with the connection they came by: what comes again by a later one
-- is a repeat of what the carrier thinks unacknowledged.
create table inbound_seen (
    carrier_id bigint not null,
    fingerprint blob not null,
    session bigint not null,
    at bigint not null,
    primary key (carrier_id, fingerprint)
) without rowid;
create index inbound_seen_age on inbound_seen (at);
