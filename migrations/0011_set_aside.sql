-- Receipts that no balance can take.

-- engine: all

-- Each is kept as its replica's journal has it, under the number of its record there, with what was wrong. It is among no
-- receipts, and nobody is charged.
CREATE TABLE tollgate.set_aside (
    replica_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    request_id UUID NOT NULL,
    attempt BIGINT NOT NULL,
    entry BYTEA NOT NULL,
    reason TEXT NOT NULL,
    set_aside_at BIGINT NOT NULL,
    PRIMARY KEY (replica_id, seq)
);
