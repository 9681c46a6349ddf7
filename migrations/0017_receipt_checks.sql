-- Receipts on SQLite without a function in a CHECK. A statement that may call one keeps a copy of every page that it changes, in
-- case the function fails in the midst of it. That a hash has 32 bytes is seen to by whoever writes receipts, and by whoever
-- reads them.

-- engine: sqlite

-- A CHECK of a table cannot be changed: it is made again.
CREATE TABLE receipts_new (
    request_id BLOB NOT NULL,
    attempt INTEGER NOT NULL CHECK (attempt >= 0),
    account_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    key_id BLOB NOT NULL,
    surface TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    model_served TEXT,
    upstream_id TEXT,
    price_version INTEGER NOT NULL,
    commission_bps INTEGER NOT NULL CHECK (commission_bps >= 0),
    input_tokens INTEGER NOT NULL CHECK (input_tokens >= 0),
    output_tokens INTEGER NOT NULL CHECK (output_tokens >= 0),
    cache_read INTEGER NOT NULL CHECK (cache_read >= 0),
    cache_write_5m INTEGER NOT NULL CHECK (cache_write_5m >= 0),
    cache_write_1h INTEGER NOT NULL CHECK (cache_write_1h >= 0),
    reasoning INTEGER NOT NULL CHECK (reasoning >= 0),
    report TEXT NOT NULL,
    usage_source TEXT NOT NULL,
    outcome TEXT NOT NULL,
    cost INTEGER NOT NULL CHECK (cost >= 0),
    commission INTEGER NOT NULL CHECK (commission >= 0),
    charge INTEGER NOT NULL CHECK (charge >= 0),
    started_at INTEGER NOT NULL CHECK (started_at >= 0),
    ended_at INTEGER NOT NULL CHECK (ended_at >= 0),
    content_hash BLOB NOT NULL,
    absorbed INTEGER NOT NULL DEFAULT 0 CHECK (absorbed >= 0),
    bound INTEGER CHECK (bound >= 0),
    scopes BLOB,
    batch_id BLOB,
    leaf INTEGER,
    CHECK (charge + absorbed = cost + commission),
    CHECK (bound IS NULL OR charge <= bound),
    PRIMARY KEY (request_id, attempt)
) STRICT, WITHOUT ROWID;
INSERT INTO receipts_new (
    request_id, attempt, account_id, user_id, key_id, surface, provider, model, model_served, upstream_id, price_version,
    commission_bps, input_tokens, output_tokens, cache_read, cache_write_5m, cache_write_1h, reasoning, report, usage_source,
    outcome, cost, commission, charge, started_at, ended_at, content_hash, absorbed, bound, scopes, batch_id, leaf
) SELECT
    request_id, attempt, account_id, user_id, key_id, surface, provider, model, model_served, upstream_id, price_version,
    commission_bps, input_tokens, output_tokens, cache_read, cache_write_5m, cache_write_1h, reasoning, report, usage_source,
    outcome, cost, commission, charge, started_at, ended_at, content_hash, absorbed, bound, scopes, batch_id, leaf
FROM receipts;
DROP TABLE receipts;
ALTER TABLE receipts_new RENAME TO receipts;
CREATE INDEX receipts_by_user ON receipts (user_id, started_at);
CREATE INDEX receipts_by_account ON receipts (account_id, started_at, request_id, attempt, key_id);
CREATE INDEX receipts_of_trouble ON receipts (account_id, started_at, request_id, attempt) WHERE outcome <> 'ok';
CREATE TRIGGER receipts_no_update BEFORE UPDATE ON receipts
BEGIN SELECT RAISE(ABORT, 'receipts is append-only'); END;
CREATE TRIGGER receipts_no_delete BEFORE DELETE ON receipts
BEGIN SELECT RAISE(ABORT, 'receipts is append-only'); END;
