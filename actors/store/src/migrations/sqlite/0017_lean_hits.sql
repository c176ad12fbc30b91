-- A hit is one entry in one tree: what ends before it is sent finds its hits by rule and recipient,
-- and the sweep walks the table.
drop index cap_hits_message;
drop index cap_hits_age;
