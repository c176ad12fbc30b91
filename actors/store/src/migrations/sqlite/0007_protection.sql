-- What organizations have set in place of the operator's settings; null: the operator's holds.
create table protection (
    organization_id bigint not null primary key,
    -- Joined by commas.
    allowed_countries text,
    blocked_prefixes text,
    daily_spend bigint,
    velocity bigint,
    otp_velocity bigint,
    balance_low bigint,
    updated_at bigint not null
);

-- What an organization with a daily limit has spent, by day in UTC since 1970.
create table daily_spend (
    day bigint not null,
    organization_id bigint not null,
    spent bigint not null,
    warned_at bigint,
    reached_at bigint,
    primary key (day, organization_id)
) without rowid;

-- When its organization was told that little is left; null again with the next top-up.
alter table wallets add column low_at bigint;
