-- The parts of a text that were submitted one by one share a hit: the text's name, and which of its
-- parts came, a bit each. Null of what is no part.
alter table cap_hits add column part_of bigint;
alter table cap_hits add column parts bigint;

-- Where an account is called when it is owed something and is not bound. JSON of host, port, tls and
-- system_id; the password is sealed.
alter table smpp_accounts add column outbind text;
alter table smpp_accounts add column outbind_password blob;
