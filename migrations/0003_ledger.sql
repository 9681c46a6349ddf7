-- Money: a double-entry ledger, credit, budgets, and the slices of both that replicas spend from.

-- engine: all

-- Which run of a replica this is, the first record of its journal that a recovery would need, and when it was last heard of.
ALTER TABLE tollgate.replicas ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tollgate.replicas ADD COLUMN run_id UUID;
ALTER TABLE tollgate.replicas ADD COLUMN open_seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tollgate.replicas ADD COLUMN heartbeat_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tollgate.replicas ADD COLUMN released_at BIGINT;

-- What a customer has is `posted`: the sum of the account's entries, positive where something is left. Of that, `leased` is set
-- aside in slices. A house account has entries alone: a sum that every batch of every replica wrote would be a queue.
CREATE TABLE tollgate.ledger_accounts (
    id UUID NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('customer', 'cost', 'commission', 'cash', 'promo', 'absorbed')),
    prepaid BOOLEAN NOT NULL CHECK (prepaid IN (TRUE, FALSE)),
    posted BIGINT NOT NULL,
    leased BIGINT NOT NULL CHECK (leased >= 0),
    floor BIGINT NOT NULL CHECK (floor <= 0),
    CHECK (prepaid = FALSE OR posted - leased >= floor)
);

-- A business act, once: its id is made before it happens. `corrects` names a transaction, or the request of a receipt.
CREATE TABLE tollgate.ledger_transactions (
    id UUID NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN (
        'opening', 'usage', 'absorb', 'top_up', 'promo', 'expire', 'credit_note', 'adjustment', 'refund'
    )),
    corrects UUID,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    content_hash BYTEA NOT NULL CHECK (length(content_hash) = 32),
    created_at BIGINT NOT NULL
);

-- Its lines, which sum to zero.
CREATE TABLE tollgate.ledger_entries (
    tx_id UUID NOT NULL REFERENCES tollgate.ledger_transactions (id),
    line BIGINT NOT NULL CHECK (line > 0),
    account_id UUID NOT NULL REFERENCES tollgate.ledger_accounts (id),
    amount BIGINT NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (tx_id, line)
);
CREATE INDEX ledger_entries_by_account ON tollgate.ledger_entries (account_id, tx_id);

