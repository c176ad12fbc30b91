-- Endpoints that are told of events. Kind 0 is a customer's; kind 1 is the hidden one through which
-- the callbacks of single messages go, with the organization's own secret.
create table webhooks (
    id bigint not null primary key,
    public_id blob not null unique,
    organization_id bigint not null,
    kind bigint not null,
    url text not null,
    -- JSON list of patterns.
    events text not null,
    description text,
    secret text not null,
    old_secret text,
    old_secret_until bigint,
    -- All lines of the log up to here are delivered, or are rows below.
    cursor bigint not null,
    failing_since bigint,
    disabled_at bigint,
    disabled_reason text,
    created_at bigint not null
);
create index webhooks_organization on webhooks (organization_id, id);
create unique index webhooks_callbacks on webhooks (organization_id) where kind = 1;

-- One event for one endpoint, once it was tried or has to wait. State 1 pending, 2 delivered,
-- 3 dead letter.
create table webhook_deliveries (
    id bigint not null primary key,
    public_id blob not null unique,
    organization_id bigint not null,
    webhook_id bigint not null,
    seq bigint not null,
    message_key bigint not null,
    kind bigint not null,
    state bigint not null,
    attempts bigint not null,
    due_at bigint not null,
    expires_at bigint not null,
    reason text,
    at bigint not null
);
create unique index webhook_deliveries_event on webhook_deliveries (webhook_id, seq);
create index webhook_deliveries_pending on webhook_deliveries (webhook_id, seq) where state = 1;
create index webhook_deliveries_dead on webhook_deliveries (organization_id, id) where state = 3;

create table webhook_attempts (
    id bigint not null primary key,
    organization_id bigint not null,
    webhook_id bigint not null,
    seq bigint not null,
    attempt bigint not null,
    at bigint not null,
    elapsed_us bigint not null,
    status bigint,
    error text,
    request_headers text not null,
    response_headers text,
    response_body text
);
create index webhook_attempts_event on webhook_attempts (webhook_id, seq);
