-- How far bodies were taken out: the number of a line of the log, by direction.
create table retention (
    name text not null primary key,
    seq bigint not null
);
-- The further parts of long messages go with their message; a first part is found by its id.
create index parts_further on parts (message_key) where part > 1;

grant select, insert, update, delete on retention to orbit_engine;
alter table retention enable row level security;
alter table retention force row level security;
create policy engine on retention to orbit_engine using (true) with check (true);
