-- The rows of one organization that a commit makes have numbers in a row, from low to high: the
-- messages by their keys (kind 1), the lines of the log by their numbers (kind 2). A run is one entry
-- for all of them, where an index has one for each. Runs of an organization and kind never overlap;
-- a run of messages may reach over keys of others. What was dropped may leave runs of nothing.
create table runs (
    organization_id bigint not null,
    kind bigint not null,
    high bigint not null,
    low bigint not null,
    primary key (organization_id, kind, high)
);

grant select, insert, update, delete on runs to orbit_engine;
grant select on runs to orbit_api;
alter table runs enable row level security;
alter table runs force row level security;
create policy engine on runs to orbit_engine using (true) with check (true);
create policy tenant on runs for select to orbit_api
    using (organization_id = current_setting('orbit.org')::bigint);

-- Whose database it is need not pass row security: what is there is read and changed as the engine.
set local role orbit_engine;

-- Of what is there, no run is longer than a commit might have made it.
insert into runs (organization_id, kind, high, low)
    select organization_id, 1, max(key), min(key) from (
        select key, organization_id, row_number() over (order by key) as place,
            row_number() over (partition by organization_id order by key) as own from messages) m
    group by organization_id, place - own, own / 1000;
insert into runs (organization_id, kind, high, low)
    select organization_id, 2, max(seq), min(seq) from (
        select seq, organization_id, row_number() over (order by seq) as place,
            row_number() over (partition by organization_id order by seq) as own from events) e
    group by organization_id, place - own, own / 1000;

reset role;

drop index messages_organization;
drop index events_organization;

-- What only few messages are waiting for has columns of its own, which are null for all others: no
-- index looks at a status, so that its changes touch none, and a changed row finds room beside the
-- old one.
alter table messages set (fillfactor = 50);
-- The time a scheduled message waits for, as long as it does.
alter table messages add column waits_until bigint;
-- 1 while it waits for a receipt, and its carrier gave it no id.
alter table messages add column nameless bigint;
set local role orbit_engine;
update messages set waits_until = scheduled_at where status = 13;
update messages set nameless = 1 where status = 3 and external_id is null;
update messages set partly_at = null where partly_at is not null and status <> 3;
reset role;

drop index messages_scheduled;
create index messages_scheduled on messages (waits_until, key) where waits_until is not null;
drop index messages_scheduled_of;
create index messages_scheduled_of on messages (organization_id, waits_until, key)
    where waits_until is not null;
drop index messages_scheduled_pool;
create index messages_scheduled_pool on messages (sender_pool_id)
    where waits_until is not null and sender_pool_id is not null;
drop index messages_partly;
create index messages_partly on messages (partly_at) where partly_at is not null;
drop index messages_nameless;
create index messages_nameless on messages (carrier_id, to_addr) where nameless is not null;
