-- How far bodies were taken out: the number of a line of the log, by direction.
create table retention (
    name text not null primary key,
    seq bigint not null
);
-- The further parts of long messages go with their message; a first part is found by its id.
create index parts_further on parts (message_key) where part > 1;
