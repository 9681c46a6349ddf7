-- Credit that has expired: what was held at that moment is of it first, and the rest is gone.

-- engine: all

-- Whether it was seen that it has expired.
ALTER TABLE tollgate.credit_grants ADD COLUMN ended BOOLEAN NOT NULL DEFAULT FALSE;

-- What of a slice was granted before credit expired, and when that was seen.
ALTER TABLE tollgate.slices ADD COLUMN stale BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tollgate.slices ADD COLUMN stale_at BIGINT NOT NULL DEFAULT 0;
