-- Moving in from other gateways: what was used there, and other names for models.

-- engine: all

-- What was used before, summed by key, provider and model. It has no times and no receipts, so it is no part of bills, balances, budgets or
-- rollups. Each run of an import adds what the source has more than what is here; `run` numbers those of one sum.
CREATE TABLE tollgate.imported_usage (
    source TEXT NOT NULL,
    key_id UUID NOT NULL REFERENCES tollgate.api_keys (id),
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    run BIGINT NOT NULL CHECK (run > 0),
    user_id UUID NOT NULL REFERENCES tollgate.users (id),
    account_id UUID NOT NULL REFERENCES tollgate.accounts (id),
    requests BIGINT NOT NULL CHECK (requests >= 0),
    input_tokens BIGINT NOT NULL CHECK (input_tokens >= 0),
    output_tokens BIGINT NOT NULL CHECK (output_tokens >= 0),
    total_tokens BIGINT NOT NULL CHECK (total_tokens >= 0),
    base BIGINT NOT NULL CHECK (base >= 0),
    commission_bps BIGINT NOT NULL CHECK (commission_bps >= 0),
    commission BIGINT NOT NULL CHECK (commission >= 0),
    imported_at BIGINT NOT NULL,
    PRIMARY KEY (source, key_id, provider, model, run)
);
CREATE INDEX imported_usage_by_user ON tollgate.imported_usage (user_id);
CREATE INDEX imported_usage_by_account ON tollgate.imported_usage (account_id);

-- Another name for a model: `model_id` is `provider/model`. A hidden one is in no list of models.
CREATE TABLE tollgate.model_aliases (
    alias TEXT NOT NULL PRIMARY KEY CHECK (length(alias) > 0),
    model_id TEXT NOT NULL,
    hidden BOOLEAN NOT NULL CHECK (hidden IN (TRUE, FALSE)),
    created_at BIGINT NOT NULL
);

-- engine: sqlite

CREATE TRIGGER imported_usage_no_update BEFORE UPDATE ON imported_usage
BEGIN SELECT RAISE(ABORT, 'imported_usage is append-only'); END;
CREATE TRIGGER imported_usage_no_delete BEFORE DELETE ON imported_usage
BEGIN SELECT RAISE(ABORT, 'imported_usage is append-only'); END;

-- engine: postgres

CREATE TRIGGER imported_usage_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tollgate.imported_usage
FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
