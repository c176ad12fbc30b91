-- What an organization is called in a domain: its phones register under it.
alter table organizations add column slug text;
update organizations set slug = 'org-' || encode(substring(public_id from 11), 'hex');
create unique index organizations_slug on organizations (slug);

-- What phones register and call as. Of the password only what digest needs is kept: HA1 as
-- hexadecimal digits, of this username and realm. A revoked credential keeps its row.
create table sip_credentials (
    id bigint not null primary key,
    public_id bytea not null unique,
    organization_id bigint not null references organizations (id),
    realm text not null,
    username text not null,
    ha1_md5 text not null,
    ha1_sha256 text not null,
    label text not null,
    extension text,
    allowed_outbound bigint not null,
    -- JSON: prefixes of E.164; empty for any.
    allowed_destinations text not null,
    caller_id text,
    max_contacts bigint not null,
    -- 1 active, 2 suspended, 3 revoked.
    status bigint not null,
    created_at bigint not null,
    updated_at bigint not null
);
create unique index sip_credentials_username on sip_credentials (realm, username)
    where status < 3;
create unique index sip_credentials_extension on sip_credentials (organization_id, extension)
    where status < 3 and extension is not null;
create index sip_credentials_organization on sip_credentials (organization_id, id);
create index sip_credentials_changed on sip_credentials (updated_at, id);

-- Where the phones of a credential are now (RFC 3261 §10, RFC 5626). The registrar keeps them in
-- memory, drops what has expired, and reads them when it starts.
create table sip_bindings (
    credential_id bigint not null,
    -- The instance and its flow, or the contact: what a later registration of the same phone has too.
    binding text not null,
    organization_id bigint not null,
    aor text not null,
    contact text not null,
    instance text,
    reg_id bigint,
    -- JSON: a list of addresses; empty for none.
    path text not null,
    call_id text not null,
    cseq bigint not null,
    user_agent text,
    transport text not null,
    received_from text not null,
    flow text not null,
    node text not null,
    -- Thousandths.
    q bigint not null,
    registered_at bigint not null,
    expires_at bigint not null,
    primary key (credential_id, binding)
);

-- Customers' telephone systems, and where they are. A password is sealed: the key lies in the data
-- folder, so that the database alone tells nothing.
create table sip_trunks (
    id bigint not null primary key,
    public_id bytea not null unique,
    organization_id bigint not null references organizations (id),
    name text not null,
    -- JSON: addresses, username, codecs, limits.
    settings text not null,
    password bytea,
    created_at bigint not null,
    updated_at bigint not null,
    disabled_at bigint
);
create index sip_trunks_organization on sip_trunks (organization_id, id);

grant select, insert, update, delete on sip_credentials, sip_bindings, sip_trunks to orbit_engine;
-- What stands for a password is nobody's business but the engine's.
grant select (id, public_id, organization_id, realm, username, label, extension, allowed_outbound,
    allowed_destinations, caller_id, max_contacts, status, created_at, updated_at)
    on sip_credentials to orbit_api;
grant select (id, public_id, organization_id, name, settings, created_at, updated_at, disabled_at)
    on sip_trunks to orbit_api;
grant select on sip_bindings to orbit_api;

do $$
declare
    tenant text;
begin
    foreach tenant in array array['sip_credentials', 'sip_bindings', 'sip_trunks']
    loop
        execute format('alter table %I enable row level security', tenant);
        execute format('alter table %I force row level security', tenant);
        execute format('create policy engine on %I to orbit_engine using (true) with check (true)',
            tenant);
        execute format('create policy tenant on %I for select to orbit_api
            using (organization_id = current_setting(''orbit.org'')::bigint)', tenant);
    end loop;
end
$$;
