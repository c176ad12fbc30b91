-- What customers bind as. A password is kept as a keyed hash: the key lies in the data folder, so
-- that the database alone tells nothing.
create table smpp_accounts (
    id bigint not null primary key,
    public_id bytea not null unique,
    organization_id bigint not null references organizations (id),
    system_id text not null unique,
    password_mac bytea not null,
    name text not null,
    -- JSON: addresses and networks; empty for any.
    allowed_ips text not null,
    -- A sum of 1 transmitter, 2 receiver, 4 transceiver.
    bind_types bigint not null,
    max_binds bigint not null,
    tps bigint not null,
    window_size bigint not null,
    test_mode bigint not null,
    category bigint not null,
    default_sender text,
    -- JSON: senders; empty for any.
    allowed_senders text not null,
    receipt_format bigint not null,
    id_format bigint not null,
    -- JSON: numbers, or prefixes that end with *, whose inbound messages it is given.
    inbound_numbers text not null,
    -- A repeated user_message_reference to the same number is the same message.
    once_by_reference bigint not null,
    -- Events up to this one were delivered to it, or do not concern it.
    cursor bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    disabled_at bigint
);
create index smpp_accounts_organization on smpp_accounts (organization_id, id);

-- Who submitted it by SMPP, and what the PDU said beside its text.
alter table messages add column smpp_account_id bigint;
alter table messages add column submitted bytea;

grant select, insert, update, delete on smpp_accounts to orbit_engine;
grant select on smpp_accounts to orbit_api;
alter table smpp_accounts enable row level security;
alter table smpp_accounts force row level security;
create policy engine on smpp_accounts to orbit_engine using (true) with check (true);
create policy tenant on smpp_accounts for select to orbit_api
    using (organization_id = current_setting('orbit.org')::bigint);
