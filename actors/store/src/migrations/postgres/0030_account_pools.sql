-- The pool (its public id) that chooses a sender for what comes without one; it may be gone.
alter table smpp_accounts add column default_sender_pool bytea;
