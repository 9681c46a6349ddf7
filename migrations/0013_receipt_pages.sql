-- Pages of receipts: an account's by time, and of these one key's; and those that went wrong.

-- engine: all

-- All that is looked for in a page stands in the index, so that entries that a filter leaves out cost no look into the table.
CREATE INDEX receipts_by_account ON tollgate.receipts (account_id, started_at, request_id, attempt, key_id);
-- Nearly all receipts are of answers, and those are not in it: it costs what is seldom.
CREATE INDEX receipts_of_trouble ON tollgate.receipts (account_id, started_at, request_id, attempt) WHERE outcome <> 'ok';
