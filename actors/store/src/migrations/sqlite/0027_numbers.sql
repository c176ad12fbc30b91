-- Phone numbers: the operator's stock, and what organizations have bought of it.
create table numbers (
    id bigint not null primary key,
    public_id blob not null unique,
    e164 text not null unique,
    country_code text not null,
    area_code text,
    -- 1 local, 2 toll-free, 3 mobile, 4 short code.
    number_type bigint not null,
    -- JSON list.
    capabilities text not null,
    sms_two_way bigint not null,
    provider text not null,
    -- Millionths of a dollar.
    monthly_cost bigint not null,
    -- Null: nobody's.
    organization_id bigint references organizations (id),
    -- 1 in stock, 2 active, 3 parked.
    status bigint not null,
    label text not null,
    -- JSON list.
    tags text not null,
    compliance_profile_id text,
    auto_renew bigint not null,
    -- JSON of type and config; null: calls are not taken.
    routing text,
    -- The trunk that the routing names, which stays as long as it does.
    trunk_id bigint,
    -- Sealed.
    routing_password blob,
    created_at bigint not null,
    updated_at bigint not null,
    assigned_at bigint,
    next_billing_at bigint,
    -- From then on it is in stock again.
    parked_until bigint
);
create index numbers_organization on numbers (organization_id, id) where organization_id is not null;
create index numbers_stock on numbers (country_code, number_type, e164) where organization_id is null;
create index numbers_parked on numbers (parked_until) where parked_until is not null;
create index numbers_trunk on numbers (trunk_id) where trunk_id is not null;

-- Two people who reach each other by a number of neither.
create table proxy_sessions (
    id bigint not null primary key,
    public_id blob not null unique,
    organization_id bigint not null references organizations (id),
    number_id bigint not null,
    proxy_number text not null,
    party_a text not null,
    party_b text not null,
    -- A sum of 1 voice, 2 sms.
    channels bigint not null,
    -- 1 open, 2 closed, 3 expired.
    status bigint not null,
    interactions bigint not null,
    expires_at bigint not null,
    created_at bigint not null,
    ended_at bigint
);
create index proxy_sessions_organization on proxy_sessions (organization_id, id);
create index proxy_sessions_open on proxy_sessions (expires_at) where status = 1;

-- Whom a number means by whoever calls it; for a while after the session too, so that nobody reaches a
-- stranger by a number that they still have.
create table proxy_parties (
    number_id bigint not null,
    party text not null,
    organization_id bigint not null,
    session_id bigint not null,
    -- Null while the session is open.
    free_at bigint,
    primary key (number_id, party)
) without rowid;
create index proxy_parties_session on proxy_parties (session_id);
create index proxy_parties_free on proxy_parties (free_at) where free_at is not null;

-- A text that is sent on by a masking session stands among the answers that are due: this is the session.
alter table keyword_replies add column session blob;