-- Credit that came in, and what of it is not used up: the one that expires first is used first.
CREATE TABLE tollgate.credit_grants (
    id UUID NOT NULL PRIMARY KEY REFERENCES tollgate.ledger_transactions (id),
    account_id UUID NOT NULL REFERENCES tollgate.ledger_accounts (id),
    source TEXT NOT NULL CHECK (source IN ('paid', 'promo')),
    amount BIGINT NOT NULL CHECK (amount > 0),
    remaining BIGINT NOT NULL CHECK (remaining >= 0 AND remaining <= amount),
    expires_at BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX credit_grants_left ON tollgate.credit_grants (account_id) WHERE remaining > 0;

CREATE TABLE tollgate.budgets (
    id UUID NOT NULL PRIMARY KEY,
    owner_kind TEXT NOT NULL CHECK (owner_kind IN ('key', 'user', 'account')),
    owner_id UUID NOT NULL,
    period TEXT NOT NULL CHECK (period IN ('day', 'week', 'month', 'total')),
    limit_pico BIGINT NOT NULL CHECK (limit_pico >= 0),
    created_at BIGINT NOT NULL,
    removed_at BIGINT
);
CREATE UNIQUE INDEX budgets_in_force ON tollgate.budgets (owner_id, period) WHERE removed_at IS NULL;

-- `before` is what was spent in the period before anybody held anything of it, `used` has that and all that came after. `ceiling`
-- is the limit, or more where more was spent or set aside before the limit was lowered.
CREATE TABLE tollgate.budget_periods (
    budget_id UUID NOT NULL REFERENCES tollgate.budgets (id),
    period_start BIGINT NOT NULL,
    ceiling BIGINT NOT NULL,
    before BIGINT NOT NULL CHECK (before >= 0),
    used BIGINT NOT NULL CHECK (used >= 0),
    leased BIGINT NOT NULL CHECK (leased >= 0),
    CHECK (used + leased <= ceiling),
    PRIMARY KEY (budget_id, period_start)
);

-- What one run of a replica may spend of an account's credit or of a budget in one of its periods.
CREATE TABLE tollgate.slices (
    replica_id UUID NOT NULL REFERENCES tollgate.replicas (id),
    epoch BIGINT NOT NULL,
    scope_id UUID NOT NULL,
    period_start BIGINT NOT NULL,
    scope_kind TEXT NOT NULL CHECK (scope_kind IN ('account', 'budget')),
    granted BIGINT NOT NULL,
    spent BIGINT NOT NULL CHECK (spent >= 0 AND spent <= granted),
    recalled BOOLEAN NOT NULL CHECK (recalled IN (TRUE, FALSE)),
    opened_at BIGINT NOT NULL,
    closed_at BIGINT,
    PRIMARY KEY (replica_id, epoch, scope_id, period_start)
);
CREATE INDEX slices_open ON tollgate.slices (scope_id, period_start) WHERE closed_at IS NULL;

-- What proves the receipts of a batch: signed by the replica, each chained to the one before. `leaves` are their content hashes.
CREATE TABLE tollgate.seals (
    batch_id UUID NOT NULL PRIMARY KEY REFERENCES tollgate.ledger_transactions (id),
    replica_id UUID NOT NULL,
    number BIGINT NOT NULL CHECK (number > 0),
    previous BYTEA NOT NULL CHECK (length(previous) = 32),
    leaves BYTEA NOT NULL,
    hash BYTEA NOT NULL CHECK (length(hash) = 32),
    signature BYTEA NOT NULL CHECK (length(signature) = 64),
    public_key BYTEA NOT NULL CHECK (length(public_key) = 32),
    UNIQUE (replica_id, number)
);

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
    content_hash BLOB NOT NULL CHECK (length(content_hash) = 32),
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
    outcome, cost, commission, charge, started_at, ended_at, content_hash
) SELECT
    request_id, attempt, account_id, user_id, key_id, surface, provider, model, model_served, upstream_id, price_version,
    commission_bps, input_tokens, output_tokens, cache_read, cache_write_5m, cache_write_1h, reasoning, report, usage_source,
    outcome, cost, commission, charge, started_at, ended_at, content_hash
FROM receipts;
DROP TABLE receipts;
ALTER TABLE receipts_new RENAME TO receipts;
CREATE INDEX receipts_by_user ON receipts (user_id, started_at);
CREATE TRIGGER receipts_no_update BEFORE UPDATE ON receipts
BEGIN SELECT RAISE(ABORT, 'receipts is append-only'); END;
CREATE TRIGGER receipts_no_delete BEFORE DELETE ON receipts
BEGIN SELECT RAISE(ABORT, 'receipts is append-only'); END;

INSERT INTO ledger_accounts (id, kind, prepaid, posted, leased, floor) VALUES
    (x'00000000000000000000000000000001', 'cost', FALSE, 0, 0, 0),
    (x'00000000000000000000000000000002', 'commission', FALSE, 0, 0, 0),
    (x'00000000000000000000000000000003', 'cash', FALSE, 0, 0, 0),
    (x'00000000000000000000000000000004', 'promo', FALSE, 0, 0, 0),
    (x'00000000000000000000000000000005', 'absorbed', FALSE, 0, 0, 0);

-- engine: postgres

ALTER TABLE tollgate.receipts
    ADD COLUMN absorbed BIGINT NOT NULL DEFAULT 0 CHECK (absorbed >= 0),
    ADD COLUMN bound BIGINT CHECK (bound >= 0),
    ADD COLUMN scopes BYTEA,
    ADD COLUMN batch_id UUID,
    ADD COLUMN leaf BIGINT,
    DROP CONSTRAINT receipts_check,
    ADD CONSTRAINT receipts_sum CHECK (charge + absorbed = cost + commission),
    ADD CONSTRAINT receipts_bound CHECK (bound IS NULL OR charge <= bound);

