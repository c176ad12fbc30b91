-- Numbers are renewed month by month.
-- When the month that follows could not be paid first; null: all is paid.
alter table numbers add column unpaid_since bigint;
-- When it is looked at next; null: nobody's, or given back.
alter table numbers add column renew_at bigint;
update numbers set renew_at = next_billing_at where status = 2;
create index numbers_renew on numbers (renew_at, id) where renew_at is not null;
create index numbers_unpaid on numbers (organization_id) where unpaid_since is not null;

-- The months that were charged. Each once; the ledger knows it by its key.
create table number_months (
    key bigint not null primary key,
    number_id bigint not null,
    organization_id bigint not null,
    starts_at bigint not null,
    ends_at bigint not null,
    price bigint not null,
    charged_at bigint not null
);
create unique index number_months_once on number_months (number_id, starts_at);
