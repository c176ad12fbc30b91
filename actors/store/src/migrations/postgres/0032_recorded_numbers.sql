-- 1: calls to it are recorded, as far as consent allows.
alter table numbers add column record bigint not null default 0;

grant select (record) on numbers to orbit_api;
