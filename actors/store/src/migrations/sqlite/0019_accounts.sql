-- An account ends when its carrier is deleted, or is not in the settings any more. Its row stays for
-- what was sent through it; once nothing of it is to come it is settled, and costs nothing.
alter table carriers add column organization_id bigint;
alter table carriers add column ended_at bigint;
alter table carriers add column settled_at bigint;
-- No event before this one is searched for receipts that never came to this account.
alter table carriers add column swept_from bigint not null default 0;
-- Receipts that matched nothing and were dropped before their time, because too many waited.
alter table carriers add column dropped_receipts bigint not null default 0;
alter table carriers add column dropped_at bigint;
-- Receipts that wait are found by whom they are of, however many there are.
create index parked_source on parked (carrier_id, source);
create index parked_destination on parked (carrier_id, destination);
create index carriers_open on carriers (id) where ended_at is null;
create index carriers_ended on carriers (ended_at) where ended_at is not null and settled_at is null;
create index carriers_ended_of on carriers (organization_id, ended_at)
    where organization_id is not null;
