-- Carriers that a waiting message was tried at and left, by number, with a comma between; a final !
-- says that it may have left our hands once, and stays with its carrier. Null: none.
alter table outbox add column tried text;

-- An organization's own rules of routing, as JSON; none: the switch's order.
create table routing_tables (
    organization_id bigint not null primary key references organizations (id),
    rules text not null,
    updated_at bigint not null
);
