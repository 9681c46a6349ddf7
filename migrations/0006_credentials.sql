-- What calls to providers are authorized with, where it is kept here and not in the environment of the process.

-- engine: all

-- `sealed` opens only with the operator's master key, which is never here, and only as the credential of this provider in
-- this row. `key_id` tells which of several master keys that is. Of a credential that was replaced or removed the row stays,
-- and what is sealed is deleted.
CREATE TABLE tollgate.provider_credentials (
    id UUID NOT NULL PRIMARY KEY,
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed BYTEA CHECK (length(sealed) > 29),
    key_id TEXT NOT NULL,
    last4 TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    removed_at BIGINT,
    CHECK ((removed_at IS NULL) = (sealed IS NOT NULL))
);
CREATE UNIQUE INDEX provider_credentials_in_force ON tollgate.provider_credentials (provider) WHERE removed_at IS NULL;
