-- Where requests go: keys of accounts at providers, and models that are not shown.

-- engine: all

-- What an account calls a provider with in place of the house's credential. `sealed` opens only with the operator's master key,
-- and only as the key of this account at this provider in this row. Of one that was replaced or removed the row stays, and what
-- is sealed is deleted. Where `always` is set, the house's credential never takes its place.
CREATE TABLE tollgate.own_keys (
    id UUID NOT NULL PRIMARY KEY,
    account_id UUID NOT NULL REFERENCES tollgate.accounts (id),
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed BYTEA CHECK (length(sealed) > 29),
    key_id TEXT NOT NULL,
    last4 TEXT NOT NULL,
    always BOOLEAN NOT NULL CHECK (always IN (TRUE, FALSE)),
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    removed_at BIGINT,
    CHECK ((removed_at IS NULL) = (sealed IS NOT NULL))
);
CREATE UNIQUE INDEX own_keys_in_force ON tollgate.own_keys (account_id, provider) WHERE removed_at IS NULL;

-- `provider/model`: to clients they do not exist, under any name.
CREATE TABLE tollgate.hidden_models (
    model_id TEXT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL
);
