-- People: who signs in, who belongs to which organization, what a key may do, who did what; and sums that pages are drawn from.

-- engine: all

-- An organization is a row beside those of persons: it has a name that nobody else has, an account of that name, and
-- keys that spend from it. It never signs in.
ALTER TABLE tollgate.users ADD COLUMN kind TEXT NOT NULL DEFAULT 'person' CHECK (kind IN ('person', 'organization'));
-- As argon2 writes it, with its salt and its parameters. NULL: signs in elsewhere, or not at all.
ALTER TABLE tollgate.users ADD COLUMN password_hash TEXT;
ALTER TABLE tollgate.users ADD COLUMN disabled_at BIGINT;

CREATE TABLE tollgate.members (
    organization_id UUID NOT NULL REFERENCES tollgate.users (id),
    user_id UUID NOT NULL REFERENCES tollgate.users (id),
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'billing')),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX members_by_user ON tollgate.members (user_id);

-- Who somebody is at an issuer of tokens.
CREATE TABLE tollgate.identities (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id UUID NOT NULL REFERENCES tollgate.users (id),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_by_user ON tollgate.identities (user_id);

-- A browser that is signed in. The token itself is nowhere: `hash` is its SHA-256.
CREATE TABLE tollgate.sessions (
    hash BYTEA NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    user_id UUID NOT NULL REFERENCES tollgate.users (id),
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON tollgate.sessions (user_id);
CREATE INDEX sessions_by_end ON tollgate.sessions (expires_at);

-- An address that works once: to become the first operator, to choose a password.
CREATE TABLE tollgate.links (
    hash BYTEA NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    purpose TEXT NOT NULL CHECK (purpose IN ('first_operator', 'password')),
    user_id UUID REFERENCES tollgate.users (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    CHECK ((purpose = 'first_operator') = (user_id IS NULL))
);

-- A program that somebody lets make a key of theirs (PKCE, RFC 7636).
CREATE TABLE tollgate.auth_codes (
    hash BYTEA NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    user_id UUID NOT NULL REFERENCES tollgate.users (id),
    challenge TEXT NOT NULL,
    method TEXT NOT NULL CHECK (method IN ('S256', 'plain', '')),
    settings TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);

-- `scopes` is a list with spaces between. `allowed_ips` is a JSON list of networks. `rotated_to` is the key that has taken
-- this one's place.
ALTER TABLE tollgate.api_keys ADD COLUMN scopes TEXT NOT NULL DEFAULT 'inference usage keys';
ALTER TABLE tollgate.api_keys ADD COLUMN disabled_at BIGINT;
ALTER TABLE tollgate.api_keys ADD COLUMN allowed_ips TEXT;
ALTER TABLE tollgate.api_keys ADD COLUMN requests_per_minute BIGINT CHECK (requests_per_minute > 0);
ALTER TABLE tollgate.api_keys ADD COLUMN tokens_per_minute BIGINT CHECK (tokens_per_minute > 0);
ALTER TABLE tollgate.api_keys ADD COLUMN rotated_to UUID;
ALTER TABLE tollgate.api_keys ADD COLUMN updated_at BIGINT;
CREATE INDEX api_keys_by_account ON tollgate.api_keys (account_id);

-- What people and their programs have done to the place, numbered as it happened. `detail` is JSON; no secret is in it.
CREATE TABLE tollgate.audit_log (
    number BIGINT NOT NULL PRIMARY KEY CHECK (number > 0),
    at BIGINT NOT NULL,
    actor_id UUID,
    actor TEXT NOT NULL,
    via TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL
);

-- Sums of receipts, kept in the transaction that writes them. `day` is a number of days since 1970.
-- grain          id                item              day
-- house          the replica       provider/model    the day
-- account        the account       provider/model    the day
-- user           the user          provider/model    the day
-- key            the key           provider/model    the day
-- account_month  the account       ''                the first of the month
-- key_month      the key           ''                the first of the month
-- Of the house there is a row for each replica, so that none waits for another's. An amount is high × 10⁹ + low: so neither
-- overflows before a thousand million receipts of the largest amount.
CREATE TABLE tollgate.rollups (
    grain TEXT NOT NULL CHECK (grain IN ('house', 'account', 'user', 'key', 'account_month', 'key_month')),
    id UUID NOT NULL,
    day BIGINT NOT NULL,
    item TEXT NOT NULL,
    receipts BIGINT NOT NULL CHECK (receipts >= 0),
    input_tokens BIGINT NOT NULL CHECK (input_tokens >= 0),
    output_tokens BIGINT NOT NULL CHECK (output_tokens >= 0),
    cache_read BIGINT NOT NULL CHECK (cache_read >= 0),
    reasoning BIGINT NOT NULL CHECK (reasoning >= 0),
    cost_high BIGINT NOT NULL CHECK (cost_high >= 0),
    cost_low BIGINT NOT NULL CHECK (cost_low >= 0),
    commission_high BIGINT NOT NULL CHECK (commission_high >= 0),
    commission_low BIGINT NOT NULL CHECK (commission_low >= 0),
    charge_high BIGINT NOT NULL CHECK (charge_high >= 0),
    charge_low BIGINT NOT NULL CHECK (charge_low >= 0),
    PRIMARY KEY (grain, id, day, item)
);

-- How attempts at providers went, told by each replica now and then; nothing is charged by it. `bucket` is the number of
-- the power of two of the milliseconds.
CREATE TABLE tollgate.provider_hours (
    hour BIGINT NOT NULL,
    provider TEXT NOT NULL,
    replica_id UUID NOT NULL,
    outcome TEXT NOT NULL,
    bucket BIGINT NOT NULL,
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    PRIMARY KEY (hour, provider, replica_id, outcome, bucket)
);

-- What there is already.
INSERT INTO tollgate.rollups (grain, id, day, item, receipts, input_tokens, output_tokens, cache_read, reasoning, cost_high, cost_low, commission_high,
    commission_low, charge_high, charge_low)
SELECT 'account', r.account_id, r.started_at / 86400000000, r.provider || '/' || r.model, COUNT(*), CAST(SUM(r.input_tokens) AS BIGINT), CAST(SUM(r.output_tokens) AS BIGINT), CAST(SUM(r.cache_read) AS BIGINT),
    CAST(SUM(r.reasoning) AS BIGINT), CAST(SUM(r.cost / 1000000000) AS BIGINT), CAST(SUM(r.cost % 1000000000) AS BIGINT), CAST(SUM(r.commission / 1000000000) AS BIGINT), CAST(SUM(r.commission % 1000000000) AS BIGINT), CAST(SUM(r.charge / 1000000000) AS BIGINT), CAST(SUM(r.charge % 1000000000) AS BIGINT)
FROM tollgate.receipts r GROUP BY r.account_id, r.started_at / 86400000000, r.provider, r.model;
INSERT INTO tollgate.rollups (grain, id, day, item, receipts, input_tokens, output_tokens, cache_read, reasoning, cost_high, cost_low, commission_high,
    commission_low, charge_high, charge_low)
SELECT 'user', r.user_id, r.started_at / 86400000000, r.provider || '/' || r.model, COUNT(*), CAST(SUM(r.input_tokens) AS BIGINT), CAST(SUM(r.output_tokens) AS BIGINT), CAST(SUM(r.cache_read) AS BIGINT),
    CAST(SUM(r.reasoning) AS BIGINT), CAST(SUM(r.cost / 1000000000) AS BIGINT), CAST(SUM(r.cost % 1000000000) AS BIGINT), CAST(SUM(r.commission / 1000000000) AS BIGINT), CAST(SUM(r.commission % 1000000000) AS BIGINT), CAST(SUM(r.charge / 1000000000) AS BIGINT), CAST(SUM(r.charge % 1000000000) AS BIGINT)
FROM tollgate.receipts r GROUP BY r.user_id, r.started_at / 86400000000, r.provider, r.model;
INSERT INTO tollgate.rollups (grain, id, day, item, receipts, input_tokens, output_tokens, cache_read, reasoning, cost_high, cost_low, commission_high,
    commission_low, charge_high, charge_low)
SELECT 'key', r.key_id, r.started_at / 86400000000, r.provider || '/' || r.model, COUNT(*), CAST(SUM(r.input_tokens) AS BIGINT), CAST(SUM(r.output_tokens) AS BIGINT), CAST(SUM(r.cache_read) AS BIGINT),
    CAST(SUM(r.reasoning) AS BIGINT), CAST(SUM(r.cost / 1000000000) AS BIGINT), CAST(SUM(r.cost % 1000000000) AS BIGINT), CAST(SUM(r.commission / 1000000000) AS BIGINT), CAST(SUM(r.commission % 1000000000) AS BIGINT), CAST(SUM(r.charge / 1000000000) AS BIGINT), CAST(SUM(r.charge % 1000000000) AS BIGINT)
FROM tollgate.receipts r GROUP BY r.key_id, r.started_at / 86400000000, r.provider, r.model;

-- engine: sqlite

INSERT INTO rollups (grain, id, day, item, receipts, input_tokens, output_tokens, cache_read, reasoning, cost_high, cost_low, commission_high,
    commission_low, charge_high, charge_low)
SELECT 'house', x'00000000000000000000000000000000', r.started_at / 86400000000, r.provider || '/' || r.model, COUNT(*), CAST(SUM(r.input_tokens) AS INTEGER), CAST(SUM(r.output_tokens) AS INTEGER), CAST(SUM(r.cache_read) AS INTEGER),
    CAST(SUM(r.reasoning) AS INTEGER), CAST(SUM(r.cost / 1000000000) AS INTEGER), CAST(SUM(r.cost % 1000000000) AS INTEGER), CAST(SUM(r.commission / 1000000000) AS INTEGER), CAST(SUM(r.commission % 1000000000) AS INTEGER), CAST(SUM(r.charge / 1000000000) AS INTEGER), CAST(SUM(r.charge % 1000000000) AS INTEGER)
FROM receipts r GROUP BY r.started_at / 86400000000, r.provider, r.model;
INSERT INTO rollups (grain, id, day, item, receipts, input_tokens, output_tokens, cache_read, reasoning, cost_high, cost_low, commission_high,
    commission_low, charge_high, charge_low)
SELECT 'account_month', r.account_id, CAST(julianday(datetime(r.started_at / 1000000, 'unixepoch', 'start of month')) - 2440587.5 AS INTEGER), '', COUNT(*), CAST(SUM(r.input_tokens) AS INTEGER), CAST(SUM(r.output_tokens) AS INTEGER), CAST(SUM(r.cache_read) AS INTEGER),
    CAST(SUM(r.reasoning) AS INTEGER), CAST(SUM(r.cost / 1000000000) AS INTEGER), CAST(SUM(r.cost % 1000000000) AS INTEGER), CAST(SUM(r.commission / 1000000000) AS INTEGER), CAST(SUM(r.commission % 1000000000) AS INTEGER), CAST(SUM(r.charge / 1000000000) AS INTEGER), CAST(SUM(r.charge % 1000000000) AS INTEGER)
FROM receipts r GROUP BY r.account_id, CAST(julianday(datetime(r.started_at / 1000000, 'unixepoch', 'start of month')) - 2440587.5 AS INTEGER);
INSERT INTO rollups (grain, id, day, item, receipts, input_tokens, output_tokens, cache_read, reasoning, cost_high, cost_low, commission_high,
    commission_low, charge_high, charge_low)
SELECT 'key_month', r.key_id, CAST(julianday(datetime(r.started_at / 1000000, 'unixepoch', 'start of month')) - 2440587.5 AS INTEGER), '', COUNT(*), CAST(SUM(r.input_tokens) AS INTEGER), CAST(SUM(r.output_tokens) AS INTEGER), CAST(SUM(r.cache_read) AS INTEGER),
    CAST(SUM(r.reasoning) AS INTEGER), CAST(SUM(r.cost / 1000000000) AS INTEGER), CAST(SUM(r.cost % 1000000000) AS INTEGER), CAST(SUM(r.commission / 1000000000) AS INTEGER), CAST(SUM(r.commission % 1000000000) AS INTEGER), CAST(SUM(r.charge / 1000000000) AS INTEGER), CAST(SUM(r.charge % 1000000000) AS INTEGER)
FROM receipts r GROUP BY r.key_id, CAST(julianday(datetime(r.started_at / 1000000, 'unixepoch', 'start of month')) - 2440587.5 AS INTEGER);

CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;

-- engine: postgres

INSERT INTO tollgate.rollups (grain, id, day, item, receipts, input_tokens, output_tokens, cache_read, reasoning, cost_high, cost_low, commission_high,
    commission_low, charge_high, charge_low)
SELECT 'house', '00000000-0000-0000-0000-000000000000'::uuid, r.started_at / 86400000000, r.provider || '/' || r.model, COUNT(*), CAST(SUM(r.input_tokens) AS BIGINT), CAST(SUM(r.output_tokens) AS BIGINT), CAST(SUM(r.cache_read) AS BIGINT),
    CAST(SUM(r.reasoning) AS BIGINT), CAST(SUM(r.cost / 1000000000) AS BIGINT), CAST(SUM(r.cost % 1000000000) AS BIGINT), CAST(SUM(r.commission / 1000000000) AS BIGINT), CAST(SUM(r.commission % 1000000000) AS BIGINT), CAST(SUM(r.charge / 1000000000) AS BIGINT), CAST(SUM(r.charge % 1000000000) AS BIGINT)
FROM tollgate.receipts r GROUP BY r.started_at / 86400000000, r.provider, r.model;
INSERT INTO tollgate.rollups (grain, id, day, item, receipts, input_tokens, output_tokens, cache_read, reasoning, cost_high, cost_low, commission_high,
    commission_low, charge_high, charge_low)
SELECT 'account_month', r.account_id, CAST(EXTRACT(EPOCH FROM date_trunc('month', to_timestamp(r.started_at / 1000000) AT TIME ZONE 'UTC')) / 86400 AS BIGINT), '', COUNT(*), CAST(SUM(r.input_tokens) AS BIGINT), CAST(SUM(r.output_tokens) AS BIGINT), CAST(SUM(r.cache_read) AS BIGINT),
    CAST(SUM(r.reasoning) AS BIGINT), CAST(SUM(r.cost / 1000000000) AS BIGINT), CAST(SUM(r.cost % 1000000000) AS BIGINT), CAST(SUM(r.commission / 1000000000) AS BIGINT), CAST(SUM(r.commission % 1000000000) AS BIGINT), CAST(SUM(r.charge / 1000000000) AS BIGINT), CAST(SUM(r.charge % 1000000000) AS BIGINT)
FROM tollgate.receipts r GROUP BY r.account_id, CAST(EXTRACT(EPOCH FROM date_trunc('month', to_timestamp(r.started_at / 1000000) AT TIME ZONE 'UTC')) / 86400 AS BIGINT);
INSERT INTO tollgate.rollups (grain, id, day, item, receipts, input_tokens, output_tokens, cache_read, reasoning, cost_high, cost_low, commission_high,
    commission_low, charge_high, charge_low)
SELECT 'key_month', r.key_id, CAST(EXTRACT(EPOCH FROM date_trunc('month', to_timestamp(r.started_at / 1000000) AT TIME ZONE 'UTC')) / 86400 AS BIGINT), '', COUNT(*), CAST(SUM(r.input_tokens) AS BIGINT), CAST(SUM(r.output_tokens) AS BIGINT), CAST(SUM(r.cache_read) AS BIGINT),
    CAST(SUM(r.reasoning) AS BIGINT), CAST(SUM(r.cost / 1000000000) AS BIGINT), CAST(SUM(r.cost % 1000000000) AS BIGINT), CAST(SUM(r.commission / 1000000000) AS BIGINT), CAST(SUM(r.commission % 1000000000) AS BIGINT), CAST(SUM(r.charge / 1000000000) AS BIGINT), CAST(SUM(r.charge % 1000000000) AS BIGINT)
FROM tollgate.receipts r GROUP BY r.key_id, CAST(EXTRACT(EPOCH FROM date_trunc('month', to_timestamp(r.started_at / 1000000) AT TIME ZONE 'UTC')) / 86400 AS BIGINT);

CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tollgate.audit_log
FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
