-- Receipts are journaled first and applied here in batches: how far each replica's journal has been applied.
--
-- The cursor moves in the transaction of the rows that it passes, and only forwards.

-- engine: all

CREATE TABLE tollgate.replicas (
    id UUID NOT NULL PRIMARY KEY,
    cursor_seq BIGINT NOT NULL CHECK (cursor_seq >= 0)
);
