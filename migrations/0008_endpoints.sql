-- Further endpoints of a provider: another account or region of it, with an address and a credential of its own.

-- engine: all

-- An endpoint without a name is the provider's own, which has the address of the process's settings.
ALTER TABLE tollgate.provider_credentials ADD COLUMN endpoint TEXT NOT NULL DEFAULT '';
ALTER TABLE tollgate.provider_credentials ADD COLUMN base_url TEXT NOT NULL DEFAULT '';
-- Lower ones are tried first; among equals, one of weight 2 gets twice as many conversations as one of weight 1.
ALTER TABLE tollgate.provider_credentials ADD COLUMN priority BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tollgate.provider_credentials ADD COLUMN weight BIGINT NOT NULL DEFAULT 1;
DROP INDEX tollgate.provider_credentials_in_force;
CREATE UNIQUE INDEX provider_credentials_in_force ON tollgate.provider_credentials (provider, endpoint) WHERE removed_at IS NULL;
