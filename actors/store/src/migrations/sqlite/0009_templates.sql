-- Texts with variables, kept by name.
create table templates (
    key bigint not null primary key,
    id blob not null,
    organization_id bigint not null,
    channel text not null,
    name text not null,
    language text not null,
    body text not null,
    components text,
    status bigint not null,
    created_at bigint not null,
    updated_at bigint not null
);
create unique index templates_id on templates (id);
create unique index templates_name on templates (organization_id, channel, name);
create index templates_organization on templates (organization_id, key);

-- What was said to a batch: which of its recipients were refused, and why. The rest are messages,
-- whose keys are in the order of the request.
create table batches (
    id blob not null primary key,
    organization_id bigint not null,
    created_at bigint not null,
    accepted bigint not null,
    rejected bigint not null,
    -- JSON: a list of {"index", "error"}.
    refused text not null,
    template_id blob
);
