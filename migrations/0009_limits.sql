-- Limits of users, accounts and models, and how many requests of a key may be under way at once.

-- engine: all

ALTER TABLE tollgate.api_keys ADD COLUMN concurrent_requests BIGINT CHECK (concurrent_requests > 0);

-- A limit of a model without an owner (the id of nobody) is that of each account that has none of its own for the model. Those
-- of keys are with the keys.
CREATE TABLE tollgate.limits (
    id UUID NOT NULL PRIMARY KEY,
    owner_kind TEXT NOT NULL CHECK (owner_kind IN ('user', 'account', 'model')),
    owner_id UUID NOT NULL,
    -- `provider/model`; only where the limit is one of a model.
    model TEXT NOT NULL CHECK ((owner_kind = 'model') = (model <> '')),
    requests_per_minute BIGINT CHECK (requests_per_minute > 0),
    tokens_per_minute BIGINT CHECK (tokens_per_minute > 0),
    concurrent_requests BIGINT CHECK (concurrent_requests > 0),
    created_at BIGINT NOT NULL,
    UNIQUE (owner_kind, owner_id, model)
);
