-- How often a sender of a pool was used on a day (days since 1970, UTC); test messages are counted
-- apart. Nothing was ever written to the table that this one replaces.
drop table sender_pool_uses;
create table sender_pool_uses (
    pool_id bigint not null,
    test_mode bigint not null,
    day bigint not null,
    sender text not null,
    organization_id bigint not null,
    used bigint not null,
    primary key (pool_id, test_mode, day, sender)
) without rowid;
create index sender_pool_uses_day on sender_pool_uses (day);

-- Who was written to from which sender, while the pool remembers it. The same holds here.
drop table sender_pool_sticky;
create table sender_pool_sticky (
    pool_id bigint not null,
    test_mode bigint not null,
    recipient text not null,
    organization_id bigint not null,
    sender text not null,
    expires_at bigint not null,
    primary key (pool_id, test_mode, recipient)
) without rowid;
create index sender_pool_sticky_age on sender_pool_sticky (expires_at);

-- The day on which the message's sender was counted; null: it was not, or not any more.
alter table messages add column sender_pool_day bigint;
-- What waits for a time and a pool: such a pool stays.
create index messages_scheduled_pool on messages (sender_pool_id)
    where status = 13 and sender_pool_id is not null;
