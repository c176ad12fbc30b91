-- The records of a call are found by it: what shows one, and what drops one, read the whole table by the
-- index before this, which knew originals alone.
drop index call_legs_once;
create unique index call_legs_once on call_legs (call_key, leg_id, (coalesce(corrects, 0)));
