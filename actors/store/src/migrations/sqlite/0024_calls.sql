-- Calls: one row each, whose money is held in slices; a record per leg once it is over; and the
-- messages that were seen.
create table calls (
    key integer primary key,
    id blob not null,
    organization_id bigint not null,
    direction bigint not null,
    status bigint not null,
    test_mode bigint not null,
    created_at bigint not null,
    ringing_at bigint,
    answered_at bigint,
    -- How far it has come, as far as is stored: after a crash it ends there.
    talked_until bigint,
    ended_at bigint,
    from_addr text,
    to_addr text not null,
    prefix text not null,
    rate_per_min bigint not null,
    initial_s bigint not null,
    increment_s bigint not null,
    connect_fee bigint not null,
    -- What is put aside, how many seconds that covers, and in how many slices it was taken.
    held bigint not null,
    covered_s bigint not null,
    slices bigint not null,
    billable_s bigint,
    cost bigint,
    -- What it came to beyond what could be taken.
    uncollected bigint,
    end_reason bigint,
    sip_code bigint,
    q850 bigint,
    hangup_by bigint,
    transport bigint,
    -- JSON: see model::voice::Facts.
    facts text not null,
    -- JSON: the legs of a call that is not over.
    legs text,
    metadata text
);
create unique index calls_id on calls (id);
create index calls_organization on calls (organization_id, key);
create index calls_open on calls (key) where ended_at is null;

-- A slice of money that was put aside for a call after its first, under a number of its own in the
-- ledger. Once each.
create table call_slices (
    call_key bigint not null,
    slice bigint not null,
    key bigint not null,
    organization_id bigint not null,
    seconds bigint not null,
    amount bigint not null,
    at bigint not null,
    primary key (call_key, slice)
) without rowid;
create unique index call_slices_key on call_slices (key);

-- Call detail records: one per leg, never changed; a correction is a row more.
create table call_legs (
    seq integer primary key,
    call_key bigint not null,
    leg_id blob not null,
    organization_id bigint not null,
    corrects bigint,
    kind bigint not null,
    direction bigint not null,
    test_mode bigint not null,
    from_addr text,
    to_addr text not null,
    party text,
    trunk text,
    prefix text not null,
    country text,
    started_at bigint not null,
    answered_at bigint,
    ended_at bigint not null,
    duration_s bigint not null,
    billable_s bigint not null,
    rate_per_min bigint not null,
    initial_s bigint not null,
    increment_s bigint not null,
    connect_fee bigint not null,
    cost bigint not null,
    carrier_cost bigint not null,
    end_reason bigint not null,
    sip_code bigint,
    q850 bigint,
    attest bigint,
    codec text,
    pdd_ms bigint,
    mos bigint,
    jitter_us bigint,
    loss_ppm bigint,
    rtt_us bigint
);
create unique index call_legs_once on call_legs (call_key, leg_id) where corrects is null;
create index call_legs_organization on call_legs (organization_id, seq);

-- SIP messages of calls, some per row: see model::voice::pack.
create table sip_messages (
    seq integer primary key,
    call_key bigint not null,
    organization_id bigint not null,
    at bigint not null,
    messages blob not null
);
create index sip_messages_call on sip_messages (call_key, seq);
