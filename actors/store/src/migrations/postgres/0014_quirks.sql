-- When the last receipt of a part came, while others of the message are missing.
alter table messages add column partly_at bigint;
create index messages_partly on messages (partly_at) where status = 3 and partly_at is not null;
-- Messages that wait for a receipt and that their carrier gave no id.
create index messages_nameless on messages (carrier_id, to_addr)
    where status = 3 and external_id is null;
-- What the PDU of a part said beside its text.
alter table inbound_parts add column said bytea;
