-- The log by organization, for webhooks, streams and /events. Rows of kinds from 100 on are of an
-- organization and no message: their message_key is 0, their detail is the event's data.
create index events_organization on events (organization_id, seq);

-- What few sends ask for.
alter table messages add column scheduled_at bigint;
alter table messages add column validity_s bigint;
alter table messages add column webhook_url text;
alter table messages add column parent_key bigint;
alter table messages add column template_id bytea;
-- When the body was taken out, by the retention settings.
alter table messages add column redacted_at bigint;
-- The schedule is this index: what waits for its time, by time.
create index messages_scheduled on messages (scheduled_at, key) where status = 13;
