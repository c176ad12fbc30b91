-- Whether an account is told how busy the switch is, and of what is on its way.
alter table smpp_accounts add column congestion_state bigint not null default 0;
alter table smpp_accounts add column intermediate_receipts bigint not null default 0;

-- Messages in any second for an account whose own pace is 0; 0 is no limit.
alter table organizations add column smpp_tps bigint not null default 0;

-- Senders that an organization uses in turn.
create table sender_pools (
    id bigint not null primary key,
    public_id blob not null unique,
    organization_id bigint not null references organizations (id),
    name text not null,
    strategy bigint not null,
    -- JSON: a list of {value, type, weight, countries, daily_cap}.
    senders text not null,
    -- JSON: carriers' names or ids; null for any.
    carrier_ids text,
    sticky_ttl_days bigint not null,
    created_at bigint not null,
    updated_at bigint not null
);
create unique index sender_pools_name on sender_pools (organization_id, name);
create index sender_pools_organization on sender_pools (organization_id, id);

-- How often a sender with a daily cap was used on a day (days since 1970, UTC).
create table sender_pool_uses (
    pool_id bigint not null,
    sender text not null,
    day bigint not null,
    organization_id bigint not null,
    used bigint not null,
    primary key (pool_id, sender, day)
) without rowid;
create index sender_pool_uses_day on sender_pool_uses (day);

-- Who was written to from which sender, while the pool remembers it.
create table sender_pool_sticky (
    pool_id bigint not null,
    recipient text not null,
    organization_id bigint not null,
    sender text not null,
    expires_at bigint not null,
    primary key (pool_id, recipient)
) without rowid;
create index sender_pool_sticky_age on sender_pool_sticky (expires_at);

-- The pool that a message's sender was taken from.
alter table messages add column sender_pool_id bigint;
