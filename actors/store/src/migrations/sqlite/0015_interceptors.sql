-- Rules of an organization on its messages, asked in order of their places.
create table interceptors (
    id bigint not null primary key,
    public_id blob not null unique,
    organization_id bigint not null references organizations (id),
    position bigint not null,
    -- JSON, as it is shown.
    rule text not null,
    created_at bigint not null,
    updated_at bigint not null
);
create index interceptors_organization on interceptors (organization_id, position, id);
