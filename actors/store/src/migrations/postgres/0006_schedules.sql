-- Where a fired message stands in its line: a number of its firing, since its key is as old as its
-- acceptance. Null: its key is its place.
alter table outbox add column place bigint;
create index outbox_placed on outbox (carrier_id, class, organization_id, place)
    where place is not null;

-- When a message is given up; null: the usual validity after its acceptance.
alter table messages add column expires_at bigint;
-- How often a scheduled message was edited: whoever read an older text does not fire it.
alter table messages add column edits bigint;
-- The schedule by organization, so that one's many do not delay another's few.
create index messages_scheduled_of on messages (organization_id, scheduled_at, key)
    where status = 13;
