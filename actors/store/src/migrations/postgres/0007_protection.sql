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
);

-- When its organization was told that little is left; null again with the next top-up.
alter table wallets add column low_at bigint;

grant select, insert, update, delete on protection, daily_spend to orbit_engine;
grant select on protection, daily_spend to orbit_api;

do $$
declare
    tenant text;
begin
    foreach tenant in array array['protection', 'daily_spend']
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