INSERT INTO tollgate.ledger_accounts (id, kind, prepaid, posted, leased, floor) VALUES
    ('00000000-0000-0000-0000-000000000001', 'cost', FALSE, 0, 0, 0),
    ('00000000-0000-0000-0000-000000000002', 'commission', FALSE, 0, 0, 0),
    ('00000000-0000-0000-0000-000000000003', 'cash', FALSE, 0, 0, 0),
    ('00000000-0000-0000-0000-000000000004', 'promo', FALSE, 0, 0, 0),
    ('00000000-0000-0000-0000-000000000005', 'absorbed', FALSE, 0, 0, 0);

-- engine: all

-- What was used before there was a ledger: one transaction for each account, with the account's own id.
INSERT INTO tollgate.ledger_accounts (id, kind, prepaid, posted, leased, floor)
SELECT a.id, 'customer', FALSE,
    -COALESCE((SELECT CAST(SUM(r.charge) AS BIGINT) FROM tollgate.receipts r WHERE r.account_id = a.id), 0), 0, 0
FROM (SELECT id FROM tollgate.accounts UNION SELECT account_id FROM tollgate.receipts) a;
INSERT INTO tollgate.ledger_transactions (id, kind, corrects, actor, reason, content_hash, created_at)
SELECT r.account_id, 'opening', NULL, 'migration', 'used before there was a ledger',
    (SELECT x.content_hash FROM tollgate.receipts x LIMIT 1), MAX(r.ended_at)
FROM tollgate.receipts r GROUP BY r.account_id;
INSERT INTO tollgate.ledger_entries (tx_id, line, account_id, amount)
SELECT r.account_id, 1, r.account_id, -CAST(SUM(r.charge) AS BIGINT)
FROM tollgate.receipts r GROUP BY r.account_id HAVING SUM(r.charge) > 0;
INSERT INTO tollgate.ledger_entries (tx_id, line, account_id, amount)
SELECT r.account_id, 2, (SELECT id FROM tollgate.ledger_accounts WHERE kind = 'cost'), CAST(SUM(r.cost) AS BIGINT)
FROM tollgate.receipts r GROUP BY r.account_id HAVING SUM(r.cost) > 0;
INSERT INTO tollgate.ledger_entries (tx_id, line, account_id, amount)
SELECT r.account_id, 3, (SELECT id FROM tollgate.ledger_accounts WHERE kind = 'commission'),
    CAST(SUM(r.commission) AS BIGINT)
FROM tollgate.receipts r GROUP BY r.account_id HAVING SUM(r.commission) > 0;
INSERT INTO tollgate.budgets (id, owner_kind, owner_id, period, limit_pico, created_at, removed_at)
SELECT k.id, 'key', k.id, 'total', k.budget_pico, k.created_at, NULL
FROM tollgate.api_keys k WHERE k.budget_pico IS NOT NULL;

-- engine: sqlite

CREATE TRIGGER ledger_transactions_no_update BEFORE UPDATE ON ledger_transactions
BEGIN SELECT RAISE(ABORT, 'ledger_transactions is append-only'); END;
CREATE TRIGGER ledger_transactions_no_delete BEFORE DELETE ON ledger_transactions
BEGIN SELECT RAISE(ABORT, 'ledger_transactions is append-only'); END;
CREATE TRIGGER ledger_entries_no_update BEFORE UPDATE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'ledger_entries is append-only'); END;
CREATE TRIGGER ledger_entries_no_delete BEFORE DELETE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'ledger_entries is append-only'); END;
CREATE TRIGGER seals_no_update BEFORE UPDATE ON seals
BEGIN SELECT RAISE(ABORT, 'seals is append-only'); END;
CREATE TRIGGER seals_no_delete BEFORE DELETE ON seals
BEGIN SELECT RAISE(ABORT, 'seals is append-only'); END;

-- engine: postgres

CREATE TRIGGER ledger_transactions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tollgate.ledger_transactions
FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tollgate.ledger_entries
FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
CREATE TRIGGER seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tollgate.seals
FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
