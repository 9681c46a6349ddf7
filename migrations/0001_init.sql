-- The first schema: users and their keys, price versions, receipts.
--
-- One text for both engines. A line `-- engine: all`, `-- engine: sqlite` or `-- engine: postgres` says who runs what
-- follows. The words are the ones that both know; crates/store/src/engine.rs lists the few that are spelled otherwise
-- on one of them, and is where the reasons stand.
--
-- Ids are UUIDv7, times are microseconds since 1970, money is whole pico-dollars, JSON is text that no query
-- looks into.

-- engine: all

-- One row, counted up by every change that a replica must hear of. Replicas poll it.
CREATE TABLE tollgate.revision (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    value BIGINT NOT NULL
);
INSERT INTO tollgate.revision (id, value) VALUES (1, 0);

CREATE TABLE tollgate.users (
    id UUID NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE CHECK (length(name) > 0),
    operator BOOLEAN NOT NULL CHECK (operator IN (TRUE, FALSE)),
    created_at BIGINT NOT NULL
);

-- Whose money it is. A user has a personal account of the same name.
CREATE TABLE tollgate.accounts (
    id UUID NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE CHECK (length(name) > 0),
    user_id UUID NOT NULL REFERENCES tollgate.users (id),
    created_at BIGINT NOT NULL
);
CREATE INDEX accounts_by_user ON tollgate.accounts (user_id);

-- The secret itself is nowhere: `hash` is its SHA-256 in hexadecimal.
CREATE TABLE tollgate.api_keys (
    id UUID NOT NULL PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES tollgate.users (id),
    account_id UUID NOT NULL REFERENCES tollgate.accounts (id),
    name TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE CHECK (length(hash) = 64),
    prefix TEXT NOT NULL,
    last4 TEXT NOT NULL CHECK (length(last4) = 4),
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    last_used_at BIGINT,
    budget_pico BIGINT CHECK (budget_pico >= 0),
    models TEXT
);
CREATE INDEX api_keys_by_user ON tollgate.api_keys (user_id);

-- A dated, immutable set of models and prices. A request pins one at admission.
CREATE TABLE tollgate.price_versions (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id > 0),
    sha256 TEXT NOT NULL UNIQUE CHECK (length(sha256) = 64),
    source TEXT NOT NULL,
    note TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    models BIGINT NOT NULL CHECK (models >= 0)
);

CREATE TABLE tollgate.models (
    version_id BIGINT NOT NULL REFERENCES tollgate.price_versions (id),
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    info TEXT NOT NULL,
    long_context_above BIGINT CHECK (long_context_above >= 0),
    off_peak TEXT NOT NULL,
    fast_bps BIGINT CHECK (fast_bps >= 0),
    us_bps BIGINT CHECK (us_bps >= 0),
    eu_bps BIGINT CHECK (eu_bps >= 0),
    PRIMARY KEY (version_id, provider, model)
);

-- `valid_from` is the least BIGINT where a price has been valid from the beginning: a primary key holds no NULL.
-- `tariff` and `rate` are the places in the lists they came from, so that what is read is what was written.
-- A row whose meter is '' prices nothing: it stands for a list that is empty on purpose.
CREATE TABLE tollgate.prices (
    version_id BIGINT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    valid_from BIGINT NOT NULL,
    service_tier TEXT NOT NULL,
    long_context BOOLEAN NOT NULL CHECK (long_context IN (TRUE, FALSE)),
    off_peak BOOLEAN NOT NULL CHECK (off_peak IN (TRUE, FALSE)),
    meter TEXT NOT NULL,
    tariff BIGINT NOT NULL CHECK (tariff >= 0),
    rate BIGINT NOT NULL CHECK (rate >= 0),
    unit_price BIGINT NOT NULL CHECK (unit_price >= 0),
    free BOOLEAN NOT NULL CHECK (free IN (TRUE, FALSE)),
    CHECK (unit_price > 0 OR free),
    PRIMARY KEY (version_id, provider, model, valid_from, service_tier, long_context, off_peak, meter),
    FOREIGN KEY (version_id, provider, model) REFERENCES tollgate.models (version_id, provider, model)
);

-- What one upstream attempt cost. `report` is the whole truth about what was used; the counters beside it are there to
-- be summed. No foreign keys: what a provider has charged is recorded whatever else is missing.
CREATE TABLE tollgate.receipts (
    request_id UUID NOT NULL,
    attempt BIGINT NOT NULL CHECK (attempt >= 0),
    account_id UUID NOT NULL,
    user_id UUID NOT NULL,
    key_id UUID NOT NULL,
    surface TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    model_served TEXT,
    upstream_id TEXT,
    price_version BIGINT NOT NULL,
    commission_bps BIGINT NOT NULL CHECK (commission_bps >= 0),
    input_tokens BIGINT NOT NULL CHECK (input_tokens >= 0),
    output_tokens BIGINT NOT NULL CHECK (output_tokens >= 0),
    cache_read BIGINT NOT NULL CHECK (cache_read >= 0),
    cache_write_5m BIGINT NOT NULL CHECK (cache_write_5m >= 0),
    cache_write_1h BIGINT NOT NULL CHECK (cache_write_1h >= 0),
    reasoning BIGINT NOT NULL CHECK (reasoning >= 0),
    report TEXT NOT NULL,
    usage_source TEXT NOT NULL,
    outcome TEXT NOT NULL,
    cost BIGINT NOT NULL CHECK (cost >= 0),
    commission BIGINT NOT NULL CHECK (commission >= 0),
    charge BIGINT NOT NULL CHECK (charge >= 0),
    started_at BIGINT NOT NULL CHECK (started_at >= 0),
    ended_at BIGINT NOT NULL CHECK (ended_at >= 0),
    content_hash BYTEA NOT NULL CHECK (length(content_hash) = 32),
    CHECK (charge - commission = cost),
    PRIMARY KEY (request_id, attempt)
);
CREATE INDEX receipts_by_user ON tollgate.receipts (user_id, started_at);

-- engine: sqlite

CREATE TRIGGER receipts_no_update BEFORE UPDATE ON receipts
BEGIN SELECT RAISE(ABORT, 'receipts is append-only'); END;
CREATE TRIGGER receipts_no_delete BEFORE DELETE ON receipts
BEGIN SELECT RAISE(ABORT, 'receipts is append-only'); END;
CREATE TRIGGER price_versions_no_update BEFORE UPDATE ON price_versions
BEGIN SELECT RAISE(ABORT, 'price_versions is append-only'); END;
CREATE TRIGGER price_versions_no_delete BEFORE DELETE ON price_versions
BEGIN SELECT RAISE(ABORT, 'price_versions is append-only'); END;
CREATE TRIGGER models_no_update BEFORE UPDATE ON models
BEGIN SELECT RAISE(ABORT, 'models is append-only'); END;
CREATE TRIGGER models_no_delete BEFORE DELETE ON models
BEGIN SELECT RAISE(ABORT, 'models is append-only'); END;
CREATE TRIGGER prices_no_update BEFORE UPDATE ON prices
BEGIN SELECT RAISE(ABORT, 'prices is append-only'); END;
CREATE TRIGGER prices_no_delete BEFORE DELETE ON prices
BEGIN SELECT RAISE(ABORT, 'prices is append-only'); END;

-- engine: postgres

CREATE FUNCTION tollgate.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER receipts_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tollgate.receipts
FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
CREATE TRIGGER price_versions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tollgate.price_versions
FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
CREATE TRIGGER models_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tollgate.models
FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
CREATE TRIGGER prices_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tollgate.prices
FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
